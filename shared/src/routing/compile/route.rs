//! `[[route]]`.

use toml_edit::{Item, Value};

use super::super::mistake::Mistake;
use super::super::pattern::{Key, Matcher, Pattern, When, event_matches};
use super::super::warnings::Placed;
use super::super::{Route, known};
use super::{Block, Compiler, DestinationNames, Entry, Span, declared, entries, type_name};
use crate::ids::DestinationName;

const KEYS: [&str; 5] = ["name", "when", "to", "stop", "default"];
/// A route's name goes into each delivery and each line of the log.
const MAX_NAME_CHARS: usize = 128;

impl Compiler<'_> {
    pub(super) fn route(
        &mut self,
        block: &Block<'_>,
        names: &DestinationNames,
        unknown_events: &mut Vec<Mistake>,
    ) -> Option<Placed> {
        for entry in block.entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
            self.unknown_key(entry, "a route", KEYS);
        }
        let name = self.route_name(block);
        let stop = self.boolean(block.get("stop"));
        let default = self.boolean(block.get("default"));
        let mut keys = Vec::new();
        let when = match block.get("when") {
            Some(entry) if default => {
                self.mistake_with_help(
                    entry.at.clone(),
                    "`when` beside `default`",
                    "a default takes what no other route took",
                );
                When::default()
            }
            Some(entry) => self.when(entry, &mut keys, unknown_events),
            None => {
                if !default {
                    let help = "add `when = { event = \"issue.created\" }`; `when = {}` takes everything";
                    self.mistake_with_help(block.at.clone(), "a route has no `when`", help);
                }
                When::default()
            }
        };
        let to = self.to(block, names);
        let name_at = block.get("name").and_then(Entry::value_at_of).or_else(|| block.at.clone());
        Some(Placed { route: Route { name: name?, to, stop, default, when }, name: self.source.place(name_at), keys })
    }

    fn route_name(&mut self, block: &Block<'_>) -> Option<String> {
        let Some(entry) = block.get("name") else {
            self.mistake_with_help(block.at.clone(), "a route has no `name`", "the log and the deliveries name it");
            return None;
        };
        let text = self.text(entry)?;
        if text.chars().count() > MAX_NAME_CHARS || text.chars().any(char::is_control) {
            let message = format!("a route's name is at most {MAX_NAME_CHARS} characters, and one line");
            self.mistake(entry.value_at(), message);
            return None;
        }
        Some(text.to_owned())
    }

    fn to(&mut self, block: &Block<'_>, names: &DestinationNames) -> Vec<DestinationName> {
        let Some(entry) = block.get("to") else {
            self.mistake_with_help(
                block.at.clone(),
                "a route has no `to`",
                "add `to = [\"NAME\"]`, the names of destinations",
            );
            return Vec::new();
        };
        let Some(members) = entry.item.as_array() else {
            let message = format!("`to` is a list of destinations' names, not {}", type_name(entry.item));
            self.mistake_with_help(entry.value_at(), message, "for example `to = [\"phones\"]`");
            return Vec::new();
        };
        if members.is_empty() {
            self.mistake(entry.value_at(), "`to` is empty: the route goes nowhere");
        }
        let mut to: Vec<DestinationName> = Vec::new();
        for member in members {
            let Some(text) = member.as_str() else {
                self.mistake(member.span(), "`to` lists names of destinations, which are text");
                continue;
            };
            if let Some(name) = declared(text, names) {
                if !to.contains(&name) {
                    to.push(name);
                }
            } else if !names.contains(text) {
                let help = match known::likely(text, names.iter().map(String::as_str)) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("the destinations are {}", known::listed(names.iter().map(String::as_str))),
                };
                self.mistake_with_help(member.span(), format!("unknown destination `{text}`"), help);
            }
        }
        to
    }

    fn when(
        &mut self,
        entry: &Entry<'_>,
        keys: &mut Vec<(Key, super::super::source::Place)>,
        unknown_events: &mut Vec<Mistake>,
    ) -> When {
        let Some(table) = entry.item.as_table_like() else {
            let message = format!("`when` is a table of keys, not {}", type_name(entry.item));
            self.mistake_with_help(entry.value_at(), message, "for example `when = { event = \"issue.created\" }`");
            return When::default();
        };
        let mut when = When::default();
        for entry in entries(table) {
            let Some((_, key)) = Key::NAMES.iter().find(|(name, _)| *name == entry.key) else {
                self.unknown_key(&entry, "`when`", Key::NAMES.iter().map(|(name, _)| *name));
                continue;
            };
            keys.push((*key, self.source.place(entry.at.clone())));
            let texts = self.texts(&entry);
            for (text, at) in &texts {
                match key {
                    Key::Event => unknown_events.extend(self.event(text, at.clone())),
                    Key::Level => self.level(text, at.clone()),
                    _ => {}
                }
            }
            let matcher = |(text, _)| if *key == Key::Event { Matcher::Event(text) } else { Matcher::Is(text) };
            when.keys.push((*key, Pattern { any: texts.into_iter().map(matcher).collect() }));
        }
        when
    }

    /// A pattern's values with their places: one text, or a list of texts.
    fn texts(&mut self, entry: &Entry<'_>) -> Vec<(String, Span)> {
        let Item::Value(value) = entry.item else {
            self.mistake(
                entry.at.clone(),
                format!("`{}` is text or a list of texts, not {}", entry.key, type_name(entry.item)),
            );
            return Vec::new();
        };
        let members: Vec<&Value> = match value {
            Value::Array(members) if members.is_empty() => {
                self.mistake(value.span(), "an empty list matches nothing");
                Vec::new()
            }
            Value::Array(members) => members.iter().collect(),
            single => vec![single],
        };
        let mut texts = Vec::new();
        for member in members {
            if let Some(text) = member.as_str() {
                texts.push((text.to_owned(), member.span()));
            } else {
                let found = type_name(&Item::Value(member.clone()));
                let message = format!("`{}` is text or a list of texts, not {found}", entry.key);
                self.mistake(member.span().or_else(|| entry.at.clone()), message);
            }
        }
        texts
    }

    /// A name near a known one is a slip; any other may be an event of a newer Sentry, and is only warned of.
    fn event(&mut self, pattern: &str, at: Span) -> Option<Mistake> {
        let is_known = known::EVENTS.iter().any(|event| event_matches(pattern, event));
        if is_known {
            return None;
        }
        let message = format!("unknown event `{pattern}`");
        if let Some(likely) = likely_event(pattern) {
            self.mistake_with_help(at, message, format!("did you mean `{likely}`?"));
            return None;
        }
        let help = "it is taken, in case a newer Sentry sends it";
        Some(self.source.mistake(at, format!("{message}: nothing that is known today matches")).help(help).warning())
    }

    pub(super) fn level(&mut self, level: &str, at: Span) {
        if known::LEVELS.contains(&level) {
            return;
        }
        let levels = known::LEVELS.iter().copied();
        let help = match known::likely(level, levels.clone()) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => format!("the levels are {}", known::listed(levels)),
        };
        self.mistake_with_help(at, format!("unknown level `{level}`"), help);
    }
}

impl Entry<'_> {
    fn value_at_of(entry: &Self) -> Span {
        entry.value_at()
    }
}

/// The event, or with a star the resource, that was likely meant.
fn likely_event(pattern: &str) -> Option<String> {
    let names = known::EVENTS.iter().copied().chain([known::ARCHIVED.0]);
    let resources = known::EVENTS.iter().map(|event| known::resource(event));
    match pattern.split_once('.') {
        Some((resource, "*")) => known::likely(resource, resources).map(|resource| format!("{resource}.*")),
        Some(_) if !pattern.contains('*') => known::likely(pattern, names).map(str::to_owned),
        // A resource alone, or one that is another's name for it, such as `issue_alert`.
        None if known::EVENTS.iter().any(|event| known::resource(event) == pattern) => Some(format!("{pattern}.*")),
        _ => None,
    }
}
