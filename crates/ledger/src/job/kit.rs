//! Jobs to test with.

use error_class::ErrorClass;
use jiff::Timestamp;

use super::{Failure, Job};
use crate::{BatchSequence, JobBatches, JobNumber, policy::Policy, stage::Stage};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn policy() -> Policy {
    Policy { lease_seconds: 600, ..Policy::default() }
}

pub(super) fn job() -> Job {
    Job::new(JobBatches::one(BatchSequence::new(7)), at(0), &policy())
}

/// A job whose second attempt has been granted the turn to prefetch, under fence 1.
pub(super) fn granted() -> Job {
    let mut job = job();
    job.commit_stateless(1, "combined", at(0), &policy()).unwrap();
    job.ask(Stage::Prefetch, 2, "token", at(0), &policy()).unwrap();
    job.grant(Stage::Prefetch, 1, JobNumber::new(4), at(0), &policy());
    job
}

pub(super) fn lost() -> Failure {
    Failure { class: ErrorClass::WorkerLost, message: "lost".to_owned() }
}
