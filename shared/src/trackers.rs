//! Where tickets are kept: trackers that a person links an issue to in Sentry, or that a route opens tickets in. A
//! tracker is one file here and one line in [`KINDS`].
//!
//! Nothing here knows of Sentry, of tables or of who may see what: see [`crate::tickets`] and [`crate::components`].

pub mod api;
mod github;
mod gitlab;
mod jira;
mod linear;
mod markdown;
mod numbered;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;

use async_trait::async_trait;

pub use self::api::{Api, TrackerError};
use crate::destinations::kind::Key;

/// Every type of tracker that a routes file can name.
pub static KINDS: &[&TrackerKind] = &[
    // One line each, so that adding one is one line.
    &github::KIND,
    &gitlab::KIND,
    &jira::KIND,
    &linear::KIND,
];

pub fn kind(name: &str) -> Option<&'static TrackerKind> {
    KINDS.iter().find(|kind| kind.name == name).copied()
}

/// A type of tracker, as `type = "…"` in a `[[tracker]]` names it.
pub struct TrackerKind {
    pub name: &'static str,
    /// Its own keys, besides those that every tracker takes (`name`, `type`, `base_url`, `organizations`, `labels`).
    pub keys: &'static [Key],
    /// Those of its own keys that must be given.
    pub needs: &'static [&'static str],
    /// The key that lists the projects which may be used: `repositories` or `projects`.
    pub projects_key: &'static str,
    /// How the file must name a project, where that can be told without the tracker.
    pub project_form: Option<&'static ProjectForm>,
    /// The longest title and text that it takes, in UTF-16 units.
    pub max_title: usize,
    pub max_text: usize,
    pub tracker: &'static dyn Tracker,
}

impl TrackerKind {
    /// The form that a project's name should have, if it has another. An empty one is told of elsewhere.
    pub(crate) fn misnamed(&self, project: &str) -> Option<&'static ProjectForm> {
        self.project_form.filter(|form| !project.is_empty() && !(form.fits)(project))
    }
}

/// How a project is named.
pub struct ProjectForm {
    /// `owner/name`
    pub form: &'static str,
    /// `acme/backend`
    pub example: &'static str,
    pub fits: fn(&str) -> bool,
}

/// What can be done with a type of tracker. Text comes in plain: each makes its own markup of it, in which nothing is a
/// mention, a reference to another ticket or a command.
///
/// An `Ok` of a listing may hold more than is asked for, in any order: cutting and sorting are the caller's.
#[async_trait]
pub trait Tracker: Send + Sync {
    /// Projects whose name fits `query` (empty: the ones used last), for a tracker whose file lists none.
    async fn projects(&self, api: &Api<'_>, query: &str) -> Result<Vec<Choice>, TrackerError>;

    /// Labels of a project, for a person to pick one.
    async fn labels(&self, api: &Api<'_>, project: &str, query: &str) -> Result<Vec<Choice>, TrackerError>;

    /// People whom a ticket of the project can be assigned to.
    async fn assignees(&self, api: &Api<'_>, project: &str, query: &str) -> Result<Vec<Choice>, TrackerError>;

    /// Tickets of a project, open ones first, whose title or number fits `query` (empty: the newest). The value is what
    /// [`Self::read`] takes.
    async fn tickets(&self, api: &Api<'_>, project: &str, query: &str) -> Result<Vec<Choice>, TrackerError>;

    /// One ticket, by what [`Self::tickets`] gave as value or a person typed: `12`, `#12`, `KEY-12`, its address.
    async fn read(&self, api: &Api<'_>, project: &str, id: &str) -> Result<Ticket, TrackerError>;

    /// The ticket whose text holds `marker`, if there is one.
    async fn find(&self, api: &Api<'_>, project: &str, marker: &str) -> Result<Option<Ticket>, TrackerError>;

    /// Opens a ticket. Its text must hold [`NewTicket::marker`] so that [`Self::find`] finds it.
    async fn open(&self, api: &Api<'_>, new: &NewTicket) -> Result<Ticket, TrackerError>;

    /// Says something in a ticket.
    async fn comment(&self, api: &Api<'_>, ticket: &Ticket, text: &str) -> Result<(), TrackerError>;

    /// Closes a ticket, as done. One that is closed already is no error.
    async fn close(&self, api: &Api<'_>, ticket: &Ticket) -> Result<(), TrackerError>;

    /// Opens a closed ticket again. One that is open is no error.
    async fn reopen(&self, api: &Api<'_>, ticket: &Ticket) -> Result<(), TrackerError>;
}

/// One entry of a select.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What the tracker calls it, to be given back to it.
    pub value: String,
    /// What a person reads.
    pub label: String,
}

impl Choice {
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into() }
    }
}

/// A ticket as it is remembered and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// As the tracker names it: `acme/backend`, `OPS`. Sentry shows `{project}#{identifier}`.
    pub project: String,
    /// What a person calls it within the project: `12`, `OPS-12`.
    pub identifier: String,
    /// What the tracker's API calls it, where that is something else than [`Self::identifier`].
    pub id: String,
    /// Its page.
    pub url: String,
}

/// A ticket to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTicket {
    pub project: String,
    /// One line, visible characters, within [`TrackerKind::max_title`].
    pub title: String,
    /// Plain text, not yet cut; what a person wrote or the event said.
    pub text: String,
    /// The page in Sentry, to be shown as a link.
    pub link: Option<String>,
    pub labels: Vec<String>,
    /// A value of [`Tracker::assignees`].
    pub assignee: Option<String>,
    /// `sentry-switchboard-` and 32 hex digits: the same for every try to open this ticket.
    pub marker: String,
}
