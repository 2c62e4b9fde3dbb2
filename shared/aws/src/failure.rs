//! Why a call to AWS failed, in words that may be logged.

use std::error::Error;
use std::fmt::{self, Write as _};

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use shared::BoxError;
use shared::ports::StoreError;

const UNREADABLE: &str = "an answer that cannot be read";

/// An SDK's error, cut down to what may be logged. The SDK's own `Debug` shows the whole answer, and that of Secrets
/// Manager holds the secret.
#[derive(Debug)]
pub(crate) struct Failure {
    call: &'static str,
    reason: String,
}

impl Failure {
    /// `call` is the operation's name, as `PutItem`.
    pub(crate) fn of<E, R>(call: &'static str, error: &SdkError<E, R>) -> BoxError
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: fmt::Debug,
    {
        let reason = match error {
            SdkError::ServiceError(refused) => {
                let refusal = refused.err();
                match (refusal.code(), refusal.message()) {
                    (Some(code), Some(message)) => format!("{code}: {message}"),
                    (Some(code), None) => code.to_owned(),
                    (None, _) => UNREADABLE.to_owned(),
                }
            }
            SdkError::TimeoutError(_) => "no answer in time".to_owned(),
            SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => chain(error.source()),
            // The parser's words may quote the answer.
            SdkError::ResponseError(_) => UNREADABLE.to_owned(),
            _ => "an unknown error".to_owned(),
        };
        Box::new(Self { call, reason })
    }

    /// Something that we found wrong in an answer ourselves.
    pub(crate) fn because(call: &'static str, reason: impl Into<String>) -> BoxError {
        Box::new(Self { call, reason: reason.into() })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.reason)
    }
}

impl Error for Failure {}

/// The causes, outermost first.
fn chain(mut cause: Option<&(dyn Error + 'static)>) -> String {
    let mut words = String::new();
    while let Some(error) = cause {
        let lead = if words.is_empty() { "" } else { ": " };
        // Writing into a String does not fail.
        let _ = write!(words, "{lead}{error}");
        cause = error.source();
    }
    if words.is_empty() { "the request was not sent".to_owned() } else { words }
}

/// A store that did not answer, or not in a way we understand.
pub(crate) fn unavailable(store: &'static str, source: BoxError) -> StoreError {
    StoreError::Unavailable { store, source }
}
