//! Sentry's UI components, as Sentry asks for them: against a tracker that is a table of answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use serde_json::{Value, json};
use shared::components::Components;
use shared::ports::{Installation, Installations as _, Secret, Status, Written};
use shared_conformance::{ComponentsSetting, DESTINATIONS, issue_link};
use simulator::{Answering, AppKind, Config, GitHub, SendFailure, Version};

use crate::board::{Board, HTTP};
use crate::ports::{Broken, Ports};
use crate::world::{World, app_secret, headers};

const ACME: &str = "a8e5d37a-696c-4c54-adb5-b3f28d64c7de";
const OTHER: &str = "b8e5d37a-696c-4c54-adb5-b3f28d64c7de";
const GONE: &str = "c8e5d37a-696c-4c54-adb5-b3f28d64c7de";
const UNKNOWN: &str = "d8e5d37a-696c-4c54-adb5-b3f28d64c7de";

/// Besides [`DESTINATIONS`].
const TRACKERS: &str = r#"
[[tracker]]
name = "board"
type = "github"
token = "secret:github"
repositories = ["acme/web", "acme/backend"]
base_url = "http://board.test"
labels = ["sentry"]
organizations = ["acme"]

[[tracker]]
name = "open"
type = "github"
token = "secret:github"
base_url = "http://open.test"
organizations = ["acme", "other"]

[[stacktrace_link]]
project = "backend"
url = "https://code.example/{path}#L{line}"
"#;

/// Sentry's requests, straight into the function.
struct Direct(Arc<Components<Ports>>);

impl simulator::Deliver for Direct {
    fn send(&self, request: Request<Bytes>, timeout: Duration) -> Answering {
        let components = Arc::clone(&self.0);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let query = head.uri.query().unwrap_or_default();
            let answer = components.handle(&head.method, head.uri.path(), query, &head.headers, body);
            let answer = tokio::time::timeout(timeout, answer).await;
            answer.map(|answer| answer.map(Bytes::from)).map_err(|_| SendFailure::TimedOut)
        })
    }
}

struct Rig {
    world: World,
    components: Components<Ports>,
    board: Board,
    open: Board,
}

impl Rig {
    async fn new() -> Self {
        Self::of(Config::default()).await
    }

    async fn of(config: Config) -> Self {
        let world = World::of(config).await;
        let secrets = json!({
            "pushover-user": "u".repeat(30), "pushover-token": "a".repeat(30), "slack": "https://hooks.slack.com/x",
            "github": "ghp_0123456789abcdef",
        });
        world.ports.secrets.put(Secret::Destinations, secrets.to_string(), None);
        world.push_routes(&format!("{DESTINATIONS}{TRACKERS}")).await;
        for (id, organization, status) in
            [(ACME, "acme", Status::Active), (OTHER, "other", Status::Active), (GONE, "acme", Status::Removed)]
        {
            let organization = Some(organization.to_owned());
            let row = Installation { status, organization, ..Installation::new(id.parse().unwrap()) };
            assert_eq!(world.ports.installations.write(&row, world.now()).await.unwrap(), Written::Done);
        }
        let (board, open) = (Board::default(), Board::default());
        world.ports.outgoing.plug("board.test", board.router());
        world.ports.outgoing.plug("open.test", open.router());
        open.says("/projects", json!(["tools", "site"]));
        let components = Components::with_kinds(Arc::clone(&world.ports), |_| Some(&HTTP));
        Self { world, components, board, open }
    }

    fn signed(&self, body: &str) -> HeaderMap {
        headers(&[("sentry-app-signature", &self.world.sentry.sign(body.as_bytes()))])
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        self.send(&Method::POST, path, "", &self.signed(&body), body).await
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: impl Into<Bytes>,
    ) -> (u16, Value) {
        let answer = self.components.handle(method, &format!("/components/{path}"), query, headers, body.into()).await;
        (answer.status().as_u16(), serde_json::from_str(answer.body()).unwrap())
    }

    async fn options(&self, list: &str, installation: &str, typed: &str, dependent: Value) -> (u16, Value) {
        let mut pairs = vec![("installationId", installation.to_owned()), ("projectSlug", "backend".to_owned())];
        if !typed.is_empty() {
            pairs.push(("query", typed.to_owned()));
        }
        if !dependent.is_null() {
            pairs.push(("dependentData", dependent.to_string()));
        }
        let query = serde_urlencoded::to_string(pairs).unwrap();
        self.send(&Method::GET, &format!("options/{list}"), &query, &self.signed(""), "").await
    }

    async fn labels(&self, list: &str, installation: &str, typed: &str, dependent: Value) -> Vec<String> {
        let (status, answer) = self.options(list, installation, typed, dependent).await;
        assert_eq!(status, 200, "{list}: {answer}");
        answer.as_array().unwrap().iter().map(|entry| entry["label"].as_str().unwrap().to_owned()).collect()
    }
}

/// The message of a refusal, which is all that Sentry's user reads.
fn message(answer: &Value) -> &str {
    assert_eq!(answer.as_object().map(serde_json::Map::len), Some(1), "{answer}");
    answer["message"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_promise_is_kept() {
    for version in [Version::Today, Version::V23_7_1] {
        let github = GitHub::default();
        let setting = ComponentsSetting::new(version, github.clone(), "http://board.test").await;
        let world = World::new().await;
        world.ports.secrets.put(Secret::App, setting.app_secret().to_string(), None);
        world.ports.secrets.put(Secret::Destinations, setting.destination_secrets().to_string(), None);
        world.push_routes(&setting.routes()).await;
        for row in setting.installations() {
            assert_eq!(world.ports.installations.write(&row, world.now()).await.unwrap(), Written::Done);
        }
        world.ports.outgoing.plug("board.test", github.router());
        shared_conformance::components(&setting, Arc::new(Direct(Components::new(world.ports).into()))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn lists_hold_what_is_offered_in_the_order_people_expect() {
    let rig = Rig::new().await;
    rig.board.says("/labels/acme/web", json!(["zz bug", "bugfix", "Bug", "docs"]));
    rig.board.says("/tickets/acme/web", json!(["#9 new", "#3 bug", "#5 older"]));
    let project = json!({ "project": "board/acme/web" });
    let cases: [(&str, &str, Value, &[&str]); 11] = [
        ("destinations", "", Value::Null, &["chat (slack)", "phones (pushover)"]),
        ("destinations", "PHO", Value::Null, &["phones (pushover)"]),
        ("mentions", "", json!({ "destination": "chat" }), &["<!here>", "<@U1>"]),
        ("mentions", "u1", json!({ "destination": "chat" }), &["<@U1>"]),
        ("mentions", "", json!({ "destination": "phones" }), &[]),
        ("priorities", "", Value::Null, &["low", "normal", "high", "urgent"]),
        ("projects", "", Value::Null, &["acme/backend (board)", "acme/web (board)", "site (open)", "tools (open)"]),
        ("projects", "E", Value::Null, &["acme/backend (board)", "acme/web (board)", "site (open)"]),
        ("labels", "", project.clone(), &["Bug", "bugfix", "docs", "zz bug"]),
        ("labels", "bug", project.clone(), &["Bug", "bugfix", "zz bug"]),
        ("tickets", "bug", project, &["#9 new", "#3 bug", "#5 older"]),
    ];
    for (list, typed, dependent, expected) in cases {
        let found = rig.labels(list, ACME, typed, dependent).await;
        assert_eq!(found, expected, "{list}, {typed}");
    }
    let (_, sole) = rig.options("destinations", OTHER, "", Value::Null).await;
    assert_eq!(sole, json!([{ "label": "chat (slack)", "value": "chat", "default": true }]));
    let (_, projects) = rig.options("projects", ACME, "tools", Value::Null).await;
    assert_eq!(projects, json!([{ "label": "tools (open)", "value": "open/tools" }]));
    let (status, answer) = rig.options("labels", ACME, "", Value::Null).await;
    assert!(status == 400 && message(&answer).contains("`project`"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_trackers_answer_counts_for_a_minute_and_helps_out_for_ten() {
    let rig = Rig::new().await;
    rig.board.says("/labels/acme/web", json!(["bug"]));
    let ask = async || rig.options("labels", ACME, "", json!({ "project": "board/acme/web" })).await;
    let one = (200, json!([{ "label": "bug", "value": "bug" }]));
    assert_eq!(ask().await, one);
    assert_eq!(ask().await, one);
    assert_eq!(rig.board.calls(), 1, "the second time it was kept");
    // Seconds later, the tracker's trouble, and what is answered.
    let trouble: [(u64, Option<u16>, u64, u16, &str); 4] = [
        (61, Some(500), 0, 200, ""),
        (300, None, 60, 200, ""),
        (600, None, 60, 504, "board does not answer in time"),
        (1, Some(401), 0, 502, "board does not know its token"),
    ];
    for (after, status, delay, expected, part) in trouble {
        tokio::time::sleep(Duration::from_secs(after)).await;
        *rig.board.status.lock().unwrap() = status;
        *rig.board.delay.lock().unwrap() = Duration::from_secs(delay);
        let began = rig.world.now();
        let (found, answer) = ask().await;
        assert_eq!(found, expected, "{answer}");
        assert!(expected == 200 || message(&answer).starts_with(part), "{answer}");
        let took = rig.world.now().duration_since(began);
        assert!(took.as_millis() < 1000, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_slow_tracker_says_too_late_is_there_when_the_select_is_opened_again() {
    let rig = Rig::new().await;
    rig.board.says("/labels/acme/web", json!(["bug"]));
    *rig.board.delay.lock().unwrap() = Duration::from_secs(3);
    let project = json!({ "project": "board/acme/web" });
    assert_eq!(rig.options("labels", ACME, "", project.clone()).await.0, 504);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let began = rig.world.now();
    assert_eq!(rig.labels("labels", ACME, "", project).await, ["bug"]);
    assert_eq!((rig.world.now(), rig.board.calls()), (began, 1), "it was kept, and is not asked for again");
}

#[tokio::test(start_paused = true)]
async fn one_tracker_in_trouble_hides_no_other_ones_projects() {
    let rig = Rig::new().await;
    *rig.open.status.lock().unwrap() = Some(500);
    let found = rig.labels("projects", ACME, "", Value::Null).await;
    assert_eq!(found, ["acme/backend (board)", "acme/web (board)"]);
    let (status, answer) = rig.options("projects", OTHER, "", Value::Null).await;
    assert!(status == 502 && message(&answer).starts_with("open is in trouble"), "{status}: {answer}");
}

#[tokio::test(start_paused = true)]
async fn a_ticket_is_opened_once_and_one_that_there_is_can_be_linked() {
    let rig = Rig::new().await;
    rig.board.says("/open", json!({ "number": 12 }));
    rig.board.says("/ticket/3", json!({ "number": 3 }));
    let fields = json!({
        "project": "board/acme/backend", "title": "division by zero", "description": "line 1\nline 2", "label": "bug",
        "assignee": "ada",
    });
    let expected = json!({ "webUrl": "http://board.test/12", "project": "acme/backend", "identifier": "12" });
    for _ in 0..2 {
        let (status, answer) = rig.post("issue-link/create", &issue_link(ACME, 7, fields.clone())).await;
        assert_eq!((status, &answer), (200, &expected));
    }
    let opened = rig.board.asked.lock().unwrap().clone();
    let body = json!({
        "project": "acme/backend", "title": "division by zero", "text": "line 1\nline 2",
        "link": "https://acme.sentry.example/issues/7/", "labels": ["bug", "sentry"], "assignee": "ada",
    });
    assert_eq!(opened, [("/open".to_owned(), body)]);

    let fields = json!({ "project": "board/acme/web", "ticket": " 3 " });
    let expected = json!({ "webUrl": "http://board.test/3", "project": "acme/web", "identifier": "3" });
    let (status, answer) = rig.post("issue-link/link", &issue_link(ACME, 8, fields)).await;
    assert_eq!((status, &answer), (200, &expected));
    let known = shared::tickets::known(&*rig.world.ports, &"board".parse().unwrap(), ACME.parse().unwrap(), "8").await;
    assert_eq!(known.unwrap().unwrap().identifier, "3", "from now on it belongs to the issue");
}

#[tokio::test(start_paused = true)]
async fn a_tracker_that_refuses_is_heard_without_its_secret_and_one_that_hangs_is_left() {
    let rig = Rig::new().await;
    rig.board.says("/open", json!({ "number": 12 }));
    let body = issue_link(ACME, 7, json!({ "project": "board/acme/backend", "title": "t" }));
    let cases = [(Some(422), 0, 400, "no such label"), (Some(401), 0, 502, "token"), (None, 60, 504, "in time")];
    for (status, delay, expected, part) in cases {
        *rig.board.status.lock().unwrap() = status;
        *rig.board.delay.lock().unwrap() = Duration::from_secs(delay);
        let began = rig.world.now();
        let (found, answer) = rig.post("issue-link/create", &body).await;
        assert_eq!(found, expected, "{answer}");
        let text = message(&answer);
        assert!(text.starts_with("board ") && text.contains(part) && !text.contains("ghp_"), "{text}");
        assert!(rig.world.now().duration_since(began).as_secs() <= 8);
    }
    let missing = issue_link(ACME, 7, json!({ "project": "board/acme/backend", "ticket": "99" }));
    *rig.board.delay.lock().unwrap() = Duration::ZERO;
    let (status, answer) = rig.post("issue-link/link", &missing).await;
    assert!(status == 400 && message(&answer).contains("(404)"), "{status}: {answer}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_set_up_or_out_of_reach_is_a_503_with_a_sentence() {
    let body = issue_link(ACME, 7, json!({ "project": "board/acme/backend", "title": "t" }));
    let rig = Rig::new().await;
    rig.world.ports.secrets.put(Secret::Destinations, r#"{"other":"x"}"#, None);
    let (status, answer) = rig.post("issue-link/create", &body).await;
    assert!(status == 503 && message(&answer).contains("its operator"), "{status}: {answer}");
    assert!(!message(&answer).contains("github"), "{answer}");

    let rig = Rig::new().await;
    rig.world.ports.settings.down.store(true, std::sync::atomic::Ordering::Relaxed);
    let (status, answer) = rig.post("issue-link/create", &body).await;
    assert!(status == 503 && message(&answer).contains("try again"), "{status}: {answer}");

    let rig = Rig::new().await;
    *rig.world.ports.secrets.broken.lock().unwrap() = Some(Broken::Hangs);
    let began = rig.world.now();
    let (status, answer) = rig.options("destinations", ACME, "", Value::Null).await;
    assert!(status == 503 && message(&answer).contains("try again"), "{status}: {answer}");
    assert!(rig.world.now().duration_since(began).as_millis() < 1000);
}

#[tokio::test(start_paused = true)]
async fn an_internal_integrations_signature_is_enough_but_a_removed_installation_stays_removed() {
    let rig = Rig::of(Config { kind: AppKind::Internal, ..Config::default() }).await;
    assert!(app_secret(&rig.world.sentry)["api_token"].is_string());
    assert_eq!(rig.labels("destinations", UNKNOWN, "", Value::Null).await, ["nobodys (console)"]);
    assert_eq!(
        rig.labels("destinations", ACME, "", Value::Null).await,
        ["chat (slack)", "nobodys (console)", "phones (pushover)"]
    );
    assert_eq!(rig.options("destinations", GONE, "", Value::Null).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn each_path_has_its_method() {
    let rig = Rig::new().await;
    let cases = [
        (Method::GET, "alert-rule-action", "POST"),
        (Method::GET, "issue-link/create", "POST"),
        (Method::PUT, "issue-link/link", "POST"),
        (Method::POST, "options/destinations", "GET"),
        (Method::POST, "stacktrace-link", "GET"),
    ];
    for (method, path, allowed) in cases {
        let (status, answer) = rig.send(&method, path, "", &rig.signed(""), "").await;
        assert_eq!((status, message(&answer)), (405, &*format!("This component takes {allowed} only.")), "{path}");
    }
    assert_eq!(rig.components.too_large().status(), 413, "for those who stop reading there");
}

#[tokio::test(start_paused = true)]
async fn once_it_is_warm_the_first_select_reads_nothing_but_the_installation() {
    let rig = Rig::new().await;
    rig.components.warm_up().await;
    let readings = rig.world.ports.secrets.readings.lock().unwrap().len();
    *rig.world.ports.secrets.broken.lock().unwrap() = Some(Broken::Hangs);
    rig.world.ports.settings.down.store(true, std::sync::atomic::Ordering::Relaxed);
    rig.board.says("/labels/acme/web", json!(["bug"]));
    assert_eq!(rig.labels("labels", ACME, "", json!({ "project": "board/acme/web" })).await, ["bug"]);
    assert_eq!(rig.world.ports.secrets.readings.lock().unwrap().len(), readings);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_ahead_keeps_nobody_from_starting() {
    for broken in [Broken::Down, Broken::Hangs] {
        let rig = Rig::new().await;
        *rig.world.ports.secrets.broken.lock().unwrap() = Some(broken);
        rig.components.warm_up().await;
        *rig.world.ports.secrets.broken.lock().unwrap() = None;
        assert_eq!(rig.labels("destinations", OTHER, "", Value::Null).await, ["chat (slack)"]);
    }
}
