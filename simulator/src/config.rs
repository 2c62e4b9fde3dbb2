//! Which Sentry is played, for which app, and what the simulator needs of the world: a clock, a way to wait, a way to send.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;

use crate::deliver::{Deliver, OverHttp};
use crate::signing::{random_hex, random_uuid};

/// Reads the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
/// Waits; tests put a shorter or a virtual wait in its place.
pub type Sleep = Arc<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Which Sentry is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The self-hosted server whose traffic the samples record: refusals are 403, no manual refresh, 5 s for a webhook.
    V23_7_1,
    /// What sentry.io runs since November 2025: refusals are 401, manual refresh, 1 s for a webhook.
    Today,
}

impl Version {
    /// How long a webhook may take to be answered.
    pub const fn webhook_timeout(self) -> Duration {
        match self {
            Self::V23_7_1 => Duration::from_secs(5),
            Self::Today => Duration::from_secs(1),
        }
    }

    /// How often a published app's webhook is tried in all.
    pub(crate) const fn attempts(self) -> usize {
        match self {
            Self::V23_7_1 => 4,
            Self::Today => 3,
        }
    }

    pub(crate) const fn user_agent(self) -> &'static str {
        match self {
            Self::V23_7_1 => "sentry/23.7.1 (https://sentry.io)",
            Self::Today => "sentry/26.10.0 (https://sentry.io)",
        }
    }
}

/// The app's state in Sentry: who can install it, and whether failed webhooks are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppKind {
    /// Installed by anybody; failed webhooks are retried.
    Published,
    /// Installed by its own organization only; a failed webhook is lost.
    Unpublished,
    /// Exists as one installation with a permanent token: no grant code, no install webhooks; a failed webhook is lost.
    Internal,
}

/// A project of the simulated organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    pub id: u64,
    pub slug: String,
    pub name: String,
}

impl Project {
    /// A project named `name`, its slug the name in lower case with dashes for spaces.
    pub fn new(id: u64, name: &str) -> Self {
        Self { id, slug: name.to_lowercase().replace(' ', "-"), name: name.to_owned() }
    }
}

/// All settings. [`Config::default`] is a published app on today's Sentry with Verify Install and two projects, *Backend*
/// and *Frontend*, and fresh random credentials; give it `webhook_url` and `redirect_url`.
#[derive(Clone)]
pub struct Config {
    pub version: Version,
    pub kind: AppKind,
    /// 64 hex digits.
    pub client_id: String,
    /// 64 hex digits, used as text: key of the signatures and of the manual refresh.
    pub client_secret: SecretString,
    pub app_uuid: String,
    pub app_slug: String,
    /// What Sentry calls the app to its users.
    pub app_name: String,
    /// The app's UI components. Sentry saves none that [`crate::check_schema`] refuses: [`crate::Simulator::new`] panics.
    pub schema: Option<serde_json::Value>,
    /// Slug of the organization that installs unless another is named.
    pub organization: String,
    pub projects: Vec<Project>,
    /// Scopes of every token.
    pub scopes: Vec<String>,
    /// Life of an access token: 8 h on a real server.
    pub token_lifetime: Duration,
    /// Whether an installation waits as `pending` until the app says `installed`.
    pub verify_install: bool,
    /// Where webhooks go. Without one nothing is sent.
    pub webhook_url: Option<String>,
    /// Where the browser is sent after an install.
    pub redirect_url: Option<String>,
    /// The simulator's own address, without a slash at the end: it stands in payloads.
    pub base_url: String,
    /// Between the attempts of one webhook: 5 min on a real server.
    pub retry_gap: Duration,
    /// After a manual refresh, this long another one is answered with 409: about 10 s on sentry.io.
    pub manual_refresh_pause: Duration,
    pub clock: Clock,
    pub sleep: Sleep,
    pub deliver: Arc<dyn Deliver>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: Version::Today,
            kind: AppKind::Published,
            client_id: random_hex::<32>(),
            client_secret: random_hex::<32>().into(),
            app_uuid: random_uuid(),
            app_slug: "switchboard".to_owned(),
            app_name: "Switchboard".to_owned(),
            schema: None,
            organization: "example-org".to_owned(),
            projects: vec![Project::new(3, "Backend"), Project::new(4, "Frontend")],
            scopes: [
                "event:read",
                "event:write",
                "event:admin",
                "org:read",
                "project:read",
                "member:read",
                "team:read",
            ]
            .map(str::to_owned)
            .to_vec(),
            token_lifetime: Duration::from_hours(8),
            verify_install: true,
            webhook_url: None,
            redirect_url: None,
            base_url: "http://127.0.0.1:9000".to_owned(),
            retry_gap: Duration::from_mins(5),
            manual_refresh_pause: Duration::from_secs(10),
            clock: Arc::new(Timestamp::now),
            sleep: Arc::new(|wait| Box::pin(tokio::time::sleep(wait))),
            deliver: Arc::new(OverHttp),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("version", &self.version)
            .field("kind", &self.kind)
            .field("client_id", &self.client_id)
            .field("app_slug", &self.app_slug)
            .field("organization", &self.organization)
            .field("webhook_url", &self.webhook_url)
            .field("redirect_url", &self.redirect_url)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}
