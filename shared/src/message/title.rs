//! One line that says what happened, and to what.

use super::shown_in_line;
use crate::destinations::cut;
use crate::normalized::Normalized;

/// A name within the line is cut: the line is about something else.
const MAX_NAME: usize = 80;

/// Never empty.
pub(super) fn of(event: &Normalized) -> String {
    let line = line(event);
    // Whoever names an event after a control character alone gets at least its resource's name, or this.
    if line.is_empty() { "An event of Sentry".to_owned() } else { line }
}

fn line(event: &Normalized) -> String {
    let subject = subject(event);
    let about = |what: &str| match &subject {
        Some(subject) => format!("{what}: {subject}"),
        None => what.to_owned(),
    };
    match (event.resource.as_str(), event.action.as_str()) {
        ("issue" | "error", "created") => titled(event).unwrap_or_else(|| match &subject {
            Some(issue) => format!("New {issue}"),
            None => format!("New {}", event.resource),
        }),
        ("issue", "resolved") => about(&by("Resolved", event)),
        ("issue", "ignored" | "archived") => about(&by("Archived", event)),
        ("issue", "assigned") => match name(event.assignee.as_deref()) {
            Some(assignee) => about(&format!("Assigned to {assignee}")),
            None => about("Assigned"),
        },
        ("issue", "unresolved") => match event.substatus.as_deref() {
            Some("regressed") => about("Regressed"),
            Some("escalating") => about("Escalating"),
            _ => about(&by("Unresolved", event)),
        },
        ("event_alert" | "activity_alert", _) => about(&name(event.rule.as_deref()).unwrap_or_else(|| "Alert".into())),
        ("metric_alert", state) => metric_alert(event, state),
        ("comment", action) => {
            let did = match action {
                "created" => "commented on",
                "updated" => "changed a comment on",
                "deleted" => "deleted a comment on",
                other => return about(&format!("Comment {}", words(other))),
            };
            let who = name(event.actor.as_deref()).unwrap_or_else(|| "Somebody".to_owned());
            format!("{who} {did} {}", subject.unwrap_or_else(|| "an issue".to_owned()))
        }
        ("seer", action) => about(&seer(action)),
        ("preprod_artifact", action) => {
            let step = words(action.trim_end_matches("_completed"));
            let known = |status: &&str| matches!(*status, "failed" | "completed");
            let outcome = event.status.as_deref().filter(known).unwrap_or("ended");
            let app = titled(event).unwrap_or_else(|| "Mobile build".to_owned());
            format!("{app}: {step} {outcome}")
        }
        ("switchboard", "destination_paused") => format!("Destination {} is paused", destination(event)),
        ("switchboard", "destination_resumed") => format!("Destination {} delivers again", destination(event)),
        ("switchboard", "ticket_opened") => {
            format!("Ticket opened: {}", name(event.value.as_deref()).unwrap_or_else(|| "?".to_owned()))
        }
        ("installation", "created") => by(&installed("Installed", "in", event), event),
        ("installation" | "uninstallation", _) => by(&installed("Uninstalled", "from", event), event),
        _ => about(&shown_in_line(Some(&event.event)).unwrap_or_default()),
    }
}

/// The title, as it may be shown.
fn titled(event: &Normalized) -> Option<String> {
    shown_in_line(event.title.as_deref())
}

/// What it is about: the title, else the issue by its short id or id.
fn subject(event: &Normalized) -> Option<String> {
    titled(event).or_else(|| {
        let id = name(event.short_id.as_deref()).or_else(|| name(event.issue.as_deref()))?;
        Some(format!("issue {id}"))
    })
}

fn name(text: Option<&str>) -> Option<String> {
    shown_in_line(text).map(|name| cut(&name, MAX_NAME))
}

/// Sentry itself is not named: it does most of what happens.
fn by(done: &str, event: &Normalized) -> String {
    match name(event.actor.as_deref()).filter(|actor| actor != "Sentry") {
        Some(actor) => format!("{done} by {actor}"),
        None => done.to_owned(),
    }
}

fn installed(done: &str, place: &str, event: &Normalized) -> String {
    match name(event.organization.as_deref()) {
        Some(organization) => format!("{done} {place} {organization}"),
        None => done.to_owned(),
    }
}

fn destination(event: &Normalized) -> String {
    name(event.destination.as_deref()).unwrap_or_else(|| "?".to_owned())
}

/// Sentry's own title says the state already (`Critical: Error rate`); an older or newer one may not.
fn metric_alert(event: &Normalized, state: &str) -> String {
    let state = capitalized(&words(state));
    let alert = titled(event).or_else(|| name(event.rule.as_deref())).unwrap_or_else(|| "metric alert".to_owned());
    if alert.to_lowercase().starts_with(&format!("{}:", state.to_lowercase())) {
        alert
    } else {
        format!("{state}: {alert}")
    }
}

fn seer(action: &str) -> String {
    let told = match action {
        "root_cause_started" => "Seer looks for the root cause",
        "root_cause_completed" => "Seer found the root cause",
        "solution_started" => "Seer looks for a solution",
        "solution_completed" => "Seer found a solution",
        "coding_started" => "Seer writes a fix",
        "coding_completed" => "Seer wrote a fix",
        "pr_created" => "Seer opened a pull request",
        "pr_ready_for_review" => "Seer has a pull request ready for review",
        "iteration_started" => "Seer works on its pull request",
        "iteration_completed" => "Seer has changed its pull request",
        other => return format!("Seer: {}", words(other)),
    };
    told.to_owned()
}

/// An action's name as words.
fn words(action: &str) -> String {
    name(Some(&action.replace('_', " "))).unwrap_or_default()
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
