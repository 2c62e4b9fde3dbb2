//! What holds for the file beyond the ports: it outlives its process, is taken over, swept and woken for.

use std::collections::BTreeMap;
use std::time::Duration;

use shared::destinations::kind::Thread;
use shared::ids::{DeliveryId, DestinationName, EventId};
use shared::ports::{
    Circuit, Clock, Consume, Deliveries, DeliveryRecord, DeliveryState, DestinationHealth, Installation, Installations,
    Mark, Message, Queue, ThreadKey, Written,
};
use shared_conformance::{TestClock, Time};
use shared_embedded::{OpenError, Store, TakenOver};

const HOUR: Duration = Duration::from_hours(1);

fn message(group: &str, body: &str) -> Message {
    Message {
        group: group.into(),
        deduplication: format!("{group}-{}", body.replace(' ', "-")),
        body: body.into(),
        attributes: BTreeMap::from([("v".to_owned(), "1".to_owned())]),
    }
}

fn installation() -> Installation {
    Installation::new("a8e5d37a-696c-4c54-adb5-b3f28d64c7de".parse().expect("a UUID"))
}

fn now(clock: &TestClock) -> jiff::Timestamp {
    Clock::now(clock)
}

async fn bodies<C: Clock + Clone>(store: &Store<C>) -> Vec<String> {
    let received = store.events().receive(10, HOUR).await.expect("receive");
    received.into_iter().map(|message| message.body).collect()
}

#[tokio::test]
async fn what_was_accepted_is_there_after_a_new_start() {
    let dir = tempfile::tempdir().expect("folder");
    let clock = TestClock::default();
    {
        let store = Store::open(dir.path(), clock.clone()).expect("open");
        for body in ["0", "1"] {
            store.events().send(&message("a", body)).await.expect("send");
        }
        store.outbox().send(&message("b", "out")).await.expect("send");
        let written = store.installations().write(&installation(), now(&clock)).await.expect("write");
        assert_eq!(written, Written::Done);
    }
    let store = Store::open(dir.path(), clock.clone()).expect("open again");
    store.events().send(&message("a", "0")).await.expect("a repeat");
    assert_eq!(bodies(&store).await, ["0", "1"], "both, in order, and no repeat");
    assert_eq!(store.outbox().depth().await.expect("depth"), 1, "the queues are kept apart");
    let found = store.installations().read(installation().id, now(&clock)).await.expect("read");
    assert_eq!(found.map(|row| row.version), Some(1));
}

/// The file as it is while the process still runs is what a kill or a power cut leaves.
#[tokio::test]
async fn what_was_accepted_is_on_the_disk_before_the_answer() {
    let (dir, copy) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
    let store = Store::open(dir.path(), TestClock::default()).expect("open");
    store.events().send(&message("a", "accepted")).await.expect("send");
    for file in ["switchboard.db", "switchboard.db-wal"] {
        std::fs::copy(dir.path().join(file), copy.path().join(file)).expect("copy");
    }
    let copied = Store::open(copy.path(), TestClock::default()).expect("open the copy");
    assert_eq!(bodies(&copied).await, ["accepted"]);
}

#[tokio::test]
async fn taking_over_frees_what_was_in_flight_leased_or_dead() {
    let dir = tempfile::tempdir().expect("folder");
    let clock = TestClock::default();
    let store = Store::open(dir.path(), clock.clone()).expect("open");
    store.events().send(&message("a", "poison")).await.expect("send");
    for _ in 0..100 {
        let held = store.events().receive(1, HOUR).await.expect("receive");
        store.events().hide(&held[0].receipt, Duration::ZERO).await.expect("give back");
    }
    store.events().send(&message("b", "in flight")).await.expect("send");
    assert_eq!(bodies(&store).await, ["in flight"]);
    let dead = store.events().dead_letters(10).await.expect("dead letters");
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].body.as_str(), dead[0].receive_count), ("poison", 100));
    assert_eq!(dead[0].attributes, message("a", "poison").attributes);
    assert_eq!(store.events().dead_letter_count().await.expect("count"), 1);
    assert_eq!(store.outbox().dead_letter_count().await.expect("count"), 0);
    let leased = Installation { lease_until: Some(now(&clock) + HOUR), ..installation() };
    assert_eq!(store.installations().write(&leased, now(&clock)).await.expect("write"), Written::Done);
    let phones = DestinationHealth {
        state: Circuit::Paused,
        lease_until: Some(now(&clock) + HOUR),
        ..DestinationHealth::new("phones".parse().expect("a name"))
    };
    assert_eq!(store.deliveries().write_destination(&phones).await.expect("write"), Written::Done);
    drop(store);

    let store = Store::open(dir.path(), clock.clone()).expect("open again");
    assert_eq!(bodies(&store).await, Vec::<String>::new(), "opening alone frees nothing: a command may do it");
    let taken = store.take_over().await.expect("take over");
    assert_eq!(taken, TakenOver { hidden_messages: 1, leases: 2, dead_letters: 1 });
    assert_eq!(bodies(&store).await, ["in flight", "poison"]);
    assert_eq!(store.events().dead_letter_count().await.expect("count"), 0);
    let row = store.installations().read(leased.id, now(&clock)).await.expect("read").expect("row");
    assert_eq!(row.lease_until, None);
    let freed = store.deliveries().destination(&phones.name).await.expect("destination");
    assert_eq!((freed.state, freed.lease_until), (Circuit::Paused, None));
    let late_tick = DestinationHealth { version: 1, ..phones };
    let late_tick = store.deliveries().write_destination(&late_tick).await.expect("write");
    assert_eq!(late_tick, Written::Conflict, "nor can a tick of the process before go on");
    let late = Installation { version: 1, ..leased };
    let late = store.installations().write(&late, now(&clock)).await.expect("write");
    assert_eq!(late, Written::Conflict, "what read the row before cannot bring the lease back");
}

#[tokio::test]
async fn a_command_sees_what_serve_wrote_and_the_other_way_round() {
    let dir = tempfile::tempdir().expect("folder");
    let serve = Store::open(dir.path(), TestClock::default()).expect("serve");
    let command = Store::open(dir.path(), TestClock::default()).expect("a command beside it");
    serve.events().send(&message("a", "from serve")).await.expect("send");
    assert_eq!(command.events().depth().await.expect("depth"), 1);
    command.events().send(&message("b", "from the command")).await.expect("send");
    assert_eq!(bodies(&serve).await, ["from serve", "from the command"]);
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("switchboard.db");
    let connection = rusqlite::Connection::open(&path).expect("file");
    connection.pragma_update(None, "user_version", 99).expect("version");
    let error = Store::open(dir.path(), TestClock::default()).err().expect("refused");
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("version");
    assert_eq!(version, 99);
}

#[tokio::test]
async fn a_worker_is_woken_by_a_send_and_told_when_the_next_message_is_due() {
    let clock = TestClock::default();
    let store = Store::open_in_memory(clock.clone()).expect("open");
    let queue = store.events();
    let mut changed = queue.changed();
    assert_eq!(queue.next_visible_at().await.expect("next"), None, "an empty queue");

    queue.send(&message("a", "0")).await.expect("send");
    assert!(changed.has_changed().expect("the queue is there"));
    changed.borrow_and_update();
    assert!(queue.next_visible_at().await.expect("next").expect("a message") <= now(&clock));

    let held = queue.receive(1, HOUR).await.expect("receive");
    queue.send(&message("a", "1")).await.expect("send");
    let due = now(&clock) + HOUR;
    assert_eq!(queue.next_visible_at().await.expect("next"), Some(due), "what waits behind is no sooner");
    changed.borrow_and_update();
    queue.delete(&held[0].receipt).await.expect("delete");
    assert!(changed.has_changed().expect("the queue is there"), "a delete frees the group");
    assert!(queue.next_visible_at().await.expect("next").expect("a message") <= now(&clock));
    assert!(!store.outbox().changed().has_changed().expect("the queue is there"), "the queues are kept apart");
}

/// A receipt of what `room` allows, as bodies.
async fn by_lane<C: Clock + Clone>(store: &Store<C>, max: usize, room: &[(&str, usize)]) -> Vec<String> {
    let room: BTreeMap<String, usize> = room.iter().map(|(lane, room)| ((*lane).to_owned(), *room)).collect();
    let room = move |lane: &str| room.get(lane).copied().unwrap_or(0);
    let received = store.outbox().receive_by_lane(max, room, HOUR).await.expect("receive");
    received.into_iter().map(|message| message.body).collect()
}

#[tokio::test]
async fn a_worker_receives_from_the_lanes_that_it_has_room_for() {
    let store = Store::open_in_memory(TestClock::default()).expect("open");
    for (group, body) in
        [("a:1", "a1"), ("a:1", "a1 too"), ("a:2", "a2"), ("a:3", "a3"), ("b:1", "b1"), ("b:2", "b2"), ("lonely", "c")]
    {
        store.outbox().send(&message(group, body)).await.expect("send");
    }
    let nothing = Vec::<String>::new();
    assert_eq!(by_lane(&store, 9, &[]).await, nothing, "no room");
    assert_eq!(by_lane(&store, 0, &[("a", 9)]).await, nothing);
    assert_eq!(by_lane(&store, 9, &[("a", 2), ("b", 1)]).await, ["a1", "a2", "b1"], "each group's first alone");
    assert_eq!(by_lane(&store, 1, &[("a", 9), ("b", 9)]).await, ["a3"], "the oldest of all lanes");
    assert_eq!(by_lane(&store, 9, &[("a", 9)]).await, nothing, "what waits behind one in flight is held back");
    assert_eq!(
        by_lane(&store, 9, &[("", 9), ("b", 9)]).await,
        ["b2", "c"],
        "a group without a lane is in the empty one"
    );
}

#[tokio::test]
async fn a_lane_without_room_is_passed_over_also_when_it_is_due() {
    let clock = TestClock::default();
    let store = Store::open_in_memory(clock.clone()).expect("open");
    let queue = store.outbox();
    queue.send(&message("dead:1", "0")).await.expect("send");
    queue.send(&message("well:1", "1")).await.expect("send");
    assert_eq!(by_lane(&store, 1, &[("well", 1)]).await, ["1"]);
    let well = |lane: &str| lane == "well";
    assert_eq!(queue.next_visible_at_in(well).await.expect("next"), Some(now(&clock) + HOUR));
    assert!(queue.next_visible_at().await.expect("next").expect("a message") <= now(&clock), "of any lane");
    assert_eq!(queue.next_visible_at_in(|_| false).await.expect("next"), None);
    clock.advance(HOUR).await;
    assert_eq!(by_lane(&store, 9, &[("well", 1)]).await, ["1"], "its time is over");
}

#[tokio::test]
async fn messages_of_a_file_from_before_there_were_lanes_are_in_theirs() {
    let dir = tempfile::tempdir().expect("folder");
    Store::open(dir.path(), TestClock::default())
        .expect("open")
        .outbox()
        .send(&message("a:1", "old"))
        .await
        .expect("send");
    // As the second version of the schema had it.
    let connection = rusqlite::Connection::open(dir.path().join("switchboard.db")).expect("file");
    let back = "
        DROP INDEX messages_lane;
        ALTER TABLE messages DROP COLUMN lane;
        CREATE INDEX messages_head ON messages (queue, hidden_until, sequence) WHERE head = 1;
        PRAGMA user_version = 2;";
    connection.execute_batch(back).expect("the older schema");
    drop(connection);
    let store = Store::open(dir.path(), TestClock::default()).expect("open again");
    assert_eq!(by_lane(&store, 9, &[("a", 1)]).await, ["old"]);
}

#[tokio::test]
async fn a_sweep_deletes_what_expired_and_nothing_else() {
    let dir = tempfile::tempdir().expect("folder");
    let clock = TestClock::default();
    let store = Store::open(dir.path(), clock.clone()).expect("open");
    let start = now(&clock);
    let to: DestinationName = "phones".parse().expect("a name");
    let record = |n: u32, expires| {
        let event = EventId::of_signature(&n.to_string());
        DeliveryRecord {
            id: DeliveryId::of(&event, start, &to),
            event,
            event_name: "issue.created".into(),
            installation: Some(installation().id),
            destination: to.clone(),
            route: "all".into(),
            group: "phones:00".into(),
            title: "title".into(),
            state: DeliveryState::Sent,
            attempts: 1,
            next_try_at: None,
            last_status: None,
            last_error: None,
            last_answer: None,
            warning: None,
            accepted_at: start,
            ended_at: None,
            message: None,
            expires,
        }
    };
    for n in 0..1_200_u32 {
        let record = record(n, start + if n % 12 == 0 { 2 * HOUR } else { HOUR });
        assert_eq!(store.deliveries().create(&record).await.expect("create"), Written::Done);
    }
    // More than one round of the sweep, in front of all others.
    for n in 1_200..1_800 {
        let parked = DeliveryRecord { state: DeliveryState::Parked, ..record(n, start) };
        assert_eq!(store.deliveries().create(&parked).await.expect("create"), Written::Done);
    }
    let thread = |issue: &str| ThreadKey { owner: "t".into(), installation: installation().id, issue: issue.into() };
    for (issue, expires) in [("1", start + HOUR), ("2", start + 2 * HOUR)] {
        store.deliveries().put_thread(&thread(issue), Some(&Thread::default()), expires).await.expect("put");
    }
    let mark = Mark { digest: String::new(), accepted_at: start };
    for (key, expires) in [("short", start + HOUR), ("long", start + 2 * HOUR)] {
        assert_eq!(store.deliveries().mark(key, &mark, None, expires, start).await.expect("mark"), Written::Done);
    }
    let row = Installation { expires: Some(start + HOUR), ..installation() };
    assert_eq!(store.installations().write(&row, start).await.expect("write"), Written::Done);
    store.events().send(&message("a", "kept")).await.expect("send");

    assert_eq!(store.sweep(start + HOUR - Duration::from_millis(1)).await.expect("sweep"), 1, "the id of the message");
    clock.advance(HOUR).await;
    assert_eq!(store.sweep(now(&clock)).await.expect("sweep"), 1_100 + 1 + 1 + 1);
    assert_eq!(store.sweep(now(&clock)).await.expect("sweep"), 0);
    assert_eq!(store.deliveries().recent(start, now(&clock), 10_000).await.expect("recent").len(), 700);
    assert_eq!(store.deliveries().recall("long", now(&clock)).await.expect("recall"), Some(mark));
    assert_eq!(bodies(&store).await, ["kept"], "a message is never swept");
}
