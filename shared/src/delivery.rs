//! A delivery on its way over `deliveries.fifo`: a contract between versions that run side by side. The routes decide
//! that it goes and to whom; only `deliver` makes a message of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{DeliveryId, DestinationName, EventId};
use crate::normalized::Normalized;
use crate::ports::{Message, Received};
use crate::wire::{self, BadMessage};

/// The message's JSON, version 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub event: EventId,
    pub destination: DestinationName,
    /// Name of the route that gives its form.
    pub route: String,
    /// Version of the routes that decided.
    pub routes: u64,
    pub accepted_at: Timestamp,
    pub normalized: Normalized,
}

/// Read first: the rest of another version may be anything.
#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    delivery: String,
    event: String,
    destination: String,
    route: String,
    routes: u64,
    /// Milliseconds since 1970.
    accepted_at: i64,
    normalized: Normalized,
}

impl Delivery {
    /// The group keeps one issue and one destination in order and nothing else: `events_group` is the group that the
    /// event had on `events.fifo`.
    pub fn to_message(&self, events_group: &str) -> Message {
        let wire = Wire {
            v: 1,
            delivery: self.id.to_string(),
            event: self.event.to_string(),
            destination: self.destination.to_string(),
            route: self.route.clone(),
            routes: self.routes,
            accepted_at: self.accepted_at.as_millisecond(),
            normalized: self.normalized.clone(),
        };
        // A struct of texts and numbers always has a JSON form.
        let json = serde_json::to_vec(&wire).expect("texts and numbers have a JSON form");
        let (body, encoding) = wire::encode(&json);
        Message {
            group: format!("{}:{events_group}", self.destination),
            deduplication: self.id.to_string(),
            body,
            attributes: BTreeMap::from([
                ("v".to_owned(), "1".to_owned()),
                ("delivery".to_owned(), self.id.to_string()),
                ("encoding".to_owned(), encoding.to_owned()),
            ]),
        }
    }

    pub fn from_received(message: &Received) -> Result<Self, BadMessage> {
        let encoding = message.attributes.get("encoding").ok_or(BadMessage::Missing("encoding"))?;
        let json = wire::decode(&message.body, encoding)?;
        let version: Version = serde_json::from_slice(&json).map_err(|_| BadMessage::Unreadable("body"))?;
        if version.v != 1 {
            return Err(BadMessage::Version);
        }
        let wire: Wire = serde_json::from_slice(&json).map_err(|_| BadMessage::Unreadable("body"))?;
        Ok(Self {
            id: wire.delivery.parse().map_err(|_| BadMessage::Unreadable("delivery"))?,
            event: wire.event.parse().map_err(|_| BadMessage::Unreadable("event"))?,
            destination: wire.destination.parse().map_err(|_| BadMessage::Unreadable("destination"))?,
            route: wire.route,
            routes: wire.routes,
            accepted_at: Timestamp::from_millisecond(wire.accepted_at)
                .map_err(|_| BadMessage::Unreadable("accepted_at"))?,
            normalized: wire.normalized,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_comes_out_of_the_queue_as_it_went_in() {
        let destination: DestinationName = "phones".parse().unwrap();
        let event = EventId::of_signature("00");
        let accepted_at = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        let delivery = Delivery {
            id: DeliveryId::of(&event, accepted_at, &destination),
            event,
            destination,
            route: "backend".into(),
            routes: 3,
            accepted_at,
            normalized: Normalized {
                event: "issue.created".into(),
                title: Some("\u{1}ü".into()),
                ..Normalized::default()
            },
        };
        let message = delivery.to_message(&"0".repeat(32));
        message.check(1_048_576).unwrap();
        assert_eq!(message.group, format!("phones:{}", "0".repeat(32)));
        let received = Received {
            id: "1".into(),
            receipt: "1".into(),
            group: message.group,
            body: message.body,
            attributes: message.attributes,
            receive_count: 1,
        };
        assert_eq!(Delivery::from_received(&received).unwrap(), delivery);
    }
}
