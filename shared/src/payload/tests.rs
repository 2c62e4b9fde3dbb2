#![allow(clippy::unwrap_used)]

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;

const INSTALLATION: &str = "e1064cd9-e055-4e00-ab45-4715789bef06";

/// The body of a sample, as recorded.
pub(crate) fn sample(name: &str) -> Event {
    let path = format!("{}/samples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let sample: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let body = BASE64_STANDARD.decode(sample["body"].as_str().unwrap()).unwrap();
    let resource = sample["headers"]["Sentry-Hook-Resource"].as_str().unwrap().parse().unwrap();
    Event::parse(&resource, &body).unwrap()
}

/// Every sample of a webhook, by name.
pub(crate) fn sample_names() -> Vec<String> {
    let folder = std::fs::read_dir(format!("{}/samples", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let files = folder.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
    let is_webhook =
        |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap().contains("Sentry-Hook-Signature");
    let mut names: Vec<String> =
        files.filter(is_webhook).map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn event(resource: &str, action: &str, data: &Value) -> Event {
    let body = json!({"action": action, "installation": {"uuid": INSTALLATION}, "data": data}).to_string();
    Event::parse(&resource.parse().unwrap(), body.as_bytes()).unwrap()
}

#[test]
fn a_grant_code_is_read_and_shown_nowhere() {
    let created = sample("installation.created");
    let Data::Installation(installation) = &created.data else { panic!("{:?}", created.data) };
    assert_eq!(installation.code.as_ref().unwrap().expose_secret(), "343cbe381ecc43b49dc05c246e2d7020");
    assert_eq!(installation.uuid.as_deref(), Some(INSTALLATION));
    assert_eq!(installation.status.as_deref(), Some("pending"));
    assert_eq!(installation.organization_slug(), Some("org-full-e55706"));
    assert_eq!(installation.app_slug(), Some("full-app-e55706"));
    for shown in [format!("{created:?}"), format!("{:?}", created.data), created.raw.to_string()] {
        assert!(!shown.contains("343cbe38"), "{shown}");
    }

    let deleted = sample("installation.deleted");
    let Data::Installation(installation) = deleted.data else { panic!("{:?}", deleted.data) };
    assert!(installation.code.is_none());
    assert_eq!(installation.status.as_deref(), Some("installed"));
}

#[test]
fn a_grant_code_under_another_resource_is_taken_away_too() {
    let disguised = event("issue", "created", &json!({"installation": {"code": "0ddc0de"}}));
    assert!(!format!("{:?} {}", disguised.data, disguised.raw).contains("0ddc0de"));
}

#[test]
fn the_older_uninstallation_has_the_shape_of_installation() {
    let data = json!({"installation": {"uuid": INSTALLATION, "organization": {"slug": "acme"}, "status": 7}});
    let Data::Installation(installation) = event("uninstallation", "deleted", &data).data else { panic!() };
    assert_eq!((installation.organization_slug(), installation.status.as_deref()), (Some("acme"), None));
}

#[test]
fn a_field_of_a_wrong_type_harms_no_other() {
    let issue = json!({"issue": {
        "id": 7, "title": ["?"], "level": 3, "culprit": "here", "project": [1, 2], "metadata": {"value": 1, "type": "E"},
        "assignedTo": "me", "webUrl": "https://a.test/", "web_url": null,
    }, "assignee": {"id": 1, "name": "Ada"}, "resolution_type": {}});
    let Data::Issue(change) = event("issue", "assigned", &issue).data else { panic!() };
    let issue = change.issue.unwrap();
    assert_eq!(issue.id, Some(Id("7".into())));
    assert_eq!((issue.title, issue.level, issue.project, issue.assigned_to), (None, None, None, None));
    assert_eq!(issue.culprit.as_deref(), Some("here"));
    assert_eq!(issue.metadata.unwrap(), Metadata { kind: Some("E".into()), ..Metadata::default() });
    assert_eq!(change.assignee.unwrap().id, Some(Id("1".into())));
    assert_eq!(change.resolution_type, None);
}

#[test]
fn data_of_any_shape_leaves_an_event() {
    let resources = ["installation", "issue", "error", "event_alert", "metric_alert", "comment", "seer", "news"];
    let inner = [json!(null), json!(1), json!("x"), json!([]), json!([1, "2", null]), json!({}), json!({"id": {}})];
    for resource in resources {
        for inner in &inner {
            event(resource, "created", inner);
            for key in ["installation", "issue", "error", "event", "metric_alert"] {
                event(resource, "created", &json!({ key: inner }));
            }
        }
    }
    let bare = format!(r#"{{"action":"created","installation":{{"uuid":"{INSTALLATION}"}}}}"#);
    let event = Event::parse(&"issue".parse().unwrap(), bare.as_bytes()).unwrap();
    assert!(matches!(event.data, Data::Other(Value::Null)));
}

#[test]
fn a_body_under_another_resources_name_is_kept_as_it_is() {
    let data = json!({"issue": {"id": "1"}});
    for resource in ["error", "event_alert", "metric_alert", "installation"] {
        let Data::Other(kept) = event(resource, "created", &data).data else { panic!("{resource}") };
        assert_eq!(kept, data);
    }
}

#[test]
fn what_a_strict_parser_refuses_costs_only_itself() {
    let body = |issue: &str| {
        format!(r#"{{"action":"created","installation":{{"uuid":"{INSTALLATION}"}},"data":{{"issue":{issue}}}}}"#)
    };
    let deep = format!(r#"{{"title":"kept","x":{}{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    let mut bytes = body(r#"{"title":"kept","x":"?"}"#).into_bytes();
    let at = bytes.iter().position(|b| *b == b'?').unwrap();
    bytes[at] = 0xff;
    for body in [
        body(r#"{"title":"kept","x":"\ud83d"}"#).into_bytes(),
        body(r#"{"title":"kept","x":1e999}"#).into_bytes(),
        body(&deep).into_bytes(),
        bytes,
    ] {
        let event = Event::parse(&"issue".parse().unwrap(), &body).unwrap();
        assert_eq!(event.action, "created");
        let Data::Issue(change) = event.data else { panic!("{:?}", event.data) };
        assert_eq!(change.issue.unwrap().title.as_deref(), Some("kept"));
    }
}

#[test]
fn actors_are_users_apps_and_sentry() {
    let user = Actor::User { id: Some(Id("1".into())), name: Some("Ada Lovelace".into()) };
    assert_eq!(sample("issue.assigned").actor, Some(user));
    assert_eq!(sample("issue.created").actor, Some(Actor::Sentry));
    let app: Actor = serde_json::from_value(json!({"type": "application", "id": "aaa9", "name": "App"})).unwrap();
    assert_eq!(app, Actor::Application { id: Some(Id("aaa9".into())), name: Some("App".into()) });
    let robot: Actor = serde_json::from_value(json!({"type": "robot", "id": 1.5})).unwrap();
    assert_eq!(robot, Actor::Other { kind: Some("robot".into()), id: None, name: None });
}

#[test]
fn tags_are_pairs_and_a_value_can_be_null() {
    let data = json!({"error": {"tags": [["a", "b"], ["nothing", null], ["n", 5], ["alone"], "odd", [1, 2], []]}});
    let Data::Error(error) = event("error", "created", &data).data else { panic!() };
    let tags = error.tags.unwrap();
    let pair = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
    assert_eq!(tags.0, [pair("a", Some("b")), pair("nothing", None), pair("n", Some("5")), pair("alone", None)]);
}

#[test]
fn counters_and_times_of_an_issue_do_not_count_but_all_else_does() {
    let digest = |resource: &str, change: &dyn Fn(&mut Value)| {
        let mut body = sample("issue.resolved").raw;
        change(&mut body);
        content_digest(&Event::parse(&resource.parse().unwrap(), body.to_string().as_bytes()).unwrap())
    };
    let plain = digest("issue", &|_| {});
    for (key, value) in
        [("count", json!("6")), ("userCount", json!(9)), ("numComments", json!(1)), ("lastSeen", json!(0))]
    {
        assert_eq!(digest("issue", &|body| body["data"]["issue"][key] = value.clone()), plain, "{key}");
        assert_ne!(
            digest("other", &|body| body["data"]["issue"][key] = value.clone()),
            digest("other", &|_| {}),
            "{key}"
        );
    }
    for path in ["/action", "/data/resolution_type", "/data/issue/status", "/data/issue/firstSeen", "/actor/name"] {
        let changed = digest("issue", &|body| *body.pointer_mut(path).unwrap() = json!("other"));
        assert_ne!(changed, plain, "{path}");
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\{},:]{0,6}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"]{0,4}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// The same JSON with the members of all objects the other way round.
fn reversed(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let members: Vec<_> =
                object.iter().rev().map(|(key, value)| format!("{}:{}", json!(key), reversed(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(members) => format!("[{}]", members.iter().map(reversed).collect::<Vec<_>>().join(",\n")),
        scalar => scalar.to_string(),
    }
}

proptest! {
    #[test]
    fn the_digest_does_not_see_the_order_of_keys(data in json_value(), other in json_value()) {
        let parsed = event("issue", "created", &data);
        let body = reversed(&parsed.raw);
        let again = Event::parse(&"issue".parse().unwrap(), body.as_bytes()).unwrap();
        prop_assert_eq!(content_digest(&parsed), content_digest(&again));
        if data.get("issue").is_none() && data.get("installation").is_none() && other != data {
            prop_assert_ne!(content_digest(&parsed), content_digest(&event("issue", "created", &other)));
        }
    }

    #[test]
    fn no_data_fails_the_envelope(data in json_value(), resource in "[a-z_]{1,12}") {
        prop_assume!(resource != "switchboard");
        prop_assert_eq!(event(&resource, "created", &data).action, "created");
    }
}
