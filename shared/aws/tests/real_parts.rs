//! The conformance suites on `DynamoDB` Local and `MiniStack`, which `cargo xtask test` installs.
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
    Chance as _, Consume, Message, Queue, QueueError, Received, Secret, Secrets as _, Settings as _, Stage, StoreError,
    SystemChance, SystemClock,
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

/// A FIFO queue as the template has it. Sending and hiding is the adapter's; receiving and deleting, which the event
/// source mapping does for us on AWS, is a client's.
struct Fifo {
    client: aws_sdk_sqs::Client,
    url: String,
    adapter: Sqs,
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
        Self { client, adapter: Sqs::without_retries(&config, &url), url }
    }
}

impl Queue for Fifo {
    fn max_bytes(&self) -> usize {
        self.adapter.max_bytes()
    }

    async fn send(&self, message: &Message) -> Result<(), QueueError> {
        self.adapter.send(message).await
    }

    async fn hide(&self, receipt: &str, duration: Duration) -> Result<(), QueueError> {
        self.adapter.hide(receipt, duration).await
    }
}

impl Consume for Fifo {
    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<Received>, QueueError> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(max.try_into().unwrap())
            .visibility_timeout(visibility.as_secs().try_into().unwrap())
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .map_err(|error| QueueError::Unavailable(error.into()))?;
        Ok(received.messages.unwrap_or_default().into_iter().map(received_from).collect())
    }

    async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        let deleted = self.client.delete_message().queue_url(&self.url).receipt_handle(receipt).send().await;
        deleted.map(|_| ()).map_err(|error| QueueError::Unavailable(error.into()))
    }
}

fn received_from(message: SqsMessage) -> Received {
    let mut system = message.attributes.unwrap();
    let attributes = message.message_attributes.unwrap_or_default();
    Received {
        id: message.message_id.unwrap(),
        receipt: message.receipt_handle.unwrap(),
        group: system.remove(&MessageSystemAttributeName::MessageGroupId).unwrap(),
        body: message.body.unwrap(),
        attributes: attributes.into_iter().map(|(name, value)| (name, value.string_value.unwrap())).collect(),
        receive_count: system[&MessageSystemAttributeName::ApproximateReceiveCount].parse().unwrap(),
    }
}

#[tokio::test]
async fn the_queue_conforms() {
    shared_conformance::queue_sending(&Fifo::create().await, &SystemClock).await;
}

fn message(group: &str, deduplication: &str, body: &str) -> Message {
    Message {
        group: group.into(),
        deduplication: deduplication.into(),
        body: body.into(),
        attributes: BTreeMap::from([("v".into(), "1".into()), ("encoding".into(), "identity".into())]),
    }
}

#[tokio::test]
async fn a_message_as_large_as_sqs_takes_is_sent_and_a_larger_one_is_not() {
    let fifo = Fifo::create().await;
    let mut large = message("a", "1", "");
    large.body = "x".repeat(fifo.max_bytes() - large.bytes());
    fifo.send(&large).await.unwrap();
    large.body.push('x');
    assert!(matches!(fifo.send(&large).await, Err(QueueError::TooLarge { .. })));
    assert_eq!(fifo.receive(10, Duration::from_secs(30)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn connecting_leaves_nothing_on_the_queue() {
    let fifo = Fifo::create().await;
    fifo.adapter.connect().await;
    assert!(fifo.receive(10, Duration::from_secs(30)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_queue_that_is_not_there_does_not_answer() {
    let nowhere = Sqs::without_retries(&ministack(), format!("{}/000000000000/none.fifo", MINISTACK.endpoint()));
    assert!(matches!(nowhere.send(&message("a", "1", "x")).await, Err(QueueError::Unavailable(_))));
    let closed = Sqs::without_retries(&support::config("http://127.0.0.1:1"), "http://127.0.0.1:1/0/none.fifo");
    assert!(matches!(closed.send(&message("a", "1", "x")).await, Err(QueueError::Unavailable(_))));
    assert!(matches!(closed.hide("receipt", Duration::ZERO).await, Err(QueueError::Unavailable(_))));
}
