//! The table of installations.

use jiff::Timestamp;
use rusqlite::{Row, named_params};
use shared::ids::InstallationId;
use shared::ports::{Installation, Installations, Sealed, Status, StoreError, Written};

use crate::database::{Database, DbError};
use crate::rows::{collect, execute, first, instant_or_none, limit, ms, parsed, value};

const STORE: &str = "installations";

#[derive(Clone)]
pub struct SqliteInstallations {
    pub(crate) database: Database,
}

impl Installations for SqliteInstallations {
    async fn read(&self, id: InstallationId, now: Timestamp) -> Result<Option<Installation>, StoreError> {
        let query = "SELECT * FROM installations WHERE id = ?1 AND (expires IS NULL OR expires > ?2)";
        self.database
            .read(move |c| first(c, query, (id.to_string(), ms(now)), installation))
            .await
            .map_err(|e| e.of_store(STORE))
    }

    async fn write(&self, row: &Installation, now: Timestamp) -> Result<Written, StoreError> {
        let row = row.clone();
        self.database.write(move |c| write(c, &row, now)).await.map_err(|e| e.of_store(STORE))
    }

    async fn due(&self, now: Timestamp, at_most: usize) -> Result<Vec<InstallationId>, StoreError> {
        let query = "SELECT id FROM installations WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2";
        self.database
            .read(move |c| collect(c, query, (ms(now), limit(at_most)), id))
            .await
            .map_err(|e| e.of_store(STORE))
    }
}

fn write(connection: &rusqlite::Connection, row: &Installation, now: Timestamp) -> Result<Written, DbError> {
    let id = row.id.to_string();
    let stored = "SELECT version FROM installations WHERE id = ?1 AND (expires IS NULL OR expires > ?2)";
    let stored: u64 = value(connection, stored, (&id, ms(now)))?.unwrap_or(0);
    if stored != row.version {
        return Ok(Written::Conflict);
    }
    let statement = "
        INSERT OR REPLACE INTO installations (
            id, status, organization, app, tokens, expires_at, due_at, version, lease_until, verified_at,
            manual_refresh_worked, refusals, gone_since, heal_after, first_seen, expires
        ) VALUES (
            :id, :status, :organization, :app, :tokens, :expires_at, :due_at, :version, :lease_until, :verified_at,
            :manual_refresh_worked, :refusals, :gone_since, :heal_after, :first_seen, :expires
        )";
    let params = named_params! {
        ":id": id,
        ":status": row.status.as_str(),
        ":organization": row.organization,
        ":app": row.app,
        ":tokens": row.tokens.as_ref().map(|sealed| &sealed.0),
        ":expires_at": row.expires_at.map(ms),
        ":due_at": row.due_at.map(ms),
        ":version": row.version + 1,
        ":lease_until": row.lease_until.map(ms),
        ":verified_at": row.verified_at.map(ms),
        ":manual_refresh_worked": row.manual_refresh_worked,
        ":refusals": row.refusals,
        ":gone_since": row.gone_since.map(ms),
        ":heal_after": row.heal_after.map(ms),
        ":first_seen": row.first_seen.map(ms),
        ":expires": row.expires.map(ms),
    };
    execute(connection, statement, params)?;
    Ok(Written::Done)
}

fn id(row: &Row<'_>) -> Result<InstallationId, DbError> {
    parsed(row, "id", |text| text.parse().ok())
}

fn installation(row: &Row<'_>) -> Result<Installation, DbError> {
    Ok(Installation {
        id: id(row)?,
        status: parsed(row, "status", Status::from_word)?,
        organization: row.get("organization")?,
        app: row.get("app")?,
        tokens: row.get::<_, Option<Vec<u8>>>("tokens")?.map(Sealed),
        expires_at: instant_or_none(row, "expires_at")?,
        due_at: instant_or_none(row, "due_at")?,
        version: row.get("version")?,
        lease_until: instant_or_none(row, "lease_until")?,
        verified_at: instant_or_none(row, "verified_at")?,
        manual_refresh_worked: row.get("manual_refresh_worked")?,
        refusals: row.get("refusals")?,
        gone_since: instant_or_none(row, "gone_since")?,
        heal_after: instant_or_none(row, "heal_after")?,
        first_seen: instant_or_none(row, "first_seen")?,
        expires: instant_or_none(row, "expires")?,
    })
}
