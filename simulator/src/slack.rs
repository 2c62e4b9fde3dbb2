//! A stand-in for a Slack workspace with one bot and one incoming webhook: refuses what Slack refuses, keeps what it took.
//!
//! Limits and answers as in <https://docs.slack.dev/reference/methods/chat.postMessage>,
//! <https://docs.slack.dev/reference/methods/chat.update>, <https://docs.slack.dev/reference/block-kit/blocks> and
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.

mod blocks;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::config::{Clock, Sleep};
use crate::faults::Fault;
use crate::server::{Answer, Call};
use crate::simulator::locked;
use crate::stand_in::{StandIn, in_own_task, too_large};

const BOT_TOKEN: &str = "xoxb-1234567890-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx";
const WEBHOOK_PATH: &str = "/services/T0123456789/B0123456789/AbCdEfGhIjKlMnOpQrStUvWx";
const TEXT_LIMIT_CHARS: usize = 40_000;
const UPDATE_TEXT_LIMIT_CHARS: usize = 4000;
const ATTACHMENTS_LIMIT: usize = 100;

/// The workspace. Clones are handles to the same one.
#[derive(Clone)]
pub struct Slack(Arc<Inner>);

struct Inner {
    stand_in: StandIn,
    /// Codes to answer before, or after, the call is carried out.
    codes: Mutex<VecDeque<(String, bool)>>,
    state: Mutex<Workspace>,
}

struct Workspace {
    channels: Vec<Channel>,
    calls: Vec<SlackCall>,
    token_is_revoked: bool,
    webhook_is_removed: bool,
    posted: u32,
}

struct Channel {
    id: String,
    name: String,
    is_archived: bool,
    threads: Vec<SlackThread>,
}

/// A message in a channel, and what stands below it.
#[derive(Clone, Debug, PartialEq)]
pub struct SlackThread {
    pub parent: SlackMessage,
    /// Oldest first.
    pub replies: Vec<SlackMessage>,
}

/// A message as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct SlackMessage {
    /// Its name within the channel.
    pub ts: String,
    pub posted_at: Timestamp,
    /// What notifications say.
    pub text: String,
    /// What the message shows: the texts of its blocks and attachments, a line each; its `text` where it has none.
    pub shown: String,
    /// Colour of its first attachment, where it has one.
    pub colour: Option<String>,
    /// Its blocks and attachments, as they came.
    pub blocks: Value,
    pub attachments: Value,
    /// How often it was changed.
    pub edits: usize,
    /// Not by the bot, which therefore cannot change it.
    pub by_webhook: bool,
}

/// A call and what was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackCall {
    /// `chat.postMessage`, `chat.update`, `webhook`
    pub method: String,
    /// `None` where it was carried out.
    pub error: Option<String>,
}

impl Default for Slack {
    fn default() -> Self {
        Self::of(StandIn::in_real_time())
    }
}

impl Slack {
    /// A workspace with the channel `alerts`.
    pub fn new(clock: Clock, sleep: Sleep) -> Self {
        Self::of(StandIn::new(clock, sleep))
    }

    fn of(stand_in: StandIn) -> Self {
        let workspace = Workspace {
            channels: Vec::new(),
            calls: Vec::new(),
            token_is_revoked: false,
            webhook_is_removed: false,
            posted: 0,
        };
        let slack = Self(Arc::new(Inner { stand_in, codes: Mutex::default(), state: Mutex::new(workspace) }));
        slack.add_channel("alerts");
        slack
    }

    /// `hooks.slack.com` and `slack.com` in one: `POST` [`Self::webhook_path`], `/api/chat.postMessage`,
    /// `/api/chat.update`.
    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// The bot's, `xoxb-…`.
    pub fn bot_token(&self) -> &'static str {
        BOT_TOKEN
    }

    /// Path of the incoming webhook, which posts to `alerts`.
    pub fn webhook_path(&self) -> &'static str {
        WEBHOOK_PATH
    }

    /// Makes a channel; returns its id.
    pub fn add_channel(&self, name: &str) -> String {
        let mut workspace = locked(&self.0.state);
        let id = format!("C{:010}", workspace.channels.len() + 1);
        workspace.channels.push(Channel {
            id: id.clone(),
            name: name.to_owned(),
            is_archived: false,
            threads: Vec::new(),
        });
        id
    }

    /// The messages of a channel, by name or id, oldest first.
    pub fn threads(&self, channel: &str) -> Vec<SlackThread> {
        let workspace = locked(&self.0.state);
        workspace.channels.iter().find(|known| known.is(channel)).map(|found| found.threads.clone()).unwrap_or_default()
    }

    /// Every call so far, also those refused, but not those that [`Self::fail_next`] kept away.
    pub fn calls(&self) -> Vec<SlackCall> {
        locked(&self.0.state).calls.clone()
    }

    /// The next `times` calls fail like this.
    pub fn fail_next(&self, times: usize, fault: &Fault) {
        self.0.stand_in.fail_next(times, fault);
    }

    /// The next call of the bot is refused with this code, and nothing is done.
    pub fn refuse_next(&self, code: &str) {
        locked(&self.0.codes).push_back((code.to_owned(), false));
    }

    /// The next call of the bot is carried out, and answered with this code all the same, as `internal_error` may be.
    pub fn refuse_next_though_done(&self, code: &str) {
        locked(&self.0.codes).push_back((code.to_owned(), true));
    }

    /// Archives a channel.
    pub fn archive(&self, channel: &str) {
        let mut workspace = locked(&self.0.state);
        if let Some(channel) = workspace.channels.iter_mut().find(|known| known.is(channel)) {
            channel.is_archived = true;
        }
    }

    /// Deletes a message of a channel, with what stands below it.
    pub fn delete(&self, channel: &str, ts: &str) {
        let mut workspace = locked(&self.0.state);
        if let Some(channel) = workspace.channels.iter_mut().find(|known| known.is(channel)) {
            channel.threads.retain(|thread| thread.parent.ts != ts);
        }
    }

    /// The app is taken out of the workspace.
    pub fn revoke_token(&self) {
        locked(&self.0.state).token_is_revoked = true;
    }

    pub fn remove_webhook(&self) {
        locked(&self.0.state).webhook_is_removed = true;
    }
}

impl Channel {
    fn is(&self, channel: &str) -> bool {
        self.id == channel || self.name == channel.strip_prefix('#').unwrap_or(channel)
    }
}

async fn serve(State(slack): State<Slack>, request: Request) -> Response {
    let Some(call) = Call::read(request).await else { return too_large() };
    in_own_task(async move { slack.0.stand_in.answered(|| slack.take(&call)).await }).await
}

/// What a call of the Web API did: members of the answer, or the code of its refusal.
type Done = Result<Map<String, Value>, String>;

impl Slack {
    fn take(&self, call: &Call) -> Response {
        match call.path.strip_prefix("/api/") {
            Some(method @ ("chat.postMessage" | "chat.update")) => {
                let done = self.method(method, call);
                self.note(method, done.as_ref().err());
                // 200 also where it is refused.
                let body = match done {
                    Ok(mut members) => {
                        members.insert("ok".to_owned(), json!(true));
                        Value::Object(members)
                    }
                    Err(code) => json!({"ok": false, "error": code}),
                };
                Answer::json(200, &body).into_response()
            }
            Some(_) => Answer::json(200, &json!({"ok": false, "error": "unknown_method"})).into_response(),
            None => {
                let done = self.webhook(call);
                self.note("webhook", done.err().map(|(_, code)| code.to_owned()).as_ref());
                match done {
                    Ok(()) => "ok".into_response(),
                    Err((status, code)) => (status, code).into_response(),
                }
            }
        }
    }

    fn note(&self, method: &str, error: Option<&String>) {
        locked(&self.0.state).calls.push(SlackCall { method: method.to_owned(), error: error.cloned() });
    }

    fn method(&self, method: &str, call: &Call) -> Done {
        let code = locked(&self.0.codes).pop_front();
        match code {
            Some((code, false)) => Err(code),
            Some((code, true)) => self.carry_out(method, call).and(Err(code)),
            None => self.carry_out(method, call),
        }
    }

    fn carry_out(&self, method: &str, call: &Call) -> Done {
        let no = |code: &str| Err(code.to_owned());
        if call.method != Method::POST || !is_json(call) {
            return no("invalid_post_type");
        }
        let mut workspace = locked(&self.0.state);
        match call.bearer() {
            None => return no("not_authed"),
            Some(BOT_TOKEN) if workspace.token_is_revoked => return no("token_revoked"),
            Some(BOT_TOKEN) => {}
            Some(_) => return no("invalid_auth"),
        }
        let Ok(body) = serde_json::from_slice::<Value>(&call.body) else { return no("invalid_json") };
        let content = blocks::Content::read(&body)?;
        let text = |name: &str| body[name].as_str();
        if method == "chat.update" {
            return workspace.update(text("channel"), text("ts"), content);
        }
        let Some(channel) = text("channel").and_then(|channel| workspace.place_of(channel)) else {
            return no("channel_not_found");
        };
        if workspace.channels[channel].is_archived {
            return no("is_archived");
        }
        content.check(TEXT_LIMIT_CHARS, ATTACHMENTS_LIMIT)?;
        let parent = match text("thread_ts") {
            None => None,
            Some(ts) => Some(workspace.channels[channel].place_of(ts).ok_or("thread_not_found")?),
        };
        let message = workspace.message(content, self.0.stand_in.now(), false);
        Ok(workspace.put(channel, parent, message))
    }

    fn webhook(&self, call: &Call) -> Result<(), (StatusCode, &'static str)> {
        let mut workspace = locked(&self.0.state);
        if call.path != WEBHOOK_PATH || workspace.webhook_is_removed {
            return Err((StatusCode::NOT_FOUND, "no_service"));
        }
        let body = serde_json::from_slice::<Value>(&call.body).ok().filter(Value::is_object);
        let Some(body) = body.filter(|_| call.method == Method::POST && is_json(call)) else {
            return Err((StatusCode::BAD_REQUEST, "invalid_payload"));
        };
        if workspace.channels[0].is_archived {
            return Err((StatusCode::GONE, "channel_is_archived"));
        }
        let content = blocks::Content::read(&body)
            .and_then(|content| content.check(TEXT_LIMIT_CHARS, ATTACHMENTS_LIMIT).map(|()| content));
        let content = content.map_err(|code| match code.as_str() {
            "no_text" => (StatusCode::BAD_REQUEST, "no_text"),
            "too_many_attachments" => (StatusCode::BAD_REQUEST, "too_many_attachments"),
            "invalid_blocks" => (StatusCode::BAD_REQUEST, "invalid_blocks"),
            _ => (StatusCode::BAD_REQUEST, "invalid_payload"),
        })?;
        let message = workspace.message(content, self.0.stand_in.now(), true);
        workspace.put(0, None, message);
        Ok(())
    }
}

fn is_json(call: &Call) -> bool {
    call.content_type().split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

impl Workspace {
    fn place_of(&self, channel: &str) -> Option<usize> {
        self.channels.iter().position(|known| known.is(channel))
    }

    fn message(&mut self, content: blocks::Content, now: Timestamp, by_webhook: bool) -> SlackMessage {
        self.posted += 1;
        SlackMessage {
            ts: format!("{}.{:06}", now.as_second(), self.posted),
            posted_at: now,
            shown: content.shown(),
            colour: content.colour(),
            text: content.text,
            blocks: content.blocks,
            attachments: content.attachments,
            edits: 0,
            by_webhook,
        }
    }

    /// Into the channel, or below the message there.
    fn put(&mut self, channel: usize, parent: Option<usize>, message: SlackMessage) -> Map<String, Value> {
        let channel = &mut self.channels[channel];
        let answer = members(&channel.id, &message.ts);
        match parent {
            None => channel.threads.push(SlackThread { parent: message, replies: Vec::new() }),
            Some(parent) => channel.threads[parent].replies.push(message),
        }
        answer
    }

    fn update(&mut self, channel: Option<&str>, ts: Option<&str>, content: blocks::Content) -> Done {
        let no = |code: &str| Err(code.to_owned());
        // By its id alone.
        let channel = channel.and_then(|id| self.channels.iter_mut().find(|known| known.id == id));
        let Some(channel) = channel else { return no("channel_not_found") };
        if channel.is_archived {
            return no("is_inactive");
        }
        let messages = channel
            .threads
            .iter_mut()
            .flat_map(|thread| std::iter::once(&mut thread.parent).chain(thread.replies.iter_mut()));
        let message = messages.into_iter().find(|message| Some(message.ts.as_str()) == ts);
        let Some(message) = message else { return no("message_not_found") };
        if message.by_webhook {
            return no("cant_update_message");
        }
        content.check(UPDATE_TEXT_LIMIT_CHARS, ATTACHMENTS_LIMIT)?;
        message.shown = content.shown();
        message.colour = content.colour();
        message.text = content.text;
        message.blocks = content.blocks;
        message.attachments = content.attachments;
        message.edits += 1;
        Ok(members(&channel.id, &message.ts))
    }
}

impl Channel {
    fn place_of(&self, ts: &str) -> Option<usize> {
        self.threads.iter().position(|thread| thread.parent.ts == ts)
    }
}

fn members(channel: &str, ts: &str) -> Map<String, Value> {
    [("channel".to_owned(), json!(channel)), ("ts".to_owned(), json!(ts))].into_iter().collect()
}

#[cfg(test)]
mod tests;
