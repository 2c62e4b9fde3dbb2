//! From an accepted event to its deliveries: routes, look-ups, repeats, fan-out.

use std::sync::atomic::Ordering;
use std::time::Duration;

use shared::ports::{Consume as _, DeliveryState, Queue as _};
use simulator::{Alert, AlertUrls, Config, Endpoint, Fault, Version};

use crate::ports::QueueFault;
use crate::world::{BACKEND_RINGS, World, issue, user};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

fn without_addresses() -> Alert {
    Alert { urls: AlertUrls::Absent, ..Alert::default() }
}

#[tokio::test(start_paused = true)]
async fn an_issue_in_backend_rings_with_title_text_and_link_and_one_in_frontend_does_not() {
    for version in [Version::Today, Version::V23_7_1] {
        let world = World::of(Config { version, ..Config::default() }).await;
        world.installed().await;
        let id = issue(&world, "Backend", "ValueError: division by zero").await;
        issue(&world, "Frontend", "TypeError: undefined").await;
        world.work().await;
        let rung = world.rung();
        assert_eq!(rung.len(), 1, "{version:?}");
        assert_eq!(rung[0].title.as_deref(), Some("ValueError: division by zero"));
        assert_eq!(rung[0].message.lines().next(), Some("division by zero"));
        assert_eq!(rung[0].url, Some(format!("http://sentry.test/organizations/example-org/issues/{id}/")));
        assert_eq!((rung[0].url_title.as_deref(), rung[0].priority), (Some("Issue Details"), 0));
        let records = world.records().await;
        assert_eq!(records.len(), 1);
        assert_eq!(
            (records[0].state, records[0].attempts, records[0].last_status),
            (DeliveryState::Sent, 1, Some(200))
        );
        assert_eq!((records[0].event_name.as_str(), records[0].route.as_str()), ("issue.created", "backend"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_names_no_project_is_looked_up_once_and_rings() {
    let world = World::new().await;
    world.installed().await;
    let (backend, frontend) = (issue(&world, "Backend", "a").await, issue(&world, "Frontend", "b").await);
    world.work().await;
    for id in [backend, frontend, backend] {
        assert!(world.sentry.trigger_alert(id, without_addresses()).await.unwrap().is_accepted());
        world.work().await;
    }
    assert_eq!(world.rung().len(), 3, "the issue and its two alerts");
    assert_eq!(world.calls("issue"), [200, 200], "a project is remembered for ten minutes");
    world.pass(11 * MINUTE).await;
    world.sentry.trigger_alert(backend, without_addresses()).await.unwrap();
    world.work().await;
    assert_eq!(world.calls("issue").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_failed_look_up_is_tried_again_at_fixed_times_and_then_done_without() {
    let cases: [(&str, Fault, usize, &[u64], usize); 6] = [
        ("once", Fault::status(500), 1, &[5], 2),
        ("twice", Fault::status(503), 2, &[5, 35], 2),
        ("four times", Fault::status(500), 4, &[5, 35, 155, 755], 2),
        ("for ever", Fault::status(500), 99, &[5, 35, 155, 755], 1),
        ("final: forbidden", Fault::status(403), 99, &[], 1),
        ("final: not found", Fault::status(404), 99, &[], 1),
    ];
    for (name, fault, times, tries, rung) in cases {
        let world = World::new().await;
        world.installed().await;
        let id = issue(&world, "Backend", "a").await;
        world.work().await;
        let began = world.now();
        world.sentry.faults().push_times(Endpoint::Issue, times, fault);
        world.sentry.trigger_alert(id, without_addresses()).await.unwrap();
        world.pass(20 * MINUTE).await;
        assert_eq!(world.ports.events.depth().await, 0, "{name}");
        assert_eq!(world.rung().len(), rung, "{name}");
        let calls = world.sentry.log().into_iter().filter(|call| call.subject == "issue");
        let mut at: Vec<u64> = calls.map(|call| call.at.duration_since(began).unsigned_abs().as_secs()).collect();
        at.dedup();
        assert_eq!(at[0], 0, "{name}");
        assert_eq!(at[1..], *tries, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_matched_without_its_look_up_says_so() {
    let world = World::new().await;
    world.installed().await;
    let catch_all = "\n[[route]]\nname = \"rest\"\ndefault = true\nto = [\"phones\"]\n";
    world.push_routes(&format!("{BACKEND_RINGS}{catch_all}")).await;
    let id = issue(&world, "Backend", "a").await;
    world.work().await;
    world.sentry.faults().push_times(Endpoint::Issue, 99, Fault::status(500));
    world.sentry.trigger_alert(id, without_addresses()).await.unwrap();
    world.pass(20 * MINUTE).await;
    let rung = world.rung();
    assert_eq!(rung.len(), 2);
    let records = world.records().await;
    assert_eq!(records[1].route, "rest");
    assert!(format!("{:?} {}", rung[1].title, rung[1].message).contains("looked up"), "{:?}", rung[1]);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_within_thirty_minutes_rings_once_and_later_is_news() {
    let world = World::new().await;
    world.installed().await;
    issue(&world, "Backend", "a").await;
    world.work().await;
    for (wait, rung) in [(0, 1), (4, 1), (25, 1), (2, 2), (29, 2), (2, 3)] {
        world.pass(wait * MINUTE).await;
        assert!(world.sentry.repeat("issue.created").await.unwrap().is_accepted());
        world.work().await;
        assert_eq!(world.rung().len(), rung, "{wait} min after the one before");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_sentry_serialized_anew_is_a_repeat_too() {
    let world = World::new().await;
    world.installed().await;
    let id = issue(&world, "Backend", "a").await;
    world.work().await;
    // Stored, but Sentry is told otherwise.
    world.ports.events.fail([QueueFault::SentAndDown, QueueFault::Down]);
    let resolved = world.sentry.resolve_issue(id).await.unwrap();
    assert!(!resolved.is_accepted() && resolved.is_retried());
    world.work().await;
    assert_eq!(world.rung().len(), 2);
    for _ in 0..3 {
        world.sentry.add_event(id).unwrap();
    }
    world.pass(6 * MINUTE).await;
    assert_eq!(resolved.finished().await.len(), 2, "Sentry has sent it again");
    assert_eq!(world.rung().len(), 2);
    assert_eq!(world.ports.events.depth().await, 0);
}

#[tokio::test(start_paused = true)]
async fn assigned_to_one_to_another_and_back_is_three_events() {
    let world = World::new().await;
    world.installed().await;
    let id = issue(&world, "Backend", "a").await;
    for name in ["ann", "bob", "ann"] {
        world.pass(MINUTE).await;
        // The third would be byte for byte the first without a new counter: so it is on a live issue.
        world.sentry.add_event(id).unwrap();
        assert!(world.sentry.assign(id, user(name)).await.unwrap().is_accepted());
    }
    world.work().await;
    let names: Vec<_> = world.records().await.into_iter().map(|record| record.event_name).collect();
    assert_eq!(names, ["issue.created", "issue.assigned", "issue.assigned", "issue.assigned"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_queue_gives_twice_is_delivered_once() {
    let world = World::new().await;
    world.installed().await;
    issue(&world, "Backend", "a").await;
    // Handled, but never deleted: dispatch died after its work, then deliver.
    let batch = world.ports.events.receive(10, MINUTE).await.unwrap();
    assert_eq!(batch.len(), 1);
    assert!(world.dispatch.handle(batch, world.now() + MINUTE).await.is_empty());
    let batch = world.ports.outbox.receive(1, MINUTE).await.unwrap();
    assert!(world.deliver.handle(batch).await.is_empty());
    assert_eq!(world.rung().len(), 1);
    world.pass(5 * MINUTE).await;
    assert_eq!((world.ports.events.depth().await, world.ports.outbox.depth().await), (0, 0));
    assert_eq!(world.rung().len(), 1);
    assert_eq!(world.records().await.len(), 1);
    // Also past the queue's own deduplication.
    assert!(world.records().await[0].state == DeliveryState::Sent);
}

#[tokio::test(start_paused = true)]
async fn what_no_longer_fits_the_queue_after_fan_out_is_a_dead_letter_with_that_reason() {
    let world = World::new().await;
    world.installed().await;
    *world.ports.outbox.max_bytes.lock().unwrap() = Some(200);
    issue(&world, "Backend", "a").await;
    world.work().await;
    let record = world.records().await.remove(0);
    assert_eq!(record.state, DeliveryState::Failed);
    assert!(record.last_error.unwrap().contains("over the queue's 200"));
    assert_eq!((world.ports.events.depth().await, world.ports.outbox.depth().await), (0, 0));
    // The other events go on.
    *world.ports.outbox.max_bytes.lock().unwrap() = None;
    issue(&world, "Backend", "b").await;
    world.work().await;
    assert_eq!(world.rung().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn broken_routes_leave_the_old_ones_in_force() {
    let world = World::new().await;
    world.installed().await;
    issue(&world, "Backend", "a").await;
    world.work().await;
    for broken in ["[[route", "[[route]]\nname = \"x\"\nto = [\"nobody\"]\n", "surprise = 1\n"] {
        world.push_routes(broken).await;
        let before = world.rung().len();
        issue(&world, "Backend", broken).await;
        world.work().await;
        assert_eq!(world.rung().len(), before + 1, "{broken}");
    }
    world.push_routes(&BACKEND_RINGS.replace("Backend", "Frontend")).await;
    let before = world.rung().len();
    issue(&world, "Backend", "b").await;
    issue(&world, "Frontend", "c").await;
    world.work().await;
    assert_eq!(world.rung().len(), before + 1);
    assert_eq!(world.rung()[before].title.as_deref(), Some("c"));
}

#[tokio::test(start_paused = true)]
async fn broken_routes_from_the_start_hold_events_back_but_not_an_install() {
    let world = World::new().await;
    world.push_routes("[[route").await;
    let id = world.sentry.install().await.installation;
    world.work().await;
    assert_eq!(world.sentry.status_of(&id), Some("installed"));
    issue(&world, "Backend", "a").await;
    world.pass(MINUTE).await;
    assert_eq!((world.rung().len(), world.ports.events.depth().await), (0, 1));
    world.push_routes(BACKEND_RINGS).await;
    world.pass(31 * MINUTE).await;
    assert_eq!((world.rung().len(), world.ports.events.depth().await), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_nobody_can_read_blocks_nothing_else() {
    let world = World::new().await;
    world.installed().await;
    for queue in [&world.ports.events, &world.ports.outbox] {
        let message = shared::ports::Message {
            group: "odd".to_owned(),
            deduplication: "odd".to_owned(),
            body: "not ours".to_owned(),
            attributes: std::collections::BTreeMap::from([("v".to_owned(), "2".to_owned())]),
        };
        queue.send(&message).await.unwrap();
    }
    issue(&world, "Backend", "a").await;
    world.work().await;
    assert_eq!(world.rung().len(), 1);
    world.pass(6 * HOUR).await;
    for queue in [&world.ports.events, &world.ports.outbox] {
        assert_eq!(queue.depth().await, 0, "it is a dead letter of the queue now");
        assert_eq!(queue.inner.dead_letter_count().await.unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outbox_that_is_down_repeats_the_event_and_loses_nothing() {
    for faults in [vec![QueueFault::Down], vec![QueueFault::SentAndDown], vec![QueueFault::Down, QueueFault::Down]] {
        let world = World::new().await;
        world.installed().await;
        world.ports.outbox.fail(faults);
        issue(&world, "Backend", "a").await;
        world.pass(10 * MINUTE).await;
        assert_eq!(world.rung().len(), 1);
        assert_eq!((world.ports.events.depth().await, world.ports.outbox.depth().await), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_rings_once_for_each_issue() {
    let world = World::new().await;
    world.installed().await;
    for number in 0..60 {
        issue(&world, "Backend", &format!("Error: {number}")).await;
        if number % 3 == 0 {
            world.sentry.repeat("issue.created").await.unwrap();
        }
    }
    world.work().await;
    let mut titles: Vec<_> = world.rung().into_iter().filter_map(|rung| rung.title).collect();
    assert_eq!(titles.len(), 60);
    titles.sort();
    titles.dedup();
    assert_eq!(titles.len(), 60);
}

#[tokio::test(start_paused = true)]
async fn routes_out_of_reach_delay_by_minutes_at_most_and_known_ones_stay_in_force() {
    for known_before in [false, true] {
        let world = World::new().await;
        if known_before {
            world.installed().await;
            issue(&world, "Backend", "before").await;
            world.work().await;
        }
        let before = world.rung().len();
        world.ports.settings.down.store(true, Ordering::Relaxed);
        if !known_before {
            world.installed().await;
        }
        issue(&world, "Backend", "a").await;
        world.pass(MINUTE).await;
        assert_eq!(world.rung().len(), before + usize::from(known_before));
        world.ports.settings.down.store(false, Ordering::Relaxed);
        world.pass(4 * MINUTE).await;
        assert_eq!(world.rung().len(), before + 1, "known before: {known_before}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_install_is_told_even_if_the_routes_were_out_of_reach_meanwhile() {
    let world = World::new().await;
    let tell = BACKEND_RINGS.replace(
        "event = [\"issue.*\", \"event_alert.triggered\"], project = \"Backend\"",
        "event = \"installation.*\"",
    );
    world.push_routes(&tell).await;
    world.ports.settings.down.store(true, Ordering::Relaxed);
    let id = world.sentry.install().await.installation;
    world.work().await;
    assert_eq!(world.sentry.status_of(&id), Some("installed"), "the install itself does not wait");
    assert!(world.rung().is_empty());
    world.ports.settings.down.store(false, Ordering::Relaxed);
    world.pass(4 * MINUTE).await;
    assert_eq!(world.rung().len(), 1);
    world.sentry.uninstall(&id).await.unwrap();
    world.work().await;
    assert_eq!(world.rung().len(), 2);
}
