//! Why a partition cannot be applied.

use error_class::{Classified, ErrorClass};
use money::{AmountError, Overflow};

use crate::{
    codec::Corrupt,
    partition::Partition,
    sequence::{BatchSequence, JobNumber},
};

/// Why a partition cannot be applied. Nothing that the attempt has written counts.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The job has been applied and indexed already: this attempt outlived its successor.
    #[error("artifact {key:?} was prefetched at {sequence}, which is not before batch {lo}: the job has been indexed")]
    Zombie {
        /// The artifact.
        key: String,
        /// The version that was prefetched.
        sequence: BatchSequence,
        /// The job's first batch.
        lo: BatchSequence,
    },
    /// An overlay of a job that is indexed already, or does not come before this one.
    #[error("job {job} was overlaid: expected one behind {snapshot} and before batch {lo}")]
    OverlayOutOfRange {
        /// The overlay's job.
        job: JobNumber,
        /// The job's snapshot.
        snapshot: JobNumber,
        /// The job's first batch.
        lo: BatchSequence,
    },
    /// A version newer than the snapshot that no overlay holds.
    #[error("artifact {key:?} was prefetched at {sequence}, which is behind the snapshot, and no overlay holds it")]
    MissingOverlay {
        /// The artifact.
        key: String,
        /// The version that was prefetched.
        sequence: BatchSequence,
    },
    /// One version with two contents.
    #[error("artifact {key:?} has two versions {sequence} that differ")]
    Differs {
        /// The artifact.
        key: String,
        /// Their sequence.
        sequence: BatchSequence,
    },
    /// A key of the job that the prefetcher has not looked up.
    #[error("artifact {key:?} was not prefetched")]
    NotPrefetched {
        /// The artifact.
        key: String,
    },
    /// A key that was prefetched and is not of the job.
    #[error("artifact {key:?} was prefetched, and is not of the job")]
    NotInJob {
        /// The artifact.
        key: String,
    },
    /// A key that belongs to another partition.
    #[error("artifact {key:?} is not of partition {partition}")]
    Misplaced {
        /// The artifact.
        key: String,
        /// The partition that was applied.
        partition: Partition,
    },
    /// More ids than an artifact can keep.
    #[error(
        "artifact {key:?} would have more than {ids_max} event ids: put a definition with a higher duplicates.idsMax in \
         force, then `tieout batch redrive --afresh`"
    )]
    TooManyIds {
        /// The artifact.
        key: String,
        /// The bound.
        ids_max: usize,
    },
    /// A sum that cannot be held exactly.
    #[error("the amounts of artifact {key:?} cannot be summed")]
    Amounts {
        /// The artifact.
        key: String,
        /// Why.
        #[source]
        source: AmountError,
    },
    /// A control total that cannot be held exactly.
    #[error(transparent)]
    Totals(#[from] Overflow),
    /// A file that is not as it was written.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

impl Classified for ApplyError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Zombie { .. } => ErrorClass::Conflict,
            Self::TooManyIds { .. } | Self::Amounts { .. } | Self::Totals(_) => ErrorClass::InvalidInput,
            Self::OverlayOutOfRange { .. }
            | Self::MissingOverlay { .. }
            | Self::Differs { .. }
            | Self::NotPrefetched { .. }
            | Self::NotInJob { .. }
            | Self::Misplaced { .. }
            | Self::Corrupt(_) => ErrorClass::Bug,
        }
    }
}
