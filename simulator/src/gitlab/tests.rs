#![allow(clippy::unwrap_used)]

use axum::body::Body;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;

const ISSUES: &str = "/api/v4/projects/acme%2Fshop%2Fbackend/issues";
const HEADERS: [(&str, &str); 3] =
    [("private-token", "glpat-0abcdefghijklmnopqrs"), ("content-type", "application/json"), ("user-agent", "test")];

async fn call_with(gitlab: &GitLab, headers: &[(&str, &str)], method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = gitlab.router().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn call(gitlab: &GitLab, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    call_with(gitlab, &HEADERS, method, path, &body).await
}

#[tokio::test]
async fn a_call_without_what_gitlab_asks_for_is_refused() {
    let cases = [
        ("private-token", None, 401, json!({"message": "401 Unauthorized"})),
        ("private-token", Some("glpat-other"), 401, json!({"message": "401 Unauthorized"})),
        ("content-type", Some("text/plain"), 415, json!({"error": "The provided content-type is not supported."})),
        ("user-agent", None, 403, json!({"message": "403 Forbidden"})),
    ];
    let gitlab = GitLab::default();
    for (name, instead, status, said) in cases {
        let mut headers: Vec<_> = HEADERS.iter().copied().filter(|(known, _)| *known != name).collect();
        headers.extend(instead.map(|value| (name, value)));
        let answer = call_with(&gitlab, &headers, "POST", ISSUES, r#"{"title": "t"}"#).await;
        assert_eq!(answer, (status, said), "{name} {instead:?}");
    }
    assert!(gitlab.issues().is_empty());
}

#[tokio::test]
async fn an_issue_is_taken_or_refused_as_gitlab_does() {
    let long = |chars: usize| "ü".repeat(chars);
    let cases = [
        (json!({"title": "t"}), 201, json!(null)),
        (json!({"title": long(255), "description": long(1_048_576)}), 201, json!(null)),
        // A new label is made; whoever is no member is left out.
        (json!({"title": "t", "labels": "bug,new", "assignee_ids": [8, 99]}), 201, json!(null)),
        (json!({"description": "d"}), 400, json!({"error": "title is missing"})),
        (json!({"title": " "}), 400, json!({"message": {"title": ["can't be blank"]}})),
        (json!({"title": long(256)}), 400, json!({"message": {"title": ["is too long (maximum is 255 characters)"]}})),
        (
            json!({"title": "t", "description": long(1_048_577)}),
            400,
            json!({"message": {"description": ["is too long (maximum is 1048576 characters)"]}}),
        ),
    ];
    let gitlab = GitLab::default();
    for (body, expected, said) in cases {
        let (status, answer) = call(&gitlab, "POST", ISSUES, &body).await;
        assert!(status == expected && (status == 201 || answer == said), "{status} {answer}");
    }
    let issues = gitlab.issues();
    assert_eq!(issues.iter().map(|issue| issue.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((issues[2].labels.join(" "), issues[2].assignees.join(" ")), ("bug new".into(), "grace".into()));
    let garbled = call_with(&gitlab, &HEADERS, "POST", ISSUES, "{").await;
    assert_eq!(garbled, (400, json!({"error": "Problem processing request"})));
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_switched_off_issues_are_forbidden() {
    let gitlab = GitLab::default();
    call(&gitlab, "POST", ISSUES, &json!({"title": "t"})).await;
    let [number_1, number_2] = [1, 2].map(|number| format!("{ISSUES}/{number}"));
    let [notes_1, notes_2] = [&number_1, &number_2].map(|issue| format!("{issue}/notes"));
    let cases = [
        ("GET", &*number_1, json!(null), 200, ""),
        ("GET", "/api/v4/projects/Acme%2Fshop%2Fbackend/issues/1", json!(null), 200, ""),
        ("GET", &*number_2, json!(null), 404, "404 Not found"),
        ("GET", "/api/v4/projects/acme%2Fother/issues/1", json!(null), 404, "404 Project Not Found"),
        ("POST", "/api/v4/projects/acme%2Fother/issues", json!({"title": "t"}), 404, "404 Project Not Found"),
        ("PUT", &*number_2, json!({"state_event": "close"}), 404, "404 Not found"),
        ("PUT", &*number_1, json!({"state_event": "closed"}), 400, "state_event does not have a valid value"),
        ("PUT", &*number_1, json!({"state_event": "close"}), 200, ""),
        ("POST", &*notes_2, json!({"body": "b"}), 404, "404 Not found"),
        ("POST", &*notes_1, json!({}), 400, "body is missing"),
        ("POST", &*notes_1, json!({"body": " "}), 400, "can't be blank"),
        ("POST", &*notes_1, json!({"body": "b"}), 201, ""),
        ("GET", "/api/v3/projects", json!(null), 404, "404 Not Found"),
    ];
    for (method, path, body, expected, said) in cases {
        let (status, answer) = call(&gitlab, method, path, &body).await;
        assert!(status == expected && answer.to_string().contains(said), "{method} {path}: {status} {answer}");
    }
    assert!(!gitlab.issues()[0].is_open && gitlab.issues()[0].comments == ["b"]);
    gitlab.switch_issues_off();
    for (method, path) in [("POST", ISSUES), ("GET", &*number_1)] {
        let refused = call(&gitlab, method, path, &json!({"title": "t"})).await;
        assert_eq!(refused, (403, json!({"message": "403 Forbidden"})));
    }
    let usable = call(&gitlab, "GET", "/api/v4/projects?with_issues_enabled=true", &Value::Null).await;
    assert_eq!(usable, (200, json!([])));
    gitlab.revoke_token();
    assert_eq!(call(&gitlab, "GET", "/api/v4/projects", &Value::Null).await.0, 401);
}

#[tokio::test]
async fn answers_have_the_documented_shape_and_lists_hold_what_fits() {
    let gitlab = GitLab::default();
    let new = json!({"title": "A slow page", "description": "marker-1", "labels": "new", "assignee_ids": [7]});
    let opened = json!({
        "iid": 1, "title": "A slow page", "description": "marker-1", "state": "opened", "labels": ["new"],
        "assignees": [{"username": "ada"}], "web_url": "https://gitlab.com/acme/shop/backend/-/issues/1",
    });
    assert_eq!(call(&gitlab, "POST", ISSUES, &new).await, (201, opened));
    call(&gitlab, "POST", ISSUES, &json!({"title": "Gone"})).await;
    call(&gitlab, "PUT", &format!("{ISSUES}/2"), &json!({"state_event": "close"})).await;
    let cases = [
        ("/api/v4/projects", json!(["acme/shop/backend"]), "path_with_namespace"),
        ("/api/v4/projects?search=SHOP", json!(["acme/shop/backend"]), "path_with_namespace"),
        ("/api/v4/projects?search=front", json!([]), "path_with_namespace"),
        ("/api/v4/projects/acme%2Fshop%2Fbackend/labels", json!(["bug", "new", "sentry"]), "name"),
        ("/api/v4/projects/acme%2Fshop%2Fbackend/labels?search=BU", json!(["bug"]), "name"),
        ("/api/v4/projects/acme%2Fshop%2Fbackend/members/all?query=hopper", json!([8]), "id"),
        // Newest first.
        ("/api/v4/projects/acme%2Fshop%2Fbackend/issues", json!([2, 1]), "iid"),
        ("/api/v4/projects/acme%2Fshop%2Fbackend/issues?per_page=1", json!([2]), "iid"),
        ("/api/v4/projects/acme%2Fshop%2Fbackend/issues?state=opened", json!([1]), "iid"),
        ("/api/v4/projects/acme%2Fshop%2Fbackend/issues?state=closed", json!([2]), "iid"),
        ("/api/v4/projects/acme%2Fshop%2Fbackend/issues?state=all", json!([2, 1]), "iid"),
        ("/api/v4/projects/acme%2Fshop%2Fbackend/issues?search=MARKER-1", json!([1]), "iid"),
        ("/api/v4/projects/acme%2Fshop%2Fbackend/issues?search=marker-1&in=title", json!([]), "iid"),
    ];
    for (path, expected, name) in cases {
        let (status, answer) = call(&gitlab, "GET", path, &Value::Null).await;
        let shown: Value = answer.as_array().unwrap().iter().map(|entry| entry[name].clone()).collect();
        assert_eq!((status, shown), (200, expected), "{path}");
    }
}

#[tokio::test]
async fn each_project_has_its_own_numbers() {
    let gitlab = GitLab::with_projects(["a/one"]);
    gitlab.add_project("a/sub/two");
    gitlab.add_project("A/One");
    for (path, url) in [
        ("/api/v4/projects/a%2Fsub%2Ftwo/issues", "https://gitlab.com/a/sub/two/-/issues/1"),
        ("/api/v4/projects/a%2Fone/issues", "https://gitlab.com/a/one/-/issues/1"),
        ("/api/v4/projects/a%2Fsub%2Ftwo/issues", "https://gitlab.com/a/sub/two/-/issues/2"),
    ] {
        assert_eq!(call(&gitlab, "POST", path, &json!({"title": "t"})).await.1["web_url"], url);
    }
    assert_eq!(call(&gitlab, "GET", "/api/v4/projects/a%2Fone/issues/2", &Value::Null).await.0, 404);
    assert_eq!(call(&gitlab, "POST", ISSUES, &json!({"title": "t"})).await.0, 404, "none of its own");
    assert_eq!(call(&gitlab, "GET", "/api/v4/projects", &Value::Null).await.1.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_refused_issue_is_not_kept_and_a_lost_answer_is() {
    let gitlab = GitLab::default();
    gitlab.fail_next(1, &Fault::status(503));
    gitlab.fail_next(1, &Fault::lost_answer());
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(call(&gitlab, "POST", ISSUES, &json!({"title": "t"})).await.0);
    }
    assert_eq!((statuses, gitlab.issues().len()), (vec![503, 504, 201], 2));
}
