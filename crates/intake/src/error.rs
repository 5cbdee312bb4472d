//! What can go wrong in a run, told so that the sender of the file knows what to do.

use error_class::{Classified, ErrorClass};
use storage::{StorageError, documents::DocumentError};

use crate::feed::FeedError;

/// Why a step of a run failed.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// A store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The feed's descriptor is wrong.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A file lies in the folder of a feed that does not exist.
    #[error(
        "there is no feed {feed:?}: describe it with `tieout feed put <descriptor.json>`, then upload the file again"
    )]
    UnknownFeed {
        /// The feed's name.
        feed: String,
    },
    /// The feed enriches from a table that was never loaded.
    #[error(
        "feed {feed:?} enriches from the reference table {table:?}, which was never loaded: \
         `tieout reference load {table} <csv> --key <column>`, then upload the file again"
    )]
    UnknownReference {
        /// The feed's name.
        feed: String,
        /// The table's name.
        table: String,
    },
    /// The reference table lacks a column that the feed brings in.
    #[error("the reference table {table:?} has no column {column:?}, which feed {feed:?} brings in")]
    UnknownReferenceColumn {
        /// The feed's name.
        feed: String,
        /// The table's name.
        table: String,
        /// The column's name.
        column: String,
    },
    /// The file cannot be read as what its feed says it is.
    #[error("{file}")]
    File {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        #[source]
        source: FileError,
    },
    /// A step of the run has not happened yet.
    #[error("{what} is missing: the step before this one has not been done for run {run}")]
    StepMissing {
        /// The manifest that is missing.
        what: String,
        /// The run.
        run: String,
    },
    /// Two independent counts or sums of the same records differ.
    #[error("{boundary}: {difference}")]
    ControlTotalMismatch {
        /// Which two steps disagree.
        boundary: String,
        /// In what.
        difference: String,
    },
    /// A message or manifest cannot be read or written.
    #[error("{what} cannot be read")]
    Malformed {
        /// What it is.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The output cannot be read again.
    #[error("the output cannot be read again")]
    OutputUnreadable(#[source] records::StructureError),
    /// The reject file cannot be read again.
    #[error("the reject file cannot be read again")]
    RejectsUnreadable(#[source] records::RejectError),
    /// The run was declared failed while its output was being made.
    #[error("run {run} was declared failed while its output was being made: nothing is published")]
    DeclaredFailed {
        /// The run.
        run: String,
    },
    /// Another worker is sending the run's mail.
    #[error("another worker is sending this run's mail")]
    MailClaimed,
    /// An amount cannot be added to the others.
    #[error("row {row}")]
    Amount {
        /// Its row; the first record behind the header is row 1.
        row: u64,
        /// Why not.
        #[source]
        source: money::Overflow,
    },
    /// Sums cannot be added up.
    #[error(transparent)]
    Amounts(#[from] money::Overflow),
}

/// What is wrong with an input file as a whole. What is wrong with a single record is a reject, not an error.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No bytes at all, where the feed has a header.
    #[error("the file is empty: not even a header")]
    Empty,
    /// The version that the run reads is not there any more.
    #[error("the file was deleted or replaced while it was being read")]
    Gone(#[source] StorageError),
    /// Its path is too long for the keys that are made of it.
    #[error("the path below the feed's folder is longer than {limit} bytes: give the file a shorter name")]
    NameTooLong {
        /// The bound.
        limit: usize,
    },
    /// Not a text file.
    #[error("the file is {what}, not CSV: export it as CSV and upload that")]
    NotCsv {
        /// What it looks like.
        what: &'static str,
    },
    /// It cannot be cut into records.
    #[error(transparent)]
    Structure(#[from] records::StructureError),
    /// Its header cannot be read, or does not match the schema.
    #[error(transparent)]
    Header(#[from] records::HeaderError),
    /// The feed's schema or amounts do not fit it.
    #[error(transparent)]
    Schema(#[from] records::SchemaError),
    /// The feed's options name columns that it lacks.
    #[error(transparent)]
    Columns(#[from] FeedError),
    /// A compressed file cannot be decompressed.
    #[error("the file cannot be decompressed")]
    Compression(#[from] records::UnpackError),
    /// The feed publishes only files without rejects.
    #[error(
        "{rejected} of {records} records were rejected, and the feed publishes only files without rejects (onReject: fail)"
    )]
    Rejected {
        /// Records rejected.
        rejected: u64,
        /// Records read.
        records: u64,
    },
}

impl From<DocumentError> for IntakeError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Storage(error) => error.into(),
            DocumentError::Malformed { what, source } => Self::Malformed { what, source },
        }
    }
}

impl Classified for IntakeError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Storage(error) => error.class(),
            Self::Feed(_)
            | Self::UnknownFeed { .. }
            | Self::UnknownReference { .. }
            | Self::UnknownReferenceColumn { .. }
            | Self::File { .. }
            | Self::Amount { .. }
            | Self::Amounts(_) => ErrorClass::InvalidInput,
            Self::ControlTotalMismatch { .. } | Self::OutputUnreadable(_) | Self::RejectsUnreadable(_) => {
                ErrorClass::ControlTotalMismatch
            }
            Self::DeclaredFailed { .. } => ErrorClass::Conflict,
            // Its worker may have died: in a minute the claim is free.
            Self::MailClaimed => ErrorClass::Unavailable,
            Self::StepMissing { .. } | Self::Malformed { .. } => ErrorClass::Bug,
        }
    }
}
