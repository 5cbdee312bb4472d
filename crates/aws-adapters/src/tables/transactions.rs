//! Transactions.

use aws_sdk_dynamodb::{
    Client,
    error::{BuildError, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, ConditionCheck, Delete, Put, TransactWriteItem, Update},
};
use storage::{
    StorageError,
    tables::{Transaction, Write, check_transaction},
};

use super::{
    CONFLICT_TRIES,
    expressions::Expressions,
    values::{key_attributes, to_attributes},
};
use crate::{backoff::Backoff, error::classify};

/// Reasons of a cancellation that pass.
const PASSING: [&str; 3] = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];

pub(super) async fn transact(client: &Client, writes: Vec<Write>) -> Result<Transaction, StorageError> {
    check_transaction(&writes)?;
    if writes.is_empty() {
        return Ok(Transaction::Written);
    }
    let what = address(&writes);
    let items: Result<Vec<_>, _> = writes.into_iter().map(transact_item).collect();
    let items = items.map_err(|error| StorageError::Invalid { what: what.clone(), reason: error.to_string() })?;
    let mut backoff = Backoff::tries(CONFLICT_TRIES);
    loop {
        // Each try has a token of its own, which the SDK makes: its own retries of one try are one transaction.
        let answer = client.transact_write_items().set_transact_items(Some(items.clone())).send().await;
        let Err(error) = answer else { return Ok(Transaction::Written) };
        let Some(reasons) = cancellation(&error) else {
            return Err(classify("dynamodb:TransactWriteItems", what, error));
        };
        let is = |reason: &CancellationReason, code: &str| reason.code.as_deref() == Some(code);
        let refused: Vec<_> = reasons.iter().map(|reason| is(reason, "ConditionalCheckFailed")).collect();
        if refused.contains(&true) {
            return Ok(Transaction::Refused(refused));
        }
        if !reasons.iter().any(|reason| PASSING.iter().any(|code| is(reason, code))) {
            return Err(StorageError::Invalid { what, reason: told(reasons) });
        }
        if !backoff.wait().await {
            return Err(StorageError::Throttled { what, source: told(reasons).into() });
        }
    }
}

/// Why a transaction was cancelled, write by write, if that is what the error says.
fn cancellation(error: &SdkError<TransactWriteItemsError>) -> Option<&[CancellationReason]> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => Some(cancelled.cancellation_reasons()),
        _ => None,
    }
}

fn told(reasons: &[CancellationReason]) -> String {
    let told = reasons.iter().map(|reason| {
        let (code, message) = (reason.code.as_deref().unwrap_or("None"), reason.message.as_deref());
        message.map_or_else(|| code.to_owned(), |message| format!("{code} ({message})"))
    });
    format!("the transaction was cancelled: {}", told.collect::<Vec<_>>().join(", "))
}

/// The address of the first write, and how many more there are.
fn address(writes: &[Write]) -> String {
    let first = writes.first().and_then(|write| write.target().ok());
    let first = first.map(|(table, key)| key.address(table)).unwrap_or_default();
    format!("a transaction on {first} and {} more", writes.len().saturating_sub(1))
}

fn transact_item(write: Write) -> Result<TransactWriteItem, BuildError> {
    let mut expressions = Expressions::default();
    let condition = expressions.condition(write.condition());
    let item = TransactWriteItem::builder();
    Ok(match write {
        Write::Put { table, item: put, condition: _ } => {
            let put = Put::builder()
                .table_name(table)
                .set_item(Some(to_attributes(put)))
                .set_condition_expression(condition)
                .set_expression_attribute_names(expressions.names())
                .set_expression_attribute_values(expressions.values());
            item.put(put.build()?)
        }
        Write::Update { table, key, update, condition: _ } => {
            let update = expressions.update(&update);
            let update = Update::builder()
                .table_name(table)
                .set_key(Some(key_attributes(&key)))
                .set_update_expression(update)
                .set_condition_expression(condition)
                .set_expression_attribute_names(expressions.names())
                .set_expression_attribute_values(expressions.values());
            item.update(update.build()?)
        }
        Write::Delete { table, key, condition: _ } => {
            let delete = Delete::builder()
                .table_name(table)
                .set_key(Some(key_attributes(&key)))
                .set_condition_expression(condition)
                .set_expression_attribute_names(expressions.names())
                .set_expression_attribute_values(expressions.values());
            item.delete(delete.build()?)
        }
        Write::Check { table, key, condition: _ } => {
            // A check that anything satisfies still needs its expression.
            let condition = condition.unwrap_or_else(|| expressions.constant(true));
            let check = ConditionCheck::builder()
                .table_name(table)
                .set_key(Some(key_attributes(&key)))
                .condition_expression(condition)
                .set_expression_attribute_names(expressions.names())
                .set_expression_attribute_values(expressions.values());
            item.condition_check(check.build()?)
        }
    }
    .build())
}
