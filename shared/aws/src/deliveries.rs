//! Deliveries on `DynamoDB`: key `key`, indexes `log` and `stuck`.

mod destinations;
mod record;

pub use record::LOG_ATTRIBUTES;

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use futures::future::try_join_all;
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::Offset};
use shared::destinations::kind::Thread;
use shared::ids::{DeliveryId, DestinationName};
use shared::ports::{
    Claim, Deliveries, DeliveryRecord, DeliveryState, DestinationHealth, Mark, Outcome, StoreError, Stuck, ThreadKey,
    Written,
};

use crate::environment::{self, EnvError, Lookup, Use};
use crate::row::{Item, ItemBuilder, Reader, expired_at, expiry, millis, number, text, texts};
use crate::table::{Expression, Query, Table, Updated, WRITE, this_write};

const STORE: &str = "deliveries";

/// Partitions of the log a day: one would take 1,000 records a second.
const SHARDS: u8 = 16;

/// How far back the log is read: twice the time that a record lives.
const LOG_DAYS: i64 = 60;

/// What every claim changes.
const TRY: &str = "SET #attempts = #attempts + :one";

#[derive(Debug, Clone)]
pub struct DynamoDeliveries(Table);

impl DynamoDeliveries {
    /// `table` is the table's name.
    pub fn new(config: &SdkConfig, table: impl Into<String>) -> Self {
        Self(Table::new(config, table.into(), "key", STORE))
    }

    /// The table that `DELIVERIES_TABLE` names.
    pub fn from_env(config: &SdkConfig) -> Result<Self, EnvError> {
        Self::found(config, &environment::process)
    }

    pub(crate) fn found(config: &SdkConfig, lookup: Lookup<'_>) -> Result<Self, EnvError> {
        Ok(Self::new(config, Use::Deliveries.read(lookup)?))
    }

    /// Begins a dead letter anew, if it failed before it was asked for.
    async fn claim_failed(&self, id: &DeliveryId, asked: Timestamp, now: Timestamp) -> Result<Claim, StoreError> {
        let condition = Expression {
            text: "#state = :failed AND #expires > :expired AND #ended_at < :asked",
            names: &[
                ("#state", "state"),
                ("#expires", "expires"),
                ("#ended_at", "ended_at"),
                ("#attempts", "attempts"),
                ("#next", "next_try_at"),
                ("#stuck_for", "stuck_for"),
            ],
            values: vec![
                (":failed", text(DeliveryState::Failed.as_str())),
                (":expired", expired_at(now)),
                (":asked", millis(asked)),
                (":queued", text(DeliveryState::Queued.as_str())),
                (":one", number(1)),
            ],
        };
        let update = "SET #state = :queued, #attempts = :one REMOVE #ended_at, #next, #stuck_for";
        match self.0.update(&record::key(id), update, &condition).await? {
            Updated::Done(item) => record::delivery(&item).map(Claim::Taken),
            Updated::Refused(Some(item)) if !is_expired(&item, now) => {
                Ok(Claim::Leftover(record::delivery(&item)?.state))
            }
            Updated::Refused(_) => Ok(Claim::Missing),
        }
    }

    /// One shard of one day, newest first.
    async fn shard(
        &self,
        day: Date,
        shard: u8,
        since: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        let query = Query {
            index: "log",
            keys: Expression {
                text: "#log_partition = :partition AND #time >= :since",
                names: &[("#log_partition", "log_partition"), ("#time", "time")],
                values: vec![(":partition", text(record::log_partition(day, shard))), (":since", millis(since))],
            },
            ascending: false,
            limit,
            after: None,
            keep: &|item| !is_expired(item, now),
        };
        self.0.query(&query).await?.iter().map(record::delivery).collect()
    }
}

impl Deliveries for DynamoDeliveries {
    async fn create(&self, record: &DeliveryRecord) -> Result<Written, StoreError> {
        let absent = Expression { text: "attribute_not_exists(#key)", names: &[("#key", "key")], values: Vec::new() };
        self.0.put(record::item(record), &absent).await
    }

    async fn read(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        self.0.get(&record::key(id), None).await?.as_ref().map(record::delivery).transpose()
    }

    async fn claim(&self, id: &DeliveryId, resend: Option<Timestamp>, now: Timestamp) -> Result<Claim, StoreError> {
        let condition = Expression {
            text: "#state = :queued AND #expires > :expired AND (attribute_not_exists(#next) OR #next <= :now)",
            names: &[("#state", "state"), ("#expires", "expires"), ("#next", "next_try_at"), ("#attempts", "attempts")],
            values: vec![
                (":queued", text(DeliveryState::Queued.as_str())),
                (":expired", expired_at(now)),
                (":now", millis(now)),
                (":one", number(1)),
            ],
        };
        let item = match self.0.update(&record::key(id), TRY, &condition).await? {
            Updated::Done(item) => return record::delivery(&item).map(Claim::Taken),
            Updated::Refused(Some(item)) if !is_expired(&item, now) => item,
            Updated::Refused(_) => return Ok(Claim::Missing),
        };
        let record = record::delivery(&item)?;
        match (record.state, record.next_try_at, resend) {
            (DeliveryState::Queued, Some(next), _) => Ok(Claim::Early(next)),
            (DeliveryState::Failed, _, Some(asked)) => self.claim_failed(id, asked, now).await,
            (state, ..) => Ok(Claim::Leftover(state)),
        }
    }

    async fn claim_parked(&self, id: &DeliveryId, probe: bool, now: Timestamp) -> Result<Claim, StoreError> {
        let mut condition = Expression {
            text: "#state = :parked",
            names: &[("#state", "state"), ("#attempts", "attempts")],
            values: vec![(":parked", text(DeliveryState::Parked.as_str())), (":one", number(1))],
        };
        if !probe {
            condition.text = "#state = :parked AND (attribute_not_exists(#next) OR #next <= :now)";
            condition.names = &[("#state", "state"), ("#attempts", "attempts"), ("#next", "next_try_at")];
            condition.values.push((":now", millis(now)));
        }
        let item = match self.0.update(&record::key(id), TRY, &condition).await? {
            Updated::Done(item) => return record::delivery(&item).map(Claim::Taken),
            Updated::Refused(Some(item)) if !is_expired(&item, now) => item,
            Updated::Refused(_) => return Ok(Claim::Missing),
        };
        let record = record::delivery(&item)?;
        Ok(match (record.state, record.next_try_at) {
            (DeliveryState::Parked, Some(next)) => Claim::Early(next),
            (state, _) => Claim::Leftover(state),
        })
    }

    /// Reads and writes back: what an outcome changes is [`Outcome::apply`]'s alone to say, and the destination, which
    /// the index `stuck` wants, is known by the record only.
    async fn settle(
        &self,
        id: &DeliveryId,
        attempts: u32,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let Some(mut record) = self.read(id).await? else { return Ok(Written::Conflict) };
        let before = record.state;
        if !matches!(before, DeliveryState::Queued | DeliveryState::Parked) || record.attempts != attempts {
            return Ok(Written::Conflict);
        }
        outcome.apply(&mut record, now);
        let unchanged = Expression {
            text: "#state = :before AND #attempts = :attempts",
            names: &[("#state", "state"), ("#attempts", "attempts")],
            values: vec![(":before", text(before.as_str())), (":attempts", number(attempts))],
        };
        let destination = destinations::key(&record.destination);
        let counted = match (before == DeliveryState::Parked, record.state == DeliveryState::Parked) {
            (false, true) => destinations::one_more(&destination),
            (true, false) => destinations::one_less(&destination),
            _ => return self.0.put(record::item(&record), &unchanged).await,
        };
        self.0.put_and_update(record::item(&record), &unchanged, &counted).await
    }

    async fn destination(&self, name: &DestinationName) -> Result<DestinationHealth, StoreError> {
        match self.0.get(&destinations::key(name), None).await? {
            Some(item) => destinations::health(&item),
            None => Ok(DestinationHealth::new(name.clone())),
        }
    }

    async fn write_destination(&self, row: &DestinationHealth) -> Result<Written, StoreError> {
        let write = this_write();
        let (update, condition) = destinations::update(row, write.clone());
        match self.0.update(&destinations::key(&row.name), &update, &condition).await? {
            Updated::Done(_) => Ok(Written::Done),
            Updated::Refused(Some(there)) if there.get(WRITE) == Some(&write) => Ok(Written::Done),
            Updated::Refused(_) => Ok(Written::Conflict),
        }
    }

    async fn not_open(&self) -> Result<Vec<DestinationName>, StoreError> {
        let query = Query {
            index: "stuck",
            keys: Expression {
                text: "#stuck_for = :not_open",
                names: &[("#stuck_for", "stuck_for")],
                values: vec![(":not_open", text(destinations::NOT_OPEN))],
            },
            ascending: true,
            limit: usize::MAX,
            after: None,
            keep: &|_| true,
        };
        let mut names: Vec<_> = self.0.query(&query).await?.iter().map(destinations::name).collect::<Result<_, _>>()?;
        names.sort();
        Ok(names)
    }

    async fn thread(&self, key: &ThreadKey, now: Timestamp) -> Result<Option<Thread>, StoreError> {
        let Some(item) = self.0.get(&key.to_string(), None).await? else { return Ok(None) };
        if is_expired(&item, now) {
            return Ok(None);
        }
        let row = Reader { store: STORE, item: &item };
        row.need("words", row.texts("words")?).map(|words| Some(Thread(words)))
    }

    async fn put_thread(&self, key: &ThreadKey, thread: Option<&Thread>, expires: Timestamp) -> Result<(), StoreError> {
        let Some(thread) = thread else { return self.0.delete(&key.to_string()).await };
        let item = ItemBuilder::default()
            .set("key", text(key.to_string()))
            .set("words", texts(&thread.0))
            .set("expires", expiry(expires))
            .build();
        self.0.put_always(item).await
    }

    async fn recent(&self, since: Timestamp, now: Timestamp, limit: usize) -> Result<Vec<DeliveryRecord>, StoreError> {
        let mut found = Vec::new();
        for day in days(since, now) {
            let missing = limit - found.len();
            if missing == 0 {
                break;
            }
            let shards = (0..SHARDS).map(|shard| self.shard(day, shard, since, now, missing));
            let mut of_day: Vec<_> = try_join_all(shards).await?.into_iter().flatten().collect();
            of_day.sort_by(|a, b| b.accepted_at.cmp(&a.accepted_at).then_with(|| a.id.cmp(&b.id)));
            of_day.truncate(missing);
            found.append(&mut of_day);
        }
        Ok(found)
    }

    async fn stuck(
        &self,
        destination: &DestinationName,
        state: DeliveryState,
        after: Option<&Stuck>,
        limit: usize,
    ) -> Result<Vec<Stuck>, StoreError> {
        let Some(stuck_for) = record::stuck_for(destination, state) else { return Ok(Vec::new()) };
        let query = Query {
            index: "stuck",
            keys: Expression {
                text: "#stuck_for = :stuck_for",
                names: &[("#stuck_for", "stuck_for")],
                values: vec![(":stuck_for", text(&stuck_for))],
            },
            ascending: true,
            limit,
            after: after.map(|stuck| record::stuck_key(&stuck_for, stuck)),
            keep: &|_| true,
        };
        self.0.query(&query).await?.iter().map(record::stuck).collect()
    }

    async fn with_failed(&self) -> Result<Vec<DestinationName>, StoreError> {
        let failed = |item: &Item| record::failed_for(item);
        let names: BTreeSet<_> = self.0.scan("stuck").await?.iter().filter_map(failed).collect();
        Ok(names.into_iter().collect())
    }

    async fn recall(&self, key: &str, now: Timestamp) -> Result<Option<Mark>, StoreError> {
        let Some(item) = self.0.get(key, None).await? else { return Ok(None) };
        if is_expired(&item, now) {
            return Ok(None);
        }
        let row = Reader { store: STORE, item: &item };
        Ok(Some(Mark {
            digest: row.need("digest", row.text("digest")?)?.to_owned(),
            accepted_at: row.need("accepted_at", row.instant("accepted_at")?)?,
        }))
    }

    async fn mark(
        &self,
        key: &str,
        mark: &Mark,
        expected: Option<&Mark>,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let item = ItemBuilder::default()
            .set("key", text(key))
            .set("digest", text(&mark.digest))
            .set("accepted_at", millis(mark.accepted_at))
            .set("expires", expiry(expires))
            .build();
        let condition = match expected {
            None => Expression {
                text: "attribute_not_exists(#key) OR #expires <= :expired",
                names: &[("#key", "key"), ("#expires", "expires")],
                values: vec![(":expired", expired_at(now))],
            },
            Some(expected) => Expression {
                text: "#digest = :digest AND #accepted_at = :accepted_at AND #expires > :expired",
                names: &[("#digest", "digest"), ("#accepted_at", "accepted_at"), ("#expires", "expires")],
                values: vec![
                    (":digest", text(&expected.digest)),
                    (":accepted_at", millis(expected.accepted_at)),
                    (":expired", expired_at(now)),
                ],
            },
        };
        self.0.put(item, &condition).await
    }
}

/// TTL deletes hours late: until then the item lies there and counts as absent. What has no `expires` stays.
fn is_expired(item: &Item, now: Timestamp) -> bool {
    let row = Reader { store: STORE, item };
    matches!(row.expiry("expires"), Ok(Some(expires)) if expires <= now)
}

/// The days of the log from that of `now` back to that of `since`, UTC.
fn days(since: Timestamp, now: Timestamp) -> impl Iterator<Item = Date> {
    let day = |instant: Timestamp| Offset::UTC.to_datetime(instant).date();
    let (first, last) = (day(since), day(now));
    (0..LOG_DAYS).map_while(move |back| last.checked_sub(back.days()).ok()).take_while(move |date| *date >= first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    #[test]
    fn the_log_is_read_from_today_back() {
        let found = |since, now| days(at(since), at(now)).map(|day| day.to_string()).collect::<Vec<_>>();
        assert_eq!(found("2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z"), ["2026-03-01", "2026-02-28"]);
        assert_eq!(found("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z"), ["2026-03-01"]);
        assert!(found("2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z").is_empty());
        assert_eq!(days(Timestamp::UNIX_EPOCH, at("2026-03-01T00:00:00Z")).count(), 60);
    }
}
