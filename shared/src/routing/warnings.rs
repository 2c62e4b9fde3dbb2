//! What is no mistake, but hardly meant.

use super::Route;
use super::mistake::Mistake;

pub(super) fn never_reached(routes: &[Route]) -> Vec<Mistake> {
    let mut warnings = Vec::new();
    let mut stopped_by: Option<&str> = None;
    for route in routes.iter().filter(|route| !route.default) {
        if let Some(by) = stopped_by {
            let message = format!("`{}` is never reached: `{by}` before it takes everything and stops", route.name);
            warnings.push(route.place.mistake(message).warning());
        } else if route.stop && route.takes_everything() {
            stopped_by = Some(&route.name);
        }
    }
    let everything = routes.iter().find(|route| !route.default && route.takes_everything());
    if let (Some(default), Some(everything)) = (routes.iter().find(|route| route.default), everything) {
        let message = format!("the default is never reached: `{}` takes everything", everything.name);
        warnings.push(default.place.mistake(message).warning());
    }
    warnings
}
