//! Where deliveries are recorded, and what was accepted before.

use jiff::Timestamp;

use super::{StoreError, Written};
use crate::destinations::kind::Thread;
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
    /// None for the bundle's own events that are about no installation.
    pub installation: Option<InstallationId>,
    pub destination: DestinationName,
    /// Name of the route that gives its form.
    pub route: String,
    /// Its group on `deliveries.fifo`: what keeps one issue in order. Parked ones of one group are sent in order too.
    pub group: String,
    /// What the operator's list shows.
    pub title: String,
    pub state: DeliveryState,
    /// Tries begun.
    pub attempts: u32,
    pub next_try_at: Option<Timestamp>,
    pub last_status: Option<u16>,
    /// In the reader's words; without secrets and addresses.
    pub last_error: Option<String>,
    /// The beginning of the last answer's body where that answer was no success: text, at most 2 kB, without secrets.
    pub last_answer: Option<String>,
    /// What went otherwise than the routes file wants, although it was sent: a template that failed.
    pub warning: Option<String>,
    /// When `webhook` took the event.
    pub accepted_at: Timestamp,
    /// When it was sent, accepted or given up.
    pub ended_at: Option<Timestamp>,
    /// The delivery itself ([`crate::delivery::Delivery::to_json`]) of a stuck one (failed or parked).
    pub message: Option<String>,
    /// The store forgets the record then (TTL); not while it is parked.
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

/// How a try ended, or that there was none because the destination is not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Sent {
        status: Option<u16>,
        warning: Option<String>,
    },
    Accepted {
        status: Option<u16>,
        warning: Option<String>,
    },
    Retry {
        at: Timestamp,
        failure: Failure,
    },
    Failed {
        failure: Failure,
        message: Option<String>,
    },
    /// Put aside until its destination is open again, or put back there.
    Parked(Parking),
}

/// What a failed try left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    pub status: Option<u16>,
    pub error: String,
    /// See [`DeliveryRecord::last_answer`].
    pub answer: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parking {
    /// Of the try that ended so; `None` if it was not tried.
    pub failure: Option<Failure>,
    /// See [`DeliveryRecord::message`]; `None` leaves what is there.
    pub message: Option<String>,
    /// Not to be sent before then, once its destination is back.
    pub next_try_at: Option<Timestamp>,
    /// It was a probe, which counts as no try: `attempts` is what it was before.
    pub probe: bool,
}

impl Outcome {
    /// Writes the outcome into the record: what every adapter stores by [`Deliveries::settle`].
    pub fn apply(self, record: &mut DeliveryRecord, now: Timestamp) {
        match self {
            Self::Sent { status, warning } => record.end(DeliveryState::Sent, status, warning, now),
            Self::Accepted { status, warning } => record.end(DeliveryState::Accepted, status, warning, now),
            Self::Retry { at, failure } => {
                record.failed_with(failure);
                record.next_try_at = Some(at);
            }
            Self::Failed { failure, message } => {
                record.failed_with(failure);
                record.state = DeliveryState::Failed;
                record.ended_at = Some(now);
                record.next_try_at = None;
                record.message = message.or_else(|| record.message.take());
            }
            Self::Parked(parking) => {
                if let Some(failure) = parking.failure {
                    record.failed_with(failure);
                }
                if parking.probe {
                    record.attempts = record.attempts.saturating_sub(1);
                }
                record.state = DeliveryState::Parked;
                record.next_try_at = parking.next_try_at;
                record.message = parking.message.or_else(|| record.message.take());
            }
        }
    }
}

impl DeliveryRecord {
    fn end(&mut self, state: DeliveryState, status: Option<u16>, warning: Option<String>, now: Timestamp) {
        self.state = state;
        self.last_status = status;
        self.last_error = None;
        self.last_answer = None;
        self.warning = warning;
        self.ended_at = Some(now);
        self.next_try_at = None;
        self.message = None;
    }

    fn failed_with(&mut self, failure: Failure) {
        self.last_status = failure.status;
        self.last_error = Some(failure.error);
        self.last_answer = failure.answer;
    }

    /// Begins anew after a dead letter, as a `resend` wants it.
    pub fn begin_anew(&mut self) {
        self.state = DeliveryState::Queued;
        self.attempts = 0;
        self.next_try_at = None;
        self.ended_at = None;
    }
}

/// Whether a destination is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Circuit {
    #[default]
    Open,
    /// Nothing is sent but a probe now and then; all else is parked.
    Paused,
    /// A probe went through: what was parked is sent, oldest first, and what comes meanwhile is parked behind it.
    Draining,
}

impl Circuit {
    /// The word in the table and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Open, Self::Paused, Self::Draining].into_iter().find(|state| state.as_str() == word)
    }
}

/// How a destination does: the row `destination#{name}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationHealth {
    pub name: DestinationName,
    pub state: Circuit,
    /// Tries in a row that failed through the destination's own trouble; while it is paused, failed probes.
    pub failures: u32,
    /// While it is paused: not to be probed before then. While it drains: when the probe that went through was due.
    pub probe_at: Option<Timestamp>,
    /// A tick looks after it until then.
    pub lease_until: Option<Timestamp>,
    /// Since when it is not open.
    pub since: Option<Timestamp>,
    /// Why it was paused, in the reader's words.
    pub reason: Option<String>,
    /// Deliveries parked for it. Counted by [`Deliveries::settle`] alone: [`Deliveries::write_destination`] leaves it.
    pub parked: u64,
    /// Optimistic lock; 0 = no row yet.
    pub version: u64,
}

impl DestinationHealth {
    /// That of a destination nobody has heard of: open.
    pub fn new(name: DestinationName) -> Self {
        Self {
            name,
            state: Circuit::Open,
            failures: 0,
            probe_at: None,
            lease_until: None,
            since: None,
            reason: None,
            parked: 0,
            version: 0,
        }
    }
}

/// A stuck delivery, as the index has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    pub id: DeliveryId,
    pub accepted_at: Timestamp,
}

/// Whose message or ticket belongs to which issue: `thread#{owner}#{installation}#{issue}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadKey {
    /// Name of the destination or tracker.
    pub owner: String,
    pub installation: InstallationId,
    /// Issue id, digits.
    pub issue: String,
}

impl std::fmt::Display for ThreadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "thread#{}#{}#{}", self.owner, self.installation, self.issue)
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
    /// at or before `now`. With `resend`, the instant at which an operator asked for it, a record that `failed` before
    /// that instant is taken too and [begins anew](DeliveryRecord::begin_anew).
    fn claim(
        &self,
        id: &DeliveryId,
        resend: Option<Timestamp>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// Begins a try of a parked one: `attempts + 1` on the condition that it is `parked` and due. `probe`: due or not.
    fn claim_parked(
        &self,
        id: &DeliveryId,
        probe: bool,
        now: Timestamp,
    ) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// Ends the try that made `attempts` what it is, on the condition that the record is `queued` or `parked` and
    /// `attempts` still the same. What becomes parked needs a destination that is not open, in the same transaction
    /// that adds 1 to the destination's `parked`; what ends a parking takes 1 off. `Conflict` changes nothing.
    fn settle(
        &self,
        id: &DeliveryId,
        attempts: u32,
        outcome: Outcome,
        now: Timestamp,
    ) -> impl Future<Output = Result<Written, StoreError>> + Send;

    /// A consistent read; one that nobody has heard of is open.
    fn destination(&self, name: &DestinationName)
    -> impl Future<Output = Result<DestinationHealth, StoreError>> + Send;

    /// Stores `row` with `version + 1`, if the stored version is still `row.version`; all but `parked`. `open` needs
    /// besides that nothing is parked any more. `Conflict` changes nothing.
    fn write_destination(&self, row: &DestinationHealth) -> impl Future<Output = Result<Written, StoreError>> + Send;

    /// All destinations that are not open, by name. May lag behind the rows.
    fn not_open(&self) -> impl Future<Output = Result<Vec<DestinationName>, StoreError>> + Send;

    /// What was learned; `None` also if it expired at or before `now`.
    fn thread(
        &self,
        key: &ThreadKey,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Thread>, StoreError>> + Send;

    /// Stores what was learned, or with `None` forgets it.
    fn put_thread(
        &self,
        key: &ThreadKey,
        thread: Option<&Thread>,
        expires: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The newest records first, by `accepted_at`, at most `limit` and none accepted before `since`.
    fn recent(
        &self,
        since: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DeliveryRecord>, StoreError>> + Send;

    /// Failed (or parked) deliveries of a destination, oldest `accepted_at` first, beginning after `after`. May lag
    /// behind the records.
    fn stuck(
        &self,
        destination: &DestinationName,
        state: DeliveryState,
        after: Option<&Stuck>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Stuck>, StoreError>> + Send;

    /// The destinations that have failed deliveries, by name. For an operator's command: it may read all of an index,
    /// which no function does. May lag behind the records.
    fn with_failed(&self) -> impl Future<Output = Result<Vec<DestinationName>, StoreError>> + Send;

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
