//! One try: the message made, the calls made, and what was learned from them.

use std::time::Duration;

use bytes::Bytes;

use super::{Deliver, Ready};
use crate::delivery::Delivery;
use crate::destinations::error::{DeliveryError, Next};
use crate::destinations::kind::{Action, CALL_TIMEOUT, MAX_ANSWER_BYTES, Notification, Thread};
use crate::message::Message;
use crate::ports::{Clock, Deliveries, EventBus, Failure, Outcome, Outgoing, Platform, Policy, StoreError, ThreadKey};
use crate::secrets::DestinationSecrets;
use crate::telemetry::chain;
use crate::trackers::Ticket;

/// Of a failed answer, this much is recorded.
const ANSWER_BYTES: usize = 2048;
const THREAD_LIVES: Duration = Duration::from_hours(180 * 24);

/// What was learned from earlier notifications of the same issue, and where that is kept.
pub(super) struct Known {
    key: Option<ThreadKey>,
    thread: Option<Thread>,
}

/// What a try that went through leaves for the record.
pub(super) struct Told {
    /// Of the last answer, where there was one.
    status: Option<u16>,
    warning: Option<String>,
}

impl From<Told> for Outcome {
    fn from(Told { status, warning }: Told) -> Self {
        if status == Some(202) { Self::Accepted { status, warning } } else { Self::Sent { status, warning } }
    }
}

/// A try that did not go through.
pub(super) struct Undelivered {
    pub(super) error: DeliveryError,
    /// Without secrets.
    pub(super) failure: Failure,
}

/// Before its secrets are struck out.
struct Failed {
    status: Option<u16>,
    error: DeliveryError,
    answer: Option<Bytes>,
}

impl From<DeliveryError> for Failed {
    fn from(error: DeliveryError) -> Self {
        Self { status: None, error, answer: None }
    }
}

impl<P: Platform> Deliver<P> {
    /// Read before a try is begun: a store that does not answer costs none.
    pub(super) async fn known(&self, ready: &Ready, delivery: &Delivery) -> Result<Known, StoreError> {
        let event = &delivery.normalized;
        let key = match (ready.kind.threads, event.installation.parse(), &event.issue) {
            (true, Ok(installation), Some(issue)) => {
                // A ticket belongs to its tracker, whichever destination or person opened it.
                let owner = ready.tracker.as_ref().map_or(&delivery.destination, |tracking| &tracking.tracker.name);
                Some(ThreadKey { owner: owner.to_string(), installation, issue: issue.clone() })
            }
            _ => None,
        };
        let thread = match &key {
            Some(key) => self.platform.deliveries().thread(key, self.platform.clock().now()).await?,
            None => None,
        };
        // Half a ticket is none: by its marker it is found again.
        let thread = thread.filter(|thread| ready.tracker.is_none() || Ticket::of_thread(thread).is_some());
        Ok(Known { key, thread })
    }

    /// Tells the destination, with a new beginning where the message of before is gone.
    /// `attempts` counts this try too.
    pub(super) async fn send(
        &self,
        ready: &Ready,
        delivery: &Delivery,
        known: Known,
        attempts: u32,
    ) -> Result<Told, Undelivered> {
        let Known { key, thread } = known;
        let mut result = self.act(ready, delivery, key.as_ref(), thread.as_ref(), attempts).await;
        if matches!(&result, Err(failed) if failed.error.next() == Next::Anew) {
            tracing::info!(delivery.id = %delivery.id, destination.name = %delivery.destination, "what it belongs to is gone: begun anew");
            self.remember(key.as_ref(), None).await;
            result = self.act(ready, delivery, key.as_ref(), None, attempts).await;
        }
        result.map_err(|Failed { status, error, answer }| {
            let answer = answer.map(|body| recorded(&body, &ready.secrets)).filter(|text| !text.is_empty());
            let failure = Failure { status, error: ready.secrets.redact(&chain(&error)), answer };
            Undelivered { error, failure }
        })
    }

    async fn act(
        &self,
        ready: &Ready,
        delivery: &Delivery,
        key: Option<&ThreadKey>,
        thread: Option<&Thread>,
        attempts: u32,
    ) -> Result<Told, Failed> {
        let default = Message::of(&delivery.normalized, self.base_url.as_str());
        let (message, warning) = ready.form.message(&delivery.normalized, default, delivery.rule.as_ref());
        let notification = Notification {
            delivery: &delivery.id,
            event: &delivery.normalized,
            message: &message,
            rule: delivery.rule.as_ref(),
            thread,
            original: delivery.original.as_deref(),
            accepted_at: delivery.accepted_at,
            now: self.platform.clock().now(),
        };
        let mut told = Told { status: None, warning };
        match (ready.kind.render)(&ready.settings, &notification)? {
            Action::Log(line) => tracing::info!(destination.name = %delivery.destination, "{line}"),
            Action::Put(event) => self.platform.bus().put(event).await.map_err(DeliveryError::from)?,
            Action::Ticket(work) => self.ticket(ready, delivery, thread, work, attempts).await?,
            Action::Calls(calls) => {
                for call in calls {
                    let policy = Policy { guarded: true, timeout: CALL_TIMEOUT, max_body_bytes: MAX_ANSWER_BYTES };
                    let answer = self.platform.outgoing().call(call.request, policy).await;
                    let answer = answer.map_err(DeliveryError::from)?;
                    told.status = Some(answer.status().as_u16());
                    match (call.judge)(&answer, self.platform.clock().now()) {
                        // At once: whatever becomes of the next call, this one was made.
                        Ok(Some(thread)) => self.remember(key, Some(&thread)).await,
                        Ok(None) => {}
                        Err(error) => {
                            return Err(Failed { status: told.status, error, answer: Some(answer.into_body()) });
                        }
                    }
                }
            }
        }
        Ok(told)
    }

    /// A failure is only logged: the call was made, and making it again would be worse than a second thread.
    async fn remember(&self, key: Option<&ThreadKey>, thread: Option<&Thread>) {
        let Some(key) = key else { return };
        let expires = self.platform.clock().now() + THREAD_LIVES;
        let mut stored = self.platform.deliveries().put_thread(key, thread, expires).await;
        if stored.is_err() {
            stored = self.platform.deliveries().put_thread(key, thread, expires).await;
        }
        if let Err(error) = stored {
            tracing::error!(
                destination.name = key.owner,
                issue.id = key.issue,
                "which message belongs to this issue could not be stored, so the next one stands by itself: {}",
                chain(&error)
            );
        }
    }
}

/// The beginning of an answer's body, as a person can read it. Secrets go first: half of one would not be known.
fn recorded(body: &[u8], secrets: &DestinationSecrets) -> String {
    let text: String =
        String::from_utf8_lossy(body).chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    let mut text = secrets.redact(text.trim());
    text.truncate(text.floor_char_boundary(ANSWER_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_recorded_readable_short_and_without_secrets() {
        let secrets = DestinationSecrets::from_iter([("token", "hush-hush")]);
        let at_the_edge = format!("{}hush-hush!", "x".repeat(ANSWER_BYTES - 4));
        let half_a_letter = format!("a{}", "ü".repeat(ANSWER_BYTES));
        let cases: [(&str, &[u8], String); 6] = [
            ("nothing", b" \r\n", String::new()),
            ("text", b"{\"ok\":false}\n", "{\"ok\":false}".into()),
            ("control characters", b"a\x1b[31m\x00b\nc\td", "a [31m b\nc d".into()),
            ("not UTF-8", b"a\xffb", "a\u{fffd}b".into()),
            ("a secret across the edge", at_the_edge.as_bytes(), format!("{}[sec", "x".repeat(ANSWER_BYTES - 4))),
            ("never half a letter", half_a_letter.as_bytes(), format!("a{}", "ü".repeat(ANSWER_BYTES / 2 - 1))),
        ];
        for (name, body, expected) in cases {
            assert_eq!(recorded(body, &secrets), expected, "{name}");
        }
    }
}
