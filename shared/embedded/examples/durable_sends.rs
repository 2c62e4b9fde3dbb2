//! Prints how many durable sends a second this disk takes, and what a receipt costs with 100,000 messages waiting:
//! `cargo run --release -p shared-embedded --example durable_sends [FOLDER]`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use shared::ports::{Consume, Message, Queue, SystemClock};
use shared_embedded::Store;

const SENDERS: u32 = 16;
const EACH: u32 = 1_000;
const WAITING: u32 = 100_000;
const RECEIPTS: u32 = 1_000;

fn message(group: u32, n: u32) -> Message {
    Message {
        group: format!("group-{group}"),
        deduplication: format!("{group}-{n}"),
        body: "x".repeat(2_000),
        attributes: BTreeMap::from([("v".to_owned(), "1".to_owned())]),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let dir = tempfile::tempdir_in(std::env::args().nth(1).unwrap_or_else(|| ".".into()))?;
    let on_disk = Store::open(dir.path(), SystemClock)?;

    let start = Instant::now();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let queue = on_disk.events().clone();
            tokio::spawn(async move {
                let mut took = Vec::new();
                for n in 0..EACH {
                    let start = Instant::now();
                    queue.send(&message(sender, n)).await?;
                    took.push(start.elapsed());
                }
                Ok::<_, shared::ports::QueueError>(took)
            })
        })
        .collect();
    let mut took = Vec::new();
    for sender in senders {
        took.extend(sender.await??);
    }
    let whole = start.elapsed();
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100];
    println!(
        "{SENDERS} senders, 2 kB: {:.0} durable sends/s; p50 {:?}, p99 {:?}, longest {:?}",
        f64::from(SENDERS * EACH) / whole.as_secs_f64(),
        at(50),
        at(99),
        at(100)
    );

    // In groups of four, all sent at once, as a storm would.
    let storm: Vec<_> = (0..WAITING)
        .map(|n| {
            let queue = on_disk.outbox().clone();
            tokio::spawn(async move { queue.send(&message(n / 4, n)).await })
        })
        .collect();
    for sent in storm {
        sent.await??;
    }
    let start = Instant::now();
    for _ in 0..RECEIPTS {
        let received = on_disk.outbox().receive(1, Duration::from_mins(3)).await?;
        assert_eq!(received.len(), 1, "there is more");
    }
    println!("with {WAITING} messages waiting: {:?} a receipt", start.elapsed() / RECEIPTS);
    Ok(())
}
