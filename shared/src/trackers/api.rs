//! How a tracker is called: its settings, its time, and what its answers mean in a person's words.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use crate::destinations::one_line;
use crate::destinations::settings::Settings;
use crate::ports::{CallError, Clock, Outgoing, Platform, Policy};

/// Of an answer, this much is read.
const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;
/// Of what a tracker says of its refusal, this much is told.
const MAX_REASON: usize = 200;
/// No call is given less.
const LEAST_TIME: Duration = Duration::from_millis(200);

/// A tracker's settings and the way to it, for what is done by one deadline.
pub struct Api<'a> {
    pub settings: &'a Settings,
    /// The projects that the file lists; empty: all that the token sees.
    pub projects: &'a [String],
    wire: &'a dyn Wire,
    deadline: Timestamp,
}

pub(super) type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, CallError>> + Send + 'a>>;

/// Calls and the clock, of any platform.
pub(super) trait Wire: Send + Sync {
    fn call(&self, request: Request<Bytes>, policy: Policy) -> Answering<'_>;
    fn now(&self) -> Timestamp;
}

impl<P: Platform> Wire for P {
    fn call(&self, request: Request<Bytes>, policy: Policy) -> Answering<'_> {
        Box::pin(self.outgoing().call(request, policy))
    }

    fn now(&self) -> Timestamp {
        self.clock().now()
    }
}

/// Why a tracker did not do it. The text ends a sentence that begins with the tracker's name and is meant for the person
/// in front of Sentry: what to check, and where. No address, no secret, nothing of the tracker's own text but a short
/// reason.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    #[error("does not know its token (401): its operator must renew it")]
    Unauthorized,
    #[error("does not allow this (403): {0}")]
    Forbidden(String),
    #[error("does not know `{0}`, or its token may not see it (404): check the name and the token's rights")]
    NotFound(String),
    #[error("refuses this ({status}): {reason}")]
    Refused { status: u16, reason: String },
    #[error("has taken too many requests (429): try again{}", .until.map_or_else(|| " in a minute".to_owned(), |until| format!(" after {until}")))]
    Throttled { until: Option<Timestamp> },
    #[error("does not answer in time: try again in a minute")]
    TimedOut,
    #[error("cannot be reached: try again in a minute")]
    Unreachable(#[source] CallError),
    #[error("is in trouble ({status}): try again in a minute")]
    Failing { status: u16, until: Option<Timestamp> },
    #[error("answers what is not understood ({0}): check its `base_url`")]
    NotUnderstood(String),
    #[error("is not configured: {0}")]
    Misconfigured(String),
}

impl TrackerError {
    /// The status that Sentry is answered with: the person's own doing is 4xx, all else 5xx.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) | Self::Refused { .. } | Self::Forbidden(_) => StatusCode::BAD_REQUEST,
            Self::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Unauthorized
            | Self::Unreachable(_)
            | Self::Failing { .. }
            | Self::NotUnderstood(_)
            | Self::Misconfigured(_) => StatusCode::BAD_GATEWAY,
        }
    }
}

impl<'a> Api<'a> {
    pub fn new<P: Platform>(
        platform: &'a P,
        settings: &'a Settings,
        projects: &'a [String],
        deadline: Timestamp,
    ) -> Self {
        Self { settings, projects, wire: platform, deadline }
    }

    /// [`Self::new`] without the rest of a platform.
    #[cfg(test)]
    pub(super) fn on(wire: &'a dyn Wire, settings: &'a Settings, deadline: Timestamp) -> Self {
        Self { settings, projects: &[], wire, deadline }
    }

    /// What it is to be called with, by the file's `token`.
    pub(super) fn token(&self) -> Result<&'a str, TrackerError> {
        let token = self.settings.required("token").map_err(|error| TrackerError::Misconfigured(error.to_string()))?;
        Ok(token.trim())
    }

    pub fn now(&self) -> Timestamp {
        self.wire.now()
    }

    /// A request to `{base}{path}`, with a JSON body where one is given. `path` holds nothing that is not encoded.
    pub fn request(
        &self,
        method: Method,
        base: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Request<Bytes>, TrackerError> {
        let mut request = Request::builder().method(method).uri(format!("{base}{path}"));
        if body.is_some() {
            request = request.header(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(body).map_err(|_| TrackerError::Misconfigured("its address is malformed".into()))?;
        Ok(request)
    }

    /// Makes one call, with what time is left. `Ok` with any status.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TrackerError> {
        let left = Duration::try_from(self.deadline.duration_since(self.now())).unwrap_or_default();
        if left < LEAST_TIME {
            return Err(TrackerError::TimedOut);
        }
        let policy = Policy { guarded: true, timeout: left, max_body_bytes: MAX_ANSWER_BYTES };
        match self.wire.call(request, policy).await {
            Ok(answer) => Ok(answer),
            Err(CallError::TimedOut(_)) => Err(TrackerError::TimedOut),
            Err(error @ CallError::AddressRefused) => Err(TrackerError::Misconfigured(error.to_string())),
            Err(error) => Err(TrackerError::Unreachable(error)),
        }
    }

    /// [`Self::call`], judged by its status; an answer without a body is `null`. `what` is what a person has named and
    /// the tracker may not know; `reason` finds the tracker's own word on a refusal.
    pub async fn json(
        &self,
        request: Request<Bytes>,
        what: &str,
        reason: fn(&Value) -> Option<String>,
    ) -> Result<Value, TrackerError> {
        judge(&self.call(request).await?, self.now(), what, reason)
    }
}

/// A header that holds a secret, which stands at `key` of the file.
pub(super) fn secret_header(value: &str, key: &str) -> Result<HeaderValue, TrackerError> {
    let malformed = |_| TrackerError::Misconfigured(format!("its `{key}` holds what no token has, like a line break"));
    let mut header = HeaderValue::from_str(value).map_err(malformed)?;
    header.set_sensitive(true);
    Ok(header)
}

/// Text as one segment of a path or one value of a query: nothing in it ends either.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => {
                let hex = |half: u8| char::from(b"0123456789ABCDEF"[usize::from(half)]);
                encoded.extend(['%', hex(byte >> 4), hex(byte & 15)]);
            }
        }
    }
    encoded
}

/// What [`Api::json`] makes of an answer.
pub(super) fn judge(
    answer: &Response<Bytes>,
    now: Timestamp,
    what: &str,
    reason: fn(&Value) -> Option<String>,
) -> Result<Value, TrackerError> {
    let status = answer.status().as_u16();
    let body = serde_json::from_slice::<Value>(answer.body()).ok();
    let reason = || shown_reason(body.as_ref().and_then(reason));
    match status {
        200..=299 if answer.body().is_empty() => Ok(Value::Null),
        200..=299 => body.ok_or_else(|| TrackerError::NotUnderstood("no JSON".to_owned())),
        // Not followed: the token would go along.
        300..=399 => Err(TrackerError::Refused {
            status,
            reason: format!("`{what}` has moved: check its name, and the tracker's `base_url`"),
        }),
        401 => Err(TrackerError::Unauthorized),
        429 => Err(TrackerError::Throttled { until: until(answer, now) }),
        // GitHub's way to say 429.
        403 if is_used_up(answer) => Err(TrackerError::Throttled { until: until(answer, now) }),
        403 => Err(TrackerError::Forbidden(reason())),
        404 => Err(TrackerError::NotFound(what.to_owned())),
        408 | 425 | 500..=599 => Err(TrackerError::Failing { status, until: until(answer, now) }),
        _ => Err(TrackerError::Refused { status, reason: reason() }),
    }
}

/// A tracker's own word on a refusal, as it is told.
pub(super) fn shown_reason(said: Option<String>) -> String {
    let said = said.map(|said| one_line(&said, MAX_REASON));
    said.filter(|said| !said.is_empty()).unwrap_or_else(|| "no reason given".to_owned())
}

fn is_used_up(answer: &Response<Bytes>) -> bool {
    let none_is_left = |name| answer.headers().get(name).is_some_and(|left| left.as_bytes() == b"0");
    answer.headers().contains_key(http::header::RETRY_AFTER) || none_is_left("x-ratelimit-remaining")
}

/// `Retry-After`; else when the window ends, in seconds since 1970, where nothing is left of it.
fn until(answer: &Response<Bytes>, now: Timestamp) -> Option<Timestamp> {
    let at = |name| -> Option<Timestamp> {
        let seconds = answer.headers().get(name)?.to_str().ok()?.trim().parse().ok()?;
        Timestamp::from_second(seconds).ok().filter(|at| *at > now)
    };
    let of_window = || at("x-ratelimit-reset").or_else(|| at("ratelimit-reset"));
    let is_throttled = matches!(answer.status().as_u16(), 403 | 429);
    crate::sentry::limits::retry_after(answer.headers(), now).or_else(|| of_window().filter(|_| is_throttled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_means_what_its_status_says_in_a_persons_words() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let message = |body: &Value| body["message"].as_str().map(str::to_owned);
        let judged = |status: u16, header: Option<(&str, &str)>, body: &str| {
            let mut answer = Response::builder().status(status);
            if let Some((name, value)) = header {
                answer = answer.header("x-ratelimit-reset", "1700000060").header(name, value);
            }
            let answer = answer.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
            judge(&answer, now, "acme/backend", message)
                .map_or_else(|error| (error.to_string(), error.status().as_u16()), |value| (value.to_string(), 200))
        };
        let said = r#"{"message":"Said\nso."}"#;
        let page = "<html><b>no</b></html>";
        let cases = [
            (200, None, r#"{"a":1}"#, r#"{"a":1}"#, 200),
            (204, None, "", "null", 200),
            (200, None, page, "answers what is not understood (no JSON): check its `base_url`", 502),
            (
                301,
                None,
                said,
                "refuses this (301): `acme/backend` has moved: check its name, and the tracker's `base_url`",
                400,
            ),
            (401, None, said, "does not know its token (401): its operator must renew it", 502),
            (403, None, said, "does not allow this (403): Said so.", 400),
            (403, None, page, "does not allow this (403): no reason given", 400),
            (
                403,
                Some(("x-ratelimit-remaining", "0")),
                said,
                "has taken too many requests (429): try again after 2023-11-14T22:14:20Z",
                429,
            ),
            (403, Some(("x-ratelimit-remaining", "7")), said, "does not allow this (403): Said so.", 400),
            (
                403,
                Some(("retry-after", "120")),
                said,
                "has taken too many requests (429): try again after 2023-11-14T22:15:20Z",
                429,
            ),
            (429, None, said, "has taken too many requests (429): try again in a minute", 429),
            (
                404,
                None,
                said,
                "does not know `acme/backend`, or its token may not see it (404): check the name and the token's rights",
                400,
            ),
            (410, None, said, "refuses this (410): Said so.", 400),
            (422, None, "{}", "refuses this (422): no reason given", 400),
            (502, None, page, "is in trouble (502): try again in a minute", 502),
        ];
        for (status, header, body, text, answered) in cases {
            assert_eq!(judged(status, header, body), (text.to_owned(), answered), "{status} {header:?} {body}");
        }
    }

    #[test]
    fn what_goes_into_a_path_ends_nothing_and_a_secret_is_never_shown() {
        assert_eq!(encoded("a b/../c?d#e&f=ä%"), "a%20b%2F..%2Fc%3Fd%23e%26f%3D%C3%A4%25");
        assert_eq!(format!("{:?}", secret_header("hidden", "token").unwrap()), "Sensitive");
        let bad = secret_header("hid\nden", "token").unwrap_err();
        assert_eq!(bad.to_string(), "is not configured: its `token` holds what no token has, like a line break");
    }
}
