//! Installations on `DynamoDB`: key `installation`, sparse index `due`.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use shared::ids::InstallationId;
use shared::ports::{Installation, Installations, Sealed, Status, StoreError, Written};

use crate::environment::{self, EnvError, Lookup, Use};
use crate::row::{Item, ItemBuilder, Reader, bytes, expired_at, expiry, millis, number, text};
use crate::table::{Expression, Query, Table};

const STORE: &str = "installations";

/// The one partition of the index `due`. Some 50 writes a second at a million installations, where a partition takes
/// 1,000.
const DUE: &str = "due";

#[derive(Debug, Clone)]
pub struct DynamoInstallations(Table);

impl DynamoInstallations {
    /// `table` is the table's name.
    pub fn new(config: &SdkConfig, table: impl Into<String>) -> Self {
        Self(Table::new(config, table.into(), "installation", STORE))
    }

    /// The table that `INSTALLATIONS_TABLE` names.
    pub fn from_env(config: &SdkConfig) -> Result<Self, EnvError> {
        Self::found(config, &environment::process)
    }

    pub(crate) fn found(config: &SdkConfig, lookup: Lookup<'_>) -> Result<Self, EnvError> {
        Ok(Self::new(config, Use::Installations.read(lookup)?))
    }
}

impl Installations for DynamoInstallations {
    async fn read(&self, id: InstallationId, now: Timestamp) -> Result<Option<Installation>, StoreError> {
        let Some(item) = self.0.get(&id.to_string(), None).await? else { return Ok(None) };
        let row = installation(&item)?;
        Ok(row.expires.is_none_or(|expires| expires > now).then_some(row))
    }

    async fn write(&self, row: &Installation, now: Timestamp) -> Result<Written, StoreError> {
        let condition = if row.version == 0 {
            Expression {
                text: "attribute_not_exists(#installation) OR #expires <= :now",
                names: &[("#installation", "installation"), ("#expires", "expires")],
                values: vec![(":now", expired_at(now))],
            }
        } else {
            Expression {
                text: "#version = :version AND (attribute_not_exists(#expires) OR #expires > :now)",
                names: &[("#version", "version"), ("#expires", "expires")],
                values: vec![(":version", number(row.version)), (":now", expired_at(now))],
            }
        };
        self.0.put(item(row, row.version + 1), &condition).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<InstallationId>, StoreError> {
        let query = Query {
            index: "due",
            keys: Expression {
                text: "#partition = :due AND #due_at <= :now",
                names: &[("#partition", "due_partition"), ("#due_at", "due_at")],
                values: vec![(":due", text(DUE)), (":now", millis(now))],
            },
            ascending: true,
            limit,
            after: None,
            keep: &|_| true,
        };
        let items = self.0.query(&query).await?;
        items
            .iter()
            .map(|item| {
                let reader = Reader { store: STORE, item };
                reader.need("installation", reader.word("installation", |id| id.parse().ok())?)
            })
            .collect()
    }
}

fn item(row: &Installation, version: u64) -> Item {
    ItemBuilder::default()
        .set("installation", text(row.id.to_string()))
        .set("status", text(row.status.as_str()))
        .set_some("organization", row.organization.as_deref(), text)
        .set_some("app", row.app.as_deref(), text)
        .set_some("tokens", row.tokens.as_ref(), |sealed| bytes(sealed.0.clone()))
        .set_some("expires_at", row.expires_at, millis)
        .set_some("due_partition", row.due_at, |_| text(DUE))
        .set_some("due_at", row.due_at, millis)
        .set("version", number(version))
        .set_some("lease_until", row.lease_until, millis)
        .set_some("verified_at", row.verified_at, millis)
        .set("manual_refresh_worked", AttributeValue::Bool(row.manual_refresh_worked))
        .set("refusals", number(row.refusals))
        .set_some("gone_since", row.gone_since, millis)
        .set_some("heal_after", row.heal_after, millis)
        .set_some("first_seen", row.first_seen, millis)
        .set_some("expires", row.expires, expiry)
        .build()
}

fn installation(item: &Item) -> Result<Installation, StoreError> {
    let row = Reader { store: STORE, item };
    Ok(Installation {
        id: row.need("installation", row.word("installation", |id| id.parse().ok())?)?,
        status: row.need("status", row.word("status", Status::from_word)?)?,
        organization: row.text("organization")?.map(str::to_owned),
        app: row.text("app")?.map(str::to_owned),
        tokens: row.bytes("tokens")?.map(|sealed| Sealed(sealed.to_vec())),
        expires_at: row.instant("expires_at")?,
        due_at: row.instant("due_at")?,
        version: row.need("version", row.number("version")?)?,
        lease_until: row.instant("lease_until")?,
        verified_at: row.instant("verified_at")?,
        manual_refresh_worked: row.flag("manual_refresh_worked")?,
        refusals: row.number("refusals")?.unwrap_or(0),
        gone_since: row.instant("gone_since")?,
        heal_after: row.instant("heal_after")?,
        first_seen: row.instant("first_seen")?,
        expires: row.expiry("expires")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: i64) -> Timestamp {
        Timestamp::from_millisecond(value).expect("in range")
    }

    fn full() -> Installation {
        Installation {
            id: "a8e5d37a-696c-4c54-adb5-b3f28d64c7de".parse().expect("a UUID"),
            status: Status::NeedsReinstall,
            organization: Some("acme".into()),
            app: Some("switchboard-1a2b".into()),
            tokens: Some(Sealed(vec![0, 159, 146, 150])),
            expires_at: Some(ms(1_795_550_000_001)),
            due_at: Some(ms(1_795_550_000_002)),
            version: 7,
            lease_until: Some(ms(1_795_550_000_003)),
            verified_at: Some(ms(1_795_550_000_004)),
            manual_refresh_worked: true,
            refusals: 3,
            gone_since: Some(ms(1_795_550_000_005)),
            heal_after: Some(ms(1_795_550_000_006)),
            first_seen: Some(ms(1_795_550_000_007)),
            expires: Some(ms(1_795_550_000_000)),
        }
    }

    #[test]
    fn a_row_comes_back_as_it_was_stored() {
        for row in [full(), Installation { version: 1, ..Installation::new(full().id) }] {
            assert_eq!(installation(&item(&row, row.version)).expect("just written"), row);
        }
    }

    #[test]
    fn only_what_is_due_stands_in_the_index() {
        let due = item(&full(), 8);
        assert_eq!(due["due_partition"], text("due"));
        assert_eq!(due["due_at"], number(1_795_550_000_002_i64));
        assert_eq!(due["version"], number(8));
        let idle = item(&Installation { due_at: None, ..full() }, 8);
        assert!(!idle.contains_key("due_partition") && !idle.contains_key("due_at"));
    }

    #[test]
    fn a_row_without_its_version_is_not_guessed_at() {
        let mut broken = item(&full(), 8);
        broken.remove("version");
        let error = installation(&broken).expect_err("no version");
        assert!(error.to_string().contains("`version` is missing"), "{error}");
    }
}
