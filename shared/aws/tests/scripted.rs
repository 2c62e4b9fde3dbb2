//! What the stand-ins never do and AWS does: throttling, conflicts with a transaction, lost answers. Played by a
//! server that answers by a script.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shared::ids::InstallationId;
use shared::ports::{
    Installation, Installations as _, Message, Queue as _, QueueError, Secret, Secrets as _, Stage, StoreError, Written,
};
use shared_aws::{DynamoInstallations, SecretsManager, Sqs};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// Answers by the try's number, from 0, and the request's body.
struct Script<F>(F, AtomicUsize);

impl<F: Fn(usize, &Value) -> ResponseTemplate + Send + Sync> Respond for Script<F> {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body = request.body_json().unwrap_or(Value::Null);
        (self.0)(self.1.fetch_add(1, Ordering::SeqCst), &body)
    }
}

async fn server(script: impl Fn(usize, &Value) -> ResponseTemplate + Send + Sync + 'static) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(Script(script, AtomicUsize::new(0))).mount(&server).await;
    server
}

fn answer(status: u16, body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body.to_string(), "application/x-amz-json-1.0")
}

fn refusal(code: &str) -> ResponseTemplate {
    answer(400, &json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "as scripted"}))
}

async fn tries(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

fn id() -> InstallationId {
    "a8e5d37a-696c-4c54-adb5-b3f28d64c7de".parse().unwrap()
}

async fn write(server: &MockServer) -> Result<Written, StoreError> {
    let table = DynamoInstallations::new(&support::config(&server.uri()), "installations");
    table.write(&Installation::new(id()), Timestamp::now()).await
}

#[tokio::test]
async fn a_conflict_with_a_transaction_and_throttling_are_tried_again() {
    for code in ["TransactionConflictException", "ProvisionedThroughputExceededException", "ThrottlingException"] {
        let server = server(move |n, _| if n == 0 { refusal(code) } else { answer(200, &json!({})) }).await;
        assert_eq!(write(&server).await.unwrap(), Written::Done, "{code}");
        assert_eq!(tries(&server).await, 2, "{code}");
    }
}

#[tokio::test]
async fn throttling_that_lasts_is_an_error_that_may_pass() {
    let server = server(|_, _| refusal("ThrottlingException")).await;
    let Err(StoreError::Unavailable { store: "installations", source }) = write(&server).await else {
        panic!("the store did not answer");
    };
    assert_eq!(source.to_string(), "PutItem: ThrottlingException: as scripted");
}

#[tokio::test]
async fn a_denied_call_is_not_repeated() {
    let server = server(|_, _| refusal("AccessDeniedException")).await;
    assert!(write(&server).await.is_err());
    assert_eq!(tries(&server).await, 1);
}

/// The first try is written but its answer is lost; the second finds `there` of what the first wrote.
async fn after_a_lost_answer(there: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Written {
    let server = server(move |n, body| {
        if n == 0 {
            return answer(500, &json!({"__type": "InternalServerError"}));
        }
        answer(
            400,
            &json!({
                "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                "message": "The conditional request failed",
                "Item": there(&body["Item"]),
            }),
        )
    })
    .await;
    write(&server).await.unwrap()
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_known_again() {
    assert_eq!(after_a_lost_answer(Value::clone).await, Written::Done);
}

#[tokio::test]
async fn the_same_row_by_somebody_else_is_a_conflict() {
    let elses = |item: &Value| {
        let mut item = item.clone();
        item["write"] = json!({"S": "0011223344556677"});
        item
    };
    assert_eq!(after_a_lost_answer(elses).await, Written::Conflict);
}

fn message() -> Message {
    Message { group: "g".into(), deduplication: "d".into(), body: "{}".into(), attributes: [].into() }
}

#[tokio::test]
async fn the_queue_of_events_is_tried_once_a_call_and_others_again() {
    let server = server(|_, _| answer(500, &json!({}))).await;
    let config = support::config(&server.uri());
    let once = Sqs::without_retries(&config, format!("{}/0/events.fifo", server.uri()));
    assert!(matches!(once.send(&message()).await, Err(QueueError::Unavailable(_))));
    assert_eq!(tries(&server).await, 1);
    let again = Sqs::new(&config, format!("{}/0/deliveries.fifo", server.uri()));
    assert!(matches!(again.send(&message()).await, Err(QueueError::Unavailable(_))));
    assert_eq!(tries(&server).await, 4);
}

#[tokio::test]
async fn a_message_refused_by_its_contents_is_malformed() {
    let code = "com.amazonaws.sqs#InvalidMessageContents";
    let server = server(move |_, _| answer(400, &json!({"__type": code, "message": "as scripted"}))).await;
    let queue = Sqs::new(&support::config(&server.uri()), format!("{}/0/events.fifo", server.uri()));
    assert!(matches!(queue.send(&message()).await, Err(QueueError::Malformed)));
}

fn secrets(server: &MockServer) -> SecretsManager {
    SecretsManager::new(&support::config(&server.uri()), [(Secret::App, "app".to_owned())])
}

#[tokio::test]
async fn a_secret_without_a_previous_version_has_none_whatever_the_status() {
    for status in [400, 404] {
        let missing = json!({"__type": "ResourceNotFoundException", "Message": "can't find the specified secret"});
        let server = server(move |_, _| answer(status, &missing)).await;
        let secrets = secrets(&server);
        assert!(secrets.read(Secret::App, Stage::Previous).await.unwrap().is_none(), "{status}");
        assert!(secrets.read(Secret::App, Stage::Current).await.is_err(), "{status}");
    }
}

#[tokio::test]
async fn a_secret_comes_with_the_time_it_was_set() {
    let value = json!({"SecretString": "{}", "VersionStages": ["AWSCURRENT"], "CreatedDate": 1_795_550_000.25});
    let server = server(move |_, _| answer(200, &value)).await;
    let version = secrets(&server).read(Secret::App, Stage::Current).await.unwrap().unwrap();
    assert_eq!(version.text.expose_secret(), "{}");
    assert_eq!(version.since, Some(Timestamp::from_second(1_795_550_000).unwrap()));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_shows_no_secret() {
    let server = server(|_, _| ResponseTemplate::new(200).set_body_string("{\"SecretString\": \"s3cret")).await;
    let error = secrets(&server).read(Secret::App, Stage::Current).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("an answer that cannot be read"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn a_secret_that_was_not_named_at_the_start_is_an_error_that_says_so() {
    let server = server(|_, _| answer(200, &json!({}))).await;
    let error = secrets(&server).read(Secret::TokenKey, Stage::Current).await.unwrap_err();
    let shown = format!("{error:?}");
    assert!(shown.contains("TOKEN_KEY_SECRET_ID"), "{shown}");
    assert_eq!(tries(&server).await, 0);
}
