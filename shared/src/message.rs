//! What a notification says, in plain text and before any destination's limits or markup.

mod fields;
mod title;

use crate::alert_rule::Priority;
use crate::destinations::{is_blank, one_line, visible};
use crate::normalized::Normalized;

/// The words that every destination makes its own form from. Nothing in it is escaped, and nothing cut but
/// the values of fields; characters that hide or reorder text are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One line that says what happened and to what: `Resolved: TypeError: x is undefined`. Never empty.
    pub title: String,
    /// What stands below; may be many lines. Never empty.
    pub text: String,
    /// Project, environment, release, …: short values for a table, in order.
    pub fields: Vec<Field>,
    /// The page to open.
    pub link: Option<String>,
    pub tone: Tone,
    /// Who is to be woken: one of the destination's `mentions`, in the far side's own notation. Everything else in the
    /// message must not mention anybody.
    pub mention: Option<String>,
    /// What an alert rule says; `None` otherwise.
    pub priority: Option<Priority>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub value: String,
}

/// How bad it is, for colours, symbols and severities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Fatal,
    Error,
    Warning,
    Info,
    /// Over.
    Resolved,
    /// Put aside: archived.
    Muted,
}

/// Told where an event was routed with less than was asked for: it may be missing in a place that its project names.
pub const NOT_LOOKED_UP: &str = "(The issue could not be looked up.)";

impl Message {
    /// The default for the event. `sentry_base_url` is for links that the payload does not give.
    pub fn of(event: &Normalized, sentry_base_url: &str) -> Self {
        let title = title::of(event);
        let text = text(event).unwrap_or_else(|| title.clone());
        Self {
            text: if event.look_up_failed { format!("{text}\n{NOT_LOOKED_UP}") } else { text },
            title,
            fields: fields::of(event),
            link: event.link(sentry_base_url),
            tone: Tone::of(event),
            mention: None,
            priority: None,
        }
    }
}

/// What the event itself says: the value, and for an issue or an error where it happened.
fn text(event: &Normalized) -> Option<String> {
    let value = shown(event.value.as_deref());
    let culprit = shown(event.culprit.as_deref());
    match (event.resource.as_str(), value, culprit) {
        ("issue" | "error" | "event_alert", Some(value), Some(culprit)) => Some(format!("{value}\n{culprit}")),
        ("switchboard", ..) if event.action == "ticket_opened" => shown(event.title.as_deref()),
        ("switchboard", reason, _) => {
            let since = shown(event.first_seen.as_deref()).map(|since| format!("Paused since {since}"));
            let parked = event.count.map(|parked| format!("Deliveries waiting: {parked}"));
            let told: Vec<String> = [reason, since, parked].into_iter().flatten().collect();
            (!told.is_empty()).then(|| told.join("\n"))
        }
        (_, value, culprit) => value.or(culprit),
    }
}

/// Text that shows something once it is fit to be shown.
fn shown(text: Option<&str>) -> Option<String> {
    Some(visible(text?).trim().to_owned()).filter(|text| !is_blank(text))
}

/// The same on one line.
fn shown_in_line(text: Option<&str>) -> Option<String> {
    Some(one_line(text?, usize::MAX)).filter(|text| !is_blank(text))
}

impl Tone {
    fn of(event: &Normalized) -> Self {
        match (event.event.as_str(), event.level.as_deref()) {
            ("issue.resolved" | "metric_alert.resolved" | "switchboard.destination_resumed", _) => Self::Resolved,
            ("issue.ignored" | "issue.archived", _) => Self::Muted,
            ("metric_alert.critical" | "switchboard.destination_paused", _) => Self::Error,
            ("metric_alert.warning" | "metric_alert.open", _) => Self::Warning,
            // News of a ticket; how bad its issue is, that one's own messages say.
            ("switchboard.ticket_opened", _) => Self::Info,
            _ if event.resource == "preprod_artifact" && event.status.as_deref() == Some("failed") => Self::Warning,
            (_, Some("fatal")) => Self::Fatal,
            (_, Some("error")) => Self::Error,
            (_, Some("warning")) => Self::Warning,
            _ => Self::Info,
        }
    }
}

#[cfg(test)]
mod tests;
