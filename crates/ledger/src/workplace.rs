//! What every step of a job works with: where it reads and writes, and whether its attempt is the current one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use environment::{ConfigError, text};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Serialize, de::DeserializeOwned};
use storage::{
    ByteRange, Clock, Location, Objects, StorageError, Tables, documents,
    objects::{PutOptions, blocks, read_range},
};

use crate::{
    BatchSequence, Ledger, LedgerError, Partition, Rules,
    book::Book,
    commits::Written,
    definitions::Definitions,
    job::Job,
    layout::{attempt, job_folder},
    messages::RunInput,
    policy::Policy,
    turns::Turns,
};

/// The memory of a function that is not told how much it has.
const MEMORY_BYTES: u64 = 3008 << 20;

/// How many small documents are read side by side.
const DOCUMENTS_AT_ONCE: usize = 64;

/// Where a step's things are: all that most of them are configured by.
#[derive(Debug, Clone)]
pub struct Places {
    /// The bucket of what steps hand on.
    pub work_bucket: String,
    /// The bucket of what stays.
    pub data_bucket: String,
    /// The table of the book.
    pub ledgers_table: String,
}

impl Places {
    /// Reads `WORK_BUCKET`, `DATA_BUCKET` and `LEDGERS_TABLE`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            work_bucket: text("WORK_BUCKET")?,
            data_bucket: text("DATA_BUCKET")?,
            ledgers_table: text("LEDGERS_TABLE")?,
        })
    }
}

/// The ports of a step, and its buckets.
#[derive(Clone)]
pub(crate) struct Workplace {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) book: Book,
    pub(crate) turns: Turns,
    definitions: Definitions,
    work_bucket: String,
    data_bucket: String,
    /// How many bytes of files a worker may hold at once.
    pub(crate) held_bytes_max: u64,
}

/// What a step finds when it begins.
pub(crate) struct Entered {
    /// The definition that the job is pinned to.
    pub(crate) ledger: Arc<Ledger>,
    /// The job, read consistently.
    pub(crate) job: Job,
}

impl Entered {
    /// The policy of the definition that the job is pinned to.
    pub(crate) fn policy(&self) -> &Policy {
        &self.ledger.definition().policy
    }
}

impl Workplace {
    /// A workplace with its book in the table `ledgers_table`.
    pub(crate) fn new(
        objects: Arc<dyn Objects>,
        tables: Arc<dyn Tables>,
        clock: Arc<dyn Clock>,
        ledgers_table: &str,
        work_bucket: &str,
        data_bucket: &str,
    ) -> Self {
        let book = Book::new(tables.clone(), ledgers_table);
        Self {
            objects,
            turns: Turns::new(book.clone(), clock),
            book,
            definitions: Definitions::new(tables, ledgers_table, Rules::built_in()),
            work_bucket: work_bucket.to_owned(),
            data_bucket: data_bucket.to_owned(),
            // The rest is for the program, its buffers, and what it makes of the files.
            held_bytes_max: environment::function_memory().unwrap_or(MEMORY_BYTES) / 4 * 3,
        }
    }

    /// A workplace at these places.
    pub(crate) fn at(
        objects: Arc<dyn Objects>,
        tables: Arc<dyn Tables>,
        clock: Arc<dyn Clock>,
        places: &Places,
    ) -> Self {
        let Places { work_bucket, data_bucket, ledgers_table } = places;
        Self::new(objects, tables, clock, ledgers_table, work_bucket, data_bucket)
    }

    /// The stateless half begins, or begins again after its first worker was retried; and what it works by.
    pub(crate) async fn begin(&self, run: &RunInput) -> Result<Entered, LedgerError> {
        let ledger = self.definitions.ledger(&run.ledger, run.definition).await?;
        self.turns.begin_stateless(&run.who(), &ledger.definition().policy).await?;
        self.look(run).await
    }

    /// What a step works by, whether or not its attempt is the current one: of use where the step may be done already.
    pub(crate) async fn look(&self, run: &RunInput) -> Result<Entered, LedgerError> {
        let ledger = self.definitions.ledger(&run.ledger, run.definition).await?;
        Ok(Entered { ledger, job: self.turns.job(&run.who()).await? })
    }

    /// A sign of life of the attempt, and what it works by. An attempt that is not the current one is told `Conflict`.
    pub(crate) async fn enter(&self, run: &RunInput) -> Result<Entered, LedgerError> {
        let ledger = self.definitions.ledger(&run.ledger, run.definition).await?;
        let job = self.turns.renew(&run.who(), &ledger.definition().policy).await?;
        Ok(Entered { ledger, job })
    }

    /// An object of the work bucket.
    pub(crate) fn work(&self, key: impl Into<String>) -> Location {
        Location::new(&self.work_bucket, key)
    }

    /// An object of the data bucket.
    pub(crate) fn data(&self, key: impl Into<String>) -> Location {
        Location::new(&self.data_bucket, key)
    }

    /// The document at `at`, if it stands.
    pub(crate) async fn find<T: DeserializeOwned>(&self, at: &Location) -> Result<Option<T>, LedgerError> {
        Ok(documents::read(&*self.objects, at).await?)
    }

    /// The document at `at`, which a step before this one has written.
    pub(crate) async fn read<T: DeserializeOwned>(&self, run: &RunInput, at: &Location) -> Result<T, LedgerError> {
        let missing = || match at.bucket == self.work_bucket {
            true => LedgerError::WorkExpired { what: at.to_string() },
            false => LedgerError::StepMissing { what: at.to_string(), job: run.job },
        };
        self.find(at).await?.ok_or_else(missing)
    }

    /// Of an object that a commit names: in the work bucket it can only have been deleted since, by its age.
    fn gone(&self, at: &Location, error: StorageError) -> LedgerError {
        match error {
            StorageError::NotFound { .. } if at.bucket == self.work_bucket => {
                LedgerError::WorkExpired { what: at.to_string() }
            }
            error => error.into(),
        }
    }

    /// The documents at these places, in order; a step before this one has written all of them.
    pub(crate) async fn read_each<T: DeserializeOwned + Send>(
        &self,
        run: &RunInput,
        at: Vec<Location>,
    ) -> Result<Vec<T>, LedgerError> {
        let reads = at.into_iter().map(|at| async move { self.read(run, &at).await });
        stream::iter(reads.collect::<Vec<_>>()).buffered(DOCUMENTS_AT_ONCE).try_collect().await
    }

    /// Refuses batches of the job, each for its reason, and voids the job. What the worker then ends with.
    pub(crate) async fn refuse(&self, run: &RunInput, reasons: BTreeMap<BatchSequence, String>) -> LedgerError {
        match self.turns.refuse(&run.who(), &reasons).await {
            Err(error) => error.into(),
            Ok(()) => {
                let (batch, reason) = reasons.into_iter().next().unwrap_or((run.batches.lo(), String::new()));
                LedgerError::BatchRefused { batch, reason }
            }
        }
    }

    /// Signs of life for work that can take longer than a lease.
    pub(crate) fn pulse<'a>(&'a self, run: &'a RunInput, policy: &Policy) -> Pulse<'a> {
        let pulse = Pulse { turns: &self.turns, run, policy: *policy, next: AtomicI64::new(0) };
        pulse.rest();
        pulse
    }

    /// Commits a document at `at`, unless another attempt was first. Returns the one that stands.
    pub(crate) async fn commit<T: Serialize + DeserializeOwned>(
        &self,
        at: &Location,
        document: T,
    ) -> Result<T, LedgerError> {
        Ok(documents::commit(&*self.objects, at, document).await?)
    }

    /// Writes a document that a commit will name.
    pub(crate) async fn write<T: Serialize>(&self, at: &Location, document: &T) -> Result<(), LedgerError> {
        Ok(documents::write(&*self.objects, at, document).await?)
    }

    /// Writes an object that a commit will name.
    pub(crate) async fn put(&self, at: &Location, bytes: Vec<u8>, content_type: &str) -> Result<Written, LedgerError> {
        let written = Written { key: at.key.clone(), bytes: bytes.len() as u64 };
        let options = PutOptions { content_type: Some(content_type.to_owned()), ..PutOptions::default() };
        self.objects.put(at, bytes.into(), options).await?;
        Ok(written)
    }

    /// Refuses a partition before it is read, where the files to be held at once are longer than the memory has room for.
    pub(crate) fn room(
        &self,
        run: &RunInput,
        partition: Partition,
        files: impl IntoIterator<Item = u64>,
    ) -> Result<(), LedgerError> {
        let bytes = files.into_iter().fold(0, u64::saturating_add);
        if bytes <= self.held_bytes_max {
            return Ok(());
        }
        let (job, bits, bytes_max) = (run.job, run.partition_bits, self.held_bytes_max);
        Err(LedgerError::PartitionTooLong { partition, job, bytes, bytes_max, bits })
    }

    /// A range of an object that a commit names.
    pub(crate) async fn range(&self, at: &Location, range: ByteRange) -> Result<Bytes, LedgerError> {
        read_range(&*self.objects, at, None, range).await.map_err(|error| self.gone(at, error))
    }

    /// An object that a commit names, whole. A long one is read in several streams at once.
    pub(crate) async fn written(&self, at: &Location, bytes: u64) -> Result<Bytes, LedgerError> {
        if bytes > self.held_bytes_max {
            let reason = format!("has {bytes} bytes, more than the {} that are read into memory", self.held_bytes_max);
            return Err(StorageError::Invalid { what: at.to_string(), reason }.into());
        }
        let mut blocks = std::pin::pin!(blocks(&*self.objects, at, None, bytes));
        let first = blocks.try_next().await.map_err(|error| self.gone(at, error))?.unwrap_or_default();
        if first.len() as u64 == bytes {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(usize::try_from(bytes).unwrap_or_default());
        whole.extend_from_slice(&first);
        while let Some(block) = blocks.try_next().await? {
            whole.extend_from_slice(&block);
        }
        Ok(whole.freeze())
    }
}

/// Signs of life, as often as is worth it.
pub(crate) struct Pulse<'a> {
    turns: &'a Turns,
    run: &'a RunInput,
    policy: Policy,
    /// When the next one is due, in seconds since 1970.
    next: AtomicI64,
}

impl Pulse<'_> {
    /// To be called again and again. An attempt that is not the current one is told `Conflict`.
    pub(crate) async fn beat(&self) -> Result<(), LedgerError> {
        if self.turns.clock.now().as_second() >= self.next.load(Ordering::Relaxed) {
            self.rest();
            self.turns.renew(&self.run.who(), &self.policy).await?;
        }
        Ok(())
    }

    fn rest(&self) {
        let pause = i64::from(self.policy.lease_seconds / 4);
        self.next.store(self.turns.clock.now().as_second().saturating_add(pause), Ordering::Relaxed);
    }
}

/// A place below the job's folder for one attempt at a step, never used again, without a final slash:
/// `<job>/<step>/<attempt>`.
pub(crate) fn attempt_place(run: &RunInput, step: &str) -> String {
    format!("{}/{step}/{}", job_folder(run), attempt())
}
