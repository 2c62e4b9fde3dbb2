//! What Pushover's answers mean.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;

use super::RANG;
use crate::destinations::error::{DeliveryError, judge_by_status};
use crate::destinations::kind::{Learned, Thread};
use crate::destinations::one_line;

/// 429 is no rate limit here but the month's quota: a back-off of seconds is useless. A refused key is refused for
/// every message, and who goes on asking is blocked by address.
pub(super) fn judge(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    if answer.status() == http::StatusCode::TOO_MANY_REQUESTS {
        let reset = answer.headers().get("x-limit-app-reset").and_then(|value| value.to_str().ok()?.parse().ok());
        return Err(DeliveryError::QuotaUsedUp {
            until: reset.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        });
    }
    let said: Answer = serde_json::from_slice(answer.body()).unwrap_or_default();
    match judge_by_status(answer, now, || said.reason()) {
        Err(DeliveryError::Refused { status, reason }) if said.refuses_a_key() => {
            Err(DeliveryError::Shut { status, reason })
        }
        Ok(_) if said.status.is_some_and(|status| status != 1) => {
            Err(DeliveryError::Refused { status: answer.status().as_u16(), reason: said.reason() })
        }
        judged => judged,
    }
}

/// [`judge`], and what a later end of the issue must know.
pub(super) fn judge_rung(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    judge(answer, now).map(|_| Some(Thread::from([(RANG, "as an alert rule said")])))
}

/// [`judge`], but that there is nothing to cancel is no reason to keep the message back.
pub(super) fn judge_cancelled(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    match judge(answer, now) {
        Err(DeliveryError::Refused { .. }) => Ok(None),
        judged => judged,
    }
}

/// `{"user":"invalid","errors":["user identifier is invalid"],"status":0,"request":"…"}`
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    status: Option<i64>,
    token: Option<String>,
    user: Option<String>,
    errors: Vec<String>,
}

impl Answer {
    fn refuses_a_key(&self) -> bool {
        [&self.token, &self.user].into_iter().any(|key| key.as_deref() == Some("invalid"))
    }

    fn reason(&self) -> String {
        let errors = one_line(&self.errors.join("; "), 500);
        if errors.is_empty() { "no reason given".to_owned() } else { errors }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::destinations::error::Next;
    use crate::destinations::testing::{accepted_at, answer};

    #[test]
    fn an_answer_means_what_pushover_says() {
        let now = accepted_at();
        let retry = Next::Retry { not_before: None };
        let later = Next::Retry { not_before: Timestamp::from_second(1_700_000_060).ok() };
        let pause = |until: Option<i64>| Next::Pause { until: until.and_then(|s| Timestamp::from_second(s).ok()) };
        let cases = [
            ("sent", answer(200, &[], r#"{"status":1,"request":"a"}"#), None),
            (
                "200, and yet refused",
                answer(200, &[], r#"{"status":0,"errors":["no active devices to send to"]}"#),
                Some((Next::GiveUp, "refused with 200: no active devices to send to")),
            ),
            (
                "a refused user",
                answer(400, &[], r#"{"user":"invalid","errors":["user identifier is invalid"],"status":0}"#),
                Some((pause(None), "refuses everything with 400: user identifier is invalid")),
            ),
            (
                "a refused application",
                answer(400, &[], r#"{"token":"invalid","errors":["application token is invalid"],"status":0}"#),
                Some((pause(None), "refuses everything with 400: application token is invalid")),
            ),
            (
                "a refused message",
                answer(400, &[], r#"{"message":"cannot be blank","errors":["message cannot be blank"],"status":0}"#),
                Some((Next::GiveUp, "refused with 400: message cannot be blank")),
            ),
            ("a page", answer(404, &[], "<html>"), Some((Next::GiveUp, "refused with 404: no reason given"))),
            (
                "quota",
                answer(429, &[("x-limit-app-reset", "1700006400")], r#"{"token":"invalid","status":0}"#),
                Some((pause(Some(1_700_006_400)), "quota used up until 2023-11-15T00:00:00Z")),
            ),
            (
                "quota without a reset",
                answer(429, &[], ""),
                Some((pause(None), "quota used up until the first of next month")),
            ),
            ("their trouble", answer(502, &[], ""), Some((retry, "failed with 502"))),
            (
                "their trouble, with a floor",
                answer(503, &[("retry-after", "60")], ""),
                Some((later, "failed with 503")),
            ),
            (
                "a redirect",
                answer(302, &[], ""),
                Some((Next::GiveUp, "redirects with 302, which is not followed: check the address")),
            ),
        ];
        for (name, answer, expected) in cases {
            let judged = judge(&answer, now).err().map(|error| (error.next(), error.to_string()));
            assert_eq!(judged, expected.map(|(next, text)| (next, text.to_owned())), "{name}");
            let kept_back = judge_cancelled(&answer, now).err().map(|error| error.next());
            let expected = judged.map(|(next, _)| next).filter(|next| *next != Next::GiveUp || name == "a redirect");
            assert_eq!(kept_back, expected, "{name}, of a cancelling");
        }
    }
}
