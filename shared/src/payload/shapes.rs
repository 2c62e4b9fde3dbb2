//! The shapes of `data`. Every field is optional: fields come and go between Sentry's versions. What is not listed here is
//! in [`super::Event::raw`].

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::tolerant::{Id, Tags, field, list, object};

/// Who did it. An actor that is another app is shown as the receiving app, so `Application` is no proof of an echo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    User {
        id: Option<Id>,
        name: Option<String>,
    },
    /// The app itself; the id is the app's UUID.
    Application {
        id: Option<Id>,
        name: Option<String>,
    },
    Sentry,
    /// A type that is not known yet.
    Other {
        kind: Option<String>,
        id: Option<Id>,
        name: Option<String>,
    },
}

impl Actor {
    /// The display name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::User { name, .. } | Self::Application { name, .. } | Self::Other { name, .. } => name.as_deref(),
            Self::Sentry => Some("Sentry"),
        }
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Value::Object(fields) = Value::deserialize(deserializer)? else {
            return Err(serde::de::Error::custom("an actor is an object"));
        };
        let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
        let (kind, id, name) = (text("type"), fields.get("id").and_then(Id::of), text("name"));
        Ok(match kind.as_deref() {
            Some("user") => Self::User { id, name },
            Some("application") if id.as_ref().is_some_and(|id| id.as_str() == "sentry") => Self::Sentry,
            Some("application") => Self::Application { id, name },
            _ => Self::Other { kind, id, name },
        })
    }
}

/// `data.installation` of the lifecycle events. The code is there only while it is unused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Installation {
    #[serde(deserialize_with = "field")]
    pub uuid: Option<String>,
    /// `pending` or `installed`; newer servers also `pending_deletion`.
    #[serde(deserialize_with = "field")]
    pub status: Option<String>,
    /// The grant code: used once, lives ten minutes.
    #[serde(skip)]
    pub code: Option<SecretString>,
    #[serde(deserialize_with = "object")]
    pub organization: Option<Slug>,
    #[serde(deserialize_with = "object")]
    pub app: Option<Slug>,
}

impl Installation {
    pub fn organization_slug(&self) -> Option<&str> {
        self.organization.as_ref()?.slug.as_deref()
    }

    pub fn app_slug(&self) -> Option<&str> {
        self.app.as_ref()?.slug.as_deref()
    }
}

/// Organization and app of an installation.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Slug {
    #[serde(deserialize_with = "field")]
    pub slug: Option<String>,
}

/// `data` of resource `issue`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct IssueChange {
    #[serde(deserialize_with = "object")]
    pub issue: Option<Issue>,
    /// Of `resolved`: `now`, `in_next_release`, …; an open set.
    #[serde(deserialize_with = "field")]
    pub resolution_type: Option<String>,
    /// Of `assigned`. Another shape than `issue.assigned_to`: the id is a number, a team's name its display name.
    #[serde(deserialize_with = "object")]
    pub assignee: Option<Person>,
}

/// An issue, as webhooks and the API's issue endpoint give it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Issue {
    #[serde(deserialize_with = "field")]
    pub id: Option<Id>,
    #[serde(deserialize_with = "field")]
    pub short_id: Option<String>,
    #[serde(deserialize_with = "field")]
    pub title: Option<String>,
    #[serde(deserialize_with = "field")]
    pub culprit: Option<String>,
    #[serde(deserialize_with = "field")]
    pub level: Option<String>,
    /// `unresolved`, `resolved` or `ignored` (which the UI calls archived).
    #[serde(deserialize_with = "field")]
    pub status: Option<String>,
    #[serde(deserialize_with = "field")]
    pub substatus: Option<String>,
    #[serde(deserialize_with = "field")]
    pub platform: Option<String>,
    #[serde(deserialize_with = "field")]
    pub logger: Option<String>,
    #[serde(deserialize_with = "field")]
    pub issue_type: Option<String>,
    #[serde(deserialize_with = "field")]
    pub issue_category: Option<String>,
    #[serde(deserialize_with = "object")]
    pub project: Option<IssueProject>,
    #[serde(deserialize_with = "object")]
    pub metadata: Option<Metadata>,
    #[serde(deserialize_with = "object")]
    pub assigned_to: Option<Person>,
    /// Text of digits on the wire.
    #[serde(deserialize_with = "field")]
    pub count: Option<Id>,
    #[serde(deserialize_with = "field")]
    pub user_count: Option<Id>,
    #[serde(deserialize_with = "field")]
    pub first_seen: Option<String>,
    #[serde(deserialize_with = "field")]
    pub last_seen: Option<String>,
    /// The page; null in 23.7.1.
    #[serde(deserialize_with = "field")]
    pub permalink: Option<String>,
    /// Address of the issue in the API; absent in 23.7.1.
    #[serde(deserialize_with = "field")]
    pub url: Option<String>,
    /// The page; absent in 23.7.1.
    #[serde(rename = "web_url", deserialize_with = "field")]
    pub web_url: Option<String>,
    /// The same in `activity_alert` of some versions.
    #[serde(rename = "webUrl", deserialize_with = "field")]
    pub web_url_camel: Option<String>,
}

impl Issue {
    /// Whatever of it can be read: nothing, where it is no object.
    pub fn of(value: &Value) -> Self {
        if value.is_object() { Self::deserialize(value).unwrap_or_default() } else { Self::default() }
    }
}

/// The project of an issue.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct IssueProject {
    #[serde(deserialize_with = "field")]
    pub id: Option<Id>,
    #[serde(deserialize_with = "field")]
    pub slug: Option<String>,
    #[serde(deserialize_with = "field")]
    pub name: Option<String>,
    #[serde(deserialize_with = "field")]
    pub platform: Option<String>,
}

/// Depends on the issue's type: an exception has `type` and `value`, others a `title`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Metadata {
    #[serde(rename = "type", deserialize_with = "field")]
    pub kind: Option<String>,
    #[serde(deserialize_with = "field")]
    pub value: Option<String>,
    #[serde(deserialize_with = "field")]
    pub title: Option<String>,
    #[serde(deserialize_with = "field")]
    pub filename: Option<String>,
    #[serde(deserialize_with = "field")]
    pub function: Option<String>,
}

/// A user or a team.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Person {
    #[serde(rename = "type", deserialize_with = "field")]
    pub kind: Option<String>,
    #[serde(deserialize_with = "field")]
    pub id: Option<Id>,
    #[serde(deserialize_with = "field")]
    pub name: Option<String>,
    #[serde(deserialize_with = "field")]
    pub email: Option<String>,
}

/// An event: `data.error`, and `data.event` of an issue alert.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ErrorEvent {
    #[serde(deserialize_with = "field")]
    pub event_id: Option<String>,
    /// A number on the wire; the slug is only in `url`.
    #[serde(deserialize_with = "field")]
    pub project: Option<Id>,
    #[serde(deserialize_with = "field")]
    pub issue_id: Option<Id>,
    #[serde(deserialize_with = "field")]
    pub title: Option<String>,
    #[serde(deserialize_with = "field")]
    pub message: Option<String>,
    #[serde(deserialize_with = "field")]
    pub culprit: Option<String>,
    #[serde(deserialize_with = "field")]
    pub level: Option<String>,
    #[serde(deserialize_with = "field")]
    pub platform: Option<String>,
    #[serde(deserialize_with = "field")]
    pub release: Option<String>,
    #[serde(deserialize_with = "field")]
    pub environment: Option<String>,
    #[serde(deserialize_with = "field")]
    pub dist: Option<String>,
    #[serde(deserialize_with = "field")]
    pub datetime: Option<String>,
    #[serde(deserialize_with = "field")]
    pub tags: Option<Tags>,
    #[serde(deserialize_with = "object")]
    pub metadata: Option<Metadata>,
    /// `…/api/0/projects/{org}/{project}/events/{event}/`
    #[serde(deserialize_with = "field")]
    pub url: Option<String>,
    /// The page.
    #[serde(deserialize_with = "field")]
    pub web_url: Option<String>,
    /// Address of the issue in the API, with the organization in newer servers only.
    #[serde(deserialize_with = "field")]
    pub issue_url: Option<String>,
}

/// `data` of `event_alert`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct EventAlert {
    #[serde(deserialize_with = "object")]
    pub event: Option<ErrorEvent>,
    /// Label of the rule.
    #[serde(deserialize_with = "field")]
    pub triggered_rule: Option<String>,
    /// There only if the rule has settings of the app's alert-rule-action.
    #[serde(deserialize_with = "object")]
    pub issue_alert: Option<IssueAlert>,
}

/// The alert rule's own settings.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct IssueAlert {
    /// -1 in a test from the rule's editor.
    #[serde(deserialize_with = "field")]
    pub id: Option<Id>,
    #[serde(deserialize_with = "field")]
    pub title: Option<String>,
    #[serde(deserialize_with = "list")]
    pub settings: Vec<Setting>,
}

/// One field of an alert rule's form.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Setting {
    #[serde(deserialize_with = "field")]
    pub name: Option<String>,
    #[serde(deserialize_with = "field")]
    pub value: Option<Value>,
}

/// `data` of `metric_alert`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MetricAlert {
    #[serde(deserialize_with = "object")]
    pub metric_alert: Option<MetricAlertDetails>,
    #[serde(deserialize_with = "field")]
    pub description_title: Option<String>,
    #[serde(deserialize_with = "field")]
    pub description_text: Option<String>,
    /// The page.
    #[serde(deserialize_with = "field")]
    pub web_url: Option<String>,
}

/// `data.metric_alert`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MetricAlertDetails {
    #[serde(deserialize_with = "field")]
    pub id: Option<Id>,
    #[serde(deserialize_with = "field")]
    pub identifier: Option<Id>,
    #[serde(deserialize_with = "field")]
    pub organization_id: Option<Id>,
    #[serde(deserialize_with = "field")]
    pub title: Option<String>,
    /// 1 open, 2 closed, 10 warning, 20 critical.
    #[serde(deserialize_with = "field")]
    pub status: Option<i64>,
    /// Slugs.
    #[serde(deserialize_with = "list")]
    pub projects: Vec<String>,
    #[serde(deserialize_with = "object")]
    pub alert_rule: Option<AlertRule>,
}

/// The rule of a metric alert.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct AlertRule {
    #[serde(deserialize_with = "field")]
    pub id: Option<Id>,
    #[serde(deserialize_with = "field")]
    pub name: Option<String>,
    #[serde(deserialize_with = "field")]
    pub aggregate: Option<String>,
    #[serde(deserialize_with = "field")]
    pub query: Option<String>,
    #[serde(deserialize_with = "field")]
    pub environment: Option<String>,
    /// Each with a `label` and its `actions`, where the settings of the app's form are.
    #[serde(deserialize_with = "list")]
    pub triggers: Vec<Value>,
}

/// `data` of `comment`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Comment {
    #[serde(deserialize_with = "field")]
    pub comment_id: Option<Id>,
    #[serde(deserialize_with = "field")]
    pub issue_id: Option<Id>,
    #[serde(deserialize_with = "field")]
    pub project_slug: Option<String>,
    /// When it was written, also for updates and deletes.
    #[serde(deserialize_with = "field")]
    pub timestamp: Option<String>,
    #[serde(deserialize_with = "field")]
    pub comment: Option<String>,
}
