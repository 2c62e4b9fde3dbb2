//! One table of `DynamoDB`: conditional puts, consistent reads, queries of an index.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::InterceptorContext;
use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use shared::ids::hex;
use shared::ports::{Chance as _, StoreError, SystemChance, Written};

use crate::failure::{Failure, unavailable};
use crate::row::{Item, text};

/// Random for each put. A try whose answer was lost is repeated by the SDK and then fails on its own write: by this the
/// item says whose write it was.
const WRITE: &str = "write";

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
    /// Whether an item counts towards the limit.
    pub(crate) keep: &'a (dyn Fn(&Item) -> bool + Sync),
}

impl Table {
    pub(crate) fn new(config: &SdkConfig, name: String, key: &'static str, store: &'static str) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(config).retry_classifier(Conflicting).build();
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
        let write = text(hex(&SystemChance.bytes::<8>()));
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

    /// Changes the item under `key` by `update`, if `condition` holds. Names and values are those of both.
    pub(crate) async fn update(
        &self,
        key: &str,
        update: &'static str,
        condition: &Expression,
    ) -> Result<Updated, StoreError> {
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

    /// Reads pages until `limit` items were kept or the index has no more. Eventually consistent, as indexes are.
    pub(crate) async fn query(&self, query: &Query<'_>) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        let mut from = None;
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
}

/// Another transaction holds the item for a moment: it says so by a 400, which the SDK's own rules take for final.
#[derive(Debug)]
struct Conflicting;

impl ClassifyRetry for Conflicting {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let code = context.output_or_error().and_then(Result::err).and_then(|error| {
            let error = error.as_operation_error()?;
            error
                .downcast_ref::<PutItemError>()
                .map(ProvideErrorMetadata::code)
                .or_else(|| error.downcast_ref::<UpdateItemError>().map(ProvideErrorMetadata::code))?
        });
        match code {
            Some("TransactionConflictException") => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "another transaction on the item"
    }
}
