//! A job and everything that can happen to it.
//!
//! Each transition is a plain function on the record. The rows are written on condition of their version (see
//! [`book`](crate::book)), so a transition happens to the record that it was decided on, or not at all.

mod attempts;
#[cfg(test)]
mod kit;
mod refusal;
mod turns;

use error_class::ErrorClass;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use refusal::JobRefusal;

use crate::{
    BatchSequence, JobBatches, JobNumber, PartitionBits,
    policy::Policy,
    stage::{Commit, Half, Preparation, Stage, Turn},
};

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its class.
    pub class: ErrorClass,
    /// What went wrong, for a person.
    pub message: String,
}

/// What is to become of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// It is worked on, or will be, or is indexed.
    Live,
    /// It failed too often, or in a way that trying again does not change: an operator redrives or skips it.
    Parked(Failure),
    /// Nothing of it is, or will be, in the ledger.
    Void {
        /// Why.
        reason: String,
        /// The first of the new numbers of those of its batches that are to be tried again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requeued_from: Option<BatchSequence>,
    },
}

/// The execution of the job's current attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// To be started at this time.
    Resting(Timestamp),
    /// To be started, or started and silent so far.
    Starting,
    /// It has given a sign of life.
    Alive,
}

/// A job: consecutive batches that are processed together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its batches; the last gives its number.
    pub batches: JobBatches,
    /// Their events, by the senders' count.
    pub events: u64,
    /// The bytes of their objects.
    pub bytes: u64,
    /// The most times that one of its batches was let behind others.
    pub passes: u32,
    /// The version of the ledger's definition that it goes by.
    pub definition: u64,
    /// How many partitions it is cut into.
    pub partition_bits: PartitionBits,
    /// What is to become of it.
    pub status: JobStatus,
    /// The current attempt. It moves up when one has failed, and between the halves: what an older one says is ignored.
    pub attempt: u32,
    /// The execution of the current attempt.
    pub run: Run,
    /// When the current attempt is taken for dead unless it gives a sign of life; not while it waits for a turn.
    pub lease_until: Timestamp,
    /// Failures since the last commit.
    pub failures: u32,
    /// The current attempt's number among those at the step that the job is at, from 1.
    pub step_attempt: u32,
    /// The last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Failure>,
    /// The step of the stateless half that it is at, while that is not done.
    pub preparation: Preparation,
    /// The commit of the stateless half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stateless: Option<Commit>,
    /// Up to which job the index counts for prefetch: what `indexed` was when its turn was first granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<JobNumber>,
    /// The turn to prefetch.
    pub prefetch: Turn,
    /// The turn to apply.
    pub apply: Turn,
    /// The turn to index.
    pub index: Turn,
    /// When it was made.
    pub created_at: Timestamp,
    /// Moves up with every change.
    pub version: u64,
}

impl Job {
    /// A new job, about to be started.
    pub fn new(batches: JobBatches, now: Timestamp, policy: &Policy) -> Self {
        Self {
            batches,
            events: 0,
            bytes: 0,
            passes: 0,
            definition: 0,
            partition_bits: PartitionBits::ZERO,
            status: JobStatus::Live,
            attempt: 1,
            run: Run::Starting,
            lease_until: later(now, policy.lease()),
            failures: 0,
            step_attempt: 1,
            last_failure: None,
            preparation: Preparation::default(),
            stateless: None,
            snapshot: None,
            prefetch: Turn::Idle,
            apply: Turn::Idle,
            index: Turn::Idle,
            created_at: now,
            version: 0,
        }
    }

    /// Its number.
    pub const fn number(&self) -> JobNumber {
        self.batches.job()
    }

    /// The number that cursors show when everything before it is done.
    pub const fn predecessor(&self) -> JobNumber {
        JobNumber::new(self.batches.lo().previous().get())
    }

    /// Whether nothing of it is, or will be, in the ledger.
    pub const fn is_void(&self) -> bool {
        matches!(self.status, JobStatus::Void { .. })
    }

    /// Whether it is worked on, or will be.
    pub const fn is_live(&self) -> bool {
        matches!(self.status, JobStatus::Live)
    }

    /// Which half it is in.
    pub const fn half(&self) -> Half {
        if self.stateless.is_none() { Half::Stateless } else { Half::Stateful }
    }

    /// The turn of a stage.
    pub const fn turn(&self, stage: Stage) -> &Turn {
        match stage {
            Stage::Prefetch => &self.prefetch,
            Stage::Apply => &self.apply,
            Stage::Index => &self.index,
        }
    }

    fn turn_mut(&mut self, stage: Stage) -> &mut Turn {
        match stage {
            Stage::Prefetch => &mut self.prefetch,
            Stage::Apply => &mut self.apply,
            Stage::Index => &mut self.index,
        }
    }

    /// Whether a stage is done.
    pub const fn is_committed(&self, stage: Stage) -> bool {
        matches!(self.turn(stage), Turn::Committed(_))
    }

    /// Whether what comes before a stage is done.
    pub fn is_ready_for(&self, stage: Stage) -> bool {
        match stage.previous() {
            None => self.stateless.is_some(),
            Some(previous) => self.is_committed(previous),
        }
    }

    /// What it is at, or failed at: the first step that is not done.
    pub fn step(&self) -> &'static str {
        if self.stateless.is_none() {
            return self.preparation.as_str();
        }
        Stage::ALL.into_iter().find(|stage| !self.is_committed(*stage)).unwrap_or(Stage::Index).as_str()
    }

    /// Whether somebody has begun the step that it is at, and not ended it.
    pub fn is_at_work(&self) -> bool {
        let running = |stage: Stage| matches!(self.turn(stage), Turn::Running { .. });
        let heard_of = self.is_live() && self.run == Run::Alive;
        heard_of && (self.stateless.is_none() || Stage::ALL.into_iter().any(running))
    }

    /// Takes it out, for ever. Only while apply is not committed: behind that, versions and overlays name it.
    pub fn void(&mut self, reason: &str, requeued_from: Option<BatchSequence>) -> Result<(), JobRefusal> {
        if self.is_void() {
            return Err(JobRefusal::Void(self.number()));
        }
        if self.is_committed(Stage::Apply) {
            return Err(JobRefusal::Applied(self.number()));
        }
        self.status = JobStatus::Void { reason: reason.to_owned(), requeued_from };
        Ok(())
    }
}

/// That much later, or never.
fn later(now: Timestamp, by: std::time::Duration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::{
        kit::{at, granted, policy},
        *,
    };
    use crate::stage::TurnAnswer;

    #[test]
    fn it_can_be_taken_out_until_apply_is_committed() {
        let mut out = granted();
        out.void("no", None).unwrap();
        assert_eq!(out.answers(), [("token", TurnAnswer::Void)]);
        assert_eq!(out.claim(Stage::Prefetch, 2, 1, at(1), &policy()), Err(JobRefusal::Void(out.number())));
        assert_eq!(out.redrive(at(1)), Err(JobRefusal::Void(out.number())));
        let mut applied = granted();
        applied.claim(Stage::Prefetch, 2, 1, at(1), &policy()).unwrap();
        applied.commit(Stage::Prefetch, 2, 1, "p", at(1), &policy()).unwrap();
        applied.ask(Stage::Apply, 2, "token", at(1), &policy()).unwrap();
        applied.grant(Stage::Apply, 2, JobNumber::ZERO, at(1), &policy());
        applied.claim(Stage::Apply, 2, 2, at(1), &policy()).unwrap();
        applied.commit(Stage::Apply, 2, 2, "a", at(1), &policy()).unwrap();
        assert_eq!(applied.void("no", None), Err(JobRefusal::Applied(applied.number())));
    }
}
