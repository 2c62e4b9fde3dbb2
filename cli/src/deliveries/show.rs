//! `switchboard deliveries show`: all that is known of one delivery.

use std::fmt::Write as _;

use clap::Args;
use jiff::Timestamp;
use shared::delivery::Delivery;
use shared::destinations::visible;
use shared::ports::{Deliveries, DeliveryRecord, Queue};

use super::{Place, Work, find, instant};

/// Everything about one delivery
#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    place: Place,
    /// Its id; the beginning is enough where no other has the same
    id: String,
}

impl Show {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let record = self.place.work(Find(self.id)).await?;
        print!("{}", described(&record));
        Ok(())
    }
}

struct Find(String);

impl Work for Find {
    type Done = DeliveryRecord;

    async fn on<D: Deliveries, Q: Queue>(self, deliveries: &D, _outbox: &Q) -> anyhow::Result<DeliveryRecord> {
        find(deliveries, &self.0, Timestamp::now()).await
    }
}

fn described(record: &DeliveryRecord) -> String {
    let status = record.last_status.map(|status| status.to_string());
    let installation = record.installation.map(|id| id.to_string());
    let attempts = record.attempts.to_string();
    let (accepted, next, ended) =
        (instant(record.accepted_at), record.next_try_at.map(instant), record.ended_at.map(instant));
    let lines = [
        ("delivery", Some(record.id.as_str())),
        ("event", Some(record.event_name.as_str())),
        ("title", Some(record.title.as_str())),
        ("destination", Some(record.destination.as_str())),
        ("route", Some(record.route.as_str())),
        ("installation", installation.as_deref()),
        ("state", Some(record.state.as_str())),
        ("tries", Some(attempts.as_str())),
        ("accepted", Some(accepted.as_str())),
        ("next try", next.as_deref()),
        ("ended", ended.as_deref()),
        ("status", status.as_deref()),
        ("error", record.last_error.as_deref()),
        ("warning", record.warning.as_deref()),
        ("answer", record.last_answer.as_deref()),
    ];
    let mut text = String::new();
    for (name, value) in lines.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        let value = visible(value).trim().replace('\n', "\n              ");
        // Writing into a String does not fail.
        let _ = writeln!(text, "{name:12}  {value}");
    }
    if let Some(event) = record.message.as_deref().and_then(|message| Delivery::from_json(message.as_bytes()).ok()) {
        // A struct of texts always has a JSON form.
        let event = serde_json::to_string_pretty(&event.normalized).expect("texts have a JSON form");
        let _ = writeln!(text, "message\n{}", visible(&event));
    }
    text
}
