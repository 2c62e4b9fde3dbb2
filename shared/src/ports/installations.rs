//! Where installations are kept: one row each, found by its UUID.

use jiff::Timestamp;

use super::{StoreError, Written};
use crate::ids::InstallationId;

/// Where an installation stands. `installation::life` says how it moves between these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Known, but without tokens yet.
    Installing,
    /// Has tokens, or a permanent one from the `app` secret.
    Active,
    /// Only a person can help: tokens are lost and cannot be won back for now. Events are still routed.
    NeedsReinstall,
    /// Uninstalled: a tombstone without tokens, so that a late message cannot bring it back.
    Removed,
}

impl Status {
    /// The word in the table and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Installing => "installing",
            Self::Active => "active",
            Self::NeedsReinstall => "needs-reinstall",
            Self::Removed => "removed",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Installing, Self::Active, Self::NeedsReinstall, Self::Removed].into_iter().find(|s| s.as_str() == word)
    }
}

/// A token pair under the token key: see [`crate::sealing`]. Opaque to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

/// One row. Instants are UTC with milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    pub id: InstallationId,
    pub status: Status,
    /// Slug of the organization, from the verify call's answer; never from the redirect's query.
    pub organization: Option<String>,
    /// Slug of the app, from the verify call's answer.
    pub app: Option<String>,
    pub tokens: Option<Sealed>,
    /// When the access token dies.
    pub expires_at: Option<Timestamp>,
    /// When `refresh` must next look: renewal, unfinished verify, retry, second 404. In the sparse index `due`.
    pub due_at: Option<Timestamp>,
    /// Optimistic lock: what [`Installations::write`] must find there. 0 = not stored yet.
    pub version: u64,
    /// Somebody is exchanging or renewing until then.
    pub lease_until: Option<Timestamp>,
    pub verified_at: Option<Timestamp>,
    /// The JWT grant has worked here, so the refresh token is not needed any more.
    pub manual_refresh_worked: bool,
    /// Refusals (401, 403) of the token endpoint in a row.
    pub refusals: u32,
    /// When the token endpoint first said 404.
    pub gone_since: Option<Timestamp>,
    /// Not to be won back before then.
    pub heal_after: Option<Timestamp>,
    /// When a webhook of it was first taken while it had no token.
    pub first_seen: Option<Timestamp>,
    /// The store forgets the row then (TTL). A row past it counts as absent although it may still lie there.
    pub expires: Option<Timestamp>,
}

impl Installation {
    /// A row that is not stored yet.
    pub fn new(id: InstallationId) -> Self {
        Self {
            id,
            status: Status::Installing,
            organization: None,
            app: None,
            tokens: None,
            expires_at: None,
            due_at: None,
            version: 0,
            lease_until: None,
            verified_at: None,
            manual_refresh_worked: false,
            refusals: 0,
            gone_since: None,
            heal_after: None,
            first_seen: None,
            expires: None,
        }
    }
}

/// The table of installations.
pub trait Installations: Send + Sync + 'static {
    /// A consistent read. A row whose `expires` is at or before `now` is absent.
    fn read(
        &self,
        id: InstallationId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Installation>, StoreError>> + Send;

    /// Stores `row` with `version + 1`, if the stored version is still `row.version` (0: no row there, or an expired
    /// one). Durable when `Done`.
    fn write(&self, row: &Installation, now: Timestamp) -> impl Future<Output = Result<Written, StoreError>> + Send;

    /// Up to `limit` ids whose `due_at` is at or before `now`, the longest due first. May lag behind the rows: what
    /// is done with one is decided by the row.
    fn due(&self, now: Timestamp, limit: usize)
    -> impl Future<Output = Result<Vec<InstallationId>, StoreError>> + Send;
}
