//! What the stand-ins never do and AWS does: throttling, conflicts with a transaction, lost answers. Played by a
//! server that answers by a script.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shared::ids::InstallationId;
use shared::ports::{
    BusError, BusEvent, Deliveries as _, DestinationHealth, EventBus as _, Installation, Installations as _, Message,
    Outcome, Parking, Queue as _, QueueError, Secret, Secrets as _, Stage, StoreError, Written,
};
use shared_aws::{DynamoDeliveries, DynamoInstallations, EventBridge, SecretsManager, Sqs};
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

/// The table answers a read with a claimed delivery of `state`, and writes by the script: the write's number, its body.
async fn of_deliveries(
    state: &'static str,
    script: impl Fn(usize, &Value) -> ResponseTemplate + Send + Sync + 'static,
) -> (MockServer, DynamoDeliveries) {
    let writes = AtomicUsize::new(0);
    let server = server(move |_, body| {
        if body.get("ConsistentRead").is_some() {
            return answer(200, &json!({"Item": delivery(state)}));
        }
        script(writes.fetch_add(1, Ordering::SeqCst), body)
    })
    .await;
    let table = DynamoDeliveries::new(&support::config(&server.uri()), "deliveries");
    (server, table)
}

fn delivery(state: &str) -> Value {
    let id = "0".repeat(64);
    json!({
        "key": {"S": format!("delivery#{id}")}, "event": {"S": id}, "event_name": {"S": "issue.created"},
        "destination": {"S": "phones"}, "route": {"S": "all"}, "group": {"S": "phones:0"}, "title": {"S": "title"},
        "state": {"S": state}, "attempts": {"N": "1"}, "accepted_at": {"N": "1800000000000"},
        "expires": {"N": "4102444800"},
    })
}

async fn settle(table: &DynamoDeliveries, outcome: Outcome) -> Result<Written, StoreError> {
    table.settle(&"0".repeat(64).parse().unwrap(), 1, outcome, Timestamp::now()).await
}

fn park() -> Outcome {
    Outcome::Parked(Parking::default())
}

const SENT: Outcome = Outcome::Sent { status: Some(200), warning: None };

fn cancelled(reasons: [&str; 2]) -> ResponseTemplate {
    let reasons = reasons.map(|code| json!({"Code": code, "Message": "as scripted"}));
    answer(
        400,
        &json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons",
            "CancellationReasons": reasons,
        }),
    )
}

/// What was written, in order.
async fn written(server: &MockServer) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    let bodies = requests.iter().map(|request| request.body_json::<Value>().unwrap());
    bodies.filter(|body| body.get("ConsistentRead").is_none()).collect()
}

#[tokio::test]
async fn a_parking_that_meets_another_transaction_is_tried_again() {
    for reasons in [["None", "TransactionConflict"], ["TransactionConflict", "None"], ["ThrottlingError", "None"]] {
        for (state, outcome) in [("queued", park()), ("parked", SENT)] {
            let script = move |n, _: &Value| if n == 0 { cancelled(reasons) } else { answer(200, &json!({})) };
            let (server, table) = of_deliveries(state, script).await;
            assert_eq!(settle(&table, outcome).await.unwrap(), Written::Done, "{state} {reasons:?}");
            assert_eq!(written(&server).await.len(), 2, "{state} {reasons:?}");
        }
    }
}

#[tokio::test]
async fn a_parking_that_meets_others_for_long_is_an_error_that_may_pass() {
    let (_server, table) = of_deliveries("queued", |_, _| cancelled(["None", "TransactionConflict"])).await;
    let Err(StoreError::Unavailable { store: "deliveries", source }) = settle(&table, park()).await else {
        panic!("the store had no time");
    };
    assert!(source.to_string().starts_with("TransactWriteItems: TransactionCanceledException: "), "{source}");
}

#[tokio::test]
async fn a_parking_whose_conditions_do_not_hold_is_a_conflict_at_once() {
    let failed = "ConditionalCheckFailed";
    for reasons in [[failed, "None"], ["None", failed], ["TransactionConflict", failed]] {
        let (server, table) = of_deliveries("queued", move |_, _| cancelled(reasons)).await;
        assert_eq!(settle(&table, park()).await.unwrap(), Written::Conflict, "{reasons:?}");
        assert_eq!(written(&server).await.len(), 1, "{reasons:?}");
    }
}

#[tokio::test]
async fn a_parking_whose_answer_was_lost_is_repeated_with_its_token() {
    let lost = |n, _: &Value| {
        let (status, body) = if n == 0 { (500, json!({"__type": "InternalServerError"})) } else { (200, json!({})) };
        answer(status, &body)
    };
    let (server, table) = of_deliveries("queued", lost).await;
    assert_eq!(settle(&table, park()).await.unwrap(), Written::Done);
    let writes = written(&server).await;
    let tokens: Vec<_> = writes.iter().map(|write| write["ClientRequestToken"].as_str().unwrap()).collect();
    assert_eq!(tokens.len(), 2);
    assert_eq!(tokens[0], tokens[1], "by it DynamoDB knows that the transaction was done");
    let parts: Vec<_> = writes[0]["TransactItems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| {
            let (kind, part) = part.as_object().unwrap().iter().next().unwrap();
            (kind.as_str(), part["ConditionExpression"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("Put", "#state = :before AND #attempts = :attempts"),
        ("Update", "#state <> :open AND attribute_exists(#state)"),
    ];
    assert_eq!(parts, expected, "record and count change by a condition each");
}

/// As [`after_a_lost_answer`], of a destination's row.
async fn row_after_a_lost_answer(there: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Written {
    let first = Mutex::new(None);
    let server = server(move |n, body| {
        let write = body["ExpressionAttributeValues"][":write"].clone();
        if n == 0 {
            *first.lock().unwrap() = Some(write);
            return answer(500, &json!({"__type": "InternalServerError"}));
        }
        let item = json!({"key": {"S": "destination#phones"}, "write": there(&write)});
        assert_eq!(first.lock().unwrap().as_ref(), Some(&write), "a repeat is the same write");
        let code = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
        answer(400, &json!({"__type": code, "message": "The conditional request failed", "Item": item}))
    })
    .await;
    let table = DynamoDeliveries::new(&support::config(&server.uri()), "deliveries");
    table.write_destination(&DestinationHealth::new("phones".parse().unwrap())).await.unwrap()
}

#[tokio::test]
async fn a_destination_whose_answer_was_lost_is_known_again() {
    assert_eq!(row_after_a_lost_answer(Value::clone).await, Written::Done);
    assert_eq!(row_after_a_lost_answer(|_| json!({"S": "0011223344556677"})).await, Written::Conflict);
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

fn event() -> BusEvent {
    BusEvent {
        bus: "sentry".into(),
        region: None,
        base_url: None,
        source: "sentry-switchboard".into(),
        detail_type: "issue.created".into(),
        detail: r#"{"delivery":"d"}"#.into(),
        time: Timestamp::from_millisecond(1_795_550_000_250).unwrap(),
    }
}

#[tokio::test]
async fn an_event_is_one_entry_of_the_bus() {
    let server = server(|_, _| answer(200, &json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}))).await;
    EventBridge::new(&support::config(&server.uri())).put(event()).await.unwrap();
    let [request] = &server.received_requests().await.unwrap()[..] else { panic!("one call") };
    assert_eq!(request.headers["x-amz-target"], "AWSEvents.PutEvents");
    let mut body: Value = request.body_json().unwrap();
    assert_eq!(body["Entries"][0]["Time"].take().as_f64(), Some(1_795_550_000.25));
    let entry = json!({
        "EventBusName": "sentry", "Source": "sentry-switchboard", "DetailType": "issue.created",
        "Detail": r#"{"delivery":"d"}"#, "Time": null,
    });
    assert_eq!(body, json!({ "Entries": [entry] }));
}

#[tokio::test]
async fn each_region_and_address_has_a_client_of_its_own() {
    let (one, other) = (server(|_, _| put()).await, server(|_, _| put()).await);
    let bus = EventBridge::new(&support::config(&one.uri()));
    for event in [
        event(),
        BusEvent { region: Some("eu-west-1".into()), ..event() },
        BusEvent { base_url: Some(other.uri()), ..event() },
        event(),
    ] {
        bus.put(event).await.unwrap();
    }
    let regions = |requests: Option<Vec<Request>>| -> Vec<bool> {
        let signed =
            |request: &Request| request.headers["authorization"].to_str().unwrap().contains("/eu-west-1/events/");
        requests.unwrap().iter().map(signed).collect()
    };
    assert_eq!(regions(one.received_requests().await), [false, true, false]);
    assert_eq!(regions(other.received_requests().await), [false]);
}

fn put() -> ResponseTemplate {
    answer(200, &json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}))
}

/// How a failed put is told: a word for the variant, and the text.
fn told(error: &BusError) -> (&'static str, String) {
    let variant = match error {
        BusError::Unavailable(_) => "later",
        BusError::Refused { .. } => "refused",
        BusError::Shut { .. } => "shut",
        BusError::NotInThisBuild => "not here",
    };
    let cause = std::error::Error::source(error).map(ToString::to_string);
    (variant, cause.unwrap_or_else(|| error.to_string()))
}

#[tokio::test]
async fn an_entry_that_failed_in_a_good_answer_is_told_by_its_code() {
    let cases = [
        ("ThrottlingException", "later"),
        ("InternalFailure", "later"),
        ("InternalException", "later"),
        ("AccessDeniedException", "shut"),
        ("NotAuthorizedForSourceException", "shut"),
        ("ResourceNotFoundException", "shut"),
        ("NotAuthorizedForDetailTypeException", "refused"),
        ("MalformedDetail", "refused"),
        ("InvalidArgument", "refused"),
        ("SomethingNew", "refused"),
    ];
    for (code, expected) in cases {
        let entry = json!({"ErrorCode": code, "ErrorMessage": "as scripted"});
        let server = server(move |_, _| answer(200, &json!({"FailedEntryCount": 1, "Entries": [entry]}))).await;
        let error = EventBridge::new(&support::config(&server.uri())).put(event()).await.unwrap_err();
        let (variant, text) = told(&error);
        assert_eq!(variant, expected, "{code}: {text}");
        assert!(text.contains(code) && text.contains("as scripted"), "{code}: {text}");
        assert_eq!(tries(&server).await, 1, "{code}: the schedule of deliveries tries again, not the call");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_speak_of_the_entry_is_no_success() {
    for body in [json!({}), json!({"FailedEntryCount": 1, "Entries": [{"EventId": "1"}]})] {
        let shown = body.to_string();
        let server = server(move |_, _| answer(200, &body)).await;
        let put = EventBridge::new(&support::config(&server.uri())).put(event()).await;
        assert!(put.is_err(), "{shown}");
    }
}

#[tokio::test]
async fn a_call_that_failed_as_a_whole_is_told_by_its_code_and_status() {
    let cases = [
        (400, "AccessDeniedException", "shut", 1),
        (403, "UnrecognizedClientException", "shut", 1),
        (400, "ResourceNotFoundException", "shut", 1),
        (400, "ValidationException", "refused", 1),
        (413, "RequestEntityTooLarge", "refused", 1),
        (400, "ThrottlingException", "later", 3),
        (500, "InternalException", "later", 3),
        (503, "SomethingNew", "later", 3),
    ];
    for (status, code, expected, calls) in cases {
        let server = server(move |_, _| answer(status, &json!({"__type": code, "message": "as scripted"}))).await;
        let error = EventBridge::new(&support::config(&server.uri())).put(event()).await.unwrap_err();
        let (variant, text) = told(&error);
        assert_eq!((variant, tries(&server).await), (expected, calls), "{status} {code}: {text}");
        assert!(text.contains(code), "{text}");
    }
    let error = EventBridge::new(&support::config("http://127.0.0.1:1")).put(event()).await.unwrap_err();
    assert_eq!(told(&error).0, "later", "nobody listens there");
}
