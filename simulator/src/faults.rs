//! Misbehaviour on demand: queued by kind of endpoint, used up one request at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Which requests a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The token endpoint: `POST …/authorizations/`.
    Token,
    /// An installation: `GET` and `PUT /api/0/sentry-app-installations/{uuid}/`.
    Verify,
    /// An issue, by both of its paths.
    Issue,
    /// Making the link of an issue: `POST …/external-issues/`.
    Links,
    /// The stand-in for Pushover.
    Pushover,
}

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(crate) delay: Duration,
    pub(crate) answer: Disturbed,
}

/// What is answered instead of the right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Disturbed {
    /// Nothing: the right answer, only late.
    No,
    /// Refused before anything was done.
    Refused { status: u16, wait: Option<Wait>, html: bool },
    /// Everything was done, and the answer was lost on the way: this status in its place.
    Replaced { status: u16 },
    /// Everything was done, and the connection broke.
    Cut,
}

/// How a refusal says when to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Sentry's `X-Sentry-Rate-Limit-Reset` (Pushover's `X-Limit-App-Reset`): now + this, as seconds since 1970.
    Reset(Duration),
    /// `Retry-After`, seconds.
    RetryAfter(Duration),
}

impl Fault {
    const fn now(answer: Disturbed) -> Self {
        Self { delay: Duration::ZERO, answer }
    }

    /// Refused with `status`, before anything was done.
    pub const fn status(status: u16) -> Self {
        Self::now(Disturbed::Refused { status, wait: None, html: false })
    }

    /// A page instead of JSON, as a proxy in between answers.
    pub const fn html(status: u16) -> Self {
        Self::now(Disturbed::Refused { status, wait: None, html: true })
    }

    /// 429 with the header that says when the window ends: `reset_in` from now.
    pub const fn rate_limited(reset_in: Duration) -> Self {
        Self::now(Disturbed::Refused { status: 429, wait: Some(Wait::Reset(reset_in)), html: false })
    }

    /// `status` with `Retry-After`.
    pub const fn retry_after(status: u16, wait: Duration) -> Self {
        Self::now(Disturbed::Refused { status, wait: Some(Wait::RetryAfter(wait)), html: false })
    }

    /// The request is carried out, but its answer is lost: 504 from a proxy in its place.
    pub const fn lost_answer() -> Self {
        Self::failed_after_commit(504)
    }

    /// The request is carried out, and answered with `status` all the same (sentry.io: 500).
    pub const fn failed_after_commit(status: u16) -> Self {
        Self::now(Disturbed::Replaced { status })
    }

    /// The request is carried out, and the connection breaks before the answer is through. Driven without a socket, the
    /// answer's body fails.
    pub const fn cut() -> Self {
        Self::now(Disturbed::Cut)
    }

    /// The right answer, `delay` later. At the token endpoint the delay lies between look and deed, where a second
    /// request with the same code is in time to be a race.
    pub const fn slow(delay: Duration) -> Self {
        Self { delay, answer: Disturbed::No }
    }

    /// The same fault, `delay` later.
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// The queues of faults; each request takes the first of its kind.
#[derive(Debug, Default)]
pub struct Faults(Mutex<HashMap<Endpoint, VecDeque<Fault>>>);

impl Faults {
    /// The next request of this kind not yet spoken for fails like this.
    pub fn push(&self, endpoint: Endpoint, fault: Fault) {
        self.push_times(endpoint, 1, fault);
    }

    /// The next `count` requests of this kind not yet spoken for fail like this.
    pub fn push_times(&self, endpoint: Endpoint, count: usize, fault: Fault) {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queues.entry(endpoint).or_default().extend(std::iter::repeat_n(fault, count));
    }

    /// How many faults of this kind wait for a request.
    pub fn waiting(&self, endpoint: Endpoint) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&endpoint).map_or(0, VecDeque::len)
    }

    /// Takes all faults back.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn take(&self, endpoint: Endpoint) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&endpoint)?.pop_front()
    }
}
