//! A delivery's record as an item of the table.

use jiff::{civil::Date, tz::Offset};
use shared::delivery::Delivery;
use shared::ids::{DeliveryId, DestinationName};
use shared::ports::{DeliveryRecord, DeliveryState, StoreError, Stuck};

use super::STORE;
use crate::row::{Item, ItemBuilder, MAX_COMPRESSED_BYTES, Reader, bytes, compress, expiry, millis, number, text};

/// What the index `log` must bring besides its keys: all of a record but the message and the last answer, which are large
/// and which no list shows.
pub const LOG_ATTRIBUTES: [&str; 17] = [
    "event",
    "event_name",
    "installation",
    "destination",
    "route",
    "group",
    "title",
    "state",
    "attempts",
    "next_try_at",
    "last_status",
    "last_error",
    "warning",
    "accepted_at",
    "ended_at",
    "expires",
    "expires_unparked",
];

const PREFIX: &str = "delivery#";

pub(super) fn key(id: &DeliveryId) -> String {
    format!("{PREFIX}{id}")
}

/// The id out of an item's key.
pub(super) fn id(item: &Item) -> Result<DeliveryId, StoreError> {
    let row = Reader { store: STORE, item };
    row.need("key", row.word("key", |key| key.strip_prefix(PREFIX)?.parse().ok())?)
}

pub(super) fn log_partition(day: Date, shard: u8) -> String {
    format!("{day}#{shard}")
}

/// The sparse index has failed and parked ones only.
pub(super) fn stuck_for(destination: &DestinationName, state: DeliveryState) -> Option<String> {
    matches!(state, DeliveryState::Failed | DeliveryState::Parked).then(|| format!("{}#{destination}", state.as_str()))
}

/// Whose dead letter an item of the index `stuck` is.
pub(super) fn failed_for(item: &Item) -> Option<DestinationName> {
    item.get("stuck_for")?.as_s().ok()?.strip_prefix("failed#")?.parse().ok()
}

/// As the index `stuck` has it.
pub(super) fn stuck(item: &Item) -> Result<Stuck, StoreError> {
    let row = Reader { store: STORE, item };
    Ok(Stuck { id: id(item)?, accepted_at: row.need("accepted_at", row.instant("accepted_at")?)? })
}

/// The key of the index `stuck`, from which a query goes on.
pub(super) fn stuck_key(stuck_for: &str, stuck: &Stuck) -> Item {
    ItemBuilder::default()
        .set("key", text(key(&stuck.id)))
        .set("stuck_for", text(stuck_for))
        .set("accepted_at", millis(stuck.accepted_at))
        .build()
}

/// By the id's first hex digit, which is as good as chance and always the same for one delivery.
fn shard(id: &DeliveryId) -> u8 {
    id.as_str().chars().next().and_then(|digit| digit.to_digit(16)).and_then(|n| u8::try_from(n).ok()).unwrap_or(0)
}

/// As much of a message as an item can hold, compressed, and what the record says of it. Better a dead letter without its
/// message than none at all.
fn fitting(message: &str) -> (Option<Vec<u8>>, Option<String>) {
    let packed = compress(message);
    if packed.len() <= MAX_COMPRESSED_BYTES {
        return (Some(packed), None);
    }
    let size = packed.len().div_ceil(1000);
    let bare = Delivery::without_original(message).map(|bare| compress(&bare));
    match bare.filter(|bare| bare.len() <= MAX_COMPRESSED_BYTES) {
        Some(bare) => {
            let note = "its message is kept without Sentry's own bytes, with which it is too large";
            (Some(bare), Some(format!("{note} ({size} kB compressed)")))
        }
        None => (None, Some(format!("its message of {size} kB compressed is too large to keep"))),
    }
}

pub(super) fn item(record: &DeliveryRecord) -> Item {
    let (message, note) = record.message.as_deref().map_or((None, None), fitting);
    let last_error = match (record.last_error.as_deref(), note) {
        (error, None) => error.map(str::to_owned),
        (None, Some(note)) => Some(note),
        (Some(error), Some(note)) => Some(format!("{error}; {note}")),
    };
    let day = Offset::UTC.to_datetime(record.accepted_at).date();
    // A parked one waits for as long as its destination is down: its time is kept where TTL does not look.
    let expires = if record.state == DeliveryState::Parked { "expires_unparked" } else { "expires" };
    ItemBuilder::default()
        .set("key", text(key(&record.id)))
        .set("event", text(record.event.as_str()))
        .set("event_name", text(&record.event_name))
        .set_some("installation", record.installation, |id| text(id.to_string()))
        .set("destination", text(record.destination.as_str()))
        .set("route", text(&record.route))
        .set("group", text(&record.group))
        .set("title", text(&record.title))
        .set("state", text(record.state.as_str()))
        .set("attempts", number(record.attempts))
        .set_some("next_try_at", record.next_try_at, millis)
        .set_some("last_status", record.last_status, number)
        .set_some("last_error", last_error, text)
        .set_some("last_answer", record.last_answer.as_deref(), text)
        .set_some("warning", record.warning.as_deref(), text)
        .set("accepted_at", millis(record.accepted_at))
        .set_some("ended_at", record.ended_at, millis)
        .set_some("message", message, bytes)
        .set(expires, expiry(record.expires))
        .set_some("stuck_for", record.stuck_for(), text)
        .set("log_partition", text(log_partition(day, shard(&record.id))))
        .set("time", millis(record.accepted_at))
        .build()
}

pub(super) fn delivery(item: &Item) -> Result<DeliveryRecord, StoreError> {
    let row = Reader { store: STORE, item };
    Ok(DeliveryRecord {
        id: id(item)?,
        event: row.need("event", row.word("event", |id| id.parse().ok())?)?,
        event_name: row.need("event_name", row.text("event_name")?)?.to_owned(),
        installation: row.word("installation", |id| id.parse().ok())?,
        destination: row.need("destination", row.word("destination", |name| name.parse().ok())?)?,
        route: row.need("route", row.text("route")?)?.to_owned(),
        group: row.need("group", row.text("group")?)?.to_owned(),
        title: row.need("title", row.text("title")?)?.to_owned(),
        state: row.need("state", row.word("state", DeliveryState::from_word)?)?,
        attempts: row.need("attempts", row.number("attempts")?)?,
        next_try_at: row.instant("next_try_at")?,
        last_status: row.number("last_status")?,
        last_error: row.text("last_error")?.map(str::to_owned),
        last_answer: row.text("last_answer")?.map(str::to_owned),
        warning: row.text("warning")?.map(str::to_owned),
        accepted_at: row.need("accepted_at", row.instant("accepted_at")?)?,
        ended_at: row.instant("ended_at")?,
        message: row.compressed("message")?,
        expires: match row.expiry("expires")? {
            Some(expires) => expires,
            None => row.need("expires", row.expiry("expires_unparked")?)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use jiff::Timestamp;
    use shared::ids::EventId;

    use super::*;

    fn ms(value: i64) -> Timestamp {
        Timestamp::from_millisecond(value).expect("in range")
    }

    fn record(state: DeliveryState) -> DeliveryRecord {
        let event = EventId::of_signature("a signature");
        let destination: DestinationName = "phones".parse().expect("a name");
        let accepted_at = "2026-11-23T23:59:59.999Z".parse().expect("an instant");
        DeliveryRecord {
            id: DeliveryId::of(&event, accepted_at, &destination),
            event,
            event_name: "issue.created".into(),
            installation: "a8e5d37a-696c-4c54-adb5-b3f28d64c7de".parse().ok(),
            destination,
            route: "backend-issues".into(),
            group: "phones:00".into(),
            title: String::new(),
            state,
            attempts: 4,
            next_try_at: Some(ms(1_795_550_000_001)),
            last_status: Some(503),
            last_error: Some("failed with 503".into()),
            last_answer: Some("busy".into()),
            warning: Some("its template failed".into()),
            accepted_at,
            ended_at: Some(ms(1_795_550_000_002)),
            message: Some("{\"v\":1,\"title\":\"grüße\"}".into()),
            expires: ms(1_798_000_000_000),
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was_stored() {
        let full = record(DeliveryState::Failed);
        let bare = DeliveryRecord {
            state: DeliveryState::Queued,
            next_try_at: None,
            last_status: None,
            last_error: None,
            last_answer: None,
            warning: None,
            installation: None,
            ended_at: None,
            message: None,
            ..full.clone()
        };
        for record in [full, bare] {
            assert_eq!(delivery(&item(&record)).expect("just written"), record);
        }
    }

    #[test]
    fn only_failed_and_parked_ones_stand_in_the_index_of_the_stuck() {
        use DeliveryState::{Accepted, Failed, Parked, Queued, Sent};
        let cases = [
            (Queued, None),
            (Sent, None),
            (Accepted, None),
            (Failed, Some("failed#phones")),
            (Parked, Some("parked#phones")),
        ];
        for (state, expected) in cases {
            let record = record(state);
            assert_eq!(item(&record).get("stuck_for"), expected.map(text).as_ref(), "{state:?}");
            assert_eq!(record.stuck_for(), stuck_for(&record.destination, state), "{state:?}");
        }
    }

    #[test]
    fn a_parked_record_is_not_forgotten_by_the_store() {
        let record = record(DeliveryState::Parked);
        let parked = item(&record);
        assert!(!parked.contains_key("expires"));
        assert_eq!(delivery(&parked).expect("readable"), record);
        assert_eq!(
            item(&DeliveryRecord { state: DeliveryState::Failed, ..record })["expires"],
            number(1_798_000_000_i64)
        );
    }

    #[test]
    fn the_log_has_a_partition_a_day_and_first_digit() {
        let record = record(DeliveryState::Sent);
        let digit = u8::from_str_radix(&record.id.as_str()[..1], 16).expect("hex");
        let item = item(&record);
        assert_eq!(item["log_partition"], text(format!("2026-11-23#{digit}")));
        assert_eq!(item["time"], item["accepted_at"]);
    }

    /// Hex of scrambled numbers: text that hardly compresses below the half.
    fn noise(bytes: u64) -> String {
        (0..bytes / 16).fold(String::new(), |mut text, n| {
            let _ = write!(text, "{:016x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(n | 1));
            text
        })
    }

    #[test]
    fn of_a_message_that_no_item_can_hold_as_much_is_kept_as_fits_and_the_record_says_so() {
        let bare = r#"{"delivery":"d","v":1}"#.to_owned();
        let raw = |name: &str, text: &str| format!(r#"{{"v":1,"delivery":"d","{name}":"{text}"}}"#);
        let large = noise(1_100_000);
        let without = "its message is kept without Sentry's own bytes, with which it is too large (";
        let cases = [
            ("fits", bare.clone(), Some(bare.clone()), ""),
            ("fits with Sentry's bytes", raw("raw", "{}"), Some(raw("raw", "{}")), ""),
            ("large by Sentry's bytes", raw("raw", &large), Some(bare.clone()), without),
            ("large by Sentry's bytes, which are no text", raw("raw_base64", &large), Some(bare), without),
            ("large without them", raw("title", &large), None, "its message of "),
            ("no JSON", large.clone(), None, "its message of "),
        ];
        for (name, message, kept, note) in cases {
            for (state, error) in [(DeliveryState::Failed, Some("failed with 503")), (DeliveryState::Parked, None)] {
                let record = DeliveryRecord {
                    message: Some(message.clone()),
                    last_error: error.map(str::to_owned),
                    ..record(state)
                };
                let stored = delivery(&item(&record)).expect("readable");
                assert_eq!(stored.message, kept, "{name}");
                let said = stored.last_error.unwrap_or_default();
                let lead = error.filter(|_| !note.is_empty()).map_or(String::new(), |error| format!("{error}; "));
                let expected = if note.is_empty() { error.unwrap_or_default() } else { note };
                assert!(said.starts_with(&format!("{lead}{expected}")), "{name}: {said}");
            }
        }
    }

    #[test]
    fn the_log_brings_what_a_record_needs() {
        let full = record(DeliveryState::Failed);
        let mut shown = item(&full);
        shown.retain(|name, _| name == "key" || LOG_ATTRIBUTES.contains(&name.as_str()));
        assert_eq!(delivery(&shown).expect("complete"), DeliveryRecord { message: None, last_answer: None, ..full });
    }
}
