//! Why a job does not do what it was asked.

use error_class::{Classified, ErrorClass};

use crate::{JobNumber, stage::Stage};

/// Why a job does not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobRefusal {
    /// An attempt that is not the current one.
    #[error("attempt {attempt} of job {job} was replaced by attempt {current}")]
    OldAttempt {
        /// The job.
        job: JobNumber,
        /// The attempt that asked.
        attempt: u32,
        /// The current one.
        current: u32,
    },
    /// A fence that does not hold the turn.
    #[error("fence {fence} does not hold the turn to {stage} job {job}")]
    Fenced {
        /// The job.
        job: JobNumber,
        /// The stage.
        stage: Stage,
        /// The fence.
        fence: u64,
    },
    /// The job is void.
    #[error("job {0} is void")]
    Void(JobNumber),
    /// The job is parked.
    #[error("job {0} is parked: `tieout batch redrive` or `skip` it")]
    Parked(JobNumber),
    /// It can no longer be taken out.
    #[error("job {0} is applied: from there it only goes forward; send a correction batch")]
    Applied(JobNumber),
    /// It is not parked.
    #[error("job {0} is not parked")]
    NotParked(JobNumber),
}

impl Classified for JobRefusal {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Applied(_) | Self::NotParked(_) => ErrorClass::InvalidInput,
            _ => ErrorClass::Conflict,
        }
    }
}
