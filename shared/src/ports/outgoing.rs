//! Every call that leaves the house, Sentry's API and the destinations' alike.

use std::time::Duration;

use bytes::Bytes;

use crate::BoxError;

/// What an adapter enforces for one call. Redirects are never followed, and no proxy is taken from the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Refuse loopback, private, link-local and metadata addresses, as literal and after resolving: for addresses
    /// that come out of a routes file. The configured Sentry is the operator's own choice and is not guarded.
    pub guarded: bool,
    /// From the start of connecting to the last byte of the answer.
    pub timeout: Duration,
    /// A longer answer is cut here, not refused.
    pub max_body_bytes: usize,
}

/// Why there is no answer. Never holds the address: a webhook's address is its secret.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("its address is private, loopback or link-local, which is refused unless private destinations are allowed")]
    AddressRefused,
    #[error("no answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// Nothing was sent: a repeat is safe.
    #[error("cannot be reached")]
    Unreachable(#[source] BoxError),
    /// Broken off after the request was sent: the far side may have acted.
    #[error("the connection broke off")]
    BrokenOff(#[source] BoxError),
    #[error("the request is malformed")]
    Malformed(#[source] BoxError),
}

pub trait Outgoing: Send + Sync + 'static {
    /// `Ok` with any status; the caller judges it.
    fn call(
        &self,
        request: http::Request<Bytes>,
        policy: Policy,
    ) -> impl Future<Output = Result<http::Response<Bytes>, CallError>> + Send;
}
