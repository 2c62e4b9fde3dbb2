//! The table of settings: the routes in force.

use std::time::Duration;

use jiff::Timestamp;
use shared::ports::{Settings, StoreError, StoredRoutes, Written};

use crate::database::Database;
use crate::rows::{execute, first, instant, ms, value};

const STORE: &str = "settings";
const VERSION: &str = "SELECT version FROM routes";

#[derive(Clone)]
pub struct SqliteSettings {
    pub(crate) database: Database,
}

impl Settings for SqliteSettings {
    /// Asking is a look into our own file: a change is in force with the next event.
    fn ask_again_after(&self) -> Duration {
        Duration::ZERO
    }

    async fn routes_version(&self) -> Result<Option<u64>, StoreError> {
        self.database.read(|c| value(c, VERSION, ())).await.map_err(|e| e.of_store(STORE))
    }

    async fn routes(&self) -> Result<Option<StoredRoutes>, StoreError> {
        let query = "SELECT text, version, pushed_at FROM routes";
        self.database
            .read(move |c| {
                first(c, query, (), |row| {
                    Ok(StoredRoutes {
                        text: row.get("text")?,
                        version: row.get("version")?,
                        pushed_at: instant(row, "pushed_at")?,
                    })
                })
            })
            .await
            .map_err(|e| e.of_store(STORE))
    }

    async fn put_routes(&self, text: &str, expected: u64, now: Timestamp) -> Result<Written, StoreError> {
        let text = text.to_owned();
        self.database
            .write(move |c| {
                if value(c, VERSION, ())?.unwrap_or(0_u64) != expected {
                    return Ok(Written::Conflict);
                }
                let statement = "INSERT OR REPLACE INTO routes (only, text, version, pushed_at) VALUES (1, ?1, ?2, ?3)";
                execute(c, statement, (text, expected + 1, ms(now)))?;
                Ok(Written::Done)
            })
            .await
            .map_err(|e| e.of_store(STORE))
    }
}
