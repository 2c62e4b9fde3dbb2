//! What Sentry does with an app's UI components: it fills selects, sends forms, judges the answers, and shows its user
//! what became of it. Each request is made once, signed in `Sentry-App-Signature`, and follows no redirect.
//!
//! What a browser does before that (a required field that is empty cannot be sent) is left to whoever draws the form.

mod judge;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{Method, Request, Response, Uri, header};
use serde_json::Value;

pub use self::schema::{SchemaRefused, check_schema};
use crate::config::Version;
use crate::deliver::SendFailure;
use crate::events::{Alert, Unknown};
use crate::ordered::Json;
use crate::record::{Direction, Exchange, elapsed};
use crate::signing::random_hex;
use crate::simulator::{Simulator, locked};
use crate::state::{Issue, Status};
use crate::webhooks::Delivery;
use crate::webhooks::payload::Actor;

/// Of Sentry's HTTP client; a user waits all the while.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What Sentry's API answers its own page with when a component fails, and its user reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UserSees {
    pub status: u16,
    pub message: String,
}

/// Entries of a select.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Value and label, in the app's order.
    pub choices: Vec<(String, String)>,
    /// Value of the one that is preselected.
    pub default: Option<String>,
}

/// What an issue is linked to, by this app: one for each issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalIssue {
    pub issue: u64,
    pub web_url: String,
    pub project: String,
    pub identifier: String,
}

impl ExternalIssue {
    /// `{project}#{identifier}`, which Sentry escapes for HTML.
    pub fn display_name(&self) -> String {
        let name = format!("{}#{}", self.project, self.identifier);
        let escapes = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")];
        name.chars().fold(String::new(), |mut text, c| {
            match escapes.iter().find(|(plain, _)| *plain == c) {
                Some((_, escaped)) => text.push_str(escaped),
                None => text.push(c),
            }
            text
        })
    }
}

/// Name and value of a form's field.
pub type Field<'a> = (&'a str, &'a str);

/// Alert rules by name, with the settings of the app's action.
pub(crate) type Rules = BTreeMap<String, Vec<(String, String)>>;

impl UserSees {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl Simulator {
    /// The app's components from now on; `None` for none.
    pub fn set_schema(&self, schema: impl Into<Option<Value>>) -> Result<(), SchemaRefused> {
        let schema = schema.into();
        schema.as_ref().map_or(Ok(()), check_schema)?;
        locked(&self.0.state).schema = schema;
        Ok(())
    }

    /// The element of that type in the app's schema.
    pub fn component(&self, kind: &str) -> Option<Value> {
        let state = locked(&self.0.state);
        let elements = state.schema.as_ref()?["elements"].as_array()?;
        elements.iter().find(|element| element["type"] == kind).cloned()
    }

    /// What a select of this `uri` offers. `query`: what the user typed; `dependent`: the fields that it depends on.
    pub async fn select_options(
        &self,
        uri: &str,
        project_slug: Option<&str>,
        query: Option<&str>,
        dependent: Option<&Value>,
    ) -> Result<Options, UserSees> {
        let installation = self.installed_here(&self.config().organization)?;
        let dependent = dependent.map(Value::to_string);
        let parameters = [
            ("installationId", Some(installation.as_str())),
            ("projectSlug", project_slug),
            ("query", query),
            ("dependentData", dependent.as_deref()),
        ];
        let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let uri = format!("{uri}?{}", encoded(given, true));
        let answer = self.ask(Method::GET, &uri, Bytes::new(), "select_options.requested").await;
        judge::options(answer).ok_or_else(|| match self.config().version {
            Version::V23_7_1 => judge::not_communicating(),
            Version::Today => {
                let slug = &self.config().app_slug;
                UserSees::new(
                    500,
                    format!("Something went wrong while getting options for Select FormField from {slug}"),
                )
            }
        })
    }

    /// A user sends the form *Create* of the issue's sidebar.
    pub async fn create_link(&self, issue: u64, fields: &[Field<'_>]) -> Result<ExternalIssue, UserSees> {
        self.issue_link(issue, "create", "external_issue.created", fields).await
    }

    /// A user sends the form *Link* of the issue's sidebar.
    pub async fn link(&self, issue: u64, fields: &[Field<'_>]) -> Result<ExternalIssue, UserSees> {
        self.issue_link(issue, "link", "external_issue.linked", fields).await
    }

    async fn issue_link(
        &self,
        issue: u64,
        action: &str,
        subject: &str,
        fields: &[Field<'_>],
    ) -> Result<ExternalIssue, UserSees> {
        let uri = self.uri_of("issue-link", action)?;
        let found = locked(&self.0.state).issues.get(&issue).cloned();
        let issue = found.ok_or_else(|| UserSees::new(404, Unknown::Issue(issue).to_string()))?;
        let installation = self.installed_here(&issue.organization)?;
        let body = self.bytes(&self.issue_link_body(&issue, &installation, fields));
        let answer = self.ask(Method::POST, &uri, body, subject).await;
        let link = judge::link(self.config(), issue.id, answer)?;
        // Only now: Sentry looks at what it has when it writes, after the app has done its part.
        let mut state = locked(&self.0.state);
        if state.external_issues.contains_key(&issue.id) {
            return Err(judge::link_failed(self.config()));
        }
        state.external_issues.insert(issue.id, link.clone());
        Ok(link)
    }

    fn issue_link_body(&self, issue: &Issue, installation: &str, fields: &[Field<'_>]) -> Json {
        let base = self.addresses().base_url;
        let given = fields.iter().map(|(name, value)| ((*name).to_owned(), Json::from(*value)));
        Json::from([
            ("fields", Json::Object(given.collect())),
            ("issueId", issue.id.into()),
            ("installationId", installation.into()),
            ("webUrl", format!("{base}/organizations/{}/issues/{}/", issue.organization, issue.id).into()),
            ("project", [("slug", issue.project.slug.as_str().into()), ("id", issue.project.id.into())].into()),
            ("actor", Actor::User.into()),
        ])
    }

    /// What the issue is linked to.
    pub fn external_issue(&self, issue: u64) -> Option<ExternalIssue> {
        locked(&self.0.state).external_issues.get(&issue).cloned()
    }

    /// A user takes the issue's link away; Sentry tells the app nothing of it. Whether there was one.
    pub fn unlink(&self, issue: u64) -> bool {
        locked(&self.0.state).external_issues.remove(&issue).is_some()
    }

    /// A user saves an alert rule with the app's action, anew or after a change. Fields left empty are not sent.
    pub async fn save_rule(&self, name: &str, fields: &[Field<'_>]) -> Result<(), UserSees> {
        let uri = self.uri_of("alert-rule-action", "settings")?;
        let installation = self.installed_here(&self.config().organization)?;
        let given = fields.iter().filter(|(_, value)| !value.is_empty());
        let settings =
            given.clone().map(|(name, value)| Json::from([("name", (*name).into()), ("value", (*value).into())]));
        let body = Json::from([("fields", Json::Array(settings.collect())), ("installationId", installation.into())]);
        let answer = self.ask(Method::POST, &uri, self.bytes(&body), "alert_rule_action.requested").await;
        judge::rule(self.config(), answer)?;
        let settings = given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        locked(&self.0.state).rules.insert(name.to_owned(), settings);
        Ok(())
    }

    /// Names of the saved rules.
    pub fn rules(&self) -> Vec<String> {
        locked(&self.0.state).rules.keys().cloned().collect()
    }

    /// A saved rule fires for an issue: its settings go with `event_alert.triggered`.
    pub async fn trigger_rule(&self, issue: u64, name: &str) -> Result<Delivery, Unknown> {
        let settings = locked(&self.0.state).rules.get(name).cloned();
        let settings = settings.ok_or_else(|| Unknown::Rule(name.to_owned()))?;
        self.trigger_alert(issue, Alert { rule: name.to_owned(), settings, ..Alert::default() }).await
    }

    /// Where the link beside a stack frame leads: the user's browser opens it, and nothing signs it.
    pub fn stacktrace_link(&self, project_slug: &str, filename: &str, line: u32) -> Result<String, UserSees> {
        let uri = self.uri_of("stacktrace-link", "")?;
        let installation = self.installed_here(&self.config().organization)?;
        let line = line.to_string();
        let query = [
            ("installationId", installation.as_str()),
            ("projectSlug", project_slug),
            ("filename", filename),
            ("lineNo", line.as_str()),
        ];
        let url = self.component_url(&format!("{uri}?{}", encoded(query, false)));
        url.map(|url| url.to_string()).ok_or_else(no_webhook_url)
    }

    /// The `uri` of a component; `part` is where in it.
    fn uri_of(&self, kind: &str, part: &str) -> Result<String, UserSees> {
        let element = self.component(kind);
        let place =
            element.as_ref().and_then(|element| if part.is_empty() { Some(element) } else { element.get(part) });
        let uri = place.and_then(|place| place["uri"].as_str()).map(str::to_owned);
        uri.ok_or_else(|| UserSees::new(404, format!("{} has no {kind}", self.config().app_name)))
    }

    /// The organization's installation: components are not drawn while it waits for Verify Install.
    fn installed_here(&self, organization: &str) -> Result<String, UserSees> {
        let state = locked(&self.0.state);
        let found = state.of_organization(organization).filter(|found| found.status == Status::Installed);
        let uuid = found.map(|found| found.uuid.clone());
        uuid.ok_or_else(|| UserSees::new(404, format!("{} is not installed", self.config().app_name)))
    }

    fn bytes(&self, body: &Json) -> Bytes {
        body.to_bytes(self.config().version == Version::V23_7_1).into()
    }

    /// Scheme, host and port of the webhook URL; its path and query are dropped.
    fn component_url(&self, uri: &str) -> Option<Uri> {
        let webhook: Uri = self.addresses().webhook_url?.parse().ok()?;
        let authority: &Authority = webhook.authority()?;
        Uri::builder().scheme(webhook.scheme_str()?).authority(authority.as_str()).path_and_query(uri).build().ok()
    }

    /// One request, signed; a GET over the empty message.
    async fn ask(&self, method: Method, uri: &str, body: Bytes, subject: &str) -> Result<Response<Bytes>, SendFailure> {
        let Some(url) = self.component_url(uri) else {
            return Err(SendFailure::Unreachable("the webhook URL or the component's is malformed".to_owned()));
        };
        let (at, path, trace) = (self.now(), url.path().to_owned(), random_hex::<16>());
        let mut request = Request::builder()
            .method(method.clone())
            .uri(url)
            .header("sentry-trace", format!("{trace}-{}-0", random_hex::<8>()))
            .header("baggage", format!("sentry-trace_id={trace},sentry-environment=production,sentry-sampled=false"))
            .header(header::USER_AGENT, self.config().version.user_agent())
            .header(header::ACCEPT_ENCODING, "gzip, deflate, br")
            .header(header::ACCEPT, "*/*")
            .header(header::CONNECTION, "keep-alive")
            .header(header::CONTENT_TYPE, "application/json")
            .header("request-id", random_hex::<16>())
            .header("sentry-app-signature", self.sign(&body));
        if method == Method::POST {
            request = request.header(header::CONTENT_LENGTH, body.len());
        }
        let answer = match request.body(body) {
            Ok(request) => self.addresses().deliver.send(request, TIMEOUT).await,
            Err(error) => Err(SendFailure::Unreachable(error.to_string())),
        };
        self.note(Exchange {
            at,
            direction: Direction::ToApp,
            method: method.to_string(),
            path,
            status: answer.as_ref().ok().map(|answer| answer.status().as_u16()),
            failure: answer.as_ref().err().map(SendFailure::to_string),
            duration: elapsed(at, self.now()),
            subject: subject.to_owned(),
            attempt: 1,
        });
        answer
    }
}

fn no_webhook_url() -> UserSees {
    UserSees::new(404, "the app has no webhook URL")
}

/// A query: of Sentry's server with `+` for a space, of its page with `%20`.
fn encoded<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>, plus: bool) -> String {
    let pairs = parameters.into_iter().map(|(name, value)| {
        let mut pair = format!("{name}=");
        for byte in value.bytes() {
            match byte {
                b' ' if plus => pair.push('+'),
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => pair.push(char::from(byte)),
                _ => pair.extend(format!("%{byte:02X}").chars()),
            }
        }
        pair
    });
    pairs.collect::<Vec<_>>().join("&")
}
