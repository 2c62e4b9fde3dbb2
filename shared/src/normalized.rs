//! The normalized event: one shape for all resources. Routes match on it, messages are made from it, and it travels
//! to `deliver` inside each delivery.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// The metadata's value: an exception's own text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Issue id, digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issue: Option<String>,
    /// `BACKEND-1A`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_id: Option<String>,
    /// Label of the alert rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Display name of who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The page to open, as the payload gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
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
