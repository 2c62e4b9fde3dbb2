//! Deliveries on `DynamoDB`: key `key`, indexes `log` and `stuck`.

mod record;

pub use record::LOG_ATTRIBUTES;

use aws_config::SdkConfig;
use futures::future::try_join_all;
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::Offset};
use shared::ids::{DeliveryId, DestinationName};
use shared::ports::{Claim, Deliveries, DeliveryRecord, DeliveryState, Mark, Outcome, StoreError, Written};

use crate::environment::{self, EnvError, Lookup, Use};
use crate::row::{Item, ItemBuilder, Reader, expired_at, expiry, millis, number, text};
use crate::table::{Expression, Query, Table, Updated};

const STORE: &str = "deliveries";

/// Partitions of the log a day: one would take 1,000 records a second.
const SHARDS: u8 = 16;

/// How far back the log is read: twice the time that a record lives.
const LOG_DAYS: i64 = 60;

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

    async fn claim(&self, id: &DeliveryId, now: Timestamp) -> Result<Claim, StoreError> {
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
        match self.0.update(&record::key(id), "SET #attempts = #attempts + :one", &condition).await? {
            Updated::Done(item) => record::delivery(&item).map(Claim::Taken),
            Updated::Refused(None) => Ok(Claim::Missing),
            Updated::Refused(Some(item)) if is_expired(&item, now) => Ok(Claim::Missing),
            Updated::Refused(Some(item)) => {
                let record = record::delivery(&item)?;
                Ok(match (record.state, record.next_try_at) {
                    (DeliveryState::Queued, Some(next)) => Claim::Early(next),
                    (state, _) => Claim::Leftover(state),
                })
            }
        }
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
        if record.state != DeliveryState::Queued || record.attempts != attempts {
            return Ok(Written::Conflict);
        }
        outcome.apply(&mut record, now);
        let unchanged = Expression {
            text: "#state = :queued AND #attempts = :attempts",
            names: &[("#state", "state"), ("#attempts", "attempts")],
            values: vec![(":queued", text(DeliveryState::Queued.as_str())), (":attempts", number(attempts))],
        };
        self.0.put(record::item(&record), &unchanged).await
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
        limit: usize,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let Some(stuck_for) = record::stuck_for(destination, state) else { return Ok(Vec::new()) };
        let query = Query {
            index: "stuck",
            keys: Expression {
                text: "#stuck_for = :stuck_for",
                names: &[("#stuck_for", "stuck_for")],
                values: vec![(":stuck_for", text(stuck_for))],
            },
            ascending: true,
            limit,
            keep: &|_| true,
        };
        self.0.query(&query).await?.iter().map(record::id).collect()
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
