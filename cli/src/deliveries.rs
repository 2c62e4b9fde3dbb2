//! `switchboard deliveries …`: what was sent, what was not and why, and sending it again.

mod list;
mod place;
mod resend;
mod show;

pub(crate) use place::{Place, Since, Work};

use anyhow::bail;
use clap::Subcommand;
use jiff::{Timestamp, ToSpan as _};
use shared::destinations::one_line;
use shared::ids::DeliveryId;
use shared::ports::{Deliveries as Table, DeliveryRecord};

/// See what was sent and what was not, or send it again
#[derive(Subcommand)]
pub(crate) enum Deliveries {
    List(list::List),
    Show(show::Show),
    Resend(resend::Resend),
}

impl Deliveries {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run().await,
            Self::Show(show) => show.run().await,
            Self::Resend(resend) => resend.run().await,
        }
    }
}

/// How many records are looked through for what an operator asks for.
const LOOKED_THROUGH: usize = 10_000;
/// How much of an id the list shows; enough to name a delivery.
const ID_SHOWN: usize = 12;

/// The first digits of an id.
fn short(id: &DeliveryId) -> &str {
    id.as_str().get(..ID_SHOWN).unwrap_or(id.as_str())
}

fn instant(at: Timestamp) -> String {
    at.strftime("%F %TZ").to_string()
}

/// The delivery that `prefix`, the beginning of its id, names.
async fn find(deliveries: &impl Table, prefix: &str, now: Timestamp) -> anyhow::Result<DeliveryRecord> {
    let id = match prefix.parse() {
        Ok(id) => id,
        Err(_) => begins_with(deliveries, prefix, now).await?,
    };
    match deliveries.read(&id).await? {
        Some(record) => Ok(record),
        None => bail!("there is no delivery {prefix}, or it was forgotten"),
    }
}

async fn begins_with(deliveries: &impl Table, prefix: &str, now: Timestamp) -> anyhow::Result<DeliveryId> {
    if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        bail!("`{}` is not the beginning of a delivery's id: see `deliveries list`", one_line(prefix, 80));
    }
    // Nothing lives longer, but what is parked or was parked until lately.
    let since = now - (24 * 60).hours();
    let recent = deliveries.recent(since, now, LOOKED_THROUGH).await?;
    let mut found: Vec<_> =
        recent.into_iter().map(|record| record.id).filter(|id| id.as_str().starts_with(prefix)).collect();
    match found.len() {
        0 => bail!("none of the last {LOOKED_THROUGH} deliveries has an id that begins with {prefix}"),
        1 => Ok(found.remove(0)),
        several => bail!("{several} deliveries have an id that begins with {prefix}: give more of it"),
    }
}
