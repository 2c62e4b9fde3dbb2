//! Event buses on `EventBridge`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_config::{Region, SdkConfig};
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_eventbridge::operation::put_events::PutEventsError;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use shared::ports::{BusError, BusEvent, EventBus};

use crate::failure::Failure;

const CALL: &str = "PutEvents";

/// All buses that the process may put to. With the SDK's own retries.
#[derive(Debug)]
pub struct EventBridge {
    config: SdkConfig,
    /// Made when the first event goes there: what never puts connects to nothing.
    clients: Mutex<BTreeMap<Where, Client>>,
}

/// What a client is bound to: region and address, where the event says them.
type Where = (Option<String>, Option<String>);

impl EventBridge {
    pub fn new(config: &SdkConfig) -> Self {
        Self { config: config.clone(), clients: Mutex::default() }
    }

    fn client(&self, region: Option<String>, base_url: Option<String>) -> Client {
        // Nothing under the lock can leave half a client.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry((region, base_url)).or_insert_with_key(|(region, base_url)| {
            let mut config = aws_sdk_eventbridge::config::Builder::from(&self.config);
            if let Some(region) = region {
                config = config.region(Region::new(region.clone()));
            }
            if let Some(base_url) = base_url {
                config = config.endpoint_url(base_url);
            }
            Client::from_conf(config.build())
        });
        client.clone()
    }
}

impl EventBus for EventBridge {
    async fn put(&self, event: BusEvent) -> Result<(), BusError> {
        let client = self.client(event.region, event.base_url);
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(event.bus)
            .source(event.source)
            .detail_type(event.detail_type)
            .detail(event.detail)
            .time(DateTime::from_millis(event.time.as_millisecond()))
            .build();
        let answer = client.put_events().entries(entry).send().await.map_err(|error| call_failed(&error))?;
        match answer.entries() {
            [entry] if entry.error_code().is_none() && answer.failed_entry_count() == 0 => Ok(()),
            [entry] => Err(entry_failed(entry)),
            entries => {
                let count = format!("an answer of {} entries to one event", entries.len());
                Err(BusError::Unavailable(Failure::because(CALL, count)))
            }
        }
    }
}

/// The answer was 200, and says of the entry that it was not put.
fn entry_failed(entry: &PutEventsResultEntry) -> BusError {
    let code = entry.error_code().unwrap_or("no code");
    meaning(code, entry.error_message()).unwrap_or_else(|| refused(code, entry.error_message()))
}

fn call_failed(error: &SdkError<PutEventsError>) -> BusError {
    let Some(code) = error.code() else { return BusError::Unavailable(Failure::of(CALL, error)) };
    let is_ours = error.raw_response().is_some_and(|answer| answer.status().is_client_error());
    match meaning(code, error.message()) {
        Some(error) => error,
        None if is_ours => refused(code, error.message()),
        None => BusError::Unavailable(Failure::of(CALL, error)),
    }
}

/// What a code tells, in an answer or in an entry of one; `None` where that hangs on what it came with.
///
/// The codes of entries are listed at <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>,
/// those that every call of AWS has at <https://docs.aws.amazon.com/eventbridge/latest/APIReference/CommonErrors.html>.
fn meaning(code: &str, message: Option<&str>) -> Option<BusError> {
    match code {
        "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "InternalFailure"
        | "InternalException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "RequestExpired"
        | "ExpiredTokenException" => {
            let reason = message.map_or_else(|| code.to_owned(), |message| format!("{code}: {message}"));
            Some(BusError::Unavailable(Failure::because(CALL, reason)))
        }
        "AccessDenied"
        | "AccessDeniedException"
        | "NotAuthorized"
        | "NotAuthorizedException"
        | "NotAuthorizedForSourceException"
        | "InvalidAccountIdException"
        | "ResourceNotFoundException"
        | "OptInRequired"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "IncompleteSignature"
        | "InvalidSignatureException" => Some(BusError::Shut { code: code.to_owned(), reason: reason(message) }),
        _ => None,
    }
}

/// Another event may be taken: so also with `NotAuthorizedForDetailTypeException`.
fn refused(code: &str, message: Option<&str>) -> BusError {
    BusError::Refused { code: code.to_owned(), reason: reason(message) }
}

fn reason(message: Option<&str>) -> String {
    shared::destinations::one_line(message.unwrap_or("no reason given"), 500)
}
