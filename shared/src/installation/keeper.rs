//! What is done to installations: renewing, winning back, verifying, removing.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::life::Fate;
use crate::ids::InstallationId;
use crate::ports::{
    Chance, Clock, Installation, Installations, Platform, Sealed, Secret, Secrets, Stage, Status, StoreError, Written,
};
use crate::sealing::{self, SealError, TokenKey, TokenPair};
use crate::secrets::{App, AppSecrets, SecretError};
use crate::sentry::{ApiError, AppCredentials, BaseUrl, Client, Granted, TokenError, Verified};

/// Tries of a read-modify-write before the store is called unavailable.
const WRITE_TRIES: usize = 20;

/// Looks after installations. Cheap to share; keeps the `app` secret and the token keys in memory.
pub struct Keeper<P: Platform> {
    pub(super) platform: Arc<P>,
    pub(super) base_url: BaseUrl,
    app: AppSecrets<P::Secrets, P::Clock>,
    keys: tokio::sync::Mutex<Vec<TokenKey>>,
}

/// Nothing could be done. The text is the log line.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the tokens cannot be opened: {0}")]
    Seal(#[from] SealError),
    #[error("the row of this installation is changed by too many at once")]
    Contended,
}

/// How a renewal ended.
#[derive(Debug)]
pub enum Renewal {
    Renewed(Box<Installation>, TokenPair),
    /// Somebody else is at it until then.
    Held(Timestamp),
    Failed(TokenError, Fate),
    /// Uninstalled meanwhile, or never stored.
    Removed,
}

impl<P: Platform> Keeper<P>
where
    P::Secrets: Clone,
    P::Clock: Clone,
{
    pub fn new(platform: Arc<P>, base_url: BaseUrl) -> Self {
        let app = AppSecrets::new(platform.secrets().clone(), platform.clock().clone());
        Self { platform, base_url, app, keys: tokio::sync::Mutex::default() }
    }
}

impl<P: Platform> Keeper<P> {
    pub(super) fn now(&self) -> Timestamp {
        self.platform.clock().now()
    }

    fn jitter(&self) -> f64 {
        self.platform.chance().share(Duration::from_secs(1)).as_secs_f64()
    }

    pub(super) fn sentry(&self) -> Client<'_, P::Outgoing, P::Clock> {
        Client::new(self.platform.outgoing(), self.platform.clock(), &self.base_url)
    }

    /// Of an internal integration: its token, which never changes.
    pub(crate) async fn permanent_token(&self) -> Result<Option<SecretString>, KeeperError> {
        Ok(self.app().await?.api_token.clone())
    }

    pub(super) async fn app(&self) -> Result<Arc<App>, SecretError> {
        self.app.current().await
    }

    /// The `app` secret for a credential that was refused: read again, at most once a minute.
    pub(super) async fn fresh_app(&self) -> Result<Arc<App>, SecretError> {
        self.app.fresh().await
    }

    pub async fn read(&self, id: InstallationId) -> Result<Option<Installation>, StoreError> {
        self.platform.installations().read(id, self.now()).await
    }

    /// Reads, changes and writes a row until nobody was in between. `change` returns `None` to leave it.
    pub(super) async fn update<T>(
        &self,
        id: InstallationId,
        mut change: impl FnMut(&mut Installation, Timestamp) -> Option<T>,
    ) -> Result<Option<(Installation, T)>, KeeperError> {
        for _ in 0..WRITE_TRIES {
            let now = self.now();
            let mut row = self.platform.installations().read(id, now).await?.unwrap_or_else(|| Installation::new(id));
            let Some(result) = change(&mut row, now) else { return Ok(None) };
            match self.platform.installations().write(&row, now).await? {
                Written::Done => {
                    row.version += 1;
                    return Ok(Some((row, result)));
                }
                Written::Conflict => {
                    self.platform.clock().sleep(self.platform.chance().share(Duration::from_millis(50))).await;
                }
            }
        }
        Err(KeeperError::Contended)
    }

    /// Wins a new pair under the lease: by manual refresh, and where that has never worked yet, or is refused for the
    /// second time in a row, by the refresh token. The manual refresh of an uninstalled installation is a 401; only the
    /// other grant answers with the 404 that tells of it.
    pub async fn renew(&self, id: InstallationId, timeout: Duration) -> Result<Renewal, KeeperError> {
        let mut held = None;
        let leased = self
            .update(id, |row, now| {
                held = row.lease_until;
                (row.status != Status::Removed && row.lease(now)).then_some(())
            })
            .await?;
        let Some((row, ())) = leased else {
            return Ok(held.map_or(Renewal::Removed, Renewal::Held));
        };
        match self.new_pair(&row, timeout).await? {
            Ok((granted, by_manual_refresh)) => self.store(id, granted, by_manual_refresh).await,
            Err(error) => {
                let failed = self
                    .update(id, |row, now| (row.status != Status::Removed).then(|| row.renewal_failed(&error, now)))
                    .await?;
                Ok(failed.map_or(Renewal::Removed, |(_, fate)| {
                    if fate == Fate::Lost {
                        tracing::error!(installation.id = %id, "{error}: this installation needs a reinstall; events are routed without look-ups");
                    }
                    Renewal::Failed(error, fate)
                }))
            }
        }
    }

    async fn new_pair(
        &self,
        row: &Installation,
        timeout: Duration,
    ) -> Result<Result<(Granted, bool), TokenError>, KeeperError> {
        let mut credentials = AppCredentials::from(&*self.app().await?);
        let mut manual = self.manual_refresh(row.id, &credentials, timeout).await;
        if matches!(manual, Err(TokenError::Refused { .. })) {
            // Perhaps rotated since it was read: a wrong signature is refused like anything else.
            let fresh = AppCredentials::from(&*self.fresh_app().await?);
            if fresh.client_secret.expose_secret() != credentials.client_secret.expose_secret() {
                credentials = fresh;
                manual = self.manual_refresh(row.id, &credentials, timeout).await;
            }
        }
        let refused = match manual {
            Ok(granted) => return Ok(Ok((granted, true))),
            Err(error @ TokenError::Refused { .. }) if !row.manual_refresh_worked || row.refusals > 0 => error,
            Err(error) => return Ok(Err(error)),
        };
        let Some(sealed) = &row.tokens else { return Ok(Err(refused)) };
        let Some(refresh) = self.open(row.id, sealed).await?.refresh else { return Ok(Err(refused)) };
        let result = self.sentry().refresh(row.id, &refresh, &credentials, timeout).await;
        Ok(result.map(|granted| (granted, false)))
    }

    async fn manual_refresh(
        &self,
        id: InstallationId,
        credentials: &AppCredentials,
        timeout: Duration,
    ) -> Result<Granted, TokenError> {
        self.sentry().manual_refresh(id, credentials, self.platform.chance().bytes(), timeout).await
    }

    /// Stores a new pair whatever happened to the row meanwhile, unless it was removed.
    pub(super) async fn store(
        &self,
        id: InstallationId,
        granted: Granted,
        by_manual_refresh: bool,
    ) -> Result<Renewal, KeeperError> {
        let sealed = self.seal(id, &granted.tokens).await?;
        let jitter = self.jitter();
        let stored = self
            .update(id, |row, now| {
                (row.status != Status::Removed)
                    .then(|| row.granted(sealed.clone(), granted.expires_at, by_manual_refresh, now, jitter))
            })
            .await?;
        Ok(stored.map_or(Renewal::Removed, |(row, ())| Renewal::Renewed(Box::new(row), granted.tokens)))
    }

    /// Tells Sentry that the install is complete, and learns organization and app from its answer.
    pub async fn verify(
        &self,
        id: InstallationId,
        token: &SecretString,
        timeout: Duration,
    ) -> Result<Result<Verified, ApiError>, KeeperError> {
        let answer = self.sentry().verify(id, token, timeout).await;
        let jitter = self.jitter();
        self.update(id, |row, now| {
            (row.status != Status::Removed).then(|| match &answer {
                Ok(verified) => row.verified(verified, now, jitter),
                Err(_) => row.verify_failed(now),
            })
        })
        .await?;
        Ok(answer)
    }

    /// Uninstalled: the tokens go, a tombstone stays.
    pub async fn remove(&self, id: InstallationId) -> Result<(), KeeperError> {
        let removed = self.update(id, |row, now| (row.status != Status::Removed).then(|| row.removed(now))).await?;
        if removed.is_some() {
            tracing::info!(installation.id = %id, "uninstalled: its tokens are gone");
        }
        Ok(())
    }

    async fn seal(&self, id: InstallationId, tokens: &TokenPair) -> Result<Sealed, KeeperError> {
        let keys = self.keys(false).await?;
        let key = keys.first().ok_or(SecretError::Unfilled(Secret::TokenKey.as_str()))?;
        Ok(sealing::seal(key, id, tokens, self.platform.chance().bytes()))
    }

    pub(super) async fn open(&self, id: InstallationId, sealed: &Sealed) -> Result<TokenPair, KeeperError> {
        let opened = sealing::open(&self.keys(false).await?, id, sealed);
        match opened {
            // Perhaps rotated since it was read.
            Err(SealError::OtherKey(_)) => Ok(sealing::open(&self.keys(true).await?, id, sealed)?),
            opened => Ok(opened?),
        }
    }

    /// The current token key, and after `again` also the previous one.
    async fn keys(&self, again: bool) -> Result<Vec<TokenKey>, SecretError> {
        let mut keys = self.keys.lock().await;
        if keys.is_empty() || again {
            let mut read = Vec::new();
            let stages: &[Stage] = if again { &[Stage::Current, Stage::Previous] } else { &[Stage::Current] };
            for stage in stages {
                if let Some(version) = self.platform.secrets().read(Secret::TokenKey, *stage).await? {
                    let name = Secret::TokenKey.as_str();
                    read.push(TokenKey::parse(&version.text).map_err(|e| SecretError::Malformed(name, e.to_string()))?);
                }
            }
            if read.is_empty() {
                return Err(SecretError::Unfilled(Secret::TokenKey.as_str()));
            }
            *keys = read;
        }
        Ok(keys.clone())
    }
}
