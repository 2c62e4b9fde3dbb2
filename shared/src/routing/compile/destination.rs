//! `[[destination]]`.

use std::collections::BTreeMap;
use std::time::Duration;

use toml_edit::Item;

use super::super::{Destination, SecretUse, Value};
use super::{Block, Compiler, Entry, entries, type_name};
use crate::destinations::kind::{Key, Kind, Takes};
use crate::ids::DestinationName;
use crate::names;

/// What every destination takes, besides the keys of its type.
const COMMON: [&str; 11] = [
    "name",
    "type",
    "base_url",
    "organizations",
    "mentions",
    "retry",
    "concurrency",
    "title",
    "message",
    "fields",
    "mention",
];

impl Compiler<'_> {
    pub(super) fn destination(&mut self, block: &Block<'_>, secrets: &mut Vec<SecretUse>) -> Option<Destination> {
        let name = self.name(block, "destination", "routes name it in `to`");
        let base_url = block.get("base_url").and_then(|entry| self.base_url(entry));
        let kind = self.kind(block);
        // A list is what every destination takes; a kind may have a number of its own by that name.
        let is_own = |entry: &Entry<'_>| {
            let has_key = kind.is_some_and(|kind| kind.keys.iter().any(|key| key.name == entry.key));
            has_key && !(entry.key == "retry" && entry.item.is_array())
        };
        let retry = block.get("retry").filter(|entry| !is_own(entry)).map(|entry| self.waits(entry));
        let concurrency = block.get("concurrency").and_then(|entry| self.number(entry, entry.item, 1, 100));
        let organizations = block.get("organizations").map(|entry| self.list_of_texts(entry));
        let mentions = block.get("mentions").map(|entry| self.list_of_texts(entry)).unwrap_or_default();
        let templates = self.templates(block);
        let kind = kind?;
        let mut values = BTreeMap::new();
        for entry in block.entries.iter().filter(|entry| !COMMON.contains(&entry.key.as_str()) || is_own(entry)) {
            let Some(key) = kind.keys.iter().find(|key| key.name == entry.key) else {
                let keys = kind.keys.iter().map(|key| key.name).chain(COMMON);
                self.unknown_key(entry, &format!("`{}`", kind.name), keys);
                continue;
            };
            if let Some(value) = self.value_noting_secrets(entry, key, secrets) {
                values.insert(entry.key.clone(), value);
            }
        }
        self.has_what_it_needs(block, "destination", kind.name, kind.keys, kind.needs);
        Some(Destination {
            name: name?,
            kind: kind.name.to_owned(),
            values,
            base_url,
            retry,
            concurrency: concurrency.and_then(|number| u16::try_from(number).ok()),
            organizations,
            mentions,
            templates,
        })
    }

    pub(super) fn name(&mut self, block: &Block<'_>, what: &str, help: &str) -> Option<DestinationName> {
        let Some(entry) = block.get("name") else {
            self.mistake_with_help(block.at.clone(), format!("a {what} has no `name`"), help);
            return None;
        };
        let text = self.text(entry)?;
        text.parse().map_err(|error| self.mistake(entry.value_at(), format!("`{text}` is {error}"))).ok()
    }

    /// Of several sets of keys, the one is asked for of which something is there already.
    pub(super) fn has_what_it_needs(
        &mut self,
        block: &Block<'_>,
        what: &str,
        kind: &str,
        keys: &[Key],
        needs: &[&'static [&'static str]],
    ) {
        let missing = |set: &&[&'static str]| -> Vec<&'static str> {
            set.iter().copied().filter(|key| block.get(key).is_none()).collect()
        };
        if needs.is_empty() || needs.iter().any(|set| missing(set).is_empty()) {
            return;
        }
        let begun = needs.iter().find(|set| missing(set).len() < set.len());
        let (needed, example) = if let Some(set) = begun.or(if let [only] = needs { Some(only) } else { None }) {
            let missing = missing(set);
            (names::listed(missing.clone()), missing)
        } else {
            let sets: Vec<String> = needs.iter().map(|set| names::listed(set.iter().copied())).collect();
            (sets.join(", or "), needs[0].to_vec())
        };
        let message = format!("a {what} of type `{kind}` needs {needed}");
        let lines = example.into_iter().map(|name| {
            let is_secret = keys.iter().any(|key| key.name == name && key.takes == Takes::Secret);
            format!("`{name} = \"{}\"`", if is_secret { "secret:NAME" } else { "…" })
        });
        self.mistake_with_help(block.at.clone(), message, format!("add {}", lines.collect::<Vec<_>>().join(" and ")));
    }

    fn kind(&mut self, block: &Block<'_>) -> Option<&'static Kind> {
        let kinds = self.kinds;
        let name = self.known_type(block, "destination", &kinds.iter().map(|kind| kind.name))?;
        kinds.iter().copied().find(|kind| kind.name == name)
    }

    /// The `type` of a block, if it is one of `names`.
    pub(super) fn known_type<'t>(
        &mut self,
        block: &Block<'t>,
        what: &str,
        names: &(impl Iterator<Item = &'static str> + Clone),
    ) -> Option<&'t str> {
        let types = || format!("the types are {}", names::listed(names.clone()));
        let Some(entry) = block.get("type") else {
            self.mistake_with_help(block.at.clone(), format!("a {what} has no `type`"), types());
            return None;
        };
        let text = self.text(entry)?;
        if names.clone().any(|name| name == text) {
            return Some(text);
        }
        let help = match names::likely(text, names.clone()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => types(),
        };
        self.mistake_with_help(entry.value_at(), format!("unknown type `{text}`"), help);
        None
    }

    pub(super) fn value_noting_secrets(
        &mut self,
        entry: &Entry<'_>,
        key: &Key,
        secrets: &mut Vec<SecretUse>,
    ) -> Option<Value> {
        let value = self.value(entry, key)?;
        if let Value::Secret(name) = &value {
            secrets.push(SecretUse { name: name.clone(), place: self.source.place(entry.value_at()) });
        }
        Some(value)
    }

    fn value(&mut self, entry: &Entry<'_>, key: &Key) -> Option<Value> {
        match key.takes {
            Takes::Secret | Takes::Text => self.text_or_secret(entry, key),
            Takes::OneOf(words) => {
                let text = self.text(entry)?;
                if words.contains(&text) {
                    return Some(Value::Text(text.to_owned()));
                }
                let help = match names::likely(text, words.iter().copied()) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("it takes {}", names::listed(words.iter().copied())),
                };
                self.mistake_with_help(entry.value_at(), format!("`{}` cannot be `{text}`", key.name), help);
                None
            }
            Takes::Number { min, max } => self.number(entry, entry.item, min, max).map(Value::Number),
            Takes::NumberByLevel { min, max } => match entry.item.as_table_like() {
                None => self.number(entry, entry.item, min, max).map(Value::Number),
                Some(table) => {
                    let mut numbers = BTreeMap::new();
                    for of_level in entries(table) {
                        self.level(&of_level.key, of_level.at.clone());
                        if let Some(number) = self.number(&of_level, of_level.item, min, max) {
                            numbers.insert(of_level.key, number);
                        }
                    }
                    Some(Value::NumberByLevel(numbers))
                }
            },
        }
    }

    fn text_or_secret(&mut self, entry: &Entry<'_>, key: &Key) -> Option<Value> {
        let text = self.text(entry)?;
        match text.strip_prefix("secret:") {
            Some(name) if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                self.mistake(entry.value_at(), "a secret's name is text without white space: `secret:NAME`");
                None
            }
            Some(name) => Some(Value::Secret(name.to_owned())),
            None if key.takes == Takes::Secret => {
                let message = format!("`{}` must be `secret:NAME`: this file holds no secrets", key.name);
                let help = format!(
                    "put the value into the secrets of the destinations, and write `{} = \"secret:NAME\"`",
                    key.name
                );
                self.mistake_with_help(entry.value_at(), message, help);
                None
            }
            None => Some(Value::Text(text.to_owned())),
        }
    }

    fn number(&mut self, entry: &Entry<'_>, item: &Item, min: i64, max: i64) -> Option<i64> {
        let number = item.as_integer().filter(|number| (min..=max).contains(number));
        if number.is_none() {
            let message = format!("`{}` is a whole number from {min} to {max}", entry.key);
            self.mistake(entry.value_at(), message);
        }
        number
    }

    /// `retry`: a list of waits, each a number of seconds or text such as `"30s"`, `"5m"`, `"2h"`.
    fn waits(&mut self, entry: &Entry<'_>) -> Vec<Duration> {
        const EXAMPLE: &str = "for example `retry = [\"5s\", \"2m\", \"1h\"]`; `[]` is one try";
        let Some(members) = entry.item.as_array() else {
            let message = format!("`retry` is a list of waits, not {}", type_name(entry.item));
            self.mistake_with_help(entry.value_at(), message, EXAMPLE);
            return Vec::new();
        };
        if members.len() > MAX_WAITS {
            self.mistake(entry.value_at(), format!("`retry` has at most {MAX_WAITS} waits"));
        }
        let mut waits = Vec::new();
        for member in members {
            match wait(member) {
                Some(wait) if wait <= LONGEST_WAIT && !wait.is_zero() => waits.push(wait),
                _ => self.mistake_with_help(member.span(), "a wait is from 1 second to 12 hours", EXAMPLE),
            }
        }
        waits
    }

    pub(super) fn list_of_texts(&mut self, entry: &Entry<'_>) -> Vec<String> {
        let texts = entry.item.as_array().map(|members| members.iter().map(toml_edit::Value::as_str));
        let texts: Option<Vec<String>> = texts.and_then(|texts| texts.map(|text| Some(text?.to_owned())).collect());
        texts.unwrap_or_else(|| {
            let message = format!("`{}` is a list of texts", entry.key);
            self.mistake(entry.value_at(), message);
            Vec::new()
        })
    }

    pub(super) fn base_url(&mut self, entry: &Entry<'_>) -> Option<String> {
        let text = self.text(entry)?;
        let origin = split_url(text).filter(|(_, path)| path.is_empty()).map(|(origin, _)| origin);
        if origin.is_none() {
            let message = "`base_url` is scheme, host and perhaps port, and nothing else";
            self.mistake_with_help(entry.value_at(), message, "for example `http://127.0.0.1:9000`");
        }
        origin
    }

    /// [`Self::base_url`] of a server that may be below a path.
    pub(super) fn base_url_with_path(&mut self, entry: &Entry<'_>) -> Option<String> {
        let text = self.text(entry)?;
        let is_part = |part: &str| {
            let plain = part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~'));
            plain && !matches!(part, "" | "." | "..")
        };
        let is_path = |path: &str| path.split('/').skip(1).all(is_part);
        let base = split_url(text).filter(|(_, path)| is_path(path)).map(|(origin, path)| origin + &path);
        if base.is_none() {
            let message = "`base_url` is scheme, host, perhaps port and perhaps a path, and nothing else";
            self.mistake_with_help(entry.value_at(), message, "for example `https://git.example/api/v3`");
        }
        base
    }
}

/// An address without user and query: its origin, and its path without a slash at the end.
fn split_url(text: &str) -> Option<(String, String)> {
    let uri = text.parse::<http::Uri>().ok().filter(|uri| uri.query().is_none() && !text.contains('#'))?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
    let authority = uri.authority().filter(|own| !own.host().is_empty() && !own.as_str().contains('@'))?;
    let path = uri.path().strip_suffix('/').unwrap_or(uri.path());
    Some((format!("{scheme}://{authority}"), path.to_owned()))
}

const MAX_WAITS: usize = 20;
/// A message that waits longer would be a dead letter for its age before it is tried.
const LONGEST_WAIT: Duration = Duration::from_hours(12);

/// Seconds, or a number with its unit.
fn wait(value: &toml_edit::Value) -> Option<Duration> {
    if let Some(seconds) = value.as_integer() {
        return u64::try_from(seconds).ok().map(Duration::from_secs);
    }
    let text = value.as_str()?;
    let unit = text.chars().last()?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}
