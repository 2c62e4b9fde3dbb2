//! `teams`: an Adaptive Card in a channel or chat, by the address of a workflow ("When a Teams webhook request is
//! received"). <https://learn.microsoft.com/connectors/teams/>, <https://adaptivecards.io/explorer/>
//!
//! What comes from a payload stands in text runs, which know no markup, and never in a `TextBlock`, which knows some.
//! A 202 says that the flow was started: what becomes of the card nobody tells.

use bytes::Bytes;
use http::Uri;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::{DeliveryError, judge_webhook};
use super::kind::{Action, Key, Kind, Learned, Notification, Takes};
use super::settings::Settings;
use super::text::{cut, is_blank, one_line, visible};
use crate::message::{Message, Tone};

/// The vendor says 28 kB for a message and drops a larger one behind its 202; clients have measured 21 kB.
const MESSAGE_MAX_BYTES: usize = 21_000;
/// What follows are our own: a card is read at a glance. All in UTF-16 units.
const TITLE_MAX: usize = 300;
const TEXT_MAX: usize = 4000;
const TEXT_LINES_MAX: usize = 40;
const FIELDS_MAX: usize = 25;
const FIELD_NAME_MAX: usize = 100;
const FIELD_VALUE_MAX: usize = 500;
const LINK_MAX: usize = 2048;

pub(super) static KIND: Kind = Kind::new("teams", render)
    .keys(&[Key::new("url", Takes::Secret)])
    .needs(&[&["url"]])
    // More than four requests in a second are throttled.
    .concurrency(4);

fn render(settings: &Settings, notification: &Notification<'_>) -> Result<Action, DeliveryError> {
    refuse_retired(settings.required("url")?)?;
    let address = settings.address("url")?;
    let card = Card::of(notification.message);
    let request = super::request::with_body(http::Request::post(address), "application/json; charset=utf-8", card)?;
    Ok(Action::call(request, judge))
}

/// Addresses of Office 365 connectors look right and have stopped to work.
fn refuse_retired(address: &str) -> Result<(), DeliveryError> {
    let host = address.trim().parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_ascii_lowercase));
    let retired = |host: &str| {
        host == "outlook.office.com"
            || host == "outlook.office365.com"
            || host == "webhook.office.com"
            || host.ends_with(".webhook.office.com")
    };
    if host.as_deref().is_some_and(retired) {
        return Err(DeliveryError::BadValue {
            key: "url",
            problem: "is that of an Office 365 connector, which Microsoft has retired: add the workflow \"Send webhook \
                      alerts to a channel\" in Teams and take its address",
        });
    }
    Ok(())
}

#[derive(Serialize)]
struct Card {
    body: Vec<Value>,
    actions: Vec<Value>,
    entities: Vec<Value>,
}

impl Card {
    /// The message's JSON, within [`MESSAGE_MAX_BYTES`]: items are left out from the end, and if that is not enough,
    /// all but the title.
    fn of(message: &Message) -> Bytes {
        let mut title = plain(&one_line(&message.title, TITLE_MAX));
        if is_blank(&title) {
            "Sentry".clone_into(&mut title);
        }
        let heading = heading(&title, message.tone);
        let actions: Vec<Value> = message.link.iter().filter(|link| link.len() <= LINK_MAX).map(|l| open(l)).collect();
        let (mention, entities) = message.mention.as_deref().map(mention).unwrap_or_default();
        let mut body = vec![heading.clone()];
        body.extend(mention);
        let kept_always = body.len();
        let shortened = add_text(&mut body, &message.text) | add_fields(&mut body, message);

        let mut card = Self { body, actions, entities };
        let note = note();
        let room = |card: &Self| MESSAGE_MAX_BYTES.saturating_sub(card.json().len());
        if shortened && room(&card) > bytes(&note) {
            card.body.push(note.clone());
        }
        let mut size = card.json().len();
        if size <= MESSAGE_MAX_BYTES {
            return card.json().into();
        }
        while size + bytes(&note) > MESSAGE_MAX_BYTES && card.body.len() > kept_always {
            size -= card.body.pop().as_ref().map_or(0, bytes);
        }
        card.body.push(note);
        let json = card.json();
        if json.len() <= MESSAGE_MAX_BYTES {
            return json.into();
        }
        Self { body: vec![heading], actions: Vec::new(), entities: Vec::new() }.json().into()
    }

    fn json(&self) -> Vec<u8> {
        let message = json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": self.body,
                    "actions": self.actions,
                    "msteams": {"width": "Full", "entities": self.entities},
                },
            }],
        });
        serde_json::to_vec(&message).expect("texts have a JSON form")
    }
}

/// Of an item, with the comma behind it.
fn bytes(item: &Value) -> usize {
    item.to_string().len() + 1
}

/// Whether something had to be left out.
fn add_text(body: &mut Vec<Value>, text: &str) -> bool {
    let text = visible(text);
    let text = text.trim();
    let shown = plain(&cut(text, TEXT_MAX));
    let lines: Vec<&str> = shown.lines().filter(|line| !line.trim().is_empty()).collect();
    for (at, line) in lines.iter().take(TEXT_LINES_MAX).enumerate() {
        body.push(block(&[run(line)], at == 0));
    }
    lines.len() > TEXT_LINES_MAX || text.encode_utf16().count() > TEXT_MAX
}

fn add_fields(body: &mut Vec<Value>, message: &Message) -> bool {
    for (at, field) in message.fields.iter().take(FIELDS_MAX).enumerate() {
        let mut name = run(&format!("{}: ", plain(&one_line(&field.name, FIELD_NAME_MAX))));
        name["weight"] = "Bolder".into();
        body.push(block(&[name, run(&plain(&one_line(&field.value, FIELD_VALUE_MAX)))], at == 0));
    }
    message.fields.len() > FIELDS_MAX
}

fn run(text: &str) -> Value {
    json!({"type": "TextRun", "text": text})
}

/// One line; the first of several stands apart from what is above.
fn block(inlines: &[Value], is_first: bool) -> Value {
    json!({"type": "RichTextBlock", "inlines": inlines, "spacing": if is_first { "Medium" } else { "None" }})
}

fn heading(title: &str, tone: Tone) -> Value {
    let mut title = run(title);
    title["size"] = "Large".into();
    title["weight"] = "Bolder".into();
    title["color"] = match tone {
        Tone::Fatal | Tone::Error => "Attention",
        Tone::Warning => "Warning",
        Tone::Info => "Accent",
        Tone::Resolved => "Good",
        Tone::Muted => "Default",
    }
    .into();
    json!({"type": "RichTextBlock", "inlines": [title]})
}

fn open(link: &str) -> Value {
    json!({"type": "Action.OpenUrl", "title": "Open in Sentry", "url": link})
}

fn note() -> Value {
    let mut run = run("Shortened: Sentry has the rest.");
    run["isSubtle"] = true.into();
    block(&[run], true)
}

/// A mention by sign-in name or object id, `ada@example.com` or `Ada Lovelace <ada@example.com>`, as the item and the
/// entity that it takes. Anything else is shown and wakes nobody.
///
/// <https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format>
fn mention(text: &str) -> (Option<Value>, Vec<Value>) {
    let text = one_line(text, TITLE_MAX);
    let (name, id) = match text.split_once('<').and_then(|(name, rest)| Some((name.trim(), rest.strip_suffix('>')?))) {
        Some((name, id)) if !name.is_empty() => (name, id.trim()),
        _ => (text.as_str(), text.as_str()),
    };
    let is_odd = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '&' | '"');
    let is_user = id.split_once('@').is_some_and(|(user, domain)| !user.is_empty() && domain.contains('.'));
    let is_known = (is_user || uuid::Uuid::try_parse(id).is_ok()) && !id.contains(is_odd);
    if text.is_empty() {
        return (None, Vec::new());
    }
    if !is_known || name.contains(['<', '>', '&']) {
        return (Some(block(&[run(&plain(&text))], true)), Vec::new());
    }
    let at = format!("<at>{name}</at>");
    // Mentions work in a `TextBlock` alone. Its text is the routes file's, not the payload's.
    let item = json!({"type": "TextBlock", "text": at, "wrap": true});
    (Some(item), vec![json!({"type": "mention", "text": at, "mentioned": {"id": id, "name": name}})])
}

/// `text` without anything that Teams could take for a mention's place.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        out.push('<');
        rest = &tag[1..];
        let name = rest.trim_start_matches(|c: char| c == '/' || c.is_whitespace());
        if name.get(..2).is_some_and(|name| name.eq_ignore_ascii_case("at")) {
            out.push('\u{200b}');
        }
    }
    out.push_str(rest);
    out
}

/// `{"error": {"code": "WorkflowTriggerIsNotEnabled", "message": "…"}}`
#[derive(Default, Deserialize)]
struct Trouble {
    #[serde(default)]
    error: Said,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    code: String,
    message: String,
}

fn judge(answer: &http::Response<Bytes>, now: Timestamp) -> Result<Learned, DeliveryError> {
    let Trouble { error: Said { code, message } } = serde_json::from_slice(answer.body()).unwrap_or_default();
    let reason = || match (code.as_str(), message.as_str()) {
        ("", "") => "no reason given".to_owned(),
        (code, message) => one_line(&format!("{code}: {message}"), 500),
    };
    match judge_webhook(answer, now, reason) {
        // The flow is switched off: it would refuse any other message too.
        Err(DeliveryError::Refused { status, reason }) if code == "WorkflowTriggerIsNotEnabled" => {
            Err(DeliveryError::Shut { status, reason })
        }
        judged => judged,
    }
}

#[cfg(test)]
mod tests;
