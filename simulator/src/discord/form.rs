//! The body of a message, and what is wrong with it.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::Refusal;
use crate::server::Call;

const CONTENT_LIMIT: usize = 2000;
const EMBEDS_LIMIT: usize = 10;
const TITLE_LIMIT: usize = 256;
const DESCRIPTION_LIMIT: usize = 4096;
const FIELDS_LIMIT: usize = 25;
const FIELD_NAME_LIMIT: usize = 256;
const FIELD_VALUE_LIMIT: usize = 1024;
const FOOTER_LIMIT: usize = 2048;
const URL_LIMIT: usize = 2048;
const COLOR_LIMIT: u64 = 0x00FF_FFFF;
/// All texts of all embeds.
const ALL_LIMIT: usize = 6000;
const MENTIONS_LIMIT: usize = 100;

#[derive(Deserialize)]
#[expect(clippy::option_option, reason = "absent, `null` and a text are three things: a change to `null` clears it")]
pub(super) struct Form {
    #[serde(default, deserialize_with = "given")]
    pub(super) content: Option<Option<String>>,
    pub(super) embeds: Option<Vec<Value>>,
    allowed_mentions: Option<AllowedMentions>,
}

#[expect(clippy::option_option, reason = "see `Form`")]
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

#[derive(Deserialize)]
struct AllowedMentions {
    #[serde(default)]
    parse: Vec<String>,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    roles: Vec<String>,
}

impl Form {
    pub(super) fn read(call: &Call) -> Result<Self, Refusal> {
        if !call.content_type().starts_with("application/json") {
            return Err(Refusal::new(415, 0, "415: Unsupported Media Type"));
        }
        let form: Self = serde_json::from_slice(&call.body)
            .map_err(|_| Refusal::new(400, 50_109, "The request body contains invalid JSON."))?;
        let errors = form.errors();
        if errors.is_empty() { Ok(form) } else { Err(Refusal::form(&errors.into())) }
    }

    pub(super) fn is_empty(&self) -> bool {
        let blank = |text: &str| text.trim().is_empty();
        self.content.iter().flatten().all(|content| blank(content))
            && self.embeds.iter().flatten().all(|embed| {
                let text = |key| embed.get(key).and_then(Value::as_str).unwrap_or_default();
                blank(text("title")) && blank(text("description")) && embed.get("fields").is_none()
            })
    }

    /// Whom the message wakes: only `content` does, and of that, what `allowed_mentions` lets (all, where it is absent).
    pub(super) fn wakes(&self) -> Vec<String> {
        let content = self.content.iter().flatten().next().map(String::as_str).unwrap_or_default();
        let allows = |kind: &str, id: &str| match &self.allowed_mentions {
            None => true,
            Some(allowed) => {
                let named = if kind == "roles" { &allowed.roles } else { &allowed.users };
                allowed.parse.iter().any(|parse| parse == kind) || named.iter().any(|named| named == id)
            }
        };
        let mut woken = Vec::new();
        if (content.contains("@everyone") || content.contains("@here")) && allows("everyone", "") {
            woken.push("everyone".to_owned());
        }
        for rest in content.split("<@").skip(1) {
            let Some((id, _)) = rest.split_once('>') else { continue };
            let (kind, id) = match id.strip_prefix('&') {
                Some(role) => ("roles", role),
                None => ("users", id.trim_start_matches('!')),
            };
            if is_snowflake(id) && allows(kind, id) {
                woken.push(id.to_owned());
            }
        }
        woken
    }

    fn errors(&self) -> Map<String, Value> {
        let mut errors = Map::new();
        if let Some(Some(content)) = &self.content
            && content.chars().count() > CONTENT_LIMIT
        {
            errors.insert("content".to_owned(), too_long(CONTENT_LIMIT));
        }
        let embeds = self.embeds.as_deref().unwrap_or_default();
        let mut by_embed: Map<String, Value> = embeds
            .iter()
            .enumerate()
            .map(|(at, embed)| (at.to_string(), embed_errors(embed)))
            .filter(|(_, errors)| errors.as_object().is_none_or(|errors| !errors.is_empty()))
            .collect();
        if embeds.len() > EMBEDS_LIMIT {
            by_embed = list_errors(EMBEDS_LIMIT);
        } else if embeds.iter().map(all_texts).sum::<usize>() > ALL_LIMIT {
            let text = format!("Embed size exceeds maximum size of {ALL_LIMIT}");
            by_embed.insert("_errors".to_owned(), json!([{"code": "MAX_EMBED_SIZE_EXCEEDED", "message": text}]));
        }
        if !by_embed.is_empty() {
            errors.insert("embeds".to_owned(), by_embed.into());
        }
        if let Some(problem) = self.allowed_mentions.as_ref().and_then(AllowedMentions::error) {
            errors.insert("allowed_mentions".to_owned(), problem);
        }
        errors
    }
}

impl AllowedMentions {
    fn error(&self) -> Option<Value> {
        let kinds = [("users", &self.users), ("roles", &self.roles)];
        if let Some(odd) = self.parse.iter().find(|parse| !matches!(parse.as_str(), "users" | "roles" | "everyone")) {
            let text = format!("Value '{odd}' must be one of ('users', 'roles', 'everyone').");
            return Some(json!({"parse": {"0": error("BASE_TYPE_CHOICES", &text)}}));
        }
        kinds.into_iter().find_map(|(kind, ids)| {
            if !ids.is_empty() && self.parse.iter().any(|parse| parse == kind) {
                let text = format!("parse:[\"{kind}\"] and {kind}: [ids...] are mutually exclusive.");
                return Some(error("MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", &text));
            }
            if ids.len() > MENTIONS_LIMIT {
                return Some(json!({kind: list_errors(MENTIONS_LIMIT)}));
            }
            let odd = ids.iter().position(|id| !is_snowflake(id))?;
            Some(json!({kind: {odd.to_string(): error("NUMBER_TYPE_COERCE", "Value is not snowflake.")}}))
        })
    }
}

fn embed_errors(embed: &Value) -> Value {
    let mut errors = Map::new();
    let Some(embed) = embed.as_object() else { return error("MODEL_TYPE_CONVERT", "Only dictionaries may be used.") };
    for (key, limit) in [("title", TITLE_LIMIT), ("description", DESCRIPTION_LIMIT), ("url", URL_LIMIT)] {
        if let Some(problem) = embed.get(key).and_then(|text| text_error(text, limit)) {
            errors.insert(key.to_owned(), problem);
        }
    }
    if let Some(url) = embed.get("url").and_then(Value::as_str)
        && !(url.starts_with("http://") || url.starts_with("https://"))
    {
        let text = "Not a well formed URL.";
        errors.insert("url".to_owned(), error("URL_TYPE_INVALID_URL", text));
    }
    if embed.get("color").is_some_and(|color| color.as_u64().is_none_or(|color| color > COLOR_LIMIT)) {
        let text = format!("int value should be less than or equal to {COLOR_LIMIT}.");
        errors.insert("color".to_owned(), error("NUMBER_TYPE_MAX", &text));
    }
    let is_instant = |text: &Value| text.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok());
    if embed.get("timestamp").is_some_and(|text| !is_instant(text)) {
        let text = "Could not parse. Should be ISO8601.";
        errors.insert("timestamp".to_owned(), error("DATE_TIME_TYPE_PARSE", text));
    }
    if let Some(problem) = embed.get("footer").and_then(|f| f.get("text")).and_then(|t| text_error(t, FOOTER_LIMIT)) {
        errors.insert("footer".to_owned(), json!({"text": problem}));
    }
    let fields = embed.get("fields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if fields.len() > FIELDS_LIMIT {
        errors.insert("fields".to_owned(), list_errors(FIELDS_LIMIT).into());
        return errors.into();
    }
    let mut by_field = Map::new();
    for (at, field) in fields.iter().enumerate() {
        for (key, limit) in [("name", FIELD_NAME_LIMIT), ("value", FIELD_VALUE_LIMIT)] {
            let problem = match field.get(key).filter(|text| text.as_str().is_none_or(|text| !text.trim().is_empty())) {
                None => Some(error("BASE_TYPE_REQUIRED", "This field is required")),
                Some(text) => text_error(text, limit),
            };
            if let Some(problem) = problem {
                by_field.insert(at.to_string(), json!({key: problem}));
            }
        }
    }
    if !by_field.is_empty() {
        errors.insert("fields".to_owned(), by_field.into());
    }
    errors.into()
}

/// Code points of title, description, fields and footer.
fn all_texts(embed: &Value) -> usize {
    let count = |text: Option<&Value>| text.and_then(Value::as_str).map_or(0, |text| text.chars().count());
    let fields = embed.get("fields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    count(embed.get("title"))
        + count(embed.get("description"))
        + count(embed.get("footer").and_then(|footer| footer.get("text")))
        + fields.iter().map(|field| count(field.get("name")) + count(field.get("value"))).sum::<usize>()
}

fn text_error(text: &Value, limit: usize) -> Option<Value> {
    match text.as_str() {
        None => Some(error("BASE_TYPE_BAD_TYPE", "Must be string.")),
        Some(text) => (text.chars().count() > limit).then(|| too_long(limit)),
    }
}

fn too_long(limit: usize) -> Value {
    error("BASE_TYPE_MAX_LENGTH", &format!("Must be {limit} or fewer in length."))
}

fn list_errors(limit: usize) -> Map<String, Value> {
    let text = format!("Must be {limit} or fewer in length.");
    Map::from_iter([("_errors".to_owned(), json!([{"code": "BASE_TYPE_MAX_LENGTH", "message": text}]))])
}

pub(super) fn error(code: &str, message: &str) -> Value {
    json!({"_errors": [{"code": code, "message": message}]})
}

pub(super) fn is_snowflake(text: &str) -> bool {
    !text.is_empty() && text.parse::<u64>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit())
}
