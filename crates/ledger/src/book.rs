//! The book: what the coordination of a ledger knows, in the table `ledgers`.
//!
//! | pk | sk | item | changed by |
//! |---|---|---|---|
//! | `<tenant>#<ledger>` | `head` | [`Head`]: `next`, the cursors, the last fence | registration, grouping, grants, commits |
//! | `<tenant>#<ledger>` | `batch#<batch>` | [`BatchRecord`]: a batch by its name | registration, skip, refusal, pass |
//! | `<tenant>#<ledger>` | `number#<number>` | [`NumberedBatch`]: a batch by its number | registration; grouping adds `job` |
//! | `<tenant>#<ledger>` | `refused#<seconds>#<batch>` | [`RefusedBatch`]: that a batch was refused before it got a number | registration |
//! | `<tenant>#<ledger>#<sha256>` | `content#<batch>#<digest>` | [`Content`]: that a manifest of that name and digest has an object of this content | registration |
//! | `<tenant>#<ledger>` | `job#<number>` | [`Job`](crate::job::Job): status, attempt, turns | grouping, then every transition of the job |
//! | `<tenant>#<ledger>` | `source#<source>` | [`SourceRecord`]: intervals claimed and void | registration, skip, refusal |
//! | `<tenant>#<ledger>` | `coverage#<source>` | [`CoverageRecord`]: intervals indexed, how many were signed off | index commits, operators |
//! | `<tenant>#<ledger>` | `signed#<source>#<digest>` | [`Exception`]: an interval that an operator signed off; the digest is of all that it says but for the time | operators |
//! | `<tenant>#<ledger>` | `fault#<batch>` | [`FaultRecord`]: why its manifest was not taken; `expires_at` where there is no such ledger | batch-registrar |
//! | `<tenant>#<ledger>` | `step#<job>#<attempt>#<step>` | [`StepRecord`](crate::steps::StepRecord) | with every transition |
//! | `<tenant>#<ledger>` | `cursor#<job>#<partition>#<part>` | how many puts of a part-file are acknowledged; `expires_at`, in seconds since 1970 | index workers |
//!
//! Numbers in keys have twelve digits, so that items sort by number; they are compared as integers all the same.
//!
//! **Conditions.** Fields of the head are changed on condition of the values that were read. Every other row that is
//! read, changed and written again carries a `version` that the write is conditional on and moves up. So each
//! transition is a plain function on a record, and each write happens only to what it was computed from.
//!
//! **Sizes.** All items are small: a job has no list of its batches, and a source's intervals are joined, so that only its
//! gaps count (at most [`INTERVALS_MAX`]). The longest transaction voids a job of
//! [`JOB_BATCHES_MAX`](crate::policy::JOB_BATCHES_MAX) batches: two writes a batch, three for the rest.
//!
//! **Heat.** One ledger is one partition, and its head is the hottest item: a registration writes it once, a job some ten
//! times. A transaction costs twice the units, so a partition's 1,000 a second are reached at several tens of jobs a
//! second, where a job takes seconds. What a batch's content is stands apart, an object to a partition: a batch may have a
//! thousand of them. Artifacts' index entries, of which there are millions, are not in this table.

mod batches;
mod faults;
mod jobs;
mod records;
mod rows;

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use storage::{
    Condition, Item, Key, StorageError, Tables,
    tables::{Outcome, Query, Transaction, Update, Write},
};

use self::{
    records::Versioned,
    rows::{key, partition, signed_rows},
};
use crate::{head::Head, manifest::LedgerId, watermark::Exception};

pub use jobs::View;
pub use records::{
    BatchRecord, BatchStatus, COVERED_INTERVALS_MAX, Content, CoverageRecord, FaultRecord, INTERVALS_MAX,
    NumberedBatch, RefusedBatch, SourceRecord,
};
pub(crate) use rows::{HEAD_ROW, batch_row, coverage_row, job_row, number_row, refused_row, signed_row, source_row};

/// The table `ledgers`.
#[derive(Clone)]
pub struct Book {
    tables: Arc<dyn Tables>,
    table: String,
}

impl Book {
    /// The book kept in `table`.
    pub fn new(tables: Arc<dyn Tables>, table: impl Into<String>) -> Self {
        Self { tables, table: table.into() }
    }

    /// The ledger's head; as it begins, where nothing was registered yet.
    pub async fn head(&self, ledger: &LedgerId) -> Result<Head, StorageError> {
        Ok(self.get(ledger, HEAD_ROW).await?.unwrap_or_default())
    }

    /// A source's intervals for registration.
    pub async fn source(&self, ledger: &LedgerId, source: &str) -> Result<SourceRecord, StorageError> {
        Ok(self.get(ledger, &source_row(source)).await?.unwrap_or_default())
    }

    /// A source's intervals for the watermark.
    pub async fn coverage(&self, ledger: &LedgerId, source: &str) -> Result<CoverageRecord, StorageError> {
        Ok(self.get(ledger, &coverage_row(source)).await?.unwrap_or_default())
    }

    /// What operators have signed off of a source's intervals.
    pub async fn exceptions(&self, ledger: &LedgerId, source: &str) -> Result<Vec<Exception>, StorageError> {
        self.all(ledger, &signed_rows(source)).await
    }

    /// All rows whose sort key begins like this, in order.
    pub(crate) async fn all<T: DeserializeOwned>(
        &self,
        ledger: &LedgerId,
        prefix: &str,
    ) -> Result<Vec<T>, StorageError> {
        self.gathered(self.rows(ledger, prefix)).await
    }

    async fn gathered<T: DeserializeOwned>(&self, mut query: Query) -> Result<Vec<T>, StorageError> {
        let mut rows = Vec::new();
        loop {
            let page = self.tables.query(&query).await?;
            for item in page.items {
                rows.push(from_item(item)?);
            }
            query.from = page.next;
            if query.from.is_none() {
                return Ok(rows);
            }
        }
    }

    /// Does all of the writes or none. Whether it did.
    pub(crate) async fn write(&self, writes: Vec<Write>) -> Result<bool, StorageError> {
        Ok(self.tables.transact(writes).await? == Transaction::Written)
    }

    /// Lets nothing be written unless there is no such row.
    pub(crate) fn absent(&self, ledger: &LedgerId, row: &str) -> Write {
        Write::Check { table: self.table.clone(), key: key(ledger, row), condition: Condition::Absent }
    }

    /// Puts a new row.
    pub(crate) fn insert<T: Serialize>(&self, ledger: &LedgerId, row: &str, record: &T) -> Result<Write, StorageError> {
        Ok(Write::Put {
            table: self.table.clone(),
            item: self.item(ledger, row, record)?,
            condition: Condition::Absent,
        })
    }

    /// Puts a row in the place of the one that it was computed from.
    pub(crate) fn replace<T: Versioned + Clone>(
        &self,
        ledger: &LedgerId,
        row: &str,
        record: &T,
    ) -> Result<Write, StorageError> {
        let mut record = record.clone();
        let version = record.version();
        let condition = match *version {
            0 => Condition::Absent,
            read => Condition::Equals("version".to_owned(), read.into()),
        };
        *version += 1;
        Ok(Write::Put { table: self.table.clone(), item: self.item(ledger, row, &record)?, condition })
    }

    /// Changes attributes of a row by itself, if the condition holds. Whether it did.
    pub(crate) async fn update(
        &self,
        ledger: &LedgerId,
        row: &str,
        set: Vec<(String, Value)>,
        condition: Condition,
    ) -> Result<bool, StorageError> {
        let update = Update { set, ..Update::default() };
        let outcome = self.tables.update(&self.table, &key(ledger, row), update, condition).await?;
        Ok(outcome == Outcome::Written)
    }

    /// Changes attributes of a row.
    pub(crate) fn change(
        &self,
        ledger: &LedgerId,
        row: &str,
        set: Vec<(String, Value)>,
        condition: Condition,
    ) -> Write {
        let update = Update { set, ..Update::default() };
        Write::Update { table: self.table.clone(), key: key(ledger, row), update, condition }
    }

    async fn get<T: DeserializeOwned>(&self, ledger: &LedgerId, row: &str) -> Result<Option<T>, StorageError> {
        self.tables.get(&self.table, &key(ledger, row)).await?.map(from_item).transpose()
    }

    fn rows(&self, ledger: &LedgerId, prefix: &str) -> Query {
        Query {
            table: self.table.clone(),
            partition: partition(ledger),
            sort_prefix: Some(prefix.to_owned()),
            ..Query::default()
        }
    }

    fn item<T: Serialize>(&self, ledger: &LedgerId, row: &str, record: &T) -> Result<Item, StorageError> {
        item(&key(ledger, row), record)
    }
}

fn item<T: Serialize>(key: &Key, record: &T) -> Result<Item, StorageError> {
    let mut item = key.attributes();
    match serde_json::to_value(record) {
        Ok(Value::Object(attributes)) => item.extend(attributes),
        Ok(other) => return Err(unreadable(format!("{other} is no item"))),
        Err(error) => return Err(unreadable(error.to_string())),
    }
    Ok(item)
}

fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, StorageError> {
    serde_json::from_value(Value::Object(item)).map_err(|error| unreadable(error.to_string()))
}

fn unreadable(reason: String) -> StorageError {
    StorageError::Invalid { what: "an item of the table of ledgers".to_owned(), reason }
}
