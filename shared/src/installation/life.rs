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
        self.due_by(now + AFTER_TROUBLE);
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

    /// Whether the schedule should renew it now.
    pub fn wants_renewal(&self, now: Timestamp) -> bool {
        let early = self.expires_at.is_some_and(|at| now + EARLY_AT_MOST >= at);
        self.gone_since.is_some() || self.refusals > 0 || self.tokens.is_none() || early
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
