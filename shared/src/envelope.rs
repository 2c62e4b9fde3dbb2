//! The part of a webhook's body that decides whether it is taken: a JSON object with a text `action` and
//! `installation.uuid`. Nothing inside `data` does; it only gives the order.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ids::{DestinationName, EventId, InstallationId, Resource, hash};

/// What is checked of a body before it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub action: String,
    pub installation: InstallationId,
}

/// Why a signed body is not taken: the answer's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEnvelope {
    #[error("the body is not JSON")]
    NotJson,
    #[error("the body is not a JSON object with a text `action` and an object `installation`")]
    NotAnEvent,
    #[error("`installation.uuid` is not a UUID")]
    NoInstallation,
}

impl Envelope {
    pub fn parse(body: &[u8]) -> Result<Self, BadEnvelope> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            action: Cow<'a, str>,
            #[serde(borrow)]
            installation: Uuid<'a>,
        }
        #[derive(Deserialize)]
        struct Uuid<'a> {
            #[serde(borrow)]
            uuid: Cow<'a, str>,
        }
        let fields: Fields<'_> = serde_json::from_slice(body).map_err(|e| match e.classify() {
            serde_json::error::Category::Data => BadEnvelope::NotAnEvent,
            _ => BadEnvelope::NotJson,
        })?;
        // A derived struct would also take an array of its fields; Sentry never sends one.
        if body.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
            return Err(BadEnvelope::NotAnEvent);
        }
        let installation = fields.installation.uuid.parse().map_err(|_| BadEnvelope::NoInstallation)?;
        Ok(Self { action: fields.action.into_owned(), installation })
    }
}

/// Action and installation of an event of the bundle's own, which may be about none.
pub fn own(body: &[u8]) -> Result<(String, Option<InstallationId>), BadEnvelope> {
    #[derive(Deserialize)]
    struct Fields {
        action: String,
        installation: Option<Installation>,
    }
    #[derive(Deserialize)]
    struct Installation {
        uuid: String,
    }
    let fields: Fields = serde_json::from_slice(body).map_err(|_| BadEnvelope::NotAnEvent)?;
    let installation = fields.installation.map(|installation| installation.uuid.parse());
    Ok((fields.action, installation.transpose().map_err(|_| BadEnvelope::NoInstallation)?))
}

/// The group of what concerns one issue: on `events.fifo`, and behind the destination's name on `deliveries.fifo`.
pub fn issue_group(installation: InstallationId, issue: &str) -> String {
    short(hash(["issue", &installation.to_string(), issue]))
}

fn short(mut hash: String) -> String {
    hash.truncate(32);
    hash
}

/// The group on `events.fifo`: what must be handled in order. 64 hex digits cut to 32.
///
/// Lifecycle by installation; what concerns an issue by installation and issue; a metric alert by its own id;
/// `error.created` by its own event id, since a storm of one issue must not queue behind itself; anything else by
/// event id.
pub fn group(resource: &Resource, envelope: &Envelope, body: &[u8], event: &EventId) -> String {
    let installation = envelope.installation.to_string();
    let group = match resource.as_str() {
        "installation" | "uninstallation" => Some(short(hash(["installation", &installation, ""]))),
        "issue" | "event_alert" | "comment" | "seer" | "activity_alert" => {
            issue_id(body).map(|id| issue_group(envelope.installation, &id))
        }
        "metric_alert" => metric_alert_id(body).map(|id| short(hash(["metric_alert", &installation, &id]))),
        _ => None,
    };
    group.unwrap_or_else(|| short(hash(["event", event.as_str()])))
}

/// The group of the bundle's own events about a destination.
pub fn destination_group(destination: &DestinationName) -> String {
    short(hash(["destination", destination.as_str()]))
}

/// The group of the bundle's own events about the ticket of an issue: they do not hold back those of the issue itself.
pub fn ticket_group(installation: InstallationId, issue: &str) -> String {
    short(hash(["ticket", &installation.to_string(), issue]))
}

/// Only the ids are read, tolerantly: text or number, and whatever else is there is skipped unread.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    issue: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    metric_alert: Option<&'a RawValue>,
    #[serde(borrow, default)]
    issue_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    group_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Ids<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    issue_id: Option<&'a RawValue>,
}

/// The issue that a body is about: `data.issue.id`, `data.event.issue_id`, or `data.issue_id` and `data.group_id`.
fn issue_id(body: &[u8]) -> Option<String> {
    let data = serde_json::from_slice::<Body<'_>>(body).ok()?.data;
    let of_issue = data.issue.and_then(ids).and_then(|ids| ids.id);
    let of_event = data.event.and_then(ids).and_then(|ids| ids.issue_id);
    [of_issue, of_event, data.issue_id, data.group_id].into_iter().flatten().find_map(plain_id)
}

fn metric_alert_id(body: &[u8]) -> Option<String> {
    let data = serde_json::from_slice::<Body<'_>>(body).ok()?.data;
    data.metric_alert.and_then(ids).and_then(|ids| ids.id).and_then(plain_id)
}

fn ids(raw: &RawValue) -> Option<Ids<'_>> {
    serde_json::from_str(raw.get()).ok()
}

fn plain_id(raw: &RawValue) -> Option<String> {
    let id = raw.get().trim_matches('"');
    (!id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && id != "null")
        .then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "a8e5d37a-696c-4c54-adb5-b3f28d64c7de";

    #[test]
    fn only_the_envelope_decides() {
        let inst = format!(r#""installation":{{"uuid":"{UUID}"}}"#);
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        let cases: Vec<(&str, String, Result<(), BadEnvelope>)> = vec![
            ("least", format!(r#"{{"action":"x",{inst}}}"#), Ok(())),
            ("data is anything", format!(r#"{{"action":"x",{inst},"data":[1,"a"]}}"#), Ok(())),
            ("lone surrogate in data", format!(r#"{{"action":"x",{inst},"data":{{"t":"\ud83d"}}}}"#), Ok(())),
            ("number out of range", format!(r#"{{"action":"x",{inst},"data":1e999}}"#), Ok(())),
            ("deep nesting", format!(r#"{{"action":"x",{inst},"data":{deep}}}"#), Ok(())),
            ("not JSON", "action=x".into(), Err(BadEnvelope::NotJson)),
            ("cut off", format!(r#"{{"action":"x",{inst}"#), Err(BadEnvelope::NotJson)),
            ("empty", String::new(), Err(BadEnvelope::NotJson)),
            ("an array", format!(r#"["x",{{"uuid":"{UUID}"}}]"#), Err(BadEnvelope::NotAnEvent)),
            ("a text", r#""x""#.into(), Err(BadEnvelope::NotAnEvent)),
            ("no action", format!("{{{inst}}}"), Err(BadEnvelope::NotAnEvent)),
            ("action is a number", format!(r#"{{"action":1,{inst}}}"#), Err(BadEnvelope::NotAnEvent)),
            ("no installation", r#"{"action":"x"}"#.into(), Err(BadEnvelope::NotAnEvent)),
            ("not a UUID", r#"{"action":"x","installation":{"uuid":"1"}}"#.into(), Err(BadEnvelope::NoInstallation)),
        ];
        for (name, body, expected) in cases {
            assert_eq!(Envelope::parse(body.as_bytes()).map(|_| ()), expected, "{name}");
        }
        let not_utf8 = [format!(r#"{{"action":"x",{inst},"data":""#).as_bytes(), &[0xff], b"\"}"].concat();
        assert!(Envelope::parse(&not_utf8).is_ok(), "bytes that are not UTF-8 inside data");
    }

    #[test]
    fn an_event_of_our_own_may_be_about_no_installation() {
        let id: InstallationId = UUID.parse().unwrap();
        for (body, expected) in [
            (r#"{"action":"x","data":{}}"#.to_owned(), Ok(("x".to_owned(), None))),
            (format!(r#"{{"action":"x","installation":{{"uuid":"{UUID}"}}}}"#), Ok(("x".to_owned(), Some(id)))),
            (r#"{"action":"x","installation":{"uuid":"1"}}"#.to_owned(), Err(BadEnvelope::NoInstallation)),
            ("{}".to_owned(), Err(BadEnvelope::NotAnEvent)),
        ] {
            assert_eq!(own(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn what_concerns_one_issue_shares_a_group_whatever_the_type_of_its_id() {
        let event = EventId::of_signature("00");
        let group_of = |resource: &str, data: &str| {
            let body = format!(r#"{{"action":"x","installation":{{"uuid":"{UUID}"}},"data":{data}}}"#);
            let envelope = Envelope::parse(body.as_bytes()).unwrap();
            group(&resource.parse().unwrap(), &envelope, body.as_bytes(), &event)
        };
        let issue_7 = group_of("issue", r#"{"issue":{"id":"7"}}"#);
        assert_eq!(issue_7.len(), 32);
        assert_eq!(issue_7, issue_group(UUID.parse().unwrap(), "7"));
        for (resource, data) in [
            ("issue", r#"{"issue":{"id":7,"more":[{}]}}"#),
            ("event_alert", r#"{"event":{"issue_id":"7"}}"#),
            ("comment", r#"{"issue_id":7}"#),
            ("seer", r#"{"group_id":7}"#),
            ("activity_alert", r#"{"issue":{"id":"7"}}"#),
        ] {
            assert_eq!(group_of(resource, data), issue_7, "{resource} {data}");
        }
        let by_event = group_of("error", r#"{"error":{"issue_id":"7"}}"#);
        for (resource, data) in [("issue", r#"{"issue":{"id":{}}}"#), ("issue", "[]"), ("issue", "null"), ("new", "{}")]
        {
            assert_eq!(group_of(resource, data), by_event, "{resource} {data}");
        }
        assert_ne!(group_of("metric_alert", r#"{"metric_alert":{"id":"7"}}"#), issue_7);
        assert_eq!(group_of("installation", "{}"), group_of("uninstallation", "[]"));
    }
}
