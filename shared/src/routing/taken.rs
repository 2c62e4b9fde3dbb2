//! What a route takes, as far as its keys tell it before any event has come: for the subscriptions and permissions
//! that it needs.

use serde_json::Value;

use super::decide::LookedUp;
use super::key::Subject;
use super::pattern::{Condition, Verdict, When};
use super::{Route, known};
use crate::normalized::Normalized;

/// What a route takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Names of known events, as they come on the wire, in alphabetical order.
    pub events: Vec<&'static str>,
    /// Whether it names no events, and so takes whatever comes, what nobody knows today too.
    pub whatever_comes: bool,
    /// A key that for some of them only a look-up of the issue tells; not said where it takes whatever comes.
    pub looks_up: Option<String>,
}

impl Route {
    /// What it may take, by the names of the events alone: no other key can be judged yet.
    pub fn taken(&self) -> Taken {
        let events: Vec<&str> = known::EVENTS.iter().copied().filter(|event| self.may_take(event)).collect();
        // An issue's own events have all that a look-up tells.
        let others = events.iter().filter(|event| !["issue", "activity_alert"].contains(&known::resource(event)));
        let looks_up = others.into_iter().find_map(|event| {
            let event = skeleton(event);
            let subject = subject(&event);
            let mut all = Vec::new();
            conditions(&self.when, &mut all);
            if let Some(unless) = &self.unless {
                conditions(unless, &mut all);
            }
            all.into_iter().find(|condition| condition.key.may_be_told(subject)).map(|told| told.key.to_string())
        });
        let whatever_comes = self.may_take("\0.\0");
        Taken { looks_up: looks_up.filter(|_| !whatever_comes), events, whatever_comes }
    }

    fn may_take(&self, event: &str) -> bool {
        let event = skeleton(event);
        let subject = subject(&event);
        let refuses = |unless: &When| may_match(unless, subject) == Verdict::Yes;
        may_match(&self.when, subject) != Verdict::No && !self.unless.as_ref().is_some_and(refuses)
    }
}

/// The event with its name alone.
fn skeleton(name: &str) -> Normalized {
    let (resource, action) = name.split_once('.').unwrap_or((name, ""));
    let about_an_issue = matches!(resource, "issue" | "error" | "event_alert" | "activity_alert" | "comment" | "seer");
    Normalized {
        event: name.to_owned(),
        resource: resource.to_owned(),
        action: action.to_owned(),
        issue: about_an_issue.then(|| "1".to_owned()),
        ..Normalized::default()
    }
}

fn subject(event: &Normalized) -> Subject<'_> {
    Subject { event, raw: &Value::Null, looked_up: LookedUp::No }
}

/// `Unknown` where it hangs on another key than the event's name.
fn may_match(when: &When, subject: Subject<'_>) -> Verdict {
    let own = when.conditions.iter().map(|condition| {
        if ["event", "resource", "action"].iter().any(|name| condition.key.is(name)) {
            return condition.verdict(subject);
        }
        let is_never_there =
            condition.key.on().is_some_and(|resources| !resources.contains(&subject.event.resource.as_str()));
        if is_never_there && !condition.pattern.matches_absence() { Verdict::No } else { Verdict::Unknown }
    });
    let own = own.min().unwrap_or(Verdict::Yes);
    let any = when.any.iter().map(|table| may_match(table, subject)).max().unwrap_or(Verdict::Yes);
    own.min(any)
}

fn conditions<'w>(when: &'w When, into: &mut Vec<&'w Condition>) {
    into.extend(&when.conditions);
    for table in &when.any {
        conditions(table, into);
    }
}
