//! Trackers' answers, kept for a while: whoever types into a select asks with each letter.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::ids::DestinationName;
use crate::trackers::Choice;

/// An answer is as good as a new one for this long.
const FRESH: Duration = Duration::from_mins(1);
/// And better than none for this long, if the tracker does not answer.
const USABLE: Duration = Duration::from_mins(10);
/// Each has at most as many choices as a select shows.
const MAX_ENTRIES: usize = 1000;

/// What was asked. Nothing of who asked: an answer is the tracker's own, the same for all to whom the tracker is
/// offered, which is checked before the cache is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Version of the routes: the next one may call another tracker by this name.
    pub(super) routes: u64,
    pub(super) tracker: DestinationName,
    pub(super) list: &'static str,
    /// Empty for the list of projects.
    pub(super) project: String,
    pub(super) query: String,
}

#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<Key, (Timestamp, Vec<Choice>)>>);

impl Cache {
    /// An answer that counts as new.
    pub(super) fn fresh(&self, key: &Key, now: Timestamp) -> Option<Vec<Choice>> {
        self.not_older(key, now, FRESH)
    }

    /// An answer for want of a new one.
    pub(super) fn usable(&self, key: &Key, now: Timestamp) -> Option<Vec<Choice>> {
        self.not_older(key, now, USABLE)
    }

    fn not_older(&self, key: &Key, now: Timestamp, age: Duration) -> Option<Vec<Choice>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(at, _)| is_within(*at, now, age)).map(|(_, choices)| choices.clone())
    }

    pub(super) fn keep(&self, key: Key, choices: Vec<Choice>, now: Timestamp) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_ENTRIES && !kept.contains_key(&key) {
            kept.retain(|_, (at, _)| is_within(*at, now, USABLE));
            if kept.len() >= MAX_ENTRIES
                && let Some(oldest) = kept.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone())
            {
                kept.remove(&oldest);
            }
        }
        kept.insert(key, (now, choices));
    }

    /// Whatever is known of a project: something was changed there.
    pub(super) fn forget(&self, tracker: &DestinationName, project: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|key, _| key.tracker != *tracker || key.project != project);
    }
}

fn is_within(at: Timestamp, now: Timestamp, age: Duration) -> bool {
    now.duration_since(at).unsigned_abs() < age
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(query: &str) -> Key {
        Key {
            routes: 1,
            tracker: "board".parse().unwrap(),
            list: "labels",
            project: "acme/backend".into(),
            query: query.into(),
        }
    }

    #[test]
    fn an_answer_is_new_for_a_minute_and_better_than_none_for_ten() {
        let (cache, start) = (Cache::default(), Timestamp::UNIX_EPOCH);
        cache.keep(key("a"), vec![Choice::new("v", "l")], start);
        for (seconds, fresh, usable) in
            [(0, true, true), (59, true, true), (60, false, true), (599, false, true), (600, false, false)]
        {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(cache.fresh(&key("a"), now).is_some(), fresh, "{seconds} s");
            assert_eq!(cache.usable(&key("a"), now).is_some(), usable, "{seconds} s");
        }
    }

    #[test]
    fn what_is_asked_otherwise_has_no_answer() {
        let (cache, now) = (Cache::default(), Timestamp::UNIX_EPOCH);
        cache.keep(key("a"), vec![], now);
        let others = [
            key("b"),
            Key { routes: 2, ..key("a") },
            Key { tracker: "other".parse().unwrap(), ..key("a") },
            Key { list: "tickets", ..key("a") },
            Key { project: "acme/web".into(), ..key("a") },
        ];
        assert!(cache.fresh(&key("a"), now).is_some());
        for other in others {
            assert_eq!(cache.fresh(&other, now), None, "{other:?}");
        }
    }

    #[test]
    fn of_a_project_that_was_changed_nothing_is_known() {
        let (cache, now) = (Cache::default(), Timestamp::UNIX_EPOCH);
        let changed = [key("a"), Key { list: "tickets", ..key("b") }];
        let others =
            [Key { project: "acme/web".into(), ..key("a") }, Key { tracker: "other".parse().unwrap(), ..key("a") }];
        for key in changed.iter().chain(&others) {
            cache.keep(key.clone(), vec![], now);
        }
        cache.forget(&changed[0].tracker, &changed[0].project);
        assert!(changed.iter().all(|key| cache.usable(key, now).is_none()));
        assert!(others.iter().all(|key| cache.usable(key, now).is_some()));
    }

    #[test]
    fn it_never_grows_over_its_bound_and_loses_the_oldest_first() {
        let (cache, start) = (Cache::default(), Timestamp::UNIX_EPOCH);
        let at = |n: usize| start + Duration::from_millis(n as u64);
        for n in 0..=MAX_ENTRIES {
            cache.keep(key(&n.to_string()), vec![], at(n));
        }
        assert_eq!(cache.0.lock().unwrap().len(), MAX_ENTRIES);
        let now = at(MAX_ENTRIES);
        assert!(cache.fresh(&key("0"), now).is_none() && cache.fresh(&key("1"), now).is_some());
    }
}
