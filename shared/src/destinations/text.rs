//! Cutting text for people: at grapheme boundaries, by the unit that the far side counts in.

use unicode_segmentation::UnicodeSegmentation;

/// At most `max` UTF-16 units, which is safe for every API that says "characters"; an ellipsis tells that it was cut.
pub(super) fn cut(text: &str, max: usize) -> String {
    if text.encode_utf16().count() <= max {
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

/// [`cut`], with control characters and line breaks as spaces: for titles and log lines.
pub fn one_line(text: &str, max: usize) -> String {
    let line: String =
        text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect();
    cut(line.trim(), max)
}

/// What of a text may be shown among others: line breaks are its only control characters, and it cannot turn the
/// direction of what stands behind it (bidirectional embeddings, overrides and isolates are left out).
pub(super) fn visible(text: &str) -> String {
    let shown = text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}'], "\n");
    let shown = shown.chars().filter(|c| !matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}'));
    shown.filter_map(|c| if c == '\t' { Some(' ') } else { (c == '\n' || !c.is_control()).then_some(c) }).collect()
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

    proptest! {
        #[test]
        fn what_is_cut_fits_and_begins_the_same(text in "\\PC{0,80}", max in 1usize..60) {
            let cut = cut(&text, max);
            prop_assert!(cut.encode_utf16().count() <= max);
            prop_assert!(cut == text || text.starts_with(cut.trim_end_matches('…').trim_end()));
        }
    }
}
