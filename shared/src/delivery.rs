//! A delivery on its way over `deliveries.fifo`: a contract between versions that run side by side. The routes decide
//! that it goes and to whom; only `deliver` makes a message of it.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert_rule::RuleSettings;
use crate::ids::{DeliveryId, DestinationName, EventId};
use crate::normalized::Normalized;
use crate::ports::{DeliveryRecord, DeliveryState, Message, Received};
use crate::wire::{self, BadMessage};

/// Longer than a queue and its dead-letter queue keep a message, 14 days each.
const RECORD_LIVES: Duration = Duration::from_hours(30 * 24);

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
    /// What the alert rule says that asked for it; it wins over the route's form.
    pub rule: Option<RuleSettings>,
    /// Sentry's own bytes, for a destination that forwards them.
    pub original: Option<Bytes>,
    /// When an operator asked for it to be sent again.
    pub resend: Option<Timestamp>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<RuleSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    /// In the place of `raw`, where that is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw_base64: Option<String>,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resend: Option<i64>,
}

impl Delivery {
    /// The record that it begins with, untried. `group` is that of [`Self::to_message`].
    pub fn queued(&self, group: String) -> DeliveryRecord {
        DeliveryRecord {
            id: self.id.clone(),
            event: self.event.clone(),
            event_name: self.normalized.event.clone(),
            installation: self.normalized.installation.parse().ok(),
            destination: self.destination.clone(),
            route: self.route.clone(),
            group,
            title: crate::destinations::one_line(self.normalized.headline(), 200),
            state: DeliveryState::Queued,
            attempts: 0,
            next_try_at: None,
            last_status: None,
            last_error: None,
            last_answer: None,
            warning: None,
            accepted_at: self.accepted_at,
            ended_at: None,
            message: None,
            expires: self.accepted_at + RECORD_LIVES,
        }
    }

    /// In `group`, which keeps one issue and one destination in order and nothing else.
    pub fn to_message(&self, group: String) -> Message {
        let (body, encoding) = wire::encode(self.to_json().as_bytes());
        let deduplication = match self.resend {
            None => self.id.to_string(),
            Some(at) => format!("{}-{}", self.id, at.as_millisecond()),
        };
        Message {
            group,
            deduplication,
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
        Self::from_json(&wire::decode(&message.body, encoding)?)
    }

    /// What the record of a stuck delivery keeps.
    pub fn to_json(&self) -> String {
        let (raw, raw_base64) = match self.original.as_deref().map(|raw| (std::str::from_utf8(raw), raw)) {
            None => (None, None),
            Some((Ok(text), _)) => (Some(text.to_owned()), None),
            Some((Err(_), bytes)) => (None, Some(BASE64_STANDARD.encode(bytes))),
        };
        let wire = Wire {
            v: 1,
            delivery: self.id.to_string(),
            event: self.event.to_string(),
            destination: self.destination.to_string(),
            route: self.route.clone(),
            routes: self.routes,
            accepted_at: self.accepted_at.as_millisecond(),
            normalized: self.normalized.clone(),
            rule: self.rule.clone(),
            raw,
            raw_base64,
            resend: self.resend.map(Timestamp::as_millisecond),
        };
        // A struct of texts and numbers always has a JSON form.
        serde_json::to_string(&wire).expect("texts and numbers have a JSON form")
    }

    /// What [`Self::to_json`] gave, without Sentry's own bytes: for a store that cannot hold it whole. `None` if it has
    /// none.
    pub fn without_original(json: &str) -> Option<String> {
        let mut members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).ok()?;
        let (raw, encoded) = (members.remove("raw"), members.remove("raw_base64"));
        raw.or(encoded).map(|_| serde_json::Value::Object(members).to_string())
    }

    pub fn from_json(json: &[u8]) -> Result<Self, BadMessage> {
        let version: Version = serde_json::from_slice(json).map_err(|_| BadMessage::Unreadable("body"))?;
        if version.v != 1 {
            return Err(BadMessage::Version);
        }
        let wire: Wire = serde_json::from_slice(json).map_err(|_| BadMessage::Unreadable("body"))?;
        let instant = |ms: i64, what| Timestamp::from_millisecond(ms).map_err(|_| BadMessage::Unreadable(what));
        let original = match (wire.raw, wire.raw_base64) {
            (Some(text), _) => Some(Bytes::from(text)),
            (None, Some(encoded)) => {
                Some(BASE64_STANDARD.decode(encoded).map_err(|_| BadMessage::Unreadable("raw_base64"))?.into())
            }
            (None, None) => None,
        };
        Ok(Self {
            id: wire.delivery.parse().map_err(|_| BadMessage::Unreadable("delivery"))?,
            event: wire.event.parse().map_err(|_| BadMessage::Unreadable("event"))?,
            destination: wire.destination.parse().map_err(|_| BadMessage::Unreadable("destination"))?,
            route: wire.route,
            routes: wire.routes,
            accepted_at: instant(wire.accepted_at, "accepted_at")?,
            normalized: wire.normalized,
            rule: wire.rule,
            original,
            resend: wire.resend.map(|ms| instant(ms, "resend")).transpose()?,
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
            rule: None,
            original: None,
            resend: None,
        };
        let cases = [
            delivery.clone(),
            Delivery { original: Some(Bytes::from_static(b"{\"a\": 1 }")), ..delivery.clone() },
            Delivery {
                rule: Some(RuleSettings { note: Some("Look".into()), ..RuleSettings::default() }),
                ..delivery.clone()
            },
            Delivery { original: Some(Bytes::from_static(b"{\"a\":\"\xff\"}")), resend: Some(accepted_at), ..delivery },
        ];
        for delivery in cases {
            comes_out_as_it_went_in(&delivery);
        }
    }

    fn comes_out_as_it_went_in(delivery: &Delivery) {
        let without = Delivery { original: None, ..delivery.clone() };
        let bare = Delivery::without_original(&delivery.to_json());
        assert_eq!(bare.is_some(), delivery.original.is_some());
        assert_eq!(Delivery::from_json(bare.unwrap_or_else(|| without.to_json()).as_bytes()).unwrap(), without);
        let message = delivery.to_message("phones:00".to_owned());
        message.check(1_048_576).unwrap();
        let id = delivery.id.as_str();
        let resent = format!("{id}-1700000000123");
        assert_eq!(message.deduplication, if delivery.resend.is_some() { &resent } else { id });
        let received = Received {
            id: "1".into(),
            receipt: "1".into(),
            group: message.group,
            body: message.body,
            attributes: message.attributes,
            receive_count: 1,
        };
        assert_eq!(&Delivery::from_received(&received).unwrap(), delivery);
    }
}
