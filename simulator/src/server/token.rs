//! `POST /api/0/sentry-app-installations/{uuid}/authorizations/`: code exchange, refresh, manual refresh.
//!
//! The order of the checks is the real server's: credentials, installation, whose it is, then what is asked for.

use std::time::Duration;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Answer, Call};
use crate::config::Version;
use crate::ordered::Json;
use crate::signing::{check_jwt, same};
use crate::simulator::{Simulator, locked};
use crate::state::{GRANT_LIFETIME, Owner, Token};

const JWT_GRANT: &str = "urn:sentry:params:oauth:grant-type:jwt-bearer";

/// The body, if it is JSON and says so.
fn body_of(call: &Call) -> Option<Value> {
    if !call.content_type().starts_with("application/json") {
        return None;
    }
    serde_json::from_slice(&call.body).ok()
}

/// The grant type of a request in one word, for the record: only the known ones, since anything may stand there.
pub(super) fn grant_type(call: &Call) -> Option<&'static str> {
    match body_of(call)?["grant_type"].as_str()? {
        "authorization_code" => Some("authorization_code"),
        "refresh_token" => Some("refresh_token"),
        JWT_GRANT => Some("jwt-bearer"),
        _ => None,
    }
}

/// `work` is how long the server takes between looking and doing.
pub(super) async fn answer(simulator: &Simulator, call: &Call, uuid: &str, work: Duration) -> Answer {
    if call.method != Method::POST {
        return Answer::not_allowed(&call.method);
    }
    let version = simulator.config().version;
    let body = body_of(call).unwrap_or_default();
    if is_empty(&body) {
        return Answer::unauthenticated("Invalid request");
    }
    if !body.is_object() {
        return Answer::internal_error();
    }
    let grant = body["grant_type"].as_str().unwrap_or_default();
    if version == Version::Today && grant == JWT_GRANT {
        return manual_refresh(simulator, call, uuid, work).await;
    }

    let credentials = body["client_id"].as_str().zip(body["client_secret"].as_str());
    let Some(owner) = credentials.and_then(|(id, secret)| simulator.authenticate(id, secret)) else {
        return Answer::unauthenticated("Invalid Client ID / Secret pair");
    };
    match locked(&simulator.0.state).live(uuid) {
        None => return Answer::unknown_installation(),
        Some(installation) if installation.owner != owner => return Answer::forbidden(),
        Some(_) => {}
    }
    match grant {
        "authorization_code" => exchange(simulator, uuid, &body, work).await,
        "refresh_token" => refresh(simulator, uuid, &body, work).await,
        _ => refused(version, 403, "Invalid grant_type", "Invalid grant_type"),
    }
}

/// What Python takes for false: such a body is as good as none.
fn is_empty(body: &Value) -> bool {
    match body {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// A refusal in the words of each version: 23.7.1 answers 403 with `error`, today's `newer_status` with `detail`.
fn refused(version: Version, newer_status: u16, older: &str, newer: &str) -> Answer {
    match version {
        Version::V23_7_1 => Answer::error(403, older),
        Version::Today => Answer::detail(newer_status, newer),
    }
}

/// A text field; what 23.7.1 runs into with an internal error, today's says field by field.
fn text<'a>(version: Version, body: &'a Value, field: &str) -> Result<&'a str, Answer> {
    let problem = match body.get(field) {
        Some(Value::String(text)) if version == Version::V23_7_1 || !text.trim().is_empty() => return Ok(text),
        Some(Value::String(_)) => "This field may not be blank.",
        Some(Value::Null) => "This field may not be null.",
        Some(_) => "Not a valid string.",
        None => "This field is required.",
    };
    Err(match version {
        Version::V23_7_1 => Answer::internal_error(),
        Version::Today => Answer::invalid(field, problem),
    })
}

/// Lets other requests in, so that a race is one.
async fn pause(simulator: &Simulator, work: Duration) {
    simulator.sleep(work).await;
    tokio::task::yield_now().await;
}

async fn exchange(simulator: &Simulator, uuid: &str, body: &Value, work: Duration) -> Answer {
    let version = simulator.config().version;
    let code = match text(version, body, "code") {
        Ok(code) => code,
        Err(refusal) => return refusal,
    };
    if let Err(refusal) = look_at_grant(simulator, uuid, code) {
        return refusal;
    }
    pause(simulator, work).await;

    let now = simulator.now();
    let mut state = locked(&simulator.0.state);
    let Some(installation) = state.live(uuid) else { return Answer::unknown_installation() };
    // Already gone where 23.7.1, which takes no lock, lets two exchanges of one code through.
    installation.grant = None;
    state.counters.exchanges += 1;
    let life = simulator.config().token_lifetime;
    match state.issue_tokens(uuid, now, life) {
        Some(token) => Answer::json(201, &shape(simulator, token, &body["state"])),
        None => Answer::unknown_installation(),
    }
}

/// Whether the code is good; today's server also takes its lock, and fails where it is held.
fn look_at_grant(simulator: &Simulator, uuid: &str, code: &str) -> Result<(), Answer> {
    let version = simulator.config().version;
    let mut state = locked(&simulator.0.state);
    let installation = state.live(uuid).ok_or_else(Answer::unknown_installation)?;
    let Some(grant) = installation.grant.as_mut().filter(|grant| same(&grant.code, code)) else {
        return Err(refused(version, 401, "Unauthorized", "Could not find grant for given code"));
    };
    if elapsed_since(grant.made, simulator.now()) >= SignedDuration::try_from(GRANT_LIFETIME).unwrap_or_default() {
        return Err(refused(version, 401, "Grant has already expired.", "Grant has already expired"));
    }
    if version == Version::Today {
        if grant.locked {
            return Err(Answer::internal_error());
        }
        grant.locked = true;
    }
    Ok(())
}

async fn refresh(simulator: &Simulator, uuid: &str, body: &Value, work: Duration) -> Answer {
    let version = simulator.config().version;
    let given = match text(version, body, "refresh_token") {
        Ok(given) => given,
        Err(refusal) => return refusal,
    };
    pause(simulator, work).await;

    let now = simulator.now();
    let mut state = locked(&simulator.0.state);
    if state.live(uuid).is_none() {
        return Answer::unknown_installation();
    }
    let Some(row) = state.by_refresh_token(uuid, given) else {
        return refused(version, 401, "Unauthorized", "Given refresh token does not exist");
    };
    state.delete_token(row);
    state.counters.refreshes += 1;
    let life = simulator.config().token_lifetime;
    match state.issue_tokens(uuid, now, life) {
        Some(token) => Answer::json(201, &shape(simulator, token, &body["state"])),
        None => Answer::unknown_installation(),
    }
}

/// The JWT proves the app; what is replaced is the pair that the installation's row names.
async fn manual_refresh(simulator: &Simulator, call: &Call, uuid: &str, work: Duration) -> Answer {
    let config = simulator.config();
    let Some(assertion) = call.bearer() else {
        return Answer::unauthenticated("Authentication credentials were not provided.");
    };
    {
        let mut state = locked(&simulator.0.state);
        // The assertion is checked with the secret of the installation's app: of an unknown one there is none.
        let Some(owner) = state.live(uuid).map(|installation| installation.owner) else {
            return Answer::unauthenticated("Unable to find installation");
        };
        let now = simulator.now();
        let checked = check_jwt(assertion, &config.client_secret, &config.client_id, now.as_second());
        if checked.is_err() || owner != Owner::ThisApp {
            return Answer::unauthenticated("Could not validate JWT");
        }
        let has_token = state.current_token(uuid).is_some();
        let Some(installation) = state.live(uuid) else { return Answer::unknown_installation() };
        let pause = SignedDuration::try_from(config.manual_refresh_pause).unwrap_or_default();
        let just_done = installation.refreshed.is_some_and(|at| elapsed_since(at, now) < pause);
        if installation.refreshing || just_done {
            return Answer::detail(409, "A token refresh is already in progress for this installation");
        }
        if !has_token {
            return Answer::detail(401, "Installation does not have a token");
        }
        installation.refreshing = true;
    }
    pause(simulator, work).await;

    let now = simulator.now();
    let mut state = locked(&simulator.0.state);
    let Some(installation) = state.live(uuid) else { return Answer::unknown_installation() };
    installation.refreshing = false;
    installation.refreshed = Some(now);
    if let Some(row) = installation.token {
        state.delete_token(row);
    }
    state.counters.manual_refreshes += 1;
    match state.issue_tokens(uuid, now, config.token_lifetime) {
        Some(token) => Answer::json(201, &shape(simulator, token, &Value::Null)),
        None => Answer::unknown_installation(),
    }
}

fn elapsed_since(from: Timestamp, to: Timestamp) -> SignedDuration {
    to.duration_since(from)
}

/// The 201's body. Times have six digits of fraction.
fn shape(simulator: &Simulator, token: &Token, state: &Value) -> Json {
    let scopes = simulator.config().scopes.iter().map(|scope| scope.as_str().into()).collect();
    let mut shape = Json::from([
        ("id", token.id.to_string().into()),
        ("scopes", Json::Array(scopes)),
        ("application", Json::Null),
        ("expiresAt", token.expires.map(time).into()),
        ("dateCreated", time(token.made).into()),
        ("state", state.as_str().into()),
        ("token", token.access.as_str().into()),
        ("refreshToken", token.refresh.as_deref().into()),
    ]);
    if simulator.config().version == Version::Today {
        shape.set("tokenLastCharacters", &token.access[token.access.len() - 4..]);
    }
    shape
}

/// `2026-11-23T20:56:42.887006Z`
fn time(at: Timestamp) -> String {
    format!("{at:.6}")
}
