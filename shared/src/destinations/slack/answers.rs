//! What Slack's answers mean.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;

use crate::destinations::error::{DeliveryError, judge_by_status};
use crate::destinations::kind::{Learned, Thread};
use crate::destinations::text::one_line;

/// An incoming webhook answers `ok`, or a status with a code in plain text.
pub(super) fn of_webhook(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    let code = one_line(&String::from_utf8_lossy(answer.body()), 100);
    let reason = if is_code(&code) { code } else { "no reason given".to_owned() };
    match judge_by_status(answer, now, || reason.clone()) {
        Err(DeliveryError::Refused { status, .. }) if matches!(status, 401 | 403 | 404 | 410) || shuts(&reason) => {
            Err(DeliveryError::Shut { status, reason })
        }
        judged => judged,
    }
}

/// Of `chat.postMessage` without a thread: its place is where the issue is told of from now on.
pub(super) fn of_parent(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    let said = read(answer, now)?.map_err(|no| no.means(About::Post))?;
    // Without either, it was posted all the same: the next event begins a thread.
    Ok(said.channel.zip(said.ts).map(|(channel, ts)| Thread::from([("channel", &*channel), ("ts", &*ts)])))
}

/// Of `chat.postMessage` in a thread.
pub(super) fn of_reply(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    read(answer, now)?.map(|_| None).map_err(|no| no.in_thread(About::Post))
}

/// Of `chat.update`.
pub(super) fn of_change(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    match read(answer, now)? {
        // The workspace lets nobody edit a message that old. The reply that follows says what happened all the same.
        Err(no) if no.code == "edit_window_closed" => Ok(None),
        said => said.map(|_| None).map_err(|no| no.in_thread(About::Change)),
    }
}

/// Of the Web API's answer, what is read.
#[derive(Deserialize)]
struct Said {
    ok: bool,
    error: Option<String>,
    /// With `missing_scope`.
    needed: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
}

/// `ok: false`.
struct No {
    status: u16,
    code: String,
    needed: Option<String>,
    until: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Post,
    /// May be repeated without harm.
    Change,
}

/// The Web API answers 200 to everything but rate limits: `ok` counts.
fn read(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Result<Said, No>, DeliveryError> {
    let said = serde_json::from_slice::<Said>(answer.body()).ok();
    let code = said.as_ref().and_then(|said| said.error.as_deref()).map(|code| one_line(code, 100));
    let code = code.filter(|code| is_code(code)).unwrap_or_else(|| "no reason given".to_owned());
    let status = answer.status().as_u16();
    judge_by_status(answer, now, || code.clone())?;
    match said {
        None => Err(DeliveryError::Failed { status, until: None }),
        Some(said) if said.ok => Ok(Ok(said)),
        Some(said) => {
            let until = crate::sentry::limits::retry_after(answer.headers(), now);
            Ok(Err(No { status, code, needed: said.needed, until }))
        }
    }
}

impl No {
    fn means(self, about: About) -> DeliveryError {
        let Self { status, code, needed, until } = self;
        match code.as_str() {
            "ratelimited" | "rate_limited" | "message_limit_exceeded" => DeliveryError::Throttled { until },
            "service_unavailable"
            | "request_timeout"
            | "team_added_to_org"
            | "external_channel_migrating"
            | "update_failed" => DeliveryError::Failed { status, until },
            "internal_error" | "fatal_error" => match about {
                About::Post => DeliveryError::MayBeDone { status, reason: code },
                About::Change => DeliveryError::Failed { status, until },
            },
            code if shuts(code) => {
                let needed = needed.map(|scope| format!(": {}", one_line(&scope, 100))).unwrap_or_default();
                DeliveryError::Shut { status, reason: format!("{code}{needed}") }
            }
            _ => DeliveryError::Refused { status, reason: code },
        }
    }

    /// Of a call that concerns a thread: where that is out of reach, the message goes to the channel of the routes anew,
    /// and only if that is out of reach too, nothing is taken.
    fn in_thread(self, about: About) -> DeliveryError {
        match self.code.as_str() {
            "message_not_found" | "thread_not_found" | "cant_update_message" | "invalid_thread_ts" => {
                DeliveryError::ThreadGone
            }
            "channel_not_found"
            | "not_in_channel"
            | "is_archived"
            | "is_inactive"
            | "restricted_action_non_threadable_channel" => DeliveryError::ThreadGone,
            _ => self.means(about),
        }
    }
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether any other message would get this code too: it is about the key, the hook, the channel or the workspace.
fn shuts(code: &str) -> bool {
    // Of both APIs.
    const CHANNEL: [&str; 11] = [
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "is_inactive",
        "channel_is_archived",
        "posting_to_general_channel_denied",
        "restricted_action",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "action_prohibited",
        "user_not_found",
    ];
    const KEY: [&str; 13] = [
        "not_authed",
        "invalid_auth",
        "invalid_token",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "not_allowed_token_type",
        "missing_scope",
        "no_permission",
        "no_service",
        "no_service_id",
        "no_active_hooks",
        "access_denied",
    ];
    const WORKSPACE: [&str; 11] = [
        "no_team",
        "team_disabled",
        "team_not_found",
        "team_access_not_granted",
        "accesslimited",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "org_login_required",
        "two_factor_setup_required",
        "deprecated_endpoint",
        "method_deprecated",
    ];
    CHANNEL.contains(&code) || KEY.contains(&code) || WORKSPACE.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destinations::kind::Judge;
    use crate::destinations::testing::answer;

    fn judged(judge: Judge, status: u16, headers: &[(&str, &str)], body: &str) -> String {
        let now = Timestamp::from_second(1_700_000_000).expect("an instant");
        match judge(&answer(status, headers, body), now) {
            Ok(None) => "done".to_owned(),
            Ok(Some(thread)) => format!("done: {:?}", thread.0),
            Err(error) => format!("{:?}: {error}", error.next()),
        }
    }

    #[test]
    fn a_webhooks_answer_means_what_its_code_says() {
        let retry = "Retry { not_before: None }";
        let cases = [
            (200, "ok", "done".to_owned()),
            (400, "invalid_payload", "GiveUp: refused with 400: invalid_payload".to_owned()),
            (400, "no_text", "GiveUp: refused with 400: no_text".to_owned()),
            (400, "invalid_blocks", "GiveUp: refused with 400: invalid_blocks".to_owned()),
            (400, "user_not_found", "Pause { until: None }: refuses everything with 400: user_not_found".to_owned()),
            (
                400,
                "posting_to_general_channel_denied",
                "Pause { until: None }: refuses everything with 400: posting_to_general_channel_denied".to_owned(),
            ),
            (
                403,
                "action_prohibited",
                "Pause { until: None }: refuses everything with 403: action_prohibited".to_owned(),
            ),
            (403, "invalid_token", "Pause { until: None }: refuses everything with 403: invalid_token".to_owned()),
            (404, "no_service", "Pause { until: None }: refuses everything with 404: no_service".to_owned()),
            (404, "<html>Not Found", "Pause { until: None }: refuses everything with 404: no reason given".to_owned()),
            (
                410,
                "channel_is_archived",
                "Pause { until: None }: refuses everything with 410: channel_is_archived".to_owned(),
            ),
            (400, "no_team", "Pause { until: None }: refuses everything with 400: no_team".to_owned()),
            (400, "team_disabled\n", "Pause { until: None }: refuses everything with 400: team_disabled".to_owned()),
            (500, "rollup_error", format!("{retry}: failed with 500")),
            (503, "", format!("{retry}: failed with 503")),
            (302, "", "GiveUp: redirects with 302, which is not followed: check the address".to_owned()),
        ];
        for (status, body, expected) in cases {
            assert_eq!(judged(of_webhook, status, &[], body), expected, "{status} {body}");
        }
        let later = "Retry { not_before: Some(2023-11-14T22:13:50Z) }: rate limited";
        assert_eq!(judged(of_webhook, 429, &[("retry-after", "30")], "rate_limited"), later);
    }

    #[test]
    fn an_answer_of_200_is_judged_by_what_it_says() {
        let retry = "Retry { not_before: None }";
        let pause = "Pause { until: None }: refuses everything with 200";
        // Code; as a new parent; as a reply; as a change.
        let cases = [
            ("ratelimited", format!("{retry}: rate limited"), None, None),
            ("rate_limited", format!("{retry}: rate limited"), None, None),
            ("service_unavailable", format!("{retry}: failed with 200"), None, None),
            ("request_timeout", format!("{retry}: failed with 200"), None, None),
            (
                "internal_error",
                format!(
                    "{retry}: failed with 200: internal_error; it may have been done all the same, so it may come twice"
                ),
                None,
                Some(format!("{retry}: failed with 200")),
            ),
            (
                "fatal_error",
                format!(
                    "{retry}: failed with 200: fatal_error; it may have been done all the same, so it may come twice"
                ),
                None,
                Some(format!("{retry}: failed with 200")),
            ),
            ("invalid_auth", format!("{pause}: invalid_auth"), None, None),
            ("not_authed", format!("{pause}: not_authed"), None, None),
            ("token_revoked", format!("{pause}: token_revoked"), None, None),
            ("account_inactive", format!("{pause}: account_inactive"), None, None),
            ("invalid_blocks", "GiveUp: refused with 200: invalid_blocks".to_owned(), None, None),
            ("msg_too_long", "GiveUp: refused with 200: msg_too_long".to_owned(), None, None),
            ("no_text", "GiveUp: refused with 200: no_text".to_owned(), None, None),
            ("never_heard_of", "GiveUp: refused with 200: never_heard_of".to_owned(), None, None),
            ("<b>odd</b>", "GiveUp: refused with 200: no reason given".to_owned(), None, None),
        ];
        for (code, parent, reply, change) in cases {
            let body = serde_json::json!({"ok": false, "error": code}).to_string();
            let reply = reply.unwrap_or_else(|| parent.clone());
            let change = change.unwrap_or_else(|| parent.clone());
            assert_eq!(judged(of_parent, 200, &[], &body), parent, "{code}");
            assert_eq!(judged(of_reply, 200, &[], &body), reply, "{code} in a thread");
            assert_eq!(judged(of_change, 200, &[], &body), change, "{code} to a change");
        }
        for (code, in_thread) in [
            ("channel_not_found", "Anew: the message it belongs to is gone"),
            ("not_in_channel", "Anew: the message it belongs to is gone"),
            ("is_archived", "Anew: the message it belongs to is gone"),
        ] {
            let body = format!(r#"{{"ok":false,"error":"{code}"}}"#);
            assert_eq!(judged(of_parent, 200, &[], &body), format!("{pause}: {code}"));
            assert_eq!(judged(of_reply, 200, &[], &body), in_thread, "{code}");
            assert_eq!(judged(of_change, 200, &[], &body), in_thread, "{code}");
        }
        let missing = r#"{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"x"}"#;
        assert_eq!(judged(of_parent, 200, &[], missing), format!("{pause}: missing_scope: chat:write"));
    }

    #[test]
    fn what_a_thread_needs_is_learned_from_its_first_message_alone() {
        let body = r#"{"ok":true,"channel":"C1","ts":"1503435956.000247","message":{}}"#;
        let learned = r#"done: {"channel": "C1", "ts": "1503435956.000247"}"#;
        assert_eq!(judged(of_parent, 200, &[], body), learned);
        assert_eq!(judged(of_reply, 200, &[], body), "done");
        assert_eq!(judged(of_change, 200, &[], body), "done");
        assert_eq!(judged(of_parent, 200, &[], r#"{"ok":true}"#), "done");
    }

    #[test]
    fn a_message_that_is_gone_is_told_anew_and_one_that_is_too_old_to_edit_is_left() {
        for code in ["message_not_found", "thread_not_found", "cant_update_message"] {
            let body = format!(r#"{{"ok":false,"error":"{code}"}}"#);
            for judge in [of_reply as Judge, of_change] {
                assert_eq!(judged(judge, 200, &[], &body), "Anew: the message it belongs to is gone", "{code}");
            }
        }
        assert_eq!(judged(of_change, 200, &[], r#"{"ok":false,"error":"edit_window_closed"}"#), "done");
    }

    #[test]
    fn an_answer_that_is_none_is_tried_again() {
        let retry = "Retry { not_before: None }: failed with 200";
        for body in ["", "<html>", "{}", "[]", "{\"ok\":tr"] {
            assert_eq!(judged(of_parent, 200, &[], body), retry, "{body}");
        }
        let later = "Retry { not_before: Some(2023-11-14T22:13:50Z) }: rate limited";
        let limited = r#"{"ok":false,"error":"ratelimited"}"#;
        assert_eq!(judged(of_parent, 429, &[("retry-after", "30")], limited), later);
        assert_eq!(judged(of_change, 200, &[("retry-after", "30")], limited), later);
        assert_eq!(judged(of_reply, 502, &[], "<html>"), "Retry { not_before: None }: failed with 502");
    }
}
