//! A stand-in for GitLab's REST API with one project, `acme/shop/backend`: refuses what GitLab refuses, keeps its
//! issues, and knows whom each would mention and which quick actions it would carry out.
//!
//! Answers as in <https://docs.gitlab.com/api/issues/>.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::config::{Clock, Sleep};
use crate::faults::Fault;
use crate::markdown::{Found, found_in};
use crate::server::{Answer, Call};
use crate::simulator::locked;
use crate::stand_in::StandIn;

const TOKEN: &str = "glpat-0abcdefghijklmnopqrs";
const PROJECT: &str = "acme/shop/backend";
const LABELS: [&str; 2] = ["bug", "sentry"];
const PEOPLE: [(u64, &str, &str); 2] = [(7, "ada", "Ada Lovelace"), (8, "grace", "Grace Hopper")];
const TITLE_LIMIT_CHARS: usize = 255;
const TEXT_LIMIT_CHARS: usize = 1_048_576;
/// A description of a megabyte is more as JSON.
const BODY_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// The API. Clones are handles to the same one.
#[derive(Clone)]
pub struct GitLab(Arc<Inner>);

struct Inner {
    stand_in: StandIn,
    state: Mutex<Project>,
}

#[derive(Default)]
struct Project {
    issues: Vec<GitLabIssue>,
    token_is_revoked: bool,
    issues_are_off: bool,
}

/// An issue as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitLabIssue {
    pub number: usize,
    pub title: String,
    pub description: String,
    pub labels: Vec<String>,
    /// Names of users; whoever is no member is left out, as GitLab does.
    pub assignees: Vec<String>,
    pub is_open: bool,
    /// Oldest first.
    pub comments: Vec<String>,
    /// Whom its title, description and comments mention.
    pub mentions: Vec<String>,
    /// What they refer to: `#12`, `!12`, `~label`.
    pub references: Vec<String>,
    /// Quick actions in them: `/close`.
    pub commands: Vec<String>,
}

type Done = Result<(u16, Value), (u16, Value)>;

fn refused<T>(status: u16, message: impl Into<Value>) -> Result<T, (u16, Value)> {
    Err((status, json!({"message": message.into()})))
}

impl Default for GitLab {
    fn default() -> Self {
        Self::of(StandIn::in_real_time())
    }
}

impl GitLab {
    pub fn new(clock: Clock, sleep: Sleep) -> Self {
        Self::of(StandIn::new(clock, sleep))
    }

    fn of(stand_in: StandIn) -> Self {
        Self(Arc::new(Inner { stand_in, state: Mutex::default() }))
    }

    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// `group/sub/name`
    pub fn project(&self) -> &'static str {
        PROJECT
    }

    /// Oldest first.
    pub fn issues(&self) -> Vec<GitLabIssue> {
        locked(&self.0.state).issues.clone()
    }

    /// The next `times` calls fail like this.
    pub fn fail_next(&self, times: usize, fault: &Fault) {
        self.0.stand_in.fail_next(times, fault);
    }

    pub fn revoke_token(&self) {
        locked(&self.0.state).token_is_revoked = true;
    }

    pub fn switch_issues_off(&self) {
        locked(&self.0.state).issues_are_off = true;
    }
}

impl Project {
    fn carry_out(&mut self, call: &Call, query: &HashMap<String, String>) -> Done {
        let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok());
        if header(header::USER_AGENT.as_str()).is_none_or(str::is_empty) {
            return refused(403, "403 Forbidden");
        }
        if header("private-token") != Some(TOKEN) || self.token_is_revoked {
            return refused(401, "401 Unauthorized");
        }
        let Some(path) = call.path.strip_prefix("/api/v4/") else {
            return Err((404, json!({"error": "404 Not Found"})));
        };
        let path: Vec<&str> = path.split('/').collect();
        let searched = |name: &str| query.get(name).map(|text| text.to_lowercase()).unwrap_or_default();
        let fits = |text: &str, name: &str| text.to_lowercase().contains(&searched(name));
        let (id, rest) = match *path {
            ["projects"] if call.method == "GET" => {
                let found = Some(json!({"path_with_namespace": PROJECT})).filter(|_| fits(PROJECT, "search"));
                return Ok((200, found.into_iter().collect()));
            }
            ["projects", id, ref rest @ ..] => (id, rest),
            _ => return Err((404, json!({"error": "404 Not Found"}))),
        };
        if !id.replace("%2F", "/").eq_ignore_ascii_case(PROJECT) {
            return refused(404, "404 Project Not Found");
        }
        if rest.first() == Some(&"issues") && self.issues_are_off {
            return refused(403, "403 Forbidden");
        }
        match (call.method.as_str(), rest) {
            ("GET", ["labels"]) => {
                let fitting = LABELS.iter().filter(|name| fits(name, "search"));
                Ok((200, fitting.map(|name| json!({"name": name})).collect()))
            }
            ("GET", ["members", "all"]) => {
                let fitting = PEOPLE.iter().filter(|(_, login, name)| fits(login, "query") || fits(name, "query"));
                let shown = |(id, login, name): &(u64, &str, &str)| json!({"id": id, "username": login, "name": name, "state": "active"});
                Ok((200, fitting.map(shown).collect()))
            }
            ("GET", ["issues"]) => {
                let of_state =
                    |issue: &&GitLabIssue| query.get("state").is_none_or(|state| (state == "opened") == issue.is_open);
                let place = query.get("in").map_or("title,description", String::as_str);
                let holds = |issue: &&GitLabIssue| {
                    (place.contains("title") && fits(&issue.title, "search"))
                        || (place.contains("description") && fits(&issue.description, "search"))
                };
                let size = query.get("per_page").and_then(|text| text.parse().ok()).unwrap_or(20);
                Ok((
                    200,
                    self.issues
                        .iter()
                        .rev()
                        .filter(of_state)
                        .filter(holds)
                        .take(size)
                        .map(GitLabIssue::shown)
                        .collect(),
                ))
            }
            ("POST", ["issues"]) => self.open(&body_of(call)?),
            ("GET", ["issues", number]) => Ok((200, self.issue(number)?.shown())),
            ("PUT", ["issues", number]) => {
                let body = body_of(call)?;
                let issue = self.issue(number)?;
                match body["state_event"].as_str() {
                    Some("close") => issue.is_open = false,
                    Some("reopen") => issue.is_open = true,
                    _ => return Err((400, json!({"error": "state_event does not have a valid value"}))),
                }
                Ok((200, issue.shown()))
            }
            ("POST", ["issues", number, "notes"]) => {
                let body = body_of(call)?;
                let Some(text) = body["body"].as_str() else { return Err((400, json!({"error": "body is missing"}))) };
                let issue = self.issue(number)?;
                issue.find(text);
                issue.comments.push(text.to_owned());
                Ok((201, json!({"id": issue.comments.len()})))
            }
            _ => Err((404, json!({"error": "404 Not Found"}))),
        }
    }

    fn issue(&mut self, number: &str) -> Result<&mut GitLabIssue, (u16, Value)> {
        let found = self.issues.iter_mut().find(|issue| issue.number.to_string() == number);
        found.map_or_else(|| refused(404, "404 Not found"), Ok)
    }

    fn open(&mut self, body: &Value) -> Done {
        let title = body["title"].as_str().unwrap_or_default().to_owned();
        if title.trim().is_empty() {
            return Err((400, json!({"error": "title is missing"})));
        }
        if title.chars().count() > TITLE_LIMIT_CHARS {
            return refused(400, json!({"title": ["is too long (maximum is 255 characters)"]}));
        }
        let description = body["description"].as_str().unwrap_or_default().to_owned();
        if description.chars().count() > TEXT_LIMIT_CHARS {
            return refused(400, json!({"description": ["is too long (maximum is 1048576 characters)"]}));
        }
        let labels = body["labels"].as_str().unwrap_or_default().split(',').filter(|label| !label.is_empty());
        let labels = labels.map(str::to_owned).collect();
        let ids = body["assignee_ids"].as_array().map_or(&[][..], Vec::as_slice);
        let members = PEOPLE.iter().filter(|(id, ..)| ids.iter().any(|asked| asked == id));
        let assignees = members.map(|(_, login, _)| (*login).to_owned()).collect();
        let number = self.issues.len() + 1;
        let mut issue = GitLabIssue { number, labels, assignees, is_open: true, ..GitLabIssue::default() };
        issue.find(&title);
        issue.find(&description);
        (issue.title, issue.description) = (title, description);
        let shown = issue.shown();
        self.issues.push(issue);
        Ok((201, shown))
    }
}

impl GitLabIssue {
    fn shown(&self) -> Value {
        json!({
            "iid": self.number,
            "title": self.title,
            "description": self.description,
            "state": if self.is_open { "opened" } else { "closed" },
            "web_url": format!("https://gitlab.com/{PROJECT}/-/issues/{}", self.number),
        })
    }

    fn find(&mut self, text: &str) {
        let Found { mentions, references, commands } = found_in(text);
        self.mentions.extend(mentions);
        self.references.extend(references);
        self.commands.extend(commands);
    }
}

fn body_of(call: &Call) -> Result<Value, (u16, Value)> {
    if call.content_type() != "application/json" {
        return Err((415, json!({"error": "The provided content-type is not supported."})));
    }
    serde_json::from_slice(&call.body).map_err(|_| (400, json!({"error": "Problem processing request"})))
}

async fn serve(State(gitlab): State<GitLab>, request: Request) -> Response {
    let query = Query::try_from_uri(request.uri()).map(|Query(query)| query).unwrap_or_default();
    let Some(call) = Call::read_up_to(BODY_LIMIT_BYTES, request).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "payload too large").into_response();
    };
    // In a task of its own: an issue is kept also when its sender has hung up.
    let carried_out = tokio::spawn(async move {
        let carry_out = || {
            let (status, body) = locked(&gitlab.0.state).carry_out(&call, &query).unwrap_or_else(|refused| refused);
            Answer::json(status, &body).into_response()
        };
        gitlab.0.stand_in.answered(carry_out).await
    });
    carried_out.await.unwrap_or_else(|_| Answer::internal_error().into_response())
}
