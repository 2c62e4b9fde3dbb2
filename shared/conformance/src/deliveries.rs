//! The suite for [`Deliveries`].

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use shared::ids::{DeliveryId, DestinationName};
use shared::ports::{Claim, Deliveries, DeliveryRecord, DeliveryState, Failure, Mark, Outcome, Stuck, Written};

use crate::parking::parking;
use crate::random::{FAR_AHEAD, event_id, installation_id, midnight, name};
use crate::threads::threads;

pub(crate) const NOW: Timestamp = Timestamp::constant(1_800_000_000, 123_000_000);

/// Every promise of the table of deliveries.
pub async fn deliveries<D: Deliveries>(store: &D) {
    an_unknown_record_is_missing(store).await;
    all_fields_survive(store).await;
    a_record_is_created_once(store).await;
    a_claim_counts_the_try(store).await;
    a_claim_before_the_next_try_is_early(store).await;
    only_what_is_queued_can_be_claimed_and_settled(store).await;
    of_claims_at_once_each_counts_and_the_last_one_settles(store).await;
    every_outcome_is_recorded(store).await;
    stuck_deliveries_are_found_by_destination_oldest_first(store).await;
    recent_deliveries_come_newest_first(store).await;
    a_mark_is_recalled_until_it_expires(store).await;
    a_mark_needs_what_was_expected(store).await;
    of_many_that_mark_at_once_one_succeeds(store).await;
    parking(store).await;
    threads(store).await;
}

pub(crate) fn destination() -> DestinationName {
    format!("to-{}", name()).parse().expect("a destination's name")
}

pub(crate) fn record(accepted_at: Timestamp, destination: &DestinationName) -> DeliveryRecord {
    let event = event_id();
    DeliveryRecord {
        id: DeliveryId::of(&event, accepted_at, destination),
        event,
        event_name: "issue.created".into(),
        installation: Some(installation_id()),
        destination: destination.clone(),
        route: "backend".into(),
        group: format!("{destination}:{}", "0".repeat(32)),
        title: "TypeError: größe ☃".into(),
        state: DeliveryState::Queued,
        attempts: 0,
        next_try_at: None,
        last_status: None,
        last_error: None,
        last_answer: None,
        warning: None,
        accepted_at,
        ended_at: None,
        message: None,
        expires: FAR_AHEAD,
    }
}

pub(crate) fn failure(status: Option<u16>, error: &str) -> Failure {
    Failure { status, error: error.into(), answer: Some("“broken”".into()) }
}

pub(crate) async fn create<D: Deliveries>(store: &D, record: &DeliveryRecord) {
    assert_eq!(store.create(record).await.expect("create"), Written::Done, "a new record can be created");
}

pub(crate) async fn read<D: Deliveries>(store: &D, id: &DeliveryId) -> DeliveryRecord {
    store.read(id).await.expect("read").expect("the record that was created is there")
}

pub(crate) async fn queued<D: Deliveries>(store: &D) -> DeliveryRecord {
    let record = record(NOW, &destination());
    create(store, &record).await;
    record
}

pub(crate) async fn claim<D: Deliveries>(store: &D, id: &DeliveryId) -> DeliveryRecord {
    match store.claim(id, None, NOW).await.expect("claim") {
        Claim::Taken(record) => record,
        other => panic!("a queued delivery can be claimed, but the claim said {other:?}"),
    }
}

async fn an_unknown_record_is_missing<D: Deliveries>(store: &D) {
    let id = DeliveryId::of(&event_id(), NOW, &destination());
    assert_eq!(store.read(&id).await.expect("read"), None, "a record that was never created is absent");
    assert_eq!(store.claim(&id, None, NOW).await.expect("claim"), Claim::Missing, "and a claim on it says missing");
    let settled = store.settle(&id, 0, Outcome::Sent { status: None, warning: None }, NOW).await.expect("settle");
    assert_eq!(settled, Written::Conflict, "it cannot be settled");
    assert_eq!(store.read(&id).await.expect("read"), None, "and neither claim nor settle has made it");
}

async fn all_fields_survive<D: Deliveries>(store: &D) {
    let bare = DeliveryRecord { installation: None, ..record(NOW, &destination()) };
    let full = DeliveryRecord {
        state: DeliveryState::Parked,
        attempts: u32::MAX,
        next_try_at: Some(NOW + Duration::from_millis(7)),
        last_status: Some(599),
        last_error: Some("“overloaded”\n☃".into()),
        last_answer: Some("<html>\u{1}ü</html>".into()),
        warning: Some("its `title` failed".into()),
        ended_at: Some(NOW + Duration::from_millis(77)),
        message: Some(format!("{{\"v\":1,\"title\":\"{}\"}}", "ü☃".repeat(5_000))),
        ..record(NOW, &destination())
    };
    for record in [bare, full] {
        create(store, &record).await;
        assert_eq!(read(store, &record.id).await, record, "every field comes back as it was written");
    }
}

async fn a_record_is_created_once<D: Deliveries>(store: &D) {
    let record = record(NOW, &destination());
    let other = DeliveryRecord { title: "another".into(), ..record.clone() };
    create(store, &record).await;
    assert_eq!(store.create(&other).await.expect("create"), Written::Conflict, "a second create is a conflict");
    assert_eq!(read(store, &record.id).await, record, "and leaves the record as it was");
}

async fn a_claim_counts_the_try<D: Deliveries>(store: &D) {
    let record = queued(store).await;
    for attempts in 1..=3 {
        let claimed = DeliveryRecord { attempts, ..record.clone() };
        assert_eq!(claim(store, &record.id).await, claimed, "a claim gives the record with the try counted");
        assert_eq!(read(store, &record.id).await, claimed, "and the count is stored");
    }
}

async fn a_claim_before_the_next_try_is_early<D: Deliveries>(store: &D) {
    let record = queued(store).await;
    claim(store, &record.id).await;
    let at = NOW + Duration::from_millis(5_001);
    let retry = Outcome::Retry { at, failure: failure(Some(503), "busy") };
    assert_eq!(store.settle(&record.id, 1, retry, NOW).await.expect("settle"), Written::Done);
    let just_before = store.claim(&record.id, None, at - Duration::from_millis(1)).await.expect("claim");
    assert_eq!(just_before, Claim::Early(at), "a claim before the next try says when it is");
    assert_eq!(read(store, &record.id).await.attempts, 1, "and counts no try");
    let on_time = store.claim(&record.id, None, at).await.expect("claim");
    assert!(matches!(on_time, Claim::Taken(record) if record.attempts == 2), "a claim at the next try is taken");
}

async fn only_what_is_queued_can_be_claimed_and_settled<D: Deliveries>(store: &D) {
    for state in [DeliveryState::Sent, DeliveryState::Accepted, DeliveryState::Failed] {
        let record = DeliveryRecord { state, attempts: 1, ..record(NOW, &destination()) };
        create(store, &record).await;
        let claimed = store.claim(&record.id, None, NOW).await.expect("claim");
        assert_eq!(claimed, Claim::Leftover(state), "a message of a delivery that is {} is a leftover", state.as_str());
        let settled =
            store.settle(&record.id, 1, Outcome::Sent { status: None, warning: None }, NOW).await.expect("settle");
        assert_eq!(settled, Written::Conflict, "a delivery that is {} cannot be settled", state.as_str());
        assert_eq!(read(store, &record.id).await, record, "and nothing about it has changed");
    }
}

async fn of_claims_at_once_each_counts_and_the_last_one_settles<D: Deliveries>(store: &D) {
    let id = &queued(store).await.id;
    let claims = join_all((0..8).map(|_| async move { claim(store, id).await.attempts })).await;
    let attempts: BTreeSet<u32> = claims.into_iter().collect();
    assert_eq!(attempts, (1..=8).collect(), "each of 8 claims at once counts a try of its own");
    for stale in 0..8 {
        let settled =
            store.settle(id, stale, Outcome::Sent { status: None, warning: None }, NOW).await.expect("settle");
        assert_eq!(settled, Written::Conflict, "a try that is not the last one cannot settle");
    }
    let settled =
        join_all((0..8).map(|_| store.settle(id, 8, Outcome::Sent { status: None, warning: None }, NOW))).await;
    let done = settled.into_iter().filter(|written| matches!(written, Ok(Written::Done))).count();
    assert_eq!(done, 1, "the last try settles once");
    assert_eq!(store.claim(id, None, NOW).await.expect("claim"), Claim::Leftover(DeliveryState::Sent));
}

async fn every_outcome_is_recorded<D: Deliveries>(store: &D) {
    let later = NOW + Duration::from_millis(1_234);
    let outcomes = [
        Outcome::Sent { status: Some(200), warning: None },
        Outcome::Sent { status: None, warning: None },
        Outcome::Accepted { status: Some(202), warning: None },
        Outcome::Retry { at: later, failure: failure(None, "no answer ☃") },
        Outcome::Failed { failure: failure(Some(400), "refused"), message: Some("{\"title\":\"ü\"}".into()) },
        Outcome::Failed { failure: failure(None, "too old"), message: None },
    ];
    for outcome in outcomes {
        let record = queued(store).await;
        let mut expected = claim(store, &record.id).await;
        let settled = store.settle(&record.id, 1, outcome.clone(), later).await.expect("settle");
        assert_eq!(settled, Written::Done, "the one who claimed can settle");
        outcome.apply(&mut expected, later);
        assert_eq!(read(store, &record.id).await, expected, "the record says how the try ended");
    }
    // A success after a failed try leaves nothing of it.
    let record = queued(store).await;
    claim(store, &record.id).await;
    let retry = Outcome::Retry { at: NOW, failure: failure(Some(500), "broken") };
    assert_eq!(store.settle(&record.id, 1, retry, NOW).await.expect("settle"), Written::Done);
    claim(store, &record.id).await;
    assert_eq!(
        store.settle(&record.id, 2, Outcome::Sent { status: None, warning: None }, NOW).await.expect("settle"),
        Written::Done
    );
    let sent = DeliveryRecord { state: DeliveryState::Sent, attempts: 2, ended_at: Some(NOW), ..record };
    assert_eq!(read(store, &sent.id).await, sent, "a success leaves nothing of an earlier failed try");
}

pub(crate) fn stuck(record: &DeliveryRecord) -> Stuck {
    Stuck { id: record.id.clone(), accepted_at: record.accepted_at }
}

async fn stuck_deliveries_are_found_by_destination_oldest_first<D: Deliveries>(store: &D) {
    let (ours, other) = (destination(), destination());
    let mut failed = Vec::new();
    for ms in [30, 10, 20] {
        let record = record(NOW + Duration::from_millis(ms), &ours);
        create(store, &record).await;
        claim(store, &record.id).await;
        let outcome = Outcome::Failed { failure: failure(None, "refused"), message: None };
        assert_eq!(store.settle(&record.id, 1, outcome, NOW).await.expect("settle"), Written::Done);
        failed.push(stuck(&record));
    }
    let parked = DeliveryRecord { state: DeliveryState::Parked, ..record(NOW, &ours) };
    let elsewhere = DeliveryRecord { state: DeliveryState::Failed, ..record(NOW, &other) };
    let sent = DeliveryRecord { state: DeliveryState::Sent, ..record(NOW, &ours) };
    for record in [&parked, &elsewhere, &sent, &record(NOW, &ours)] {
        create(store, record).await;
    }
    let oldest_first = [failed[1].clone(), failed[2].clone(), failed[0].clone()];
    let found = store.stuck(&ours, DeliveryState::Failed, None, 10).await.expect("stuck");
    assert_eq!(found, oldest_first, "failed deliveries of a destination come oldest first, and no others");
    let found = store.stuck(&ours, DeliveryState::Failed, None, 2).await.expect("stuck");
    assert_eq!(found, oldest_first[..2], "a limit takes the oldest");
    let found = store.stuck(&ours, DeliveryState::Parked, None, 10).await.expect("stuck");
    assert_eq!(found, [stuck(&parked)], "parked deliveries are kept apart");
    let found = store.stuck(&other, DeliveryState::Failed, None, 10).await.expect("stuck");
    assert_eq!(found, [stuck(&elsewhere)], "another destination's are kept apart");
}

async fn recent_deliveries_come_newest_first<D: Deliveries>(store: &D) {
    let midnight = midnight();
    let now = midnight + Duration::from_mins(10);
    let to = destination();
    let mut ids = Vec::new();
    // From both sides of a midnight, since a store may keep its days apart; not in order of time.
    for (before, seconds) in [(true, 60), (false, 120), (true, 1), (false, 0), (false, 300), (true, 3_600)] {
        let distance = Duration::from_secs(seconds);
        let record = record(if before { midnight - distance } else { midnight + distance }, &to);
        create(store, &record).await;
        ids.push(record.id);
    }
    let newest_first = [4, 1, 3, 2, 0, 5].map(|place| ids[place].clone());
    for (since, limit, expected) in [
        (Duration::from_mins(90), 100, 6),
        (Duration::from_mins(15), 100, 5),
        (Duration::from_mins(11), 100, 5),
        (Duration::from_mins(10), 100, 3),
        (Duration::from_mins(9), 100, 2),
        (Duration::from_mins(90), 4, 4),
        (Duration::from_mins(90), 1, 1),
    ] {
        let found = store.recent(now - since, now, limit).await.expect("recent");
        assert!(found.len() <= limit, "no more come than were asked for");
        let ours: Vec<DeliveryId> = found.into_iter().filter(|r| r.destination == to).map(|r| r.id).collect();
        assert_eq!(ours, newest_first[..expected], "what was accepted in the last {since:?} comes newest first");
    }
}

fn mark(digest: &str, ms: u64) -> Mark {
    Mark { digest: digest.into(), accepted_at: NOW + Duration::from_millis(ms) }
}

async fn a_mark_is_recalled_until_it_expires<D: Deliveries>(store: &D) {
    let key = format!("seen#{}", name());
    assert_eq!(store.recall(&key, NOW).await.expect("recall"), None, "nothing lies under a new key");
    for (mark, before) in [(mark("", 1), None), (mark("digest", 2), Some(mark("", 1)))] {
        let written = store.mark(&key, &mark, before.as_ref(), FAR_AHEAD, NOW).await.expect("mark");
        assert_eq!(written, Written::Done, "a mark over what was expected succeeds");
        let found = store.recall(&key, FAR_AHEAD - Duration::from_secs(1)).await.expect("recall");
        assert_eq!(found, Some(mark), "a mark comes back as it was written");
    }
    assert_eq!(store.recall(&key, FAR_AHEAD).await.expect("recall"), None, "a mark that expires now is gone");
    let next = mark("new", 3);
    let until = FAR_AHEAD + Duration::from_mins(1);
    let stale = store.mark(&key, &next, Some(&mark("digest", 2)), until, FAR_AHEAD).await.expect("mark");
    assert_eq!(stale, Written::Conflict, "an expired mark is not there to be expected");
    let written = store.mark(&key, &next, None, until, FAR_AHEAD).await.expect("mark");
    assert_eq!(written, Written::Done, "an expired mark counts as none");
    assert_eq!(store.recall(&key, FAR_AHEAD).await.expect("recall"), Some(next));
}

async fn a_mark_needs_what_was_expected<D: Deliveries>(store: &D) {
    let key = format!("last#{}", name());
    let stored = mark("a", 1);
    let onto_nothing = store.mark(&key, &mark("b", 2), Some(&stored), FAR_AHEAD, NOW).await.expect("mark");
    assert_eq!(onto_nothing, Written::Conflict, "a mark that is not there cannot be expected");
    assert_eq!(store.mark(&key, &stored, None, FAR_AHEAD, NOW).await.expect("mark"), Written::Done);
    for wrong in [None, Some(mark("a", 2)), Some(mark("b", 1)), Some(mark("", 1))] {
        let written = store.mark(&key, &mark("c", 3), wrong.as_ref(), FAR_AHEAD, NOW).await.expect("mark");
        assert_eq!(written, Written::Conflict, "a mark expecting {wrong:?} over {stored:?} is a conflict");
    }
    let found = store.recall(&key, NOW).await.expect("recall");
    assert_eq!(found, Some(stored), "a mark that lost has changed nothing");
}

async fn of_many_that_mark_at_once_one_succeeds<D: Deliveries>(store: &D) {
    let key = &format!("seen#{}", name());
    for expected in [None, Some(mark("0", 0))] {
        let expected = &expected;
        let offset = if expected.is_some() { 100 } else { 0 };
        let marks = join_all((0..16_u64).map(|n| async move {
            let digest = if n == 0 { "0".to_owned() } else { format!("{n}") };
            let mine = mark(&digest, offset + n);
            let written = store.mark(key, &mine, expected.as_ref(), FAR_AHEAD, NOW).await.expect("mark");
            (written == Written::Done).then_some(mine)
        }))
        .await;
        let won: Vec<Mark> = marks.into_iter().flatten().collect();
        let found = store.recall(key, NOW).await.expect("recall");
        if expected.is_none() {
            assert_eq!(won.len(), 1, "of 16 that mark a new key at once one succeeds");
            assert_eq!(found.as_ref(), won.first(), "and its mark is the one that lies there");
            let reset = store.mark(key, &mark("0", 0), found.as_ref(), FAR_AHEAD, NOW).await.expect("mark");
            assert_eq!(reset, Written::Done);
        } else {
            assert_eq!(won.len(), 1, "of 16 that mark over the same mark at once one succeeds");
            assert_eq!(found.as_ref(), won.first(), "and its mark is the one that lies there");
        }
    }
}
