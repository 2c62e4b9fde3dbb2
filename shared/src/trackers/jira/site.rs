//! The way to a site of Jira, and what its answers mean.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Api, LISTED, Ticket, TrackerError, list, text};
use crate::destinations::one_line;
use crate::trackers::api::{judge, secret_header};

pub(super) struct Site<'a> {
    api: &'a Api<'a>,
    /// With the API's path, ends in a slash.
    base: String,
    /// What its pages begin with, without a slash at the end.
    pages: String,
    authorization: HeaderValue,
    pub(super) is_cloud: bool,
}

/// A refusal of what was asked for, of the whole or of fields.
#[derive(Debug)]
pub(super) struct Refusal {
    said: Value,
    pub(super) error: TrackerError,
}

impl<'a> Site<'a> {
    pub(super) fn of(api: &'a Api<'a>) -> Result<Self, TrackerError> {
        let misconfigured = |error: &dyn std::fmt::Display| TrackerError::Misconfigured(error.to_string());
        let settings = api.settings;
        let address = settings.address("url").map_err(|error| misconfigured(&error))?;
        let token = api.token()?;
        let email = settings.text("email").map(str::trim);
        let (version, authorization) = match email {
            Some(email) => (3, format!("Basic {}", STANDARD.encode(format!("{email}:{token}")))),
            None => (2, format!("Bearer {token}")),
        };
        let authorization = secret_header(&authorization, "token")?;
        let scheme = address.scheme_str().unwrap_or("https");
        let authority = address.authority().map_or("", http::uri::Authority::as_str);
        let base = format!("{scheme}://{authority}{}/rest/api/{version}/", address.path().trim_end_matches('/'));
        // People are led to where the file says, also where the calls go elsewhere.
        let url = settings.required("url").map_err(|error| misconfigured(&error))?.trim();
        let pages = url.split(['?', '#']).next().unwrap_or(url).trim_end_matches('/').to_owned();
        Ok(Self { api, base, pages, authorization, is_cloud: email.is_some() })
    }

    /// The key that a person meant: `12`, `#12`, `KEY-12` or the ticket's address.
    pub(super) fn key_of(&self, project: &str, id: &str) -> Result<String, TrackerError> {
        let id = id.trim();
        let own_page = id.strip_prefix(&self.pages).and_then(|path| path.strip_prefix("/browse/"));
        let id = own_page.map_or(id, |key| key.split(['?', '#', '/']).next().unwrap_or(key));
        let id = id.strip_prefix('#').unwrap_or(id);
        let is_number = |text: &str| (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        match id.rsplit_once('-') {
            None if is_number(id) => Ok(format!("{project}-{id}")),
            Some((key, number)) if is_number(number) && super::project_key(key).is_ok() => Ok(id.to_ascii_uppercase()),
            _ => Err(TrackerError::NotFound(one_line(id, 80))),
        }
    }

    pub(super) async fn issue(&self, key: &str, fields: &str) -> Result<Value, TrackerError> {
        self.issue_named(key, fields, key).await
    }

    pub(super) async fn issue_named(&self, id: &str, fields: &str, named: &str) -> Result<Value, TrackerError> {
        self.get(&format!("issue/{id}"), &[("fields", fields)], named).await
    }

    /// The first of what JQL finds in `project`.
    pub(super) async fn search(&self, jql: &str, fields: &[&str], project: &str) -> Result<Vec<Value>, TrackerError> {
        let found = if self.is_cloud {
            let body = json!({"jql": jql, "maxResults": LISTED, "fields": fields});
            self.post("search/jql", &body, project).await?.map_err(|refusal| refusal.into_search_error(project))?
        } else {
            let asked = [("jql", jql), ("maxResults", "50"), ("fields", &*fields.join(","))];
            let path = with_query("search", &asked);
            self.send(Method::GET, &path, None, project).await?.map_err(|refusal| refusal.into_search_error(project))?
        };
        match &found["issues"] {
            Value::Array(issues) => Ok(issues.clone()),
            _ => Err(TrackerError::NotUnderstood("a search without issues".into())),
        }
    }

    /// A ticket out of an issue that was asked for with its project.
    pub(super) fn ticket(&self, issue: &Value) -> Result<Ticket, TrackerError> {
        let project = issue["fields"]["project"]["key"].as_str();
        let project = project.ok_or_else(|| TrackerError::NotUnderstood("an issue without project".into()))?;
        self.ticket_of(issue, project)
    }

    pub(super) fn ticket_of(&self, issue: &Value, project: &str) -> Result<Ticket, TrackerError> {
        let (Some(key), Some(id)) = (issue["key"].as_str(), issue["id"].as_str()) else {
            return Err(TrackerError::NotUnderstood("an issue without key".into()));
        };
        let url = format!("{}/browse/{key}", self.pages);
        Ok(Ticket { project: project.to_owned(), identifier: key.to_owned(), id: id.to_owned(), url })
    }

    /// A description or comment, as this edition takes it.
    pub(super) fn text(&self, text: &str, link: Option<&str>, marker: Option<&str>) -> Value {
        if self.is_cloud { text::document(text, link, marker) } else { text::markup(text, link, marker).into() }
    }

    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)], what: &str) -> Result<Value, TrackerError> {
        let answered = self.send(Method::GET, &with_query(path, query), None, what).await?;
        answered.map_err(|refusal| refusal.error)
    }

    /// `what` is what a person has named and the site may not know.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &Value,
        what: &str,
    ) -> Result<Result<Value, Refusal>, TrackerError> {
        self.send(Method::POST, path, Some(body), what).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        what: &str,
    ) -> Result<Result<Value, Refusal>, TrackerError> {
        let mut request = self.api.request(method, &self.base, path, body)?;
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        judged(&self.api.call(request).await?, self.api.now(), what)
    }
}

impl Refusal {
    /// Whether the field is what is refused.
    pub(super) fn is_about(&self, field: &str) -> bool {
        self.said["errors"].get(field).is_some()
    }

    /// A search names nothing but the project that may not be there.
    fn into_search_error(self, project: &str) -> TrackerError {
        let about_project = reason(&self.said).is_some_and(|reason| reason.contains("field 'project'"));
        if about_project { TrackerError::NotFound(project.to_owned()) } else { self.error }
    }
}

fn reason(said: &Value) -> Option<String> {
    let whole = list(&said["errorMessages"]).filter_map(Value::as_str).map(str::to_owned);
    let fields = said["errors"].as_object().into_iter().flatten();
    let fields = fields.filter_map(|(name, text)| Some(format!("{name}: {}", text.as_str()?)));
    let message = said["message"].as_str().map(str::to_owned);
    let said: Vec<String> = whole.chain(fields).chain(message).collect();
    (!said.is_empty()).then(|| said.join(" "))
}

/// What an answer says; a refusal of what was asked for apart, as it may be asked for otherwise.
pub(super) fn judged(
    answer: &Response<Bytes>,
    now: Timestamp,
    what: &str,
) -> Result<Result<Value, Refusal>, TrackerError> {
    match judge(answer, now, what, reason) {
        Err(error @ TrackerError::Refused { status: 400, .. }) => {
            Ok(Err(Refusal { said: serde_json::from_slice(answer.body()).unwrap_or_default(), error }))
        }
        judged => judged.map(Ok),
    }
}

fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let query = serde_urlencoded::to_string(query).expect("texts have a form");
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}
