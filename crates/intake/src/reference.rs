//! Reference tables: what records are enriched from.
//!
//! One item a row, under `<tenant>#<table>#<key>`, and one for the table itself, under `<tenant>#<table>`. A load replaces
//! rows one by one: a run that is under way meanwhile sees some of them old and some new. The table's *generation* grows
//! before and after every load, and cached rows carry it in their key: a run that is planned after a load never sees a
//! cached row from before it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use storage::{Cache, Clock, Condition, Key, Tables, tables::Update};
use tracing::warn;

use crate::{
    error::IntakeError,
    load::Load,
    runs::{from_item, to_item},
};

/// Whether a text can be a key: a DynamoDB partition key holds 2,048 bytes, tenant and table included.
pub fn is_key(text: &str) -> bool {
    (1..=KEY_BYTES_MAX).contains(&text.len())
}

/// The longest key.
pub const KEY_BYTES_MAX: usize = 1_024;

/// A reference row: values by column.
pub type Row = BTreeMap<String, String>;

/// What is known of a reference table as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableInfo {
    /// How often it was loaded.
    pub generation: u64,
    /// Its columns, the key among them.
    pub columns: Vec<String>,
    /// The column that its rows are found by.
    pub key_column: String,
    /// How many rows the last load brought.
    pub rows: u64,
    /// When that was.
    pub loaded_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct RowItem {
    columns: Row,
}

/// The `reference` table of the installation, with the cache before it.
#[derive(Clone)]
pub struct References {
    tables: Arc<dyn Tables>,
    table: String,
    cache: Arc<dyn Cache>,
}

/// Keys asked for in one call of the port: the cache takes them at once, DynamoDB in hundreds.
const KEYS_A_CALL: usize = 1_000;
/// Calls under way at once.
const CALLS_AT_ONCE: usize = 8;
/// A row that is cached too long only wastes memory: the generation keeps it from being wrong.
const CACHE_LIFETIME: Duration = Duration::from_secs(3_600);

impl References {
    /// The reference tables kept in `table`, cached in `cache`.
    pub fn new(tables: Arc<dyn Tables>, table: impl Into<String>, cache: Arc<dyn Cache>) -> Self {
        Self { tables, table: table.into(), cache }
    }

    /// What is known of a reference table; `None` if it was never loaded.
    pub async fn info(&self, tenant: &str, name: &str) -> Result<Option<TableInfo>, IntakeError> {
        let item = self.tables.get(&self.table, &table_key(tenant, name)).await?;
        Ok(item.map(from_item).transpose()?)
    }

    /// The rows of these keys (each once); a key without a row is not in the answer.
    pub async fn rows(
        &self,
        tenant: &str,
        name: &str,
        generation: u64,
        keys: &[String],
    ) -> Result<HashMap<String, Row>, IntakeError> {
        let found: Vec<Vec<(String, Row)>> = stream::iter(keys.chunks(KEYS_A_CALL))
            .map(|some| self.some_rows(tenant, name, generation, some))
            .buffer_unordered(CALLS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn some_rows(
        &self,
        tenant: &str,
        name: &str,
        generation: u64,
        keys: &[String],
    ) -> Result<Vec<(String, Row)>, IntakeError> {
        let cache_key = |key: &String| format!("{tenant}/reference/{name}/{generation}/{key}");
        let cache_keys: Vec<String> = keys.iter().map(cache_key).collect();
        let cached = self.cache.get_many(&cache_keys).await.unwrap_or_else(|error| {
            warn!(error = error_class::chain(&error), "cache unavailable");
            vec![None; keys.len()]
        });

        let mut found = Vec::with_capacity(keys.len());
        let mut missed = Vec::new();
        for (key, value) in keys.iter().zip(cached) {
            match value.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
                Some(row) => found.push((key.clone(), row)),
                None => missed.push(key),
            }
        }
        if missed.is_empty() {
            return Ok(found);
        }

        let table_keys: Vec<Key> = missed.iter().map(|key| row_key(tenant, name, key)).collect();
        let items = self.tables.get_many(&self.table, &table_keys).await?;
        let mut to_cache = Vec::new();
        for (key, item) in missed.into_iter().zip(items) {
            // No negative entries: a row that is loaded later in this generation must be seen.
            let Some(item) = item else { continue };
            let row = from_item::<RowItem>(item)?.columns;
            if let Ok(value) = serde_json::to_vec(&row) {
                to_cache.push((cache_key(key), Bytes::from(value)));
            }
            found.push((key.clone(), row));
        }
        if !to_cache.is_empty()
            && let Err(error) = self.cache.put_many(to_cache, CACHE_LIFETIME).await
        {
            warn!(error = error_class::chain(&error), "cache unavailable");
        }
        Ok(found)
    }

    /// Puts rows, in place of those with the same key. Readers are sure to see them once the load has ended.
    pub(crate) async fn put_rows(
        &self,
        tenant: &str,
        name: &str,
        rows: impl IntoIterator<Item = (String, Row)>,
    ) -> Result<(), IntakeError> {
        let mut items = Vec::new();
        for (key, columns) in rows {
            let mut item = to_item(&RowItem { columns })?;
            item.insert("pk".into(), row_key(tenant, name, &key).partition.into());
            items.push(item);
        }
        Ok(self.tables.put_many(&self.table, items).await?)
    }

    /// Begins a load: what is cached from now on, old and new rows together, is not served after it, even if it breaks
    /// off. A table that was never loaded has nothing cached.
    pub(crate) async fn loading(&self, load: Load<'_>) -> Result<(), IntakeError> {
        let update = Update { add: vec![("generation".to_owned(), 1)], ..Update::default() };
        self.tables.update(&self.table, &table_key(load.tenant, load.table), update, Condition::Present).await?;
        Ok(())
    }

    /// Ends a load: the table has these columns and a new generation.
    pub(crate) async fn loaded(
        &self,
        load: Load<'_>,
        columns: &[String],
        rows: u64,
        clock: &dyn Clock,
    ) -> Result<(), IntakeError> {
        let set = [
            ("columns", serde_json::json!(columns)),
            ("key_column", load.key_column.into()),
            ("rows", rows.into()),
            ("loaded_at", clock.now().to_string().into()),
        ];
        let update = Update {
            set: set.map(|(attribute, value)| (attribute.to_owned(), value)).to_vec(),
            add: vec![("generation".to_owned(), 1)],
            remove: Vec::new(),
        };
        let key = table_key(load.tenant, load.table);
        self.tables.update(&self.table, &key, update, Condition::Always).await?;
        Ok(())
    }
}

fn table_key(tenant: &str, name: &str) -> Key {
    Key::of(format!("{tenant}#{name}"))
}

fn row_key(tenant: &str, name: &str, key: &str) -> Key {
    Key::of(format!("{tenant}#{name}#{key}"))
}
