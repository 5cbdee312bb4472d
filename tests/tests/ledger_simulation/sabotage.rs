//! Rules of docs/protocol.md, broken on purpose: to see that the simulation notices.

use std::{collections::BTreeMap, sync::Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use ledger::commits::ApplyManifest;
use serde_json::Value;
use storage::{
    ByteRange, Condition, Item, Key, Location, ObjectInfo, Objects, StorageError, Tables,
    memory::{MemoryObjects, MemoryTables},
    objects::{ByteStream, Listed, ObjectWriter, Piece, Put, PutOptions, VersionCursor, VersionPage, read_all},
    tables::{Outcome, Page, Query, Transaction, Update, Write},
};
use twox_hash::XxHash3_64;

use crate::{
    installation::{ARTIFACTS, LEDGERS},
    reader::{Reader, Seen},
    scheduler::{Scene, lock},
};

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Index puts have no condition (rule 11).
    UnconditionalPuts,
    /// What jobs in flight have applied is not found (rule 8).
    NoOverlay,
    /// Look-ups in the index may miss the latest put (rule 7).
    StaleReads,
    /// Of a transaction's conditions none is asked for (rules 5, 14 and 15).
    NoConditions,
    /// The snapshot is what `indexed` has become since prefetch was granted (rule 6).
    LateSnapshots,
    /// Puts of the index are confirmed that are not made (rule 12).
    UnmadePuts,
    /// The cache answers with an older version of the artifact (rule 13).
    CacheByArtifact,
}

/// What stands before a line in the cache.
const CHECKSUM_BYTES: usize = 8;

/// Tables, and who looks at them: the book holds what it must after every transaction, and an index entry is never
/// replaced by an older one.
pub(crate) struct WatchedTables {
    inner: std::sync::Arc<MemoryTables>,
    sabotage: Option<Sabotage>,
    before: Mutex<BTreeMap<Key, Item>>,
    /// Puts of the index, to come again: a worker that nobody waits for any more can be as late as it likes.
    puts: Mutex<Vec<(Item, Condition)>>,
    seen: Mutex<Seen>,
    scene: Scene,
}

impl WatchedTables {
    pub(crate) fn new(inner: std::sync::Arc<MemoryTables>, sabotage: Option<Sabotage>, scene: &Scene) -> Self {
        let (before, puts, seen) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { inner, sabotage, before, puts, seen, scene: scene.clone() }
    }

    fn book(&self) -> Reader {
        Reader(self.inner.clone())
    }

    /// A job as it is read where its snapshot moves on with `indexed` once prefetch has committed.
    fn with_late_snapshot(&self, mut job: Item) -> Item {
        let is_prefetched = job["sk"].as_str().unwrap().starts_with("job#") && !job["prefetch"]["committed"].is_null();
        if is_prefetched {
            job["snapshot"] = self.book().head().indexed.get().into();
        }
        job
    }

    /// Where [`with_late_snapshot`](Self::with_late_snapshot) was read, what stands is to stay.
    async fn with_standing_snapshot(&self, writes: &mut [Write]) -> Result<(), StorageError> {
        for write in writes {
            let Write::Put { table, item, .. } = write else { continue };
            if item["sk"].as_str().unwrap().starts_with("job#")
                && let Some(standing) = self.inner.get(table, &Key::of_item(table, item)?).await?
                && let Some(snapshot) = standing.get("snapshot")
            {
                item.insert("snapshot".to_owned(), snapshot.clone());
            }
        }
        Ok(())
    }

    fn sequence(item: &Item) -> u64 {
        item["sequence"].as_u64().unwrap()
    }

    async fn put_entry(&self, item: Item, condition: Condition) -> Result<Outcome, StorageError> {
        let key = Key::of_item(ARTIFACTS, &item)?;
        let standing = self.inner.get(ARTIFACTS, &key).await?;
        let condition = match self.sabotage {
            Some(Sabotage::UnconditionalPuts) => Condition::Always,
            _ => condition,
        };
        let put = self.inner.put(ARTIFACTS, item.clone(), condition).await?;
        if let (Outcome::Written, Some(standing)) = (&put, standing) {
            let (old, new) = (Self::sequence(&standing), Self::sequence(&item));
            assert!(old < new || standing == item, "the index went from {old} back to {new}: {key:?}");
            lock(&self.before).insert(key, standing);
        }
        Ok(put)
    }

    /// What a read that is not consistent may answer.
    fn stale(&self, keys: &[Key], found: &mut [Option<Item>]) {
        let before = lock(&self.before);
        for (key, item) in keys.iter().zip(found) {
            if let Some(before) = before.get(key).filter(|before| Self::sequence(before) % 3 == 0) {
                *item = Some(before.clone());
            }
        }
    }
}

#[async_trait]
impl Tables for WatchedTables {
    async fn get(&self, table: &str, key: &Key) -> Result<Option<Item>, StorageError> {
        let found = self.inner.get(table, key).await?;
        Ok(match self.sabotage {
            Some(Sabotage::LateSnapshots) if table == LEDGERS => found.map(|item| self.with_late_snapshot(item)),
            _ => found,
        })
    }

    async fn get_many(&self, table: &str, keys: &[Key]) -> Result<Vec<Option<Item>>, StorageError> {
        let mut found = self.inner.get_many(table, keys).await?;
        if table == ARTIFACTS && self.sabotage == Some(Sabotage::StaleReads) {
            self.stale(keys, &mut found);
        }
        Ok(found)
    }

    async fn put(&self, table: &str, item: Item, condition: Condition) -> Result<Outcome, StorageError> {
        if table != ARTIFACTS {
            return self.inner.put(table, item, condition).await;
        }
        if self.sabotage == Some(Sabotage::UnmadePuts) && self.scene.once_in(20) {
            return Ok(Outcome::Written);
        }
        let late = {
            let mut puts = lock(&self.puts);
            puts.push((item.clone(), condition.clone()));
            self.scene.once_in(20).then(|| puts[self.scene.below(puts.len() as u64) as usize].clone())
        };
        if let Some((item, condition)) = late {
            self.put_entry(item, condition).await?;
        }
        self.put_entry(item, condition).await
    }

    async fn put_many(&self, table: &str, items: Vec<Item>) -> Result<(), StorageError> {
        assert_ne!(table, ARTIFACTS, "puts of the index have conditions");
        self.inner.put_many(table, items).await
    }

    async fn update(
        &self,
        table: &str,
        key: &Key,
        update: Update,
        condition: Condition,
    ) -> Result<Outcome, StorageError> {
        self.inner.update(table, key, update, condition).await
    }

    async fn delete(&self, table: &str, key: &Key, condition: Condition) -> Result<Outcome, StorageError> {
        assert_ne!(table, ARTIFACTS, "entries of the index are never deleted");
        self.inner.delete(table, key, condition).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StorageError> {
        self.inner.query(query).await
    }

    async fn transact(&self, mut writes: Vec<Write>) -> Result<Transaction, StorageError> {
        if self.sabotage == Some(Sabotage::NoConditions) {
            for write in &mut writes {
                match write {
                    Write::Put { condition, .. } | Write::Update { condition, .. } => *condition = Condition::Always,
                    Write::Delete { .. } | Write::Check { .. } => {}
                }
            }
        }
        if self.sabotage == Some(Sabotage::LateSnapshots) {
            self.with_standing_snapshot(&mut writes).await?;
        }
        let done = self.inner.transact(writes).await?;
        if done == Transaction::Written {
            lock(&self.seen).check(&self.book().everything(), &self.scene);
        }
        Ok(done)
    }
}

/// The first version of each artifact that was cached, which is answered for all later ones: dressed as what is asked for,
/// with its sequence, its length and its checksum, because everything else is a miss.
#[derive(Default)]
pub(crate) struct StaleLines(Mutex<BTreeMap<String, Value>>);

impl StaleLines {
    pub(crate) fn keep(&self, value: &Bytes) {
        let line: Value = serde_json::from_slice(&value[CHECKSUM_BYTES..]).unwrap();
        lock(&self.0).entry(line["key"].as_str().unwrap().to_owned()).or_insert(line);
    }

    pub(crate) fn in_place_of(&self, value: &Bytes) -> Bytes {
        let asked: Value = serde_json::from_slice(&value[CHECKSUM_BYTES..]).unwrap();
        let first = lock(&self.0).get(asked["key"].as_str().unwrap()).cloned();
        let Some(mut stale) = first else { return value.clone() };
        stale["applied_through"] = asked["applied_through"].clone();
        let mut line = stale.to_string().into_bytes();
        if line.len() > value.len() - CHECKSUM_BYTES {
            return value.clone();
        }
        line.resize(value.len() - CHECKSUM_BYTES, b' ');
        [&XxHash3_64::oneshot(&line).to_le_bytes(), line.as_slice()].concat().into()
    }
}

/// Objects as the state engine sees them where it overlays nothing.
pub(crate) struct NoOverlays(pub(crate) MemoryObjects);

#[async_trait]
impl Objects for NoOverlays {
    async fn read(
        &self,
        at: &Location,
        version: Option<&str>,
        range: Option<ByteRange>,
    ) -> Result<ByteStream, StorageError> {
        let stream = self.0.read(at, version, range).await?;
        if !at.key.contains("/apply-") {
            return Ok(stream);
        }
        let whole = read_all(stream, at, u64::MAX).await?;
        let mut manifest: ApplyManifest = serde_json::from_slice(&whole).unwrap();
        manifest.partitions.clear();
        let bytes = Bytes::from(serde_json::to_vec(&manifest).unwrap());
        Ok(stream::iter([Ok(bytes)]).boxed())
    }

    async fn head(&self, at: &Location, version: Option<&str>) -> Result<ObjectInfo, StorageError> {
        self.0.head(at, version).await
    }

    async fn put(&self, at: &Location, body: Bytes, options: PutOptions) -> Result<Put, StorageError> {
        self.0.put(at, body, options).await
    }

    async fn writer(&self, at: &Location, options: PutOptions) -> Result<Box<dyn ObjectWriter>, StorageError> {
        self.0.writer(at, options).await
    }

    async fn concatenate(&self, pieces: &[Piece], to: &Location, options: PutOptions) -> Result<Put, StorageError> {
        self.0.concatenate(pieces, to, options).await
    }

    async fn copy(&self, from: &Location, version: Option<&str>, to: &Location) -> Result<ObjectInfo, StorageError> {
        self.0.copy(from, version, to).await
    }

    async fn delete(&self, at: &Location, version: Option<&str>) -> Result<(), StorageError> {
        self.0.delete(at, version).await
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, StorageError> {
        self.0.list(bucket, prefix, after).await
    }

    async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&VersionCursor>,
    ) -> Result<VersionPage, StorageError> {
        self.0.list_versions(bucket, prefix, after).await
    }
}
