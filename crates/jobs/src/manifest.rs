//! What the steps of an attempt commit, as [documents](storage::documents).

use std::collections::BTreeMap;

use jiff::Timestamp;
use reconcile::{
    Format,
    report::{Engine, Figures, OutputFigures},
    task::TaskJob,
};
use serde::{Deserialize, Serialize};

use crate::book::{JobStatus, OutputRecord, Reason};

/// What output-checker commits: the engine's figures, of which every output has been read again and ties out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// What ran the task.
    pub engine: Engine,
    /// What it says.
    pub figures: Figures,
}

/// What a call has found that read a piece of an attempt's outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Finding {
    /// What it has read, by output: its parts say which of them.
    Read {
        /// The outputs that it has read parts of.
        outputs: Vec<OutputFigures>,
    },
    /// It has failed for good.
    Failed {
        /// Why.
        reason: Reason,
    },
}

/// How an attempt ended: the first of these that stands is the attempt's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum End {
    /// Its outputs are published.
    Published(Box<Publication>),
    /// It failed: nothing is published.
    Failed(Unpublished),
    /// It was cancelled: nothing is published.
    Cancelled(Unpublished),
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The attempt.
    #[serde(flatten)]
    pub job: TaskJob,
    /// What ran it.
    pub engine: Engine,
    /// The outputs.
    pub outputs: Vec<PublishedOutput>,
    /// The figures of the engine; of its parts, which lie in the work bucket, there may be nothing left.
    pub figures: Figures,
    /// When it was published.
    pub published_at: Timestamp,
}

/// An output that was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedOutput {
    /// Its name.
    pub name: String,
    /// How it is written.
    pub format: Format,
    /// Its rows.
    pub rows: u64,
    /// The exact sums of its columns of numbers.
    pub totals: BTreeMap<String, String>,
    /// Those of them that hold amounts: of ids, ratios and the like a sum proves that nothing was lost, and says no more.
    pub amounts: Vec<String>,
    /// Its objects in the data bucket, in order: one of CSV and of JSON lines, any number of Parquet.
    pub objects: Vec<PublishedObject>,
}

/// An object that was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedObject {
    /// Its key, in the data bucket.
    pub key: String,
    /// Its bytes.
    pub bytes: u64,
}

/// Why nothing was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpublished {
    /// The attempt.
    #[serde(flatten)]
    pub job: TaskJob,
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub ended_at: Timestamp,
}

impl PublishedOutput {
    /// What is told of it.
    pub fn record(&self) -> OutputRecord {
        let sum = |column: &String| Some((column.clone(), self.totals.get(column)?.clone()));
        OutputRecord {
            name: self.name.clone(),
            format: self.format,
            rows: self.rows,
            bytes: self.objects.iter().map(|object| object.bytes).sum(),
            totals: self.amounts.iter().filter_map(sum).collect(),
        }
    }
}

impl End {
    /// What the job's row says of it.
    pub const fn status(&self) -> JobStatus {
        match self {
            Self::Published(_) => JobStatus::Published,
            Self::Failed(_) => JobStatus::Failed,
            Self::Cancelled(_) => JobStatus::Cancelled,
        }
    }
}

impl Publication {
    /// Rows and bytes of all outputs.
    pub fn size(&self) -> (u64, u64) {
        let records = self.outputs.iter().map(PublishedOutput::record);
        records.fold((0, 0), |(rows, bytes), one| (rows + one.rows, bytes + one.bytes))
    }
}

/// The output of that name in an engine's figures.
pub(crate) fn output<'f>(figures: &'f Figures, name: &str) -> Option<&'f OutputFigures> {
    figures.outputs.iter().find(|output| output.name == name)
}
