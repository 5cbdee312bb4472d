//! What stands in the rows of the book.

use serde::{Deserialize, Serialize};

use crate::{BatchSequence, Interval, JobNumber, intervals::IntervalSet, job::Job};

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
