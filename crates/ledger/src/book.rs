//! The book: what the coordination of a ledger knows, in the table `ledgers`.
//!
//! | pk | sk | item | changed by |
//! |---|---|---|---|
//! | `<tenant>#<ledger>` | `head` | [`Head`]: `next`, the cursors, the last fence | registration, grouping, grants, commits |
//! | `<tenant>#<ledger>` | `batch#<batch>` | [`BatchRecord`]: a batch by its name | registration, skip, refusal, pass |
//! | `<tenant>#<ledger>` | `number#<number>` | [`NumberedBatch`]: a batch by its number | registration; grouping adds `job` |
//! | `<tenant>#<ledger>` | `refused#<seconds>#<batch>` | [`RefusedBatch`]: that a batch was refused before it got a number | registration |
//! | `<tenant>#<ledger>#<sha256>` | `content#<batch>#<digest>` | [`Content`]: that a manifest of that name and digest has an object of this content | registration |
//! | `<tenant>#<ledger>` | `job#<number>` | [`Job`]: status, attempt, turns | grouping, then every transition of the job |
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

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use storage::{
    Condition, Item, Key, StorageError, Tables,
    tables::{Outcome, Query, Transaction, Update, Write},
};

use crate::{
    BatchSequence, Interval, JobBatches, JobNumber,
    head::Head,
    intervals::IntervalSet,
    job::Job,
    manifest::{ContentHash, LedgerId},
    watermark::Exception,
};

/// The most disjoint intervals of one source that are claimed or void: more means that its batches leave gaps everywhere.
pub const INTERVALS_MAX: usize = 1_000;
/// The most disjoint intervals of one source that are indexed: those claimed, cut by what is void or on its way.
pub const COVERED_INTERVALS_MAX: usize = 4 * INTERVALS_MAX;

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum BatchStatus {
    /// It has a number and is on its way, or indexed.
    Registered,
    /// It did not tie out: nothing of it is in the ledger.
    Refused {
        /// Why.
        reason: String,
    },
    /// An operator took it out.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// A batch by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRecord {
    /// Its name.
    pub batch: String,
    /// The digest of its manifest.
    pub digest: String,
    /// What became of it.
    #[serde(flatten)]
    pub status: BatchStatus,
    /// Its number, the last if it had several; absent where it was refused at the door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<BatchSequence>,
    /// Its source.
    pub source: String,
    /// Its interval.
    pub interval: Interval,
    /// Whether it corrects closed intervals.
    pub correction: bool,
    /// The batch that was registered in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
    /// When it was first registered.
    pub registered_at: jiff::Timestamp,
    /// When it got its number, the last if it had several; without one, when it was refused.
    pub let_in_at: jiff::Timestamp,
    /// Moves up with every change.
    pub version: u64,
}

/// A manifest that was not taken: what its sender got wrong. It goes when a later one of its name is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// The batch's name.
    pub batch: String,
    /// What is wrong.
    pub reason: String,
    /// When the manifest was uploaded, to the second.
    pub uploaded_at: jiff::Timestamp,
    /// When it was looked at.
    pub at: jiff::Timestamp,
    /// When the row goes, in seconds since 1970: where nobody has described the ledger, so that nobody looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

/// A batch by its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedBatch {
    /// Its number.
    pub number: BatchSequence,
    /// Its name.
    pub batch: String,
    /// Its source.
    pub source: String,
    /// Its interval.
    pub interval: Interval,
    /// Whether it corrects closed intervals, and so covers none.
    pub correction: bool,
    /// Its events, by the sender's count.
    pub events: u64,
    /// The bytes of its objects.
    pub bytes: u64,
    /// How many objects it has.
    pub objects: u64,
    /// The key of its pinned manifest, in the data bucket.
    pub pinned: String,
    /// How often it was let behind others.
    #[serde(default)]
    pub passes: u32,
    /// The job it is in, once it is grouped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobNumber>,
}

/// Where a batch stands that was refused before it got a number, by time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedBatch {
    /// Its name.
    pub batch: String,
}

/// An object of a batch, found by what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The batch.
    pub batch: String,
    /// The digest of its manifest. Whether that was taken, the batch's own row says.
    pub digest: String,
    /// The object's key.
    pub object: String,
}

/// A source's intervals, as far as registration goes by them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// Intervals that a batch was registered for.
    pub claimed: IntervalSet,
    /// Those of batches that were refused or skipped, and not replaced since.
    #[serde(default)]
    pub void: IntervalSet,
    /// Moves up with every change.
    pub version: u64,
}

/// A source's intervals, as far as the watermark goes by them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageRecord {
    /// Those of batches that are indexed.
    pub indexed: IntervalSet,
    /// How many an operator has signed off: each has a row of its own, because all of them together do not fit into one.
    #[serde(default)]
    pub signed: u32,
    /// Moves up with every change.
    pub version: u64,
}

/// A record that is written on condition of its version.
pub(crate) trait Versioned: Serialize {
    /// The version that was read; 0 where nothing was.
    fn version(&mut self) -> &mut u64;
}

macro_rules! versioned {
    ($($record:ty),+) => {$(
        impl Versioned for $record {
            fn version(&mut self) -> &mut u64 {
                &mut self.version
            }
        }
    )+};
}
versioned!(BatchRecord, SourceRecord, CoverageRecord, Job);

/// The ledger's head and its jobs that are not indexed, in order: what the backlog manager goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The head.
    pub head: Head,
    /// The jobs, live and void, behind the cursor `indexed`.
    pub jobs: Vec<Job>,
}

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
        Ok(self.get(ledger, "head").await?.unwrap_or_default())
    }

    /// A batch by its name.
    pub async fn batch(&self, ledger: &LedgerId, batch: &str) -> Result<Option<BatchRecord>, StorageError> {
        self.get(ledger, &batch_row(batch)).await
    }

    /// All batches whose name begins like this, by name.
    pub async fn batch_records(&self, ledger: &LedgerId, prefix: &str) -> Result<Vec<BatchRecord>, StorageError> {
        self.all(ledger, &batch_row(prefix)).await
    }

    /// The batches of these names, as far as there are such. All are read at once.
    pub async fn named_batches(
        &self,
        ledger: &LedgerId,
        names: impl IntoIterator<Item = &str>,
    ) -> Result<Vec<BatchRecord>, StorageError> {
        let rows: Vec<_> = names.into_iter().map(|batch| key(ledger, &batch_row(batch))).collect();
        let items = self.tables.get_many(&self.table, &rows).await?;
        items.into_iter().flatten().map(from_item).collect()
    }

    /// The batches that got a number last, then those that were refused without one, `limit` of each at most and the
    /// newest of each first. Older ones are not read.
    pub async fn newest_batches(&self, ledger: &LedgerId, limit: usize) -> Result<Vec<BatchRecord>, StorageError> {
        // A batch that was let in again has several numbers.
        let mut names = self.newest(ledger, "number#", limit, |batch: NumberedBatch| batch.batch).await?;
        names.extend(self.newest(ledger, "refused#", limit, |batch: RefusedBatch| batch.batch).await?);
        self.named_batches(ledger, names.iter().map(String::as_str)).await
    }

    /// The names that the last rows of this kind have, each once.
    async fn newest<T: DeserializeOwned>(
        &self,
        ledger: &LedgerId,
        rows: &str,
        limit: usize,
        name: impl Fn(T) -> String,
    ) -> Result<Vec<String>, StorageError> {
        let mut query = Query { descending: true, limit: Some(limit), ..self.rows(ledger, rows) };
        let mut names: Vec<String> = Vec::new();
        let mut known = BTreeSet::new();
        while names.len() < limit {
            let page = self.tables.query(&query).await?;
            for item in page.items {
                let name = name(from_item(item)?);
                if names.len() < limit && known.insert(name.clone()) {
                    names.push(name);
                }
            }
            query.from = page.next;
            if query.from.is_none() {
                break;
            }
        }
        Ok(names)
    }

    /// The manifests that have an object of this content, taken or not, as far as they give its hash.
    pub(crate) async fn contents(&self, ledger: &LedgerId, sha256: &str) -> Result<Vec<Content>, StorageError> {
        let partition = content_partition(ledger, sha256);
        self.gathered(Query { partition, ..self.rows(ledger, CONTENT_ROWS) }).await
    }

    /// Notes that a manifest has an object of this content. Doing so twice is once.
    pub(crate) async fn put_content(
        &self,
        ledger: &LedgerId,
        sha256: &str,
        content: &Content,
    ) -> Result<(), StorageError> {
        let row = format!("{CONTENT_ROWS}{}#{}", content.batch, content.digest);
        let item = item(&Key::sorted(content_partition(ledger, sha256), row), content)?;
        self.tables.put(&self.table, item, Condition::Always).await.map(drop)
    }

    /// Why manifests were not taken, of all batches whose name begins like this, by name.
    pub async fn faults(&self, ledger: &LedgerId, prefix: &str) -> Result<Vec<FaultRecord>, StorageError> {
        self.all(ledger, &fault_row(prefix)).await
    }

    /// A job.
    pub async fn job(&self, ledger: &LedgerId, job: JobNumber) -> Result<Option<Job>, StorageError> {
        self.get(ledger, &job_row(job)).await
    }

    /// Why the last manifest of that name was not taken, if it was not.
    pub async fn fault(&self, ledger: &LedgerId, batch: &str) -> Result<Option<FaultRecord>, StorageError> {
        self.get(ledger, &fault_row(batch)).await
    }

    /// Writes down why a manifest was not taken, unless that is known of a later one, or the batch is not `taken` as it
    /// was when this was decided. Whether it did.
    pub(crate) async fn put_fault(
        &self,
        ledger: &LedgerId,
        fault: &FaultRecord,
        taken: Option<&BatchRecord>,
    ) -> Result<bool, StorageError> {
        let read = |batch: &BatchRecord| Condition::Equals("version".to_owned(), batch.version.into());
        let same = Write::Check {
            table: self.table.clone(),
            key: key(ledger, &batch_row(&fault.batch)),
            condition: taken.map_or(Condition::Absent, read),
        };
        let put = Write::Put {
            table: self.table.clone(),
            item: self.item(ledger, &fault_row(&fault.batch), fault)?,
            condition: Condition::Any(vec![Condition::Absent, not_later(fault.uploaded_at)]),
        };
        self.write(vec![same, put]).await
    }

    /// Forgets why a manifest of that name that was not uploaded later than this was not taken. Whether it did.
    pub(crate) async fn forget_fault(
        &self,
        ledger: &LedgerId,
        batch: &str,
        uploaded_at: jiff::Timestamp,
    ) -> Result<bool, StorageError> {
        let key = key(ledger, &fault_row(batch));
        Ok(self.tables.delete(&self.table, &key, not_later(uploaded_at)).await? == Outcome::Written)
    }

    /// Forgets why a manifest of that name was not taken, whichever it was.
    pub async fn drop_fault(&self, ledger: &LedgerId, batch: &str) -> Result<(), StorageError> {
        self.tables.delete(&self.table, &key(ledger, &fault_row(batch)), Condition::Always).await.map(|_| ())
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

    /// The batches `from` to `to`, both included, as far as they are registered.
    pub async fn numbered(
        &self,
        ledger: &LedgerId,
        from: BatchSequence,
        to: BatchSequence,
    ) -> Result<Vec<NumberedBatch>, StorageError> {
        let rows = (from.get()..=to.get()).map(|number| key(ledger, &number_row(BatchSequence::new(number))));
        let items = self.tables.get_many(&self.table, &rows.collect::<Vec<_>>()).await?;
        items.into_iter().flatten().map(from_item).collect()
    }

    /// All batches of a job.
    pub(crate) async fn batches(
        &self,
        ledger: &LedgerId,
        batches: JobBatches,
    ) -> Result<Vec<NumberedBatch>, StorageError> {
        let numbered = self.numbered(ledger, batches.lo(), batches.hi()).await?;
        if numbered.len() as u64 == batches.count() {
            return Ok(numbered);
        }
        Err(unreadable(format!("batches {batches} of ledger {ledger} are not all there")))
    }

    /// The head and the jobs behind `indexed`. They are read one after the other: what is computed from them is written
    /// on condition that it still holds.
    pub async fn view(&self, ledger: &LedgerId) -> Result<View, StorageError> {
        let head = self.head(ledger).await?;
        let mut jobs: Vec<Job> = Vec::new();
        let mut query = self.rows(ledger, "job#");
        query.descending = true;
        // Newest first, so that the many jobs that are indexed are never read.
        query.limit = Some(16);
        loop {
            let page = self.tables.query(&query).await?;
            for item in page.items {
                let job: Job = from_item(item)?;
                if job.number() <= head.indexed {
                    jobs.reverse();
                    return Ok(View { head, jobs });
                }
                jobs.push(job);
            }
            query.from = page.next;
            if query.from.is_none() {
                jobs.reverse();
                return Ok(View { head, jobs });
            }
        }
    }

    /// Every job behind `after` and before `job`, void ones too, the newest first. Each is found by the number that the
    /// one behind it leaves off at, so none can be passed over.
    pub(crate) async fn jobs_between(
        &self,
        ledger: &LedgerId,
        after: JobNumber,
        job: &Job,
    ) -> Result<Vec<Job>, StorageError> {
        let mut jobs: Vec<Job> = Vec::new();
        loop {
            let number = jobs.last().unwrap_or(job).predecessor();
            if number <= after {
                return Ok(jobs);
            }
            let between = self.job(ledger, number).await?;
            jobs.push(between.ok_or_else(|| unreadable(format!("job {number} of ledger {ledger} is not there")))?);
        }
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

fn partition(ledger: &LedgerId) -> String {
    format!("{}#{}", ledger.tenant, ledger.ledger)
}

fn key(ledger: &LedgerId, row: &str) -> Key {
    Key::sorted(partition(ledger), row)
}

/// A fault of a manifest that was not uploaded later than this.
fn not_later(uploaded_at: jiff::Timestamp) -> Condition {
    let (attribute, value) = ("uploaded_at".to_owned(), Value::from(uploaded_at.to_string()));
    Condition::Any(vec![Condition::Less(attribute.clone(), value.clone()), Condition::Equals(attribute, value)])
}

pub(crate) const HEAD_ROW: &str = "head";

pub(crate) fn batch_row(batch: &str) -> String {
    format!("batch#{batch}")
}

pub(crate) fn fault_row(batch: &str) -> String {
    format!("fault#{batch}")
}

pub(crate) fn number_row(number: BatchSequence) -> String {
    format!("number#{}", JobNumber::from(number).padded())
}

pub(crate) fn refused_row(batch: &BatchRecord) -> String {
    format!("refused#{:012}#{}", batch.registered_at.as_second(), batch.batch)
}

const CONTENT_ROWS: &str = "content#";

fn content_partition(ledger: &LedgerId, sha256: &str) -> String {
    format!("{}#{sha256}", partition(ledger))
}

pub(crate) fn job_row(job: JobNumber) -> String {
    format!("job#{}", job.padded())
}

pub(crate) fn source_row(source: &str) -> String {
    format!("source#{source}")
}

pub(crate) fn coverage_row(source: &str) -> String {
    format!("coverage#{source}")
}

fn signed_rows(source: &str) -> String {
    format!("signed#{source}#")
}

/// Of two that sign the same the later is no other.
pub(crate) fn signed_row(source: &str, exception: &Exception) -> String {
    let Exception { interval, signed_by, reason, signed_at: _ } = exception;
    let mut digest = ContentHash::default();
    digest.update(json!([interval, signed_by, reason]).to_string().as_bytes());
    format!("{}{}", signed_rows(source), digest.finish())
}

fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, StorageError> {
    serde_json::from_value(Value::Object(item)).map_err(|error| unreadable(error.to_string()))
}

fn unreadable(reason: String) -> StorageError {
    StorageError::Invalid { what: "an item of the table of ledgers".to_owned(), reason }
}
