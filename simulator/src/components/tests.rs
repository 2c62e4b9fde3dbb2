#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

use super::*;
use crate::deliver::{Answering, Deliver};
use crate::{Config, NewIssue};

/// Answers every request with the same; keeps what came.
#[derive(Clone)]
struct Answers {
    status: u16,
    body: Option<String>,
    came: Arc<Mutex<Vec<Request<Bytes>>>>,
}

impl Deliver for Answers {
    fn send(&self, request: Request<Bytes>, _: Duration) -> Answering {
        self.came.lock().unwrap().push(request);
        let (status, body) = (self.status, self.body.clone());
        Box::pin(async move {
            let body = body.ok_or(SendFailure::TimedOut)?;
            Ok(Response::builder().status(status).header("location", "/elsewhere").body(body.into()).unwrap())
        })
    }
}

fn schema() -> Value {
    let fields = json!([{"type": "text", "name": "title", "label": "Title"}]);
    json!({"elements": [
        {
            "type": "issue-link",
            "create": {"uri": "/components/create", "required_fields": fields},
            "link": {"uri": "/components/link", "required_fields": fields},
        },
        {
            "type": "alert-rule-action",
            "title": "Notify",
            "settings": {"type": "alert-rule-settings", "uri": "/components/rule", "required_fields": fields},
        },
        {"type": "stacktrace-link", "uri": "/components/frame"},
    ]})
}

/// An installed app with one issue, which answers this to each request from now on (`None`: not in time).
async fn app(version: Version, status: u16, body: Option<&str>) -> (Simulator, Answers) {
    let body = body.map(str::to_owned);
    let answers = Answers { status, body, came: Arc::default() };
    let simulator = Simulator::new(Config {
        version,
        verify_install: false,
        webhook_url: Some("http://app.test:8080/deep/webhook?token=1".to_owned()),
        base_url: "http://sentry.test".to_owned(),
        schema: Some(schema()),
        deliver: Arc::new(answers.clone()),
        ..Config::default()
    });
    simulator.install().await;
    simulator.create_issue(NewIssue::new("Backend", "ValueError: division by zero")).await.unwrap();
    answers.came.lock().unwrap().clear();
    (simulator, answers)
}

/// Values and labels, and the preselected value.
type Offered = (Vec<(String, String)>, Option<&'static str>);

const BOTH: [Version; 2] = [Version::V23_7_1, Version::Today];
const NOT_COMMUNICATING: &str = "Error communicating with Sentry App service";

/// What the user reads of each version: status and text.
fn seen(seen: UserSees) -> (u16, String) {
    (seen.status, seen.message)
}

#[tokio::test]
async fn options_are_a_list_of_label_and_value() {
    let two = r#"[{"label":"One","value":"1","default":true},{"label":"Two","value":"2","default":true,"more":1}]"#;
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(v, l)| ((*v).to_owned(), (*l).to_owned())).collect();
    let cases: [(u16, &str, Option<Offered>); 15] = [
        (200, two, Some((pairs(&[("1", "One"), ("2", "Two")]), Some("2")))),
        (201, "[]", Some((vec![], None))),
        (200, r#"[{"label":"One","value":1,"default":"yes"}]"#, Some((pairs(&[("1", "One")]), None))),
        (200, r#"[{"label":"One"}]"#, None),
        (200, r#"[{"value":"1"}]"#, None),
        (200, r#"[{"label":"One","value":"1"},"2"]"#, None),
        (200, r#"[["1","One"]]"#, None),
        (200, r#"{"label":"One","value":"1"}"#, None),
        (200, "<html></html>", None),
        (200, "", None),
        (204, "", None),
        (302, "", None),
        (302, two, None),
        (400, two, None),
        (500, two, None),
    ];
    for version in BOTH {
        let wrong = match version {
            Version::V23_7_1 => (400, NOT_COMMUNICATING),
            Version::Today => (500, "Something went wrong while getting options for Select FormField from switchboard"),
        };
        for (status, body, expected) in &cases {
            let (sentry, answers) = app(version, *status, Some(body)).await;
            let options = sentry.select_options("/components/options/x", None, None, None).await;
            let name = format!("{version:?} {status} {body}");
            match expected {
                Some((choices, default)) => {
                    let default = default.map(str::to_owned);
                    assert_eq!(options, Ok(Options { choices: choices.clone(), default }), "{name}");
                }
                None => assert_eq!(seen(options.unwrap_err()), (wrong.0, wrong.1.to_owned()), "{name}"),
            }
            assert_eq!(answers.came.lock().unwrap().len(), 1, "{name}: once, and no redirect is followed");
        }
    }
}

#[tokio::test]
async fn a_link_needs_three_texts() {
    const GOOD: &str = r#"{"webUrl":"http://a/7","project":"A<b>","identifier":"7","more":[]}"#;
    const SAID: &str = r#"{"message":"backend-tickets does not allow this"}"#;
    let today = "Issue occurred while trying to contact switchboard to link issue";
    let cases = [
        (200, Some(GOOD), None),
        (201, Some(GOOD), None),
        (200, Some(r#"{"webUrl":"no URL","project":"","identifier":""}"#), None),
        (200, Some(r#"{"webUrl":"http://a/7","project":"A","identifier":7}"#), Some((500, today))),
        (200, Some(r#"{"webUrl":"http://a/7","project":"A"}"#), Some((500, today))),
        (200, Some(r#"{"webUrl":null,"project":"A","identifier":"7"}"#), Some((500, today))),
        (200, Some("[]"), Some((500, today))),
        (200, Some("<p>fine</p>"), Some((500, today))),
        (204, Some(""), Some((500, today))),
        (302, Some(GOOD), Some((500, today))),
        (400, Some(GOOD), Some((500, today))),
        (400, Some(SAID), Some((400, "backend-tickets does not allow this"))),
        (504, Some(SAID), Some((504, "backend-tickets does not allow this"))),
        (500, Some(r#"{"message":["a"]}"#), Some((500, today))),
        (500, Some("Internal Server Error"), Some((500, today))),
        (200, None, Some((500, today))),
    ];
    for version in BOTH {
        for (status, body, wrong) in cases {
            let (sentry, answers) = app(version, status, body).await;
            for created in [true, false] {
                let fields = [("title", "t")];
                let link = if created { sentry.create_link(1, &fields).await } else { sentry.link(1, &fields).await };
                let name = format!("{version:?} {status} {body:?} {created}");
                match wrong {
                    None => assert_eq!(Some(link.unwrap()), sentry.external_issue(1), "{name}"),
                    Some((status, message)) => {
                        let old = version == Version::V23_7_1;
                        let expected = if old { (400, NOT_COMMUNICATING) } else { (status, message) };
                        assert_eq!(seen(link.unwrap_err()), (expected.0, expected.1.to_owned()), "{name}");
                        assert_eq!(sentry.external_issue(1), None, "{name}: nothing linked");
                    }
                }
                sentry.unlink(1);
            }
            assert_eq!(answers.came.lock().unwrap().len(), 2, "once each, and no redirect is followed");
        }
    }
}

#[tokio::test]
async fn an_issue_has_one_link_and_the_second_is_refused_after_the_app_was_called() {
    for version in BOTH {
        let body = r#"{"webUrl":"http://a/7","project":"A<b>&","identifier":"7"}"#;
        let (sentry, answers) = app(version, 200, Some(body)).await;
        let first = sentry.create_link(1, &[("title", "t")]).await.unwrap();
        assert_eq!(first.display_name(), "A&lt;b&gt;&amp;#7");
        sentry.link(1, &[("title", "t")]).await.unwrap_err();
        assert_eq!(answers.came.lock().unwrap().len(), 2);
        assert_eq!(sentry.external_issue(1), Some(first));
        assert!(sentry.unlink(1) && !sentry.unlink(1));
        sentry.link(1, &[("title", "t")]).await.unwrap();
    }
}

#[tokio::test]
async fn a_rule_is_saved_below_400_and_else_the_user_reads_why() {
    let cases = [
        (200, Some(""), None),
        (204, Some(""), None),
        (302, Some(r#"{"message":"no"}"#), None),
        (200, Some(r#"{"message":"no"}"#), None),
        (400, Some(r#"{"message":"title is required"}"#), Some("Switchboard: title is required")),
        (500, Some(r#"{"message":"title is required"}"#), Some("Switchboard: title is required")),
        (400, Some(r#"{"message":["a",1]}"#), Some("Switchboard: ['a', 1]")),
        (
            400,
            Some(r#"{"message":{"z":true,"a":null,"it's":1.5}}"#),
            Some("Switchboard: {'z': True, 'a': None, \"it's\": 1.5}"),
        ),
        (400, Some(r#"{"error":"x"}"#), Some("Switchboard: Something went wrong!")),
        (400, Some(r#"["message"]"#), Some("Switchboard: Something went wrong!")),
        (404, Some("not found"), Some("Switchboard: Something went wrong!")),
        (503, Some(""), Some("Switchboard: Something went wrong!")),
        (200, None, Some("Switchboard: Something went wrong!")),
    ];
    for version in BOTH {
        for (status, body, wrong) in cases {
            let (sentry, answers) = app(version, status, body).await;
            let saved = sentry.save_rule("Page", &[("title", "t")]).await;
            let expected = wrong.map_or(Ok(()), |message| Err(UserSees::new(400, message)));
            assert_eq!(saved, expected, "{version:?} {status} {body:?}");
            assert_eq!(sentry.rules().len(), usize::from(wrong.is_none()), "{version:?} {status} {body:?}");
            assert_eq!(answers.came.lock().unwrap().len(), 1, "once, and no redirect is followed");
        }
    }
}

/// Path with query, and body, of a recorded request; and the names of its headers.
fn recorded(sample: &str) -> (String, String, Vec<String>) {
    let sample: Value = serde_json::from_str(sample).unwrap();
    let body = STANDARD.decode(sample["body"].as_str().unwrap()).unwrap();
    let mut headers: Vec<String> = sample["headers"]
        .as_object()
        .unwrap()
        .keys()
        .map(|name| name.to_lowercase())
        .filter(|name| name != "host")
        .collect();
    headers.sort();
    (sample["target"].as_str().unwrap().to_owned(), String::from_utf8(body).unwrap(), headers)
}

/// The order of the keys, of all objects.
fn keys(json: &Json) -> Vec<String> {
    match json {
        Json::Object(members) => {
            members.iter().flat_map(|(name, value)| std::iter::once(name.clone()).chain(keys(value))).collect()
        }
        Json::Array(items) => items.iter().flat_map(keys).collect(),
        Json::Null => vec!["null".to_owned()],
        Json::Bool(_) => vec!["bool".to_owned()],
        Json::Number(_) => vec!["number".to_owned()],
        Json::Text(_) => vec!["text".to_owned()],
    }
}

#[tokio::test]
async fn requests_are_those_that_were_recorded() {
    let (sentry, answers) = app(Version::V23_7_1, 200, Some("[]")).await;
    let link = [("title", "division by zero"), ("description", "line 1\nline 2"), ("status", "open")];
    sentry.create_link(1, &link).await.unwrap_err();
    sentry.link(1, &[("issueId", "2")]).await.unwrap_err();
    let rule = [("title", "alert title"), ("empty", ""), ("userId", "2"), ("description", "café")];
    sentry.save_rule("Page", &rule).await.unwrap();
    sentry.select_options("/components/options/x", Some("backend"), None, None).await.unwrap();

    let samples = [
        ("/components/create", include_str!("../../../shared/samples/external_issue.created.json")),
        ("/components/link", include_str!("../../../shared/samples/external_issue.linked.json")),
        ("/components/rule", include_str!("../../../shared/samples/alert_rule_action.requested.json")),
        ("/components/options/x", include_str!("../../../shared/samples/select_options.requested.json")),
    ];
    let came = answers.came.lock().unwrap().clone();
    assert_eq!(came.len(), samples.len());
    for (request, (uri, sample)) in came.iter().zip(samples) {
        let (target, body, expected) = recorded(sample);
        assert_eq!((request.uri().authority().unwrap().as_str(), request.uri().path()), ("app.test:8080", uri));
        let mut headers: Vec<String> = request.headers().keys().map(ToString::to_string).collect();
        headers.sort();
        assert_eq!(headers, expected, "{uri}");
        assert_eq!(request.headers()["content-type"], "application/json", "{uri}");
        assert_eq!(request.headers()["sentry-app-signature"], *sentry.sign(request.body()), "{uri}");
        if body.is_empty() {
            let names = |query: &str| {
                query.split('&').map(|pair| pair.split('=').next().unwrap().to_owned()).collect::<Vec<_>>()
            };
            assert_eq!(names(request.uri().query().unwrap()), names(target.split_once('?').unwrap().1), "{uri}");
            assert!(request.body().is_empty(), "{uri}");
            continue;
        }
        assert_eq!(keys(&Json::parse(request.body())), keys(&Json::parse(body.as_bytes())), "{uri}");
        assert!(request.body().is_ascii(), "{uri}: 23.7.1 escapes the rest");
    }
}

#[tokio::test]
async fn the_query_of_a_select_is_a_form() {
    let (sentry, answers) = app(Version::Today, 200, Some("[]")).await;
    let dependent = json!({"project": "a b"});
    sentry.select_options("/o", Some("back end"), Some("zoë & co"), Some(&dependent)).await.unwrap();
    sentry.select_options("/o", None, Some(""), None).await.unwrap();
    let came: Vec<String> =
        answers.came.lock().unwrap().iter().map(|request| request.uri().query().unwrap().to_owned()).collect();
    let (id, rest) = came[0].split_once('&').unwrap();
    assert_eq!(rest, "projectSlug=back+end&query=zo%C3%AB+%26+co&dependentData=%7B%22project%22%3A%22a+b%22%7D");
    assert_eq!(came[1], format!("{id}&query="));
}

#[tokio::test]
async fn a_saved_rule_carries_its_settings_into_the_alert() {
    let (sentry, answers) = app(Version::Today, 200, Some("")).await;
    sentry.save_rule("Page", &[("title", "old")]).await.unwrap();
    sentry.save_rule("Page", &[("title", "new"), ("note", "")]).await.unwrap();
    assert!(sentry.trigger_rule(1, "Page").await.unwrap().is_accepted());
    let body: Value = serde_json::from_slice(answers.came.lock().unwrap().last().unwrap().body()).unwrap();
    assert_eq!(body["data"]["triggered_rule"], "Page");
    assert_eq!(body["data"]["issue_alert"]["settings"], json!([{"name": "title", "value": "new"}]));
    assert_eq!(sentry.trigger_rule(1, "None").await.unwrap_err(), Unknown::Rule("None".to_owned()));
}

#[tokio::test]
async fn a_frames_link_leads_the_browser_to_the_app() {
    let (sentry, answers) = app(Version::Today, 200, Some("")).await;
    let link = sentry.stacktrace_link("backend", "app/zoë main.py", 12).unwrap();
    let (address, query) = link.split_once('?').unwrap();
    assert_eq!(address, "http://app.test:8080/components/frame");
    assert!(query.ends_with("&projectSlug=backend&filename=app%2Fzo%C3%AB%20main.py&lineNo=12"), "{query}");
    assert!(answers.came.lock().unwrap().is_empty(), "Sentry's server asks nothing");
}

#[tokio::test]
async fn without_component_or_installation_nothing_is_asked() {
    let (sentry, answers) = app(Version::Today, 200, Some("[]")).await;
    sentry.set_schema(json!({"elements": [{"type": "issue-media"}]})).unwrap();
    assert!(sentry.set_schema(json!({"elements": []})).is_err());
    assert_eq!(sentry.create_link(1, &[]).await.unwrap_err().message, "Switchboard has no issue-link");
    assert_eq!(sentry.save_rule("Page", &[]).await.unwrap_err().message, "Switchboard has no alert-rule-action");
    sentry.set_schema(schema()).unwrap();
    assert_eq!(sentry.create_link(7, &[]).await.unwrap_err().message, "there is no issue 7");
    let bare =
        Simulator::new(Config { schema: Some(schema()), deliver: Arc::new(answers.clone()), ..Config::default() });
    assert_eq!(bare.save_rule("Page", &[]).await.unwrap_err().message, "Switchboard is not installed");
    assert_eq!(bare.stacktrace_link("backend", "a.py", 1).unwrap_err().message, "Switchboard is not installed");
    assert!(answers.came.lock().unwrap().is_empty());
}

#[test]
#[should_panic(expected = "the schema is refused")]
fn a_schema_that_sentry_refuses_makes_no_app() {
    Simulator::new(Config { schema: Some(json!({})), ..Config::default() });
}
