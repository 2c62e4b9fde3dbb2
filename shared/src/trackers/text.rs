//! Cutting text to what a tracker takes, and addresses that can stand in it.

use std::fmt::Write as _;
use std::iter;

use crate::destinations::{cut_before_link, is_blank, visible};

/// A longer address is left away.
const MAX_LINK: usize = 2000;

/// A title that is none in a tracker's eyes gets one; no tracker opens a ticket without.
pub(super) fn some_title(title: &str) -> &str {
    if is_blank(title) { "Sentry issue" } else { title }
}

/// A comment without text says so: trackers refuse an empty one.
pub(super) fn some_text(text: &str) -> &str {
    if is_blank(text) { "(no text)" } else { text }
}

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

/// An address as it may stand in any tracker's text, if it is one of the web: nothing in it ends it, mentions anybody or
/// is markup.
pub(super) fn address(link: &str) -> Option<String> {
    let is_web = link.starts_with("https://") || link.starts_with("http://");
    if !is_web || link.len() > MAX_LINK || !link.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut address = String::with_capacity(link.len());
    for c in link.chars() {
        if c.is_ascii_alphanumeric() || "-._~:/?#=&%+,;".contains(c) {
            address.push(c);
        } else {
            // Writing into a `String` does not fail.
            let _ = write!(address, "%{:02X}", c as u32);
        }
    }
    // What was encoded in the name of a host leads nowhere.
    let parsed: http::Uri = address.parse().ok()?;
    parsed.authority().filter(|own| !own.host().is_empty() && !own.as_str().contains('%'))?;
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_ends_nowhere_before_its_end_mentions_nobody_and_is_one_of_the_web() {
        let cases = [
            ("https://a.test/issues/7/?a=b&c=%20#d-e_f~g", Some("https://a.test/issues/7/?a=b&c=%20#d-e_f~g")),
            ("http://a.test:8080/x)(y]|{z}*`'!", Some("http://a.test:8080/x%29%28y%5D%7C%7Bz%7D%2A%60%27%21")),
            ("https://a.test/@team$", Some("https://a.test/%40team%24")),
            ("https://a.test/>\n@team", None),
            ("https://a.test/ b", None),
            ("https://ä.test/", None),
            ("https:///x", None),
            ("https://u:p@a.test/", None),
            ("javascript:alert(1)", None),
        ];
        for (link, expected) in cases {
            assert_eq!(address(link).as_deref(), expected, "{link}");
        }
        assert_eq!(address(&format!("https://a.test/{}", "x".repeat(MAX_LINK))), None, "a cut one leads nowhere");
    }
}
