//! How any answer of Sentry is read, and what an API call's error means.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::limits;
use crate::ports::CallError;

/// An answer and when it came.
pub(super) struct Answer {
    response: Response<Bytes>,
    pub(super) received_at: Timestamp,
}

#[derive(Deserialize)]
struct Detail {
    detail: String,
}

impl Answer {
    pub(super) fn new(response: Response<Bytes>, received_at: Timestamp) -> Self {
        Self { response, received_at }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// `None`: not this shape, or cut off at the limit.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(self.response.body()).ok()
    }

    /// The text that Sentry's API puts into most refusals: `{"detail":"…"}`.
    pub(super) fn detail(&self) -> Option<String> {
        self.json::<Detail>().map(|answer| answer.detail).filter(|detail| !detail.is_empty())
    }

    /// A page for people: Sentry's API never gives one, so something else answers at this address.
    pub(super) fn is_html(&self) -> bool {
        let by_type = self.response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        by_type.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
            || self.response.body().trim_ascii_start().starts_with(b"<")
    }

    /// When a 429 ends.
    pub(super) fn refused_until(&self) -> Timestamp {
        limits::refused_until(self.response.headers(), self.received_at)
    }
}

/// Sentry did not answer in a way that says anything about the request.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// 5xx (sentry.io under load, or a server in front of it), 408.
    #[error("status {0}")]
    Status(u16),
    /// Success, but the body is not what it should be, or is cut off.
    #[error("the answer cannot be read")]
    Unreadable,
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a call with an access token failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 401: expired, replaced by a renewal elsewhere, or wrong.
    #[error("Sentry does not take the access token (any more)")]
    TokenExpiredOrInvalid,
    /// 403: a scope is missing, another organization's, or uninstalled.
    #[error("Sentry does not permit this to the installation")]
    Forbidden,
    /// 404, of Sentry with or without a body.
    #[error("Sentry does not know it")]
    NotFound,
    /// 429: nothing was done.
    #[error("Sentry's rate limit is reached until {until}")]
    RateLimited { until: Timestamp },
    #[error("Sentry gave no usable answer")]
    Unavailable(#[source] NoAnswer),
    /// A status that these calls do not have, a redirect, or a page: most likely a wrong base URL.
    #[error("the answer with status {status} is not that of Sentry's API: check the base URL")]
    Unexpected { status: u16 },
    /// An id that is none and would change the path. Nothing was sent.
    #[error("not an issue id (digits only)")]
    BadIssueId,
}

/// What to do after an [`ApiError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiNext {
    /// Read the stored token again; renew it only if that did not help; then once more.
    Renew,
    /// Repeat, with back-off.
    Retry,
    /// Repeat then, with jitter.
    Wait(Timestamp),
    /// The same request gets the same answer.
    Final,
}

impl ApiError {
    pub fn next(&self) -> ApiNext {
        match self {
            Self::TokenExpiredOrInvalid => ApiNext::Renew,
            Self::Unavailable(_) => ApiNext::Retry,
            Self::RateLimited { until } => ApiNext::Wait(*until),
            Self::Forbidden | Self::NotFound | Self::Unexpected { .. } | Self::BadIssueId => ApiNext::Final,
        }
    }

    /// What a status outside 2xx means. A page counts as foreign but where servers in front of Sentry make it too.
    pub(super) fn of(answer: &Answer) -> Self {
        let status = answer.status().as_u16();
        match status {
            429 => Self::RateLimited { until: answer.refused_until() },
            408 | 500.. => Self::Unavailable(NoAnswer::Status(status)),
            _ if answer.is_html() => Self::Unexpected { status },
            401 => Self::TokenExpiredOrInvalid,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            _ => Self::Unexpected { status },
        }
    }

    /// A success whose body is not JSON of the right shape.
    pub(super) fn of_unreadable(answer: &Answer) -> Self {
        if answer.is_html() {
            Self::Unexpected { status: answer.status().as_u16() }
        } else {
            Self::Unavailable(NoAnswer::Unreadable)
        }
    }
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        Self::Unavailable(error.into())
    }
}
