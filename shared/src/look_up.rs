//! Look-ups of an issue, where a route asks for what the payload lacks.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;

use crate::ids::InstallationId;
use crate::installation::{Keeper, NoIssue};
use crate::normalized::{Normalized, Project};
use crate::ports::Platform;
use crate::sentry::PathForm;

/// A failed look-up is tried again at these times after the event was accepted: computed and not counted, so that
/// events of one issue do not wait in sequence.
const TRIES_S: [u64; 4] = [5, 35, 155, 755];
/// A project is renamed seldom.
const PROJECT_KEPT: Duration = Duration::from_mins(10);
/// Bounds the memory; at most this many projects are kept.
const PROJECTS: usize = 10_000;

/// How long to wait for the next try; `None` after the last.
pub(crate) fn next_try(accepted_at: Timestamp, now: Timestamp) -> Option<Duration> {
    let at = TRIES_S.iter().map(|wait| accepted_at + Duration::from_secs(*wait)).find(|at| *at > now)?;
    Duration::try_from(at.duration_since(now)).ok()
}

/// What look-ups told, kept for the life of the process.
#[derive(Default)]
pub(crate) struct LookUps {
    projects: Mutex<BTreeMap<(InstallationId, String), (Timestamp, Project)>>,
    plain_path: std::sync::atomic::AtomicBool,
}

impl LookUps {
    /// Fills in slug and name of the project, if an earlier look-up told them.
    pub(crate) fn fill_project(&self, installation: InstallationId, event: &mut Normalized, now: Timestamp) {
        let Some(project) = &mut event.project else { return };
        let projects = self.projects.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = [&project.id, &project.slug]
            .into_iter()
            .flatten()
            .find_map(|key| projects.get(&(installation, key.clone())));
        if let Some((_, known)) = known.filter(|(at, _)| now.duration_since(*at).unsigned_abs() < PROJECT_KEPT) {
            *project = known.clone();
        }
    }

    /// Reads the event's issue and fills in what the event lacks.
    pub(crate) async fn fill<P: Platform>(
        &self,
        keeper: &Keeper<P>,
        installation: InstallationId,
        event: &mut Normalized,
        now: Timestamp,
    ) -> Result<(), NoIssue> {
        let Some(id) = event.issue.clone() else { return Ok(()) };
        let form = if self.plain_path.load(std::sync::atomic::Ordering::Relaxed) {
            PathForm::Plain
        } else {
            PathForm::Organization
        };
        let issue = keeper.issue(installation, &id, event.organization.as_deref(), form).await?;
        if form == PathForm::Organization && event.organization.is_some() && issue.form == PathForm::Plain {
            self.plain_path.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        event.fill_from_issue(&issue.json);
        if let Some(project) = &event.project {
            let mut projects = self.projects.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if projects.len() >= PROJECTS {
                projects.clear();
            }
            for key in [&project.id, &project.slug].into_iter().flatten() {
                projects.insert((installation, key.clone()), (now, project.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_try_is_computed_from_when_the_event_was_accepted() {
        let accepted = Timestamp::from_second(1_000_000).unwrap();
        for (late, expected) in
            [(0, Some(5)), (4, Some(1)), (5, Some(30)), (36, Some(119)), (700, Some(55)), (755, None), (9999, None)]
        {
            let wait = next_try(accepted, accepted + Duration::from_secs(late));
            assert_eq!(wait, expected.map(Duration::from_secs), "{late}");
        }
    }
}
