//! What Sentry says twice is told once, as far as that can be known.
//!
//! A retry has a new `Request-ID` but mostly the same body, hence the same event id. A published app's retry of an
//! issue's event may be serialized anew, with newer counters and another signature; so the issue's last event is kept
//! too, as a digest without counters and times. The window is on when we took the event and not a memory for ever:
//! assigned to A, to B and to A again may be byte for byte the same, and is news.

use std::time::Duration;

use jiff::Timestamp;

use crate::events::AcceptedEvent;
use crate::payload::{self, Data};
use crate::ports::{Deliveries, Mark, StoreError, Written};

/// Sentry's retries come 5 minutes apart, at most three of them.
const WINDOW: Duration = Duration::from_mins(30);
/// The queues keep a message for 14 days, their dead letters for 14 more.
const REMEMBERED: Duration = Duration::from_hours(30 * 24);

/// Whether the same was accepted before, within 30 minutes. Remembers the event if not.
pub(crate) async fn is_repeat(
    deliveries: &impl Deliveries,
    event: &AcceptedEvent,
    payload: &payload::Event,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let seen = Mark { digest: String::new(), accepted_at: event.accepted_at };
    if remember(deliveries, &format!("seen#{}", event.id), &seen, now).await? {
        return Ok(true);
    }
    let (Some(installation), Some(issue)) = (payload.installation, issue_id(payload)) else { return Ok(false) };
    let last = Mark { digest: payload::content_digest(payload), accepted_at: event.accepted_at };
    remember(deliveries, &format!("last#{installation}#{issue}"), &last, now).await
}

fn issue_id(payload: &payload::Event) -> Option<&str> {
    match &payload.data {
        Data::Issue(change) if payload.resource.as_str() == "issue" => {
            change.issue.as_ref()?.id.as_ref().map(payload::Id::as_str)
        }
        _ => None,
    }
}

/// Whether `mark` repeats what lies under `key`; else stores it, if it is the newer one.
async fn remember(deliveries: &impl Deliveries, key: &str, mark: &Mark, now: Timestamp) -> Result<bool, StoreError> {
    loop {
        let known = deliveries.recall(key, now).await?;
        if let Some(known) = &known {
            if known.digest == mark.digest {
                match known.accepted_at.cmp(&mark.accepted_at) {
                    // A redelivery of the very message that stored it: it goes on.
                    std::cmp::Ordering::Equal => return Ok(false),
                    _ if mark.accepted_at.duration_since(known.accepted_at).unsigned_abs() <= WINDOW => {
                        return Ok(true);
                    }
                    _ => {}
                }
            }
            if known.accepted_at > mark.accepted_at {
                return Ok(false);
            }
        }
        if deliveries.mark(key, mark, known.as_ref(), now + REMEMBERED, now).await? == Written::Done {
            return Ok(false);
        }
    }
}
