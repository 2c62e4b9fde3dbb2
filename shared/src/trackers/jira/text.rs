//! Plain text as Jira's: a document (cloud) or wiki markup (data center), in which nothing of the text is markup.

use serde_json::{Value, json};

use super::super::text::{address, fitting, length};

/// The limit of a description and of a comment. Of a document it is counted with its structure.
pub(super) const MAX: usize = 32_767;
const LINK: &str = "See the issue in Sentry: ";
const FENCE: &str = "{noformat}";

/// Text nodes hold neither markup nor mentions; only the link is one.
pub(super) fn document(text: &str, link: Option<&str>, marker: Option<&str>) -> Value {
    let link = link.and_then(address);
    fitting(text, MAX, link.is_some(), |text| {
        let mut blocks: Vec<Value> =
            text.split("\n\n").filter(|block| !block.trim().is_empty()).map(paragraph).collect();
        if let Some(link) = &link {
            let marks = json!([{"type": "link", "attrs": {"href": link}}]);
            let content = json!([{"type": "text", "text": LINK}, {"type": "text", "text": link, "marks": marks}]);
            blocks.push(json!({"type": "paragraph", "content": content}));
        }
        blocks.extend(marker.map(paragraph));
        let document = json!({"type": "doc", "version": 1, "content": blocks});
        (length(&document.to_string()), document)
    })
}

/// A node of text must not be empty.
fn paragraph(block: &str) -> Value {
    let mut content = Vec::new();
    for line in block.trim_matches('\n').split('\n') {
        if !content.is_empty() {
            content.push(json!({"type": "hardBreak"}));
        }
        if line.is_empty() {
            continue;
        }
        content.push(json!({"type": "text", "text": line}));
    }
    json!({"type": "paragraph", "content": content})
}

/// Of wiki markup no escape is safe everywhere, so what could be any stands in a block that is not read.
pub(super) fn markup(text: &str, link: Option<&str>, marker: Option<&str>) -> String {
    let link = link.and_then(address);
    fitting(text, MAX, link.is_some(), |text| {
        let text = text.trim_matches('\n');
        let shown = match text {
            "" => None,
            text if is_bare(text) => Some(text.to_owned()),
            text => Some(format!("{FENCE}\n{}\n{FENCE}", fenced(text))),
        };
        let link = link.as_ref().map(|link| format!("{LINK}{link}"));
        let parts = shown.into_iter().chain(link).chain(marker.map(str::to_owned));
        let markup = parts.collect::<Vec<_>>().join("\n\n");
        (length(&markup), markup)
    })
}

/// Whether nothing in it can be markup, an emoticon, a link or a ticket's key.
fn is_bare(text: &str) -> bool {
    let is_bare = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '\n' | '.' | ',' | '\'');
    // `h1.` and `bq.` at the start of a line, and names of sites.
    let has_no_dot_inside = |word: &str| !word.trim_end_matches(['.', ',']).contains('.');
    let is_head =
        |line: &str| line.trim_start().split(' ').next().is_some_and(|word| word.ends_with('.') && word.len() == 3);
    text.chars().all(is_bare) && text.split_whitespace().all(has_no_dot_inside) && !text.lines().any(is_head)
}

/// Whom `[~name]` names is told even from within a block, and a block ends at its own name.
fn fenced(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        shown.push(c);
        let behind = &text[at + c.len_utf8()..];
        let ends = c == '{' && behind.get(..8).is_some_and(|name| name.eq_ignore_ascii_case("noformat"));
        if ends || (c == '[' && behind.starts_with('~')) {
            shown.push('\u{200b}');
        }
    }
    shown
}
