#![allow(clippy::unwrap_used)]

use axum::body::Body;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

fn authorization(jira: &Jira) -> String {
    let basic = STANDARD.encode(format!("{}:{}", jira.email(), jira.token()));
    if jira.is_cloud() { format!("Basic {basic}") } else { format!("Bearer {}", jira.token()) }
}

async fn call(jira: &Jira, authorization: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = http::Request::builder().method(method).uri(path);
    let request = request.header("authorization", authorization).header("content-type", "application/json");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = jira.router().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn document(text: &str) -> Value {
    json!({"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [{"type": "text", "text": text}]}]})
}

/// The fields of a good ticket, with some replaced.
fn with(cloud: bool, replaced: &Value) -> Value {
    let description = if cloud { document("text") } else { json!("text") };
    let mut fields = json!({
        "project": {"key": "OPS"}, "issuetype": {"name": "Task"}, "summary": "title", "description": description,
    });
    for (name, value) in replaced.as_object().unwrap() {
        fields[name] = value.clone();
    }
    json!({"fields": fields})
}

#[tokio::test]
async fn a_ticket_is_taken_or_refused_as_jira_does() {
    let long = |chars: usize| "a".repeat(chars);
    let cases = [
        (json!({}), json!({}), 201),
        (json!({"summary": long(255)}), json!({}), 201),
        (json!({"summary": long(256)}), json!({"summary": "Summary can't exceed 255 characters."}), 400),
        (json!({"summary": " "}), json!({"summary": "You must specify a summary of the issue."}), 400),
        (json!({"project": {"key": "NO"}}), json!({"project": "valid project is required"}), 400),
        (json!({"issuetype": {"name": "Story"}}), json!({"issuetype": "Specify a valid issue type"}), 400),
        (json!({"labels": ["a", "b c"]}), json!({"labels": "The label 'b c' contains spaces which is invalid."}), 400),
    ];
    for jira in [Jira::cloud(), Jira::data_center()] {
        let path = if jira.is_cloud() { "/rest/api/3/issue" } else { "/rest/api/2/issue" };
        for (fields, errors, status) in &cases {
            let answer = call(&jira, &authorization(&jira), "POST", path, &with(jira.is_cloud(), fields)).await;
            assert_eq!(answer.0, *status, "{fields}: {}", answer.1);
            assert_eq!(answer.1["errors"].as_object().cloned().unwrap_or_default(), *errors.as_object().unwrap());
        }
        assert_eq!(jira.tickets().len(), 2);
        let anonymous = call(&jira, "Bearer nobody", "POST", path, &with(jira.is_cloud(), &json!({}))).await;
        assert_eq!(anonymous.0, 401);
    }
}

#[tokio::test]
async fn each_edition_takes_its_own_text_and_tells_whom_it_mentions() {
    type Told = Result<&'static [&'static str], &'static str>;
    let mention = json!({"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [
        {"type": "mention", "attrs": {"id": "5b10", "text": "@Ada"}}, {"type": "text", "text": " [~ada] @ada"},
    ]}]});
    let too_long = "a".repeat(TEXT_LIMIT_CHARS + 1);
    let cases: [(bool, Value, Told); 8] = [
        (true, mention, Ok(&["5b10"])),
        (true, json!("text"), Err("Operation value must be an Atlassian Document (see the Atlassian Document Format)")),
        (true, document(""), Err("INVALID_INPUT")),
        (true, document(&too_long), Err("CONTENT_LIMIT_EXCEEDED")),
        (false, json!("a [~ada] \\[~grace] {noformat}[~hidden]{noformat} @x"), Ok(&["ada", "grace", "hidden"])),
        (false, json!("a [\u{200b}~ada]"), Ok(&[])),
        (false, json!({"type": "doc"}), Err("Operation value must be a string")),
        (false, json!(too_long), Err("exceeds the allowed limit of 32,767 characters.")),
    ];
    for (cloud, text, expected) in cases {
        let jira = if cloud { Jira::cloud() } else { Jira::data_center() };
        let path = if cloud { "/rest/api/3/issue" } else { "/rest/api/2/issue" };
        let body = with(cloud, &json!({"description": text}));
        let (status, answer) = call(&jira, &authorization(&jira), "POST", path, &body).await;
        match expected {
            Ok(mentions) => assert_eq!(
                (status, &*jira.tickets()[0].mentions),
                (201, &*mentions.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
            ),
            Err(said) => assert!(status == 400 && answer.to_string().contains(said), "{answer}"),
        }
    }
}

#[tokio::test]
async fn what_a_search_asks_for_is_found_and_odd_jql_refused() {
    let jira = Jira::cloud();
    let ticket = with(
        true,
        &json!({"summary": "Checkout is slow", "labels": ["marked"], "description": document("see a-b-c d")}),
    );
    call(&jira, &authorization(&jira), "POST", "/rest/api/3/issue", &ticket).await;
    let cases = [
        ("project = \"OPS\" ORDER BY created DESC", Ok(1)),
        ("project = \"WEB\"", Ok(0)),
        ("project = \"OPS\" AND summary ~ \"check*\" AND summary ~ \"slow\"", Ok(1)),
        ("project = \"OPS\" AND summary ~ \"check\"", Ok(0)),
        ("project = \"OPS\" AND (labels = \"marked\" OR description ~ \"x\")", Ok(1)),
        ("project = \"OPS\" AND (labels = \"no\" OR description ~ \"\\\"a-b-c\\\"\")", Ok(1)),
        ("project = \"OPS\" AND description ~ \"\\\"a-c\\\"\"", Ok(0)),
        ("summary ~ \"check*\"", Err("Unbounded JQL queries are not allowed here.")),
        ("project = \"NO\"", Err("The value 'NO' does not exist for the field 'project'.")),
        ("project = \"OPS\" AND summary ~ \"*\"", Err("is not allowed to start with '*'")),
        ("project = \"OPS", Err("The quoted string has not been completed.")),
        ("project = \"OPS\" AND summary ~ \"\\x\"", Err("an illegal JQL escape sequence")),
        ("project = \"OPS\" AND owner = \"x\"", Err("Field 'owner' does not exist")),
    ];
    for (jql, expected) in cases {
        let body = json!({"jql": jql, "fields": ["summary"]});
        let (status, answer) = call(&jira, &authorization(&jira), "POST", "/rest/api/3/search/jql", &body).await;
        match expected {
            Ok(count) => assert_eq!((status, answer["issues"].as_array().unwrap().len()), (200, count), "{jql}"),
            Err(said) => {
                assert!(
                    status == 400 && answer["errorMessages"][0].as_str().unwrap().contains(said),
                    "{jql}: {answer}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_search_that_lags_does_not_know_what_reading_by_key_does() {
    let jira = Jira::cloud();
    let ask = async |path: &str, body: Value| {
        let (status, answer) = call(&jira, &authorization(&jira), "POST", &format!("/rest/api/3/{path}"), &body).await;
        let keys = answer["issues"].as_array().into_iter().flatten().map(|issue| issue["key"].clone()).collect();
        (status, Value::Array(keys))
    };
    let search = || ask("search/jql", json!({"jql": "project = \"OPS\"", "fields": ["labels"]}));
    ask("issue", with(true, &json!({}))).await;
    jira.let_search_lag();
    ask("issue", with(true, &json!({}))).await;
    assert_eq!(search().await, (200, json!(["OPS-1"])));
    let fetch = |keys: Value| ask("issue/bulkfetch", json!({"issueIdsOrKeys": keys, "fields": ["labels"]}));
    assert_eq!(fetch(json!(["ops-2", "OPS-3", "10000"])).await, (200, json!(["OPS-1", "OPS-2"])));
    assert_eq!(fetch(json!([])).await.0, 400);
    assert_eq!(fetch((0..101).map(|n| format!("OPS-{n}")).collect()).await.0, 400);
    jira.index();
    assert_eq!(search().await, (200, json!(["OPS-2", "OPS-1"])));
}

#[tokio::test]
async fn a_refused_ticket_is_not_kept_and_a_lost_answer_is() {
    let jira = Jira::cloud();
    jira.fail_next(1, &Fault::status(503));
    jira.fail_next(1, &Fault::lost_answer());
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(call(&jira, &authorization(&jira), "POST", "/rest/api/3/issue", &with(true, &json!({}))).await.0);
    }
    assert_eq!((statuses, jira.tickets().len()), (vec![503, 504, 201], 2));
}

#[tokio::test]
async fn a_project_and_a_type_that_are_added_can_be_used() {
    for jira in [Jira::cloud(), Jira::data_center()] {
        let api = if jira.is_cloud() { "/rest/api/3" } else { "/rest/api/2" };
        jira.add_project("SHOP");
        jira.add_project("ops");
        jira.add_issue_type("Incident");
        let ticket = with(jira.is_cloud(), &json!({"project": {"key": "shop"}, "issuetype": {"name": "Incident"}}));
        let path = format!("{api}/issue");
        let opened = call(&jira, &authorization(&jira), "POST", &path, &ticket).await;
        assert_eq!((opened.0, &opened.1["key"]), (201, &json!("SHOP-1")));
        let list = if jira.is_cloud() { "/project/search" } else { "/project" };
        let (_, listed) = call(&jira, &authorization(&jira), "GET", &format!("{api}{list}"), &Value::Null).await;
        let listed = if jira.is_cloud() { &listed["values"] } else { &listed };
        let keys: Vec<_> = listed.as_array().unwrap().iter().map(|project| project["key"].as_str().unwrap()).collect();
        assert_eq!(keys, ["OPS", "WEB", "SHOP"]);
    }
}
