//! Ports that pause before and after every call, fail now and then, and lose replies.

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use storage::{
    ByteRange, Cache, Condition, Item, Key, Location, ObjectInfo, Objects, StorageError, Tables, Workflows,
    memory::{Fault, Faulty, MemoryCache, Operation},
    objects::{ByteStream, Listed, ObjectWriter, Piece, Put, PutOptions, VersionCursor, VersionPage},
    tables::{Outcome, Page, Query, Transaction, Update, Write},
    workflows::{Answer, Start},
};

use crate::{sabotage::StaleLines, scheduler::Scene};

/// A port as an actor has it: each call can be the last, can come after any other, and can go wrong.
pub(crate) fn port<P: ?Sized>(inner: Arc<P>, scene: &Scene) -> Arc<Stepped<Faulty<P>>> {
    let chance = scene.clone();
    let plan = move |call: &Operation| {
        if !chance.mischief(25, |budget| &mut budget.faults) {
            return None;
        }
        let (what, source) = (call.what.clone(), "the simulation".into());
        let error = match chance.once_in(3) {
            true => StorageError::Throttled { what, source },
            false => StorageError::Unavailable { what, source },
        };
        chance.saw(if matches!(error, StorageError::Throttled { .. }) { "throttled" } else { "unavailable" });
        Some(if chance.once_in(2) { Fault::Refused(error) } else { Fault::ReplyLost(error) })
    };
    Arc::new(Stepped { inner: Arc::new(Faulty::new(inner, plan)), scene: scene.clone() })
}

/// A port that pauses before and after every call.
pub(crate) struct Stepped<P: ?Sized> {
    inner: Arc<P>,
    scene: Scene,
}

impl<P: ?Sized> Stepped<P> {
    async fn step<T>(&self, call: impl Future<Output = T>) -> T {
        step(&self.scene, call).await
    }
}

async fn step<T>(scene: &Scene, call: impl Future<Output = T>) -> T {
    scene.pause().await;
    let reply = call.await;
    scene.pause().await;
    reply
}

#[async_trait]
impl<P: Objects + ?Sized> Objects for Stepped<P> {
    async fn head(&self, at: &Location, version: Option<&str>) -> Result<ObjectInfo, StorageError> {
        self.step(self.inner.head(at, version)).await
    }

    async fn read(
        &self,
        at: &Location,
        version: Option<&str>,
        range: Option<ByteRange>,
    ) -> Result<ByteStream, StorageError> {
        self.step(self.inner.read(at, version, range)).await
    }

    async fn put(&self, at: &Location, body: Bytes, options: PutOptions) -> Result<Put, StorageError> {
        self.step(self.inner.put(at, body, options)).await
    }

    async fn writer(&self, at: &Location, options: PutOptions) -> Result<Box<dyn ObjectWriter>, StorageError> {
        let inner = self.step(self.inner.writer(at, options)).await?;
        Ok(Box::new(SteppedWriter { inner, scene: self.scene.clone() }))
    }

    async fn concatenate(&self, pieces: &[Piece], to: &Location, options: PutOptions) -> Result<Put, StorageError> {
        self.step(self.inner.concatenate(pieces, to, options)).await
    }

    async fn copy(&self, from: &Location, version: Option<&str>, to: &Location) -> Result<ObjectInfo, StorageError> {
        self.step(self.inner.copy(from, version, to)).await
    }

    async fn delete(&self, at: &Location, version: Option<&str>) -> Result<(), StorageError> {
        self.step(self.inner.delete(at, version)).await
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, StorageError> {
        self.step(self.inner.list(bucket, prefix, after)).await
    }

    async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&VersionCursor>,
    ) -> Result<VersionPage, StorageError> {
        self.step(self.inner.list_versions(bucket, prefix, after)).await
    }
}

struct SteppedWriter {
    inner: Box<dyn ObjectWriter>,
    scene: Scene,
}

#[async_trait]
impl ObjectWriter for SteppedWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        step(&self.scene, self.inner.write(bytes)).await
    }

    async fn finish(self: Box<Self>) -> Result<Put, StorageError> {
        step(&self.scene, self.inner.finish()).await
    }

    async fn abort(self: Box<Self>) -> Result<(), StorageError> {
        step(&self.scene, self.inner.abort()).await
    }
}

#[async_trait]
impl<P: Tables + ?Sized> Tables for Stepped<P> {
    async fn get(&self, table: &str, key: &Key) -> Result<Option<Item>, StorageError> {
        self.step(self.inner.get(table, key)).await
    }

    async fn get_many(&self, table: &str, keys: &[Key]) -> Result<Vec<Option<Item>>, StorageError> {
        self.step(self.inner.get_many(table, keys)).await
    }

    async fn put(&self, table: &str, item: Item, condition: Condition) -> Result<Outcome, StorageError> {
        self.step(self.inner.put(table, item, condition)).await
    }

    async fn put_many(&self, table: &str, items: Vec<Item>) -> Result<(), StorageError> {
        self.step(self.inner.put_many(table, items)).await
    }

    async fn update(
        &self,
        table: &str,
        key: &Key,
        update: Update,
        condition: Condition,
    ) -> Result<Outcome, StorageError> {
        self.step(self.inner.update(table, key, update, condition)).await
    }

    async fn delete(&self, table: &str, key: &Key, condition: Condition) -> Result<Outcome, StorageError> {
        self.step(self.inner.delete(table, key, condition)).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StorageError> {
        self.step(self.inner.query(query)).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transaction, StorageError> {
        self.step(self.inner.transact(writes)).await
    }
}

#[async_trait]
impl<P: Workflows + ?Sized> Workflows for Stepped<P> {
    async fn start(&self, machine: &str, name: &str, input: &str) -> Result<Start, StorageError> {
        self.step(self.inner.start(machine, name, input)).await
    }

    async fn answer(&self, token: &str, output: &str) -> Result<Answer, StorageError> {
        self.step(self.inner.answer(token, output)).await
    }
}

#[async_trait]
impl<P: Cache + ?Sized> Cache for Stepped<P> {
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StorageError> {
        self.step(self.inner.get_many(keys)).await
    }

    async fn put_many(&self, entries: Vec<(String, Bytes)>, lifetime: Duration) -> Result<(), StorageError> {
        self.step(self.inner.put_many(entries, lifetime)).await
    }
}

/// A cache that forgets at will, and sometimes answers nonsense.
pub(crate) struct Forgetful {
    pub(crate) inner: MemoryCache,
    pub(crate) scene: Scene,
    /// Where it is to answer with older versions.
    pub(crate) stale: Option<StaleLines>,
}

#[async_trait]
impl Cache for Forgetful {
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StorageError> {
        if self.scene.mischief(10, |budget| &mut budget.cache) {
            self.inner.clear();
        }
        let mut found = self.inner.get_many(keys).await?;
        if let Some(stale) = &self.stale {
            found.iter_mut().flatten().for_each(|value| *value = stale.in_place_of(value));
        }
        if found.iter().any(Option::is_some) {
            self.scene.saw("the cache had something");
            if self.scene.mischief(5, |budget| &mut budget.cache) {
                self.scene.saw("the cache answered nonsense");
                found.iter_mut().flatten().for_each(|value| *value = spoiled(value));
            }
        }
        Ok(found)
    }

    async fn put_many(&self, entries: Vec<(String, Bytes)>, lifetime: Duration) -> Result<(), StorageError> {
        if let Some(stale) = &self.stale {
            entries.iter().for_each(|(_, value)| stale.keep(value));
        }
        self.inner.put_many(entries, lifetime).await
    }
}

/// Of the same length, with one byte that is wrong.
fn spoiled(value: &Bytes) -> Bytes {
    let mut bytes = value.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 0x20;
    }
    bytes.into()
}
