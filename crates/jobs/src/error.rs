//! What can go wrong in a job, told so that whoever handed it in knows what to do.

use error_class::{Classified, ErrorClass};
use ledger::LedgerError;
use reconcile::{PlanError, task::UnusableTask};
use storage::{StorageError, documents::DocumentError};

use crate::book::Reason;

/// Why a step of a job failed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The job cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// An input names what is not there, or cannot be read as it says.
    #[error("input {input:?}: {problem}")]
    Input {
        /// The input.
        input: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The job is larger than what is there to run it.
    #[error(
        "the job is too large for the embedded engine ({why}), and this installation has no other: deploy it with the parameter \
         SparkEngine=on, or cut the inputs; `options.engine` \"embedded\" tries it all the same"
    )]
    TooLarge {
        /// By which bound.
        why: String,
    },
    /// The job asks for an engine that is not there.
    #[error(
        "the job asks for the engine `spark`, which this installation does not have: deploy it with the parameter \
         SparkEngine=on, or leave `options.engine` out"
    )]
    NoSpark,
    /// The engine says that the data is at fault, or that it could not go on.
    #[error("{message}")]
    Engine {
        /// What is to be done about it.
        class: ErrorClass,
        /// What is wrong.
        message: String,
    },
    /// What was handed in cannot be taken.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A step of the job has not happened yet.
    #[error("{what} is missing: the step before this one has not been done for job {job}")]
    StepMissing {
        /// The document that is missing.
        what: String,
        /// The attempt.
        job: String,
    },
    /// Two independent counts or sums of the same rows differ.
    #[error("output {output:?}{}: {difference}", place(part.as_deref()))]
    ControlTotalMismatch {
        /// Which output.
        output: String,
        /// Which part of it, by its key.
        part: Option<String>,
        /// In what.
        difference: String,
    },
    /// An engine has not read an input whole, or not as it was planned.
    #[error("input {input:?}{}: {difference}", place(object.as_deref()))]
    NotReadWhole {
        /// Which input.
        input: String,
        /// Which object of it, by its key.
        object: Option<String>,
        /// In what.
        difference: String,
    },
    /// An engine has written a part that no single call can read again.
    #[error(
        "output {output:?}, {part}: it has {} MiB, and at most {} MiB of one part are read again: \
         write the rows as several outputs", bytes >> 20, bytes_max >> 20
    )]
    PartTooLarge {
        /// Which output.
        output: String,
        /// The part's key.
        part: String,
        /// Its length.
        bytes: u64,
        /// How long it may be.
        bytes_max: u64,
    },
    /// A call that was to read a piece of the outputs has failed.
    #[error("{message}")]
    Unchecked {
        /// What is to be done about it.
        class: ErrorClass,
        /// What it said.
        message: String,
    },
    /// The attempt is over: cancelled, declared failed, or replaced by another.
    #[error("attempt {job} is over: {status}")]
    Over {
        /// The attempt.
        job: String,
        /// How.
        status: String,
    },
    /// A document cannot be read.
    #[error("{what} cannot be read: {reason}")]
    Malformed {
        /// What it is.
        what: String,
        /// Why.
        reason: String,
    },
    /// A stored task is none.
    #[error(transparent)]
    Task(#[from] UnusableTask),
    /// The disk of the function failed.
    #[error("the function's disk cannot be used")]
    Disk(#[from] std::io::Error),
    /// The reading of a part ended before its end.
    #[error("a part was not read to its end")]
    Lost(#[from] tokio::task::JoinError),
    /// Another worker is sending the job's mail.
    #[error("another worker is sending this job's mail")]
    MailClaimed,
}

/// Why a submission is refused for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no submission.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The job document is wrong.
    #[error(transparent)]
    Document(#[from] PlanError),
    /// Another document stands under the id.
    #[error(
        "job {job} was handed in before with another document: give this one an id of its own (a file of this machine is named \
         in it by its content, so a changed file makes another document)"
    )]
    OtherDocument {
        /// The id.
        job: String,
    },
    /// No such attempt can begin now.
    #[error("attempt {attempt} at job {job} cannot begin: {why}")]
    Attempt {
        /// The id.
        job: String,
        /// The attempt.
        attempt: u32,
        /// Why.
        why: String,
    },
    /// It was received many times, and never handled to its end.
    #[error("poisonous: received {received} times and never handled to its end")]
    Poisonous {
        /// How many times.
        received: u32,
    },
}

impl Refused {
    /// A word for it: `malformed`, `conflict` or `poisonous`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::Document(_) => "malformed",
            Self::OtherDocument { .. } | Self::Attempt { .. } => "conflict",
            Self::Poisonous { .. } => "poisonous",
        }
    }
}

fn place(part: Option<&str>) -> String {
    part.map_or_else(String::new, |part| format!(", {part}"))
}

impl From<Reason> for JobError {
    /// What a call that has failed for good says, told by another. A class that is none is Step Functions' own word. One that
    /// passes has been tried again for as long as it may be: whoever tells it is not to be called again.
    fn from(Reason { class, message }: Reason) -> Self {
        let passes = [ErrorClass::Throttled, ErrorClass::Unavailable, ErrorClass::WorkerLost];
        let known = ErrorClass::ALL.into_iter().find(|known| known.as_str() == class && !passes.contains(known));
        match known {
            Some(class) => Self::Unchecked { class, message },
            None => Self::Unchecked { class: ErrorClass::Bug, message: format!("{class}: {message}") },
        }
    }
}

impl From<DocumentError> for JobError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Storage(error) => error.into(),
            DocumentError::Malformed { what, source } => Self::Malformed { what, reason: source.to_string() },
        }
    }
}

impl Classified for JobError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Storage(error) => error.class(),
            Self::Ledger(error) => error.class(),
            Self::Plan(_) | Self::Input { .. } | Self::TooLarge { .. } | Self::NoSpark | Self::Refused(_) => {
                ErrorClass::InvalidInput
            }
            Self::Engine { class, .. } | Self::Unchecked { class, .. } => *class,
            Self::PartTooLarge { .. } => ErrorClass::TooLarge,
            Self::ControlTotalMismatch { .. } | Self::NotReadWhole { .. } => ErrorClass::ControlTotalMismatch,
            Self::Over { .. } => ErrorClass::Conflict,
            // A claim lapses in a minute; another function has another disk.
            Self::MailClaimed | Self::Disk(_) => ErrorClass::Unavailable,
            Self::Lost(_) => ErrorClass::WorkerLost,
            Self::Task(_) | Self::StepMissing { .. } | Self::Malformed { .. } => ErrorClass::Bug,
        }
    }
}
