//! Where deliveries are recorded, and what was accepted before.

use jiff::Timestamp;

use super::{StoreError, Written};
use crate::ids::{DeliveryId, DestinationName, EventId, InstallationId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// A message for it is on `deliveries.fifo`.
    Queued,
    /// The destination took it.
    Sent,
    /// The destination answered 202: taken, not yet done.
    Accepted,
    /// The dead letter: it keeps message and reason.
    Failed,
    /// Waits here while its destination is paused.
    Parked,
}

impl DeliveryState {
    /// The word in the table and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Accepted => "accepted",
            Self::Failed => "failed",
            Self::Parked => "parked",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Queued, Self::Sent, Self::Accepted, Self::Failed, Self::Parked].into_iter().find(|s| s.as_str() == word)
    }
}

/// One accepted event and one destination. It is the operator's log, and what makes a delivery happen once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    pub id: DeliveryId,
    pub event: EventId,
    /// `issue.created`.
    pub event_name: String,
    pub installation: InstallationId,
    pub destination: DestinationName,
    /// Name of the route that gives its form.
    pub route: String,
    /// What the operator's list shows.
    pub title: String,
    pub state: DeliveryState,
    /// Tries begun.
    pub attempts: u32,
    pub next_try_at: Option<Timestamp>,
    pub last_status: Option<u16>,
    /// In the reader's words; without secrets and addresses.
    pub last_error: Option<String>,
    /// When `webhook` took the event.
    pub accepted_at: Timestamp,
    /// When it was sent, accepted or given up.
    pub ended_at: Option<Timestamp>,
    /// The message itself as it was on the queue, of a stuck delivery (failed or parked).
    pub message: Option<String>,
    /// The store forgets the record then (TTL).
    pub expires: Timestamp,
}

impl DeliveryRecord {
    /// In the sparse index `stuck`: `failed#{destination}` or `parked#{destination}`.
    pub fn stuck_for(&self) -> Option<String> {
        matches!(self.state, DeliveryState::Failed | DeliveryState::Parked)
            .then(|| format!("{}#{}", self.state.as_str(), self.destination))
    }
}

/// What a try may do with a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// `attempts` is counted up and stored; nobody else sends it now. The record as it is after that.
    Taken(DeliveryRecord),
    /// It is queued, but its next try is later.
    Early(Timestamp),
    /// It is not queued any more: the message is a leftover.
    Leftover(DeliveryState),
    /// No record: it was forgotten, or never made.
    Missing,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Sent { status: Option<u16> },
    Accepted { status: Option<u16> },
    Retry { at: Timestamp, status: Option<u16>, error: String },
    Failed { status: Option<u16>, error: String, message: Option<String> },
}

impl Outcome {
    /// Writes the outcome into the record: what every adapter stores by [`Deliveries::settle`].
    pub fn apply(self, record: &mut DeliveryRecord, now: Timestamp) {
        match self {
            Self::Sent { status } => record.end(DeliveryState::Sent, status, None, now),
            Self::Accepted { status } => record.end(DeliveryState::Accepted, status, None, now),
            Self::Retry { at, status, error } => {
                record.next_try_at = Some(at);
                record.last_status = status;
                record.last_error = Some(error);
            }
            Self::Failed { status, error, message } => {
                record.end(DeliveryState::Failed, status, Some(error), now);
                record.message = message;
            }
        }
    }
}

impl DeliveryRecord {
    fn end(&mut self, state: DeliveryState, status: Option<u16>, error: Option<String>, now: Timestamp) {
        self.state = state;
        self.last_status = status;
        self.last_error = error;
        self.ended_at = Some(now);
        self.next_try_at = None;
    }
}

/// What was accepted before under a key (`seen#{event}`, `last#{installation}#{issue}`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Of the content, where the key alone does not say it; else empty.
    pub digest: String,
    pub accepted_at: Timestamp,
}

/// The table of deliveries.
pub trait Deliveries: Send + Sync + 'static {
    /// Stores a new record; `Conflict` if there is one of that id already (which is left as it is).
    fn create(&self, record: &DeliveryRecord) -> impl Future<Output = Result<Written, StoreError>> + Send;

    fn read(&self, id: &DeliveryId) -> impl Future<Output = Result<Option<DeliveryRecord>, StoreError>> + Send;

    /// Begins a try: `attempts + 1` on the condition that the record is `queued` and its `next_try_at` is absent or
    /// at or before `now`.
    fn claim(&self, id: &DeliveryId, now: Timestamp) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// Ends the try that made `attempts` what it is, on the condition that the record is `queued` and `attempts`
    /// still the same.
    fn settle(
        &self,
        id: &DeliveryId,
        attempts: u32,
        outcome: Outcome,
        now: Timestamp,
    ) -> impl Future<Output = Result<Written, StoreError>> + Send;

    /// The newest records first, by `accepted_at`, at most `limit` and none accepted before `since`.
    fn recent(
        &self,
        since: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DeliveryRecord>, StoreError>> + Send;

    /// Ids of failed (or parked) deliveries of a destination, oldest `accepted_at` first.
    fn stuck(
        &self,
        destination: &DestinationName,
        state: DeliveryState,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DeliveryId>, StoreError>> + Send;

    /// A consistent read of a mark; `None` also if it expired at or before `now`.
    fn recall(&self, key: &str, now: Timestamp) -> impl Future<Output = Result<Option<Mark>, StoreError>> + Send;

    /// Stores a mark until `expires`, on the condition that what lies there is still `expected` (an expired one
    /// counts as `None`).
    fn mark(
        &self,
        key: &str,
        mark: &Mark,
        expected: Option<&Mark>,
        expires: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Result<Written, StoreError>> + Send;
}
