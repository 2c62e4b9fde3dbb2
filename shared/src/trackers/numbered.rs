//! What trackers have in common whose tickets are numbers within a project, `acme/backend#12`.

use serde_json::Value;

use super::{Ticket, TrackerError};
use crate::destinations::one_line;

/// The number that a person meant: `12`, `#12`, `acme/backend#12` or the ticket's address, all of this project.
/// `of_page` parts the path of an address into project and number.
pub(super) fn number_of(
    project: &str,
    id: &str,
    of_page: impl for<'p> Fn(&'p str) -> Option<(&'p str, &'p str)>,
) -> Option<u64> {
    let id = id.trim();
    let (of, number) = match id.split_once("://") {
        Some((_, address)) => {
            let (_, path) = address.split(['?', '#']).next()?.split_once('/')?;
            let (of, number) = of_page(path)?;
            (of, number.trim_end_matches('/'))
        }
        None => match id.split_once('#') {
            Some(("", number)) => (project, number),
            Some(parted) => parted,
            None => (project, id),
        },
    };
    let is_number = (1..=18).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && of.eq_ignore_ascii_case(project) { number.parse().ok() } else { None }
}

/// The number of a ticket that is remembered.
pub(super) fn number(ticket: &Ticket) -> Result<u64, TrackerError> {
    number_of(&ticket.project, &ticket.identifier, |_| None).ok_or_else(|| TrackerError::NotFound(name_of(ticket)))
}

/// For a person.
pub(super) fn name_of(ticket: &Ticket) -> String {
    one_line(&format!("{}#{}", ticket.project, ticket.identifier), 120)
}

/// A ticket out of what the tracker says of it.
pub(super) fn ticket(project: &str, number: &Value, url: &Value) -> Result<Ticket, TrackerError> {
    let url = url.as_str().filter(|url| url.starts_with("https://") || url.starts_with("http://"));
    let (Some(number), Some(url)) = (number.as_u64(), url) else {
        return Err(TrackerError::NotUnderstood("an issue without number or address".to_owned()));
    };
    let number = number.to_string();
    Ok(Ticket { project: project.to_owned(), identifier: number.clone(), id: number, url: url.to_owned() })
}

/// The members of an answer that must be a list.
pub(super) fn entries(answer: Value) -> Result<Vec<Value>, TrackerError> {
    match answer {
        Value::Array(entries) => Ok(entries),
        _ => Err(TrackerError::NotUnderstood("no list where one was asked for".to_owned())),
    }
}
