//! What is done on the schedule, every minute: destinations that are not open are probed with what was parked for
//! them, and what was parked is sent once they are back.
//!
//! One tick at a time looks after a destination, by a lease on its row. No probe waits on the queue, where its loss
//! would wake nobody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, FuturesUnordered, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::circuit::{self, Sign};
use super::{Deliver, NotReady, dead_letter};
use crate::delivery::Delivery;
use crate::destinations::error::Next;
use crate::destinations::{self, kind, retry};
use crate::ids::DestinationName;
use crate::ports::{
    Circuit, Claim, Clock, Deliveries, DeliveryRecord, DeliveryState, DestinationHealth, Outcome, Parking, Platform,
    StoreError, Stuck, Written,
};
use crate::routes_in_force::InForce;
use crate::telemetry::chain;

/// Longer than the 30 s of the function, so that it ends only after a tick that was killed.
const LEASE: Duration = Duration::from_secs(40);
/// One call and what is written after it: with less left, none is begun.
const LEAST_TIME: Duration = Duration::from_secs(12);
/// Records read at once: each may keep a message of 350 kB.
const PAGE: usize = 50;
const READS_AT_ONCE: usize = 10;
/// Read beyond those that wait for another of their issue, to find other issues.
const LOOK_AHEAD: usize = 4 * PAGE;
/// So long each tick says anew that a destination was paused, in case nobody could be told then. The queue drops what
/// it has had in the last 5 minutes.
const TOLD_AGAIN: Duration = Duration::from_mins(4);

/// What one tick has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticked {
    pub probed: u32,
    pub sent: u32,
    /// Dead letters.
    pub failed: u32,
    /// Destinations that are open again.
    pub opened: u32,
}

/// How one parked delivery fared.
struct Tried {
    group: String,
    /// Its `next_try_at` before.
    held_back: Option<Timestamp>,
    sign: Sign,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Sent,
    Failed,
    /// Still parked.
    Kept,
    /// It was not parked any more.
    Gone,
    /// No try can be made now, of none of them.
    NotReady,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Probe,
    Drain,
    /// The routes name its destination no more.
    Bury,
}

impl<P: Platform> Deliver<P> {
    /// Looks after every destination that is not open, side by side. No call is begun with less than 12 s left before
    /// `deadline`. Fails only where the list of them cannot be read.
    pub async fn tick(&self, deadline: Timestamp) -> Result<Ticked, StoreError> {
        let names = self.platform.deliveries().not_open().await?;
        if names.is_empty() {
            return Ok(Ticked::default());
        }
        let in_force = match self.routes.get(self.platform.settings(), self.platform.clock(), None).await {
            Ok(in_force) => in_force,
            Err(error) => {
                tracing::error!("what is parked stays parked: {error}");
                return Ok(Ticked::default());
            }
        };
        let in_force = &in_force;
        let looked_after = join_all(names.iter().map(|name| async move {
            let looked_after = self.look_after(name, in_force, deadline).await;
            looked_after.unwrap_or_else(|error| {
                tracing::error!(destination.name = %name, "what is parked for it waits: {}", chain(&error));
                Ticked::default()
            })
        }));
        Ok(looked_after.await.into_iter().fold(Ticked::default(), |all, one| Ticked {
            probed: all.probed + one.probed,
            sent: all.sent + one.sent,
            failed: all.failed + one.failed,
            opened: all.opened + one.opened,
        }))
    }

    async fn look_after(
        &self,
        name: &DestinationName,
        in_force: &InForce,
        deadline: Timestamp,
    ) -> Result<Ticked, StoreError> {
        let now = self.platform.clock().now();
        let row = self.platform.deliveries().destination(name).await?;
        if row.state == Circuit::Open || row.lease_until.is_some_and(|until| until > now) {
            return Ok(Ticked::default());
        }
        // Without routes of any version, nothing is known to be gone.
        let configured = in_force.routes.destination(name);
        let gone = in_force.version > 0 && configured.is_none();
        if row.state == Circuit::Paused && row.since.is_some_and(|since| now < since + TOLD_AGAIN) {
            self.announce_paused(&row).await;
        }
        if row.state == Circuit::Paused && !gone && row.probe_at.is_some_and(|at| at > now) {
            return Ok(Ticked::default());
        }
        let lease = now + LEASE;
        let mut round = Round {
            deliver: self,
            no_call_after: deadline.min(lease) - LEAST_TIME,
            concurrency: configured.map_or(kind::CONCURRENCY.into(), destinations::concurrency),
            row,
            ticked: Ticked::default(),
        };
        if !round.write(DestinationHealth { lease_until: Some(lease), ..round.row.clone() }).await? {
            return Ok(Ticked::default());
        }
        round.run(gone).await?;
        Ok(round.ticked)
    }

    /// Tries one parked delivery and settles it.
    async fn try_parked(&self, record: DeliveryRecord, why: Why) -> Result<Tried, StoreError> {
        let tried = |sign, end| Tried { group: record.group.clone(), held_back: record.next_try_at, sign, end };
        let message = record.message.as_deref().unwrap_or_default();
        let read = Delivery::from_json(message.as_bytes());
        let prepared = match &read {
            Ok(delivery) => match self.prepare(delivery).await {
                // Its message knows of newer routes, which name the destination again: the next tick sees to it.
                Ok(_) if why == Why::Bury => return Ok(tried(Sign::Nothing, End::NotReady)),
                Ok(ready) => {
                    let known = self.known(&ready, delivery).await?;
                    Ok((delivery, ready, known))
                }
                Err(NotReady::Misconfigured(reason) | NotReady::NotNow(reason)) => {
                    tracing::error!(destination.name = %record.destination, "what is parked for it waits: {reason}");
                    return Ok(tried(Sign::Nothing, End::NotReady));
                }
                Err(NotReady::Never(reason)) => Err(dead_letter(reason, delivery)),
            },
            Err(error) => {
                let failure =
                    crate::ports::Failure { error: format!("its parked message: {error}"), ..Default::default() };
                Err(Outcome::Failed { failure, message: None })
            }
        };
        let now = self.platform.clock().now();
        let claimed = match self.platform.deliveries().claim_parked(&record.id, why != Why::Drain, now).await? {
            Claim::Taken(claimed) => claimed,
            Claim::Early(_) => return Ok(tried(Sign::Nothing, End::Kept)),
            Claim::Leftover(_) | Claim::Missing => return Ok(tried(Sign::Nothing, End::Gone)),
        };
        let (sign, outcome) = match prepared {
            Err(outcome) => (Sign::Nothing, outcome),
            Ok((delivery, ready, known)) => match self.send(&ready, delivery, known, claimed.attempts).await {
                Ok(told) => (Sign::Answers, told.into()),
                Err(undelivered) => {
                    let sign = Sign::of(&undelivered.error);
                    let next = undelivered.error.next();
                    let now = self.platform.clock().now();
                    let keep = match (why, sign, next) {
                        // Its own fault, or a mistake of ours that each of them would die of.
                        (_, Sign::Answers | Sign::Nothing, _) => None,
                        // When it failed, so that the next probe is of another issue; it holds nothing back.
                        (Why::Probe, _, _) => Some((Some(now), true)),
                        (_, Sign::Shut { .. }, _) => Some((None, true)),
                        (_, _, Next::Retry { .. }) => {
                            let attempts = claimed.attempts;
                            let at = retry::next_try(next, &ready.waits, attempts, now, self.platform.chance());
                            at.map(|at| (Some(at), false))
                        }
                        _ => None,
                    };
                    let failure = undelivered.failure;
                    let outcome = match keep {
                        Some((next_try_at, probe)) => {
                            Outcome::Parked(Parking { failure: Some(failure), message: None, next_try_at, probe })
                        }
                        None => Outcome::Failed { failure, message: None },
                    };
                    (sign, outcome)
                }
            },
        };
        let end = match &outcome {
            Outcome::Sent { .. } | Outcome::Accepted { .. } => End::Sent,
            Outcome::Failed { .. } => End::Failed,
            Outcome::Parked(_) | Outcome::Retry { .. } => End::Kept,
        };
        let settled = self.settle(&claimed, outcome).await?;
        Ok(tried(sign, if settled.is_some() { end } else { End::Gone }))
    }

    /// What is parked after `after`, oldest first, with the place to go on from; `None`: there is no more.
    async fn parked(
        &self,
        name: &DestinationName,
        after: Option<&Stuck>,
    ) -> Result<(Vec<DeliveryRecord>, Option<Stuck>), StoreError> {
        let deliveries = self.platform.deliveries();
        let found = deliveries.stuck(name, DeliveryState::Parked, after, PAGE).await?;
        let last = if found.len() < PAGE { None } else { found.last().cloned() };
        let records: Vec<Option<DeliveryRecord>> = stream::iter(found)
            .map(|stuck| async move { deliveries.read(&stuck.id).await })
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await?;
        // The index may lag behind: the record itself decides.
        let parked = records.into_iter().flatten().filter(|record| record.state == DeliveryState::Parked);
        Ok((parked.collect(), last))
    }
}

/// One tick's work on one destination, whose lease it has.
struct Round<'a, P> {
    deliver: &'a Deliver<P>,
    no_call_after: Timestamp,
    concurrency: usize,
    row: DestinationHealth,
    ticked: Ticked,
}

impl<P: Platform> Round<'_, P> {
    async fn run(&mut self, gone: bool) -> Result<(), StoreError> {
        let mut proven = gone || self.row.state == Circuit::Draining;
        if gone {
            self.work_off(Why::Bury).await?;
        } else {
            if self.row.state == Circuit::Paused && self.is_time() {
                self.probe().await?;
                proven = self.row.state == Circuit::Draining;
            }
            if self.row.state == Circuit::Draining {
                self.work_off(Why::Drain).await?;
            }
        }
        self.end(gone, proven).await
    }

    fn is_time(&self) -> bool {
        self.now() <= self.no_call_after
    }

    fn now(&self) -> Timestamp {
        self.deliver.platform.clock().now()
    }

    /// Sends one parked delivery: of the issues whose last probe is longest ago, the oldest.
    async fn probe(&mut self) -> Result<(), StoreError> {
        let (parked, _) = self.deliver.parked(&self.row.name, None).await?;
        let mut heads: BTreeMap<&str, &DeliveryRecord> = BTreeMap::new();
        for record in &parked {
            heads.entry(&record.group).or_insert(record);
        }
        let longest_ago = heads.into_values().min_by_key(|record| (record.next_try_at, record.accepted_at));
        let Some(record) = longest_ago.cloned() else { return Ok(()) };
        self.ticked.probed += 1;
        let tried = self.deliver.try_parked(record, Why::Probe).await?;
        self.count(&tried);
        if matches!(tried.end, End::NotReady | End::Gone) {
            return Ok(());
        }
        let (now, chance) = (self.now(), self.deliver.platform.chance());
        let after = circuit::after_probe(&self.row, tried.sign, now, chance);
        if after.state == Circuit::Draining {
            tracing::info!(destination.name = %after.name, parked = after.parked, "a probe went through: what was parked is sent");
        } else {
            tracing::warn!(destination.name = %after.name, probe_at = ?after.probe_at, "a probe failed");
        }
        self.write(after).await?;
        Ok(())
    }

    /// Oldest first, issues side by side, each in order, until nothing is left that is due or the time is over.
    async fn work_off(&mut self, why: Why) -> Result<(), StoreError> {
        let deliver = self.deliver;
        let mut waiting: VecDeque<DeliveryRecord> = VecDeque::new();
        let mut from = None;
        let mut more = true;
        let mut busy: BTreeSet<String> = BTreeSet::new();
        // Not before the next tick.
        let mut held: BTreeSet<String> = BTreeSet::new();
        let mut calls = FuturesUnordered::new();
        let mut goes_on = true;
        let mut trouble = Ok(());
        loop {
            while goes_on && calls.len() < self.concurrency && self.is_time() {
                let Some(next) = waiting.iter().position(|record| !busy.contains(&record.group)) else {
                    if !more || waiting.len() >= LOOK_AHEAD {
                        break;
                    }
                    let (records, last) = deliver.parked(&self.row.name, from.as_ref()).await?;
                    more = last.is_some();
                    from = last;
                    waiting.extend(records);
                    continue;
                };
                let Some(record) = waiting.remove(next) else { break };
                let is_early = why == Why::Drain && record.next_try_at.is_some_and(|at| at > self.now());
                if held.contains(&record.group) || is_early {
                    held.insert(record.group);
                    continue;
                }
                busy.insert(record.group.clone());
                calls.push(deliver.try_parked(record, why));
            }
            let tried = match calls.next().await {
                None => return trouble,
                Some(Ok(tried)) => tried,
                // Calls that are under way are not broken off: they would be made twice.
                Some(Err(error)) => {
                    goes_on = false;
                    trouble = Err(error);
                    continue;
                }
            };
            busy.remove(&tried.group);
            self.count(&tried);
            if tried.end == End::Kept {
                held.insert(tried.group);
            }
            // Once the far side asks for time, or we cannot go on ourselves, the rest waits for the next tick.
            goes_on &= tried.end != End::NotReady && !matches!(tried.sign, Sign::Busy { .. });
            if why == Why::Drain {
                let (now, chance) = (self.now(), deliver.platform.chance());
                if let Some(after) = circuit::after_drained(&self.row, tried.sign, tried.held_back, now, chance) {
                    if after.state == Circuit::Paused {
                        tracing::warn!(destination.name = %after.name, probe_at = ?after.probe_at, "in trouble again: paused again");
                    }
                    goes_on &= self.write(after).await?;
                }
                goes_on &= self.row.state == Circuit::Draining;
            }
        }
    }

    /// Opens the destination if nothing is parked any more; else gives the lease back.
    async fn end(&mut self, gone: bool, proven: bool) -> Result<(), StoreError> {
        let fresh = self.deliver.platform.deliveries().destination(&self.row.name).await?;
        // Paused and due, with nothing to probe it with: the next message is the probe.
        let due = self.row.probe_at.is_none_or(|at| at <= self.now());
        if fresh.parked == 0 && (gone || self.row.state == Circuit::Draining || due) {
            let before = self.row.clone();
            if self.write(circuit::opened(&before, proven)).await? {
                tracing::info!(destination.name = %before.name, "open again");
                self.ticked.opened += 1;
                if !gone {
                    self.deliver.announce_resumed(&before).await;
                }
                return Ok(());
            }
        }
        self.write(DestinationHealth { lease_until: None, ..self.row.clone() }).await?;
        Ok(())
    }

    fn count(&mut self, tried: &Tried) {
        self.ticked.sent += u32::from(tried.end == End::Sent);
        self.ticked.failed += u32::from(tried.end == End::Failed);
    }

    /// Whether the row is as `after` says now. If not, somebody else has written it, or something was parked
    /// meanwhile that must be sent before it opens.
    async fn write(&mut self, after: DestinationHealth) -> Result<bool, StoreError> {
        let written = self.deliver.platform.deliveries().write_destination(&after).await?;
        if written == Written::Conflict {
            return Ok(false);
        }
        self.row = DestinationHealth { version: after.version + 1, ..after };
        Ok(true)
    }
}
