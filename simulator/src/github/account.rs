//! What stands in the account of a token, and what calls do to it.

use std::collections::HashMap;

use http::{Method, header};
use serde_json::{Value, json};

use super::{GitHubIssue, TOKEN};
use crate::markdown::found_in;
use crate::server::Call;

const LABELS: [&str; 3] = ["bug", "help wanted", "sentry"];
const PEOPLE: [&str; 2] = ["ada", "grace"];
const TITLE_LIMIT_CHARS: usize = 256;
const BODY_LIMIT_CHARS: usize = 65_536;
const LABEL_LIMIT_CHARS: usize = 50;

#[derive(Default)]
pub(super) struct Account {
    /// `owner/name`
    repositories: Vec<String>,
    /// Of all repositories, oldest first.
    pub(super) issues: Vec<GitHubIssue>,
    /// So many of them the search knows.
    pub(super) indexed: usize,
    pub(super) token_is_revoked: bool,
    pub(super) issues_are_off: bool,
    pub(super) quota_is_used_up: bool,
}

/// Status, message and what is said of single fields.
pub(super) struct Refusal(u16, &'static str, Vec<Value>);

const NOT_FOUND: Refusal = Refusal::whole(404, "Not Found");

impl Refusal {
    const fn whole(status: u16, message: &'static str) -> Self {
        Self(status, message, Vec::new())
    }

    fn field(error: Value) -> Self {
        Self(422, "Validation Failed", vec![error])
    }

    fn too_long(field: &str, limit: usize) -> Self {
        let message = format!("{field} is too long (maximum is {limit} characters)");
        Self::field(json!({"resource": "Issue", "code": "custom", "field": field, "message": message}))
    }

    fn invalid(field: &str, value: &Value, code: &str) -> Self {
        Self::field(json!({"resource": "Issue", "field": field, "value": value, "code": code}))
    }

    /// Status and body.
    pub(super) fn shown(self) -> (u16, Value) {
        let mut body = json!({"message": self.1, "documentation_url": "https://docs.github.com/rest"});
        if !self.2.is_empty() {
            body["errors"] = self.2.into();
        }
        (self.0, body)
    }
}

impl Account {
    pub(super) fn add_repository(&mut self, name: &str) {
        if self.named(name).is_none() {
            self.repositories.push(name.to_owned());
        }
    }

    pub(super) fn open_pull_request(&mut self, title: &str) -> usize {
        let repository = self.repositories.first().cloned().unwrap_or_default();
        let request =
            GitHubIssue { repository, title: title.to_owned(), is_pull_request: true, ..GitHubIssue::default() };
        self.keep(request).number
    }

    pub(super) fn carry_out(&mut self, call: &Call, query: &HashMap<String, String>) -> Result<(u16, Value), Refusal> {
        let header = |name: header::HeaderName| call.headers.get(name).and_then(|value| value.to_str().ok());
        if header(header::USER_AGENT).is_none_or(str::is_empty) {
            return Err(Refusal::whole(
                403,
                "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
            ));
        }
        if header(header::ACCEPT) != Some("application/vnd.github+json") {
            return Err(Refusal::whole(415, "Unsupported 'Accept' header: Must accept 'application/json'."));
        }
        if call.headers.get("x-github-api-version").is_none_or(|version| version != "2022-11-28") {
            return Err(Refusal::whole(400, "The API version is not supported"));
        }
        match call.bearer() {
            None => return Err(Refusal::whole(401, "Requires authentication")),
            Some(token) if token != TOKEN || self.token_is_revoked => {
                return Err(Refusal::whole(401, "Bad credentials"));
            }
            Some(_) => {}
        }
        let path: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
        let get = call.method == Method::GET;
        match *path {
            ["user", "repos"] if get => {
                let shown = |name: &str, archived: bool| json!({"full_name": name, "has_issues": archived || !self.issues_are_off, "archived": archived});
                let mut all: Vec<Value> = self.repositories.iter().map(|name| shown(name, false)).collect();
                all.push(shown("acme/attic", true));
                Ok((200, paged(query, all)))
            }
            ["search", "issues"] if get => self.search(query.get("q").map_or("", String::as_str)),
            ["repos", owner, name, ref rest @ ..] => {
                let repository = self.named(&format!("{owner}/{name}")).ok_or(NOT_FOUND)?.to_owned();
                self.in_repository(&repository, call, rest, query)
            }
            _ => Err(NOT_FOUND),
        }
    }

    /// The case of a name does not matter.
    fn named(&self, repository: &str) -> Option<&str> {
        self.repositories.iter().find(|name| name.eq_ignore_ascii_case(repository)).map(String::as_str)
    }

    fn of(&self, repository: &str) -> impl DoubleEndedIterator<Item = &GitHubIssue> {
        self.issues.iter().filter(move |issue| issue.repository == repository)
    }

    fn in_repository(
        &mut self,
        repository: &str,
        call: &Call,
        path: &[&str],
        query: &HashMap<String, String>,
    ) -> Result<(u16, Value), Refusal> {
        if path.first() == Some(&"issues") && self.issues_are_off {
            return Err(Refusal::whole(410, "Issues has been disabled in this repository."));
        }
        match (call.method.as_str(), path) {
            ("GET", ["labels"]) => {
                let mut labels: Vec<&str> = LABELS.to_vec();
                // Whoever may push makes a label by using it.
                labels.extend(self.of(repository).flat_map(|issue| issue.labels.iter().map(String::as_str)));
                labels.sort_unstable();
                labels.dedup();
                Ok((200, paged(query, labels.iter().map(|name| json!({"name": name})).collect())))
            }
            ("GET", ["assignees"]) => {
                Ok((200, paged(query, PEOPLE.iter().map(|name| json!({"login": name})).collect())))
            }
            ("GET", ["issues"]) => {
                let is_listed = |issue: &&GitHubIssue| match query.get("state").map(String::as_str) {
                    Some("all") => true,
                    Some("closed") => !issue.is_open,
                    _ => issue.is_open,
                };
                let listed = self.of(repository).rev().filter(is_listed);
                Ok((200, paged(query, listed.map(GitHubIssue::shown).collect())))
            }
            ("POST", ["issues"]) => Ok((201, self.open(repository, &body_of(call)?)?.shown())),
            ("GET", ["issues", number]) => Ok((200, self.issue(repository, number)?.shown())),
            ("PATCH", ["issues", number]) => {
                let body = body_of(call)?;
                let issue = self.issue(repository, number)?;
                match body["state"].as_str() {
                    Some("open") => issue.is_open = true,
                    Some("closed") => issue.is_open = false,
                    _ => return Err(Refusal::invalid("state", &body["state"], "invalid")),
                }
                Ok((200, issue.shown()))
            }
            ("POST", ["issues", number, "comments"]) => {
                let body = body_of(call)?;
                let text = checked_body(&body)?;
                let issue = self.issue(repository, number)?;
                if text.trim().is_empty() {
                    let error = json!({"resource": "IssueComment", "code": "missing_field", "field": "body"});
                    return Err(Refusal::field(error));
                }
                issue.find(&text);
                issue.comments.push(text.clone());
                Ok((201, json!({"id": issue.comments.len(), "body": text})))
            }
            _ => Err(NOT_FOUND),
        }
    }

    fn issue(&mut self, repository: &str, number: &str) -> Result<&mut GitHubIssue, Refusal> {
        let mut issues = self.issues.iter_mut().filter(|issue| issue.repository == repository);
        issues.find(|issue| issue.number.to_string() == number).ok_or(NOT_FOUND)
    }

    fn open(&mut self, repository: &str, body: &Value) -> Result<&GitHubIssue, Refusal> {
        let title = body["title"].as_str().unwrap_or_default().to_owned();
        if title.trim().is_empty() {
            return Err(Refusal::invalid("title", &Value::Null, "missing_field"));
        }
        if title.chars().count() > TITLE_LIMIT_CHARS {
            return Err(Refusal::too_long("title", TITLE_LIMIT_CHARS));
        }
        let text = checked_body(body)?;
        let (labels, assignees) = (texts(&body["labels"]), texts(&body["assignees"]));
        if let Some(stranger) = assignees.iter().find(|name| !PEOPLE.contains(&name.as_str())) {
            return Err(Refusal::invalid("assignees", &json!(stranger), "invalid"));
        }
        if let Some(label) = labels.iter().find(|label| !(1..=LABEL_LIMIT_CHARS).contains(&label.chars().count())) {
            return Err(Refusal::invalid("labels", &json!(label), "invalid"));
        }
        let mut issue =
            GitHubIssue { repository: repository.to_owned(), title, labels, assignees, ..GitHubIssue::default() };
        issue.find(&text);
        issue.body = text;
        Ok(self.keep(issue))
    }

    /// Open, with the next number of its repository.
    fn keep(&mut self, issue: GitHubIssue) -> &GitHubIssue {
        let number = self.of(&issue.repository).count() + 1;
        self.issues.push(GitHubIssue { number, is_open: true, ..issue });
        &self.issues[self.issues.len() - 1]
    }

    /// Words in quotes, `repo:`, `is:issue` and `in:`; it takes nothing else.
    fn search(&self, query: &str) -> Result<(u16, Value), Refusal> {
        const NOT_HERE: &str = "The listed users and repositories cannot be searched either because the resources do not \
                                exist or you do not have permission to view them.";
        let malformed = || Refusal::field(json!({"message": "The search is malformed"}));
        let (mut words, mut place, mut repository) = (Vec::new(), "", None);
        for (at, part) in query.split('"').enumerate() {
            if at % 2 == 1 {
                words.push(part.to_lowercase());
                continue;
            }
            for qualifier in part.split_whitespace() {
                match qualifier.split_once(':') {
                    Some(("repo", name)) => repository = self.named(name),
                    Some(("is", "issue")) => {}
                    Some(("in", at)) => place = at,
                    _ => return Err(malformed()),
                }
            }
        }
        if query.matches('"').count() % 2 == 1 {
            return Err(malformed());
        }
        let repository = repository.ok_or_else(|| Refusal::field(json!({"message": NOT_HERE})))?;
        let known = self.issues.iter().take(self.indexed);
        let known = known.filter(|issue| issue.repository == repository && !issue.is_pull_request);
        let fitting = known.filter(|issue| {
            let text = if place == "title" { &issue.title } else { &issue.body }.to_lowercase();
            words.iter().all(|word| text.contains(word))
        });
        let items: Vec<Value> = fitting.map(GitHubIssue::shown).collect();
        Ok((200, json!({"total_count": items.len(), "incomplete_results": false, "items": items})))
    }
}

impl GitHubIssue {
    fn shown(&self) -> Value {
        let kind = if self.is_pull_request { "pull" } else { "issues" };
        let mut shown = json!({
            "number": self.number,
            "title": self.title,
            "body": self.body,
            "state": if self.is_open { "open" } else { "closed" },
            "labels": self.labels.iter().map(|name| json!({"name": name})).collect::<Value>(),
            "assignees": self.assignees.iter().map(|login| json!({"login": login})).collect::<Value>(),
            "comments": self.comments.len(),
            "html_url": format!("https://github.com/{}/{kind}/{}", self.repository, self.number),
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
    let body: Value = serde_json::from_slice(&call.body).map_err(|_| Refusal::whole(400, "Problems parsing JSON"))?;
    if body.is_object() { Ok(body) } else { Err(Refusal::whole(400, "Body should be a JSON object")) }
}

fn checked_body(body: &Value) -> Result<String, Refusal> {
    let text = body["body"].as_str().unwrap_or_default();
    if text.chars().count() > BODY_LIMIT_CHARS {
        return Err(Refusal::too_long("body", BODY_LIMIT_CHARS));
    }
    Ok(text.to_owned())
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn paged(query: &HashMap<String, String>, all: Vec<Value>) -> Value {
    let number = |name: &str, default: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (size, page) = (number("per_page", 30).clamp(1, 100), number("page", 1).max(1));
    all.into_iter().skip((page - 1) * size).take(size).collect()
}
