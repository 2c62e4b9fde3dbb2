//! What a template can name.

use std::borrow::Cow;
use std::collections::BTreeMap;

use minijinja::Value;

use crate::alert_rule::RuleSettings;
use crate::destinations::visible;
use crate::message::Message;
use crate::normalized::{Normalized, keys};

/// Of each text, this much is given to a template: what a person reads, and less than anything that could be a burden.
const MAX_TEXT_BYTES: usize = 16 * 1024;
/// Of each tag. Sentry keeps 200 characters.
const MAX_TAG_BYTES: usize = 1024;
/// Of an event's tags and of an alert's projects, the first so many.
const MAX_MEMBERS: usize = 100;

/// Besides the keys of the normalized event.
pub(super) const OWN: [&str; 7] =
    ["project_name", "link", "default_title", "default_message", "is_regression", NOTE, PRIORITY];
/// What the alert rule says that asked for the message.
pub(super) const NOTE: &str = "note";
pub(super) const PRIORITY: &str = "priority";

/// All names.
pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
    keys::KEYS.iter().map(|key| key.name).chain(OWN)
}

/// Each name with its value. What the event does not have is left out, which a template sees as undefined: it prints
/// as nothing and is false.
pub(super) fn of(event: &Normalized, default: &Message, rule: Option<&RuleSettings>) -> Value {
    let text = |text: &str| Value::from(within(text, MAX_TEXT_BYTES));
    let texts = |texts: &[String]| texts.iter().take(MAX_MEMBERS).map(|slug| text(slug)).collect::<Vec<_>>();
    let (slug, project_name) = event.project.as_ref().map_or((None, None), |project| {
        let (slug, name) = (project.slug.as_ref(), project.name.as_ref());
        (slug.or(name), name.or(slug))
    });
    let given = [
        ("event", Some(&event.event)),
        ("resource", Some(&event.resource)),
        ("action", Some(&event.action)),
        ("installation", Some(&event.installation)),
        ("organization", event.organization.as_ref()),
        ("project", slug),
        ("project_name", project_name),
        ("level", event.level.as_ref()),
        ("environment", event.environment.as_ref()),
        ("platform", event.platform.as_ref()),
        ("release", event.release.as_ref()),
        ("title", event.title.as_ref()),
        ("culprit", event.culprit.as_ref()),
        ("value", event.value.as_ref()),
        ("issue", event.issue.as_ref()),
        ("short_id", event.short_id.as_ref()),
        ("status", event.status.as_ref()),
        ("substatus", event.substatus.as_ref()),
        ("assignee", event.assignee.as_ref()),
        ("first_seen", event.first_seen.as_ref()),
        ("rule", event.rule.as_ref()),
        ("actor", event.actor.as_ref()),
        ("url", event.url.as_ref()),
        ("destination", event.destination.as_ref()),
        ("link", default.link.as_ref()),
        ("default_title", Some(&default.title)),
        ("default_message", Some(&default.text)),
    ];
    let tags = event.tags.iter().take(MAX_MEMBERS);
    let tags = tags.map(|(name, value)| (within(name, MAX_TAG_BYTES), Value::from(within(value, MAX_TAG_BYTES))));
    let mut values: BTreeMap<&str, Value> =
        given.into_iter().filter_map(|(name, value)| Some((name, text(value?)))).collect();
    values.extend(event.count.map(|count| ("count", Value::from(count))));
    values.extend(event.users.map(|users| ("users", Value::from(users))));
    if let Some(rule) = rule {
        values.extend(rule.note.as_deref().map(|note| (NOTE, text(visible(note).trim()))));
        values.extend(rule.priority.map(|priority| (PRIORITY, Value::from(priority.as_str()))));
    }
    values.extend([
        ("more_projects", Value::from(texts(&event.more_projects))),
        ("tags", Value::from(tags.collect::<BTreeMap<_, _>>())),
        ("is_regression", Value::from(event.is_regression())),
        ("look_up_failed", Value::from(event.look_up_failed)),
    ]);
    Value::from(values)
}

/// Cut at a character and not at a grapheme, which would have to be looked for in every tag of every event.
fn within(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.len() <= max_bytes {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}…", &text[..text.floor_char_boundary(max_bytes - '…'.len_utf8())]))
}
