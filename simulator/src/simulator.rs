//! The handle: what callers hold, clone and ask.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use crate::components::check_schema;
use crate::config::{AppKind, Config};
use crate::deliver::Deliver;
use crate::faults::Faults;
use crate::pushover::{self, Pushover, PushoverMessage};
use crate::record::{Exchange, Record};
use crate::server;
use crate::signing::{random_hex, signature};
use crate::state::{Owner, State, Status};
use crate::webhooks::Sent;

/// A Sentry with one app in it. Clones are handles to the same one.
#[derive(Clone)]
pub struct Simulator(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) addresses: Mutex<Addresses>,
    pub(crate) state: Mutex<State>,
    pub(crate) record: Mutex<Record>,
    pub(crate) sent: Mutex<Sent>,
    pub(crate) faults: Faults,
    pub(crate) pushover: Mutex<Pushover>,
    /// Credentials of a second app on the same server, good ones, but not for this app's installations.
    other_app: (String, SecretString),
    /// Of an internal integration: its installation and its permanent token.
    internal: Option<(String, SecretString)>,
}

/// What is often known only after the listeners are bound.
#[derive(Clone)]
pub(crate) struct Addresses {
    pub(crate) base_url: String,
    pub(crate) webhook_url: Option<String>,
    pub(crate) redirect_url: Option<String>,
    pub(crate) deliver: Arc<dyn Deliver>,
}

/// The tokens of an installation as Sentry has them. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenPair {
    pub access: String,
    pub refresh: String,
    pub expires_at: Timestamp,
}

impl fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPair").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Simulator").field(&self.0.config).finish()
    }
}

/// A panic under a lock fails the test that caused it; it need not fail all others.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Simulator {
    /// A Sentry without installations; of an internal app, with its only one. Panics where the schema of the settings is
    /// one that Sentry refuses.
    pub fn new(config: Config) -> Self {
        if let Some(refused) = config.schema.as_ref().and_then(|schema| check_schema(schema).err()) {
            panic!("{refused}");
        }
        let mut state = State::default();
        state.schema.clone_from(&config.schema);
        let internal = (config.kind == AppKind::Internal).then(|| {
            let uuid = state.install(&config.organization, Owner::ThisApp, Status::Installed, None);
            let token = state.permanent_token(&uuid, (config.clock)());
            (uuid, token.into())
        });
        let addresses = Addresses {
            base_url: config.base_url.clone(),
            webhook_url: config.webhook_url.clone(),
            redirect_url: config.redirect_url.clone(),
            deliver: Arc::clone(&config.deliver),
        };
        Self(Arc::new(Inner {
            addresses: Mutex::new(addresses),
            state: Mutex::new(state),
            record: Mutex::default(),
            sent: Mutex::default(),
            faults: Faults::default(),
            pushover: Mutex::new(Pushover::default()),
            other_app: (random_hex::<32>(), random_hex::<32>().into()),
            internal,
            config,
        }))
    }

    /// Sentry's side of the wire: token endpoint, installations and issues under `/api/0/`.
    pub fn router(&self) -> Router {
        server::router(self.clone())
    }

    /// A stand-in for `api.pushover.net`: `POST /1/messages.json`.
    pub fn pushover_router(&self) -> Router {
        pushover::router(self.clone())
    }

    /// The messages that the stand-in for Pushover accepted, oldest first.
    pub fn pushover_messages(&self) -> Vec<PushoverMessage> {
        locked(&self.0.pushover).messages.clone()
    }

    /// How many messages Pushover's monthly quota still allows; 0 makes it answer 429.
    pub fn set_pushover_remaining(&self, remaining: u32) {
        locked(&self.0.pushover).remaining = remaining;
    }

    /// What goes wrong next.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// Every exchange so far, in the order in which they ended; the oldest are dropped beyond some thousands.
    pub fn log(&self) -> Vec<Exchange> {
        locked(&self.0.record).all()
    }

    /// The settings as they were given.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    pub fn client_id(&self) -> &str {
        &self.0.config.client_id
    }

    pub fn client_secret(&self) -> &SecretString {
        &self.0.config.client_secret
    }

    /// Client id and secret of another app on the same server: good, but with no right to this app's installations.
    pub fn other_app_credentials(&self) -> (&str, &SecretString) {
        (&self.0.other_app.0, &self.0.other_app.1)
    }

    /// The installation of an internal integration; `None` for a public app.
    pub fn internal_installation(&self) -> Option<&str> {
        self.0.internal.as_ref().map(|(uuid, _)| uuid.as_str())
    }

    /// The permanent token of an internal integration; `None` for a public app.
    pub fn api_token(&self) -> Option<&SecretString> {
        self.0.internal.as_ref().map(|(_, token)| token)
    }

    /// The signature this app's webhooks carry: HMAC-SHA256 of the exact bytes, lower-case hex.
    pub fn sign(&self, body: &[u8]) -> String {
        signature(&self.0.config.client_secret, body)
    }

    /// Where webhooks go from now on.
    pub fn set_webhook_url(&self, url: impl Into<String>) {
        locked(&self.0.addresses).webhook_url = Some(url.into());
    }

    /// Where browsers are sent from now on.
    pub fn set_redirect_url(&self, url: impl Into<String>) {
        locked(&self.0.addresses).redirect_url = Some(url.into());
    }

    /// The simulator's own address in payloads from now on, without a slash at the end.
    pub fn set_base_url(&self, url: impl Into<String>) {
        locked(&self.0.addresses).base_url = url.into();
    }

    /// How webhooks are sent from now on.
    pub fn set_deliver(&self, deliver: Arc<dyn Deliver>) {
        locked(&self.0.addresses).deliver = deliver;
    }

    /// How many grant codes were exchanged.
    pub fn exchanges(&self) -> usize {
        locked(&self.0.state).counters.exchanges
    }

    /// How many token pairs were replaced, by refresh token or by manual refresh.
    pub fn refreshes(&self) -> usize {
        let counters = locked(&self.0.state).counters;
        counters.refreshes + counters.manual_refreshes
    }

    /// How many of [`Self::refreshes`] were manual refreshes.
    pub fn manual_refreshes(&self) -> usize {
        locked(&self.0.state).counters.manual_refreshes
    }

    /// The pair that the installation's row names; `None` before the exchange.
    pub fn token_of(&self, installation: &str) -> Option<TokenPair> {
        let state = locked(&self.0.state);
        let token = state.current_token(installation)?;
        Some(TokenPair { access: token.access.clone(), refresh: token.refresh.clone()?, expires_at: token.expires? })
    }

    /// Ends the life of the installation's access tokens now: the API answers `Token expired`. Refresh tokens stay good.
    pub fn expire_token(&self, installation: &str) {
        let now = self.now();
        locked(&self.0.state).expire_tokens(installation, now);
    }

    /// `pending` or `installed`; `None` for an unknown or removed installation.
    pub fn status_of(&self, installation: &str) -> Option<&'static str> {
        match locked(&self.0.state).live(installation)?.status {
            Status::Pending => Some("pending"),
            Status::Installed => Some("installed"),
            Status::Removed => None,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0.config.clock)()
    }

    pub(crate) async fn sleep(&self, wait: Duration) {
        if !wait.is_zero() {
            (self.0.config.sleep)(wait).await;
        }
    }

    pub(crate) fn addresses(&self) -> Addresses {
        locked(&self.0.addresses).clone()
    }

    /// Whose credentials these are, if they are any.
    pub(crate) fn authenticate(&self, client_id: &str, client_secret: &str) -> Option<Owner> {
        let ours = (self.client_id(), self.client_secret());
        [(ours, Owner::ThisApp), (self.other_app_credentials(), Owner::OtherApp)].into_iter().find_map(
            |((id, secret), owner)| {
                (id == client_id && crate::signing::same(secret.expose_secret(), client_secret)).then_some(owner)
            },
        )
    }

    pub(crate) fn note(&self, exchange: Exchange) {
        tracing::debug!(
            subject = exchange.subject,
            method = exchange.method,
            path = exchange.path,
            status = exchange.status,
            attempt = exchange.attempt,
            "simulator: exchange"
        );
        locked(&self.0.record).push(exchange);
    }
}
