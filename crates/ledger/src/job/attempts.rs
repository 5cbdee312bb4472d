//! The attempts at a job: they live, get on, fail, and are made again.

use jiff::Timestamp;

use super::{Failure, Job, JobRefusal, JobStatus, Run, later};
use crate::{
    policy::{AfterFailure, Policy},
    stage::{Claim, Commit, Preparation, Stage, Turn},
};

impl Job {
    /// How many attempts at the step that it is at were begun or are about to be.
    pub const fn step_attempts(&self) -> u32 {
        match (&self.status, self.run) {
            // The next attempt has its number already, and is to come.
            (JobStatus::Parked(_), _) | (_, Run::Resting(_)) if self.step_attempt > 1 => self.step_attempt - 1,
            _ => self.step_attempt,
        }
    }

    /// Whether the current attempt should have been heard of by now. One that waits for a turn has nothing to say; if
    /// it is dead, that shows when the turn is granted and nobody takes it up.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        let waits = Stage::ALL.into_iter().any(|stage| matches!(self.turn(stage), Turn::Waiting { .. }));
        let runs = self.is_live() && !self.is_committed(Stage::Index) && !matches!(self.run, Run::Resting(_));
        runs && !waits && self.lease_until <= now
    }

    pub(crate) fn check_attempt(&self, attempt: u32) -> Result<(), JobRefusal> {
        let job = self.number();
        match self.status {
            JobStatus::Void { .. } => Err(JobRefusal::Void(job)),
            JobStatus::Parked(_) => Err(JobRefusal::Parked(job)),
            JobStatus::Live if attempt != self.attempt => {
                Err(JobRefusal::OldAttempt { job, attempt, current: self.attempt })
            }
            JobStatus::Live => Ok(()),
        }
    }

    pub(super) fn sign_of_life(&mut self, now: Timestamp, policy: &Policy) {
        self.run = Run::Alive;
        self.lease_until = later(now, policy.lease());
    }

    /// The current attempt lives. Whether that is worth writing down: a lease of which more than half is left is not.
    pub fn renew(&mut self, attempt: u32, now: Timestamp, policy: &Policy) -> Result<bool, JobRefusal> {
        self.check_attempt(attempt)?;
        let worth = self.run != Run::Alive || self.lease_until < later(now, policy.lease() / 2);
        if worth {
            self.sign_of_life(now, policy);
        }
        Ok(worth)
    }

    /// A step of the stateless half is done, and the next one has begun. Whether that is new. Failures are counted on: the
    /// commit is the half's, which combine ends with.
    pub fn prepared(
        &mut self,
        attempt: u32,
        step: Preparation,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<bool, JobRefusal> {
        let Some(next) = step.next() else { return Ok(false) };
        if self.stateless.is_some() || self.preparation != step {
            return Ok(false);
        }
        self.check_attempt(attempt)?;
        self.preparation = next;
        self.step_attempt = 1;
        self.sign_of_life(now, policy);
        Ok(true)
    }

    /// The stateless half is done; the stateful one begins, as a new attempt.
    pub fn commit_stateless(
        &mut self,
        attempt: u32,
        manifest: &str,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<Claim, JobRefusal> {
        if let Some(commit) = &self.stateless {
            return Ok(Claim::Done(commit.clone()));
        }
        self.check_attempt(attempt)?;
        self.stateless = Some(Commit { manifest: manifest.to_owned(), attempt, at: now });
        self.failures = 0;
        self.attempt += 1;
        self.step_attempt = 1;
        self.start(now, policy);
        Ok(Claim::Held)
    }

    /// The current attempt failed. It loses its turns at once; a new one comes after a pause, or an operator.
    pub fn fail(&mut self, attempt: u32, failure: Failure, now: Timestamp, policy: &Policy) -> Result<(), JobRefusal> {
        self.check_attempt(attempt)?;
        self.attempt += 1;
        self.step_attempt += 1;
        self.failures += 1;
        for stage in Stage::ALL {
            if !self.is_committed(stage) {
                *self.turn_mut(stage) = Turn::Idle;
            }
        }
        match policy.retry.after(failure.class, self.failures) {
            AfterFailure::Again(pause) => self.run = Run::Resting(later(now, pause)),
            AfterFailure::Park => self.status = JobStatus::Parked(failure.clone()),
        }
        self.last_failure = Some(failure);
        Ok(())
    }

    /// The current attempt's execution may start.
    pub(crate) fn start(&mut self, now: Timestamp, policy: &Policy) {
        self.run = Run::Starting;
        self.lease_until = later(now, policy.lease());
    }

    /// An operator has it tried again.
    pub fn redrive(&mut self, now: Timestamp) -> Result<(), JobRefusal> {
        match self.status {
            JobStatus::Parked(_) => {
                self.status = JobStatus::Live;
                self.failures = 0;
                self.run = Run::Resting(now);
                Ok(())
            }
            JobStatus::Void { .. } => Err(JobRefusal::Void(self.number())),
            JobStatus::Live => Err(JobRefusal::NotParked(self.number())),
        }
    }
}

#[cfg(test)]
mod tests {
    use error_class::{Classified, ErrorClass};

    use super::*;
    use crate::{
        JobNumber,
        job::kit::{at, granted, job, lost, policy},
    };

    const MINUTE: i64 = 60;

    #[test]
    fn an_attempt_that_failed_can_do_nothing_any_more() {
        let mut job = granted();
        job.claim(Stage::Prefetch, 2, 1, at(1), &policy()).unwrap();
        job.fail(2, lost(), at(2), &policy()).unwrap();
        let old = JobRefusal::OldAttempt { job: job.number(), attempt: 2, current: 3 };
        assert_eq!(old.class(), ErrorClass::Conflict);
        assert_eq!(job.commit(Stage::Prefetch, 2, 1, "late", at(3), &policy()), Err(old.clone()));
        assert_eq!(job.claim(Stage::Prefetch, 2, 1, at(3), &policy()), Err(old.clone()));
        assert_eq!(job.ask(Stage::Prefetch, 2, "token", at(3), &policy()), Err(old.clone()));
        assert_eq!(job.renew(2, at(3), &policy()), Err(old.clone()));
        assert_eq!(job.fail(2, lost(), at(3), &policy()), Err(old));
        assert_eq!((job.run, job.failures), (Run::Resting(at(2)), 1));
    }

    #[test]
    fn attempts_are_counted_by_step() {
        let mut job = job();
        job.fail(1, lost(), at(0), &policy()).unwrap();
        assert_eq!((job.step(), job.step_attempt, job.step_attempts()), ("split", 2, 1), "the second is to come");
        job.start(at(1), &policy());
        assert_eq!(job.step_attempts(), 2);
        let old = JobRefusal::OldAttempt { job: job.number(), attempt: 1, current: 2 };
        assert_eq!(job.prepared(1, Preparation::Split, at(1), &policy()), Err(old));
        assert_eq!(job.prepared(2, Preparation::Reduce, at(1), &policy()), Ok(false), "split comes first");
        for step in [Preparation::Split, Preparation::Reduce] {
            assert_eq!(job.step(), step.as_str());
            assert_eq!(job.prepared(2, step, at(1), &policy()), Ok(true));
            assert_eq!(job.prepared(2, step, at(1), &policy()), Ok(false), "once");
        }
        assert_eq!((job.step(), job.step_attempt, job.failures), ("combine", 1, 1));
        assert_eq!(job.prepared(2, Preparation::Combine, at(2), &policy()), Ok(false), "its end is the half's commit");
        job.fail(2, lost(), at(2), &policy()).unwrap();
        job.commit_stateless(3, "combined", at(3), &policy()).unwrap();
        assert_eq!((job.step(), job.attempt, job.step_attempts()), ("prefetch", 4, 1));
        assert_eq!(job.prepared(1, Preparation::Reduce, at(4), &policy()), Ok(false), "it was, long ago");
    }

    #[test]
    fn too_many_failures_park_it_until_it_is_redriven() {
        let mut job = job();
        for attempt in 1..=5 {
            job.fail(attempt, lost(), at(0), &policy()).unwrap();
            assert!(job.is_live());
        }
        job.fail(6, lost(), at(0), &policy()).unwrap();
        assert_eq!(job.status, JobStatus::Parked(lost()));
        assert_eq!(job.ask(Stage::Prefetch, 7, "token", at(0), &policy()), Err(JobRefusal::Parked(job.number())));
        job.redrive(at(9)).unwrap();
        assert_eq!((job.run, job.failures, job.attempt), (Run::Resting(at(9)), 0, 7));
        assert_eq!(job.redrive(at(9)), Err(JobRefusal::NotParked(job.number())));
    }

    #[test]
    fn who_waits_for_a_turn_need_not_say_so() {
        let mut job = job();
        assert!(!job.is_silent(at(9 * MINUTE)) && job.is_silent(at(10 * MINUTE)));
        assert_eq!(job.renew(1, at(6 * MINUTE), &policy()), Ok(true));
        assert_eq!(job.renew(1, at(7 * MINUTE), &policy()), Ok(false), "most of the lease is left");
        assert!(!job.is_silent(at(15 * MINUTE)));
        job.commit_stateless(1, "combined", at(0), &policy()).unwrap();
        job.ask(Stage::Prefetch, 2, "token", at(0), &policy()).unwrap();
        assert!(!job.is_silent(at(1_000 * MINUTE)));
        job.grant(Stage::Prefetch, 1, JobNumber::ZERO, at(1_000 * MINUTE), &policy());
        assert!(job.is_silent(at(1_010 * MINUTE)), "it did not take up its turn");
        job.fail(2, lost(), at(0), &policy()).unwrap();
        assert!(!job.is_silent(at(2_000 * MINUTE)), "nobody is at work");
    }
}
