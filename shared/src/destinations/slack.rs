//! `slack`: an incoming webhook, or a bot that keeps a thread an issue.
//!
//! A webhook learns nothing of what it posts. A bot's first message of an issue is the parent of a thread. What changes
//! the issue (resolved, archived, assigned, open again) changes the parent in place and is told below it; anything
//! else is told below it only. A regression is news: it gets a parent of its own, and the thread goes on there.
//!
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>,
//! <https://docs.slack.dev/reference/methods/chat.postMessage>,
//! <https://docs.slack.dev/reference/methods/chat.update>

mod answers;
mod blocks;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use self::blocks::{Form, content};
use super::error::DeliveryError;
use super::kind::{Action, Call, Judge, Key, Kind, Notification, Takes};
use super::request;
use super::settings::Settings;
use crate::normalized::Normalized;

pub(super) static KIND: Kind = Kind::new("slack", render)
    .keys(&[Key::new("url", Takes::Secret), Key::new("bot_token", Takes::Secret), Key::new("channel", Takes::Text)])
    .needs(&[&["url"], &["bot_token", "channel"]])
    .threads()
    // "1 per second" and channel: more at once would only be told to come again.
    .concurrency(1);

fn render(settings: &Settings, notification: &Notification<'_>) -> Result<Action, DeliveryError> {
    if settings.text("bot_token").is_none() {
        let address = settings.address("url")?;
        let body = content(Form::Message, notification);
        return Ok(Action::call(request::json(http::Request::post(address), &body)?, answers::of_webhook));
    }
    let bot = Bot { settings, token: bearer(settings.required("bot_token")?)? };
    let channel = settings.required("channel")?;
    let parent = Parent::of(notification, channel);
    Ok(Action::Calls(match (parent, Told::of(notification.event)) {
        (None, _) | (_, Told::Anew) => {
            let body = addressed(content(Form::Message, notification), &[("channel", channel)]);
            vec![bot.post(&body, answers::of_parent)?]
        }
        (Some(parent), Told::Below) => vec![bot.reply(Form::Reply, &parent, notification)?],
        // The reply last: it must not come twice, while the same change twice is one change.
        (Some(parent), Told::ByChange) => {
            let change =
                addressed(content(Form::Changed, notification), &[("channel", parent.channel), ("ts", parent.ts)]);
            vec![bot.call("chat.update", &change, answers::of_change)?, bot.reply(Form::Note, &parent, notification)?]
        }
    }))
}

/// How an issue that has a thread already is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// By a new parent.
    Anew,
    /// By changing the parent, and below it.
    ByChange,
    Below,
}

impl Told {
    fn of(event: &Normalized) -> Self {
        match event.event.as_str() {
            _ if event.is_regression() => Self::Anew,
            "issue.resolved" | "issue.ignored" | "issue.archived" | "issue.assigned" | "issue.unresolved" => {
                Self::ByChange
            }
            _ => Self::Below,
        }
    }
}

/// The first message of a thread.
struct Parent<'a> {
    channel: &'a str,
    ts: &'a str,
}

impl<'a> Parent<'a> {
    /// `None` also where the routes name another channel by its id: the thread stays behind when its destination moves.
    fn of(notification: &Notification<'a>, channel: &str) -> Option<Self> {
        let thread = notification.thread?;
        let parent = Self { channel: thread.get("channel")?, ts: thread.get("ts")? };
        (!is_channel_id(channel) || channel == parent.channel).then_some(parent)
    }
}

/// `C0123456789`, in capitals and digits, which no channel's name is.
fn is_channel_id(channel: &str) -> bool {
    channel.len() > 8
        && channel.starts_with(['C', 'G', 'D'])
        && channel.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

struct Bot<'a> {
    settings: &'a Settings,
    token: HeaderValue,
}

impl Bot<'_> {
    fn reply(&self, form: Form, parent: &Parent<'_>, notification: &Notification<'_>) -> Result<Call, DeliveryError> {
        let body = content(form, notification);
        self.post(&addressed(body, &[("channel", parent.channel), ("thread_ts", parent.ts)]), answers::of_reply)
    }

    fn post(&self, body: &Value, judge: Judge) -> Result<Call, DeliveryError> {
        self.call("chat.postMessage", body, judge)
    }

    fn call(&self, method: &str, body: &Value, judge: Judge) -> Result<Call, DeliveryError> {
        let address = format!("{}/api/{method}", self.settings.base_url("https://slack.com"));
        let request = http::Request::post(address).header(AUTHORIZATION, self.token.clone());
        let request: http::Request<Bytes> = request::json(request, body)?;
        Ok(Call { request, judge })
    }
}

fn bearer(token: &str) -> Result<HeaderValue, DeliveryError> {
    let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
    let mut value =
        value.map_err(|_| DeliveryError::BadValue { key: "bot_token", problem: "has characters that no token has" })?;
    value.set_sensitive(true);
    Ok(value)
}

fn addressed(mut body: Value, to: &[(&str, &str)]) -> Value {
    for (name, word) in to {
        body[*name] = json!(word);
    }
    body
}
