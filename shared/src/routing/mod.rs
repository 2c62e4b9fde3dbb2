//! The routes file: who hears of what.
//!
//! [`Routes::compile`] reads the TOML and finds every mistake with its place; [`Routes::decide`] says, for one event,
//! where it goes, or that this hangs on something only a look-up of the issue can tell. Nothing here does I/O.
//!
//! A file in force is never half understood: one mistake, and the whole of it is refused.

mod compile;
mod decide;
mod explain;
mod guard;
mod key;
mod known;
mod mistake;
mod pattern;
mod set;
mod source;
mod taken;
mod text;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use self::decide::{Decision, LookedUp, Planned};
pub use self::explain::{Explained, Outcome};
use self::guard::Guard;
use self::key::Subject;
pub use self::mistake::{Mistake, Severity};
pub use self::pattern::ProjectPattern;
use self::pattern::{Verdict, When};
pub use self::set::{CannotSet, set};
use self::source::Place;
pub use self::taken::Taken;
use crate::ids::DestinationName;
use crate::names;
use crate::stacktrace::StacktraceLink;
use crate::templates::Templates;

/// A compiled routes file.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    destinations: BTreeMap<DestinationName, Destination>,
    trackers: BTreeMap<DestinationName, Tracker>,
    stacktrace_links: Vec<StacktraceLink>,
    /// In the order of the file; it decides which route gives a delivery its form.
    in_order: Vec<Route>,
    /// Of each route, the places of its destinations among `destinations`.
    places: Vec<Box<[usize]>>,
    /// Of each route.
    guards: Vec<Guard>,
    notes: Notes,
}

/// What the file says besides destinations and routes, and where it says what may turn out wrong later.
#[derive(Debug, Clone, Default)]
struct Notes {
    secrets: Vec<SecretUse>,
    /// The `type` of each destination.
    kinds: Vec<(String, Place)>,
    /// A warning at each destination and tracker without `organizations`.
    unoffered: Vec<Mistake>,
    tests: Vec<Test>,
    warnings: Vec<Mistake>,
}

/// A destination as the file configures it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub name: DestinationName,
    /// The `type`: the name of a [`crate::destinations::kind::Kind`].
    pub kind: String,
    /// The keys of its kind, those that are given.
    pub values: BTreeMap<String, Value>,
    /// `http` or `https`, a host, perhaps a port; no path, no slash at the end. Replaces that of the destination.
    pub base_url: Option<String>,
    /// Waits after the first, second, … failed try, where the file says other than the kind.
    pub retry: Option<Vec<Duration>>,
    /// Calls at once, where the file says other than the kind.
    pub concurrency: Option<u16>,
    /// Slugs of the organizations whose people may pick it for an alert rule.
    pub organizations: Option<Vec<String>>,
    /// Who may be mentioned there, in the far side's own notation.
    pub mentions: Vec<String>,
    pub templates: Templates,
}

/// A `[[tracker]]` as the file configures it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracker {
    /// Unique over destinations and trackers.
    pub name: DestinationName,
    /// The `type`: the name of a [`crate::trackers::TrackerKind`].
    pub kind: String,
    /// The keys of its kind, those that are given, but for the list of projects.
    pub values: BTreeMap<String, Value>,
    /// With a path, where its server is below one; without a slash at the end.
    pub base_url: Option<String>,
    /// What its `repositories` or `projects` list; empty: all that its token sees.
    pub projects: Vec<String>,
    /// Every ticket gets them.
    pub labels: Vec<String>,
    /// Slugs of the organizations whose people may use it.
    pub organizations: Option<Vec<String>>,
}

/// Whether what the file gives to `organizations` is for people of `organization`. Where the key is absent: everybody
/// of an internal integration, which is installed in one organization; nobody of a public one, which strangers install.
pub fn is_offered_to(organizations: Option<&[String]>, organization: Option<&str>, is_public: bool) -> bool {
    match organizations {
        Some(slugs) => organization.is_some_and(|slug| slugs.iter().any(|own| own == slug)),
        None => !is_public,
    }
}

/// A value of a destination's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    /// `secret:NAME`: the name to look up when it is needed.
    Secret(String),
    Number(i64),
    /// Level = number.
    NumberByLevel(BTreeMap<String, i64>),
}

impl Value {
    /// The name after `secret:`.
    pub fn secret_name(&self) -> Option<&str> {
        match self {
            Self::Secret(name) => Some(name),
            Self::Text(_) | Self::Number(_) | Self::NumberByLevel(_) => None,
        }
    }
}

/// One `[[route]]`.
#[derive(Debug, Clone)]
pub struct Route {
    pub name: String,
    pub to: Vec<DestinationName>,
    pub stop: bool,
    /// Takes what no other route took; it has no `when`.
    pub default: bool,
    /// They win over the destination's.
    pub templates: Templates,
    when: When,
    unless: Option<When>,
    place: Place,
}

/// One `[[test]]`: an event, and who is to hear of it.
#[derive(Debug, Clone)]
pub struct Test {
    pub name: String,
    /// A sample's name, or a file beside the routes file.
    pub event: String,
    /// For [`set`], in the order of the file.
    pub set: Vec<(String, serde_json::Value)>,
    /// Exactly these; empty: nobody.
    pub expect: BTreeSet<DestinationName>,
    place: Place,
}

impl Test {
    /// A mistake at the test's `event`: the file itself does not tell whether there is one.
    pub fn mistake(&self, message: impl Into<String>) -> Mistake {
        self.place.mistake(message)
    }
}

impl Route {
    fn verdict(&self, subject: Subject<'_>) -> Verdict {
        let when = self.when.verdict(subject);
        match &self.unless {
            Some(unless) if when != Verdict::No => when.min(unless.verdict(subject).negated()),
            _ => when,
        }
    }

    /// Whether there is no event that it does not take.
    fn takes_everything(&self) -> bool {
        self.unless.is_none() && self.when.takes_everything()
    }
}

/// Where the file asks for a secret.
#[derive(Debug, Clone)]
struct SecretUse {
    name: String,
    place: Place,
}

impl Routes {
    fn new(
        destinations: BTreeMap<DestinationName, Destination>,
        trackers: BTreeMap<DestinationName, Tracker>,
        stacktrace_links: Vec<StacktraceLink>,
        in_order: Vec<Route>,
        notes: Notes,
    ) -> Self {
        let place = |name: &DestinationName| destinations.keys().position(|own| own == name).unwrap_or_default();
        let places = in_order.iter().map(|route| route.to.iter().map(place).collect()).collect();
        let guards = in_order.iter().map(Guard::of).collect();
        Self { destinations, trackers, stacktrace_links, in_order, places, guards, notes }
    }

    pub fn tracker(&self, name: &DestinationName) -> Option<&Tracker> {
        self.trackers.get(name)
    }

    /// All trackers, by name.
    pub fn trackers(&self) -> impl Iterator<Item = &Tracker> {
        self.trackers.values()
    }

    /// In the order of the file: the first that fits a frame is taken.
    pub fn stacktrace_links(&self) -> &[StacktraceLink] {
        &self.stacktrace_links
    }

    pub fn destination(&self, name: &DestinationName) -> Option<&Destination> {
        self.destinations.get(name)
    }

    /// All destinations, by name.
    pub fn destinations(&self) -> impl Iterator<Item = &Destination> {
        self.destinations.values()
    }

    /// All routes, in the order of the file.
    pub fn routes(&self) -> &[Route] {
        &self.in_order
    }

    /// The file's own tests, in order.
    pub fn tests(&self) -> &[Test] {
        &self.notes.tests
    }

    /// Names of the secrets that the destinations and trackers need.
    pub fn secret_names(&self) -> BTreeSet<String> {
        self.notes.secrets.iter().map(|secret| secret.name.clone()).collect()
    }

    /// A mistake for each place that asks for a secret which is not among the `available` names.
    pub fn missing_secrets(&self, available: &BTreeSet<String>) -> Vec<Mistake> {
        let missing = self.notes.secrets.iter().filter(|secret| !available.contains(&secret.name));
        missing
            .map(|secret| {
                let mistake = secret.place.mistake(format!("there is no secret `{}`", secret.name));
                match names::likely(&secret.name, available.iter().map(String::as_str)) {
                    Some(name) => mistake.help(format!("did you mean `secret:{name}`?")),
                    None => mistake.help("add it to the secrets of the destinations"),
                }
            })
            .collect()
    }

    /// A mistake at each destination of this type, for a build or a place that cannot do it.
    pub fn mistakes_of_kind(&self, kind: &str, message: &str) -> Vec<Mistake> {
        let of_kind = self.notes.kinds.iter().filter(|(own, _)| own == kind);
        of_kind.map(|(_, place)| place.mistake(message)).collect()
    }

    /// A mistake for each route that takes events of any organization: a public app is installed by strangers.
    pub fn open_to_strangers(&self) -> Vec<Mistake> {
        let open = self.in_order.iter().filter(|route| !route.when.is_closed_to_strangers());
        open.map(|route| {
            let message = format!("`{}` takes events of any organization, also of strangers'", route.name);
            let help = if route.default {
                "the app is public: give it `when = { organization = \"SLUG\" }` instead of `default`"
            } else {
                "the app is public: add `organization = \"SLUG\"` to its `when`"
            };
            route.place.mistake(message).help(help)
        })
        .collect()
    }

    /// A warning for each destination and tracker that a public app offers to nobody in Sentry. Routes go there all
    /// the same.
    pub fn offered_to_nobody(&self) -> &[Mistake] {
        &self.notes.unoffered
    }

    /// What is no mistake, but hardly meant: a key that the route's events never have, a route that is never reached.
    pub fn warnings(&self) -> &[Mistake] {
        &self.notes.warnings
    }
}

#[cfg(test)]
mod tests;
