//! A stand-in for GitHub's REST API with one repository, `acme/backend`: refuses what GitHub refuses, keeps its issues,
//! and knows whom each would mention. Its search lags behind until [`GitHub::index`].
//!
//! Answers as in <https://docs.github.com/en/rest/issues?apiVersion=2022-11-28>.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::config::{Clock, Sleep};
use crate::faults::Fault;
use crate::markdown::found_in;
use crate::server::{Answer, Call};
use crate::simulator::locked;
use crate::stand_in::StandIn;

const TOKEN: &str = "github_pat_11ABCDEFG0abcdefghij";
const REPOSITORY: &str = "acme/backend";
const LABELS: [&str; 3] = ["bug", "help wanted", "sentry"];
const PEOPLE: [&str; 2] = ["ada", "grace"];
const TITLE_LIMIT_CHARS: usize = 256;
const BODY_LIMIT_CHARS: usize = 65_536;

/// The API. Clones are handles to the same one.
#[derive(Clone)]
pub struct GitHub(Arc<Inner>);

struct Inner {
    stand_in: StandIn,
    state: Mutex<Repository>,
}

#[derive(Default)]
struct Repository {
    issues: Vec<GitHubIssue>,
    /// So many of them the search knows.
    indexed: usize,
    token_is_revoked: bool,
    issues_are_off: bool,
    quota_is_used_up: bool,
}

/// An issue, or pull request, as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitHubIssue {
    pub number: usize,
    pub title: String,
    pub body: String,
    pub labels: Vec<String>,
    pub assignees: Vec<String>,
    pub is_open: bool,
    pub is_pull_request: bool,
    /// Oldest first.
    pub comments: Vec<String>,
    /// Whom its body and comments mention.
    pub mentions: Vec<String>,
    /// What its body and comments refer to: `#12`.
    pub references: Vec<String>,
}

/// Status, message and what is said of single fields.
struct Refusal(u16, &'static str, Vec<Value>);

type Done = Result<(u16, Value), Refusal>;

const NOT_FOUND: Refusal = Refusal(404, "Not Found", Vec::new());

impl Default for GitHub {
    fn default() -> Self {
        Self::of(StandIn::in_real_time())
    }
}

impl GitHub {
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

    /// `owner/name`
    pub fn repository(&self) -> &'static str {
        REPOSITORY
    }

    /// Oldest first.
    pub fn issues(&self) -> Vec<GitHubIssue> {
        locked(&self.0.state).issues.clone()
    }

    /// The search knows all issues of now.
    pub fn index(&self) {
        let mut state = locked(&self.0.state);
        state.indexed = state.issues.len();
    }

    pub fn open_pull_request(&self, title: &str) -> usize {
        let mut state = locked(&self.0.state);
        let number = state.issues.len() + 1;
        let title = title.to_owned();
        state.issues.push(GitHubIssue {
            number,
            title,
            is_open: true,
            is_pull_request: true,
            ..GitHubIssue::default()
        });
        number
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

    /// From now on no call is left of this hour's.
    pub fn use_up_quota(&self) {
        locked(&self.0.state).quota_is_used_up = true;
    }

    fn take(&self, call: &Call, query: &HashMap<String, String>) -> Response {
        let mut state = locked(&self.0.state);
        if state.quota_is_used_up {
            let mut answer =
                Answer::json(403, &json!({"message": "API rate limit exceeded for user ID 1."})).into_response();
            let reset = self.0.stand_in.now().as_second() + 3600;
            answer.headers_mut().insert("x-ratelimit-remaining", 0.into());
            answer.headers_mut().insert("x-ratelimit-reset", reset.into());
            return answer;
        }
        match state.carry_out(call, query) {
            Ok((status, body)) => Answer::json(status, &body).into_response(),
            Err(Refusal(status, message, errors)) => {
                let mut body = json!({"message": message, "documentation_url": "https://docs.github.com/rest"});
                if !errors.is_empty() {
                    body["errors"] = errors.into();
                }
                Answer::json(status, &body).into_response()
            }
        }
    }
}

impl Repository {
    fn carry_out(&mut self, call: &Call, query: &HashMap<String, String>) -> Done {
        let header = |name: header::HeaderName| call.headers.get(name).and_then(|value| value.to_str().ok());
        if header(header::USER_AGENT).is_none_or(str::is_empty) {
            return Err(Refusal(
                403,
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
                Vec::new(),
            ));
        }
        if header(header::ACCEPT) != Some("application/vnd.github+json") {
            return Err(Refusal(415, "Unsupported 'Accept' header: Must accept 'application/json'.", Vec::new()));
        }
        if call.headers.get("x-github-api-version").is_none_or(|version| version != "2022-11-28") {
            return Err(Refusal(400, "The API version is not supported", Vec::new()));
        }
        match call.bearer() {
            None => return Err(Refusal(401, "Requires authentication", Vec::new())),
            Some(token) if token != TOKEN || self.token_is_revoked => {
                return Err(Refusal(401, "Bad credentials", Vec::new()));
            }
            Some(_) => {}
        }
        let path: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
        let get = call.method == Method::GET;
        match *path {
            ["user", "repos"] if get => Ok((
                200,
                paged(
                    query,
                    vec![
                        json!({"full_name": REPOSITORY, "has_issues": !self.issues_are_off, "archived": false}),
                        json!({"full_name": "acme/attic", "has_issues": true, "archived": true}),
                    ],
                ),
            )),
            ["search", "issues"] if get => self.search(query.get("q").map_or("", String::as_str)),
            ["repos", owner, name, ref rest @ ..] => {
                if !format!("{owner}/{name}").eq_ignore_ascii_case(REPOSITORY) {
                    return Err(NOT_FOUND);
                }
                self.in_repository(call, rest, query)
            }
            _ => Err(NOT_FOUND),
        }
    }

    fn in_repository(&mut self, call: &Call, path: &[&str], query: &HashMap<String, String>) -> Done {
        if path.first() == Some(&"issues") && self.issues_are_off {
            return Err(Refusal(410, "Issues has been disabled in this repository.", Vec::new()));
        }
        match (call.method.as_str(), path) {
            ("GET", ["labels"]) => Ok((200, paged(query, LABELS.iter().map(|name| json!({"name": name})).collect()))),
            ("GET", ["assignees"]) => {
                Ok((200, paged(query, PEOPLE.iter().map(|name| json!({"login": name})).collect())))
            }
            ("GET", ["issues"]) => {
                let all = query.get("state").is_some_and(|state| state == "all");
                let listed = self.issues.iter().rev().filter(|issue| all || issue.is_open);
                Ok((200, paged(query, listed.map(GitHubIssue::shown).collect())))
            }
            ("POST", ["issues"]) => self.open(&body_of(call)?),
            ("GET", ["issues", number]) => Ok((200, self.issue(number)?.shown())),
            ("PATCH", ["issues", number]) => {
                let body = body_of(call)?;
                let issue = self.issue(number)?;
                match body["state"].as_str() {
                    Some("open") => issue.is_open = true,
                    Some("closed") => issue.is_open = false,
                    _ => return Err(invalid("state", &body["state"], "invalid")),
                }
                Ok((200, issue.shown()))
            }
            ("POST", ["issues", number, "comments"]) => {
                let body = body_of(call)?;
                let text = checked_body(&body)?;
                let issue = self.issue(number)?;
                issue.find(&text);
                issue.comments.push(text);
                Ok((201, json!({"id": issue.comments.len()})))
            }
            _ => Err(NOT_FOUND),
        }
    }

    fn issue(&mut self, number: &str) -> Result<&mut GitHubIssue, Refusal> {
        self.issues.iter_mut().find(|issue| issue.number.to_string() == number).ok_or(NOT_FOUND)
    }

    fn open(&mut self, body: &Value) -> Done {
        let title = body["title"].as_str().unwrap_or_default().to_owned();
        if title.trim().is_empty() {
            return Err(invalid("title", &Value::Null, "missing_field"));
        }
        if title.chars().count() > TITLE_LIMIT_CHARS {
            return Err(Refusal(
                422,
                "Validation Failed",
                vec![
                    json!({"resource": "Issue", "code": "custom", "field": "title", "message": "title is too long (maximum is 256 characters)"}),
                ],
            ));
        }
        let text = checked_body(body)?;
        let (labels, assignees) = (texts(&body["labels"]), texts(&body["assignees"]));
        if let Some(stranger) = assignees.iter().find(|name| !PEOPLE.contains(&name.as_str())) {
            return Err(invalid("assignees", &json!(stranger), "invalid"));
        }
        if let Some(label) = labels.iter().find(|label| label.is_empty() || label.chars().count() > 50) {
            return Err(invalid("labels", &json!(label), "invalid"));
        }
        let number = self.issues.len() + 1;
        let mut issue = GitHubIssue { number, title, labels, assignees, is_open: true, ..GitHubIssue::default() };
        issue.find(&text);
        issue.body = text;
        let shown = issue.shown();
        self.issues.push(issue);
        Ok((201, shown))
    }

    /// Words in quotes, `repo:`, `is:issue` and `in:`; it takes nothing else.
    fn search(&self, query: &str) -> Done {
        let (mut words, mut place, mut is_here) = (Vec::new(), "", false);
        for (at, part) in query.split('"').enumerate() {
            if at % 2 == 1 {
                words.push(part.to_lowercase());
                continue;
            }
            for qualifier in part.split_whitespace() {
                match qualifier.split_once(':') {
                    Some(("repo", name)) => is_here = name.eq_ignore_ascii_case(REPOSITORY),
                    Some(("is", "issue")) => {}
                    Some(("in", at)) => place = at,
                    _ => {
                        return Err(Refusal(
                            422,
                            "Validation Failed",
                            vec![json!({"message": "The search is malformed"})],
                        ));
                    }
                }
            }
        }
        if !is_here || query.matches('"').count() % 2 == 1 {
            return Err(Refusal(
                422,
                "Validation Failed",
                vec![
                    json!({"message": "The listed users and repositories cannot be searched either because the resources do not exist or you do not have permission to view them."}),
                ],
            ));
        }
        let known = self.issues.iter().take(self.indexed).filter(|issue| !issue.is_pull_request);
        let items: Vec<Value> = known
            .filter(|issue| {
                let text = if place == "title" { &issue.title } else { &issue.body }.to_lowercase();
                words.iter().all(|word| text.contains(word))
            })
            .map(GitHubIssue::shown)
            .collect();
        Ok((200, json!({"total_count": items.len(), "incomplete_results": false, "items": items})))
    }
}

impl GitHubIssue {
    fn shown(&self) -> Value {
        let mut shown = json!({
            "number": self.number,
            "title": self.title,
            "body": self.body,
            "state": if self.is_open { "open" } else { "closed" },
            "html_url": format!("https://github.com/{REPOSITORY}/issues/{}", self.number),
        });
        if self.is_pull_request {
            shown["pull_request"] = json!({"url": "https://api.github.com/pulls"});
        }
        shown
    }

    fn find(&mut self, text: &str) {
        let found = found_in(text);
        self.mentions.extend(found.mentions);
        self.references.extend(found.references);
    }
}

fn body_of(call: &Call) -> Result<Value, Refusal> {
    serde_json::from_slice(&call.body).map_err(|_| Refusal(400, "Problems parsing JSON", Vec::new()))
}

fn checked_body(body: &Value) -> Result<String, Refusal> {
    let text = body["body"].as_str().unwrap_or_default();
    if text.chars().count() > BODY_LIMIT_CHARS {
        return Err(Refusal(
            422,
            "Validation Failed",
            vec![
                json!({"resource": "Issue", "code": "custom", "field": "body", "message": "body is too long (maximum is 65536 characters)"}),
            ],
        ));
    }
    Ok(text.to_owned())
}

fn invalid(field: &str, value: &Value, code: &str) -> Refusal {
    Refusal(422, "Validation Failed", vec![json!({"resource": "Issue", "field": field, "value": value, "code": code})])
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn paged(query: &HashMap<String, String>, all: Vec<Value>) -> Value {
    let number = |name: &str, default: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (size, page) = (number("per_page", 30).clamp(1, 100), number("page", 1).max(1));
    all.into_iter().skip((page - 1) * size).take(size).collect()
}

async fn serve(State(github): State<GitHub>, request: Request) -> Response {
    let query = Query::try_from_uri(request.uri()).map(|Query(query)| query).unwrap_or_default();
    let Some(call) = Call::read(request).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "payload too large").into_response();
    };
    // In a task of its own: an issue is kept also when its sender has hung up.
    let carried_out = tokio::spawn(async move {
        let inner = Arc::clone(&github.0);
        inner.stand_in.answered(|| github.take(&call, &query)).await
    });
    carried_out.await.unwrap_or_else(|_| Answer::internal_error().into_response())
}
