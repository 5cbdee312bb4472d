//! Tables in DynamoDB.

mod batches;
mod expressions;
mod transactions;
mod values;

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use serde_json::Value;
use storage::{
    Condition, Item, Key, StorageError, Tables,
    tables::{
        Cursor, Outcome, Page, Query, Transaction, Update, Write, check_condition, check_item, check_update, values_of,
    },
};

use self::{
    expressions::Expressions,
    values::{from_attributes, key_attributes, to_attributes},
};
use crate::{
    backoff::Backoff,
    error::{classify, code},
};

/// An item, or a key, as the SDK has it.
type Attributes = HashMap<String, AttributeValue>;

/// How often a write that ran into a transaction is tried again. (What else passes, the SDK tries again.)
const CONFLICT_TRIES: u32 = 8;

/// Tables in DynamoDB. Every read but that of an index is strongly consistent.
#[derive(Debug, Clone)]
pub struct DynamoTables {
    client: Client,
}

impl DynamoTables {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Tables for DynamoTables {
    async fn get(&self, table: &str, key: &Key) -> Result<Option<Item>, StorageError> {
        key.check(table)?;
        let get = self.client.get_item().table_name(table).set_key(Some(key_attributes(key))).consistent_read(true);
        let found = get.send().await.map_err(|error| classify("dynamodb:GetItem", key.address(table), error))?;
        found.item.map(|item| from_attributes(table, item)).transpose()
    }

    async fn get_many(&self, table: &str, keys: &[Key]) -> Result<Vec<Option<Item>>, StorageError> {
        batches::get_many(&self.client, table, keys).await.map(|(items, _)| items)
    }

    async fn get_values_counted(
        &self,
        table: &str,
        keys: &[Key],
        names: &[&str],
    ) -> Result<(Vec<Option<Vec<Value>>>, u64), StorageError> {
        let (items, requests) = batches::get_many(&self.client, table, keys).await?;
        Ok((items.into_iter().map(|item| item.map(|item| values_of(item, names))).collect(), requests))
    }

    async fn put(&self, table: &str, item: Item, condition: Condition) -> Result<Outcome, StorageError> {
        let key = check_item(table, &item)?;
        let what = key.address(table);
        check_condition(&what, &condition)?;
        let mut expressions = Expressions::default();
        let condition = expressions.condition(&condition);
        let put = self
            .client
            .put_item()
            .table_name(table)
            .set_item(Some(to_attributes(item)))
            .set_condition_expression(condition)
            .set_expression_attribute_names(expressions.names())
            .set_expression_attribute_values(expressions.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        outcome("dynamodb:PutItem", table, &what, || put.clone().send()).await
    }

    async fn put_many(&self, table: &str, items: Vec<Item>) -> Result<(), StorageError> {
        batches::put_many(&self.client, table, items).await
    }

    async fn update(
        &self,
        table: &str,
        key: &Key,
        update: Update,
        condition: Condition,
    ) -> Result<Outcome, StorageError> {
        let what = key.address(table);
        check_update(table, key, &update)?;
        check_condition(&what, &condition)?;
        let mut expressions = Expressions::default();
        let (update, condition) = (expressions.update(&update), expressions.condition(&condition));
        let update = self
            .client
            .update_item()
            .table_name(table)
            .set_key(Some(key_attributes(key)))
            .set_update_expression(update)
            .set_condition_expression(condition)
            .set_expression_attribute_names(expressions.names())
            .set_expression_attribute_values(expressions.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        outcome("dynamodb:UpdateItem", table, &what, || update.clone().send()).await
    }

    async fn delete(&self, table: &str, key: &Key, condition: Condition) -> Result<Outcome, StorageError> {
        key.check(table)?;
        let what = key.address(table);
        check_condition(&what, &condition)?;
        let mut expressions = Expressions::default();
        let condition = expressions.condition(&condition);
        let delete = self
            .client
            .delete_item()
            .table_name(table)
            .set_key(Some(key_attributes(key)))
            .set_condition_expression(condition)
            .set_expression_attribute_names(expressions.names())
            .set_expression_attribute_values(expressions.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        outcome("dynamodb:DeleteItem", table, &what, || delete.clone().send()).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StorageError> {
        let Query { table, index, partition, sort_prefix, descending, limit, from } = query;
        let what = format!("{table}/{partition}");
        let limit = limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX));
        if limit == Some(0) {
            let reason = "a query's limit is at least 1".to_owned();
            return Err(StorageError::Invalid { what, reason });
        }
        let mut expressions = Expressions::default();
        let condition = expressions.key_condition(index.as_deref(), partition, sort_prefix.as_deref());
        let page = self
            .client
            .query()
            .table_name(table)
            .set_index_name(index.clone())
            .consistent_read(index.is_none())
            .key_condition_expression(condition)
            .set_expression_attribute_names(expressions.names())
            .set_expression_attribute_values(expressions.values())
            .scan_index_forward(!descending)
            .set_limit(limit)
            .set_exclusive_start_key(from.clone().map(|Cursor(last)| to_attributes(last)))
            .send()
            .await
            .map_err(|error| classify("dynamodb:Query", what, error))?;
        let items = page.items.unwrap_or_default().into_iter().map(|item| from_attributes(table, item));
        let last = page.last_evaluated_key.filter(|last| !last.is_empty());
        let next = last.map(|last| from_attributes(table, last).map(Cursor)).transpose()?;
        Ok(Page { items: items.collect::<Result<_, _>>()?, next })
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transaction, StorageError> {
        transactions::transact(&self.client, writes).await
    }
}

/// Sends a write, again while it runs into transactions, and reads what became of it.
async fn outcome<T, E, F>(action: &str, table: &str, what: &str, send: impl Fn() -> F) -> Result<Outcome, StorageError>
where
    F: Future<Output = Result<T, SdkError<E>>>,
    E: Refusal + ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let mut backoff = Backoff::tries(CONFLICT_TRIES);
    loop {
        let Err(error) = send().await else { return Ok(Outcome::Written) };
        if let Some(standing) = error.as_service_error().and_then(Refusal::standing) {
            let standing = standing.map(|item| from_attributes(table, item)).transpose()?;
            return Ok(Outcome::Refused(standing));
        }
        let conflict = code(&error) == Some("TransactionConflictException");
        if conflict && backoff.wait().await {
            continue;
        }
        return Err(match conflict {
            true => StorageError::Throttled { what: what.to_owned(), source: error.into() },
            false => classify(action, what, error),
        });
    }
}

/// An error that can be the refusal of a conditional write.
trait Refusal {
    /// If it is, what stands at the key, if anything does.
    fn standing(&self) -> Option<Option<Attributes>>;
}

macro_rules! refusals {
    ($($operation:ident :: $error:ident),+) => {
        $(impl Refusal for aws_sdk_dynamodb::operation::$operation::$error {
            fn standing(&self) -> Option<Option<Attributes>> {
                match self {
                    Self::ConditionalCheckFailedException(refusal) => {
                        Some(refusal.item.clone().filter(|item| !item.is_empty()))
                    }
                    _ => None,
                }
            }
        })+
    };
}

refusals!(put_item::PutItemError, update_item::UpdateItemError, delete_item::DeleteItemError);
