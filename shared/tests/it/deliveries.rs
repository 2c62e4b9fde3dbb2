//! What becomes of a delivery: order, retries, dead letters.

use std::sync::atomic::Ordering;
use std::time::Duration;

use shared::ports::{Consume as _, DeliveryState, Secret};
use simulator::{Endpoint, Fault};

use crate::ports::Broken;
use crate::world::{BACKEND_RINGS, World, issue, user};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

#[tokio::test(start_paused = true)]
async fn events_of_one_issue_arrive_in_order_and_do_not_hold_back_another() {
    let world = World::new().await;
    world.installed().await;
    let slow = issue(&world, "Backend", "first: slow").await;
    world.sentry.faults().push_times(Endpoint::Pushover, 2, Fault::status(500));
    world.work().await;
    world.sentry.assign(slow, user("ann")).await.unwrap();
    world.sentry.resolve_issue(slow).await.unwrap();
    world.work().await;
    world.sentry.faults().clear();
    issue(&world, "Backend", "second: quick").await;
    world.work().await;
    let titles = |world: &World| -> Vec<String> { world.rung().into_iter().filter_map(|rung| rung.title).collect() };
    assert_eq!(titles(&world).len(), 1, "the other issue does not wait: {:?}", titles(&world));
    assert!(titles(&world)[0].contains("second"));
    world.pass(5 * MINUTE).await;
    assert_eq!(titles(&world).len(), 4);
    let mut records: Vec<_> =
        world.records().await.into_iter().filter(|record| record.title.contains("first")).collect();
    records.sort_by_key(|record| record.ended_at);
    let order: Vec<_> = records.iter().map(|record| record.event_name.as_str()).collect();
    assert_eq!(order, ["issue.created", "issue.assigned", "issue.resolved"]);
}

#[tokio::test(start_paused = true)]
async fn a_destination_in_trouble_is_tried_by_the_schedule_and_then_a_dead_letter_keeps_all() {
    let faults = [
        ("500", Fault::status(500), Some(500)),
        ("cut", Fault::cut(), None),
        ("hangs", Fault::slow(Duration::from_secs(11)), None),
        ("408", Fault::status(408), Some(408)),
    ];
    for (name, fault, status) in faults {
        let world = World::new().await;
        // Fewer tries than pause a destination.
        let own_waits = "base_url = \"http://pushover.test\"\nretry = [\"5s\", \"2m\", \"6h\"]";
        world.push_routes(&BACKEND_RINGS.replace("base_url = \"http://pushover.test\"", own_waits)).await;
        world.installed().await;
        world.sentry.faults().push_times(Endpoint::Pushover, 99, fault);
        issue(&world, "Backend", "a").await;
        world.work().await;
        let first = world.records().await.remove(0);
        assert_eq!((first.state, first.attempts), (DeliveryState::Queued, 1), "{name}");
        assert!(first.next_try_at.is_some() && first.last_error.is_some(), "{name}");
        // 5 s + 2 min + 6 h, and up to a tenth more.
        world.pass(6 * HOUR).await;
        assert_eq!(world.records().await[0].state, DeliveryState::Queued, "{name}");
        world.pass(HOUR).await;
        let record = world.records().await.remove(0);
        assert_eq!((record.state, record.attempts), (DeliveryState::Failed, 4), "{name}");
        assert_eq!(record.last_status, status, "{name}");
        assert!(record.last_error.is_some_and(|why| !why.contains(&"a".repeat(30))), "{name}");
        assert!(record.message.is_some_and(|message| message.contains("issue.created")), "{name}");
        assert_eq!(world.ports.outbox.depth().await, 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_comes_back_is_rung_and_retry_after_is_obeyed() {
    for (name, fault, least, most) in [
        ("once", Fault::status(500), 5, 6),
        ("asks for time", Fault::retry_after(503, Duration::from_secs(90)), 90, 91),
        ("asks for little", Fault::retry_after(503, Duration::from_secs(1)), 5, 6),
    ] {
        let world = World::new().await;
        world.installed().await;
        world.sentry.faults().push(Endpoint::Pushover, fault);
        let began = world.now();
        issue(&world, "Backend", "a").await;
        world.pass(3 * MINUTE).await;
        let waited = world.rung()[0].received_at.duration_since(began).as_secs();
        assert!((least..=most).contains(&waited), "{name}: {waited} s");
        let record = world.records().await.remove(0);
        assert_eq!((record.state, record.attempts), (DeliveryState::Sent, 2), "{name}");
        assert_eq!((record.last_error, record.next_try_at), (None, None), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_final_answer_makes_a_dead_letter_at_once() {
    for (name, fault, status, reason) in [
        ("400", Fault::status(400), 400, "refused with 400"),
        ("404", Fault::status(404), 404, "refused with 404"),
        ("a redirect", Fault::status(302), 302, "redirects with 302"),
    ] {
        let world = World::new().await;
        world.installed().await;
        world.sentry.faults().push(Endpoint::Pushover, fault);
        issue(&world, "Backend", "a").await;
        world.work().await;
        let record = world.records().await.remove(0);
        assert_eq!(
            (record.state, record.attempts, record.last_status),
            (DeliveryState::Failed, 1, Some(status)),
            "{name}"
        );
        assert!(record.last_error.as_deref().unwrap().contains(reason), "{name}: {:?}", record.last_error);
        assert!(record.message.is_some() && record.ended_at.is_some(), "{name}");
        assert_eq!(world.ports.outbox.depth().await, 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_the_guard_refuses_is_a_dead_letter_with_that_reason() {
    let world = World::new().await;
    world.installed().await;
    world.push_routes(&BACKEND_RINGS.replace("http://pushover.test", "http://10.0.0.1")).await;
    issue(&world, "Backend", "a").await;
    world.work().await;
    let record = world.records().await.remove(0);
    assert_eq!(record.state, DeliveryState::Failed);
    assert!(record.last_error.unwrap().contains("private"));
}

#[tokio::test(start_paused = true)]
async fn without_its_secrets_a_delivery_waits_and_goes_out_when_they_are_filled() {
    for (name, text) in [("unfilled", "{}"), ("one is missing", "{\"pushover-user\": \"u\"}"), ("malformed", "x")] {
        let world = World::new().await;
        world.installed().await;
        let right = "{\"pushover-user\": \"uuuuuuuuuuuuuuuuuuuuuuuuuuuuuu\", \"pushover-token\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}";
        world.ports.secrets.put(Secret::Destinations, text, None);
        issue(&world, "Backend", "a").await;
        world.pass(2 * MINUTE).await;
        let record = world.records().await.remove(0);
        assert_eq!((record.state, record.attempts), (DeliveryState::Queued, 0), "{name}");
        world.ports.secrets.put(Secret::Destinations, right, None);
        world.pass(31 * MINUTE).await;
        assert_eq!(world.rung().len(), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_to_a_destination_that_is_gone_is_a_dead_letter() {
    let world = World::new().await;
    world.installed().await;
    world.sentry.faults().push(Endpoint::Pushover, Fault::status(500));
    issue(&world, "Backend", "a").await;
    world.work().await;
    world.push_routes(&BACKEND_RINGS.replace("phones", "pagers")).await;
    world.pass(MINUTE).await;
    let record = world.records().await.remove(0);
    assert_eq!(record.state, DeliveryState::Failed);
    assert!(record.last_error.unwrap().contains("no destination `phones`"));
    assert!(record.message.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_backlog_older_than_twelve_hours_has_one_try_each() {
    let world = World::new().await;
    world.installed().await;
    for title in ["a", "b"] {
        issue(&world, "Backend", title).await;
    }
    tokio::time::sleep(13 * HOUR).await;
    world.sentry.faults().push(Endpoint::Pushover, Fault::status(500));
    world.work().await;
    let mut states: Vec<_> =
        world.records().await.into_iter().map(|r| (r.state.as_str(), r.attempts, r.last_error)).collect();
    states.sort();
    assert_eq!((states[0].0, states[0].1), ("failed", 1));
    assert!(states[0].2.as_deref().unwrap().contains("too old for another try"));
    assert_eq!((states[1].0, states[1].1), ("sent", 1));
}

#[tokio::test(start_paused = true)]
async fn secrets_out_of_reach_delay_by_minutes_at_most_and_known_ones_go_on_counting() {
    for known_before in [false, true] {
        let world = World::new().await;
        world.installed().await;
        if known_before {
            issue(&world, "Backend", "before").await;
            world.work().await;
        }
        tokio::time::sleep(10 * MINUTE).await;
        let before = world.rung().len();
        issue(&world, "Backend", "a").await;
        *world.ports.secrets.broken.lock().unwrap() = Some(Broken::Down);
        world.work().await;
        assert_eq!(world.rung().len(), before + usize::from(known_before));
        world.pass(MINUTE).await;
        *world.ports.secrets.broken.lock().unwrap() = None;
        world.pass(4 * MINUTE).await;
        assert_eq!(world.rung().len(), before + 1, "known before: {known_before}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_of_routes_that_are_out_of_reach_for_a_moment_is_not_given_up() {
    let world = World::new().await;
    world.installed().await;
    issue(&world, "Backend", "a").await;
    world.work().await;
    world.push_routes(&BACKEND_RINGS.replace("phones", "pagers")).await;
    issue(&world, "Backend", "b").await;
    let batch = world.ports.events.receive(10, MINUTE).await.unwrap();
    assert!(world.dispatch.handle(batch, world.now() + MINUTE).await.is_empty());
    world.ports.settings.down.store(true, Ordering::Relaxed);
    let batch = world.ports.outbox.receive(1, MINUTE).await.unwrap();
    assert_eq!(world.deliver.handle(batch).await.len(), 1);
    world.ports.settings.down.store(false, Ordering::Relaxed);
    world.pass(4 * MINUTE).await;
    assert_eq!(world.rung().len(), 2);
    assert!(world.records().await.iter().all(|record| record.state == DeliveryState::Sent));
}

#[tokio::test(start_paused = true)]
async fn a_template_that_fails_costs_only_its_words_and_the_record_says_so() {
    for (title, rung, warned) in [("{{ project }}!", "backend!", false), ("{{ title|items }}", "a", true)] {
        let world = World::new().await;
        world.installed().await;
        world
            .push_routes(
                &BACKEND_RINGS.replace("name = \"backend\"", &format!("name = \"backend\"\ntitle = \"{title}\"")),
            )
            .await;
        issue(&world, "Backend", "a").await;
        world.work().await;
        assert_eq!(world.rung()[0].title.as_deref(), Some(rung));
        let record = world.records().await.remove(0);
        assert_eq!(record.state, DeliveryState::Sent);
        let warning = record.warning.unwrap_or_default();
        assert_eq!(warning.contains("the template of `title` failed"), warned, "{warning}");
    }
}
