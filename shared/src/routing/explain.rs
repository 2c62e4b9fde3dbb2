//! Why each route takes an event, or does not.

use std::fmt;

use serde_json::Value;

use super::decide::{Covered, LookedUp};
use super::key::Subject;
use super::pattern::{Condition, Verdict, When};
use super::{Route, Routes};
use crate::ids::DestinationName;
use crate::normalized::Normalized;

/// What became of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    pub route: String,
    pub outcome: Outcome,
}

/// `Display` says it in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It goes to these; to the others of its list an earlier route goes already.
    Taken { to: Vec<DestinationName>, stops: bool },
    /// The first key of `when` that does not match.
    Refused { key: String, wanted: String, found: Vec<String> },
    /// No table of `any` matches.
    NoneOfAny,
    /// All keys of `unless` match.
    Unless,
    /// It hangs on a key that only a look-up of the issue tells.
    NeedsIssue { key: String },
    /// An earlier route took the event and said `stop`.
    NotTried { stopped_by: String },
    /// A default, and another route took the event.
    NotNeeded,
}

impl Outcome {
    /// Where the route takes the event to; nothing if it does not.
    pub fn destinations(&self) -> &[DestinationName] {
        if let Self::Taken { to, .. } = self { to } else { &[] }
    }
}

/// Of a value, this much is shown.
const SHOWN_CHARS: usize = 60;
/// Of several values, so many.
const SHOWN_VALUES: usize = 3;

impl Routes {
    /// For each route, in the order of the file, what [`Routes::decide`] makes of it. Where it hangs on a look-up,
    /// the routes behind are explained as if the route had not taken the event.
    pub fn explain(&self, event: &Normalized, raw: &Value, looked_up: LookedUp) -> Vec<Explained> {
        let subject = Subject { event, raw, looked_up };
        let mut covered = Covered::default();
        let mut stopped_by: Option<&str> = None;
        let mut explained = Vec::with_capacity(self.in_order.len());
        let mut taken = false;
        for (route, places) in self.tried() {
            let outcome = match stopped_by {
                Some(by) => Outcome::NotTried { stopped_by: by.to_owned() },
                None => route.outcome(places, subject, &mut covered),
            };
            if let Outcome::Taken { stops, .. } = outcome {
                taken = true;
                stopped_by = stops.then_some(&route.name);
            }
            explained.push(Explained { route: route.name.clone(), outcome });
        }
        if let Some((default, places)) = self.default() {
            let outcome = if taken { Outcome::NotNeeded } else { default.outcome(places, subject, &mut covered) };
            let place = self.in_order.iter().position(|route| route.default).unwrap_or(explained.len());
            explained.insert(place, Explained { route: default.name.clone(), outcome });
        }
        explained
    }
}

impl Route {
    fn outcome(&self, places: &[usize], subject: Subject<'_>, covered: &mut Covered) -> Outcome {
        let unless = self.unless.as_ref();
        match self.verdict(subject) {
            Verdict::Yes => {
                let to = self.to.iter().zip(places).filter(|(_, place)| covered.insert(**place));
                Outcome::Taken { to: to.map(|(name, _)| name.clone()).collect(), stops: self.stop }
            }
            Verdict::Unknown => {
                let hangs = self.when.first(Verdict::Unknown, subject);
                let hangs = hangs.or_else(|| unless.and_then(|unless| unless.first(Verdict::Unknown, subject)));
                Outcome::NeedsIssue { key: hangs.map_or_else(|| "any".to_owned(), |hangs| hangs.key.to_string()) }
            }
            Verdict::No if self.when.verdict(subject) == Verdict::No => {
                let refuses = self.when.first(Verdict::No, subject);
                refuses.map_or(Outcome::NoneOfAny, |refuses| refuses.refused(subject))
            }
            Verdict::No => Outcome::Unless,
        }
    }
}

impl When {
    fn first(&self, verdict: Verdict, subject: Subject<'_>) -> Option<&Condition> {
        let own = self.conditions.iter().find(|condition| condition.verdict(subject) == verdict);
        let is_unknown = verdict == Verdict::Unknown;
        own.or_else(|| self.any.iter().filter(|_| is_unknown).find_map(|table| table.first(verdict, subject)))
    }
}

impl Condition {
    fn refused(&self, subject: Subject<'_>) -> Outcome {
        let mut found = Vec::new();
        self.key.find(subject, &mut |datum| {
            found.push(crate::destinations::one_line(&datum.to_string(), SHOWN_CHARS));
            false
        });
        Outcome::Refused { key: self.key.to_string(), wanted: self.text.to_string(), found }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { to, stops } => {
                f.write_str("taken")?;
                if to.is_empty() {
                    f.write_str(", an earlier route goes there already")?;
                } else {
                    let names: Vec<&str> = to.iter().map(DestinationName::as_str).collect();
                    write!(f, " → {}", names.join(", "))?;
                }
                if *stops { f.write_str("; stops here") } else { Ok(()) }
            }
            Self::Refused { key, wanted, found } => match &**found {
                [] => write!(f, "`{key}` is absent, wanted: {wanted}"),
                found => {
                    let more = if found.len() > SHOWN_VALUES { ", …" } else { "" };
                    let shown = found[..found.len().min(SHOWN_VALUES)].join(", ");
                    write!(f, "`{key}` is {shown}{more}, wanted: {wanted}")
                }
            },
            Self::NoneOfAny => f.write_str("no table of `any` matches"),
            Self::Unless => f.write_str("all of `unless` matches"),
            Self::NeedsIssue { key } => write!(f, "hangs on `{key}`, which only a look-up of the issue tells"),
            Self::NotTried { stopped_by } => write!(f, "not tried: `{stopped_by}` stops"),
            Self::NotNeeded => f.write_str("the default: another route took the event"),
        }
    }
}
