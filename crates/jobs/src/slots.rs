//! The slots that jobs run in: so many at once, and no more.
//!
//! A slot is a row with the name of its holder and the end of its lease. It is given back when its attempt ends; the lease is
//! for what dies without a word, and outlasts any execution, so that a slot whose lease has ended has nobody at work in it.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use storage::{
    Clock, Condition, Key, StorageError, Tables,
    tables::{Outcome, Query},
};

const PARTITION: &str = "slots";

/// The slots, in the `jobs` table.
#[derive(Clone)]
pub struct Slots {
    tables: Arc<dyn Tables>,
    table: String,
    clock: Arc<dyn Clock>,
    count: u32,
    lease: Duration,
}

impl Slots {
    /// So many slots, kept in `table` and held for `lease` at most.
    pub fn new(
        tables: Arc<dyn Tables>,
        table: impl Into<String>,
        clock: Arc<dyn Clock>,
        count: u32,
        lease: Duration,
    ) -> Self {
        Self { tables, table: table.into(), clock, count, lease }
    }

    /// Takes a slot for `holder`, or renews the one that it holds. Whether it has one.
    ///
    /// Two calls for one holder at once may take two slots; both are given back by one [`Slots::release`].
    pub async fn acquire(&self, holder: &str) -> Result<bool, StorageError> {
        let held = self.rows().await?;
        let now = self.clock.now().as_second();
        let of = |slot: u32| held.iter().find(|row| row.get("sk") == Some(&json!(sort_key(slot))));
        let is_mine = |slot: &u32| of(*slot).is_some_and(|row| row.get("holder") == Some(&json!(holder)));
        let is_free = |slot: &u32| of(*slot).is_none_or(|row| row.get("until").and_then(Value::as_i64) < Some(now));
        let mine = (0..self.count).filter(is_mine);
        for slot in mine.chain((0..self.count).filter(is_free)) {
            if self.take(slot, holder, now).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn take(&self, slot: u32, holder: &str, now: i64) -> Result<bool, StorageError> {
        let until = now.saturating_add_unsigned(self.lease.as_secs());
        let item = json!({ "pk": PARTITION, "sk": sort_key(slot), "holder": holder, "until": until });
        let free = Condition::Any(vec![
            Condition::Absent,
            Condition::Less("until".into(), now.into()),
            Condition::Equals("holder".into(), holder.into()),
        ]);
        let item = item.as_object().cloned().unwrap_or_default();
        Ok(self.tables.put(&self.table, item, free).await? == Outcome::Written)
    }

    /// Gives back whatever `holder` holds.
    pub async fn release(&self, holder: &str) -> Result<(), StorageError> {
        for row in self.rows().await?.iter().filter(|row| row.get("holder") == Some(&json!(holder))) {
            let slot = row.get("sk").and_then(Value::as_str).unwrap_or_default();
            let mine = Condition::Equals("holder".into(), holder.into());
            self.tables.delete(&self.table, &Key::sorted(PARTITION, slot), mine).await?;
        }
        Ok(())
    }

    /// Who holds a slot whose lease has not ended, in the order of the slots.
    pub async fn holders(&self) -> Result<Vec<String>, StorageError> {
        let now = self.clock.now().as_second();
        let rows = self.rows().await?.into_iter();
        let held = rows.filter(|row| row.get("until").and_then(Value::as_i64) >= Some(now));
        Ok(held.filter_map(|row| row.get("holder")?.as_str().map(str::to_owned)).collect())
    }

    async fn rows(&self) -> Result<Vec<storage::Item>, StorageError> {
        let mut query = Query { table: self.table.clone(), partition: PARTITION.to_owned(), ..Query::default() };
        let mut rows = Vec::new();
        loop {
            let page = self.tables.query(&query).await?;
            rows.extend(page.items);
            query.from = page.next;
            if query.from.is_none() {
                return Ok(rows);
            }
        }
    }
}

fn sort_key(slot: u32) -> String {
    format!("{slot:03}")
}

#[cfg(test)]
mod tests {
    use storage::memory::{ManualClock, MemoryTables};

    use super::*;

    fn slots(clock: &Arc<ManualClock>) -> Slots {
        Slots::new(Arc::new(MemoryTables::default()), "jobs", clock.clone(), 2, Duration::from_secs(60))
    }

    #[tokio::test]
    async fn there_are_as_many_as_there_are() {
        let clock = Arc::new(ManualClock::default());
        let slots = slots(&clock);
        for (holder, has) in [("a", true), ("b", true), ("c", false), ("a", true)] {
            assert_eq!(slots.acquire(holder).await.unwrap(), has, "{holder}");
        }
        slots.release("b").await.unwrap();
        slots.release("b").await.unwrap();
        assert!(slots.acquire("c").await.unwrap());
        assert_eq!(slots.holders().await.unwrap(), ["a", "c"]);
    }

    #[tokio::test]
    async fn a_lease_that_has_ended_holds_nothing() {
        let clock = Arc::new(ManualClock::default());
        let slots = slots(&clock);
        assert!(slots.acquire("a").await.unwrap() && slots.acquire("b").await.unwrap());
        clock.advance(Duration::from_secs(40));
        assert!(slots.acquire("b").await.unwrap(), "it is renewed");
        clock.advance(Duration::from_secs(40));
        assert!(slots.acquire("c").await.unwrap(), "the lease of a has ended");
        assert!(!slots.acquire("d").await.unwrap());
        slots.release("a").await.unwrap();
        assert_eq!(slots.holders().await.unwrap(), ["c", "b"], "what was passed on is not given back");
    }
}
