//! A stand-in for Jira with two projects, in the cloud or in a data center: refuses what Jira refuses, keeps its
//! tickets, and knows whom each would mention.
//!
//! Answers as in <https://developer.atlassian.com/cloud/jira/platform/rest/v3/intro/> and
//! <https://docs.atlassian.com/software/jira/docs/api/REST/9.12.0/>; documents as in
//! <https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/>.

mod jql;
mod site;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::config::{Clock, Sleep};
use crate::faults::{Fault, Wait};
use crate::server::{Answer, Call};
use crate::simulator::locked;
use crate::stand_in::{StandIn, in_own_task, too_large};

const EMAIL: &str = "switchboard@example.com";
const TOKEN: &str = "ATATT3xFfGF0T7wYhqBv0";
const PROJECTS: [(&str, &str); 2] = [("OPS", "Operations"), ("WEB", "Web shop")];
const TYPES: [&str; 3] = ["Task", "Bug", "Sub-task"];
/// Account in the cloud, name in a data center, and what people read.
const USERS: [(&str, &str, &str); 2] =
    [("5b10a2844c20165700ede21g", "ada", "Ada Lovelace"), ("5b10ac8d82e05b22cc7d4ef5", "grace", "Grace Hopper")];
/// Number, name and category; the transition to a state has its number.
const STATES: [(&str, &str, &str); 3] =
    [("11", "To Do", "new"), ("21", "In Progress", "indeterminate"), ("31", "Done", "done")];
const SUMMARY_LIMIT_CHARS: usize = 255;
const TEXT_LIMIT_CHARS: usize = 32_767;
const LABEL_LIMIT_CHARS: usize = 255;
const FIRST_ID: usize = 10_000;
const FETCHED_AT_MOST: usize = 100;

/// Which of the two products it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JiraEdition {
    /// `/rest/api/3`, Basic authentication with an email address and a token, documents as text.
    Cloud,
    /// `/rest/api/2`, a personal access token, wiki markup as text.
    DataCenter,
}

/// The site. Clones are handles to the same one.
#[derive(Clone)]
pub struct Jira(Arc<Inner>);

struct Inner {
    edition: JiraEdition,
    stand_in: StandIn,
    state: Mutex<Site>,
}

struct Site {
    /// Key and name.
    projects: Vec<(String, String)>,
    types: Vec<String>,
    tickets: Vec<JiraTicket>,
    token_is_revoked: bool,
    cannot_be_done: bool,
    labels_are_off_the_screen: bool,
    transitions: usize,
    /// How many tickets the search knows, where it lags behind.
    indexed: Option<usize>,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            projects: PROJECTS.map(|(key, name)| (key.to_owned(), name.to_owned())).into(),
            types: TYPES.map(str::to_owned).into(),
            tickets: Vec::new(),
            token_is_revoked: false,
            cannot_be_done: false,
            labels_are_off_the_screen: false,
            transitions: 0,
            indexed: None,
        }
    }
}

/// A ticket as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JiraTicket {
    /// `OPS-1`
    pub key: String,
    pub project: String,
    pub issue_type: String,
    pub title: String,
    /// What its description shows.
    pub text: String,
    pub labels: Vec<String>,
    /// Account (cloud) or name (data center).
    pub assignee: Option<String>,
    /// `To Do`, `In Progress` or `Done`.
    pub state: String,
    /// What its comments show, oldest first.
    pub comments: Vec<String>,
    /// Accounts or names that its text and comments mention.
    pub mentions: Vec<String>,
    /// Where its text and comments link to.
    pub links: Vec<String>,
    /// The description as it came.
    description: Value,
}

/// A refusal: its status, what it says as a whole, and of single fields.
struct Refusal(u16, Vec<String>, Vec<(String, String)>);

type Done = Result<Response, Refusal>;

impl Refusal {
    fn whole(status: u16, text: impl Into<String>) -> Self {
        Self(status, vec![text.into()], Vec::new())
    }

    fn field(name: &str, text: impl Into<String>) -> Self {
        Self(400, Vec::new(), vec![(name.to_owned(), text.into())])
    }

    fn no_issue() -> Self {
        Self::whole(404, "Issue does not exist or you do not have permission to see it.")
    }

    fn no_project(key: &str) -> Self {
        Self::whole(404, format!("No project could be found with key '{key}'."))
    }

    fn answer(self) -> Response {
        let errors: Map<String, Value> = self.2.into_iter().map(|(name, text)| (name, text.into())).collect();
        answer(self.0, &json!({"errorMessages": self.1, "errors": errors}))
    }
}

impl Jira {
    /// A site with the projects `OPS` and `WEB`.
    pub fn new(edition: JiraEdition, clock: Clock, sleep: Sleep) -> Self {
        Self::of(edition, StandIn::new(clock, sleep))
    }

    pub fn cloud() -> Self {
        Self::of(JiraEdition::Cloud, StandIn::in_real_time())
    }

    pub fn data_center() -> Self {
        Self::of(JiraEdition::DataCenter, StandIn::in_real_time())
    }

    fn of(edition: JiraEdition, stand_in: StandIn) -> Self {
        Self(Arc::new(Inner { edition, stand_in, state: Mutex::default() }))
    }

    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// Whom [`Self::token`] belongs to, in the cloud.
    pub fn email(&self) -> &'static str {
        EMAIL
    }

    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// Another project, unless there is one of this key.
    pub fn add_project(&self, key: &str) {
        let mut site = locked(&self.0.state);
        if site.project(key).is_none() {
            site.projects.push((key.to_uppercase(), key.to_owned()));
        }
    }

    /// Another type of tickets, in all projects, unless there is one of this name.
    pub fn add_issue_type(&self, name: &str) {
        let mut site = locked(&self.0.state);
        if !site.types.iter().any(|known| known == name) {
            site.types.push(name.to_owned());
        }
    }

    /// Oldest first.
    pub fn tickets(&self) -> Vec<JiraTicket> {
        locked(&self.0.state).tickets.clone()
    }

    /// What people read in the place of an account or a name.
    pub fn name_of(&self, user: &str) -> Option<&'static str> {
        USERS.iter().find(|(account, name, _)| user == *account || user == *name).map(|(_, _, shown)| *shown)
    }

    /// How often a ticket changed its state.
    pub fn transitions(&self) -> usize {
        locked(&self.0.state).transitions
    }

    /// The next `times` calls fail like this.
    pub fn fail_next(&self, times: usize, fault: &Fault) {
        self.0.stand_in.fail_next(times, fault);
    }

    pub fn revoke_token(&self) {
        locked(&self.0.state).token_is_revoked = true;
    }

    /// The workflow has no more way to a state of the category `done`.
    pub fn forbid_done(&self) {
        locked(&self.0.state).cannot_be_done = true;
    }

    /// Nobody may set labels when a ticket is made.
    pub fn take_labels_off_the_screen(&self) {
        locked(&self.0.state).labels_are_off_the_screen = true;
    }

    /// From now on the search does not know what is opened, until [`Self::index`].
    pub fn let_search_lag(&self) {
        let mut site = locked(&self.0.state);
        site.indexed = Some(site.tickets.len());
    }

    /// The search knows everything again.
    pub fn index(&self) {
        locked(&self.0.state).indexed = None;
    }

    /// Deletes a ticket.
    pub fn delete(&self, key: &str) {
        locked(&self.0.state).tickets.retain(|ticket| ticket.key != key);
    }

    fn is_cloud(&self) -> bool {
        self.0.edition == JiraEdition::Cloud
    }

    fn is_authenticated(&self, call: &Call) -> bool {
        if locked(&self.0.state).token_is_revoked {
            return false;
        }
        if !self.is_cloud() {
            return call.bearer() == Some(TOKEN);
        }
        let given = call.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        given == Some(&*format!("Basic {}", STANDARD.encode(format!("{EMAIL}:{TOKEN}"))))
    }

    fn take(&self, call: &Call, query: &HashMap<String, String>) -> Response {
        let api = if self.is_cloud() { "/rest/api/3/" } else { "/rest/api/2/" };
        let Some(path) = call.path.strip_prefix(api) else {
            return (StatusCode::NOT_FOUND, "<html><title>Oops, you've found a dead link.</title></html>")
                .into_response();
        };
        if !self.is_authenticated(call) {
            let body = json!({"message": "Client must be authenticated to access this resource.", "status-code": 401});
            return Answer::json(401, &body).into_response();
        }
        let path: Vec<&str> = path.split('/').collect();
        self.carry_out(call, &path, query).unwrap_or_else(Refusal::answer)
    }

    fn carry_out(&self, call: &Call, path: &[&str], query: &HashMap<String, String>) -> Done {
        let get = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        let mut site = locked(&self.0.state);
        let cloud = self.is_cloud();
        match (&call.method, path) {
            (&Method::GET, ["project", "search"]) if cloud => {
                let projects = site.projects.iter();
                let fitting = projects.filter(|(key, name)| fits(key, get("query")) || fits(name, get("query")));
                let values: Vec<Value> = fitting.map(|(key, name)| json!({"key": key, "name": name})).collect();
                Ok(answer(200, &json!({"isLast": true, "total": values.len(), "values": values})))
            }
            (&Method::GET, ["project"]) if !cloud => {
                let values: Vec<Value> =
                    site.projects.iter().map(|(key, name)| json!({"key": key, "name": name})).collect();
                Ok(answer(200, &values))
            }
            (&Method::GET, ["project", key]) => {
                let (key, name) = site.project(key).ok_or_else(|| Refusal::no_project(key))?;
                let types: Vec<Value> =
                    site.types.iter().map(|name| json!({"name": name, "subtask": name == "Sub-task"})).collect();
                Ok(answer(200, &json!({"key": key, "name": name, "issueTypes": types})))
            }
            (&Method::GET, ["user", "assignable", "search"]) => {
                site.project(get("project")).ok_or_else(|| Refusal::no_project(get("project")))?;
                let asked = get(if cloud { "query" } else { "username" });
                let fitting = USERS.iter().filter(|(_, name, shown)| fits(name, asked) || fits(shown, asked));
                let users = fitting.map(|(account, name, shown)| {
                    if cloud {
                        json!({"accountId": account, "accountType": "atlassian", "displayName": shown, "active": true})
                    } else {
                        json!({"key": format!("JIRAUSER{}", account.len()), "name": name, "displayName": shown, "active": true})
                    }
                });
                Ok(answer(200, &users.collect::<Vec<_>>()))
            }
            (&Method::GET, ["label"]) if cloud => {
                let mut labels: Vec<&str> = vec!["backend", "urgent"];
                labels.extend(site.tickets.iter().flat_map(|ticket| ticket.labels.iter().map(String::as_str)));
                labels.sort_unstable();
                labels.dedup();
                let start = get("startAt").parse().unwrap_or(0);
                // Of at most 1000, so that a second page is asked for soon.
                let size = get("maxResults").parse().unwrap_or(1000).min(2);
                let page: Vec<_> = labels.iter().skip(start).take(size).collect();
                let is_last = start + page.len() >= labels.len();
                let body = json!({"startAt": start, "maxResults": size, "total": labels.len(), "isLast": is_last, "values": page});
                Ok(answer(200, &body))
            }
            (&Method::POST, ["search", "jql"]) if cloud => {
                let body = object(call)?;
                let fields: Vec<&str> =
                    body["fields"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let issues = site.found(body["jql"].as_str().unwrap_or_default(), &fields)?;
                Ok(answer(200, &json!({"isLast": true, "issues": issues})))
            }
            (&Method::GET, ["search"]) if !cloud => {
                let issues = site.found(get("jql"), &get("fields").split(',').collect::<Vec<_>>())?;
                let body = json!({"startAt": 0, "maxResults": 50, "total": issues.len(), "issues": issues});
                Ok(answer(200, &body))
            }
            (&Method::POST, ["issue", "bulkfetch"]) if cloud => site.fetched(&object(call)?),
            (&Method::POST, ["issue"]) => site.open(&object(call)?, cloud),
            (method, ["issue", id, rest @ ..]) => site.of_issue(method, id, rest, call, get("fields"), cloud),
            _ => Err(Refusal::whole(404, "null for uri: /rest/api")),
        }
    }
}

async fn serve(State(jira): State<Jira>, request: Request) -> Response {
    let query = Query::try_from_uri(request.uri()).map(|Query(query)| query).unwrap_or_default();
    let Some(call) = Call::read(request).await else { return too_large() };
    in_own_task(async move { jira.0.stand_in.answered_or(|| jira.take(&call, &query), refused).await }).await
}

fn refused(status: u16, wait: Option<Wait>) -> Response {
    let mut response = Refusal::whole(status, "Not now.").answer();
    if let Some(Wait::RetryAfter(wait) | Wait::Reset(wait)) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, wait.as_secs().into());
    }
    response
}

fn object(call: &Call) -> Result<Value, Refusal> {
    let is_json = call.content_type().starts_with("application/json");
    if !is_json {
        return Err(Refusal::whole(415, "Unsupported Media Type"));
    }
    let body = serde_json::from_slice(&call.body).ok().filter(Value::is_object);
    body.ok_or_else(|| {
        Refusal::whole(400, "Invalid request payload. Refer to the REST API documentation and try again.")
    })
}

fn answer(status: u16, body: &impl Serialize) -> Response {
    Answer::json(status, body).into_response()
}

fn fits(text: &str, query: &str) -> bool {
    text.to_lowercase().contains(&query.to_lowercase())
}

fn category(state: &str) -> &'static str {
    STATES.iter().find(|(_, name, _)| *name == state).map_or("new", |(_, _, category)| category)
}

fn status(state: &str) -> Value {
    json!({"name": state, "statusCategory": {"key": category(state)}})
}
