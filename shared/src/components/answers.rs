//! What Sentry is answered: JSON, and `{"message": …}` where it is a refusal, which Sentry shows to its user.

use http::{HeaderValue, Method, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::ids::DestinationName;
use crate::ports::StoreError;
use crate::secrets::SecretError;
use crate::telemetry::{self, Counter, chain};
use crate::tickets::NotOpened;
use crate::trackers::TrackerError;

/// Why it is not done. The text is for the person in front of Sentry.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("There is no such component.")]
    NoSuchPath,
    #[error("This component takes {allowed} only.")]
    Method { allowed: Method },
    #[error("The request is not from Sentry: {0}.")]
    Signature(String),
    #[error("The form is too large.")]
    TooLarge,
    /// The body or query as a whole, or one field of the form.
    #[error("{0}")]
    BadRequest(String),
    #[error(
        "This integration does not know this installation, or it was removed: install it again in Sentry's settings."
    )]
    NotInstalled,
    #[error("This integration is not set up completely: its operator finds the reason in the log.")]
    NotConfigured(String),
    #[error("This integration cannot answer right now: try again in a minute.")]
    NotNow(String),
    #[error("The ticket of this issue is being opened just now: try again in a minute.")]
    BeingOpened,
    /// `text` is what is shown of the error: without secrets.
    #[error("{text}")]
    Tracker { status: StatusCode, text: String, is_operators: bool },
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::NotNow(chain(&error))
    }
}

impl From<SecretError> for Refusal {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Unreadable(_) => Self::NotNow(chain(&error)),
            SecretError::Unfilled(_) | SecretError::Malformed(..) => Self::NotConfigured(chain(&error)),
        }
    }
}

impl Refusal {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::BadRequest(message.into())
    }

    pub(super) fn not_now(why: impl Into<String>) -> Self {
        Self::NotNow(why.into())
    }

    /// `shown` makes a text fit to be shown.
    pub(super) fn of_tracker(
        tracker: &DestinationName,
        error: &TrackerError,
        shown: impl FnOnce(&str) -> String,
    ) -> Self {
        let is_operators = matches!(
            error,
            TrackerError::Unauthorized | TrackerError::NotUnderstood(_) | TrackerError::Misconfigured(_)
        );
        // A tracker's own words may end as sentences do.
        let text = format!("{tracker} {error}");
        Self::Tracker { status: error.status(), text: shown(&format!("{}.", text.trim_end_matches('.'))), is_operators }
    }

    pub(super) fn of_ticket(tracker: &DestinationName, error: NotOpened, shown: impl FnOnce(&str) -> String) -> Self {
        match error {
            NotOpened::Tracker(error) => Self::of_tracker(tracker, &error, shown),
            NotOpened::Store(error) => error.into(),
            NotOpened::BeingOpened => Self::BeingOpened,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchPath | Self::NotInstalled => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::BeingOpened => StatusCode::CONFLICT,
            Self::NotConfigured(_) | Self::NotNow(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Tracker { status, .. } => *status,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "message": self.to_string() })
    }

    /// Into the log, and counted where it is the operator's to mend.
    pub(super) fn log(&self, path: &str, now: Timestamp) {
        let why = match self {
            Self::NotConfigured(why) | Self::NotNow(why) => why,
            Self::Tracker { text, is_operators: true, .. } => text,
            other => return tracing::warn!(path, "{other}"),
        };
        telemetry::count(Counter::ComponentsFailed, now);
        tracing::error!(path, "a component could not be served: {why}");
    }
}

pub(super) fn answer(status: StatusCode, body: &Value) -> Response<String> {
    let mut response = Response::new(body.to_string());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Tells one installation's people what others may not see.
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
