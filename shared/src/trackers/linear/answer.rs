//! Asking Linear, and what it answers: a refusal may come with any status, also with 200.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Api, TrackerError};
use crate::destinations::one_line;
use crate::sentry::limits::retry_after;

const BASE: &str = "https://api.linear.app";
/// When a limit ends, in milliseconds since 1970.
const RESET: &str = "x-ratelimit-requests-reset";
/// What is further away is a mistake.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// The answer's data. `what` is what is not there where something is not.
pub(super) async fn ask(api: &Api<'_>, query: &str, variables: Value, what: &str) -> Result<Value, TrackerError> {
    let token = api.settings.required("token").map_err(|error| TrackerError::Misconfigured(error.to_string()))?.trim();
    // A key of a person stands bare; what an application got by OAuth does not.
    let authorization = if token.starts_with("lin_api_") { token.to_owned() } else { format!("Bearer {token}") };
    let mut authorization = HeaderValue::from_str(&authorization).map_err(|_| {
        TrackerError::Misconfigured("its `token` holds what no token holds, such as a line break".to_owned())
    })?;
    authorization.set_sensitive(true);
    let body = json!({"query": query, "variables": variables});
    let mut request = api.request(Method::POST, api.settings.base_url(BASE), "/graphql", Some(&body))?;
    request.headers_mut().insert(header::AUTHORIZATION, authorization);
    judged(&api.call(request).await?, api.now(), what)
}

pub(super) fn judged(answer: &Response<Bytes>, now: Timestamp, what: &str) -> Result<Value, TrackerError> {
    let status = answer.status().as_u16();
    let mut said: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let error = said["errors"][0].clone();
    let code = error["extensions"]["code"].as_str().unwrap_or_default();
    match (status, code) {
        (401, _) | (_, "AUTHENTICATION_ERROR") => Err(TrackerError::Unauthorized),
        (429, _) | (_, "RATELIMITED") => Err(TrackerError::Throttled { until: until(answer, now) }),
        (500..=599, _) => Err(TrackerError::Failing { status, until: until(answer, now) }),
        (200, "INTERNAL_SERVER_ERROR") => Err(TrackerError::Failing { status: 500, until: None }),
        (300..=399, _) => Err(TrackerError::NotUnderstood(format!("a redirect, {status}"))),
        (403, _) | (_, "FORBIDDEN") => Err(TrackerError::Forbidden(reason(&error))),
        (404, _) => Err(TrackerError::NotUnderstood("404, no API".to_owned())),
        (200..=299, "") if error.is_null() && said["data"].is_object() => Ok(said["data"].take()),
        (200..=299, "") if error.is_null() => Err(TrackerError::NotUnderstood("no data".to_owned())),
        _ if error["message"].as_str().is_some_and(|message| message.starts_with("Entity not found: Issue")) => {
            Err(TrackerError::NotFound(one_line(what, 80)))
        }
        // 200 says nothing of a refusal.
        _ => Err(TrackerError::Refused { status: status.max(400), reason: reason(&error) }),
    }
}

fn until(answer: &Response<Bytes>, now: Timestamp) -> Option<Timestamp> {
    let reset = || {
        let reset: i64 = answer.headers().get(RESET)?.to_str().ok()?.parse().ok()?;
        Timestamp::from_millisecond(reset).ok().filter(|until| *until > now && *until <= now + LONGEST_WAIT)
    };
    retry_after(answer.headers(), now).or_else(reset)
}

fn reason(error: &Value) -> String {
    let for_people = error["extensions"]["userPresentableMessage"].as_str();
    let said = one_line(for_people.or_else(|| error["message"].as_str()).unwrap_or_default(), 200);
    if said.is_empty() { "no reason given".to_owned() } else { said }
}

/// The nodes of a connection.
pub(super) fn list(connection: &Value) -> impl Iterator<Item = &Value> {
    connection["nodes"].as_array().into_iter().flatten()
}
