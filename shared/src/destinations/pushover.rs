//! `pushover`: to a phone. <https://pushover.net/api>
//!
//! Where its priority can be 2, an emergency that an issue caused is cancelled once the issue is over. So is one that an
//! alert rule alone made one: that it rang is remembered in the thread.

mod answers;
#[cfg(test)]
mod tests;

use serde::Serialize;

use self::answers::{judge, judge_cancelled, judge_rung};
use super::error::DeliveryError;
use super::incident::{self, Turn};
use super::kind::{Action, Call, Key, Kind, Notification, Takes};
use super::request::form;
use super::settings::Settings;
use super::text::{cut, cut_before_link, is_blank, one_line, visible};
use crate::alert_rule::Priority;
use crate::message::Message;

/// "title is limited to 250 characters, message to 1024 4-byte UTF-8 characters, url to 512, `url_title` to 100".
const TITLE_MAX: usize = 250;
const MESSAGE_MAX: usize = 1024;
const URL_MAX: usize = 512;
/// Of the message, this much at most is for the fields below its text, so that neither pushes the other out.
const FIELDS_MAX: usize = 400;
const FIELD_MAX: usize = 100;
/// "device … up to 25 characters long, and will contain the character set `[A-Za-z0-9_-]`".
const DEVICE_MAX: usize = 25;

const NORMAL: i64 = 0;
/// Repeated every `retry` seconds until somebody acknowledges it or `expire` seconds are over.
const EMERGENCY: i64 = 2;
/// "must have a value of at least 30 seconds", "at most 10800 seconds (3 hours)".
const RETRY_S: i64 = 60;
const RETRY_MIN_S: i64 = 30;
const EXPIRE_S: i64 = 3600;
const EXPIRE_MAX_S: i64 = 10_800;

/// The word of a thread that says that an alert rule made an emergency of it.
const RANG: &str = "rang";

pub(super) static KIND: Kind = Kind::new("pushover", render)
    .keys(&[
        Key::new("user", Takes::Secret),
        Key::new("token", Takes::Secret),
        Key::new("device", Takes::Text),
        Key::new("sound", Takes::Text),
        Key::new("priority", Takes::NumberByLevel { min: -2, max: EMERGENCY }),
        Key::new("retry", Takes::Number { min: RETRY_MIN_S, max: EXPIRE_MAX_S }),
        Key::new("expire", Takes::Number { min: RETRY_MIN_S, max: EXPIRE_MAX_S }),
    ])
    .needs(&[&["user", "token"]])
    // What cancels an emergency must not overtake what causes it.
    .threads()
    // "You may have no more than 2 concurrent HTTP requests."
    .concurrency(2);

#[derive(Serialize)]
struct Form<'a> {
    token: &'a str,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    /// Without one, Pushover shows the application's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_title: Option<&'static str>,
    priority: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<&'a str>,
    /// Seconds since 1970.
    timestamp: i64,
}

fn render(settings: &Settings, notification: &Notification<'_>) -> Result<Action, DeliveryError> {
    let (event, message) = (notification.event, notification.message);
    let (token, user) = (settings.required("token")?.trim(), settings.required("user")?.trim());
    let is_over = Turn::of(event) == Turn::Resolve;
    // News of a fatal issue's ticket does not ring as the issue does.
    let level = event.level.as_deref().filter(|_| event.has_level());
    let by_file = settings.number("priority", level).unwrap_or(NORMAL);
    let priority = message.priority.map_or(by_file, number);
    // Good news wakes nobody.
    let priority = if is_over { priority.min(NORMAL) } else { priority };
    let is_emergency = priority == EMERGENCY;
    let tag = incident::key(event);
    // A cut address leads nowhere: one that is too long is left out.
    let url = message.link.as_deref().filter(|url| url.chars().count() <= URL_MAX);
    let form_of_message = Form {
        token,
        user,
        device: device(settings)?,
        title: Some(one_line(&message.title, TITLE_MAX)).filter(|title| !is_blank(title)),
        message: text(message, &event.event, url.is_some()),
        url_title: url.is_some().then_some("Issue Details"),
        url,
        priority,
        retry: is_emergency.then(|| settings.number("retry", None).unwrap_or(RETRY_S)),
        expire: is_emergency.then(|| settings.number("expire", None).unwrap_or(EXPIRE_S)),
        tags: tag.as_deref().filter(|_| is_emergency),
        sound: settings.text("sound"),
        timestamp: notification.accepted_at.as_second(),
    };
    let base_url = settings.base_url("https://api.pushover.net");
    let mut calls = Vec::new();
    let is_urgent = message.priority == Some(Priority::Urgent);
    let has_rung = notification.thread.is_some_and(|thread| thread.get(RANG).is_some());
    let may_ring = settings.greatest("priority") == Some(EMERGENCY) || is_urgent || has_rung;
    if let Some(tag) = tag.as_deref().filter(|_| is_over && may_ring) {
        let address = format!("{base_url}/1/receipts/cancel_by_tag/{tag}.json");
        calls.push(Call { request: form(&address, &[("token", token)])?, judge: judge_cancelled });
    }
    // Cancelling may be repeated, ringing should not: so it comes last.
    let judge = if is_emergency && is_urgent { judge_rung } else { judge };
    calls.push(Call { request: form(&format!("{base_url}/1/messages.json"), &form_of_message)?, judge });
    Ok(Action::Calls(calls))
}

/// What an alert rule says, in Pushover's numbers.
fn number(priority: Priority) -> i64 {
    match priority {
        Priority::Low => -1,
        Priority::Normal => NORMAL,
        Priority::High => 1,
        Priority::Urgent => EMERGENCY,
    }
}

/// One name, or several with commas.
fn device(settings: &Settings) -> Result<Option<&str>, DeliveryError> {
    let Some(devices) = settings.text("device").map(str::trim) else { return Ok(None) };
    let is_name = |name: &str| {
        (1..=DEVICE_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if devices.split(',').all(is_name) {
        return Ok(Some(devices));
    }
    let problem = "is no name of a device: at most 25 letters, digits, `-` and `_`, or several of these with commas";
    Err(DeliveryError::BadValue { key: "device", problem })
}

/// The text and, below it, the fields. Never blank, which Pushover refuses.
fn text(message: &Message, otherwise: &str, has_link: bool) -> String {
    let mut fields = String::new();
    for field in message.fields.iter().filter(|field| !is_blank(&field.value)) {
        fields.push('\n');
        fields.push_str(&one_line(&format!("{}: {}", field.name.trim(), field.value.trim()), FIELD_MAX));
    }
    let fields = cut(&fields, FIELDS_MAX);
    let said = [message.text.as_str(), otherwise].map(visible);
    let said = said.iter().map(|said| said.trim()).find(|said| !is_blank(said)).unwrap_or("…");
    cut_before_link(said, MESSAGE_MAX - fields.encode_utf16().count(), has_link) + &fields
}
