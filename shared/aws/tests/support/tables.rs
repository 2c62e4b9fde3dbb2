//! The tables as `template.yaml` has them.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};
use shared_aws::LOG_ATTRIBUTES;

use ScalarAttributeType::{N, S};

/// An index: name, partition key, sort key, and the attributes it brings besides the keys.
type Index = (&'static str, &'static str, &'static str, &'static [&'static str]);

pub(crate) async fn installations(config: &SdkConfig, name: &str) {
    let attributes = [("installation", S), ("due_partition", S), ("due_at", N)];
    create(config, name, "installation", &attributes, &[("due", "due_partition", "due_at", &[])]).await;
}

pub(crate) async fn deliveries(config: &SdkConfig, name: &str) {
    let attributes = [("key", S), ("log_partition", S), ("time", N), ("stuck_for", S), ("accepted_at", N)];
    let indexes: [Index; 2] =
        [("log", "log_partition", "time", &LOG_ATTRIBUTES), ("stuck", "stuck_for", "accepted_at", &[])];
    create(config, name, "key", &attributes, &indexes).await;
}

pub(crate) async fn settings(config: &SdkConfig, name: &str) {
    create(config, name, "key", &[("key", S)], &[]).await;
}

async fn create(
    config: &SdkConfig,
    name: &str,
    hash: &str,
    attributes: &[(&str, ScalarAttributeType)],
    indexes: &[Index],
) {
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let indexes: Vec<_> = indexes
        .iter()
        .map(|(name, hash, range, brings)| {
            let projection = if brings.is_empty() { ProjectionType::KeysOnly } else { ProjectionType::Include };
            let brings = (!brings.is_empty()).then(|| brings.iter().map(|name| (*name).to_owned()).collect());
            GlobalSecondaryIndex::builder()
                .index_name(*name)
                .key_schema(key(hash, KeyType::Hash))
                .key_schema(key(range, KeyType::Range))
                .projection(Projection::builder().projection_type(projection).set_non_key_attributes(brings).build())
                .build()
                .unwrap()
        })
        .collect();
    let attributes = attributes
        .iter()
        .map(|(name, kind)| {
            AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone()).build().unwrap()
        })
        .collect();
    Client::new(config)
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key(hash, KeyType::Hash))
        .set_attribute_definitions(Some(attributes))
        .set_global_secondary_indexes((!indexes.is_empty()).then_some(indexes))
        .send()
        .await
        .unwrap();
}
