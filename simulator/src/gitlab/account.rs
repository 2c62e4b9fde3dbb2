//! What stands in the account of a token, and what calls do to it.

use std::collections::HashMap;

use http::header;
use serde_json::{Value, json};

use super::{GitLabIssue, TOKEN};
use crate::markdown::{Found, found_in};
use crate::server::Call;

const LABELS: [&str; 2] = ["bug", "sentry"];
const PEOPLE: [(u64, &str, &str); 2] = [(7, "ada", "Ada Lovelace"), (8, "grace", "Grace Hopper")];
const TITLE_LIMIT_CHARS: usize = 255;
const TEXT_LIMIT_CHARS: usize = 1_048_576;

#[derive(Default)]
pub(super) struct Account {
    /// `group/sub/name`
    projects: Vec<String>,
    /// Of all projects, oldest first.
    pub(super) issues: Vec<GitLabIssue>,
    pub(super) token_is_revoked: bool,
    pub(super) issues_are_off: bool,
}

/// Status and body.
type Done = Result<(u16, Value), (u16, Value)>;

/// Of what is asked for.
fn refused<T>(status: u16, message: impl Into<Value>) -> Result<T, (u16, Value)> {
    Err((status, json!({"message": message.into()})))
}

/// Of the call itself.
fn misused<T>(status: u16, error: &str) -> Result<T, (u16, Value)> {
    Err((status, json!({"error": error})))
}

impl Account {
    pub(super) fn add_project(&mut self, path: &str) {
        if self.named(path).is_none() {
            self.projects.push(path.to_owned());
        }
    }

    pub(super) fn carry_out(&mut self, call: &Call, query: &HashMap<String, String>) -> Done {
        let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok());
        if header(header::USER_AGENT.as_str()).is_none_or(str::is_empty) {
            return refused(403, "403 Forbidden");
        }
        if header("private-token") != Some(TOKEN) || self.token_is_revoked {
            return refused(401, "401 Unauthorized");
        }
        let path: Vec<&str> = call.path.strip_prefix("/api/v4/").unwrap_or_default().split('/').collect();
        match *path {
            ["projects"] if call.method == "GET" => {
                let shown = |path: &String| json!({"path_with_namespace": path, "name": path.rsplit('/').next(), "archived": false});
                let usable = |path: &&String| {
                    fits(query, "search", path)
                        && !(self.issues_are_off
                            && query.get("with_issues_enabled").is_some_and(|asked| asked == "true"))
                };
                Ok((200, page(query, self.projects.iter().filter(usable).map(shown))))
            }
            ["projects", id, ref rest @ ..] => match self.named(&id.replace("%2F", "/")).map(str::to_owned) {
                Some(project) => self.in_project(&project, call, rest, query),
                None => refused(404, "404 Project Not Found"),
            },
            _ => misused(404, "404 Not Found"),
        }
    }

    /// The case of a path does not matter.
    fn named(&self, project: &str) -> Option<&str> {
        self.projects.iter().find(|path| path.eq_ignore_ascii_case(project)).map(String::as_str)
    }

    fn of(&self, project: &str) -> impl DoubleEndedIterator<Item = &GitLabIssue> {
        self.issues.iter().filter(move |issue| issue.project == project)
    }

    fn in_project(&mut self, project: &str, call: &Call, path: &[&str], query: &HashMap<String, String>) -> Done {
        if path.first() == Some(&"issues") && self.issues_are_off {
            return refused(403, "403 Forbidden");
        }
        match (call.method.as_str(), path) {
            ("GET", ["labels"]) => {
                let mut labels: Vec<&str> = LABELS.to_vec();
                // Whoever may plan makes a label by using it.
                labels.extend(self.of(project).flat_map(|issue| issue.labels.iter().map(String::as_str)));
                labels.sort_unstable();
                labels.dedup();
                let fitting = labels.into_iter().filter(|name| fits(query, "search", name));
                Ok((200, page(query, fitting.map(|name| json!({"name": name})))))
            }
            ("GET", ["members", "all"]) => {
                let fitting =
                    PEOPLE.iter().filter(|(_, login, name)| fits(query, "query", login) || fits(query, "query", name));
                let shown = |(id, login, name): &(u64, &str, &str)| json!({"id": id, "username": login, "name": name, "state": "active"});
                Ok((200, page(query, fitting.map(shown))))
            }
            ("GET", ["issues"]) => {
                let is_of_state = |issue: &&GitLabIssue| match query.get("state").map(String::as_str) {
                    Some("opened") => issue.is_open,
                    Some("closed") => !issue.is_open,
                    _ => true,
                };
                let place = query.get("in").map_or("title,description", String::as_str);
                let holds = |issue: &&GitLabIssue| {
                    (place.contains("title") && fits(query, "search", &issue.title))
                        || (place.contains("description") && fits(query, "search", &issue.description))
                };
                let found = self.of(project).rev().filter(is_of_state).filter(holds);
                Ok((200, page(query, found.map(GitLabIssue::shown))))
            }
            ("POST", ["issues"]) => self.open(project, &body_of(call)?),
            ("GET", ["issues", number]) => Ok((200, self.issue(project, number)?.shown())),
            ("PUT", ["issues", number]) => {
                let body = body_of(call)?;
                let issue = self.issue(project, number)?;
                match body["state_event"].as_str() {
                    Some("close") => issue.is_open = false,
                    Some("reopen") => issue.is_open = true,
                    _ => return misused(400, "state_event does not have a valid value"),
                }
                Ok((200, issue.shown()))
            }
            ("POST", ["issues", number, "notes"]) => {
                let body = body_of(call)?;
                let Some(text) = body["body"].as_str() else { return misused(400, "body is missing") };
                let issue = self.issue(project, number)?;
                if text.trim().is_empty() {
                    return refused(400, json!({"note": ["can't be blank"]}));
                }
                issue.find(text);
                issue.comments.push(text.to_owned());
                Ok((201, json!({"id": issue.comments.len(), "body": text})))
            }
            _ => misused(404, "404 Not Found"),
        }
    }

    fn issue(&mut self, project: &str, number: &str) -> Result<&mut GitLabIssue, (u16, Value)> {
        let mut issues = self.issues.iter_mut().filter(|issue| issue.project == project);
        issues.find(|issue| issue.number.to_string() == number).map_or_else(|| refused(404, "404 Not found"), Ok)
    }

    fn open(&mut self, project: &str, body: &Value) -> Done {
        let Some(title) = body["title"].as_str() else { return misused(400, "title is missing") };
        if title.trim().is_empty() {
            return refused(400, json!({"title": ["can't be blank"]}));
        }
        if title.chars().count() > TITLE_LIMIT_CHARS {
            return refused(400, json!({"title": ["is too long (maximum is 255 characters)"]}));
        }
        let description = body["description"].as_str().unwrap_or_default();
        if description.chars().count() > TEXT_LIMIT_CHARS {
            return refused(400, json!({"description": ["is too long (maximum is 1048576 characters)"]}));
        }
        let labels = body["labels"].as_str().unwrap_or_default().split(',').filter(|label| !label.is_empty());
        let ids = body["assignee_ids"].as_array().map_or(&[][..], Vec::as_slice);
        let members = PEOPLE.iter().filter(|(id, ..)| ids.iter().any(|asked| asked == id));
        let mut issue = GitLabIssue {
            project: project.to_owned(),
            number: self.of(project).count() + 1,
            title: title.to_owned(),
            description: description.to_owned(),
            labels: labels.map(str::to_owned).collect(),
            assignees: members.map(|(_, login, _)| (*login).to_owned()).collect(),
            is_open: true,
            ..GitLabIssue::default()
        };
        issue.find(title);
        issue.find(description);
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
            "labels": self.labels,
            "assignees": self.assignees.iter().map(|login| json!({"username": login})).collect::<Value>(),
            "web_url": format!("https://gitlab.com/{}/-/issues/{}", self.project, self.number),
        })
    }

    fn find(&mut self, text: &str) {
        let Found { mentions, references, commands } = found_in(text);
        self.mentions.extend(mentions);
        self.references.extend(references);
        self.commands.extend(commands);
    }
}

/// Whether `text` holds what the query asks for by this name.
fn fits(query: &HashMap<String, String>, name: &str, text: &str) -> bool {
    query.get(name).is_none_or(|asked| text.to_lowercase().contains(&asked.to_lowercase()))
}

/// The first one.
fn page(query: &HashMap<String, String>, all: impl Iterator<Item = Value>) -> Value {
    let size: usize = query.get("per_page").and_then(|text| text.parse().ok()).unwrap_or(20);
    all.take(size.clamp(1, 100)).collect()
}

fn body_of(call: &Call) -> Result<Value, (u16, Value)> {
    if call.content_type() != "application/json" {
        return misused(415, "The provided content-type is not supported.");
    }
    serde_json::from_slice(&call.body).or_else(|_| misused(400, "Problem processing request"))
}
