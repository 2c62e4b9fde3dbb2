//! A stand-in for `events.pagerduty.com`: refuses what PagerDuty refuses, keeps the incidents that come of it.
//!
//! Rules as in <https://developer.pagerduty.com/docs/send-alert-event>; a text's length is counted in code points.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::{Clock, Sleep};
use crate::faults::Fault;
use crate::server::{Answer, Call};
use crate::signing::random_hex;
use crate::simulator::locked;
use crate::stand_in::{StandIn, in_own_task};

const BODY_LIMIT_BYTES: usize = 512 * 1024;
const ROUTING_KEY_CHARS: usize = 32;
const DEDUP_KEY_LIMIT_CHARS: usize = 255;
const SUMMARY_LIMIT_CHARS: usize = 1024;

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentState {
    /// It rings.
    Triggered,
    /// Somebody has it in hand: further triggers do not ring.
    Acknowledged,
    /// Over: a further trigger is an incident of its own.
    Resolved,
}

/// An incident, and what made it what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    pub routing_key: String,
    pub dedup_key: String,
    pub state: IncidentState,
    /// The bodies that were applied to it, oldest first.
    pub events: Vec<Value>,
}

impl Incident {
    /// What the last trigger says under `payload`: `summary`, `severity`, `custom_details`, …
    pub fn payload(&self) -> &Value {
        let triggers = self.events.iter().rev().filter(|event| event["event_action"] == "trigger");
        triggers.map(|event| &event["payload"]).next().unwrap_or(&Value::Null)
    }
}

#[derive(Default)]
struct Account {
    incidents: Vec<Incident>,
    /// Keys beside which every other is refused; none: any of the right form is good.
    keys: Vec<String>,
    dropped: usize,
}

/// A PagerDuty account. Clones are handles to the same one.
#[derive(Clone)]
pub struct PagerDuty(Arc<Inner>);

struct Inner {
    stand_in: StandIn,
    account: Mutex<Account>,
}

impl Default for PagerDuty {
    fn default() -> Self {
        Self::of(StandIn::in_real_time())
    }
}

impl PagerDuty {
    pub fn new(clock: Clock, sleep: Sleep) -> Self {
        Self::of(StandIn::new(clock, sleep))
    }

    fn of(stand_in: StandIn) -> Self {
        Self(Arc::new(Inner { stand_in, account: Mutex::default() }))
    }

    /// `POST /v2/enqueue`.
    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// Every incident so far, in the order in which they were opened.
    pub fn incidents(&self) -> Vec<Incident> {
        locked(&self.0.account).incidents.clone()
    }

    /// How many acknowledgements and resolutions found no open incident.
    pub fn dropped(&self) -> usize {
        locked(&self.0.account).dropped
    }

    /// From now on only the keys given so are good.
    pub fn knows(&self, routing_key: impl Into<String>) {
        locked(&self.0.account).keys.push(routing_key.into());
    }

    /// The next `times` requests not yet spoken for fail like this.
    pub fn fail_next(&self, times: usize, fault: &Fault) {
        self.0.stand_in.fail_next(times, fault);
    }
}

async fn serve(State(pagerduty): State<PagerDuty>, request: Request) -> Response {
    let Some(call) = Call::read_up_to(BODY_LIMIT_BYTES, request).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    in_own_task(async move {
        let Inner { stand_in, account } = &*pagerduty.0;
        stand_in.answered(|| take(&mut locked(account), &call)).await
    })
    .await
}

fn take(account: &mut Account, call: &Call) -> Response {
    if call.path != "/v2/enqueue" {
        return refusal(404, &["Not found".to_owned()]);
    }
    if call.method != Method::POST {
        return refusal(405, &["Method not allowed".to_owned()]);
    }
    let Ok(event @ Value::Object(_)) = serde_json::from_slice::<Value>(&call.body) else {
        return refusal(400, &["JSON is invalid".to_owned()]);
    };
    let problems = problems(&event);
    if !problems.is_empty() {
        return refusal(400, &problems);
    }
    let text = |name: &str| event[name].as_str().map(str::to_owned);
    let routing_key = text("routing_key").unwrap_or_default();
    if !account.keys.is_empty() && !account.keys.contains(&routing_key) {
        return refusal(400, &["Invalid routing key".to_owned()]);
    }
    let dedup_key = text("dedup_key").unwrap_or_else(random_hex::<16>);
    let answer = json!({"status": "success", "message": "Event processed", "dedup_key": dedup_key});
    account.apply(routing_key, dedup_key, event);
    Answer::json(202, &answer).into_response()
}

impl Account {
    fn apply(&mut self, routing_key: String, dedup_key: String, event: Value) {
        let open = self.incidents.iter_mut().find(|incident| {
            (&incident.routing_key, &incident.dedup_key) == (&routing_key, &dedup_key)
                && incident.state != IncidentState::Resolved
        });
        let state = match event["event_action"].as_str() {
            Some("acknowledge") => Some(IncidentState::Acknowledged),
            Some("resolve") => Some(IncidentState::Resolved),
            _ => None,
        };
        match (open, state) {
            (Some(incident), state) => {
                incident.state = state.unwrap_or(incident.state);
                incident.events.push(event);
            }
            (None, None) => {
                let (state, events) = (IncidentState::Triggered, vec![event]);
                self.incidents.push(Incident { routing_key, dedup_key, state, events });
            }
            (None, Some(_)) => self.dropped += 1,
        }
    }
}

/// Every mistake, in PagerDuty's words where they are known.
fn problems(event: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let text = |value: &Value| value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
    let missing = |name: &str| format!("'{name}' is missing or blank");

    match text(&event["routing_key"]) {
        None => problems.push(missing("routing_key")),
        Some(key) => {
            if key.chars().count() != ROUTING_KEY_CHARS {
                let should = format!("should be {ROUTING_KEY_CHARS} characters");
                problems.push(format!("Length of 'routing_key' is incorrect ({should})"));
            }
            if !key.chars().all(|c| c.is_ascii_alphanumeric()) {
                problems.push("'routing_key' cannot contain non-alphanumeric characters.".to_owned());
            }
        }
    }
    let action = text(&event["event_action"]);
    if !matches!(action.as_deref(), Some("trigger" | "acknowledge" | "resolve")) {
        problems.push("'event_action' must be trigger, acknowledge or resolve".to_owned());
    }
    match event["dedup_key"].as_str() {
        None if action.as_deref() != Some("trigger") => problems.push(missing("dedup_key")),
        Some(key) if key.chars().count() > DEDUP_KEY_LIMIT_CHARS => problems.push("'dedup_key' is too long".to_owned()),
        _ => {}
    }
    if action.as_deref() == Some("trigger") {
        problems_of_payload(&event["payload"], &mut problems);
    }
    for link in event["links"].as_array().into_iter().flatten() {
        let href = link["href"].as_str().and_then(|href| href.parse::<http::Uri>().ok());
        if !href.is_some_and(|href| matches!(href.scheme_str(), Some("http" | "https"))) {
            problems.push("'href' of a link is not an address".to_owned());
        }
    }
    problems
}

fn problems_of_payload(payload: &Value, problems: &mut Vec<String>) {
    for name in ["summary", "source", "severity"] {
        if payload[name].as_str().is_none_or(|text| text.trim().is_empty()) {
            problems.push(format!("'{name}' is missing or blank"));
        }
    }
    if payload["summary"].as_str().is_some_and(|summary| summary.chars().count() > SUMMARY_LIMIT_CHARS) {
        problems.push("'summary' is too long".to_owned());
    }
    if payload["severity"].as_str().is_some_and(|s| !matches!(s, "critical" | "error" | "warning" | "info")) {
        problems.push("'severity' must be critical, error, warning or info".to_owned());
    }
    if !payload["timestamp"].is_null()
        && payload["timestamp"].as_str().is_none_or(|text| text.parse::<Timestamp>().is_err())
    {
        problems.push("'timestamp' is not ISO 8601".to_owned());
    }
    for name in ["component", "group", "class"] {
        if !payload[name].is_null() && !payload[name].is_string() {
            problems.push(format!("'{name}' is not a string"));
        }
    }
    if !payload["custom_details"].is_null() && !payload["custom_details"].is_object() {
        problems.push("'custom_details' is not an object".to_owned());
    }
}

fn refusal(status: u16, problems: &[String]) -> Response {
    let body = json!({"status": "invalid event", "message": "Event object is invalid", "errors": problems});
    Answer::json(status, &body).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    async fn post(pagerduty: &PagerDuty, body: impl Into<Body>) -> (u16, Value) {
        let request = http::Request::post("/v2/enqueue").body(body.into()).unwrap();
        let response = pagerduty.router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    fn event(action: &str, key: &str) -> Value {
        let mut event = json!({"routing_key": KEY, "event_action": action, "dedup_key": key});
        if action == "trigger" {
            event["payload"] = json!({"summary": "boom", "source": "backend", "severity": "error"});
        }
        event
    }

    #[tokio::test]
    async fn one_key_is_one_incident_until_it_is_resolved() {
        let pagerduty = PagerDuty::default();
        let steps = [
            ("acknowledge", vec![]),
            ("trigger", vec![IncidentState::Triggered]),
            ("acknowledge", vec![IncidentState::Acknowledged]),
            ("trigger", vec![IncidentState::Acknowledged]),
            ("resolve", vec![IncidentState::Resolved]),
            ("resolve", vec![IncidentState::Resolved]),
            ("trigger", vec![IncidentState::Resolved, IncidentState::Triggered]),
        ];
        for (action, expected) in steps {
            let (status, body) = post(&pagerduty, event(action, "a").to_string()).await;
            assert_eq!((status, &body["dedup_key"]), (202, &"a".into()), "{body}");
            let states: Vec<_> = pagerduty.incidents().iter().map(|incident| incident.state).collect();
            assert_eq!(states, expected, "after {action}");
        }
        assert_eq!(pagerduty.dropped(), 2);
        assert_eq!(pagerduty.incidents()[0].events.len(), 4);
        assert_eq!(pagerduty.incidents()[0].payload()["severity"], "error");
        post(&pagerduty, event("trigger", "b").to_string()).await;
        assert_eq!(pagerduty.incidents().len(), 3, "another key is another incident");
    }

    #[tokio::test]
    async fn what_pagerduty_refuses_is_refused() {
        let pagerduty = PagerDuty::default();
        let with = |path: &str, value: Value| {
            let mut event = event("trigger", "a");
            *event.pointer_mut(path).unwrap() = value;
            event.to_string()
        };
        let payload = |more: Value| {
            let mut event = event("trigger", "a");
            event["payload"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event.to_string()
        };
        let mut keyless = event("resolve", "a");
        keyless.as_object_mut().unwrap().remove("dedup_key");
        let mut linked = event("trigger", "a");
        linked["links"] = json!([{"href": "javascript:alert(1)"}]);
        let cases = [
            ("{".to_owned(), "JSON is invalid"),
            (with("/routing_key", "abc".into()), "Length of 'routing_key' is incorrect (should be 32 characters)"),
            (with("/routing_key", format!("{}!", &KEY[1..]).into()), "'routing_key' cannot contain"),
            (with("/event_action", "page".into()), "'event_action' must be"),
            (with("/dedup_key", "a".repeat(256).into()), "'dedup_key' is too long"),
            (keyless.to_string(), "'dedup_key' is missing"),
            (with("/payload/summary", " ".into()), "'summary' is missing"),
            (with("/payload/summary", "a".repeat(1025).into()), "'summary' is too long"),
            (with("/payload/source", Value::Null), "'source' is missing"),
            (with("/payload/severity", "fatal".into()), "'severity' must be"),
            (payload(json!({"timestamp": "yesterday"})), "'timestamp' is not"),
            (payload(json!({"component": 1})), "'component' is not"),
            (payload(json!({"custom_details": "text"})), "'custom_details' is not"),
            (linked.to_string(), "'href' of a link"),
        ];
        for (body, error) in cases {
            let (status, answer) = post(&pagerduty, body).await;
            assert_eq!(status, 400, "{error}");
            assert!(answer["errors"][0].as_str().unwrap().starts_with(error), "{answer}");
        }
        assert_eq!(post(&pagerduty, "a".repeat(BODY_LIMIT_BYTES + 1)).await.0, 413);
        pagerduty.knows("f".repeat(32));
        let (status, answer) = post(&pagerduty, event("trigger", "a").to_string()).await;
        assert_eq!((status, &answer["errors"][0]), (400, &"Invalid routing key".into()));
        assert_eq!(pagerduty.incidents(), []);
    }

    #[tokio::test]
    async fn a_fault_comes_as_often_as_it_was_ordered() {
        let pagerduty = PagerDuty::default();
        pagerduty.fail_next(2, &Fault::status(500));
        pagerduty.fail_next(1, &Fault::lost_answer());
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(post(&pagerduty, event("trigger", "a").to_string()).await.0);
        }
        assert_eq!(statuses, [500, 500, 504, 202]);
        assert_eq!(pagerduty.incidents()[0].events.len(), 2, "the lost answer's was carried out");
    }
}
