use std::{fmt, future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};

use crate::{
    ByteRange, Cache, Condition, Item, Key, Link, Links, Location, Mail, Mailer, ObjectInfo, Objects, Queues,
    StorageError, Tables, Workflows,
    objects::{ByteStream, Listed, ObjectWriter, Piece, Put, PutOptions, VersionCursor, VersionPage},
    queues::Message,
    tables::{Outcome, Page, Query, Transaction, Update, Write},
    workflows::{Answer, Start},
};

/// A call that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The port's function: `put`, `get_many`, `write`, `finish`, …
    pub name: &'static str,
    /// What it is about: an object's address, a table, a machine.
    pub what: String,
}

/// How a call goes wrong.
#[derive(Debug)]
pub enum Fault {
    /// Nothing happens but the error.
    Refused(StorageError),
    /// It happens, and the caller gets the error: the reply was lost. A stream breaks off before its last piece.
    ReplyLost(StorageError),
}

type Plan = dyn Fn(&Operation) -> Option<Fault> + Send + Sync;

/// A port (any version of it) before which a plan decides, call by call, what goes wrong.
pub struct Faulty<P: ?Sized> {
    inner: Arc<P>,
    plan: Arc<Plan>,
}

impl<P: ?Sized> Faulty<P> {
    /// Puts `plan` before `inner`. A plan that draws from a seeded generator makes a simulation that can be repeated.
    pub fn new(inner: Arc<P>, plan: impl Fn(&Operation) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self { inner, plan: Arc::new(plan) }
    }

    async fn run<T>(
        &self,
        name: &'static str,
        what: impl fmt::Display,
        call: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        run(&*self.plan, name, what, call).await
    }
}

impl<P: ?Sized> fmt::Debug for Faulty<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").finish_non_exhaustive()
    }
}

async fn run<T>(
    plan: &Plan,
    name: &'static str,
    what: impl fmt::Display,
    call: impl Future<Output = Result<T, StorageError>>,
) -> Result<T, StorageError> {
    match plan(&Operation { name, what: what.to_string() }) {
        None => call.await,
        Some(Fault::Refused(error)) => Err(error),
        Some(Fault::ReplyLost(error)) => call.await.and(Err(error)),
    }
}

#[async_trait]
impl<P: Objects + ?Sized> Objects for Faulty<P> {
    async fn head(&self, at: &Location, version: Option<&str>) -> Result<ObjectInfo, StorageError> {
        self.run("head", at, self.inner.head(at, version)).await
    }

    async fn read(
        &self,
        at: &Location,
        version: Option<&str>,
        range: Option<ByteRange>,
    ) -> Result<ByteStream, StorageError> {
        match (self.plan)(&Operation { name: "read", what: at.to_string() }) {
            None => self.inner.read(at, version, range).await,
            Some(Fault::Refused(error)) => Err(error),
            Some(Fault::ReplyLost(error)) => Ok(broken_off(self.inner.read(at, version, range).await?, error)),
        }
    }

    async fn put(&self, at: &Location, body: Bytes, options: PutOptions) -> Result<Put, StorageError> {
        self.run("put", at, self.inner.put(at, body, options)).await
    }

    async fn writer(&self, at: &Location, options: PutOptions) -> Result<Box<dyn ObjectWriter>, StorageError> {
        let inner = self.run("writer", at, self.inner.writer(at, options)).await?;
        Ok(Box::new(FaultyWriter { inner, at: at.clone(), plan: Arc::clone(&self.plan) }))
    }

    async fn concatenate(&self, pieces: &[Piece], to: &Location, options: PutOptions) -> Result<Put, StorageError> {
        self.run("concatenate", to, self.inner.concatenate(pieces, to, options)).await
    }

    async fn copy(&self, from: &Location, version: Option<&str>, to: &Location) -> Result<ObjectInfo, StorageError> {
        self.run("copy", to, self.inner.copy(from, version, to)).await
    }

    async fn delete(&self, at: &Location, version: Option<&str>) -> Result<(), StorageError> {
        self.run("delete", at, self.inner.delete(at, version)).await
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, StorageError> {
        self.run("list", Location::new(bucket, prefix), self.inner.list(bucket, prefix, after)).await
    }

    async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&VersionCursor>,
    ) -> Result<VersionPage, StorageError> {
        let call = self.inner.list_versions(bucket, prefix, after);
        self.run("list_versions", Location::new(bucket, prefix), call).await
    }
}

/// All but the last piece of a stream, then the error.
fn broken_off(stream: ByteStream, error: StorageError) -> ByteStream {
    let pieces = stream.peekable();
    stream::unfold((pieces, Some(error)), |(mut pieces, mut error)| async move {
        let piece = pieces.next().await;
        let last = std::pin::Pin::new(&mut pieces).peek().await.is_none();
        match piece {
            Some(piece) if !last => Some((piece, (pieces, error))),
            _ => error.take().map(|error| (Err(error), (pieces, None))),
        }
    })
    .boxed()
}

struct FaultyWriter {
    inner: Box<dyn ObjectWriter>,
    at: Location,
    plan: Arc<Plan>,
}

#[async_trait]
impl ObjectWriter for FaultyWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        run(&*self.plan, "write", &self.at, self.inner.write(bytes)).await
    }

    async fn finish(self: Box<Self>) -> Result<Put, StorageError> {
        run(&*self.plan, "finish", &self.at, self.inner.finish()).await
    }

    async fn abort(self: Box<Self>) -> Result<(), StorageError> {
        run(&*self.plan, "abort", &self.at, self.inner.abort()).await
    }
}

#[async_trait]
impl<P: Tables + ?Sized> Tables for Faulty<P> {
    async fn get(&self, table: &str, key: &Key) -> Result<Option<Item>, StorageError> {
        self.run("get", key.address(table), self.inner.get(table, key)).await
    }

    async fn get_many(&self, table: &str, keys: &[Key]) -> Result<Vec<Option<Item>>, StorageError> {
        self.run("get_many", table, self.inner.get_many(table, keys)).await
    }

    async fn put(&self, table: &str, item: Item, condition: Condition) -> Result<Outcome, StorageError> {
        let what = Key::of_item(table, &item)?.address(table);
        self.run("put", what, self.inner.put(table, item, condition)).await
    }

    async fn put_many(&self, table: &str, items: Vec<Item>) -> Result<(), StorageError> {
        self.run("put_many", table, self.inner.put_many(table, items)).await
    }

    async fn update(
        &self,
        table: &str,
        key: &Key,
        update: Update,
        condition: Condition,
    ) -> Result<Outcome, StorageError> {
        self.run("update", key.address(table), self.inner.update(table, key, update, condition)).await
    }

    async fn delete(&self, table: &str, key: &Key, condition: Condition) -> Result<Outcome, StorageError> {
        self.run("delete", key.address(table), self.inner.delete(table, key, condition)).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StorageError> {
        self.run("query", &query.table, self.inner.query(query)).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transaction, StorageError> {
        self.run("transact", "transaction", self.inner.transact(writes)).await
    }
}

#[async_trait]
impl<P: Cache + ?Sized> Cache for Faulty<P> {
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StorageError> {
        self.run("get_many", "cache", self.inner.get_many(keys)).await
    }

    async fn put_many(&self, entries: Vec<(String, Bytes)>, lifetime: Duration) -> Result<(), StorageError> {
        self.run("put_many", "cache", self.inner.put_many(entries, lifetime)).await
    }
}

#[async_trait]
impl<P: Links + ?Sized> Links for Faulty<P> {
    async fn sign(&self, at: &Location, lifetime: Duration) -> Result<Link, StorageError> {
        self.run("sign", at, self.inner.sign(at, lifetime)).await
    }
}

#[async_trait]
impl<P: Mailer + ?Sized> Mailer for Faulty<P> {
    async fn send(&self, mail: &Mail) -> Result<String, StorageError> {
        self.run("send", &mail.subject, self.inner.send(mail)).await
    }
}

#[async_trait]
impl<P: Workflows + ?Sized> Workflows for Faulty<P> {
    async fn start(&self, machine: &str, name: &str, input: &str) -> Result<Start, StorageError> {
        self.run("start", format!("{machine} {name}"), self.inner.start(machine, name, input)).await
    }

    async fn answer(&self, token: &str, output: &str) -> Result<Answer, StorageError> {
        self.run("answer", token, self.inner.answer(token, output)).await
    }
}

#[async_trait]
impl<P: Queues + ?Sized> Queues for Faulty<P> {
    async fn send(&self, queue: &str, message: &Message) -> Result<(), StorageError> {
        self.run("send", queue, self.inner.send(queue, message)).await
    }

    async fn hide(&self, queue: &str, receipt: &str, time: Duration) -> Result<(), StorageError> {
        self.run("hide", queue, self.inner.hide(queue, receipt, time)).await
    }
}
