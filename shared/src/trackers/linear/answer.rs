//! Asking Linear, and what it answers: a refusal may come with any status, also with 200.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Api, TrackerError};
use crate::destinations::one_line;
use crate::sentry::limits::retry_after;
use crate::trackers::api::{judge, secret_header, shown_reason};

const BASE: &str = "https://api.linear.app";
/// When a limit ends, in milliseconds since 1970.
const RESET: &str = "x-ratelimit-requests-reset";
/// What is further away is a mistake.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// The answer's data. `what` is what is not there where something is not.
pub(super) async fn ask(api: &Api<'_>, query: &str, variables: Value, what: &str) -> Result<Value, TrackerError> {
    let token = api.token()?;
    // A key of a person stands bare; what an application got by OAuth does not.
    let authorization = if token.starts_with("lin_api_") { token.to_owned() } else { format!("Bearer {token}") };
    let body = json!({"query": query, "variables": variables});
    let mut request = api.request(Method::POST, api.settings.base_url(BASE), "/graphql", Some(&body))?;
    request.headers_mut().insert(header::AUTHORIZATION, secret_header(&authorization, "token")?);
    judged(&api.call(request).await?, api.now(), what)
}

pub(super) fn judged(answer: &Response<Bytes>, now: Timestamp, what: &str) -> Result<Value, TrackerError> {
    let status = answer.status().as_u16();
    let said: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let error = &said["errors"][0];
    let no_issue = error["message"].as_str().is_some_and(|message| message.starts_with("Entity not found: Issue"));
    match error["extensions"]["code"].as_str() {
        Some("AUTHENTICATION_ERROR") => return Err(TrackerError::Unauthorized),
        Some("RATELIMITED") => return Err(TrackerError::Throttled { until: until(answer, now) }),
        Some("FORBIDDEN") => return Err(TrackerError::Forbidden(told(&said))),
        Some("INTERNAL_SERVER_ERROR") if status < 500 => {
            return Err(TrackerError::Failing { status: 500, until: None });
        }
        _ if no_issue => return Err(TrackerError::NotFound(one_line(what, 80))),
        // 200 says nothing of a refusal.
        _ if status < 300 && !error.is_null() => {
            return Err(TrackerError::Refused { status: 400, reason: told(&said) });
        }
        // There is but one address.
        _ if status == 404 => return Err(TrackerError::NotUnderstood("404, no API".to_owned())),
        _ => {}
    }
    let mut judged = judge(answer, now, what, reason)?;
    match judged.get_mut("data").map(Value::take) {
        Some(data @ Value::Object(_)) => Ok(data),
        _ => Err(TrackerError::NotUnderstood("no data".to_owned())),
    }
}

fn until(answer: &Response<Bytes>, now: Timestamp) -> Option<Timestamp> {
    let reset = || {
        let reset: i64 = answer.headers().get(RESET)?.to_str().ok()?.parse().ok()?;
        Timestamp::from_millisecond(reset).ok().filter(|until| *until > now && *until <= now + LONGEST_WAIT)
    };
    retry_after(answer.headers(), now).or_else(reset)
}

fn reason(said: &Value) -> Option<String> {
    let error = &said["errors"][0];
    let for_people = error["extensions"]["userPresentableMessage"].as_str();
    for_people.or_else(|| error["message"].as_str()).map(str::to_owned)
}

fn told(said: &Value) -> String {
    shown_reason(reason(said))
}

/// The nodes of a connection.
pub(super) fn list(connection: &Value) -> impl Iterator<Item = &Value> {
    connection["nodes"].as_array().into_iter().flatten()
}
