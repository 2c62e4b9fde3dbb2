//! Cutting text for people: at grapheme boundaries, by the unit that the far side counts in.

use unicode_segmentation::UnicodeSegmentation;

/// What the far side said of its refusal, for a record. A page says nothing.
pub(super) fn reason(said: &str, max: usize) -> String {
    let said = one_line(said, max);
    if said.is_empty() || said.starts_with('<') { "no reason given".to_owned() } else { said }
}

/// At most `max` UTF-16 units, which is safe for every API that says "characters"; an ellipsis tells that it was cut.
pub fn cut(text: &str, max: usize) -> String {
    // No text has more units than bytes; and one of a megabyte is not counted to its end to learn that it is too long.
    if text.len() <= max || text.encode_utf16().take(max.saturating_add(1)).count() <= max {
        return text.to_owned();
    }
    let mut left = max.saturating_sub(1);
    let mut kept = String::new();
    for grapheme in text.graphemes(true) {
        let units = grapheme.encode_utf16().count();
        if units > left {
            break;
        }
        left -= units;
        kept.push_str(grapheme);
    }
    kept.truncate(kept.trim_end().len());
    kept.push('…');
    kept
}

/// [`cut`], with line breaks and other control characters as spaces, and without what reorders text: for titles,
/// names and log lines.
pub fn one_line(text: &str, max: usize) -> String {
    let kept = text.chars().filter(|c| !misleads(*c));
    let line: String = kept.map(|c| if c.is_control() || is_break(c) { ' ' } else { c }).collect();
    cut(line.trim(), max)
}

/// What of a text may be shown among others: line breaks are its only control characters, and it cannot turn the
/// direction of what stands behind it.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' => shown.push('\n'),
            '\t' => shown.push(' '),
            c if is_break(c) => shown.push('\n'),
            c if c.is_control() || misleads(c) => {}
            c => shown.push(c),
        }
    }
    shown
}

/// [`cut`]; where there is a link, the text says that the rest is behind it.
pub fn cut_before_link(text: &str, max: usize, has_link: bool) -> String {
    const REST: &str = "\n(cut: the rest is behind the link)";
    let fits = text.encode_utf16().take(max.saturating_add(1)).count() <= max;
    if fits || !has_link || max <= 2 * REST.len() {
        return cut(text, max);
    }
    cut(text, max - REST.len()) + REST
}

/// Whether nothing of it is seen: spaces, and characters without any width or ink.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| {
        let is_without_width = matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}');
        c.is_whitespace() || c.is_control() || misleads(c) || is_without_width
    })
}

fn is_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Embeddings, overrides and isolates of the bidirectional algorithm, and the mark of byte order. Unclosed they turn around what a destination puts
/// behind them, and make a file's name read as another; Hebrew and Arabic need none of them.
fn misleads(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_cut_between_graphemes_and_says_so() {
        let family = "👨‍👩‍👧";
        let cases = [
            ("short stays", "abc", 3, "abc".to_owned()),
            ("long is cut", "abcdef", 4, "abc…".to_owned()),
            ("no space before the ellipsis", "ab cdef", 4, "ab…".to_owned()),
            ("a family is one", &format!("ab{family}{family}"), 11, format!("ab{family}…")),
            ("nor half of one", &format!("ab{family}{family}"), 10, "ab…".to_owned()),
            ("combining marks stay with their letter", "ae\u{301}xyz", 3, "a…".to_owned()),
        ];
        for (name, text, max, expected) in cases {
            assert_eq!(cut(text, max), expected, "{name}");
        }
        assert_eq!(one_line(" a\nb\u{0}c\u{2028}d ", 20), "a b c d");
    }

    #[test]
    fn what_is_shown_has_lines_and_no_other_control() {
        let family = "👨‍👩‍👧";
        let cases = [
            ("lines", "a\r\nb\rc\u{2028}d\n\n", "a\nb\nc\nd\n\n"),
            ("controls", "a\u{0}\u{1b}[31mb\u{7f}\u{85}\tc", "a[31mb c"),
            ("overrides", "a\u{202e}gpj.exe\u{202c}\u{2066}b\u{2069}", "agpj.exeb"),
            ("right to left", "שלום", "שלום"),
            ("a family", family, family),
        ];
        for (name, text, expected) in cases {
            assert_eq!(visible(text), expected, "{name}");
        }
    }

    #[test]
    fn a_line_holds_no_control_and_a_blank_text_shows_nothing() {
        assert_eq!(one_line("a\u{202e}gpj.exe\u{2066}", 20), "agpj.exe");
        assert_eq!(one_line("\u{1b}[31m שלום\u{85}עולם", 20), "[31m שלום עולם");
        assert!(is_blank(" \u{feff}\u{200b}\n\u{202e}\u{0}") && is_blank("") && !is_blank("\u{feff}."));
    }

    #[test]
    fn a_text_cut_before_a_link_says_where_the_rest_is() {
        let long = "word ".repeat(100);
        let note = "\n(cut: the rest is behind the link)";
        let cut_text = cut_before_link(&long, 200, true);
        assert!(cut_text.ends_with(&format!("word…{note}")), "{cut_text}");
        assert!(cut_text.encode_utf16().count() <= 200);
        assert_eq!(cut_before_link(&long, 200, false), cut(&long, 200));
        assert_eq!(cut_before_link("short", 200, true), "short");
        assert_eq!(cut_before_link(&long, 40, true), cut(&long, 40), "no room for the note");
        assert_eq!(cut_before_link(&"🦀".repeat(1_000_000), 200, true).matches('🦀').count(), 82);
    }

    proptest! {
        #[test]
        fn what_is_shown_holds_nothing_that_controls_or_misleads(text in any::<String>()) {
            let shown = visible(&text);
            let bad = |c: char| (c.is_control() && c != '\n') || misleads(c) || is_break(c);
            prop_assert!(!shown.contains(bad));
            prop_assert_eq!(visible(&shown), shown);
        }

        #[test]
        fn what_is_cut_fits_and_begins_the_same(text in "\\PC{0,80}", max in 1usize..60) {
            let cut = cut(&text, max);
            prop_assert!(cut.encode_utf16().count() <= max);
            prop_assert!(cut == text || text.starts_with(cut.trim_end_matches('…').trim_end()));
        }
    }
}
