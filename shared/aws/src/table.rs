//! One table of `DynamoDB`: conditional puts and updates, consistent reads, queries of an index, two writes as one.

mod retries;

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::builders::{PutBuilder, UpdateBuilder};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use shared::ids::hex;
use shared::ports::{Chance as _, StoreError, SystemChance, Written};

use crate::failure::{Failure, unavailable};
use crate::row::{Item, text};

/// Random for each write. A try whose answer was lost is repeated by the SDK and then fails on its own write: by this the
/// item says whose write it was.
pub(crate) const WRITE: &str = "write";

/// A value for [`WRITE`].
pub(crate) fn this_write() -> AttributeValue {
    text(hex(&SystemChance.bytes::<8>()))
}

#[derive(Debug, Clone)]
pub(crate) struct Table {
    client: Client,
    name: String,
    /// The attribute that is the key.
    key: &'static str,
    /// The word in errors.
    pub(crate) store: &'static str,
}

/// An expression with its `#names` and `:values`. Names always go through `#`: `state`, `key`, `time` and many others
/// are reserved words.
#[derive(Debug, Default, Clone)]
pub(crate) struct Expression {
    pub(crate) text: &'static str,
    pub(crate) names: &'static [(&'static str, &'static str)],
    pub(crate) values: Vec<(&'static str, AttributeValue)>,
}

impl Expression {
    fn names(&self) -> HashMap<String, String> {
        self.names.iter().map(|(alias, name)| ((*alias).to_owned(), (*name).to_owned())).collect()
    }

    /// `None` if there are none: `DynamoDB` refuses an empty map.
    fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        let values: HashMap<_, _> =
            self.values.iter().map(|(alias, value)| ((*alias).to_owned(), value.clone())).collect();
        (!values.is_empty()).then_some(values)
    }
}

/// The second write of [`Table::put_and_update`]. Names and values of `condition` are those of both.
pub(crate) struct Change<'a> {
    pub(crate) key: &'a str,
    pub(crate) update: &'static str,
    /// An empty text is none.
    pub(crate) condition: Expression,
}

/// How a conditional update ended.
#[derive(Debug)]
pub(crate) enum Updated {
    /// The item as it is now.
    Done(Item),
    /// The condition did not hold; the item as it is, if there is one.
    Refused(Option<Item>),
}

/// A query of an index: brings what the index has.
pub(crate) struct Query<'a> {
    pub(crate) index: &'static str,
    /// Condition on the index's keys.
    pub(crate) keys: Expression,
    pub(crate) ascending: bool,
    /// Most items to bring.
    pub(crate) limit: usize,
    /// The key after which to begin.
    pub(crate) after: Option<Item>,
    /// Whether an item counts towards the limit.
    pub(crate) keep: &'a (dyn Fn(&Item) -> bool + Sync),
}

impl Table {
    pub(crate) fn new(config: &SdkConfig, name: String, key: &'static str, store: &'static str) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(config).retry_classifier(retries::Conflicting).build();
        Self { client: Client::from_conf(config), name, key, store }
    }

    /// A consistent read.
    pub(crate) async fn get(&self, key: &str, projection: Option<Expression>) -> Result<Option<Item>, StoreError> {
        let projection = projection.as_ref();
        self.client
            .get_item()
            .table_name(&self.name)
            .key(self.key, text(key))
            .consistent_read(true)
            .set_projection_expression(projection.map(|p| p.text.to_owned()))
            .set_expression_attribute_names(projection.map(Expression::names))
            .send()
            .await
            .map(|output| output.item)
            .map_err(|error| unavailable(self.store, Failure::of("GetItem", &error)))
    }

    /// Puts `item` over whatever lies under its key, if `condition` holds for that.
    pub(crate) async fn put(&self, mut item: Item, condition: &Expression) -> Result<Written, StoreError> {
        let write = this_write();
        item.insert(WRITE.to_owned(), write.clone());
        let sent = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression(condition.text)
            .set_expression_attribute_names(Some(condition.names()))
            .set_expression_attribute_values(condition.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(Written::Done),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                    let ours = refused.item().is_some_and(|there| there.get(WRITE) == Some(&write));
                    Ok(if ours { Written::Done } else { Written::Conflict })
                }
                _ => Err(unavailable(self.store, Failure::of("PutItem", &error))),
            },
        }
    }

    /// Puts `item` over whatever lies under its key.
    pub(crate) async fn put_always(&self, item: Item) -> Result<(), StoreError> {
        self.client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .send()
            .await
            .map(drop)
            .map_err(|error| unavailable(self.store, Failure::of("PutItem", &error)))
    }

    /// Changes the item under `key` by `update`, if `condition` holds. Names and values are those of both.
    pub(crate) async fn update(&self, key: &str, update: &str, condition: &Expression) -> Result<Updated, StoreError> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(self.key, text(key))
            .update_expression(update)
            .condition_expression(condition.text)
            .set_expression_attribute_names(Some(condition.names()))
            .set_expression_attribute_values(condition.values())
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match sent {
            Ok(output) => Ok(Updated::Done(output.attributes.unwrap_or_default())),
            Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
                let UpdateItemError::ConditionalCheckFailedException(refusal) = refused.into_err() else {
                    return Ok(Updated::Refused(None));
                };
                Ok(Updated::Refused(refusal.item))
            }
            Err(error) => Err(unavailable(self.store, Failure::of("UpdateItem", &error))),
        }
    }

    /// Puts `item` by a condition on what lies under its key, and changes another item by a condition of its own: both
    /// or neither. A try whose answer was lost is harmless, since the SDK repeats it with the same token.
    pub(crate) async fn put_and_update(
        &self,
        item: Item,
        condition: &Expression,
        other: &Change<'_>,
    ) -> Result<Written, StoreError> {
        let put = PutBuilder::default()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression(condition.text)
            .set_expression_attribute_names(Some(condition.names()))
            .set_expression_attribute_values(condition.values())
            .build();
        let update = UpdateBuilder::default()
            .table_name(&self.name)
            .key(self.key, text(other.key))
            .update_expression(other.update)
            .set_condition_expression((!other.condition.text.is_empty()).then(|| other.condition.text.to_owned()))
            .set_expression_attribute_names(Some(other.condition.names()))
            .set_expression_attribute_values(other.condition.values())
            .build();
        let (put, update) =
            put.and_then(|put| Ok((put, update?))).map_err(|error| unavailable(self.store, Box::new(error)))?;
        let sent = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().put(put).build())
            .transact_items(TransactWriteItem::builder().update(update).build())
            .send()
            .await;
        match sent {
            Ok(_) => Ok(Written::Done),
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled))
                    if cancelled
                        .cancellation_reasons()
                        .iter()
                        .any(|reason| reason.code() == Some("ConditionalCheckFailed")) =>
                {
                    Ok(Written::Conflict)
                }
                _ => Err(unavailable(self.store, Failure::of("TransactWriteItems", &error))),
            },
        }
    }

    /// Deletes what lies under `key`, if anything does.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.name)
            .key(self.key, text(key))
            .send()
            .await
            .map(drop)
            .map_err(|error| unavailable(self.store, Failure::of("DeleteItem", &error)))
    }

    /// Reads pages until `limit` items were kept or the index has no more. Eventually consistent, as indexes are.
    pub(crate) async fn query(&self, query: &Query<'_>) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        let mut from = query.after.clone();
        while found.len() < query.limit {
            let page = self
                .client
                .query()
                .table_name(&self.name)
                .index_name(query.index)
                .key_condition_expression(query.keys.text)
                .set_expression_attribute_names(Some(query.keys.names()))
                .set_expression_attribute_values(query.keys.values())
                .scan_index_forward(query.ascending)
                .limit(i32::try_from(query.limit - found.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| unavailable(self.store, Failure::of("Query", &error)))?;
            found.extend(page.items.unwrap_or_default().into_iter().filter(query.keep));
            from = page.last_evaluated_key;
            if from.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// All of an index, page by page. For an operator's command: no function may scan.
    pub(crate) async fn scan(&self, index: &str) -> Result<Vec<Item>, StoreError> {
        let pages = self.client.scan().table_name(&self.name).index_name(index).into_paginator().items().send();
        let items: Result<Vec<Item>, _> = pages.collect().await;
        items.map_err(|error| unavailable(self.store, Failure::of("Scan", &error)))
    }
}
