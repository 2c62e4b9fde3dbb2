//! How many calls to one destination are under way at once in this process: what its vendor allows, and no more than
//! its share where it hangs. On Lambda, where a process has one message, the template's concurrency is the limit.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ids::DestinationName;

/// A message that finds all lanes taken goes back to the queue, ever longer: each return is a receive, and the queue
/// takes a message for poison at the 100th, by this some six hours later.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

#[derive(Default)]
pub(super) struct Lanes(Mutex<BTreeMap<DestinationName, usize>>);

/// One of a destination's lanes, until it is dropped.
pub(super) struct Lane<'a> {
    lanes: &'a Lanes,
    destination: &'a DestinationName,
}

impl Lanes {
    /// `None` if `at_once` are taken.
    pub(super) fn take<'a>(&'a self, destination: &'a DestinationName, at_once: usize) -> Option<Lane<'a>> {
        let mut taken = self.taken();
        let count = taken.entry(destination.clone()).or_default();
        (*count < at_once.max(1)).then(|| {
            *count += 1;
            Lane { lanes: self, destination }
        })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<DestinationName, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        let mut taken = self.lanes.taken();
        if let Some(count) = taken.get_mut(self.destination) {
            *count -= 1;
            if *count == 0 {
                taken.remove(self.destination);
            }
        }
    }
}

/// How long a message waits that was received so often.
pub(super) fn wait(receive_count: u32) -> Duration {
    let seconds = u64::from(receive_count).pow(2) / 4;
    Duration::from_secs(seconds.max(1)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_destination_has_its_own_lanes_and_gets_back_what_is_dropped() {
        let lanes = Lanes::default();
        let (a, b): (DestinationName, DestinationName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let first = lanes.take(&a, 2).expect("free");
        let second = lanes.take(&a, 2).expect("free");
        assert!(lanes.take(&a, 2).is_none());
        assert!(lanes.take(&b, 1).is_some(), "another destination's");
        drop(first);
        assert!(lanes.take(&a, 2).is_some());
        drop(second);
        assert!(lanes.take(&a, 0).is_some(), "one is the least");
        assert!(lanes.taken().is_empty(), "nothing is kept for nobody");
    }

    #[test]
    fn a_message_is_given_back_for_hours_before_the_queue_takes_it_for_poison() {
        assert_eq!([1, 2, 3, 10].map(|count| wait(count).as_secs()), [1, 1, 2, 25]);
        let all: Duration = (1..100).map(wait).sum();
        assert!(all > Duration::from_hours(6), "{all:?}");
        assert_eq!(wait(u32::MAX), LONGEST_WAIT);
    }
}
