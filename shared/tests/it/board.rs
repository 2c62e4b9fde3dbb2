//! A tracker that is a table of answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use bytes::Bytes;
use http::{Method, Uri};
use serde_json::{Value, json};
use shared::trackers::{Api, Choice, NewTicket, Ticket, Tracker, TrackerError, TrackerKind};

/// A tracker whose every list is one GET, and whose tickets are one POST.
struct Http;

pub(crate) static HTTP: TrackerKind = TrackerKind {
    name: "github",
    keys: &[],
    needs: &[],
    projects_key: "repositories",
    project_form: None,
    max_title: 100,
    max_text: 1000,
    tracker: &Http,
};

async fn call(api: &Api<'_>, method: Method, path: &str, body: Option<Value>) -> Result<Value, TrackerError> {
    let answer = api.call(api.request(method, api.settings.base_url(""), path, body.as_ref())?).await?;
    match answer.status().as_u16() {
        200 => Ok(serde_json::from_slice(answer.body()).unwrap()),
        401 => Err(TrackerError::Unauthorized),
        404 => Err(TrackerError::NotFound(path.to_owned())),
        // As a far side does that tells what it was sent.
        422 => {
            let reason = format!("no such label, {}", api.settings.text("token").unwrap());
            Err(TrackerError::Refused { status: 422, reason })
        }
        status => Err(TrackerError::Failing { status, until: None }),
    }
}

async fn list(api: &Api<'_>, path: &str) -> Result<Vec<Choice>, TrackerError> {
    let answer = call(api, Method::GET, path, None).await?;
    Ok(answer.as_array().unwrap().iter().map(|own| Choice::new(own.as_str().unwrap(), own.as_str().unwrap())).collect())
}

fn ticket(answer: &Value, project: &str) -> Ticket {
    let number = answer["number"].to_string();
    Ticket {
        project: project.into(),
        url: format!("http://board.test/{number}"),
        id: number.clone(),
        identifier: number,
    }
}

#[async_trait]
impl Tracker for Http {
    async fn projects(&self, api: &Api<'_>, _: &str) -> Result<Vec<Choice>, TrackerError> {
        list(api, "/projects").await
    }
    async fn labels(&self, api: &Api<'_>, project: &str, _: &str) -> Result<Vec<Choice>, TrackerError> {
        list(api, &format!("/labels/{project}")).await
    }
    async fn assignees(&self, api: &Api<'_>, project: &str, _: &str) -> Result<Vec<Choice>, TrackerError> {
        list(api, &format!("/assignees/{project}")).await
    }
    async fn tickets(&self, api: &Api<'_>, project: &str, _: &str) -> Result<Vec<Choice>, TrackerError> {
        list(api, &format!("/tickets/{project}")).await
    }
    async fn read(&self, api: &Api<'_>, project: &str, id: &str) -> Result<Ticket, TrackerError> {
        Ok(ticket(&call(api, Method::GET, &format!("/ticket/{id}"), None).await?, project))
    }
    async fn find(&self, _: &Api<'_>, _: &str, _: &str) -> Result<Option<Ticket>, TrackerError> {
        Ok(None)
    }
    async fn open(&self, api: &Api<'_>, new: &NewTicket) -> Result<Ticket, TrackerError> {
        let body = json!({
            "project": new.project, "title": new.title, "text": new.text, "link": new.link, "labels": new.labels,
            "assignee": new.assignee,
        });
        Ok(ticket(&call(api, Method::POST, "/open", Some(body)).await?, &new.project))
    }
    async fn comment(&self, _: &Api<'_>, _: &Ticket, _: &str) -> Result<(), TrackerError> {
        unreachable!()
    }
    async fn close(&self, _: &Api<'_>, _: &Ticket) -> Result<(), TrackerError> {
        unreachable!()
    }
    async fn reopen(&self, _: &Api<'_>, _: &Ticket) -> Result<(), TrackerError> {
        unreachable!()
    }
}

/// What the far side answers, and what it was asked.
#[derive(Clone, Default)]
pub(crate) struct Board {
    pub(crate) answers: Arc<Mutex<BTreeMap<String, Value>>>,
    pub(crate) status: Arc<Mutex<Option<u16>>>,
    pub(crate) delay: Arc<Mutex<Duration>>,
    pub(crate) asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Board {
    pub(crate) fn router(&self) -> Router {
        Router::new().fallback(Self::answer).with_state(self.clone())
    }

    async fn answer(State(board): State<Self>, uri: Uri, body: Bytes) -> (http::StatusCode, String) {
        let path = uri.path().to_owned();
        board.asked.lock().unwrap().push((path.clone(), serde_json::from_slice(&body).unwrap_or_default()));
        let delay = *board.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        let status = board.status.lock().unwrap().unwrap_or(200);
        let answer = board.answers.lock().unwrap().get(&path).cloned();
        match answer {
            Some(answer) => (http::StatusCode::from_u16(status).unwrap(), answer.to_string()),
            None => (http::StatusCode::NOT_FOUND, String::new()),
        }
    }

    pub(crate) fn says(&self, path: &str, answer: Value) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    pub(crate) fn calls(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}
