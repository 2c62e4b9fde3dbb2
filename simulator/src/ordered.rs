//! JSON that keeps the order of its keys, and writes itself as Sentry does.
//!
//! `serde_json::Value` sorts keys; switching that off is a feature of the whole workspace, and would change how other
//! crates behave in tests only. Order is no contract of Sentry's, but a simulator that sends what was recorded is worth
//! more than one that sends something equivalent.

use std::fmt;
use std::io;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::ser::{CompactFormatter, Formatter};
use serde_json::{Number, Serializer as JsonSerializer};

/// A JSON value whose objects keep their order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a document of this crate's own; panics where it is none.
    pub(crate) fn parse(text: &[u8]) -> Self {
        serde_json::from_slice(text).expect("an embedded document is JSON")
    }

    /// The member `key`, made (at the end) where it is missing, or the item of that number; panics where this is neither
    /// an object nor a list that long.
    fn at(&mut self, key: &str) -> &mut Self {
        let members = match self {
            Self::Object(members) => members,
            Self::Array(items) => return &mut items[key.parse::<usize>().expect("lists are indexed by numbers")],
            _ => panic!("nothing to look into at {key}"),
        };
        let index = members.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
            members.push((key.to_owned(), Self::Null));
            members.len() - 1
        });
        &mut members[index].1
    }

    /// Puts `value` at the dotted `path`, in the place of what is there.
    pub(crate) fn set(&mut self, path: &str, value: impl Into<Self>) {
        let place = path.split('.').fold(self, |place, key| place.at(key));
        *place = value.into();
    }

    /// Takes the member `key` of the object at `path` away.
    pub(crate) fn remove(&mut self, path: &str, key: &str) {
        let place = path.split('.').filter(|part| !part.is_empty()).fold(self, |place, part| place.at(part));
        if let Self::Object(members) = place {
            members.retain(|(name, _)| name != key);
        }
    }

    /// The member `key` by itself; panics where it is missing.
    pub(crate) fn take(mut self, key: &str) -> Self {
        std::mem::replace(self.at(key), Self::Null)
    }

    /// Compact text. `ascii` writes everything outside of ASCII as `\uXXXX`, as Sentry 23.7.1 does.
    pub(crate) fn to_bytes(&self, ascii: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let written = if ascii {
            self.serialize(&mut JsonSerializer::with_formatter(&mut bytes, AsciiFormatter))
        } else {
            self.serialize(&mut JsonSerializer::with_formatter(&mut bytes, CompactFormatter))
        };
        written.expect("a JSON value can be written to memory");
        bytes
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<const N: usize> From<[(&str, Json); N]> for Json {
    fn from(members: [(&str, Json); N]) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Array(items) => items.serialize(serializer),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

/// Python's `ensure_ascii`: everything but printable ASCII becomes UTF-16 units in `\uXXXX`.
struct AsciiFormatter;

impl Formatter for AsciiFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for character in fragment.chars() {
            if matches!(character, ' '..='~') {
                writer.write_all(&[character as u8])?;
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_recorded_body_survives_reading_and_writing_byte_for_byte() {
        use base64::Engine as _;
        for sample in [
            include_str!("../../shared/samples/event_alert.triggered.json"),
            include_str!("../../shared/samples/error.created.json"),
            include_str!("../../shared/samples/issue.assigned.json"),
            include_str!("../../shared/samples/metric_alert.critical.json"),
        ] {
            let sample: serde_json::Value = serde_json::from_str(sample).unwrap();
            let body = base64::engine::general_purpose::STANDARD.decode(sample["body"].as_str().unwrap()).unwrap();
            let again = Json::parse(&body).to_bytes(true);
            assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(body).unwrap(), "{}", sample["kind"]);
        }
    }

    #[test]
    fn the_older_server_escapes_all_but_ascii_and_the_newer_nothing() {
        let text = Json::from("Zoë 😀 \"\u{7f}\n");
        assert_eq!(String::from_utf8(text.to_bytes(true)).unwrap(), r#""Zo\u00eb \ud83d\ude00 \"\u007f\n""#);
        assert_eq!(String::from_utf8(text.to_bytes(false)).unwrap(), "\"Zoë 😀 \\\"\u{7f}\\n\"");
    }
}
