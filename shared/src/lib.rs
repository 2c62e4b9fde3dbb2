//! What all functions share: signatures, payloads, installations, routing, destinations, and the ports to the
//! outside. No AWS SDK and no SQLite here: those are the adapters' crates.

pub mod alert_rule;
pub mod batch;
pub mod components;
pub mod deliver;
pub mod delivery;
pub mod destinations;
pub mod dispatch;
pub mod envelope;
pub mod events;
mod gateway;
pub mod ids;
pub mod installation;
mod look_up;
pub mod message;
pub mod names;
pub mod normalized;
pub mod outgoing;
mod page;
pub mod payload;
pub mod ports;
pub mod refresh;
mod repeats;
pub mod requirements;
pub mod resend;
pub mod routes_in_force;
pub mod routing;
pub mod sealing;
pub mod secrets;
pub mod sentry;
pub mod setup;
pub mod signature;
pub mod stacktrace;
pub mod telemetry;
pub mod templates;
pub mod tickets;
pub mod trackers;
pub mod webhook;
pub mod wire;

/// An error of somebody else's library, kept as a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
