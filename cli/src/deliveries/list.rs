//! `switchboard deliveries list`: a table for a person.

use std::fmt::Write as _;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::{Timestamp, ToSpan as _};
use shared::destinations::one_line;
use shared::ids::DestinationName;
use shared::ports::{Deliveries, DeliveryRecord, DeliveryState, Queue};

use super::{LOOKED_THROUGH, Place, Since, Work, instant, short};

/// What was accepted lately, newest first
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(Args)]
struct Wanted {
    /// Only those that are queued, sent, accepted, failed or parked
    #[arg(long, value_parser = state())]
    state: Option<DeliveryState>,
    /// Only those to this destination
    #[arg(long, value_name = "NAME")]
    destination: Option<DestinationName>,
    /// Accepted since then: an instant (2026-11-24T10:00:00Z) or an age (2h, 3d) [default: 30d]
    #[arg(long, value_name = "T")]
    since: Option<Since>,
    /// Show at most so many
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
}

fn state() -> impl TypedValueParser<Value = DeliveryState> {
    PossibleValuesParser::new(["queued", "sent", "accepted", "failed", "parked"])
        .try_map(|word| DeliveryState::from_word(&word).ok_or("no state"))
}

impl List {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        print!("{}", self.place.work(self.wanted).await?);
        Ok(())
    }
}

impl Work for Wanted {
    type Done = String;

    async fn on<D: Deliveries, Q: Queue>(self, deliveries: &D, _outbox: &Q) -> anyhow::Result<String> {
        let now = Timestamp::now();
        let since = self.since.map_or_else(|| now - (24 * 30).hours(), |since| since.0);
        let all = self.state.is_none() && self.destination.is_none();
        let limit = usize::from(self.limit);
        let recent = deliveries.recent(since, now, if all { limit } else { LOOKED_THROUGH }).await?;
        let looked_through = recent.len();
        let found: Vec<_> = recent.into_iter().filter(|record| self.wants(record)).take(limit).collect();
        let mut shown = if found.is_empty() { "no such deliveries\n".to_owned() } else { table(&found) };
        if !all && looked_through == LOOKED_THROUGH && found.len() < limit {
            // Writing into a String does not fail.
            let _ = writeln!(shown, "only the newest {LOOKED_THROUGH} were looked through: narrow it with --since");
        }
        Ok(shown)
    }
}

impl Wanted {
    fn wants(&self, record: &DeliveryRecord) -> bool {
        self.state.is_none_or(|state| state == record.state)
            && self.destination.as_ref().is_none_or(|name| *name == record.destination)
    }
}

/// Columns as wide as their widest word; the last two are cut, since they are people's text.
fn table(records: &[DeliveryRecord]) -> String {
    let head = ["ID", "ACCEPTED", "STATE", "EVENT", "DESTINATION", "TRIES", "TITLE", "ERROR"].map(str::to_owned);
    let rows = records.iter().map(|record| {
        [
            short(&record.id).to_owned(),
            instant(record.accepted_at),
            record.state.as_str().to_owned(),
            one_line(&record.event_name, 40),
            record.destination.to_string(),
            record.attempts.to_string(),
            one_line(&record.title, 40),
            one_line(record.last_error.as_deref().or(record.warning.as_deref()).unwrap_or_default(), 80),
        ]
    });
    let rows: Vec<[String; 8]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut table = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        table.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        table.push('\n');
    }
    table
}
