//! `webhook`: takes Sentry's `POST /webhook`, checks it, puts it on `events.fifo` and answers. Nothing else: it reads
//! no table, so what faces the internet can betray none.
//!
//! A 2xx means that the queue has the event. The one exception is `installation.deleted`, which gets 202 even when the
//! queue is down: Sentry answers a 503 there by failing the user's uninstall, and the token endpoint's 404 tells us of
//! it later anyway.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use crate::envelope::{self, Envelope};
use crate::events::AcceptedEvent;
use crate::gateway;
use crate::ids::{EventId, Resource};
use crate::ports::{Clock, Queue, QueueError, Secrets};
use crate::secrets::{AppSecrets, SecretError};
use crate::signature::{Claimed, HOOK_SIGNATURE};
use crate::telemetry::{self, Counter, chain};

/// Sentry gives a webhook 1 s, from connecting on; what is left of it is for the way.
const DEADLINE: Duration = Duration::from_millis(900);
/// However late it is, one try gets this long: for most apps a late success beats a prompt 503, which is not repeated.
const FULL_TRY: Duration = Duration::from_millis(400);
/// What `serve` takes; the largest body recorded from a real Sentry is 282 kB.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// `webhook`, with what it needs.
pub struct Webhook<S, Q, C> {
    pub secrets: AppSecrets<S, C>,
    pub queue: Q,
    pub clock: C,
}

impl<S: Secrets, Q: Queue, C: Clock> Webhook<S, Q, C> {
    /// Answers one request. `began` is when the gateway got it (`requestContext.timeEpoch`), where that is known.
    pub async fn handle(&self, headers: &HeaderMap, body: Bytes, began: Option<Timestamp>) -> Response<String> {
        let now = self.clock.now();
        let began = gateway::began(began, now);
        let request_id = request_id(headers);
        match self.accept(headers, body, request_id.clone(), now, began).await {
            Ok(id) => {
                tracing::debug!(event.id = %id, request_id, "accepted");
                answer(StatusCode::ACCEPTED, &json!({ "event": id.as_str() }))
            }
            Err(refusal) => {
                refusal.log(request_id.as_deref(), now);
                answer(refusal.status(), &json!({ "error": refusal.to_string() }))
            }
        }
    }

    /// Answers a request whose body is over [`MAX_BODY_BYTES`], for those who stop reading there.
    pub fn too_large(&self, headers: &HeaderMap) -> Response<String> {
        Refusal::TooLarge.log(request_id(headers).as_deref(), self.clock.now());
        answer(Refusal::TooLarge.status(), &json!({ "error": Refusal::TooLarge.to_string() }))
    }

    async fn accept(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        request_id: Option<String>,
        now: Timestamp,
        began: Timestamp,
    ) -> Result<EventId, Refusal> {
        if body.len() > MAX_BODY_BYTES {
            return Err(Refusal::TooLarge);
        }
        let signature =
            Claimed::from_headers(headers, &HOOK_SIGNATURE).map_err(|e| Refusal::Signature(e.to_string()))?;
        let reading = self.secrets.verify(&signature, &body);
        let fits = match self.clock.timeout(self.time_for_a_try(began), reading).await {
            Some(result) => result?,
            None => return Err(Refusal::NotNow("the secret `app` was not read in time".into())),
        };
        if !fits {
            return Err(Refusal::Signature("the signature does not fit the body".into()));
        }
        let resource = resource(headers)?;
        let envelope = Envelope::parse(&body).map_err(|e| Refusal::BadRequest(e.to_string()))?;
        let event = AcceptedEvent {
            id: EventId::of_signature(signature.as_hex()),
            resource,
            request_id,
            accepted_at: now,
            body,
        };
        let group = envelope::group(&event.resource, &envelope, &event.body, &event.id);
        match self.enqueue(&event, group, began).await {
            Err(Refusal::NotNow(why)) if is_uninstall(&event.resource, &envelope) => {
                tracing::error!(installation.id = %envelope.installation, why, "an uninstall was answered without the queue having it; the token endpoint's 404 will tell");
                Ok(event.id)
            }
            other => other.map(|()| event.id),
        }
    }

    /// Two tries with the same deduplication id, the second if there is time for it: a send that timed out may have
    /// arrived, and the queue then drops the repeat.
    async fn enqueue(&self, event: &AcceptedEvent, group: String, began: Timestamp) -> Result<(), Refusal> {
        let message = event.to_message(group);
        let max_bytes = self.queue.max_bytes();
        message.check(max_bytes).map_err(Refusal::from_queue)?;
        let left = self.time_left(began);
        // Leaves room for a second full try where there is any.
        let first = left.saturating_sub(FULL_TRY).max(FULL_TRY);
        let failure = match self.clock.timeout(first, self.queue.send(&message)).await {
            Some(Ok(())) => return Ok(()),
            Some(Err(error @ (QueueError::TooLarge { .. } | QueueError::Malformed))) => {
                return Err(Refusal::from_queue(error));
            }
            Some(Err(error)) => Refusal::from_queue(error),
            None => Refusal::NotNow(format!("the queue did not answer within {} ms", first.as_millis())),
        };
        let left = self.time_left(began);
        if left < FULL_TRY {
            return Err(failure);
        }
        match self.clock.timeout(left, self.queue.send(&message)).await {
            Some(result) => result.map_err(Refusal::from_queue),
            None => Err(failure),
        }
    }

    fn time_left(&self, began: Timestamp) -> Duration {
        let spent = Duration::try_from(self.clock.now().duration_since(began)).unwrap_or_default();
        DEADLINE.saturating_sub(spent)
    }

    fn time_for_a_try(&self, began: Timestamp) -> Duration {
        self.time_left(began).max(FULL_TRY)
    }
}

/// Why a webhook is not taken. The text is the answer's; it holds nothing of the request.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Signature(String),
    #[error("{0}")]
    BadRequest(String),
    #[error("the body is too large")]
    TooLarge,
    #[error("this integration is not configured yet")]
    NotConfigured(#[source] SecretError),
    #[error("the event could not be stored; try again")]
    NotNow(String),
}

impl From<SecretError> for Refusal {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Unreadable(error) => Self::NotNow(chain(&error)),
            unfilled => Self::NotConfigured(unfilled),
        }
    }
}

impl Refusal {
    fn from_queue(error: QueueError) -> Self {
        match error {
            QueueError::TooLarge { .. } => Self::TooLarge,
            other => Self::NotNow(chain(&other)),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotConfigured(_) | Self::NotNow(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn log(&self, request_id: Option<&str>, now: Timestamp) {
        match self {
            Self::Signature(why) => {
                telemetry::count(Counter::WebhooksRefused, now);
                tracing::warn!(request_id, why, "webhook refused");
            }
            Self::BadRequest(why) => tracing::warn!(request_id, why, "webhook refused although its signature is right"),
            Self::TooLarge => {
                telemetry::count(Counter::WebhooksTooLarge, now);
                tracing::error!(
                    request_id,
                    "webhook over the size limit: this event is lost, Sentry does not repeat it"
                );
            }
            Self::NotConfigured(what) => tracing::error!(request_id, "no webhook can be taken: {what}"),
            Self::NotNow(why) => tracing::error!(request_id, why, "webhook not stored"),
        }
    }
}

fn resource(headers: &HeaderMap) -> Result<Resource, Refusal> {
    let value = headers
        .get("sentry-hook-resource")
        .ok_or_else(|| Refusal::BadRequest("the header Sentry-Hook-Resource is missing".into()))?;
    value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Refusal::BadRequest("the header Sentry-Hook-Resource is not a resource".into()))
}

/// Sentry's `Request-ID`, if it looks like one: it goes into logs and onto the queue.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("request-id")?.to_str().ok()?;
    let is_id = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_id.then(|| text.to_owned())
}

fn is_uninstall(resource: &Resource, envelope: &Envelope) -> bool {
    matches!(resource.as_str(), "installation" | "uninstallation") && envelope.action == "deleted"
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response<String> {
    let mut response = Response::new(body.to_string());
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
