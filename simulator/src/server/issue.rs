//! `GET` of an issue, by the organization's path and by the old one without it.

use http::Method;

use super::{Answer, Call, authorized};
use crate::simulator::{Simulator, locked};
use crate::webhooks::payload;

const SCOPES: [&str; 3] = ["event:read", "event:write", "event:admin"];

pub(super) fn answer(simulator: &Simulator, call: &Call, organization: Option<&str>, id: &str) -> Answer {
    if call.method != Method::GET {
        return Answer::not_allowed(&call.method);
    }
    let caller = match authorized(simulator, call) {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    if !simulator.config().scopes.iter().any(|scope| SCOPES.contains(&scope.as_str())) {
        return Answer::forbidden();
    }
    let issue = {
        let state = locked(&simulator.0.state);
        let own = &state.installations[&caller].organization;
        if organization.is_some_and(|asked| asked != own) {
            return Answer::forbidden();
        }
        match id.parse().ok().and_then(|id: u64| state.issues.get(&id)) {
            Some(issue) if issue.organization != *own => return Answer::forbidden(),
            Some(issue) => issue.clone(),
            None => return Answer::detail(404, "The requested resource does not exist"),
        }
    };
    Answer::json(200, &payload::issue_in_api(simulator, &issue))
}
