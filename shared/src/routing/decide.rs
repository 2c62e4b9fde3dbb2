//! One event in, its deliveries out.

use serde_json::Value;

use super::guard::Guard;
use super::key::Subject;
use super::pattern::Verdict;
use super::{Route, Routes};
use crate::ids::DestinationName;
use crate::normalized::Normalized;

/// Whether the event holds what a look-up of its issue tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookedUp {
    /// Not tried yet.
    No,
    Yes,
    /// For good: the event is matched with what is known.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Where it goes hangs on what a look-up of the issue can tell. Never after [`LookedUp::Yes`] or `Failed`.
    NeedsIssue,
    /// One for each destination, in the order of the routes; none if no route takes the event.
    Deliver(Vec<Planned>),
}

/// One delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub destination: DestinationName,
    /// The first route in the file that goes there: it gives the delivery its form.
    pub route: String,
}

impl Routes {
    /// Tries all routes in order, until one that matches says `stop`; a default takes what no other took. `raw` is the
    /// whole body, into which paths that begin with `data.` lead.
    ///
    /// Asks for a look-up only if the outcome hangs on it. Allocates for the deliveries alone, however many routes
    /// there are.
    pub fn decide(&self, event: &Normalized, raw: &Value, looked_up: LookedUp) -> Decision {
        let subject = Subject { event, raw, looked_up };
        let mut covered = Covered::default();
        let mut planned: Vec<Planned> = Vec::new();
        let seen = Guard::seen(subject);
        let open = self.guards.iter().enumerate().filter(|(_, guard)| guard.lets_pass(&seen));
        for (at, _) in open {
            let (route, to) = (&self.in_order[at], &*self.places[at]);
            match route.verdict(subject) {
                Verdict::No => {}
                // Whether it matches or not, nothing would change: an earlier route goes wherever it goes.
                Verdict::Unknown if !route.stop && covered.all(to) => {}
                Verdict::Unknown => return Decision::NeedsIssue,
                Verdict::Yes => {
                    planned.extend(covered.add(route, to));
                    if route.stop {
                        return Decision::Deliver(planned);
                    }
                }
            }
        }
        if planned.is_empty()
            && let Some((default, to)) = self.default()
        {
            match default.verdict(subject) {
                Verdict::No => {}
                Verdict::Unknown => return Decision::NeedsIssue,
                Verdict::Yes => planned.extend(covered.add(default, to)),
            }
        }
        Decision::Deliver(planned)
    }

    /// All routes but the default, each with the places of its destinations.
    pub(super) fn tried(&self) -> impl Iterator<Item = (&Route, &[usize])> {
        self.with_places().filter(|(route, _)| !route.default)
    }

    pub(super) fn default(&self) -> Option<(&Route, &[usize])> {
        self.with_places().find(|(route, _)| route.default)
    }

    fn with_places(&self) -> impl Iterator<Item = (&Route, &[usize])> {
        self.in_order.iter().zip(self.places.iter().map(|places| &**places))
    }
}

/// The destinations that are planned for, by their place among all; a bit each.
#[derive(Default)]
pub(super) struct Covered(Vec<u64>);

impl Covered {
    fn has(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|bits| bits & (1 << (place % 64)) != 0)
    }

    fn all(&self, places: &[usize]) -> bool {
        places.iter().all(|place| self.has(*place))
    }

    /// True if it was not there before.
    pub(super) fn insert(&mut self, place: usize) -> bool {
        if self.has(place) {
            return false;
        }
        if self.0.len() <= place / 64 {
            self.0.resize(place / 64 + 1, 0);
        }
        self.0[place / 64] |= 1 << (place % 64);
        true
    }

    /// The deliveries of a route to destinations that no earlier one goes to.
    fn add(&mut self, route: &Route, places: &[usize]) -> Vec<Planned> {
        let to = route.to.iter().zip(places).filter(|(_, place)| self.insert(**place));
        to.map(|(name, _)| Planned { destination: name.clone(), route: route.name.clone() }).collect()
    }
}
