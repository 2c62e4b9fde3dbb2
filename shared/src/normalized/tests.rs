use serde_json::{Value, json};

use super::*;
use crate::payload::Event;
use crate::payload::tests::sample;

const BASE: &str = "https://sentry.example/";

/// What a sample must mean: organization, project (id, slug, name), issue, level, title, message, link.
type Expected = (&'static str, [&'static str; 3], &'static str, &'static str, &'static str, &'static str, &'static str);

/// `""` stands for absent.
#[rustfmt::skip]
const SAMPLES: &[(&str, Expected)] = &[
    ("installation.created", ("org-full-e55706", ["", "", ""], "", "", "installation.created", "installation.created", "")),
    ("installation.deleted", ("org-full-e55706", ["", "", ""], "", "", "installation.deleted", "installation.deleted", "")),
    ("issue.created", BACKEND), ("issue.assigned", BACKEND), ("issue.resolved", BACKEND), ("issue.ignored", BACKEND),
    ("issue.unresolved", CHECKOUT), ("activity_alert.triggered", CHECKOUT),
    ("error.created", ("org-full-e55706", ["3", "backend", ""], "2", "error", "ValueError: division by zero", "division by zero",
        "http://127.0.0.1:29010/organizations/org-full-e55706/issues/2/events/34c65e86965e41d993b83d829ea50717/")),
    ("event_alert.triggered", ("org-plain-e55706", ["4", "backend", ""], "6", "error", "ValueError: plain alert", "plain alert",
        "http://127.0.0.1:29010/organizations/org-plain-e55706/issues/6/events/bfa3e7788ad344cdaa1c8e142dbc4b29/")),
    ("comment.created", ("", ["", "backend", ""], "2", "", "New comment by Ada Lovelace", "a first comment", "")),
    ("comment.updated", ("", ["", "backend", ""], "2", "", "Comment changed by Ada Lovelace", "the comment, edited", "")),
    ("comment.deleted", ("", ["", "backend", ""], "2", "", "Comment deleted by Ada Lovelace", "the comment, edited", "")),
    ("metric_alert.critical", ("org-full-e55706", ["", "backend", ""], "", "", "Critical: Metric 9b62c8", "150 events in the last 1 minute",
        "http://127.0.0.1:29010/organizations/org-full-e55706/alerts/rules/details/2/?alert=1")),
    ("metric_alert.resolved", ("org-full-e55706", ["", "backend", ""], "", "", "Resolved: Metric 9b62c8", "0 events in the last 1 minute",
        "http://127.0.0.1:29010/organizations/org-full-e55706/alerts/rules/details/2/?alert=1")),
    ("preprod_artifact.size_analysis_completed", ("example-org", ["", "notes-ios", ""], "", "",
        "Notes 3.4.0: size analysis completed", "Notes 3.4.0: size analysis completed", "")),
    ("preprod_artifact.build_distribution_completed", ("example-org", ["4511", "notes-android", ""], "", "",
        "Notes 3.4.0: build distribution failed", "no distribution quota left", "")),
    ("seer.root_cause_started", ("", ["", "", ""], "7410025581", "", "Seer: root cause started", "Seer: root cause started", "")),
    ("seer.root_cause_completed", ("", ["", "", ""], "7410025581", "", "Seer: root cause completed",
        "The client has no time limit, so a stalled upstream blocks the worker — café ☃.", "")),
    ("seer.solution_completed", ("", ["", "", ""], "7410025581", "", "Seer: solution completed",
        "Give the client a time limit and map it to a retryable error.", "")),
    ("seer.coding_completed", ("", ["", "", ""], "7410025581", "", "Seer: coding completed", "fix: limit the wait for the payment service", "")),
    ("seer.pr_created", ("", ["", "", ""], "7410025581", "", "Seer: pr created",
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
    for (name, (organization, [id, slug, project_name], issue, level, title, message, link)) in SAMPLES {
        let normalized = Normalized::of(&sample(name));
        let project = normalized.project.clone().unwrap_or_default();
        let or_nothing = |text: Option<String>| text.unwrap_or_default();
        assert_eq!(normalized.event, *name);
        assert_eq!(format!("{}.{}", normalized.resource, normalized.action), *name);
        assert_eq!(or_nothing(normalized.organization.clone()), *organization, "organization of {name}");
        assert_eq!([project.id, project.slug, project.name].map(or_nothing), [*id, *slug, *project_name], "{name}");
        assert_eq!(or_nothing(normalized.issue.clone()), *issue, "issue of {name}");
        assert_eq!(or_nothing(normalized.level.clone()), *level, "level of {name}");
        assert_eq!(normalized.headline(), *title, "title of {name}");
        assert_eq!(normalized.message(), *message, "message of {name}");
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
    assert_eq!((bare.headline(), bare.message(), bare.link(BASE)), ("news.made", "news.made", None));
}

#[test]
fn a_metric_alert_may_have_several_projects() {
    let alert = event("metric_alert", "critical", &json!({"metric_alert": {"projects": ["a", "", "b", 3, "c"]}}), "");
    assert_eq!(alert.project.and_then(|project| project.slug).as_deref(), Some("a"));
    assert_eq!(alert.more_projects, ["b", "c"]);
}

#[test]
fn a_message_is_the_value_else_the_culprit_else_the_title_and_never_empty() {
    let text = |text: &str| Some(text.to_owned());
    let mut normalized = Normalized {
        event: "issue.created".into(),
        value: text("v"),
        culprit: text("c"),
        title: text("t"),
        ..Normalized::default()
    };
    assert_eq!(normalized.message(), "v");
    normalized.value = text(" \n");
    assert_eq!(normalized.message(), "c");
    normalized.culprit = None;
    assert_eq!(normalized.message(), "t");
    normalized.title = text("");
    assert_eq!(normalized.message(), "issue.created");
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
    assert_eq!(bare.message(), "issue's");
    assert_eq!(bare.organization.as_deref(), Some("acme"));
    assert_eq!(bare.link(BASE).as_deref(), Some("https://sentry.example/organizations/acme/issues/6/"));

    let mut comment = Normalized::of(&sample("comment.created"));
    comment.fill_from_issue(&answer);
    assert_eq!(comment.level, None);
    assert_eq!(comment.project.clone().and_then(|project| project.name).as_deref(), Some("Backend"));
    assert_eq!(comment.message(), "a first comment");

    for odd in [json!(null), json!([]), json!({"project": "x", "level": 5})] {
        let before = comment.clone();
        comment.fill_from_issue(&odd);
        assert_eq!(comment, before);
    }
}

#[test]
fn an_older_or_newer_version_of_the_shape_is_read() {
    let written = json!({"event": "issue.created", "issue": "7", "of_a_newer_version": {"x": 1}});
    let read: Normalized = serde_json::from_value(written).expect("tolerant");
    assert_eq!(read.issue.as_deref(), Some("7"));
    let all = Normalized::of(&sample("error.created"));
    let again: Normalized = serde_json::from_value(serde_json::to_value(&all).expect("written")).expect("read");
    assert_eq!(again, all);
}
