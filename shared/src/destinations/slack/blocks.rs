//! A message as Slack takes it. What comes from the event stands in `plain_text` and `rich_text` elements alone, where
//! nothing is markup and nobody is mentioned; the notification's own `text`, which has no such element, is escaped.
//!
//! <https://docs.slack.dev/reference/block-kit/blocks>

use serde_json::{Value, json};

use crate::destinations::kind::Notification;
use crate::destinations::text::{cut, cut_before_link, is_blank, one_line, visible};
use crate::destinations::tone::{colour, symbol};
use crate::message::{Field, Message, Tone};
use crate::normalized::Normalized;

/// "Maximum length for the text in this field is 150 characters."
const HEADER_MAX: usize = 150;
/// All blocks of a message together are refused with `msg_blocks_too_long` from about 13,200 characters of JSON
/// (undocumented: <https://github.com/slackapi/bolt-js/issues/2509>). With every character of these escaped they stay
/// below 12,000, and nobody reads more in a chat.
const TEXT_MAX: usize = 1800;
const FIELDS_MAX: usize = 10;
const FIELD_NAME_MAX: usize = 40;
const FIELD_VALUE_MAX: usize = 200;
/// A cut address leads nowhere: one that is longer is left out.
const LINK_MAX: usize = 1000;
/// Of the title in `text`, before escaping. What is longer than 4,000 can be posted but not changed.
const NOTICE_MAX: usize = 300;

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// In the channel.
    Message,
    /// In the place of one that stands there. An edit wakes nobody, so it mentions nobody.
    Changed,
    /// In a thread.
    Reply,
    /// In a thread whose parent has just been changed, and says the rest.
    Note,
}

/// `text`, `blocks` and `attachments`: the headline above, the rest beside a bar in the tone's colour.
pub(super) fn content(form: Form, notification: &Notification<'_>) -> Value {
    let (message, event) = (notification.message, notification.event);
    let tone = match form {
        Form::Message | Form::Reply | Form::Note => message.tone,
        Form::Changed => tone_of_status(event).unwrap_or(message.tone),
    };
    let mention = message.mention.as_deref().filter(|_| form != Form::Changed).map(Mention::of);
    let link = message.link.as_deref().filter(|link| link.chars().count() <= LINK_MAX);
    let title = format!("{} {}", symbol(tone), one_line(&message.title, usize::MAX));

    let mut blocks: Vec<Value> = mention.iter().map(Mention::block).collect();
    blocks.push(match form {
        Form::Message | Form::Changed => json!({"type": "header", "text": plain_text(&cut(&title, HEADER_MAX))}),
        Form::Reply | Form::Note => rich_text(&[section(&[bold(&cut(&title, HEADER_MAX))])]),
    });
    let mut content = json!({
        "text": notice(mention.as_ref(), &title, link),
        "blocks": blocks,
        // Nothing in `text` becomes a link or a mention by itself.
        "parse": "none",
    });
    if form != Form::Note {
        let mut details = vec![rich_text(&details(message, link))];
        if let Some(status) = status(event).filter(|_| form != Form::Reply) {
            details.push(json!({"type": "context", "elements": [plain_text(&status)]}));
        }
        content["attachments"] = json!([{"color": colour(tone), "blocks": details}]);
    }
    if form != Form::Changed {
        content["mrkdwn"] = json!(false);
        // An address in an error's text would show the page that it leads to.
        content["unfurl_links"] = json!(false);
        content["unfurl_media"] = json!(false);
    }
    content
}

/// The notification's text.
fn notice(mention: Option<&Mention<'_>>, title: &str, link: Option<&str>) -> String {
    let mut notice = String::new();
    if let Some(Mention::Wakes(mention)) = mention {
        notice = format!("{mention} ");
    }
    notice += &escaped(&cut(title, NOTICE_MAX));
    if let Some(link) = link {
        notice = format!("{notice} {}", escaped(link));
    }
    notice
}

/// "Escape `&`, `<`, `>` and nothing else": then nothing is a mention or a link.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn details(message: &Message, link: Option<&str>) -> Vec<Value> {
    let mut sections = Vec::new();
    let text = visible(&message.text);
    let text = text.trim();
    if !is_blank(text) {
        sections.push(section(&[plain(&cut_before_link(text, TEXT_MAX, link.is_some()))]));
    }
    let fields = message.fields.iter().filter_map(|Field { name, value }| {
        let (name, value) = (one_line(name, FIELD_NAME_MAX), one_line(value, FIELD_VALUE_MAX));
        (!is_blank(&name) && !is_blank(&value)).then(|| section(&[bold(&name), plain(&format!("  {value}"))]))
    });
    sections.extend(fields.take(FIELDS_MAX));
    if let Some(link) = link {
        // No button: even one that is only a link makes Slack call the app, and shows a warning where nobody answers.
        sections.push(section(&[json!({"type": "link", "url": link, "text": "Open in Sentry"})]));
    }
    if sections.is_empty() {
        // No block may be empty.
        sections.push(section(&[plain("(no text)")]));
    }
    sections
}

fn rich_text(sections: &[Value]) -> Value {
    json!({"type": "rich_text", "elements": sections})
}

fn section(elements: &[Value]) -> Value {
    json!({"type": "rich_text_section", "elements": elements})
}

fn plain(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn bold(text: &str) -> Value {
    json!({"type": "text", "text": text, "style": {"bold": true}})
}

/// `emoji` off: `:fire:` in an error's text is no fire.
fn plain_text(text: &str) -> Value {
    json!({"type": "plain_text", "text": text, "emoji": false})
}

/// Who is woken. A block of its own, so that nothing else is markup.
enum Mention<'a> {
    Wakes(&'a str),
    /// In no notation of Slack's: shown, so that somebody sees the mistake.
    IsText(String),
}

impl<'a> Mention<'a> {
    /// `<!here>`, `<!channel>`, `<!everyone>`, `<@U…>` (a user), `<!subteam^S…>` (a group).
    fn of(mention: &'a str) -> Self {
        let is_id = |id: &str, first: &[char]| {
            id.starts_with(first) && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        };
        let inner = mention.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
        let wakes = inner.is_some_and(|inner| {
            matches!(inner, "!here" | "!channel" | "!everyone")
                || inner.strip_prefix('@').is_some_and(|id| is_id(id, &['U', 'W']))
                || inner.strip_prefix("!subteam^").is_some_and(|id| is_id(id, &['S']))
        });
        if wakes { Self::Wakes(mention) } else { Self::IsText(one_line(mention, FIELD_NAME_MAX)) }
    }

    fn block(&self) -> Value {
        match self {
            Self::Wakes(mention) => json!({"type": "section", "text": {"type": "mrkdwn", "text": mention}}),
            Self::IsText(text) => rich_text(&[section(&[plain(&format!("(not a mention: {text})"))])]),
        }
    }
}

/// How the issue stands now, whatever the event says about it.
fn tone_of_status(event: &Normalized) -> Option<Tone> {
    match event.status.as_deref()? {
        "resolved" => Some(Tone::Resolved),
        "ignored" => Some(Tone::Muted),
        _ => None,
    }
}

/// One line: `Unresolved, assigned to Ada Lovelace`.
fn status(event: &Normalized) -> Option<String> {
    let status = match (event.resource.as_str(), event.status.as_deref()?) {
        ("issue", "resolved") => "Resolved",
        ("issue", "ignored") => "Archived",
        ("issue", "unresolved") => "Unresolved",
        _ => return None,
    };
    let assignee = event.assignee.as_deref().map(|name| one_line(name, FIELD_VALUE_MAX));
    Some(match assignee.filter(|name| !is_blank(name)) {
        Some(name) => format!("{status}, assigned to {name}"),
        None => status.to_owned(),
    })
}
