//! The life of an installation, as a state machine over its row. No I/O: [`super::Keeper`] makes the calls and tells
//! the row how they ended.
//!
//! ```text
//!             code exchanged, or won back                 6 refusals, over an hour past expiry
//!  installing ───────────────────────────► active ────────────────────────────────► needs-reinstall
//!      │                                     │  ▲                                       │   │
//!      │                                     │  └───────────────────────────────────────┘   │
//!      │                                     │       won back (tried again every 6 h)        │
//!      └──────── installation.deleted, or a second 404 ten minutes after the first ──────────┘
//!                                            ▼
//!                                         removed   (a tombstone for 30 days; nothing brings it back)
//! ```
//!
//! A 401 or 403 never removes an installation: sentry.io has been seen to answer so for a while and then recover.

use std::time::Duration;

use jiff::Timestamp;

use crate::ports::{Installation, Sealed, Status};
use crate::sentry::{TokenError, Verified};

/// Nobody else exchanges or renews while one does.
pub const LEASE: Duration = Duration::from_mins(1);
/// An access token is renewed early by the smaller of this and a quarter of its life.
const EARLY_AT_MOST: Duration = Duration::from_hours(2);
/// A token with less than this left is not used for a call any more.
pub const USABLE: Duration = Duration::from_secs(30);
/// Refusals in a row, and time past expiry, after which only a person can help.
const REFUSALS: u32 = 6;
const REFUSED_FOR: Duration = Duration::from_hours(1);
const AFTER_REFUSAL: Duration = Duration::from_mins(15);
const AFTER_GIVING_UP: Duration = Duration::from_hours(6);
/// The second 404 counts this long after the first.
const GONE_CONFIRMED: Duration = Duration::from_mins(10);
const AFTER_TROUBLE: Duration = Duration::from_mins(1);
const AFTER_WRONG_SETTINGS: Duration = Duration::from_mins(5);
/// An installation without tokens is tried to be won back this often.
const HEAL_EVERY: Duration = Duration::from_mins(1);
/// "Needs reinstall" for want of a token is not said sooner: events may come before `installation.created`.
const NEVER_HAD_A_TOKEN_FOR: Duration = Duration::from_mins(10);
const TOMBSTONE: Duration = Duration::from_hours(30 * 24);
/// A row that never had tokens is forgotten this long after its last event.
const WITHOUT_TOKENS: Duration = Duration::from_hours(24);

/// What a failed renewal means for the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Tried again at `due_at`.
    LivesOn,
    /// Only now it has become `needs-reinstall`: worth an error in the log.
    Lost,
    /// The second 404: it may be removed.
    Gone,
}

impl Installation {
    /// Takes the lease, if nobody holds it. Somebody who dies with it leaves a row that is due when it ends.
    pub fn lease(&mut self, now: Timestamp) -> bool {
        if self.lease_until.is_some_and(|until| until > now) {
            return false;
        }
        self.lease_until = Some(now + LEASE);
        self.due_by(now + LEASE);
        true
    }

    /// There is a new pair.
    pub fn granted(
        &mut self,
        tokens: Sealed,
        expires_at: Option<Timestamp>,
        by_manual_refresh: bool,
        now: Timestamp,
        jitter: f64,
    ) {
        self.status = Status::Active;
        self.tokens = Some(tokens);
        self.expires_at = expires_at;
        self.manual_refresh_worked |= by_manual_refresh;
        self.lease_until = None;
        self.refusals = 0;
        self.gone_since = None;
        self.heal_after = None;
        self.first_seen = None;
        self.expires = None;
        self.due_at = expires_at.map(|at| renewal_at(at, now, jitter));
        if self.verified_at.is_none() {
            self.due_by(now + AFTER_TROUBLE);
        }
    }

    /// A renewal (or an attempt to win the tokens back) failed.
    pub fn renewal_failed(&mut self, error: &TokenError, now: Timestamp) -> Fate {
        self.lease_until = None;
        let before = self.status;
        let due = match error {
            TokenError::Refused { .. } => {
                self.refusals = self.refusals.saturating_add(1);
                let expired_for_long = self.expires_at.is_some_and(|at| now > at + REFUSED_FOR);
                let never_had_one =
                    self.tokens.is_none() && self.first_seen.is_some_and(|at| now >= at + NEVER_HAD_A_TOKEN_FOR);
                if (self.refusals >= REFUSALS && expired_for_long) || never_had_one {
                    self.status = Status::NeedsReinstall;
                }
                if self.status == Status::NeedsReinstall { AFTER_GIVING_UP } else { AFTER_REFUSAL }
            }
            TokenError::Gone => match self.gone_since {
                Some(since) if now >= since + GONE_CONFIRMED => {
                    // Whoever asked removes it, or knows better and leaves it for another look.
                    self.due_at = Some(now + GONE_CONFIRMED);
                    return Fate::Gone;
                }
                Some(_) => GONE_CONFIRMED,
                None => {
                    self.gone_since = Some(now);
                    GONE_CONFIRMED
                }
            },
            TokenError::BadCredentials | TokenError::WrongAddress { .. } => AFTER_WRONG_SETTINGS,
            TokenError::Busy { until } | TokenError::RateLimited { until } => {
                Duration::try_from(until.duration_since(now)).unwrap_or_default()
            }
            TokenError::Unavailable { .. } => AFTER_TROUBLE,
        };
        // One that never had tokens is won back when its next event comes, not by the schedule.
        self.due_at = (self.tokens.is_some() || self.gone_since.is_some()).then_some(now + due);
        if self.status == Status::NeedsReinstall && before != Status::NeedsReinstall {
            Fate::Lost
        } else {
            Fate::LivesOn
        }
    }

    /// Sentry knows that the install is complete, and has told whose it is.
    pub fn verified(&mut self, verified: &Verified, now: Timestamp, jitter: f64) {
        self.verified_at = Some(now);
        if verified.organization.is_some() {
            self.organization.clone_from(&verified.organization);
        }
        if verified.app.is_some() {
            self.app.clone_from(&verified.app);
        }
        self.due_at = self.expires_at.map(|at| renewal_at(at, now, jitter));
    }

    /// The verify call has to be made again.
    pub fn verify_failed(&mut self, now: Timestamp) {
        if self.verified_at.is_none() {
            self.due_by(now + AFTER_TROUBLE);
        }
    }

    /// A webhook of it was taken while it has no tokens. Whether it is time to try to win them back.
    pub fn seen_without_tokens(&mut self, now: Timestamp) -> bool {
        self.first_seen.get_or_insert(now);
        self.expires = Some(now + WITHOUT_TOKENS);
        if self.heal_after.is_some_and(|at| at > now) {
            return false;
        }
        self.heal_after = Some(now + HEAL_EVERY);
        true
    }

    /// An internal integration: the permanent token from the `app` secret is its own.
    pub fn active_by_permanent_token(&mut self) {
        self.status = Status::Active;
        self.expires = None;
        self.first_seen = None;
        self.due_at = None;
    }

    /// Uninstalled.
    pub fn removed(&mut self, now: Timestamp) {
        let tombstone = Self {
            version: self.version,
            status: Status::Removed,
            expires: Some(now + TOMBSTONE),
            ..Self::new(self.id)
        };
        *self = tombstone;
    }

    /// A row that was only made for the lease is gone at once.
    pub fn forget(&mut self, now: Timestamp) {
        self.lease_until = None;
        self.due_at = None;
        self.expires = Some(now);
    }

    /// Whether the access token can be used for a call at `now`.
    pub fn has_usable_token(&self, now: Timestamp) -> bool {
        self.tokens.is_some() && self.expires_at.is_none_or(|at| at > now + USABLE)
    }

    /// Whether the schedule should renew a row that is due at `now`; what else can be due is an unfinished verify.
    pub fn wants_renewal(&self, now: Timestamp) -> bool {
        let early = self.expires_at.is_some_and(|at| now + EARLY_AT_MOST >= at);
        let nothing_else_is_due = self.verified_at.is_some() && self.expires_at.is_some();
        self.gone_since.is_some() || self.refusals > 0 || self.tokens.is_none() || early || nothing_else_is_due
    }

    fn due_by(&mut self, at: Timestamp) {
        self.due_at = Some(self.due_at.map_or(at, |due| due.min(at)));
    }
}

/// When a token that dies at `expires_at` is renewed: early by the smaller of 2 h and a quarter of its life, and by
/// `jitter` (0 to 1) of a tenth of that, so that installations of one hour do not come all at once.
fn renewal_at(expires_at: Timestamp, now: Timestamp, jitter: f64) -> Timestamp {
    let life = Duration::try_from(expires_at.duration_since(now)).unwrap_or_default();
    let early = (life / 4).min(EARLY_AT_MOST);
    expires_at - early - early.mul_f64(jitter.clamp(0.0, 1.0) / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sentry::NoAnswer;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn active(expires_at: i64) -> Installation {
        let mut row = Installation::new("a8e5d37a-696c-4c54-adb5-b3f28d64c7de".parse().unwrap());
        row.granted(Sealed(vec![1]), Some(at(expires_at)), false, at(0), 0.0);
        row.verified_at = Some(at(0));
        row
    }

    const REFUSED: TokenError = TokenError::Refused { status: 401 };

    #[test]
    fn a_token_is_renewed_early_by_the_smaller_of_two_hours_and_a_quarter_of_its_life() {
        for (life, expected) in [(8 * 3600, 6 * 3600), (4 * 3600, 3 * 3600), (100, 75)] {
            assert_eq!(renewal_at(at(life), at(0), 0.0), at(expected), "{life}");
            let with_jitter = renewal_at(at(life), at(0), 1.0);
            assert!(
                with_jitter < at(expected) && with_jitter > at(expected / 2),
                "{life}: jitter only makes it earlier"
            );
        }
    }

    #[test]
    fn only_one_holds_the_lease_and_a_dead_holder_leaves_a_row_that_is_due() {
        let mut row = active(8 * 3600);
        assert!(row.lease(at(0)));
        assert!(!row.lease(at(59)));
        assert_eq!(row.due_at, Some(at(60)));
        assert!(row.lease(at(60)));
    }

    #[test]
    fn refusals_ask_for_a_reinstall_only_after_six_and_an_hour_past_expiry_and_never_remove() {
        let mut row = active(0);
        for n in 1..=5 {
            assert_eq!(row.renewal_failed(&REFUSED, at(n * 900)), Fate::LivesOn, "{n}");
        }
        let mut early = row.clone();
        early.expires_at = Some(at(5000));
        assert_eq!(early.renewal_failed(&REFUSED, at(5400)), Fate::LivesOn, "six, but not an hour past expiry");
        assert_eq!(row.renewal_failed(&REFUSED, at(5400)), Fate::Lost);
        assert_eq!((row.status, row.due_at), (Status::NeedsReinstall, Some(at(5400 + 6 * 3600))));
        assert_eq!(row.renewal_failed(&REFUSED, at(30_000)), Fate::LivesOn, "said once");
        assert!(row.tokens.is_some(), "nothing is thrown away");
        row.granted(Sealed(vec![2]), Some(at(90_000)), true, at(31_000), 0.0);
        assert_eq!((row.status, row.refusals), (Status::Active, 0), "won back");
    }

    #[test]
    fn a_404_counts_when_a_second_one_says_so_ten_minutes_later() {
        let mut row = active(8 * 3600);
        assert_eq!(row.renewal_failed(&TokenError::Gone, at(0)), Fate::LivesOn);
        assert_eq!(row.due_at, Some(at(600)));
        assert_eq!(row.renewal_failed(&TokenError::Gone, at(599)), Fate::LivesOn);
        assert_eq!(row.renewal_failed(&TokenError::Gone, at(600)), Fate::Gone);
        row.granted(Sealed(vec![2]), None, true, at(700), 0.0);
        assert_eq!(row.gone_since, None, "it was not gone");
    }

    #[test]
    fn every_other_failure_comes_again_and_counts_as_no_refusal() {
        let unavailable = TokenError::Unavailable { maybe_committed: true, why: NoAnswer::Status(502) };
        let cases = [
            (TokenError::BadCredentials, 300),
            (TokenError::WrongAddress { status: 200 }, 300),
            (TokenError::Busy { until: at(10) }, 10),
            (TokenError::RateLimited { until: at(20) }, 20),
            (unavailable, 60),
        ];
        for (error, due) in cases {
            let mut row = active(8 * 3600);
            assert_eq!(row.renewal_failed(&error, at(0)), Fate::LivesOn, "{error}");
            assert_eq!((row.due_at, row.refusals), (Some(at(due)), 0), "{error}");
        }
    }

    #[test]
    fn an_installation_without_tokens_is_lost_ten_minutes_after_its_first_event_at_the_earliest() {
        let mut row = Installation::new("a8e5d37a-696c-4c54-adb5-b3f28d64c7de".parse().unwrap());
        assert!(row.seen_without_tokens(at(0)));
        assert!(!row.seen_without_tokens(at(59)), "at most once a minute");
        assert_eq!(row.renewal_failed(&REFUSED, at(1)), Fate::LivesOn);
        assert_eq!(row.due_at, None, "its next event brings the next try");
        assert!(row.seen_without_tokens(at(600)));
        assert_eq!(row.renewal_failed(&REFUSED, at(600)), Fate::Lost);
        assert_eq!(row.expires, Some(at(600) + WITHOUT_TOKENS));
    }

    #[test]
    fn a_tombstone_keeps_its_version_and_nothing_else() {
        let mut row = active(8 * 3600);
        row.version = 7;
        row.removed(at(5));
        assert_eq!((row.version, row.status, row.tokens.is_none(), row.due_at), (7, Status::Removed, true, None));
        assert_eq!(row.expires, Some(at(5) + TOMBSTONE));
    }
}
