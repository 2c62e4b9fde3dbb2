//! The bundle's own events about its destinations: `switchboard.destination_paused` and `…_resumed`, onto
//! `events.fifo`, so that routes can tell somebody through another destination.

use jiff::Timestamp;
use serde::Serialize;

use super::Deliver;
use crate::envelope;
use crate::events::{AcceptedEvent, milliseconds};
use crate::ports::{Clock, DestinationHealth, Platform, Queue, QueueError};
use crate::telemetry::chain;

/// The event's body.
#[derive(Serialize)]
struct Body<'a> {
    action: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    destination: &'a str,
    /// Why it was paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// RFC 3339.
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

impl<P: Platform> Deliver<P> {
    /// May be said more than once: the time in it is that of the pause, so it is the same event.
    pub(super) async fn announce_paused(&self, row: &DestinationHealth) {
        let since = row.since.unwrap_or_else(|| self.platform.clock().now());
        self.announce(row, "destination_paused", since, None).await;
    }

    /// `row` is that of the destination before it was opened.
    pub(super) async fn announce_resumed(&self, row: &DestinationHealth) {
        let now = self.platform.clock().now();
        self.announce(row, "destination_resumed", row.since.unwrap_or(now), Some(now)).await;
    }

    /// A failure is only logged: it must not keep a delivery from being settled.
    async fn announce(
        &self,
        row: &DestinationHealth,
        action: &'static str,
        since: Timestamp,
        until: Option<Timestamp>,
    ) {
        let event = event(row, action, since, until);
        if let Err(error) = self.tell(&event, envelope::destination_group(&row.name)).await {
            tracing::error!(destination.name = %row.name, action, "the event about it could not be sent: {}", chain(&error));
        }
    }

    /// Puts an event of the bundle's own onto `events.fifo`: two tries, of which the queue keeps one.
    pub(super) async fn tell(&self, event: &AcceptedEvent, group: String) -> Result<(), QueueError> {
        let (queue, message) = (self.platform.events(), event.to_message(group));
        match queue.send(&message).await {
            Ok(()) => Ok(()),
            Err(_) => queue.send(&message).await,
        }
    }
}

fn event(row: &DestinationHealth, action: &'static str, since: Timestamp, until: Option<Timestamp>) -> AcceptedEvent {
    let (since, until) = (milliseconds(since), until.map(milliseconds));
    let data = Data {
        destination: row.name.as_str(),
        reason: row.reason.as_deref(),
        since: since.to_string(),
        until: until.map(|at| at.to_string()),
    };
    AcceptedEvent::own(&Body { action, data }, until.unwrap_or(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pause_is_one_event_however_often_it_is_told() {
        let at = |ns: i128| Timestamp::from_nanosecond(1_700_000_000_123_000_000 + ns).unwrap();
        let row = DestinationHealth {
            reason: Some("refuses everything with 404: no_service".into()),
            ..DestinationHealth::new("team-chat".parse().unwrap())
        };
        let told = event(&row, "destination_paused", at(456_789), None);
        assert_eq!(told, event(&row, "destination_paused", at(0), None), "the store keeps milliseconds");
        assert_ne!(
            told.id,
            event(&row, "destination_paused", at(1_000_000), None).id,
            "another pause is another event"
        );
        assert_ne!(told.id, event(&row, "destination_resumed", at(0), Some(at(0))).id);
        let body: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
        let data = serde_json::json!({
            "destination": "team-chat",
            "reason": "refuses everything with 404: no_service",
            "since": "2023-11-14T22:13:20.123Z",
        });
        assert_eq!(body, serde_json::json!({ "action": "destination_paused", "data": data }));
        assert_eq!((told.resource.as_str(), told.accepted_at), ("switchboard", at(0)));
    }
}
