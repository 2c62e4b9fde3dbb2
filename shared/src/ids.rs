//! The names things are known by, each parsed once at the edge and trusted afterwards.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A text that is not what it was said to be. It never shows the text itself: that may be hostile, or a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct BadId(&'static str);

/// One installation of the app in one organization: Sentry's `installation.uuid`, the redirect's `installationId`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstallationId(Uuid);

impl FromStr for InstallationId {
    type Err = BadId;

    /// Takes the one form that Sentry sends, 36 characters with dashes, in either case.
    fn from_str(text: &str) -> Result<Self, BadId> {
        if text.len() != 36 {
            return Err(BadId("an installation UUID"));
        }
        Uuid::try_parse(text).map(Self).map_err(|_| BadId("an installation UUID"))
    }
}

impl fmt::Display for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for InstallationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Implements the common traits of an id that is text.
macro_rules! text_id {
    ($name:ident, $what:literal, $valid:expr) => {
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(BadId($what)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// One accepted webhook: the SHA-256, in hex, of its verified signature in lower-case hex. Derived from the signature
/// and not from a header, because the signature digests the body and no header is signed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(String);

text_id!(EventId, "an event id (64 hex digits)", is_hex_64);

impl EventId {
    pub fn of_signature(signature_hex: &str) -> Self {
        Self(hex(&Sha256::digest(signature_hex)))
    }

    /// Of an event of the bundle's own, which nobody signs: the SHA-256 of its body. What it is about and when stands
    /// in the body, so the same thing told twice is one event.
    pub fn of_body(body: &[u8]) -> Self {
        Self(hex(&Sha256::digest(body)))
    }
}

/// One accepted event on its way to one destination.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(String);

text_id!(DeliveryId, "a delivery id (64 hex digits)", is_hex_64);

impl DeliveryId {
    /// The same for every redelivery of one accepted event; another one when Sentry's event is news again.
    pub fn of(event: &EventId, accepted_at: jiff::Timestamp, destination: &DestinationName) -> Self {
        Self(hash([event.as_str(), &accepted_at.as_millisecond().to_string(), destination.as_str()]))
    }
}

/// A destination's name in the routes file: 1 to 64 of `A-Z a-z 0-9 - _`, so that it fits into a queue's group.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DestinationName(String);

text_id!(DestinationName, "a destination's name (1 to 64 of A-Z a-z 0-9 - _)", |text| {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
});

/// The value of `Sentry-Hook-Resource`: 1 to 64 of `a-z 0-9 _ . -`, and not `switchboard`, which is the bundle's own
/// and comes in by [`Resource::from_queue`] alone. An open set: what nobody knows yet is kept.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Resource(String);

text_id!(Resource, "a resource (1 to 64 of a-z 0-9 _ . -, and not switchboard)", |text| {
    is_resource(text) && text != Resource::OWN
});

impl Resource {
    const OWN: &str = "switchboard";

    /// That of the events which the bundle makes itself.
    pub fn own() -> Self {
        Self(Self::OWN.to_owned())
    }

    pub fn is_own(&self) -> bool {
        self.0 == Self::OWN
    }

    /// As it stands on `events.fifo`, where nobody but the bundle puts anything: its own is taken too.
    pub fn from_queue(text: &str) -> Result<Self, BadId> {
        if text == Self::OWN { Ok(Self::own()) } else { text.parse() }
    }
}

fn is_resource(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-'))
}

fn is_hex_64(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// SHA-256 in hex over parts that cannot run into each other: each is led by its length.
pub fn hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex(&digest.finalize())
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_is_a_dashed_uuid_and_nothing_else() {
        let upper: InstallationId = "A8E5D37A-696C-4C54-ADB5-B3F28D64C7DE".parse().expect("upper case");
        assert_eq!(upper.to_string(), "a8e5d37a-696c-4c54-adb5-b3f28d64c7de");
        for bad in [
            "",
            "../../../etc/passwd",
            "%2e%2e",
            "a8e5d37a696c4c54adb5b3f28d64c7de",
            "{a8e5d37a-696c-4c54-adb5-b3f28d64c7de}",
        ] {
            assert!(bad.parse::<InstallationId>().is_err(), "{bad}");
        }
        assert!("x".repeat(10_240).parse::<InstallationId>().is_err());
    }

    #[test]
    fn a_resource_is_short_lower_case_and_not_our_own() {
        for good in ["issue", "event_alert", "preprod_artifact", "a.b-c_9"] {
            assert!(good.parse::<Resource>().is_ok(), "{good}");
        }
        for bad in ["", "Issue", "is sue", "switchboard", "ü", &"x".repeat(65)] {
            assert!(bad.parse::<Resource>().is_err(), "{bad}");
            assert_eq!(Resource::from_queue(bad).is_ok(), bad == "switchboard", "{bad}");
        }
        assert!(Resource::own().is_own() && !Resource::from_queue("issue").unwrap().is_own());
    }

    #[test]
    fn parts_of_a_hash_do_not_run_into_each_other() {
        assert_ne!(hash(["ab", "c"]), hash(["a", "bc"]));
        assert_eq!(hash(["a"]).len(), 64);
    }
}
