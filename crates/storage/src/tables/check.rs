//! What every version of [`Tables`](super::Tables) refuses: DynamoDB's bounds, kept also where a service or an
//! emulator would not keep them.

use std::collections::HashSet;

use serde_json::{Number, Value};

use super::{Condition, Item, Key, Update, Write};
use crate::StorageError;

/// The largest item, in bytes, as DynamoDB counts them.
pub const ITEM_BYTES_MAX: usize = 400 * 1024;
/// The longest partition key, in bytes.
pub const PARTITION_BYTES_MAX: usize = 2048;
/// The longest sort key, in bytes.
pub const SORT_BYTES_MAX: usize = 1024;
/// The most writes in one transaction.
pub const TRANSACTION_WRITES_MAX: usize = 100;

impl Key {
    /// The key of an item. [`StorageError::Invalid`] where `pk` is missing, or `pk` or `sk` is no text, empty or too
    /// long.
    pub fn of_item(table: &str, item: &Item) -> Result<Self, StorageError> {
        let text = |name: &str| match item.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(invalid(table, format!("attribute {name} is a key and must be text"))),
        };
        let partition = text("pk")?.ok_or_else(|| invalid(table, "an item without attribute pk".to_owned()))?;
        let key = Self { partition, sort: text("sk")? };
        key.check(table)?;
        Ok(key)
    }

    /// Refuses empty and overlong keys.
    pub fn check(&self, table: &str) -> Result<(), StorageError> {
        let sort = self.sort.as_deref().map(|sort| ("sk", sort, SORT_BYTES_MAX));
        for (name, text, bytes_max) in [("pk", self.partition.as_str(), PARTITION_BYTES_MAX)].into_iter().chain(sort) {
            if text.is_empty() || text.len() > bytes_max {
                return Err(invalid(table, format!("{name} has {} bytes, not 1 to {bytes_max}", text.len())));
            }
        }
        Ok(())
    }

    /// The full address of the item, as errors and logs name it: `table/pk` or `table/pk/sk`.
    pub fn address(&self, table: &str) -> String {
        match &self.sort {
            Some(sort) => format!("{table}/{}/{sort}", self.partition),
            None => format!("{table}/{}", self.partition),
        }
    }

    /// The key's attributes.
    pub fn attributes(&self) -> Item {
        let sort = self.sort.iter().map(|sort| ("sk".to_owned(), Value::from(sort.as_str())));
        [("pk".to_owned(), Value::from(self.partition.as_str()))].into_iter().chain(sort).collect()
    }
}

/// Refuses an item with a bad key, a nameless attribute, a number outside `i64` and `u64`, or more than [`ITEM_BYTES_MAX`]; returns its key.
pub fn check_item(table: &str, item: &Item) -> Result<Key, StorageError> {
    let key = Key::of_item(table, item)?;
    let what = || key.address(table);
    item.iter().try_for_each(|(name, value)| check_value(&what, name, value))?;
    let bytes = item_bytes(item);
    if bytes > ITEM_BYTES_MAX {
        return Err(invalid(&what(), format!("has {bytes} bytes, more than {ITEM_BYTES_MAX}")));
    }
    Ok(key)
}

/// Refuses an update that changes the key, changes an attribute twice, or sets a number outside `i64` and `u64`.
pub fn check_update(table: &str, key: &Key, update: &Update) -> Result<(), StorageError> {
    key.check(table)?;
    let what = key.address(table);
    let set = update.set.iter().map(|(name, _)| name);
    let mut seen = HashSet::new();
    for name in set.chain(update.add.iter().map(|(name, _)| name)).chain(&update.remove) {
        if name == "pk" || name == "sk" {
            return Err(invalid(&what, format!("attribute {name} is part of the key and cannot be changed")));
        }
        if !seen.insert(name) {
            return Err(invalid(&what, format!("attribute {name} is changed twice")));
        }
    }
    update.set.iter().try_for_each(|(name, value)| check_value(&|| what.clone(), name, value))
}

/// Refuses comparisons that no service can make.
pub fn check_condition(what: &str, condition: &Condition) -> Result<(), StorageError> {
    match condition {
        Condition::Less(_, Value::String(_)) => Ok(()),
        Condition::Less(name, value @ Value::Number(_)) | Condition::Equals(name, value) => {
            check_value(&|| what.to_owned(), name, value)
        }
        Condition::Less(name, value) => {
            Err(invalid(what, format!("attribute {name} can be smaller than a number or a text, not than {value}")))
        }
        Condition::All(parts) | Condition::Any(parts) => parts.iter().try_for_each(|part| check_condition(what, part)),
        Condition::Always | Condition::Absent | Condition::Present | Condition::Lacks(_) => Ok(()),
    }
}

/// Refuses a transaction that is too long, writes one item twice, or has a write that alone would be refused.
pub fn check_transaction(writes: &[Write]) -> Result<(), StorageError> {
    if writes.len() > TRANSACTION_WRITES_MAX {
        let reason = format!("has {} writes, more than {TRANSACTION_WRITES_MAX}", writes.len());
        return Err(invalid("transaction", reason));
    }
    let mut seen = HashSet::new();
    for write in writes {
        let (table, key) = write.target()?;
        let what = key.address(table);
        check_condition(&what, write.condition())?;
        match write {
            Write::Put { item, .. } => check_item(table, item).map(drop)?,
            Write::Update { update, .. } if *update == Update::default() => {
                return Err(invalid(&what, "an update in a transaction must change something".to_owned()));
            }
            Write::Update { update, .. } => check_update(table, &key, update)?,
            Write::Delete { .. } | Write::Check { .. } => key.check(table)?,
        }
        if !seen.insert((table, key)) {
            return Err(invalid(&what, "is written twice in one transaction".to_owned()));
        }
    }
    Ok(())
}

impl Write {
    /// The table and key that it is about.
    pub fn target(&self) -> Result<(&str, Key), StorageError> {
        match self {
            Self::Put { table, item, .. } => Ok((table, Key::of_item(table, item)?)),
            Self::Update { table, key, .. } | Self::Delete { table, key, .. } | Self::Check { table, key, .. } => {
                Ok((table, key.clone()))
            }
        }
    }

    /// What must hold before.
    pub fn condition(&self) -> &Condition {
        match self {
            Self::Put { condition, .. }
            | Self::Update { condition, .. }
            | Self::Delete { condition, .. }
            | Self::Check { condition, .. } => condition,
        }
    }
}

/// The size of an item, in bytes, near to how DynamoDB counts it: names and values as UTF-8, numbers about half a byte
/// a digit, a few bytes for each list and map.
pub fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => number.to_string().len() / 2 + 2,
        Value::String(text) => text.len(),
        Value::Array(values) => 3 + values.iter().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        Value::Object(map) => 3 + map.iter().map(|(name, value)| 1 + name.len() + value_bytes(value)).sum::<usize>(),
    }
}

/// `what` names the item, should it be refused: most are not, and to name them all would cost more than to check them.
fn check_value(what: &dyn Fn() -> String, name: &str, value: &Value) -> Result<(), StorageError> {
    if name.is_empty() {
        return Err(invalid(&what(), "an attribute has no name".to_owned()));
    }
    match value {
        Value::Number(number) if !is_integer(number) => {
            Err(invalid(&what(), format!("attribute {name} is {number}, which is no whole number of 64 bits")))
        }
        Value::Array(values) => values.iter().try_for_each(|value| check_value(what, name, value)),
        Value::Object(map) => map.iter().try_for_each(|(name, value)| check_value(what, name, value)),
        _ => Ok(()),
    }
}

fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64()
}

fn invalid(what: &str, reason: String) -> StorageError {
    StorageError::Invalid { what: what.to_owned(), reason }
}
