//! `discord`: a message an issue in a channel, by webhook. <https://docs.discord.com/developers/resources/webhook>
//!
//! What becomes of an issue is written into its message (`PATCH`), so that a channel shows how things stand. What
//! somebody should hear of, an alert or a regression, is a new message, and that one is written to from then on. A
//! comment is a message of its own, which nothing replaces.

use bytes::Bytes;
use http::Uri;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use super::error::{DeliveryError, judge_webhook};
use super::kind::{Action, Judge, Key, Kind, Learned, Notification, Takes, Thread};
use super::request::json;
use super::settings::Settings;
use super::text::{is_blank, one_line, visible};
use crate::message::{Field, Message, Tone};
use crate::normalized::Normalized;

/// <https://docs.discord.com/developers/resources/message#embed-object-embed-limits>; all counted in UTF-16 units here,
/// which is never less than what Discord counts.
const CONTENT_MAX: usize = 2000;
const TITLE_MAX: usize = 256;
const DESCRIPTION_MAX: usize = 4096;
const FIELDS_MAX: usize = 25;
const FIELD_NAME_MAX: usize = 256;
const FIELD_VALUE_MAX: usize = 1024;
const FOOTER_MAX: usize = 256;
/// Title, description, fields and footer together.
const EMBED_MAX: usize = 6000;
/// Of it, what the fields may take: the text is worth more than the last of many tags.
const ALL_FIELDS_MAX: usize = 2500;
/// A longer address of a page makes the message a 400.
const LINK_MAX: usize = 2048;
/// A value as short as this stands beside others in its line.
const INLINE_MAX: usize = 40;
/// Snowflakes are 64-bit numbers.
const ID_DIGITS_MAX: usize = 20;

/// What we keep of an issue: the id of its message.
const MESSAGE: &str = "message";

pub(super) static KIND: Kind = Kind::new("discord", render)
    .keys(&[Key::new("url", Takes::Secret)])
    .needs(&[&["url"]])
    .threads()
    // A webhook takes some five messages in two seconds; more at once would only be more 429s, which count for a ban.
    .concurrency(2);

#[derive(Serialize)]
struct Body {
    /// The only part that wakes anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    embeds: [Embed; 1],
    allowed_mentions: AllowedMentions,
}

#[derive(Serialize)]
struct Embed {
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    color: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<EmbedField>,
    footer: Footer,
    timestamp: String,
}

#[derive(Serialize)]
struct EmbedField {
    name: String,
    value: String,
    inline: bool,
}

#[derive(Serialize)]
struct Footer {
    text: String,
}

/// Whom Discord may wake; without it, whoever stands in `content`.
#[derive(Default, Serialize)]
struct AllowedMentions {
    parse: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    users: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
}

fn render(settings: &Settings, notification: &Notification<'_>) -> Result<Action, DeliveryError> {
    let webhook = Webhook::of(settings)?;
    let embeds = [embed(notification)];
    let known = notification.thread.and_then(|thread| thread.get(MESSAGE)).filter(|id| is_id(id));
    if let Some(id) = known.filter(|_| is_written_into_its_message(notification.event)) {
        let body = Body { content: None, embeds, allowed_mentions: AllowedMentions::default() };
        return Ok(Action::call(json(http::Request::patch(webhook.message(id)), &body)?, judge_edited));
    }
    let (content, allowed_mentions) = mention(notification.message.mention.as_deref());
    let body = Body { content, embeds, allowed_mentions };
    let judge: Judge = if shows_its_issue(notification.event) { judge_posted } else { judge_by_code };
    Ok(Action::call(json(http::Request::post(webhook.new_message()), &body)?, judge))
}

/// What becomes of an issue, but for a regression: of that somebody should hear.
fn is_written_into_its_message(event: &Normalized) -> bool {
    match event.event.as_str() {
        "issue.resolved" | "issue.ignored" | "issue.assigned" => true,
        "issue.unresolved" => !event.is_regression(),
        _ => false,
    }
}

fn shows_its_issue(event: &Normalized) -> bool {
    matches!(event.resource.as_str(), "issue" | "error" | "event_alert" | "activity_alert")
}

/// The webhook's address in parts: what stands before `?`, and of the query what is not ours (`thread_id`).
struct Webhook {
    base: String,
    query: Vec<String>,
}

impl Webhook {
    fn of(settings: &Settings) -> Result<Self, DeliveryError> {
        let address = settings.address("url")?;
        let bad = |problem| DeliveryError::BadValue { key: "url", problem };
        let path = address.path().trim_end_matches('/');
        match *path.rsplit('/').collect::<Vec<_>>() {
            [token, id, "webhooks", ..] if is_id(id) && !token.is_empty() => {}
            ["slack" | "github", _, _, "webhooks", ..] => {
                return Err(bad("ends in /slack or /github, which takes other messages than ours: leave that off"));
            }
            _ => return Err(bad("is no webhook of Discord, which is https://discord.com/api/webhooks/ID/TOKEN")),
        }
        let own = |part: &&str| !part.is_empty() && *part != "wait" && !part.starts_with("wait=");
        let query = address.query().unwrap_or_default().split('&').filter(own).map(str::to_owned).collect();
        Ok(Self { base: format!("{}{path}", origin(&address)), query })
    }

    /// With `wait=true` the answer is the message, and what could not be saved is an error.
    fn new_message(&self) -> String {
        format!(
            "{}?{}",
            self.base,
            ["wait=true".to_owned()].iter().chain(&self.query).cloned().collect::<Vec<_>>().join("&")
        )
    }

    fn message(&self, id: &str) -> String {
        let query = self.query.join("&");
        format!("{}/messages/{id}{}{query}", self.base, if query.is_empty() { "" } else { "?" })
    }
}

fn origin(address: &Uri) -> String {
    let authority = address.authority().map_or("", http::uri::Authority::as_str);
    format!("{}://{authority}", address.scheme_str().unwrap_or("https"))
}

fn is_id(text: &str) -> bool {
    (1..=ID_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn embed(notification: &Notification<'_>) -> Embed {
    let Message { title, text, fields, link, tone, .. } = notification.message;
    let footer = one_line(&notification.event.event, FOOTER_MAX);
    let (mut title, _) = escaped(&one_line(title, usize::MAX), TITLE_MAX);
    if is_blank(&title) {
        "Sentry".clone_into(&mut title);
    }
    let link = link.as_deref().filter(|link| link.len() <= LINK_MAX).map(as_target);
    let (fields, fields_units) = embed_fields(fields);
    let left = EMBED_MAX - units(&title) - units(&footer) - fields_units;
    Embed {
        description: description(text, link.as_deref(), left.min(DESCRIPTION_MAX)),
        title,
        url: link,
        color: color(*tone),
        fields,
        footer: Footer { text: footer },
        timestamp: notification.accepted_at.to_string(),
    }
}

/// At most `max` units; where something had to be left out, with a link to it.
fn description(text: &str, link: Option<&str>, max: usize) -> String {
    let text = visible(text);
    let text = text.trim();
    let (whole, is_cut) = escaped(text, max);
    let Some(link) = link.filter(|_| is_cut) else { return whole };
    let rest = format!("\n[The rest is in Sentry]({link})");
    match max.checked_sub(units(&rest)) {
        // Not worth it where the address would take most of the room.
        Some(room) if room > max / 2 => format!("{}{rest}", escaped(text, room).0),
        _ => whole,
    }
}

/// Those that fit, in order, and what they take. Discord refuses one without a name or value.
fn embed_fields(fields: &[Field]) -> (Vec<EmbedField>, usize) {
    let mut taken = 0;
    let mut kept = Vec::new();
    for Field { name, value } in fields {
        let (name, _) = escaped(&one_line(name, usize::MAX), FIELD_NAME_MAX);
        let (value, _) = escaped(visible(value).trim(), FIELD_VALUE_MAX);
        let size = units(&name) + units(&value);
        if is_blank(&name) || is_blank(&value) || taken + size > ALL_FIELDS_MAX {
            continue;
        }
        taken += size;
        kept.push(EmbedField { inline: units(&value) <= INLINE_MAX, name, value });
        if kept.len() == FIELDS_MAX {
            break;
        }
    }
    (kept, taken)
}

/// Discord's own palette where it has the tone; `0xRRGGBB`.
const fn color(tone: Tone) -> u32 {
    match tone {
        Tone::Fatal => 0x00_99_2D_22,
        Tone::Error => 0x00_ED_42_45,
        Tone::Warning => 0x00_FE_E7_5C,
        Tone::Info => 0x00_58_65_F2,
        Tone::Resolved => 0x00_57_F2_87,
        Tone::Muted => 0x00_99_AA_B5,
    }
}

/// `mention` as content, with the permission to wake exactly those who stand in it: `<@user>`, `<@&role>`, `@here`,
/// `@everyone`. Any other word is shown and wakes nobody.
fn mention(mention: Option<&str>) -> (Option<String>, AllowedMentions) {
    let mut allowed = AllowedMentions::default();
    let mut content = Vec::new();
    for word in mention.unwrap_or_default().split_whitespace() {
        let id = word.strip_prefix("<@").and_then(|rest| rest.strip_suffix('>'));
        let role = id.and_then(|id| id.strip_prefix('&')).filter(|id| is_id(id));
        let user = id.map(|id| id.trim_start_matches('!')).filter(|id| is_id(id));
        match (word, user, role) {
            ("@here" | "@everyone", ..) => allowed.parse = vec!["everyone"],
            (_, Some(user), _) => allowed.users.push(user.to_owned()),
            (_, _, Some(role)) => allowed.roles.push(role.to_owned()),
            _ => {
                content.push(escaped(word, CONTENT_MAX).0);
                continue;
            }
        }
        content.push(word.to_owned());
    }
    let content = content.join(" ");
    let fits = !content.is_empty() && units(&content) <= CONTENT_MAX;
    if fits { (Some(content), allowed) } else { (None, AllowedMentions::default()) }
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// An address that can stand in `[…](…)`.
fn as_target(link: &str) -> String {
    let mut target = String::with_capacity(link.len());
    for c in link.chars() {
        match c {
            '(' => target.push_str("%28"),
            ')' => target.push_str("%29"),
            '<' => target.push_str("%3C"),
            '>' => target.push_str("%3E"),
            '"' => target.push_str("%22"),
            '\\' => target.push_str("%5C"),
            c => target.push(c),
        }
    }
    target
}

/// `text` as Discord's Markdown for that very text: no markup, mention, emoji, time or link. At most `max` units, cut
/// between graphemes and never inside an escape; and whether it was cut.
///
/// Discord takes a backslash before anything but letters, digits and white space as an escape.
fn escaped(text: &str, max: usize) -> (String, bool) {
    let mut out = String::new();
    let mut used = 0;
    // As much of `out` as leaves room for the ellipsis.
    let mut fits = 0;
    let mut line = Line::default();
    for (at, grapheme) in text.grapheme_indices(true) {
        let before = out.len();
        for (offset, c) in grapheme.char_indices() {
            let next = text[at + offset + c.len_utf8()..].chars().next();
            if line.is_markup(c, next) {
                out.push('\\');
            }
            out.push(c);
            line.step(c);
        }
        used += units(&out[before..]);
        if used > max {
            out.truncate(fits);
            out.truncate(out.trim_end().len());
            out.push('…');
            return (out, true);
        }
        if used < max {
            fits = out.len();
        }
    }
    (out, false)
}

/// Where in its line a character stands: headings, quotes and lists begin lines.
#[derive(Clone, Copy, Default, PartialEq)]
enum Line {
    #[default]
    Start,
    /// Behind digits that begin it.
    Number,
    Within,
}

impl Line {
    fn is_markup(self, c: char, next: Option<char>) -> bool {
        match c {
            // Emphasis, code, spoilers, links; `<@…>`, `<#…>`, `<t:…>`, `<:…:…>`, `</…>`; `@everyone`.
            '\\' | '*' | '_' | '~' | '|' | '`' | '[' | ']' | '<' | '@' => true,
            // `https://` and `:emoji:`.
            ':' => next.is_some_and(|next| !next.is_whitespace()),
            '#' | '>' | '-' | '+' => self == Self::Start,
            '.' | ')' => self == Self::Number,
            _ => false,
        }
    }

    fn step(&mut self, c: char) {
        *self = match (*self, c) {
            (_, '\n') => Self::Start,
            (Self::Start, c) if c.is_whitespace() => Self::Start,
            (Self::Start | Self::Number, c) if c.is_ascii_digit() => Self::Number,
            _ => Self::Within,
        };
    }
}

/// <https://docs.discord.com/developers/topics/opcodes-and-status-codes#json>
mod code {
    pub(super) const UNKNOWN_MESSAGE: u32 = 10_008;
    /// "Cannot edit a message authored by another user": the address is another webhook's now.
    pub(super) const ANOTHER_AUTHOR: u32 = 50_005;
    /// "Tried to perform an operation on an archived thread"; a new message opens it again.
    pub(super) const ARCHIVED_THREAD: u32 = 50_083;
    /// "Webhooks posted to forum channels must have a `thread_name` or `thread_id`".
    pub(super) const FORUM_WITHOUT_THREAD: u32 = 220_001;
}

/// `{"message": "Unknown Webhook", "code": 10015}`, of a 429 with `retry_after`, of a bad field with `errors`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Trouble {
    message: String,
    code: u32,
    /// Seconds.
    retry_after: Option<f64>,
    /// A tree by field, whose leaves are `{"_errors": [{"code": …, "message": …}]}`.
    errors: serde_json::Value,
}

impl Trouble {
    fn of(answer: &http::Response<Bytes>) -> Self {
        serde_json::from_slice(answer.body()).unwrap_or_default()
    }

    fn reason(&self) -> String {
        if self.message.is_empty() {
            return "no reason given".to_owned();
        }
        let mut said = format!("{} (code {})", self.message, self.code);
        if let Some((field, message)) = first_error(&self.errors, String::new()) {
            said = format!("{said}: {field}: {message}");
        }
        one_line(&said, 500)
    }
}

/// The first bad field, `embeds.0.title`, and what is wrong with it.
fn first_error(errors: &serde_json::Value, field: String) -> Option<(String, &str)> {
    let by_name = errors.as_object()?;
    if let Some(own) = by_name.get("_errors") {
        return Some((field, own[0]["message"].as_str()?));
    }
    let dot = if field.is_empty() { "" } else { "." };
    by_name.iter().find_map(|(name, inner)| first_error(inner, format!("{field}{dot}{name}")))
}

fn judge_by_code(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    let trouble = Trouble::of(answer);
    match judge_webhook(answer, now, || trouble.reason()) {
        // The header is in whole seconds, the body exact; the proxy in front sends the header alone.
        Err(DeliveryError::Throttled { until }) => {
            let wait = trouble.retry_after.and_then(|s| std::time::Duration::try_from_secs_f64(s).ok());
            let exact = wait.and_then(|wait| now.checked_add(wait).ok());
            Err(DeliveryError::Throttled { until: until.max(exact) })
        }
        Err(DeliveryError::Refused { status, reason }) if trouble.code == code::FORUM_WITHOUT_THREAD => {
            Err(DeliveryError::Shut { status, reason })
        }
        judged => judged,
    }
}

fn judge_posted(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    #[derive(Deserialize)]
    struct Posted {
        id: String,
    }
    judge_by_code(answer, now)?;
    let posted = serde_json::from_slice::<Posted>(answer.body()).ok().filter(|posted| is_id(&posted.id));
    Ok(posted.map(|posted| Thread::from([(MESSAGE, posted.id.as_str())])))
}

fn judge_edited(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    let gone = [code::UNKNOWN_MESSAGE, code::ANOTHER_AUTHOR, code::ARCHIVED_THREAD];
    if answer.status().is_client_error() && gone.contains(&Trouble::of(answer).code) {
        return Err(DeliveryError::ThreadGone);
    }
    judge_by_code(answer, now)
}

#[cfg(test)]
mod tests;
