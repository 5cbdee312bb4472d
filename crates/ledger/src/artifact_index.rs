//! The index: where the current version of each artifact is, in the table `artifacts`.
//!
//! | pk | item |
//! |---|---|
//! | `<tenant>#<ledger>#<hash>#<key>` | [`IndexEntry`]: `file`, `offset`, `length`, `sequence` |
//!
//! Items have no expiry and are never deleted: an artifact that the index has forgotten would begin anew.

use std::sync::Arc;

use serde_json::Value;
use storage::{Condition, Item, Key, StorageError, Tables, tables::Outcome};

use crate::{
    error::LedgerError,
    index_entry::IndexEntry,
    layout::{artifact_key, artifact_place},
    manifest::LedgerId,
    sequence::BatchSequence,
};

/// The attribute that puts are conditional on.
const SEQUENCE: &str = "sequence";
/// The attributes of an entry, in the order in which they are put.
const ATTRIBUTES: [&str; 4] = ["file", "offset", "length", SEQUENCE];

/// The index of all ledgers.
#[derive(Clone)]
pub(crate) struct ArtifactIndex {
    tables: Arc<dyn Tables>,
    table: String,
}

/// What became of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexPut {
    /// The entry stands; perhaps since an earlier try.
    Confirmed,
    /// A later version stands, or this one at another place. That is right only where index of the job is committed:
    /// then jobs behind it may have been indexed, and files compacted. Otherwise an update has been lost.
    Overtaken(BatchSequence),
}

impl ArtifactIndex {
    /// The index kept in `table`.
    pub(crate) fn new(tables: Arc<dyn Tables>, table: impl Into<String>) -> Self {
        Self { tables, table: table.into() }
    }

    /// The entries of the keys, in their order, read consistently; `None` where there is no such artifact. And how many
    /// requests that took. A key that was not answered is an error.
    pub(crate) async fn get_many(
        &self,
        ledger: &LedgerId,
        keys: &[&str],
    ) -> Result<(Vec<Option<IndexEntry>>, u64), StorageError> {
        // In the order of the rows, so that a table that has an order is read along it.
        let mut order: Vec<(u16, usize)> = keys.iter().map(|key| artifact_place(key)).zip(0..).collect();
        order.sort_unstable();
        let order: Vec<usize> = order.into_iter().map(|(_, number)| number).collect();
        let row = |number: &usize| Some(Key::of(artifact_key(ledger, keys.get(*number)?)));
        let rows: Vec<Key> = order.iter().filter_map(row).collect();
        let (items, lookups) = self.tables.get_values_counted(&self.table, &rows, &ATTRIBUTES).await?;
        if items.len() != keys.len() {
            return Err(self.unreadable(format!("{} items were answered for {} keys", items.len(), keys.len())));
        }
        let mut entries: Vec<Option<IndexEntry>> = vec![None; keys.len()];
        for (number, item) in order.into_iter().zip(items) {
            if let (Some(entry), Some(values)) = (entries.get_mut(number), item) {
                *entry = Some(self.entry_of(values)?);
            }
        }
        Ok((entries, lookups))
    }

    /// Lets the index name a new version, computed from the one of sequence `previous`, in whose place it is put: there,
    /// or nowhere.
    pub(crate) async fn put(
        &self,
        ledger: &LedgerId,
        key: &str,
        entry: &IndexEntry,
        previous: Option<BatchSequence>,
    ) -> Result<IndexPut, LedgerError> {
        let condition = match previous {
            None => Condition::Absent,
            Some(previous) => Condition::Equals(SEQUENCE.to_owned(), previous.get().into()),
        };
        let standing = match self.tables.put(&self.table, self.item(ledger, key, entry.clone()), condition).await? {
            Outcome::Written => return Ok(IndexPut::Confirmed),
            Outcome::Refused(standing) => standing.map(|item| self.entry(item)).transpose()?,
        };
        match standing {
            Some(standing) if standing == *entry => Ok(IndexPut::Confirmed),
            Some(standing) if standing.sequence >= entry.sequence => Ok(IndexPut::Overtaken(standing.sequence)),
            standing => Err(LedgerError::LostUpdate {
                key: key.to_owned(),
                expected: previous.unwrap_or_default(),
                found: standing.map_or(BatchSequence::ZERO, |standing| standing.sequence),
            }),
        }
    }

    fn item(&self, ledger: &LedgerId, key: &str, entry: IndexEntry) -> Item {
        let IndexEntry { file, offset, length, sequence } = entry;
        let mut item = Item::with_capacity(5);
        for (name, value) in [
            ("file", Value::String(file)),
            ("offset", offset.into()),
            ("length", length.into()),
            (SEQUENCE, sequence.get().into()),
            ("pk", Value::String(artifact_key(ledger, key))),
        ] {
            item.insert(name.to_owned(), value);
        }
        item
    }

    /// The entry of an item, which has its attributes and no others.
    fn entry(&self, item: Item) -> Result<IndexEntry, StorageError> {
        let (mut file, mut offset, mut length, mut sequence) = (None, None, None, None);
        for (name, value) in item {
            match (name.as_str(), value) {
                ("pk", _) => {}
                ("file", Value::String(value)) => file = Some(value),
                ("offset", value) => offset = value.as_u64(),
                ("length", value) => length = value.as_u64(),
                (SEQUENCE, value) => sequence = value.as_u64().map(BatchSequence::new),
                (_, value) => return Err(self.unreadable(format!("attribute {name} is {value}"))),
            }
        }
        let entry = file.zip(offset).zip(length).zip(sequence);
        let entry = entry.map(|(((file, offset), length), sequence)| IndexEntry { file, offset, length, sequence });
        entry.ok_or_else(|| self.unreadable("an attribute is missing, or no whole number".to_owned()))
    }

    /// The entry of an item's [`ATTRIBUTES`].
    fn entry_of(&self, values: Vec<Value>) -> Result<IndexEntry, StorageError> {
        let values = <[Value; ATTRIBUTES.len()]>::try_from(values);
        if let Ok([Value::String(file), offset, length, sequence]) = values
            && let (Some(offset), Some(length), Some(sequence)) =
                (offset.as_u64(), length.as_u64(), sequence.as_u64().map(BatchSequence::new))
        {
            return Ok(IndexEntry { file, offset, length, sequence });
        }
        Err(self.unreadable("an attribute is missing, no text, or no whole number".to_owned()))
    }

    fn unreadable(&self, reason: String) -> StorageError {
        StorageError::Invalid { what: format!("an item of table {}", self.table), reason }
    }
}
