//! `when`: which events a route takes.

use super::decide::LookedUp;
use super::known;
use crate::normalized::Normalized;

/// A table of keys; all must match.
#[derive(Debug, Clone, Default)]
pub(super) struct When {
    pub(super) keys: Vec<(Key, Pattern)>,
}

/// A key of the normalized event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Event,
    /// Matches by slug and by name.
    Project,
    Organization,
    Level,
    Environment,
}

/// What the value of a key must be: any of these.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) any: Vec<Matcher>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Matcher {
    /// The same text.
    Is(String),
    /// An event's name, in which `*` is any run of characters.
    Event(String),
}

/// Whether a route takes an event, as far as it can be told yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    No,
    /// It hangs on what a look-up of the issue can tell.
    Unknown,
    Yes,
}

impl When {
    pub(super) fn verdict(&self, event: &Normalized, looked_up: LookedUp) -> Verdict {
        let mut verdict = Verdict::Yes;
        for (key, pattern) in &self.keys {
            match key.verdict(pattern, event, looked_up) {
                Verdict::No => return Verdict::No,
                Verdict::Unknown => verdict = Verdict::Unknown,
                Verdict::Yes => {}
            }
        }
        verdict
    }

    pub(super) fn pattern(&self, key: Key) -> Option<&Pattern> {
        self.keys.iter().find(|(own, _)| *own == key).map(|(_, pattern)| pattern)
    }

    /// Whether it takes every event there is.
    pub(super) fn takes_everything(&self) -> bool {
        self.keys.iter().all(|(key, pattern)| {
            *key == Key::Event && pattern.any.iter().any(|matcher| *matcher == Matcher::Event("*".to_owned()))
        })
    }
}

impl Key {
    pub(super) const NAMES: &'static [(&'static str, Self)] = &[
        ("event", Self::Event),
        ("project", Self::Project),
        ("organization", Self::Organization),
        ("level", Self::Level),
        ("environment", Self::Environment),
    ];

    fn verdict(self, pattern: &Pattern, event: &Normalized, looked_up: LookedUp) -> Verdict {
        let values = self.values(event);
        if values.iter().any(|value| pattern.matches(value)) {
            Verdict::Yes
        } else if looked_up == LookedUp::No && event.can_be_looked_up() && self.can_be_filled(event) {
            Verdict::Unknown
        } else {
            Verdict::No
        }
    }

    fn values(self, event: &Normalized) -> Vec<&str> {
        match self {
            Self::Event => vec![&event.event],
            Self::Project => {
                let project = event.project.iter().flat_map(|project| [&project.slug, &project.name]);
                project.flatten().chain(&event.more_projects).map(String::as_str).collect()
            }
            Self::Organization => event.organization.as_deref().into_iter().collect(),
            Self::Level => event.level.as_deref().into_iter().collect(),
            Self::Environment => event.environment.as_deref().into_iter().collect(),
        }
    }

    /// Whether a look-up of the issue would tell a value that the event lacks.
    fn can_be_filled(self, event: &Normalized) -> bool {
        match self {
            Self::Project => event.project.as_ref().is_none_or(|known| known.slug.is_none() || known.name.is_none()),
            Self::Organization => event.organization.is_none(),
            Self::Level => event.level.is_none() && event.has_level(),
            // Not the issue has an environment, but each of its events.
            Self::Event | Self::Environment => false,
        }
    }
}

impl Pattern {
    pub(super) fn matches(&self, value: &str) -> bool {
        self.any.iter().any(|matcher| match matcher {
            Matcher::Is(text) => text == value,
            Matcher::Event(pattern) => event_matches(pattern, value),
        })
    }
}

/// `issue.archived` and `issue.ignored` are one event under two names.
pub(super) fn event_matches(pattern: &str, event: &str) -> bool {
    let (archived, ignored) = known::ARCHIVED;
    if event == archived || event == ignored {
        glob(pattern, archived) || glob(pattern, ignored)
    } else {
        glob(pattern, event)
    }
}

/// The whole text; `*` is any run of characters, and nothing else is special. Never worse than pattern times text.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last star is, and how far it has eaten.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, eaten)) = star {
            star = Some((at, eaten + 1));
            p = at + 1;
            t = eaten + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_is_any_run_of_characters() {
        for (pattern, event, expected) in [
            ("*", "issue.created", true),
            ("*", "", true),
            ("issue.*", "issue.created", true),
            ("issue.*", "issue", false),
            ("*.created", "issue.created", true),
            ("*.created", "issue.created.x", false),
            ("*_alert.*", "metric_alert.critical", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "ba", false),
            ("issue.created", "issue.created", true),
            ("issue.created", "issue-created", false),
            ("issue.archived", "issue.ignored", true),
            ("issue.ignored", "issue.archived", true),
            ("issue.arch*", "issue.ignored", true),
            ("issue.archived", "issue.created", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(event_matches(pattern, event), expected, "{pattern} {event}");
        }
    }

    proptest! {
        #[test]
        fn a_text_matches_itself_with_any_run_starred(a in "[a-c.]{0,6}", b in "[a-c.]{0,6}", c in "[a-c.]{0,6}") {
            let star = format!("{a}*{c}");
            let text = format!("{a}{b}{c}");
            prop_assert!(glob(&star, &text));
        }

        #[test]
        fn the_pattern_means_what_its_definition_says(pattern in "[ab*]{0,7}", text in "[ab]{0,8}") {
            fn defined(pattern: &[u8], text: &[u8]) -> bool {
                match pattern.split_first() {
                    None => text.is_empty(),
                    Some((b'*', rest)) => (0..=text.len()).any(|eaten| defined(rest, &text[eaten..])),
                    Some((c, rest)) => text.first() == Some(c) && defined(rest, &text[1..]),
                }
            }
            prop_assert_eq!(glob(&pattern, &text), defined(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
