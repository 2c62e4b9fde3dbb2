//! The bundle's own events: that a destination is paused, and back.

use std::time::Duration;

use shared::ports::{Circuit, Consume as _, DeliveryState};

use crate::circuit::{CHAT, world_with_chat};
use crate::ports::QueueFault;
use crate::world::issue;

const MINUTE: Duration = Duration::from_mins(1);

fn titles(rung: &[simulator::PushoverMessage]) -> Vec<&str> {
    rung.iter().filter_map(|rung| rung.title.as_deref()).collect()
}

#[tokio::test(start_paused = true)]
async fn another_destination_tells_once_that_one_is_paused_and_once_that_it_is_back() {
    let (world, site) = world_with_chat().await;
    site.answers(410);
    for title in ["a", "b"] {
        issue(&world, "Backend", title).await;
    }
    world.live(30 * MINUTE).await;
    let rung = world.rung();
    assert_eq!(titles(&rung), ["Destination chat is paused"]);
    assert!(rung[0].message.contains("refuses everything with 410"), "{}", rung[0].message);
    let told = world.records().await.into_iter().find(|record| record.destination.as_str() == "phones").unwrap();
    assert_eq!((told.event_name.as_str(), told.installation), ("switchboard.destination_paused", None));
    site.answers(200);
    world.live(30 * MINUTE).await;
    assert_eq!(titles(&world.rung()), ["Destination chat is paused", "Destination chat delivers again"]);
    // The one that it is about has it too, late.
    let taken = site.taken();
    assert_eq!(taken.iter().filter(|call| call.event == "switchboard.destination_paused").count(), 1);
    // A second pause is another event.
    site.answers(410);
    issue(&world, "Backend", "c").await;
    world.live(5 * MINUTE).await;
    assert_eq!(world.rung().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn it_is_told_although_the_queue_was_down_at_that_moment_or_said_so() {
    for faults in [vec![QueueFault::Down, QueueFault::Down], vec![QueueFault::SentAndDown, QueueFault::SentAndDown]] {
        let (world, site) = world_with_chat().await;
        site.answers(410);
        issue(&world, "Backend", "a").await;
        let batch = world.ports.events.receive(10, MINUTE).await.unwrap();
        assert!(world.dispatch.handle(batch, world.now() + MINUTE).await.is_empty());
        world.ports.events.fail(faults);
        world.live(10 * MINUTE).await;
        assert_eq!(titles(&world.rung()), ["Destination chat is paused"]);
        assert_eq!(world.ports.events.depth().await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_may_choose_by_the_destination_and_needs_no_installation_for_it() {
    let (world, site) = world_with_chat().await;
    let by_name = r#"when = { event = "switchboard.destination_paused", destination = "another" }"#;
    world.push_routes(&CHAT.replace(r#"when = { event = "switchboard.*" }"#, by_name)).await;
    site.answers(410);
    issue(&world, "Backend", "a").await;
    world.live(5 * MINUTE).await;
    assert_eq!(world.health("chat").await.state, Circuit::Paused);
    assert!(world.rung().is_empty());
    let parked = world.records().await;
    assert_eq!((parked.len(), parked[0].state), (1, DeliveryState::Parked));
    assert_eq!(world.ports.events.depth().await, 0);
}
