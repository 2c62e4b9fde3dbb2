//! A stand-in for `api.pushover.net`: refuses what Pushover refuses, keeps what it took.
//!
//! Limits and answers as in <https://pushover.net/api>; a text's length is counted in code points.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::faults::{Disturbed, Endpoint, Fault};
use crate::ordered::Json;
use crate::record::Direction;
use crate::server::{Answer, Call, disturbed, record};
use crate::signing::{random_hex, random_uuid};
use crate::simulator::{Simulator, locked};
use crate::stand_in::in_own_task;

/// Messages a month that a free application may send.
const QUOTA: u32 = 10_000;
/// The oldest messages beyond this many are forgotten.
const KEPT: usize = 10_000;
/// `token` and each user key, characters of `[A-Za-z0-9]`.
const KEY_CHARS: usize = 30;
const USERS_LIMIT: usize = 50;
const MESSAGE_LIMIT_CHARS: usize = 1024;
const TITLE_LIMIT_CHARS: usize = 250;
const URL_LIMIT_CHARS: usize = 512;
const URL_TITLE_LIMIT_CHARS: usize = 100;
const DEVICE_LIMIT_CHARS: usize = 25;
/// Of an emergency (priority 2), seconds.
const RETRY_LEAST_S: u32 = 30;
const EXPIRE_LIMIT_S: u32 = 10_800;

const BAD_TOKEN: &str = "application token is invalid, see https://pushover.net/api";

/// A message as it was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushoverMessage {
    pub received_at: Timestamp,
    /// Key of the application.
    pub token: String,
    /// Key of the user or group; several with commas.
    pub user: String,
    pub message: String,
    pub title: Option<String>,
    pub url: Option<String>,
    pub url_title: Option<String>,
    /// −2 to 2; 0 where none was given.
    pub priority: i8,
    pub device: Option<String>,
    pub sound: Option<String>,
    /// Seconds since 1970 that are shown instead of `received_at`.
    pub timestamp: Option<i64>,
    /// Of an emergency: seconds from ring to ring, and until it ends by itself.
    pub retry: Option<u32>,
    pub expire: Option<u32>,
    /// With commas; each cancels it.
    pub tags: Option<String>,
    /// Of an emergency: what cancels it.
    pub receipt: Option<String>,
    /// When an emergency was cancelled.
    pub cancelled_at: Option<Timestamp>,
}

impl PushoverMessage {
    /// Whether it is an emergency that nobody has cancelled and that has not expired at `now`.
    pub fn rings_at(&self, now: Timestamp) -> bool {
        let ends = self.received_at + std::time::Duration::from_secs(self.expire.unwrap_or_default().into());
        self.receipt.is_some() && self.cancelled_at.is_none() && now < ends
    }

    fn has_tag(&self, tag: &str) -> bool {
        self.tags.as_deref().is_some_and(|tags| tags.split(',').any(|own| own.trim() == tag))
    }
}

pub(crate) struct Pushover {
    pub(crate) messages: Vec<PushoverMessage>,
    pub(crate) remaining: u32,
}

impl Default for Pushover {
    fn default() -> Self {
        Self { messages: Vec::new(), remaining: QUOTA }
    }
}

pub(crate) fn router(simulator: Simulator) -> Router {
    Router::new().fallback(serve).with_state(simulator)
}

async fn serve(State(simulator): State<Simulator>, request: Request) -> Response {
    let Some(call) = Call::read(request).await else { return refusal(413, &[("", "request is too large")]) };
    in_own_task(async move { answered(&simulator, &call).await }).await
}

async fn answered(simulator: &Simulator, call: &Call) -> Response {
    let at = simulator.now();
    let fault = simulator.faults().take(Endpoint::Pushover);
    let (delay, fault) = fault.map_or_else(Default::default, |Fault { delay, answer }| (Some(delay), Some(answer)));
    let fault = fault.unwrap_or(Disturbed::No);
    simulator.sleep(delay.unwrap_or_default()).await;
    let right = (!matches!(fault, Disturbed::Refused { .. })).then(|| take(simulator, call));
    let response = match right {
        Some(right) if fault == Disturbed::No => right,
        _ => disturbed(&fault, at, "X-Limit-App-Reset"),
    };
    let subject = if call.path.starts_with("/1/receipts/") { "cancel" } else { "message" };
    record(simulator, call, at, Direction::ToPushover, subject.to_owned(), &fault, &response);
    response
}

fn take(simulator: &Simulator, call: &Call) -> Response {
    if call.method != Method::POST {
        return refusal(405, &[("", "method not allowed")]);
    }
    let path = call.path.strip_suffix(".json").unwrap_or_default();
    match *path.split('/').skip(1).collect::<Vec<_>>() {
        ["1", "messages"] => take_message(simulator, call),
        ["1", "receipts", "cancel_by_tag", tag] => cancel(simulator, call, |message| message.has_tag(tag)),
        ["1", "receipts", receipt, "cancel"] => {
            cancel(simulator, call, |message| message.receipt.as_deref() == Some(receipt))
        }
        _ => refusal(404, &[("", "not found")]),
    }
}

/// Cancels the application's emergencies of a kind; `canceled` says how many still rang.
fn cancel(simulator: &Simulator, call: &Call, of_kind: impl Fn(&PushoverMessage) -> bool) -> Response {
    let fields = match Fields::read(call) {
        Ok(fields) => fields,
        Err(text) => return refusal(400, &[("", text)]),
    };
    if !is_key(&fields.token) {
        return refusal(400, &[("token", BAD_TOKEN)]);
    }
    let now = simulator.now();
    let mut pushover = locked(&simulator.0.pushover);
    let ringing = pushover.messages.iter_mut();
    let ringing = ringing.filter(|message| message.token == fields.token && message.rings_at(now) && of_kind(message));
    let canceled = ringing.map(|message| message.cancelled_at = Some(now)).count();
    let canceled = u64::try_from(canceled).unwrap_or(u64::MAX);
    let answer = Json::from([("status", 1.into()), ("canceled", canceled.into()), ("request", random_uuid().into())]);
    Answer::json(200, &answer).into_response()
}

fn take_message(simulator: &Simulator, call: &Call) -> Response {
    let fields = match Fields::read(call) {
        Ok(fields) => fields,
        Err(text) => return refusal(400, &[("", text)]),
    };
    let problems = fields.problems();
    if !problems.is_empty() {
        return refusal(400, &problems);
    }

    let now = simulator.now();
    let mut pushover = locked(&simulator.0.pushover);
    let recipients = u32::try_from(fields.user.split(',').count()).unwrap_or(u32::MAX);
    if pushover.remaining < recipients {
        let text = "application has exceeded its monthly message limit";
        return with_limits(refusal(429, &[("token", text)]), pushover.remaining, now);
    }
    pushover.remaining -= recipients;
    if pushover.messages.len() == KEPT {
        pushover.messages.remove(0);
    }
    let receipt = (fields.priority == 2).then(random_key);
    let mut answer = Json::from([("status", 1.into()), ("request", random_uuid().into())]);
    if let Some(receipt) = &receipt {
        answer.set("receipt", receipt.as_str());
    }
    pushover.messages.push(PushoverMessage {
        received_at: now,
        token: fields.token,
        user: fields.user,
        message: fields.message,
        title: fields.title,
        url: fields.url,
        url_title: fields.url_title,
        priority: fields.priority,
        device: fields.device,
        sound: fields.sound,
        timestamp: fields.timestamp,
        retry: fields.retry,
        expire: fields.expire,
        tags: fields.tags,
        receipt,
        cancelled_at: None,
    });
    with_limits(Answer::json(200, &answer).into_response(), pushover.remaining, now)
}

fn random_key() -> String {
    random_hex::<15>()
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    token: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    message: String,
    title: Option<String>,
    url: Option<String>,
    url_title: Option<String>,
    #[serde(default)]
    priority: i8,
    retry: Option<u32>,
    expire: Option<u32>,
    sound: Option<String>,
    device: Option<String>,
    timestamp: Option<i64>,
    tags: Option<String>,
    html: Option<String>,
    monospace: Option<String>,
}

impl Fields {
    fn read(call: &Call) -> Result<Self, &'static str> {
        let kind = call.content_type().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/x-www-form-urlencoded" => {
                let query = std::str::from_utf8(&call.body).map_err(|_| "request is not valid UTF-8")?;
                let uri = http::Uri::builder().path_and_query(format!("/?{query}")).build();
                let uri = uri.map_err(|_| "request is not a valid form")?;
                let fields = axum::extract::Query::<Self>::try_from_uri(&uri);
                fields.map(|axum::extract::Query(fields)| fields).map_err(|_| "request is not a valid form")
            }
            "application/json" => serde_json::from_slice(&call.body).map_err(|_| "request is not valid JSON"),
            _ => Err("content type must be a form or JSON"),
        }
    }

    /// Every mistake: the field and Pushover's words about it.
    fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        let mut check = |good: bool, field, text| {
            if !good {
                problems.push((field, text));
            }
        };
        let fits = |text: &Option<String>, limit| text.as_deref().is_none_or(|text| text.chars().count() <= limit);
        let users: Vec<&str> = self.user.split(',').collect();
        let device_is_good = |text: &str| {
            text.split(',').all(|device| {
                (1..=DEVICE_LIMIT_CHARS).contains(&device.len())
                    && device.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            })
        };

        check(is_key(&self.token), "token", BAD_TOKEN);
        check(
            users.len() <= USERS_LIMIT && users.iter().all(|user| is_key(user)),
            "user",
            "user identifier is not a valid user, group, or subscribed user key, see https://pushover.net/api#identifiers",
        );
        check(!self.message.trim().is_empty(), "message", "message cannot be blank");
        check(self.message.chars().count() <= MESSAGE_LIMIT_CHARS, "message", "message is too long");
        check(fits(&self.title, TITLE_LIMIT_CHARS), "title", "title is too long");
        check(fits(&self.url, URL_LIMIT_CHARS), "url", "url is too long");
        check(fits(&self.url_title, URL_TITLE_LIMIT_CHARS), "url_title", "url_title is too long");
        check((-2..=2).contains(&self.priority), "priority", "priority is invalid");
        if self.priority == 2 {
            let retry = self.retry.is_some_and(|retry| retry >= RETRY_LEAST_S);
            check(retry, "retry", "retry must be supplied and at least 30 seconds with emergency priority");
            let expire = self.expire.is_some_and(|expire| (1..=EXPIRE_LIMIT_S).contains(&expire));
            check(expire, "expire", "expire must be supplied and at most 10800 seconds with emergency priority");
        }
        let is_on = |flag: &Option<String>| flag.as_deref() == Some("1");
        check(!(is_on(&self.html) && is_on(&self.monospace)), "html", "html and monospace are mutually exclusive");
        check(self.device.as_deref().is_none_or(device_is_good), "device", "device name is not valid");
        problems
    }
}

fn is_key(text: &str) -> bool {
    text.len() == KEY_CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// `status` 0, the fields at fault, and `errors`.
fn refusal(status: u16, problems: &[(&str, &str)]) -> Response {
    let mut body = Json::from([]);
    for (field, _) in problems.iter().filter(|(field, _)| !field.is_empty()) {
        body.set(field, "invalid");
    }
    body.set("errors", Json::Array(problems.iter().map(|(_, text)| (*text).into()).collect()));
    body.set("status", 0);
    body.set("request", random_uuid());
    Answer::json(status, &body).into_response()
}

fn with_limits(mut response: Response, remaining: u32, now: Timestamp) -> Response {
    let limits = [
        ("x-limit-app-limit", HeaderValue::from(QUOTA)),
        ("x-limit-app-remaining", HeaderValue::from(remaining)),
        ("x-limit-app-reset", HeaderValue::from(next_reset(now).as_second())),
    ];
    for (name, value) in limits {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    response
}

/// Midnight of the next 1st in US Central, taken as UTC−6 all year round: an hour late in summer.
fn next_reset(now: Timestamp) -> Timestamp {
    let central = TimeZone::fixed(jiff::tz::offset(-6));
    let month = central.to_datetime(now).date().first_of_month();
    let next = month.checked_add(jiff::Span::new().months(1)).unwrap_or(month);
    central.to_timestamp(next.at(0, 0, 0, 0)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;
    use crate::Config;

    const TOKEN: &str = "azGDORePK8gMaC0QOYAMyEEuzJnyUi";
    const USER: &str = "uQiRzpo4DXghDmr9QzzfQu27cmVRsG";

    async fn post(simulator: &Simulator, form: &str) -> (u16, http::HeaderMap, Value) {
        post_to(simulator, "/1/messages.json", form).await
    }

    async fn post_to(simulator: &Simulator, path: &str, form: &str) -> (u16, http::HeaderMap, Value) {
        let request = http::Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()))
            .unwrap();
        let response = simulator.pushover_router().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, headers, serde_json::from_slice(&body).unwrap_or_default())
    }

    #[tokio::test]
    async fn a_message_is_taken_or_refused_as_pushover_does() {
        let simulator = Simulator::new(Config::default());
        let long = |count| "ä".repeat(count);
        let good = format!("token={TOKEN}&user={USER}");
        let cases = [
            (
                "good",
                format!(
                    "{good}&message=hello+w%C3%B6rld&title=t&url=http%3A%2F%2Fa&url_title=Issue+Details&priority=0"
                ),
                200,
                "",
            ),
            ("two users", format!("token={TOKEN}&user={USER},{USER}&message=a"), 200, ""),
            ("longest", format!("{good}&message={}&title={}", long(1024), long(250)), 200, ""),
            ("message too long", format!("{good}&message={}", long(1025)), 400, "message is too long"),
            ("title too long", format!("{good}&message=a&title={}", long(251)), 400, "title is too long"),
            ("url too long", format!("{good}&message=a&url={}", long(513)), 400, "url is too long"),
            ("url title too long", format!("{good}&message=a&url_title={}", long(101)), 400, "url_title is too long"),
            ("no message", good.clone(), 400, "message cannot be blank"),
            ("blank message", format!("{good}&message=+%0A"), 400, "message cannot be blank"),
            ("no token", format!("user={USER}&message=a"), 400, "application token is invalid"),
            ("odd token", format!("token={TOKEN}!&user={USER}&message=a"), 400, "application token is invalid"),
            ("short user", format!("token={TOKEN}&user=abc&message=a"), 400, "user identifier is not a valid user"),
            ("priority 3", format!("{good}&message=a&priority=3"), 400, "priority is invalid"),
            ("emergency alone", format!("{good}&message=a&priority=2"), 400, "retry must be supplied"),
            ("emergency", format!("{good}&message=a&priority=2&retry=30&expire=10800"), 200, ""),
            ("too often", format!("{good}&message=a&priority=2&retry=29&expire=60"), 400, "retry must be supplied"),
            ("too long", format!("{good}&message=a&priority=2&retry=30&expire=10801"), 400, "expire must be supplied"),
            ("odd device", format!("{good}&message=a&device=a+b"), 400, "device name is not valid"),
            ("both markups", format!("{good}&message=a&html=1&monospace=1"), 400, "html and monospace"),
        ];
        for (name, form, status, error) in cases {
            let (answered, _, body) = post(&simulator, &form).await;
            assert_eq!(answered, status, "{name}: {body}");
            assert_eq!(body["status"], u8::from(status == 200), "{name}");
            if !error.is_empty() {
                assert!(body["errors"][0].as_str().unwrap().starts_with(error), "{name}: {body}");
            }
        }
        let kept = simulator.pushover_messages();
        assert_eq!(kept.len(), 4);
        assert_eq!(kept[0].message, "hello wörld");
        assert_eq!(kept[0].url_title.as_deref(), Some("Issue Details"));
        assert_eq!(kept[3].receipt.as_ref().map(String::len), Some(30));
    }

    #[tokio::test]
    async fn an_emergency_rings_until_its_tag_its_receipt_or_time_ends_it() {
        let (simulator, _, time) = crate::testing::of(crate::Version::Today);
        let ring = |tags: &'static str| {
            format!("token={TOKEN}&user={USER}&message=a&priority=2&retry=30&expire=60&tags={tags}")
        };
        for tags in ["a,b", "b", "c"] {
            assert_eq!(post(&simulator, &ring(tags)).await.0, 200);
        }
        post(&simulator, &format!("token={TOKEN}&user={USER}&message=a&tags=b")).await;
        let ringing = || simulator.pushover_messages().iter().map(|m| m.rings_at(simulator.now())).collect::<Vec<_>>();
        assert_eq!(ringing(), [true, true, true, false]);

        let token = format!("token={TOKEN}");
        let other = format!("token=b{}", &TOKEN[1..]);
        let by_tag = "/1/receipts/cancel_by_tag/b.json";
        for (form, canceled) in [(&other, 0), (&token, 2), (&token, 0)] {
            let (status, _, body) = post_to(&simulator, by_tag, form).await;
            assert_eq!((status, &body["status"], &body["canceled"]), (200, &1.into(), &canceled.into()), "{body}");
        }
        assert_eq!(ringing(), [false, false, true, false]);
        assert_eq!(post_to(&simulator, by_tag, "token=x").await.2["token"], "invalid");

        let receipt = simulator.pushover_messages()[2].receipt.clone().unwrap();
        let (_, _, body) = post_to(&simulator, &format!("/1/receipts/{receipt}/cancel.json"), &token).await;
        assert_eq!((&body["canceled"], ringing()[2]), (&1.into(), false));
        post(&simulator, &ring("d")).await;
        time.pass(Duration::from_secs(61));
        assert_eq!(ringing(), [false; 5]);
        assert_eq!(simulator.log().last().unwrap().subject, "message");
        assert_eq!(simulator.log()[4].subject, "cancel");
    }

    #[tokio::test]
    async fn the_quota_counts_down_and_ends_in_429_with_the_time_of_its_reset() {
        let config =
            Config { clock: std::sync::Arc::new(|| "2026-11-24T10:00:00Z".parse().unwrap()), ..Config::default() };
        let simulator = Simulator::new(config);
        let form = format!("token={TOKEN}&user={USER}&message=a");
        let (_, headers, _) = post(&simulator, &form).await;
        assert_eq!(headers["x-limit-app-remaining"], "9999");
        simulator.set_pushover_remaining(0);
        let (status, headers, _) = post(&simulator, &form).await;
        assert_eq!(status, 429);
        let reset: Timestamp = "2026-12-01T06:00:00Z".parse().unwrap();
        assert_eq!(headers["x-limit-app-reset"], reset.as_second().to_string());
        assert_eq!(simulator.pushover_messages().len(), 1);
    }

    #[tokio::test]
    async fn a_refused_message_is_not_kept_and_a_lost_answer_is() {
        let simulator = Simulator::new(Config::default());
        let form = format!("token={TOKEN}&user={USER}&message=a");
        for fault in [Fault::status(500), Fault::rate_limited(Duration::from_secs(9)), Fault::lost_answer()] {
            simulator.faults().push(Endpoint::Pushover, fault);
        }
        let statuses = [post(&simulator, &form).await.0, post(&simulator, &form).await.0];
        assert_eq!((statuses, simulator.pushover_messages().len()), ([500, 429], 0));
        assert_eq!(post(&simulator, &form).await.0, 504);
        assert_eq!(simulator.pushover_messages().len(), 1);
        let log: Vec<_> = simulator.log().into_iter().map(|exchange| exchange.status).collect();
        assert_eq!(log, [Some(500), Some(429), Some(504)]);
    }
}
