//! `options/{name}`: what a select lists.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::alert_rule::{PRIORITIES, offered_destination};
use super::answers::Refusal;
use super::cache::Key;
use super::fields;
use super::request::Parameters;
use super::trackers::{offered, offered_project};
use super::{Asker, Components};
use crate::ports::{Clock, Platform};
use crate::routing::{Routes, Tracker};
use crate::trackers::{self, Api, Choice, TrackerError};

/// More is no help: nobody reads on in a select, and Sentry asks again with what is typed.
const MAX_CHOICES: usize = 50;
/// So long a tracker is listened to, also when nobody waits for it any more.
const LATEST: Duration = Duration::from_secs(8);

/// Lists of a tracker's project.
#[derive(Debug, Clone, Copy)]
enum Of {
    Projects,
    Labels,
    Assignees,
    Tickets,
}

impl Of {
    fn name(self) -> &'static str {
        match self {
            Self::Projects => "projects",
            Self::Labels => "labels",
            Self::Assignees => "assignees",
            Self::Tickets => "tickets",
        }
    }
}

impl<P: Platform> Components<P> {
    pub(super) async fn options(
        &self,
        list: &str,
        asked: &Parameters,
        asker: &Asker,
        deadline: Timestamp,
    ) -> Result<Value, Refusal> {
        let of = match list {
            "destinations" | "mentions" | "priorities" | "projects" => None,
            "labels" => Some(Of::Labels),
            "assignees" => Some(Of::Assignees),
            "tickets" => Some(Of::Tickets),
            _ => return Err(Refusal::bad(format!("There is no list `{}`.", shown(list)))),
        };
        let in_force = self.in_force().await?;
        let (routes, version) = (&*in_force.routes, in_force.version);
        let query = asked.query.as_str();
        let choices = match (list, of) {
            ("destinations", _) => arranged(destinations(routes, asker), query),
            ("mentions", _) => {
                let destination = offered_destination(routes, asker, asked.dependent("destination")?)?;
                arranged(destination.mentions.iter().map(|own| Choice::new(own, own)).collect(), query)
            }
            ("projects", _) => self.projects(routes, version, asker, query, deadline).await?,
            (_, Some(of)) => {
                let (tracker, project) = offered_project(routes, asker, asked.dependent("project")?)?;
                self.listed(version, tracker, of, project, query, deadline).await?
            }
            _ => fitting(PRIORITIES.map(|word| Choice::new(word, word)).to_vec(), query),
        };
        Ok(drawn(&choices, list, query))
    }

    /// Those of all trackers. One that does not answer hides none of the others'.
    async fn projects(
        &self,
        routes: &Routes,
        version: u64,
        asker: &Asker,
        query: &str,
        deadline: Timestamp,
    ) -> Result<Vec<Choice>, Refusal> {
        let trackers = offered(routes, asker);
        let asked = trackers.iter().map(|tracker| self.listed(version, tracker, Of::Projects, "", query, deadline));
        let (mut choices, mut refusal) = (Vec::new(), None);
        for (tracker, listed) in trackers.iter().zip(join_all(asked).await) {
            let name = &tracker.name;
            match listed {
                Ok(projects) => choices.extend(projects.into_iter().map(|project| {
                    let label = if trackers.len() > 1 { format!("{} ({name})", project.label) } else { project.label };
                    Choice::new(format!("{name}/{}", project.value), label)
                })),
                Err(error) => {
                    error.log("/components/options/projects", self.platform.clock().now());
                    refusal = Some(error);
                }
            }
        }
        match refusal {
            Some(refusal) if choices.is_empty() => Err(refusal),
            _ => Ok(ordered(choices, query)),
        }
    }

    /// A list of one tracker, arranged: out of the file, the cache or its own mouth.
    async fn listed(
        &self,
        version: u64,
        tracker: &Tracker,
        of: Of,
        project: &str,
        query: &str,
        deadline: Timestamp,
    ) -> Result<Vec<Choice>, Refusal> {
        if matches!(of, Of::Projects) && !tracker.projects.is_empty() {
            return Ok(arranged(tracker.projects.iter().map(|own| Choice::new(own, own)).collect(), query));
        }
        let key = Key {
            routes: version,
            tracker: tracker.name.clone(),
            list: of.name(),
            project: project.to_owned(),
            query: query.to_lowercase(),
        };
        let clock = self.platform.clock();
        if let Some(choices) = self.cache.fresh(&key, clock.now()) {
            return Ok(choices);
        }
        match self.called(tracker, of, project, query, key.clone(), deadline).await {
            Ok(choices) => Ok(choices),
            Err(refusal) => {
                let kept = self.cache.usable(&key, clock.now()).ok_or(refusal)?;
                tracing::warn!(tracker.name = %tracker.name, list = of.name(), "no new answer: an older one is shown");
                Ok(kept)
            }
        }
    }

    /// Asks the tracker in a task of its own: what comes too late for this select is kept for when it is opened again.
    async fn called(
        &self,
        tracker: &Tracker,
        of: Of,
        project: &str,
        query: &str,
        key: Key,
        deadline: Timestamp,
    ) -> Result<Vec<Choice>, Refusal> {
        let ready = self.ready(tracker).await?;
        let (kind, settings) = (ready.kind, Arc::clone(&ready.settings));
        let (platform, cache, projects) =
            (Arc::clone(&self.platform), Arc::clone(&self.cache), tracker.projects.clone());
        let (project, query) = (project.to_owned(), query.to_owned());
        let asked = tokio::spawn(async move {
            let clock = platform.clock();
            let api = Api::new(&*platform, &settings, &projects, clock.now() + LATEST);
            let listed = listed(kind.tracker, &api, of, &project, &query).await;
            if let Ok(choices) = &listed {
                cache.keep(key, choices.clone(), clock.now());
            }
            listed
        });
        let clock = self.platform.clock();
        let left = deadline.duration_since(clock.now()).try_into().unwrap_or_default();
        let answered = match clock.timeout(left, asked).await {
            Some(Ok(listed)) => listed,
            Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
            None => Err(TrackerError::TimedOut),
        };
        answered.map_err(|error| ready.refusal(&error))
    }
}

/// A list out of the tracker's own mouth, arranged.
async fn listed(
    far: &dyn trackers::Tracker,
    api: &Api<'_>,
    of: Of,
    project: &str,
    query: &str,
) -> Result<Vec<Choice>, TrackerError> {
    Ok(match of {
        // The tracker has found them by title or number, the likeliest first.
        Of::Tickets => {
            let mut choices = far.tickets(api, project, query).await?;
            choices.truncate(MAX_CHOICES);
            choices
        }
        // So it has people, whose logins and mail addresses are not in what is shown.
        Of::Assignees => ordered(far.assignees(api, project, query).await?, query),
        Of::Projects => arranged(far.projects(api, query).await?, query),
        Of::Labels => arranged(far.labels(api, project, query).await?, query),
    })
}

fn destinations(routes: &Routes, asker: &Asker) -> Vec<Choice> {
    let offered = routes.destinations().filter(|destination| asker.is_offered(destination.organizations.as_deref()));
    offered.map(|own| Choice::new(own.name.as_str(), format!("{} ({})", own.name, own.kind))).collect()
}

/// Those that fit, in the order people expect, as many as are shown.
fn arranged(choices: Vec<Choice>, query: &str) -> Vec<Choice> {
    ordered(fitting(choices, query), query)
}

fn fitting(mut choices: Vec<Choice>, query: &str) -> Vec<Choice> {
    let query = query.to_lowercase();
    choices.retain(|choice| [&choice.label, &choice.value].iter().any(|text| text.to_lowercase().contains(&query)));
    choices
}

/// What was typed first, then what begins with it, then the others; by the alphabet.
fn ordered(mut choices: Vec<Choice>, query: &str) -> Vec<Choice> {
    let query = query.to_lowercase();
    choices.sort_by_cached_key(|choice| {
        let (label, value) = (choice.label.to_lowercase(), choice.value.to_lowercase());
        let rank = if label == query || value == query {
            0
        } else {
            // `backend` is where `acme/backend` begins for who types it.
            let begins = |text: &str| text.starts_with(&query) || text.split('/').any(|part| part.starts_with(&query));
            if begins(&label) || begins(&value) { 1 } else { 2 }
        };
        (rank, label, value)
    });
    choices.truncate(MAX_CHOICES);
    choices
}

/// As Sentry takes it. The only choice there is, is picked already, where one must be picked: nobody wants a label for
/// being the only one. What is left of many by typing is not.
fn drawn(choices: &[Choice], list: &str, query: &str) -> Value {
    let is_sole = choices.len() == 1 && query.is_empty() && fields::must_be_picked(list);
    let entries = choices.iter().map(|Choice { value, label }| {
        if is_sole {
            json!({ "label": label, "value": value, "default": true })
        } else {
            json!({ "label": label, "value": value })
        }
    });
    Value::Array(entries.collect())
}

/// What of a path may be said again.
fn shown(list: &str) -> String {
    list.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(choices: &[Choice]) -> Vec<&str> {
        choices.iter().map(|choice| choice.value.as_str()).collect()
    }

    #[test]
    fn what_was_typed_stands_first_then_what_begins_with_it_then_the_rest_by_the_alphabet() {
        let all = ["zeta", "Api-web", "acme/api", "rapid", "api", "API", "map", "beta"];
        let choices: Vec<Choice> = all.iter().map(|own| Choice::new(*own, *own)).collect();
        let found = arranged(choices.clone(), "api");
        assert_eq!(values(&found), ["api", "API", "acme/api", "Api-web", "rapid"]);
        assert_eq!(
            values(&arranged(choices, "")),
            ["acme/api", "api", "API", "Api-web", "beta", "map", "rapid", "zeta"]
        );
    }

    #[test]
    fn no_select_has_more_than_it_can_show_and_the_best_are_among_those() {
        let mut choices: Vec<Choice> = (0..200).map(|n| Choice::new(format!("x-{n}-b"), format!("x-{n}-b"))).collect();
        choices.push(Choice::new("b", "zz"));
        let found = arranged(choices, "b");
        assert_eq!((found.len(), found[0].value.as_str()), (MAX_CHOICES, "b"));
    }

    #[test]
    fn the_only_choice_is_picked_already_where_one_must_be_and_it_was_not_found_by_typing() {
        let (one, two) = ([Choice::new("v", "l")], [Choice::new("v", "l"), Choice::new("w", "m")]);
        let all = ["destinations", "mentions", "priorities", "projects", "labels", "assignees", "tickets"];
        for list in all {
            let picked = drawn(&one, list, "").to_string().contains("default");
            assert_eq!(picked, matches!(list, "destinations" | "projects" | "tickets"), "{list}");
            assert_eq!(drawn(&one, list, "l"), json!([{ "label": "l", "value": "v" }]), "{list}");
            assert_eq!(drawn(&[], list, ""), json!([]), "{list}");
            assert!(!drawn(&two, list, "").to_string().contains("default"), "{list}");
        }
        assert_eq!(drawn(&one, "projects", ""), json!([{ "label": "l", "value": "v", "default": true }]));
    }
}
