//! Text of a ticket as Markdown that GitHub and GitLab show as it is.
//!
//! Only simple sentences stand as they are. All else stands in a fence, longer than any run of backticks within: there
//! nothing is a mention, a reference, a link, a picture, HTML or markup. Older versions of GitLab look for quick actions
//! (`/close` at a line's beginning) with a pattern of their own that a fence within a fence can lead astray: so each such
//! slash is parted from its line's beginning too.

use super::text::address;
use crate::destinations::{cut_before_link, is_blank, visible};

/// Shown as nothing.
const PARTING: char = '\u{200b}';
/// Longer runs of backticks are parted, so that a fence stays short.
const LONGEST_RUN: usize = 15;
/// Two fences, their line breaks and the word behind the first.
const FENCES: usize = 2 * (LONGEST_RUN + 1) + 8;
/// Longer text is never taken for simple sentences.
const LONGEST_PLAIN: usize = 2000;

/// A description or comment of at most `max` UTF-16 units: the link to Sentry, the text, the marker. Only the text is
/// cut. The marker can be seen, as nobody says whether searches find what is hidden.
pub(super) fn body(text: &str, link: Option<&str>, marker: Option<&str>, max: usize) -> String {
    let link = link.and_then(address).map(|link| format!("Sentry: <{link}>"));
    let marker = marker.map(|marker| format!("<sub>{marker}</sub>"));
    let around: usize = link.iter().chain(&marker).map(|part| part.len() + 2).sum();
    let text = block(text, max.saturating_sub(around), link.is_some());
    link.into_iter().chain(text).chain(marker).collect::<Vec<_>>().join("\n\n")
}

/// For a title of GitLab, where a mention counts: nothing in it mentions or refers to anything.
pub(super) fn parted(text: &str) -> String {
    let mut parted = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        parted.push(c);
        let sigil = matches!(c, '@' | '＠' | '#' | '!' | '~' | '&' | '%' | '$' | '^' | '*' | ':' | '[' | '-');
        if sigil && chars.peek().is_some_and(|next| !next.is_whitespace()) {
            parted.push(PARTING);
        }
    }
    parted
}

fn block(text: &str, max: usize, has_link: bool) -> Option<String> {
    let text = visible(text);
    let text = text.trim_matches('\n').trim_end();
    if is_blank(text) {
        return None;
    }
    if text.len() <= LONGEST_PLAIN.min(max) && text.split('\n').all(is_plain) {
        return Some(text.to_owned());
    }
    let text = cut_before_link(&inert(text), max.saturating_sub(FENCES), has_link);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(3.max(longest + 1));
    Some(format!("{fence}text\n{text}\n{fence}"))
}

/// No slash begins a line, and no run of backticks is longer than [`LONGEST_RUN`].
fn inert(text: &str) -> String {
    let mut inert = String::with_capacity(text.len() + text.len() / 16);
    let (mut begins_line, mut run) = (true, 0);
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        if (c == '/' && begins_line) || run > LONGEST_RUN {
            inert.push(PARTING);
            run = run.min(1);
        }
        inert.push(c);
        begins_line = c == '\n' || (begins_line && c.is_whitespace());
    }
    inert
}

/// A line of words and a sentence's marks, in which no markup finds anything: it begins with a letter, its dots and
/// colons end words, and no word is one that could name a commit.
fn is_plain(line: &str) -> bool {
    let is_word = |word: &str| {
        let stem = word.trim_end_matches(['.', ',', ':', ';', '?', '\'', '"']).trim_start_matches(['\'', '"']);
        let names_commit = stem.len() >= 7 && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
        !names_commit && stem.chars().all(char::is_alphanumeric)
    };
    line.is_empty() || (line.starts_with(char::is_alphabetic) && line.split(' ').all(is_word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag};

    use super::*;

    const MARKER: &str = "sentry-switchboard-00000000000000000000000000000000";

    #[test]
    fn simple_sentences_stand_as_they_are_and_all_else_in_a_fence_longer_than_any_within() {
        let fenced = |text: &str| format!("```text\n{text}\n```");
        let cases = [
            ("It broke. Again, today: why?", "It broke. Again, today: why?".to_owned()),
            ("Größer als je\nzuvor\n", "Größer als je\nzuvor".to_owned()),
            ("ask @team", fenced("ask @team")),
            ("mail to a@b.test", fenced("mail to a@b.test")),
            ("see #12", fenced("see #12")),
            ("see GH-12", fenced("see GH-12")),
            ("see !12 ~bug", fenced("see !12 ~bug")),
            ("www.evil.test", fenced("www.evil.test")),
            ("since 1f2e3d4c5b", fenced("since 1f2e3d4c5b")),
            ("1. one", fenced("1. one")),
            ("a\n    b", fenced("a\n    b")),
            ("x\n/close", fenced("x\n\u{200b}/close")),
            ("  /close", fenced("  \u{200b}/close")),
            ("a\n```\n@team\n```", "````text\na\n```\n@team\n```\n````".to_owned()),
            ("a\u{0}\u{1b}[31m\rb\u{202e}", fenced("a[31m\nb")),
        ];
        for (text, expected) in cases {
            assert_eq!(body(text, None, None, 1000), expected, "{text:?}");
        }
        assert_eq!(body(" \u{200b}\n", None, Some(MARKER), 1000), format!("<sub>{MARKER}</sub>"));
        assert_eq!(body("`".repeat(40).as_str(), None, None, 1000).lines().next().map(str::len), Some(20));
    }

    #[test]
    fn the_link_comes_first_the_marker_last_and_both_are_kept_where_text_is_cut() {
        let link = "https://sentry.example/issues/7/?a=b#c";
        for text in ["🦀 ".repeat(5000), "```\n".repeat(5000), "/a\n".repeat(5000), "`".repeat(10_000)] {
            let body = body(&text, Some(link), Some(MARKER), 1000);
            assert!(body.starts_with(&format!("Sentry: <{link}>\n\n```")), "{body}");
            assert!(body.ends_with(&format!("```\n\n<sub>{MARKER}</sub>")), "{body}");
            assert!(body.contains("(cut: the rest is behind the link)") && body.encode_utf16().count() <= 1000);
        }
        for bad in
            ["javascript:alert(1)", "https://a.test/>\n@team", "https://a.test/ b", &format!("https://{link:2000}")]
        {
            assert_eq!(body("a", Some(bad), None, 1000), "a", "{bad}");
        }
        assert_eq!(body("a", Some("https://a.test/@team"), None, 1000), "Sentry: <https://a.test/%40team>\n\na");
    }

    #[test]
    fn a_title_for_gitlab_mentions_nobody_and_refers_to_nothing() {
        assert_eq!(
            parted("@team #1 !2 ~l a@b 5 % @"),
            "@\u{200b}team #\u{200b}1 !\u{200b}2 ~\u{200b}l a@\u{200b}b 5 % @"
        );
    }

    proptest! {
        #[test]
        fn markdown_makes_nothing_but_paragraphs_and_code_of_a_text(
            text in "([a-zA-Z .\\n/@#!~`<>&*_\\[\\]()|:=-]|```|~~~|\\PC){0,60}",
        ) {
            let body = body(&text, None, Some(MARKER), 4000);
            for event in Parser::new_ext(&body, Options::all()) {
                let is_plain = match &event {
                    Event::Start(tag) => matches!(tag, Tag::Paragraph | Tag::CodeBlock(_)),
                    Event::InlineHtml(html) => matches!(&**html, "<sub>" | "</sub>"),
                    Event::End(_) | Event::Text(_) | Event::SoftBreak => true,
                    _ => false,
                };
                prop_assert!(is_plain, "{:?} in {:?}", event, body);
            }
        }
    }
}
