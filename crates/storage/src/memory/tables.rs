use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Bound,
    sync::Mutex,
};

use async_trait::async_trait;

use super::lock;
use crate::{
    Condition, Item, Key, StorageError, Tables,
    tables::{
        Outcome, Page, Query, Transaction, Update, Write, check_condition, check_item, check_transaction, check_update,
        page_of,
    },
};

/// Tables in memory. A table's first use decides whether its items have a sort key.
#[derive(Default)]
pub struct MemoryTables {
    tables: Mutex<HashMap<String, Table>>,
}

#[derive(Default)]
struct Table {
    sorted: Option<bool>,
    items: BTreeMap<Key, Item>,
}

impl MemoryTables {
    /// Every item of a table, in key order.
    pub fn items(&self, table: &str) -> Vec<Item> {
        lock(&self.tables).get(table).map(|table| table.items.values().cloned().collect()).unwrap_or_default()
    }

    /// Runs `act` on a table, after the key has been checked against its shape.
    fn with<T>(
        &self,
        table: &str,
        key: &Key,
        act: impl FnOnce(&mut Table) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        key.check(table)?;
        let mut tables = lock(&self.tables);
        let found = tables.entry(table.to_owned()).or_default();
        found.check_shape(table, key)?;
        act(found)
    }
}

impl fmt::Debug for MemoryTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTables").field("tables", &lock(&self.tables).len()).finish()
    }
}

#[async_trait]
impl Tables for MemoryTables {
    async fn get(&self, table: &str, key: &Key) -> Result<Option<Item>, StorageError> {
        self.with(table, key, |table| Ok(table.items.get(key).cloned()))
    }

    async fn get_many(&self, table: &str, keys: &[Key]) -> Result<Vec<Option<Item>>, StorageError> {
        keys.iter().map(|key| self.with(table, key, |table| Ok(table.items.get(key).cloned()))).collect()
    }

    async fn put(&self, table: &str, item: Item, condition: Condition) -> Result<Outcome, StorageError> {
        let key = check_item(table, &item)?;
        check_condition(&key.address(table), &condition)?;
        self.with(table, &key.clone(), |table| {
            Ok(table.write(key, &condition, |items, key| {
                items.insert(key, item);
            }))
        })
    }

    async fn put_many(&self, table: &str, items: Vec<Item>) -> Result<(), StorageError> {
        for item in items {
            self.put(table, item, Condition::Always).await?;
        }
        Ok(())
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
        self.with(table, key, |found| {
            let current = found.items.get(key);
            if !condition.holds(current) {
                return Ok(Outcome::Refused(current.cloned()));
            }
            let updated = update.applied(table, key, current)?;
            found.items.insert(key.clone(), updated);
            Ok(Outcome::Written)
        })
    }

    async fn delete(&self, table: &str, key: &Key, condition: Condition) -> Result<Outcome, StorageError> {
        check_condition(&key.address(table), &condition)?;
        self.with(table, key, |table| {
            Ok(table.write(key.clone(), &condition, |items, key| {
                items.remove(&key);
            }))
        })
    }

    async fn query(&self, query: &Query) -> Result<Page, StorageError> {
        let tables = lock(&self.tables);
        page_of(query, tables.get(&query.table).into_iter().flat_map(|table| table.asked_for(query)))
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transaction, StorageError> {
        check_transaction(&writes)?;
        let mut tables = lock(&self.tables);
        let mut refused = Vec::with_capacity(writes.len());
        let mut changes = Vec::with_capacity(writes.len());
        for write in writes {
            let (name, key) = write.target()?;
            let table = tables.entry(name.to_owned()).or_default();
            table.check_shape(name, &key)?;
            let current = table.items.get(&key);
            let held = write.condition().holds(current);
            refused.push(!held);
            if held {
                let name = name.to_owned();
                let after = match write {
                    Write::Put { item, .. } => Some(item),
                    Write::Update { update, .. } => Some(update.applied(&name, &key, current)?),
                    Write::Delete { .. } => None,
                    Write::Check { .. } => continue,
                };
                changes.push((name, key, after));
            }
        }
        if refused.contains(&true) {
            return Ok(Transaction::Refused(refused));
        }
        for (name, key, after) in changes {
            let items = &mut tables.entry(name).or_default().items;
            match after {
                Some(item) => items.insert(key, item),
                None => items.remove(&key),
            };
        }
        Ok(Transaction::Written)
    }
}

impl Table {
    /// All that a query could ask for: its partition from its prefix on, or everything where it asks an index.
    fn asked_for(&self, query: &Query) -> impl Iterator<Item = &Item> {
        let of_index = query.index.is_some();
        let from = Key { partition: query.partition.clone(), sort: query.sort_prefix.clone() };
        let from = if of_index { Bound::Unbounded } else { Bound::Included(from) };
        let rows = self.items.range((from, Bound::Unbounded));
        rows.take_while(move |(key, _)| of_index || key.partition == query.partition).map(|(_, item)| item)
    }

    fn check_shape(&mut self, name: &str, key: &Key) -> Result<(), StorageError> {
        let sorted = *self.sorted.get_or_insert(key.sort.is_some());
        if sorted == key.sort.is_some() {
            return Ok(());
        }
        let reason = format!("items of this table have {} sort key", if sorted { "a" } else { "no" });
        Err(StorageError::Invalid { what: key.address(name), reason })
    }

    fn write(&mut self, key: Key, condition: &Condition, act: impl FnOnce(&mut BTreeMap<Key, Item>, Key)) -> Outcome {
        let current = self.items.get(&key);
        if !condition.holds(current) {
            return Outcome::Refused(current.cloned());
        }
        act(&mut self.items, key);
        Outcome::Written
    }
}
