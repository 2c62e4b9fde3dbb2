//! What the mains of the functions share: how they begin and end, and what Lambda hands them.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use jiff::Timestamp;
use shared::BoxError;
use shared::outgoing::{Reqwest, Roots, SetupError};
use shared::ports::Received;
use shared::sentry::{BadBaseUrl, BaseUrl};

use crate::environment::{self, EnvError, Lookup, Use};
use crate::{Aws, lambda};

const SENTRY_BASE_URL: &str = "SENTRY_BASE_URL";
const SENTRY: &str = "https://sentry.io";
/// `1` lets destinations be addresses of a private network.
const ALLOW_PRIVATE_DESTINATIONS: &str = "ALLOW_PRIVATE_DESTINATIONS";
/// What is left of a function's time for answering Lambda.
const MARGIN: Duration = Duration::from_secs(2);

/// The platform of every function that calls out.
pub type Platform = Arc<Aws<Reqwest>>;

/// Why a function cannot begin. One line, for the log.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Environment(#[from] EnvError),
    #[error("SENTRY_BASE_URL does not fit: {0}")]
    BaseUrl(#[from] BadBaseUrl),
    #[error("no calls can be made: {0}")]
    Outgoing(#[from] SetupError),
}

/// Whether the environment names everything that a function uses. The error names the first that it does not.
pub fn check(uses: &[Use]) -> Result<(), EnvError> {
    uses.iter().try_for_each(|used| used.read(&environment::process).map(drop))
}

/// The ports that a function uses and where Sentry is, out of the environment. Connects to nothing yet.
pub async fn start(uses: &[Use]) -> Result<(Platform, BaseUrl), StartError> {
    let lookup = &environment::process;
    let base_url = base_url(lookup)?;
    let outgoing = Reqwest::new(&Roots::WebPki, allows_private(lookup))?;
    Ok((Arc::new(Aws::from_env(uses, outgoing).await?), base_url))
}

fn base_url(lookup: Lookup<'_>) -> Result<BaseUrl, BadBaseUrl> {
    let set = lookup(SENTRY_BASE_URL).filter(|value| !value.is_empty());
    BaseUrl::parse(set.as_deref().unwrap_or(SENTRY))
}

fn allows_private(lookup: Lookup<'_>) -> bool {
    lookup(ALLOW_PRIVATE_DESTINATIONS).as_deref() == Some("1")
}

/// Ends the process as `outcome` says, with one line on standard error where it failed.
pub fn end(outcome: Result<(), BoxError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not through the log, whose level may be anything.
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// When work must be over, of a function that Lambda ends at `deadline_ms` (since the epoch, as its context has it).
pub fn deadline(deadline_ms: u64) -> Timestamp {
    let end = i64::try_from(deadline_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    end.unwrap_or(Timestamp::MAX) - MARGIN
}

/// A batch of the event source mapping, and ids of what in it cannot be read.
#[derive(Debug, Default)]
pub struct Batch {
    messages: Vec<Received>,
    unreadable: Vec<String>,
}

impl From<SqsEvent> for Batch {
    fn from(event: SqsEvent) -> Self {
        let mut batch = Self::default();
        for message in event.records {
            // Without an id the answer names the empty one, with which Lambda takes the whole batch as failed.
            let id = message.message_id.clone().unwrap_or_default();
            match lambda::received(message) {
                Some(message) => batch.messages.push(message),
                None => batch.unreadable.push(id),
            }
        }
        batch
    }
}

impl Batch {
    /// Takes the messages out, for whoever handles them.
    pub fn take(&mut self) -> Vec<Received> {
        std::mem::take(&mut self.messages)
    }

    /// The answer after its messages were handled, all but `failed`. The others are deleted from the queue.
    pub fn answer(self, mut failed: Vec<String>) -> SqsBatchResponse {
        for id in &self.unreadable {
            tracing::error!(message.id = id, "not a message of a FIFO queue: left to the queue's dead letters");
        }
        failed.extend(self.unreadable);
        let mut answer = SqsBatchResponse::default();
        answer.set_failures(failed);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentry_is_sentry_io_unless_the_environment_says_otherwise() {
        let cases = [
            (None, Some("https://sentry.io")),
            (Some(""), Some("https://sentry.io")),
            (Some("https://sentry.example.com/"), Some("https://sentry.example.com")),
            (Some("sentry.example.com"), None),
        ];
        for (value, expected) in cases {
            let found = base_url(&|name| value.filter(|_| name == "SENTRY_BASE_URL").map(str::to_owned));
            assert_eq!(found.as_ref().map(BaseUrl::as_str).ok(), expected, "{value:?}");
        }
    }

    #[test]
    fn private_destinations_are_allowed_by_a_1_alone() {
        for (value, expected) in [(None, false), (Some(""), false), (Some("0"), false), (Some("1"), true)] {
            let found =
                allows_private(&|name| value.filter(|_| name == "ALLOW_PRIVATE_DESTINATIONS").map(str::to_owned));
            assert_eq!(found, expected, "{value:?}");
        }
    }

    #[test]
    fn what_keeps_a_function_from_starting_is_one_line_that_names_the_variable() {
        let bad = base_url(&|_| Some("ftp://sentry.example.com".to_owned())).expect_err("not http");
        let cases = [
            (StartError::from(EnvError::Missing { variable: "APP_SECRET_ID" }), "APP_SECRET_ID"),
            (StartError::from(EnvError::NoRegion), "AWS_REGION"),
            (StartError::from(bad), "SENTRY_BASE_URL"),
        ];
        for (error, variable) in cases {
            let line = error.to_string();
            assert!(line.contains(variable) && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn work_ends_two_seconds_before_lambda_ends_it() {
        assert_eq!(deadline(1_795_550_002_500), Timestamp::from_millisecond(1_795_550_000_500).expect("an instant"));
        assert!(deadline(u64::MAX) > deadline(1_795_550_002_500), "never in the past by accident");
    }

    #[test]
    fn a_message_that_cannot_be_read_fails_beside_those_that_did() {
        let message = |id: &str, group: Option<&str>| {
            let attributes =
                group.map_or(serde_json::json!({}), |group| serde_json::json!({ "MessageGroupId": group }));
            serde_json::json!({
                "messageId": id, "receiptHandle": "r", "body": "{}", "attributes": attributes, "messageAttributes": {},
            })
        };
        let records = [message("good", Some("a")), message("odd", None), message("bad", Some("b"))];
        let event: SqsEvent = serde_json::from_value(serde_json::json!({ "Records": records })).expect("an event");
        let mut batch = Batch::from(event);
        let taken: Vec<String> = batch.take().into_iter().map(|message| message.id).collect();
        assert_eq!(taken, ["good", "bad"]);
        let answer = serde_json::to_value(batch.answer(vec!["bad".to_owned()])).expect("JSON");
        let expected = [serde_json::json!({ "itemIdentifier": "bad" }), serde_json::json!({ "itemIdentifier": "odd" })];
        assert_eq!(answer, serde_json::json!({ "batchItemFailures": expected }));
    }
}
