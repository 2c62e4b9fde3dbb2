//! The table of deliveries, those of destinations and threads, and the marks of what was accepted before.

mod destinations;
mod record;

use jiff::Timestamp;
use rusqlite::Connection;
use shared::destinations::kind::Thread;
use shared::ids::{DeliveryId, DestinationName};
use shared::ports::{
    Circuit, Claim, Deliveries, DeliveryRecord, DeliveryState, DestinationHealth, Mark, Outcome, StoreError, Stuck,
    ThreadKey, Written,
};

use crate::database::{Database, DbError};
use crate::rows::{collect, execute, first, instant, limit, ms, parsed, value};
use record::{find, put, record};

const STORE: &str = "deliveries";

#[derive(Clone)]
pub struct SqliteDeliveries {
    pub(crate) database: Database,
}

impl Deliveries for SqliteDeliveries {
    async fn create(&self, record: &DeliveryRecord) -> Result<Written, StoreError> {
        let record = record.clone();
        self.database
            .write(move |c| match value::<i64>(c, "SELECT 1 FROM deliveries WHERE id = ?1", [record.id.as_str()])? {
                Some(_) => Ok(Written::Conflict),
                None => put(c, &record).map(|()| Written::Done),
            })
            .await
            .map_err(|e| e.of_store(STORE))
    }

    async fn read(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        let id = id.clone();
        self.database.read(move |c| find(c, &id)).await.map_err(|e| e.of_store(STORE))
    }

    async fn claim(&self, id: &DeliveryId, resend: Option<Timestamp>, now: Timestamp) -> Result<Claim, StoreError> {
        let id = id.clone();
        self.database.write(move |c| claim(c, &id, resend, now)).await.map_err(|e| e.of_store(STORE))
    }

    async fn claim_parked(&self, id: &DeliveryId, probe: bool, now: Timestamp) -> Result<Claim, StoreError> {
        let id = id.clone();
        self.database.write(move |c| claim_parked(c, &id, probe, now)).await.map_err(|e| e.of_store(STORE))
    }

    async fn settle(
        &self,
        id: &DeliveryId,
        attempts: u32,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let id = id.clone();
        self.database.write(move |c| settle(c, &id, attempts, outcome, now)).await.map_err(|e| e.of_store(STORE))
    }

    async fn destination(&self, name: &DestinationName) -> Result<DestinationHealth, StoreError> {
        let name = name.clone();
        self.database.read(move |c| destinations::health(c, &name)).await.map_err(|e| e.of_store(STORE))
    }

    async fn write_destination(&self, row: &DestinationHealth) -> Result<Written, StoreError> {
        let row = row.clone();
        self.database.write(move |c| destinations::write(c, &row)).await.map_err(|e| e.of_store(STORE))
    }

    async fn not_open(&self) -> Result<Vec<DestinationName>, StoreError> {
        let query = "SELECT name FROM destinations WHERE state <> 'open' ORDER BY name";
        self.database
            .read(|c| collect(c, query, (), |row| parsed(row, "name", |text| text.parse().ok())))
            .await
            .map_err(|e| e.of_store(STORE))
    }

    async fn thread(&self, key: &ThreadKey, now: Timestamp) -> Result<Option<Thread>, StoreError> {
        let key = key.to_string();
        self.database.read(move |c| thread(c, &key, now)).await.map_err(|e| e.of_store(STORE))
    }

    async fn put_thread(&self, key: &ThreadKey, thread: Option<&Thread>, expires: Timestamp) -> Result<(), StoreError> {
        let (key, thread) = (key.to_string(), thread.cloned());
        self.database.write(move |c| put_thread(c, &key, thread, expires)).await.map_err(|e| e.of_store(STORE))
    }

    async fn recent(
        &self,
        since: Timestamp,
        now: Timestamp,
        at_most: usize,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        let query = "SELECT * FROM deliveries WHERE accepted_at BETWEEN ?1 AND ?2 ORDER BY accepted_at DESC LIMIT ?3";
        self.database
            .read(move |c| collect(c, query, (ms(since), ms(now), limit(at_most)), record))
            .await
            .map_err(|e| e.of_store(STORE))
    }

    async fn stuck(
        &self,
        destination: &DestinationName,
        state: DeliveryState,
        after: Option<&Stuck>,
        at_most: usize,
    ) -> Result<Vec<Stuck>, StoreError> {
        let stuck_for = format!("{}#{destination}", state.as_str());
        // No id is less than the empty one, and no delivery older than the first instant of all.
        let (at, id) = after.map_or((i64::MIN, String::new()), |stuck| (ms(stuck.accepted_at), stuck.id.to_string()));
        let query = "SELECT id, accepted_at FROM deliveries WHERE stuck_for = ?1 AND (accepted_at, id) > (?2, ?3)
            ORDER BY accepted_at, id LIMIT ?4";
        self.database
            .read(move |c| {
                collect(c, query, (stuck_for, at, id, limit(at_most)), |row| {
                    let id = parsed(row, "id", |text| text.parse().ok())?;
                    Ok(Stuck { id, accepted_at: instant(row, "accepted_at")? })
                })
            })
            .await
            .map_err(|e| e.of_store(STORE))
    }

    async fn with_failed(&self) -> Result<Vec<DestinationName>, StoreError> {
        let query = "SELECT DISTINCT destination FROM deliveries WHERE stuck_for IS NOT NULL AND state = 'failed'
            ORDER BY destination";
        self.database
            .read(|c| collect(c, query, (), |row| parsed(row, "destination", |text| text.parse().ok())))
            .await
            .map_err(|e| e.of_store(STORE))
    }

    async fn recall(&self, key: &str, now: Timestamp) -> Result<Option<Mark>, StoreError> {
        let key = key.to_owned();
        self.database.read(move |c| recall(c, &key, now)).await.map_err(|e| e.of_store(STORE))
    }

    async fn mark(
        &self,
        key: &str,
        mark: &Mark,
        expected: Option<&Mark>,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let (key, mark, expected) = (key.to_owned(), mark.clone(), expected.cloned());
        self.database
            .write(move |c| {
                if !same(recall(c, &key, now)?.as_ref(), expected.as_ref()) {
                    return Ok(Written::Conflict);
                }
                let statement =
                    "INSERT OR REPLACE INTO marks (key, digest, accepted_at, expires) VALUES (?1, ?2, ?3, ?4)";
                execute(c, statement, (key, mark.digest, ms(mark.accepted_at), ms(expires)))?;
                Ok(Written::Done)
            })
            .await
            .map_err(|e| e.of_store(STORE))
    }
}

/// Instants are stored in milliseconds, so what is finer does not count.
fn same(found: Option<&Mark>, expected: Option<&Mark>) -> bool {
    let comparable = |mark: &Mark| (mark.digest.clone(), ms(mark.accepted_at));
    found.map(comparable) == expected.map(comparable)
}

fn recall(connection: &Connection, key: &str, now: Timestamp) -> Result<Option<Mark>, DbError> {
    let query = "SELECT digest, accepted_at FROM marks WHERE key = ?1 AND expires > ?2";
    first(connection, query, (key, ms(now)), |row| {
        Ok(Mark { digest: row.get("digest")?, accepted_at: instant(row, "accepted_at")? })
    })
}

fn claim(
    connection: &Connection,
    id: &DeliveryId,
    resend: Option<Timestamp>,
    now: Timestamp,
) -> Result<Claim, DbError> {
    let Some(mut record) = find(connection, id)? else { return Ok(Claim::Missing) };
    if record.expires <= now && record.state != DeliveryState::Parked {
        return Ok(Claim::Missing);
    }
    match (record.state, record.next_try_at) {
        (DeliveryState::Queued, Some(at)) if at > now => Ok(Claim::Early(at)),
        (DeliveryState::Queued, _) => try_begins(connection, record),
        (DeliveryState::Failed, _) if record.ended_at.zip(resend).is_some_and(|(ended, asked)| ended < asked) => {
            record.begin_anew();
            try_begins(connection, record)
        }
        (state, _) => Ok(Claim::Leftover(state)),
    }
}

fn claim_parked(connection: &Connection, id: &DeliveryId, probe: bool, now: Timestamp) -> Result<Claim, DbError> {
    let Some(record) = find(connection, id)? else { return Ok(Claim::Missing) };
    match (record.state, record.next_try_at) {
        (DeliveryState::Parked, Some(at)) if at > now && !probe => Ok(Claim::Early(at)),
        (DeliveryState::Parked, _) => try_begins(connection, record),
        (state, _) => Ok(Claim::Leftover(state)),
    }
}

fn try_begins(connection: &Connection, mut record: DeliveryRecord) -> Result<Claim, DbError> {
    record.attempts = record.attempts.saturating_add(1);
    put(connection, &record)?;
    Ok(Claim::Taken(record))
}

/// The record and the count at its destination change together: each write is one transaction.
fn settle(
    connection: &Connection,
    id: &DeliveryId,
    attempts: u32,
    outcome: Outcome,
    now: Timestamp,
) -> Result<Written, DbError> {
    let Some(mut record) = find(connection, id)? else { return Ok(Written::Conflict) };
    let before = record.state;
    if !matches!(before, DeliveryState::Queued | DeliveryState::Parked) || record.attempts != attempts {
        return Ok(Written::Conflict);
    }
    outcome.apply(&mut record, now);
    match (before == DeliveryState::Parked, record.state == DeliveryState::Parked) {
        (false, true) => {
            if destinations::health(connection, &record.destination)?.state == Circuit::Open {
                return Ok(Written::Conflict);
            }
            destinations::count_parked(connection, &record.destination, 1)?;
        }
        (true, false) => destinations::count_parked(connection, &record.destination, -1)?,
        _ => {}
    }
    put(connection, &record)?;
    Ok(Written::Done)
}

fn thread(connection: &Connection, key: &str, now: Timestamp) -> Result<Option<Thread>, DbError> {
    let query = "SELECT words FROM threads WHERE key = ?1 AND expires > ?2";
    first(connection, query, (key, ms(now)), |row| parsed(row, "words", |words| serde_json::from_str(words).ok()))
}

fn put_thread(connection: &Connection, key: &str, thread: Option<Thread>, expires: Timestamp) -> Result<(), DbError> {
    match thread {
        None => execute(connection, "DELETE FROM threads WHERE key = ?1", [key])?,
        Some(thread) => {
            // A map of texts always has a JSON form.
            let words = serde_json::to_string(&thread).expect("a map of texts has a JSON form");
            let statement = "INSERT OR REPLACE INTO threads (key, words, expires) VALUES (?1, ?2, ?3)";
            execute(connection, statement, (key, words, ms(expires)))?
        }
    };
    Ok(())
}
