//! A grant code is exchanged once, though the browser and `installation.created` race for it and the user clicks twice.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{Keeper, KeeperError, Renewal};
use crate::ids::InstallationId;
use crate::ports::{Clock, Installation, Platform, Status};
use crate::sentry::{AppCredentials, TokenError};

/// One call of the token endpoint where nobody waits: slow good answers exist.
pub(crate) const TOKEN_TIMEOUT: Duration = Duration::from_secs(20);
/// One verify call.
pub(crate) const VERIFY_TIMEOUT: Duration = Duration::from_secs(8);

/// Who waits for somebody else's install looks for it this often.
const STEP: Duration = Duration::from_millis(200);

/// How much time there is for an install.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// The function's own end.
    pub deadline: Timestamp,
    /// No exchange is begun with less left.
    pub least_for_exchange: Duration,
    pub token_timeout: Duration,
    pub verify_timeout: Duration,
}

impl Budget {
    /// For a browser behind the gateway, which ends at 30 s: 28 s from `began`.
    pub fn browser(began: Timestamp) -> Self {
        Self {
            deadline: began + Duration::from_secs(28),
            least_for_exchange: Duration::from_secs(24),
            token_timeout: Duration::from_secs(15),
            verify_timeout: VERIFY_TIMEOUT,
        }
    }

    /// Where nobody waits; the function ends at `deadline`.
    pub fn background(deadline: Timestamp) -> Self {
        Self {
            deadline,
            least_for_exchange: Duration::from_secs(25),
            token_timeout: TOKEN_TIMEOUT,
            verify_timeout: VERIFY_TIMEOUT,
        }
    }

    /// How much time is left.
    pub(super) fn left(&self, now: Timestamp) -> Duration {
        Duration::try_from(self.deadline.duration_since(now)).unwrap_or_default()
    }

    pub fn allows_exchange(&self, now: Timestamp) -> bool {
        now + self.least_for_exchange <= self.deadline
    }
}

/// How an install ended.
#[derive(Debug)]
pub enum Install {
    /// By this very call.
    Installed(Installation),
    /// Tokens are stored already.
    Already(Installation),
    /// Somebody else is exchanging until then.
    Held(Timestamp),
    /// A tombstone: a new install has a new UUID.
    Removed,
    /// The code is used, wrong or expired, or not this app's.
    CodeRefused,
    /// Sentry gave no answer that says anything about the code.
    NotNow(TokenError),
    NoTime,
}

impl<P: Platform> Keeper<P> {
    /// Exchanges `code` unless tokens are stored or somebody else is at it, stores them, and tells Sentry.
    pub async fn install(
        &self,
        id: InstallationId,
        code: &SecretString,
        budget: Budget,
    ) -> Result<Install, KeeperError> {
        if !budget.allows_exchange(self.now()) {
            return Ok(Install::NoTime);
        }
        // Before the lease: nothing may be left half done for want of a secret.
        let credentials = AppCredentials::from(&*self.app().await?);
        let mut found = None;
        let leased = self
            .update(id, |row, now| {
                let is_open = row.status != Status::Removed && row.tokens.is_none();
                let was_absent = row.version == 0;
                if is_open && row.lease(now) {
                    if was_absent {
                        row.seen_without_tokens(now);
                        row.heal_after = None;
                    }
                    return Some(was_absent);
                }
                found = Some(row.clone());
                None
            })
            .await?;
        let Some((_, was_absent)) = leased else {
            return match found {
                Some(row) if row.status == Status::Removed => Ok(Install::Removed),
                Some(row) if row.tokens.is_some() => Ok(Install::Already(self.finish(row, budget).await?)),
                Some(Installation { lease_until: Some(until), .. }) => Ok(Install::Held(until)),
                _ => Err(KeeperError::Contended),
            };
        };
        let code = code.expose_secret();
        let mut answer = self.sentry().exchange(id, code, &credentials, budget.token_timeout).await;
        if matches!(answer, Err(TokenError::BadCredentials)) && budget.allows_exchange(self.now()) {
            // Perhaps rotated since it was read.
            let fresh = AppCredentials::from(&*self.fresh_app().await?);
            if fresh.client_secret.expose_secret() != credentials.client_secret.expose_secret() {
                answer = self.sentry().exchange(id, code, &fresh, budget.token_timeout).await;
            }
        }
        let granted = match answer {
            Ok(granted) => granted,
            Err(error) => {
                let failed = self.exchange_failed(id, error, was_absent).await?;
                // Perhaps used up by an earlier exchange whose answer was lost: then a manual refresh works.
                let may_be_lost = matches!(failed, Install::CodeRefused) && !was_absent;
                if may_be_lost
                    && budget.left(self.now()) > budget.token_timeout
                    && let Renewal::Renewed(row, _) = self.renew(id, budget.token_timeout).await?
                {
                    return Ok(Install::Installed(self.finish(*row, budget).await?));
                }
                return Ok(failed);
            }
        };
        match self.store(id, granted, false).await? {
            Renewal::Renewed(row, _) => Ok(Install::Installed(self.finish(*row, budget).await?)),
            _ => Ok(Install::Removed),
        }
    }

    /// Verifies what is stored, if that was not done yet. A failure is `refresh`'s to repeat.
    async fn finish(&self, row: Installation, budget: Budget) -> Result<Installation, KeeperError> {
        let Some(sealed) = row.tokens.as_ref().filter(|_| row.verified_at.is_none()) else { return Ok(row) };
        let timeout = budget.verify_timeout.min(budget.left(self.now()));
        let tokens = self.open(row.id, sealed).await?;
        if let Err(error) = self.verify(row.id, &tokens.access, timeout).await? {
            tracing::warn!(installation.id = %row.id, "the install is not verified yet, it is tried again: {}", crate::telemetry::chain(&error));
        }
        Ok(self.read(row.id).await?.unwrap_or(row))
    }

    async fn exchange_failed(
        &self,
        id: InstallationId,
        error: TokenError,
        was_absent: bool,
    ) -> Result<Install, KeeperError> {
        let is_refusal = matches!(
            error,
            TokenError::Refused { .. }
                | TokenError::BadCredentials
                | TokenError::Gone
                | TokenError::WrongAddress { .. }
        );
        let mut stored = None;
        self.update(id, |row, now| {
            if row.tokens.is_some() || row.status == Status::Removed {
                stored = Some(row.clone());
                return None;
            }
            if is_refusal && was_absent {
                // Anybody can send a browser here: what is not of this app leaves nothing behind.
                row.forget(now);
            } else {
                row.lease_until = None;
                // The code may be used up, by this call or by one before it whose answer was lost: the manual refresh
                // finds out.
                row.due_at = (error.maybe_committed() || is_refusal).then_some(now);
            }
            Some(())
        })
        .await?;
        tracing::warn!(installation.id = %id, "the code was not exchanged: {}", crate::telemetry::chain(&error));
        Ok(match (stored, is_refusal) {
            (Some(row), _) if row.status == Status::Removed => Install::Removed,
            (Some(row), _) => Install::Already(row),
            (None, true) if matches!(error, TokenError::Refused { .. } | TokenError::Gone) => Install::CodeRefused,
            (None, _) => Install::NotNow(error),
        })
    }

    /// Waits until somebody else's exchange has ended, at most until `until`.
    pub async fn wait_for_tokens(
        &self,
        id: InstallationId,
        until: Timestamp,
    ) -> Result<Option<Installation>, KeeperError> {
        loop {
            match self.read(id).await? {
                Some(row) if row.tokens.is_some() || row.status == Status::Removed => return Ok(Some(row)),
                Some(row) if row.lease_until.is_some_and(|lease| lease > self.now()) && self.now() < until => {
                    self.platform.clock().sleep(STEP).await;
                }
                _ => return Ok(None),
            }
        }
    }

    /// Waits until what somebody else has just stored is verified, which tells where in Sentry to go back to: as long as
    /// that may take, and not longer than `until`.
    pub async fn wait_for_verify(&self, mut row: Installation, until: Timestamp) -> Result<Installation, KeeperError> {
        let until = until.min(self.now() + VERIFY_TIMEOUT);
        while row.verified_at.is_none() && row.status != Status::Removed && self.now() < until {
            self.platform.clock().sleep(STEP).await;
            row = self.read(row.id).await?.unwrap_or(row);
        }
        Ok(row)
    }
}
