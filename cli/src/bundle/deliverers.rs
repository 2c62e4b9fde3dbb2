//! Works off `deliveries.fifo`: many calls side by side, and of each destination no more than it may have.
//!
//! A destination is a lane of the queue. What waits for one that has all its calls under way is not received, so a
//! hanging destination holds its own calls and nothing else, however much waits for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use shared::destinations::{self, kind};
use shared::ids::DestinationName;
use shared::ports::{Consume, Deliveries, Platform, Received, SystemClock};
use shared::routes_in_force::RoutesInForce;
use shared::routing::Routes;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use super::{Bundle, LocalQueue, VISIBILITY, idle, stopped};

/// Calls at once to all destinations together. It bounds what their messages take of memory: when it is reached, only
/// destinations without any call under way get one more, so that none waits for the others.
const AT_ONCE: usize = 64;
/// Of what waits for a paused destination, so many are parked at once: nobody waits for them, and each takes its turn at
/// the one writer of the store, which the others need.
const PARKINGS: usize = 1;

pub(super) async fn work(bundle: Arc<Bundle>, mut stop: watch::Receiver<bool>) {
    let queue = bundle.platform.outbox().clone();
    let routes = RoutesInForce::default();
    let mut changed = queue.changed();
    let mut calls = Calls::default();
    while !*stop.borrow() {
        changed.mark_unchanged();
        // Those who cannot be read are told of by `deliver`.
        if let Ok(in_force) = routes.get(bundle.platform.settings(), &SystemClock, None).await {
            // Where it cannot be read, each is taken for open.
            let paused = bundle.platform.deliveries().not_open().await.unwrap_or_default();
            calls.limits = limits(&in_force.routes, &paused);
        }
        let (max, room) = calls.room();
        let room = Arc::new(room);
        let of_lane = Arc::clone(&room);
        let messages = match queue.receive_by_lane(max, move |lane| of_lane.of(lane), VISIBILITY).await {
            Ok(messages) => messages,
            Err(error) => {
                tracing::error!("the queue cannot be read: {error}");
                Vec::new()
            }
        };
        if messages.is_empty() {
            tokio::select! {
                () = stopped(&mut stop) => break,
                _ = changed.changed() => {}
                () = calls.one_ended(), if !calls.under_way.is_empty() => {}
                () = idle(queue.next_visible_at_in(move |lane| room.of(lane) > 0)) => {}
            }
        }
        for message in messages {
            calls.begin(&bundle, &queue, message);
        }
        calls.forget_ended();
    }
    while !calls.under_way.is_empty() {
        calls.one_ended().await;
    }
}

/// Calls at once of each destination that the routes file has.
fn limits(routes: &Routes, paused: &[DestinationName]) -> BTreeMap<String, usize> {
    let limits = routes.destinations().map(|destination| {
        let is_paused = paused.contains(&destination.name);
        (destination.name.to_string(), if is_paused { PARKINGS } else { destinations::concurrency(destination) })
    });
    limits.collect()
}

/// Of a destination that the file does not have any more: what waits for it is given up at once.
const OTHERS: usize = kind::CONCURRENCY as usize;

#[derive(Default)]
struct Calls {
    limits: BTreeMap<String, usize>,
    under_way: JoinSet<()>,
    /// The destination of each.
    lanes: HashMap<Id, String>,
}

/// How many more calls may begin, by destination.
#[derive(Debug, PartialEq, Eq)]
struct Room {
    of: BTreeMap<String, usize>,
    others: usize,
}

impl Room {
    fn of(&self, lane: &str) -> usize {
        self.of.get(lane).copied().unwrap_or(self.others)
    }

    /// At most `at_once` calls in all, besides one of each destination that has none.
    fn left(limits: &BTreeMap<String, usize>, under_way: &BTreeMap<&str, usize>, at_once: usize) -> (usize, Self) {
        let free = at_once.saturating_sub(under_way.values().sum());
        let (max, most) = if free > 0 { (free, usize::MAX) } else { (at_once, 1) };
        let left = |limit: usize, lane: &str| match under_way.get(lane) {
            None => limit.min(most),
            Some(_) if free == 0 => 0,
            Some(calls) => limit.saturating_sub(*calls),
        };
        let named = limits.iter().map(|(lane, limit)| (lane.clone(), left(*limit, lane)));
        let unnamed = under_way.keys().filter(|lane| !limits.contains_key(**lane));
        let of = named.chain(unnamed.map(|lane| ((*lane).to_owned(), left(OTHERS, lane)))).collect();
        (max, Self { of, others: OTHERS.min(most) })
    }
}

impl Calls {
    fn room(&self) -> (usize, Room) {
        let mut under_way = BTreeMap::new();
        for lane in self.lanes.values() {
            *under_way.entry(lane.as_str()).or_default() += 1;
        }
        Room::left(&self.limits, &under_way, AT_ONCE)
    }

    fn begin(&mut self, bundle: &Arc<Bundle>, queue: &LocalQueue, message: Received) {
        let lane = message.group.split_once(':').map_or("", |(lane, _)| lane).to_owned();
        let (bundle, queue) = (Arc::clone(bundle), queue.clone());
        let call = self.under_way.spawn(async move {
            let (id, receipt) = (message.id.clone(), message.receipt.clone());
            if bundle.deliver.handle(vec![message]).await.is_empty()
                && let Err(error) = queue.delete(&receipt).await
            {
                tracing::warn!(message.id = id, "a message that is done comes again: {error}");
            }
        });
        self.lanes.insert(call.id(), lane);
    }

    async fn one_ended(&mut self) {
        if let Some(ended) = self.under_way.join_next_with_id().await {
            self.forget(ended);
        }
    }

    fn forget_ended(&mut self) {
        while let Some(ended) = self.under_way.try_join_next_with_id() {
            self.forget(ended);
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        self.lanes.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts<'a>(of: &[(&'a str, usize)]) -> BTreeMap<&'a str, usize> {
        of.iter().copied().collect()
    }

    #[test]
    fn what_is_paused_gets_little_room_whatever_the_file_says() {
        let file = "[[destination]]\nname = \"log\"\ntype = \"console\"\nconcurrency = 7\n";
        let routes = Routes::compile(file).expect("a file");
        for (paused, expected) in [(vec![], 7), (vec!["other"], 7), (vec!["other", "log"], PARKINGS)] {
            let paused: Vec<DestinationName> = paused.into_iter().map(|name| name.parse().expect("a name")).collect();
            assert_eq!(limits(&routes, &paused), [("log".to_owned(), expected)].into(), "{paused:?}");
        }
    }

    #[test]
    fn room_is_what_a_destination_and_all_together_leave() {
        let limits = [("dead", 10), ("phones", 2), ("well", 10)].map(|(lane, limit)| (lane.to_owned(), limit)).into();
        let lanes = ["dead", "phones", "well", "vanished", "other"];
        let cases = [
            ("nothing is under way", counts(&[]), (64, [10, 2, 10, 10, 10])),
            ("one has all it may have", counts(&[("dead", 10), ("well", 3)]), (51, [0, 2, 7, 10, 10])),
            ("its limit was made smaller", counts(&[("phones", 5)]), (59, [10, 0, 10, 10, 10])),
            ("the file does not have it any more", counts(&[("vanished", 9)]), (55, [10, 2, 10, 1, 10])),
            ("all together is reached", counts(&[("dead", 10), ("vanished", 54)]), (64, [0, 1, 1, 0, 1])),
            ("and more than that", counts(&[("dead", 10), ("vanished", 54), ("well", 1)]), (64, [0, 1, 0, 0, 1])),
        ];
        for (name, under_way, expected) in cases {
            let (max, room) = Room::left(&limits, &under_way, 64);
            assert_eq!((max, lanes.map(|lane| room.of(lane))), expected, "{name}");
        }
    }
}
