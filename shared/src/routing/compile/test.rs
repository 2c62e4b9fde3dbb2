//! `[[test]]`.

use serde_json::{Map, Value as Json};
use toml_edit::{Item, Value};

use super::super::Test;
use super::super::key::Key;
use super::when::keys;
use super::{Block, Compiler, DestinationNames, Entry, type_name};

const KEYS: [&str; 4] = ["name", "event", "set", "expect"];

impl Compiler<'_> {
    pub(super) fn test(&mut self, block: &Block<'_>, names: &DestinationNames) -> Option<Test> {
        for entry in block.entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
            self.unknown_key(entry, "a test", KEYS);
        }
        let mut required = |key: &str, help: &str| {
            let entry = block.get(key);
            if entry.is_none() {
                self.mistake_with_help(block.at.clone(), format!("a test has no `{key}`"), help);
            }
            entry
        };
        let name = required("name", "what it shows: `name = \"a fatal error rings\"`");
        let event = required("event", "a sample's name, or a file beside this one: `event = \"issue.created\"`");
        let expect = required("expect", "the destinations that hear of it: `expect = [\"phones\"]`, `[]` for none");
        let name = name.and_then(|entry| self.name_of_a_line(entry, "a test"));
        let place = self.source.place(event.and_then(Entry::value_at));
        let event = event.and_then(|entry| self.text(entry)).map(str::to_owned);
        let set = block.get("set").map(|entry| self.set(entry)).unwrap_or_default();
        let expect = expect.map(|entry| self.destinations_named(entry, names));
        Some(Test { name: name?, event: event?, set, expect: expect?.into_iter().collect(), place })
    }

    fn set(&mut self, entry: &Entry<'_>) -> Vec<(String, Json)> {
        let Some(table) = entry.item.as_table_like() else {
            let message = format!("`set` is a table of keys and values, not {}", type_name(entry.item));
            self.mistake_with_help(entry.value_at(), message, "for example `set = { level = \"fatal\" }`");
            return Vec::new();
        };
        let mut set = Vec::new();
        for entry in keys(table) {
            let Some(key) = Key::parse(&entry.key) else {
                self.unknown_pattern_key(&entry);
                continue;
            };
            let value = json(entry.item);
            if !key.is_json() && !value.is_string() {
                let message = format!("`{}` is text, not {}", entry.key, type_name(entry.item));
                self.mistake(entry.value_at(), message);
            }
            set.push((entry.key, value));
        }
        set
    }
}

fn json(item: &Item) -> Json {
    match item {
        Item::None => Json::Null,
        Item::Value(value) => json_value(value),
        Item::Table(table) => table.iter().map(|(key, item)| (key.to_owned(), json(item))).collect(),
        Item::ArrayOfTables(tables) => tables
            .iter()
            .map(|table| {
                Json::Object(table.iter().map(|(key, item)| (key.to_owned(), json(item))).collect::<Map<_, _>>())
            })
            .collect(),
    }
}

fn json_value(value: &Value) -> Json {
    match value {
        Value::String(text) => text.value().as_str().into(),
        Value::Integer(number) => (*number.value()).into(),
        // JSON has neither infinity nor NaN: null, as it is absent in every payload.
        Value::Float(number) => (*number.value()).into(),
        Value::Boolean(truth) => (*truth.value()).into(),
        Value::Datetime(time) => time.value().to_string().into(),
        Value::Array(members) => members.iter().map(json_value).collect(),
        Value::InlineTable(table) => table.iter().map(|(key, value)| (key.to_owned(), json_value(value))).collect(),
    }
}
