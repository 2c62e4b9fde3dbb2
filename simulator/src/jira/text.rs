//! What a text of Jira shows, and whom it mentions: a document of the cloud, or a data center's wiki markup.

use serde_json::Value;

use super::TEXT_LIMIT_CHARS;

#[derive(Default)]
pub(super) struct Read {
    pub(super) shown: String,
    pub(super) mentions: Vec<String>,
    pub(super) links: Vec<String>,
}

pub(super) enum Bad {
    NoDocument,
    Malformed,
    TooLong,
}

pub(super) fn read(text: &Value, cloud: bool) -> Result<Read, Bad> {
    if text.is_null() {
        return Ok(Read::default());
    }
    if cloud { document(text) } else { markup(text.as_str().ok_or(Bad::NoDocument)?) }
}

/// The limit is on what is stored, which is the document and not only its words.
fn document(document: &Value) -> Result<Read, Bad> {
    if document["type"] != "doc" || document["version"] != 1 {
        return Err(Bad::NoDocument);
    }
    let mut read = Read::default();
    for block in document["content"].as_array().ok_or(Bad::Malformed)? {
        if !matches!(block["type"].as_str(), Some("paragraph" | "codeBlock")) {
            return Err(Bad::Malformed);
        }
        if !read.shown.is_empty() {
            read.shown.push_str("\n\n");
        }
        for node in block["content"].as_array().map_or(&[][..], Vec::as_slice) {
            match node["type"].as_str() {
                Some("text") => {
                    let text = node["text"].as_str().filter(|text| !text.is_empty()).ok_or(Bad::Malformed)?;
                    read.shown.push_str(text);
                    let marks = node["marks"].as_array().map_or(&[][..], Vec::as_slice);
                    let links = marks.iter().filter(|mark| mark["type"] == "link");
                    read.links.extend(links.filter_map(|mark| Some(mark["attrs"]["href"].as_str()?.to_owned())));
                }
                Some("hardBreak") => read.shown.push('\n'),
                Some("mention") => read.mentions.extend(node["attrs"]["id"].as_str().map(str::to_owned)),
                _ => return Err(Bad::Malformed),
            }
        }
    }
    if document.to_string().encode_utf16().count() > TEXT_LIMIT_CHARS { Err(Bad::TooLong) } else { Ok(read) }
}

/// A mention is one also behind a backslash and in a block of code: what notifies people looks at the text alone.
fn markup(text: &str) -> Result<Read, Bad> {
    if text.encode_utf16().count() > TEXT_LIMIT_CHARS {
        return Err(Bad::TooLong);
    }
    let named = text.split("[~").skip(1).filter_map(|behind| behind.split_once(']'));
    let mentions = named.map(|(name, _)| name.trim_start_matches("accountid:").to_owned()).collect();
    // Outside of blocks, an address is a link by itself.
    let outside = text.split("{noformat}").step_by(2);
    let links = outside.flat_map(|part| part.split(|c: char| c.is_whitespace() || "[]|{}".contains(c)));
    let links = links.filter(|word| word.contains("://")).map(str::to_owned).collect();
    Ok(Read { shown: text.to_owned(), mentions, links })
}
