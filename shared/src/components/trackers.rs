//! Trackers that are offered, and what is needed to call one.

use std::sync::Arc;

use super::answers::Refusal;
use super::{Asker, Components};
use crate::destinations::settings::Settings;
use crate::ports::Platform;
use crate::routing::{Routes, Tracker};
use crate::secrets::DestinationSecrets;
use crate::trackers::{TrackerError, TrackerKind};

/// A tracker that can be called.
pub(super) struct Ready<'r> {
    pub(super) tracker: &'r Tracker,
    pub(super) kind: &'static TrackerKind,
    pub(super) settings: Arc<Settings>,
    secrets: Arc<DestinationSecrets>,
}

impl Ready<'_> {
    /// A tracker's text may quote what it was sent.
    pub(super) fn shown(&self, text: &str) -> String {
        self.secrets.redact(text)
    }

    pub(super) fn refusal(&self, error: &TrackerError) -> Refusal {
        Refusal::of_tracker(&self.tracker.name, error, |text| self.shown(text))
    }
}

impl<P: Platform> Components<P> {
    pub(super) async fn ready<'r>(&self, tracker: &'r Tracker) -> Result<Ready<'r>, Refusal> {
        let name = &tracker.name;
        let kind = (self.kinds)(&tracker.kind)
            .ok_or_else(|| Refusal::NotConfigured(format!("`{name}` has a type that nobody knows")))?;
        let (platform, values) = (&*self.platform, tracker.values.values());
        let secrets = self.secrets.of(platform.secrets(), platform.clock(), values).await?;
        let settings = Settings::resolve_tracker(tracker, &secrets)
            .map_err(|missing| Refusal::NotConfigured(format!("`{name}` cannot be used: {missing}")))?;
        Ok(Ready { tracker, kind, settings: settings.into(), secrets })
    }
}

pub(super) fn offered<'r>(routes: &'r Routes, asker: &Asker) -> Vec<&'r Tracker> {
    routes.trackers().filter(|tracker| asker.is_offered(tracker.organizations.as_deref())).collect()
}

/// Tracker and project of a value `{tracker}/{project}`; the same refusal for what is not offered and what is not.
pub(super) fn offered_project<'r, 'v>(
    routes: &'r Routes,
    asker: &Asker,
    value: &'v str,
) -> Result<(&'r Tracker, &'v str), Refusal> {
    let found = value.split_once('/').and_then(|(name, project)| {
        let tracker = routes.tracker(&name.parse().ok()?)?;
        let is_listed = tracker.projects.is_empty() || tracker.projects.iter().any(|own| own == project);
        let is_offered = asker.is_offered(tracker.organizations.as_deref());
        (is_listed && is_offered && !project.is_empty()).then_some((tracker, project))
    });
    found.ok_or_else(|| Refusal::bad("Project (`project`) is no project that is offered: pick one from the list."))
}
