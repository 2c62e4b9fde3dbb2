//! `switchboard redrive`: all dead letters, once what they failed by is mended.

use clap::Args;
use jiff::Timestamp;
use shared::ids::DestinationName;
use shared::ports::{Deliveries, Queue};
use shared::resend;

use crate::deliveries::{Place, Since, Work};

/// Send all failed deliveries again, oldest first
#[derive(Args)]
#[command(after_help = "What is parked needs no redrive: it is sent by itself once its destination is back.")]
pub(crate) struct Redrive {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(Args)]
struct Wanted {
    /// Only those to this destination
    #[arg(long, value_name = "NAME")]
    destination: Option<DestinationName>,
    /// Only those accepted since then: an instant (2026-11-24T10:00:00Z) or an age (2h, 3d)
    #[arg(long, value_name = "T")]
    since: Option<Since>,
}

impl Redrive {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let sent = self.place.work(self.wanted).await?;
        match sent {
            0 => println!("nothing to send again"),
            _ => println!("{sent} on the queue: {}", self.place.when()?),
        }
        Ok(())
    }
}

impl Work for Wanted {
    /// How many are on the queue.
    type Done = usize;

    async fn on<D: Deliveries, Q: Queue>(self, deliveries: &D, outbox: &Q) -> anyhow::Result<usize> {
        let destinations = match self.destination {
            Some(name) => vec![name],
            None => deliveries.with_failed().await?,
        };
        let since = self.since.map_or(Timestamp::MIN, |since| since.0);
        let mut sent = 0;
        for name in &destinations {
            let redriven = resend::redrive(deliveries, outbox, name, since, Timestamp::now()).await?;
            if redriven.sent > 0 {
                println!("{name}: {} sent again", redriven.sent);
            }
            for (id, why) in &redriven.refused {
                eprintln!("{name}: {id} is not sent again: {why}");
            }
            sent += redriven.sent;
        }
        Ok(sent)
    }
}
