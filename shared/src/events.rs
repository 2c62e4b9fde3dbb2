//! An accepted webhook on its way over `events.fifo`: a contract between versions that run side by side.
//!
//! The message's body is Sentry's bytes as they came; attributes: `v` = 1, `event` (id), `resource`, `request_id`,
//! `accepted_at` (ms since 1970), `encoding`.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use crate::ids::{EventId, Resource};
use crate::ports::{Message, Received};
use crate::wire::{self, BadMessage};

/// A webhook whose signature was right and whose envelope is one; or an event of the bundle's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedEvent {
    pub id: EventId,
    /// From `Sentry-Hook-Resource`, which is not signed; or the bundle's own.
    pub resource: Resource,
    /// Sentry's `Request-ID`, new for each attempt: for logs alone.
    pub request_id: Option<String>,
    pub accepted_at: Timestamp,
    /// The bytes as they came.
    pub body: Bytes,
}

impl AcceptedEvent {
    /// An event of the bundle's own: its body is `{action, data}` with a time in `data`, its id that of its body.
    ///
    /// `at` is kept as stores and queues keep it, in milliseconds: see [`milliseconds`].
    pub(crate) fn own(body: &impl Serialize, at: Timestamp) -> Self {
        let body = serde_json::to_vec(body).expect("structs of texts have a JSON form");
        Self {
            id: EventId::of_body(&body),
            resource: Resource::own(),
            request_id: None,
            accepted_at: milliseconds(at),
            body: body.into(),
        }
    }

    /// The message for `events.fifo` in `group`. Its deduplication id is the event and when it was accepted, so that
    /// our own second try is one message and Sentry's honest repeat is another.
    pub fn to_message(&self, group: String) -> Message {
        let (body, encoding) = wire::encode(&self.body);
        let accepted_at = self.accepted_at.as_millisecond().to_string();
        let deduplication = format!("{}-{accepted_at}", self.id);
        let mut attributes = BTreeMap::from([
            ("v".to_owned(), "1".to_owned()),
            ("event".to_owned(), self.id.to_string()),
            ("resource".to_owned(), self.resource.to_string()),
            ("accepted_at".to_owned(), accepted_at),
            ("encoding".to_owned(), encoding.to_owned()),
        ]);
        if let Some(request_id) = &self.request_id {
            attributes.insert("request_id".to_owned(), request_id.clone());
        }
        Message { group, deduplication, body, attributes }
    }

    pub fn from_received(message: &Received) -> Result<Self, BadMessage> {
        let attribute = |name| message.attributes.get(name).map(String::as_str).ok_or(BadMessage::Missing(name));
        if attribute("v")? != "1" {
            return Err(BadMessage::Version);
        }
        Ok(Self {
            id: attribute("event")?.parse().map_err(|_| BadMessage::Unreadable("event"))?,
            resource: Resource::from_queue(attribute("resource")?).map_err(|_| BadMessage::Unreadable("resource"))?,
            request_id: message.attributes.get("request_id").cloned(),
            accepted_at: attribute("accepted_at")?
                .parse()
                .ok()
                .and_then(|ms| Timestamp::from_millisecond(ms).ok())
                .ok_or(BadMessage::Unreadable("accepted_at"))?,
            body: wire::decode(&message.body, attribute("encoding")?)?,
        })
    }
}

/// As stores and queues keep an instant, so that what is read again makes the same body.
pub(crate) fn milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_out_of_the_queue_as_it_went_in() {
        let event = AcceptedEvent {
            id: EventId::of_signature("00"),
            resource: "issue".parse().unwrap(),
            request_id: Some("r".into()),
            accepted_at: Timestamp::from_millisecond(1_700_000_000_123).unwrap(),
            body: Bytes::from_static(b"{\"a\":\"\xff\"}"),
        };
        let message = event.to_message("g".into());
        message.check(1_048_576).unwrap();
        let received = Received {
            id: "1".into(),
            receipt: "1".into(),
            group: message.group,
            body: message.body,
            attributes: message.attributes,
            receive_count: 1,
        };
        assert_eq!(AcceptedEvent::from_received(&received).unwrap(), event);
    }
}
