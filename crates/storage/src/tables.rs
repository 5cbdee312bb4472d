//! Tables: small items found by key, with conditions and transactions.
//!
//! Every table has the text attribute `pk` (the partition) and, where its items are sorted within a partition, `sk`.
//! An index `x` of a table has `x_pk` and `x_sk`; items without them are not in it. All reads but those of an index
//! are strongly consistent.

mod check;
mod evaluate;

use async_trait::async_trait;
use serde_json::Value;

pub use check::{
    ITEM_BYTES_MAX, PARTITION_BYTES_MAX, SORT_BYTES_MAX, TRANSACTION_WRITES_MAX, check_condition, check_item,
    check_transaction, check_update, item_bytes,
};
pub use evaluate::page_of;

use crate::StorageError;

/// An item: attributes by name, `pk` and `sk` among them. Numbers are JSON numbers and must fit `i64` or `u64`;
/// amounts are text, because no float may touch them. `null`, booleans, lists and maps are allowed.
pub type Item = serde_json::Map<String, Value>;

/// The key of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The attribute `pk`.
    pub partition: String,
    /// The attribute `sk`, in tables that have one.
    pub sort: Option<String>,
}

impl Key {
    /// A key in a table without `sk`.
    pub fn of(partition: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: None }
    }

    /// A key in a table with `sk`.
    pub fn sorted(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: Some(sort.into()) }
    }
}

/// The most keys that one call of DynamoDB's `BatchGetItem` asks for. Adapters without such a call count as if they had it.
pub const KEYS_A_CALL_MAX: usize = 100;

/// What must hold of the item that stands at the key for a write to happen.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Anything goes.
    Always,
    /// There is no item.
    Absent,
    /// There is an item.
    Present,
    /// There is an item, and this attribute equals this value.
    Equals(String, Value),
    /// There is an item, and this attribute is a number or text smaller than this value.
    Less(String, Value),
    /// There is no item, or it lacks this attribute.
    Lacks(String),
    /// All of them.
    All(Vec<Condition>),
    /// At least one of them.
    Any(Vec<Condition>),
}

/// What became of a conditional write.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was written.
    Written,
    /// The condition did not hold; this is the item that stands there, if any. It can be what this very call wrote, if
    /// the answer to a first try was lost and the adapter tried again: who must know looks at it.
    Refused(Option<Item>),
}

/// Changes to some attributes of one item; an item that is not there is made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    /// Attributes to set.
    pub set: Vec<(String, Value)>,
    /// Number attributes to add to; an absent one counts as zero.
    pub add: Vec<(String, i64)>,
    /// Attributes to remove.
    pub remove: Vec<String>,
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Puts a whole item.
    Put {
        /// The table's name.
        table: String,
        /// The item, with its key.
        item: Item,
        /// What must hold before.
        condition: Condition,
    },
    /// Changes some attributes.
    Update {
        /// The table's name.
        table: String,
        /// The item's key.
        key: Key,
        /// The changes.
        update: Update,
        /// What must hold before.
        condition: Condition,
    },
    /// Deletes the item.
    Delete {
        /// The table's name.
        table: String,
        /// The item's key.
        key: Key,
        /// What must hold before.
        condition: Condition,
    },
    /// Writes nothing; the transaction happens only if the condition holds.
    Check {
        /// The table's name.
        table: String,
        /// The item's key.
        key: Key,
        /// What must hold.
        condition: Condition,
    },
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Transaction {
    /// All of it was written.
    Written,
    /// None of it was: per write, in order, whether its own condition was the reason.
    Refused(Vec<bool>),
}

/// A question for the items of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The table's name.
    pub table: String,
    /// The index to ask instead of the table. Eventually consistent: for display only.
    pub index: Option<String>,
    /// The partition.
    pub partition: String,
    /// Only items whose sort key begins like this.
    pub sort_prefix: Option<String>,
    /// Last sort key first.
    pub descending: bool,
    /// At most this many items in one page.
    pub limit: Option<usize>,
    /// Where the page before ended.
    pub from: Option<Cursor>,
}

/// Where a page ended. Only [`Tables::query`] makes and reads one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub Item);

/// What an item has in these attributes, in the order of `names`; `null` for one that it lacks.
pub fn values_of(mut item: Item, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| item.remove(*name).unwrap_or_default()).collect()
}

/// Some items, in sort-key order.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// Where to go on; absent on the last page. A page can be short, or empty, and still have a next one.
    pub next: Option<Cursor>,
}

/// Tables of small items.
#[async_trait]
pub trait Tables: Send + Sync {
    /// The item at the key.
    async fn get(&self, table: &str, key: &Key) -> Result<Option<Item>, StorageError>;

    /// The items at the keys, in the order of the keys, `None` where there is none. Any number of keys, doubles
    /// allowed: the adapter cuts them into calls, and asks again for what the service left unprocessed. A key that
    /// stays unprocessed is an error, never "absent".
    async fn get_many(&self, table: &str, keys: &[Key]) -> Result<Vec<Option<Item>>, StorageError>;

    /// What the items at the keys have in these attributes, in the order of `names`; `null` where an item lacks one. No
    /// name comes twice, or is that of a key. All else is as [`get_many`](Self::get_many) has it. For many small items, of
    /// which an adapter need not make items.
    async fn get_values(
        &self,
        table: &str,
        keys: &[Key],
        names: &[&str],
    ) -> Result<Vec<Option<Vec<Value>>>, StorageError> {
        let items = self.get_many(table, keys).await?;
        Ok(items.into_iter().map(|item| item.map(|item| values_of(item, names))).collect())
    }

    /// The same, and how many requests it took: of [`KEYS_A_CALL_MAX`] keys each, and one more whenever a service left some
    /// of them unprocessed. What a client sends again by itself, when an answer is an error or none comes, is not counted.
    async fn get_values_counted(
        &self,
        table: &str,
        keys: &[Key],
        names: &[&str],
    ) -> Result<(Vec<Option<Vec<Value>>>, u64), StorageError> {
        let requests = keys.len().div_ceil(KEYS_A_CALL_MAX) as u64;
        Ok((self.get_values(table, keys, names).await?, requests))
    }

    /// Puts a whole item if the condition holds.
    async fn put(&self, table: &str, item: Item, condition: Condition) -> Result<Outcome, StorageError>;

    /// Puts items without conditions, any number of them, in no order. If two have the same key, one of them stays.
    async fn put_many(&self, table: &str, items: Vec<Item>) -> Result<(), StorageError>;

    /// Changes some attributes of an item if the condition holds.
    async fn update(
        &self,
        table: &str,
        key: &Key,
        update: Update,
        condition: Condition,
    ) -> Result<Outcome, StorageError>;

    /// Deletes an item if the condition holds. Deleting what is not there is no error.
    async fn delete(&self, table: &str, key: &Key, condition: Condition) -> Result<Outcome, StorageError>;

    /// The next page of a query.
    async fn query(&self, query: &Query) -> Result<Page, StorageError>;

    /// Does all of the writes (at most 100, each to another item) or none.
    async fn transact(&self, writes: Vec<Write>) -> Result<Transaction, StorageError>;
}
