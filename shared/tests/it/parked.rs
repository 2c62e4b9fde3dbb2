//! What is parked or given up: where it ends, and how it is sent again.

use std::time::Duration;

use shared::delivery::Delivery;
use shared::ports::{Circuit, Consume as _, Deliveries as _, DeliveryRecord, DeliveryState, Queue as _, Secret};

use crate::circuit::{CHAT, CHAT_URL, secrets, world_with_chat};
use crate::world::{World, issue};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// As an operator has a dead letter sent again.
async fn resend(world: &World, record: &DeliveryRecord) {
    let delivery = Delivery::from_json(record.message.as_deref().unwrap().as_bytes()).unwrap();
    let delivery = Delivery { resend: Some(world.now()), ..delivery };
    world.ports.outbox.send(&delivery.to_message(record.group.clone())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_parked_for_a_destination_that_the_routes_name_no_more_is_a_dead_letter() {
    let (world, site) = world_with_chat().await;
    site.answers(404);
    for title in ["a", "b", "c"] {
        issue(&world, "Backend", title).await;
    }
    world.work().await;
    world.push_routes(&CHAT.replace("\"chat\"", "\"team\"")).await;
    world.live(2 * MINUTE).await;
    let records = world.records().await;
    let of_chat: Vec<_> = records.iter().filter(|record| record.destination.as_str() == "chat").collect();
    assert_eq!(of_chat.len(), 4);
    for record in of_chat {
        assert_eq!(record.state, DeliveryState::Failed);
        let reason = "the routes (version 3) have no destination `chat` any more";
        assert_eq!(record.last_error.as_deref(), Some(reason));
        assert!(record.message.is_some(), "to be sent again once it is there");
    }
    let row = world.health("chat").await;
    assert_eq!((row.state, row.parked), (Circuit::Open, 0));
    assert_eq!(world.rung().len(), 1, "it is not back, so nobody is told so");
    assert_eq!(site.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn broken_routes_and_missing_secrets_leave_everything_parked() {
    for broken in ["routes", "secrets", "out of reach"] {
        let (world, site) = world_with_chat().await;
        site.answers(404);
        for title in ["a", "b"] {
            issue(&world, "Backend", title).await;
        }
        world.work().await;
        site.answers(200);
        match broken {
            "routes" => world.push_routes("[[route").await,
            "secrets" => world.ports.secrets.put(Secret::Destinations, "{}", None),
            _ => world.ports.settings.down.store(true, std::sync::atomic::Ordering::Relaxed),
        }
        // As a process that has read nothing yet.
        let fresh = shared::deliver::Deliver::new(
            std::sync::Arc::clone(&world.ports),
            shared::sentry::BaseUrl::parse("http://sentry.test").unwrap(),
        );
        tokio::time::sleep(MINUTE).await;
        let ticked = fresh.tick(world.now() + Duration::from_secs(28)).await.unwrap();
        assert_eq!((ticked.sent, ticked.failed, ticked.opened), (0, 0, 0), "{broken}");
        assert_eq!((world.health("chat").await.parked, site.taken().len()), (3, 0), "{broken}");
        match broken {
            "routes" => world.push_routes(CHAT).await,
            "secrets" => world.ports.secrets.put(Secret::Destinations, secrets(CHAT_URL).to_string(), None),
            _ => world.ports.settings.down.store(false, std::sync::atomic::Ordering::Relaxed),
        }
        world.live(5 * MINUTE).await;
        assert_eq!(world.health("chat").await.state, Circuit::Open, "{broken}");
        assert!(world.records().await.iter().all(|record| record.state == DeliveryState::Sent), "{broken}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_sent_again_begins_anew_and_late_has_one_try() {
    for (late, attempts) in [(Duration::ZERO, 2), (13 * HOUR, 1)] {
        let (world, site) = world_with_chat().await;
        site.answers(400);
        issue(&world, "Backend", "a").await;
        world.work().await;
        let dead = world.records().await.remove(0);
        assert_eq!((dead.state, dead.attempts), (DeliveryState::Failed, 1));
        world.pass(MINUTE + late).await;
        site.answers(500);
        resend(&world, &dead).await;
        world.work().await;
        let tried = world.records().await.remove(0);
        assert_eq!(tried.attempts, 1, "from the beginning");
        assert_eq!(tried.state, if late.is_zero() { DeliveryState::Queued } else { DeliveryState::Failed });
        if !late.is_zero() {
            assert!(tried.last_error.as_deref().unwrap().contains("too old"), "{:?}", tried.last_error);
            continue;
        }
        site.answers(200);
        world.pass(MINUTE).await;
        let sent = world.records().await.remove(0);
        assert_eq!((sent.state, sent.attempts, sent.message), (DeliveryState::Sent, attempts, None));
        let ids: std::collections::BTreeSet<String> = site.calls().into_iter().map(|call| call.id).collect();
        assert_eq!(ids.len(), 1, "it is the same delivery");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_sent_again_while_its_destination_is_paused_is_parked() {
    let (world, site) = world_with_chat().await;
    site.answers(400);
    issue(&world, "Backend", "dead").await;
    world.work().await;
    let dead = world.records().await.remove(0);
    site.answers(404);
    issue(&world, "Backend", "parked").await;
    world.work().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    resend(&world, &dead).await;
    world.work().await;
    let again = world.ports.deliveries.read(&dead.id).await.unwrap().unwrap();
    assert_eq!((again.state, again.attempts), (DeliveryState::Parked, 0));
    assert_eq!((world.ports.outbox.depth().await, world.health("chat").await.parked), (0, 3));
    site.answers(200);
    world.live(3 * MINUTE).await;
    assert!(world.records().await.iter().all(|record| record.state == DeliveryState::Sent));
}

#[tokio::test(start_paused = true)]
async fn what_a_destination_answered_is_recorded_without_its_secrets() {
    let (world, site) = world_with_chat().await;
    site.says(|_| (400, format!("no such hook: /hooks/0123456789abcdef\u{1b}[2J {}", "x".repeat(5000))));
    issue(&world, "Backend", "a").await;
    world.work().await;
    let record = world.records().await.remove(0);
    let answer = record.last_answer.unwrap();
    assert!(answer.starts_with("no such hook: [secret] [2J xxx"), "{answer}");
    assert_eq!(answer.len(), 2048);
    assert!(!record.last_error.unwrap().contains("0123456789abcdef"));
    assert!(!record.message.unwrap().contains("0123456789abcdef"));
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_forwards_gets_the_very_bytes_also_after_it_was_parked() {
    let (world, site) = world_with_chat().await;
    let original = "secret = \"secret:chat-key\"\nbody = \"original\"";
    world.push_routes(&CHAT.replace("secret = \"secret:chat-key\"", original)).await;
    site.answers(404);
    issue(&world, "Backend", "größe").await;
    let batch = world.ports.events.receive(1, MINUTE).await.unwrap().remove(0);
    assert!(world.dispatch.handle(vec![batch.clone()], world.now() + MINUTE).await.is_empty());
    world.work().await;
    site.answers(200);
    world.live(3 * MINUTE).await;
    let taken = site.taken();
    assert!(taken.iter().any(|call| call.body == batch.body.as_bytes()), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_sent_keeps_no_destination_paused() {
    let (world, site) = world_with_chat().await;
    site.answers(404);
    issue(&world, "Backend", "a").await;
    world.work().await;
    // What is parked has not the bytes that the file wants now.
    let original = "secret = \"secret:chat-key\"\nbody = \"original\"";
    world.push_routes(&CHAT.replace("secret = \"secret:chat-key\"", original)).await;
    site.answers(200);
    world.live(10 * MINUTE).await;
    let records = world.records().await;
    let dead = records.iter().find(|record| record.title == "a").unwrap();
    assert_eq!(dead.state, DeliveryState::Failed);
    assert!(dead.last_error.as_deref().unwrap().contains("wants Sentry's own bytes"), "{:?}", dead.last_error);
    assert_eq!((world.health("chat").await.state, world.health("chat").await.parked), (Circuit::Open, 0));
}
