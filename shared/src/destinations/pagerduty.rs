//! `pagerduty`: an incident an issue. Events API v2, <https://developer.pagerduty.com/docs/events-api-v2-overview>
//!
//! Triggers, acknowledgements and resolutions of one issue carry one `dedup_key`, so they may come twice without harm.
//! An account in the EU has `base_url = "https://events.eu.pagerduty.com"`.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{DeliveryError, judge_by_status};
use super::incident::{self, Turn};
use super::kind::{Action, Key, Kind, Learned, Notification, Takes};
use super::request::json;
use super::settings::Settings;
use super::text::{self, cut, is_blank, one_line, visible};
use crate::alert_rule::Priority;
use crate::message::{Message, Tone};
use crate::normalized::Normalized;

/// "The maximum permitted length of this property is 1024 characters."
const SUMMARY_MAX: usize = 1024;
/// Of source, component, group and class, for which the vendor says nothing: as much as a person reads.
const WORDS_MAX: usize = 255;
/// Of the text among the details: an exception's own text is seldom longer, and the link leads to the rest.
const TEXT_MAX: usize = 20_000;
/// A longer address is left out: a cut one leads nowhere.
const LINK_MAX_BYTES: usize = 2_048;
/// "Events API payloads are limited to 512 KB", of whichever kB.
const BODY_MAX_BYTES: usize = 512_000;

/// "Be sure to retry on a 429 response code, preferably with a backoff of a few minutes." With its jitter the last is
/// less than 12 h after the first try.
const WAITS: [Duration; 7] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
];

pub(super) static KIND: Kind = Kind::new("pagerduty", render)
    .keys(&[Key::new("routing_key", Takes::Secret)])
    .needs(&[&["routing_key"]])
    // No thread is kept, but trigger, acknowledge and resolve must not overtake each other.
    .threads()
    .waits(&WAITS);

#[derive(Serialize)]
struct Body<'a> {
    routing_key: &'a str,
    #[serde(rename = "event_action")]
    action: &'static str,
    dedup_key: &'a str,
    /// Of a trigger; the others are known by their key.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_url: Option<&'a str>,
}

#[derive(Serialize)]
struct Payload<'a> {
    summary: String,
    source: String,
    severity: &'static str,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    class: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    custom_details: BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
struct Link<'a> {
    href: &'a str,
    text: &'static str,
}

fn render(settings: &Settings, notification: &Notification<'_>) -> Result<Action, DeliveryError> {
    let (event, message) = (notification.event, notification.message);
    // A secret filled in by hand often ends in a line break.
    let routing_key = settings.required("routing_key")?.trim();
    let key = incident::key(event);
    let dedup_key = key.as_deref().unwrap_or(notification.delivery.as_str());
    let bare = |action| Body {
        routing_key,
        action,
        dedup_key,
        payload: None,
        links: Vec::new(),
        client: None,
        client_url: None,
    };
    let mut body = match Turn::of(event) {
        Turn::Resolve => bare("resolve"),
        Turn::Acknowledge => bare("acknowledge"),
        Turn::Trigger => {
            let link = message.link.as_deref().filter(|link| link.len() <= LINK_MAX_BYTES);
            Body {
                payload: Some(payload(event, message, notification.accepted_at)),
                links: link.map(|href| Link { href, text: "Open in Sentry" }).into_iter().collect(),
                client: Some("Sentry"),
                client_url: link,
                ..bare("trigger")
            }
        }
    };
    let address = format!("{}/v2/enqueue", settings.base_url("https://events.pagerduty.com"));
    let mut request = json(http::Request::post(&address), &body)?;
    if request.body().len() > BODY_MAX_BYTES
        && let Some(payload) = &mut body.payload
    {
        payload.custom_details.clear();
        request = json(http::Request::post(&address), &body)?;
    }
    Ok(Action::call(request, judge))
}

fn payload<'a>(event: &Normalized, message: &'a Message, accepted_at: Timestamp) -> Payload<'a> {
    let words =
        |text: &Option<String>| text.as_deref().map(|text| one_line(text, WORDS_MAX)).filter(|words| !is_blank(words));
    let project = event.project.as_ref();
    let sources = [project.and_then(|project| words(&project.slug)), project.and_then(|project| words(&project.name))];
    let mut sources = sources.into_iter().flatten().chain(words(&event.organization));
    let summary = one_line(&message.title, SUMMARY_MAX);
    let fields = message.fields.iter().map(|field| (field.name.as_str(), visible(&field.value)));
    let text = ("text", visible(&message.text));
    Payload {
        summary: if is_blank(&summary) { one_line(&event.event, SUMMARY_MAX) } else { summary },
        source: sources.next().unwrap_or_else(|| "sentry".to_owned()),
        severity: match (message.priority, message.tone) {
            (Some(Priority::Urgent), _) | (None, Tone::Fatal) => "critical",
            (Some(Priority::High), _) | (None, Tone::Error) => "error",
            (Some(Priority::Normal), _) | (None, Tone::Warning) => "warning",
            (Some(Priority::Low), _) | (None, Tone::Info | Tone::Resolved | Tone::Muted) => "info",
        },
        timestamp: accepted_at.to_string(),
        component: words(&event.culprit),
        group: words(&event.environment),
        class: one_line(&event.event, WORDS_MAX),
        custom_details: [text]
            .into_iter()
            .chain(fields)
            .filter(|(name, value)| !is_blank(name) && !is_blank(value))
            .map(|(name, value)| (name, cut(value.trim(), TEXT_MAX)))
            .collect(),
    }
}

/// 202 says accepted. A refused key, or an address that is none, would refuse everything else too; any other 400 is
/// about this event.
fn judge(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    match judge_by_status(answer, now, || reason(answer.body())) {
        Err(DeliveryError::Refused { status: status @ (401 | 403 | 404), reason }) => {
            Err(DeliveryError::Shut { status, reason })
        }
        Err(DeliveryError::Refused { status: 400, reason }) if is_about_the_key(&reason) => {
            Err(DeliveryError::Shut { status: 400, reason })
        }
        judged => judged,
    }
}

/// `Length of 'routing_key' is incorrect (should be 32 characters)`, `Invalid routing key`
fn is_about_the_key(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    reason.contains("routing_key") || reason.contains("routing key")
}

/// `{"status":"invalid event","message":"Event object is invalid","errors":["…"]}`, or a bare text.
fn reason(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        message: String,
        #[serde(default)]
        errors: Vec<String>,
    }
    let said = match serde_json::from_slice::<Answer>(body) {
        Ok(answer) if answer.errors.is_empty() => answer.message,
        Ok(answer) => answer.errors.join("; "),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    text::reason(&said, 500)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fmt::Write;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::destinations::error::Next;
    use crate::destinations::retry;
    use crate::destinations::testing::{accepted_at, calls, calls_of, carried_out, rendered, samples, settings};
    use crate::message::Field;
    use crate::normalized::Project;
    use simulator::{Fault, IncidentState, PagerDuty};

    const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";

    fn pagerduty() -> Settings {
        settings("pagerduty", "routing_key = \"secret:k\"", [("k", concat!("0123456789abcdef0123456789abcdef", "\n"))])
    }

    fn body_of(call: &super::super::kind::Call) -> Value {
        assert_eq!(call.request.uri(), "https://events.pagerduty.com/v2/enqueue");
        assert!(call.request.body().len() <= BODY_MAX_BYTES);
        let body: Value = serde_json::from_slice(call.request.body()).unwrap();
        assert_eq!(body["routing_key"], ROUTING_KEY);
        body
    }

    fn of(event: &Normalized, message: &Message) -> Value {
        body_of(&calls_of(rendered(&KIND, &pagerduty(), event, message, None).unwrap())[0])
    }

    #[test]
    fn every_kind_of_event_makes_an_event_of_pagerduty() {
        let mut shown = String::new();
        for event in samples() {
            let calls = calls(&KIND, &pagerduty(), &event);
            let mut body = body_of(&calls[0]);
            body.as_object_mut().unwrap().remove("routing_key");
            writeln!(shown, "{} {}", event.event, serde_json::to_string_pretty(&body).unwrap()).unwrap();
        }
        insta::assert_snapshot!(shown);
    }

    #[tokio::test]
    async fn created_assigned_and_resolved_are_one_incident_even_when_each_first_try_failed() {
        let account = PagerDuty::default();
        let event = |name: &str| {
            let event = samples().into_iter().find(|event| event.event == name).unwrap();
            Normalized { issue: Some("7".to_owned()), installation: "i".to_owned(), ..event }
        };
        let steps = [
            ("issue.created", IncidentState::Triggered),
            ("issue.assigned", IncidentState::Acknowledged),
            ("issue.resolved", IncidentState::Resolved),
        ];
        for (name, state) in steps {
            // Carried out, although its answer was lost: the repeat must change nothing.
            account.fail_next(1, &Fault::lost_answer());
            let tries = || carried_out(calls(&KIND, &pagerduty(), &event(name)), account.router());
            assert!(matches!(tries().await.unwrap_err().next(), Next::Retry { .. }), "{name}");
            tries().await.unwrap();
            let states: Vec<_> = account.incidents().iter().map(|incident| incident.state).collect();
            assert_eq!(states, [state], "{name}");
        }
    }

    #[tokio::test]
    async fn pagerduty_takes_what_every_sample_makes_and_a_refused_key_shuts_the_destination() {
        let account = PagerDuty::default();
        for event in samples() {
            let taken = carried_out(calls(&KIND, &pagerduty(), &event), account.router()).await;
            assert!(taken.is_ok(), "{}: {taken:?}", event.event);
        }
        account.knows("f".repeat(32));
        let refused = carried_out(calls(&KIND, &pagerduty(), &samples()[0]), account.router()).await;
        assert_eq!(refused.unwrap_err().to_string(), "refuses everything with 400: Invalid routing key");
    }

    #[test]
    fn one_issue_is_one_incident_and_what_is_about_none_is_its_own() {
        let issue = |event: &str| Normalized {
            event: event.to_owned(),
            resource: "issue".to_owned(),
            installation: "i".to_owned(),
            issue: Some("7".to_owned()),
            ..Normalized::default()
        };
        let message = Message::of(&issue("issue.created"), "https://sentry.example");
        let cases = [
            ("issue.created", "trigger"),
            ("issue.assigned", "acknowledge"),
            ("issue.ignored", "resolve"),
            ("issue.unresolved", "trigger"),
            ("issue.resolved", "resolve"),
        ];
        let key = of(&issue("issue.created"), &message)["dedup_key"].clone();
        for (event, action) in cases {
            let body = of(&issue(event), &message);
            assert_eq!((&body["event_action"], &body["dedup_key"]), (&action.into(), &key), "{event}");
            assert_eq!(body.get("payload").is_some(), action == "trigger", "{event}");
        }
        let build = Normalized { event: "preprod_artifact.x".to_owned(), ..Normalized::default() };
        let body = of(&build, &message);
        assert_eq!(body["event_action"], "trigger");
        assert!(body["dedup_key"].as_str().unwrap().len() == 64 && body["dedup_key"] != key, "the delivery's id");
    }

    #[test]
    fn how_bad_it_is_comes_from_the_tone_and_where_from_the_project() {
        let message = Message::of(&Normalized::default(), "https://sentry.example");
        let tones = [
            (Tone::Fatal, "critical"),
            (Tone::Error, "error"),
            (Tone::Warning, "warning"),
            (Tone::Info, "info"),
            (Tone::Muted, "info"),
        ];
        for (tone, severity) in tones {
            let body = of(&Normalized::default(), &Message { tone, ..message.clone() });
            assert_eq!(body["payload"]["severity"], severity);
            assert_eq!(body["payload"]["source"], "sentry", "never empty");
        }
        for (priority, severity) in [
            (Priority::Low, "info"),
            (Priority::Normal, "warning"),
            (Priority::High, "error"),
            (Priority::Urgent, "critical"),
        ] {
            let message = Message { priority: Some(priority), tone: Tone::Fatal, ..message.clone() };
            assert_eq!(of(&Normalized::default(), &message)["payload"]["severity"], severity, "an alert rule's wins");
        }
        let project = |slug: Option<&str>| {
            Some(Project { slug: slug.map(str::to_owned), name: Some("Back End".to_owned()), ..Project::default() })
        };
        let organization = Some("acme".to_owned());
        let cases = [(project(Some("backend")), "backend"), (project(None), "Back End"), (None, "acme")];
        for (project, source) in cases {
            let event = Normalized { project, organization: organization.clone(), ..Normalized::default() };
            assert_eq!(of(&event, &message)["payload"]["source"], source);
        }
    }

    #[test]
    fn a_megabyte_fits_and_the_details_go_first() {
        let event = Normalized { event: "issue.created".to_owned(), ..Normalized::default() };
        let long = "é\u{1}\u{202e}\"".repeat(200_000);
        let message = Message {
            title: long.clone(),
            text: long.clone(),
            fields: vec![Field { name: "Release".to_owned(), value: "1.2".to_owned() }],
            link: Some(format!("https://sentry.example/{}", "a".repeat(3_000))),
            ..Message::of(&event, "https://sentry.example")
        };
        let body = of(&event, &message);
        assert!(body["payload"]["summary"].as_str().unwrap().encode_utf16().count() <= SUMMARY_MAX);
        assert_eq!(body["payload"]["custom_details"]["Release"], "1.2");
        assert!(body["payload"]["custom_details"]["text"].as_str().unwrap().ends_with('…'));
        assert_eq!((body.get("client_url"), body.get("links")), (None, None), "a cut address leads nowhere");

        let field = |number: usize| Field { name: format!("field {number}"), value: long.clone() };
        let body = of(&event, &Message { fields: (0..40).map(field).collect(), ..message });
        assert_eq!(body["payload"].get("custom_details"), None);
        assert!(body["payload"]["summary"].is_string());
    }

    proptest! {
        #[test]
        fn whatever_is_said_makes_an_event_that_pagerduty_takes(
            title in any::<String>(), text in any::<String>(), name in any::<String>(), slug in any::<String>(),
        ) {
            let event = Normalized {
                event: "issue.created".to_owned(),
                project: Some(Project { slug: Some(slug), ..Project::default() }),
                ..Normalized::default()
            };
            let message = Message {
                title,
                fields: vec![Field { name, value: text.clone() }],
                text,
                ..Message::of(&event, "https://sentry.example")
            };
            let body = of(&event, &message);
            for key in ["summary", "source"] {
                let said = body["payload"][key].as_str().unwrap();
                prop_assert!(!said.trim().is_empty() && !said.contains(char::is_control), "{key}: {said:?}");
            }
        }
    }

    #[test]
    fn an_answer_means_what_pagerduty_says() {
        let now = accepted_at();
        let answer = |status: u16, body: &'static str| {
            http::Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap()
        };
        let retry = Next::Retry { not_before: None };
        let pause = Next::Pause { until: None };
        let cases = [
            (answer(202, r#"{"status":"success","message":"Event processed","dedup_key":"a"}"#), None),
            (
                answer(
                    400,
                    r#"{"status":"invalid event","message":"Event object is invalid","errors":["'summary' is missing or blank"]}"#,
                ),
                Some((Next::GiveUp, "refused with 400: 'summary' is missing or blank")),
            ),
            (
                answer(
                    400,
                    r#"{"status":"invalid event","message":"Event object is invalid","errors":["Length of 'routing_key' is incorrect (should be 32 characters)"]}"#,
                ),
                Some((
                    pause,
                    "refuses everything with 400: Length of 'routing_key' is incorrect (should be 32 characters)",
                )),
            ),
            (answer(400, "Invalid routing key"), Some((pause, "refuses everything with 400: Invalid routing key"))),
            (answer(403, ""), Some((pause, "refuses everything with 403: no reason given"))),
            (answer(404, "<html>"), Some((pause, "refuses everything with 404: no reason given"))),
            (answer(413, r#"{"message":"too large"}"#), Some((Next::GiveUp, "refused with 413: too large"))),
            (answer(429, ""), Some((retry, "rate limited"))),
            (answer(500, ""), Some((retry, "failed with 500"))),
        ];
        for (answer, expected) in cases {
            let judged = judge(&answer, now).err().map(|error| (error.next(), error.to_string()));
            assert_eq!(judged, expected.map(|(next, text)| (next, text.to_owned())));
        }
    }

    #[test]
    fn the_waits_begin_at_a_minute_and_end_before_a_delivery_is_too_old() {
        assert_eq!(KIND.waits[0], Duration::from_mins(1));
        let longest = KIND.waits.iter().sum::<Duration>().mul_f64(1.1);
        assert!(longest < retry::TOO_OLD, "{longest:?}");
    }
}
