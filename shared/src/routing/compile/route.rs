//! `[[route]]`.

use toml_edit::Value;

use super::super::Route;
use super::super::pattern::When;
use super::{Block, Compiler, DestinationNames, Entry, declared, type_name};
use crate::alert_rule;
use crate::ids::DestinationName;
use crate::names;

const KEYS: [&str; 10] = ["name", "when", "unless", "to", "stop", "default", "title", "message", "fields", "mention"];
/// A route's name goes into each delivery and each line of the log.
const MAX_NAME_CHARS: usize = 128;

impl Compiler<'_> {
    pub(super) fn route(&mut self, block: &Block<'_>, names: &DestinationNames) -> Option<Route> {
        for entry in block.entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
            self.unknown_key(entry, "a route", KEYS);
        }
        let name = self.route_name(block);
        let stop = self.boolean(block.get("stop"));
        let default = self.boolean(block.get("default"));
        let when = match block.get("when") {
            Some(entry) if default => {
                let help = "a default takes what no other route took; `unless` may keep something from it";
                self.mistake_with_help(entry.at.clone(), "`when` beside `default`", help);
                When::default()
            }
            Some(entry) => self.when(entry, "when"),
            None => {
                if !default {
                    let help = "add `when = { event = \"issue.created\" }`; `when = {}` takes everything";
                    self.mistake_with_help(block.at.clone(), "a route has no `when`", help);
                }
                When::default()
            }
        };
        let unless = block.get("unless").map(|entry| self.unless(entry));
        let to = self.to(block, names);
        let templates = self.templates(block);
        let place = self.source.place(block.get("name").and_then(Entry::value_at).or_else(|| block.at.clone()));
        Some(Route { name: name?, to, stop, default, templates, when, unless, place })
    }

    fn unless(&mut self, entry: &Entry<'_>) -> When {
        if entry.item.as_table_like().is_some_and(|table| table.iter().next().is_none()) {
            let help = "all keys of `unless` match if it has none; leave it out";
            self.mistake_with_help(entry.value_at(), "an empty `unless` keeps everything away", help);
        }
        self.when(entry, "unless")
    }

    fn route_name(&mut self, block: &Block<'_>) -> Option<String> {
        let Some(entry) = block.get("name") else {
            self.mistake_with_help(block.at.clone(), "a route has no `name`", "the log and the deliveries name it");
            return None;
        };
        let name = self.name_of_a_line(entry, "a route")?;
        if [alert_rule::ROUTE, alert_rule::ROUTE_OF_PUBLIC].contains(&name.as_str()) {
            let help = "deliveries that an alert rule alone asks for are listed under it";
            self.mistake_with_help(entry.value_at(), format!("no route can be called `{name}`"), help);
        }
        Some(name)
    }

    /// A name that fits into a line of a log.
    pub(super) fn name_of_a_line(&mut self, entry: &Entry<'_>, of: &str) -> Option<String> {
        let text = self.text(entry)?;
        if text.chars().count() > MAX_NAME_CHARS || text.chars().any(char::is_control) {
            let message = format!("the name of {of} is at most {MAX_NAME_CHARS} characters, and one line");
            self.mistake(entry.value_at(), message);
        }
        Some(text.to_owned())
    }

    fn to(&mut self, block: &Block<'_>, names: &DestinationNames) -> Vec<DestinationName> {
        let Some(entry) = block.get("to") else {
            let help = "add `to = [\"NAME\"]`, the names of destinations";
            self.mistake_with_help(block.at.clone(), "a route has no `to`", help);
            return Vec::new();
        };
        let to = self.destinations_named(entry, names);
        if entry.item.as_array().is_some_and(toml_edit::Array::is_empty) {
            self.mistake(entry.value_at(), "`to` is empty: the route goes nowhere");
        }
        to
    }

    /// A list of names of destinations, each once.
    pub(super) fn destinations_named(&mut self, entry: &Entry<'_>, names: &DestinationNames) -> Vec<DestinationName> {
        let Some(members) = entry.item.as_value().and_then(Value::as_array) else {
            let message = format!("`{}` is a list of destinations' names, not {}", entry.key, type_name(entry.item));
            self.mistake_with_help(entry.value_at(), message, format!("for example `{} = [\"phones\"]`", entry.key));
            return Vec::new();
        };
        let mut named: Vec<DestinationName> = Vec::new();
        for member in members {
            let Some(text) = member.as_str() else {
                self.mistake(member.span(), format!("`{}` lists names of destinations, which are text", entry.key));
                continue;
            };
            if let Some(name) = declared(text, names) {
                if !named.contains(&name) {
                    named.push(name);
                }
            } else if !names.contains(text) {
                let help = match names::likely(text, names.iter().map(String::as_str)) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("the destinations are {}", names::listed(names.iter().map(String::as_str))),
                };
                self.mistake_with_help(member.span(), format!("unknown destination `{text}`"), help);
            }
        }
        named
    }
}
