//! The FIFO queues on SQS.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::send_message::SendMessageError;
use aws_sdk_sqs::types::MessageAttributeValue;
use shared::ports::{MAX_VISIBILITY, Message, Queue, QueueError};

use crate::environment::{self, EnvError, Lookup, Use};
use crate::failure::Failure;

/// What one message may have at most, attributes counted:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>.
const MAX_BYTES: usize = 1_048_576;

/// One queue, for sending and hiding. Receiving and deleting is the event source mapping's.
#[derive(Debug, Clone)]
pub struct Sqs {
    client: Client,
    url: String,
}

impl Sqs {
    /// With the SDK's own retries.
    pub fn new(config: &SdkConfig, url: impl Into<String>) -> Self {
        Self { client: Client::new(config), url: url.into() }
    }

    /// For whoever must answer in time: one call is one try, and the caller decides about the next and how long each may
    /// take.
    pub fn without_retries(config: &SdkConfig, url: impl Into<String>) -> Self {
        let config = aws_sdk_sqs::config::Builder::from(config).retry_config(RetryConfig::disabled()).build();
        Self { client: Client::from_conf(config), url: url.into() }
    }

    /// `events.fifo` by `EVENTS_QUEUE_URL`, [`Self::without_retries`]: for the function that answers Sentry within its
    /// second.
    pub fn events_from_env(config: &SdkConfig) -> Result<Self, EnvError> {
        Ok(Self::without_retries(config, Use::Events.read(&environment::process)?))
    }

    /// The queue that `queue` names in the environment, with the SDK's own retries.
    /// The queue that `DELIVERIES_QUEUE_URL` names, for an operator's command.
    pub fn deliveries_from_env(config: &SdkConfig) -> Result<Self, EnvError> {
        Self::found(config, Use::Outbox, &environment::process)
    }

    pub(crate) fn found(config: &SdkConfig, queue: Use, lookup: Lookup<'_>) -> Result<Self, EnvError> {
        Ok(Self::new(config, queue.read(lookup)?))
    }

    /// Opens the connection and gets the credentials, so that the first [`Queue::send`] finds both ready: a message
    /// without body and group, which SQS refuses. Only sending is granted to a function that answers Sentry, so no
    /// harmless question can be asked instead. How it ended does not matter: the first send will tell.
    pub async fn connect(&self) {
        if let Err(error) = self.client.send_message().queue_url(&self.url).message_body("").send().await {
            let refused = error.as_service_error().is_some();
            tracing::debug!(refused, "connected to the queue");
        }
    }
}

impl Queue for Sqs {
    fn max_bytes(&self) -> usize {
        MAX_BYTES
    }

    async fn send(&self, message: &Message) -> Result<(), QueueError> {
        check(message)?;
        let mut request = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_group_id(&message.group)
            .message_deduplication_id(&message.deduplication)
            .message_body(&message.body);
        for (name, value) in &message.attributes {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .expect("the one required field is set");
            request = request.message_attributes(name, value);
        }
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(SendMessageError::InvalidMessageContents(_)) => Err(QueueError::Malformed),
                _ => Err(QueueError::Unavailable(Failure::of("SendMessage", &error))),
            },
        }
    }

    async fn hide(&self, receipt: &str, duration: Duration) -> Result<(), QueueError> {
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt)
            .visibility_timeout(seconds(duration))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| QueueError::Unavailable(Failure::of("ChangeMessageVisibility", &error)))
    }
}

/// Whole seconds, rounded up, so that nothing comes back early; at most 12 h.
fn seconds(duration: Duration) -> i32 {
    let whole = duration.min(MAX_VISIBILITY);
    let up = whole.as_secs() + u64::from(whole.subsec_nanos() > 0);
    i32::try_from(up).expect("12 h of seconds fit")
}

/// What SQS refuses, and a name of an attribute that it would take for its own.
fn check(message: &Message) -> Result<(), QueueError> {
    message.check(MAX_BYTES)?;
    let attributes = message.attributes.iter().all(|(name, value)| is_name(name) && is_sendable(value));
    if attributes && is_sendable(&message.body) { Ok(()) } else { Err(QueueError::Malformed) }
}

/// 1 to 256 of letters, digits, `_`, `-` and `.`; no dot at an end or after a dot; not led by `aws.` or `amazon.`.
fn is_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    (1..=256).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        && name.split('.').all(|part| !part.is_empty())
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.")
}

/// Not empty, and only what SQS carries: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF.
fn is_sendable(text: &str) -> bool {
    let carried = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    !text.is_empty() && text.chars().all(carried)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(change: impl FnOnce(&mut Message)) -> Message {
        let mut message = Message {
            group: "a".into(),
            deduplication: "b".into(),
            body: "{}".into(),
            attributes: [("v".to_owned(), "1".to_owned())].into(),
        };
        change(&mut message);
        message
    }

    #[test]
    fn a_message_that_sqs_would_refuse_is_not_sent() {
        let malformed = [
            ("U+0000 in the body", message(|m| m.body = "a\0b".into())),
            ("U+000B in the body", message(|m| m.body = "a\u{B}b".into())),
            ("U+FFFE in the body", message(|m| m.body = "\u{FFFE}".into())),
            ("an empty body", message(|m| m.body = String::new())),
            ("a space in the group", message(|m| m.group = "a b".into())),
            ("a long group", message(|m| m.group = "a".repeat(129))),
            ("an umlaut in the id", message(|m| m.deduplication = "ü".into())),
            ("an empty value", message(|m| _ = m.attributes.insert("x".into(), String::new()))),
            ("a control in a value", message(|m| _ = m.attributes.insert("x".into(), "\u{1}".into()))),
            ("a reserved name", message(|m| _ = m.attributes.insert("AWS.trace".into(), "1".into()))),
            ("two dots in a name", message(|m| _ = m.attributes.insert("a..b".into(), "1".into()))),
            ("a space in a name", message(|m| _ = m.attributes.insert("a b".into(), "1".into()))),
            ("11 attributes", message(|m| m.attributes = (0..11).map(|n| (n.to_string(), "1".into())).collect())),
        ];
        for (name, message) in malformed {
            assert!(matches!(check(&message), Err(QueueError::Malformed)), "{name}");
        }
    }

    #[test]
    fn whatever_sqs_carries_is_sent() {
        for body in ["\t\r\n ~", "ü\u{7F}\u{D7FF}\u{E000}\u{FFFD}", "\u{10000}\u{10FFFF}🚨"] {
            assert!(check(&message(|m| m.body = body.into())).is_ok(), "{body:?}");
        }
    }

    #[test]
    fn attributes_count_towards_the_size() {
        let fits = message(|m| m.body = "x".repeat(MAX_BYTES - "v".len() - "String".len() - "1".len()));
        assert!(check(&fits).is_ok());
        let over = Message { body: format!("{}x", fits.body), ..fits };
        assert!(matches!(check(&over), Err(QueueError::TooLarge { bytes: 1_048_577, max_bytes: 1_048_576 })));
    }

    #[test]
    fn hiding_is_in_whole_seconds_rounded_up_and_at_most_12_hours() {
        let cases = [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (43_200_000, 43_200), (86_400_000, 43_200)];
        for (millis, expected) in cases {
            assert_eq!(seconds(Duration::from_millis(millis)), expected, "{millis} ms");
        }
    }
}
