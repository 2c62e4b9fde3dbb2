//! Names and times that no other run has.

use std::time::Duration;

use jiff::Timestamp;
use shared::ids::{EventId, InstallationId, hex};
use shared::ports::{Chance, SystemChance};

/// 16 hex digits.
pub(crate) fn name() -> String {
    hex(&SystemChance.bytes::<8>())
}

pub(crate) fn installation_id() -> InstallationId {
    let digits = hex(&SystemChance.bytes::<16>());
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
    parts.join("-").parse().expect("a UUID")
}

pub(crate) fn event_id() -> EventId {
    EventId::of_signature(&name())
}

/// Some midnight of the years 1975 to 2010: what a suite looks up by time is alone there.
pub(crate) fn midnight() -> Timestamp {
    let days = u32::from_be_bytes(SystemChance.bytes()) % 12_784;
    Timestamp::constant(157_766_400, 0) + Duration::from_hours(24 * u64::from(days))
}

/// A time so far ahead that no store forgets what is kept until then while a suite runs. Whole seconds: what a store
/// forgets by itself it may keep in seconds.
pub(crate) const FAR_AHEAD: Timestamp = Timestamp::constant(4_102_444_800, 0);
