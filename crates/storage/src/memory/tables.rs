use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Mutex,
};

use async_trait::async_trait;
use serde_json::{Number, Value};

use super::lock;
use crate::{
    Condition, Item, Key, StorageError, Tables,
    tables::{
        Cursor, Outcome, Page, Query, Transaction, Update, Write, check_condition, check_item, check_transaction,
        check_update, item_bytes,
    },
};

/// The most bytes of items in one page of a query: DynamoDB's bound.
const PAGE_BYTES: usize = 1024 * 1024;

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
            if !holds(&condition, current) {
                return Ok(Outcome::Refused(current.cloned()));
            }
            let updated = apply(table, key, &update, current)?;
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
        if query.limit == Some(0) {
            let reason = "a query's limit is at least 1".to_owned();
            return Err(StorageError::Invalid { what: query.table.clone(), reason });
        }
        let tables = lock(&self.tables);
        let items = tables.get(&query.table).into_iter().flat_map(|table| table.items.values());
        let order = Order::of(query);
        let mut found: Vec<&Item> = items.filter(|item| order.takes(query, item)).collect();
        found.sort_by(|a, b| order.compare(a, b));
        if let Some(Cursor(last)) = &query.from {
            found.retain(|item| order.compare(item, last).is_gt());
        }
        Ok(order.page(found, query.limit.unwrap_or(usize::MAX)))
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
            let held = holds(write.condition(), current);
            refused.push(!held);
            if held {
                let name = name.to_owned();
                let after = match write {
                    Write::Put { item, .. } => Some(item),
                    Write::Update { update, .. } => Some(apply(&name, &key, &update, current)?),
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
        if !holds(condition, current) {
            return Outcome::Refused(current.cloned());
        }
        act(&mut self.items, key);
        Outcome::Written
    }
}

/// Whether the condition holds of what stands at the key.
fn holds(condition: &Condition, item: Option<&Item>) -> bool {
    let attribute = |name: &String| item.and_then(|item| item.get(name));
    match condition {
        Condition::Always => true,
        Condition::Absent => item.is_none(),
        Condition::Present => item.is_some(),
        Condition::Equals(name, value) => attribute(name) == Some(value),
        Condition::Less(name, value) => match (attribute(name), value) {
            (Some(Value::String(found)), Value::String(bound)) => found < bound,
            (Some(Value::Number(found)), Value::Number(bound)) => integer(found) < integer(bound),
            _ => false,
        },
        Condition::Lacks(name) => attribute(name).is_none(),
        Condition::All(parts) => parts.iter().all(|part| holds(part, item)),
        Condition::Any(parts) => parts.iter().any(|part| holds(part, item)),
    }
}

/// The value of a number that has been checked to be a whole one of 64 bits.
fn integer(number: &Number) -> i128 {
    number.as_i128().unwrap_or_default()
}

/// The item after the update.
fn apply(table: &str, key: &Key, update: &Update, current: Option<&Item>) -> Result<Item, StorageError> {
    let mut item = current.cloned().unwrap_or_else(|| key.attributes());
    for (name, value) in &update.set {
        item.insert(name.clone(), value.clone());
    }
    for (name, addend) in &update.add {
        let sum = match item.get(name) {
            None => Some(i128::from(*addend)),
            Some(Value::Number(number)) => Some(integer(number) + i128::from(*addend)),
            Some(_) => None,
        };
        let number = sum.and_then(Number::from_i128).ok_or_else(|| StorageError::Invalid {
            what: key.address(table),
            reason: format!("adding {addend} to attribute {name} gives no whole number of 64 bits"),
        })?;
        item.insert(name.clone(), Value::Number(number));
    }
    for name in &update.remove {
        item.shift_remove(name);
    }
    check_item(table, &item)?;
    Ok(item)
}

/// Which attributes a query goes by: the table's own or an index's.
struct Order {
    partition: String,
    sort: String,
    descending: bool,
}

impl Order {
    fn of(query: &Query) -> Self {
        let (partition, sort) = match &query.index {
            Some(index) => (format!("{index}_pk"), format!("{index}_sk")),
            None => ("pk".to_owned(), "sk".to_owned()),
        };
        Self { partition, sort, descending: query.descending }
    }

    fn takes(&self, query: &Query, item: &Item) -> bool {
        let sort = text(item, &self.sort);
        text(item, &self.partition) == Some(&query.partition)
            && (query.index.is_none() || sort.is_some())
            && query.sort_prefix.as_ref().is_none_or(|prefix| sort.is_some_and(|sort| sort.starts_with(prefix)))
    }

    /// By sort key; those of an index are not unique, so the item's own key breaks the tie.
    fn compare(&self, a: &Item, b: &Item) -> Ordering {
        let key = |item| [text(item, &self.sort), text(item, "pk"), text(item, "sk")];
        let order = key(a).cmp(&key(b));
        if self.descending { order.reverse() } else { order }
    }

    fn page(&self, found: Vec<&Item>, limit: usize) -> Page {
        let mut items = Vec::new();
        let mut bytes = 0;
        for item in found {
            items.push(item.clone());
            bytes += item_bytes(item);
            if items.len() >= limit || bytes >= PAGE_BYTES {
                let next = Some(Cursor(self.cursor(item)));
                return Page { items, next };
            }
        }
        Page { items, next: None }
    }

    fn cursor(&self, item: &Item) -> Item {
        let keys = ["pk", "sk", &self.partition, &self.sort];
        keys.into_iter().filter_map(|name| Some((name.to_owned(), item.get(name)?.clone()))).collect()
    }
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).and_then(Value::as_str)
}
