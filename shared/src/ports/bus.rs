//! Event buses of AWS (`EventBridge`).

use crate::BoxError;

/// One entry of `PutEvents`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusEvent {
    /// Name or ARN of the bus.
    pub bus: String,
    /// That of the process unless set.
    pub region: Option<String>,
    /// Scheme, host and port to call instead of AWS's.
    pub base_url: Option<String>,
    /// Must not begin with `aws.`.
    pub source: String,
    pub detail_type: String,
    /// A JSON object.
    pub detail: String,
    pub time: jiff::Timestamp,
}

/// What is told of a destination that needs a bus, where there is none.
pub const NO_BUS: &str = "`eventbridge` needs AWS: a build with the feature `aws`, and a region in AWS_REGION";

/// The text stands in the delivery record.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Throttling, 5xx, no answer: it may work later.
    #[error("the event bus does not answer: {0}")]
    Unavailable(#[source] BoxError),
    /// This entry is refused; another one may be taken.
    #[error("the event bus refused it with {code}: {reason}")]
    Refused { code: String, reason: String },
    /// Every entry would be: no such bus, no permission.
    #[error("the event bus refuses everything with {code}: {reason}")]
    Shut { code: String, reason: String },
    /// See [`EventBus::is_available`].
    #[error("{NO_BUS}")]
    NotInThisBuild,
}

pub trait EventBus: Send + Sync + 'static {
    /// Whether it can put at all: else a routes file that wants it is refused at the start.
    fn is_available(&self) -> bool {
        true
    }

    /// Puts one entry. `Ok` once the bus has it.
    fn put(&self, event: BusEvent) -> impl Future<Output = Result<(), BusError>> + Send;
}

/// Where no AWS is.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBus;

impl EventBus for NoBus {
    fn is_available(&self) -> bool {
        false
    }

    async fn put(&self, _event: BusEvent) -> Result<(), BusError> {
        Err(BusError::NotInThisBuild)
    }
}
