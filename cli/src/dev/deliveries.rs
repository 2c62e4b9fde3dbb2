//! The page's part about deliveries: what was delivered where, and what waits.

use std::fmt::Write;

use shared::ports::{DeliveryRecord, DeliveryState};

use super::html::{Text, button, table};
use super::page::time;

/// The newest, and how many events and deliveries are in the queues.
pub(super) fn render(deliveries: &[DeliveryRecord], waiting_events: u64, waiting_deliveries: u64) -> String {
    let list = table(
        &["Time (UTC)", "Event", "Title", "Route → destination", "State", "Tries", "After", ""],
        deliveries.iter().map(delivery),
        "Nothing has been delivered yet.",
    );
    let waiting = match (waiting_events, waiting_deliveries) {
        (0, 0) => String::new(),
        (events, deliveries) => format!(
            "<p class=wait>Waiting in the queues: events {events}, deliveries {deliveries}. An event is tried again later while \
             its installation is under way, or a call to Sentry fails.</p>\n"
        ),
    };
    format!("<h2>Deliveries</h2>\n{waiting}{list}")
}

fn delivery(record: &DeliveryRecord) -> String {
    let class = match record.state {
        DeliveryState::Sent | DeliveryState::Accepted => "good",
        DeliveryState::Failed => "bad",
        DeliveryState::Queued | DeliveryState::Parked => "wait",
    };
    let mut state = record.state.as_str().to_owned();
    if let Some(at) = record.next_try_at {
        let _ = write!(state, ", next try {}", time(at));
    }
    let error = record
        .last_error
        .as_ref()
        .map_or_else(String::new, |error| format!("<br><span class=bad>{}</span>", Text(error)));
    let warning = record
        .warning
        .as_ref()
        .map_or_else(String::new, |warning| format!("<br><span class=wait>{}</span>", Text(warning)));
    let id = record.id.to_string();
    let resend = match record.state {
        DeliveryState::Failed => button("/resend", "Resend", Some(("delivery", &id))),
        _ => String::new(),
    };
    let after = record
        .ended_at
        .map_or_else(String::new, |at| format!("{}&nbsp;ms", at.duration_since(record.accepted_at).as_millis()));
    format!(
        "<td>{}<td>{}<td>{}<td>{} → {}<td><span class={class}>{}</span>{error}{warning}<td>{}<td>{after}<td>{resend}",
        time(record.accepted_at),
        Text(&record.event_name),
        Text(&record.title),
        Text(&record.route),
        Text(&record.destination),
        Text(state),
        record.attempts,
    )
}
