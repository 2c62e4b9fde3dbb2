//! Bodies of webhooks: the recorded ones with their values replaced, so that every field a real Sentry sends is there.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::config::Version;
use crate::events::{Alert, AlertUrls, Assignee};
use crate::ordered::Json;
use crate::server::shape;
use crate::signing::random_hex;
use crate::simulator::Simulator;
use crate::state::{Installation, Issue};

static ISSUE: LazyLock<Json> = LazyLock::new(|| data_of(include_str!("../../../shared/samples/issue.created.json")));
static ALERT: LazyLock<Json> =
    LazyLock::new(|| data_of(include_str!("../../../shared/samples/event_alert.triggered.json")));

/// The `data` of a recorded webhook.
fn data_of(sample: &str) -> Json {
    let sample: serde_json::Value = serde_json::from_str(sample).expect("an embedded sample is JSON");
    let body = STANDARD.decode(sample["body"].as_str().unwrap_or_default()).expect("a sample's body is base64");
    Json::parse(&body).take("data")
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    Sentry,
    User,
}

impl From<Actor> for Json {
    fn from(actor: Actor) -> Self {
        match actor {
            Actor::Sentry => {
                Self::from([("type", "application".into()), ("id", "sentry".into()), ("name", "Sentry".into())])
            }
            Actor::User => Self::from([("type", "user".into()), ("id", 1.into()), ("name", "Ada Lovelace".into())]),
        }
    }
}

/// The whole body, compact, escaped as the version does it.
pub(crate) fn body(simulator: &Simulator, installation: &str, action: &str, data: Json, actor: Actor) -> Vec<u8> {
    Json::from([
        ("action", action.into()),
        ("installation", [("uuid", installation.into())].into()),
        ("data", data),
        ("actor", actor.into()),
    ])
    .to_bytes(simulator.config().version == Version::V23_7_1)
}

/// `data` of `installation.*`; with the code where it is still unused and `with_code`.
pub(crate) fn installation(simulator: &Simulator, installation: &Installation, with_code: bool) -> Json {
    let mut data = shape(simulator, installation);
    if let Some(grant) = installation.grant.as_ref().filter(|_| with_code) {
        data.set("code", grant.code.as_str());
    }
    Json::from([("installation", data)])
}

/// `data` of `issue.*`: what belongs to the action first, then the issue.
pub(crate) fn issue(simulator: &Simulator, issue: &Issue, action: &str) -> Json {
    let mut shape = issue_shape(issue);
    // Newer servers send the addresses with `created`, and perhaps with nothing else.
    if action == "created" && simulator.config().version == Version::Today {
        let base = simulator.addresses().base_url;
        let (organization, id) = (&issue.organization, issue.id);
        shape.set("url", format!("{base}/api/0/organizations/{organization}/issues/{id}/"));
        shape.set("web_url", format!("{base}/organizations/{organization}/issues/{id}/"));
        shape.set("project_url", format!("{base}/organizations/{organization}/projects/{}/", issue.project.slug));
    }
    match (action, &issue.assigned) {
        ("resolved", _) => Json::from([("resolution_type", "now".into()), ("issue", shape)]),
        ("assigned", Some(assignee)) => Json::from([("assignee", assignee.in_event()), ("issue", shape)]),
        _ => Json::from([("issue", shape)]),
    }
}

/// An issue as the API answers it: as in webhooks, with a link.
pub(crate) fn issue_in_api(simulator: &Simulator, issue: &Issue) -> Json {
    let mut shape = issue_shape(issue);
    let base = simulator.addresses().base_url;
    shape.set("permalink", format!("{base}/organizations/{}/issues/{}/", issue.organization, issue.id));
    shape
}

fn issue_shape(issue: &Issue) -> Json {
    let mut shape = ISSUE.clone().take("issue");
    shape.set("id", issue.id.to_string());
    shape.set("shortId", issue.short_id.as_str());
    shape.set("title", issue.title.as_str());
    shape.set("culprit", issue.culprit.as_str());
    shape.set("level", issue.level.as_str());
    shape.set("status", issue.status);
    shape.set("substatus", issue.substatus);
    shape.set("project.id", issue.project.id.to_string());
    shape.set("project.name", issue.project.name.as_str());
    shape.set("project.slug", issue.project.slug.as_str());
    shape.set("assignedTo", issue.assigned.as_ref().map(Assignee::in_issue));
    shape.set("count", issue.count.to_string());
    shape.set("firstSeen", time(issue.first_seen));
    shape.set("lastSeen", time(issue.last_seen));
    let (kind, value) = kind_and_value(&issue.title);
    shape.set("metadata.type", kind);
    shape.set("metadata.value", value);
    shape
}

/// `data` of `comment.created`. The comment's number is the time, so that no two are the same.
pub(crate) fn comment(issue: &Issue, text: &str, now: Timestamp) -> Json {
    Json::from([
        ("comment_id", u64::try_from(now.as_millisecond()).unwrap_or_default().into()),
        ("issue_id", issue.id.into()),
        ("project_slug", issue.project.slug.as_str().into()),
        ("timestamp", time(now).into()),
        ("comment", text.into()),
    ])
}

/// `data` of `event_alert.triggered`: a new event of the issue, and the rule.
pub(crate) fn alert(simulator: &Simulator, issue: &Issue, alert: &Alert, now: Timestamp) -> Json {
    let mut data = ALERT.clone();
    let event_id = random_hex::<16>();
    let (kind, value) = kind_and_value(&issue.title);
    let base = simulator.addresses().base_url;
    let (organization, id) = (&issue.organization, issue.id);

    data.set("event.event_id", event_id.as_str());
    data.set("event.project", issue.project.id);
    data.set("event._ref", issue.project.id);
    data.set("event.datetime", time(now));
    data.set("event.timestamp", seconds(now));
    data.set("event.received", seconds(now));
    data.set("event.nodestore_insert", seconds(now));
    data.set("event.culprit", issue.culprit.as_str());
    data.set("event.level", issue.level.as_str());
    data.set("event.tags.2.1", issue.level.as_str());
    data.set("event.title", issue.title.as_str());
    data.set("event.issue_id", id.to_string());
    for place in ["event.metadata", "event.exception.values.0"] {
        data.set(&format!("{place}.type"), kind);
        data.set(&format!("{place}.value"), value);
    }
    match alert.urls {
        AlertUrls::Present => {
            let issue_url = match simulator.config().version {
                Version::V23_7_1 => format!("{base}/api/0/issues/{id}/"),
                Version::Today => format!("{base}/api/0/organizations/{organization}/issues/{id}/"),
            };
            let slug = &issue.project.slug;
            data.set("event.url", format!("{base}/api/0/projects/{organization}/{slug}/events/{event_id}/"));
            data.set("event.web_url", format!("{base}/organizations/{organization}/issues/{id}/events/{event_id}/"));
            data.set("event.issue_url", issue_url);
        }
        AlertUrls::Absent => {
            for key in ["url", "web_url", "issue_url"] {
                data.remove("event", key);
            }
        }
    }
    data.set("triggered_rule", alert.rule.as_str());
    if !alert.settings.is_empty() {
        let settings = alert
            .settings
            .iter()
            .map(|(name, value)| Json::from([("name", name.as_str().into()), ("value", value.as_str().into())]));
        let settings = Json::Array(settings.collect());
        data.set(
            "issue_alert",
            [
                ("id", 7.into()),
                ("title", alert.rule.as_str().into()),
                ("sentry_app_id", 17.into()),
                ("settings", settings),
            ],
        );
    }
    data
}

/// `ValueError: division by zero` → type and value; a title without a colon is a value of an `Error`.
fn kind_and_value(title: &str) -> (&str, &str) {
    title.split_once(": ").unwrap_or(("Error", title))
}

/// `2026-11-23T20:56:16.927929Z`
fn time(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// Seconds since 1970 with a fraction.
fn seconds(at: Timestamp) -> Json {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit into 53 bits")]
    let seconds = at.as_microsecond() as f64 / 1e6;
    serde_json::Number::from_f64(seconds).map_or(Json::Null, Json::Number)
}
