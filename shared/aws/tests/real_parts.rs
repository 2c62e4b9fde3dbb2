//! The conformance suites on DynamoDB Local and `MiniStack`, which `cargo xtask test` installs.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "support/tables.rs"]
mod tables;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::types::{Message as SqsMessage, MessageSystemAttributeName, QueueAttributeName};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use shared::ids::hex;
use shared::ports::{
    Chance as _, Message, Queue as _, QueueError, Secret, Secrets as _, Settings as _, Stage, StoreError, SystemChance,
};
use shared_aws::{DynamoDeliveries, DynamoInstallations, DynamoSettings, SecretsManager, Sqs};
use shared_conformance::ExpectedSecrets;
use system_tests::dynamodb_local::DynamoDbLocal;
use system_tests::ministack::MiniStack;
use system_tests::parts::Parts;

// One of each for all tests here. They end with this process.
static DYNAMODB: LazyLock<DynamoDbLocal> =
    LazyLock::new(|| DynamoDbLocal::start(&Parts::installed().unwrap()).unwrap());
static MINISTACK: LazyLock<MiniStack> = LazyLock::new(|| MiniStack::start(&Parts::installed().unwrap()).unwrap());

fn dynamodb() -> SdkConfig {
    support::config(&DYNAMODB.endpoint())
}

fn ministack() -> SdkConfig {
    support::config(&MINISTACK.endpoint())
}

/// A name that no other test has.
fn name(what: &str) -> String {
    format!("{what}-{}", hex(&SystemChance.bytes::<4>()))
}

#[tokio::test]
async fn installations_conform() {
    let (config, table) = (dynamodb(), name("installations"));
    tables::installations(&config, &table).await;
    shared_conformance::installations(&DynamoInstallations::new(&config, table)).await;
}

#[tokio::test]
async fn deliveries_conform() {
    let (config, table) = (dynamodb(), name("deliveries"));
    tables::deliveries(&config, &table).await;
    shared_conformance::deliveries(&DynamoDeliveries::new(&config, table)).await;
}

#[tokio::test]
async fn settings_conform() {
    let (config, table) = (dynamodb(), name("settings"));
    tables::settings(&config, &table).await;
    shared_conformance::settings(&DynamoSettings::new(&config, table)).await;
}

#[tokio::test]
async fn routes_that_no_item_can_hold_are_refused_with_their_size() {
    let (config, table) = (dynamodb(), name("settings"));
    tables::settings(&config, &table).await;
    let settings = DynamoSettings::new(&config, table);
    let noise: String = (0..450).map(|_| hex(&SystemChance.bytes::<1000>())).collect();
    let Err(StoreError::Unavailable { source, .. }) = settings.put_routes(&noise, 0, Timestamp::now()).await else {
        panic!("routes of 450 kB of noise are refused");
    };
    assert!(source.to_string().contains("over the limit of 350 kB"), "{source}");
    assert_eq!(settings.routes_version().await.unwrap(), None);
}

/// A secret that was set to each of `values`, in turn.
async fn secret(config: &SdkConfig, values: &[&str]) -> String {
    let (client, id) = (aws_sdk_secretsmanager::Client::new(config), name("secret"));
    client.create_secret().name(&id).secret_string(values[0]).send().await.unwrap();
    for value in &values[1..] {
        client.put_secret_value().secret_id(&id).secret_string(*value).send().await.unwrap();
    }
    id
}

#[tokio::test]
async fn secrets_conform() {
    let config = ministack();
    let key = "0123456789abcdef0123456789abcdef0123456789abcdef";
    let destinations = secret(&config, &[r#"{"pushover-user":"u","pushover-token":"ü"}"#]).await;
    let token_key = secret(&config, &[key]).await;
    let before = r#"{"client_id":"id","client_secret":"one"}"#;
    let after = r#"{"client_id":"id","client_secret":"two","api_token":"three"}"#;
    let once = ExpectedSecrets {
        client_id: "id".into(),
        client_secret: "one".into(),
        api_token: None,
        previous_client_secret: None,
        destinations: BTreeMap::from([("pushover-user".into(), "u".into()), ("pushover-token".into(), "ü".into())]),
        token_key: key.into(),
    };
    let rotated = ExpectedSecrets {
        client_secret: "two".into(),
        api_token: Some("three".into()),
        previous_client_secret: Some("one".into()),
        ..once.clone()
    };
    for (app, expected) in [(vec![before], once), (vec![before, after], rotated)] {
        let app = secret(&config, &app).await;
        let ids =
            [(Secret::App, app), (Secret::Destinations, destinations.clone()), (Secret::TokenKey, token_key.clone())];
        shared_conformance::secrets(&SecretsManager::new(&config, ids), &expected).await;
    }
}

#[tokio::test]
async fn a_secret_tells_when_it_was_set() {
    let config = ministack();
    let started = Timestamp::now() - Duration::from_secs(1);
    let secrets = SecretsManager::new(&config, [(Secret::App, secret(&config, &["one", "two"]).await)]);
    let current = secrets.read(Secret::App, Stage::Current).await.unwrap().unwrap();
    assert_eq!(current.text.expose_secret(), "two");
    let since = current.since.unwrap();
    assert!(since >= started && since <= Timestamp::now(), "{since}");
}

/// A FIFO queue as the template has it, and a client to receive with, which our own code never does.
struct Fifo {
    client: aws_sdk_sqs::Client,
    url: String,
    queue: Sqs,
}

impl Fifo {
    async fn create() -> Self {
        let config = ministack();
        let client = aws_sdk_sqs::Client::new(&config);
        let created = client
            .create_queue()
            .queue_name(format!("{}.fifo", name("queue")))
            .attributes(QueueAttributeName::FifoQueue, "true")
            .attributes(QueueAttributeName::DeduplicationScope, "messageGroup")
            .attributes(QueueAttributeName::FifoThroughputLimit, "perMessageGroupId")
            .send()
            .await
            .unwrap();
        let url = created.queue_url.unwrap();
        Self { client, queue: Sqs::without_retries(&config, &url), url }
    }

    /// Up to 10 messages, hidden for 30 s; waits up to a second for the first.
    async fn receive(&self) -> Vec<SqsMessage> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .visibility_timeout(30)
            .wait_time_seconds(1)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .unwrap();
        received.messages.unwrap_or_default()
    }
}

fn message(group: &str, deduplication: &str, body: &str) -> Message {
    Message {
        group: group.into(),
        deduplication: deduplication.into(),
        body: body.into(),
        attributes: BTreeMap::from([("v".into(), "1".into()), ("encoding".into(), "identity".into())]),
    }
}

fn bodies(messages: &[SqsMessage]) -> Vec<&str> {
    messages.iter().map(|message| message.body().unwrap()).collect()
}

#[tokio::test]
async fn a_message_arrives_once_in_order_and_with_its_attributes() {
    let fifo = Fifo::create().await;
    for (deduplication, body) in [("1", "one ü🚨\t\n"), ("2", "two"), ("1", "one again"), ("3", "three")] {
        fifo.queue.send(&message("group", deduplication, body)).await.unwrap();
    }
    let received = fifo.receive().await;
    assert_eq!(bodies(&received), ["one ü🚨\t\n", "two", "three"]);
    let attributes = received[0].message_attributes().unwrap();
    assert_eq!(attributes["encoding"].string_value(), Some("identity"));
    assert_eq!(attributes["v"].data_type(), "String");
    assert_eq!(received[0].attributes().unwrap()[&MessageSystemAttributeName::MessageGroupId], "group");
}

#[tokio::test]
async fn what_is_hidden_for_nothing_comes_back_at_once_and_what_is_hidden_stays() {
    let fifo = Fifo::create().await;
    fifo.queue.send(&message("a", "1", "back")).await.unwrap();
    fifo.queue.send(&message("b", "2", "hidden")).await.unwrap();
    for received in fifo.receive().await {
        let duration = if received.body() == Some("back") { Duration::ZERO } else { Duration::from_millis(59_001) };
        fifo.queue.hide(received.receipt_handle().unwrap(), duration).await.unwrap();
    }
    let again = fifo.receive().await;
    assert_eq!(bodies(&again), ["back"]);
    assert_eq!(again[0].attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount], "2");
}

#[tokio::test]
async fn a_message_as_large_as_sqs_takes_is_sent_and_a_larger_one_is_not() {
    let fifo = Fifo::create().await;
    let mut large = message("a", "1", "");
    large.body = "x".repeat(fifo.queue.max_bytes() - large.bytes());
    fifo.queue.send(&large).await.unwrap();
    large.body.push('x');
    assert!(matches!(fifo.queue.send(&large).await, Err(QueueError::TooLarge { .. })));
    assert_eq!(fifo.receive().await.len(), 1);
}

#[tokio::test]
async fn connecting_leaves_nothing_on_the_queue() {
    let fifo = Fifo::create().await;
    fifo.queue.connect().await;
    assert!(fifo.receive().await.is_empty());
}

#[tokio::test]
async fn a_queue_that_is_not_there_does_not_answer() {
    let nowhere = Sqs::without_retries(&ministack(), format!("{}/000000000000/none.fifo", MINISTACK.endpoint()));
    assert!(matches!(nowhere.send(&message("a", "1", "x")).await, Err(QueueError::Unavailable(_))));
    let closed = Sqs::without_retries(&support::config("http://127.0.0.1:1"), "http://127.0.0.1:1/0/none.fifo");
    assert!(matches!(closed.send(&message("a", "1", "x")).await, Err(QueueError::Unavailable(_))));
    assert!(matches!(closed.hide("receipt", Duration::ZERO).await, Err(QueueError::Unavailable(_))));
}
