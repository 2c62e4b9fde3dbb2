//! Attributes of a table's item, written and read with their types.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use shared::ports::StoreError;
use shared::wire;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Compressed text over this is not stored: `DynamoDB` refuses an item of more than 400 KiB, and the other attributes
/// want room too.
pub(crate) const MAX_COMPRESSED_BYTES: usize = 350_000;

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

/// Milliseconds since 1970.
pub(crate) fn millis(instant: Timestamp) -> AttributeValue {
    number(instant.as_millisecond())
}

/// Epoch seconds, as the table's TTL wants them; rounded up, so that nothing is forgotten early.
pub(crate) fn expiry(instant: Timestamp) -> AttributeValue {
    number(instant.as_millisecond().div_euclid(1000) + i64::from(instant.as_millisecond().rem_euclid(1000) > 0))
}

/// What an `expires` is compared with: an item is expired if its own is at or below this.
pub(crate) fn expired_at(now: Timestamp) -> AttributeValue {
    number(now.as_millisecond().div_euclid(1000))
}

pub(crate) fn bytes(value: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

pub(crate) fn texts(words: &BTreeMap<String, String>) -> AttributeValue {
    AttributeValue::M(words.iter().map(|(name, word)| (name.clone(), text(word))).collect())
}

/// A text as it lies in the tables: gzip.
pub(crate) fn compress(text: &str) -> Vec<u8> {
    wire::gzip(text.as_bytes())
}

fn decompress(packed: &[u8]) -> Option<String> {
    String::from_utf8(wire::gunzip(packed)?).ok()
}

/// Builds an item; what is absent is left out, since an index takes no empty key.
#[derive(Debug, Default)]
pub(crate) struct ItemBuilder(Item);

impl ItemBuilder {
    pub(crate) fn set(mut self, name: &str, value: AttributeValue) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn set_some<T>(self, name: &str, value: Option<T>, form: impl FnOnce(T) -> AttributeValue) -> Self {
        match value {
            Some(value) => self.set(name, form(value)),
            None => self,
        }
    }

    pub(crate) fn build(self) -> Item {
        self.0
    }
}

/// Reads an item. Its errors name the attribute and never its value, which may be somebody's data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) store: &'static str,
    pub(crate) item: &'a Item,
}

impl<'a> Reader<'a> {
    fn corrupt(self, name: &str, what: &str) -> StoreError {
        StoreError::Corrupt { store: self.store, what: format!("`{name}` is {what}") }
    }

    pub(crate) fn need<T>(self, name: &str, value: Option<T>) -> Result<T, StoreError> {
        value.ok_or_else(|| self.corrupt(name, "missing"))
    }

    pub(crate) fn text(self, name: &str) -> Result<Option<&'a str>, StoreError> {
        match self.item.get(name) {
            None => Ok(None),
            Some(AttributeValue::S(value)) => Ok(Some(value)),
            Some(_) => Err(self.corrupt(name, "not text")),
        }
    }

    /// Text that `parse` understands.
    pub(crate) fn word<T>(self, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
        match self.text(name)? {
            None => Ok(None),
            Some(value) => parse(value).map(Some).ok_or_else(|| self.corrupt(name, "not a known word")),
        }
    }

    pub(crate) fn number<T: FromStr>(self, name: &str) -> Result<Option<T>, StoreError> {
        match self.item.get(name) {
            None => Ok(None),
            Some(AttributeValue::N(value)) => {
                value.parse().map(Some).map_err(|_| self.corrupt(name, "out of its range"))
            }
            Some(_) => Err(self.corrupt(name, "not a number")),
        }
    }

    /// Written by [`millis`].
    pub(crate) fn instant(self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        self.number(name)?
            .map(|ms| Timestamp::from_millisecond(ms).map_err(|_| self.corrupt(name, "out of its range")))
            .transpose()
    }

    /// Written by [`expiry`].
    pub(crate) fn expiry(self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        self.number(name)?
            .map(|seconds| Timestamp::from_second(seconds).map_err(|_| self.corrupt(name, "out of its range")))
            .transpose()
    }

    pub(crate) fn flag(self, name: &str) -> Result<bool, StoreError> {
        match self.item.get(name) {
            None => Ok(false),
            Some(AttributeValue::Bool(value)) => Ok(*value),
            Some(_) => Err(self.corrupt(name, "neither true nor false")),
        }
    }

    pub(crate) fn bytes(self, name: &str) -> Result<Option<&'a [u8]>, StoreError> {
        match self.item.get(name) {
            None => Ok(None),
            Some(AttributeValue::B(value)) => Ok(Some(value.as_ref())),
            Some(_) => Err(self.corrupt(name, "not binary")),
        }
    }

    /// Written by [`texts`].
    pub(crate) fn texts(self, name: &str) -> Result<Option<BTreeMap<String, String>>, StoreError> {
        let words = match self.item.get(name) {
            None => return Ok(None),
            Some(AttributeValue::M(words)) => words,
            Some(_) => return Err(self.corrupt(name, "not a map")),
        };
        let of = |(name, word): (&String, &AttributeValue)| Some((name.clone(), word.as_s().ok()?.clone()));
        words.iter().map(of).collect::<Option<_>>().map(Some).ok_or_else(|| self.corrupt(name, "not a map of texts"))
    }

    /// Written by [`compress`].
    pub(crate) fn compressed(self, name: &str) -> Result<Option<String>, StoreError> {
        self.bytes(name)?.map(|packed| decompress(packed).ok_or_else(|| self.corrupt(name, "not gzip"))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: i64) -> Timestamp {
        Timestamp::from_millisecond(value).expect("in range")
    }

    #[test]
    fn an_item_expires_at_the_first_whole_second_that_is_not_early() {
        for (expires, now, expired) in
            [(5_000, 4_999, false), (5_000, 5_000, true), (5_001, 5_999, false), (5_001, 6_000, true)]
        {
            let (AttributeValue::N(at), AttributeValue::N(limit)) = (expiry(ms(expires)), expired_at(ms(now))) else {
                panic!("both are numbers");
            };
            let reached = at.parse::<i64>().expect("whole") <= limit.parse::<i64>().expect("whole");
            assert_eq!(reached, expired, "expires {expires}, now {now}");
        }
    }

    #[test]
    fn what_cannot_be_read_names_the_attribute_and_not_the_value() {
        let item = ItemBuilder::default()
            .set("text", number(7))
            .set("number", text("s3cret"))
            .set("wide", number(i128::MAX))
            .set("packed", bytes(b"s3cret".to_vec()))
            .build();
        let reader = Reader { store: "test", item: &item };
        let errors = [
            reader.text("text").map(|_| ()).expect_err("a number"),
            reader.number::<u64>("number").map(|_| ()).expect_err("text"),
            reader.instant("wide").map(|_| ()).expect_err("too wide"),
            reader.compressed("packed").map(|_| ()).expect_err("not gzip"),
            reader.bytes("number").map(|_| ()).expect_err("text"),
            reader.flag("number").map(|_| ()).expect_err("text"),
            reader.need("absent", None::<u8>).map(|_| ()).expect_err("absent"),
        ];
        for (error, name) in errors.iter().zip(["text", "number", "wide", "packed", "number", "number", "absent"]) {
            let words = error.to_string();
            assert!(words.contains(&format!("`{name}`")) && !words.contains("s3cret"), "{words}");
        }
    }

    #[test]
    fn text_survives_its_compression() {
        for sample in ["", "a", &"grüße 🚨 ".repeat(10_000)] {
            assert_eq!(decompress(&compress(sample)).expect("just written"), sample);
        }
    }
}
