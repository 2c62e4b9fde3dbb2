//! `eventbridge`: onto an event bus of AWS, for whatever rules hang on it. `PutEvents` has no key that makes a repeat
//! safe, so the delivery's id goes with the event.
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>

use serde::Serialize;
use serde_json::Value;

use super::error::DeliveryError;
use super::kind::{Action, Key, Kind, Notification, Takes};
use super::settings::Settings;
use super::text::{cut, one_line};
use crate::normalized::Normalized;
use crate::ports::BusEvent;

const SOURCE: &str = "sentry-switchboard";
/// Of AWS's own services; `PutEvents` refuses it from anybody else.
const SOURCE_OF_AWS: &str = "aws.";
/// "Free-form string, with a maximum of 128 characters".
const DETAIL_TYPE_MAX: usize = 128;
/// An entry has 1 MB. Its size is that of time, source, detail type and detail in UTF-8; the difference to 1 MiB is for
/// all but the detail.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size>
const DETAIL_MAX_BYTES: usize = 1_000_000;
/// Every text of a detail that is too large is cut to the first of these that makes it fit.
const CUTS: [usize; 3] = [64_000, 4_000, 250];

pub(super) static KIND: Kind = Kind::new("eventbridge", render)
    .keys(&[Key::new("bus", Takes::Text), Key::new("region", Takes::Text), Key::new("source", Takes::Text)])
    .needs(&[&["bus"]]);

/// What rules match under `detail`.
#[derive(Serialize)]
struct Detail<'a> {
    /// The same however often the event is put.
    delivery: &'a str,
    /// RFC 3339.
    accepted_at: String,
    event: &'a Normalized,
    message: Words<'a>,
}

#[derive(Serialize)]
struct Words<'a> {
    title: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Named<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    value: &'a str,
}

fn render(settings: &Settings, notification: &Notification<'_>) -> Result<Action, DeliveryError> {
    let bus = settings.required("bus")?;
    let source = settings.text("source").unwrap_or(SOURCE);
    if source.starts_with(SOURCE_OF_AWS) {
        return Err(DeliveryError::BadValue { key: "source", problem: "begins with `aws.`, which is AWS's own" });
    }
    let message = notification.message;
    let detail = Detail {
        delivery: notification.delivery.as_str(),
        accepted_at: notification.accepted_at.to_string(),
        event: notification.event,
        message: Words {
            title: &message.title,
            text: &message.text,
            fields: message.fields.iter().map(|field| Named { name: &field.name, value: &field.value }).collect(),
            link: message.link.as_deref(),
        },
    };
    Ok(Action::Put(BusEvent {
        bus: bus.to_owned(),
        region: settings.text("region").or_else(|| region_of(bus)).map(str::to_owned),
        base_url: Some(settings.base_url("")).filter(|url| !url.is_empty()).map(str::to_owned),
        source: source.to_owned(),
        detail_type: one_line(&notification.event.event, DETAIL_TYPE_MAX),
        detail: fitting(&detail),
        time: notification.accepted_at,
    }))
}

/// That of `arn:aws:events:REGION:ACCOUNT:event-bus/NAME`.
fn region_of(bus: &str) -> Option<&str> {
    let mut parts = bus.strip_prefix("arn:")?.split(':');
    parts.nth(2).filter(|region| !region.is_empty())
}

/// The detail as JSON. One that is too large has its texts cut, then goes without tags and fields, and says so with
/// `"cut": true`.
fn fitting(detail: &Detail<'_>) -> String {
    let mut whole = serde_json::to_value(detail).expect("texts and numbers have a JSON form");
    let mut json = whole.to_string();
    for max in CUTS {
        if json.len() <= DETAIL_MAX_BYTES {
            return json;
        }
        cut_texts(&mut whole, max);
        whole["cut"] = true.into();
        json = whole.to_string();
    }
    if json.len() > DETAIL_MAX_BYTES {
        for (of, list) in [("event", "tags"), ("event", "more_projects"), ("message", "fields")] {
            if let Some(object) = whole[of].as_object_mut() {
                object.remove(list);
            }
        }
        json = whole.to_string();
    }
    json
}

fn cut_texts(value: &mut Value, max: usize) {
    match value {
        Value::String(text) => *text = cut(text, max),
        Value::Array(members) => members.iter_mut().for_each(|member| cut_texts(member, max)),
        Value::Object(members) => members.values_mut().for_each(|member| cut_texts(member, max)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fmt::Write;

    use super::*;
    use crate::destinations::testing::{accepted_at, rendered, samples, settings};
    use crate::message::{Field, Message};

    fn put(keys: &str, event: &Normalized, message: &Message) -> Result<BusEvent, DeliveryError> {
        match rendered(&KIND, &settings("eventbridge", keys, []), event, message, None)? {
            Action::Put(event) => Ok(event),
            Action::Calls(_) | Action::Ticket(_) | Action::Log(_) => panic!("an event is put"),
        }
    }

    fn message(event: &Normalized) -> Message {
        Message::of(event, "https://sentry.example")
    }

    #[test]
    fn every_kind_of_event_has_a_detail() {
        let mut details = String::new();
        for event in samples() {
            let put = put("bus = \"sentry\"", &event, &message(&event)).unwrap();
            let detail: Value = serde_json::from_str(&put.detail).unwrap();
            writeln!(details, "{} {detail:#}", put.detail_type).unwrap();
        }
        insta::assert_snapshot!(details);
    }

    #[test]
    fn the_entry_is_as_the_routes_file_says() {
        let event = Normalized { event: "issue.created".into(), ..Normalized::default() };
        let of = |keys: &str| {
            let put = put(keys, &event, &message(&event)).unwrap();
            assert_eq!((put.detail_type.as_str(), put.time), ("issue.created", accepted_at()), "{keys}");
            [Some(put.bus), put.region, Some(put.source), put.base_url].map(Option::unwrap_or_default)
        };
        let arn = "arn:aws:events:eu-west-1:123456789012:event-bus/sentry";
        let cases = [
            ("bus = \"sentry\"".to_owned(), ["sentry", "", "sentry-switchboard", ""]),
            (format!("bus = \"{arn}\""), [arn, "eu-west-1", "sentry-switchboard", ""]),
            (format!("bus = \"{arn}\"\nregion = \"us-east-1\""), [arn, "us-east-1", "sentry-switchboard", ""]),
            (
                "bus = \"sentry\"\nsource = \"acme\"\nbase_url = \"http://127.0.0.1:9\"".to_owned(),
                ["sentry", "", "acme", "http://127.0.0.1:9"],
            ),
        ];
        for (keys, expected) in cases {
            assert_eq!(of(&keys), expected, "{keys}");
        }
    }

    #[test]
    fn a_source_of_aws_is_refused() {
        let event = Normalized::default();
        let of_aws = put("bus = \"b\"\nsource = \"aws.ec2\"", &event, &message(&event));
        assert!(matches!(of_aws, Err(DeliveryError::BadValue { key: "source", .. })), "{of_aws:?}");
        assert!(put("bus = \"b\"\nsource = \"awsome\"", &event, &message(&event)).is_ok());
    }

    #[test]
    fn whatever_is_in_it_the_detail_fits() {
        let huge = |text: &str| Normalized {
            event: "issue.created".repeat(20),
            title: Some("title".into()),
            value: Some(text.repeat(600_000 / text.len())),
            ..Normalized::default()
        };
        // A control character takes six bytes of JSON.
        for text in ["x", "é", "\u{1}", "\"", "🦀"] {
            let event = huge(text);
            let put = put("bus = \"b\"", &event, &message(&event)).unwrap();
            assert!(put.detail.len() <= DETAIL_MAX_BYTES, "{text:?}: {}", put.detail.len());
            assert!(put.detail.len() > 60_000, "{text:?}: not more is cut than must be: {}", put.detail.len());
            assert_eq!(put.detail_type.chars().count(), DETAIL_TYPE_MAX);
            let detail: Value = serde_json::from_str(&put.detail).unwrap();
            assert_eq!((&detail["cut"], &detail["event"]["title"]), (&Value::Bool(true), &"title".into()), "{text:?}");
        }
        let tags = (0..100_000).map(|n| (format!("tag-{n}"), "value".to_owned())).collect();
        let event = Normalized { tags, ..huge("x") };
        let message = Message { fields: vec![Field { name: "f".into(), value: "v".into() }], ..message(&event) };
        let put = put("bus = \"b\"", &event, &message).unwrap();
        assert!(put.detail.len() <= DETAIL_MAX_BYTES);
        let detail: Value = serde_json::from_str(&put.detail).unwrap();
        assert_eq!(detail["event"].get("tags"), None);
        assert_eq!(detail["event"]["title"], "title");
    }
}
