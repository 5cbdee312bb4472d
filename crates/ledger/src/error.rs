//! What can go wrong in a step of a job.

use error_class::{Classified, ErrorClass};
use storage::{StorageError, documents::DocumentError};

use crate::{
    ApplyError, BatchSequence, CombineError, Corrupt, DefinitionError, JobNumber, Partition, PartitionBits,
    ReduceError, job::JobRefusal, manifest::LedgerId, operate::OperateError, register::RegisterError, stage::Stage,
    turns::TurnError,
};

/// Why a function did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A document could not be read or written.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The job was not moved.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// A batch or job could not be taken out or redriven.
    #[error(transparent)]
    Operate(#[from] OperateError),
    /// The batch was not registered.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// There is no such ledger.
    #[error(
        "there is no ledger {0}: describe it with `tieout ledger put <definition.json>`, then send the batch again"
    )]
    UnknownLedger(LedgerId),
    /// The ledger's definition never had this version.
    #[error("ledger {ledger} has no version {version}")]
    UnknownVersion {
        /// The ledger.
        ledger: LedgerId,
        /// The version.
        version: u64,
    },
    /// A definition cannot be worked by.
    #[error("the definition of ledger {ledger}")]
    Definition {
        /// The ledger.
        ledger: LedgerId,
        /// What is wrong with it.
        #[source]
        source: DefinitionError,
    },
    /// A definition that does not go with what the ledger holds already.
    #[error("ledger {ledger} has batches: {what} cannot change any more; take another ledger")]
    DefinitionFixed {
        /// The ledger.
        ledger: LedgerId,
        /// Which key of the definition.
        what: &'static str,
    },
    /// A measure or attribute that would mean something else than what artifacts hold under its name.
    #[error("ledger {ledger} has batches, and {what}: take a new name")]
    NameTaken {
        /// The ledger.
        ledger: LedgerId,
        /// Which name, and what it was.
        what: String,
    },
    /// A source whose batches or signatures the watermark goes by, moved or left out.
    #[error("source {source_name:?} of ledger {ledger} has batches or signatures, and would {change}")]
    SourceInUse {
        /// The ledger.
        ledger: LedgerId,
        /// The source.
        source_name: String,
        /// What would become of it.
        change: String,
    },
    /// Somebody else has put a definition meanwhile.
    #[error("the definition of ledger {0} was changed by somebody else meanwhile: try again")]
    DefinitionContended(LedgerId),
    /// The events of a range cannot be read.
    #[error(transparent)]
    Reduce(#[from] ReduceError),
    /// A partition cannot be combined.
    #[error(transparent)]
    Combine(#[from] CombineError),
    /// A partition cannot be applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A file is not as it was written.
    #[error("{file}")]
    File {
        /// The file's address.
        file: String,
        /// What is wrong with it.
        #[source]
        source: Corrupt,
    },
    /// Sums cannot be added up.
    #[error(transparent)]
    Totals(#[from] money::Overflow),
    /// An event does not say what such events say.
    #[error("{what} cannot be read")]
    Event {
        /// What it is.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A batch was refused, and its job with it: what was done of the job does not count.
    #[error("batch {batch} is refused: {reason}")]
    BatchRefused {
        /// The batch.
        batch: BatchSequence,
        /// Why.
        reason: String,
    },
    /// A step of the job has not happened yet.
    #[error("{what} is missing: the step before this one has not been done for job {job}")]
    StepMissing {
        /// What is missing.
        what: String,
        /// The job.
        job: JobNumber,
    },
    /// What a step before this one has written was deleted since.
    #[error(
        "{what} is not there any more: what steps hand on is kept for WorkRetentionDays. `tieout batch redrive --afresh` \
         has the job made anew"
    )]
    WorkExpired {
        /// What was deleted.
        what: String,
    },
    /// A stage that somebody else begins and ends.
    #[error("stage-coordinator neither begins nor ends {0}")]
    NotCoordinated(Stage),
    /// A partition that the memory has no room for.
    #[error(
        "partition {partition} of job {job} takes {bytes} bytes of memory, and there is room for {bytes_max}: raise \
         partitionBits of the ledger definition, now {bits}, then `tieout batch redrive --afresh`; or give the function \
         more memory, then `tieout batch redrive`"
    )]
    PartitionTooLong {
        /// The partition.
        partition: Partition,
        /// The job.
        job: JobNumber,
        /// The bytes of the files that are held at once.
        bytes: u64,
        /// How many there may be.
        bytes_max: u64,
        /// The job's partition bits.
        bits: PartitionBits,
    },
    /// A job of more bytes than are read in the time that a function has.
    #[error(
        "{read} of the {bytes} bytes of job {job} were read in the time that job-splitter has: `tieout batch skip` its \
         batches, and have them sent as several; or give the function more memory, which makes it faster, then \
         `tieout batch redrive`"
    )]
    JobTooLong {
        /// The job.
        job: JobNumber,
        /// The bytes that were read.
        read: u64,
        /// The bytes of its batches' objects.
        bytes: u64,
    },
    /// A job that was cut into more pieces than can be brought together.
    #[error(
        "job {job} is cut into {ranges} ranges by {bits} partition bits: its events lie in more than {sections_max} \
         sections, for which there is no room. Give stage-coordinator more memory, then `tieout batch redrive`; or raise \
         EVENT_RANGE_BYTES of job-splitter, or lower policy.grouping of the ledger definition, then `tieout batch redrive \
         --afresh`"
    )]
    TooManySections {
        /// The job.
        job: JobNumber,
        /// How many ranges it has.
        ranges: u64,
        /// The job's partition bits.
        bits: PartitionBits,
        /// How many sections there may be.
        sections_max: u64,
    },
    /// Two independent counts or sums of the same records differ.
    #[error("{boundary}: {difference}")]
    ControlTotalMismatch {
        /// Which two steps disagree.
        boundary: String,
        /// In what.
        difference: String,
    },
    /// An index entry is not the one that a new version was computed from.
    #[error(
        "artifact {key:?}: the index should hold sequence {expected}, and holds {found}: an update would have been lost"
    )]
    LostUpdate {
        /// The artifact.
        key: String,
        /// The sequence of the version that the new one was computed from; 0 for none.
        expected: BatchSequence,
        /// The sequence that the index holds; 0 for none.
        found: BatchSequence,
    },
}

impl LedgerError {
    /// A file of lines that does not hold what it should.
    pub(crate) fn unreadable(file: &str, problem: &'static str) -> Self {
        Self::File { file: file.to_owned(), source: Corrupt::new("file of lines", problem) }
    }
}

impl From<JobRefusal> for LedgerError {
    fn from(refusal: JobRefusal) -> Self {
        Self::Turn(refusal.into())
    }
}

impl Classified for LedgerError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Storage(error) => error.class(),
            Self::Document(error) => error.class(),
            Self::Turn(error) => error.class(),
            Self::Operate(error) => error.class(),
            Self::Register(error) => error.class(),
            Self::Reduce(error) => error.class(),
            Self::Combine(error) => error.class(),
            Self::Apply(error) => error.class(),
            Self::UnknownLedger(_)
            | Self::Definition { .. }
            | Self::DefinitionFixed { .. }
            | Self::NameTaken { .. }
            | Self::SourceInUse { .. }
            | Self::Event { .. }
            | Self::PartitionTooLong { .. }
            | Self::WorkExpired { .. }
            | Self::JobTooLong { .. }
            | Self::TooManySections { .. }
            | Self::Totals(_) => ErrorClass::InvalidInput,
            Self::DefinitionContended(_) => ErrorClass::Throttled,
            Self::BatchRefused { .. } => ErrorClass::Conflict,
            Self::ControlTotalMismatch { .. } => ErrorClass::ControlTotalMismatch,
            Self::UnknownVersion { .. }
            | Self::NotCoordinated(_)
            | Self::File { .. }
            | Self::StepMissing { .. }
            | Self::LostUpdate { .. } => ErrorClass::Bug,
        }
    }
}
