//! Comparing text: globs, and the same without regard to case. Nothing here allocates while it compares.

use std::str::Chars;

/// One way to compare a text, made once for each pattern of the routes file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextPattern {
    shape: Shape,
    /// As the routes file has it; folded, if `ignore_case`.
    text: Box<str>,
    ignore_case: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Whole,
    Prefix,
    Suffix,
    /// The whole text; `*` is any run of characters, `\*` a star.
    Glob,
}

impl TextPattern {
    pub(super) fn new(shape: Shape, text: &str, ignore_case: bool) -> Self {
        // A star and a backslash have no case.
        let text = if ignore_case { text.chars().map(fold).collect() } else { text.into() };
        Self { shape, text, ignore_case }
    }

    /// Whether it is one text, but for its case.
    pub(super) fn is_whole(&self) -> bool {
        self.shape == Shape::Whole
    }

    /// The one text that it matches.
    pub(super) fn exact(&self) -> Option<&str> {
        (self.shape == Shape::Whole && !self.ignore_case).then_some(&*self.text)
    }

    /// Whether every text that it matches begins so.
    pub(super) fn begins_with(&self, beginning: &str) -> bool {
        self.shape != Shape::Suffix && !self.ignore_case && self.text.starts_with(beginning)
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let own = &*self.text;
        match (self.shape, self.ignore_case) {
            (Shape::Whole, false) => own == text,
            (Shape::Prefix, false) => text.starts_with(own),
            (Shape::Suffix, false) => text.ends_with(own),
            (Shape::Glob, ignore_case) => glob(own, text, ignore_case),
            (Shape::Whole, true) => own.chars().eq(text.chars().map(fold)),
            (Shape::Prefix, true) => begins(text.chars(), own.chars()),
            (Shape::Suffix, true) => begins(text.chars().rev(), own.chars().rev()),
        }
    }
}

fn begins(text: impl Iterator<Item = char>, mut own: impl Iterator<Item = char>) -> bool {
    let mut text = text.map(fold);
    own.all(|c| text.next() == Some(c))
}

/// Unicode's simple case folding: one character for one, so that lengths do not change (`ß` is not `ss`).
pub(super) fn fold(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    unicode_case_mapping::case_folded(c).and_then(|folded| char::from_u32(folded.get())).unwrap_or(c)
}

enum Part {
    AnyRun,
    One(char),
}

fn next_part(pattern: &mut Chars<'_>) -> Option<Part> {
    Some(match pattern.next()? {
        '*' => Part::AnyRun,
        '\\' if pattern.clone().next() == Some('*') => {
            pattern.next();
            Part::One('*')
        }
        c => Part::One(c),
    })
}

/// Never worse than pattern times text.
fn glob(pattern: &str, text: &str, ignore_case: bool) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // What follows the last star, and the text behind what that star has eaten.
    let mut star: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let text_here = text.clone();
        let matched = match (next_part(&mut pattern), text.next()) {
            (None, None) => return true,
            (Some(Part::AnyRun), _) => {
                text = text_here;
                star = Some((pattern.clone(), text.clone()));
                continue;
            }
            (Some(Part::One(own)), Some(c)) => own == if ignore_case { fold(c) } else { c },
            (Some(Part::One(_)), None) => return false,
            (None, Some(_)) => false,
        };
        if !matched {
            let Some((behind_star, eaten)) = &mut star else { return false };
            eaten.next();
            pattern = behind_star.clone();
            text = eaten.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(shape: Shape, pattern: &str, text: &str) -> (bool, bool) {
        let with = |ignore_case| TextPattern::new(shape, pattern, ignore_case).matches(text);
        (with(false), with(true))
    }

    #[test]
    fn text_is_compared_whole_or_at_an_end_with_or_without_case() {
        let (yes, no, only_folded) = ((true, true), (false, false), (false, true));
        for (shape, pattern, text, expected) in [
            (Shape::Whole, "backend", "backend", yes),
            (Shape::Whole, "Backend", "bACKEND", only_folded),
            (Shape::Whole, "backend", "backend ", no),
            (Shape::Whole, "", "", yes),
            (Shape::Whole, "ΣΊΣΥΦΟΣ", "σίσυφος", only_folded),
            (Shape::Whole, "straße", "STRASSE", no),
            (Shape::Whole, "STRAẞE", "straße", only_folded),
            // The Kelvin sign folds to k, but a dotless i is no i.
            (Shape::Whole, "\u{212a}", "k", only_folded),
            (Shape::Whole, "ı", "i", no),
            (Shape::Prefix, "back", "backend", yes),
            (Shape::Prefix, "ÉC", "école", only_folded),
            (Shape::Prefix, "backend", "back", no),
            (Shape::Prefix, "end", "backend", no),
            (Shape::Suffix, "end", "backend", yes),
            (Shape::Suffix, "END", "backend", only_folded),
            (Shape::Suffix, "back", "backend", no),
            (Shape::Suffix, "🦀🦀", "a🦀", no),
            (Shape::Glob, "*_ALERT.*", "metric_alert.critical", only_folded),
            (Shape::Glob, "é*", "école", yes),
            (Shape::Glob, r"5\*5", "5*5", yes),
            (Shape::Glob, r"5\*5", "555", no),
            (Shape::Glob, r"C:\*\x", r"C:*\x", yes),
            (Shape::Glob, r"C:\dir\x", r"C:\dir\x", yes),
            (Shape::Glob, r"\", r"\", yes),
            (Shape::Glob, "a?[b]", "a?[b]", yes),
            (Shape::Glob, "a?", "ab", no),
        ] {
            assert_eq!(matches(shape, pattern, text), expected, "{shape:?} {pattern} {text}");
        }
    }

    #[test]
    fn a_star_is_any_run_of_characters() {
        for (pattern, event, expected) in [
            ("*", "issue.created", true),
            ("*", "", true),
            ("issue.*", "issue.created", true),
            ("issue.*", "issue", false),
            ("*.created", "issue.created", true),
            ("*.created", "issue.created.x", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "ba", false),
            ("issue.created", "issue-created", false),
            ("", "", true),
            ("", "x", false),
            ("**", "x", true),
        ] {
            assert_eq!(glob(pattern, event, false), expected, "{pattern} {event}");
        }
    }

    #[test]
    fn a_hostile_pattern_and_text_take_no_exponential_time() {
        let (pattern, text) = ("*a".repeat(200), "a".repeat(20_000));
        assert!(!glob(&format!("{pattern}b"), &text, true));
    }

    proptest! {
        #[test]
        fn a_glob_means_what_its_definition_says(pattern in r"[abÄ*\\]{0,7}", text in r"[abäÄ*\\]{0,8}") {
            fn defined(pattern: &[char], text: &[char]) -> bool {
                match pattern {
                    [] => text.is_empty(),
                    ['\\', '*', rest @ ..] => text.first() == Some(&'*') && defined(rest, &text[1..]),
                    ['*', rest @ ..] => (0..=text.len()).any(|eaten| defined(rest, &text[eaten..])),
                    [c, rest @ ..] => text.first() == Some(c) && defined(rest, &text[1..]),
                }
            }
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(glob(&pattern, &text, false), defined(&chars(&pattern), &chars(&text)));
            let (lower_pattern, lower_text) = (pattern.to_lowercase(), text.to_lowercase());
            let folded = TextPattern::new(Shape::Glob, &pattern, true).matches(&text);
            prop_assert_eq!(folded, defined(&chars(&lower_pattern), &chars(&lower_text)));
        }

        #[test]
        fn without_case_it_matches_whatever_it_matches_with(text in ".{0,8}", cut in 0_usize..8) {
            let chars: Vec<char> = text.chars().collect();
            let cut = cut.min(chars.len());
            let (head, tail): (String, String) = (chars[..cut].iter().collect(), chars[cut..].iter().collect());
            prop_assert_eq!(matches(Shape::Prefix, &head, &text), (true, true));
            prop_assert_eq!(matches(Shape::Suffix, &tail, &text), (true, true));
            prop_assert!(TextPattern::new(Shape::Whole, &text, true).matches(&text));
        }

        #[test]
        fn folding_twice_is_folding_once(c in any::<char>()) {
            prop_assert_eq!(fold(fold(c)), fold(c));
        }
    }
}
