//! Reads and writes of many items at once, in calls of the size that DynamoDB takes.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    types::{KeysAndAttributes, PutRequest, WriteRequest},
};
use futures::{StreamExt, TryStreamExt, stream};
use storage::{
    Item, Key, StorageError,
    tables::{KEYS_A_CALL_MAX, check_item},
};

use super::{
    Attributes,
    values::{from_attributes, key_attributes, to_attributes},
};
use crate::{backoff::Backoff, error::classify};

/// The most puts in one call.
const PUTS_MAX: usize = 25;
/// How many calls are under way at once.
const PARALLEL: usize = 4;
/// How often a call is made again that got nothing done.
const IDLE_TRIES: u32 = 10;

/// The items at the keys, in their order, and how many requests that took.
pub(super) async fn get_many(
    client: &Client,
    table: &str,
    keys: &[Key],
) -> Result<(Vec<Option<Item>>, u64), StorageError> {
    keys.iter().try_for_each(|key| key.check(table))?;
    let mut found: HashMap<&Key, Option<Item>> = keys.iter().map(|key| (key, None)).collect();
    let distinct: Vec<&Key> = found.keys().copied().collect();
    let batches = distinct.chunks(KEYS_A_CALL_MAX).map(|keys| keys.iter().map(|key| key_attributes(key)).collect());
    let batches: Vec<Vec<Attributes>> = batches.collect();
    let mut answers =
        stream::iter(batches.into_iter().map(|keys| get_batch(client, table, keys))).buffer_unordered(PARALLEL);
    let mut requests = 0;
    while let Some((items, asked)) = answers.try_next().await? {
        requests += asked;
        for item in items {
            let key = Key::of_item(table, &item)?;
            if let Some(place) = found.get_mut(&key) {
                *place = Some(item);
            }
        }
    }
    drop(answers);
    Ok((keys.iter().map(|key| found.get(key).cloned().flatten()).collect(), requests))
}

/// Every item at up to [`KEYS_A_CALL_MAX`] distinct keys, and how many requests that took.
async fn get_batch(client: &Client, table: &str, mut keys: Vec<Attributes>) -> Result<(Vec<Item>, u64), StorageError> {
    let (mut items, mut requests) = (Vec::with_capacity(keys.len()), 0);
    let mut backoff = Backoff::tries(IDLE_TRIES);
    while !keys.is_empty() {
        let asked = keys.len();
        let request = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let request =
            request.map_err(|error| StorageError::Invalid { what: table.to_owned(), reason: error.to_string() })?;
        requests += 1;
        let answer = client.batch_get_item().request_items(table, request).send().await;
        let answer = answer.map_err(|error| classify("dynamodb:BatchGetItem", table, error))?;
        for item in answer.responses.into_iter().flatten().flat_map(|(_, items)| items) {
            items.push(from_attributes(table, item)?);
        }
        keys = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, left)| left.keys).collect();
        settle(table, asked, keys.len(), &mut backoff).await?;
    }
    Ok((items, requests))
}

pub(super) async fn put_many(client: &Client, table: &str, items: Vec<Item>) -> Result<(), StorageError> {
    // One call may not name a key twice.
    let mut distinct = HashMap::with_capacity(items.len());
    for item in items {
        distinct.insert(check_item(table, &item)?, item);
    }
    let items: Vec<Item> = distinct.into_values().collect();
    let batches: Vec<_> = items.chunks(PUTS_MAX).map(<[Item]>::to_vec).collect();
    stream::iter(batches.into_iter().map(|items| put_batch(client, table, items)))
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await
}

/// Puts up to [`PUTS_MAX`] items with distinct keys.
async fn put_batch(client: &Client, table: &str, items: Vec<Item>) -> Result<(), StorageError> {
    let invalid = |reason: String| StorageError::Invalid { what: table.to_owned(), reason };
    let mut requests = Vec::with_capacity(items.len());
    for item in items {
        let put = PutRequest::builder().set_item(Some(to_attributes(item))).build();
        let put = put.map_err(|error| invalid(error.to_string()))?;
        requests.push(WriteRequest::builder().put_request(put).build());
    }
    let mut backoff = Backoff::tries(IDLE_TRIES);
    while !requests.is_empty() {
        let asked = requests.len();
        let answer = client.batch_write_item().request_items(table, requests).send().await;
        let answer = answer.map_err(|error| classify("dynamodb:BatchWriteItem", table, error))?;
        requests = answer.unprocessed_items.into_iter().flatten().flat_map(|(_, left)| left).collect();
        settle(table, asked, requests.len(), &mut backoff).await?;
    }
    Ok(())
}

/// What a call left undone is asked again: at once after progress (an answer holds 16 MiB), else later and later, and
/// at last not any more.
async fn settle(table: &str, asked: usize, left: usize, backoff: &mut Backoff) -> Result<(), StorageError> {
    if left < asked {
        *backoff = Backoff::tries(IDLE_TRIES);
        return Ok(());
    }
    if backoff.wait().await {
        return Ok(());
    }
    let source = format!("{left} items stayed unprocessed, however often they were asked for").into();
    Err(StorageError::Throttled { what: table.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_stays_unprocessed_is_an_error_and_progress_a_fresh_start() {
        let mut spent = Backoff::tries(0);
        let stuck = settle("table", 5, 5, &mut spent).await.unwrap_err();
        assert!(matches!(stuck, StorageError::Throttled { .. }));
        settle("table", 5, 4, &mut spent).await.unwrap();
        settle("table", 4, 4, &mut spent).await.unwrap();
    }
}
