//! What a message holds, and what Slack says to it.

use serde_json::Value;

const BLOCKS_LIMIT: usize = 50;
const HEADER_LIMIT_CHARS: usize = 150;
const SECTION_LIMIT_CHARS: usize = 3000;
const FIELDS_LIMIT: usize = 10;
const FIELD_LIMIT_CHARS: usize = 2000;
const CONTEXT_LIMIT: usize = 10;
const ACTIONS_LIMIT: usize = 25;
/// Undocumented, and about what was seen: <https://github.com/slackapi/bolt-js/issues/2509>. Counted here as JSON.
const ALL_BLOCKS_LIMIT_CHARS: usize = 13_200;

pub(super) struct Content {
    pub(super) text: String,
    pub(super) blocks: Value,
    pub(super) attachments: Value,
}

impl Content {
    pub(super) fn read(body: &Value) -> Result<Self, String> {
        let list = |name: &str| match &body[name] {
            Value::Null => Ok(Value::Array(Vec::new())),
            list @ Value::Array(_) => Ok(list.clone()),
            _ => Err(format!("invalid_{name}")),
        };
        let text = match &body["text"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            _ => return Err("invalid_arguments".to_owned()),
        };
        Ok(Self { text, blocks: list("blocks")?, attachments: list("attachments")? })
    }

    /// The code of what is wrong with it.
    pub(super) fn check(&self, text_limit: usize, attachments_limit: usize) -> Result<(), String> {
        let no = |code: &str| Err(code.to_owned());
        if self.text.trim().is_empty() && items(&self.blocks).is_empty() && items(&self.attachments).is_empty() {
            return no("no_text");
        }
        if self.text.chars().count() > text_limit {
            return no("msg_too_long");
        }
        if items(&self.attachments).len() > attachments_limit {
            return no("too_many_attachments");
        }
        let lists: Vec<&Value> = self.lists().collect();
        let are_good = lists.iter().all(|list| items(list).len() <= BLOCKS_LIMIT && items(list).iter().all(is_block));
        if !are_good {
            return no("invalid_blocks");
        }
        if lists.iter().map(|list| list.to_string().chars().count()).sum::<usize>() > ALL_BLOCKS_LIMIT_CHARS {
            return no("msg_blocks_too_long");
        }
        Ok(())
    }

    /// The message's blocks, and those of its attachments.
    fn lists(&self) -> impl Iterator<Item = &Value> {
        let of_attachments = items(&self.attachments).iter().map(|attachment| &attachment["blocks"]);
        std::iter::once(&self.blocks).chain(of_attachments)
    }

    pub(super) fn colour(&self) -> Option<String> {
        self.attachments[0]["color"].as_str().map(str::to_owned)
    }

    /// Beside blocks, `text` is for notifications only.
    pub(super) fn shown(&self) -> String {
        let mut lines = Vec::new();
        if items(&self.blocks).is_empty() && !self.text.is_empty() {
            lines.push(self.text.clone());
        }
        for block in self.lists().flat_map(items) {
            show(block, &mut lines);
        }
        lines.join("\n")
    }
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn show(block: &Value, lines: &mut Vec<String>) {
    match block["type"].as_str().unwrap_or_default() {
        "rich_text" => {
            for section in items(&block["elements"]) {
                let words = items(&section["elements"]).iter();
                lines.push(words.filter_map(|word| word["text"].as_str().or(word["url"].as_str())).collect());
            }
        }
        "context" => lines.extend(items(&block["elements"]).iter().filter_map(text_of)),
        _ => {
            lines.extend(text_of(&block["text"]));
            lines.extend(items(&block["fields"]).iter().filter_map(text_of));
        }
    }
}

fn text_of(object: &Value) -> Option<String> {
    object["text"].as_str().map(str::to_owned)
}

fn is_block(block: &Value) -> bool {
    let elements = items(&block["elements"]);
    match block["type"].as_str() {
        Some("header") => block["text"]["type"] == "plain_text" && is_text(&block["text"], HEADER_LIMIT_CHARS),
        Some("section") => {
            let fields = items(&block["fields"]);
            let has_text = !block["text"].is_null();
            (has_text || !fields.is_empty())
                && (!has_text || is_text(&block["text"], SECTION_LIMIT_CHARS))
                && fields.len() <= FIELDS_LIMIT
                && fields.iter().all(|field| is_text(field, FIELD_LIMIT_CHARS))
        }
        Some("context") => {
            (1..=CONTEXT_LIMIT).contains(&elements.len())
                && elements.iter().all(|element| element["type"] == "image" || is_text(element, SECTION_LIMIT_CHARS))
        }
        Some("rich_text") => !elements.is_empty() && elements.iter().all(is_rich),
        Some("actions") => (1..=ACTIONS_LIMIT).contains(&elements.len()),
        Some("divider") => true,
        _ => false,
    }
}

/// A text object.
fn is_text(object: &Value, limit: usize) -> bool {
    let kind_is_right = match object["type"].as_str() {
        Some("plain_text") => object["verbatim"].is_null(),
        Some("mrkdwn") => object["emoji"].is_null(),
        _ => false,
    };
    let text = object["text"].as_str().unwrap_or_default();
    kind_is_right && (1..=limit).contains(&text.chars().count())
}

fn is_rich(element: &Value) -> bool {
    let known = ["rich_text_section", "rich_text_preformatted", "rich_text_quote"];
    let words = items(&element["elements"]);
    let has = |word: &Value, name: &str| word[name].as_str().is_some_and(|text| !text.is_empty());
    let is_word = |word: &Value| match word["type"].as_str() {
        Some("text") => has(word, "text"),
        Some("link") => has(word, "url") && (word["text"].is_null() || has(word, "text")),
        Some("user") => has(word, "user_id"),
        Some("usergroup") => has(word, "usergroup_id"),
        Some("broadcast") => has(word, "range"),
        Some("emoji") => has(word, "name"),
        _ => false,
    };
    element["type"].as_str().is_some_and(|kind| known.contains(&kind)) && !words.is_empty() && words.iter().all(is_word)
}
