//! `POST /api/0/sentry-app-installations/{uuid}/external-issues/`, and `GET` of an issue's links.

use http::Method;
use serde_json::{Map, Value, json};

use super::{Answer, Call, authorized};
use crate::components::ExternalIssue;
use crate::simulator::{Simulator, locked};

const SCOPES: [&str; 3] = ["event:read", "event:write", "event:admin"];
const FIELDS: [&str; 4] = ["issueId", "webUrl", "project", "identifier"];

/// Makes a link.
pub(super) fn made(simulator: &Simulator, call: &Call, uuid: &str) -> Answer {
    if call.method != Method::POST {
        return Answer::not_allowed(&call.method);
    }
    let caller = match allowed(simulator, call) {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    if locked(&simulator.0.state).live(uuid).is_none() {
        return Answer::unknown_installation();
    }
    if caller != uuid {
        return Answer::forbidden();
    }
    if !call.content_type().starts_with("application/json") {
        return Answer::detail(415, &format!("Unsupported media type \"{}\" in request.", call.content_type()));
    }
    let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(&call.body) else {
        return Answer::detail(400, "JSON parse error");
    };
    let wrong = mistakes(&body);
    if !wrong.is_empty() {
        return Answer::json(400, &Value::Object(wrong));
    }
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let id = body["issueId"].as_u64().unwrap_or_default();
    let mut state = locked(&simulator.0.state);
    let own = state.installations[&caller].organization.clone();
    if state.issues.get(&id).is_none_or(|issue| issue.organization != own) {
        return Answer::detail(404, "The requested resource does not exist");
    }
    // The database takes one for an app and an issue.
    if state.external_issues.contains_key(&id) {
        return Answer::internal_error();
    }
    let link =
        ExternalIssue { issue: id, web_url: text("webUrl"), project: text("project"), identifier: text("identifier") };
    let answer = Answer::json(200, &shape(simulator, &link));
    state.external_issues.insert(id, link);
    answer
}

/// The links of an issue.
pub(super) fn listed(simulator: &Simulator, call: &Call, organization: Option<&str>, id: &str) -> Answer {
    if call.method != Method::GET {
        return Answer::not_allowed(&call.method);
    }
    let caller = match allowed(simulator, call) {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let state = locked(&simulator.0.state);
    let own = &state.installations[&caller].organization;
    if organization.is_some_and(|asked| asked != own) {
        return Answer::forbidden();
    }
    match id.parse().ok().and_then(|id: u64| state.issues.get(&id)) {
        Some(issue) if issue.organization != *own => Answer::forbidden(),
        Some(issue) => {
            let link = state.external_issues.get(&issue.id);
            Answer::json(200, &link.into_iter().map(|link| shape(simulator, link)).collect::<Vec<_>>())
        }
        None => Answer::detail(404, "The requested resource does not exist"),
    }
}

fn allowed(simulator: &Simulator, call: &Call) -> Result<String, Answer> {
    let caller = authorized(simulator, call)?;
    let scopes = &simulator.config().scopes;
    if scopes.iter().any(|scope| SCOPES.contains(&scope.as_str())) { Ok(caller) } else { Err(Answer::forbidden()) }
}

/// What is wrong, by field.
fn mistakes(body: &Map<String, Value>) -> Map<String, Value> {
    let wrong = |field: &str| match body.get(field) {
        None => Some("This field is required."),
        Some(Value::Null) => Some("This field may not be null."),
        Some(value) if field == "issueId" => (!value.is_u64()).then_some("A valid integer is required."),
        Some(Value::String(text)) if text.is_empty() => Some("This field may not be blank."),
        Some(Value::String(text)) if field == "webUrl" => {
            let is_page = text.starts_with("http://") || text.starts_with("https://");
            (!is_page).then_some("URL must start with http[s]://")
        }
        Some(Value::String(_)) => None,
        Some(_) => Some("Not a valid string."),
    };
    FIELDS.iter().filter_map(|field| Some(((*field).to_owned(), json!([wrong(field)?])))).collect()
}

fn shape(simulator: &Simulator, link: &ExternalIssue) -> Value {
    json!({
        // One for each issue, so its number serves.
        "id": link.issue.to_string(),
        "issueId": link.issue.to_string(),
        "serviceType": simulator.config().app_slug,
        "displayName": link.display_name(),
        "webUrl": link.web_url,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use crate::testing::{call, installed, of};
    use crate::{NewIssue, Version};

    #[tokio::test]
    async fn an_issue_is_linked_once_and_a_mistake_is_told_by_its_field() {
        let (simulator, _, _) = of(Version::V23_7_1);
        let (uuid, pair) = installed(&simulator).await;
        let issue = simulator.create_issue(NewIssue::new("Backend", "boom")).await.unwrap().issue;
        let path = format!("/api/0/sentry-app-installations/{uuid}/external-issues/");
        let good = json!({"issueId": issue, "webUrl": "https://t.example/1", "project": "acme/b", "identifier": "1"});
        let with = |key: &str, value: Value| {
            let mut body = good.clone();
            body[key] = value;
            body
        };
        let required = "This field is required.";
        let missing =
            json!({"issueId": [required], "webUrl": [required], "project": [required], "identifier": [required]});
        let number = json!({"identifier": ["Not a valid string."]});
        let cases = [
            ("wrong token", "x", good.clone(), 401, None),
            ("nothing", &*pair.access, json!({}), 400, Some(missing)),
            ("a number", &pair.access, with("identifier", json!(1)), 400, Some(number)),
            ("text", &pair.access, with("issueId", json!("1")), 400, None),
            ("no page", &pair.access, with("webUrl", json!("t.example")), 400, None),
            ("no issue", &pair.access, with("issueId", json!(999)), 404, None),
            ("good", &pair.access, good.clone(), 200, None),
            ("a second one", &pair.access, good.clone(), 500, None),
        ];
        for (name, bearer, body, status, expected) in cases {
            let answer = call(&simulator, "POST", &path, bearer, Some(body)).await;
            assert_eq!(answer.status, status, "{name}: {}", answer.text);
            if let Some(expected) = expected {
                assert_eq!(answer.json(), expected, "{name}");
            }
        }
        assert_eq!(simulator.external_issue(issue).unwrap().display_name(), "acme/b#1");
        let listed =
            call(&simulator, "GET", &format!("/api/0/issues/{issue}/external-issues/"), &pair.access, None).await;
        assert_eq!(listed.json()[0]["webUrl"], "https://t.example/1");
    }
}
