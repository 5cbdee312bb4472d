//! Why a batch cannot be registered.

use error_class::{Classified, ErrorClass};
use jiff::Timestamp;
use storage::{StorageError, documents::DocumentError};

use crate::{
    Interval,
    book::INTERVALS_MAX,
    manifest::{BATCH_BYTES_MAX, LedgerId, ManifestError},
};

/// Why a batch cannot be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// A store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The key is none of a manifest.
    #[error("{0:?} is not <tenant>/batches/<ledger>/<batch>/manifest.json")]
    Key(String),
    /// The manifest is wrong.
    #[error("the manifest of batch {batch} cannot be taken")]
    Manifest {
        /// The batch.
        batch: String,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// The manifest names an object that is not there.
    #[error("batch {batch} names {object}, which does not exist: upload the manifest after its objects")]
    NoObject {
        /// The batch.
        batch: String,
        /// The object's address.
        object: String,
    },
    /// More than the steps of one job can read.
    #[error(
        "the objects of batch {batch} have {bytes} bytes: a batch has at most {BATCH_BYTES_MAX}; send it as several"
    )]
    TooLarge {
        /// The batch.
        batch: String,
        /// The bytes of its objects.
        bytes: u64,
    },
    /// Another manifest was registered under this name.
    #[error("batch {batch} was registered with another manifest: a corrected batch has a name of its own")]
    OtherManifest {
        /// The batch.
        batch: String,
    },
    /// An object of the batch is another than when the batch was registered.
    #[error(
        "batch {batch} was registered with other content: {object} had {bytes} bytes then and is another now, which \
         nobody reads. Late or corrected events come in a batch of another name that says why in `correction`"
    )]
    OtherContent {
        /// The batch.
        batch: String,
        /// The object's key.
        object: String,
        /// Its length when it was registered.
        bytes: u64,
    },
    /// An object of another batch has the same content.
    #[error(
        "{object} of batch {batch} has the content of {earlier_object} of batch {earlier}, whose events would count twice: \
         send what is new alone; if they are to count once more, the manifest says why in `again`"
    )]
    SameContent {
        /// The batch.
        batch: String,
        /// The object's key.
        object: String,
        /// The batch that was taken before.
        earlier: String,
        /// Its object's key.
        earlier_object: String,
    },
    /// The manifest wants events to count once more where they never do.
    #[error(
        "batch {batch} says `again`, and in this ledger an event counts once, however often it is sent: \
         `duplicates.scope` is `artifact`"
    )]
    CountsOnce {
        /// The batch.
        batch: String,
    },
    /// The ledger has no such source.
    #[error("ledger {ledger} has no source {source_name:?}")]
    UnknownSource {
        /// The ledger.
        ledger: LedgerId,
        /// The source.
        source_name: String,
    },
    /// The batch begins before its source does.
    #[error("batch {batch} begins at {from}, before its source is expected to, at {opens_at}")]
    TooEarly {
        /// The batch.
        batch: String,
        /// Its beginning.
        from: Timestamp,
        /// The source's beginning.
        opens_at: Timestamp,
    },
    /// The interval, or a part of it, is closed already.
    #[error(
        "batch {batch} covers {interval}, of which source {source_name:?} has closed a part already: late events come in \
         a batch that says why in `correction`, and one that `replaces` a refused or skipped batch names it"
    )]
    Overlap {
        /// The batch.
        batch: String,
        /// Its interval.
        interval: Interval,
        /// The source.
        source_name: String,
    },
    /// A correction of what is not closed.
    #[error("batch {batch} corrects {interval}, of which source {source_name:?} has not closed a part: close it first")]
    NothingToCorrect {
        /// The batch.
        batch: String,
        /// Its interval.
        interval: Interval,
        /// The source.
        source_name: String,
    },
    /// The batch cannot stand in the place of the one that it names.
    #[error("batch {batch} cannot replace {replaces}: {reason}")]
    Replacement {
        /// The batch.
        batch: String,
        /// The one that it names.
        replaces: String,
        /// Why.
        reason: &'static str,
    },
    /// The source's batches leave too many gaps.
    #[error("the batches of source {source_name:?} leave {INTERVALS_MAX} gaps: close some before opening more")]
    Gaps {
        /// The source.
        source_name: String,
    },
    /// Others were first, every time.
    #[error("too many batches of ledger {ledger} are registered at once")]
    Contended {
        /// The ledger.
        ledger: LedgerId,
    },
    /// The pinned manifest cannot be written.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl Classified for RegisterError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Storage(error) => error.class(),
            Self::Contended { .. } => ErrorClass::Throttled,
            Self::Document(error) => error.class(),
            _ => ErrorClass::InvalidInput,
        }
    }
}
