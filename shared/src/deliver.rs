//! `deliver`: one message from `deliveries.fifo` is one try of one destination, recorded.
//!
//! Only here a notification becomes a message. A retry is the queue hiding the message until its next try, which
//! holds back later deliveries of the same issue to the same destination, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::batch::{self, Done};
use crate::delivery::Delivery;
use crate::destinations::error::{DeliveryError, Next};
use crate::destinations::kind::{Action, CALL_TIMEOUT, Kind, MAX_ANSWER_BYTES, Notification};
use crate::destinations::settings::Settings;
use crate::destinations::{self, retry};
use crate::message::Message;
use crate::ports::{
    Claim, Clock, Deliveries, DeliveryRecord, EventBus, Failure, Outcome, Outgoing, Platform, Policy, Received,
    StoreError, Written,
};
use crate::routes_in_force::{NoRoutes, RoutesInForce};
use crate::routing::Value;
use crate::secrets::{DestinationSecrets, KeptDestinationSecrets, SecretError};
use crate::sentry::BaseUrl;
use crate::telemetry::{self, Counter, chain};

/// What needs routes or secrets that are broken waits this long: 100 receives are then 50 h.
pub const MISCONFIGURED_WAIT: Duration = Duration::from_mins(30);

/// `deliver`, with what it keeps between messages.
pub struct Deliver<P> {
    platform: Arc<P>,
    base_url: BaseUrl,
    routes: RoutesInForce,
    secrets: KeptDestinationSecrets,
}

/// A try that is ready to be made.
struct Ready {
    kind: &'static Kind,
    settings: Settings,
    secrets: Arc<DestinationSecrets>,
}

/// Why no try can be made.
enum NotReady {
    /// An operator must mend something; the message waits.
    Misconfigured(String),
    /// Something is out of reach for a moment.
    NotNow(String),
    /// It can never be made.
    Never(String),
}

impl<P: Platform> Deliver<P> {
    pub fn new(platform: Arc<P>, base_url: BaseUrl) -> Self {
        Self { platform, base_url, routes: RoutesInForce::default(), secrets: KeptDestinationSecrets::default() }
    }

    /// Handles a batch; returns the ids of the messages that are not done.
    pub async fn handle(&self, messages: Vec<Received>) -> Vec<String> {
        batch::handle(self.platform.outbox(), messages, |message| self.handle_one(message)).await
    }

    async fn handle_one(&self, message: Received) -> Done {
        let delivery = match Delivery::from_received(&message) {
            Ok(delivery) => delivery,
            Err(error) => {
                tracing::error!(message.id, "{error}: left to the queue's dead letters");
                return Done::Failed;
            }
        };
        match self.try_once(&delivery).await {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(delivery.id = %delivery.id, "{}", chain(&error));
                Done::Failed
            }
        }
    }

    async fn try_once(&self, delivery: &Delivery) -> Result<Done, StoreError> {
        let clock = self.platform.clock();
        let ready = match self.prepare(delivery).await {
            Ok(ready) => Ok(ready),
            Err(NotReady::Misconfigured(why)) if !retry::is_too_old(delivery.accepted_at, clock.now()) => {
                tracing::error!(delivery.id = %delivery.id, destination.name = %delivery.destination, "waits for 30 min: {why}");
                return Ok(Done::Later(MISCONFIGURED_WAIT));
            }
            Err(NotReady::NotNow(why)) => {
                tracing::error!(delivery.id = %delivery.id, destination.name = %delivery.destination, "comes again: {why}");
                return Ok(Done::Failed);
            }
            Err(NotReady::Misconfigured(why) | NotReady::Never(why)) => Err(why),
        };
        let now = clock.now();
        let record = match self.platform.deliveries().claim(&delivery.id, delivery.resend, now).await? {
            Claim::Taken(record) => record,
            Claim::Early(at) => return Ok(Done::Later(until(at, now))),
            Claim::Leftover(state) => {
                tracing::debug!(delivery.id = %delivery.id, state = state.as_str(), "a leftover");
                return Ok(Done::Yes);
            }
            Claim::Missing => {
                tracing::error!(delivery.id = %delivery.id, "there is no record of this delivery any more: dropped, since it may have been sent");
                return Ok(Done::Yes);
            }
        };
        let outcome = match ready {
            Ok(ready) => self.send(&ready, delivery, &record).await,
            Err(why) => Outcome::Failed {
                failure: Failure { error: why, ..Failure::default() },
                message: Some(delivery.to_json()),
            },
        };
        self.settle(delivery, &record, outcome).await
    }

    async fn prepare(&self, delivery: &Delivery) -> Result<Ready, NotReady> {
        let (settings, clock) = (self.platform.settings(), self.platform.clock());
        let in_force = self.routes.get(settings, clock, Some(delivery.routes)).await.map_err(|error| match error {
            NoRoutes::Broken { .. } => NotReady::Misconfigured(error.to_string()),
            NoRoutes::Unreadable(_) => NotReady::NotNow(error.to_string()),
        })?;
        let version = in_force.version;
        let destination = in_force.routes.destination(&delivery.destination).ok_or_else(|| {
            if version < delivery.routes {
                NotReady::NotNow(format!("the routes (version {}) are not to be had yet", delivery.routes))
            } else {
                let name = &delivery.destination;
                NotReady::Never(format!("the routes (version {version}) have no destination `{name}` any more"))
            }
        })?;
        let kind = destinations::kind(&destination.kind)
            .ok_or_else(|| NotReady::Never(format!("nobody knows the type `{}`", destination.kind)))?;
        let names: Vec<&str> = destination.values.values().filter_map(Value::secret_name).collect();
        let secrets = if names.is_empty() {
            Arc::default()
        } else {
            let read = self.secrets.with(self.platform.secrets(), clock, &names).await;
            read.map_err(|error| match error {
                SecretError::Unreadable(_) => NotReady::NotNow(chain(&error)),
                SecretError::Unfilled(_) | SecretError::Malformed(..) => NotReady::Misconfigured(chain(&error)),
            })?
        };
        let settings = Settings::resolve(destination, &secrets)
            .map_err(|name| NotReady::Misconfigured(format!("the secret `{name}` is missing in `destinations`")))?;
        Ok(Ready { kind, settings, secrets })
    }

    async fn send(&self, ready: &Ready, delivery: &Delivery, record: &DeliveryRecord) -> Outcome {
        let (clock, chance) = (self.platform.clock(), self.platform.chance());
        let (status, error) = match self.call(ready, delivery).await {
            Ok(status) if status == Some(202) => return Outcome::Accepted { status, warning: None },
            Ok(status) => return Outcome::Sent { status, warning: None },
            Err(failed) => failed,
        };
        let failure = Failure { status, error: ready.secrets.redact(&chain(&error)), answer: None };
        let now = clock.now();
        let waits = ready.kind.waits;
        if let Some(at) = retry::next_try(error.next(), waits, record.attempts, delivery.accepted_at, now, chance) {
            return Outcome::Retry { at, failure };
        }
        let too_old = matches!(error.next(), Next::Retry { .. }) && retry::is_too_old(delivery.accepted_at, now);
        let error = if too_old { format!("too old for another try: {}", failure.error) } else { failure.error };
        Outcome::Failed { failure: Failure { error, ..failure }, message: Some(delivery.to_json()) }
    }

    /// The last answer's status where there was a call and an answer.
    async fn call(&self, ready: &Ready, delivery: &Delivery) -> Result<Option<u16>, (Option<u16>, DeliveryError)> {
        let message = Message::of(&delivery.normalized, self.base_url.as_str());
        let notification = Notification {
            delivery: &delivery.id,
            event: &delivery.normalized,
            message: &message,
            thread: None,
            original: delivery.original.as_deref(),
            accepted_at: delivery.accepted_at,
            now: self.platform.clock().now(),
        };
        match (ready.kind.render)(&ready.settings, &notification).map_err(|error| (None, error))? {
            Action::Log(line) => {
                tracing::info!(destination.name = %delivery.destination, "{line}");
                Ok(None)
            }
            Action::Put(event) => {
                self.platform.bus().put(event).await.map(|()| None).map_err(|error| (None, error.into()))
            }
            Action::Calls(calls) => {
                let mut status = None;
                for call in calls {
                    let policy = Policy { guarded: true, timeout: CALL_TIMEOUT, max_body_bytes: MAX_ANSWER_BYTES };
                    let answer = self.platform.outgoing().call(call.request, policy).await;
                    let answer = answer.map_err(|error| (None, error.into()))?;
                    status = Some(answer.status().as_u16());
                    (call.judge)(&answer, self.platform.clock().now()).map_err(|error| (status, error))?;
                }
                Ok(status)
            }
        }
    }

    async fn settle(&self, delivery: &Delivery, record: &DeliveryRecord, outcome: Outcome) -> Result<Done, StoreError> {
        let now = self.platform.clock().now();
        let done = match &outcome {
            Outcome::Sent { .. } | Outcome::Accepted { .. } => Done::Yes,
            Outcome::Parked(_) => Done::Yes,
            Outcome::Retry { at, failure: Failure { status, error, .. } } => {
                tracing::warn!(delivery.id = %delivery.id, destination.name = %delivery.destination, attempt = record.attempts, status, error, next_try_at = %at, "delivery failed, it is tried again");
                Done::Later(until(*at, now))
            }
            Outcome::Failed { failure: Failure { status, error, .. }, .. } => {
                telemetry::count(Counter::DeliveriesFailed, now);
                tracing::error!(delivery.id = %delivery.id, destination.name = %delivery.destination, attempt = record.attempts, status, error, "delivery given up: it is a dead letter now");
                Done::Yes
            }
        };
        match self.platform.deliveries().settle(&delivery.id, record.attempts, outcome, now).await? {
            Written::Done => Ok(done),
            Written::Conflict => {
                tracing::warn!(delivery.id = %delivery.id, "somebody else has settled this delivery meanwhile");
                Ok(Done::Failed)
            }
        }
    }
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}
