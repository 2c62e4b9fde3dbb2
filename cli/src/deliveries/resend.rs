//! `switchboard deliveries resend`: single dead letters.

use anyhow::bail;
use clap::Args;
use jiff::Timestamp;
use shared::ports::{Deliveries, Queue};
use shared::resend;

use super::{Place, Work, find, short};

/// Send failed deliveries again
#[derive(Args)]
pub(crate) struct Resend {
    #[command(flatten)]
    place: Place,
    /// Their ids; the beginning is enough where no other has the same
    #[arg(required = true)]
    ids: Vec<String>,
}

impl Resend {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let all = self.ids.len();
        let sent = self.place.work(Each(self.ids)).await?;
        if sent > 0 {
            println!("{sent} on the queue: {}", self.place.when()?);
        }
        if sent < all {
            bail!("{} of {all} were not sent again", all - sent);
        }
        Ok(())
    }
}

struct Each(Vec<String>);

impl Work for Each {
    /// How many are on the queue.
    type Done = usize;

    async fn on<D: Deliveries, Q: Queue>(self, deliveries: &D, outbox: &Q) -> anyhow::Result<usize> {
        let mut sent = 0;
        for prefix in self.0 {
            let now = Timestamp::now();
            let id = match find(deliveries, &prefix, now).await {
                Ok(record) => record.id,
                Err(error) => {
                    eprintln!("{error:#}");
                    continue;
                }
            };
            match resend::resend(deliveries, outbox, &id, now).await {
                Ok(record) => {
                    sent += 1;
                    println!("{} goes to {} again", short(&record.id), record.destination);
                }
                Err(error) => eprintln!("{} is not sent again: {:#}", short(&id), anyhow::Error::from(error)),
            }
        }
        Ok(sent)
    }
}
