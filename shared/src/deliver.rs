//! `deliver`: one message from `deliveries.fifo` is one try of one destination, recorded.
//!
//! Only here a notification becomes a message. A retry is the queue hiding the message until its next try, which
//! holds back later deliveries of the same issue to the same destination, and nothing else.
//!
//! What is for a destination that is not open is put aside: parked in the deliveries' table, where [`Deliver::tick`]
//! finds it. The queue must not keep it, since SQS looks at the first 120,000 messages of a FIFO queue alone.

mod announce;
mod call;
mod circuit;
mod tick;
mod ticket;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use self::call::Undelivered;
use self::circuit::Sign;
pub use self::tick::Ticked;
use crate::alert_rule;
use crate::batch::{self, Done};
use crate::delivery::Delivery;
use crate::destinations::error::Next;
use crate::destinations::kind::Kind;
use crate::destinations::settings::{MissingSecret, Settings};
use crate::destinations::{self, retry};
use crate::ids::DestinationName;
use crate::ports::{
    Circuit, Claim, Clock, Deliveries, DeliveryRecord, DeliveryState, Failure, Outcome, Parking, Platform, Received,
    StoreError, Written,
};
use crate::routes_in_force::{NoRoutes, RoutesInForce};
use crate::routing::{self, Destination, Routes, Value};
use crate::secrets::{DestinationSecrets, KeptDestinationSecrets, SecretError};
use crate::sentry::BaseUrl;
use crate::telemetry::{self, Counter, chain};
use crate::templates::Form;

/// What needs routes or secrets that are broken waits this long: 100 receives are then 50 h.
pub const MISCONFIGURED_WAIT: Duration = Duration::from_mins(30);
/// Somebody who writes the same row at the same time is met a few times at most.
const RACES: usize = 5;

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
    /// As the routes file has it.
    waits: Vec<Duration>,
    form: Form,
    settings: Settings,
    /// Of a kind that has one.
    tracker: Option<Tracking>,
    secrets: Arc<DestinationSecrets>,
}

/// A tracker with its secrets.
struct Tracking {
    tracker: routing::Tracker,
    settings: Settings,
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
        let health = self.platform.deliveries().destination(&delivery.destination).await?;
        if health.state != Circuit::Open
            && let Some(done) = self.put_aside(delivery).await?
        {
            return Ok(done);
        }
        let ready = match self.prepare(delivery).await {
            Ok(ready) => {
                let known = self.known(&ready, delivery).await?;
                Ok((ready, known))
            }
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
        let (ready, known) = match ready {
            Ok(ready) => ready,
            Err(why) => {
                return self.settle(&record, dead_letter(why, delivery)).await.map(|done| done.unwrap_or(Done::Failed));
            }
        };
        let (outcome, sign) = match self.send(&ready, delivery, known, record.attempts).await {
            Ok(told) => {
                let settled = self.settle(&record, told.into()).await?;
                if health.failures > 0 {
                    self.mark(&delivery.destination, Sign::Answers, "").await;
                }
                return Ok(settled.unwrap_or(Done::Failed));
            }
            Err(undelivered) => {
                let sign = Sign::of(&undelivered.error);
                (self.after_failure(&ready, delivery, &record, undelivered).await, sign)
            }
        };
        if sign == Sign::Answers && health.failures > 0 {
            self.mark(&delivery.destination, sign, "").await;
        }
        if let Some(done) = self.settle(&record, outcome.clone()).await? {
            return Ok(done);
        }
        // It was to be parked, and its destination has opened meanwhile: then the queue has it again.
        let Outcome::Parked(Parking { failure: Some(failure), .. }) = outcome else { return Ok(Done::Failed) };
        let at = clock.now() + retry::WAITS[0];
        self.settle(&record, Outcome::Retry { at, failure }).await.map(|done| done.unwrap_or(Done::Failed))
    }

    /// What becomes of a delivery whose try failed while its destination was open, or seemed so.
    async fn after_failure(
        &self,
        ready: &Ready,
        delivery: &Delivery,
        record: &DeliveryRecord,
        undelivered: Undelivered,
    ) -> Outcome {
        let Undelivered { error, failure } = undelivered;
        let sign = Sign::of(&error);
        if matches!(sign, Sign::Trouble { .. } | Sign::Shut { .. })
            && self.mark(&delivery.destination, sign, &failure.error).await != Circuit::Open
        {
            let message = Some(delivery.to_json());
            return Outcome::Parked(Parking { failure: Some(failure), message, ..Parking::default() });
        }
        let now = self.platform.clock().now();
        let too_old = retry::is_too_old(delivery.accepted_at, now);
        let next = match error.next() {
            // The row that says so could not be written: it is found out again.
            Next::Pause { .. } => Next::Retry { not_before: None },
            next => next,
        };
        let at = retry::next_try(next, &ready.waits, record.attempts, now, self.platform.chance());
        if let Some(at) = at.filter(|_| !too_old) {
            return Outcome::Retry { at, failure };
        }
        let too_old = too_old && matches!(next, Next::Retry { .. });
        let error = if too_old { format!("too old for another try: {}", failure.error) } else { failure.error };
        Outcome::Failed { failure: Failure { error, ..failure }, message: Some(delivery.to_json()) }
    }

    /// Writes into the destination's row what a try says about it, and tells of it where that pauses it. Returns the
    /// state after that; a row that cannot be read or written leaves it as it was.
    async fn mark(&self, name: &DestinationName, sign: Sign, reason: &str) -> Circuit {
        let written = async {
            for _ in 0..RACES {
                let row = self.platform.deliveries().destination(name).await?;
                let (now, chance) = (self.platform.clock().now(), self.platform.chance());
                let Some(after) = circuit::after_try(&row, sign, reason, now, chance) else { return Ok(row.state) };
                if self.platform.deliveries().write_destination(&after).await? == Written::Done {
                    if after.state == Circuit::Paused {
                        tracing::error!(destination.name = %name, probe_at = ?after.probe_at, "paused, what is for it is parked: {reason}");
                        self.announce_paused(&after).await;
                    }
                    return Ok(after.state);
                }
            }
            Ok::<_, StoreError>(Circuit::Open)
        };
        written.await.unwrap_or_else(|error| {
            tracing::error!(destination.name = %name, "how it does could not be recorded: {}", chain(&error));
            Circuit::Open
        })
    }

    /// Parks a delivery untried. `None` if there is nothing to park, or its destination has opened meanwhile: then the
    /// message goes its usual way.
    async fn put_aside(&self, delivery: &Delivery) -> Result<Option<Done>, StoreError> {
        for _ in 0..RACES {
            let now = self.platform.clock().now();
            let Some(record) = self.platform.deliveries().read(&delivery.id).await? else { return Ok(None) };
            let (record, claimed) = match record.state {
                DeliveryState::Queued => (record, false),
                // A dead letter that an operator sends again: by the claim it is queued.
                DeliveryState::Failed if delivery.resend.is_some() => {
                    match self.platform.deliveries().claim(&delivery.id, delivery.resend, now).await? {
                        Claim::Taken(record) => (record, true),
                        Claim::Early(_) | Claim::Leftover(_) | Claim::Missing => return Ok(None),
                    }
                }
                DeliveryState::Sent | DeliveryState::Accepted | DeliveryState::Failed | DeliveryState::Parked => {
                    return Ok(None);
                }
            };
            let parking = Parking {
                failure: None,
                message: Some(delivery.to_json()),
                next_try_at: record.next_try_at,
                probe: claimed,
            };
            if let Some(done) = self.settle(&record, Outcome::Parked(parking)).await? {
                return Ok(Some(done));
            }
            if self.platform.deliveries().destination(&delivery.destination).await?.state == Circuit::Open {
                return Ok(None);
            }
        }
        Ok(Some(Done::Failed))
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
        let organization = delivery.normalized.organization.as_deref();
        let refused =
            alert_rule::not_offered_any_more(&delivery.route, delivery.rule.as_ref(), destination, organization);
        if let Some(why) = refused {
            return Err(NotReady::Never(why));
        }
        let kind = destinations::kind(&destination.kind)
            .ok_or_else(|| NotReady::Never(format!("nobody knows the type `{}`", destination.kind)))?;
        let tracker = tracker_of(kind, destination, &in_force.routes)?;
        let values = destination.values.values().chain(tracker.iter().flat_map(|tracker| tracker.values.values()));
        let read = self.secrets.of(self.platform.secrets(), clock, values).await;
        let secrets = read.map_err(|error| match error {
            SecretError::Unreadable(_) => NotReady::NotNow(chain(&error)),
            SecretError::Unfilled(_) | SecretError::Malformed(..) => NotReady::Misconfigured(chain(&error)),
        })?;
        let missing = |error: MissingSecret| NotReady::Misconfigured(error.to_string());
        let settings = Settings::resolve(destination, &secrets).map_err(missing)?;
        let tracker = match tracker {
            Some(tracker) => {
                let settings = Settings::resolve_tracker(tracker, &secrets).map_err(missing)?;
                Some(Tracking { tracker: tracker.clone(), settings })
            }
            None => None,
        };
        let waits = destination.retry.clone().unwrap_or_else(|| kind.waits.to_vec());
        let form = Form::of(&in_force.routes, &delivery.route, destination);
        Ok(Ready { kind, waits, form, settings, tracker, secrets })
    }

    /// Ends a try, or parks without one. `None`: somebody else has settled the delivery meanwhile, or its destination
    /// is open and it was to be parked; nothing has changed.
    async fn settle(&self, record: &DeliveryRecord, outcome: Outcome) -> Result<Option<Done>, StoreError> {
        let now = self.platform.clock().now();
        let settled = self.platform.deliveries().settle(&record.id, record.attempts, outcome.clone(), now).await?;
        if settled == Written::Conflict {
            tracing::warn!(delivery.id = %record.id, "this delivery or its destination has changed meanwhile");
            return Ok(None);
        }
        let (id, destination, attempt) = (&record.id, &record.destination, record.attempts);
        Ok(Some(match outcome {
            Outcome::Sent { .. } | Outcome::Accepted { .. } => Done::Yes,
            Outcome::Parked(Parking { failure: None, .. }) => {
                tracing::info!(delivery.id = %id, destination.name = %destination, "parked: its destination is paused");
                Done::Yes
            }
            Outcome::Parked(Parking { failure: Some(Failure { status, error, .. }), .. }) => {
                tracing::warn!(delivery.id = %id, destination.name = %destination, attempt, status, error, "delivery failed and is parked: its destination is paused");
                Done::Yes
            }
            Outcome::Retry { at, failure: Failure { status, error, .. } } => {
                tracing::warn!(delivery.id = %id, destination.name = %destination, attempt, status, error, next_try_at = %at, "delivery failed, it is tried again");
                Done::Later(until(at, now))
            }
            Outcome::Failed { failure: Failure { status, error, .. }, .. } => {
                telemetry::count(Counter::DeliveriesFailed, now);
                tracing::error!(delivery.id = %id, destination.name = %destination, attempt, status, error, "delivery given up: it is a dead letter now");
                Done::Yes
            }
        }))
    }
}

/// The tracker that a destination of such a kind names.
fn tracker_of<'r>(
    kind: &Kind,
    destination: &Destination,
    routes: &'r Routes,
) -> Result<Option<&'r routing::Tracker>, NotReady> {
    if kind.tracker.is_none() {
        return Ok(None);
    }
    let name = match destination.values.get("tracker") {
        Some(Value::Text(name)) => name.as_str(),
        _ => "",
    };
    let tracker = name.parse().ok().and_then(|name| routes.tracker(&name));
    tracker.map(Some).ok_or_else(|| NotReady::Never(format!("the routes have no tracker `{name}`")))
}

fn dead_letter(why: String, delivery: &Delivery) -> Outcome {
    let failure = Failure { error: why, ..Failure::default() };
    Outcome::Failed { failure, message: Some(delivery.to_json()) }
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}
