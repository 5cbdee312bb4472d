//! Tables that do what they are asked, but not at once.

use std::sync::Arc;

use serde_json::Value;
use storage::{
    Condition, Item, Key, StorageError, Tables,
    tables::{Outcome, Page, Query, Transaction, Update, Write},
};
use tokio::sync::Notify;

/// Tables that do what they are asked, but not at once.
pub(crate) struct Hindered {
    pub(crate) tables: Arc<dyn Tables>,
    /// Whether a worker sees no cursors, and waits where it reads them.
    pub(crate) stalls: bool,
    /// How often a look-up has to be asked again for what was left unprocessed.
    pub(crate) repeats: u64,
    pub(crate) reached: Notify,
    pub(crate) go_on: Notify,
}

impl Hindered {
    pub(crate) fn new(tables: Arc<dyn Tables>) -> Self {
        let (reached, go_on) = (Notify::new(), Notify::new());
        Self { tables, stalls: false, repeats: 0, reached, go_on }
    }
}

#[async_trait::async_trait]
impl Tables for Hindered {
    async fn get(&self, table: &str, key: &Key) -> Result<Option<Item>, StorageError> {
        self.tables.get(table, key).await
    }

    async fn get_many(&self, table: &str, keys: &[Key]) -> Result<Vec<Option<Item>>, StorageError> {
        self.tables.get_many(table, keys).await
    }

    async fn get_values_counted(
        &self,
        table: &str,
        keys: &[Key],
        names: &[&str],
    ) -> Result<(Vec<Option<Vec<Value>>>, u64), StorageError> {
        let (values, requests) = self.tables.get_values_counted(table, keys, names).await?;
        Ok((values, requests + self.repeats))
    }

    async fn put(&self, table: &str, item: Item, condition: Condition) -> Result<Outcome, StorageError> {
        self.tables.put(table, item, condition).await
    }

    async fn put_many(&self, table: &str, items: Vec<Item>) -> Result<(), StorageError> {
        self.tables.put_many(table, items).await
    }

    async fn update(
        &self,
        table: &str,
        key: &Key,
        update: Update,
        condition: Condition,
    ) -> Result<Outcome, StorageError> {
        self.tables.update(table, key, update, condition).await
    }

    async fn delete(&self, table: &str, key: &Key, condition: Condition) -> Result<Outcome, StorageError> {
        self.tables.delete(table, key, condition).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StorageError> {
        if self.stalls && query.sort_prefix.as_ref().is_some_and(|prefix| prefix.starts_with("cursor#")) {
            self.reached.notify_one();
            self.go_on.notified().await;
            return Ok(Page { items: Vec::new(), next: None });
        }
        self.tables.query(query).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transaction, StorageError> {
        self.tables.transact(writes).await
    }
}
