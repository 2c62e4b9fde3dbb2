#![allow(clippy::unwrap_used)]

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

const OPEN: &str =
    "mutation($input: IssueCreateInput!) { issueCreate(input: $input) { success issue { identifier } } }";
const ENG: &str = "9cfb482a-81e3-4154-b5b9-2c805e70a02d";
const ID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

async fn ask(linear: &Linear, authorization: &str, query: &str, variables: &Value) -> (u16, Value) {
    let body = json!({"query": query, "variables": variables}).to_string();
    let request = http::Request::post("/graphql").header("authorization", authorization);
    let request = request.header("content-type", "application/json").body(Body::from(body)).unwrap();
    let answer = linear.router().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn a_ticket_is_taken_or_refused_as_linear_does() {
    let linear = Linear::default();
    let user = "b8f2d6a0-3c4e-4f5a-8b6c-7d8e9f0a1b2c";
    let cases = [
        (json!({"teamId": ENG, "title": "t", "id": ID, "assigneeId": user}), "ENG-1"),
        (json!({"teamId": ENG, "title": "t", "id": ID}), "Entity Issue with this id already exists."),
        (json!({"teamId": ENG, "title": "t", "id": "a"}), "id must be a UUID."),
        (json!({"teamId": ENG, "title": "t"}), "ENG-2"),
        (json!({"teamId": ENG, "title": "a".repeat(256)}), "title must be shorter than or equal to 255 characters."),
        (json!({"teamId": "x", "title": "t"}), "Entity not found: Team - Could not find referenced Team."),
        (json!({"teamId": ENG, "title": "t", "assigneeId": "x"}), "Entity not found: User"),
        // Another team's, and a group of labels.
        (
            json!({"teamId": ENG, "title": "t", "labelIds": ["33333333-3333-4333-8333-333333333333"]}),
            "not found: IssueLabel",
        ),
        (
            json!({"teamId": ENG, "title": "t", "labelIds": ["44444444-4444-4444-8444-444444444444"]}),
            "not found: IssueLabel",
        ),
    ];
    for (input, expected) in cases {
        let (status, answer) = ask(&linear, linear.api_key(), OPEN, &json!({"input": input})).await;
        assert!(status == 200 && answer.to_string().contains(expected), "{input}: {answer}");
    }
    assert_eq!(linear.tickets().len(), 2);
}

#[tokio::test]
async fn an_odd_query_or_token_is_refused() {
    let linear = Linear::default();
    let key = linear.api_key();
    let bearer = |token: &str| format!("Bearer {token}");
    let teams = "query { teams(first: 1) { nodes { key } } }";
    let cases = [
        (key.to_owned(), teams, 200, "\"key\":\"ENG\""),
        (bearer(linear.oauth_token()), teams, 200, "\"key\":\"ENG\""),
        (bearer(key), teams, 401, "AUTHENTICATION_ERROR"),
        (linear.oauth_token().to_owned(), teams, 401, "AUTHENTICATION_ERROR"),
        (key.to_owned(), "query { teams { nodes { colour } } }", 400, "Cannot query field \\\"colour\\\""),
        (
            key.to_owned(),
            "query { teams(filter: $filter) { nodes { key } } }",
            400,
            "Variable \\\"$filter\\\" is not defined.",
        ),
        (key.to_owned(), "query($a: String!) { teams { nodes { key } } }", 400, "was not provided"),
        (key.to_owned(), "query { teams { nodes { members } } }", 400, "must have a selection"),
        (key.to_owned(), "query { teams", 400, "Syntax Error"),
    ];
    for (authorization, query, expected, said) in cases {
        let (status, answer) = ask(&linear, &authorization, query, &json!({})).await;
        assert!(status == expected && answer.to_string().contains(said), "{query}: {status} {answer}");
    }
    linear.fail_next(1, &Fault::rate_limited(Duration::from_mins(1)));
    let (status, answer) = ask(&linear, key, teams, &json!({})).await;
    assert_eq!((status, &answer["errors"][0]["extensions"]["code"]), (400, &json!("RATELIMITED")));
}

#[tokio::test]
async fn a_mention_is_told_also_from_within_code_and_an_address_only_outside_of_it() {
    let linear = Linear::default();
    let cases: [(&str, &[&str], usize); 4] = [
        ("@ada and `@grace`", &["ada", "grace"], 0),
        ("@\u{200b}ada", &[], 0),
        ("see https://linear.app/acme/profiles/ada", &["ada"], 1),
        ("````\nhttps://linear.app/acme/profiles/ada\n```\nhttp://a.test\n````\n[b](http://b.test)", &[], 1),
    ];
    for (text, mentions, links) in cases {
        let input = json!({"teamId": ENG, "title": "t", "description": text});
        ask(&linear, linear.api_key(), OPEN, &json!({"input": input})).await;
        let ticket = linear.tickets().pop().unwrap();
        assert_eq!(
            (ticket.mentions.iter().map(String::as_str).collect::<Vec<_>>(), ticket.links.len()),
            (mentions.to_vec(), links)
        );
    }
}

#[tokio::test]
async fn a_team_and_a_label_that_are_added_can_be_used() {
    let linear = Linear::default();
    for (team, label) in [("SHO", "sentry"), ("eng", "Bug")] {
        linear.add_team(team);
        linear.add_label(label);
    }
    let lists = "query { teams(first: 9) { nodes { id key } } issueLabels(first: 9) { nodes { id name } } }";
    let data = ask(&linear, linear.api_key(), lists, &json!({})).await.1["data"].clone();
    let (teams, labels) = (&data["teams"]["nodes"], &data["issueLabels"]["nodes"]);
    assert_eq!((teams.as_array().unwrap().len(), labels.as_array().unwrap().len()), (3, 5), "{data}");
    let input = json!({"teamId": teams[2]["id"], "title": "t", "labelIds": [labels[4]["id"]]});
    let (_, answer) = ask(&linear, linear.api_key(), OPEN, &json!({"input": input})).await;
    assert!(answer.to_string().contains("SHO-1"), "{answer}");
    assert_eq!(linear.tickets()[0].labels, ["sentry"]);
}
