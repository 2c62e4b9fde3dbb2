//! The tables, in versions. `PRAGMA user_version` says how many of [`MIGRATIONS`] a file has had; an older file gets
//! the rest when it is opened. A migration that was released is never changed.

use rusqlite::Connection;

/// Each brings the schema from its index to the next version.
const MIGRATIONS: &[&str] = &[FIRST, PARKING, LANES];

const FIRST: &str = "
CREATE TABLE installations (
    id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    organization TEXT,
    app TEXT,
    tokens BLOB,
    expires_at INTEGER,
    due_at INTEGER,
    version INTEGER NOT NULL,
    lease_until INTEGER,
    verified_at INTEGER,
    manual_refresh_worked INTEGER NOT NULL,
    refusals INTEGER NOT NULL,
    gone_since INTEGER,
    heal_after INTEGER,
    first_seen INTEGER,
    expires INTEGER
) STRICT;
CREATE INDEX installations_due ON installations (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX installations_expires ON installations (expires) WHERE expires IS NOT NULL;

CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    event TEXT NOT NULL,
    event_name TEXT NOT NULL,
    installation TEXT NOT NULL,
    destination TEXT NOT NULL,
    route TEXT NOT NULL,
    title TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_try_at INTEGER,
    last_status INTEGER,
    last_error TEXT,
    accepted_at INTEGER NOT NULL,
    ended_at INTEGER,
    message TEXT,
    expires INTEGER NOT NULL,
    stuck_for TEXT
) STRICT;
CREATE INDEX deliveries_log ON deliveries (accepted_at);
CREATE INDEX deliveries_stuck ON deliveries (stuck_for, accepted_at) WHERE stuck_for IS NOT NULL;
CREATE INDEX deliveries_expires ON deliveries (expires);

CREATE TABLE marks (
    key TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX marks_expires ON marks (expires);

CREATE TABLE routes (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    text TEXT NOT NULL,
    version INTEGER NOT NULL,
    pushed_at INTEGER NOT NULL
) STRICT;

-- `sequence` is the order of arrival and never used twice. A message is in flight while `hidden_until` lies ahead; 0
-- is one that nobody holds. `head` marks the first message of each group: only what hides the head hides the group,
-- so the two indexes find what can be received, and what is due next, without looking at the rest.
CREATE TABLE messages (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    grouped_by TEXT NOT NULL,
    deduplication TEXT NOT NULL,
    body TEXT NOT NULL,
    attributes TEXT NOT NULL,
    hidden_until INTEGER NOT NULL DEFAULT 0,
    receive_count INTEGER NOT NULL DEFAULT 0,
    head INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_group ON messages (queue, grouped_by, sequence);
CREATE INDEX messages_head ON messages (queue, hidden_until, sequence) WHERE head = 1;

CREATE TABLE deduplication (
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    PRIMARY KEY (queue, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deduplication_sent_at ON deduplication (sent_at);

CREATE TABLE dead_letters (
    sequence INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    grouped_by TEXT NOT NULL,
    deduplication TEXT NOT NULL,
    body TEXT NOT NULL,
    attributes TEXT NOT NULL,
    receive_count INTEGER NOT NULL,
    died_at INTEGER NOT NULL
) STRICT;
";

/// Deliveries get their group, what they left behind and a home while their destination is away; destinations and
/// threads get tables. `SQLite` cannot make a column nullable, so the table is made anew. The group of a delivery that is
/// still queued stands on its message; the others are sent again alone, each in a group of its own.
const PARKING: &str = "
CREATE TABLE deliveries_2 (
    id TEXT PRIMARY KEY,
    event TEXT NOT NULL,
    event_name TEXT NOT NULL,
    installation TEXT,
    destination TEXT NOT NULL,
    route TEXT NOT NULL,
    grouped_by TEXT NOT NULL,
    title TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_try_at INTEGER,
    last_status INTEGER,
    last_error TEXT,
    last_answer TEXT,
    warning TEXT,
    accepted_at INTEGER NOT NULL,
    ended_at INTEGER,
    message TEXT,
    expires INTEGER NOT NULL,
    stuck_for TEXT
) STRICT;
CREATE INDEX of_this_migration ON messages (deduplication);
INSERT INTO deliveries_2 (
    id, event, event_name, installation, destination, route, grouped_by, title, state, attempts, next_try_at,
    last_status, last_error, accepted_at, ended_at, message, expires, stuck_for
) SELECT
    id, event, event_name, installation, destination, route,
    coalesce(
        (SELECT grouped_by FROM messages WHERE queue = 'deliveries' AND deduplication = deliveries.id),
        destination || ':' || substr(id, 1, 32)
    ),
    title, state, attempts, next_try_at, last_status, last_error, accepted_at, ended_at, message, expires, stuck_for
FROM deliveries;
DROP INDEX of_this_migration;
DROP TABLE deliveries;
ALTER TABLE deliveries_2 RENAME TO deliveries;
CREATE INDEX deliveries_log ON deliveries (accepted_at);
CREATE INDEX deliveries_stuck ON deliveries (stuck_for, accepted_at, id) WHERE stuck_for IS NOT NULL;
-- A parked one is kept however long it waits.
CREATE INDEX deliveries_expires ON deliveries (expires) WHERE state <> 'parked';

CREATE TABLE destinations (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    failures INTEGER NOT NULL,
    probe_at INTEGER,
    lease_until INTEGER,
    since INTEGER,
    reason TEXT,
    parked INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;
CREATE INDEX destinations_not_open ON destinations (name) WHERE state <> 'open';

CREATE TABLE threads (
    key TEXT PRIMARY KEY,
    words TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX threads_expires ON threads (expires);
";

/// `lane` is what stands before the `:` of a group: the destination of a delivery. It lets a worker pass over the lanes
/// that it has no room for, however much waits in them.
const LANES: &str = "
ALTER TABLE messages ADD COLUMN lane TEXT
    GENERATED ALWAYS AS (substr(grouped_by, 1, max(instr(grouped_by, ':') - 1, 0))) VIRTUAL;
CREATE INDEX messages_lane ON messages (queue, lane, hidden_until, sequence) WHERE head = 1;
DROP INDEX messages_head;
";

/// A file's version that this program does not know: a newer one wrote it.
pub(crate) struct Newer {
    pub(crate) found: usize,
    pub(crate) known: usize,
}

/// Sets up a connection for writing, whatever file or memory is behind it, and brings the schema up to date.
pub(crate) fn prepare(connection: &mut Connection) -> rusqlite::Result<Result<(), Newer>> {
    connection.set_prepared_statement_cache_capacity(64);
    // Other commands may open the file beside `serve`; their transactions are short.
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Keeps the log from staying as large as the worst storm made it.
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;

    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found: usize = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = MIGRATIONS.len();
    let Some(missing) = MIGRATIONS.get(found..) else { return Ok(Err(Newer { found, known })) };
    for migration in missing {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(Ok(()))
}

/// Sets up a connection that only reads.
pub(crate) fn prepare_reader(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "query_only", true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_first_version_goes_on_with_all_it_had() {
        let mut connection = Connection::open_in_memory().expect("in memory");
        connection.execute_batch(FIRST).expect("the first version");
        connection.pragma_update(None, "user_version", 1).expect("version");
        let (queued, failed) = ("0".repeat(64), "1".repeat(64));
        for (id, state, stuck_for) in [(&queued, "queued", None), (&failed, "failed", Some("failed#phones"))] {
            let insert =
                "INSERT INTO deliveries VALUES (?1, 'e', 'issue.created', 'i', 'phones', 'r', 'title', ?2, 3, 4,
                503, 'busy', 5, 6, '{}', 7, ?3)";
            connection.execute(insert, (id, state, stuck_for)).expect("a delivery");
        }
        let insert = "INSERT INTO messages (queue, grouped_by, deduplication, body, attributes, head)
            VALUES (?1, ?2, ?3, '', '{}', 1)";
        for (queue, group) in [("events", "of the event"), ("deliveries", "phones:of its issue")] {
            connection.execute(insert, (queue, group, &queued)).expect("a message");
        }
        assert!(matches!(prepare(&mut connection), Ok(Ok(()))));
        assert!(matches!(prepare(&mut connection), Ok(Ok(()))), "and a second start finds nothing to do");

        let all = "SELECT id || ' ' || event || ' ' || event_name || ' ' || installation || ' ' || destination || ' ' || route
            || ' ' || grouped_by || ' ' || title || ' ' || state || ' ' || attempts || ' ' || next_try_at || ' ' ||
            last_status || ' ' || last_error || ' ' || accepted_at || ' ' || ended_at || ' ' || message || ' ' || expires
            || ' ' || coalesce(stuck_for, '-') FROM deliveries ORDER BY id";
        let mut statement = connection.prepare(all).expect("columns");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        let rows: Vec<String> = rows.collect::<Result<_, _>>().expect("no column is empty");
        let row = |id: &str, group: &str, state: &str, stuck_for: &str| {
            format!("{id} e issue.created i phones r {group} title {state} 3 4 503 busy 5 6 {{}} 7 {stuck_for}")
        };
        let alone = format!("phones:{}", "1".repeat(32));
        assert_eq!(
            rows,
            [row(&queued, "phones:of its issue", "queued", "-"), row(&failed, &alone, "failed", "failed#phones")]
        );
    }
}
