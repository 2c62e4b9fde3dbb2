//! What a pattern can ask for: keys of the normalized event, tags, and paths into the raw payload.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

use super::decide::LookedUp;
use super::known;
use crate::normalized::Normalized;

/// An event, and what is known of it.
#[derive(Clone, Copy)]
pub(super) struct Subject<'e> {
    pub(super) event: &'e Normalized,
    /// The whole body: what `data.` paths lead into.
    pub(super) raw: &'e Value,
    pub(super) looked_up: LookedUp,
}

/// A key of `when` or `unless`.
#[derive(Debug, Clone)]
pub(super) enum Key {
    Named(&'static Named),
    /// `tag.NAME`; a name may hold dots.
    Tag(Box<str>),
    /// `data.a.b`: the steps from the body's root, `data` first.
    Data(Box<[Step]>),
}

/// A key of the normalized event that goes by its own name.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: &'static str,
    /// All others are text.
    pub(super) is_number: bool,
    values: for<'e> fn(&'e Normalized) -> Values<'e>,
    look_up: LookUpTells,
    /// The resources whose events can have it at all; `None`: all.
    pub(super) on: Option<&'static [&'static str]>,
}

/// What a look-up of the issue tells of a key.
#[derive(Debug, Clone, Copy)]
enum LookUpTells {
    Nothing,
    WhatIsAbsent,
    /// The level, of resources that have one.
    Level,
    /// Slug and name: either may be missing while the other is there.
    Project,
}

/// All values of a key; one that matches is enough.
#[derive(Default)]
struct Values<'e> {
    few: [Option<&'e str>; 2],
    more: &'e [String],
    number: Option<u64>,
}

/// One step of a path: a member by its name, and of an array by its number.
#[derive(Debug, Clone)]
pub(super) struct Step {
    name: Box<str>,
    index: Option<usize>,
}

/// One value to compare with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Datum<'e> {
    Text(&'e str),
    Number(Number),
    Bool(bool),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Whole(i128),
    Float(f64),
}

/// What a search among the values of a key came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    /// There is no value; JSON `null` is none.
    Absent,
    Present,
    Match,
}

const ABOUT_AN_ISSUE: &[&str] = &["issue", "error", "event_alert", "activity_alert", "seer", "comment"];
const OF_EVENTS: &[&str] = &["error", "event_alert"];
const OF_ISSUES: &[&str] = &["issue", "activity_alert"];

/// The keys, one line each. A field of [`Normalized`] without a line here fails a test.
pub(super) static NAMED: &[Named] = &[
    Named::new("event", |event| Values::both_names(&event.event, known::ARCHIVED.1, known::ARCHIVED.0)),
    Named::new("resource", |event| Values::one(Some(&event.resource))),
    Named::new("action", |event| match event.event.as_str() {
        "issue.ignored" => Values::both_names(&event.action, "ignored", "archived"),
        _ => Values::one(Some(&event.action)),
    }),
    Named::new("installation", |event| Values::one(Some(&event.installation))),
    Named::new("organization", |event| Values::one(event.organization.as_ref())).looked_up(LookUpTells::WhatIsAbsent),
    Named::new("project", |event| Values::of_projects(event)).looked_up(LookUpTells::Project),
    Named::new("level", |event| Values::one(event.level.as_ref())).looked_up(LookUpTells::Level).on(&[
        "issue",
        "error",
        "event_alert",
        "activity_alert",
        "switchboard",
    ]),
    Named::new("environment", |event| Values::one(event.environment.as_ref())).on(OF_EVENTS),
    Named::new("platform", |event| Values::one(event.platform.as_ref())).looked_up(LookUpTells::WhatIsAbsent).on(&[
        "issue",
        "error",
        "event_alert",
        "activity_alert",
        "seer",
        "comment",
        "preprod_artifact",
    ]),
    Named::new("release", |event| Values::one(event.release.as_ref())).on(&[
        "error",
        "event_alert",
        "preprod_artifact",
    ]),
    Named::new("title", |event| Values::one(event.title.as_ref())).looked_up(LookUpTells::WhatIsAbsent),
    Named::new("culprit", |event| Values::one(event.culprit.as_ref()))
        .looked_up(LookUpTells::WhatIsAbsent)
        .on(ABOUT_AN_ISSUE),
    Named::new("value", |event| Values::one(event.value.as_ref())).looked_up(LookUpTells::WhatIsAbsent),
    Named::new("issue", |event| Values::one(event.issue.as_ref())).on(&[
        "issue",
        "error",
        "event_alert",
        "activity_alert",
        "seer",
        "comment",
        "switchboard",
    ]),
    Named::new("short_id", |event| Values::one(event.short_id.as_ref()))
        .looked_up(LookUpTells::WhatIsAbsent)
        .on(ABOUT_AN_ISSUE),
    Named::new("status", |event| Values::one(event.status.as_ref())).on(&[
        "issue",
        "activity_alert",
        "preprod_artifact",
    ]),
    Named::new("substatus", |event| Values::one(event.substatus.as_ref())).on(OF_ISSUES),
    Named::new("assignee", |event| Values::one(event.assignee.as_ref())).on(OF_ISSUES),
    Named::number("count", |event| Values::number(event.count)).on(&["issue", "activity_alert", "switchboard"]),
    Named::number("users", |event| Values::number(event.users)).on(OF_ISSUES),
    Named::new("first_seen", |event| Values::one(event.first_seen.as_ref())).looked_up(LookUpTells::WhatIsAbsent),
    Named::new("rule", |event| Values::one(event.rule.as_ref())).on(&["event_alert", "metric_alert", "activity_alert"]),
    Named::new("actor", |event| Values::one(event.actor.as_ref())),
    Named::new("url", |event| Values::one(event.url.as_ref())).looked_up(LookUpTells::WhatIsAbsent),
    Named::new("destination", |event| Values::one(event.destination.as_ref())).on(&["switchboard"]),
];

/// What comes before a tag's name, and before a path.
pub(super) const TAG: &str = "tag.";
pub(super) const DATA: &str = "data";

impl Named {
    const fn new(name: &'static str, values: for<'e> fn(&'e Normalized) -> Values<'e>) -> Self {
        Self { name, is_number: false, values, look_up: LookUpTells::Nothing, on: None }
    }

    const fn number(name: &'static str, values: for<'e> fn(&'e Normalized) -> Values<'e>) -> Self {
        Self { is_number: true, ..Self::new(name, values) }
    }

    const fn looked_up(self, look_up: LookUpTells) -> Self {
        Self { look_up, ..self }
    }

    const fn on(self, resources: &'static [&'static str]) -> Self {
        Self { on: Some(resources), ..self }
    }
}

impl<'e> Values<'e> {
    fn one(value: Option<&'e String>) -> Self {
        Self { few: [value.map(String::as_str), None], ..Self::default() }
    }

    fn number(number: Option<u64>) -> Self {
        Self { number, ..Self::default() }
    }

    /// What goes by two names has both.
    fn both_names(value: &'e str, name: &str, other: &'static str) -> Self {
        Self { few: [Some(value), (value == name).then_some(other)], ..Self::default() }
    }

    fn of_projects(event: &'e Normalized) -> Self {
        let project = event.project.as_ref();
        let slug = project.and_then(|project| project.slug.as_deref());
        let name = project.and_then(|project| project.name.as_deref());
        Self { few: [slug, name], more: &event.more_projects, number: None }
    }

    fn iter(&self) -> impl Iterator<Item = Datum<'e>> {
        let texts = self.few.into_iter().flatten().chain(self.more.iter().map(String::as_str)).map(Datum::Text);
        texts.chain(self.number.map(|number| Datum::Number(Number::Whole(number.into()))))
    }
}

impl Key {
    /// The key of this name; `None` if there is none.
    pub(super) fn parse(name: &str) -> Option<Self> {
        if let Some(tag) = name.strip_prefix(TAG) {
            return (!tag.is_empty()).then(|| Self::Tag(tag.into()));
        }
        if name.split('.').next() == Some(DATA) {
            let steps: Box<[Step]> =
                name.split('.').map(|name| Step { name: name.into(), index: name.parse().ok() }).collect();
            return (steps.len() > 1 && steps.iter().all(|step| !step.name.is_empty())).then_some(Self::Data(steps));
        }
        NAMED.iter().find(|named| named.name == name).map(Self::Named)
    }

    pub(super) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Named(named) if named.name == name)
    }

    /// Whether it can be a number or a truth value.
    pub(super) fn is_json(&self) -> bool {
        match self {
            Self::Named(named) => named.is_number,
            Self::Tag(_) => false,
            Self::Data(_) => true,
        }
    }

    /// The resources whose events can have it; `None`: any, or nobody knows.
    pub(super) fn on(&self) -> Option<&'static [&'static str]> {
        match self {
            Self::Named(named) => named.on,
            Self::Tag(_) => Some(OF_EVENTS),
            Self::Data(_) => None,
        }
    }

    /// Asks `is_match` for each value, until one is.
    pub(super) fn find(&self, subject: Subject<'_>, is_match: &mut dyn FnMut(Datum<'_>) -> bool) -> Found {
        match self {
            Self::Named(named) => {
                let mut found = Found::Absent;
                for value in (named.values)(subject.event).iter() {
                    if is_match(value) {
                        return Found::Match;
                    }
                    found = Found::Present;
                }
                found
            }
            Self::Tag(name) => match subject.event.tags.get(&**name) {
                Some(value) if is_match(Datum::Text(value)) => Found::Match,
                Some(_) => Found::Present,
                None => Found::Absent,
            },
            Self::Data(steps) => walk(subject.raw, steps, is_match),
        }
    }

    /// Whether a look-up of the issue that is still to come may tell another value.
    pub(super) fn may_be_told(&self, subject: Subject<'_>) -> bool {
        let Self::Named(named) = self else { return false };
        let event = subject.event;
        if subject.looked_up != LookedUp::No || !event.can_be_looked_up() {
            return false;
        }
        let is_absent = || (named.values)(event).iter().next().is_none();
        match named.look_up {
            LookUpTells::Nothing => false,
            LookUpTells::WhatIsAbsent => is_absent(),
            LookUpTells::Level => event.has_level() && is_absent(),
            LookUpTells::Project => {
                event.project.as_ref().is_none_or(|known| known.slug.is_none() || known.name.is_none())
            }
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(named) => f.write_str(named.name),
            Self::Tag(name) => write!(f, "{TAG}{name}"),
            Self::Data(steps) => {
                let names: Vec<&str> = steps.iter().map(|step| &*step.name).collect();
                f.write_str(&names.join("."))
            }
        }
    }
}

/// On an array, a number is the member's place; any other step goes into each member. What stands at the end may be
/// an array itself, also one of arrays: then each member is a value.
fn walk(value: &Value, steps: &[Step], is_match: &mut dyn FnMut(Datum<'_>) -> bool) -> Found {
    match (value, steps) {
        (Value::Null, _) => Found::Absent,
        (Value::Array(members), []) => {
            let is_hit = members.iter().any(|member| walk(member, steps, is_match) == Found::Match);
            if is_hit { Found::Match } else { Found::Present }
        }
        (Value::Object(_), []) => Found::Present,
        (leaf, []) => match Datum::of(leaf) {
            Some(datum) if is_match(datum) => Found::Match,
            _ => Found::Present,
        },
        (Value::Object(object), [step, rest @ ..]) => {
            object.get(&*step.name).map_or(Found::Absent, |value| walk(value, rest, is_match))
        }
        (Value::Array(members), [Step { index: Some(index), .. }, rest @ ..]) => {
            members.get(*index).map_or(Found::Absent, |value| walk(value, rest, is_match))
        }
        (Value::Array(members), _) => {
            let mut found = Found::Absent;
            for member in members {
                found = found.max(walk(member, steps, is_match));
                if found == Found::Match {
                    break;
                }
            }
            found
        }
        _ => Found::Absent,
    }
}

impl<'e> Datum<'e> {
    fn of(value: &'e Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text)),
            Value::Bool(truth) => Some(Self::Bool(*truth)),
            Value::Number(number) => {
                let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                Some(Self::Number(
                    whole.map_or_else(|| Number::Float(number.as_f64().unwrap_or(f64::NAN)), Number::Whole),
                ))
            }
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

impl fmt::Display for Datum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bool(truth) => truth.fmt(f),
            Self::Number(Number::Whole(number)) => number.fmt(f),
            Self::Number(Number::Float(number)) => number.fmt(f),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Number {
    /// Whole numbers exactly, whatever their size.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        #[expect(clippy::cast_precision_loss, reason = "beside a float, a float's precision is all there is")]
        let float = |number: Self| match number {
            Self::Whole(whole) => whole as f64,
            Self::Float(float) => float,
        };
        match (*self, *other) {
            (Self::Whole(own), Self::Whole(other)) => Some(own.cmp(&other)),
            (own, other) => float(own).partial_cmp(&float(other)),
        }
    }
}
