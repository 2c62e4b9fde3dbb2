//! Where the routes in force are kept.

use std::time::Duration;

use jiff::Timestamp;

use super::{StoreError, Written};

/// The routes file as it was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRoutes {
    /// The file's own text, TOML.
    pub text: String,
    /// Counts pushes, from 1.
    pub version: u64,
    pub pushed_at: Timestamp,
}

/// The table of settings; item `routes`.
pub trait Settings: Send + Sync + 'static {
    /// How old the knowledge of the version may be, for those who keep compiled routes.
    fn ask_again_after(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// The version alone: cheap enough to be asked that often. `None`: nothing was ever pushed.
    fn routes_version(&self) -> impl Future<Output = Result<Option<u64>, StoreError>> + Send;

    fn routes(&self) -> impl Future<Output = Result<Option<StoredRoutes>, StoreError>> + Send;

    /// Stores `text` as version `expected + 1`, if the stored version is still `expected` (0: nothing there).
    fn put_routes(
        &self,
        text: &str,
        expected: u64,
        now: Timestamp,
    ) -> impl Future<Output = Result<Written, StoreError>> + Send;
}
