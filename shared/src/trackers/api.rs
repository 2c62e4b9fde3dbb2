//! How a tracker is called: its settings, its time, and what its answers mean in a person's words.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use crate::destinations::settings::Settings;
use crate::ports::{CallError, Clock, Outgoing, Platform, Policy};

/// Of an answer, this much is read.
const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;
/// No call is given less.
const LEAST_TIME: Duration = Duration::from_millis(200);

/// A tracker's settings and the way to it, for what is done by one deadline.
pub struct Api<'a> {
    pub settings: &'a Settings,
    /// The projects that the file lists; empty: all that the token sees.
    pub projects: &'a [String],
    wire: &'a dyn Wire,
    deadline: Timestamp,
}

pub(super) type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, CallError>> + Send + 'a>>;

/// Calls and the clock, of any platform.
pub(super) trait Wire: Send + Sync {
    fn call(&self, request: Request<Bytes>, policy: Policy) -> Answering<'_>;
    fn now(&self) -> Timestamp;
}

impl<P: Platform> Wire for P {
    fn call(&self, request: Request<Bytes>, policy: Policy) -> Answering<'_> {
        Box::pin(self.outgoing().call(request, policy))
    }

    fn now(&self) -> Timestamp {
        self.clock().now()
    }
}

/// Why a tracker did not do it. The text ends a sentence that begins with the tracker's name and is meant for the person
/// in front of Sentry: what to check, and where. No address, no secret, nothing of the tracker's own text but a short
/// reason.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    #[error("does not know its token (401): its operator must renew it")]
    Unauthorized,
    #[error("does not allow this (403): {0}")]
    Forbidden(String),
    #[error("does not know `{0}`, or its token may not see it (404): check the name and the token's rights")]
    NotFound(String),
    #[error("refuses this ({status}): {reason}")]
    Refused { status: u16, reason: String },
    #[error("has taken too many requests (429): try again{}", .until.map_or_else(|| " in a minute".to_owned(), |until| format!(" after {until}")))]
    Throttled { until: Option<Timestamp> },
    #[error("does not answer in time: try again in a minute")]
    TimedOut,
    #[error("cannot be reached: try again in a minute")]
    Unreachable(#[source] CallError),
    #[error("is in trouble ({status}): try again in a minute")]
    Failing { status: u16, until: Option<Timestamp> },
    #[error("answers what is not understood ({0}): check its `base_url`")]
    NotUnderstood(String),
    #[error("is not configured: {0}")]
    Misconfigured(String),
}

impl TrackerError {
    /// The status that Sentry is answered with: the person's own doing is 4xx, all else 5xx.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) | Self::Refused { .. } | Self::Forbidden(_) => StatusCode::BAD_REQUEST,
            Self::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Unauthorized
            | Self::Unreachable(_)
            | Self::Failing { .. }
            | Self::NotUnderstood(_)
            | Self::Misconfigured(_) => StatusCode::BAD_GATEWAY,
        }
    }
}

impl<'a> Api<'a> {
    pub fn new<P: Platform>(
        platform: &'a P,
        settings: &'a Settings,
        projects: &'a [String],
        deadline: Timestamp,
    ) -> Self {
        Self { settings, projects, wire: platform, deadline }
    }

    /// [`Self::new`] without the rest of a platform.
    #[cfg(test)]
    pub(super) fn on(wire: &'a dyn Wire, settings: &'a Settings, deadline: Timestamp) -> Self {
        Self { settings, projects: &[], wire, deadline }
    }

    pub fn now(&self) -> Timestamp {
        self.wire.now()
    }

    /// A request to `{base}{path}`, with a JSON body where one is given. `path` holds nothing that is not encoded.
    pub fn request(
        &self,
        method: Method,
        base: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Request<Bytes>, TrackerError> {
        let mut request = Request::builder().method(method).uri(format!("{base}{path}"));
        if body.is_some() {
            request = request.header(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = request.body(body).map_err(|_| TrackerError::Misconfigured("its address is malformed".into()))?;
        Ok(request)
    }

    /// Makes one call, with what time is left. `Ok` with any status.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TrackerError> {
        let left = Duration::try_from(self.deadline.duration_since(self.now())).unwrap_or_default();
        if left < LEAST_TIME {
            return Err(TrackerError::TimedOut);
        }
        let policy = Policy { guarded: true, timeout: left, max_body_bytes: MAX_ANSWER_BYTES };
        match self.wire.call(request, policy).await {
            Ok(answer) => Ok(answer),
            Err(CallError::TimedOut(_)) => Err(TrackerError::TimedOut),
            Err(error @ CallError::AddressRefused) => Err(TrackerError::Misconfigured(error.to_string())),
            Err(error) => Err(TrackerError::Unreachable(error)),
        }
    }
}
