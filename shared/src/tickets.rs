//! One ticket an issue, whoever asks for it and however often: a person by Sentry's issue link, or a route.
//!
//! What is known lies in the deliveries' table under the tracker's name. Whoever opens a ticket holds a short lease, so
//! that of a double click only one does; and first looks for the ticket's marker in the tracker, so that one which was
//! opened and not remembered (a lost answer, a crash) is found and not opened again.

use std::time::Duration;

use jiff::Timestamp;

use crate::destinations::kind::Thread;
use crate::destinations::settings::Settings;
use crate::destinations::{is_blank, one_line};
use crate::ids::{self, DestinationName, InstallationId};
use crate::ports::{Chance, Clock, Deliveries, Mark, Platform, StoreError, ThreadKey, Written};
use crate::routing;
use crate::telemetry::chain;
use crate::trackers::{self, Api, NewTicket, Ticket, TrackerError, TrackerKind};

/// How long a ticket is remembered after it was opened or linked.
const REMEMBERED: Duration = Duration::from_hours(180 * 24);
/// Whoever opens a ticket is alone for this long; then it has crashed.
const LEASE: Duration = Duration::from_secs(40);
/// It ends its calls this much before that.
const BEFORE_LEASE_ENDS: Duration = Duration::from_secs(5);
/// Who waits for somebody else's ticket looks for it this often.
const STEP: Duration = Duration::from_millis(250);

/// Why there is no ticket. The text is meant for the person in front of Sentry.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// Its text ends a sentence that begins with the tracker's name.
    #[error("the tracker {0}")]
    Tracker(#[from] TrackerError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the ticket of this issue is being opened just now: try again in a minute")]
    BeingOpened,
}

/// Under which the ticket of an issue is kept.
pub fn key(tracker: &DestinationName, installation: InstallationId, issue: &str) -> ThreadKey {
    ThreadKey { owner: tracker.to_string(), installation, issue: issue.to_owned() }
}

/// The ticket that belongs to the issue, if there is one.
pub async fn known<P: Platform>(
    platform: &P,
    tracker: &DestinationName,
    installation: InstallationId,
    issue: &str,
) -> Result<Option<Ticket>, StoreError> {
    read(platform, &key(tracker, installation, issue)).await
}

/// From now on this ticket belongs to the issue.
pub async fn remember<P: Platform>(
    platform: &P,
    tracker: &DestinationName,
    installation: InstallationId,
    issue: &str,
    ticket: &Ticket,
) -> Result<(), StoreError> {
    write(platform, &key(tracker, installation, issue), ticket).await
}

async fn read<P: Platform>(platform: &P, key: &ThreadKey) -> Result<Option<Ticket>, StoreError> {
    let thread = platform.deliveries().thread(key, platform.clock().now()).await?;
    Ok(thread.as_ref().and_then(Ticket::of_thread))
}

async fn write<P: Platform>(platform: &P, key: &ThreadKey, ticket: &Ticket) -> Result<(), StoreError> {
    let expires = platform.clock().now() + REMEMBERED;
    platform.deliveries().put_thread(key, Some(&ticket.to_thread()), expires).await
}

impl Ticket {
    /// `None` if a word is missing: then it is looked for in the tracker.
    pub fn of_thread(thread: &Thread) -> Option<Self> {
        let word = |name| thread.get(name).map(str::to_owned);
        Some(Self { project: word("project")?, identifier: word("identifier")?, id: word("id")?, url: word("url")? })
    }

    fn to_thread(&self) -> Thread {
        let Self { project, identifier, id, url } = self;
        Thread::from(
            [("project", project), ("identifier", identifier), ("id", id), ("url", url)].map(|(n, w)| (n, w.as_str())),
        )
    }
}

/// The issue's ticket: the known one, the one that was opened and not remembered, or a new one. Marker and title of
/// `new` are made right here, and the tracker's own labels added; nothing is called after `deadline`.
pub async fn open_once<P: Platform>(
    platform: &P,
    tracker: &routing::Tracker,
    settings: &Settings,
    installation: InstallationId,
    issue: &str,
    new: NewTicket,
    deadline: Timestamp,
) -> Result<Ticket, NotOpened> {
    let kind = trackers::kind(&tracker.kind)
        .ok_or_else(|| TrackerError::Misconfigured(format!("nobody knows the type `{}`", tracker.kind)))?;
    open_once_with(platform, kind, tracker, settings, installation, issue, new, deadline).await
}

/// [`open_once`] by a kind that need not stand in [`trackers::KINDS`].
#[expect(clippy::too_many_arguments, reason = "it is open_once with one more, for tests")]
pub async fn open_once_with<P: Platform>(
    platform: &P,
    kind: &TrackerKind,
    tracker: &routing::Tracker,
    settings: &Settings,
    installation: InstallationId,
    issue: &str,
    new: NewTicket,
    deadline: Timestamp,
) -> Result<Ticket, NotOpened> {
    let key = key(&tracker.name, installation, issue);
    if let Some(ticket) = read(platform, &key).await? {
        return Ok(ticket);
    }
    let lease = match Lease::wait_for(platform, &key, deadline).await? {
        Waited::Leased(lease) => lease,
        Waited::Opened(ticket) => return Ok(ticket),
        Waited::TooLong => return Err(NotOpened::BeingOpened),
    };
    let new = NewTicket { marker: marker(&tracker.name, installation, issue), ..new };
    let new = completed(new, kind, &tracker.labels, issue);
    let api = Api::new(platform, settings, &tracker.projects, deadline.min(lease.ends - BEFORE_LEASE_ENDS));
    let found = find_or_open(kind, &api, &new).await;
    if let Ok(ticket) = &found {
        let mut stored = write(platform, &key, ticket).await;
        if stored.is_err() {
            stored = write(platform, &key, ticket).await;
        }
        if let Err(error) = stored {
            tracing::error!(tracker.name = %tracker.name, issue.id = issue, ticket = ticket.identifier,
                "the ticket could not be remembered; by its marker it is found next time: {}", chain(&error));
        }
    }
    lease.release(platform).await;
    Ok(found?)
}

async fn find_or_open(kind: &TrackerKind, api: &Api<'_>, new: &NewTicket) -> Result<Ticket, TrackerError> {
    match kind.tracker.find(api, &new.project, &new.marker).await? {
        Some(ticket) => Ok(ticket),
        None => kind.tracker.open(api, new).await,
    }
}

/// The same for every try to open this issue's ticket, and of no other.
fn marker(tracker: &DestinationName, installation: InstallationId, issue: &str) -> String {
    let hash = ids::hash(["ticket", tracker.as_str(), &installation.to_string(), issue]);
    format!("sentry-switchboard-{}", &hash[..32])
}

fn completed(new: NewTicket, kind: &TrackerKind, labels: &[String], issue: &str) -> NewTicket {
    let title = one_line(&new.title, kind.max_title);
    let title = if is_blank(&title) { format!("Sentry issue {issue}") } else { title };
    let mut all = new.labels;
    for label in labels {
        if !all.contains(label) {
            all.push(label.clone());
        }
    }
    NewTicket { title, labels: all, ..new }
}

/// The right to open one issue's ticket.
struct Lease {
    key: String,
    mark: Mark,
    ends: Timestamp,
}

enum Waited {
    Leased(Lease),
    /// By somebody else.
    Opened(Ticket),
    TooLong,
}

impl Lease {
    /// Takes the lease, or waits until whoever has it has opened the ticket or given up.
    async fn wait_for<P: Platform>(platform: &P, key: &ThreadKey, deadline: Timestamp) -> Result<Waited, StoreError> {
        loop {
            let lease = Self::take(platform, key).await?;
            // Read after the lease was asked for: whoever had it until then may have opened the ticket.
            if let Some(ticket) = read(platform, key).await? {
                if let Some(lease) = lease {
                    lease.release(platform).await;
                }
                return Ok(Waited::Opened(ticket));
            }
            if let Some(lease) = lease {
                return Ok(Waited::Leased(lease));
            }
            if platform.clock().now() + STEP > deadline {
                return Ok(Waited::TooLong);
            }
            platform.clock().sleep(STEP).await;
        }
    }

    async fn take<P: Platform>(platform: &P, key: &ThreadKey) -> Result<Option<Self>, StoreError> {
        let now = platform.clock().now();
        let holder = ids::hex(&platform.chance().bytes::<16>());
        let mark = Mark { digest: holder, accepted_at: now };
        let (key, ends) = (format!("opening#{}#{}#{}", key.owner, key.installation, key.issue), now + LEASE);
        // One that has expired counts as none.
        let written = platform.deliveries().mark(&key, &mark, None, ends, now).await?;
        Ok((written == Written::Done).then_some(Self { key, mark, ends }))
    }

    /// A failure is only logged: the lease ends by itself.
    async fn release<P: Platform>(self, platform: &P) {
        let now = platform.clock().now();
        // Stores may keep whole seconds, rounded up.
        let over = now - Duration::from_secs(1);
        match platform.deliveries().mark(&self.key, &self.mark, Some(&self.mark), over, now).await {
            Ok(Written::Done | Written::Conflict) => {}
            Err(error) => tracing::warn!(lease.key = self.key, "not released, it ends by itself: {}", chain(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_comes_out_of_its_words_as_it_went_in_and_half_of_one_is_none() {
        let ticket = Ticket {
            project: "acme/backend".into(),
            identifier: "12".into(),
            id: "I_12".into(),
            url: "https://github.example/acme/backend/issues/12".into(),
        };
        let mut thread = ticket.to_thread();
        assert_eq!(Ticket::of_thread(&thread), Some(ticket));
        thread.0.remove("url");
        assert_eq!(Ticket::of_thread(&thread), None);
    }

    #[test]
    fn a_marker_is_the_issues_own() {
        let id =
            |last: char| -> InstallationId { format!("a8e5d37a-696c-4c54-adb5-b3f28d64c7d{last}").parse().unwrap() };
        let name = |name: &str| -> DestinationName { name.parse().unwrap() };
        let one = marker(&name("tickets"), id('e'), "7");
        assert_eq!(one, marker(&name("tickets"), id('e'), "7"));
        let hex = one.strip_prefix("sentry-switchboard-").unwrap();
        assert!(hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()), "{one}");
        for other in [
            marker(&name("others"), id('e'), "7"),
            marker(&name("tickets"), id('f'), "7"),
            marker(&name("tickets"), id('e'), "8"),
        ] {
            assert_ne!(one, other);
        }
    }
}
