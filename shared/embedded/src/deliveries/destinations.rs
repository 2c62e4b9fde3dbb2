//! How each destination does.

use rusqlite::{Connection, named_params};
use shared::ids::DestinationName;
use shared::ports::{Circuit, DestinationHealth, Written};

use crate::database::DbError;
use crate::rows::{execute, first, instant_or_none, ms, parsed};

pub(super) fn health(connection: &Connection, name: &DestinationName) -> Result<DestinationHealth, DbError> {
    let found = first(connection, "SELECT * FROM destinations WHERE name = ?1", [name.as_str()], |row| {
        Ok(DestinationHealth {
            name: name.clone(),
            state: parsed(row, "state", Circuit::from_word)?,
            failures: row.get("failures")?,
            probe_at: instant_or_none(row, "probe_at")?,
            lease_until: instant_or_none(row, "lease_until")?,
            since: instant_or_none(row, "since")?,
            reason: row.get("reason")?,
            parked: row.get("parked")?,
            version: row.get("version")?,
        })
    })?;
    Ok(found.unwrap_or_else(|| DestinationHealth::new(name.clone())))
}

pub(super) fn write(connection: &Connection, row: &DestinationHealth) -> Result<Written, DbError> {
    let found = health(connection, &row.name)?;
    if found.version != row.version || (row.state == Circuit::Open && found.parked > 0) {
        return Ok(Written::Conflict);
    }
    let statement = "
        INSERT OR REPLACE INTO destinations (
            name, state, failures, probe_at, lease_until, since, reason, parked, version
        ) VALUES (
            :name, :state, :failures, :probe_at, :lease_until, :since, :reason, :parked, :version
        )";
    let params = named_params! {
        ":name": row.name.as_str(),
        ":state": row.state.as_str(),
        ":failures": row.failures,
        ":probe_at": row.probe_at.map(ms),
        ":lease_until": row.lease_until.map(ms),
        ":since": row.since.map(ms),
        ":reason": row.reason,
        ":parked": found.parked,
        ":version": row.version + 1,
    };
    execute(connection, statement, params)?;
    Ok(Written::Done)
}

/// A record that was parked without being counted takes nothing off.
pub(super) fn count_parked(connection: &Connection, name: &DestinationName, by: i64) -> Result<(), DbError> {
    execute(connection, "UPDATE destinations SET parked = max(parked + ?2, 0) WHERE name = ?1", (name.as_str(), by))?;
    Ok(())
}
