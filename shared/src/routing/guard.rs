//! What refuses most routes at a glance, before their patterns are looked at.
//!
//! Ten thousand routes lie all over the memory; their guards lie side by side, a cache line each or less. A guard may
//! let pass what the pattern then refuses, never the other way round.

use super::Route;
use super::key::{Datum, Found, Key, NAMED, Subject};
use super::known;
use super::pattern::{Condition, Pattern};

/// Keys that are mostly asked for by whole texts.
const KEYS: [&str; 4] = ["project", "organization", "level", "environment"];
/// Stands for every event that nobody knows; as many known ones fit beside it.
const UNKNOWN_EVENT: usize = 63;

/// A bit for each known event, and of each key a bit for the hash of each text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    events: u64,
    keys: [u64; KEYS.len()],
}

impl Guard {
    /// Lets pass what `when` may take; a key that it does not ask for has all bits. A default is never met on the way, so nothing passes.
    pub(super) fn of(route: &Route) -> Self {
        if route.default {
            return Self { events: 0, keys: [0; KEYS.len()] };
        }
        let pattern = |name: &str| {
            let of_key = |condition: &&Condition| condition.key.is(name);
            route.when.conditions.iter().find(of_key).map(|condition| &condition.pattern)
        };
        Self {
            events: pattern("event").map_or(u64::MAX, events),
            keys: KEYS.map(|key| pattern(key).map_or(u64::MAX, texts)),
        }
    }

    /// What an event has.
    pub(super) fn seen(subject: Subject<'_>) -> Self {
        let place = known::EVENTS.iter().take(UNKNOWN_EVENT).position(|event| *event == subject.event.event);
        let bits = |name: &str| {
            let Some(key) = NAMED.iter().find(|named| named.name == name).map(Key::Named) else { return u64::MAX };
            let mut bits = 0;
            let found = key.find(subject, &mut |datum| {
                bits |= if let Datum::Text(text) = datum { bit(text) } else { u64::MAX };
                false
            });
            debug_assert!(found != Found::Match);
            if key.may_be_told(subject) { u64::MAX } else { bits }
        };
        Self { events: 1 << place.unwrap_or(UNKNOWN_EVENT), keys: KEYS.map(bits) }
    }

    pub(super) fn lets_pass(&self, seen: &Self) -> bool {
        self.events & seen.events != 0
            && self.keys.iter().zip(&seen.keys).all(|(own, seen)| *own == u64::MAX || own & seen != 0)
    }
}

fn events(pattern: &Pattern) -> u64 {
    let (archived, ignored) = known::ARCHIVED;
    let takes = |event: &str| pattern.matches_text(event) || event == ignored && pattern.matches_text(archived);
    let known = known::EVENTS.iter().take(UNKNOWN_EVENT).enumerate().filter(|(_, event)| takes(event));
    known.fold(1 << UNKNOWN_EVENT, |bits, (place, _)| bits | 1 << place)
}

/// Everything, unless the pattern is a list of whole texts.
fn texts(pattern: &Pattern) -> u64 {
    pattern.whole_texts().map_or(u64::MAX, |texts| texts.into_iter().fold(0, |bits, text| bits | bit(text)))
}

/// One of 64, by FNV-1a.
fn bit(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    1 << (hash >> 58)
}
