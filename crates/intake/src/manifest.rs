//! Manifests: the commits of a run, as [documents](storage::documents).

use std::collections::BTreeMap;

use jiff::Timestamp;
use money::ControlTotals;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    feed::Feed,
    layout::run_folder,
    messages::{Chunk, RunId, RunRequest, Split},
    runs::Reason,
};

/// What splitter found, and what every later step of the run goes by: the feed as it was then, the header, the ranges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The run.
    pub request: RunRequest,
    /// The feed as it was when the run began. A change of the feed does not touch a run that is under way.
    pub feed: Feed,
    /// The generation of the reference table that the feed enriches from, as it was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_generation: Option<u64>,
    /// The columns of the input, as its header has them.
    pub header: Vec<String>,
    /// How the input is compressed.
    pub compression: Compression,
    /// The ranges.
    pub split: Split,
}

/// How an input is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip: such a file is one chunk.
    Gzip,
}

/// An object that a step wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its key, in the bucket of the manifest.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// What a chunk-processor made of its range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkManifest {
    /// The range.
    pub chunk: Chunk,
    /// The clean records, without header; empty files are not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// The rejects, without header; empty files are not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejects: Option<Part>,
    /// Records read.
    pub records_in: u64,
    /// Records in the part.
    pub records_out: u64,
    /// Records in the reject file.
    pub records_rejected: u64,
    /// Sums of the amount columns over the records in the part, as they were read.
    pub totals: ControlTotals,
    /// Sums of the input's amount columns over all records read.
    pub totals_read: ControlTotals,
    /// Sums of the input's amount columns over the records in the reject file.
    pub totals_rejected: ControlTotals,
    /// How many records each rule rejected.
    pub rejected_by_rule: BTreeMap<String, u64>,
}

/// How a run ended: the commit that decides it, whatever anybody does later. Merger offers a publication, emailer a
/// failure; the first of them stands, and the other goes by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// Its output is published.
    Published(Box<Publication>),
    /// Nothing is published, and nothing will be.
    Failed(FailedRun),
}

/// A run that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedRun {
    /// The run.
    pub request: RunRequest,
    /// Why.
    pub reason: Reason,
    /// When that was decided.
    pub failed_at: Timestamp,
}

/// What a run published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Publication {
    /// The run.
    pub request: RunRequest,
    /// The output.
    pub output: Part,
    /// The rejects, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejects: Option<Part>,
    /// The report.
    pub report: Part,
    /// The input's length in bytes.
    pub bytes: u64,
    /// How many chunks there were.
    pub chunks: u64,
    /// Records read.
    pub records_in: u64,
    /// Records published.
    pub records_out: u64,
    /// Records rejected.
    pub records_rejected: u64,
    /// How many records each rule rejected.
    pub rejected_by_rule: BTreeMap<String, u64>,
    /// Sums of the amount columns, as read again from the output.
    pub totals: ControlTotals,
    /// Sums of the input's amount columns over the records rejected.
    pub totals_rejected: ControlTotals,
    /// When the run was registered.
    pub started_at: Timestamp,
    /// When it was published.
    pub published_at: Timestamp,
}

/// A place for one attempt at a step, never used again.
pub(crate) fn attempt_folder(run: &RunId, step: &str) -> String {
    format!("{}/{step}/{}", run_folder(run), Uuid::new_v4().simple())
}

/// The key of the plan, in the work bucket.
pub fn plan_key(run: &RunId) -> String {
    format!("{}/plan.json", run_folder(run))
}

/// The key of a chunk's manifest, in the work bucket.
pub fn chunk_key(run: &RunId, index: u64) -> String {
    format!("{}/chunks/{index:06}.json", run_folder(run))
}

/// The key of a run's [`End`], in the data bucket.
pub fn end_key(run: &RunId) -> String {
    format!("{}/end.json", run_folder(run))
}
