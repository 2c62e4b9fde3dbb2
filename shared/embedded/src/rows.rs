//! Reading and writing the columns that several tables have in common.

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::FromSql;

use crate::database::DbError;

/// Instants are stored as milliseconds since 1970, UTC.
pub(crate) fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

pub(crate) fn instant(row: &Row<'_>, column: &'static str) -> Result<Timestamp, DbError> {
    from_ms(row.get(column)?, column)
}

pub(crate) fn instant_or_none(row: &Row<'_>, column: &'static str) -> Result<Option<Timestamp>, DbError> {
    row.get::<_, Option<i64>>(column)?.map(|at| from_ms(at, column)).transpose()
}

pub(crate) fn from_ms(at: i64, column: &'static str) -> Result<Timestamp, DbError> {
    Timestamp::from_millisecond(at).map_err(|_| DbError::Corrupt(format!("{column} is out of range")))
}

/// A column whose text must be one of a kind: an id, or a word of a closed set.
pub(crate) fn parsed<T>(
    row: &Row<'_>,
    column: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, DbError> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| DbError::Corrupt(format!("{column} is not what it should be")))
}

/// As [`parsed`]; `None` if it is NULL.
pub(crate) fn parsed_or_none<T>(
    row: &Row<'_>,
    column: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, DbError> {
    let text: Option<String> = row.get(column)?;
    let Some(text) = text else { return Ok(None) };
    parse(&text).map(Some).ok_or_else(|| DbError::Corrupt(format!("{column} is not what it should be")))
}

/// All rows of a query, each read by `read`.
pub(crate) fn collect<T>(
    connection: &rusqlite::Connection,
    query: &str,
    params: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T, DbError>,
) -> Result<Vec<T>, DbError> {
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(params)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(row)?);
    }
    Ok(all)
}

/// The first row of a query, read by `read`.
pub(crate) fn first<T>(
    connection: &rusqlite::Connection,
    query: &str,
    params: impl rusqlite::Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, DbError>,
) -> Result<Option<T>, DbError> {
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// The one value of the first row of a query; `None` also if it is NULL.
pub(crate) fn value<T: FromSql>(
    connection: &rusqlite::Connection,
    query: &str,
    params: impl rusqlite::Params,
) -> Result<Option<T>, DbError> {
    Ok(first(connection, query, params, |row| Ok(row.get::<_, Option<T>>(0)?))?.flatten())
}

/// Runs a statement and says how many rows it changed.
pub(crate) fn execute(
    connection: &rusqlite::Connection,
    statement: &str,
    params: impl rusqlite::Params,
) -> Result<usize, DbError> {
    Ok(connection.prepare_cached(statement)?.execute(params)?)
}

/// `LIMIT` takes a signed number.
pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
