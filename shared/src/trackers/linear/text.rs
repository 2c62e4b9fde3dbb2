//! Plain text as Markdown, in which nothing of the text is markup, a mention or a reference.

use super::super::text::{address, fitting, length};

/// It says none; longer ones nobody reads.
pub(super) const MAX: usize = 65_536;

/// What could be anything but words stands in a block of code. A name behind an `@` is cut off from it all the same.
pub(super) fn markdown(text: &str, link: Option<&str>, marker: Option<&str>) -> String {
    let link = link.and_then(address);
    fitting(text, MAX, link.is_some(), |text| {
        let text = text.trim_matches('\n');
        let shown = match text {
            "" => None,
            text if is_bare(text) => Some(text.to_owned()),
            text => Some(fenced(text)),
        };
        let link = link.as_ref().map(|link| format!("[See the issue in Sentry]({link})"));
        let parts = shown.into_iter().chain(link).chain(marker.map(str::to_owned));
        let markdown = parts.collect::<Vec<_>>().join("\n\n");
        (length(&markdown), markdown)
    })
}

/// One line of words that nothing can be made of.
fn is_bare(text: &str) -> bool {
    let is_bare = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | '\'');
    // Names of sites, numbers of a list, and code that begins with spaces.
    let is_word = |word: &str| {
        let bare = word.trim_end_matches(['.', ',']);
        !bare.contains('.') && (bare == word || !bare.bytes().all(|byte| byte.is_ascii_digit()))
    };
    text.chars().all(is_bare) && !text.starts_with(' ') && text.split_whitespace().all(is_word)
}

/// In a fence that is longer than any row of backticks within.
fn fenced(text: &str) -> String {
    let (mut longest, mut row) = (0, 0);
    for c in text.chars() {
        row = if c == '`' { row + 1 } else { 0 };
        longest = longest.max(row);
    }
    let fence = "`".repeat(3.max(longest + 1));
    let text = text.replace('@', "@\u{200b}").replace('＠', "＠\u{200b}");
    format!("{fence}\n{text}\n{fence}")
}
