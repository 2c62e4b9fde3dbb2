//! What an adapter of a port must do, as suites that every adapter runs: on `SQLite` in virtual time, on `DynamoDB` Local
//! and an SQS stand-in in real time. Where a stand-in differs from AWS, AWS decides.
//!
//! A suite panics with a sentence that says which promise was broken. Ids are random, so that suites may run on stores
//! that others use; queues must be empty and their own.
//!
//! [`components`] is the suite of a whole bundle, wherever it runs.

mod components;
mod deliveries;
mod installations;
mod parking;
mod queue_full;
mod queue_sending;
mod random;
mod secrets;
mod settings;
mod threads;
mod time;

pub use components::{At, ComponentsSetting, DESTINATIONS, components, issue_link};
pub use deliveries::deliveries;
pub use installations::installations;
pub use queue_full::queue_full;
pub use queue_sending::queue_sending;
pub use secrets::{ExpectedSecrets, secrets};
pub use settings::settings;
pub use time::{TestClock, Time};
