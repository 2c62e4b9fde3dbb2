//! GitLab's issues, on gitlab.com or a server of one's own (`base_url`), by its REST API:
//! <https://docs.gitlab.com/api/issues/>.
//!
//! A ticket is found again by its marker, which is its description's last line.

use async_trait::async_trait;
use http::{Method, header};
use serde_json::{Value, json};

use super::api::{encoded, secret_header};
use super::numbered::{entries, name_of, number, number_of};
use super::text::{some_text, some_title};
use super::{Api, Choice, NewTicket, Ticket, Tracker, TrackerError, TrackerKind, markdown, numbered};
use crate::destinations::kind::{Key, Takes};
use crate::destinations::{cut, one_line};

const BASE: &str = "https://gitlab.com";
const MAX_TITLE: usize = 255;
const MAX_TEXT: usize = 1_000_000;
/// What a listing gives at most; a person narrows it down by typing.
const A_PAGE: usize = 100;

pub(super) static KIND: TrackerKind = TrackerKind {
    name: "gitlab",
    keys: &[Key::new("token", Takes::Secret)],
    needs: &["token"],
    projects_key: "projects",
    project_form: None,
    max_title: MAX_TITLE,
    max_text: MAX_TEXT,
    tracker: &GitLab,
};

struct GitLab;

#[async_trait]
impl Tracker for GitLab {
    async fn projects(&self, api: &Api<'_>, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let path = format!(
            "/projects?membership=true&simple=true&archived=false&with_issues_enabled=true\
             &order_by=last_activity_at&search_namespaces=true{}",
            searched("search", query)
        );
        let projects = listed(api, &path, "the token's projects").await?;
        let names = projects.iter().filter_map(|project| project["path_with_namespace"].as_str());
        Ok(names.map(|name| Choice::new(name, name)).collect())
    }

    async fn labels(&self, api: &Api<'_>, project: &str, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let path = format!("{}/labels?{}", path_of(project)?, searched("search", query));
        let labels = listed(api, &path, project).await?;
        let names = labels.iter().filter_map(|label| label["name"].as_str());
        Ok(names.map(|name| Choice::new(name, name)).collect())
    }

    async fn assignees(&self, api: &Api<'_>, project: &str, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let path = format!("{}/members/all?{}", path_of(project)?, searched("query", query));
        let people = listed(api, &path, project).await?;
        let active = people.iter().filter(|person| person["state"].as_str().is_none_or(|state| state == "active"));
        let choices = active.filter_map(|person| {
            let (id, name, login) = (person["id"].as_u64()?, person["name"].as_str()?, person["username"].as_str()?);
            Some(Choice::new(id.to_string(), format!("{} ({login})", one_line(name, 80))))
        });
        Ok(choices.collect())
    }

    async fn tickets(&self, api: &Api<'_>, project: &str, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let path = path_of(project)?;
        let mut issues = Vec::new();
        if let Some(number) = meant(api, project, query)
            && let Ok(issue) = send(api, Method::GET, &format!("{path}/issues/{number}"), None, project).await
        {
            issues.push(issue);
        }
        if issues.is_empty() {
            let query = query.trim();
            let which =
                if query.is_empty() { "&state=opened".to_owned() } else { searched("search", query) + "&in=title" };
            issues = listed(api, &format!("{path}/issues?order_by=created_at&sort=desc{which}"), project).await?;
        }
        issues.sort_by_key(|issue| issue["state"] != "opened");
        let choices = issues.iter().filter_map(|issue| {
            let (number, title) = (issue["iid"].as_u64()?, one_line(issue["title"].as_str()?, 100));
            let closed = if issue["state"] == "opened" { "" } else { " (closed)" };
            Some(Choice::new(number.to_string(), format!("#{number} {title}{closed}")))
        });
        Ok(choices.collect())
    }

    async fn read(&self, api: &Api<'_>, project: &str, id: &str) -> Result<Ticket, TrackerError> {
        let path = path_of(project)?;
        let named = one_line(id, 80);
        let number = meant(api, project, id).ok_or_else(|| TrackerError::NotFound(named.clone()))?;
        let issue = send(api, Method::GET, &format!("{path}/issues/{number}"), None, &named).await?;
        ticket(project, &issue)
    }

    async fn find(&self, api: &Api<'_>, project: &str, marker: &str) -> Result<Option<Ticket>, TrackerError> {
        let path = format!("{}/issues?in=description{}", path_of(project)?, searched("search", marker));
        let found = listed(api, &path, project).await?;
        let holds = |issue: &&Value| issue["description"].as_str().is_some_and(|text| text.contains(marker));
        found.iter().find(holds).map(|issue| ticket(project, issue)).transpose()
    }

    async fn open(&self, api: &Api<'_>, new: &NewTicket) -> Result<Ticket, TrackerError> {
        let path = path_of(&new.project)?;
        let refused = |reason| TrackerError::Refused { status: 400, reason };
        if let Some(label) = new.labels.iter().find(|label| label.contains(',')) {
            return Err(refused(format!("the label `{}` holds a comma", one_line(label, 80))));
        }
        let assignee = new.assignee.as_deref().map(|id| {
            id.parse::<u64>().map_err(|_| refused(format!("the assignee `{}` is no number", one_line(id, 80))))
        });
        let title = one_line(&new.title, MAX_TITLE);
        let title = some_title(&title);
        let body = json!({
            // Mentions count in titles too.
            "title": cut(&markdown::parted(title), MAX_TITLE),
            "description": markdown::body(&new.text, new.link.as_deref(), Some(&new.marker), MAX_TEXT),
            "labels": new.labels.join(","),
            "assignee_ids": assignee.transpose()?.as_slice(),
        });
        let issue = send(api, Method::POST, &format!("{path}/issues"), Some(&body), &new.project).await?;
        ticket(&new.project, &issue)
    }

    async fn comment(&self, api: &Api<'_>, ticket: &Ticket, text: &str) -> Result<(), TrackerError> {
        let text = some_text(text);
        let body = json!({"body": markdown::body(text, None, None, MAX_TEXT)});
        send(api, Method::POST, &format!("{}/notes", issue_of(ticket)?), Some(&body), &name_of(ticket)).await.map(drop)
    }

    async fn close(&self, api: &Api<'_>, ticket: &Ticket) -> Result<(), TrackerError> {
        let body = json!({"state_event": "close"});
        send(api, Method::PUT, &issue_of(ticket)?, Some(&body), &name_of(ticket)).await.map(drop)
    }

    async fn reopen(&self, api: &Api<'_>, ticket: &Ticket) -> Result<(), TrackerError> {
        let body = json!({"state_event": "reopen"});
        send(api, Method::PUT, &issue_of(ticket)?, Some(&body), &name_of(ticket)).await.map(drop)
    }
}

async fn send(
    api: &Api<'_>,
    method: Method,
    path: &str,
    body: Option<&Value>,
    what: &str,
) -> Result<Value, TrackerError> {
    let mut request = api.request(method, &format!("{}/api/v4", api.settings.base_url(BASE)), path, body)?;
    request.headers_mut().insert("private-token", secret_header(api.token()?, "token")?);
    request.headers_mut().insert(header::ACCEPT, http::HeaderValue::from_static("application/json"));
    api.json(request, what, reason).await
}

/// One page of a listing; `path` has a query already.
async fn listed(api: &Api<'_>, path: &str, what: &str) -> Result<Vec<Value>, TrackerError> {
    let path = format!("{path}&per_page={A_PAGE}").replace("?&", "?");
    entries(send(api, Method::GET, &path, None, what).await?)
}

/// `&name=query`, or nothing.
fn searched(name: &str, query: &str) -> String {
    let query = one_line(query, 100);
    if query.is_empty() { String::new() } else { format!("&{name}={}", encoded(&query)) }
}

/// The path of a project whose name is one: `group/name`, `group/sub/name`.
fn path_of(project: &str) -> Result<String, TrackerError> {
    let is_name = |name: &str| {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        name.bytes().all(is_of_name) && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    };
    if project.len() > 255 || !project.contains('/') || !project.split('/').all(is_name) {
        return Err(TrackerError::NotFound(one_line(project, 80)));
    }
    Ok(format!("/projects/{}", encoded(project)))
}

/// The number that a person meant. The pages of a server below a path are there, too.
fn meant(api: &Api<'_>, project: &str, id: &str) -> Option<u64> {
    let (_, base) = api.settings.base_url(BASE).split_once("://")?;
    let below = base.split_once('/').map(|(_, path)| format!("{path}/")).unwrap_or_default();
    number_of(project, id, |path| {
        let path = path.strip_prefix(&*below).unwrap_or(path);
        path.split_once("/-/issues/").or_else(|| path.split_once("/-/work_items/"))
    })
}

fn issue_of(ticket: &Ticket) -> Result<String, TrackerError> {
    Ok(format!("{}/issues/{}", path_of(&ticket.project)?, number(ticket)?))
}

fn ticket(project: &str, issue: &Value) -> Result<Ticket, TrackerError> {
    numbered::ticket(project, &issue["iid"], &issue["web_url"])
}

/// `message` is a text, or lists of texts by field; `error` is of the API itself.
fn reason(said: &Value) -> Option<String> {
    if let Some(fields) = said["message"].as_object() {
        let fields = fields.iter().map(|(field, texts)| {
            let texts = texts.as_array().map_or(&[][..], Vec::as_slice).iter().filter_map(Value::as_str);
            format!("{field} {}", texts.collect::<Vec<_>>().join(", "))
        });
        return Some(fields.collect::<Vec<_>>().join("; "));
    }
    ["message", "error_description", "error"].iter().find_map(|name| said[*name].as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests;
