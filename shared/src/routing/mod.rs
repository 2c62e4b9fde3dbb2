//! The routes file: who hears of what.
//!
//! [`Routes::compile`] reads the TOML and finds every mistake with its place; [`Routes::decide`] says, for one event,
//! where it goes, or that this hangs on something only a look-up of the issue can tell. Nothing here does I/O.
//!
//! A file in force is never half understood: one mistake, and the whole of it is refused.

mod compile;
mod decide;
mod known;
mod mistake;
mod pattern;
mod source;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use self::decide::{Decision, LookedUp, Planned};
pub use self::mistake::{Mistake, Severity};
use self::pattern::When;
use self::source::Place;
use crate::ids::DestinationName;

/// A compiled routes file.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    destinations: BTreeMap<DestinationName, Destination>,
    /// In the order of the file; it decides which route gives a delivery its form.
    in_order: Vec<Route>,
    secrets: Vec<SecretUse>,
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
    when: When,
}

/// Where the file asks for a secret.
#[derive(Debug, Clone)]
struct SecretUse {
    name: String,
    place: Place,
}

impl Routes {
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

    /// Names of the secrets that the destinations need.
    pub fn secret_names(&self) -> BTreeSet<String> {
        self.secrets.iter().map(|secret| secret.name.clone()).collect()
    }

    /// A mistake for each place that asks for a secret which is not among the `available` names.
    pub fn missing_secrets(&self, available: &BTreeSet<String>) -> Vec<Mistake> {
        let missing = self.secrets.iter().filter(|secret| !available.contains(&secret.name));
        missing
            .map(|secret| {
                let mistake = secret.place.mistake(format!("there is no secret `{}`", secret.name));
                match known::likely(&secret.name, available.iter().map(String::as_str)) {
                    Some(name) => mistake.help(format!("did you mean `secret:{name}`?")),
                    None => mistake.help("add it to the secrets of the destinations"),
                }
            })
            .collect()
    }

    /// What is no mistake, but hardly meant: a key that the route's events never have, a route that is never reached.
    pub fn warnings(&self) -> &[Mistake] {
        &self.warnings
    }
}

#[cfg(test)]
mod tests;
