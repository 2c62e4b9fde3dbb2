//! From the file's text to [`Routes`], or to all of its mistakes.

mod destination;
mod pattern;
mod route;
mod stacktrace_link;
mod syntax;
mod templates;
mod test;
mod ticket;
pub(crate) mod tracker;
mod when;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

use super::mistake::Mistake;
use super::source::{Place, Source};
use super::{Notes, Route, Routes, warnings};
use crate::destinations::kind::{Kind, Takes};
use crate::ids::DestinationName;
use crate::{names, trackers};

impl Routes {
    /// Reads the file. On mistakes nothing of it is taken, and all of them are told, in the order of the file; after
    /// mistakes of syntax there is nothing else to check.
    pub fn compile(text: &str) -> Result<Self, Vec<Mistake>> {
        Self::compile_with(text, crate::destinations::KINDS)
    }

    /// [`Self::compile`] for other types of destinations.
    pub(crate) fn compile_with(text: &str, kinds: &'static [&'static Kind]) -> Result<Self, Vec<Mistake>> {
        let keys = kinds.iter().flat_map(|kind| kind.keys).chain(trackers::KINDS.iter().flat_map(|kind| kind.keys));
        let secret_keys = keys.filter(|key| key.takes == Takes::Secret).map(|key| key.name);
        let source = Source::new(text, secret_keys.collect());
        let document = Document::parse(text).map_err(|error| syntax::mistakes(text, &error, &source))?;
        let mut compiler = Compiler { source, kinds, mistakes: Vec::new(), warnings: Vec::new() };
        let routes = compiler.file(document.as_table());
        let mut mistakes = compiler.mistakes;
        if mistakes.is_empty() {
            return Ok(routes);
        }
        mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        Err(mistakes)
    }
}

struct Compiler<'a> {
    source: Source<'a>,
    kinds: &'static [&'static Kind],
    mistakes: Vec<Mistake>,
    warnings: Vec<Mistake>,
}

type Span = Option<Range<usize>>;

/// A key with its value, and where each is.
struct Entry<'t> {
    key: String,
    at: Span,
    item: &'t Item,
}

impl Entry<'_> {
    fn value_at(&self) -> Span {
        self.item.span().or_else(|| self.at.clone())
    }
}

/// One `[[…]]`, and where its mistakes are put that have no key.
struct Block<'t> {
    entries: Vec<Entry<'t>>,
    at: Span,
}

impl<'t> Block<'t> {
    fn get(&self, key: &str) -> Option<&Entry<'t>> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Compiler<'_> {
    fn file(&mut self, root: &dyn TableLike) -> Routes {
        const KEYS: [&str; 5] = ["destination", "tracker", "route", "stacktrace_link", "test"];
        let mut blocks: BTreeMap<&str, Vec<Block<'_>>> = BTreeMap::new();
        for entry in entries(root) {
            match KEYS.into_iter().find(|key| *key == entry.key) {
                Some(key) => drop(blocks.insert(key, self.blocks(&entry))),
                None => self.unknown_key(&entry, "the file", KEYS),
            }
        }
        let mut names = BTreeSet::new();
        let mut destinations = BTreeMap::new();
        let mut secrets = Vec::new();
        let blocks_of = |key| blocks.get(key).map(Vec::as_slice).unwrap_or_default();
        self.names_are_unique(blocks_of("destination"), "destination");
        self.names_are_unique(blocks_of("tracker"), "tracker");
        self.no_tracker_is_named_as_a_destination(blocks_of("tracker"), blocks_of("destination"));
        for block in blocks_of("destination") {
            names.extend(block.get("name").and_then(|entry| entry.item.as_str()).map(str::to_owned));
            if let Some(destination) = self.destination(block, &mut secrets) {
                destinations.insert(destination.name.clone(), destination);
            }
        }
        let trackers = blocks_of("tracker").iter().filter_map(|block| self.tracker(block, &mut secrets));
        let trackers = trackers.map(|tracker| (tracker.name.clone(), tracker)).collect();
        self.tickets_have_a_tracker(blocks_of("destination"), blocks_of("tracker"), &trackers);
        self.names_are_unique(blocks_of("route"), "route");
        self.one_default(blocks_of("route"));
        let in_order: Vec<Route> = blocks_of("route").iter().filter_map(|block| self.route(block, &names)).collect();
        self.mentions_are_allowed(blocks_of("destination"), blocks_of("route"), &destinations);
        self.names_are_unique(blocks_of("test"), "test");
        let tests = blocks_of("test").iter().filter_map(|block| self.test(block, &names)).collect();
        let links = blocks_of("stacktrace_link").iter().filter_map(|block| self.stacktrace_link(block)).collect();
        let mut warnings = warnings::never_reached(&in_order);
        warnings.append(&mut self.warnings);
        warnings.sort_by_key(|warning| (warning.line, warning.column));
        let kinds = self.kind_places(blocks_of("destination"));
        let offers = [("destination", "picked in an alert rule"), ("tracker", "used for a ticket")];
        let unoffered = offers.into_iter().flat_map(|(what, done)| self.unoffered(blocks_of(what), what, done));
        let open_to_all = self.open_to_all(blocks_of("stacktrace_link"));
        let unoffered = unoffered.chain(open_to_all).collect();
        Routes::new(destinations, trackers, links, in_order, Notes { secrets, kinds, unoffered, tests, warnings })
    }

    fn blocks<'t>(&mut self, entry: &Entry<'t>) -> Vec<Block<'t>> {
        let block = |table: &'t dyn TableLike, at: Span| Block { entries: entries(table), at };
        match entry.item {
            Item::ArrayOfTables(tables) => tables.iter().map(|table| block(table, table.span())).collect(),
            Item::Value(Value::Array(members)) if members.iter().all(Value::is_inline_table) => {
                members.iter().filter_map(Value::as_inline_table).map(|table| block(table, table.span())).collect()
            }
            _ => {
                let message = format!("`{}` is a list: each begins with `[[{}]]`", entry.key, entry.key);
                self.mistake(entry.at.clone(), message);
                Vec::new()
            }
        }
    }

    fn kind_places(&self, blocks: &[Block<'_>]) -> Vec<(String, Place)> {
        let kinds = blocks.iter().filter_map(|block| block.get("type"));
        kinds.filter_map(|entry| Some((entry.item.as_str()?.to_owned(), self.source.place(entry.value_at())))).collect()
    }

    /// For those that do not say whose people may use them.
    fn unoffered(&self, blocks: &[Block<'_>], what: &str, done: &str) -> Vec<Mistake> {
        let unoffered = blocks.iter().filter(|block| block.get("organizations").is_none());
        let warning = |entry: &Entry<'_>| {
            let name = entry.item.as_str()?;
            let message = format!("the {what} `{name}` names no `organizations`: in Sentry nobody is offered it");
            let help = format!("the app is public: `organizations = [\"SLUG\"]` says by whose people it can be {done}");
            Some(self.source.mistake(entry.value_at(), message).help(help).warning())
        };
        unoffered.filter_map(|block| block.get("name").and_then(warning)).collect()
    }

    /// For stack-trace links that lead whoever has the app.
    fn open_to_all(&self, links: &[Block<'_>]) -> Vec<Mistake> {
        let links = links.iter().filter(|block| block.get("organizations").is_none());
        let warning = |block: &Block<'_>| {
            let at = block.get("url").map_or_else(|| block.at.clone(), Entry::value_at);
            let message =
                "this stack-trace link names no `organizations`: whoever installs the app sees where it leads";
            let help = "the app is public: `organizations = [\"SLUG\"]` says whose people it leads";
            self.source.mistake(at, message).help(help).warning()
        };
        links.map(warning).collect()
    }

    fn names_are_unique(&mut self, blocks: &[Block<'_>], what: &str) {
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in blocks.iter().filter_map(|block| block.get("name")) {
            let Some(name) = entry.item.as_str() else { continue };
            let mistake = self.source.mistake(entry.value_at(), format!("a second {what} `{name}`"));
            if let Some(line) = first.get(name) {
                self.mistakes.push(mistake.help(format!("the first is in line {line}")));
            } else {
                first.insert(name, mistake.line);
            }
        }
    }

    /// Both are asked for by name, and a person who reads one must know which is meant.
    fn no_tracker_is_named_as_a_destination(&mut self, trackers: &[Block<'_>], destinations: &[Block<'_>]) {
        for entry in trackers.iter().filter_map(|block| block.get("name")) {
            let Some(name) = entry.item.as_str() else { continue };
            let names = destinations.iter().filter_map(|block| block.get("name"));
            let Some(other) = names.into_iter().find(|other| other.item.as_str() == Some(name)) else { continue };
            let line = self.source.line(other.value_at());
            let help = format!("the destination is in line {line}; names are unique over both");
            self.mistake_with_help(entry.value_at(), format!("the tracker `{name}` is named as a destination"), help);
        }
    }

    fn one_default(&mut self, blocks: &[Block<'_>]) {
        let defaults = blocks.iter().filter_map(|block| block.get("default"));
        let mut defaults = defaults.filter(|entry| entry.item.as_bool() == Some(true));
        let Some(first) = defaults.next() else { return };
        let first = self.source.mistake(first.at.clone(), "").line;
        for second in defaults {
            let mistake = self.source.mistake(second.at.clone(), "a second default");
            self.mistakes.push(mistake.help(format!("the first is in line {first}")));
        }
    }

    fn mistake(&mut self, at: Span, message: impl Into<String>) {
        self.mistakes.push(self.source.mistake(at, message));
    }

    fn mistake_with_help(&mut self, at: Span, message: impl Into<String>, help: impl Into<String>) {
        self.mistakes.push(self.source.mistake(at, message).help(help));
    }

    fn unknown_key<'k>(&mut self, entry: &Entry<'_>, of: &str, keys: impl IntoIterator<Item = &'k str> + Clone) {
        let help = match names::likely(&entry.key, keys.clone()) {
            Some(key) => format!("did you mean `{key}`?"),
            None => format!("{of} takes {}", names::listed(keys)),
        };
        self.mistake_with_help(entry.at.clone(), format!("unknown key `{}`", entry.key), help);
    }

    /// Text that is not empty, else a mistake.
    fn text<'t>(&mut self, entry: &Entry<'t>) -> Option<&'t str> {
        let text = entry.item.as_str();
        match text {
            Some("") => self.mistake(entry.value_at(), format!("`{}` is empty", entry.key)),
            Some(_) => {}
            None => self.mistake(entry.value_at(), format!("`{}` is text, not {}", entry.key, type_name(entry.item))),
        }
        text.filter(|text| !text.is_empty())
    }

    fn boolean(&mut self, entry: Option<&Entry<'_>>) -> bool {
        let Some(entry) = entry else { return false };
        entry.item.as_bool().unwrap_or_else(|| {
            let message = format!("`{}` is `true` or `false`, not {}", entry.key, type_name(entry.item));
            self.mistake(entry.value_at(), message);
            false
        })
    }
}

/// What TOML calls it, as it reads in a sentence.
fn type_name(item: &Item) -> String {
    let name = match item {
        Item::ArrayOfTables(_) => "list",
        Item::Table(_) => "table",
        Item::Value(value) => return type_name_of(value),
        Item::None => item.type_name(),
    };
    format!("a {name}")
}

fn type_name_of(value: &Value) -> String {
    let name = match value {
        Value::Array(_) => "list",
        Value::InlineTable(_) => "table",
        Value::Integer(_) | Value::Float(_) => "number",
        other => other.type_name(),
    };
    format!("a {name}")
}

/// The keys of a table, in the order of the file.
fn entries(table: &dyn TableLike) -> Vec<Entry<'_>> {
    let entry =
        |(key, item)| Entry { key: str::to_owned(key), at: table.key(key).and_then(toml_edit::Key::span), item };
    table.iter().map(entry).collect()
}

/// An unknown destination must not be told twice: once for its own mistake, and once for each route that goes there.
type DestinationNames = BTreeSet<String>;

/// A destination's name that the file declares.
fn declared(name: &str, names: &DestinationNames) -> Option<DestinationName> {
    names.contains(name).then(|| name.parse().ok()).flatten()
}
