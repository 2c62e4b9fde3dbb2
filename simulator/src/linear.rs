//! A stand-in for a workspace of Linear with two teams: refuses what Linear refuses, keeps its tickets, and knows whom
//! each would mention.
//!
//! Answers as in <https://linear.app/developers/graphql> and <https://linear.app/developers/rate-limiting>.

mod query;
#[cfg(test)]
mod tests;
mod workspace;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use self::query::Operation;
use self::workspace::Workspace;
use crate::config::{Clock, Sleep};
use crate::faults::{Fault, Wait};
use crate::server::{Answer, Call};
use crate::simulator::locked;
use crate::stand_in::{StandIn, in_own_task, too_large};

const API_KEY: &str = "lin_api_5kQ2mT9vXc1Zr8Ws";
const OAUTH_TOKEN: &str = "lin_oauth_8cD1nB4yHf7Lq3Ke";

/// The workspace. Clones are handles to the same one.
#[derive(Clone)]
pub struct Linear(Arc<Inner>);

struct Inner {
    stand_in: StandIn,
    state: Mutex<Workspace>,
}

/// A ticket as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinearTicket {
    pub id: String,
    /// `ENG-1`
    pub identifier: String,
    /// Key of its team.
    pub team: String,
    pub title: String,
    /// Markdown, as it came.
    pub text: String,
    pub labels: Vec<String>,
    /// Id of a user.
    pub assignee: Option<String>,
    /// The type of its state: `unstarted`, `started`, `completed` …
    pub state: String,
    /// Markdown, as it came, oldest first.
    pub comments: Vec<String>,
    /// Whom its text and comments mention: the name behind an `@`, or that of a profile's address.
    pub mentions: Vec<String>,
    /// Addresses outside of code.
    pub links: Vec<String>,
    pub is_in_trash: bool,
}

/// Status, code and text of a refusal.
struct Refusal(u16, &'static str, String);

impl Refusal {
    /// 200, as most refusals have it.
    fn of_input(text: impl Into<String>) -> Self {
        Self(200, "INVALID_INPUT", text.into())
    }

    fn no_entity(kind: &str) -> Self {
        Self(200, "INPUT_ERROR", format!("Entity not found: {kind} - Could not find referenced {kind}."))
    }

    fn of_query(text: impl Into<String>) -> Self {
        Self(400, "GRAPHQL_VALIDATION_FAILED", text.into())
    }

    fn answer(self) -> Response {
        let extensions = json!({"code": self.1, "userError": true, "userPresentableMessage": self.2});
        let body = json!({"errors": [{"message": self.2, "extensions": extensions}], "data": null});
        Answer::json(self.0, &body).into_response()
    }
}

impl Default for Linear {
    fn default() -> Self {
        Self::of(StandIn::in_real_time())
    }
}

impl Linear {
    /// A workspace with the teams `ENG` and `DES`.
    pub fn new(clock: Clock, sleep: Sleep) -> Self {
        Self::of(StandIn::new(clock, sleep))
    }

    fn of(stand_in: StandIn) -> Self {
        Self(Arc::new(Inner { stand_in, state: Mutex::default() }))
    }

    /// `POST /graphql`.
    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// Of a person, `lin_api_…`.
    pub fn api_key(&self) -> &'static str {
        API_KEY
    }

    /// Of an application.
    pub fn oauth_token(&self) -> &'static str {
        OAUTH_TOKEN
    }

    /// Another team, unless there is one of this key.
    pub fn add_team(&self, key: &str) {
        locked(&self.0.state).add_team(key);
    }

    /// Another label of the workspace, unless there is one of this name.
    pub fn add_label(&self, name: &str) {
        locked(&self.0.state).add_label(name);
    }

    /// Oldest first.
    pub fn tickets(&self) -> Vec<LinearTicket> {
        locked(&self.0.state).tickets.clone()
    }

    /// What people read in the place of a user's id.
    pub fn name_of(&self, user: &str) -> Option<&'static str> {
        workspace::name_of(user)
    }

    /// How often a ticket changed its state.
    pub fn transitions(&self) -> usize {
        locked(&self.0.state).transitions
    }

    /// The next `times` calls fail like this.
    pub fn fail_next(&self, times: usize, fault: &Fault) {
        self.0.stand_in.fail_next(times, fault);
    }

    pub fn revoke_tokens(&self) {
        locked(&self.0.state).tokens_are_revoked = true;
    }

    /// Puts a ticket into the trash, where its id is still taken.
    pub fn delete(&self, identifier: &str) {
        let mut workspace = locked(&self.0.state);
        if let Some(ticket) = workspace.tickets.iter_mut().find(|ticket| ticket.identifier == identifier) {
            ticket.is_in_trash = true;
        }
    }

    fn take(&self, call: &Call) -> Response {
        if call.path != "/graphql" || call.method != Method::POST {
            return (StatusCode::NOT_FOUND, "Not Found").into_response();
        }
        let mut workspace = locked(&self.0.state);
        let given = call.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        // `Bearer` before a person's key is refused, and so is its absence before another's token.
        let is_known = given == Some(API_KEY) || given == Some(&*format!("Bearer {OAUTH_TOKEN}"));
        if !is_known || workspace.tokens_are_revoked {
            let text = "Authentication required, not authenticated";
            return Refusal(401, "AUTHENTICATION_ERROR", text.into()).answer();
        }
        let is_json = call.content_type().starts_with("application/json");
        let body = serde_json::from_slice::<Value>(&call.body).ok().filter(|body| is_json && body["query"].is_string());
        let Some(body) = body else {
            return Refusal(
                400,
                "BAD_REQUEST",
                "POST body missing, invalid Content-Type, or JSON object has no keys.".into(),
            )
            .answer();
        };
        let operation = Operation::read(body["query"].as_str().unwrap_or_default(), &body["variables"]);
        let data = operation.and_then(|operation| workspace.carry_out(&operation));
        match data {
            Ok(data) => Answer::json(200, &json!({"data": data})).into_response(),
            Err(refusal) => refusal.answer(),
        }
    }
}

async fn serve(State(linear): State<Linear>, request: Request) -> Response {
    let Some(call) = Call::read(request).await else { return too_large() };
    in_own_task(async move {
        let stand_in = &linear.0.stand_in;
        let refuse = |status, wait| refused(status, wait, stand_in.now().as_millisecond());
        stand_in.answered_or(|| linear.take(&call), refuse).await
    })
    .await
}

/// Too many requests are refused with 400.
fn refused(status: u16, wait: Option<Wait>, now_ms: i64) -> Response {
    if status != 429 {
        return Refusal(status, "INTERNAL_SERVER_ERROR", "Internal server error".into()).answer();
    }
    let mut response = Refusal(400, "RATELIMITED", "Rate limit exceeded".into()).answer();
    if let Some(Wait::RetryAfter(wait) | Wait::Reset(wait)) = wait {
        let until = now_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
        response.headers_mut().insert("x-ratelimit-requests-reset", until.into());
    }
    response
}
