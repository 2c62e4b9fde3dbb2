//! The normalized event: one shape for all resources. Routes match on it, messages are made from it, and it travels
//! to `deliver` inside each delivery.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod address;
pub mod keys;
mod reading;

/// What is known of an event, the same keys for every resource. Absent means that the payload does not say it (and
/// that no look-up has yet).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Normalized {
    /// `{resource}.{action}`, as it came on the wire: `issue.ignored`, not `issue.archived`.
    pub event: String,
    pub resource: String,
    pub action: String,
    /// Installation UUID.
    pub installation: String,
    /// Slug.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<Project>,
    /// Slugs of the other projects, where an event has several (metric alerts).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more_projects: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub culprit: Option<String>,
    /// The metadata's value: an exception's own text. Where there is none: a comment's text, an alert's description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Issue id, digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issue: Option<String>,
    /// `BACKEND-1A`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_id: Option<String>,
    /// Of an issue: `unresolved`, `resolved`, `ignored`. Of a mobile build's step: `completed`, `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why an issue has its status: `new`, `ongoing`, `regressed`, `escalating`, `archived_until_escalating`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub substatus: Option<String>,
    /// Display name of the user or team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// How many events the issue has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How many users met it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
    /// ISO 8601, as the payload gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<String>,
    /// Label of the alert rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Display name of who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The page to open, as the payload gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Name of the destination that an event of the switchboard itself is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// A route asked for what only a look-up could tell, and the look-up failed for good: matched with what is known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub look_up_failed: bool,
}

/// The project as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Project {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Normalized {
    /// The event's headline: its title, else its name.
    pub fn headline(&self) -> &str {
        self.title.as_deref().filter(|title| !title.trim().is_empty()).unwrap_or(&self.event)
    }

    /// Whether a resolved issue has come back. Any other `unresolved` is somebody's doing, or an archived issue that
    /// has grown.
    pub fn is_regression(&self) -> bool {
        self.event == "issue.unresolved" && self.substatus.as_deref() == Some("regressed")
    }

    /// The page to open: the payload's own, else `{base_url}/organizations/{org}/issues/{id}/` where both are known.
    ///
    /// Never anything but `http` and `https`, and no part of a built one can change its path.
    pub fn link(&self, base_url: &str) -> Option<String> {
        if let Some(url) = self.url.as_ref().filter(|url| address::is_page(url)) {
            return Some(url.clone());
        }
        let organization = self.organization.as_deref().filter(|slug| address::is_slug(slug))?;
        let issue = self.issue.as_deref().filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))?;
        Some(format!("{}/organizations/{organization}/issues/{issue}/", base_url.trim_end_matches('/')))
    }

    /// Whether the event's resource is about an issue, so that a look-up of the issue can tell more.
    pub fn can_be_looked_up(&self) -> bool {
        self.issue.is_some()
            && matches!(
                self.resource.as_str(),
                "issue" | "error" | "event_alert" | "activity_alert" | "seer" | "comment"
            )
    }

    /// Whether events of this resource have a level: that of their issue, event or error.
    pub fn has_level(&self) -> bool {
        matches!(self.resource.as_str(), "issue" | "error" | "event_alert" | "activity_alert")
    }
}

#[cfg(test)]
mod tests;
