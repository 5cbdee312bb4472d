//! Rows by key: those of the database, and those that were written since it was last committed to.

use std::{collections::HashMap, fmt, path::PathBuf, sync::Arc};

use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition, TableError, TableHandle};
use storage::{Key, StorageError};

use crate::{
    pending::Pending,
    row_key,
    rows::Texts,
    walk::{Row, Walk},
};

/// What is written gathers up to so many bytes, before it is committed in the order of its keys: a page of the database
/// then takes many changes at once. A commit rewrites every page that it changes, which is most of them where the keys
/// lie all over a table: the fewer commits, the better.
const PENDING_BYTES_MAX: usize = 160 << 20;

/// The texts that rows hold the numbers of.
const TEXTS: TableDefinition<'_, u32, &str> = TableDefinition::new("texts");
/// Names of tables begin with this in the database, so that none is taken for another.
const PREFIX: &str = "table ";

/// Rows by their keys, see [`row_key`].
pub(crate) type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

/// What is committed: stays as it is for whoever holds it.
pub(crate) struct Committed {
    path: PathBuf,
    tables: HashMap<String, Rows>,
}

impl Committed {
    fn read(database: &Database, path: PathBuf) -> Result<Self, StorageError> {
        let open = || -> Result<HashMap<String, Rows>, redb::Error> {
            let reading = database.begin_read()?;
            let names = reading.list_tables()?.filter_map(|table| Some(table.name().strip_prefix(PREFIX)?.to_owned()));
            let open = |name: String| Ok((name.clone(), reading.open_table(definition(&format!("{PREFIX}{name}")))?));
            names.map(open).collect()
        };
        let tables = open().map_err(|error| failed(error, path.display()))?;
        Ok(Self { path, tables })
    }

    /// The row of a key, if there is one.
    pub(crate) fn get(&self, table: &str, key: &[u8]) -> Result<Option<Box<[u8]>>, StorageError> {
        let Some(rows) = self.tables.get(table) else { return Ok(None) };
        let row = rows.get(key).map_err(|error| failed(error.into(), self.path.display()))?;
        Ok(row.map(|row| row.value().into()))
    }

    /// Whether the items of a table have a sort key, as its first shows. `None` where there is none.
    fn is_sorted(&self, table: &str) -> Result<Option<bool>, StorageError> {
        let Some(rows) = self.tables.get(table) else { return Ok(None) };
        let first = rows.first().map_err(|error| failed(error.into(), self.path.display()))?;
        Ok(first.and_then(|(key, _)| row_key::parse(key.value())).map(|key| key.sort.is_some()))
    }

    /// Gives `take` the row of each key, or that there is none, with the number that stands beside the key. The keys are
    /// in order, and any number of them may be the same.
    pub(crate) fn get_in_order<'k>(
        &self,
        table: &str,
        keys: impl Iterator<Item = (&'k [u8], usize)>,
        mut take: impl FnMut(usize, Option<&[u8]>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut walk = self.tables.get(table).map(Walk::new);
        for (key, number) in keys {
            match &mut walk {
                None => take(number, None)?,
                Some(walk) => {
                    let row = walk.to(key).map_err(|error| failed(error.into(), self.path.display()))?;
                    take(number, row.as_ref().map(Row::value))?;
                }
            }
        }
        Ok(())
    }

    /// Gives `take` the keys and rows of a table from `first` on, until it says that it has enough.
    pub(crate) fn each(
        &self,
        table: &str,
        first: &[u8],
        mut take: impl FnMut(&[u8], &[u8]) -> Result<bool, StorageError>,
    ) -> Result<(), StorageError> {
        let failed = |error: redb::StorageError| failed(error.into(), self.path.display());
        let Some(rows) = self.tables.get(table) else { return Ok(()) };
        for row in rows.range(first..).map_err(failed)? {
            let (key, row) = row.map_err(failed)?;
            if !take(key.value(), row.value())? {
                break;
            }
        }
        Ok(())
    }
}

/// All tables.
pub(crate) struct Store {
    committed: Arc<Committed>,
    pending: HashMap<String, Pending>,
    /// Of the tables that were asked for, whether their items have a sort key.
    sorted: HashMap<String, bool>,
    texts: Arc<Texts>,
    /// How many of the texts are committed.
    texts_committed: u32,
    database: Database,
}

impl Store {
    pub(crate) fn new(database: Database, path: PathBuf) -> Result<Self, StorageError> {
        let texts = read_texts(&database).map_err(|error| failed(error, path.display()))?;
        let texts_committed = u32::try_from(texts.len()).unwrap_or(u32::MAX);
        let texts = Arc::new(Texts::new(texts.into_iter()));
        let committed = Arc::new(Committed::read(&database, path)?);
        Ok(Self { committed, pending: HashMap::new(), sorted: HashMap::new(), texts, texts_committed, database })
    }

    pub(crate) fn texts(&self) -> &Arc<Texts> {
        &self.texts
    }

    pub(crate) fn committed(&self) -> &Arc<Committed> {
        &self.committed
    }

    /// What is not committed yet at a key: a row, or that it is deleted.
    pub(crate) fn pending(&self, table: &str, key: &[u8]) -> Option<Option<&[u8]>> {
        self.pending.get(table)?.get(key)
    }

    pub(crate) fn get(&self, table: &str, key: &[u8]) -> Result<Option<Box<[u8]>>, StorageError> {
        match self.pending(table, key) {
            Some(row) => Ok(row.map(Box::from)),
            None => self.committed.get(table, key),
        }
    }

    /// Whether there is anything of a table that is not committed.
    pub(crate) fn is_pending(&self, table: &str) -> bool {
        self.pending.contains_key(table)
    }

    /// Refuses keys that are bad, or of another shape than the table's first.
    pub(crate) fn check_keys(&mut self, table: &str, keys: &[Key]) -> Result<(), StorageError> {
        let Some(first) = keys.first() else { return Ok(()) };
        keys.iter().try_for_each(|key| key.check(table))?;
        let sorted = match self.sorted.get(table) {
            Some(sorted) => *sorted,
            None => {
                let sorted = self.committed.is_sorted(table)?.unwrap_or(first.sort.is_some());
                *self.sorted.entry(table.to_owned()).or_insert(sorted)
            }
        };
        let Some(key) = keys.iter().find(|key| sorted != key.sort.is_some()) else { return Ok(()) };
        let reason = format!("items of this table have {} sort key", if sorted { "a" } else { "no" });
        Err(StorageError::Invalid { what: key.address(table), reason })
    }

    /// Writes a row, or deletes it.
    pub(crate) fn set(&mut self, table: &str, key: &[u8], row: Option<&[u8]>) {
        match self.pending.get_mut(table) {
            Some(pending) => pending.set(key, row),
            None => self.pending.entry(table.to_owned()).or_default().set(key, row),
        }
    }

    /// Commits if much has gathered. Between two writes that belong together it is not asked.
    pub(crate) fn commit_if_full(&mut self) -> Result<(), StorageError> {
        let bytes: usize = self.pending.values().map(Pending::bytes).sum();
        if bytes >= PENDING_BYTES_MAX { self.commit() } else { Ok(()) }
    }

    /// Commits what has gathered.
    pub(crate) fn commit(&mut self) -> Result<(), StorageError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let path = self.committed.path.clone();
        self.texts_committed += self.write_pending().map_err(|error| failed(error, path.display()))?;
        self.pending.clear();
        self.committed = Arc::new(Committed::read(&self.database, path)?);
        Ok(())
    }

    /// Returns how many texts are committed with the rows that hold their numbers.
    fn write_pending(&self) -> Result<u32, redb::Error> {
        let transaction = self.database.begin_write()?;
        let mut texts_new = 0;
        {
            let mut texts = transaction.open_table(TEXTS)?;
            for (number, text) in self.texts.since(self.texts_committed) {
                texts.insert(number, &*text)?;
                texts_new += 1;
            }
        }
        for (table, pending) in &self.pending {
            let mut rows = transaction.open_table(definition(&format!("{PREFIX}{table}")))?;
            for (key, row) in pending.sorted() {
                match row {
                    Some(row) => drop(rows.insert(key, row)?),
                    None => drop(rows.remove(key)?),
                }
            }
        }
        transaction.commit()?;
        Ok(texts_new)
    }
}

fn read_texts(database: &Database) -> Result<Vec<Arc<str>>, redb::Error> {
    let reading = database.begin_read()?;
    match reading.open_table(TEXTS) {
        Ok(texts) => texts.iter()?.map(|text| Ok(text?.1.value().into())).collect(),
        Err(TableError::TableDoesNotExist(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn failed(error: redb::Error, what: impl fmt::Display) -> StorageError {
    StorageError::Unavailable { what: what.to_string(), source: error.into() }
}

/// A key that this store has not written.
pub(crate) fn unreadable(table: &str) -> StorageError {
    StorageError::Invalid { what: table.to_owned(), reason: "has a row that is not of this store".to_owned() }
}
