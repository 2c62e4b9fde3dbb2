//! `dispatch`: what an accepted event means. The installation's life is handled here; the rest is matched against the
//! routes and fanned out, one message a delivery.

mod opened;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::alert_rule::{self, Going, RuleSettings};
use crate::batch::{self, Done};
use crate::delivery::Delivery;
use crate::destinations;
use crate::envelope;
use crate::events::AcceptedEvent;
use crate::ids::{DeliveryId, InstallationId};
use crate::installation::{Budget, Install, Keeper, KeeperError};
use crate::look_up::LookUps;
use crate::normalized::Normalized;
use crate::payload::{self, Data};
use crate::ports::{
    Clock, Deliveries, Failure, Outcome, Platform, Queue, QueueError, Received, Status, StoreError, Written,
};
use crate::repeats;
use crate::routes_in_force::{InForce, NoRoutes, RoutesInForce};
use crate::routing::{Decision, LookedUp, Planned};
use crate::sentry::BaseUrl;
use crate::telemetry::{self, Counter, chain};

/// How long a message waits while somebody else exchanges its code.
const WHILE_INSTALLING: Duration = Duration::from_secs(10);
/// A grant code dies 10 minutes after the install.
const CODE_LIVES: Duration = Duration::from_mins(10);
/// How long the message is waited with before it is hidden.
const WHILE_A_BROWSER_INSTALLS: Duration = Duration::from_secs(2);
/// With less left nothing is begun: what there is no time for goes back untried.
const LEAST_TIME: Duration = Duration::from_secs(3);

/// `dispatch`, with what it keeps between messages.
pub struct Dispatch<P: Platform> {
    platform: Arc<P>,
    keeper: Keeper<P>,
    routes: RoutesInForce,
    look_ups: LookUps,
}

/// Why a message is not done. The text is the log line.
#[derive(Debug, thiserror::Error)]
enum Undone {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    #[error(transparent)]
    Routes(#[from] NoRoutes),
}

impl<P: Platform> Dispatch<P>
where
    P::Secrets: Clone,
    P::Clock: Clone,
{
    pub fn new(platform: Arc<P>, base_url: BaseUrl) -> Self {
        let keeper = Keeper::new(Arc::clone(&platform), base_url);
        Self { platform, keeper, routes: RoutesInForce::default(), look_ups: LookUps::default() }
    }
}

impl<P: Platform> Dispatch<P> {
    /// Handles a batch until `deadline`, the function's own; returns the ids of the messages that are not done.
    pub async fn handle(&self, messages: Vec<Received>, deadline: Timestamp) -> Vec<String> {
        batch::handle(self.platform.events(), messages, |message| self.handle_one(message, deadline)).await
    }

    async fn handle_one(&self, message: Received, deadline: Timestamp) -> Done {
        if self.now() + LEAST_TIME > deadline {
            return Done::Later(Duration::ZERO);
        }
        let read = AcceptedEvent::from_received(&message).map_err(|e| e.to_string()).and_then(|event| {
            let payload = payload::Event::parse(&event.resource, &event.body).map_err(|e| e.to_string())?;
            Ok((event, payload))
        });
        let (event, payload) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(message.id, "{error}: left to the queue's dead letters");
                return Done::Failed;
            }
        };
        match self.dispatch(&event, &payload, &message.group, deadline).await {
            Ok(done) => done,
            Err(Undone::Routes(error @ NoRoutes::Broken { .. })) => {
                tracing::error!(event.id = %event.id, "waits for 30 min: {error}");
                Done::Later(crate::deliver::MISCONFIGURED_WAIT)
            }
            Err(error) => {
                tracing::error!(event.id = %event.id, event.request_id, "{}", chain(&error));
                Done::Failed
            }
        }
    }

    async fn dispatch(
        &self,
        event: &AcceptedEvent,
        payload: &payload::Event,
        group: &str,
        deadline: Timestamp,
    ) -> Result<Done, Undone> {
        if repeats::is_repeat(self.platform.deliveries(), event, payload, self.now()).await? {
            telemetry::count(Counter::RepeatsDropped, self.now());
            tracing::info!(event.id = %event.id, event.request_id, event.name = payload.name(), "a repeat within 30 min: dropped");
            return Ok(Done::Yes);
        }
        if let Some(wait) = self.link(payload, event.accepted_at).await {
            return Ok(Done::Later(wait));
        }
        let mut normalized = Normalized::of(payload);
        let in_force = match (payload.installation, lifecycle(payload)) {
            (Some(installation), Some(change)) => {
                match self.live(installation, change, event.accepted_at, deadline).await? {
                    Done::Yes => {}
                    undone => return Ok(undone),
                }
                // A broken routes file does not stand in the way of an install.
                match self.in_force().await {
                    Ok(in_force) => in_force,
                    Err(error @ NoRoutes::Broken { .. }) => {
                        tracing::error!(event.id = %event.id, "not routed: {error}");
                        return Ok(Done::Yes);
                    }
                    Err(error @ NoRoutes::Unreadable(_)) => return Err(error.into()),
                }
            }
            (Some(installation), None) => {
                let organization = self.meet(installation, deadline).await?;
                normalized.organization = normalized.organization.or(organization);
                self.in_force().await?
            }
            (None, _) => self.in_force().await?,
        };
        let picked = RuleSettings::of(payload);
        let decided = self.decide(&in_force, &mut normalized, payload, event.accepted_at).await;
        let (planned, wait) = match decided {
            Ok(planned) => (planned, None),
            Err(wait) => (Vec::new(), Some(wait)),
        };
        let is_public = !picked.is_empty() && self.keeper.permanent_token().await?.is_none();
        let organization = normalized.organization.as_deref();
        let (mut going, in_vain) = alert_rule::with_rules(&in_force.routes, planned, picked, organization, is_public);
        for why in in_vain {
            tracing::error!(event.id = %event.id, "{why}");
        }
        if wait.is_some() {
            // What a rule asks for hangs on no look-up. Its delivery is made again after the wait, which is harmless.
            going.retain(|going| going.refused.is_none());
        }
        tracing::info!(event.id = %event.id, event.name = normalized.event, installation.id = normalized.installation, deliveries = going.len(), "{}", normalized.headline());
        let original = original(event, payload);
        for going in going {
            self.fan_out(event, &original, group, &in_force, going, &normalized).await?;
        }
        Ok(wait.map_or(Done::Yes, Done::Later))
    }

    async fn in_force(&self) -> Result<InForce, NoRoutes> {
        self.routes.get(self.platform.settings(), self.platform.clock(), None).await
    }

    /// The installation's own life.
    async fn live(
        &self,
        id: InstallationId,
        change: Change<'_>,
        accepted_at: Timestamp,
        deadline: Timestamp,
    ) -> Result<Done, Undone> {
        let code = match change {
            Change::Deleted => {
                self.keeper.remove(id).await?;
                return Ok(Done::Yes);
            }
            // Serialized after the redirect's exchange: there is nothing left to exchange.
            Change::Created(None) => {
                self.meet(id, deadline).await?;
                return Ok(Done::Yes);
            }
            Change::Created(Some(code)) => code,
        };
        match self.keeper.install(id, code, Budget::background(deadline)).await? {
            // A used code is refused like a wrong one: then nothing is left to do.
            Install::Installed(_) | Install::Already(_) | Install::Removed | Install::CodeRefused => Ok(Done::Yes),
            // The browser has it, and is mostly done in a moment.
            Install::Held(_) => match self.keeper.wait_for_tokens(id, self.now() + WHILE_A_BROWSER_INSTALLS).await? {
                Some(_) => Ok(Done::Yes),
                None => Ok(Done::Later(WHILE_INSTALLING)),
            },
            Install::NotNow(_) if self.now() < accepted_at + CODE_LIVES => Ok(Done::Later(WHILE_INSTALLING)),
            Install::NotNow(error) => {
                tracing::error!(installation.id = %id, "the code has expired unexchanged, install again: {}", chain(&error));
                Ok(Done::Yes)
            }
            Install::NoTime => Ok(Done::Later(Duration::ZERO)),
        }
    }

    /// A verified webhook came from this installation: it is recorded or won back where that is needed. Returns the
    /// slug of its organization, where that is known.
    async fn meet(&self, id: InstallationId, deadline: Timestamp) -> Result<Option<String>, Undone> {
        let row = self.keeper.read(id).await?;
        match row {
            Some(row) if row.status == Status::Removed || row.tokens.is_some() => Ok(row.organization),
            Some(row) if row.status == Status::Active => Ok(row.organization),
            row => {
                if let Err(error) = self.keeper.meet(id, Budget::background(deadline)).await {
                    // Its events are routed all the same.
                    tracing::error!(installation.id = %id, "{}", chain(&error));
                }
                Ok(self.keeper.read(id).await?.or(row).and_then(|row| row.organization))
            }
        }
    }

    /// Where the event goes; an error is how long to wait before the look-up is tried again.
    async fn decide(
        &self,
        in_force: &InForce,
        normalized: &mut Normalized,
        payload: &payload::Event,
        accepted_at: Timestamp,
    ) -> Result<Vec<Planned>, Duration> {
        let Some(installation) = payload.installation else {
            return Ok(deliveries(in_force.routes.decide(normalized, &payload.raw, LookedUp::Failed)));
        };
        if let Decision::Deliver(planned) = in_force.routes.decide(normalized, &payload.raw, LookedUp::No) {
            return Ok(planned);
        }
        self.look_ups.fill_project(installation, normalized, self.now());
        if let Decision::Deliver(planned) = in_force.routes.decide(normalized, &payload.raw, LookedUp::No) {
            return Ok(planned);
        }
        let looked_up = match self.look_ups.fill(&self.keeper, installation, normalized, self.now()).await {
            Ok(()) => LookedUp::Yes,
            Err(error) => {
                let wait = (!error.is_final()).then(|| crate::look_up::next_try(accepted_at, self.now())).flatten();
                tracing::warn!(installation.id = %installation, issue.id = normalized.issue, "the issue could not be looked up{}: {}",
                    if wait.is_some() { ", it is tried again" } else { "; the event is matched with what is known" }, chain(&error));
                if let Some(wait) = wait {
                    return Err(wait);
                }
                normalized.look_up_failed = true;
                LookedUp::Failed
            }
        };
        Ok(deliveries(in_force.routes.decide(normalized, &payload.raw, looked_up)))
    }

    /// One record and one message. The record comes first: a message without one is a leftover.
    async fn fan_out(
        &self,
        event: &AcceptedEvent,
        original: &Bytes,
        group: &str,
        in_force: &InForce,
        Going { planned, rule, refused }: Going,
        normalized: &Normalized,
    ) -> Result<(), Undone> {
        let id = DeliveryId::of(&event.id, event.accepted_at, &planned.destination);
        let installation: Option<InstallationId> = normalized.installation.parse().ok();
        let destination = in_force.routes.destination(&planned.destination);
        let kind = destination.and_then(|destination| destinations::kind(&destination.kind));
        // What is put back under the name of one that is gone may forward them.
        let forwards = destination.zip(kind).map_or(refused.is_some(), |(own, kind)| (kind.forwards)(own));
        // One conversation an issue: then also what is no event of the issue itself keeps its order.
        let issue_group = match (kind, installation, &normalized.issue) {
            (Some(kind), Some(installation), Some(issue)) if kind.threads => {
                Some(envelope::issue_group(installation, issue))
            }
            _ => None,
        };
        let group = format!("{}:{}", planned.destination, issue_group.as_deref().unwrap_or(group));
        let delivery = Delivery {
            id: id.clone(),
            event: event.id.clone(),
            destination: planned.destination,
            route: planned.route,
            routes: in_force.version,
            accepted_at: event.accepted_at,
            normalized: normalized.clone(),
            rule,
            original: forwards.then(|| original.clone()),
            resend: None,
        };
        // A conflict is this very event once more: its message may not have been sent, and a repeat is harmless.
        let (Written::Done | Written::Conflict) =
            self.platform.deliveries().create(&delivery.queued(group.clone())).await?;
        if let Some(why) = refused {
            let kept = delivery.to_json();
            return self.bury(&id, why, Some(kept)).await;
        }
        let message = delivery.to_message(group);
        match message.check(self.platform.outbox().max_bytes()) {
            Ok(()) => Ok(self.platform.outbox().send(&message).await?),
            Err(error) => self.bury(&id, error.to_string(), None).await,
        }
    }

    /// Makes a dead letter of what was never sent; `message` is for sending it again.
    async fn bury(&self, id: &DeliveryId, error: String, message: Option<String>) -> Result<(), Undone> {
        let now = self.now();
        let outcome = Outcome::Failed { failure: Failure { error: error.clone(), ..Failure::default() }, message };
        // A conflict: it was buried before, and may be on its way again.
        if self.platform.deliveries().settle(id, 0, outcome, now).await? == Written::Done {
            telemetry::count(Counter::DeliveriesFailed, now);
            tracing::error!(delivery.id = %id, "dead letter: {error}");
        }
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.platform.clock().now()
    }
}

/// Sentry's bytes as they came, but for a grant code: it may not be exchanged yet, and is as good as a password.
fn original(event: &AcceptedEvent, payload: &payload::Event) -> Bytes {
    match &payload.data {
        Data::Installation(installation) if installation.code.is_some() => payload.raw.to_string().into(),
        _ => event.body.clone(),
    }
}

fn deliveries(decision: Decision) -> Vec<Planned> {
    match decision {
        Decision::Deliver(planned) => planned,
        Decision::NeedsIssue => Vec::new(),
    }
}

/// A change in an installation's life that the body itself vouches for.
enum Change<'a> {
    Created(Option<&'a secrecy::SecretString>),
    Deleted,
}

/// The resource header is not signed: the body must say so too, by `data.installation.uuid`.
fn lifecycle(payload: &payload::Event) -> Option<Change<'_>> {
    let Data::Installation(installation) = &payload.data else { return None };
    let uuid: InstallationId = installation.uuid.as_deref()?.parse().ok()?;
    match payload.action.as_str() {
        _ if Some(uuid) != payload.installation => None,
        "created" => Some(Change::Created(installation.code.as_ref())),
        "deleted" => Some(Change::Deleted),
        _ => None,
    }
}
