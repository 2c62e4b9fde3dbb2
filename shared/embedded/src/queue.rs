//! Both queues, FIFO in groups, as SQS keeps them: a message in flight holds back what follows it in its group, ids are
//! remembered for 5 minutes even after a delete, and a receipt counts only while its message is in flight.
//!
//! A group may begin with its lane and a `:`, as those of deliveries begin with their destination. A worker can receive
//! from those lanes alone that it has room for: the others cost nothing, however much waits in them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Row};
use shared::ports::{Clock, Consume, MAX_VISIBILITY, Message, Queue, QueueError, Received, StoreError};
use tokio::sync::watch;

use crate::database::{Database, DbError};
use crate::rows::{collect, execute, first, from_ms, instant, limit, ms, value};

/// Unlike on SQS nothing forces a limit; this one keeps a mistake from filling the memory.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// How long SQS remembers a deduplication id.
pub(crate) const DEDUPLICATION_WINDOW: Duration = Duration::from_mins(5);

/// After so many receipts a message is poison: no retry comes near it, since tries are counted elsewhere.
const MAX_RECEIVE_COUNT: u32 = 100;

/// One of the two queues in the file. Its clock decides what is visible.
#[derive(Clone)]
pub struct SqliteQueue<C> {
    pub(crate) database: Database,
    pub(crate) name: &'static str,
    pub(crate) clock: C,
    pub(crate) changes: watch::Sender<u64>,
}

/// A message that was received too often without being deleted. [`crate::Store::take_over`] puts it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub group: String,
    pub deduplication: String,
    pub body: String,
    pub attributes: BTreeMap<String, String>,
    pub receive_count: u32,
    pub died_at: Timestamp,
}

impl<C: Clock> SqliteQueue<C> {
    /// Counts what may have made a message visible: every send, hide and delete by this process. A worker that finds
    /// nothing waits for the next count or for [`Self::next_visible_at`], whichever is first. Other processes' sends
    /// are not counted.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// When the next message can be received: at or before now if there is one already, `None` if the queue is empty.
    pub async fn next_visible_at(&self) -> Result<Option<Timestamp>, QueueError> {
        self.next_visible_at_in(|_| true).await
    }

    /// [`Self::next_visible_at`] of those lanes that the worker has room for.
    pub async fn next_visible_at_in(
        &self,
        has_room: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<Option<Timestamp>, QueueError> {
        let queue = self.name;
        let query = "
            SELECT hidden_until FROM messages WHERE queue = ?1 AND lane = ?2 AND head = 1 ORDER BY hidden_until LIMIT 1";
        self.database
            .read(move |c| {
                let mut next: Option<i64> = None;
                for lane in lanes(c, queue)?.into_iter().filter(|lane| has_room(lane)) {
                    next = [next, value(c, query, (queue, lane))?].into_iter().flatten().min();
                }
                next.map(|at| from_ms(at, "hidden_until")).transpose()
            })
            .await
            .map_err(DbError::of_queue)
    }

    /// As [`Consume::receive`], but of each group at most its first message, and of each lane no more than `room` says.
    pub async fn receive_by_lane(
        &self,
        max: usize,
        room: impl Fn(&str) -> usize + Send + 'static,
        visibility: Duration,
    ) -> Result<Vec<Received>, QueueError> {
        if visibility > MAX_VISIBILITY {
            return Err(QueueError::Malformed);
        }
        let (queue, now) = (self.name, self.clock.now());
        self.database
            .write(move |c| {
                let mut visible = Vec::new();
                for lane in lanes(c, queue)? {
                    let room = room(&lane).min(max);
                    let mut heads = visible_heads(c, queue, &lane, room, now)?;
                    heads.sort_unstable();
                    for (head, group) in heads.into_iter().take(room) {
                        visible.append(&mut visible_of_group(c, queue, &group, head, 1, now)?);
                    }
                }
                take_oldest(c, visible, max, now + visibility)
            })
            .await
            .map_err(DbError::of_queue)
    }

    /// How many messages wait or are in flight.
    pub async fn depth(&self) -> Result<u64, StoreError> {
        self.count("SELECT COUNT(*) FROM messages WHERE queue = ?1").await
    }

    pub async fn dead_letter_count(&self) -> Result<u64, StoreError> {
        self.count("SELECT COUNT(*) FROM dead_letters WHERE queue = ?1").await
    }

    /// The oldest first.
    pub async fn dead_letters(&self, at_most: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let queue = self.name;
        let query = "SELECT * FROM dead_letters WHERE queue = ?1 ORDER BY sequence LIMIT ?2";
        self.database
            .read(move |c| collect(c, query, (queue, limit(at_most)), dead_letter))
            .await
            .map_err(|e| e.of_store(queue))
    }

    async fn count(&self, query: &'static str) -> Result<u64, StoreError> {
        let queue = self.name;
        self.database.read(move |c| Ok(value(c, query, [queue])?.unwrap_or(0))).await.map_err(|e| e.of_store(queue))
    }
}

impl<C: Clock> Queue for SqliteQueue<C> {
    fn max_bytes(&self) -> usize {
        MAX_BYTES
    }

    async fn send(&self, message: &Message) -> Result<(), QueueError> {
        message.check(MAX_BYTES)?;
        let (queue, message, now) = (self.name, message.clone(), self.clock.now());
        self.database
            .write_and_wake(self.changes.clone(), move |c| {
                let attributes = attributes_to_json(&message.attributes)?;
                if is_new(c, queue, &message.deduplication, now)? {
                    append(c, queue, &message.group, &message.deduplication, &message.body, &attributes)?;
                }
                Ok(())
            })
            .await
            .map_err(DbError::of_queue)
    }

    async fn hide(&self, receipt: &str, duration: Duration) -> Result<(), QueueError> {
        if duration > MAX_VISIBILITY {
            return Err(QueueError::Malformed);
        }
        let Some((sequence, receive_count)) = parse_receipt(receipt) else { return Err(QueueError::Malformed) };
        let (queue, now) = (self.name, self.clock.now());
        let hidden_until = if duration.is_zero() { 0 } else { ms(now + duration) };
        let statement = "
            UPDATE messages SET hidden_until = ?5
            WHERE sequence = ?1 AND queue = ?2 AND receive_count = ?3 AND hidden_until > ?4";
        self.database
            .write_and_wake(self.changes.clone(), move |c| {
                match execute(c, statement, (sequence, queue, receive_count, ms(now), hidden_until))? {
                    0 => Err(DbError::StaleReceipt),
                    _ => Ok(()),
                }
            })
            .await
            .map_err(DbError::of_queue)
    }
}

impl<C: Clock> Consume for SqliteQueue<C> {
    async fn receive(&self, max: usize, visibility: Duration) -> Result<Vec<Received>, QueueError> {
        if visibility > MAX_VISIBILITY {
            return Err(QueueError::Malformed);
        }
        let (queue, now) = (self.name, self.clock.now());
        self.database.write(move |c| receive(c, queue, max, now, visibility)).await.map_err(DbError::of_queue)
    }

    async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        let Some((sequence, receive_count)) = parse_receipt(receipt) else { return Err(QueueError::Malformed) };
        let (queue, now) = (self.name, self.clock.now());
        let query = "
            SELECT 1 FROM messages WHERE sequence = ?1 AND queue = ?2 AND receive_count = ?3 AND hidden_until > ?4";
        self.database
            .write_and_wake(self.changes.clone(), move |c| {
                match value::<i64>(c, query, (sequence, queue, receive_count, ms(now)))? {
                    None => Err(DbError::StaleReceipt),
                    Some(_) => remove(c, queue, sequence),
                }
            })
            .await
            .map_err(DbError::of_queue)
    }
}

/// Remembers `id`, unless it is remembered already.
fn is_new(connection: &Connection, queue: &str, id: &str, now: Timestamp) -> Result<bool, DbError> {
    let statement = "
        INSERT INTO deduplication (queue, id, sent_at) VALUES (?1, ?2, ?3)
        ON CONFLICT (queue, id) DO UPDATE SET sent_at = excluded.sent_at WHERE sent_at <= ?4";
    let forgotten = ms(now - DEDUPLICATION_WINDOW);
    Ok(execute(connection, statement, (queue, id, ms(now), forgotten))? > 0)
}

fn append(
    connection: &Connection,
    queue: &str,
    group: &str,
    deduplication: &str,
    body: &str,
    attributes: &str,
) -> Result<(), DbError> {
    let statement = "
        INSERT INTO messages (queue, grouped_by, deduplication, body, attributes, head)
        VALUES (?1, ?2, ?3, ?4, ?5, NOT EXISTS (SELECT 1 FROM messages WHERE queue = ?1 AND grouped_by = ?2))";
    execute(connection, statement, (queue, group, deduplication, body, attributes)).map(drop)
}

/// Takes a message out of its group; the next one becomes the head.
fn remove(connection: &Connection, queue: &str, sequence: i64) -> Result<(), DbError> {
    let statement = "DELETE FROM messages WHERE sequence = ?1 RETURNING grouped_by, head";
    let removed = first(connection, statement, [sequence], |row| {
        Ok((row.get::<_, String>("grouped_by")?, row.get::<_, bool>("head")?))
    })?;
    if let Some((group, true)) = removed {
        let statement = "
            UPDATE messages SET head = 1 WHERE sequence =
                (SELECT MIN(sequence) FROM messages WHERE queue = ?1 AND grouped_by = ?2)";
        execute(connection, statement, (queue, group))?;
    }
    Ok(())
}

fn receive(
    connection: &Connection,
    queue: &str,
    max: usize,
    now: Timestamp,
    visibility: Duration,
) -> Result<Vec<Received>, DbError> {
    let mut visible = Vec::new();
    for lane in lanes(connection, queue)? {
        for (head, group) in visible_heads(connection, queue, &lane, max, now)? {
            visible.append(&mut visible_of_group(connection, queue, &group, head, max, now)?);
        }
    }
    take_oldest(connection, visible, max, now + visibility)
}

/// Receives those of `visible`, sequence numbers, that came first.
fn take_oldest(
    connection: &Connection,
    mut visible: Vec<i64>,
    max: usize,
    hidden_until: Timestamp,
) -> Result<Vec<Received>, DbError> {
    visible.sort_unstable();
    visible.truncate(max);
    visible
        .into_iter()
        .map(|sequence| {
            let statement = "
                UPDATE messages SET hidden_until = ?2, receive_count = receive_count + 1 WHERE sequence = ?1
                RETURNING sequence, grouped_by, body, attributes, receive_count";
            first(connection, statement, (sequence, ms(hidden_until)), received)?
                .ok_or_else(|| DbError::Corrupt("a message vanished while it was received".into()))
        })
        .collect()
}

/// The lanes that anything waits in. One look into the index for each, and not one for each message.
const LANES: &str = "
    WITH RECURSIVE lanes (lane) AS (
        SELECT (SELECT lane FROM messages WHERE queue = ?1 AND head = 1 ORDER BY lane LIMIT 1)
        UNION ALL
        SELECT (
            SELECT lane FROM messages WHERE queue = ?1 AND head = 1 AND lane > lanes.lane ORDER BY lane LIMIT 1
        ) FROM lanes WHERE lane IS NOT NULL
    )
    SELECT lane FROM lanes WHERE lane IS NOT NULL";

fn lanes(connection: &Connection, queue: &str) -> Result<Vec<String>, DbError> {
    collect(connection, LANES, [queue], |row| Ok(row.get("lane")?))
}

const NEVER_HELD: &str = "
    SELECT sequence, grouped_by FROM messages
    WHERE queue = ?1 AND lane = ?2 AND head = 1 AND hidden_until = 0 ORDER BY sequence LIMIT ?3";
const TIME_IS_OVER: &str = "
    SELECT sequence, grouped_by FROM messages
    WHERE queue = ?1 AND lane = ?2 AND head = 1 AND hidden_until > 0 AND hidden_until <= ?4
    ORDER BY hidden_until LIMIT ?3";

/// First messages of a lane's groups that can be received. Those that were never held and those whose time is over are
/// asked apart, so that each half of the index is read in order and no further than needed.
fn visible_heads(
    connection: &Connection,
    queue: &str,
    lane: &str,
    max: usize,
    now: Timestamp,
) -> Result<Vec<(i64, String)>, DbError> {
    if max == 0 {
        return Ok(Vec::new());
    }
    let head = |row: &Row<'_>| Ok((row.get("sequence")?, row.get("grouped_by")?));
    let mut heads = collect(connection, NEVER_HELD, (queue, lane, limit(max)), head)?;
    heads.append(&mut collect(connection, TIME_IS_OVER, (queue, lane, limit(max), ms(now)), head)?);
    Ok(heads)
}

/// Up to `max` messages of a group from its head on, up to the first in flight. Poison on the way becomes a dead letter,
/// so that the call gives the message behind it, as SQS does.
fn visible_of_group(
    connection: &Connection,
    queue: &str,
    group: &str,
    head: i64,
    max: usize,
    now: Timestamp,
) -> Result<Vec<i64>, DbError> {
    let (mut visible, mut poison) = (Vec::new(), Vec::new());
    {
        let query = "
            SELECT sequence, hidden_until, receive_count FROM messages
            WHERE queue = ?1 AND grouped_by = ?2 AND sequence >= ?3 ORDER BY sequence";
        let mut statement = connection.prepare_cached(query)?;
        let mut rows = statement.query((queue, group, head))?;
        while visible.len() < max {
            let Some(row) = rows.next()? else { break };
            if row.get::<_, i64>("hidden_until")? > ms(now) {
                break;
            }
            let poisonous = row.get::<_, u32>("receive_count")? >= MAX_RECEIVE_COUNT;
            if poisonous { &mut poison } else { &mut visible }.push(row.get("sequence")?);
        }
    }
    for sequence in poison {
        bury(connection, queue, sequence, now)?;
    }
    Ok(visible)
}

fn bury(connection: &Connection, queue: &'_ str, sequence: i64, now: Timestamp) -> Result<(), DbError> {
    let statement = "
        INSERT INTO dead_letters
            (sequence, queue, grouped_by, deduplication, body, attributes, receive_count, died_at)
        SELECT sequence, queue, grouped_by, deduplication, body, attributes, receive_count, ?2
        FROM messages WHERE sequence = ?1";
    execute(connection, statement, (sequence, ms(now)))?;
    tracing::error!(queue.name = queue, "a message was received {MAX_RECEIVE_COUNT} times and is now a dead letter");
    remove(connection, queue, sequence)
}

/// Puts the dead letters of both queues back, in their old order, behind what waits.
pub(crate) fn exhume(connection: &Connection) -> Result<usize, DbError> {
    let query = "SELECT queue, grouped_by, deduplication, body, attributes FROM dead_letters ORDER BY sequence";
    let dead = collect(connection, query, (), |row| {
        let text = |column| row.get::<_, String>(column);
        Ok([text("queue")?, text("grouped_by")?, text("deduplication")?, text("body")?, text("attributes")?])
    })?;
    for [queue, group, deduplication, body, attributes] in &dead {
        append(connection, queue, group, deduplication, body, attributes)?;
    }
    execute(connection, "DELETE FROM dead_letters", ())
}

/// `{sequence}-{receive count}`: the count makes a later receipt another one.
fn parse_receipt(receipt: &str) -> Option<(i64, u32)> {
    let (sequence, receive_count) = receipt.split_once('-')?;
    Some((sequence.parse().ok()?, receive_count.parse().ok()?))
}

fn received(row: &Row<'_>) -> Result<Received, DbError> {
    let sequence: i64 = row.get("sequence")?;
    let receive_count: u32 = row.get("receive_count")?;
    Ok(Received {
        id: sequence.to_string(),
        receipt: format!("{sequence}-{receive_count}"),
        group: row.get("grouped_by")?,
        body: row.get("body")?,
        attributes: attributes_from_json(&row.get::<_, String>("attributes")?)?,
        receive_count,
    })
}

fn dead_letter(row: &Row<'_>) -> Result<DeadLetter, DbError> {
    Ok(DeadLetter {
        group: row.get("grouped_by")?,
        deduplication: row.get("deduplication")?,
        body: row.get("body")?,
        attributes: attributes_from_json(&row.get::<_, String>("attributes")?)?,
        receive_count: row.get("receive_count")?,
        died_at: instant(row, "died_at")?,
    })
}

fn attributes_to_json(attributes: &BTreeMap<String, String>) -> Result<String, DbError> {
    serde_json::to_string(attributes).map_err(|_| DbError::Corrupt("attributes cannot be written".into()))
}

fn attributes_from_json(text: &str) -> Result<BTreeMap<String, String>, DbError> {
    serde_json::from_str(text).map_err(|_| DbError::Corrupt("attributes are not an object of texts".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn what_waits_in_other_lanes_is_never_looked_at() {
        let mut connection = Connection::open_in_memory().expect("in memory");
        assert!(schema::prepare(&mut connection).expect("schema").is_ok());
        for query in [LANES, NEVER_HELD, TIME_IS_OVER] {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).expect("a query");
            let mut plan = Vec::new();
            let mut steps = statement.raw_query();
            while let Some(step) = steps.next().expect("a step") {
                plan.push(step.get::<_, String>("detail").expect("its text"));
            }
            let of_messages: Vec<_> = plan.iter().filter(|step| step.contains("messages")).collect();
            assert!(!of_messages.is_empty(), "{plan:?}");
            for step in of_messages {
                assert!(
                    step.starts_with("SEARCH messages") && step.contains("INDEX messages_lane (queue=?"),
                    "{plan:?}"
                );
            }
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
        }
    }
}
