//! A destination that is a ticket: opened once, said so in `switchboard.ticket_opened`, and kept up with its issue.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Deliver, Ready, Tracking};
use crate::delivery::Delivery;
use crate::destinations::error::DeliveryError;
use crate::destinations::kind::{CALL_TIMEOUT, Thread, TicketWork};
use crate::envelope;
use crate::events::{AcceptedEvent, milliseconds};
use crate::ids::InstallationId;
use crate::normalized::Project;
use crate::ports::{Clock, Platform};
use crate::telemetry::chain;
use crate::tickets;
use crate::trackers::{self, Api, NewTicket, Ticket};

/// For all calls of one try; the function has 30 s.
const TIME: Duration = CALL_TIMEOUT.saturating_mul(2);

/// The event's body.
#[derive(Serialize)]
struct Body<'a> {
    action: &'static str,
    data: Data<'a>,
    installation: Installation,
}

#[derive(Serialize)]
struct Installation {
    uuid: String,
}

#[derive(Serialize)]
struct Data<'a> {
    tracker: &'a str,
    destination: &'a str,
    project: &'a str,
    identifier: &'a str,
    url: &'a str,
    /// Sentry's issue, by id.
    issue: &'a str,
    /// What the issue is called, as far as the event said.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    /// Its project in Sentry; `project` is the tracker's.
    #[serde(skip_serializing_if = "Option::is_none")]
    issue_project: Option<&'a Project>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'a str>,
    /// RFC 3339. When the event that opened it was accepted: the same for every try.
    at: String,
}

impl<P: Platform> Deliver<P> {
    /// `known` is the issue's ticket, if there was one before this try.
    pub(super) async fn ticket(
        &self,
        ready: &Ready,
        delivery: &Delivery,
        known: Option<&Thread>,
        work: TicketWork,
        attempts: u32,
    ) -> Result<(), DeliveryError> {
        let missing = || DeliveryError::Misconfigured { missing: "tracker" };
        let Tracking { tracker, settings } = ready.tracker.as_ref().ok_or_else(missing)?;
        let kind = trackers::kind(&tracker.kind).ok_or_else(missing)?;
        let issue = delivery.normalized.issue.as_deref().ok_or(DeliveryError::NoIssue)?;
        let installation: InstallationId =
            delivery.normalized.installation.parse().map_err(|_| DeliveryError::NoIssue)?;
        let ticket = known.and_then(Ticket::of_thread);
        let deadline = self.platform.clock().now() + TIME;
        let api = Api::new(&*self.platform, settings, &tracker.projects, deadline);
        match (work, ticket) {
            (TicketWork::Open { project, title, text, link }, _) => {
                let only = tracker.projects.first().filter(|_| tracker.projects.len() == 1);
                let project = project.or_else(|| only.cloned());
                let project = project.ok_or(DeliveryError::Misconfigured { missing: "project" })?;
                let new =
                    NewTicket { project, title, text, link, labels: vec![], assignee: None, marker: String::new() };
                let opened = tickets::open_once(&*self.platform, tracker, settings, installation, issue, new, deadline);
                let ticket = opened.await?;
                self.announce_opened(tracker.name.as_str(), delivery, installation, issue, &ticket).await
            }
            // Perhaps this very delivery opened it, and crashed before it could say so.
            (TicketWork::Known, Some(ticket)) if attempts > 1 => {
                self.announce_opened(tracker.name.as_str(), delivery, installation, issue, &ticket).await
            }
            (TicketWork::Known, _) => {
                tracing::info!(destination.name = %delivery.destination, issue.id = issue, "the issue has its ticket already");
                Ok(())
            }
            (_, None) => {
                tracing::error!(destination.name = %delivery.destination, issue.id = issue, "which ticket belongs to the issue cannot be read");
                Ok(())
            }
            // What must not be done twice stands last.
            (TicketWork::Comment(text), Some(ticket)) => Ok(kind.tracker.comment(&api, &ticket, &text).await?),
            (TicketWork::Close(text), Some(ticket)) => {
                kind.tracker.close(&api, &ticket).await?;
                Ok(kind.tracker.comment(&api, &ticket, &text).await?)
            }
            (TicketWork::Reopen(text), Some(ticket)) => {
                kind.tracker.reopen(&api, &ticket).await?;
                Ok(kind.tracker.comment(&api, &ticket, &text).await?)
            }
        }
    }

    /// Before the delivery is settled: what is not said now is said by its next try.
    async fn announce_opened(
        &self,
        tracker: &str,
        delivery: &Delivery,
        installation: InstallationId,
        issue: &str,
        ticket: &Ticket,
    ) -> Result<(), DeliveryError> {
        let event = event(tracker, delivery, installation, issue, ticket, self.platform.clock().now());
        let sent = self.tell(&event, envelope::ticket_group(installation, issue)).await;
        sent.map_err(|error| {
            let said = "the ticket is there, the event about it could not be sent";
            tracing::error!(delivery.id = %delivery.id, "{said}: {}", chain(&error));
            DeliveryError::NotNow(said.to_owned())
        })
    }
}

fn event(
    tracker: &str,
    delivery: &Delivery,
    installation: InstallationId,
    issue: &str,
    ticket: &Ticket,
    now: Timestamp,
) -> AcceptedEvent {
    let data = Data {
        tracker,
        destination: delivery.destination.as_str(),
        project: &ticket.project,
        identifier: &ticket.identifier,
        url: &ticket.url,
        issue,
        title: delivery.normalized.title.as_deref(),
        issue_project: delivery.normalized.project.as_ref(),
        level: delivery.normalized.level.as_deref(),
        at: milliseconds(delivery.accepted_at).to_string(),
    };
    let installation = Installation { uuid: installation.to_string() };
    // It may be opened hours later: its link has as long as any look-up from here on.
    AcceptedEvent::own(&Body { action: "ticket_opened", data, installation }, now)
}
