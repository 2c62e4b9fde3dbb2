//! Cutting text to what a tracker takes, and addresses that can stand in it.

use std::iter;

use crate::destinations::{cut_before_link, visible};

/// A longer address is left away.
const MAX_LINK: usize = 2000;

/// What is made of as much of the text as fits; `make` tells how long it became.
pub(super) fn fitting<T>(text: &str, most: usize, has_link: bool, make: impl Fn(&str) -> (usize, T)) -> T {
    // Of what is longer than anything that fits, no more is looked at.
    let end = iter::successors(Some(text.len().min(most * 8)), |end| end.checked_sub(1));
    let end = end.into_iter().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    let shown = visible(&text[..end]);
    let mut max = most;
    loop {
        let (length, made) = make(&cut_before_link(&shown, max, has_link));
        if length <= most || max == 0 {
            return made;
        }
        max = max * 7 / 8;
    }
}

pub(super) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// An address that nothing ends but a space, if it is one of the web.
pub(super) fn address(link: &str) -> Option<String> {
    let is_web = link.starts_with("https://") || link.starts_with("http://");
    if !is_web || link.len() > MAX_LINK {
        return None;
    }
    let parsed: http::Uri = link.parse().ok()?;
    parsed.host().filter(|host| !host.is_empty())?;
    let encoded = |c: char| match c {
        '{' | '}' | '[' | ']' | '|' | '\\' | '^' | '`' | '"' | '<' | '>' | '!' | '*' | '(' | ')' | '\'' => {
            format!("%{:02X}", c as u32)
        }
        c => c.to_string(),
    };
    link.is_ascii().then(|| link.chars().map(encoded).collect())
}
