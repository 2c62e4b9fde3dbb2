//! What a person put into an alert rule's form (`alert-rule-action`), and how it comes back: with
//! `event_alert.triggered` in `data.issue_alert.settings`, with `metric_alert.*` in
//! `data.metric_alert.alert_rule.triggers[].actions[].settings`, both lists of `{name, value}`.

use serde::{Deserialize, Serialize};

/// The settings, read and checked. Names of the form's fields are those of the struct's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSettings {
    /// Of the rule, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What stands above the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// One of the destination's `mentions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mention: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

/// How much it matters, in a word that every destination makes its own of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    Low,
    Normal,
    High,
    Urgent,
}
