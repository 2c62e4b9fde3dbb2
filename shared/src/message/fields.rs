//! The table below a message: what a reader wants to know of an event besides its title and text.

use super::{Field, shown_in_line};
use crate::destinations::cut;
use crate::normalized::Normalized;

/// Fields stand side by side: a longer value is no field any more but a text.
const MAX_VALUE: usize = 200;

/// Only what is known, always in this order.
pub(super) fn of(event: &Normalized) -> Vec<Field> {
    // The first event of an issue is no news.
    let many = |number: Option<u64>| number.filter(|number| *number > 1).map(|number| number.to_string());
    let (count, users) = if event.resource == "issue" { (event.count, event.users) } else { (None, None) };
    let fields = [
        ("Project", projects(event)),
        ("Environment", event.environment.clone()),
        ("Level", event.level.clone()),
        ("Release", event.release.clone()),
        ("Short ID", event.short_id.clone()),
        ("Rule", event.rule.clone()),
        ("Assignee", event.assignee.clone()),
        ("Events", many(count)),
        ("Users", many(users)),
        ("Destination", event.destination.clone()),
    ];
    let known = fields.into_iter().filter_map(|(name, value)| Some((name, shown_in_line(value.as_deref())?)));
    known.map(|(name, value)| Field { name: name.to_owned(), value: cut(&value, MAX_VALUE) }).collect()
}

/// By name where there is one, as people know it.
fn projects(event: &Normalized) -> Option<String> {
    let project = event.project.as_ref()?;
    let first = project.name.as_ref().or(project.slug.as_ref())?;
    let all: Vec<&str> = std::iter::once(first).chain(&event.more_projects).map(String::as_str).collect();
    Some(all.join(", "))
}
