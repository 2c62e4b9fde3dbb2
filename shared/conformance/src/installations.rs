//! The suite for [`Installations`].

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use shared::ids::InstallationId;
use shared::ports::{Installation, Installations, Sealed, Status, Written};

use crate::random::{FAR_AHEAD, installation_id, midnight};

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 123_000_000);

/// Every promise of the table of installations.
pub async fn installations<I: Installations>(store: &I) {
    an_unknown_row_is_absent(store).await;
    all_fields_survive(store).await;
    every_status_survives(store).await;
    a_write_needs_the_stored_version(store).await;
    concurrent_writers_lose_no_update(store).await;
    of_many_that_want_the_lease_one_gets_it(store).await;
    of_many_first_writes_one_succeeds(store).await;
    an_expired_row_is_absent_and_may_be_written_anew(store).await;
    due_rows_come_longest_due_first_and_only_while_due(store).await;
}

async fn read<I: Installations>(store: &I, id: InstallationId) -> Installation {
    store.read(id, NOW).await.expect("read").expect("the row that was written is there")
}

async fn write<I: Installations>(store: &I, row: &Installation) -> Written {
    store.write(row, NOW).await.expect("write")
}

async fn an_unknown_row_is_absent<I: Installations>(store: &I) {
    let found = store.read(installation_id(), NOW).await.expect("read");
    assert_eq!(found, None, "an installation that was never written is absent");
}

async fn all_fields_survive<I: Installations>(store: &I) {
    let at = |ms: u64| Some(NOW + Duration::from_millis(ms));
    let full = Installation {
        status: Status::NeedsReinstall,
        organization: Some("größe-☃".into()),
        app: Some("my-app \"quoted\"".into()),
        tokens: Some(Sealed((0..=255).collect())),
        expires_at: at(1),
        due_at: at(22),
        lease_until: at(333),
        verified_at: at(4_444),
        manual_refresh_worked: true,
        refusals: u32::MAX,
        gone_since: at(55_555),
        heal_after: at(666_666),
        first_seen: at(7_777_777),
        expires: Some(FAR_AHEAD),
        ..Installation::new(installation_id())
    };
    for row in [Installation::new(installation_id()), full.clone()] {
        assert_eq!(write(store, &row).await, Written::Done, "the first write of an installation succeeds");
        let stored = Installation { version: 1, ..row };
        assert_eq!(read(store, stored.id).await, stored, "every field comes back as it was written");
    }
    let emptied = Installation { version: 1, ..Installation::new(full.id) };
    assert_eq!(write(store, &emptied).await, Written::Done);
    let stored = Installation { version: 2, ..emptied };
    assert_eq!(read(store, full.id).await, stored, "a field that was emptied is empty");
}

async fn every_status_survives<I: Installations>(store: &I) {
    for status in [Status::Installing, Status::Active, Status::NeedsReinstall, Status::Removed] {
        let row = Installation { status, ..Installation::new(installation_id()) };
        assert_eq!(write(store, &row).await, Written::Done);
        assert_eq!(read(store, row.id).await.status, status, "the status comes back as it was written");
    }
}

async fn a_write_needs_the_stored_version<I: Installations>(store: &I) {
    let row = Installation::new(installation_id());
    assert_eq!(write(store, &row).await, Written::Done);
    for version in [0, 2, 3] {
        let stale = Installation { version, organization: Some("stale".into()), ..row.clone() };
        assert_eq!(write(store, &stale).await, Written::Conflict, "version {version} against a stored 1 is a conflict");
    }
    assert_eq!(read(store, row.id).await.organization, None, "a write that lost has changed nothing");
    let unknown = Installation { version: 1, ..Installation::new(installation_id()) };
    assert_eq!(write(store, &unknown).await, Written::Conflict, "a version of a row that is not there is a conflict");
    assert_eq!(store.read(unknown.id, NOW).await.expect("read"), None, "and makes no row");
}

async fn concurrent_writers_lose_no_update<I: Installations>(store: &I) {
    let id = installation_id();
    assert_eq!(write(store, &Installation::new(id)).await, Written::Done);
    let writers = join_all((0..8).map(|_| async move {
        let mut done: u32 = 0;
        for _ in 0..6 {
            let mut row = read(store, id).await;
            row.refusals += 1;
            if write(store, &row).await == Written::Done {
                done += 1;
            }
        }
        done
    }))
    .await;
    let done: u32 = writers.iter().sum();
    let row = read(store, id).await;
    assert_eq!(row.version, u64::from(done) + 1, "the version counts the writes that succeeded");
    assert_eq!(row.refusals, done, "no update of a write that succeeded is lost");
    assert!(done >= 6, "somebody gets through in each round");
}

async fn of_many_that_want_the_lease_one_gets_it<I: Installations>(store: &I) {
    let id = installation_id();
    assert_eq!(write(store, &Installation::new(id)).await, Written::Done);
    let lease_until = Some(NOW + Duration::from_mins(1));
    let takers = join_all((0..16).map(|_| async move {
        let row = read(store, id).await;
        if row.lease_until.is_some_and(|until| until > NOW) {
            return false;
        }
        write(store, &Installation { lease_until, ..row }).await == Written::Done
    }))
    .await;
    let won = takers.iter().filter(|won| **won).count();
    assert_eq!(won, 1, "of 16 that want the lease at once one gets it");
    assert_eq!(read(store, id).await.lease_until, lease_until);
}

async fn of_many_first_writes_one_succeeds<I: Installations>(store: &I) {
    let row = &Installation::new(installation_id());
    let written = join_all((0..16).map(|_| write(store, row))).await;
    let won = written.iter().filter(|written| **written == Written::Done).count();
    assert_eq!(won, 1, "of 16 first writes of one installation one succeeds");
}

async fn an_expired_row_is_absent_and_may_be_written_anew<I: Installations>(store: &I) {
    let id = installation_id();
    let row = Installation { expires: Some(FAR_AHEAD), refusals: 7, ..Installation::new(id) };
    assert_eq!(write(store, &row).await, Written::Done);
    let just_before = FAR_AHEAD - Duration::from_secs(1);
    assert!(store.read(id, just_before).await.expect("read").is_some(), "a row is there until it expires");
    assert_eq!(store.read(id, FAR_AHEAD).await.expect("read"), None, "a row that expires now is absent");
    let again = Installation { expires: None, ..Installation::new(id) };
    let early = store.write(&again, just_before).await.expect("write");
    assert_eq!(early, Written::Conflict, "a row that has not expired is in the way of a first write");
    let stale = Installation { version: 1, ..again.clone() };
    let stale = store.write(&stale, FAR_AHEAD).await.expect("write");
    assert_eq!(stale, Written::Conflict, "an expired row has no version to write on");
    let late = store.write(&again, FAR_AHEAD).await.expect("write");
    assert_eq!(late, Written::Done, "an expired row is not in the way of a first write");
    let stored = Installation { version: 1, ..again };
    assert_eq!(store.read(id, FAR_AHEAD).await.expect("read"), Some(stored), "nothing of the expired row is left");
}

async fn due_rows_come_longest_due_first_and_only_while_due<I: Installations>(store: &I) {
    let base = midnight();
    let now = base + Duration::from_mins(1);
    let due_at = |ms: u64| Some(base + Duration::from_millis(ms));
    let mut rows = Vec::new();
    for due_at in [due_at(300), due_at(60_001), due_at(5), None, due_at(60_000), due_at(4_000)] {
        let row = Installation { due_at, ..Installation::new(installation_id()) };
        assert_eq!(write(store, &row).await, Written::Done);
        rows.push(Installation { version: 1, ..row });
    }
    let ids = |places: &[usize]| places.iter().map(|place| rows[*place].id).collect::<Vec<_>>();
    assert_eq!(
        due(store, now, &rows).await,
        ids(&[2, 0, 5, 4]),
        "what is due comes longest due first, and nothing else"
    );

    let all = store.due(now, 1_000).await.expect("due");
    let two = store.due(now, 2).await.expect("due");
    assert_eq!(two, all[..2], "a limit takes the longest due");

    let later = Installation { due_at: due_at(90_000), ..rows[0].clone() };
    let never = Installation { due_at: None, ..rows[5].clone() };
    assert_eq!((write(store, &later).await, write(store, &never).await), (Written::Done, Written::Done));
    assert_eq!(
        due(store, now, &rows).await,
        ids(&[2, 4]),
        "what was put off or is not due any more is out of the index"
    );

    // The next run on this store finds none of these.
    for row in &rows {
        let row = read(store, row.id).await;
        assert_eq!(write(store, &Installation { due_at: None, ..row }).await, Written::Done);
    }
    assert_eq!(due(store, now + Duration::from_hours(1), &rows).await, [], "nothing is due without `due_at`");
}

/// Those of `rows` that are due: an index may lag and hold what others wrote.
async fn due<I: Installations>(store: &I, now: Timestamp, rows: &[Installation]) -> Vec<InstallationId> {
    let due = store.due(now, 1_000).await.expect("due");
    due.into_iter().filter(|id| rows.iter().any(|row| row.id == *id)).collect()
}
