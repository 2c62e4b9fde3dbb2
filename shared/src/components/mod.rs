//! `components`: Sentry's UI components. Requests are signed in `Sentry-App-Signature`, a GET over the empty string.
//!
//! A GET's signature is the same for every GET of an app, so its query is believed as little as anybody's: whose data
//! is shown hangs on the installation's row alone. What the file does not offer to an organization is answered exactly
//! like what does not exist.

mod alert_rule;
mod answers;
mod cache;
pub mod fields;
mod form;
mod issue_link;
mod options;
mod request;
pub mod schema;
mod trackers;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use jiff::Timestamp;

use self::answers::{Refusal, answer};
use self::cache::Cache;
use self::request::{Parameters, Posted};
use crate::ids::InstallationId;
use crate::page::page;
use crate::ports::{Clock, Installations, Platform, Status};
use crate::routes_in_force::{InForce, RoutesInForce};
use crate::routing::is_offered_to;
use crate::secrets::{AppSecrets, KeptDestinationSecrets};
use crate::signature::{APP_SIGNATURE, Claimed};
use crate::stacktrace;
use crate::trackers::TrackerKind;

/// Longer bodies are nobody's form: a description is at most 200,000 characters.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Whoever opens a select waits no longer than this.
const OPTIONS_TIME: Duration = Duration::from_millis(980);
/// Of that, what a tracker has.
const OPTIONS_TRACKER_TIME: Duration = Duration::from_millis(900);
/// So long a process may take to get ready. Lambda gives it 10 s, and more of a processor than it has later.
const WARM_UP_TIME: Duration = Duration::from_secs(5);
/// A ticket is opened or found within this. Sentry itself waits for 30 s, its user hardly.
const TICKET_TIME: Duration = Duration::from_secs(8);

/// `components`, with what it keeps between requests.
pub struct Components<P: Platform> {
    platform: Arc<P>,
    app: AppSecrets<P::Secrets, P::Clock>,
    routes: RoutesInForce,
    secrets: KeptDestinationSecrets,
    cache: Arc<Cache>,
    kinds: Kinds,
}

/// Types of trackers, by name.
type Kinds = fn(&str) -> Option<&'static TrackerKind>;

/// Who asks: an installation that is known, or any of an internal integration.
struct Asker {
    installation: InstallationId,
    /// As Sentry told it when it was installed; never what the request says.
    organization: Option<String>,
    /// Strangers can install the app.
    is_public: bool,
}

impl Asker {
    fn is_offered(&self, organizations: Option<&[String]>) -> bool {
        is_offered_to(organizations, self.organization.as_deref(), self.is_public)
    }
}

/// What is asked for, by method and path.
enum Asked<'a> {
    AlertRule,
    Create,
    Link,
    Options(&'a str),
    StacktraceLink,
}

impl<P: Platform> Components<P>
where
    P::Secrets: Clone,
    P::Clock: Clone,
{
    pub fn new(platform: Arc<P>) -> Self {
        Self::with_kinds(platform, crate::trackers::kind)
    }

    /// [`Self::new`] with types of trackers that need not stand in [`crate::trackers::KINDS`].
    pub fn with_kinds(platform: Arc<P>, kinds: Kinds) -> Self {
        let app = AppSecrets::new(platform.secrets().clone(), platform.clock().clone());
        Self {
            platform,
            app,
            routes: RoutesInForce::default(),
            secrets: KeptDestinationSecrets::default(),
            cache: Arc::default(),
            kinds,
        }
    }
}

impl<P: Platform> Components<P> {
    /// Reads what every answer needs, before anybody waits for one: a select has a second, of which the first
    /// connection to each service takes a good part. What fails here is told of when it is asked for.
    pub async fn warm_up(&self) {
        let (secrets, clock) = (self.platform.secrets(), self.platform.clock());
        let work = async { tokio::join!(self.app.current(), self.in_force(), self.secrets.with(secrets, clock, &[])) };
        // It is large, and the caller keeps its place for as long as it runs.
        if clock.timeout(WARM_UP_TIME, Box::pin(work)).await.is_none() {
            tracing::warn!("not all is read that a component needs");
        }
    }

    /// Answers one request. `query` is the raw query string, `body` the bytes as they were sent.
    pub async fn handle(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response<String> {
        let arrived = self.platform.clock().now();
        let answered = match asked(method, path) {
            Ok(asked) => self.answer(asked, query, headers, &body, arrived).await,
            Err(refusal) => Err(refusal),
        };
        answered.unwrap_or_else(|refusal| {
            refusal.log(path, self.platform.clock().now());
            answer(refusal.status(), &refusal.to_json())
        })
    }

    /// Answers a request whose body is over [`MAX_BODY_BYTES`], for those who stop reading there.
    pub fn too_large(&self) -> Response<String> {
        answer(Refusal::TooLarge.status(), &Refusal::TooLarge.to_json())
    }

    async fn answer(
        &self,
        asked: Asked<'_>,
        query: &str,
        headers: &HeaderMap,
        body: &[u8],
        arrived: Timestamp,
    ) -> Result<Response<String>, Refusal> {
        let done = match asked {
            Asked::Options(list) => {
                let work = async {
                    self.verify(headers, b"").await?;
                    let parameters = Parameters::read(query)?;
                    let asker = self.asker(parameters.installation).await?;
                    self.options(list, &parameters, &asker, arrived + OPTIONS_TRACKER_TIME).await
                };
                let done = self.platform.clock().timeout(OPTIONS_TIME, work).await;
                done.unwrap_or_else(|| Err(Refusal::not_now("the options were not there in time")))?
            }
            Asked::AlertRule => {
                let posted = self.posted(headers, body).await?;
                let fields = posted.listed()?;
                let asker = self.asker(posted.installation).await?;
                self.alert_rule_action(&fields, &asker).await?
            }
            Asked::Create | Asked::Link => {
                let posted = self.posted(headers, body).await?;
                let (fields, issue) = (posted.named()?, posted.issue()?);
                let asker = self.asker(posted.installation).await?;
                let deadline = arrived + TICKET_TIME;
                match asked {
                    Asked::Create => self.create(&fields, &issue, posted.web_url(), &asker, deadline).await?,
                    _ => self.link(&fields, &issue, &asker, deadline).await?,
                }
            }
            Asked::StacktraceLink => return Ok(self.stacktrace_link(query).await),
        };
        Ok(answer(StatusCode::OK, &done))
    }

    async fn posted(&self, headers: &HeaderMap, body: &[u8]) -> Result<Posted, Refusal> {
        if body.len() > MAX_BODY_BYTES {
            return Err(Refusal::TooLarge);
        }
        self.verify(headers, body).await?;
        Posted::read(body)
    }

    async fn verify(&self, headers: &HeaderMap, signed: &[u8]) -> Result<(), Refusal> {
        let signature =
            Claimed::from_headers(headers, &APP_SIGNATURE).map_err(|e| Refusal::Signature(e.to_string()))?;
        if self.app.verify(&signature, signed).await? {
            Ok(())
        } else {
            Err(Refusal::Signature("the signature does not fit".into()))
        }
    }

    /// Whose request it is. An internal integration has one organization, so that its own signature is enough; a public
    /// one is asked by whom it knows.
    async fn asker(&self, installation: InstallationId) -> Result<Asker, Refusal> {
        let is_public = self.app.current().await?.api_token.is_none();
        let row = self.platform.installations().read(installation, self.platform.clock().now()).await?;
        match row {
            Some(row) if row.status == Status::Removed => Err(Refusal::NotInstalled),
            Some(row) => Ok(Asker { installation, organization: row.organization, is_public }),
            None if is_public => Err(Refusal::NotInstalled),
            None => Ok(Asker { installation, organization: None, is_public }),
        }
    }

    async fn in_force(&self) -> Result<InForce, Refusal> {
        let in_force = self.routes.get(self.platform.settings(), self.platform.clock(), None).await;
        in_force.map_err(|error| Refusal::not_now(error.to_string()))
    }

    /// Answers the browser. Nothing of it is signed: whose rules are shown hangs on the installation's row.
    async fn stacktrace_link(&self, query: &str) -> Response<String> {
        let found = async {
            let installation = Parameters::installation_alone(query).ok_or(Refusal::NotInstalled)?;
            let asker = self.asker(installation).await?;
            Ok::<_, Refusal>((asker, self.in_force().await?))
        };
        match found.await {
            Ok((asker, in_force)) => stacktrace::answer(&in_force.routes, asker.organization.as_deref(), query),
            Err(refusal) => {
                refusal.log("/components/stacktrace-link", self.platform.clock().now());
                page(refusal.status(), "There is no way to the source from here", &refusal.to_string())
            }
        }
    }
}

fn asked<'a>(method: &Method, path: &'a str) -> Result<Asked<'a>, Refusal> {
    let (asked, allowed) = match path.strip_prefix("/components/").unwrap_or_default() {
        "alert-rule-action" => (Asked::AlertRule, Method::POST),
        "issue-link/create" => (Asked::Create, Method::POST),
        "issue-link/link" => (Asked::Link, Method::POST),
        "stacktrace-link" => (Asked::StacktraceLink, Method::GET),
        other => match other.strip_prefix("options/") {
            Some(list) if !list.is_empty() && !list.contains('/') => (Asked::Options(list), Method::GET),
            _ => return Err(Refusal::NoSuchPath),
        },
    };
    if *method == allowed { Ok(asked) } else { Err(Refusal::Method { allowed }) }
}
