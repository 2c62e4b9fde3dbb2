//! `mattermost`: an incoming webhook. <https://developers.mattermost.com/integrate/webhooks/incoming/>,
//! <https://developers.mattermost.com/integrate/reference/message-attachments/>

mod markdown;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::markdown::{escaped, parted};
use super::error::{DeliveryError, judge_webhook};
use super::kind::{Action, Key, Kind, Learned, Notification, Takes};
use super::request;
use super::settings::Settings;
use super::text::{cut, cut_before_link, is_blank, one_line, visible};
use super::tone::{colour, symbol};
use crate::message::{Field, Message};

/// A post holds 16,383 characters, and what is longer becomes several posts. A character grows to six at most where it
/// is escaped, so text and fields stay below that together.
const TEXT_MAX: usize = 2000;
const FIELDS_MAX: usize = 10;
const FIELD_NAME_MAX: usize = 40;
const FIELD_VALUE_MAX: usize = 200;
const TITLE_MAX: usize = 250;
const POST_MAX: usize = 16_000;
/// A cut address leads nowhere: one that is longer is left out.
const LINK_MAX: usize = 2000;

pub(super) static KIND: Kind =
    Kind::new("mattermost", render).keys(&[Key::new("url", Takes::Secret)]).needs(&[&["url"]]);

#[derive(Serialize)]
struct Post {
    /// Only this may mention anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    attachments: [Attachment; 1],
}

#[derive(Serialize)]
struct Attachment {
    /// Plain text for notifications.
    fallback: String,
    color: &'static str,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title_link: Option<String>,
    /// Markdown.
    text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Cell>,
}

#[derive(Serialize)]
struct Cell {
    /// Two of them fit into a line.
    short: bool,
    title: String,
    /// Markdown.
    value: String,
}

fn render(settings: &Settings, notification: &Notification<'_>) -> Result<Action, DeliveryError> {
    let address = settings.address("url")?;
    let body = post(notification.message);
    Ok(Action::call(request::json(http::Request::post(address), &body)?, judge))
}

fn post(message: &Message) -> Post {
    let link = message.link.clone().filter(|link| link.chars().count() <= LINK_MAX);
    let title = format!("{} {}", symbol(message.tone), one_line(&message.title, TITLE_MAX));
    let cells = message.fields.iter().filter_map(|Field { name, value }| {
        let (name, value) = (one_line(name, FIELD_NAME_MAX), one_line(value, FIELD_VALUE_MAX));
        let is_told = !is_blank(&name) && !is_blank(&value);
        is_told.then(|| Cell { short: value.chars().count() <= 40, title: escaped(&name), value: escaped(&value) })
    });
    let text = visible(&message.text);
    let text = text.trim();
    let mut post = Post {
        text: message.mention.as_deref().map(mention),
        attachments: [Attachment {
            fallback: parted(&title),
            color: colour(message.tone),
            // With a link the title is shown as it is, without one as Markdown.
            title: if link.is_some() { parted(&title) } else { escaped(&title) },
            text: escaped(&cut_before_link(text, TEXT_MAX, link.is_some())),
            title_link: link,
            fields: cells.take(FIELDS_MAX).collect(),
        }],
    };
    // Text that is all markup: less of it.
    let mut max = TEXT_MAX;
    while post.characters() > POST_MAX && max > 1 {
        max /= 2;
        let attachment = &mut post.attachments[0];
        attachment.text = escaped(&cut_before_link(text, max, attachment.title_link.is_some()));
    }
    post
}

impl Post {
    fn characters(&self) -> usize {
        let [attachment] = &self.attachments;
        let cells = attachment.fields.iter().flat_map(|cell| [&cell.title, &cell.value]);
        let texts = self.text.iter().chain([&attachment.title, &attachment.text]).chain(cells);
        texts.map(|text| text.chars().count()).sum()
    }
}

/// `@here`, `@name`, or Slack's `<!here>`, which Mattermost knows too; anything else is shown and wakes nobody.
fn mention(mention: &str) -> String {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    let wakes =
        matches!(mention, "<!here>" | "<!channel>" | "<!all>") || mention.strip_prefix('@').is_some_and(is_name);
    if wakes { mention.to_owned() } else { format!("(not a mention: {})", escaped(&one_line(mention, FIELD_NAME_MAX))) }
}

/// A hook that was deleted, or never was, answers 400 and says so by an `id`; so does a channel that is archived, and a
/// server that takes no webhooks (501).
fn judge(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Answer {
        id: String,
        message: String,
    }
    const SHUT: [&str; 8] = [
        "web.incoming_webhook.invalid.app_error",
        "web.incoming_webhook.disabled.app_error",
        "web.incoming_webhook.channel.app_error",
        "web.incoming_webhook.channel_locked.app_error",
        "web.incoming_webhook.user.app_error",
        "web.incoming_webhook.permissions.app_error",
        "app.channel.get.existing.app_error",
        "api.post.create_post.can_not_post_to_deleted.error",
    ];
    let said: Answer = serde_json::from_slice(answer.body()).unwrap_or_default();
    let reason = match (said.message.trim(), said.id.trim()) {
        ("", "") => "no reason given".to_owned(),
        ("", id) => one_line(id, 200),
        (message, "") => one_line(message, 200),
        (message, id) => format!("{} ({})", cut(&one_line(message, 200), 200), one_line(id, 200)),
    };
    if !answer.status().is_success() && SHUT.contains(&said.id.as_str()) {
        return Err(DeliveryError::Shut { status: answer.status().as_u16(), reason });
    }
    judge_webhook(answer, now, || reason)
}

#[cfg(test)]
mod tests;
