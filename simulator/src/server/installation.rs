//! `GET` and `PUT /api/0/sentry-app-installations/{uuid}/`: reading an installation, and the end of Verify Install.

use http::Method;
use serde_json::Value;

use super::{Answer, Call, authorized};
use crate::config::Version;
use crate::ordered::Json;
use crate::simulator::{Simulator, locked};
use crate::state::{Installation, Status};

pub(super) fn answer(simulator: &Simulator, call: &Call, uuid: &str) -> Answer {
    let caller = match authorized(simulator, call) {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let mut state = locked(&simulator.0.state);
    let Some(installation) = state.live(uuid) else { return Answer::unknown_installation() };
    if caller != uuid {
        return Answer::forbidden();
    }
    match call.method {
        Method::GET if simulator.config().scopes.iter().any(|scope| scope == "org:read") => {}
        Method::GET => return Answer::forbidden(),
        Method::PUT => {
            if let Err(refusal) = verify(call, installation) {
                return refusal;
            }
        }
        ref other => return Answer::not_allowed(other),
    }
    Answer::json(200, &shape(simulator, installation))
}

/// `{"status":"installed"}` is the only change there is; an empty object changes nothing.
fn verify(call: &Call, installation: &mut Installation) -> Result<(), Answer> {
    if !call.content_type().starts_with("application/json") {
        return Err(Answer::detail(415, &format!("Unsupported media type \"{}\" in request.", call.content_type())));
    }
    let body: Value = serde_json::from_slice(&call.body).map_err(|_| Answer::detail(400, "JSON parse error"))?;
    if !body.is_object() {
        return Err(Answer::invalid("nonFieldErrors", "Invalid data. Expected a dictionary."));
    }
    match &body["status"] {
        Value::Null if body.get("status").is_none() => Ok(()),
        Value::Null => Err(Answer::invalid("status", "This field may not be null.")),
        Value::String(status) if status == "installed" => {
            installation.status = Status::Installed;
            Ok(())
        }
        Value::String(other) => {
            let text = format!("Invalid value '{other}' for status. Valid values: 'installed'");
            Err(Answer::invalid("status", &text))
        }
        _ => Err(Answer::invalid("status", "Not a valid string.")),
    }
}

/// An installation as the API and the webhooks show it, without its code.
pub(crate) fn shape(simulator: &Simulator, installation: &Installation) -> Json {
    let config = simulator.config();
    let mut shape = Json::from([
        ("app", [("uuid", config.app_uuid.as_str().into()), ("slug", config.app_slug.as_str().into())].into()),
        ("organization", [("slug", installation.organization.as_str().into())].into()),
        ("uuid", installation.uuid.as_str().into()),
        ("status", if installation.status == Status::Pending { "pending" } else { "installed" }.into()),
    ]);
    if config.version == Version::Today {
        shape.set("app.sentryAppId", 17);
        shape.set("organization.id", 1);
    }
    shape
}
