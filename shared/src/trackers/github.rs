//! GitHub's issues, by its REST API: <https://docs.github.com/en/rest/issues/issues?apiVersion=2022-11-28>.
//!
//! A ticket is found again by its marker, which is its text's last line. The search lags behind, so the newest issues
//! are looked through first.

use async_trait::async_trait;
use http::{HeaderValue, Method, header};
use serde_json::{Value, json};

use super::api::{encoded, secret_header};
use super::numbered::{entries, name_of, number, number_of};
use super::text::{some_text, some_title};
use super::{Api, Choice, NewTicket, ProjectForm, Ticket, Tracker, TrackerError, TrackerKind, markdown, numbered};
use crate::destinations::kind::{Key, Takes};
use crate::destinations::one_line;

const BASE: &str = "https://api.github.com";
const MAX_TITLE: usize = 256;
const MAX_TEXT: usize = 65_536;
/// Pages of a listing that are looked through, each of [`A_PAGE`].
const PAGES: usize = 3;
const A_PAGE: usize = 100;

pub(super) static KIND: TrackerKind = TrackerKind {
    name: "github",
    keys: &[Key::new("token", Takes::Secret)],
    needs: &["token"],
    projects_key: "repositories",
    project_form: Some(&ProjectForm { form: "owner/name", example: "acme/backend", fits: is_repository }),
    max_title: MAX_TITLE,
    max_text: MAX_TEXT,
    tracker: &GitHub,
};

struct GitHub;

#[async_trait]
impl Tracker for GitHub {
    /// Those that the token's owner works in: a search would offer anybody's.
    async fn projects(&self, api: &Api<'_>, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let repositories = listed(api, "/user/repos?sort=pushed", "the token's repositories").await?;
        let usable = repositories.iter().filter(|one| one["has_issues"] != false && one["archived"] != true);
        let names = usable.filter_map(|one| one["full_name"].as_str());
        Ok(names.filter(|name| fits(name, query)).map(|name| Choice::new(name, name)).collect())
    }

    async fn labels(&self, api: &Api<'_>, project: &str, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let labels = listed(api, &format!("{}/labels?", repository(project)?), project).await?;
        let names = labels.iter().filter_map(|label| label["name"].as_str());
        Ok(names.filter(|name| fits(name, query)).map(|name| Choice::new(name, name)).collect())
    }

    async fn assignees(&self, api: &Api<'_>, project: &str, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let people = listed(api, &format!("{}/assignees?", repository(project)?), project).await?;
        let names = people.iter().filter_map(|person| person["login"].as_str());
        Ok(names.filter(|name| fits(name, query)).map(|name| Choice::new(name, name)).collect())
    }

    async fn tickets(&self, api: &Api<'_>, project: &str, query: &str) -> Result<Vec<Choice>, TrackerError> {
        let path = repository(project)?;
        let mut issues = Vec::new();
        if let Some(number) = number_of(project, query, of_page)
            && let Ok(issue) = send(api, Method::GET, &format!("{path}/issues/{number}"), None, project).await
        {
            issues.push(issue);
        }
        if query.trim().is_empty() {
            let newest = format!("{path}/issues?state=open&sort=created&direction=desc&per_page={A_PAGE}");
            issues.extend(entries(send(api, Method::GET, &newest, None, project).await?)?);
        } else if issues.is_empty() {
            issues = searched(api, project, query, "title").await?;
        }
        issues.sort_by_key(|issue| issue["state"] != "open");
        let issues = issues.iter().filter(|issue| issue["pull_request"].is_null());
        let choices = issues.filter_map(|issue| {
            let (number, title) = (issue["number"].as_u64()?, one_line(issue["title"].as_str()?, 100));
            let closed = if issue["state"] == "open" { "" } else { " (closed)" };
            Some(Choice::new(number.to_string(), format!("#{number} {title}{closed}")))
        });
        Ok(choices.collect())
    }

    async fn read(&self, api: &Api<'_>, project: &str, id: &str) -> Result<Ticket, TrackerError> {
        let path = repository(project)?;
        let named = one_line(id, 80);
        let number = number_of(project, id, of_page).ok_or_else(|| TrackerError::NotFound(named.clone()))?;
        let issue = send(api, Method::GET, &format!("{path}/issues/{number}"), None, &named).await?;
        if !issue["pull_request"].is_null() {
            let reason = format!("#{number} is a pull request, not an issue: give an issue's number");
            return Err(TrackerError::Refused { status: 422, reason });
        }
        ticket(project, &issue)
    }

    async fn find(&self, api: &Api<'_>, project: &str, marker: &str) -> Result<Option<Ticket>, TrackerError> {
        let holds = |issue: &Value| issue["pull_request"].is_null() && holds(issue, marker);
        let newest = format!("{}/issues?state=all&sort=created&direction=desc&per_page={A_PAGE}", repository(project)?);
        let newest = entries(send(api, Method::GET, &newest, None, project).await?)?;
        if let Some(issue) = newest.iter().find(|issue| holds(issue)) {
            return ticket(project, issue).map(Some);
        }
        if newest.len() < A_PAGE {
            // These were all.
            return Ok(None);
        }
        let older = searched(api, project, marker, "body").await?;
        older.iter().find(|issue| holds(issue)).map(|issue| ticket(project, issue)).transpose()
    }

    async fn open(&self, api: &Api<'_>, new: &NewTicket) -> Result<Ticket, TrackerError> {
        let path = repository(&new.project)?;
        let title = one_line(&new.title, MAX_TITLE);
        let body = json!({
            "title": some_title(&title),
            "body": markdown::body(&new.text, new.link.as_deref(), Some(&new.marker), MAX_TEXT),
            "labels": new.labels,
            "assignees": new.assignee.as_slice(),
        });
        let issue = send(api, Method::POST, &format!("{path}/issues"), Some(&body), &new.project).await?;
        ticket(&new.project, &issue)
    }

    async fn comment(&self, api: &Api<'_>, ticket: &Ticket, text: &str) -> Result<(), TrackerError> {
        let text = some_text(text);
        let body = json!({"body": markdown::body(text, None, None, MAX_TEXT)});
        let path = format!("{}/comments", path_of(ticket)?);
        send(api, Method::POST, &path, Some(&body), &name_of(ticket)).await.map(drop)
    }

    async fn close(&self, api: &Api<'_>, ticket: &Ticket) -> Result<(), TrackerError> {
        let body = json!({"state": "closed", "state_reason": "completed"});
        send(api, Method::PATCH, &path_of(ticket)?, Some(&body), &name_of(ticket)).await.map(drop)
    }

    async fn reopen(&self, api: &Api<'_>, ticket: &Ticket) -> Result<(), TrackerError> {
        let body = json!({"state": "open"});
        send(api, Method::PATCH, &path_of(ticket)?, Some(&body), &name_of(ticket)).await.map(drop)
    }
}

async fn send(
    api: &Api<'_>,
    method: Method,
    path: &str,
    body: Option<&Value>,
    what: &str,
) -> Result<Value, TrackerError> {
    let mut request = api.request(method, api.settings.base_url(BASE), path, body)?;
    let headers = request.headers_mut();
    headers.insert(header::AUTHORIZATION, secret_header(&format!("Bearer {}", api.token()?), "token")?);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
    headers.insert("x-github-api-version", HeaderValue::from_static("2022-11-28"));
    match api.json(request, what, reason).await {
        Err(TrackerError::Refused { status: 410, reason }) => {
            let reason = format!("{reason} (check that issues are switched on in the repository's settings)");
            Err(TrackerError::Refused { status: 410, reason })
        }
        answered => answered,
    }
}

/// Pages of a listing; `path` has a query already.
async fn listed(api: &Api<'_>, path: &str, what: &str) -> Result<Vec<Value>, TrackerError> {
    let mut all = Vec::new();
    for page in 1..=PAGES {
        let path = format!("{path}&per_page={A_PAGE}&page={page}").replace("?&", "?");
        let found = entries(send(api, Method::GET, &path, None, what).await?)?;
        let is_last = found.len() < A_PAGE;
        all.extend(found);
        if is_last {
            break;
        }
    }
    Ok(all)
}

/// Issues with every word of `words` in their title or body. Within quotes nothing is a qualifier.
async fn searched(api: &Api<'_>, project: &str, words: &str, place: &str) -> Result<Vec<Value>, TrackerError> {
    let words: String = words.chars().map(|c| if matches!(c, '"' | '\\') { ' ' } else { c }).collect();
    let words = one_line(&words, 100);
    let words: Vec<String> = words.split_whitespace().map(|word| format!("\"{word}\"")).collect();
    let query = format!("{} repo:{project} is:issue in:{place}", words.join(" "));
    let path = format!("/search/issues?q={}&per_page=50", encoded(query.trim()));
    let found = send(api, Method::GET, &path, None, project).await?;
    entries(found.get("items").cloned().unwrap_or_default())
}

/// The path of a repository whose name is one.
fn repository(project: &str) -> Result<String, TrackerError> {
    match project.split_once('/').filter(|_| is_repository(project)) {
        Some((owner, name)) if owner.len() <= 100 && !owner.contains('.') && name.len() <= 100 => {
            Ok(format!("/repos/{owner}/{name}"))
        }
        _ => Err(TrackerError::NotFound(one_line(project, 80))),
    }
}

/// `owner/name`: what stands in a path of the API must not leave its place.
fn is_repository(text: &str) -> bool {
    let is_name = |name: &str| {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        plain && !matches!(name, "" | "." | "..")
    };
    text.split_once('/').is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}

/// Project and number of an issue's page, or of a pull request's.
fn of_page(path: &str) -> Option<(&str, &str)> {
    path.split_once("/issues/").or_else(|| path.split_once("/pull/"))
}

fn path_of(ticket: &Ticket) -> Result<String, TrackerError> {
    Ok(format!("{}/issues/{}", repository(&ticket.project)?, number(ticket)?))
}

fn ticket(project: &str, issue: &Value) -> Result<Ticket, TrackerError> {
    numbered::ticket(project, &issue["number"], &issue["html_url"])
}

fn holds(issue: &Value, marker: &str) -> bool {
    issue["body"].as_str().is_some_and(|body| body.contains(marker))
}

fn fits(name: &str, query: &str) -> bool {
    name.to_lowercase().contains(&query.trim().to_lowercase())
}

/// `Validation Failed: assignees "ada" is invalid`.
fn reason(said: &Value) -> Option<String> {
    let message = said["message"].as_str()?;
    let errors = said["errors"].as_array().map_or(&[][..], Vec::as_slice).iter().filter_map(|error| {
        if let Some(text) = error.as_str().or_else(|| error["message"].as_str()) {
            return Some(text.to_owned());
        }
        let (field, code) = (error["field"].as_str()?, error["code"].as_str()?.replace('_', " "));
        let value = match &error["value"] {
            Value::String(value) => format!(" \"{value}\""),
            Value::Array(values) => format!(" {}", Value::Array(values.clone())),
            _ => String::new(),
        };
        Some(format!("{field}{value} is {code}"))
    });
    let errors = errors.collect::<Vec<_>>().join(", ");
    Some(if errors.is_empty() { message.to_owned() } else { format!("{message}: {errors}") })
}

#[cfg(test)]
mod tests;
