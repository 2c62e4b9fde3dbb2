#![allow(clippy::unwrap_used)]

use axum::body::Body;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;

const ISSUES: &str = "/repos/acme/backend/issues";
const HEADERS: [(&str, &str); 4] = [
    ("authorization", "Bearer github_pat_11ABCDEFG0abcdefghij"),
    ("accept", "application/vnd.github+json"),
    ("x-github-api-version", "2022-11-28"),
    ("user-agent", "test"),
];

async fn call_with(
    github: &GitHub,
    headers: &[(&str, &str)],
    method: &str,
    path: &str,
    body: &str,
) -> http::Response<Value> {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = github.router().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    http::Response::from_parts(parts, serde_json::from_slice(&body).unwrap_or_default())
}

async fn call(github: &GitHub, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = call_with(github, &HEADERS, method, path, &body).await;
    (answer.status().as_u16(), answer.into_body())
}

#[tokio::test]
async fn a_call_without_what_github_asks_for_is_refused() {
    let cases = [
        ("authorization", None, 401, "Requires authentication"),
        ("authorization", Some("Basic YTpi"), 401, "Requires authentication"),
        ("authorization", Some("Bearer github_pat_other"), 401, "Bad credentials"),
        ("accept", None, 415, "Unsupported 'Accept' header"),
        ("x-github-api-version", Some("2021-01-01"), 400, "The API version is not supported"),
        ("user-agent", None, 403, "Request forbidden by administrative rules"),
    ];
    let github = GitHub::default();
    for (name, instead, status, said) in cases {
        let mut headers: Vec<_> = HEADERS.iter().copied().filter(|(known, _)| *known != name).collect();
        headers.extend(instead.map(|value| (name, value)));
        let answer = call_with(&github, &headers, "POST", ISSUES, r#"{"title": "t"}"#).await;
        assert_eq!(answer.status(), status, "{name} {instead:?}");
        assert!(answer.body()["message"].as_str().unwrap().starts_with(said), "{}", answer.body());
    }
    assert!(github.issues().is_empty());
}

#[tokio::test]
async fn an_issue_is_taken_or_refused_as_github_does() {
    let long = |chars: usize| "ü".repeat(chars);
    let cases = [
        (json!({"title": "t"}), 201, json!(null)),
        (json!({"title": long(256), "body": long(65_536)}), 201, json!(null)),
        // Whoever may push makes a new label.
        (json!({"title": "t", "labels": ["bug", "new"], "assignees": ["ada", "grace"]}), 201, json!(null)),
        (json!({"body": "b"}), 422, json!({"field": "title", "code": "missing_field"})),
        (json!({"title": " "}), 422, json!({"field": "title", "code": "missing_field"})),
        (json!({"title": long(257)}), 422, json!({"field": "title", "code": "custom"})),
        (json!({"title": "t", "body": long(65_537)}), 422, json!({"field": "body", "code": "custom"})),
        (
            json!({"title": "t", "assignees": ["ada", "eve"]}),
            422,
            json!({"field": "assignees", "code": "invalid", "value": "eve"}),
        ),
        (json!({"title": "t", "labels": [long(51)]}), 422, json!({"field": "labels", "code": "invalid"})),
        (json!({"title": "t", "labels": [""]}), 422, json!({"field": "labels", "code": "invalid"})),
        (json!(["t"]), 400, json!(null)),
    ];
    let github = GitHub::default();
    for (body, expected, error) in cases {
        let (status, answer) = call(&github, "POST", ISSUES, &body).await;
        assert_eq!(status, expected, "{answer}");
        for (name, value) in error.as_object().into_iter().flatten() {
            assert_eq!(answer["errors"][0][name], *value, "{answer}");
        }
    }
    let issues = github.issues();
    assert_eq!(issues.iter().map(|issue| issue.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((issues[2].labels.join(" "), issues[2].assignees.join(" ")), ("bug new".into(), "ada grace".into()));
    let garbled = call_with(&github, &HEADERS, "POST", ISSUES, "{").await;
    assert_eq!((garbled.status().as_u16(), &garbled.body()["message"]), (400, &json!("Problems parsing JSON")));
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_switched_off_issues_are_gone() {
    let github = GitHub::default();
    call(&github, "POST", ISSUES, &json!({"title": "t"})).await;
    let number_1 = format!("{ISSUES}/1");
    let cases = [
        ("GET", &*number_1, json!(null), 200),
        ("GET", "/repos/ACME/Backend/issues/1", json!(null), 200),
        ("GET", "/repos/acme/backend/issues/2", json!(null), 404),
        ("GET", "/repos/acme/other/issues/1", json!(null), 404),
        ("POST", "/repos/acme/other/issues", json!({"title": "t"}), 404),
        ("PATCH", "/repos/acme/backend/issues/2", json!({"state": "closed"}), 404),
        ("PATCH", &*number_1, json!({"state": "done"}), 422),
        ("PATCH", &*number_1, json!({"state": "closed"}), 200),
        ("POST", "/repos/acme/backend/issues/2/comments", json!({"body": "b"}), 404),
        ("POST", "/repos/acme/backend/issues/1/comments", json!({}), 422),
        ("POST", "/repos/acme/backend/issues/1/comments", json!({"body": "b"}), 201),
        ("DELETE", &*number_1, json!(null), 404),
        ("GET", "/repos/acme", json!(null), 404),
        ("GET", "/", json!(null), 404),
    ];
    for (method, path, body, expected) in cases {
        let (status, answer) = call(&github, method, path, &body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert!(status != 404 || answer["message"] == "Not Found", "{answer}");
    }
    assert!(!github.issues()[0].is_open && github.issues()[0].comments == ["b"]);
    github.switch_issues_off();
    for (method, path) in [("POST", ISSUES), ("GET", &*number_1)] {
        let (status, answer) = call(&github, method, path, &json!({"title": "t"})).await;
        assert_eq!((status, &answer["message"]), (410, &json!("Issues has been disabled in this repository.")));
    }
    assert_eq!(call(&github, "GET", "/user/repos", &Value::Null).await.1[0]["has_issues"], false);
    github.revoke_token();
    assert_eq!(call(&github, "GET", "/user/repos", &Value::Null).await.0, 401);
}

#[tokio::test]
async fn answers_have_the_documented_shape() {
    let github = GitHub::default();
    let new = json!({"title": "t", "body": "b", "labels": ["bug"], "assignees": ["ada"]});
    let opened = json!({
        "number": 1, "title": "t", "body": "b", "state": "open", "labels": [{"name": "bug"}],
        "assignees": [{"login": "ada"}], "comments": 0, "html_url": "https://github.com/acme/backend/issues/1",
    });
    assert_eq!(call(&github, "POST", ISSUES, &new).await, (201, opened.clone()));
    github.open_pull_request("p");
    let cases = [
        ("/user/repos", json!(["acme/backend", "acme/attic"]), "full_name"),
        ("/user/repos?per_page=1&page=2", json!(["acme/attic"]), "full_name"),
        ("/repos/acme/backend/labels", json!(["bug", "help wanted", "sentry"]), "name"),
        ("/repos/acme/backend/assignees", json!(["ada", "grace"]), "login"),
        // Newest first, and pull requests among them.
        ("/repos/acme/backend/issues", json!([2, 1]), "number"),
        ("/repos/acme/backend/issues?state=closed", json!([]), "number"),
    ];
    for (path, expected, name) in cases {
        let (status, answer) = call(&github, "GET", path, &Value::Null).await;
        let shown: Value = answer.as_array().unwrap().iter().map(|entry| entry[name].clone()).collect();
        assert_eq!((status, shown), (200, expected), "{path}");
    }
    assert!(call(&github, "GET", "/repos/acme/backend/issues/2", &Value::Null).await.1["pull_request"].is_object());
    github.index();
    let found =
        call(&github, "GET", "/search/issues?q=%22t%22%20repo:acme/backend%20is:issue%20in:title", &Value::Null);
    assert_eq!(found.await.1, json!({"total_count": 1, "incomplete_results": false, "items": [opened]}));
}

#[tokio::test]
async fn the_search_takes_what_is_documented_and_knows_nothing_new() {
    let github = GitHub::default();
    let title = json!({"title": "A slow page", "body": "marker-1 of a slow page"});
    call(&github, "POST", ISSUES, &title).await;
    let search = async |query: &str| {
        let path = format!("/search/issues?q={}", query.replace('"', "%22").replace(' ', "%20"));
        let (status, answer) = call(&github, "GET", &path, &Value::Null).await;
        (status, answer["total_count"].as_u64())
    };
    assert_eq!(search("\"slow\" repo:acme/backend").await, (200, Some(0)), "not indexed");
    github.index();
    let cases = [
        ("\"SLOW\" \"page\" repo:acme/backend is:issue in:title", (200, Some(1))),
        ("\"slow\" \"fast\" repo:acme/backend in:title", (200, Some(0))),
        ("\"marker-1\" repo:Acme/backend in:body", (200, Some(1))),
        ("\"marker-1\" repo:acme/backend in:title", (200, Some(0))),
        ("repo:acme/backend is:issue", (200, Some(1))),
        ("\"slow\" repo:acme/other", (422, None)),
        ("\"slow\"", (422, None)),
        ("\"slow repo:acme/backend", (422, None)),
    ];
    for (query, expected) in cases {
        assert_eq!(search(query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn each_repository_has_its_own_numbers() {
    let github = GitHub::with_repositories(["a/one"]);
    github.add_repository("a/two");
    github.add_repository("A/One");
    for (path, url) in [
        ("/repos/a/two/issues", "https://github.com/a/two/issues/1"),
        ("/repos/a/one/issues", "https://github.com/a/one/issues/1"),
        ("/repos/a/two/issues", "https://github.com/a/two/issues/2"),
    ] {
        assert_eq!(call(&github, "POST", path, &json!({"title": path})).await.1["html_url"], url);
    }
    assert_eq!(call(&github, "GET", "/repos/a/one/issues/2", &Value::Null).await.0, 404);
    assert_eq!(call(&github, "POST", ISSUES, &json!({"title": "t"})).await.0, 404, "none of its own");
    let listed = call(&github, "GET", "/user/repos", &Value::Null).await.1;
    assert_eq!((&listed[0]["full_name"], &listed[1]["full_name"]), (&json!("a/one"), &json!("a/two")));
    github.index();
    let found = call(&github, "GET", "/search/issues?q=repo:a/two", &Value::Null).await.1;
    assert_eq!(found["total_count"], 2);
}

#[tokio::test]
async fn a_refused_issue_is_not_kept_a_lost_answer_is_and_a_used_up_quota_says_until_when() {
    let github = GitHub::default();
    github.fail_next(1, &Fault::status(503));
    github.fail_next(1, &Fault::lost_answer());
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(call(&github, "POST", ISSUES, &json!({"title": "t"})).await.0);
    }
    assert_eq!((statuses, github.issues().len()), (vec![503, 504, 201], 2));
    github.use_up_quota();
    let refused = call_with(&github, &HEADERS, "GET", ISSUES, "").await;
    assert!(refused.status() == 403 && refused.headers()["x-ratelimit-remaining"] == "0");
    let reset: i64 = refused.headers()["x-ratelimit-reset"].to_str().unwrap().parse().unwrap();
    assert!(reset > jiff::Timestamp::now().as_second());
}
