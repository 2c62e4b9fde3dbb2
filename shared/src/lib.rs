//! What all functions share: signatures, payloads, installations, routing, destinations, and the ports to the
//! outside. No AWS SDK and no SQLite here: those are the adapters' crates.

pub mod ids;
pub mod ports;

/// An error of somebody else's library, kept as a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
