//! What Sentry's UI components answer, wherever the bundle runs: in this process, in `serve`, as a function on Lambda.
//!
//! The tracker is a stand-in for GitHub. What needs a clock in hand, or a part that breaks, is tested elsewhere.

mod recorded;
mod refused;
mod taken;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shared::components::schema::schema;
use shared::ports::{Installation, Status};
use shared::routing::Routes;
use simulator::{Answering, Config, Deliver, GitHub, NewIssue, Simulator, Version};

use self::recorded::Recorded;

/// The one of the tracker `board`, and how a form names both.
const REPOSITORY: &str = "acme/backend";
const PROJECT: &str = "board/acme/backend";
/// Destinations of a routes file: for organization `acme`, for it and `other`, and for nobody of a public app.
pub const DESTINATIONS: &str = r#"
[[destination]]
name = "phones"
type = "pushover"
user = "secret:pushover-user"
token = "secret:pushover-token"
organizations = ["acme"]

[[destination]]
name = "chat"
type = "slack"
url = "secret:slack"
organizations = ["acme", "other"]
mentions = ["<!here>", "<@U1>"]

[[destination]]
name = "nobodys"
type = "console"
"#;

/// Organization `other` has this one.
const OTHER: &str = "b8e5d37a-696c-4c54-adb5-b3f28d64c7de";
/// Organization `acme` had this one.
const GONE: &str = "c8e5d37a-696c-4c54-adb5-b3f28d64c7de";
const UNKNOWN: &str = "d8e5d37a-696c-4c54-adb5-b3f28d64c7de";
/// Much longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Sentry with an app that is installed, and a tracker. The app is the one to which the recorded requests went.
pub struct ComponentsSetting {
    sentry: Simulator,
    /// Two issues of the project `Backend`.
    issues: [u64; 2],
    github: GitHub,
    /// Address of the stand-in as the bundle reaches it.
    tracker: String,
    /// That of [`Self::sentry`], of organization `acme`.
    installation: String,
}

impl ComponentsSetting {
    /// `tracker`: where the bundle will find `github`, which has the repository `acme/backend` as by default.
    pub async fn new(version: Version, github: GitHub, tracker: &str) -> Self {
        let app = Recorded::read("alert_rule_action.requested");
        let sentry = Simulator::new(Config {
            version,
            client_id: app.client_id,
            client_secret: app.client_secret.into(),
            organization: "acme".to_owned(),
            verify_install: false,
            ..Config::default()
        });
        // As long as the app has no webhook URL, nobody is told of these.
        let installation = sentry.install().await.installation;
        let mut issues = [0; 2];
        for issue in &mut issues {
            let new = NewIssue::new("Backend", "ValueError: no total");
            *issue = sentry.create_issue(new).await.expect("a project of the simulator").issue;
        }
        Self { sentry, issues, github, tracker: tracker.to_owned(), installation }
    }

    /// Secret `app`.
    pub fn app_secret(&self) -> Value {
        json!({
            "client_id": self.sentry.client_id(), "client_secret": self.sentry.client_secret().expose_secret(),
        })
    }

    /// What the routes call `secret:NAME`.
    pub fn destination_secrets(&self) -> Value {
        json!({
            "pushover-user": "u".repeat(30), "pushover-token": "a".repeat(30),
            "slack": "https://hooks.slack.com/services/T0/B0/x", "github": self.github.token(),
        })
    }

    /// The routes file in force.
    pub fn routes(&self) -> String {
        let tracker = &self.tracker;
        format!(
            r#"{DESTINATIONS}
[[tracker]]
name = "board"
type = "github"
token = "secret:github"
repositories = ["{REPOSITORY}"]
base_url = "{tracker}"
labels = ["sentry"]
organizations = ["acme"]

[[stacktrace_link]]
project = "backend"
url = "https://code.example/{{path}}#L{{line}}"

[[stacktrace_link]]
project = "payments"
url = "https://code.acme.example/{{path}}#L{{line}}"
organizations = ["acme"]
"#
        )
    }

    /// Rows of the table of installations.
    pub fn installations(&self) -> Vec<Installation> {
        let recorded = Recorded::read("alert_rule_action.requested").installation();
        let rows = [
            (self.installation.as_str(), "acme", Status::Active),
            (&recorded, "acme", Status::Active),
            (OTHER, "other", Status::Active),
            (GONE, "acme", Status::Removed),
        ];
        let row = |(id, organization, status): (&str, &str, _)| Installation {
            status,
            organization: Some(organization.to_owned()),
            ..Installation::new(id.parse().expect("a uuid"))
        };
        rows.map(row).into()
    }
}

/// Every promise of `/components/*`, of a bundle in which all of `setting` is in place. Requests leave by `bundle`, which
/// takes none but their path and query for the address.
///
/// Create and link happen once, so the bundle's Deliveries must be new.
pub async fn components(setting: &ComponentsSetting, bundle: Arc<dyn Deliver>) {
    let sentry = &setting.sentry;
    sentry.set_deliver(Arc::clone(&bundle));
    sentry.set_webhook_url("http://bundle.test/webhook");
    let routes = Routes::compile(&setting.routes()).expect("a routes file");
    sentry.set_schema(schema(&routes)).expect("Sentry takes the schema");

    let asked = Asked { setting, bundle };
    asked.unsigned_requests_are_refused().await;
    asked.recorded_requests_are_refused_for_their_form_alone().await;
    asked.forms_are_refused_with_what_is_wrong_of_them().await;
    asked.what_is_not_offered_is_answered_like_what_does_not_exist().await;
    asked.other_paths_and_methods_are_refused().await;
    asked.bodies_over_the_limit_are_refused().await;
    asked.trackers_in_trouble_are_told_of().await;
    asked.sentrys_selects_are_filled().await;
    asked.a_rule_is_saved_or_its_user_reads_why_not().await;
    asked.a_ticket_is_created_once_and_linked_to_another_issue().await;
    asked.hostile_texts_arrive_as_text().await;
    asked.frames_lead_to_their_line().await;
}

struct Asked<'a> {
    setting: &'a ComponentsSetting,
    bundle: Arc<dyn Deliver>,
}

/// What came back.
struct Answer {
    status: u16,
    location: Option<String>,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The message of a refusal, which is all that Sentry's user reads.
    fn message(&self) -> String {
        let Value::Object(members) = self.json() else { panic!("no object: {}", self.text) };
        assert_eq!(members.len(), 1, "a refusal is a message alone: {}", self.text);
        members["message"].as_str().expect("a text").to_owned()
    }
}

impl Asked<'_> {
    async fn send(&self, method: Method, path: &str, headers: HeaderMap, body: impl Into<Bytes>) -> Answer {
        let mut request = Request::new(body.into());
        *request.method_mut() = method;
        *request.uri_mut() = format!("http://bundle.test/components/{path}").parse().expect("an address");
        *request.headers_mut() = headers;
        let answer = self.bundle.send(request, PATIENCE).await.unwrap_or_else(|failure| panic!("{path}: {failure}"));
        let location = answer.headers().get(http::header::LOCATION);
        Answer {
            status: answer.status().as_u16(),
            location: location.map(|value| value.to_str().expect("ASCII").to_owned()),
            text: String::from_utf8(answer.body().to_vec()).expect("UTF-8"),
        }
    }

    /// A form as Sentry sends it.
    async fn post(&self, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        self.send(Method::POST, path, self.signed(&body), body).await
    }

    /// A select's list as Sentry asks for it, once somebody has `typed` something.
    async fn options(&self, list: &str, installation: &str, typed: &str, dependent: &Value) -> Answer {
        let dependent = dependent.to_string();
        let query = [
            ("installationId", installation),
            ("projectSlug", "backend"),
            ("query", typed),
            ("dependentData", &dependent),
        ];
        let query = serde_urlencoded::to_string(query).expect("pairs");
        self.send(Method::GET, &format!("options/{list}?{query}"), self.signed(""), "").await
    }

    fn signed(&self, body: &str) -> HeaderMap {
        headers(&[("sentry-app-signature", &self.setting.sentry.sign(body.as_bytes()))])
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers =
        HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    for (name, value) in pairs {
        headers.append(HeaderName::from_static(name), value.parse().expect("ASCII"));
    }
    headers
}

fn rule(installation: &str, fields: &[(&str, &str)]) -> Value {
    let fields: Vec<Value> = fields.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    json!({ "fields": fields, "installationId": installation })
}

/// A form of an issue's sidebar, as Sentry sends it.
pub fn issue_link(installation: &str, issue: u64, fields: impl Into<Value>) -> Value {
    let fields: Value = fields.into();
    json!({
        "fields": fields, "issueId": issue, "installationId": installation,
        "webUrl": "https://acme.sentry.example/issues/7/", "project": { "slug": "backend", "id": 3 },
        "actor": { "type": "user", "id": 1, "name": "Ada" },
    })
}

/// To the bundle at an address, whose path comes before that of each request: a real Sentry has only a host to name, a
/// local gateway often a path too.
#[derive(Debug, Clone)]
pub struct At(pub String);

impl Deliver for At {
    fn send(&self, mut request: Request<Bytes>, timeout: Duration) -> Answering {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let address: Uri = format!("{}{path}", self.0).parse().expect("an address");
        *request.uri_mut() = address;
        simulator::OverHttp.send(request, timeout)
    }
}
