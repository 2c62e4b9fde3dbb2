//! What all functions share: signatures, payloads, installations, routing, destinations, and the ports to the
//! outside. No AWS SDK and no SQLite here: those are the adapters' crates.

pub mod destinations;
pub mod ids;
pub mod normalized;
pub mod outgoing;
pub mod payload;
pub mod ports;
pub mod routing;
pub mod sealing;
pub mod sentry;

/// An error of somebody else's library, kept as a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
