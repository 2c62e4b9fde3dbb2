//! `[[destination]]`.

use std::collections::BTreeMap;

use super::super::source::Place;
use super::super::{Destination, SecretUse, Value, known};
use super::{Block, Compiler, Entry};
use crate::destinations::kind::{Key, Kind};

/// What every destination takes, besides the keys of its type.
const COMMON: [&str; 3] = ["name", "type", "base_url"];

impl Compiler<'_> {
    pub(super) fn destination(&mut self, block: &Block<'_>, secrets: &mut Vec<SecretUse>) -> Option<Destination> {
        let name = match block.get("name") {
            None => {
                self.mistake_with_help(block.at.clone(), "a destination has no `name`", "routes name it in `to`");
                None
            }
            Some(entry) => self.text(entry).and_then(|text| {
                text.parse().map_err(|error| self.mistake(entry.value_at(), format!("`{text}` is {error}"))).ok()
            }),
        };
        let base_url = block.get("base_url").and_then(|entry| self.base_url(entry));
        let kind = self.kind(block)?;
        let mut values = BTreeMap::new();
        for entry in block.entries.iter().filter(|entry| !COMMON.contains(&entry.key.as_str())) {
            let Some(key) = kind.keys.iter().find(|key| key.name == entry.key) else {
                let keys = kind.keys.iter().map(|key| key.name).chain(COMMON);
                self.unknown_key(entry, &format!("`{}`", kind.name), keys);
                continue;
            };
            if let Some(value) = self.value(entry, key) {
                if let Value::Secret(name) = &value {
                    secrets.push(SecretUse { name: name.clone(), place: self.place(entry) });
                }
                values.insert(entry.key.clone(), value);
            }
        }
        for key in kind.keys.iter().filter(|key| key.required && block.get(key.name).is_none()) {
            let message = format!("a destination of type `{}` needs `{}`", kind.name, key.name);
            let value = if key.secret { "secret:NAME" } else { "…" };
            self.mistake_with_help(block.at.clone(), message, format!("add `{} = \"{value}\"`", key.name));
        }
        Some(Destination { name: name?, kind: kind.name.to_owned(), values, base_url })
    }

    fn kind(&mut self, block: &Block<'_>) -> Option<&'static Kind> {
        let kinds = self.kinds;
        let names = || kinds.iter().map(|kind| kind.name);
        let Some(entry) = block.get("type") else {
            let help = format!("the types are {}", known::listed(names()));
            self.mistake_with_help(block.at.clone(), "a destination has no `type`", help);
            return None;
        };
        let text = self.text(entry)?;
        let kind = kinds.iter().copied().find(|kind| kind.name == text);
        if kind.is_none() {
            let help = match known::likely(text, names()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("the types are {}", known::listed(names())),
            };
            self.mistake_with_help(entry.value_at(), format!("unknown type `{text}`"), help);
        }
        kind
    }

    fn value(&mut self, entry: &Entry<'_>, key: &Key) -> Option<Value> {
        let text = self.text(entry)?;
        match text.strip_prefix("secret:") {
            Some(name) if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                self.mistake(entry.value_at(), "a secret's name is text without white space: `secret:NAME`");
                None
            }
            Some(name) => Some(Value::Secret(name.to_owned())),
            None if key.secret => {
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

    fn base_url(&mut self, entry: &Entry<'_>) -> Option<String> {
        let text = self.text(entry)?;
        let origin = text.parse::<http::Uri>().ok().and_then(|uri| {
            let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
            let authority = uri.authority().filter(|authority| !authority.host().is_empty())?;
            let bare = uri.path() == "/" && uri.query().is_none() && !authority.as_str().contains('@');
            bare.then(|| format!("{scheme}://{authority}"))
        });
        if origin.is_none() {
            let message = "`base_url` is scheme, host and perhaps port, and nothing else";
            self.mistake_with_help(entry.value_at(), message, "for example `http://127.0.0.1:9000`");
        }
        origin
    }

    fn place(&self, entry: &Entry<'_>) -> Place {
        self.source.place(entry.value_at())
    }
}
