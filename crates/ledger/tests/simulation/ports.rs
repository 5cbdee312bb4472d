//! Ports that stop before and after every call, so that a scheduler can let others go first, or never go on.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use async_trait::async_trait;
use storage::{
    Condition, Item, Key, StorageError, Tables, Workflows,
    memory::{Fault, Faulty, Operation},
    tables::{Outcome, Page, Query, Transaction, Update, Write},
    workflows::{Answer, Start},
};

/// Numbers that look random, the same for the same seed (SplitMix64).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// What is shared by the scheduler and the ports' plan of faults.
#[derive(Debug)]
pub(crate) struct Chance {
    pub(crate) random: Random,
    pub(crate) faults_left: u32,
    /// How many transactions were tried: the book can have changed only if this has.
    pub(crate) transactions: u64,
}

pub(crate) type SharedChance = Arc<Mutex<Chance>>;

pub(crate) fn with<T>(chance: &SharedChance, act: impl FnOnce(&mut Chance) -> T) -> T {
    act(&mut chance.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A port with seeded faults: errors without effect, and effects whose reply is lost.
pub(crate) fn faulty<P: ?Sized>(inner: Arc<P>, chance: &SharedChance) -> Arc<Faulty<P>> {
    let chance = Arc::clone(chance);
    let plan = move |call: &Operation| {
        with(&chance, |chance| {
            chance.transactions += u64::from(call.name == "transact");
            if chance.faults_left == 0 || !chance.random.once_in(12) {
                return None;
            }
            chance.faults_left -= 1;
            let (what, source) = (call.what.clone(), "the simulation".into());
            let error = match chance.random.once_in(3) {
                true => StorageError::Throttled { what, source },
                false => StorageError::Unavailable { what, source },
            };
            Some(if chance.random.once_in(2) { Fault::Refused(error) } else { Fault::ReplyLost(error) })
        })
    };
    Arc::new(Faulty::new(inner, plan))
}

/// Lets others go first, once.
#[derive(Default)]
pub(crate) struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A port that pauses before and after every call.
pub(crate) struct Stepped<P: ?Sized>(pub(crate) Arc<P>);

async fn stepped<T>(call: impl Future<Output = T>) -> T {
    Pause::default().await;
    let reply = call.await;
    Pause::default().await;
    reply
}

#[async_trait]
impl<P: Tables + ?Sized> Tables for Stepped<P> {
    async fn get(&self, table: &str, key: &Key) -> Result<Option<Item>, StorageError> {
        stepped(self.0.get(table, key)).await
    }

    async fn get_many(&self, table: &str, keys: &[Key]) -> Result<Vec<Option<Item>>, StorageError> {
        stepped(self.0.get_many(table, keys)).await
    }

    async fn put(&self, table: &str, item: Item, condition: Condition) -> Result<Outcome, StorageError> {
        stepped(self.0.put(table, item, condition)).await
    }

    async fn put_many(&self, table: &str, items: Vec<Item>) -> Result<(), StorageError> {
        stepped(self.0.put_many(table, items)).await
    }

    async fn update(
        &self,
        table: &str,
        key: &Key,
        update: Update,
        condition: Condition,
    ) -> Result<Outcome, StorageError> {
        stepped(self.0.update(table, key, update, condition)).await
    }

    async fn delete(&self, table: &str, key: &Key, condition: Condition) -> Result<Outcome, StorageError> {
        stepped(self.0.delete(table, key, condition)).await
    }

    async fn query(&self, query: &Query) -> Result<Page, StorageError> {
        stepped(self.0.query(query)).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<Transaction, StorageError> {
        stepped(self.0.transact(writes)).await
    }
}

#[async_trait]
impl<P: Workflows + ?Sized> Workflows for Stepped<P> {
    async fn start(&self, machine: &str, name: &str, input: &str) -> Result<Start, StorageError> {
        stepped(self.0.start(machine, name, input)).await
    }

    async fn answer(&self, token: &str, output: &str) -> Result<Answer, StorageError> {
        stepped(self.0.answer(token, output)).await
    }
}
