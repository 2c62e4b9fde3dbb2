//! `github-issue`, `gitlab-issue`, `jira-issue` and `linear-issue`: one ticket an issue, in a `[[tracker]]` of the file.
//!
//! Whatever begins or goes on opens the ticket, if the issue has none; what ends the issue is said in it, or closes it.
//! The calls are `deliver`'s, through [`crate::trackers`].

use super::error::DeliveryError;
use super::incident::Turn;
use super::kind::{Action, CALL_TIMEOUT, Key, Kind, Notification, Takes, TicketWork};
use super::settings::Settings;
use crate::message::Message;
use crate::ports::CallError;
use crate::tickets::NotOpened;
use crate::trackers::TrackerError;

const KEYS: &[Key] = &[
    Key::new("tracker", Takes::Text),
    Key::new("project", Takes::Text),
    Key::new("resolved", Takes::OneOf(&["comment", "close", "nothing"])),
];

pub(super) static GITHUB: Kind = of("github-issue", "github");
pub(super) static GITLAB: Kind = of("gitlab-issue", "gitlab");
pub(super) static JIRA: Kind = of("jira-issue", "jira");
pub(super) static LINEAR: Kind = of("linear-issue", "linear");

const fn of(name: &'static str, tracker: &'static str) -> Kind {
    Kind::new(name, render).keys(KEYS).needs(&[&["tracker"]]).threads().tracker(tracker).concurrency(2)
}

fn render(settings: &Settings, notification: &Notification<'_>) -> Result<Action, DeliveryError> {
    let (event, message) = (notification.event, notification.message);
    if event.issue.is_none() || event.installation.is_empty() {
        return Err(DeliveryError::NoIssue);
    }
    let resolved = settings.text("resolved").unwrap_or("comment");
    let told = |why: &str| Ok(Action::Log(format!("{}: {why}", event.event)));
    let is_known = notification.thread.is_some();
    let work = match Turn::of(event) {
        Turn::Acknowledge => return told("nothing is said of it in a ticket"),
        Turn::Resolve if !is_known => return told("the issue has no ticket"),
        Turn::Trigger if !is_known => TicketWork::Open {
            project: settings.text("project").map(str::to_owned),
            title: message.title.clone(),
            text: text(message),
            link: message.link.clone(),
        },
        Turn::Resolve => match resolved {
            "nothing" => return told("nothing is said of it in the ticket"),
            "close" => TicketWork::Close(comment(message)),
            _ => TicketWork::Comment(comment(message)),
        },
        Turn::Trigger if event.event == "issue.unresolved" => match resolved {
            "nothing" => return told("nothing is said of it in the ticket"),
            "close" => TicketWork::Reopen(comment(message)),
            _ => TicketWork::Comment(comment(message)),
        },
        Turn::Trigger => TicketWork::Known,
    };
    Ok(Action::Ticket(work))
}

/// What the message says, and its table line by line.
fn text(message: &Message) -> String {
    let fields = message.fields.iter().map(|field| format!("{}: {}", field.name, field.value));
    let fields = fields.collect::<Vec<_>>().join("\n");
    if fields.is_empty() { message.text.clone() } else { format!("{}\n\n{fields}", message.text) }
}

fn comment(message: &Message) -> String {
    let text = Some(&message.text).filter(|text| **text != message.title);
    [Some(&message.title), text, message.link.as_ref()].into_iter().flatten().cloned().collect::<Vec<_>>().join("\n\n")
}

impl From<TrackerError> for DeliveryError {
    fn from(error: TrackerError) -> Self {
        match error {
            TrackerError::Unauthorized => Self::Shut { status: 401, reason: "its token is not known: renew it".into() },
            TrackerError::Forbidden(reason) => Self::Refused { status: 403, reason },
            TrackerError::NotFound(what) => {
                let reason = format!("`{what}` is not known, or its token may not see it");
                Self::Refused { status: 404, reason }
            }
            TrackerError::Refused { status, reason } => Self::Refused { status, reason },
            TrackerError::Throttled { until } => Self::Throttled { until },
            TrackerError::TimedOut => Self::NoAnswer(CallError::TimedOut(CALL_TIMEOUT)),
            TrackerError::Unreachable(error) => Self::NoAnswer(error),
            TrackerError::Failing { status, until } => Self::Failed { status, until },
            TrackerError::NotUnderstood(what) => Self::NotUnderstood(what),
            TrackerError::Misconfigured(what) => Self::Tracker(what),
        }
    }
}

impl From<NotOpened> for DeliveryError {
    fn from(error: NotOpened) -> Self {
        match error {
            NotOpened::Tracker(error) => error.into(),
            NotOpened::Store(_) | NotOpened::BeingOpened => Self::NotNow(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destinations::kind::Thread;
    use crate::destinations::testing::{accepted_at, settings};
    use crate::ids::{DeliveryId, EventId};
    use crate::normalized::Normalized;
    use crate::payload::tests::sample;

    fn work(resolved: Option<&str>, event: &Normalized, is_known: bool) -> Result<Action, DeliveryError> {
        let resolved = resolved.map(|word| format!("resolved = \"{word}\"")).unwrap_or_default();
        let lines = format!(
            "tracker = \"t\"\n{resolved}\n[[tracker]]\nname = \"t\"\ntype = \"github\"\ntoken = \"secret:t\"\nrepositories = [\"acme/backend\"]"
        );
        let settings = settings("github-issue", &lines, [("t", "token")]);
        let message = Message::of(event, "https://sentry.example");
        let thread = Thread::from([("id", "1")]);
        let id = DeliveryId::of(&EventId::of_signature("00"), accepted_at(), &"d".parse().unwrap());
        let notification = Notification {
            delivery: &id,
            event,
            message: &message,
            thread: is_known.then_some(&thread),
            original: None,
            rule: None,
            accepted_at: accepted_at(),
            now: accepted_at(),
        };
        (GITHUB.render)(&settings, &notification)
    }

    #[test]
    fn an_event_opens_the_ticket_or_says_in_it_or_closes_it() {
        let cases = [
            ("issue.created", false, [Some("open"); 3]),
            ("event_alert.triggered", false, [Some("open"); 3]),
            ("issue.unresolved", false, [Some("open"); 3]),
            ("issue.resolved", false, [None; 3]),
            ("issue.assigned", false, [None; 3]),
            ("issue.created", true, [Some("known"); 3]),
            ("error.created", true, [Some("known"); 3]),
            ("issue.assigned", true, [None; 3]),
            ("issue.resolved", true, [Some("comment"), Some("close"), None]),
            ("issue.ignored", true, [Some("comment"), Some("close"), None]),
            ("issue.unresolved", true, [Some("comment"), Some("reopen"), None]),
        ];
        for (name, is_known, expected) in cases {
            let event = Normalized::of(&sample(name));
            let found = [None, Some("close"), Some("nothing")].map(|resolved| match work(resolved, &event, is_known) {
                Ok(Action::Log(_)) => None,
                Ok(Action::Ticket(work)) => Some(match work {
                    TicketWork::Open { .. } => "open",
                    TicketWork::Comment(_) => "comment",
                    TicketWork::Close(_) => "close",
                    TicketWork::Reopen(_) => "reopen",
                    TicketWork::Known => "known",
                }),
                Ok(_) => panic!("{name}: no other action"),
                Err(error) => panic!("{name}: {error}"),
            });
            assert_eq!(found, expected, "{name}, known: {is_known}");
        }
    }

    #[test]
    fn the_ticket_says_what_the_message_says_and_what_is_about_no_issue_is_refused() {
        let event = Normalized::of(&sample("issue.created"));
        let message = Message::of(&event, "https://sentry.example");
        let Ok(Action::Ticket(TicketWork::Open { project, title, text, link })) = work(None, &event, false) else {
            panic!("it opens a ticket");
        };
        assert_eq!((project, title, link), (None, message.title, message.link));
        assert!(text.starts_with(&message.text) && text.contains("\n\nProject: "), "{text}");
        let error = work(None, &Normalized::of(&sample("metric_alert.critical")), false).err().expect("no ticket");
        assert!(error.to_string().contains("is about no issue"), "{error}");
    }
}
