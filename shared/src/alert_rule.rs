//! What a person put into an alert rule's form (`alert-rule-action`), and how it comes back: with
//! `event_alert.triggered` in `data.issue_alert.settings`, with `metric_alert.*` in
//! `data.metric_alert.alert_rule.triggers[].actions[].settings`, both lists of `{name, value}`.

mod going;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use self::going::not_offered_any_more;
pub use self::going::{Going, with_rules};
use crate::destinations::{cut, is_blank, one_line, visible};
use crate::payload::{Data, Event};

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

/// The name that stands in the place of a route's where the rule alone asked for a delivery. The routes file refuses it
/// as a route's name.
pub const ROUTE: &str = "(alert rule)";
/// The same for a public app, which strangers install: `deliver` and a later redrive then know whom to keep out.
pub const ROUTE_OF_PUBLIC: &str = "(alert rule, public app)";

/// Whether a rule alone asked for a delivery of this route.
pub fn is_route(route: &str) -> bool {
    [ROUTE, ROUTE_OF_PUBLIC].contains(&route)
}

/// A longer note is cut: the form takes no longer one.
const MAX_NOTE_UTF16: usize = 1000;
/// Of names and mentions.
const MAX_WORDS_UTF16: usize = 200;

/// A destination that somebody picked in a rule's form, and what else they filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    /// As it is written in the rule, which may be older than the routes.
    pub destination: String,
    pub settings: RuleSettings,
}

impl Priority {
    /// As the form has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }

    fn of(text: &str) -> Option<Self> {
        [Self::Low, Self::Normal, Self::High, Self::Urgent]
            .into_iter()
            .find(|priority| priority.as_str().eq_ignore_ascii_case(text))
    }
}

impl RuleSettings {
    /// What the rules that sent this event say of where it is to go: nothing, for all events but alerts, and for rules
    /// without the form. Each destination once. A metric alert may have picked several, one an action, and says so in
    /// one event.
    ///
    /// Sentry has checked nothing of it but that it is a list: what makes no sense is left out, with a line in the log.
    pub fn of(payload: &Event) -> Vec<Picked> {
        let data = payload.raw.get("data").unwrap_or(&Value::Null);
        let (rule, found): (_, Vec<&Value>) = match &payload.data {
            Data::EventAlert(alert) => {
                let title = alert.issue_alert.as_ref().and_then(|rule| rule.title.as_deref());
                let rule = title.or(alert.triggered_rule.as_deref());
                (rule, data.pointer("/issue_alert/settings").into_iter().collect())
            }
            Data::MetricAlert(alert) => {
                let details = alert.metric_alert.as_ref();
                let name = details.and_then(|details| details.alert_rule.as_ref()?.name.as_deref());
                (name.or_else(|| details?.title.as_deref()), of_triggers(payload, data))
            }
            _ => (None, Vec::new()),
        };
        let rule = rule.map(|rule| one_line(rule, MAX_WORDS_UTF16)).filter(|rule| !is_blank(rule));
        let mut picked: Vec<Picked> = Vec::new();
        for settings in found {
            if let Some(found) = read(settings, rule.clone())
                && !picked.iter().any(|own| own.destination == found.destination)
            {
                picked.push(found);
            }
        }
        picked
    }
}

/// The settings of this installation's actions: those of the trigger that the action names. A resolution belongs to all
/// of them: whoever was told of the beginning hears of the end.
fn of_triggers<'p>(payload: &Event, data: &'p Value) -> Vec<&'p Value> {
    let list = |value: Option<&'p Value>| value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |value: &'p Value, key: &str| value.get(key).and_then(Value::as_str);
    let is_ours = |action: &'p Value| {
        let uuid = text(action, "sentry_app_installation_uuid").and_then(|uuid| uuid.parse().ok());
        text(action, "type") == Some("sentry_app") && payload.installation.is_some() && uuid == payload.installation
    };
    let triggers = list(data.pointer("/metric_alert/alert_rule/triggers")).iter();
    let is_any = !matches!(payload.action.as_str(), "critical" | "warning");
    triggers
        .filter(|trigger| is_any || text(trigger, "label") == Some(payload.action.as_str()))
        .flat_map(|trigger| list(trigger.get("actions")))
        .filter(|action| is_ours(action))
        .filter_map(|action| action.get("settings"))
        .collect()
}

/// `settings` is a list of `{name, value}`; Sentry's documentation calls it an object, so that is taken too.
fn read(settings: &Value, rule: Option<String>) -> Option<Picked> {
    let value = |name: &str| {
        let value = match settings {
            Value::Array(fields) => fields.iter().find(|field| field["name"] == name)?.get("value"),
            Value::Object(fields) => fields.get(name),
            _ => None,
        };
        let text = match value? {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (!is_blank(&text)).then_some(text)
    };
    let Some(destination) = value("destination") else {
        let is_empty = match settings {
            Value::Array(fields) => fields.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => settings.is_null(),
        };
        if !is_empty {
            tracing::warn!(
                rule,
                "this alert rule has settings, and no destination among them: only the routes say where it goes"
            );
        }
        return None;
    };
    let priority = value("priority");
    let known = priority.as_deref().and_then(Priority::of);
    if let (Some(priority), None) = (&priority, known) {
        let shown = one_line(priority, MAX_WORDS_UTF16);
        tracing::warn!(rule, "this alert rule has the priority `{shown}`, which there is not: it is left out");
    }
    let settings = RuleSettings {
        rule,
        note: value("note").map(|note| cut(visible(&note).trim(), MAX_NOTE_UTF16)).filter(|note| !is_blank(note)),
        mention: value("mention").map(|mention| one_line(&mention, MAX_WORDS_UTF16)),
        priority: known,
    };
    Some(Picked { destination, settings })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OURS: &str = "a8e5d37a-696c-4c54-adb5-b3f28d64c7de";
    const ANOTHER: &str = "b8e5d37a-696c-4c54-adb5-b3f28d64c7de";

    fn of(resource: &str, action: &str, data: &Value) -> Vec<Picked> {
        let body = json!({"action": action, "installation": {"uuid": OURS}, "data": data});
        RuleSettings::of(&Event::parse(&resource.parse().unwrap(), body.to_string().as_bytes()).unwrap())
    }

    fn of_alert(settings: &Value) -> Option<Picked> {
        let data =
            json!({"event": {}, "triggered_rule": "label", "issue_alert": {"title": "Page us", "settings": settings}});
        let mut picked = of("event_alert", "triggered", &data);
        assert!(picked.len() <= 1);
        picked.pop()
    }

    #[test]
    fn the_settings_of_an_issue_alert_are_read_whether_a_list_or_an_object() {
        let whole = RuleSettings {
            rule: Some("Page us".to_owned()),
            note: Some("Look at the\nrunbook".to_owned()),
            mention: Some("@oncall".to_owned()),
            priority: Some(Priority::High),
        };
        let bare = RuleSettings { rule: whole.rule.clone(), ..RuleSettings::default() };
        let destination = |name: &str| json!({"name": "destination", "value": name});
        for (settings, expected) in [
            (
                json!([destination("phones"), {"name": "note", "value": "Look at the\r\nrunbook\n"},
                       {"name": "mention", "value": "@oncall"}, {"name": "priority", "value": "HIGH"}]),
                Some(("phones", whole.clone())),
            ),
            (
                json!({"destination": "phones", "note": "Look at the\nrunbook", "mention": "@oncall", "priority": "high"}),
                Some(("phones", whole.clone())),
            ),
            (json!([destination(" phones ")]), Some(("phones", bare.clone()))),
            (json!([destination("no name!")]), Some(("no name!", bare.clone()))),
            (json!([{"name": "destination", "value": 7}]), Some(("7", bare.clone()))),
            (
                json!([destination("phones"), {"name": "priority", "value": "worst"}, {"name": "note", "value": " \u{200b}"},
                       {"name": "mention", "value": ["a"]}, {"name": 7}, "x", null]),
                Some(("phones", bare.clone())),
            ),
            (
                json!([destination("phones"), {"name": "note", "value": 42}, {"name": "mention", "value": null}]),
                Some(("phones", RuleSettings { note: Some("42".to_owned()), ..bare.clone() })),
            ),
            (json!([{"name": "title", "value": "another form's"}]), None),
            (json!([destination(" ")]), None),
            (json!([]), None),
            (json!("phones"), None),
            (Value::Null, None),
        ] {
            let expected = expected.map(|(name, settings)| Picked { destination: name.to_owned(), settings });
            assert_eq!(of_alert(&settings), expected, "{settings}");
        }
    }

    #[test]
    fn a_long_note_is_cut_and_keeps_nothing_that_turns_text_around() {
        let note = format!("\u{202e}{}", "n".repeat(5000));
        let picked = of_alert(&json!({"destination": "phones", "note": note})).unwrap();
        let note = picked.settings.note.unwrap();
        assert_eq!((note.chars().count(), note.chars().next(), note.chars().last()), (1000, Some('n'), Some('…')));
    }

    #[test]
    fn a_metric_alert_goes_where_the_actions_of_its_trigger_say_and_its_end_where_any_does() {
        let action = |kind: &str, uuid: &str, to: &str| json!({"type": kind, "sentry_app_installation_uuid": uuid, "settings": [{"name": "destination", "value": to}]});
        let data = json!({"metric_alert": {"title": "incident", "alert_rule": {"name": "Errors", "triggers": [
            {"label": "critical", "actions": [action("email", OURS, "mail"), action("sentry_app", ANOTHER, "theirs"),
                action("sentry_app", OURS, "phones"), action("sentry_app", OURS, "phones"), {"type": "sentry_app"}]},
            {"label": "warning", "actions": [action("sentry_app", OURS, "chat")]},
            {"label": 7, "actions": {}}, null,
        ]}}});
        for (what, expected) in [
            ("critical", vec!["phones"]),
            ("warning", vec!["chat"]),
            ("resolved", vec!["phones", "chat"]),
            ("open", vec!["phones", "chat"]),
        ] {
            let picked = of("metric_alert", what, &data);
            assert!(picked.iter().all(|picked| picked.settings.rule.as_deref() == Some("Errors")));
            let names: Vec<_> = picked.into_iter().map(|picked| picked.destination).collect();
            assert_eq!(names, expected, "{what}");
        }
        for (resource, data) in [
            ("metric_alert", json!({"metric_alert": {"alert_rule": {"triggers": "none"}}})),
            ("metric_alert", json!([])),
            ("issue", json!({"issue": {}, "issue_alert": {"settings": {"destination": "phones"}}})),
        ] {
            assert_eq!(of(resource, "critical", &data), [], "{resource} {data}");
        }
    }
}
