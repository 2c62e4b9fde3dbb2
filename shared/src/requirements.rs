//! What the integration must be allowed in Sentry for a routes file: permissions, webhooks and the alert-rule action,
//! each with what needs it.

use crate::components::schema::{self, Component};
use crate::destinations::opens_tickets;
use crate::routing::{Routes, Taken};

/// The webhooks that can be subscribed to, and the scope that Sentry wants for each.
const SUBSCRIPTIONS: [(&str, &str); 5] = [
    ("issue", EVENT_READ),
    ("error", EVENT_READ),
    ("comment", EVENT_READ),
    ("seer", EVENT_READ),
    ("preprod_artifact", "project:read"),
];
/// What comes by alert rules that name the integration, and by no subscription.
const BY_ALERT_RULES: [&str; 3] = ["event_alert", "metric_alert", "activity_alert"];
const EVENT_READ: &str = "event:read";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirements {
    /// The switch that lets alert rules name the integration.
    pub alert_rules: Need,
    /// Of every scope and resource that may be needed, also those that are not.
    pub permissions: Vec<Need>,
    pub subscriptions: Vec<Need>,
}

/// One thing to allow or to switch on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Need {
    /// A scope or a resource.
    pub name: &'static str,
    /// Of a subscription: the actions that are named, if not all are.
    pub actions: Vec<&'static str>,
    /// What needs it, for people; empty: nothing does.
    pub by: Vec<String>,
    /// Routes that name no events: they take it if it comes.
    pub welcomed_by: Vec<String>,
}

impl Need {
    fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    pub fn is_needed(&self) -> bool {
        !self.by.is_empty()
    }
}

impl Requirements {
    pub fn of(routes: &Routes) -> Self {
        let taken: Vec<(&str, Taken)> = routes.routes().iter().map(|route| (&*route.name, route.taken())).collect();
        let mut subscriptions: Vec<Need> =
            SUBSCRIPTIONS.iter().map(|(resource, _)| of_resources(&taken, resource, &[resource])).collect();
        // Tickets that a route opened are closed by the same events, and those are in the routes too.
        let mut alert_rules = of_resources(&taken, "alert rules", &BY_ALERT_RULES);
        alert_rules.actions = Vec::new();
        if Component::AlertRuleAction.is_configured(routes) {
            alert_rules.by.insert(0, format!("component `{}`", Component::AlertRuleAction.name()));
        }
        let mut permissions = vec![Need::new(EVENT_READ), Need::new("project:read")];
        for permission in &mut permissions {
            let own = SUBSCRIPTIONS.iter().zip(&subscriptions).filter(|((_, scope), _)| *scope == permission.name);
            for (_, subscription) in own {
                if subscription.is_needed() {
                    permission.by.push(format!("webhook `{}`", subscription.name));
                } else if !subscription.welcomed_by.is_empty() {
                    permission.welcomed_by.push(format!("webhook `{}`", subscription.name));
                }
            }
        }
        let event_read = &mut permissions[0].by;
        event_read.extend(taken.iter().filter_map(|(name, taken)| {
            let key = taken.looks_up.as_ref()?;
            Some(format!("route `{name}`: looks the issue up for `{key}`"))
        }));
        let opens = routes.destinations().filter(|destination| opens_tickets(&destination.kind));
        event_read
            .extend(opens.map(|opens| format!("destination `{}`: links its tickets to their issues", opens.name)));
        for subscription in &mut subscriptions {
            subscription.actions.sort_unstable();
            subscription.actions.dedup();
        }
        Self { alert_rules, permissions, subscriptions }
    }

    /// Names of the components that the schema has.
    pub fn components(routes: &Routes) -> Vec<&'static str> {
        schema::configured(routes).map(Component::name).collect()
    }
}

fn of_resources(taken: &[(&str, Taken)], name: &'static str, resources: &[&str]) -> Need {
    let mut need = Need::new(name);
    for (route, taken) in taken {
        let of_these = taken.events.iter().filter_map(|event| {
            let (resource, action) = event.split_once('.')?;
            resources.contains(&resource).then_some(action)
        });
        let actions: Vec<&str> = of_these.collect();
        if actions.is_empty() {
            continue;
        }
        let shown = format!("route `{route}`");
        if taken.whatever_comes {
            need.welcomed_by.push(shown);
        } else {
            need.by.push(shown);
            need.actions.extend(actions);
        }
    }
    need
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "[[destination]]\nname = \"log\"\ntype = \"console\"\n";

    fn of(when: &str) -> Requirements {
        let text = format!("{LOG}[[route]]\nname = \"r\"\n{when}\nto = [\"log\"]\n");
        Requirements::of(&Routes::compile(&text).unwrap_or_else(|mistakes| panic!("{}", mistakes[0])))
    }

    /// `issue(created)`, `+error` for what is merely welcome.
    fn shown(needs: &[Need]) -> String {
        let one = |need: &Need| match (need.is_needed(), need.welcomed_by.is_empty()) {
            (true, _) if need.actions.is_empty() => Some(need.name.to_owned()),
            (true, _) => Some(format!("{}({})", need.name, need.actions.join(","))),
            (false, false) => Some(format!("+{}", need.name)),
            (false, true) => None,
        };
        needs.iter().filter_map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_route_needs_the_webhooks_that_it_names_and_their_scopes() {
        const EVERYTHING: &str = "+issue +error +comment +seer +preprod_artifact";
        for (when, subscriptions, permissions) in [
            ("when = { event = \"issue.created\" }", "issue(created)", "event:read"),
            ("when = { event = \"issue.archived\" }", "issue(ignored)", "event:read"),
            ("when = { event = [\"issue.resolved\", \"error.*\"] }", "issue(resolved) error(created)", "event:read"),
            ("when = { resource = \"comment\", action = \"created\" }", "comment(created)", "event:read"),
            (
                "when = { event = \"issue.*\" }\nunless = { event = { not = \"issue.created\" } }",
                "issue(created)",
                "event:read",
            ),
            (
                "when = { event = \"issue.*\" }\nunless = { event = \"issue.created\", level = \"info\" }",
                "issue(assigned,created,ignored,resolved,unresolved)",
                "event:read",
            ),
            (
                "when = { any = [{ event = \"issue.created\" }, { event = \"seer.pr_created\" }] }",
                "issue(created) seer(pr_created)",
                "event:read",
            ),
            (
                "when = { event = [\"issue.created\", \"error.created\"], tag.a = \"b\" }",
                "error(created)",
                "event:read",
            ),
            (
                "when = { event = \"preprod_artifact.*\" }",
                "preprod_artifact(build_distribution_completed,size_analysis_completed)",
                "project:read",
            ),
            ("when = { event = \"metric_alert.critical\" }", "", ""),
            ("when = { event = \"event_alert.triggered\", level = \"fatal\" }", "", "event:read"),
            ("when = { event = \"event_alert.triggered\" }", "", ""),
            ("when = { event = \"switchboard.*\" }", "", ""),
            ("when = {}", EVERYTHING, "+event:read +project:read"),
            ("default = true", EVERYTHING, "+event:read +project:read"),
            ("when = { event = \"*\" }", EVERYTHING, "+event:read +project:read"),
        ] {
            let requirements = of(when);
            assert_eq!(shown(&requirements.subscriptions), subscriptions, "{when}");
            assert_eq!(shown(&requirements.permissions), permissions, "{when}");
        }
    }

    #[test]
    fn alert_rules_are_needed_by_the_component_and_by_routes_that_take_alerts() {
        for (when, by) in [
            ("when = { event = \"issue.created\" }", &["component `alert-rule-action`"][..]),
            ("when = { event = \"metric_alert.*\" }", &["component `alert-rule-action`", "route `r`"]),
            ("when = { event = \"event_alert.triggered\" }", &["component `alert-rule-action`", "route `r`"]),
        ] {
            assert_eq!(of(when).alert_rules.by, by, "{when}");
        }
        assert!(!Requirements::of(&Routes::default()).alert_rules.is_needed());
    }

    #[test]
    fn a_look_up_is_told_with_its_route_and_key() {
        let by = |when: &str| of(when).permissions[0].by.clone();
        assert_eq!(
            by("when = { event = \"event_alert.triggered\", project = \"x\" }"),
            ["route `r`: looks the issue up for `project`"]
        );
        assert_eq!(
            by("when = { event = \"comment.*\" }\nunless = { title = \"x\" }"),
            ["webhook `comment`", "route `r`: looks the issue up for `title`"]
        );
        assert_eq!(by("when = { event = \"issue.created\", project = \"x\" }"), ["webhook `issue`"]);
        assert_eq!(by("when = { event = \"metric_alert.*\", project = \"x\" }"), Vec::<String>::new());
    }
}
