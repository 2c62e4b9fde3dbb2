//! The file's text: from byte spans to lines and columns, and what may be shown of a line.

use std::ops::Range;

use super::mistake::{Mistake, Severity};

/// A place in the file that outlives the text: for mistakes that are found later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    line: usize,
    column: usize,
    width: usize,
    text: String,
}

impl Place {
    pub(super) fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake {
            severity: Severity::Mistake,
            line: self.line,
            column: self.column,
            width: self.width,
            text: self.text.clone(),
            message: message.into(),
            help: None,
        }
    }
}

pub(super) struct Source<'a> {
    text: &'a str,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
    /// Keys whose values must not be shown.
    secret_keys: Vec<&'static str>,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str, secret_keys: Vec<&'static str>) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        Self { text, lines: std::iter::once(0).chain(breaks).collect(), secret_keys }
    }

    /// Without a span, which no parsed value should lack: the beginning of the file.
    pub(super) fn place(&self, span: Option<Range<usize>>) -> Place {
        let span = span.unwrap_or(0..0);
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.floor_char_boundary(span.end).max(start);
        let index = self.lines.partition_point(|line| *line <= start) - 1;
        let begin = self.lines[index];
        let full = self.text[begin..].split('\n').next().unwrap_or_default();
        let line = full.strip_suffix('\r').unwrap_or(full);
        let place_end = end.min(begin + line.len()).max(start);
        Place {
            line: index + 1,
            column: self.text[begin..start].chars().count() + 1,
            width: self.text[start..place_end].chars().count().max(1),
            text: self.presentable(line),
        }
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, span: Option<Range<usize>>) -> usize {
        self.place(span).line
    }

    /// The file's own words.
    pub(super) fn slice(&self, span: Option<Range<usize>>) -> &'a str {
        span.and_then(|span| self.text.get(span)).unwrap_or_default()
    }

    /// Where in the file the bytes `at` of a text stand whose value has this span. The whole value, where it is
    /// written with escapes.
    pub(super) fn within(&self, span: Option<Range<usize>>, text: &str, at: &Range<usize>) -> Option<Range<usize>> {
        let span = span?;
        let begin = self.text.get(span.clone()).and_then(|raw| raw.find(text));
        Some(begin.map_or(span.clone(), |begin| {
            let begin = span.start + begin;
            begin + at.start.min(text.len())..begin + at.end.min(text.len())
        }))
    }

    pub(super) fn mistake(&self, span: Option<Range<usize>>, message: impl Into<String>) -> Mistake {
        self.place(span).mistake(message)
    }

    /// A line as it may stand in a log. Somebody who writes a token into the file, where only `secret:NAME` belongs,
    /// must not find it in the log as well: the value is starred out, character by character, so that columns hold.
    fn presentable(&self, line: &str) -> String {
        let mut shown: Vec<char> = line.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
        for at in 0..shown.len() {
            let begins_word = at == 0 || !is_key_char(shown[at - 1]);
            for key in self.secret_keys.iter().filter(|_| begins_word) {
                if let Some(value) = value_of(&shown, at, key) {
                    let len = value_len(&shown[value..]);
                    shown[value..value + len].fill('*');
                }
            }
        }
        shown.into_iter().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
    }
}

fn is_key_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// Where the value of `key = value` begins, if the key stands at `at` and the value is no `secret:NAME`.
fn value_of(line: &[char], at: usize, key: &str) -> Option<usize> {
    let mut rest = at;
    for c in key.chars() {
        (line.get(rest) == Some(&c)).then_some(())?;
        rest += 1;
    }
    let skip = |from: usize, skipped: &[char]| from + line[from..].iter().take_while(|c| skipped.contains(c)).count();
    rest = skip(rest, &['"', '\'', ' ']);
    (line.get(rest) == Some(&'=')).then_some(())?;
    rest = skip(rest + 1, &[' ']);
    let inner: String = line[skip(rest, &['"', '\''])..].iter().take("secret:".len()).collect();
    (inner != "secret:" && rest < line.len()).then_some(rest)
}

/// To the closing quote, else to the end of the line: rather too much than too little.
fn value_len(value: &[char]) -> usize {
    let quote = value[0];
    let closing = if matches!(quote, '"' | '\'') && value.get(1) != Some(&quote) && !value.contains(&'\\') {
        value[1..].iter().position(|c| *c == quote)
    } else {
        None
    };
    closing.map_or(value.len(), |at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "a = 1\r\nbé = \"☃x\"\n\nlast";
        let source = Source::new(text, Vec::new());
        let at = |needle: &str| {
            let start = text.find(needle).expect("there");
            let place = source.place(Some(start..start + needle.len()));
            (place.line, place.column, place.width, place.text)
        };
        assert_eq!(at("a"), (1, 1, 1, "a = 1".into()));
        assert_eq!(at("x"), (2, 8, 1, "bé = \"☃x\"".into()));
        assert_eq!(at("last"), (4, 1, 4, "last".into()));
        assert_eq!(at("é = \"☃x\"\n\nla"), (2, 2, 8, "bé = \"☃x\"".into()));
        let place = source.place(Some(9_999..99_999));
        assert_eq!((place.line, place.column), (4, 5));
        assert_eq!(source.place(None).line, 1);
    }

    #[test]
    fn a_secret_in_the_file_is_not_shown() {
        let source = Source::new("", vec!["token", "user"]);
        for (line, expected) in [
            ("token = \"abc\" # x", "token = ***** # x"),
            ("token=\"abc", "token=****"),
            ("\"token\" = 'abc'", "\"token\" = *****"),
            (
                "x = { token = \"abc\", user = \"secret:u\", a = 1 }",
                "x = { token = *****, user = \"secret:u\", a = 1 }",
            ),
            ("token = \"a\\\"bc\"", "token = *******"),
            ("token = abc", "token = ***"),
            ("token = \"secret:abc\"", "token = \"secret:abc\""),
            ("tokens = \"abc\"", "tokens = \"abc\""),
            ("my-token = \"abc\"", "my-token = \"abc\""),
            ("token", "token"),
            ("a\t\u{1b}[31m", "a \u{fffd}[31m"),
        ] {
            assert_eq!(source.presentable(line), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_span_has_a_place(text in "(token|[a=\"\\\\ \n\r☃é]){0,12}", start in 0_usize..60, len in 0_usize..60) {
            let source = Source::new(&text, vec!["token"]);
            let place = source.place(Some(start..start + len));
            let shown = place.mistake("x").to_string();
            proptest::prop_assert!(shown.contains('^'));
        }
    }
}
