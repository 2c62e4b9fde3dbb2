//! What is in the secrets, and how long a reading of them counts.
//!
//! A filled secret is kept. It is read again, at most once a minute, when it turns out not to fit (a signature, a
//! refused credential, a name that is not in it), so that a rotation needs no deploy and a forger causes no load. An
//! unfilled one (`{}`, as the template makes it) is never kept: filling it works at once.

mod redaction;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::ports::{Clock, Secret, SecretVersion, Secrets, SecretsError, Stage};
use crate::routing::Value;
use crate::signature::Claimed;

/// The client secret: Sentry signs with it, we check with it; the token endpoint takes it.
#[derive(Clone, Debug)]
pub struct ClientSecret(SecretString);

impl ClientSecret {
    /// Refuses what could never fit and would fail every signature later with no hint why: nothing, or white space.
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(BadSecret);
        }
        Ok(Self(text.into()))
    }

    pub(crate) fn as_key(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }

    /// For the token endpoint's body.
    pub fn as_secret(&self) -> &SecretString {
        &self.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a client secret is text without white space")]
pub struct BadSecret;

/// The `app` secret.
#[derive(Debug, Clone)]
pub struct App {
    pub client_id: String,
    pub client_secret: ClientSecret,
    /// Of an internal integration: a permanent token, instead of a pair for each installation.
    pub api_token: Option<SecretString>,
}

/// Why a secret cannot be used. The text is the log line: it says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the secret `{0}` is not filled yet: {how}", how = how_to_fill(.0))]
    Unfilled(&'static str),
    #[error("the secret `{0}` is malformed ({1}): {how}", how = how_to_fill(.0))]
    Malformed(&'static str, String),
    #[error(transparent)]
    Unreadable(#[from] SecretsError),
}

fn how_to_fill(secret: &str) -> &'static str {
    match secret {
        "app" => {
            r#"put {"client_id":"…","client_secret":"…"} of the integration there with `aws secretsmanager put-secret-value`"#
        }
        "destinations" => r#"put a flat object {"NAME":"value"} there, one entry for each `secret:NAME` in the routes"#,
        _ => "put any text of 43 or more random characters there",
    }
}

impl App {
    fn parse(version: &SecretVersion) -> Result<Self, SecretError> {
        #[derive(Deserialize)]
        struct Fields {
            client_id: Option<String>,
            client_secret: Option<String>,
            api_token: Option<String>,
        }
        let name = Secret::App.as_str();
        let malformed = |what: &str| SecretError::Malformed(name, what.to_owned());
        // serde's own message may quote the value, so it is not shown.
        let fields: Fields = serde_json::from_str(version.text.expose_secret())
            .map_err(|e| malformed(&format!("not an object of texts, at column {}", e.column())))?;
        let (client_id, client_secret) = match (fields.client_id, fields.client_secret) {
            (None, None) => return Err(SecretError::Unfilled(name)),
            (Some(id), Some(secret)) => (id, secret),
            (None, _) => return Err(malformed("client_id is missing")),
            (_, None) => return Err(malformed("client_secret is missing")),
        };
        if client_id.is_empty() || client_id.contains(char::is_whitespace) {
            return Err(malformed("client_id is empty or has white space"));
        }
        let client_secret =
            ClientSecret::parse(&client_secret).map_err(|_| malformed("client_secret is empty or has white space"))?;
        let api_token = fields.api_token.filter(|token| !token.is_empty()).map(SecretString::from);
        Ok(Self { client_id, client_secret, api_token })
    }
}

/// How long a rotated client secret is still accepted for signatures.
const PREVIOUS_COUNTS: Duration = Duration::from_hours(24);
/// So long the first reading of somebody else is waited for, of the 400 ms that a webhook has at least.
const FOR_ANOTHER_READER: Duration = Duration::from_millis(150);
/// Least time between two readings of a secret that does not fit.
const READ_AGAIN_AFTER: Duration = Duration::from_mins(1);
/// Destinations' secrets are read anew after this, so that a rotated key is found without an error first.
const DESTINATIONS_COUNT: Duration = Duration::from_mins(5);

/// The `app` secret, kept in memory.
pub struct AppSecrets<S, C> {
    port: S,
    clock: C,
    known: RwLock<Known>,
    /// One reading at a time: the others wait for its result instead of asking too.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default, Clone)]
struct Known {
    current: Option<Arc<App>>,
    current_since: Option<Timestamp>,
    read_at: Option<Timestamp>,
    previous: Option<Arc<App>>,
    previous_read_at: Option<Timestamp>,
}

fn is_recent(at: Option<Timestamp>, now: Timestamp, within: Duration) -> bool {
    at.is_some_and(|at| now.duration_since(at).unsigned_abs() < within)
}

impl<S: Secrets, C: Clock> AppSecrets<S, C> {
    pub fn new(port: S, clock: C) -> Self {
        Self { port, clock, known: RwLock::default(), reading: tokio::sync::Mutex::default() }
    }

    fn known(&self) -> Known {
        self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn learn(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// The current version, read the first time.
    pub async fn current(&self) -> Result<Arc<App>, SecretError> {
        if let Some(app) = self.known().current {
            return Ok(app);
        }
        // Lambda may have frozen whoever is reading: it must not hold up an event.
        let _one = self.clock.timeout(FOR_ANOTHER_READER, self.reading.lock()).await;
        if let Some(app) = self.known().current {
            return Ok(app);
        }
        self.read_current().await
    }

    /// The current version, read again if the last reading is over a minute old: for a credential that was refused.
    pub async fn fresh(&self) -> Result<Arc<App>, SecretError> {
        let _one = self.reading.lock().await;
        match self.known() {
            Known { current: Some(app), read_at, .. } if is_recent(read_at, self.clock.now(), READ_AGAIN_AFTER) => {
                Ok(app)
            }
            _ => self.read_current().await,
        }
    }

    /// Whether `signature` is right for `body` under the current secret, or under the previous one while it counts.
    pub async fn verify(&self, signature: &Claimed, body: &[u8]) -> Result<bool, SecretError> {
        if signature.fits(&self.current().await?.client_secret, body) {
            return Ok(true);
        }
        if signature.fits(&self.fresh().await?.client_secret, body) {
            return Ok(true);
        }
        Ok(self.previous().await?.is_some_and(|app| signature.fits(&app.client_secret, body)))
    }

    async fn read_current(&self) -> Result<Arc<App>, SecretError> {
        let version =
            self.port.read(Secret::App, Stage::Current).await?.ok_or(SecretError::Unfilled(Secret::App.as_str()))?;
        let app = Arc::new(App::parse(&version)?);
        let now = self.clock.now();
        self.learn(|known| {
            known.current = Some(Arc::clone(&app));
            known.current_since = version.since;
            known.read_at = Some(now);
        });
        Ok(app)
    }

    async fn previous(&self) -> Result<Option<Arc<App>>, SecretError> {
        let _one = self.reading.lock().await;
        let now = self.clock.now();
        let known = self.known();
        if known.current_since.is_some() && !is_recent(known.current_since, now, PREVIOUS_COUNTS) {
            return Ok(None);
        }
        if is_recent(known.previous_read_at, now, READ_AGAIN_AFTER) {
            return Ok(known.previous);
        }
        let version = self.port.read(Secret::App, Stage::Previous).await?;
        // The first version, made by the template, is `{}`: no secret at all.
        let previous = version.and_then(|version| App::parse(&version).ok()).map(Arc::new);
        self.learn(|known| {
            known.previous.clone_from(&previous);
            known.previous_read_at = Some(now);
        });
        Ok(previous)
    }
}

/// What routes call `secret:NAME`.
#[derive(Debug, Clone, Default)]
pub struct DestinationSecrets(BTreeMap<String, SecretString>);

impl DestinationSecrets {
    fn parse(version: &SecretVersion) -> Result<Self, SecretError> {
        let name = Secret::Destinations.as_str();
        let values: BTreeMap<String, String> = serde_json::from_str(version.text.expose_secret()).map_err(|e| {
            SecretError::Malformed(name, format!("not a flat object of texts, at column {}", e.column()))
        })?;
        if values.is_empty() {
            return Err(SecretError::Unfilled(name));
        }
        Ok(Self(values.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect()))
    }

    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// `text` with every secret in it struck out, also where it is encoded or only the telling part of an address: for
    /// what a destination answered, before it is recorded.
    pub fn redact(&self, text: &str) -> String {
        redaction::redact(text, self.0.values().map(ExposeSecret::expose_secret))
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for DestinationSecrets {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(secrets: T) -> Self {
        Self(secrets.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }
}

/// The `destinations` secret, kept in memory.
pub struct KeptDestinationSecrets {
    kept: tokio::sync::Mutex<Option<(Timestamp, Arc<DestinationSecrets>)>>,
}

impl KeptDestinationSecrets {
    pub fn new() -> Self {
        Self { kept: tokio::sync::Mutex::new(None) }
    }

    /// [`Self::with`] all that these values of the routes file name; where they name none, none are read.
    pub async fn of<'v, S: Secrets, C: Clock>(
        &self,
        port: &S,
        clock: &C,
        values: impl Iterator<Item = &'v Value>,
    ) -> Result<Arc<DestinationSecrets>, SecretError> {
        let names: Vec<&str> = values.filter_map(Value::secret_name).collect();
        if names.is_empty() { Ok(Arc::default()) } else { self.with(port, clock, &names).await }
    }

    /// The secrets; read anew every 5 minutes, and after a minute if one of `names` is not among them.
    pub async fn with<S: Secrets, C: Clock>(
        &self,
        port: &S,
        clock: &C,
        names: &[&str],
    ) -> Result<Arc<DestinationSecrets>, SecretError> {
        let mut kept = self.kept.lock().await;
        let now = clock.now();
        if let Some((at, secrets)) = &*kept {
            let complete = names.iter().all(|name| secrets.get(name).is_some());
            let counts = if complete { DESTINATIONS_COUNT } else { READ_AGAIN_AFTER };
            if is_recent(Some(*at), now, counts) {
                return Ok(Arc::clone(secrets));
            }
        }
        let name = Secret::Destinations;
        let read = match (port.read(name, Stage::Current).await, &*kept) {
            // Out of reach: what was read before is better than nothing.
            (Err(error), Some((_, secrets))) if names.iter().all(|name| secrets.get(name).is_some()) => {
                tracing::warn!("{}: the values read before stay in use", crate::telemetry::chain(&error));
                return Ok(Arc::clone(secrets));
            }
            (read, _) => read?,
        };
        let version = read.ok_or(SecretError::Unfilled(name.as_str()))?;
        let secrets = Arc::new(DestinationSecrets::parse(&version)?);
        *kept = Some((now, Arc::clone(&secrets)));
        Ok(secrets)
    }
}

impl Default for KeptDestinationSecrets {
    fn default() -> Self {
        Self::new()
    }
}
