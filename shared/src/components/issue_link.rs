//! `issue-link`: a ticket is opened for an issue, or one that there is belongs to it from now on.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answers::Refusal;
use super::fields::{CREATE, LINK};
use super::form::Form;
use super::request::Sent;
use super::trackers::offered_project;
use super::{Asker, Components};
use crate::ports::Platform;
use crate::tickets;
use crate::trackers::{Api, NewTicket, Ticket};

impl<P: Platform> Components<P> {
    /// A second click, or a repeat after a lost answer, finds the first one's ticket.
    pub(super) async fn create(
        &self,
        sent: &Sent,
        issue: &str,
        web_url: Option<&str>,
        asker: &Asker,
        deadline: Timestamp,
    ) -> Result<Value, Refusal> {
        let form = Form::read(CREATE, sent)?;
        let in_force = self.in_force().await?;
        let (tracker, project) = offered_project(&in_force.routes, asker, form.required("project")?)?;
        let ready = self.ready(tracker).await?;
        let new = NewTicket {
            project: project.to_owned(),
            title: form.required("title")?.to_owned(),
            text: form.get("description").unwrap_or_default().to_owned(),
            link: web_url.map(str::to_owned),
            labels: form.get("label").map(str::to_owned).into_iter().collect(),
            assignee: form.get("assignee").map(str::to_owned),
            marker: String::new(),
        };
        let (platform, installation) = (&*self.platform, asker.installation);
        let opened =
            tickets::open_once_with(platform, ready.kind, tracker, &ready.settings, installation, issue, new, deadline);
        let ticket =
            opened.await.map_err(|error| Refusal::of_ticket(&tracker.name, error, |text| ready.shown(text)))?;
        // Whoever links another issue next is to find it.
        self.cache.forget(&tracker.name, project);
        Ok(linked(&ticket))
    }

    pub(super) async fn link(
        &self,
        sent: &Sent,
        issue: &str,
        asker: &Asker,
        deadline: Timestamp,
    ) -> Result<Value, Refusal> {
        let form = Form::read(LINK, sent)?;
        let in_force = self.in_force().await?;
        let (tracker, project) = offered_project(&in_force.routes, asker, form.required("project")?)?;
        let ready = self.ready(tracker).await?;
        let platform = &*self.platform;
        let api = Api::new(platform, &ready.settings, &tracker.projects, deadline);
        let read = ready.kind.tracker.read(&api, project, form.required("ticket")?.trim()).await;
        let ticket = read.map_err(|error| ready.refusal(&error))?;
        tickets::remember(platform, &tracker.name, asker.installation, issue, &ticket).await?;
        Ok(linked(&ticket))
    }
}

/// Sentry shows it as `{project}#{identifier}`. All three are needed, as text.
fn linked(ticket: &Ticket) -> Value {
    json!({ "webUrl": ticket.url, "project": ticket.project, "identifier": ticket.identifier })
}
