//! A stand-in for Discord's webhooks: one webhook in one channel. Refuses what Discord refuses, keeps what it took, and
//! knows whom each message woke.
//!
//! Shapes, codes and limits as in <https://docs.discord.com/developers/resources/webhook> and
//! <https://docs.discord.com/developers/topics/opcodes-and-status-codes>; a text's length is counted in code points.

mod form;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::{Clock, Sleep};
use crate::faults::{Fault, Wait};
use crate::server::{Answer, Call};
use crate::signing::random_hex;
use crate::simulator::locked;
use crate::stand_in::{StandIn, in_own_task};

/// Discord in 2026; only the length matters.
const FIRST_ID: u64 = 1_442_500_000_000_000_000;

/// Discord with one webhook. Clones are handles to the same one.
#[derive(Clone)]
pub struct Discord(Arc<Inner>);

struct Inner {
    stand_in: StandIn,
    id: u64,
    token: String,
    state: Mutex<Channel>,
}

#[derive(Default)]
struct Channel {
    messages: Vec<DiscordMessage>,
    made: u64,
    webhook_is_gone: bool,
    /// Whether the channel is a forum, which takes messages into threads only.
    is_forum: bool,
    answers: Vec<u16>,
}

/// A message as it stands in the channel.
#[derive(Clone, Debug, PartialEq)]
pub struct DiscordMessage {
    /// Digits.
    pub id: String,
    pub received_at: Timestamp,
    /// How often it was changed since.
    pub edits: usize,
    pub content: String,
    pub embeds: Vec<Value>,
    /// The thread it stands in.
    pub thread: Option<String>,
    /// Whom it woke when it came: `everyone`, ids of users and roles. A change wakes nobody.
    pub woke: Vec<String>,
}

impl DiscordMessage {
    fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "type": 0,
            "content": self.content,
            "embeds": self.embeds,
            "timestamp": self.received_at.to_string(),
            "channel_id": self.thread,
        })
    }
}

impl Default for Discord {
    fn default() -> Self {
        Self::of(StandIn::in_real_time())
    }
}

impl Discord {
    pub fn new(clock: Clock, sleep: Sleep) -> Self {
        Self::of(StandIn::new(clock, sleep))
    }

    fn of(stand_in: StandIn) -> Self {
        Self(Arc::new(Inner { stand_in, id: FIRST_ID, token: random_hex::<34>(), state: Mutex::default() }))
    }

    /// Another, empty channel, in real time, whose webhook has the same address.
    #[must_use]
    pub fn another(&self) -> Self {
        let (id, token) = (self.0.id, self.0.token.clone());
        Self(Arc::new(Inner { stand_in: StandIn::in_real_time(), id, token, state: Mutex::default() }))
    }

    /// `POST /api/webhooks/{id}/{token}` and `PATCH …/messages/{id}`.
    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// The webhook's address, as Discord's settings copy it. It is a secret.
    pub fn webhook_url(&self) -> String {
        format!("https://discord.com/api/webhooks/{}/{}", self.0.id, self.0.token)
    }

    /// What stands in the channel, oldest first.
    pub fn messages(&self) -> Vec<DiscordMessage> {
        locked(&self.0.state).messages.clone()
    }

    /// The status of every answer so far.
    pub fn answers(&self) -> Vec<u16> {
        locked(&self.0.state).answers.clone()
    }

    /// The next `times` calls fail like this.
    pub fn fail_next(&self, times: usize, fault: &Fault) {
        self.0.stand_in.fail_next(times, fault);
    }

    /// Somebody deletes a message in the channel.
    pub fn delete_message(&self, id: &str) {
        locked(&self.0.state).messages.retain(|message| message.id != id);
    }

    /// Somebody deletes the webhook (or makes it again).
    pub fn set_webhook_gone(&self, gone: bool) {
        locked(&self.0.state).webhook_is_gone = gone;
    }

    /// Whether the webhook's channel is a forum.
    pub fn set_forum(&self, is_forum: bool) {
        locked(&self.0.state).is_forum = is_forum;
    }

    fn take(&self, call: &Call, query: &str) -> Refusable {
        let webhook = call.path.strip_prefix("/api").and_then(|path| {
            // `/api/v10/webhooks/…` is the same.
            let unversioned = path.strip_prefix("/v").map(|path| path.trim_start_matches(|c: char| c.is_ascii_digit()));
            unversioned.unwrap_or(path).strip_prefix("/webhooks/")
        });
        let segments: Vec<&str> = webhook.unwrap_or_default().split('/').collect();
        let (id, token, message) = match *segments {
            [id, token] => (id, token, None),
            [id, token, "messages", message] => (id, token, Some(message)),
            _ => return Err(Refusal::new(404, 0, "404: Not Found")),
        };
        let mut channel = locked(&self.0.state);
        if id != self.0.id.to_string() || channel.webhook_is_gone {
            return Err(Refusal::new(404, 10_015, "Unknown Webhook"));
        }
        if token != self.0.token {
            return Err(Refusal::new(401, 50_027, "Invalid Webhook Token"));
        }
        let parameter = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
        };
        let thread = parameter("thread_id").map(str::to_owned);
        if thread.as_deref().is_some_and(|thread| !form::is_snowflake(thread)) {
            return Err(Refusal::form(
                &json!({"thread_id": form::error("NUMBER_TYPE_COERCE", "Value is not snowflake.")}),
            ));
        }
        match (&call.method, message) {
            (&Method::POST, None) => {
                let form = form::Form::read(call)?;
                let message = channel.post(form, thread, self.0.stand_in.now())?;
                Ok(if parameter("wait") == Some("true") { (200, message) } else { (204, Value::Null) })
            }
            (&Method::PATCH, Some(id)) => Ok((200, channel.change(id, thread.as_deref(), form::Form::read(call)?)?)),
            _ => Err(Refusal::new(405, 0, "405: Method Not Allowed")),
        }
    }
}

impl Channel {
    fn post(&mut self, form: form::Form, thread: Option<String>, now: Timestamp) -> Result<Value, Refusal> {
        if form.is_empty() {
            return Err(Refusal::new(400, 50_006, "Cannot send an empty message"));
        }
        if self.is_forum && thread.is_none() {
            let text = "Webhooks posted to forum channels must have a thread_name or thread_id";
            return Err(Refusal::new(400, 220_001, text));
        }
        self.made += 1;
        let message = DiscordMessage {
            id: (FIRST_ID + self.made).to_string(),
            received_at: now,
            edits: 0,
            woke: form.wakes(),
            content: form.content.unwrap_or_default().unwrap_or_default(),
            embeds: form.embeds.unwrap_or_default(),
            thread,
        };
        let answer = message.to_json();
        self.messages.push(message);
        Ok(answer)
    }

    /// A message of a thread is found in its thread only.
    fn change(&mut self, id: &str, thread: Option<&str>, form: form::Form) -> Result<Value, Refusal> {
        let found = self.messages.iter_mut().find(|message| message.id == id && message.thread.as_deref() == thread);
        let message = found.ok_or_else(|| Refusal::new(404, 10_008, "Unknown Message"))?;
        if let Some(content) = form.content {
            message.content = content.unwrap_or_default();
        }
        if let Some(embeds) = form.embeds {
            message.embeds = embeds;
        }
        message.edits += 1;
        Ok(message.to_json())
    }
}

/// Status and body.
type Refusable = Result<(u16, Value), Refusal>;

/// `{"message": "Unknown Webhook", "code": 10015}`
struct Refusal {
    status: u16,
    body: Value,
}

impl Refusal {
    fn new(status: u16, code: u32, message: &str) -> Self {
        Self { status, body: json!({"message": message, "code": code}) }
    }

    /// `errors` is a tree by field.
    fn form(errors: &Value) -> Self {
        Self { status: 400, body: json!({"message": "Invalid Form Body", "code": 50_035, "errors": errors}) }
    }
}

async fn serve(State(discord): State<Discord>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let Some(call) = Call::read(request).await else {
        return Answer::json(413, &json!({"message": "Request entity too large", "code": 40_005})).into_response();
    };
    in_own_task(async move { answered(&discord, &call, &query).await }).await
}

async fn answered(discord: &Discord, call: &Call, query: &str) -> Response {
    let carry_out = || match discord.take(call, query) {
        Ok((204, _)) => StatusCode::NO_CONTENT.into_response(),
        Ok((status, body)) | Err(Refusal { status, body }) => Answer::json(status, &body).into_response(),
    };
    let response = discord.0.stand_in.answered_or(carry_out, refused).await;
    locked(&discord.0.state).answers.push(response.status().as_u16());
    response
}

/// A 429 says twice how long to wait: in whole seconds, rounded up, and exactly.
fn refused(status: u16, wait: Option<Wait>) -> Response {
    let (Some(Wait::RetryAfter(wait) | Wait::Reset(wait)), 429) = (wait, status) else {
        let message = StatusCode::from_u16(status).map_or("500: Internal Server Error".to_owned(), |s| s.to_string());
        return Answer::json(status, &json!({"message": message, "code": 0})).into_response();
    };
    let body = json!({"message": "You are being rate limited.", "retry_after": wait.as_secs_f64(), "global": false});
    let mut response = Answer::json(429, &body).into_response();
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

#[cfg(test)]
mod tests;
