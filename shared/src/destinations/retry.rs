//! When a failed delivery is tried again.

use std::time::Duration;

use jiff::Timestamp;

use super::error::Next;
use crate::ports::Chance;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// Waits after the first, second, … failed try, unless kind or routes file say others; after the last the delivery is a
/// dead letter.
pub const WAITS: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * MINUTE),
    Duration::from_secs(10 * MINUTE),
    Duration::from_secs(30 * MINUTE),
    Duration::from_secs(2 * HOUR),
    Duration::from_secs(6 * HOUR),
];
/// Jitter is added, never subtracted: up to this share of the wait.
const JITTER: f64 = 0.1;
/// A delivery received later than this after its event was accepted has one try: so that the queue's retention never
/// deletes one in silence.
pub const TOO_OLD: Duration = Duration::from_hours(12);

/// `Retry-After` counts up to here: past it, the message would be [`TOO_OLD`] for the very try it waits for.
const LONGEST_FLOOR: Duration = Duration::from_hours(6);

/// When try number `attempts + 1` is due, after `attempts` failed at `now`. `None`: no more tries.
pub fn next_try(
    next: Next,
    waits: &[Duration],
    attempts: u32,
    now: Timestamp,
    chance: &impl Chance,
) -> Option<Timestamp> {
    let Next::Retry { not_before } = next else { return None };
    let wait = *waits.get(usize::try_from(attempts.max(1)).ok()? - 1)?;
    let by_schedule = now + (wait + chance.share(wait.mul_f64(JITTER)));
    Some(not_before.map_or(by_schedule, |floor| by_schedule.max(floor.min(now + LONGEST_FLOOR))))
}

pub fn is_too_old(accepted_at: Timestamp, now: Timestamp) -> bool {
    now > accepted_at + TOO_OLD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::SystemChance;

    #[test]
    fn waits_grow_with_jitter_added_and_then_end() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let by_schedule = Next::Retry { not_before: None };
        for (attempts, seconds) in
            [(1u32, 5.0f64), (2, 30.0), (3, 120.0), (4, 600.0), (5, 1800.0), (6, 7200.0), (7, 21600.0)]
        {
            for _ in 0..50 {
                let at = next_try(by_schedule, &WAITS, attempts, now, &SystemChance).unwrap();
                let wait = at.duration_since(now).as_secs_f64();
                assert!((seconds..seconds * 1.1 + 0.001).contains(&wait), "{attempts}: {wait}");
            }
        }
        assert_eq!(next_try(by_schedule, &WAITS, 8, now, &SystemChance), None, "the schedule ends");
        assert_eq!(next_try(Next::GiveUp, &WAITS, 1, now, &SystemChance), None, "a final answer");
        let floor = now + Duration::from_secs(99);
        let retry_after = Next::Retry { not_before: Some(floor) };
        assert_eq!(next_try(retry_after, &WAITS, 1, now, &SystemChance), Some(floor), "Retry-After is a floor");
        assert!(next_try(retry_after, &WAITS, 3, now, &SystemChance).unwrap() > floor, "and nothing more");
        let for_ever = Next::Retry { not_before: Some(Timestamp::MAX) };
        let longest = next_try(for_ever, &WAITS, 1, now, &SystemChance);
        assert_eq!(longest, Some(now + LONGEST_FLOOR), "which does not outlast the queue");
        assert_eq!(next_try(by_schedule, &[], 1, now, &SystemChance), None, "one try only");
        assert!(!is_too_old(now, now + TOO_OLD) && is_too_old(now, now + TOO_OLD + Duration::from_secs(1)));
    }
}
