//! `when` and `unless`: which events a route takes.
//!
//! As long as a look-up of the issue may tell more, a pattern has three answers. They are combined as Kleene does:
//! what is `Yes` or `No` now stays so whatever the look-up tells.

use super::key::{Datum, Found, Key, Number, Subject};
use super::known;
use super::text::{Shape, TextPattern};

/// A table of keys. All must match, and of its `any` at least one.
#[derive(Debug, Clone, Default)]
pub(super) struct When {
    pub(super) conditions: Vec<Condition>,
    /// Empty where the table has no `any`.
    pub(super) any: Vec<When>,
}

/// One key and what its value must be.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) key: Key,
    pub(super) pattern: Pattern,
    /// The pattern as the file has it.
    pub(super) text: Box<str>,
}

/// A value, an operator or a list of them: any of these.
#[derive(Debug, Clone, Default)]
pub(super) struct Pattern {
    pub(super) matchers: Vec<Matcher>,
    /// `{ not = P }`
    pub(super) not: Vec<Pattern>,
    /// `{ exists = true }`
    pub(super) present: bool,
    /// `{ exists = false }`
    pub(super) absent: bool,
}

/// The pattern of a `[[stacktrace_link]]`: which projects it is for, by their slugs.
#[derive(Debug, Clone)]
pub struct ProjectPattern(Pattern);

impl ProjectPattern {
    /// Of what `Compiler::pattern` has read.
    pub(super) fn new(pattern: Pattern) -> Self {
        Self(pattern)
    }

    /// The one project of this slug.
    pub fn slug(slug: &str) -> Self {
        let matchers = vec![Matcher::Text(TextPattern::new(Shape::Whole, slug, false))];
        Self(Pattern { matchers, ..Pattern::default() })
    }

    /// Whether it is for the project of this slug.
    pub fn matches(&self, slug: &str) -> bool {
        self.0.matches_text(slug)
    }
}

/// What one value of a key is compared with.
#[derive(Debug, Clone)]
pub(super) enum Matcher {
    Text(TextPattern),
    Number(Number),
    Bool(bool),
    Range(Range),
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Range {
    pub(super) low: Option<Bound>,
    pub(super) high: Option<Bound>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) number: Number,
    pub(super) included: bool,
}

/// Whether something matches, as far as it can be told yet. In this order "and" is the least, "or" the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    No,
    /// It hangs on what a look-up of the issue can tell.
    Unknown,
    Yes,
}

impl Verdict {
    pub(super) fn negated(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
            Self::Yes => Self::No,
        }
    }
}

impl When {
    pub(super) fn verdict(&self, subject: Subject<'_>) -> Verdict {
        let mut verdict = Verdict::Yes;
        for condition in &self.conditions {
            match condition.verdict(subject) {
                Verdict::No => return Verdict::No,
                other => verdict = verdict.min(other),
            }
        }
        if self.any.is_empty() { verdict } else { verdict.min(self.any_verdict(subject)) }
    }

    fn any_verdict(&self, subject: Subject<'_>) -> Verdict {
        let mut verdict = Verdict::No;
        for table in &self.any {
            match table.verdict(subject) {
                Verdict::Yes => return Verdict::Yes,
                other => verdict = verdict.max(other),
            }
        }
        verdict
    }

    /// Whether it takes every event there is.
    pub(super) fn takes_everything(&self) -> bool {
        // A name that no pattern but a star takes.
        let is_any_event = |condition: &Condition| condition.key.is("event") && condition.pattern.matches_text("\0.\0");
        self.any.is_empty() && self.conditions.iter().all(is_any_event)
    }

    /// Whether it takes events of organizations that it names, or the bundle's own, and of no others.
    pub(super) fn is_closed_to_strangers(&self) -> bool {
        let closes = |condition: &Condition| match &condition.key {
            key if key.is("organization") => condition.pattern.is_all(TextPattern::is_whole),
            key if key.is("event") => condition.pattern.is_all(|text| text.begins_with(known::OWN)),
            _ => false,
        };
        self.conditions.iter().any(closes) || !self.any.is_empty() && self.any.iter().all(Self::is_closed_to_strangers)
    }
}

impl Condition {
    pub(super) fn verdict(&self, subject: Subject<'_>) -> Verdict {
        self.pattern.verdict(&self.key, subject)
    }
}

impl Pattern {
    fn verdict(&self, key: &Key, subject: Subject<'_>) -> Verdict {
        let found = key.find(subject, &mut |datum| self.has(datum));
        if found == Found::Match {
            return Verdict::Yes;
        }
        let may_be_told = key.may_be_told(subject);
        let unless_told = if may_be_told { Verdict::Unknown } else { Verdict::No };
        let present = if found == Found::Absent { unless_told } else { Verdict::Yes };
        let mut verdict = if self.matchers.is_empty() { Verdict::No } else { unless_told };
        if self.present {
            verdict = verdict.max(present);
        }
        if self.absent {
            verdict = verdict.max(present.negated());
        }
        for not in &self.not {
            verdict = verdict.max(present.min(not.verdict(key, subject).negated()));
        }
        verdict
    }

    /// Whether a value alone decides: one that is there and matches.
    pub(super) fn has(&self, datum: Datum<'_>) -> bool {
        self.matchers.iter().any(|matcher| matcher.matches(datum))
    }

    /// Whether it matches a key that has this one value.
    pub(super) fn matches_text(&self, text: &str) -> bool {
        self.has(Datum::Text(text)) || self.present || self.not.iter().any(|not| !not.matches_text(text))
    }

    /// The texts that it matches, if it matches nothing else.
    pub(super) fn whole_texts(&self) -> Option<Vec<&str>> {
        fn exact(matcher: &Matcher) -> Option<&str> {
            if let Matcher::Text(text) = matcher { text.exact() } else { None }
        }
        let is_alone = !self.present && !self.absent && self.not.is_empty();
        is_alone.then(|| self.matchers.iter().map(exact).collect()).flatten()
    }

    /// Whether nothing matches but texts of this kind.
    fn is_all(&self, kind: impl Fn(&TextPattern) -> bool) -> bool {
        let is_kind = |matcher: &Matcher| matches!(matcher, Matcher::Text(text) if kind(text));
        !self.present && !self.absent && self.not.is_empty() && self.matchers.iter().all(is_kind)
    }

    /// Whether it matches a key that is absent.
    pub(super) fn matches_absence(&self) -> bool {
        self.absent
    }
}

impl Matcher {
    fn matches(&self, datum: Datum<'_>) -> bool {
        match (self, datum) {
            (Self::Text(pattern), Datum::Text(text)) => pattern.matches(text),
            (Self::Number(own), Datum::Number(number)) => *own == number,
            (Self::Range(range), Datum::Number(number)) => range.contains(number),
            (Self::Bool(own), Datum::Bool(truth)) => *own == truth,
            _ => false,
        }
    }
}

impl Range {
    fn contains(&self, number: Number) -> bool {
        let above = self.low.is_none_or(|low| number > low.number || low.included && number == low.number);
        let below = self.high.is_none_or(|high| number < high.number || high.included && number == high.number);
        above && below
    }

    /// Whether no number can be in it.
    pub(super) fn is_empty(&self) -> bool {
        let (Some(low), Some(high)) = (self.low, self.high) else { return false };
        low.number > high.number || low.number == high.number && !(low.included && high.included)
    }
}
