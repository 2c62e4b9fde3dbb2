//! What a notification does to the incident that it belongs to, for destinations that ring until somebody cares.

use crate::ids;
use crate::normalized::Normalized;

/// What an event does to its incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It opens it, or says more of an open one.
    Trigger,
    /// Somebody takes care of it.
    Acknowledge,
    /// It is over, or put aside.
    Resolve,
}

impl Turn {
    /// Everything that a route sends and that ends nothing is a trigger, comments too: how bad it is, the tone says.
    pub(super) fn of(event: &Normalized) -> Self {
        match event.event.as_str() {
            "issue.resolved"
            | "issue.ignored"
            | "issue.archived"
            | "metric_alert.resolved"
            | "switchboard.destination_resumed" => Self::Resolve,
            // Nothing is sent when somebody is unassigned.
            "issue.assigned" => Self::Acknowledge,
            // Told of whatever became of an issue, its end too.
            "activity_alert.triggered" if matches!(event.status.as_deref(), Some("resolved" | "ignored")) => {
                Self::Resolve
            }
            _ => Self::Trigger,
        }
    }
}

/// The same for all events of one incident, 64 hex digits: that of its issue, of its metric alert's rule, or of the
/// destination that was paused. `None`: nothing later will be about the same.
pub(super) fn key(event: &Normalized) -> Option<String> {
    if let Some(issue) = &event.issue {
        return Some(ids::hash(["issue", &event.installation, issue]));
    }
    if let Some(destination) = event.destination.as_ref().filter(|_| event.resource == "switchboard") {
        return Some(ids::hash(["destination", destination]));
    }
    if event.resource != "metric_alert" {
        return None;
    }
    // A rule has one open alert at a time. `critical`, `warning` and `resolved` share the path of its page, which has
    // the rule's id; what follows the path may tell one notification from the next. Names need not be unique.
    let page = event.url.as_deref().and_then(|url| url.parse::<http::Uri>().ok());
    let path = page.as_ref().map(http::Uri::path).filter(|path| *path != "/");
    Some(ids::hash(["metric_alert", &event.installation, path.or(event.rule.as_deref())?]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::tests::sample;

    #[test]
    fn events_of_one_issue_or_one_alert_are_one_incident() {
        let event = |name: &str| Normalized::of(&sample(name));
        let with_issue = |name: &str, issue: &str| Normalized {
            installation: "one".to_owned(),
            issue: Some(issue.to_owned()),
            ..event(name)
        };
        let created = key(&with_issue("issue.created", "7"));
        assert_eq!(created.as_ref().map(String::len), Some(64));
        for name in ["issue.assigned", "issue.resolved", "error.created", "event_alert.triggered", "comment.created"] {
            assert_eq!(key(&with_issue(name, "7")), created, "{name}");
        }
        assert_ne!(key(&with_issue("issue.created", "8")), created, "another issue");
        let elsewhere = Normalized { installation: "another".to_owned(), ..with_issue("issue.created", "7") };
        assert_ne!(key(&elsewhere), created, "another installation");

        let critical = event("metric_alert.critical");
        assert!(key(&critical).is_some());
        assert_eq!(key(&critical), key(&event("metric_alert.resolved")));
        let of_page = |page: Option<&str>, rule: &str| {
            key(&Normalized { url: page.map(str::to_owned), rule: Some(rule.to_owned()), ..critical.clone() })
        };
        let page = "https://sentry.example/organizations/acme/alerts/rules/details/2/";
        assert_eq!(of_page(Some(&format!("{page}?notification_uuid=a")), "Slow"), of_page(Some(page), "Slower"));
        assert_ne!(of_page(Some(page), "Slow"), of_page(Some(&page.replace("/2/", "/3/")), "Slow"));
        assert_ne!(of_page(None, "Slow"), of_page(None, "Slower"));
        assert_eq!(key(&event("preprod_artifact.size_analysis_completed")), None);

        let own = |event: &str, destination: &str| Normalized {
            event: event.to_owned(),
            resource: "switchboard".to_owned(),
            destination: Some(destination.to_owned()),
            ..Normalized::default()
        };
        let paused = own("switchboard.destination_paused", "phones");
        assert!(key(&paused).is_some());
        assert_eq!(key(&paused), key(&own("switchboard.destination_resumed", "phones")));
        assert_ne!(key(&paused), key(&own("switchboard.destination_paused", "chat")));
        assert_eq!(Turn::of(&own("switchboard.destination_resumed", "phones")), Turn::Resolve);
    }

    #[test]
    fn an_event_opens_acknowledges_or_ends_its_incident() {
        let cases = [
            ("issue.created", Turn::Trigger),
            ("issue.unresolved", Turn::Trigger),
            ("issue.assigned", Turn::Acknowledge),
            ("issue.ignored", Turn::Resolve),
            ("issue.resolved", Turn::Resolve),
            ("event_alert.triggered", Turn::Trigger),
            ("metric_alert.critical", Turn::Trigger),
            ("metric_alert.resolved", Turn::Resolve),
            ("error.created", Turn::Trigger),
            ("comment.created", Turn::Trigger),
        ];
        for (name, expected) in cases {
            assert_eq!(Turn::of(&Normalized::of(&sample(name))), expected, "{name}");
        }
        let alert = Normalized::of(&sample("activity_alert.triggered"));
        for (status, expected) in
            [("unresolved", Turn::Trigger), ("resolved", Turn::Resolve), ("ignored", Turn::Resolve)]
        {
            let alert = Normalized { status: Some(status.to_owned()), ..alert.clone() };
            assert_eq!(Turn::of(&alert), expected, "an activity alert of an issue that is {status}");
        }
    }
}
