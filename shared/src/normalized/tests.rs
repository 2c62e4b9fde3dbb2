use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::payload::Event;
use crate::payload::tests::sample;

const BASE: &str = "https://sentry.example/";

/// What a sample must mean: organization, project (id, slug, name), issue, level, headline, value, link.
type Expected = (&'static str, [&'static str; 3], &'static str, &'static str, &'static str, &'static str, &'static str);

/// `""` stands for absent.
#[rustfmt::skip]
const SAMPLES: &[(&str, Expected)] = &[
    ("installation.created", ("org-full-e55706", ["", "", ""], "", "", "installation.created", "", "")),
    ("installation.deleted", ("org-full-e55706", ["", "", ""], "", "", "installation.deleted", "", "")),
    ("issue.created", BACKEND), ("issue.assigned", BACKEND), ("issue.resolved", BACKEND), ("issue.ignored", BACKEND),
    ("issue.unresolved", CHECKOUT), ("activity_alert.triggered", ("example-org", ["4507", "checkout", "Checkout"], "7410025581", "error",
        "TimeoutError: upstream did not answer", "seer pr created: https://github.com/example-org/checkout/pull/231",
        "https://example-org.sentry.io/issues/7410025581/")),
    ("error.created", ("org-full-e55706", ["3", "backend", ""], "2", "error", "ValueError: division by zero", "division by zero",
        "http://127.0.0.1:29010/organizations/org-full-e55706/issues/2/events/34c65e86965e41d993b83d829ea50717/")),
    ("event_alert.triggered", ("org-plain-e55706", ["4", "backend", ""], "6", "error", "ValueError: plain alert", "plain alert",
        "http://127.0.0.1:29010/organizations/org-plain-e55706/issues/6/events/bfa3e7788ad344cdaa1c8e142dbc4b29/")),
    ("comment.created", ("", ["", "backend", ""], "2", "", "comment.created", "a first comment", "")),
    ("comment.updated", ("", ["", "backend", ""], "2", "", "comment.updated", "the comment, edited", "")),
    ("comment.deleted", ("", ["", "backend", ""], "2", "", "comment.deleted", "the comment, edited", "")),
    ("metric_alert.critical", ("org-full-e55706", ["", "backend", ""], "", "", "Critical: Metric 9b62c8", "150 events in the last 1 minute",
        "http://127.0.0.1:29010/organizations/org-full-e55706/alerts/rules/details/2/?alert=1")),
    ("metric_alert.resolved", ("org-full-e55706", ["", "backend", ""], "", "", "Resolved: Metric 9b62c8", "0 events in the last 1 minute",
        "http://127.0.0.1:29010/organizations/org-full-e55706/alerts/rules/details/2/?alert=1")),
    ("preprod_artifact.size_analysis_completed", ("example-org", ["", "notes-ios", ""], "", "",
        "Notes 3.4.0", "", "")),
    ("preprod_artifact.build_distribution_completed", ("example-org", ["4511", "notes-android", ""], "", "",
        "Notes 3.4.0", "no distribution quota left", "")),
    ("seer.root_cause_started", ("", ["", "", ""], "7410025581", "", "seer.root_cause_started", "", "")),
    ("seer.root_cause_completed", ("", ["", "", ""], "7410025581", "", "seer.root_cause_completed",
        "The client has no time limit, so a stalled upstream blocks the worker — café ☃.", "")),
    ("seer.solution_completed", ("", ["", "", ""], "7410025581", "", "seer.solution_completed",
        "Give the client a time limit and map it to a retryable error.", "")),
    ("seer.coding_completed", ("", ["", "", ""], "7410025581", "", "seer.coding_completed", "fix: limit the wait for the payment service", "")),
    ("seer.pr_created", ("", ["", "", ""], "7410025581", "", "seer.pr_created",
        "https://github.com/example-org/checkout/pull/231", "https://github.com/example-org/checkout/pull/231")),
];
const BACKEND: Expected =
    ("", ["3", "backend", "Backend"], "2", "error", "ValueError: division by zero", "division by zero", "");
const CHECKOUT: Expected = (
    "example-org",
    ["4507", "checkout", "Checkout"],
    "7410025581",
    "error",
    "TimeoutError: upstream did not answer",
    "upstream did not answer",
    "https://example-org.sentry.io/issues/7410025581/",
);

#[test]
fn every_sample_means_what_it_says() {
    for (name, (organization, [id, slug, project_name], issue, level, headline, value, link)) in SAMPLES {
        let normalized = Normalized::of(&sample(name));
        let project = normalized.project.clone().unwrap_or_default();
        let or_nothing = |text: Option<String>| text.unwrap_or_default();
        assert_eq!(normalized.event, *name);
        assert_eq!(format!("{}.{}", normalized.resource, normalized.action), *name);
        assert_eq!(or_nothing(normalized.organization.clone()), *organization, "organization of {name}");
        assert_eq!([project.id, project.slug, project.name].map(or_nothing), [*id, *slug, *project_name], "{name}");
        assert_eq!(or_nothing(normalized.issue.clone()), *issue, "issue of {name}");
        assert_eq!(or_nothing(normalized.level.clone()), *level, "level of {name}");
        assert_eq!(normalized.headline(), *headline, "headline of {name}");
        assert_eq!(or_nothing(normalized.value.clone()), *value, "value of {name}");
        assert_eq!(or_nothing(normalized.link(BASE)), *link, "link of {name}");
    }
}

#[test]
fn the_table_has_every_webhook_sample() {
    let samples = std::fs::read_dir(format!("{}/samples", env!("CARGO_MANIFEST_DIR"))).expect("samples");
    for path in
        samples.map(|entry| entry.expect("entry").path()).filter(|path| path.extension().is_some_and(|e| e == "json"))
    {
        let text = std::fs::read_to_string(&path).expect("sample");
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("name");
        let is_webhook = text.contains("\"Sentry-Hook-Signature\"");
        assert_eq!(SAMPLES.iter().any(|(known, _)| *known == name), is_webhook, "{name}");
    }
}

#[test]
fn an_error_tells_its_environment_release_tags_and_rule() {
    let alert = Normalized::of(&sample("event_alert.triggered"));
    assert_eq!(alert.rule.as_deref(), Some("Rule e314b0"));
    assert_eq!(alert.environment.as_deref(), Some("production"));
    assert_eq!(alert.release.as_deref(), Some("app@1.0.0"));
    assert_eq!(alert.platform.as_deref(), Some("python"));
    assert_eq!(alert.tags["customer"], "Zoë & Søn <co>");
    assert_eq!(Normalized::of(&sample("metric_alert.resolved")).rule.as_deref(), Some("Metric 9b62c8"));
    assert_eq!(Normalized::of(&sample("activity_alert.triggered")).rule.as_deref(), Some("Tell us about fixes"));
    assert_eq!(Normalized::of(&sample("issue.created")).short_id.as_deref(), Some("BACKEND-1"));
}

fn event(resource: &str, action: &str, data: &Value, text: &str) -> Normalized {
    let body = json!({
        "action": action, "installation": {"uuid": "e1064cd9-e055-4e00-ab45-4715789bef06"}, "data": data, "text": text,
    });
    let resource = resource.parse().expect("resource");
    Normalized::of(&Event::parse(&resource, body.to_string().as_bytes()).expect("envelope"))
}

#[test]
fn an_unknown_event_is_titled_by_its_text_else_by_its_name() {
    assert_eq!(event("news", "made", &json!({"x": 1}), "It happened").headline(), "It happened");
    let bare = event("news", "made", &json!({"x": 1}), " ");
    assert_eq!((bare.headline(), bare.value.as_deref(), bare.link(BASE)), ("news.made", None, None));
}

#[test]
fn a_metric_alert_may_have_several_projects() {
    let alert = event("metric_alert", "critical", &json!({"metric_alert": {"projects": ["a", "", "b", 3, "c"]}}), "");
    assert_eq!(alert.project.and_then(|project| project.slug).as_deref(), Some("a"));
    assert_eq!(alert.more_projects, ["b", "c"]);
}

#[test]
fn an_issue_tells_its_state_who_has_it_and_how_often_it_came() {
    let back = Normalized::of(&sample("issue.unresolved"));
    assert_eq!((back.status.as_deref(), back.substatus.as_deref()), (Some("unresolved"), Some("regressed")));
    assert_eq!((back.count, back.users), (Some(41), Some(12)));
    assert_eq!(back.first_seen.as_deref(), Some("2026-10-02T08:15:30.120000Z"));
    let assigned = Normalized::of(&sample("issue.assigned"));
    assert_eq!(assigned.assignee.as_deref(), Some("Ada Lovelace"));
    let team =
        json!({"issue": {"id": "7", "assignedTo": {"type": "team", "name": "slug"}}, "assignee": {"name": "The Team"}});
    assert_eq!(event("issue", "assigned", &team, "").assignee.as_deref(), Some("The Team"));
    assert_eq!(event("issue", "resolved", &team["issue"], "").assignee, None);
    let odd = event(
        "issue",
        "created",
        &json!({"issue": {"count": "-1", "userCount": 1.5, "firstSeen": 3, "status": []}}),
        "",
    );
    assert_eq!((odd.count, odd.users, odd.first_seen, odd.status), (None, None, None, None));
}

#[test]
fn only_an_unresolved_issue_that_regressed_is_a_regression() {
    assert!(Normalized::of(&sample("issue.unresolved")).is_regression());
    assert!(!Normalized::of(&sample("activity_alert.triggered")).is_regression(), "its issue had regressed before");
    for (action, substatus, expected) in [
        ("unresolved", json!("regressed"), true),
        ("unresolved", json!("escalating"), false),
        ("unresolved", json!("ongoing"), false),
        ("unresolved", json!(null), false),
        ("resolved", json!("regressed"), false),
        ("created", json!("regressed"), false),
    ] {
        let issue = event("issue", action, &json!({"issue": {"id": "7", "substatus": substatus}}), "");
        assert_eq!(issue.is_regression(), expected, "{action} {substatus}");
    }
}

#[test]
fn an_event_of_the_switchboard_names_the_destination_and_what_waits_for_it() {
    let data =
        json!({"destination": "phones", "reason": "failed with 502", "since": "2026-11-24T10:00:00Z", "parked": 12});
    let mut paused = Normalized::default();
    paused.read_switchboard(&data);
    assert_eq!(paused.destination.as_deref(), Some("phones"));
    assert_eq!(paused.value.as_deref(), Some("failed with 502"));
    assert_eq!((paused.count, paused.first_seen.as_deref()), (Some(12), Some("2026-11-24T10:00:00Z")));

    let issue_project = json!({"id": "4", "slug": "backend", "name": "Backend"});
    let opened = json!({"project": "OPS", "identifier": "OPS-12", "issue": "6", "issue_project": issue_project, "level": "error"});
    let mut of_ticket = Normalized::default();
    of_ticket.read_switchboard(&opened);
    let project = Project { id: Some("4".into()), slug: Some("backend".into()), name: Some("Backend".into()) };
    assert_eq!((of_ticket.project, of_ticket.level.as_deref()), (Some(project), Some("error")));
    assert_eq!((of_ticket.issue.as_deref(), of_ticket.value.as_deref()), (Some("6"), Some("OPS-12")));
    assert_eq!((paused.project, paused.level), (None, None), "a destination has neither");
}

#[test]
fn a_built_link_takes_slugs_and_digits_only() {
    let link = |organization: &str, issue: &str, url: Option<&str>| {
        Normalized {
            organization: Some(organization.into()),
            issue: Some(issue.into()),
            url: url.map(str::to_owned),
            ..Normalized::default()
        }
        .link(BASE)
    };
    let built = Some("https://sentry.example/organizations/acme/issues/7/".to_owned());
    assert_eq!(link("acme", "7", None), built);
    assert_eq!(link("acme", "7", Some("javascript:alert(1)")), built);
    assert_eq!(link("acme", "7", Some("https://a.test/i/7/")).as_deref(), Some("https://a.test/i/7/"));
    for (organization, issue) in
        [("../x", "7"), ("acme", "7/../8"), ("a b", "7"), ("", "7"), ("acme", ""), ("acme", "x")]
    {
        assert_eq!(link(organization, issue, None), None, "{organization} {issue}");
    }
}

#[test]
fn a_look_up_fills_what_is_absent_and_names_the_project() {
    let answer = json!({
        "id": "6", "shortId": "BACKEND-2", "title": "From the issue", "culprit": "there", "level": "fatal",
        "platform": "rust", "permalink": "https://sentry.example/organizations/acme/issues/6/",
        "project": {"id": "4", "slug": "backend-new", "name": "Backend"}, "metadata": {"value": "issue's"},
    });
    let mut alert = Normalized::of(&sample("event_alert.triggered"));
    let before = alert.clone();
    alert.fill_from_issue(&answer);
    let project = Project { id: Some("4".into()), slug: Some("backend-new".into()), name: Some("Backend".into()) };
    let expected = Normalized { project: Some(project), short_id: Some("BACKEND-2".into()), ..before };
    assert_eq!(alert, expected);

    let mut bare = event("event_alert", "triggered", &json!({"event": {"issue_id": 6}}), "");
    bare.fill_from_issue(&answer);
    assert_eq!(bare.level.as_deref(), Some("fatal"));
    assert_eq!(bare.headline(), "From the issue");
    assert_eq!(bare.value.as_deref(), Some("issue's"));
    assert_eq!(bare.organization.as_deref(), Some("acme"));
    assert_eq!(bare.link(BASE).as_deref(), Some("https://sentry.example/organizations/acme/issues/6/"));

    let mut comment = Normalized::of(&sample("comment.created"));
    comment.fill_from_issue(&answer);
    assert_eq!(comment.level, None);
    assert_eq!(comment.project.clone().and_then(|project| project.name).as_deref(), Some("Backend"));
    assert_eq!(comment.value.as_deref(), Some("a first comment"));
    assert_eq!(comment.headline(), "From the issue");

    for odd in [json!(null), json!([]), json!({"project": "x", "level": 5})] {
        let before = comment.clone();
        comment.fill_from_issue(&odd);
        assert_eq!(comment, before);
    }
}

/// Every key filled.
fn full() -> Normalized {
    let text = || Some("x".to_owned());
    Normalized {
        event: "issue.created".into(),
        resource: "issue".into(),
        action: "created".into(),
        installation: "e1064cd9-e055-4e00-ab45-4715789bef06".into(),
        organization: text(),
        project: Some(Project { id: text(), slug: text(), name: text() }),
        more_projects: vec!["y".into()],
        level: text(),
        environment: text(),
        platform: text(),
        release: text(),
        title: text(),
        culprit: text(),
        value: text(),
        issue: text(),
        short_id: text(),
        status: text(),
        substatus: text(),
        assignee: text(),
        count: Some(1),
        users: Some(1),
        first_seen: text(),
        rule: text(),
        actor: text(),
        url: text(),
        destination: text(),
        tags: [("a".to_owned(), "b".to_owned())].into(),
        look_up_failed: true,
    }
}

fn keys_of(event: &Normalized) -> BTreeSet<String> {
    let value = serde_json::to_value(event).expect("written");
    value.as_object().expect("an object").keys().cloned().collect()
}

#[test]
fn the_table_names_every_key_and_no_other() {
    let named: BTreeSet<String> = keys::KEYS.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(keys_of(&full()), named);
    assert_eq!(named.len(), keys::KEYS.len(), "each once");
}

#[test]
fn what_a_sample_fills_is_what_the_table_says_of_its_resource() {
    let mut filled = BTreeSet::new();
    for (name, _) in SAMPLES {
        let event = Normalized::of(&sample(name));
        for key in keys_of(&event) {
            let said = keys::KEYS.iter().find(|known| known.name == key).expect("a known key");
            assert!(said.is_filled_by(&event.resource), "`{key}` of {name}");
            filled.insert(key);
        }
    }
    // What the table promises of no recorded payload is found in the tests above.
    let unseen: Vec<&str> = keys::KEYS.iter().map(|key| key.name).filter(|name| !filled.contains(*name)).collect();
    assert_eq!(unseen, ["more_projects", "destination", "look_up_failed"]);
}

#[test]
fn a_look_up_fills_exactly_what_the_table_says() {
    let answer = json!({
        "id": "6", "shortId": "BACKEND-2", "title": "t", "culprit": "c", "level": "fatal", "platform": "rust",
        "status": "unresolved", "substatus": "new", "count": "3", "userCount": 2, "firstSeen": "2026-01-01T00:00:00Z",
        "permalink": "https://sentry.example/organizations/acme/issues/6/", "metadata": {"value": "v"},
        "project": {"id": "4", "slug": "backend", "name": "Backend"}, "assignedTo": {"name": "Ada"},
    });
    let bare = Normalized { resource: "issue".into(), issue: Some("6".into()), ..Normalized::default() };
    let mut looked_up = bare.clone();
    looked_up.fill_from_issue(&answer);
    let filled: BTreeSet<String> = keys_of(&looked_up).difference(&keys_of(&bare)).cloned().collect();
    let said = keys::KEYS.iter().filter(|key| key.look_up).map(|key| key.name.to_owned());
    assert_eq!(filled, said.collect());
}

#[test]
fn the_documentation_holds_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/normalized.md");
    let docs = std::fs::read_to_string(path).expect("docs/normalized.md");
    assert!(docs.contains(&keys::table()), "put this into docs/normalized.md:\n\n{}", keys::table());
}

#[test]
fn an_older_or_newer_version_of_the_shape_is_read() {
    let written = json!({"event": "issue.created", "issue": "7", "of_a_newer_version": {"x": 1}});
    let read: Normalized = serde_json::from_value(written).expect("tolerant");
    assert_eq!(read.issue.as_deref(), Some("7"));
    let all = full();
    let again: Normalized = serde_json::from_value(serde_json::to_value(&all).expect("written")).expect("read");
    assert_eq!(again, all);
}
