//! What a type of destination is: what the routes file may say about it, how a notification becomes a call, and what
//! the far side's answer means. Pure: the call itself is `deliver`'s.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::normalized::Normalized;
use crate::ports::CallError;
use crate::routing::{Destination, Value};
use crate::secrets::DestinationSecrets;

/// A type of destination, as `type = "…"` names it.
pub struct Kind {
    pub name: &'static str,
    /// Its own keys, besides those that every destination takes.
    pub keys: &'static [Key],
    pub render: fn(&Settings, &Notification<'_>) -> Result<Action, DeliveryError>,
    /// What an answer means, at the instant it came.
    pub judge: fn(&http::Response<Bytes>, Timestamp) -> Result<(), DeliveryError>,
}

/// One key of a destination.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub required: bool,
    /// Whether the value is a secret, which the file must not hold: it must be `secret:NAME`.
    pub secret: bool,
}

/// What a destination is told of.
#[derive(Debug, Clone, Copy)]
pub struct Notification<'a> {
    pub event: &'a Normalized,
    /// Sentry's, for links.
    pub sentry_base_url: &'a str,
}

/// What there is to do for a notification.
#[derive(Debug)]
pub enum Action {
    Call(Box<http::Request<Bytes>>),
    /// A line for the log; nothing leaves.
    Log(String),
}

/// A destination's values with its secrets filled in.
#[derive(Debug)]
pub struct Settings {
    values: BTreeMap<String, SecretString>,
    base_url: Option<String>,
}

impl Settings {
    /// The name of the missing secret where there is one.
    pub fn resolve(destination: &Destination, secrets: &DestinationSecrets) -> Result<Self, String> {
        let values = destination.values.iter().map(|(key, value)| {
            let value = match value {
                Value::Text(text) => SecretString::from(text.as_str()),
                Value::Secret(name) => secrets.get(name).ok_or_else(|| name.clone())?.clone(),
            };
            Ok((key.clone(), value))
        });
        Ok(Self { values: values.collect::<Result<_, String>>()?, base_url: destination.base_url.clone() })
    }

    /// A value that the kind's keys declare as required.
    pub fn required(&self, key: &'static str) -> Result<&str, DeliveryError> {
        self.values.get(key).map(ExposeSecret::expose_secret).ok_or(DeliveryError::Misconfigured { missing: key })
    }

    pub fn base_url<'a>(&'a self, default: &'a str) -> &'a str {
        self.base_url.as_deref().unwrap_or(default)
    }
}

/// Why one call to one destination did not do its work. The text stands in the delivery record: no address, no secret.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("rate limited")]
    Throttled { until: Option<Timestamp> },
    #[error(transparent)]
    NoAnswer(#[from] CallError),
    #[error("failed with {status}")]
    Failed { status: u16, until: Option<Timestamp> },
    #[error("refused with {status}: {reason}")]
    Refused { status: u16, reason: String },
    /// `until`: text of the instant, or that it is not known.
    #[error("quota used up until {until}")]
    QuotaUsedUp { until: String },
    #[error("redirects with {status}, which is not followed: check the address")]
    Redirected { status: u16 },
    #[error("its `{missing}` is missing in the routes file")]
    Misconfigured { missing: &'static str },
    #[error("its address cannot be called")]
    BadAddress,
}

/// What comes after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// By the schedule, but not before `not_before`.
    Retry { not_before: Option<Timestamp> },
    /// It would fail again: a dead letter.
    GiveUp,
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
            Self::Refused { .. }
            | Self::QuotaUsedUp { .. }
            | Self::Redirected { .. }
            | Self::Misconfigured { .. }
            | Self::BadAddress => Next::GiveUp,
        }
    }
}

/// How an answer is judged where its API says nothing else: 2xx is done, a redirect is not followed, 408, 425, 429 and
/// 5xx are worth a repeat (`Retry-After` is a floor), any other 4xx is final. `reason` is the far side's own word.
pub fn judge_by_status(
    answer: &http::Response<Bytes>,
    now: Timestamp,
    reason: impl FnOnce() -> String,
) -> Result<(), DeliveryError> {
    let status = answer.status().as_u16();
    let until = || crate::sentry::limits::retry_after(answer.headers(), now);
    match status {
        200..=299 => Ok(()),
        300..=399 => Err(DeliveryError::Redirected { status }),
        429 => Err(DeliveryError::Throttled { until: until() }),
        408 | 425 | 500..=599 => Err(DeliveryError::Failed { status, until: until() }),
        _ => Err(DeliveryError::Refused { status, reason: reason() }),
    }
}

/// One call to a destination.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Of an answer, this much is read.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
