//! What is no mistake, but hardly meant.

use super::Route;
use super::known;
use super::mistake::Mistake;
use super::pattern::{Key, Matcher, event_matches};
use super::source::Place;

/// A route, and where its parts are in the file.
pub(super) struct Placed {
    pub(super) route: Route,
    pub(super) name: Place,
    /// The keys of its `when`.
    pub(super) keys: Vec<(Key, Place)>,
}

pub(super) fn of(routes: &[Placed]) -> Vec<Mistake> {
    routes.iter().flat_map(asked_in_vain).chain(never_reached(routes)).collect()
}

/// Keys that no event of the route ever has.
fn asked_in_vain(placed: &Placed) -> Vec<Mistake> {
    let Some(events) = placed.route.when.pattern(Key::Event) else { return Vec::new() };
    let mut warnings = Vec::new();
    for (key, place) in &placed.keys {
        let never = |resource: &str| match key {
            Key::Level => known::WITHOUT_LEVEL.contains(&resource),
            Key::Environment => !known::WITH_ENVIRONMENT.contains(&resource),
            _ => false,
        };
        let vain = events.any.iter().filter_map(|matcher| match matcher {
            Matcher::Event(pattern) if never_has(pattern, &never) => Some(pattern.as_str()),
            _ => None,
        });
        let vain: Vec<&str> = vain.collect();
        if !vain.is_empty() {
            let verb = if vain.len() == 1 { "has" } else { "have" };
            let what = if *key == Key::Level { "a level" } else { "an environment" };
            let warning =
                place.mistake(format!("{} never {verb} {what}: so this never matches there", known::listed(vain)));
            let help = match key {
                Key::Level => "only `issue`, `error`, `event_alert` and `activity_alert` have a level".to_owned(),
                _ => format!("only {} have an environment", known::listed(known::WITH_ENVIRONMENT.iter().copied())),
            };
            warnings.push(warning.help(help).warning());
        }
    }
    warnings
}

/// Whether all known events of the pattern are of such a resource; of unknown ones nobody can tell.
fn never_has(pattern: &str, never: &impl Fn(&str) -> bool) -> bool {
    let mut matched = known::EVENTS.iter().filter(|event| event_matches(pattern, event)).peekable();
    matched.peek().is_some() && matched.all(|event| never(known::resource(event)))
}

fn never_reached(routes: &[Placed]) -> Vec<Mistake> {
    let mut warnings = Vec::new();
    let mut stopped_by: Option<&str> = None;
    for placed in routes.iter().filter(|placed| !placed.route.default) {
        if let Some(by) = stopped_by {
            let message =
                format!("`{}` is never reached: `{by}` before it takes everything and stops", placed.route.name);
            warnings.push(placed.name.mistake(message).warning());
        } else if placed.route.stop && placed.route.when.takes_everything() {
            stopped_by = Some(&placed.route.name);
        }
    }
    let everything = routes.iter().find(|placed| !placed.route.default && placed.route.when.takes_everything());
    if let (Some(default), Some(everything)) = (routes.iter().find(|placed| placed.route.default), everything) {
        let message = format!("the default is never reached: `{}` takes everything", everything.route.name);
        warnings.push(default.name.mistake(message).warning());
    }
    warnings
}
