//! The value of a key in `when`: a value, a list, or an operator in braces.

use toml_edit::{InlineTable, Item, Value};

use super::super::key::Number;
use super::super::pattern::{Bound, Matcher, Pattern, Range};
use super::super::text::{Shape, TextPattern};
use super::{Compiler, Entry, Span, entries, type_name, type_name_of};
use crate::names;

const TEXT: [(&str, Shape); 3] = [("prefix", Shape::Prefix), ("suffix", Shape::Suffix), ("glob", Shape::Glob)];
const IGNORE_CASE: &str = "ignore_case";
const NUMERIC: [&str; 4] = ["gt", "gte", "lt", "lte"];
pub(super) const OPERATORS: [&str; 10] =
    ["prefix", "suffix", "glob", IGNORE_CASE, "not", "gt", "gte", "lt", "lte", "exists"];

/// What a key's values can be.
#[derive(Clone, Copy)]
pub(super) struct Takes<'k> {
    pub(super) key: &'k str,
    /// Numbers and truth values, too; else text only.
    pub(super) json: bool,
    /// A plain text is a glob: so it is for `event` alone.
    pub(super) stars: bool,
}

/// A text that a pattern compares with, for the check whether anything can ever match it.
pub(super) struct Compared {
    pub(super) matcher: Matcher,
    /// A text alone, and not an operator's.
    pub(super) plain: Option<String>,
    pub(super) at: Span,
    /// Inside `not`.
    pub(super) negated: bool,
}

impl Compiler<'_> {
    /// Reads a pattern; what it compares with is added to `compared`.
    pub(super) fn pattern(&mut self, value: &Value, takes: Takes<'_>, compared: &mut Vec<Compared>) -> Pattern {
        let mut pattern = Pattern::default();
        self.add(value, takes, compared, &mut pattern);
        pattern
    }

    fn add(&mut self, value: &Value, takes: Takes<'_>, compared: &mut Vec<Compared>, into: &mut Pattern) {
        match value {
            Value::Array(members) => {
                if members.is_empty() {
                    self.mistake(value.span(), "an empty list matches nothing");
                }
                for member in members {
                    if member.is_array() {
                        let help = "where the payload's value is a list, one member that matches is enough";
                        self.mistake_with_help(member.span(), "a list in a list matches nothing", help);
                    } else {
                        self.add(member, takes, compared, into);
                    }
                }
            }
            Value::InlineTable(table) => self.operator(table, value.span(), takes, compared, into),
            Value::String(text) => {
                let shape = if takes.stars { Shape::Glob } else { Shape::Whole };
                let matcher = Matcher::Text(TextPattern::new(shape, text.value(), false));
                let plain = Some(text.value().clone());
                compared.push(Compared { matcher: matcher.clone(), plain, at: value.span(), negated: false });
                into.matchers.push(matcher);
            }
            _ if !takes.json => {
                let found = type_name_of(value);
                let shown = self.source.slice(value.span()).to_owned();
                let message = format!("`{}` is text, which {found} never matches", takes.key);
                self.mistake_with_help(value.span(), message, format!("did you mean `\"{shown}\"`?"));
            }
            Value::Boolean(truth) => into.matchers.push(Matcher::Bool(*truth.value())),
            Value::Integer(_) | Value::Float(_) => into.matchers.extend(self.number_of(value).map(Matcher::Number)),
            Value::Datetime(_) => {
                let message = "a date never matches: JSON has none";
                self.mistake_with_help(value.span(), message, "Sentry's times are text: put it into quotes");
            }
        }
    }

    /// `{ prefix = "x" }` and its like: of one kind at a time.
    fn operator(
        &mut self,
        table: &InlineTable,
        at: Span,
        takes: Takes<'_>,
        compared: &mut Vec<Compared>,
        into: &mut Pattern,
    ) {
        let entries = entries(table);
        let mistakes_before = self.mistakes.len();
        for entry in entries.iter().filter(|entry| !OPERATORS.contains(&entry.key.as_str())) {
            let help = match names::likely(&entry.key, OPERATORS) {
                Some(operator) => format!("did you mean `{operator}`?"),
                None => format!("the operators are {}", names::listed(OPERATORS)),
            };
            self.mistake_with_help(entry.at.clone(), format!("unknown operator `{}`", entry.key), help);
        }
        if self.mistakes.len() > mistakes_before {
            return;
        }
        let Some(first) = entries.first() else {
            let help = format!("the operators are {}", names::listed(OPERATORS));
            self.mistake_with_help(at, "braces without an operator", help);
            return;
        };
        let group = |key: &str| match key {
            "not" => 0,
            "exists" => 1,
            key if NUMERIC.contains(&key) => 2,
            _ => 3,
        };
        if let Some(other) = entries.iter().find(|entry| group(&entry.key) != group(&first.key)) {
            let message = format!("`{}` beside `{}`: one operator at a time", other.key, first.key);
            let help = "a list takes any of several; `any` and further keys combine them";
            self.mistake_with_help(other.at.clone(), message, help);
            return;
        }
        match group(&first.key) {
            0 => self.not(first, takes, compared, into),
            1 => match first.item.as_bool() {
                Some(true) => into.present = true,
                Some(false) => into.absent = true,
                None => self.wrong_type(first, "`true` or `false`"),
            },
            2 => self.range(&entries, at, takes, into),
            _ => self.text_operator(&entries, at, compared, into),
        }
    }

    fn not(&mut self, entry: &Entry<'_>, takes: Takes<'_>, compared: &mut Vec<Compared>, into: &mut Pattern) {
        let Item::Value(value) = entry.item else { return };
        let mut inner = Vec::new();
        let pattern = self.pattern(value, takes, &mut inner);
        if pattern.present {
            let message = "this never matches: `not` asks for a key that is there";
            self.mistake_with_help(entry.value_at(), message, "did you mean `{ exists = false }`?");
        }
        compared.extend(inner.into_iter().map(|compared| Compared { negated: !compared.negated, ..compared }));
        into.not.push(pattern);
    }

    fn range(&mut self, entries: &[Entry<'_>], at: Span, takes: Takes<'_>, into: &mut Pattern) {
        if !takes.json {
            let message = format!("`{}` is text, which is neither less nor more than a number", takes.key);
            self.mistake(at, message);
            return;
        }
        let mut range = Range::default();
        for entry in entries {
            let Some(number) = entry.item.as_value().and_then(|value| self.number_of(value)) else { continue };
            let bound = Some(Bound { number, included: entry.key.ends_with('e') });
            let place = if entry.key.starts_with('g') { &mut range.low } else { &mut range.high };
            if place.is_some() {
                let message = format!("a second bound on the same side: `{}`", entry.key);
                self.mistake_with_help(
                    entry.at.clone(),
                    message,
                    "a range has one of `gt`, `gte` and one of `lt`, `lte`",
                );
            }
            *place = bound;
        }
        if range.is_empty() {
            self.mistake(at, "no number is in this range");
        }
        into.matchers.push(Matcher::Range(range));
    }

    fn number_of(&mut self, value: &Value) -> Option<Number> {
        match value {
            Value::Integer(number) => Some(Number::Whole((*number.value()).into())),
            Value::Float(number) if number.value().is_finite() => Some(Number::Float(*number.value())),
            Value::Float(_) => {
                self.mistake(value.span(), "JSON has no such number");
                None
            }
            other => {
                let message = format!("a bound is a number, not {}", type_name_of(other));
                self.mistake(other.span(), message);
                None
            }
        }
    }

    /// `prefix`, `suffix`, `glob` or `ignore_case` with a text, or `ignore_case = true` beside one of the others.
    fn text_operator(&mut self, entries: &[Entry<'_>], at: Span, compared: &mut Vec<Compared>, into: &mut Pattern) {
        let ignore_case = entries.iter().find(|entry| entry.key == IGNORE_CASE);
        let mut shaped = entries
            .iter()
            .filter_map(|entry| TEXT.iter().find(|(name, _)| *name == entry.key).map(|(_, shape)| (entry, *shape)));
        let (entry, shape) = match (shaped.next(), ignore_case) {
            (Some(found), _) => found,
            (None, Some(entry)) if entry.item.as_bool().is_some() => {
                let help = "for example `{ ignore_case = \"x\" }`, or `{ prefix = \"x\", ignore_case = true }`";
                self.mistake_with_help(at, "`ignore_case` without a text", help);
                return;
            }
            (None, Some(entry)) => (entry, Shape::Whole),
            (None, None) => return,
        };
        if let Some((other, _)) = shaped.next() {
            let message = format!("`{}` beside `{}`: one operator at a time", other.key, entry.key);
            self.mistake_with_help(other.at.clone(), message, "a `glob` can say both: `a*z`");
            return;
        }
        let folds = match ignore_case {
            Some(own) if own.key == entry.key => true,
            Some(flag) => {
                if flag.item.as_bool().is_none() {
                    self.wrong_type(flag, &format!("`true` or `false` beside `{}`", entry.key));
                }
                flag.item.as_bool().unwrap_or_default()
            }
            None => false,
        };
        let Some(text) = entry.item.as_str() else {
            self.wrong_type(entry, "text");
            return;
        };
        if text.is_empty() && shape != Shape::Whole {
            let message = format!("`{}` is empty", entry.key);
            self.mistake_with_help(entry.value_at(), message, "`{ exists = true }` takes any value");
            return;
        }
        let matcher = Matcher::Text(TextPattern::new(shape, text, folds));
        compared.push(Compared { matcher: matcher.clone(), plain: None, at, negated: false });
        into.matchers.push(matcher);
    }

    fn wrong_type(&mut self, entry: &Entry<'_>, wanted: &str) {
        let message = format!("`{}` is {wanted}, not {}", entry.key, type_name(entry.item));
        self.mistake(entry.value_at(), message);
    }
}
