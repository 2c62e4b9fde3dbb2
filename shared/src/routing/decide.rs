//! One event in, its deliveries out.

use std::collections::BTreeSet;

use super::Routes;
use super::pattern::Verdict;
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
    /// Tries all routes in order, until one that matches says `stop`; a default takes what no other took.
    ///
    /// Asks for a look-up only if the outcome truly hangs on it.
    pub fn decide(&self, event: &Normalized, looked_up: LookedUp) -> Decision {
        let mut planned: Vec<Planned> = Vec::new();
        let mut covered: BTreeSet<&DestinationName> = BTreeSet::new();
        for route in self.in_order.iter().filter(|route| !route.default) {
            match route.when.verdict(event, looked_up) {
                Verdict::No => {}
                // Whether it matches or not, nothing would change: an earlier route goes wherever it goes.
                Verdict::Unknown if !route.stop && route.to.iter().all(|name| covered.contains(name)) => {}
                Verdict::Unknown => return Decision::NeedsIssue,
                Verdict::Yes => {
                    for name in route.to.iter().filter(|name| covered.insert(name)) {
                        planned.push(Planned { destination: name.clone(), route: route.name.clone() });
                    }
                    if route.stop {
                        return Decision::Deliver(planned);
                    }
                }
            }
        }
        if planned.is_empty()
            && let Some(default) = self.in_order.iter().find(|route| route.default)
        {
            let planned_by_default =
                default.to.iter().map(|name| Planned { destination: name.clone(), route: default.name.clone() });
            planned.extend(planned_by_default);
        }
        Decision::Deliver(planned)
    }
}
