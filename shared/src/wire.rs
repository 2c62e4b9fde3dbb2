//! How bytes travel in a queue's message, which carries only certain characters and at most 1 MiB.

use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// A larger body is compressed: the queue's limit is 1 MiB with attributes.
const IDENTITY_MAX_BYTES: usize = 1_000_000;
/// No body that was ever taken unpacks to more; a message that does is not ours.
const UNPACKED_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A message that cannot be read: another version's, or not ours. It is left to the queue's dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    #[error("the message lacks `{0}`")]
    Missing(&'static str),
    #[error("the message's `{0}` cannot be read")]
    Unreadable(&'static str),
    #[error("the message is of a version that this one does not know")]
    Version,
}

/// The text for the message, and its `encoding`: `identity` where SQS carries the bytes as they are, else
/// `gzip+base64`.
pub fn encode(bytes: &[u8]) -> (String, &'static str) {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.len() <= IDENTITY_MAX_BYTES && !text.is_empty() && text.chars().all(is_carried) => {
            (text.to_owned(), "identity")
        }
        _ => (STANDARD.encode(gzip(bytes)), "gzip+base64"),
    }
}

pub fn decode(text: &str, encoding: &str) -> Result<Bytes, BadMessage> {
    match encoding {
        "identity" => Ok(Bytes::copy_from_slice(text.as_bytes())),
        "gzip+base64" => STANDARD
            .decode(text)
            .ok()
            .and_then(|packed| gunzip(&packed))
            .map(Bytes::from)
            .ok_or(BadMessage::Unreadable("body")),
        _ => Err(BadMessage::Unreadable("encoding")),
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}

/// `None` if it is not gzip, or unpacks to over 64 MiB.
pub fn gunzip(packed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = GzDecoder::new(packed).take(UNPACKED_MAX_BYTES + 1).read_to_end(&mut bytes).ok()?;
    (read as u64 <= UNPACKED_MAX_BYTES).then_some(bytes)
}

/// SQS: "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF".
fn is_carried(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_the_queue_cannot_carry_is_packed() {
        let long = "a".repeat(IDENTITY_MAX_BYTES + 1);
        let cases: [(&str, &[u8], &str); 7] = [
            ("plain", b"{}", "identity"),
            ("unicode", "{\"t\":\"ü🦀\"}".as_bytes(), "identity"),
            ("control character", b"\x01", "gzip+base64"),
            ("U+FFFE", "\u{FFFE}".as_bytes(), "gzip+base64"),
            ("not UTF-8", b"\xff", "gzip+base64"),
            ("empty", b"", "gzip+base64"),
            ("long", long.as_bytes(), "gzip+base64"),
        ];
        for (name, bytes, encoding) in cases {
            let (text, actual) = encode(bytes);
            assert_eq!(actual, encoding, "{name}");
            assert_eq!(decode(&text, actual).unwrap(), bytes, "{name}");
        }
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let (text, encoding) = encode(&bytes);
            prop_assert!(!text.is_empty() && text.chars().all(is_carried));
            prop_assert_eq!(decode(&text, encoding).unwrap(), bytes);
        }
    }
}
