//! Whether a destination is called: what one answer means for all that wait for it. Pure; the rows are
//! [`super::Deliver`]'s.
//!
//! Open, until it fails several times in a row or says itself that it takes nothing. Paused then, and probed with what
//! was parked; a probe that goes through makes it draining, and once nothing is parked any more it is open again.

use std::time::Duration;

use jiff::Timestamp;

use crate::destinations::error::{DeliveryError, Next};
use crate::ports::{BusError, Chance, Circuit, DestinationHealth};

/// Tries in a row, of whatever messages, that fail through an open destination's own trouble until it is paused.
const IN_A_ROW: u32 = 5;
/// The same while it drains, of different messages: it was in trouble a moment ago. Not one alone, which may be the
/// message's own fault and would hold back all the others.
const IN_A_ROW_DRAINING: u32 = 2;
/// From the pause to the first probe; doubled after each that fails.
const FIRST_PROBE: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_mins(15);
/// Jitter is added, never subtracted: up to this share of the wait.
const JITTER: f64 = 0.1;
/// A far side's own word on when to come back counts up to here; that on a quota, which lasts a month, further.
const LONGEST_FLOOR: Duration = Duration::from_hours(6);
const LONGEST_QUOTA: Duration = Duration::from_hours(32 * 24);

/// What the end of one try says about its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answers: it took the message, or refuses just this one.
    Answers,
    /// It is alive, but wants to be left in peace for a while.
    Busy { until: Option<Timestamp> },
    /// It is in trouble.
    Trouble { until: Option<Timestamp> },
    /// It takes nothing, and says so.
    Shut { until: Option<Timestamp> },
    /// Nothing: it was never asked.
    Nothing,
}

impl Sign {
    pub(super) fn of(error: &DeliveryError) -> Self {
        match (error.next(), error) {
            (Next::Pause { until }, _) => Self::Shut { until },
            (Next::Retry { not_before: until }, DeliveryError::Throttled { .. }) => Self::Busy { until },
            (next, error) if error.is_trouble_of_destination() => {
                let Next::Retry { not_before: until } = next else { return Self::Trouble { until: None } };
                Self::Trouble { until }
            }
            (
                _,
                DeliveryError::Misconfigured { .. }
                | DeliveryError::BadValue { .. }
                | DeliveryError::Tracker(_)
                | DeliveryError::NoIssue
                | DeliveryError::NotNow(_)
                | DeliveryError::Bus(BusError::NotInThisBuild),
            ) => Self::Nothing,
            _ => Self::Answers,
        }
    }
}

/// The row after a try of a message from the queue; `None` if that changes nothing.
pub(super) fn after_try(
    row: &DestinationHealth,
    sign: Sign,
    reason: &str,
    now: Timestamp,
    chance: &impl Chance,
) -> Option<DestinationHealth> {
    // Somebody else has paused it meanwhile: its tick finds out how it does.
    if row.state != Circuit::Open {
        return None;
    }
    match sign {
        Sign::Answers => (row.failures > 0).then(|| DestinationHealth { failures: 0, ..row.clone() }),
        Sign::Busy { .. } | Sign::Nothing => None,
        Sign::Trouble { .. } if row.failures + 1 < IN_A_ROW => {
            Some(DestinationHealth { failures: row.failures + 1, ..row.clone() })
        }
        Sign::Trouble { .. } | Sign::Shut { .. } => Some(DestinationHealth {
            since: Some(now),
            reason: Some(reason.to_owned()),
            ..paused(row, 0, sign, now, chance)
        }),
    }
}

/// The row after a probe.
pub(super) fn after_probe(
    row: &DestinationHealth,
    sign: Sign,
    now: Timestamp,
    chance: &impl Chance,
) -> DestinationHealth {
    match sign {
        // `probe_at` stays: what was held back before it belongs to an earlier time (see `after_drained`).
        Sign::Answers => DestinationHealth { state: Circuit::Draining, failures: 0, ..row.clone() },
        Sign::Busy { .. } | Sign::Trouble { .. } | Sign::Shut { .. } | Sign::Nothing => {
            paused(row, row.failures.saturating_add(1), sign, now, chance)
        }
    }
}

/// The row after a try of a parked message while it drains; `None` if that changes nothing. `held_back` is the
/// message's `next_try_at`: one that has failed in this draining before says nothing new about the destination.
pub(super) fn after_drained(
    row: &DestinationHealth,
    sign: Sign,
    held_back: Option<Timestamp>,
    now: Timestamp,
    chance: &impl Chance,
) -> Option<DestinationHealth> {
    let failed_before = held_back.is_some_and(|at| row.probe_at.is_none_or(|probed| at > probed));
    match sign {
        Sign::Answers => (row.failures > 0).then(|| DestinationHealth { failures: 0, ..row.clone() }),
        Sign::Busy { .. } | Sign::Nothing => None,
        Sign::Trouble { .. } if failed_before => None,
        Sign::Trouble { .. } if row.failures + 1 < IN_A_ROW_DRAINING => {
            Some(DestinationHealth { failures: row.failures + 1, ..row.clone() })
        }
        Sign::Trouble { .. } | Sign::Shut { .. } => Some(paused(row, 0, sign, now, chance)),
    }
}

/// The row once nothing is parked. `proven` by a probe or by what was drained; else the next message is the probe, and
/// one more failure pauses it again.
pub(super) fn opened(row: &DestinationHealth, proven: bool) -> DestinationHealth {
    DestinationHealth {
        failures: if proven { 0 } else { IN_A_ROW - 1 },
        parked: row.parked,
        version: row.version,
        ..DestinationHealth::new(row.name.clone())
    }
}

/// Paused, and to be probed after the wait that `failures` failed probes ask for, not before what the far side said.
fn paused(
    row: &DestinationHealth,
    failures: u32,
    sign: Sign,
    now: Timestamp,
    chance: &impl Chance,
) -> DestinationHealth {
    let wait = FIRST_PROBE.saturating_mul(2u32.saturating_pow(failures)).min(LONGEST_WAIT);
    let by_schedule = now + (wait + chance.share(wait.mul_f64(JITTER)));
    let floor = match sign {
        Sign::Busy { until } | Sign::Trouble { until } => until.map(|at| at.min(now + LONGEST_FLOOR)),
        Sign::Shut { until } => until.map(|at| at.min(now + LONGEST_QUOTA)),
        Sign::Answers | Sign::Nothing => None,
    };
    DestinationHealth {
        state: Circuit::Paused,
        failures,
        probe_at: Some(floor.map_or(by_schedule, |floor| by_schedule.max(floor))),
        ..row.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::CallError;

    /// No jitter.
    struct Even;

    impl Chance for Even {
        fn bytes<const N: usize>(&self) -> [u8; N] {
            [0; N]
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn open(failures: u32) -> DestinationHealth {
        DestinationHealth { failures, ..DestinationHealth::new("team-chat".parse().unwrap()) }
    }

    fn not_open(state: Circuit, failures: u32, probe_at: i64) -> DestinationHealth {
        DestinationHealth {
            state,
            failures,
            probe_at: Some(at(probe_at)),
            since: Some(at(-9)),
            reason: Some("r".into()),
            parked: 7,
            ..open(0)
        }
    }

    const TROUBLE: Sign = Sign::Trouble { until: None };
    const SHUT: Sign = Sign::Shut { until: None };

    #[test]
    fn a_failed_try_tells_of_the_destination_of_the_message_or_of_nothing() {
        let cases = [
            (DeliveryError::Throttled { until: Some(at(9)) }, Sign::Busy { until: Some(at(9)) }),
            (DeliveryError::NoAnswer(CallError::TimedOut(Duration::from_secs(10))), TROUBLE),
            (DeliveryError::NoAnswer(CallError::AddressRefused), TROUBLE),
            (DeliveryError::Failed { status: 503, until: Some(at(9)) }, Sign::Trouble { until: Some(at(9)) }),
            (DeliveryError::MayBeDone { status: 200, reason: "internal_error".into() }, TROUBLE),
            (DeliveryError::Refused { status: 400, reason: String::new() }, Sign::Answers),
            (DeliveryError::Redirected { status: 302 }, Sign::Answers),
            (DeliveryError::ThreadGone, Sign::Answers),
            (DeliveryError::Shut { status: 404, reason: String::new() }, SHUT),
            (DeliveryError::QuotaUsedUp { until: Some(at(9)) }, Sign::Shut { until: Some(at(9)) }),
            (DeliveryError::Misconfigured { missing: "url" }, Sign::Nothing),
            (DeliveryError::BadValue { key: "url", problem: "is no address" }, Sign::Nothing),
            (DeliveryError::Bus(BusError::Unavailable("down".into())), TROUBLE),
            (DeliveryError::Bus(BusError::Shut { code: "c".into(), reason: "r".into() }), SHUT),
            (DeliveryError::Bus(BusError::Refused { code: "c".into(), reason: "r".into() }), Sign::Answers),
            (DeliveryError::Bus(BusError::NotInThisBuild), Sign::Nothing),
            (DeliveryError::NotUnderstood("no JSON".into()), TROUBLE),
            (DeliveryError::Tracker("its address is malformed".into()), Sign::Nothing),
            (DeliveryError::NoIssue, Sign::Nothing),
            (DeliveryError::NotNow("the store does not answer".into()), Sign::Nothing),
        ];
        for (error, expected) in cases {
            assert_eq!(Sign::of(&error), expected, "{error}");
        }
    }

    #[test]
    fn an_open_destination_is_paused_by_trouble_in_a_row_and_by_its_own_word_at_once() {
        let busy = Sign::Busy { until: None };
        // Failures before, what the try says, and after it: the state, failures, seconds to the probe.
        let cases = [
            ("a success changes nothing", 0, Sign::Answers, None),
            ("a success forgets failures", 4, Sign::Answers, Some((Circuit::Open, 0, None))),
            ("the first failure", 0, TROUBLE, Some((Circuit::Open, 1, None))),
            ("the fourth", 3, TROUBLE, Some((Circuit::Open, 4, None))),
            ("the fifth pauses", 4, TROUBLE, Some((Circuit::Paused, 0, Some(30)))),
            ("shut pauses at once", 0, SHUT, Some((Circuit::Paused, 0, Some(30)))),
            ("a rate limit is no trouble, nor a proof", 3, busy, None),
            ("a mistake of ours neither", 3, Sign::Nothing, None),
            (
                "a quota is not probed before its reset",
                0,
                Sign::Shut { until: Some(at(7200)) },
                Some((Circuit::Paused, 0, Some(7200))),
            ),
            (
                "a reset that has passed is no floor",
                0,
                Sign::Shut { until: Some(at(-5)) },
                Some((Circuit::Paused, 0, Some(30))),
            ),
            (
                "nor is one in a hundred years believed",
                0,
                Sign::Shut { until: Some(at(3_200_000_000)) },
                Some((Circuit::Paused, 0, Some(32 * 24 * 3600))),
            ),
            ("Retry-After is a floor", 4, Sign::Trouble { until: Some(at(90)) }, Some((Circuit::Paused, 0, Some(90)))),
        ];
        for (name, failures, sign, expected) in cases {
            let after = after_try(&open(failures), sign, "failed with 500", at(0), &Even);
            let found = after.as_ref().map(|row| (row.state, row.failures, row.probe_at));
            assert_eq!(found, expected.map(|(state, failures, probe)| (state, failures, probe.map(at))), "{name}");
            if let Some(row) = after.filter(|row| row.state == Circuit::Paused) {
                assert_eq!((row.since, row.reason.as_deref()), (Some(at(0)), Some("failed with 500")), "{name}");
            }
        }
        for state in [Circuit::Paused, Circuit::Draining] {
            for sign in [Sign::Answers, TROUBLE, SHUT] {
                assert_eq!(after_try(&not_open(state, 1, 30), sign, "x", at(0), &Even), None, "a straggler");
            }
        }
    }

    #[test]
    fn probes_come_ever_more_seldom_until_one_goes_through() {
        let mut row = not_open(Circuit::Paused, 0, 0);
        for (failures, wait) in [(1, 60), (2, 120), (3, 240), (4, 480), (5, 900), (6, 900), (7, 900)] {
            row = after_probe(&row, TROUBLE, at(0), &Even);
            assert_eq!((row.state, row.failures, row.probe_at), (Circuit::Paused, failures, Some(at(wait))));
        }
        assert_eq!((row.since, row.reason.as_deref()), (Some(at(-9)), Some("r")), "those of the pause itself");
        let row = DestinationHealth { failures: u32::MAX, ..row };
        assert_eq!(after_probe(&row, TROUBLE, at(0), &Even).probe_at, Some(at(900)), "for years");
        for (sign, wait) in [
            (Sign::Busy { until: Some(at(1000)) }, 1000),
            (Sign::Shut { until: Some(at(100_000)) }, 100_000),
            (Sign::Trouble { until: Some(at(100_000)) }, 6 * 3600),
            (Sign::Nothing, 60),
        ] {
            let row = after_probe(&not_open(Circuit::Paused, 0, 0), sign, at(0), &Even);
            assert_eq!((row.state, row.probe_at), (Circuit::Paused, Some(at(wait))), "{sign:?}");
        }
        let row = after_probe(&row, Sign::Answers, at(0), &Even);
        assert_eq!((row.state, row.failures, row.parked), (Circuit::Draining, 0, 7));
    }

    #[test]
    fn a_draining_destination_is_paused_again_by_trouble_of_two_messages_but_not_of_one() {
        let cases = [
            ("a success changes nothing", 0, Sign::Answers, None, None),
            ("a success forgets a failure", 1, Sign::Answers, None, Some((Circuit::Draining, 0))),
            ("one may be the message's own", 0, TROUBLE, None, Some((Circuit::Draining, 1))),
            ("two are not", 1, TROUBLE, None, Some((Circuit::Paused, 0))),
            ("the same once more says nothing", 1, TROUBLE, Some(40), None),
            ("what a probe or an earlier draining held back counts", 1, TROUBLE, Some(30), Some((Circuit::Paused, 0))),
            ("shut pauses at once", 0, SHUT, Some(40), Some((Circuit::Paused, 0))),
            ("a rate limit", 1, Sign::Busy { until: None }, None, None),
        ];
        for (name, failures, sign, held_back, expected) in cases {
            let row = not_open(Circuit::Draining, failures, 30);
            let after = after_drained(&row, sign, held_back.map(at), at(60), &Even);
            assert_eq!(after.as_ref().map(|row| (row.state, row.failures)), expected, "{name}");
            if let Some(row) = after {
                assert_eq!(row.since, Some(at(-9)), "{name}: it is still the same pause");
                assert_eq!(row.probe_at, Some(at(if row.state == Circuit::Paused { 90 } else { 30 })), "{name}");
            }
        }
    }

    #[test]
    fn it_opens_half_where_nothing_has_proven_that_it_answers() {
        for (proven, failures) in [(true, 0), (false, 4)] {
            let row = opened(&not_open(Circuit::Draining, 1, 30), proven);
            assert_eq!((row.state, row.failures, row.probe_at, row.since), (Circuit::Open, failures, None, None));
            assert_eq!((row.reason, row.lease_until, row.parked), (None, None, 7));
        }
        let half = opened(&not_open(Circuit::Paused, 3, 30), false);
        assert_eq!(after_try(&half, TROUBLE, "x", at(0), &Even).unwrap().state, Circuit::Paused);
        assert_eq!(after_try(&half, Sign::Answers, "x", at(0), &Even).unwrap().failures, 0);
    }
}
