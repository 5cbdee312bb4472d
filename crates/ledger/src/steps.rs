//! The record of every step of every job: the operator's truth.
//!
//! Rows are written in the transactions that they stand for, so the record cannot say anything else than the ledger
//! does: split, reduce and combine end, and the next begins, where the job moves on; prefetch, apply and index begin where
//! their turn is taken up, and end where they commit.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use storage::{Condition, StorageError, tables::Write};

use crate::{
    JobNumber,
    book::Book,
    job::{Failure, Job},
    manifest::LedgerId,
    stage::{Preparation, Stage},
};

/// Figures of a step, by name: whole numbers, and amounts as text.
pub type Figures = Map<String, Value>;

/// The steps of a job, in the order in which they are done.
pub const STEPS: [&str; 6] = [
    Preparation::Split.as_str(),
    Preparation::Reduce.as_str(),
    Preparation::Combine.as_str(),
    Stage::Prefetch.as_str(),
    Stage::Apply.as_str(),
    Stage::Index.as_str(),
];

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// At work, or dead without having said so.
    Running,
    /// Done.
    Done,
    /// Failed; another attempt has a row of its own.
    Failed,
}

/// The row of one attempt at a step of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The job.
    pub job: JobNumber,
    /// The attempt at the job: the number in its execution's name.
    pub attempt: u32,
    /// Which of the attempts at this step it is, from 1.
    pub step_attempt: u32,
    /// One of [`STEPS`].
    pub step: String,
    /// How far it is.
    pub status: StepStatus,
    /// When it began; absent where it failed before it was heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The fence that it held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// What it did.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub figures: Figures,
    /// The manifest that it committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Which attempt at which step.
#[derive(Debug, Clone, Copy)]
pub struct StepKey<'a> {
    /// The ledger.
    pub ledger: &'a LedgerId,
    /// The job.
    pub job: JobNumber,
    /// The attempt at the job.
    pub attempt: u32,
    /// Which of the attempts at this step it is.
    pub step_attempt: u32,
    /// The step's name.
    pub step: &'a str,
}

impl<'a> StepKey<'a> {
    /// What the job's current attempt is at.
    pub(crate) fn current(ledger: &'a LedgerId, job: &'a Job) -> Self {
        let (attempt, step_attempt) = (job.attempt, job.step_attempt);
        Self { ledger, job: job.number(), attempt, step_attempt, step: job.step() }
    }

    fn row(&self) -> String {
        format!("{}{:06}#{}", prefix(self.job), self.attempt, self.step)
    }

    fn change(&self, book: &Book, set: Value) -> Write {
        let mut set = match set {
            Value::Object(set) => set,
            _ => Map::new(),
        };
        set.insert("job".to_owned(), json!(self.job));
        set.insert("attempt".to_owned(), self.attempt.into());
        set.insert("step_attempt".to_owned(), self.step_attempt.into());
        set.insert("step".to_owned(), self.step.into());
        book.change(self.ledger, &self.row(), set.into_iter().collect(), Condition::Always)
    }

    /// It has begun.
    pub(crate) fn begun(&self, book: &Book, now: Timestamp, fence: Option<u64>) -> Write {
        let mut set = json!({ "status": StepStatus::Running, "started_at": now });
        if let (Value::Object(set), Some(fence)) = (&mut set, fence) {
            set.insert("fence".to_owned(), fence.into());
        }
        self.change(book, set)
    }

    /// It is done.
    pub(crate) fn done(&self, book: &Book, now: Timestamp, figures: &Figures, manifest: Option<&str>) -> Write {
        let mut set = json!({ "status": StepStatus::Done, "ended_at": now, "figures": figures });
        if let (Value::Object(set), Some(manifest)) = (&mut set, manifest) {
            set.insert("manifest".to_owned(), manifest.into());
        }
        self.change(book, set)
    }

    /// It failed.
    pub(crate) fn failed(&self, book: &Book, now: Timestamp, failure: &Failure) -> Write {
        self.change(book, json!({ "status": StepStatus::Failed, "ended_at": now, "failure": failure }))
    }
}

/// The rows of steps.
#[derive(Clone)]
pub struct Steps {
    book: Book,
}

impl Steps {
    /// The steps kept in `book`.
    pub fn new(book: Book) -> Self {
        Self { book }
    }

    /// All attempts at all steps of a job, by attempt and then by name.
    pub async fn of_job(&self, ledger: &LedgerId, job: JobNumber) -> Result<Vec<StepRecord>, StorageError> {
        self.book.all(ledger, &prefix(job)).await
    }
}

fn prefix(job: JobNumber) -> String {
    format!("step#{}#", job.padded())
}
