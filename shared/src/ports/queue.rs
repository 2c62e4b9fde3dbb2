//! The two queues, FIFO in groups.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::BoxError;

/// A message as it is sent. Group and deduplication id: 1 to 128 of SQS's set, which ours (hex, dashes, a
/// destination's name) keep by construction and [`Message::check`] makes sure of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Messages of one group are received in the order they were sent, one batch at a time.
    pub group: String,
    /// A second message with the same id within 5 minutes is dropped.
    pub deduplication: String,
    pub body: String,
    /// At most 10; they count towards the size.
    pub attributes: BTreeMap<String, String>,
}

impl Message {
    /// Bytes as SQS counts them: body, and each attribute's name, type (`String`) and value.
    pub fn bytes(&self) -> usize {
        let attributes: usize =
            self.attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len()).sum();
        self.body.len() + attributes
    }

    /// What AWS refuses and no stand-in checks.
    pub fn check(&self, max_bytes: usize) -> Result<(), QueueError> {
        let id = |text: &str| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if !id(&self.group) || !id(&self.deduplication) || self.body.is_empty() || self.attributes.len() > 10 {
            return Err(QueueError::Malformed);
        }
        let bytes = self.bytes();
        if bytes > max_bytes { Err(QueueError::TooLarge { bytes, max_bytes }) } else { Ok(()) }
    }
}

/// A message as it is received. Hidden from others until its visibility time-out ends or it is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The queue's own id: what a partial batch response names.
    pub id: String,
    /// Stands for this receipt, for hiding and deleting.
    pub receipt: String,
    pub group: String,
    pub body: String,
    pub attributes: BTreeMap<String, String>,
    /// From 1. Only the net for poison hangs on it, never a retry schedule.
    pub receive_count: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Down, slow, throttling. The message may have arrived all the same; its deduplication id makes a repeat harmless.
    #[error("the queue does not answer")]
    Unavailable(#[source] BoxError),
    #[error("a message of {bytes} bytes is over the queue's {max_bytes}")]
    TooLarge { bytes: usize, max_bytes: usize },
    /// A bug of ours: an empty body, a bad group or deduplication id, over 10 attributes.
    #[error("the message is malformed")]
    Malformed,
}

/// Sending and hiding: what functions do themselves. On AWS receiving and deleting is the event source mapping's.
pub trait Queue: Send + Sync + 'static {
    /// The most that [`Message::bytes`] may be.
    fn max_bytes(&self) -> usize;

    /// Durable when `Ok`: Sentry's 202 hangs on it.
    fn send(&self, message: &Message) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Sets the visibility time-out of a received message anew, from now; at most 12 h. Zero gives it back at once.
    /// The rest of its group waits behind it.
    fn hide(&self, receipt: &str, duration: Duration) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// Receiving and deleting, where no event source mapping does it.
pub trait Consume: Queue {
    /// Up to `max` messages that are visible, in order, hidden for `visibility`. Several of one group may come in one
    /// batch; what follows a hidden message of its group waits behind it. Empty if there is nothing: it does not wait.
    fn receive(
        &self,
        max: usize,
        visibility: Duration,
    ) -> impl Future<Output = Result<Vec<Received>, QueueError>> + Send;

    /// Done with it. Fails if the message was received anew since.
    fn delete(&self, receipt: &str) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// SQS refuses a longer visibility time-out.
pub const MAX_VISIBILITY: Duration = Duration::from_hours(12);
