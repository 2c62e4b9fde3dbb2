//! Fields that take what comes: a value of a wrong type is `None`, not a failure.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// For `#[serde(deserialize_with)]`: `None` where the value is null or has another type.
pub(super) fn field<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(T::deserialize(Value::deserialize(deserializer)?).ok())
}

/// The same for structs, which a derived `Deserialize` would also read from an array of their fields.
pub(super) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value.is_object().then(|| T::deserialize(value).ok()).flatten())
}

/// The members of an array that have the type; nothing where it is no array.
pub(super) fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let Value::Array(members) = Value::deserialize(deserializer)? else { return Ok(Vec::new()) };
    Ok(members.into_iter().filter_map(|member| T::deserialize(member).ok()).collect())
}

/// An id: the same thing is text in one payload (`issue.id`) and a number in the next (`comment.issue_id`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id(pub String);

impl Id {
    /// Text, or a whole number; nothing else, and nothing empty.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) if !text.is_empty() => Some(Self(text.clone())),
            Value::Number(number) if number.is_u64() || number.is_i64() => Some(Self(number.to_string())),
            _ => None,
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(&Value::deserialize(deserializer)?).ok_or_else(|| serde::de::Error::custom("not an id"))
    }
}

/// Tags come as `[key, value]` pairs, and the value can be null. An object is taken too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(pub Vec<(String, Option<String>)>);

impl Tags {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.as_deref())
    }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = match Value::deserialize(deserializer)? {
            Value::Array(pairs) => pairs
                .into_iter()
                .filter_map(|pair| match pair {
                    Value::Array(pair) => Some((pair.first()?.as_str()?.to_owned(), scalar(pair.get(1)))),
                    _ => None,
                })
                .collect(),
            Value::Object(object) => object.into_iter().map(|(key, value)| (key, scalar(Some(&value)))).collect(),
            _ => Vec::new(),
        };
        Ok(Self(pairs))
    }
}

fn scalar(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}
