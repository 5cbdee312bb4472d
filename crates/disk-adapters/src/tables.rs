use std::{
    borrow::Cow,
    fmt,
    fs::{self, File},
    path::PathBuf,
    slice,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use redb::{Database, backends::FileBackend};
use serde_json::Value;
use storage::{
    Condition, Item, Key, StorageError, Tables,
    tables::{
        Outcome, Page, Query, Transaction, Update, Write, check_condition, check_item, check_transaction, check_update,
        page_of,
    },
};

use crate::{
    lock, row_key,
    rows::{RowReader, Texts},
    store::{self, Store},
    unsynced::Unsynced,
};

/// Of the database's pages in this process; all others are in the system's page cache.
const CACHE_BYTES: usize = 256 << 20;

/// Tables in one file, `<folder>/tables.redb`. They need not be made: they are there, and empty, when first asked. A
/// table's first item decides whether its items have a sort key.
///
/// Writes gather in memory and are committed together, in one transaction: when they have become many, for a query, by
/// [`flush`](Self::flush), and when this is dropped. Readers always see them. A killed process loses the latest, but
/// never an earlier one than any that it keeps.
///
/// A query reads its whole partition, and one of an index the whole table: neither is for large ones.
pub struct DiskTables {
    path: PathBuf,
    texts: Arc<Texts>,
    store: Mutex<Store>,
}

impl DiskTables {
    /// The tables in `folder`, which is made if it is not there. One process at a time: a second is refused.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let folder = folder.into();
        let path = folder.join("tables.redb");
        let open = || -> Result<Database, redb::Error> {
            fs::create_dir_all(&folder)?;
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
            let backend = Unsynced(FileBackend::new(file)?);
            Ok(Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend)?)
        };
        let database = open().map_err(|error| store::failed(error, path.display()))?;
        let store = Store::new(database, path.clone())?;
        Ok(Self { path, texts: Arc::clone(store.texts()), store: Mutex::new(store) })
    }

    /// Commits what has gathered.
    pub fn flush(&self) -> Result<(), StorageError> {
        lock(&self.store).commit()
    }

    /// What `read` makes of the rows at the keys.
    fn read<T>(
        &self,
        table: &str,
        keys: &[Key],
        read: impl Fn(&RowReader<'_>, &Key, &[u8]) -> Result<T, StorageError>,
    ) -> Result<Vec<Option<T>>, StorageError> {
        let at: Vec<Cow<'_, [u8]>> = keys.iter().map(row_key::of).collect();
        let (committed, pending) = {
            let mut store = lock(&self.store);
            store.check_keys(table, keys)?;
            let pending = |at: &Cow<'_, [u8]>| store.pending(table, at).map(|row| row.map(Box::<[u8]>::from));
            let pending: Vec<_> = match store.is_pending(table) {
                true => at.iter().map(pending).collect(),
                false => Vec::new(),
            };
            (Arc::clone(store.committed()), pending)
        };
        let mut order: Vec<(&[u8], usize)> = at.iter().map(|at| &**at).zip(0..).collect();
        if !order.is_sorted() {
            order.sort_unstable();
        }
        // Not before: who writes numbers texts while holding the store.
        let texts = self.texts.reader();
        let mut found: Vec<Option<T>> = keys.iter().map(|_| None).collect();
        committed.get_in_order(table, order.into_iter(), |number, row| {
            let row = pending.get(number).and_then(Option::as_ref).map_or(row, Option::as_deref);
            if let (Some(key), Some(row), Some(found)) = (keys.get(number), row, found.get_mut(number)) {
                *found = Some(read(&texts, key, row)?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Puts or deletes what `after` makes of the item that stands there, if the condition holds of it.
    fn change(
        &self,
        table: &str,
        key: &Key,
        condition: &Condition,
        after: impl FnOnce(Option<&[u8]>) -> Result<Option<Box<[u8]>>, StorageError>,
    ) -> Result<Outcome, StorageError> {
        // Most items are not among the latest: they are looked for while others write.
        let seen = Arc::clone(lock(&self.store).committed());
        let at = row_key::of(key);
        let row = seen.get(table, &at)?;
        let mut store = lock(&self.store);
        store.check_keys(table, slice::from_ref(key))?;
        let row = match store.pending(table, &at) {
            Some(row) => row.map(Box::from),
            None if Arc::ptr_eq(&seen, store.committed()) => row,
            None => store.get(table, &at)?,
        };
        if !self.texts.holds(table, key, row.as_deref(), condition)? {
            let current = row.map(|row| self.texts.decode(table, key, &row)).transpose()?;
            return Ok(Outcome::Refused(current));
        }
        let row = after(row.as_deref())?;
        store.set(table, &at, row.as_deref());
        store.commit_if_full()?;
        Ok(Outcome::Written)
    }
}

impl fmt::Debug for DiskTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskTables").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Drop for DiskTables {
    fn drop(&mut self) {
        // Who must know calls `flush` before.
        let _ = self.flush();
    }
}

#[async_trait]
impl Tables for DiskTables {
    async fn get(&self, table: &str, key: &Key) -> Result<Option<Item>, StorageError> {
        let found = self.get_many(table, slice::from_ref(key)).await?;
        Ok(found.into_iter().next().flatten())
    }

    async fn get_many(&self, table: &str, keys: &[Key]) -> Result<Vec<Option<Item>>, StorageError> {
        self.read(table, keys, |texts, key, row| texts.item(table, key, row))
    }

    async fn get_values(
        &self,
        table: &str,
        keys: &[Key],
        names: &[&str],
    ) -> Result<Vec<Option<Vec<Value>>>, StorageError> {
        self.read(table, keys, |texts, key, row| texts.values(table, key, row, names))
    }

    async fn put(&self, table: &str, item: Item, condition: Condition) -> Result<Outcome, StorageError> {
        let key = check_item(table, &item)?;
        check_condition(&key.address(table), &condition)?;
        let row = self.texts.encode(table, &key, &item)?;
        self.change(table, &key, &condition, |_| Ok(Some(row)))
    }

    async fn put_many(&self, table: &str, items: Vec<Item>) -> Result<(), StorageError> {
        let keys: Vec<Key> = items.iter().map(|item| check_item(table, item)).collect::<Result<_, _>>()?;
        let row = |(key, item)| self.texts.encode(table, key, item);
        let rows: Vec<_> = keys.iter().zip(&items).map(row).collect::<Result<_, _>>()?;
        let mut store = lock(&self.store);
        store.check_keys(table, &keys)?;
        rows.iter().zip(&keys).for_each(|(row, key)| store.set(table, &row_key::of(key), Some(row)));
        store.commit_if_full()
    }

    async fn update(
        &self,
        table: &str,
        key: &Key,
        update: Update,
        condition: Condition,
    ) -> Result<Outcome, StorageError> {
        check_update(table, key, &update)?;
        check_condition(&key.address(table), &condition)?;
        self.change(table, key, &condition, |current| {
            let current = current.map(|row| self.texts.decode(table, key, row)).transpose()?;
            Ok(Some(self.texts.encode(table, key, &update.applied(table, key, current.as_ref())?)?))
        })
    }

    async fn delete(&self, table: &str, key: &Key, condition: Condition) -> Result<Outcome, StorageError> {
        check_condition(&key.address(table), &condition)?;
        self.change(table, key, &condition, |_| Ok(None))
    }

    async fn query(&self, query: &Query) -> Result<Page, StorageError> {
        let committed = {
            let mut store = lock(&self.store);
            store.commit()?;
            Arc::clone(store.committed())
        };
        let first = match query.index {
            Some(_) => Vec::new(),
            None => row_key::first(&query.partition, query.sort_prefix.as_deref().unwrap_or_default()),
        };
        let mut items = Vec::new();
        committed.each(&query.table, &first, |key, row| {
            let key = row_key::parse(key).ok_or_else(|| store::unreadable(&query.table))?;
            let within = query.index.is_some() || key.partition == query.partition;
            if within {
                items.push(self.texts.decode(&query.table, &key, row)?);
            }
            Ok(within)
        })?;
        page_of(query, items.into_iter())
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transaction, StorageError> {
        check_transaction(&writes)?;
        let mut store = lock(&self.store);
        let mut refused = Vec::with_capacity(writes.len());
        let mut changes = Vec::with_capacity(writes.len());
        for write in writes {
            let (name, key) = write.target()?;
            store.check_keys(name, slice::from_ref(&key))?;
            let current =
                store.get(name, &row_key::of(&key))?.map(|row| self.texts.decode(name, &key, &row)).transpose()?;
            let held = write.condition().holds(current.as_ref());
            refused.push(!held);
            if held {
                let name = name.to_owned();
                let after = match write {
                    Write::Put { item, .. } => Some(item),
                    Write::Update { update, .. } => Some(update.applied(&name, &key, current.as_ref())?),
                    Write::Delete { .. } => None,
                    Write::Check { .. } => continue,
                };
                let row = after.map(|item| self.texts.encode(&name, &key, &item)).transpose()?;
                changes.push((name, key, row));
            }
        }
        if refused.contains(&true) {
            return Ok(Transaction::Refused(refused));
        }
        changes.iter().for_each(|(name, key, row)| store.set(name, &row_key::of(key), row.as_deref()));
        store.commit_if_full()?;
        Ok(Transaction::Written)
    }
}
