//! From the file's text to [`Routes`], or to all of its mistakes.

mod destination;
mod route;
mod syntax;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

use super::mistake::Mistake;
use super::source::Source;
use super::{Routes, known, warnings};
use crate::destinations::kind::{Kind, Takes};
use crate::ids::DestinationName;

impl Routes {
    /// Reads the file. On mistakes nothing of it is taken, and all of them are told, in the order of the file; after
    /// mistakes of syntax there is nothing else to check.
    pub fn compile(text: &str) -> Result<Self, Vec<Mistake>> {
        Self::compile_with(text, crate::destinations::KINDS)
    }

    pub(super) fn compile_with(text: &str, kinds: &'static [&'static Kind]) -> Result<Self, Vec<Mistake>> {
        let secret_keys =
            kinds.iter().flat_map(|kind| kind.keys).filter(|key| key.takes == Takes::Secret).map(|key| key.name);
        let source = Source::new(text, secret_keys.collect());
        let document = Document::parse(text).map_err(|error| syntax::mistakes(text, &error, &source))?;
        let mut compiler = Compiler { source, kinds, mistakes: Vec::new() };
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
        const KEYS: [&str; 2] = ["destination", "route"];
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
        for block in blocks_of("destination") {
            names.extend(block.get("name").and_then(|entry| entry.item.as_str()).map(str::to_owned));
            if let Some(destination) = self.destination(block, &mut secrets) {
                destinations.insert(destination.name.clone(), destination);
            }
        }
        self.names_are_unique(blocks_of("route"), "route");
        self.one_default(blocks_of("route"));
        let mut unknown_events = Vec::new();
        let placed: Vec<warnings::Placed> =
            blocks_of("route").iter().filter_map(|block| self.route(block, &names, &mut unknown_events)).collect();
        let mut warnings = warnings::of(&placed);
        warnings.extend(unknown_events);
        warnings.sort_by_key(|warning| (warning.line, warning.column));
        Routes { destinations, in_order: placed.into_iter().map(|placed| placed.route).collect(), secrets, warnings }
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
        let help = match known::likely(&entry.key, keys.clone()) {
            Some(key) => format!("did you mean `{key}`?"),
            None => format!("{of} takes {}", known::listed(keys)),
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
        Item::ArrayOfTables(_) | Item::Value(Value::Array(_)) => "list",
        Item::Table(_) | Item::Value(Value::InlineTable(_)) => "table",
        Item::Value(Value::Integer(_) | Value::Float(_)) => "number",
        other => other.type_name(),
    };
    format!("a {name}")
}

/// The keys of a table, in the order of the file. Dotted ones are one key: `a.b = 1` and `"a.b" = 1` are the same.
fn entries(table: &dyn TableLike) -> Vec<Entry<'_>> {
    fn collect<'t>(table: &'t dyn TableLike, before: &str, into: &mut Vec<Entry<'t>>) {
        for (key, item) in table.iter() {
            let key_at = table.key(key).and_then(toml_edit::Key::span);
            let key = if before.is_empty() { key.to_owned() } else { format!("{before}.{key}") };
            match item.as_table_like().filter(|table| table.is_dotted()) {
                // `when.event = …` says the same as `when = { event = … }`.
                Some(dotted) if key != "when" => collect(dotted, &key, into),
                _ => into.push(Entry { key, at: key_at, item }),
            }
        }
    }
    let mut all = Vec::new();
    collect(table, "", &mut all);
    all
}

/// An unknown destination must not be told twice: once for its own mistake, and once for each route that goes there.
type DestinationNames = BTreeSet<String>;

/// A destination's name that the file declares.
fn declared(name: &str, names: &DestinationNames) -> Option<DestinationName> {
    names.contains(name).then(|| name.parse().ok()).flatten()
}
