//! `when` and `unless`: tables of keys and patterns.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use toml_edit::{Item, TableLike, Value};

use super::super::key::{DATA, Key, NAMED, Subject, TAG};
use super::super::known;
use super::super::pattern::{Condition, Matcher, Pattern, Verdict, When};
use super::pattern::{Compared, OPERATORS, Takes};
use super::{Compiler, Entry, Span, type_name};
use crate::names;
use crate::normalized::Normalized;
use crate::routing::LookedUp;

const ANY: &str = "any";
/// Of a pattern, this much is kept for `routes test` to show.
const SHOWN_CHARS: usize = 100;

impl Compiler<'_> {
    /// `of` is `when` or `unless`.
    pub(super) fn when(&mut self, entry: &Entry<'_>, of: &str) -> When {
        let Some(table) = entry.item.as_table_like() else {
            let message = format!("`{of}` is a table of keys, not {}", type_name(entry.item));
            let help = format!("for example `{of} = {{ event = \"issue.created\" }}`");
            self.mistake_with_help(entry.value_at(), message, help);
            return When::default();
        };
        self.table(table, None)
    }

    /// `events`: the pattern of `event` that holds for it from outside.
    fn table(&mut self, table: &dyn TableLike, events: Option<&Condition>) -> When {
        let mut when = When::default();
        let mut places: Vec<Span> = Vec::new();
        let mut any = None;
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        for entry in keys(table) {
            if let Some(line) = lines.get(&entry.key) {
                let mistake = self.source.mistake(entry.at.clone(), format!("`{}` a second time", entry.key));
                self.mistakes.push(mistake.help(format!("the first is in line {line}")));
                continue;
            }
            lines.insert(entry.key.clone(), self.source.line(entry.at.clone()));
            if entry.key == ANY {
                any = Some(entry);
            } else if let Some(condition) = self.condition(&entry) {
                when.conditions.push(condition);
                places.push(entry.at.clone());
            }
        }
        let own_events = when.conditions.iter().find(|condition| condition.key.is("event")).cloned();
        let events = own_events.as_ref().or(events);
        for (condition, at) in when.conditions.iter().zip(places) {
            self.asked_in_vain(condition, events, at);
        }
        if let Some(any) = any {
            when.any = self.any(&any, events);
        }
        when
    }

    fn condition(&mut self, entry: &Entry<'_>) -> Option<Condition> {
        let Some(key) = Key::parse(&entry.key) else {
            self.unknown_pattern_key(entry);
            return None;
        };
        let Item::Value(value) = entry.item else {
            // Not reached by any text: what is no value was taken apart into keys, or is a list of tables.
            let help = "put the patterns into one list: `[\"a\", { prefix = \"b\" }]`";
            self.mistake_with_help(entry.at.clone(), format!("`{}` is no list of tables", entry.key), help);
            return None;
        };
        let mut compared = Vec::new();
        let takes = Takes { key: &entry.key, json: key.is_json(), stars: key.is("event") };
        let pattern = self.pattern(value, takes, &mut compared);
        for compared in compared {
            self.can_ever_match(&key, compared);
        }
        let text = self.source.slice(value.span()).split_whitespace().collect::<Vec<_>>().join(" ");
        let text: String = if text.chars().count() > SHOWN_CHARS {
            text.chars().take(SHOWN_CHARS).chain(['…']).collect()
        } else {
            text
        };
        Some(Condition { key, pattern, text: text.into() })
    }

    pub(super) fn unknown_pattern_key(&mut self, entry: &Entry<'_>) {
        let message = format!("unknown key `{}`", entry.key);
        let names = || NAMED.iter().map(|named| named.name).chain([ANY]);
        let first = entry.key.split('.').next().unwrap_or_default();
        let help = if entry.key == DATA || entry.key.starts_with("data.") {
            "a path is names between dots: `data.issue.status`".to_owned()
        } else if first == "tag" || first == "tags" {
            format!("a tag is `{TAG}NAME`")
        } else if OPERATORS.contains(&entry.key.as_str()) {
            format!("an operator stands in braces behind a key: `level = {{ {} = … }}`", entry.key)
        } else if let Some(name) = names::likely(&entry.key, names()) {
            format!("did you mean `{name}`?")
        } else if names::likely(first, [DATA]).is_some() && entry.key.contains('.') {
            format!("did you mean `{DATA}{}`?", &entry.key[first.len()..])
        } else if entry.key.contains('.') && names().any(|name| name == first) {
            format!(
                "`{first}` is text and has nothing below it; an operator stands in braces: `{first} = {{ prefix = … }}`"
            )
        } else {
            format!("the keys are {}; `{TAG}NAME`, and paths that begin with `{DATA}.`", names::listed(names()))
        };
        self.mistake_with_help(entry.at.clone(), message, help);
    }

    fn any(&mut self, entry: &Entry<'_>, events: Option<&Condition>) -> Vec<When> {
        let tables: Option<Vec<&dyn TableLike>> = match entry.item {
            Item::ArrayOfTables(tables) => Some(tables.iter().map(|table| table as &dyn TableLike).collect()),
            Item::Value(Value::Array(members)) => {
                members.iter().map(|member| member.as_inline_table().map(|table| table as &dyn TableLike)).collect()
            }
            _ => None,
        };
        let Some(tables) = tables else {
            let help = "for example `any = [{ level = \"fatal\" }, { tag.tier = \"1\" }]`";
            self.mistake_with_help(entry.value_at(), "`any` is a list of tables", help);
            return Vec::new();
        };
        if tables.is_empty() {
            self.mistake(entry.value_at(), "an empty `any` matches nothing");
        }
        tables.into_iter().map(|table| self.table(table, events)).collect()
    }

    /// What is compared with an event or a level must be one that there is.
    fn can_ever_match(&mut self, key: &Key, compared: Compared) {
        let Compared { matcher, plain, at, negated } = compared;
        if key.is("level") {
            match plain {
                Some(level) => self.level(&level, at),
                None if !known::LEVELS.iter().any(|level| matches(&matcher, level)) => {
                    let help = format!("the levels are {}", names::listed(known::LEVELS.iter().copied()));
                    self.mistake_with_help(at, "no level matches this", help);
                }
                None => {}
            }
        } else if key.is("event") {
            let is_known = known::EVENTS.iter().chain([&known::ARCHIVED.0]).any(|event| matches(&matcher, event));
            if is_known {
                return;
            }
            let shown = plain.as_ref().map_or("nothing that is known today matches this".to_owned(), |pattern| {
                format!("unknown event `{pattern}`: nothing that is known today matches")
            });
            match plain.as_deref().and_then(likely_event) {
                // A name near a known one is a slip; any other may be an event of a newer Sentry.
                Some(likely) => {
                    let message = format!("unknown event `{}`", plain.unwrap_or_default());
                    self.mistake_with_help(at, message, format!("did you mean `{likely}`?"));
                }
                None if negated => {}
                None => {
                    let warning = self.source.mistake(at, shown);
                    self.warnings.push(warning.help("it is taken, in case a newer Sentry sends it").warning());
                }
            }
        }
    }

    pub(super) fn level(&mut self, level: &str, at: Span) {
        if known::LEVELS.contains(&level) {
            return;
        }
        let levels = known::LEVELS.iter().copied();
        let help = match names::likely(level, levels.clone()) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => format!("the levels are {}", names::listed(levels)),
        };
        self.mistake_with_help(at, format!("unknown level `{level}`"), help);
    }

    /// A key that no event of the route ever has.
    fn asked_in_vain(&mut self, condition: &Condition, events: Option<&Condition>, at: Span) {
        let (Some(events), Some(resources)) = (events, condition.key.on()) else { return };
        if condition.pattern.matches_absence() {
            return;
        }
        let has = |event: &&str| resources.contains(&known::resource(event));
        // Each member of the list was meant; one with a star means whatever has the key.
        let members = events
            .pattern
            .matchers
            .iter()
            .map(|matcher| Pattern { matchers: vec![matcher.clone()], ..Pattern::default() });
        let rest = Pattern { matchers: Vec::new(), ..events.pattern.clone() };
        let mut vain: Vec<&str> = Vec::new();
        for member in members.chain([rest]) {
            let taken: Vec<&str> = known::EVENTS.iter().copied().filter(|event| takes_event(&member, event)).collect();
            if !taken.iter().any(has) {
                vain.extend(taken.into_iter().map(known::resource));
            }
        }
        vain.sort_unstable();
        vain.dedup();
        if vain.is_empty() {
            return;
        }
        let key = &condition.key;
        let message = format!("events of {} never have `{key}`: so this never matches there", names::listed(vain));
        let help = format!("only events of {} can have it", names::listed(resources.iter().copied()));
        self.warnings.push(self.source.mistake(at, message).help(help).warning());
    }
}

fn matches(matcher: &Matcher, text: &str) -> bool {
    Pattern { matchers: vec![matcher.clone()], ..Pattern::default() }.matches_text(text)
}

/// Whether a pattern of `event` takes the event of this name.
fn takes_event(pattern: &Pattern, event: &str) -> bool {
    let event = Normalized { event: event.to_owned(), ..Normalized::default() };
    let subject = Subject { event: &event, raw: &Json::Null, looked_up: LookedUp::Yes };
    let Some(key) = Key::parse("event") else { return false };
    Condition { key, pattern: pattern.clone(), text: "".into() }.verdict(subject) == Verdict::Yes
}

/// The keys of a pattern's table: everything up to the value is one key, however TOML nests it, and only what stands
/// in braces is a value.
pub(super) fn keys(table: &dyn TableLike) -> Vec<Entry<'_>> {
    fn collect<'t>(table: &'t dyn TableLike, before: Option<(&str, &Span)>, into: &mut Vec<Entry<'t>>) {
        for (name, item) in table.iter() {
            let own = table.key(name).and_then(toml_edit::Key::span);
            let (key, at) = match before {
                None => (name.to_owned(), own),
                Some((before, begun)) => {
                    let at = match (begun, &own) {
                        // `tag.browser.name` is underlined as a whole; with a header of its own, the parts lie apart.
                        (Some(begun), Some(own)) if begun.start < own.start => Some(begun.start..own.end),
                        _ => own,
                    };
                    (format!("{before}.{name}"), at)
                }
            };
            match item {
                Item::Table(inner) => {
                    let begun = if inner.is_dotted() { at } else { None };
                    collect(inner, Some((&key, &begun)), into);
                }
                Item::Value(Value::InlineTable(inner)) if inner.is_dotted() => collect(inner, Some((&key, &at)), into),
                _ => into.push(Entry { key, at, item }),
            }
        }
    }
    let mut all = Vec::new();
    collect(table, None, &mut all);
    all
}

/// The event, or with a star the resource, that was likely meant.
fn likely_event(pattern: &str) -> Option<String> {
    let events = known::EVENTS.iter().copied().chain([known::ARCHIVED.0]);
    let resources = known::EVENTS.iter().map(|event| known::resource(event));
    match pattern.split_once('.') {
        Some((resource, "*")) => names::likely(resource, resources).map(|resource| format!("{resource}.*")),
        Some(_) if !pattern.contains('*') => names::likely(pattern, events).map(str::to_owned),
        // A resource alone, or one that is another's name for it, such as `issue_alert`.
        None if known::EVENTS.iter().any(|event| known::resource(event) == pattern) => Some(format!("{pattern}.*")),
        _ => None,
    }
}
