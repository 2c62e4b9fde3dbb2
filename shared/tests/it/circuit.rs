//! A destination in trouble: paused, probed, drained, open again.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use shared::ports::{Circuit, Deliveries as _, DeliveryState, Secret};

use crate::ports::written_meanwhile;
use crate::site::{Call, Site};
use crate::world::{BACKEND_RINGS, World, issue, user};

/// What is accepted in the same one has no order.
const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Every issue goes to `chat`, which is the site; its troubles ring on the phones.
pub(crate) const CHAT: &str = r#"
[[destination]]
name = "chat"
type = "webhook"
url = "secret:chat-url"
secret = "secret:chat-key"

[[destination]]
name = "phones"
type = "pushover"
user = "secret:pushover-user"
token = "secret:pushover-token"
base_url = "http://pushover.test"

[[route]]
name = "issues"
when = { event = "issue.*" }
to = ["chat"]

[[route]]
name = "troubles"
when = { event = "switchboard.*" }
to = ["chat", "phones"]
"#;

pub(crate) const CHAT_URL: &str = "http://chat.test/hooks/0123456789abcdef";

pub(crate) async fn world_with_chat() -> (World, Site) {
    let world = World::new().await;
    let site = Site::new(world.ports.clock);
    world.ports.outgoing.plug("chat.test", site.router());
    world.ports.secrets.put(Secret::Destinations, secrets(CHAT_URL).to_string(), None);
    world.push_routes(CHAT).await;
    world.installed().await;
    (world, site)
}

pub(crate) fn secrets(chat_url: &str) -> serde_json::Value {
    json!({
        "pushover-user": "u".repeat(30),
        "pushover-token": "a".repeat(30),
        "chat-url": chat_url,
        "chat-key": format!("whsec_{}", "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1u"),
    })
}

/// How many deliveries are in this state.
async fn count(world: &World, state: DeliveryState) -> usize {
    world
        .records()
        .await
        .into_iter()
        .filter(|record| record.destination.as_str() == "chat" && record.state == state)
        .count()
}

fn titles(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.title.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_dead_destination_is_paused_after_five_failures_and_gets_everything_once_and_in_order_when_it_is_back() {
    let (world, site) = world_with_chat().await;
    site.answers(503);
    for number in 0..8 {
        let id = issue(&world, "Backend", &format!("Error: {number}")).await;
        world.work().await;
        tokio::time::sleep(MILLISECOND).await;
        world.sentry.assign(id, user("ann")).await.unwrap();
        tokio::time::sleep(MILLISECOND).await;
        world.sentry.resolve_issue(id).await.unwrap();
        world.work().await;
    }
    assert_eq!(site.calls().len(), 5, "nobody asks a sixth time");
    let row = world.health("chat").await;
    assert_eq!((row.state, row.reason.as_deref()), (Circuit::Paused, Some("failed with 503")));
    world.pass(MINUTE).await;
    assert_eq!(world.ports.outbox.depth().await, 0, "nothing waits in the queue");
    // Their own event is for `chat` too, and is parked with the rest.
    assert_eq!(count(&world, DeliveryState::Parked).await, 25);
    assert_eq!(world.health("chat").await.parked, 25);

    world.live(3 * HOUR).await;
    assert_eq!(count(&world, DeliveryState::Parked).await, 25, "however long it takes");
    let probes: Vec<_> = site.calls()[5..].iter().map(|call| call.at.duration_since(row.since.unwrap())).collect();
    assert!((12..=16).contains(&probes.len()), "ever more seldom: {probes:?}");
    let probed: BTreeSet<String> = site.calls()[5..].iter().map(|call| call.id.clone()).collect();
    assert_eq!(probed.len(), 9, "with the oldest of each issue in turn");

    site.answers(200);
    world.live(30 * MINUTE).await;
    let (row, taken) = (world.health("chat").await, site.taken());
    assert_eq!((row.state, row.failures, row.parked, row.since), (Circuit::Open, 0, 0, None));
    let ids: BTreeSet<&str> = taken.iter().map(|call| call.id.as_str()).collect();
    assert_eq!((ids.len(), taken.len()), (26, 26), "each once, and that it is back");
    for number in 0..8 {
        let title = format!("Error: {number}");
        let of_issue = taken.iter().filter(|call| call.title == title).map(|call| call.event.as_str());
        assert_eq!(of_issue.collect::<Vec<_>>(), ["issue.created", "issue.assigned", "issue.resolved"], "{title}");
    }
    for record in world.records().await {
        let tries = record.attempts;
        assert_eq!(record.state, DeliveryState::Sent, "{record:?}");
        assert!(tries == 1 || (tries == 2 && record.event_name == "issue.created"), "a probe is no try: {record:?}");
        assert_eq!((record.message, record.next_try_at, record.last_error), (None, None, None));
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_was_deleted_is_called_once_and_then_only_probed() {
    for status in [401, 403, 404, 410] {
        let (world, site) = world_with_chat().await;
        site.answers(status);
        for number in 0..20 {
            issue(&world, "Backend", &format!("Error: {number}")).await;
        }
        world.work().await;
        assert_eq!(site.calls().len(), 1, "{status}");
        world.live(10 * MINUTE).await;
        // 30 s, 1, 2 and 4 min later, and each time up to the next tick.
        assert!((3..=5).contains(&site.calls().len()), "{status}: {}", site.calls().len());
        let tried = world.records().await.into_iter().filter(|record| record.destination.as_str() == "chat");
        let first = tried.max_by_key(|record| record.attempts).unwrap();
        assert_eq!((first.state, first.last_status), (DeliveryState::Parked, Some(status)));
        site.answers(200);
        world.live(20 * MINUTE).await;
        assert_eq!((world.health("chat").await.state, count(&world, DeliveryState::Sent).await), (Circuit::Open, 22));
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_pauses_until_its_reset() {
    let world = World::new().await;
    world.installed().await;
    world.sentry.set_pushover_remaining(0);
    for title in ["a", "b"] {
        issue(&world, "Backend", title).await;
    }
    world.work().await;
    let reset = "2026-12-01T06:00:00Z".parse().unwrap();
    let row = world.health("phones").await;
    assert_eq!((row.state, row.probe_at), (Circuit::Paused, Some(reset)));
    let records = world.records().await;
    assert!(records.iter().all(|record| record.state == DeliveryState::Parked));
    assert!(
        records.iter().any(|record| record.last_error.as_deref() == Some("quota used up until 2026-12-01T06:00:00Z"))
    );
    world.sentry.set_pushover_remaining(100);
    world.live(2 * HOUR).await;
    assert_eq!(world.rung().len(), 0, "not asked before");
    tokio::time::sleep(Duration::try_from(reset.duration_since(world.now())).unwrap()).await;
    world.live(2 * MINUTE).await;
    assert_eq!((world.rung().len(), world.health("phones").await.state), (2, Circuit::Open), "though days have passed");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_leaves_the_next_to_another_issue_and_a_message_that_is_bad_itself_dies_alone() {
    let (world, site) = world_with_chat().await;
    let bad = issue(&world, "Backend", "bad").await;
    site.answers(500);
    // Alone it pauses the destination, since nothing tells the two apart.
    world.pass(20 * MINUTE).await;
    assert_eq!((world.health("chat").await.state, site.calls().len()), (Circuit::Paused, 5));
    world.sentry.resolve_issue(bad).await.unwrap();
    for title in ["good 1", "good 2"] {
        tokio::time::sleep(MILLISECOND).await;
        issue(&world, "Backend", title).await;
    }
    world.work().await;
    site.answers_by(|call| if call.title == "bad" && call.event == "issue.created" { 500 } else { 200 });
    let before = site.calls().len();
    world.live(15 * MINUTE).await;
    let calls = site.calls().split_off(before);
    assert_eq!(calls[0].title, "bad", "the oldest is the first probe");
    assert_eq!(calls[1].title, "switchboard.destination_paused", "then the oldest of another issue");
    let taken = site.taken();
    let mut taken = titles(&taken);
    // Two issues are sent at once: which of them comes first nobody promises.
    taken[1..].sort_unstable();
    assert_eq!(taken, ["switchboard.destination_paused", "good 1", "good 2"]);
    assert_eq!(world.health("chat").await.state, Circuit::Draining, "what follows the bad one waits behind it");
    issue(&world, "Backend", "late").await;
    world.live(2 * MINUTE).await;
    assert_eq!(site.taken().last().unwrap().title, "late", "and holds nobody else back");
    world.live(12 * HOUR).await;
    let records = world.records().await;
    let dead = records.iter().find(|record| record.title == "bad" && record.event_name == "issue.created").unwrap();
    assert_eq!((dead.state, dead.attempts), (DeliveryState::Failed, 8), "its tries are used up");
    assert!(dead.message.is_some());
    assert_eq!(count(&world, DeliveryState::Failed).await, 1);
    assert!(site.taken().iter().any(|call| call.title == "bad" && call.event == "issue.resolved"));
    assert_eq!(world.health("chat").await.state, Circuit::Open);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_refused_for_itself_proves_that_the_destination_is_back() {
    let (world, site) = world_with_chat().await;
    site.answers(404);
    for title in ["bad", "good"] {
        issue(&world, "Backend", title).await;
    }
    world.work().await;
    site.answers_by(|call| if call.title == "bad" { 400 } else { 200 });
    world.live(3 * MINUTE).await;
    let dead = world.records().await.into_iter().find(|record| record.title == "bad").unwrap();
    assert_eq!((dead.state, dead.last_status), (DeliveryState::Failed, Some(400)));
    assert!(titles(&site.taken()).contains(&"good"));
    assert_eq!(world.health("chat").await.state, Circuit::Open);
}

#[tokio::test(start_paused = true)]
async fn trouble_while_it_drains_pauses_it_again_and_loses_nothing() {
    let (world, site) = world_with_chat().await;
    site.answers(404);
    for number in 0..30 {
        issue(&world, "Backend", &format!("Error: {number}")).await;
    }
    world.work().await;
    // Three go through, among them the probe; then it is dead again.
    let left = std::sync::atomic::AtomicUsize::new(3);
    site.answers_by(move |_| {
        let gone = left.fetch_update(std::sync::atomic::Ordering::Relaxed, std::sync::atomic::Ordering::Relaxed, |n| {
            n.checked_sub(1)
        });
        if gone.is_ok() { 200 } else { 503 }
    });
    world.live(MINUTE).await;
    let row = world.health("chat").await;
    assert_eq!((row.state, site.taken().len()), (Circuit::Paused, 3));
    // Ten at once; one that ends well in between may let another begin before five have failed.
    assert!(site.calls().len() <= 20, "what was under way, and no more: {}", site.calls().len());
    assert_eq!(row.parked, 28);
    assert_eq!(world.rung().len(), 1, "it is the same pause, and is told once");
    site.answers(200);
    world.live(20 * MINUTE).await;
    assert_eq!((world.health("chat").await.state, count(&world, DeliveryState::Sent).await), (Circuit::Open, 32));
}

#[tokio::test(start_paused = true)]
async fn a_success_between_failures_keeps_a_destination_open() {
    let (world, site) = world_with_chat().await;
    for round in 0..6 {
        for (number, status) in [500, 500, 500, 500, 200].into_iter().enumerate() {
            site.answers(status);
            issue(&world, "Backend", &format!("Error: {round}.{number}")).await;
            world.work().await;
        }
        assert_eq!((world.health("chat").await.state, world.health("chat").await.failures), (Circuit::Open, 0));
        site.answers(200);
        world.pass(MINUTE).await;
    }
    assert_eq!(count(&world, DeliveryState::Sent).await, 30);
}

#[tokio::test(start_paused = true)]
async fn what_was_to_be_parked_is_sent_if_its_destination_has_opened_meanwhile() {
    let (world, site) = world_with_chat().await;
    let closed = shared::ports::DestinationHealth {
        state: Circuit::Paused,
        probe_at: Some(world.now() + HOUR),
        since: Some(world.now()),
        ..world.health("chat").await
    };
    let written = world.ports.deliveries.write_destination(&closed).await.unwrap();
    assert_eq!(written, shared::ports::Written::Done);
    written_meanwhile(shared::ports::DestinationHealth { state: Circuit::Open, ..world.health("chat").await });
    issue(&world, "Backend", "a").await;
    world.work().await;
    assert_eq!(titles(&site.taken()), ["a"]);
    assert_eq!((count(&world, DeliveryState::Sent).await, world.health("chat").await.parked), (1, 0));
    // The same where the try itself was to end so.
    let paused = shared::ports::DestinationHealth { failures: 4, ..world.health("chat").await };
    assert_eq!(world.ports.deliveries.write_destination(&paused).await.unwrap(), shared::ports::Written::Done);
    site.answers(500);
    issue(&world, "Backend", "b").await;
    let opened = shared::ports::DestinationHealth {
        state: Circuit::Open,
        failures: 0,
        version: world.health("chat").await.version + 1,
        ..world.health("chat").await
    };
    written_meanwhile(opened);
    world.work().await;
    site.answers(200);
    world.pass(MINUTE).await;
    assert_eq!(titles(&site.taken())[..2], ["a", "b"], "the queue had it again");
}

#[tokio::test(start_paused = true)]
async fn a_paused_destination_with_nothing_parked_is_opened_for_the_next_message_to_try() {
    let (world, site) = world_with_chat().await;
    let paused = shared::ports::DestinationHealth {
        state: Circuit::Paused,
        probe_at: Some(world.now() + MINUTE),
        since: Some(world.now() - HOUR),
        ..world.health("chat").await
    };
    assert_eq!(world.ports.deliveries.write_destination(&paused).await.unwrap(), shared::ports::Written::Done);
    world.tick_deliver().await;
    assert_eq!(world.health("chat").await.state, Circuit::Paused, "its probe is not due");
    tokio::time::sleep(MINUTE).await;
    site.answers(500);
    // That it is back is the next message.
    assert_eq!(world.tick_deliver().await.opened, 1);
    assert_eq!((world.health("chat").await.state, site.calls().len()), (Circuit::Paused, 1), "one failure is enough");
}

#[tokio::test(start_paused = true)]
async fn one_tick_at_a_time_looks_after_a_destination_and_begins_no_call_too_late() {
    let (world, site) = world_with_chat().await;
    site.answers(404);
    for number in 0..10 {
        issue(&world, "Backend", &format!("Error: {number}")).await;
    }
    world.work().await;
    site.answers(200);
    tokio::time::sleep(MINUTE).await;
    let short = world.deliver.tick(world.now() + Duration::from_secs(11)).await.unwrap();
    assert_eq!((short.probed, site.taken().len()), (0, 0), "no call fits into 11 s");
    let deadline = world.now() + Duration::from_secs(28);
    let (one, other) = tokio::join!(world.deliver.tick(deadline), world.deliver.tick(deadline));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.sent + other.sent, one.opened + other.opened), (11, 1));
    assert!(one.sent == 0 || other.sent == 0, "{one:?} {other:?}");
    assert_eq!(site.taken().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_destination_is_called_so_often_at_once_as_the_file_says() {
    let (world, site) = world_with_chat().await;
    world
        .push_routes(&CHAT.replace("secret = \"secret:chat-key\"", "secret = \"secret:chat-key\"\nconcurrency = 3"))
        .await;
    site.answers(404);
    for number in 0..10 {
        issue(&world, "Backend", &format!("Error: {number}")).await;
    }
    world.work().await;
    let (now, most) = Slow::connect(&world);
    tokio::time::sleep(MINUTE).await;
    let ticked = world.deliver.tick(world.now() + Duration::from_secs(28)).await.unwrap();
    assert_eq!((ticked.sent, ticked.opened), (11, 1), "{ticked:?}");
    let _ = site;
    assert_eq!(
        (now.load(std::sync::atomic::Ordering::Relaxed), most.load(std::sync::atomic::Ordering::Relaxed)),
        (0, 3)
    );
}

type Counter = std::sync::Arc<std::sync::atomic::AtomicUsize>;

/// Takes a second for everything.
struct Slow;

impl Slow {
    /// How many are under way, and the most that ever were.
    fn connect(world: &World) -> (Counter, Counter) {
        use std::sync::atomic::Ordering::Relaxed;
        let (now, most) = (Counter::default(), Counter::default());
        let (counted, highest) = (now.clone(), most.clone());
        let router = axum::Router::new().fallback(move || {
            let (counted, highest) = (counted.clone(), highest.clone());
            async move {
                highest.fetch_max(counted.fetch_add(1, Relaxed) + 1, Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                counted.fetch_sub(1, Relaxed);
            }
        });
        world.ports.outgoing.plug("chat.test", router);
        (now, most)
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_missing_stops_its_own_destination_and_no_other() {
    let (world, site) = world_with_chat().await;
    world
        .push_routes(&format!(
            "{}\n{}",
            CHAT,
            BACKEND_RINGS.split_once("[[route]]").map(|(_, route)| format!("[[route]]{route}")).unwrap()
        ))
        .await;
    let mut incomplete = secrets(CHAT_URL);
    incomplete.as_object_mut().unwrap().remove("chat-url");
    world.ports.secrets.put(Secret::Destinations, incomplete.to_string(), None);
    for number in 0..6 {
        issue(&world, "Backend", &format!("Error: {number}")).await;
    }
    world.pass(MINUTE).await;
    assert_eq!((world.rung().len(), site.calls().len()), (6, 0));
    assert_eq!(world.health("chat").await.state, Circuit::Open, "it has done nothing wrong");
    world.ports.secrets.put(Secret::Destinations, secrets(CHAT_URL).to_string(), None);
    world.pass(31 * MINUTE).await;
    assert_eq!((world.rung().len(), site.taken().len()), (6, 6));
}
