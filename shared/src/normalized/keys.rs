//! What each key of the normalized event means and where it comes from: one table, from which `docs/normalized.md` is
//! made and which templates take their names from.

use std::fmt::Write;

/// One key, named as in JSON.
pub struct Key {
    pub name: &'static str,
    pub meaning: &'static str,
    /// Resources, and where in their `data` (or beside it) the value is found.
    pub filled: &'static [(&'static [&'static str], &'static str)],
    /// Whether a look-up of the issue can fill it.
    pub look_up: bool,
}

/// Stands for every resource, those that nobody knows yet among them.
pub const ANY: &str = "any";

const ISSUE: &[&str] = &["issue", "activity_alert"];
const EVENT: &[&str] = &["error", "event_alert"];

/// Every key, in the order of the JSON.
pub const KEYS: &[Key] = &[
    key("event", "`resource.action` as Sentry sends it; an archived issue is `issue.ignored`", &[(&[ANY], "header `Sentry-Hook-Resource` and `action`")]),
    key("resource", "the part of `event` before the dot", &[(&[ANY], "header `Sentry-Hook-Resource`")]),
    key("action", "the part of `event` after the dot", &[(&[ANY], "`action`")]),
    key("installation", "UUID of the installation", &[(&[ANY], "`installation.uuid`")]),
    key("organization", "slug of the organization", &[
        (&["installation", "uninstallation"], "`installation.organization.slug`"),
        (ISSUE, "`issue.url`, else the path of its page"),
        (EVENT, "`url`, `issue_url`, else the path of `web_url`"),
        (&["metric_alert"], "the path of `web_url`"),
        (&["preprod_artifact"], "`organizationSlug`"),
    ])
    .or_look_up(),
    key("project", "an object of `id`, `slug` and `name`, as far as they are known; `when` matches slug and name", &[
        (ISSUE, "`issue.project`"),
        (EVENT, "id: `project`; slug: in `url`"),
        (&["metric_alert"], "slug: the first of `metric_alert.projects`"),
        (&["comment"], "slug: `project_slug`"),
        (&["preprod_artifact"], "`projectId`, `projectSlug`"),
        (&["switchboard"], "`issue_project`: that of the ticket's issue"),
    ])
    .or_look_up(),
    key("more_projects", "slugs of the other projects of an alert", &[(&["metric_alert"], "the rest of `metric_alert.projects`")]),
    key("level", "`fatal`, `error`, `warning`, `info`, `debug` or `sample`", &[
        (ISSUE, "`issue.level`"),
        (EVENT, "`level`, else the tag `level`"),
        (&["switchboard"], "`level`: that of the ticket's issue"),
    ])
    .or_look_up(),
    key("environment", "the environment that the event came from", &[(EVENT, "`environment`, else the tag `environment`")]),
    key("platform", "`python`, `rust`, …; of a mobile build `APPLE` or `ANDROID`", &[
        (ISSUE, "`issue.platform`"),
        (EVENT, "`platform`"),
        (&["preprod_artifact"], "`platform`"),
    ])
    .or_look_up(),
    key("release", "the release that the event came from; of a mobile build its version", &[
        (EVENT, "`release`, else the tag `release`"),
        (&["preprod_artifact"], "`appInfo.version`"),
    ]),
    key("title", "the title of the issue, the event or the alert; of a mobile build its name and version", &[
        (ISSUE, "`issue.title`"),
        (EVENT, "`title`"),
        (&["metric_alert"], "`description_title`, else `metric_alert.title`"),
        (&["preprod_artifact"], "`appInfo.name`, `appInfo.version`"),
        (&["switchboard"], "`title`: that of the issue"),
        (&[ANY], "`text` beside `data`, where there is neither a title nor an issue"),
    ])
    .or_look_up(),
    key("culprit", "where it happened: a function, a route", &[(ISSUE, "`issue.culprit`"), (EVENT, "`culprit`")]).or_look_up(),
    key("value", "an exception's own text, a comment's text, an alert's measure, what Seer found, why a build or a destination failed, what a ticket is called", &[
        (ISSUE, "`issue.metadata.value`"),
        (&["activity_alert"], "`activity.type` with `activity.details`, where they are there"),
        (EVENT, "`metadata.value`, else `message`"),
        (&["metric_alert"], "`description_text`"),
        (&["comment"], "`comment`"),
        (&["seer"], "`root_cause`, `solution`, `changes` or `pull_requests`: the first description or title"),
        (&["preprod_artifact"], "`errorMessage`, else `errorCode`"),
        (&["switchboard"], "`reason`; of a ticket `project` and `identifier`"),
    ])
    .or_look_up(),
    key("issue", "id of the issue, digits as text", &[
        (ISSUE, "`issue.id`"),
        (EVENT, "`issue_id`"),
        (&["comment"], "`issue_id`"),
        (&["seer"], "`group_id`"),
        (&["switchboard"], "`issue`"),
    ]),
    key("short_id", "`BACKEND-1A`", &[(ISSUE, "`issue.shortId`")]).or_look_up(),
    key("status", "of an issue `unresolved`, `resolved` or `ignored`; of a mobile build `completed` or `failed`", &[
        (ISSUE, "`issue.status`"),
        (&["preprod_artifact"], "`state`, in small letters"),
    ]),
    key("substatus", "`new`, `ongoing`, `regressed`, `escalating`, `archived_until_escalating`, …", &[(ISSUE, "`issue.substatus`")]),
    key("assignee", "display name of the user or team; slug of a team where no assignment is told", &[
        (&["issue"], "`assignee.name`, else `issue.assignedTo.name`"),
        (&["activity_alert"], "`issue.assignedTo.name`"),
    ]),
    key("count", "a number: events of the issue; deliveries that wait for a paused destination", &[
        (ISSUE, "`issue.count`"),
        (&["switchboard"], "`parked`"),
    ]),
    key("users", "a number: users who met the issue", &[(ISSUE, "`issue.userCount`")]),
    key("first_seen", "when the issue was first seen, or since when a destination is paused; ISO 8601", &[
        (ISSUE, "`issue.firstSeen`"),
        (&["switchboard"], "`since`"),
    ])
    .or_look_up(),
    key("rule", "label of the alert rule", &[
        (&["event_alert"], "`triggered_rule`, else `issue_alert.title`"),
        (&["metric_alert"], "`metric_alert.alert_rule.name`"),
        (&["activity_alert"], "`alert.name`, else `alert.title`"),
    ]),
    key("actor", "display name of who did it: a person, an app, `Sentry`", &[(&[ANY], "`actor.name` beside `data`")]),
    key("url", "the page to open, as the payload gives it", &[
        (ISSUE, "`issue.web_url`, `issue.webUrl` or `issue.permalink`"),
        (EVENT, "`web_url`"),
        (&["metric_alert"], "`web_url`"),
        (&["seer"], "`pull_requests[0].pull_request.pr_url`"),
        (&["preprod_artifact"], "`installUrl`"),
        (&["switchboard"], "`url`: that of the ticket"),
    ])
    .or_look_up(),
    key("destination", "name of the destination that an event of the switchboard itself is about", &[(&["switchboard"], "`destination`")]),
    key("tags", "name = value, all text; in `when` a tag is `tag.NAME`", &[(EVENT, "`tags`, those with a value")]),
    key("look_up_failed", "`true` where a route asked for what only the issue could tell, and the issue could not be read", &[(&[ANY], "the switchboard's own")]),
];

const fn key(
    name: &'static str,
    meaning: &'static str,
    filled: &'static [(&'static [&'static str], &'static str)],
) -> Key {
    Key { name, meaning, filled, look_up: false }
}

impl Key {
    const fn or_look_up(self) -> Self {
        Self { look_up: true, ..self }
    }

    /// Whether events of this resource can have it without a look-up.
    pub fn is_filled_by(&self, resource: &str) -> bool {
        self.filled.iter().any(|(resources, _)| resources.iter().any(|known| *known == ANY || *known == resource))
    }
}

/// The table in Markdown.
pub fn table() -> String {
    let mut table = String::from("| key | meaning | filled by, from | look-up |\n|---|---|---|---|\n");
    for key in KEYS {
        let filled: Vec<String> =
            key.filled.iter().map(|(resources, from)| format!("{}: {from}", resources.join(", "))).collect();
        let look_up = if key.look_up { "yes" } else { "" };
        // Writing into a `String` does not fail.
        let _ = writeln!(table, "| `{}` | {} | {} | {look_up} |", key.name, key.meaning, filled.join("<br>"));
    }
    table
}
