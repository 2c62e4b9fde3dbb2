//! The ports of [`shared::ports`] on one `SQLite` file, for `dev` and `serve`: tables and both queues.
//!
//! What is answered with `Ok` is on the disk (WAL, `synchronous=FULL`). One thread owns the writing connection and
//! commits whatever waits for it together, so that the price of reaching the disk is paid once for many events: see
//! [`Store`]. `serve` and `dev` hold the data folder by [`Lock`]; other commands open the file beside them.

mod database;
mod deliveries;
mod installations;
mod lock;
mod platform;
mod queue;
mod rows;
mod schema;
mod secrets;
mod settings;
mod store;
mod token_key;

pub use deliveries::SqliteDeliveries;
pub use installations::SqliteInstallations;
pub use lock::{Lock, LockError, is_served};
pub use platform::EmbeddedPlatform;
pub use queue::{DeadLetter, SqliteQueue};
pub use secrets::{EnvSecrets, SecretsFileError};
pub use settings::SqliteSettings;
pub use store::{OpenError, Store, TakenOver};
pub use token_key::{TokenKeyError, token_key_file};
