//! What the code needs from the outside, as traits. `shared-aws` has them on DynamoDB, SQS and Secrets Manager,
//! `shared-embedded` on one SQLite file; `shared-conformance` has the suite that both pass.
//!
//! Nothing above the ports reads the clock, sleeps, draws chance or opens a connection by itself.

mod bus;
mod clock;
mod deliveries;
mod installations;
mod outgoing;
mod queue;
mod secrets;
mod settings;

pub use bus::{BusError, BusEvent, EventBus, NO_BUS, NoBus};
pub use clock::{Chance, Clock, SystemChance, SystemClock};
pub use deliveries::{
    Circuit, Claim, Deliveries, DeliveryRecord, DeliveryState, DestinationHealth, Failure, Mark, Outcome, Parking,
    Stuck, ThreadKey,
};
pub use installations::{Installation, Installations, Sealed, Status};
pub use outgoing::{CallError, Outgoing, Policy};
pub use queue::{Consume, MAX_VISIBILITY, Message, Queue, QueueError, Received};
pub use secrets::{Secret, SecretVersion, Secrets, SecretsError, Stage};
pub use settings::{Settings, StoredRoutes};

use crate::BoxError;

/// A store that did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It may work later: the network, throttling, a full disk.
    #[error("the {store} store does not answer")]
    Unavailable {
        store: &'static str,
        #[source]
        source: BoxError,
    },
    /// What lies there cannot be read: an attribute is missing or of another type. Says which, never its value.
    #[error("a row of the {store} store cannot be read: {what}")]
    Corrupt { store: &'static str, what: String },
}

/// How a conditional write ended.
#[must_use = "a write that lost its race has changed nothing"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Done,
    /// Somebody else was there first; read again.
    Conflict,
}

/// All ports together, so that what stands above them has one type parameter. A function that has no right to a
/// port (see the policies in `template.yaml`) never calls it.
pub trait Platform: Send + Sync + 'static {
    type Installations: Installations;
    type Deliveries: Deliveries;
    type Settings: Settings;
    type Queue: Queue;
    type Secrets: Secrets;
    type Clock: Clock;
    type Chance: Chance;
    type Outgoing: Outgoing;
    type Bus: EventBus;

    fn installations(&self) -> &Self::Installations;
    fn deliveries(&self) -> &Self::Deliveries;
    fn settings(&self) -> &Self::Settings;
    /// `events.fifo`: what `webhook` accepted and `dispatch` has not routed yet.
    fn events(&self) -> &Self::Queue;
    /// `deliveries.fifo`: one message a delivery, for `deliver`.
    fn outbox(&self) -> &Self::Queue;
    fn secrets(&self) -> &Self::Secrets;
    fn clock(&self) -> &Self::Clock;
    fn chance(&self) -> &Self::Chance;
    fn outgoing(&self) -> &Self::Outgoing;
    /// Event buses, for the destinations that are one.
    fn bus(&self) -> &Self::Bus;
}
