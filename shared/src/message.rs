//! What a notification says, in plain text and before any destination's limits or markup.

use crate::normalized::Normalized;

/// The words that every destination makes its own form from. Nothing in it is escaped or cut.
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
        let text = event.message().to_owned();
        Self {
            title: crate::destinations::one_line(event.headline(), usize::MAX),
            text: if event.look_up_failed { format!("{text}\n{NOT_LOOKED_UP}") } else { text },
            fields: Vec::new(),
            link: event.link(sentry_base_url),
            tone: Tone::of(event),
            mention: None,
        }
    }
}

impl Tone {
    fn of(event: &Normalized) -> Self {
        match (event.event.as_str(), event.level.as_deref()) {
            ("issue.resolved" | "metric_alert.resolved", _) => Self::Resolved,
            ("issue.ignored", _) => Self::Muted,
            ("metric_alert.critical", _) => Self::Error,
            ("metric_alert.warning", _) => Self::Warning,
            (_, Some("fatal")) => Self::Fatal,
            (_, Some("error")) => Self::Error,
            (_, Some("warning")) => Self::Warning,
            _ => Self::Info,
        }
    }
}
