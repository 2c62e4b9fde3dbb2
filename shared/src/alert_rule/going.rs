//! What alert rules ask for besides the routes: a delivery to the destination that somebody picked in Sentry.

use super::{Picked, ROUTE, ROUTE_OF_PUBLIC, RuleSettings};
use crate::destinations::one_line;
use crate::ids::DestinationName;
use crate::routing::{self, Destination, Planned, Routes};

/// One delivery, with what a rule says of it.
#[derive(Debug)]
pub struct Going {
    pub planned: Planned,
    pub rule: Option<RuleSettings>,
    /// Why it cannot go: then it begins as a dead letter.
    pub refused: Option<String>,
}

/// The routes' deliveries and the rules'. Where both go to one destination it is one delivery, in the route's form and
/// with the rule's settings. What a rule picks in vain is refused and told, since somebody waits for it; the second list
/// is that where a route goes there all the same.
pub fn with_rules(
    routes: &Routes,
    planned: Vec<Planned>,
    picked: Vec<Picked>,
    organization: Option<&str>,
    is_public: bool,
) -> (Vec<Going>, Vec<String>) {
    let by_route = |planned| Going { planned, rule: None, refused: None };
    let mut going: Vec<Going> = planned.into_iter().map(by_route).collect();
    let mut in_vain = Vec::new();
    let route = if is_public { ROUTE_OF_PUBLIC } else { ROUTE };
    for Picked { destination, settings } in picked {
        let (name, refused) = aim(routes, &destination, &settings, organization, is_public);
        match (going.iter_mut().find(|own| own.planned.destination == name), refused) {
            (Some(own), None) => own.rule = Some(settings),
            (Some(_), Some(why)) => {
                in_vain.push(format!("{why}; a route goes there all the same, without the rule's settings"));
            }
            (None, refused) => {
                let planned = Planned { destination: name, route: route.to_owned() };
                going.push(Going { planned, rule: Some(settings), refused });
            }
        }
    }
    (going, in_vain)
}

/// Why a delivery cannot go that a rule alone asked for, as its route says; looked at again when it goes, since routes
/// change and an operator sends again many at once.
pub(crate) fn not_offered_any_more(
    route: &str,
    settings: Option<&RuleSettings>,
    destination: &Destination,
    organization: Option<&str>,
) -> Option<String> {
    let is_public = match route {
        ROUTE => false,
        ROUTE_OF_PUBLIC => true,
        _ => return None,
    };
    let why = not_offered(destination, organization, is_public)?;
    Some(said(settings, destination.name.as_str(), &why))
}

/// The destination that a rule means, and why nothing can go there.
fn aim(
    routes: &Routes,
    written: &str,
    settings: &RuleSettings,
    organization: Option<&str>,
    is_public: bool,
) -> (DestinationName, Option<String>) {
    let said = |why: &str| Some(said(Some(settings), written, why));
    let Ok(name) = written.parse::<DestinationName>() else {
        return (stand_in(routes, written), said("which is no destination's name: pick another in the rule"));
    };
    let Some(destination) = routes.destination(&name) else {
        let why =
            "which the routes do not have (any more): put it back and send this again, or pick another in the rule";
        return (name, said(why));
    };
    (name, not_offered(destination, organization, is_public).and_then(|why| said(&why)))
}

fn not_offered(destination: &Destination, organization: Option<&str>, is_public: bool) -> Option<String> {
    if routing::is_offered_to(destination.organizations.as_deref(), organization, is_public) {
        return None;
    }
    let whom = organization.map_or_else(|| "an organization that is not known".to_owned(), |slug| format!("`{slug}`"));
    Some(format!(
        "which the routes do not offer to {whom} (any more): name it in the destination's `organizations` and send this again, or pick another in the rule"
    ))
}

fn said(settings: Option<&RuleSettings>, destination: &str, why: &str) -> String {
    let rule = settings.and_then(|settings| settings.rule.as_deref()).unwrap_or("?");
    format!("the alert rule `{rule}` picks the destination `{}`, {why}", one_line(destination, 80))
}

/// A name that can stand in a record, and that nothing has: what is recorded under it must reach nobody.
fn stand_in(routes: &Routes, written: &str) -> DestinationName {
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let text: String = written.chars().take(48).map(fit).collect();
    let names = (1_u64..).map(|n| if n == 1 { format!("{text}_") } else { format!("{text}_{n}") });
    let mut free = names.filter_map(|name| name.parse().ok()).filter(|name| routes.destination(name).is_none());
    free.next().expect("there are more numbers than destinations")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = r#"
[[destination]]
name = "open"
type = "console"

[[destination]]
name = "acme-s"
type = "console"
organizations = ["acme"]

[[destination]]
name = "a_b_"
type = "console"
"#;

    #[test]
    fn a_rule_reaches_what_the_routes_have_and_offer_to_its_organization() {
        let routes = Routes::compile(ROUTES).unwrap();
        let (acme, other) = (Some("acme"), Some("other"));
        for (written, organization, is_public, name, refused) in [
            ("open", None, false, "open", None),
            ("open", acme, true, "open", Some("do not offer to `acme`")),
            ("acme-s", acme, true, "acme-s", None),
            ("acme-s", acme, false, "acme-s", None),
            ("acme-s", other, true, "acme-s", Some("do not offer to `other`")),
            ("acme-s", None, false, "acme-s", Some("an organization that is not known")),
            ("gone", acme, false, "gone", Some("do not have (any more)")),
            ("a b", acme, false, "a_b_2", Some("no destination's name")),
            ("ü/../x", acme, false, "_____x_", Some("no destination's name")),
            ("", acme, false, "_", Some("no destination's name")),
        ] {
            let (found, why) = aim(&routes, written, &RuleSettings::default(), organization, is_public);
            assert_eq!(found.as_str(), name, "{written}");
            match (why, refused) {
                (None, None) => {}
                (Some(why), Some(part)) => assert!(why.contains(part), "{written}: {why}"),
                (why, _) => panic!("{written}: {why:?}"),
            }
        }
        let (long, _) = aim(&routes, &"n".repeat(5000), &RuleSettings::default(), acme, false);
        assert_eq!(long.as_str(), format!("{}_", "n".repeat(48)));
    }
}
