//! Sending webhooks: signing, the time-out, and who is tried again when.

pub(crate) mod payload;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;
use http::{Request, header};
use tokio::task::JoinHandle;

use crate::config::AppKind;
use crate::deliver::SendFailure;
use crate::record::{Direction, Exchange, elapsed};
use crate::signing::random_hex;
use crate::simulator::{Simulator, locked};
use crate::state::Status;

/// Why Sentry sent nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The app has no webhook URL.
    NoWebhookUrl,
    /// The organization has no installation of the app, or it was removed in the meantime.
    NotInstalled,
    /// The installation waits for Verify Install; until then only `installation.*` is sent.
    Pending,
    /// Internal integrations get no `installation.*`.
    Internal,
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The app answered with this status, in time.
    Answered(u16),
    Failed(SendFailure),
    NotSent(NotSent),
}

impl Attempt {
    /// Done as far as Sentry is concerned: 2xx, and 3xx, which it does not follow.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Answered(200..400))
    }

    /// Whether a published app gets another attempt: 5xx and no answer, never 4xx.
    fn is_worth_repeating(&self) -> bool {
        match self {
            Self::Answered(status) => *status >= 500,
            Self::Failed(_) => true,
            Self::NotSent(_) => false,
        }
    }
}

/// A webhook after its first attempt. The others, if Sentry makes any, go on in the background, also when this is dropped.
#[derive(Debug)]
pub struct Delivery {
    /// `{resource}.{action}`
    pub event: String,
    pub first: Attempt,
    later: Option<JoinHandle<Vec<Attempt>>>,
}

impl Delivery {
    /// Whether the first attempt was accepted.
    pub fn is_accepted(&self) -> bool {
        self.first.is_accepted()
    }

    /// Whether Sentry goes on trying.
    pub fn is_retried(&self) -> bool {
        self.later.is_some()
    }

    /// Waits for Sentry's last attempt; all of them, the first included.
    pub async fn finished(self) -> Vec<Attempt> {
        let mut attempts = vec![self.first];
        if let Some(later) = self.later {
            attempts.extend(later.await.unwrap_or_default());
        }
        attempts
    }

    pub(crate) fn not_sent(event: &str, why: NotSent) -> Self {
        Self { event: event.to_owned(), first: Attempt::NotSent(why), later: None }
    }
}

/// What is sent, and how its body comes about.
#[derive(Clone)]
pub(crate) enum Body {
    /// Serialized once: every attempt has the same bytes.
    Fixed(Bytes),
    /// `installation.created`: serialized anew for each attempt, with the code only while that is unused.
    InstallationCreated,
    /// `issue.resolved`, `.assigned`, `.ignored`: serialized anew, so that counters may have moved.
    Issue { id: u64, actor: payload::Actor },
}

#[derive(Clone)]
pub(crate) struct Webhook {
    pub(crate) installation: String,
    pub(crate) resource: String,
    pub(crate) action: String,
    pub(crate) body: Body,
}

/// The last webhooks as they were sent, to be repeated on demand.
#[derive(Default)]
pub(crate) struct Sent(VecDeque<(String, String, Bytes)>);

const SENT_LIMIT: usize = 256;

impl Webhook {
    pub(crate) fn event(&self) -> String {
        format!("{}.{}", self.resource, self.action)
    }

    fn is_lifecycle(&self) -> bool {
        self.resource == "installation"
    }

    /// The bytes of the next attempt, or why there is none.
    fn bytes(&self, simulator: &Simulator) -> Result<Bytes, NotSent> {
        let mut state = locked(&simulator.0.state);
        let installation = state.live(&self.installation).ok_or(NotSent::NotInstalled)?;
        if installation.status == Status::Pending && !self.is_lifecycle() {
            return Err(NotSent::Pending);
        }
        let (data, actor) = match self.body {
            Body::Fixed(ref bytes) => return Ok(bytes.clone()),
            Body::InstallationCreated => (payload::installation(simulator, installation, true), payload::Actor::User),
            Body::Issue { id, actor } => {
                let issue = state.issues.get(&id).ok_or(NotSent::NotInstalled)?;
                (payload::issue(simulator, issue, &self.action), actor)
            }
        };
        Ok(payload::body(simulator, &self.installation, &self.action, data, actor).into())
    }
}

impl Simulator {
    /// Makes the first attempt, and leaves the others to a task.
    pub(crate) async fn send(&self, webhook: Webhook) -> Delivery {
        let event = webhook.event();
        if self.config().kind == AppKind::Internal && webhook.is_lifecycle() {
            return Delivery::not_sent(&event, NotSent::Internal);
        }
        let first = self.attempt(&webhook, 1).await;
        // `installation.deleted` is sent while the user waits, once.
        let once = self.config().kind != AppKind::Published || event == "installation.deleted";
        let later = (!once && first.is_worth_repeating()).then(|| {
            let simulator = self.clone();
            tokio::spawn(async move { simulator.retry(&webhook).await })
        });
        Delivery { event, first, later }
    }

    async fn retry(&self, webhook: &Webhook) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        for number in 2..=self.config().version.attempts() {
            self.sleep(self.config().retry_gap).await;
            let attempt = self.attempt(webhook, number).await;
            let goes_on = attempt.is_worth_repeating();
            attempts.push(attempt);
            if !goes_on {
                break;
            }
        }
        attempts
    }

    async fn attempt(&self, webhook: &Webhook, number: usize) -> Attempt {
        match webhook.bytes(self) {
            Ok(bytes) => self.post(&webhook.resource, bytes, &webhook.event(), number).await,
            Err(why) => Attempt::NotSent(why),
        }
    }

    /// One signed request to the webhook URL.
    async fn post(&self, resource: &str, body: Bytes, event: &str, number: usize) -> Attempt {
        let addresses = self.addresses();
        let Some(url) = addresses.webhook_url else { return Attempt::NotSent(NotSent::NoWebhookUrl) };
        let version = self.config().version;
        let at = self.now();
        let trace = random_hex::<16>();
        let request = Request::post(&url)
            .header("sentry-trace", format!("{trace}-{}-0", random_hex::<8>()))
            .header("baggage", format!("sentry-trace_id={trace},sentry-environment=production,sentry-sampled=false"))
            .header(header::USER_AGENT, version.user_agent())
            .header(header::ACCEPT_ENCODING, "gzip, deflate, br")
            .header(header::ACCEPT, "*/*")
            .header(header::CONNECTION, "keep-alive")
            .header(header::CONTENT_TYPE, "application/json")
            .header("request-id", random_hex::<16>())
            .header("sentry-hook-resource", resource)
            .header("sentry-hook-timestamp", at.as_second().to_string())
            .header("sentry-hook-signature", self.sign(&body))
            .header(header::CONTENT_LENGTH, body.len())
            .body(body.clone());
        let request = match request {
            Ok(request) => request,
            Err(error) => return Attempt::Failed(SendFailure::Unreachable(error.to_string())),
        };
        locked(&self.0.sent).push(event, resource, body);

        let path = request.uri().path().to_owned();
        let answer = addresses.deliver.send(request, version.webhook_timeout()).await;
        let (status, failure) = match &answer {
            Ok(answer) => (Some(answer.status().as_u16()), None),
            Err(failure) => (None, Some(failure.to_string())),
        };
        self.note(Exchange {
            at,
            direction: Direction::ToApp,
            method: "POST".to_owned(),
            path,
            status,
            failure,
            duration: elapsed(at, self.now()),
            subject: event.to_owned(),
            attempt: number,
        });
        match answer {
            Ok(answer) => Attempt::Answered(answer.status().as_u16()),
            Err(failure) => Attempt::Failed(failure),
        }
    }

    /// Sends these bytes, rightly signed, under this resource: once, whatever is installed.
    pub async fn send_raw(&self, resource: &str, body: impl Into<Bytes>) -> Delivery {
        let event = format!("{resource}.raw");
        let first = self.post(resource, body.into(), &event, 1).await;
        Delivery { event, first, later: None }
    }

    /// Sends the last webhook again: the same body and signature, a new Request-ID. `None` if there was none.
    pub async fn repeat_last(&self) -> Option<Delivery> {
        let sent = locked(&self.0.sent).last(|_| true)?;
        Some(self.repeat_sent(sent).await)
    }

    /// Sends the last webhook of this event (`issue.created`) again, also after an uninstall. `None` if there was none.
    pub async fn repeat(&self, event: &str) -> Option<Delivery> {
        let sent = locked(&self.0.sent).last(|name| name == event)?;
        Some(self.repeat_sent(sent).await)
    }

    async fn repeat_sent(&self, (event, resource, body): (String, String, Bytes)) -> Delivery {
        let first = self.post(&resource, body, &event, 1).await;
        Delivery { event, first, later: None }
    }
}

impl Sent {
    fn push(&mut self, event: &str, resource: &str, body: Bytes) {
        if self.0.len() == SENT_LIMIT {
            self.0.pop_front();
        }
        self.0.push_back((event.to_owned(), resource.to_owned(), body));
    }

    fn last(&self, wanted: impl Fn(&str) -> bool) -> Option<(String, String, Bytes)> {
        self.0.iter().rev().find(|(event, _, _)| wanted(event)).cloned()
    }
}
