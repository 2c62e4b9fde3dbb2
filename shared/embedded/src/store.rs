//! The file, opened.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use shared::ports::{Clock, StoreError};
use tokio::sync::watch;

use crate::database::{Database, DbError};
use crate::queue::DEDUPLICATION_WINDOW;
use crate::rows::{execute, ms};
use crate::schema::{self, Newer};
use crate::{SqliteDeliveries, SqliteInstallations, SqliteQueue, SqliteSettings, lock, queue};

const STORE: &str = "embedded";
const FILE: &str = "switchboard.db";

/// How many rows one sweep deletes before others have their turn.
const SWEPT_AT_ONCE: usize = 500;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the data folder {} cannot be used", .0.display())]
    Folder(PathBuf, #[source] io::Error),
    #[error("the store {} cannot be opened", .0.display())]
    Sqlite(PathBuf, #[source] rusqlite::Error),
    #[error("the store {} has version {found}, and this program knows {known}: a newer one wrote it", path.display())]
    Newer { path: PathBuf, found: usize, known: usize },
    #[error("the store's threads cannot be started")]
    Threads(#[source] io::Error),
}

/// All tables and both queues. Its parts are handles to one file and cheap to clone.
#[derive(Clone)]
pub struct Store<C> {
    database: Database,
    installations: SqliteInstallations,
    deliveries: SqliteDeliveries,
    settings: SqliteSettings,
    events: SqliteQueue<C>,
    outbox: SqliteQueue<C>,
}

/// What [`Store::take_over`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenOver {
    /// Messages that somebody held when the process before ended, or that were hidden for a retry.
    pub hidden_messages: usize,
    pub leases: usize,
    pub dead_letters: usize,
}

impl<C: Clock + Clone> Store<C> {
    /// Opens `{data_dir}/switchboard.db`, making folder and file if need be. Whoever works off the queues holds
    /// [`crate::Lock`] beside it.
    pub fn open(data_dir: &Path, clock: C) -> Result<Self, OpenError> {
        lock::create_data_dir(data_dir).map_err(|e| OpenError::Folder(data_dir.to_owned(), e))?;
        let path = data_dir.join(FILE);
        let writer = Connection::open(&path).map_err(|e| OpenError::Sqlite(path.clone(), e))?;
        let reader = || {
            let reader = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            schema::prepare_reader(&reader)?;
            Ok(Some(reader))
        };
        Self::prepare(writer, reader, &path, clock)
    }

    /// Whether there is a file to open in the folder.
    pub fn exists(data_dir: &Path) -> bool {
        data_dir.join(FILE).is_file()
    }

    /// A store that ends with the process.
    pub fn open_in_memory(clock: C) -> Result<Self, OpenError> {
        let path = Path::new(":memory:");
        let writer = Connection::open_in_memory().map_err(|e| OpenError::Sqlite(path.to_owned(), e))?;
        Self::prepare(writer, || Ok(None), path, clock)
    }

    fn prepare(
        mut writer: Connection,
        reader: impl FnOnce() -> rusqlite::Result<Option<Connection>>,
        path: &Path,
        clock: C,
    ) -> Result<Self, OpenError> {
        let failed = |e| OpenError::Sqlite(path.to_owned(), e);
        if let Err(Newer { found, known }) = schema::prepare(&mut writer).map_err(failed)? {
            return Err(OpenError::Newer { path: path.to_owned(), found, known });
        }
        let database = Database::start(writer, reader().map_err(failed)?).map_err(OpenError::Threads)?;
        let queue =
            |name, clock| SqliteQueue { database: database.clone(), name, clock, changes: watch::Sender::new(0) };
        Ok(Self {
            installations: SqliteInstallations { database: database.clone() },
            deliveries: SqliteDeliveries { database: database.clone() },
            settings: SqliteSettings { database: database.clone() },
            events: queue("events", clock.clone()),
            outbox: queue("deliveries", clock),
            database,
        })
    }

    pub fn installations(&self) -> &SqliteInstallations {
        &self.installations
    }

    pub fn deliveries(&self) -> &SqliteDeliveries {
        &self.deliveries
    }

    pub fn settings(&self) -> &SqliteSettings {
        &self.settings
    }

    pub fn events(&self) -> &SqliteQueue<C> {
        &self.events
    }

    pub fn outbox(&self) -> &SqliteQueue<C> {
        &self.outbox
    }

    /// For the start of `serve` and `dev`, which hold the lock: nobody else works on the file, so what was in flight is
    /// visible, every lease is free, and poison gets another chance with this program's version.
    pub async fn take_over(&self) -> Result<TakenOver, StoreError> {
        self.database
            .write(|c| {
                Ok(TakenOver {
                    hidden_messages: execute(c, "UPDATE messages SET hidden_until = 0 WHERE hidden_until > 0", ())?,
                    leases: free_leases(c, "installations")? + free_leases(c, "destinations")?,
                    dead_letters: queue::exhume(c)?,
                })
            })
            .await
            .map_err(|e| e.of_store(STORE))
    }

    /// Deletes what expired at or before `now`, and says how many rows that were. Nothing depends on it but the size of
    /// the file: an expired row counts as absent without it.
    pub async fn sweep(&self, now: Timestamp) -> Result<usize, StoreError> {
        let forgotten = now - DEDUPLICATION_WINDOW;
        let mut swept = 0;
        for (statement, until) in [
            (
                "DELETE FROM installations WHERE rowid IN
                (SELECT rowid FROM installations WHERE expires <= ?1 LIMIT ?2)",
                now,
            ),
            (
                "DELETE FROM deliveries WHERE rowid IN
                (SELECT rowid FROM deliveries WHERE expires <= ?1 AND state <> 'parked' LIMIT ?2)",
                now,
            ),
            ("DELETE FROM threads WHERE key IN (SELECT key FROM threads WHERE expires <= ?1 LIMIT ?2)", now),
            ("DELETE FROM marks WHERE key IN (SELECT key FROM marks WHERE expires <= ?1 LIMIT ?2)", now),
            (
                "DELETE FROM deduplication WHERE (queue, id) IN
                (SELECT queue, id FROM deduplication WHERE sent_at <= ?1 LIMIT ?2)",
                forgotten,
            ),
        ] {
            loop {
                let some = self
                    .database
                    .write(move |c| execute(c, statement, (ms(until), SWEPT_AT_ONCE)))
                    .await
                    .map_err(|e| e.of_store(STORE))?;
                swept += some;
                if some < SWEPT_AT_ONCE {
                    break;
                }
            }
        }
        Ok(swept)
    }
}

/// Whoever held a lease finds the version changed.
fn free_leases(connection: &Connection, table: &str) -> Result<usize, DbError> {
    let statement =
        format!("UPDATE {table} SET lease_until = NULL, version = version + 1 WHERE lease_until IS NOT NULL");
    execute(connection, &statement, ())
}
