//! Why a try failed, and what that means for the delivery and for its destination.

use bytes::Bytes;
use jiff::Timestamp;

use super::kind::Learned;
use crate::ports::{BusError, CallError};

/// Why one try of one destination did not do its work. The text stands in the delivery record: no address, no secret.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("rate limited")]
    Throttled { until: Option<Timestamp> },
    #[error(transparent)]
    NoAnswer(#[from] CallError),
    #[error("failed with {status}")]
    Failed { status: u16, until: Option<Timestamp> },
    /// The far side says itself that part of the work may have been done.
    #[error("failed with {status}: {reason}; it may have been done all the same, so it may come twice")]
    MayBeDone { status: u16, reason: String },
    /// This message is refused; another one may be taken.
    #[error("refused with {status}: {reason}")]
    Refused { status: u16, reason: String },
    /// Every message would be: the key is wrong, the hook was deleted.
    #[error("refuses everything with {status}: {reason}")]
    Shut { status: u16, reason: String },
    #[error("quota used up until {}", .until.map_or_else(|| "the first of next month".to_owned(), |until| until.to_string()))]
    QuotaUsedUp { until: Option<Timestamp> },
    /// The message that was to be changed or answered is not there any more.
    #[error("the message it belongs to is gone")]
    ThreadGone,
    #[error("redirects with {status}, which is not followed: check the address")]
    Redirected { status: u16 },
    #[error("its `{missing}` is missing in the routes file")]
    Misconfigured { missing: &'static str },
    /// `key` of the destination, whose value is usually a secret.
    #[error("its `{key}` {problem}")]
    BadValue { key: &'static str, problem: &'static str },
    #[error("answers what is not understood ({0}): check its `base_url`")]
    NotUnderstood(String),
    /// A tracker cannot be used as the file has it.
    #[error("its tracker is not configured: {0}")]
    Tracker(String),
    #[error("the event is about no issue, so there is no ticket for it: give its route `issue.*` or issue alerts")]
    NoIssue,
    /// Something of our own, not of the destination.
    #[error("{0}")]
    NotNow(String),
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// What comes after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// By the schedule, but not before `not_before`.
    Retry { not_before: Option<Timestamp> },
    /// It would fail again: a dead letter.
    GiveUp,
    /// Nothing would be taken: the destination is paused at once, and probed not before `until`.
    Pause { until: Option<Timestamp> },
    /// At once, without what was learned before.
    Anew,
}

impl DeliveryError {
    /// No wildcard arm over variants: a new one must say what happens next.
    pub fn next(&self) -> Next {
        match self {
            Self::Throttled { until } | Self::Failed { until, .. } => Next::Retry { not_before: *until },
            Self::NoAnswer(call) => match call {
                CallError::TimedOut(_) | CallError::Unreachable(_) | CallError::BrokenOff(_) => {
                    Next::Retry { not_before: None }
                }
                CallError::AddressRefused | CallError::Malformed(_) => Next::GiveUp,
            },
            Self::MayBeDone { .. } | Self::NotUnderstood(_) | Self::NotNow(_) => Next::Retry { not_before: None },
            Self::Shut { .. } => Next::Pause { until: None },
            Self::QuotaUsedUp { until } => Next::Pause { until: *until },
            Self::ThreadGone => Next::Anew,
            Self::Refused { .. }
            | Self::Redirected { .. }
            | Self::Misconfigured { .. }
            | Self::BadValue { .. }
            | Self::Tracker(_)
            | Self::NoIssue => Next::GiveUp,
            Self::Bus(bus) => match bus {
                BusError::Unavailable(_) => Next::Retry { not_before: None },
                BusError::Shut { .. } => Next::Pause { until: None },
                BusError::Refused { .. } | BusError::NotInThisBuild => Next::GiveUp,
            },
        }
    }

    /// Whether it tells of the destination's own trouble, not of one message or of too many: some of these in a row,
    /// and the destination is paused.
    pub fn is_trouble_of_destination(&self) -> bool {
        match self {
            Self::NoAnswer(_)
            | Self::Failed { .. }
            | Self::MayBeDone { .. }
            | Self::NotUnderstood(_)
            | Self::Shut { .. }
            | Self::QuotaUsedUp { .. }
            | Self::Bus(BusError::Unavailable(_) | BusError::Shut { .. }) => true,
            Self::Throttled { .. }
            | Self::Refused { .. }
            | Self::ThreadGone
            | Self::Redirected { .. }
            | Self::Misconfigured { .. }
            | Self::BadValue { .. }
            | Self::Tracker(_)
            | Self::NoIssue
            | Self::NotNow(_)
            | Self::Bus(BusError::Refused { .. } | BusError::NotInThisBuild) => false,
        }
    }
}

/// How an answer is judged where its API says nothing else: 2xx is done, a redirect is not followed, 408, 425, 429 and
/// 5xx are worth a repeat (`Retry-After` is a floor), any other 4xx is final. `reason` is the far side's own word.
pub fn judge_by_status(
    answer: &http::Response<Bytes>,
    now: Timestamp,
    reason: impl FnOnce() -> String,
) -> Result<Learned, DeliveryError> {
    let status = answer.status().as_u16();
    let until = || crate::sentry::limits::retry_after(answer.headers(), now);
    match status {
        200..=299 => Ok(None),
        300..=399 => Err(DeliveryError::Redirected { status }),
        429 => Err(DeliveryError::Throttled { until: until() }),
        408 | 425 | 500..=599 => Err(DeliveryError::Failed { status, until: until() }),
        _ => Err(DeliveryError::Refused { status, reason: reason() }),
    }
}

/// [`judge_by_status`] for an address that is itself the key, as that of an incoming webhook: 401, 403, 404 and 410
/// mean that it was deleted or was never right, and some vendors ban who goes on asking.
pub fn judge_webhook(
    answer: &http::Response<Bytes>,
    now: Timestamp,
    reason: impl FnOnce() -> String,
) -> Result<Learned, DeliveryError> {
    match judge_by_status(answer, now, reason) {
        Err(DeliveryError::Refused { status: status @ (401 | 403 | 404 | 410), reason }) => {
            Err(DeliveryError::Shut { status, reason })
        }
        judged => judged,
    }
}
