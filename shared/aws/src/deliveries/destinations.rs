//! How each destination does: the items `destination#{name}`. One that is not open also stands in the sparse index
/// `stuck`, under a partition of its own, so that all of them are found without a scan.
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use shared::ids::DestinationName;
use shared::ports::{Circuit, DestinationHealth, StoreError};

use super::STORE;
use crate::row::{Item, Reader, millis, number, text};
use crate::table::{Change, Expression, WRITE};

/// Their partition of the index `stuck`.
pub(super) const NOT_OPEN: &str = "not-open";

const PREFIX: &str = "destination#";

pub(super) fn key(name: &DestinationName) -> String {
    format!("{PREFIX}{name}")
}

pub(super) fn name(item: &Item) -> Result<DestinationName, StoreError> {
    let row = Reader { store: STORE, item };
    row.need("key", row.word("key", |key| key.strip_prefix(PREFIX)?.parse().ok())?)
}

pub(super) fn health(item: &Item) -> Result<DestinationHealth, StoreError> {
    let row = Reader { store: STORE, item };
    Ok(DestinationHealth {
        name: name(item)?,
        state: row.need("state", row.word("state", Circuit::from_word)?)?,
        failures: row.need("failures", row.number("failures")?)?,
        probe_at: row.instant("probe_at")?,
        lease_until: row.instant("lease_until")?,
        since: row.instant("since")?,
        reason: row.text("reason")?.map(str::to_owned),
        parked: row.number("parked")?.unwrap_or(0),
        version: row.need("version", row.number("version")?)?,
    })
}

/// Every attribute but the key and `parked`, which is counted by others meanwhile.
const NAMES: &[(&str, &str)] = &[
    ("#state", "state"),
    ("#failures", "failures"),
    ("#probe_at", "probe_at"),
    ("#lease_until", "lease_until"),
    ("#since", "since"),
    ("#reason", "reason"),
    ("#version", "version"),
    ("#write", WRITE),
    ("#stuck_for", "stuck_for"),
    ("#accepted_at", "accepted_at"),
];

/// With the one that is left alone, for the condition.
const OPENING: &[(&str, &str)] = &[
    NAMES[0],
    NAMES[1],
    NAMES[2],
    NAMES[3],
    NAMES[4],
    NAMES[5],
    NAMES[6],
    NAMES[7],
    NAMES[8],
    NAMES[9],
    ("#parked", "parked"),
];

/// The update that stores `row` as a whole, and its condition. What is `None` is removed, since an index takes no empty
/// key.
pub(super) fn update(row: &DestinationHealth, write: AttributeValue) -> (String, Expression) {
    let away = row.state != Circuit::Open;
    let optional = [
        ("#probe_at", ":probe_at", row.probe_at.map(millis)),
        ("#lease_until", ":lease_until", row.lease_until.map(millis)),
        ("#since", ":since", row.since.map(millis)),
        ("#reason", ":reason", row.reason.as_deref().map(text)),
        ("#stuck_for", ":stuck_for", away.then(|| text(NOT_OPEN))),
        ("#accepted_at", ":accepted_at", away.then(|| millis(row.since.unwrap_or(Timestamp::UNIX_EPOCH)))),
    ];
    let mut set = "SET #state = :state, #failures = :failures, #version = :next, #write = :write".to_owned();
    let mut remove = Vec::new();
    let mut values = vec![
        (":state", text(row.state.as_str())),
        (":failures", number(row.failures)),
        (":next", number(row.version + 1)),
        (":write", write),
    ];
    for (name, alias, value) in optional {
        match value {
            Some(value) => {
                set = format!("{set}, {name} = {alias}");
                values.push((alias, value));
            }
            None => remove.push(name),
        }
    }
    if !remove.is_empty() {
        set = format!("{set} REMOVE {}", remove.join(", "));
    }
    let (names, condition) = match (row.version, away) {
        // Nothing can be parked for a destination that has no row.
        (0, _) => (NAMES, "attribute_not_exists(#version)"),
        (_, true) => (NAMES, "#version = :version"),
        (_, false) => (OPENING, "#version = :version AND (attribute_not_exists(#parked) OR #parked = :none)"),
    };
    if row.version > 0 {
        values.push((":version", number(row.version)));
        if !away {
            values.push((":none", number(0)));
        }
    }
    (set, Expression { text: condition, names, values })
}

/// One more is parked: only as long as the destination is not open.
pub(super) fn one_more(key: &str) -> Change<'_> {
    Change {
        key,
        update: "ADD #parked :one",
        condition: Expression {
            text: "#state <> :open AND attribute_exists(#state)",
            names: &[("#parked", "parked"), ("#state", "state")],
            values: vec![(":one", number(1)), (":open", text(Circuit::Open.as_str()))],
        },
    }
}

pub(super) fn one_less(key: &str) -> Change<'_> {
    Change {
        key,
        update: "ADD #parked :one",
        condition: Expression { text: "", names: &[("#parked", "parked")], values: vec![(":one", number(-1))] },
    }
}
