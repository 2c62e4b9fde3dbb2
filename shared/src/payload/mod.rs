//! A webhook's body, read tolerantly: whatever `data` holds, the event stays an event.
//!
//! Only the envelope decides whether a body is taken ([`crate::envelope`]). Inside `data` a field of a wrong type is
//! as good as absent and harms no other field, unknown fields stay in [`Event::raw`], and what no JSON library would
//! take (half a surrogate pair, `1e999`, a thousand brackets) is mended first.

mod digest;
mod mend;
mod shapes;
mod tolerant;

use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

pub use self::digest::content_digest;
pub use self::shapes::{
    Actor, AlertRule, Comment, ErrorEvent, EventAlert, Installation, Issue, IssueAlert, IssueChange, IssueProject,
    Metadata, MetricAlert, MetricAlertDetails, Person, Setting, Slug,
};
pub use self::tolerant::{Id, Tags};
use crate::envelope::{self, BadEnvelope, Envelope};
use crate::ids::{InstallationId, Resource};

/// One webhook. Its `Debug` shows no payload: that holds personal data.
#[derive(Clone)]
pub struct Event {
    pub resource: Resource,
    pub action: String,
    /// None for the bundle's own events that are about no installation.
    pub installation: Option<InstallationId>,
    pub actor: Option<Actor>,
    pub data: Data,
    /// The whole body, but for a grant code (`data.installation.code`), which is only in [`Installation::code`].
    pub raw: Value,
}

/// `data`, by the resource it came under. A body under another resource's name, which the unsigned header allows, has
/// not the shape of it and is [`Data::Other`].
#[derive(Debug, Clone)]
pub enum Data {
    /// `installation`, and `uninstallation` of older servers.
    Installation(Installation),
    Issue(Box<IssueChange>),
    Error(Box<ErrorEvent>),
    EventAlert(Box<EventAlert>),
    MetricAlert(Box<MetricAlert>),
    Comment(Comment),
    /// Resources that have no shape here, and bodies that have not the shape of their resource.
    Other(Value),
}

impl Event {
    /// Reads a body whose envelope was checked before. Fails on a broken envelope only, never on what is in `data`.
    pub fn parse(resource: &Resource, body: &[u8]) -> Result<Self, BadEnvelope> {
        let (action, installation) = if resource.is_own() {
            envelope::own(body)?
        } else {
            let Envelope { action, installation } = Envelope::parse(body)?;
            (action, Some(installation))
        };
        let mut raw = mend::value(body).unwrap_or_else(|| {
            let uuid = installation.map(|id| id.to_string());
            serde_json::json!({ "action": action, "installation": { "uuid": uuid }, "data": null })
        });
        let code = take_grant_code(&mut raw);
        let data = Data::read(resource, raw.get("data").unwrap_or(&Value::Null), code);
        let actor = raw.get("actor").and_then(|actor| Actor::deserialize(actor).ok());
        Ok(Self { resource: resource.clone(), action, installation, actor, data, raw })
    }

    /// `{resource}.{action}`, as it came on the wire.
    pub fn name(&self) -> String {
        format!("{}.{}", self.resource, self.action)
    }

    /// The short summary that newer servers put beside `data` on some alerts.
    pub fn text(&self) -> Option<&str> {
        self.raw.get("text").and_then(Value::as_str)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("name", &self.name())
            .field("installation", &self.installation)
            .finish_non_exhaustive()
    }
}

impl Data {
    fn read(resource: &Resource, data: &Value, code: Option<SecretString>) -> Self {
        /// Objects only: a derived struct would also take an array of its fields.
        fn shaped<T: serde::de::DeserializeOwned>(value: Option<&Value>) -> Option<T> {
            T::deserialize(value.filter(|value| value.is_object())?).ok()
        }
        let read = match resource.as_str() {
            "installation" | "uninstallation" => shaped::<Installation>(data.get("installation"))
                .map(|installation| Self::Installation(Installation { code, ..installation })),
            "issue" if data.get("issue").is_some_and(Value::is_object) => {
                shaped(Some(data)).map(Box::new).map(Self::Issue)
            }
            "error" => shaped(data.get("error")).map(Box::new).map(Self::Error),
            "event_alert" if data.get("event").is_some_and(Value::is_object) => {
                shaped(Some(data)).map(Box::new).map(Self::EventAlert)
            }
            "metric_alert" if data.get("metric_alert").is_some_and(Value::is_object) => {
                shaped(Some(data)).map(Box::new).map(Self::MetricAlert)
            }
            "comment" => shaped(Some(data)).map(Self::Comment),
            _ => None,
        };
        read.unwrap_or_else(|| Self::Other(data.clone()))
    }
}

/// The code is as good as a password until it is exchanged, so it must not travel where payloads go.
fn take_grant_code(raw: &mut Value) -> Option<SecretString> {
    let code = raw.pointer_mut("/data/installation/code")?.take();
    code.as_str().filter(|code| !code.is_empty()).map(SecretString::from)
}

#[cfg(test)]
pub(crate) mod tests;
