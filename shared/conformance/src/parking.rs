//! What [`Deliveries`] promises of destinations that are not open: what is put aside for them, counted, claimed by a
//! tick and sent again by an operator.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use shared::ids::DestinationName;
use shared::ports::{
    Circuit, Claim, Deliveries, DeliveryRecord, DeliveryState, DestinationHealth, Outcome, Parking, StoreError, Written,
};

use crate::deliveries::{NOW, claim, create, destination, failure, queued, read, record, stuck};

const SENT: Outcome = Outcome::Sent { status: Some(200), warning: None };

pub(crate) async fn parking<D: Deliveries>(store: &D) {
    an_unknown_destination_is_open(store).await;
    a_destination_survives_and_its_row_is_optimistic(store).await;
    of_many_that_write_a_destination_at_once_one_succeeds(store).await;
    what_is_not_open_is_found_by_name(store).await;
    parking_needs_a_destination_that_is_not_open(store).await;
    opening_needs_that_nothing_is_parked(store).await;
    a_row_is_written_over_what_others_count(store).await;
    of_many_parked_at_once_each_counts(store).await;
    a_parked_one_is_claimed_when_due_or_by_a_probe(store).await;
    a_probe_that_failed_counts_as_no_try(store).await;
    every_end_of_a_parking_is_counted_and_recorded(store).await;
    a_parked_one_outlives_its_time_and_an_ended_one_does_not(store).await;
    a_resend_claims_what_failed_before_it(store).await;
    stuck_deliveries_come_page_by_page(store).await;
    destinations_with_dead_letters_are_found_by_name(store).await;
}

fn later(ms: u64) -> Timestamp {
    NOW + Duration::from_millis(ms)
}

fn parked() -> Outcome {
    Outcome::Parked(Parking { message: Some("{\"v\":1}".into()), ..Parking::default() })
}

async fn health<D: Deliveries>(store: &D, name: &DestinationName) -> DestinationHealth {
    store.destination(name).await.expect("destination")
}

/// Writes `state` over whatever is there.
async fn turn<D: Deliveries>(store: &D, name: &DestinationName, state: Circuit) -> Written {
    let row = health(store, name).await;
    let since = (state != Circuit::Open).then_some(NOW);
    store.write_destination(&DestinationHealth { state, since, ..row }).await.expect("write")
}

async fn paused<D: Deliveries>(store: &D) -> DestinationName {
    let name = destination();
    assert_eq!(turn(store, &name, Circuit::Paused).await, Written::Done, "an unknown destination can be paused");
    name
}

async fn settle<D: Deliveries>(store: &D, record: &DeliveryRecord, outcome: Outcome) -> Written {
    store.settle(&record.id, record.attempts, outcome, NOW).await.expect("settle")
}

/// A delivery that was claimed once and then put aside.
async fn put_aside<D: Deliveries>(store: &D, to: &DestinationName, parking: Parking) -> DeliveryRecord {
    let new = record(NOW, to);
    create(store, &new).await;
    let mut claimed = claim(store, &new.id).await;
    let outcome = Outcome::Parked(parking);
    assert_eq!(settle(store, &claimed, outcome.clone()).await, Written::Done, "what is queued can be parked");
    outcome.apply(&mut claimed, NOW);
    claimed
}

async fn claim_parked<D: Deliveries>(store: &D, record: &DeliveryRecord, probe: bool, now: Timestamp) -> Claim {
    store.claim_parked(&record.id, probe, now).await.expect("claim")
}

async fn taken<D: Deliveries>(store: &D, record: &DeliveryRecord, probe: bool) -> DeliveryRecord {
    match claim_parked(store, record, probe, NOW).await {
        Claim::Taken(record) => record,
        other => panic!("a parked delivery can be claimed, but the claim said {other:?}"),
    }
}

async fn an_unknown_destination_is_open<D: Deliveries>(store: &D) {
    let name = destination();
    assert_eq!(health(store, &name).await, DestinationHealth::new(name), "a destination nobody has heard of is open");
}

async fn a_destination_survives_and_its_row_is_optimistic<D: Deliveries>(store: &D) {
    let full = DestinationHealth {
        name: destination(),
        state: Circuit::Paused,
        failures: 7,
        probe_at: Some(later(1)),
        lease_until: Some(later(2)),
        since: Some(later(3)),
        reason: Some("refuses everything with 404: “gone”".into()),
        parked: 0,
        version: 0,
    };
    let bare = DestinationHealth { failures: u32::MAX, version: 1, ..DestinationHealth::new(full.name.clone()) };
    let draining = DestinationHealth { state: Circuit::Draining, version: 2, ..full.clone() };
    for row in [full, bare, draining] {
        // What the caller believes of the count is nobody's business.
        let written = store.write_destination(&DestinationHealth { parked: 99, ..row.clone() }).await.expect("write");
        assert_eq!(written, Written::Done, "a row over the version that was read is written");
        let stored = DestinationHealth { version: row.version + 1, ..row.clone() };
        assert_eq!(health(store, &row.name).await, stored, "every field comes back as it was written, but the count");
        for version in [0, row.version, row.version + 2] {
            let stale = DestinationHealth { version, failures: 1, ..row.clone() };
            let written = store.write_destination(&stale).await.expect("write");
            assert_eq!(written, Written::Conflict, "a row over another version is a conflict");
        }
        assert_eq!(health(store, &row.name).await, stored, "a conflict changes nothing");
    }
}

async fn of_many_that_write_a_destination_at_once_one_succeeds<D: Deliveries>(store: &D) {
    for version in [0, 1] {
        let name = if version == 0 { destination() } else { paused(store).await };
        let writes = join_all((0..16).map(|failures| {
            let row =
                DestinationHealth { failures, version, state: Circuit::Paused, ..DestinationHealth::new(name.clone()) };
            async move { (store.write_destination(&row).await.expect("write") == Written::Done).then_some(failures) }
        }))
        .await;
        let won: Vec<u32> = writes.into_iter().flatten().collect();
        assert_eq!(won.len(), 1, "of 16 that write a destination of version {version} at once one succeeds");
        let found = health(store, &name).await;
        assert_eq!((found.failures, found.version), (won[0], version + 1), "and its row is the one that lies there");
    }
}

async fn what_is_not_open_is_found_by_name<D: Deliveries>(store: &D) {
    let (first, second, opened) = (paused(store).await, paused(store).await, paused(store).await);
    assert_eq!(turn(store, &second, Circuit::Draining).await, Written::Done);
    assert_eq!(turn(store, &opened, Circuit::Open).await, Written::Done, "a destination with nothing parked opens");
    // A delivery of that state stands in the same index.
    create(store, &DeliveryRecord { state: DeliveryState::Parked, ..record(NOW, &opened) }).await;
    let found = store.not_open().await.expect("not open");
    assert!(found.is_sorted(), "they come by name");
    assert!(found.contains(&first) && found.contains(&second), "paused and draining ones are not open");
    assert!(!found.contains(&opened), "one that is open again is not among them");
}

async fn parking_needs_a_destination_that_is_not_open<D: Deliveries>(store: &D) {
    let (unknown, opened) = (destination(), paused(store).await);
    assert_eq!(turn(store, &opened, Circuit::Open).await, Written::Done);
    for to in [unknown, opened] {
        let new = record(NOW, &to);
        create(store, &new).await;
        let claimed = claim(store, &new.id).await;
        assert_eq!(settle(store, &claimed, parked()).await, Written::Conflict, "nothing is parked for an open one");
        assert_eq!(read(store, &new.id).await, claimed, "and nothing about the delivery has changed");
        assert_eq!(health(store, &to).await.parked, 0, "nor is it counted");
        assert_eq!(settle(store, &claimed, SENT).await, Written::Done, "whoever claimed it can still settle it");
    }
    for state in [Circuit::Paused, Circuit::Draining] {
        let to = paused(store).await;
        assert_eq!(turn(store, &to, state).await, Written::Done);
        let new = record(NOW, &to);
        create(store, &new).await;
        let claimed = claim(store, &new.id).await;
        for stale in [0, 2] {
            let written = store.settle(&new.id, stale, parked(), NOW).await.expect("settle");
            assert_eq!(written, Written::Conflict, "another try's number parks nothing");
        }
        assert_eq!(health(store, &to).await.parked, 0, "and counts nothing");
        assert_eq!(settle(store, &claimed, parked()).await, Written::Done, "{} takes it", state.as_str());
        let mut expected = claimed;
        parked().apply(&mut expected, NOW);
        assert_eq!(read(store, &new.id).await, expected, "the record says that it is parked");
        assert_eq!(health(store, &to).await.parked, 1, "and it is counted");
        assert_eq!(settle(store, &expected, parked()).await, Written::Done, "it can be put back");
        assert_eq!(health(store, &to).await.parked, 1, "which does not count it again");
    }
}

async fn opening_needs_that_nothing_is_parked<D: Deliveries>(store: &D) {
    let to = paused(store).await;
    let waiting = put_aside(store, &to, Parking::default()).await;
    let before = health(store, &to).await;
    assert_eq!(turn(store, &to, Circuit::Open).await, Written::Conflict, "one with something parked does not open");
    assert_eq!(health(store, &to).await, before, "and its row is as it was");
    assert_eq!(turn(store, &to, Circuit::Draining).await, Written::Done, "but it can drain");
    assert_eq!(settle(store, &waiting, SENT).await, Written::Done);
    assert_eq!(turn(store, &to, Circuit::Open).await, Written::Done, "with nothing parked it opens");
}

async fn a_row_is_written_over_what_others_count<D: Deliveries>(store: &D) {
    let to = paused(store).await;
    let row = health(store, &to).await;
    put_aside(store, &to, Parking::default()).await;
    let written = store.write_destination(&DestinationHealth { failures: 3, ..row }).await.expect("write");
    assert_eq!(written, Written::Done, "a count is no new version");
    let found = health(store, &to).await;
    assert_eq!((found.failures, found.parked), (3, 1), "and a row that was read before leaves the count");
}

/// A store may be too busy with the others for a moment.
async fn insist<D: Deliveries>(store: &D, record: &DeliveryRecord, outcome: Outcome) -> Written {
    for _ in 0..50 {
        match store.settle(&record.id, record.attempts, outcome.clone(), NOW).await {
            Ok(written) => return written,
            Err(StoreError::Unavailable { .. }) => {}
            Err(error) => panic!("settle: {error}"),
        }
    }
    panic!("a store that is busy has time at last")
}

async fn of_many_parked_at_once_each_counts<D: Deliveries>(store: &D) {
    let to = &paused(store).await;
    let mut waiting = join_all((0..16).map(|_| async move {
        let new = record(NOW, to);
        create(store, &new).await;
        claim(store, &new.id).await
    }))
    .await;
    let settled = join_all(waiting.iter().map(|record| insist(store, record, parked()))).await;
    assert!(settled.iter().all(|written| *written == Written::Done), "each of 16 at once is parked");
    assert_eq!(health(store, to).await.parked, 16, "and each is counted");
    for record in &mut waiting {
        parked().apply(record, NOW);
    }
    // Two tries each to end it: one of them does.
    let settled =
        join_all(waiting.iter().flat_map(|record| [record, record]).map(|record| insist(store, record, SENT))).await;
    let ended = settled.iter().filter(|written| **written == Written::Done).count();
    assert_eq!((ended, health(store, to).await.parked), (16, 0), "and each is taken off once");
}

async fn a_parked_one_is_claimed_when_due_or_by_a_probe<D: Deliveries>(store: &D) {
    let to = paused(store).await;
    let due = put_aside(store, &to, Parking::default()).await;
    let waiting = put_aside(store, &to, Parking { next_try_at: Some(later(10)), ..Parking::default() }).await;
    let claimed = DeliveryRecord { attempts: 2, ..due.clone() };
    assert_eq!(
        claim_parked(store, &due, false, NOW).await,
        Claim::Taken(claimed.clone()),
        "one that is due is claimed"
    );
    assert_eq!(read(store, &due.id).await, claimed, "and its try is counted");
    assert_eq!(
        claim_parked(store, &waiting, false, later(9)).await,
        Claim::Early(later(10)),
        "one before its time not"
    );
    assert_eq!(read(store, &waiting.id).await, waiting, "and it is as it was");
    let at = |attempts| Claim::Taken(DeliveryRecord { attempts, ..waiting.clone() });
    assert_eq!(claim_parked(store, &waiting, true, NOW).await, at(2), "but a probe claims it at any time");
    assert_eq!(claim_parked(store, &waiting, false, later(10)).await, at(3), "and at its time it is due");
    let leftover = store.claim(&due.id, Some(later(1)), NOW).await.expect("claim");
    assert_eq!(leftover, Claim::Leftover(DeliveryState::Parked), "a message of a parked one is a leftover");

    for state in [DeliveryState::Queued, DeliveryState::Sent, DeliveryState::Accepted, DeliveryState::Failed] {
        let record = DeliveryRecord { state, ..record(NOW, &to) };
        create(store, &record).await;
        let found = claim_parked(store, &record, true, NOW).await;
        assert_eq!(found, Claim::Leftover(state), "one that is {} is not claimed as parked", state.as_str());
        assert_eq!(read(store, &record.id).await, record, "and is as it was");
    }
    assert_eq!(claim_parked(store, &record(NOW, &to), true, NOW).await, Claim::Missing, "nor is one that is not there");
}

async fn a_probe_that_failed_counts_as_no_try<D: Deliveries>(store: &D) {
    let to = paused(store).await;
    let waiting = put_aside(store, &to, Parking { message: Some("{}".into()), ..Parking::default() }).await;
    for _ in 0..3 {
        let probed = taken(store, &waiting, true).await;
        assert_eq!(probed.attempts, waiting.attempts + 1);
        let back = Parking { failure: Some(failure(Some(503), "busy")), probe: true, ..Parking::default() };
        assert_eq!(settle(store, &probed, Outcome::Parked(back)).await, Written::Done);
    }
    let found = read(store, &waiting.id).await;
    let busy = failure(Some(503), "busy");
    let (last_status, last_error, last_answer) = (busy.status, Some(busy.error), busy.answer);
    let expected = DeliveryRecord { last_status, last_error, last_answer, ..waiting };
    assert_eq!(found, expected, "after three failed probes it is as before, with what they met, and keeps its message");
    assert_eq!(health(store, &to).await.parked, 1);
}

async fn every_end_of_a_parking_is_counted_and_recorded<D: Deliveries>(store: &D) {
    let to = paused(store).await;
    let retry = Outcome::Retry { at: later(60_000), failure: failure(None, "no answer ☃") };
    let failed = Outcome::Failed { failure: failure(Some(400), "refused"), message: None };
    for (outcome, left) in [
        (SENT, 0),
        (Outcome::Accepted { status: Some(202), warning: Some("its template failed".into()) }, 0),
        (failed, 0),
        (retry, 1),
    ] {
        let waiting = put_aside(store, &to, Parking { message: Some("{}".into()), ..Parking::default() }).await;
        assert_eq!(health(store, &to).await.parked, 1);
        let mut claimed = taken(store, &waiting, false).await;
        let stale = store.settle(&waiting.id, waiting.attempts, outcome.clone(), NOW).await.expect("settle");
        assert_eq!(stale, Written::Conflict, "an earlier try's end is a conflict");
        assert_eq!(health(store, &to).await.parked, 1, "and takes nothing off");
        assert_eq!(settle(store, &claimed, outcome.clone()).await, Written::Done);
        outcome.apply(&mut claimed, NOW);
        assert_eq!(read(store, &waiting.id).await, claimed, "the record says how it ended");
        assert_eq!(health(store, &to).await.parked, left, "what is not parked any more does not count");
    }
}

async fn a_parked_one_outlives_its_time_and_an_ended_one_does_not<D: Deliveries>(store: &D) {
    let to = paused(store).await;
    let expires = Timestamp::from_second(NOW.as_second() + 60).expect("in range");
    let new = DeliveryRecord { expires, ..record(NOW, &to) };
    create(store, &new).await;
    let claimed = claim(store, &new.id).await;
    assert_eq!(
        store.claim(&new.id, None, expires).await.expect("claim"),
        Claim::Missing,
        "an expired one is not there"
    );
    assert_eq!(settle(store, &claimed, parked()).await, Written::Done);
    let long_after = expires + Duration::from_hours(1_000);
    let Claim::Taken(claimed) = claim_parked(store, &new, false, long_after).await else {
        panic!("a parked one waits for as long as its destination is away");
    };
    assert_eq!(claimed.expires, expires, "and remembers its time");
    let failed = Outcome::Failed { failure: failure(Some(400), "refused"), message: None };
    assert_eq!(store.settle(&new.id, claimed.attempts, failed, long_after).await.expect("settle"), Written::Done);
    assert_eq!(read(store, &new.id).await.expires, expires, "its time counts again");
    let resent = store.claim(&new.id, Some(later(u64::from(u32::MAX))), long_after).await.expect("claim");
    assert_eq!(resent, Claim::Missing, "so that it may be forgotten");
}

async fn a_resend_claims_what_failed_before_it<D: Deliveries>(store: &D) {
    let record = queued(store).await;
    claim(store, &record.id).await;
    let message = Some("{\"v\":1}".to_owned());
    let failed = Outcome::Failed { failure: failure(Some(400), "refused"), message };
    assert_eq!(store.settle(&record.id, 1, failed, later(10)).await.expect("settle"), Written::Done);
    let dead = read(store, &record.id).await;
    for asked in [None, Some(NOW), Some(later(10))] {
        let claimed = store.claim(&record.id, asked, later(20)).await.expect("claim");
        assert_eq!(
            claimed,
            Claim::Leftover(DeliveryState::Failed),
            "one asked for no later than it failed is a leftover"
        );
        assert_eq!(read(store, &record.id).await, dead, "and the dead letter is as it was");
    }
    let mut anew = dead;
    anew.begin_anew();
    anew.attempts = 1;
    let claimed = store.claim(&record.id, Some(later(11)), later(20)).await.expect("claim");
    assert_eq!(claimed, Claim::Taken(anew.clone()), "one asked for later begins anew, with its first try");
    assert_eq!(read(store, &record.id).await, anew);
    let found = store.stuck(&record.destination, DeliveryState::Failed, None, 10).await.expect("stuck");
    assert_eq!(found, [], "and is not among the stuck any more");
    let retry = Outcome::Retry { at: later(30), failure: failure(None, "no answer") };
    assert_eq!(store.settle(&record.id, 1, retry, later(20)).await.expect("settle"), Written::Done);
    let early = store.claim(&record.id, Some(later(11)), later(29)).await.expect("claim");
    assert_eq!(early, Claim::Early(later(30)), "its later tries wait as any do");
    let second = store.claim(&record.id, Some(later(11)), later(30)).await.expect("claim");
    assert!(matches!(second, Claim::Taken(record) if record.attempts == 2), "and are counted on");
    let sent = store.settle(&record.id, 2, SENT, later(40)).await.expect("settle");
    assert_eq!(sent, Written::Done);
    let again = store.claim(&record.id, Some(later(50)), later(60)).await.expect("claim");
    assert_eq!(again, Claim::Leftover(DeliveryState::Sent), "what was sent is never claimed again");
}

async fn stuck_deliveries_come_page_by_page<D: Deliveries>(store: &D) {
    let to = paused(store).await;
    let mut expected = Vec::new();
    for ms in [30, 10, 20, 20, 20, 40, 0] {
        let new = DeliveryRecord { state: DeliveryState::Failed, ended_at: Some(NOW), ..record(later(ms), &to) };
        create(store, &new).await;
        expected.push(stuck(&new));
    }
    for size in [1, 2, 3, 7] {
        let mut found = Vec::new();
        loop {
            let page = store.stuck(&to, DeliveryState::Failed, found.last(), size).await.expect("stuck");
            assert!(page.len() <= size, "no more come than were asked for");
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        assert!(found.is_sorted_by_key(|stuck| stuck.accepted_at), "pages of {size} come oldest first");
        let by_id = |mut all: Vec<_>| {
            all.sort_by(|a: &shared::ports::Stuck, b| a.id.as_str().cmp(b.id.as_str()));
            all
        };
        assert_eq!(by_id(found), by_id(expected.clone()), "pages of {size} bring each once, also those of one instant");
    }
    // The one after which to go on may be gone meanwhile.
    expected.sort_by_key(|stuck| stuck.accepted_at);
    let first = &expected[0];
    let Claim::Taken(_) = store.claim(&first.id, Some(later(100_000)), NOW).await.expect("claim") else {
        panic!("a failed one begins anew")
    };
    let rest = store.stuck(&to, DeliveryState::Failed, Some(first), 10).await.expect("stuck");
    assert_eq!(rest.len(), expected.len() - 1, "a page goes on after one that is not stuck any more");
}

async fn destinations_with_dead_letters_are_found_by_name<D: Deliveries>(store: &D) {
    let [first, second, waiting] = [paused(store).await, paused(store).await, paused(store).await];
    for to in [&first, &first, &second] {
        create(store, &DeliveryRecord { state: DeliveryState::Failed, ..record(NOW, to) }).await;
    }
    create(store, &DeliveryRecord { state: DeliveryState::Parked, ..record(NOW, &waiting) }).await;
    let found = store.with_failed().await.expect("with failed");
    assert!(found.is_sorted_by(|a, b| a < b), "each comes once, by name");
    assert!(found.contains(&first) && found.contains(&second), "whoever has a dead letter is among them");
    assert!(!found.contains(&waiting), "and nobody else");
}
