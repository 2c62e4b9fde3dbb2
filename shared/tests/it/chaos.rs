//! The bundle under random trouble, seed by seed: whatever was accepted ends as sent or as a dead letter.

use std::collections::BTreeSet;
use std::time::Duration;

use shared::ports::{Circuit, Consume as _, DeliveryState};
use simulator::{Alert, AlertUrls, Assignee, Endpoint, Fault, NewIssue};

use crate::ports::QueueFault;
use crate::world::World;

const SEEDS: u64 = 30;
const STEPS: usize = 60;

/// `SplitMix64`.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % bound
    }
}

fn fault(dice: &mut Dice) -> Fault {
    match dice.below(8) {
        0 => Fault::status(500),
        1 => Fault::status(401),
        2 => Fault::html(502),
        3 => Fault::rate_limited(Duration::from_secs(30)),
        4 => Fault::lost_answer(),
        5 => Fault::cut(),
        6 => Fault::slow(Duration::from_secs(dice.below(30))),
        _ => Fault::failed_after_commit(500),
    }
}

fn queue_fault(dice: &mut Dice) -> QueueFault {
    if dice.below(2) == 0 { QueueFault::Down } else { QueueFault::SentAndDown }
}

/// One batch of one queue, by a function that may die on the way.
async fn step(world: &World, dice: &mut Dice) {
    let dies_after = Duration::from_millis(if dice.below(4) == 0 { dice.below(2000) } else { 58_000 });
    let visibility = Duration::from_mins(3);
    let (queue, of_events) =
        if dice.below(2) == 0 { (&world.ports.events, true) } else { (&world.ports.outbox, false) };
    let batch = queue.receive(if of_events { 10 } else { 1 }, visibility).await.unwrap();
    let receipts: Vec<_> = batch.iter().map(|message| (message.id.clone(), message.receipt.clone())).collect();
    let work = async {
        if of_events {
            world.dispatch.handle(batch, world.now() + Duration::from_secs(58)).await
        } else {
            world.deliver.handle(batch).await
        }
    };
    let Ok(undone) = tokio::time::timeout(dies_after, work).await else { return };
    for (_, receipt) in receipts.iter().filter(|(id, _)| !undone.contains(id)) {
        // A receipt that time has overtaken comes again.
        let _ = queue.delete(receipt).await;
    }
}

/// A tick of `deliver`, which may die on the way.
async fn tick(world: &World, dice: &mut Dice) {
    let dies_after = Duration::from_millis(if dice.below(3) == 0 { dice.below(2000) } else { 30_000 });
    let deadline = world.now() + Duration::from_secs(28);
    if let Ok(ticked) = tokio::time::timeout(dies_after, world.deliver.tick(deadline)).await {
        ticked.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_was_accepted_is_lost_and_tokens_survive() {
    let mut pauses = 0;
    for seed in 0..SEEDS {
        let mut dice = Dice(seed);
        let world = World::new().await;
        let installed = world.installed().await;
        let mut accepted = 0;
        let mut issues = Vec::new();
        let mut expected = BTreeSet::new();
        let mut paused = false;
        for _ in 0..STEPS {
            // What is accepted in the same millisecond has no order.
            tokio::time::sleep(Duration::from_millis(1)).await;
            match dice.below(16) {
                0 => world.ports.events.fail([queue_fault(&mut dice)]),
                1 => world.ports.outbox.fail([queue_fault(&mut dice)]),
                2 => world.sentry.faults().push(Endpoint::Pushover, fault(&mut dice)),
                3 => world.sentry.faults().push(Endpoint::Issue, fault(&mut dice)),
                4 => world.sentry.faults().push(Endpoint::Token, fault(&mut dice)),
                5 => world.sentry.expire_token(&installed),
                6 => drop(world.tick().await),
                7 | 8 => {
                    let title = format!("Error: number {}", issues.len());
                    let created = world.sentry.create_issue(NewIssue::new("Backend", &title)).await.unwrap();
                    issues.push(created.issue);
                    if created.delivery.is_accepted() {
                        accepted += 1;
                        expected.insert(title);
                    }
                }
                9 => {
                    if let Some(issue) = issues.last() {
                        let name = format!("user {}", dice.below(1000));
                        let to = Assignee::User { id: dice.below(1000), name, email: "a@example.com".to_owned() };
                        accepted += usize::from(world.sentry.assign(*issue, to).await.unwrap().is_accepted());
                    }
                }
                10 => {
                    if let Some(issue) = issues.first() {
                        let alert = Alert { urls: AlertUrls::Absent, ..Alert::default() };
                        world.sentry.trigger_alert(*issue, alert).await.unwrap();
                    }
                }
                // The destination is down for a while: as a host, or its address.
                11 => drop(world.ports.outgoing.cut.lock().unwrap().insert("pushover.test".to_owned())),
                12 => world.ports.outgoing.cut.lock().unwrap().clear(),
                13 | 14 => tick(&world, &mut dice).await,
                _ => tokio::time::sleep(Duration::from_secs(dice.below(90))).await,
            }
            step(&world, &mut dice).await;
            paused |= world.health("phones").await.state != Circuit::Open;
        }
        pauses += usize::from(paused);
        world.sentry.faults().clear();
        world.ports.outgoing.cut.lock().unwrap().clear();
        world.live(Duration::from_hours(12)).await;

        let records = world.records().await;
        assert_eq!((world.ports.events.depth().await, world.ports.outbox.depth().await), (0, 0), "seed {seed}");
        for queue in [&world.ports.events, &world.ports.outbox] {
            assert_eq!(queue.inner.dead_letter_count().await.unwrap(), 0, "seed {seed}");
        }
        let health = world.health("phones").await;
        assert_eq!((health.state, health.parked), (Circuit::Open, 0), "seed {seed}");
        assert!(records.len() >= accepted, "seed {seed}: {} records of {accepted} events", records.len());
        for record in &records {
            let ended = matches!(record.state, DeliveryState::Sent | DeliveryState::Failed);
            assert!(ended, "seed {seed}: {record:?}");
            // The stand-in's 401 is final; nothing else is.
            if record.state == DeliveryState::Failed {
                assert_eq!(record.last_status, Some(401), "seed {seed}: {record:?}");
                assert!(record.message.is_some(), "seed {seed}");
            }
        }
        for title in &expected {
            let mut of_issue: Vec<_> = records.iter().filter(|record| record.title == *title).collect();
            of_issue.sort_by_key(|record| record.accepted_at);
            let in_order = of_issue.is_sorted_by_key(|record| record.ended_at);
            assert!(in_order, "seed {seed}: {of_issue:?}");
        }
        let told: BTreeSet<_> = records.iter().map(|record| record.title.clone()).collect();
        let lost: Vec<_> = expected.difference(&told).collect();
        assert!(lost.is_empty(), "seed {seed}: {lost:?}");
        let stored = world.token(&installed).await;
        assert_eq!(stored, world.sentry.token_of(&installed).map(|pair| pair.access), "seed {seed}: the token works");
    }
    assert!(pauses >= 3, "only {pauses} of {SEEDS} seeds have paused the destination");
}
