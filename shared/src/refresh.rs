//! `refresh`: looks after the installations that are due: renewal, unfinished verify, retry, second 404. Bounded, and
//! it stops before its own deadline; what it had no time for is still due at the next tick.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::ids::InstallationId;
use crate::installation::life::Fate;
use crate::installation::{Keeper, KeeperError, Renewal, TOKEN_TIMEOUT, VERIFY_TIMEOUT};
use crate::ports::{Clock, Installations, Platform, Status, StoreError};
use crate::sentry::{ApiError, BaseUrl, TokenError};
use crate::telemetry::chain;

/// Token endpoint calls at the same time.
const CONCURRENCY: usize = 50;
/// Read from the index at once.
const PAGE: usize = 500;
/// No installation is begun with less left: two grants of 20 s and a verify of 8 s, each at its slowest.
const LEAST_TIME: Duration = Duration::from_secs(50);
/// From this many answers on, a tick of nothing but 404s means that the base URL is wrong.
const SUSPICIOUS: usize = 3;

pub struct Refresh<P: Platform> {
    platform: Arc<P>,
    keeper: Keeper<P>,
}

/// What a tick did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tick {
    pub renewed: usize,
    pub failed: usize,
    pub removed: usize,
    /// Due, but not begun for want of time.
    pub left_over: usize,
}

/// What became of one installation.
enum Looked {
    Renewed,
    Fine,
    Failed,
    /// The API did not take the token.
    Refused,
    /// The first 404.
    GonePerhaps,
    /// The second one: to be removed, if the tick as a whole is credible.
    Gone,
    NoTime,
}

impl<P: Platform> Refresh<P>
where
    P::Secrets: Clone,
    P::Clock: Clone,
{
    pub fn new(platform: Arc<P>, base_url: BaseUrl) -> Self {
        let keeper = Keeper::new(Arc::clone(&platform), base_url);
        Self { platform, keeper }
    }
}

impl<P: Platform> Refresh<P> {
    /// One tick, until `deadline`.
    pub async fn tick(&self, deadline: Timestamp) -> Result<Tick, StoreError> {
        let mut tick = Tick::default();
        let mut gone = Vec::new();
        let (mut answers, mut not_found) = (0, 0);
        loop {
            let due = self.platform.installations().due(self.platform.clock().now(), PAGE).await?;
            let full_page = due.len() == PAGE;
            // Whatever stays due after it was looked at (a store that lags, an error) waits for the next tick.
            let mut changed = 0;
            let mut looked = futures::stream::iter(due)
                .map(|id| async move { (id, self.look_after(id, deadline).await) })
                .buffer_unordered(CONCURRENCY);
            while let Some((id, result)) = looked.next().await {
                let looked = match result {
                    Ok(looked) => looked,
                    Err(error) => {
                        tracing::error!(installation.id = %id, "{}", chain(&error));
                        tick.failed += 1;
                        continue;
                    }
                };
                if !matches!(looked, Looked::NoTime | Looked::Fine) {
                    answers += 1;
                    changed += 1;
                }
                match looked {
                    Looked::Renewed => tick.renewed += 1,
                    Looked::Fine => {}
                    Looked::Failed | Looked::Refused => tick.failed += 1,
                    Looked::NoTime => tick.left_over += 1,
                    Looked::GonePerhaps => {
                        not_found += 1;
                        tick.failed += 1;
                    }
                    Looked::Gone => {
                        not_found += 1;
                        gone.push(id);
                    }
                }
            }
            if !full_page || tick.left_over > 0 || changed == 0 {
                break;
            }
        }
        if answers >= SUSPICIOUS && not_found == answers {
            tracing::error!(
                answers,
                "every answer of the token endpoint was 404: nothing is removed; check SENTRY_BASE_URL"
            );
            tick.failed += gone.len();
            return Ok(tick);
        }
        for id in gone {
            match self.keeper.remove(id).await {
                Ok(()) => tick.removed += 1,
                Err(error) => tracing::error!(installation.id = %id, "{}", chain(&error)),
            }
        }
        Ok(tick)
    }

    async fn look_after(&self, id: InstallationId, deadline: Timestamp) -> Result<Looked, KeeperError> {
        let now = self.platform.clock().now();
        if now + LEAST_TIME > deadline {
            return Ok(Looked::NoTime);
        }
        // The index lags: the row decides.
        let Some(row) = self.keeper.read(id).await? else { return Ok(Looked::Fine) };
        if row.status == Status::Removed || row.due_at.is_none_or(|at| at > now) {
            return Ok(Looked::Fine);
        }
        if row.tokens.is_none()
            && let Some(token) = self.keeper.permanent_token().await?
        {
            // There is nothing to renew; at most a verify is unfinished.
            return Ok(self.verify(id, &token).await?.unwrap_or(Looked::Fine));
        }
        let mut token = None;
        if row.wants_renewal(now) {
            match self.renew(id).await? {
                Ok(renewed) => token = Some(renewed),
                Err(looked) => return Ok(looked),
            }
        }
        let done = if token.is_some() { Looked::Renewed } else { Looked::Fine };
        if row.verified_at.is_some() {
            return Ok(done);
        }
        if let Some(token) = token {
            return Ok(self.verify(id, &token).await?.unwrap_or(done));
        }
        let Some(stored) = self.keeper.stored_token(id).await? else { return Ok(done) };
        match self.verify(id, &stored).await? {
            // Renewed by a call whose answer was lost: the stored token is dead.
            Some(Looked::Refused) => match self.renew(id).await? {
                Ok(token) => Ok(self.verify(id, &token).await?.unwrap_or(Looked::Renewed)),
                Err(looked) => Ok(looked),
            },
            looked => Ok(looked.unwrap_or(done)),
        }
    }

    /// A new token, or what else became of it.
    async fn renew(&self, id: InstallationId) -> Result<Result<SecretString, Looked>, KeeperError> {
        match self.keeper.renew(id, TOKEN_TIMEOUT).await? {
            Renewal::Renewed(_, tokens) => Ok(Ok(tokens.access)),
            Renewal::Held(_) | Renewal::Removed => Ok(Err(Looked::Fine)),
            Renewal::Failed(error, fate) => {
                tracing::warn!(installation.id = %id, "not renewed: {}", chain(&error));
                Ok(Err(match (error, fate) {
                    (_, Fate::Gone) => Looked::Gone,
                    (TokenError::Gone, _) => Looked::GonePerhaps,
                    _ => Looked::Failed,
                }))
            }
        }
    }

    /// `None` once there is nothing left to do.
    async fn verify(&self, id: InstallationId, token: &SecretString) -> Result<Option<Looked>, KeeperError> {
        let Err(error) = self.keeper.verify(id, token, VERIFY_TIMEOUT).await? else { return Ok(None) };
        tracing::warn!(installation.id = %id, "not verified, it is tried again: {}", chain(&error));
        Ok(match error {
            ApiError::NotFound | ApiError::Forbidden => None,
            ApiError::TokenExpiredOrInvalid => Some(Looked::Refused),
            _ => Some(Looked::Failed),
        })
    }
}
