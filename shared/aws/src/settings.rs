//! Settings on `DynamoDB`: the item `routes`.

use aws_config::SdkConfig;
use jiff::Timestamp;
use shared::ports::{Settings, StoreError, StoredRoutes, Written};

use crate::environment::{self, EnvError, Lookup, Use};
use crate::failure::{Failure, unavailable};
use crate::row::{ItemBuilder, MAX_COMPRESSED_BYTES, Reader, bytes, compress, millis, number, text};
use crate::table::{Expression, Table};

const STORE: &str = "settings";
const ROUTES: &str = "routes";

#[derive(Debug, Clone)]
pub struct DynamoSettings(Table);

impl DynamoSettings {
    /// `table` is the table's name.
    pub fn new(config: &SdkConfig, table: impl Into<String>) -> Self {
        Self(Table::new(config, table.into(), "key", STORE))
    }

    /// The table that `SETTINGS_TABLE` names.
    pub fn from_env(config: &SdkConfig) -> Result<Self, EnvError> {
        Self::found(config, &environment::process)
    }

    pub(crate) fn found(config: &SdkConfig, lookup: Lookup<'_>) -> Result<Self, EnvError> {
        Ok(Self::new(config, Use::Settings.read(lookup)?))
    }
}

impl Settings for DynamoSettings {
    async fn routes_version(&self) -> Result<Option<u64>, StoreError> {
        let version = Expression { text: "#version", names: &[("#version", "version")], values: Vec::new() };
        let Some(item) = self.0.get(ROUTES, Some(version)).await? else { return Ok(None) };
        let row = Reader { store: STORE, item: &item };
        row.need("version", row.number("version")?).map(Some)
    }

    async fn routes(&self) -> Result<Option<StoredRoutes>, StoreError> {
        let Some(item) = self.0.get(ROUTES, None).await? else { return Ok(None) };
        let row = Reader { store: STORE, item: &item };
        Ok(Some(StoredRoutes {
            text: row.need("text", row.compressed("text")?)?,
            version: row.need("version", row.number("version")?)?,
            pushed_at: row.need("pushed_at", row.instant("pushed_at")?)?,
        }))
    }

    /// Refuses a file of more than 350 kB compressed, which an item of the table could not hold for sure.
    async fn put_routes(&self, routes: &str, expected: u64, now: Timestamp) -> Result<Written, StoreError> {
        let packed = compress(routes);
        if packed.len() > MAX_COMPRESSED_BYTES {
            let kilobytes = packed.len().div_ceil(1000);
            let limit = MAX_COMPRESSED_BYTES / 1000;
            let reason = format!("the routes file takes {kilobytes} kB compressed, over the limit of {limit} kB");
            return Err(unavailable(STORE, Failure::because("PutItem", reason)));
        }
        let item = ItemBuilder::default()
            .set("key", text(ROUTES))
            .set("text", bytes(packed))
            .set("version", number(expected + 1))
            .set("pushed_at", millis(now))
            .build();
        let condition = if expected == 0 {
            Expression { text: "attribute_not_exists(#key)", names: &[("#key", "key")], values: Vec::new() }
        } else {
            Expression {
                text: "#version = :expected",
                names: &[("#version", "version")],
                values: vec![(":expected", number(expected))],
            }
        };
        self.0.put(item, &condition).await
    }
}
