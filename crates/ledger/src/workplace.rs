//! What every step of a job works with: where it reads and writes, and whether its attempt is the current one.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use storage::{
    Clock, Location, Objects, Tables, documents,
    objects::{PutOptions, read_all},
};

use crate::{
    Ledger, LedgerError, Rules,
    book::Book,
    commits::Written,
    definitions::Definitions,
    job::Job,
    layout::{attempt, job_folder},
    messages::RunInput,
    policy::Policy,
    turns::Turns,
};

/// The longest object that is read into memory whole: a partition's events, its prefetched versions, a part-file.
const OBJECT_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// The ports of a step, and its buckets.
#[derive(Clone)]
pub(crate) struct Workplace {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) book: Book,
    pub(crate) turns: Turns,
    definitions: Definitions,
    work_bucket: String,
    data_bucket: String,
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
            definitions: Definitions::new(tables, ledgers_table, Rules::default()),
            work_bucket: work_bucket.to_owned(),
            data_bucket: data_bucket.to_owned(),
        }
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
        let missing = || LedgerError::StepMissing { what: at.to_string(), job: run.job };
        self.find(at).await?.ok_or_else(missing)
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

    /// An object that a commit names, whole.
    pub(crate) async fn whole(&self, at: &Location) -> Result<Bytes, LedgerError> {
        Ok(read_all(self.objects.read(at, None, None).await?, at, OBJECT_BYTES_MAX).await?)
    }
}

/// A place below the job's folder for one attempt at a step, never used again, without a final slash:
/// `<job>/<step>/<attempt>`.
pub(crate) fn attempt_place(run: &RunInput, step: &str) -> String {
    format!("{}/{step}/{}", job_folder(&run.ledger, run.job), attempt())
}
