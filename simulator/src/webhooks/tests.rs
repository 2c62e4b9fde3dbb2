#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use super::*;
use crate::events::{Alert, AlertUrls, Assignee, Install, NewIssue, Order, UninstallFailed, Unknown};
use crate::ordered::Json;
use crate::testing::{exchange, installed, of, simulated};
use crate::{Config, Version};

const KINDS: [AppKind; 3] = [AppKind::Published, AppKind::Unpublished, AppKind::Internal];

fn set_up(version: Version, kind: AppKind) -> (Simulator, crate::testing::App, crate::testing::Time) {
    simulated(Config { version, kind, verify_install: false, ..Config::default() })
}

/// A recorded webhook and the bytes of its body.
fn recorded(text: &str) -> (Vec<u8>, Value) {
    let sample: Value = serde_json::from_str(text).unwrap();
    (base64::engine::general_purpose::STANDARD.decode(sample["body"].as_str().unwrap()).unwrap(), sample)
}

/// Every path to a value in the order of the text, with the value's type: all but the values.
fn shape(body: &[u8]) -> Vec<String> {
    fn walk(value: &Json, path: &str, into: &mut Vec<String>) {
        match value {
            Json::Object(members) => {
                for (name, value) in members {
                    walk(value, &format!("{path}.{name}"), into);
                }
            }
            Json::Array(items) => items.iter().for_each(|value| walk(value, &format!("{path}[]"), into)),
            Json::Null => into.push(format!("{path}: null")),
            Json::Bool(_) => into.push(format!("{path}: bool")),
            Json::Number(_) => into.push(format!("{path}: number")),
            Json::Text(_) => into.push(format!("{path}: text")),
        }
    }
    let mut paths = Vec::new();
    walk(&Json::parse(body), "", &mut paths);
    paths
}

#[tokio::test]
async fn each_webhook_has_the_shape_and_the_headers_of_the_recorded_one() {
    let (simulator, app, _) = of(Version::V23_7_1);
    let (uuid, _) = installed(&simulator).await;
    let issue = simulator.create_issue(NewIssue::new("Backend", "ValueError: division by zero")).await.unwrap().issue;
    let ada = Assignee::User { id: 1, name: "Ada Lovelace".to_owned(), email: "ada@example.test".to_owned() };
    simulator.assign(issue, ada).await.unwrap();
    let team = Assignee::Team { id: 3, slug: "team".to_owned(), name: "Team".to_owned() };
    simulator.assign(issue, team).await.unwrap();
    simulator.resolve_issue(issue).await.unwrap();
    simulator.archive_issue(issue).await.unwrap();
    simulator.trigger_alert(issue, Alert::default()).await.unwrap();
    simulator.uninstall(&uuid).await.unwrap();

    let samples = [
        (0, include_str!("../../../shared/samples/installation.created.json")),
        (1, include_str!("../../../shared/samples/issue.created.json")),
        (2, include_str!("../../../shared/samples/issue.assigned.json")),
        (4, include_str!("../../../shared/samples/issue.resolved.json")),
        (5, include_str!("../../../shared/samples/issue.ignored.json")),
        (6, include_str!("../../../shared/samples/event_alert.triggered.json")),
        (7, include_str!("../../../shared/samples/installation.deleted.json")),
    ];
    for (index, sample) in samples {
        let (body, sample) = recorded(sample);
        let kind = &sample["kind"];
        let bytes = app.received.lock().unwrap()[index].body().clone();
        assert_eq!(shape(&bytes), shape(&body), "{kind}");
        assert_eq!(Json::parse(&bytes).to_bytes(true), bytes, "{kind}: compact and escaped");
        let (sent, body) = (app.body(index), serde_json::from_slice::<Value>(&body).unwrap());
        assert_eq!(sent["action"], body["action"], "{kind}");
        assert_eq!(sent["actor"], body["actor"], "{kind}");
        assert_eq!(sent["installation"]["uuid"], uuid, "{kind}");
        for name in sample["headers"].as_object().unwrap().keys().filter(|name| *name != "Host") {
            let value = app.header(index, name);
            assert!(!value.is_empty(), "{kind}: {name}");
            if name == "User-Agent" || name == "Sentry-Hook-Resource" || name == "Content-Type" {
                assert_eq!(value, sample["headers"][name], "{kind}");
            }
        }
        assert_eq!(app.header(index, "sentry-hook-signature"), simulator.sign(&bytes), "{kind}");
        assert_eq!(app.header(index, "sentry-hook-timestamp"), simulator.now().as_second().to_string(), "{kind}");
    }
    let ids: HashSet<_> = (0..app.count()).map(|index| app.header(index, "request-id")).collect();
    assert_eq!(ids.len(), app.count(), "each attempt has a Request-ID of its own");
    assert_eq!(app.body(3)["data"]["assignee"], json!({"type": "team", "id": 3, "name": "Team"}));
}

#[tokio::test]
async fn only_a_published_app_is_tried_again_and_only_after_5xx_or_silence() {
    let silence = || Err(SendFailure::TimedOut);
    let refused = || Err(SendFailure::Unreachable("refused".to_owned()));
    for version in [Version::V23_7_1, Version::Today] {
        for (name, answer, again) in [
            ("202", Ok(202), false),
            ("301", Ok(301), false),
            ("400", Ok(400), false),
            ("410", Ok(410), false),
            ("429", Ok(429), false),
            ("500", Ok(500), true),
            ("503", Ok(503), true),
            ("504", Ok(504), true),
            ("time-out", silence(), true),
            ("refused", refused(), true),
        ] {
            for kind in KINDS {
                let (simulator, app, _) = set_up(version, kind);
                simulator.install().await;
                let before = (app.count(), simulator.now());
                app.will_answer(vec![answer.clone(); 10]);
                let created = simulator.create_issue(NewIssue::new("backend", "x")).await.unwrap();
                let attempts = created.delivery.finished().await;
                let expected = match version {
                    _ if !again || kind != AppKind::Published => 1,
                    Version::V23_7_1 => 4,
                    Version::Today => 3,
                };
                assert_eq!(attempts.len(), expected, "{version:?} {kind:?} {name}");
                assert_eq!(app.count() - before.0, expected, "{version:?} {kind:?} {name}");
                let gaps = Duration::from_mins(5) * (u32::try_from(expected).unwrap() - 1);
                assert_eq!(elapsed(before.1, simulator.now()), gaps, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn trying_ends_with_the_first_success() {
    let (simulator, app, _) = set_up(Version::V23_7_1, AppKind::Published);
    simulator.install().await;
    app.will_answer([Ok(500), Err(SendFailure::TimedOut), Ok(200), Ok(500)]);
    let created = simulator.create_issue(NewIssue::new("backend", "x")).await.unwrap();
    assert!(!created.delivery.is_accepted() && created.delivery.is_retried());
    let attempts = created.delivery.finished().await;
    assert_eq!(attempts, [Attempt::Answered(500), Attempt::Failed(SendFailure::TimedOut), Attempt::Answered(200)]);
    let numbers: Vec<_> = simulator.log().iter().map(|exchange| (exchange.subject.clone(), exchange.attempt)).collect();
    let expected = [("installation.created", 1), ("issue.created", 1), ("issue.created", 2), ("issue.created", 3)];
    assert_eq!(numbers, expected.map(|(subject, attempt)| (subject.to_owned(), attempt)));
}

#[tokio::test]
async fn a_retry_is_the_same_body_but_where_sentry_serializes_anew() {
    for (anew, act) in [(false, "created"), (true, "resolved")] {
        let (simulator, app, _) = set_up(Version::V23_7_1, AppKind::Published);
        simulator.install().await;
        if anew {
            simulator.create_issue(NewIssue::new("backend", "x")).await.unwrap();
        }
        let at = app.count();
        app.will_answer([Ok(500)]);
        let delivery = if anew {
            simulator.resolve_issue(1).await.unwrap()
        } else {
            simulator.create_issue(NewIssue::new("backend", "x")).await.unwrap().delivery
        };
        simulator.add_event(1).unwrap();
        assert_eq!(delivery.finished().await.len(), 2, "{act}");
        let counts = [at, at + 1].map(|index| app.body(index)["data"]["issue"]["count"].clone());
        assert_eq!(counts, if anew { ["1", "2"] } else { ["1", "1"] }, "{act}");
        let signatures = [at, at + 1].map(|index| app.header(index, "sentry-hook-signature"));
        assert_eq!(signatures[0] != signatures[1], anew, "{act}");
        let ids = [at, at + 1].map(|index| app.header(index, "request-id"));
        assert_ne!(ids[0], ids[1]);
    }
}

#[tokio::test]
async fn a_pending_installation_hears_of_nothing_but_itself() {
    let (simulator, app, _) = of(Version::Today);
    let fresh = simulator.install().await;
    let created = simulator.create_issue(NewIssue::new("backend", "x")).await.unwrap();
    assert_eq!(created.delivery.first, Attempt::NotSent(NotSent::Pending));
    let alert = simulator.trigger_alert(created.issue, Alert::default()).await.unwrap();
    assert_eq!(alert.first, Attempt::NotSent(NotSent::Pending));
    assert_eq!(app.count(), 1);
    simulator.uninstall(&fresh.installation).await.unwrap();
    assert_eq!((app.count(), app.body(1)["action"].clone()), (2, json!("deleted")));
    let late = simulator.create_issue(NewIssue::new("backend", "x")).await.unwrap();
    assert_eq!(late.delivery.first, Attempt::NotSent(NotSent::NotInstalled));
}

#[tokio::test]
async fn redirect_and_webhook_carry_the_same_code_in_any_order() {
    for order in [Order::WebhookFirst, Order::RedirectFirst, Order::Both] {
        let (simulator, app, _) = of(Version::Today);
        let fresh = simulator.install_with(Install { order, organization: None }).await;
        assert_eq!(app.count(), usize::from(order == Order::WebhookFirst), "{order:?}");
        let (uuid, code) = (fresh.installation, fresh.code.unwrap());
        let expected = format!("http://app.test/setup?code={code}&installationId={uuid}&orgSlug=example-org");
        assert_eq!(fresh.redirect_url.as_deref(), Some(expected.as_str()));
        match order {
            Order::RedirectFirst => assert!(simulator.announce(&uuid).await.is_accepted()),
            _ => assert!(fresh.webhook.delivery().await.unwrap().is_accepted()),
        }
        let body = app.body(0);
        assert_eq!(body["data"]["installation"]["code"], code);
        assert_eq!(body["data"]["installation"]["status"], "pending");
    }
}

#[tokio::test]
async fn a_late_announcement_has_no_code_any_more() {
    let (simulator, app, _) = of(Version::Today);
    let fresh = simulator.install_with(Install { order: Order::RedirectFirst, organization: None }).await;
    exchange(&simulator, &fresh.installation, &fresh.code.unwrap()).await;
    simulator.announce(&fresh.installation).await;
    assert!(app.body(0)["data"]["installation"].get("code").is_none());
}

#[tokio::test]
async fn installing_twice_finds_the_first_and_sends_nothing() {
    let (simulator, app, _) = of(Version::Today);
    let first = simulator.install().await;
    let again = simulator.install().await;
    assert_eq!((&again.installation, &again.code), (&first.installation, &first.code));
    assert!(matches!(again.webhook, crate::Announcement::None));
    assert_eq!(app.count(), 1);
    simulator.uninstall(&first.installation).await.unwrap();
    let anew = simulator.install().await;
    assert_ne!(anew.installation, first.installation);
    assert_ne!(anew.code, first.code);
}

#[tokio::test]
async fn a_503_keeps_the_installation_only_of_a_published_app_on_the_older_server() {
    for (version, kind, status, stays) in [
        (Version::V23_7_1, AppKind::Published, 503, true),
        (Version::V23_7_1, AppKind::Published, 504, true),
        (Version::V23_7_1, AppKind::Published, 500, false),
        (Version::V23_7_1, AppKind::Unpublished, 503, false),
        (Version::Today, AppKind::Published, 503, false),
    ] {
        let (simulator, app, _) = set_up(version, kind);
        let uuid = simulator.install().await.installation;
        app.will_answer([Ok(status)]);
        let outcome = simulator.uninstall(&uuid).await;
        assert_eq!(simulator.status_of(&uuid).is_some(), stays, "{version:?} {kind:?} {status}");
        match outcome {
            Err(UninstallFailed::Answered(answered)) => assert_eq!((answered, stays), (status, true)),
            Ok(delivery) => assert!(!stays && !delivery.is_retried(), "installation.deleted is sent once"),
            Err(other) => panic!("{other}"),
        }
        assert_eq!(app.count(), 2);
    }
}

#[tokio::test]
async fn an_internal_integration_hears_of_issues_but_not_of_its_installation() {
    let (simulator, app, _) = set_up(Version::Today, AppKind::Internal);
    let found = simulator.install().await;
    assert_eq!(Some(found.installation.as_str()), simulator.internal_installation());
    assert_eq!((found.code, found.redirect_url), (None, None));
    let created = simulator.create_issue(NewIssue::new("Frontend", "x")).await.unwrap();
    assert!(created.delivery.is_accepted());
    let gone = simulator.uninstall(&found.installation).await.unwrap();
    assert_eq!(gone.first, Attempt::NotSent(NotSent::Internal));
    assert_eq!(app.count(), 1);
}

#[tokio::test]
async fn an_alert_without_addresses_names_its_project_by_number_only() {
    let (simulator, app, _) = of(Version::Today);
    installed(&simulator).await;
    let issue = simulator.create_issue(NewIssue::new("Backend", "Boom: 😀")).await.unwrap().issue;
    let settings = vec![("channel".to_owned(), "ops".to_owned())];
    let alert = Alert { urls: AlertUrls::Absent, settings, ..Alert::default() };
    simulator.trigger_alert(issue, alert).await.unwrap();
    let body = app.body(2);
    let text = String::from_utf8(app.received.lock().unwrap()[2].body().to_vec()).unwrap();
    assert!(!text.to_lowercase().contains("backend"), "{text}");
    assert!(text.contains('😀'), "today's server does not escape");
    assert_eq!(body["data"]["event"]["project"], 3);
    assert_eq!(body["data"]["event"]["issue_id"], issue.to_string());
    assert_eq!(body["data"]["issue_alert"]["settings"], json!([{"name": "channel", "value": "ops"}]));
}

#[tokio::test]
async fn anything_can_be_sent_and_sent_again() {
    let (simulator, app, _) = of(Version::Today);
    assert!(simulator.repeat_last().await.is_none());
    installed(&simulator).await;
    simulator.create_issue(NewIssue::new("backend", "x")).await.unwrap();
    assert!(simulator.send_raw("seer", &b"not json"[..]).await.is_accepted());
    assert_eq!(app.header(2, "sentry-hook-signature"), simulator.sign(b"not json"));
    simulator.repeat("issue.created").await.unwrap();
    simulator.repeat_last().await.unwrap();
    let bodies: Vec<_> = app.received.lock().unwrap().iter().map(|request| request.body().clone()).collect();
    assert_eq!((&bodies[3], &bodies[4]), (&bodies[1], &bodies[1]));
    assert_ne!(app.header(3, "request-id"), app.header(1, "request-id"));
    assert!(simulator.repeat("comment.created").await.is_none());
}

#[tokio::test]
async fn what_does_not_exist_is_said_to_be_unknown() {
    let (simulator, _, _) = of(Version::Today);
    let created = simulator.create_issue(NewIssue::new("nope", "x")).await;
    assert_eq!(created.unwrap_err(), Unknown::Project("nope".to_owned()));
    assert_eq!(simulator.resolve_issue(7).await.unwrap_err(), Unknown::Issue(7));
    assert!(matches!(simulator.uninstall("u").await, Err(UninstallFailed::Unknown(_))));
    let silent = Simulator::new(Config { verify_install: false, ..Config::default() });
    let fresh = silent.install().await;
    let first = fresh.webhook.delivery().await.unwrap().first;
    assert_eq!(first, Attempt::NotSent(NotSent::NoWebhookUrl));
}

#[tokio::test]
async fn the_time_for_an_answer_is_the_version_s() {
    struct Asked(std::sync::Mutex<Vec<Duration>>);
    impl crate::Deliver for Asked {
        fn send(&self, _: Request<Bytes>, timeout: Duration) -> crate::Answering {
            self.0.lock().unwrap().push(timeout);
            Box::pin(async { Err(SendFailure::TimedOut) })
        }
    }
    for (version, seconds) in [(Version::V23_7_1, 5), (Version::Today, 1)] {
        let asked = Arc::new(Asked(std::sync::Mutex::default()));
        let (simulator, _, _) = of(version);
        simulator.set_deliver(asked.clone());
        simulator.install().await;
        assert_eq!(*asked.0.lock().unwrap(), [Duration::from_secs(seconds)]);
    }
}
