//! A delivery's record as a row.

use rusqlite::{Connection, Row, named_params};
use shared::ids::DeliveryId;
use shared::ports::{DeliveryRecord, DeliveryState};

use crate::database::DbError;
use crate::rows::{execute, first, instant, instant_or_none, ms, parsed, parsed_or_none};

pub(super) fn find(connection: &Connection, id: &DeliveryId) -> Result<Option<DeliveryRecord>, DbError> {
    first(connection, "SELECT * FROM deliveries WHERE id = ?1", [id.as_str()], record)
}

pub(super) fn put(connection: &Connection, record: &DeliveryRecord) -> Result<(), DbError> {
    let statement = "
        INSERT OR REPLACE INTO deliveries (
            id, event, event_name, installation, destination, route, grouped_by, title, state, attempts,
            next_try_at, last_status, last_error, last_answer, warning, accepted_at, ended_at, message, expires,
            stuck_for
        ) VALUES (
            :id, :event, :event_name, :installation, :destination, :route, :group, :title, :state, :attempts,
            :next_try_at, :last_status, :last_error, :last_answer, :warning, :accepted_at, :ended_at, :message, :expires,
            :stuck_for
        )";
    let params = named_params! {
        ":id": record.id.as_str(),
        ":event": record.event.as_str(),
        ":event_name": record.event_name,
        ":installation": record.installation.map(|id| id.to_string()),
        ":destination": record.destination.as_str(),
        ":route": record.route,
        ":group": record.group,
        ":title": record.title,
        ":state": record.state.as_str(),
        ":attempts": record.attempts,
        ":next_try_at": record.next_try_at.map(ms),
        ":last_status": record.last_status,
        ":last_error": record.last_error,
        ":last_answer": record.last_answer,
        ":warning": record.warning,
        ":accepted_at": ms(record.accepted_at),
        ":ended_at": record.ended_at.map(ms),
        ":message": record.message,
        ":expires": ms(record.expires),
        ":stuck_for": record.stuck_for(),
    };
    execute(connection, statement, params)?;
    Ok(())
}

pub(super) fn record(row: &Row<'_>) -> Result<DeliveryRecord, DbError> {
    Ok(DeliveryRecord {
        id: parsed(row, "id", |text| text.parse().ok())?,
        event: parsed(row, "event", |text| text.parse().ok())?,
        event_name: row.get("event_name")?,
        installation: parsed_or_none(row, "installation", |text| text.parse().ok())?,
        destination: parsed(row, "destination", |text| text.parse().ok())?,
        route: row.get("route")?,
        group: row.get("grouped_by")?,
        title: row.get("title")?,
        state: parsed(row, "state", DeliveryState::from_word)?,
        attempts: row.get("attempts")?,
        next_try_at: instant_or_none(row, "next_try_at")?,
        last_status: row.get("last_status")?,
        last_error: row.get("last_error")?,
        last_answer: row.get("last_answer")?,
        warning: row.get("warning")?,
        accepted_at: instant(row, "accepted_at")?,
        ended_at: instant_or_none(row, "ended_at")?,
        message: row.get("message")?,
        expires: instant(row, "expires")?,
    })
}
