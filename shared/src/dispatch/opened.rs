//! `switchboard.ticket_opened`: the ticket that a route opened is linked to its issue in Sentry, where people look for it.

use std::time::Duration;

use jiff::Timestamp;

use super::Dispatch;
use crate::ids::InstallationId;
use crate::installation::NoIssue;
use crate::look_up;
use crate::payload::{self, Data};
use crate::ports::{Clock, Platform};
use crate::sentry::Link;
use crate::telemetry::chain;

impl<P: Platform> Dispatch<P> {
    /// Links the ticket that the event tells of, if it tells of one. How long to wait before that is tried again.
    pub(super) async fn link(&self, payload: &payload::Event, accepted_at: Timestamp) -> Option<Duration> {
        let (installation, link) = opened(payload)?;
        let error = match self.keeper.link(installation, &link).await {
            Ok(()) => {
                tracing::info!(installation.id = %installation, issue.id = link.issue, "the issue is linked to its ticket");
                return None;
            }
            Err(error) => error,
        };
        let wait = (!error.is_final()).then(|| look_up::next_try(accepted_at, self.platform.clock().now())).flatten();
        let what_next = match (&error, wait) {
            (_, Some(_)) => ", it is tried again",
            (NoIssue::LinkedElsewhere(_), None) => "; the ticket stays",
            (_, None) => "; the ticket stays. Check that the app has the permission Issue & Event: Read (`event:read`)",
        };
        tracing::warn!(installation.id = %installation, issue.id = link.issue, "the issue could not be linked to its ticket{what_next}: {}", chain(&error));
        wait
    }
}

/// Only of an event of the bundle's own: nobody else may have an issue linked.
fn opened(payload: &payload::Event) -> Option<(InstallationId, Link<'_>)> {
    if !payload.resource.is_own() || payload.action != "ticket_opened" {
        return None;
    }
    let Data::Other(data) = &payload.data else { return None };
    let text = |key: &str| data.get(key)?.as_str();
    let link =
        Link { issue: text("issue")?, url: text("url")?, project: text("project")?, identifier: text("identifier")? };
    Some((payload.installation?, link))
}
