//! The table of deliveries, and the marks of what was accepted before.

use jiff::Timestamp;
use rusqlite::{Connection, Row, named_params};
use shared::ids::{DeliveryId, DestinationName};
use shared::ports::{Claim, Deliveries, DeliveryRecord, DeliveryState, Mark, Outcome, StoreError, Written};

use crate::database::{Database, DbError};
use crate::rows::{collect, execute, first, instant, instant_or_none, limit, ms, parsed, value};

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
                None => put(c, &record),
            })
            .await
            .map_err(|e| e.of_store(STORE))
    }

    async fn read(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        let id = id.clone();
        self.database.read(move |c| find(c, &id)).await.map_err(|e| e.of_store(STORE))
    }

    async fn claim(&self, id: &DeliveryId, now: Timestamp) -> Result<Claim, StoreError> {
        let id = id.clone();
        self.database.write(move |c| claim(c, &id, now)).await.map_err(|e| e.of_store(STORE))
    }

    async fn settle(
        &self,
        id: &DeliveryId,
        attempts: u32,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let id = id.clone();
        self.database
            .write(move |c| match find(c, &id)? {
                Some(mut record) if record.state == DeliveryState::Queued && record.attempts == attempts => {
                    outcome.apply(&mut record, now);
                    put(c, &record)
                }
                _ => Ok(Written::Conflict),
            })
            .await
            .map_err(|e| e.of_store(STORE))
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
        at_most: usize,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let stuck_for = format!("{}#{destination}", state.as_str());
        let query = "SELECT id FROM deliveries WHERE stuck_for = ?1 ORDER BY accepted_at LIMIT ?2";
        self.database
            .read(move |c| {
                collect(c, query, (stuck_for, limit(at_most)), |row| parsed(row, "id", |text| text.parse().ok()))
            })
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

fn claim(connection: &Connection, id: &DeliveryId, now: Timestamp) -> Result<Claim, DbError> {
    let Some(mut record) = find(connection, id)? else { return Ok(Claim::Missing) };
    match (record.state, record.next_try_at) {
        (DeliveryState::Queued, Some(at)) if at > now => Ok(Claim::Early(at)),
        (DeliveryState::Queued, _) => {
            record.attempts += 1;
            execute(connection, "UPDATE deliveries SET attempts = ?2 WHERE id = ?1", (id.as_str(), record.attempts))?;
            Ok(Claim::Taken(record))
        }
        (state, _) => Ok(Claim::Leftover(state)),
    }
}

fn find(connection: &Connection, id: &DeliveryId) -> Result<Option<DeliveryRecord>, DbError> {
    first(connection, "SELECT * FROM deliveries WHERE id = ?1", [id.as_str()], record)
}

fn put(connection: &Connection, record: &DeliveryRecord) -> Result<Written, DbError> {
    let statement = "
        INSERT OR REPLACE INTO deliveries (
            id, event, event_name, installation, destination, route, title, state, attempts, next_try_at,
            last_status, last_error, accepted_at, ended_at, message, expires, stuck_for
        ) VALUES (
            :id, :event, :event_name, :installation, :destination, :route, :title, :state, :attempts, :next_try_at,
            :last_status, :last_error, :accepted_at, :ended_at, :message, :expires, :stuck_for
        )";
    let params = named_params! {
        ":id": record.id.as_str(),
        ":event": record.event.as_str(),
        ":event_name": record.event_name,
        ":installation": record.installation.to_string(),
        ":destination": record.destination.as_str(),
        ":route": record.route,
        ":title": record.title,
        ":state": record.state.as_str(),
        ":attempts": record.attempts,
        ":next_try_at": record.next_try_at.map(ms),
        ":last_status": record.last_status,
        ":last_error": record.last_error,
        ":accepted_at": ms(record.accepted_at),
        ":ended_at": record.ended_at.map(ms),
        ":message": record.message,
        ":expires": ms(record.expires),
        ":stuck_for": record.stuck_for(),
    };
    execute(connection, statement, params)?;
    Ok(Written::Done)
}

fn record(row: &Row<'_>) -> Result<DeliveryRecord, DbError> {
    Ok(DeliveryRecord {
        id: parsed(row, "id", |text| text.parse().ok())?,
        event: parsed(row, "event", |text| text.parse().ok())?,
        event_name: row.get("event_name")?,
        installation: parsed(row, "installation", |text| text.parse().ok())?,
        destination: parsed(row, "destination", |text| text.parse().ok())?,
        route: row.get("route")?,
        title: row.get("title")?,
        state: parsed(row, "state", DeliveryState::from_word)?,
        attempts: row.get("attempts")?,
        next_try_at: instant_or_none(row, "next_try_at")?,
        last_status: row.get("last_status")?,
        last_error: row.get("last_error")?,
        accepted_at: instant(row, "accepted_at")?,
        ended_at: instant_or_none(row, "ended_at")?,
        message: row.get("message")?,
        expires: instant(row, "expires")?,
    })
}
