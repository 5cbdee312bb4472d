//! A job and everything that can happen to it.
//!
//! Each transition is a plain function on the record. The rows are written on condition of their version (see
//! [`book`](crate::book)), so a transition happens to the record that it was decided on, or not at all.

use error_class::{Classified, ErrorClass};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    BatchSequence, JobBatches, JobNumber, PartitionBits,
    policy::{AfterFailure, Policy},
    stage::{Claim, Commit, Half, Preparation, Stage, Turn, TurnAnswer},
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

    fn sign_of_life(&mut self, now: Timestamp, policy: &Policy) {
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

    /// A task of an attempt waits for the turn to do a stage. A turn that was granted to an earlier token, taken up or
    /// not, is lost to whoever was told of it: it will be granted again, under another fence. Were it kept for the new
    /// token, a worker that outlived its task could still claim it, and this task would never be told.
    pub fn ask(
        &mut self,
        stage: Stage,
        attempt: u32,
        token: &str,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<Claim, JobRefusal> {
        if let Turn::Committed(commit) = self.turn(stage) {
            return Ok(Claim::Done(commit.clone()));
        }
        self.check_attempt(attempt)?;
        let turn = self.turn_mut(stage);
        match turn {
            // The task's question came twice, and was answered already.
            Turn::Granted { token: Some(told), .. } | Turn::Running { token: Some(told), .. } if told == token => {
                return Ok(Claim::Held);
            }
            _ => *turn = Turn::Waiting { token: token.to_owned() },
        }
        self.sign_of_life(now, policy);
        Ok(Claim::Held)
    }

    /// Grants a turn that is waited for. The first grant of prefetch fixes the snapshot, whatever happens later.
    pub(crate) fn grant(&mut self, stage: Stage, fence: u64, indexed: JobNumber, now: Timestamp, policy: &Policy) {
        let Turn::Waiting { token } = std::mem::take(self.turn_mut(stage)) else { return };
        *self.turn_mut(stage) = Turn::Granted { fence, token: Some(token) };
        if stage == Stage::Prefetch && self.snapshot.is_none() {
            self.snapshot = Some(indexed);
        }
        self.lease_until = later(now, policy.lease());
    }

    /// Nobody waits with this token: it is dropped, and the grant is kept.
    pub(crate) fn drop_token(&mut self, gone: &str) {
        for stage in Stage::ALL {
            let turn = self.turn_mut(stage);
            match turn {
                Turn::Granted { token, .. } if token.as_deref() == Some(gone) => *token = None,
                Turn::Waiting { token } if token == gone => *turn = Turn::Idle,
                _ => {}
            }
        }
    }

    /// A worker takes a turn up. Doing so twice under one fence is once: what counts is the commit.
    pub fn claim(
        &mut self,
        stage: Stage,
        attempt: u32,
        fence: u64,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<Claim, JobRefusal> {
        if let Turn::Committed(commit) = self.turn(stage) {
            return Ok(Claim::Done(commit.clone()));
        }
        self.check_attempt(attempt)?;
        let job = self.number();
        let turn = self.turn_mut(stage);
        match turn {
            Turn::Granted { fence: held, token } if *held == fence => {
                *turn = Turn::Running { fence, token: token.take() };
            }
            Turn::Running { fence: held, .. } if *held == fence => {}
            _ => return Err(JobRefusal::Fenced { job, stage, fence }),
        }
        self.sign_of_life(now, policy);
        Ok(Claim::Held)
    }

    /// A stage is done. Of several attempts the first counts, and the others are told what it made.
    pub fn commit(
        &mut self,
        stage: Stage,
        attempt: u32,
        fence: u64,
        manifest: &str,
        now: Timestamp,
        policy: &Policy,
    ) -> Result<Claim, JobRefusal> {
        if let Turn::Committed(commit) = self.turn(stage) {
            return Ok(Claim::Done(commit.clone()));
        }
        self.check_attempt(attempt)?;
        match self.turn(stage) {
            Turn::Running { fence: held, .. } if *held == fence => {}
            _ => return Err(JobRefusal::Fenced { job: self.number(), stage, fence }),
        }
        *self.turn_mut(stage) = Turn::Committed(Commit { manifest: manifest.to_owned(), attempt, at: now });
        self.failures = 0;
        self.step_attempt = 1;
        self.sign_of_life(now, policy);
        Ok(Claim::Held)
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

    /// What its waiting tasks are to be told: the token, and what to say.
    pub fn answers(&self) -> Vec<(&str, TurnAnswer)> {
        let void = self.is_void();
        let answer = |stage: Stage| match self.turn(stage) {
            Turn::Waiting { token } | Turn::Granted { token: Some(token), .. } if void => {
                Some((token.as_str(), TurnAnswer::Void))
            }
            Turn::Granted { token: Some(token), fence } => {
                let snapshot = self.snapshot.unwrap_or_default();
                Some((token.as_str(), TurnAnswer::Granted { attempt: self.attempt, fence: *fence, snapshot }))
            }
            _ => None,
        };
        Stage::ALL.into_iter().filter_map(answer).collect()
    }
}

/// That much later, or never.
fn later(now: Timestamp, by: std::time::Duration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn policy() -> Policy {
        Policy { lease_seconds: 600, ..Policy::default() }
    }

    fn job() -> Job {
        Job::new(JobBatches::one(BatchSequence::new(7)), at(0), &policy())
    }

    /// A job whose second attempt has been granted the turn to prefetch, under fence 1.
    fn granted() -> Job {
        let mut job = job();
        job.commit_stateless(1, "combined", at(0), &policy()).unwrap();
        job.ask(Stage::Prefetch, 2, "token", at(0), &policy()).unwrap();
        job.grant(Stage::Prefetch, 1, JobNumber::new(4), at(0), &policy());
        job
    }

    fn lost() -> Failure {
        Failure { class: ErrorClass::WorkerLost, message: "lost".to_owned() }
    }

    #[test]
    fn a_turn_is_waited_for_granted_taken_up_and_committed() {
        let mut job = granted();
        let told = TurnAnswer::Granted { attempt: 2, fence: 1, snapshot: JobNumber::new(4) };
        assert_eq!(job.answers(), [("token", told)]);
        for _ in 0..2 {
            assert_eq!(job.claim(Stage::Prefetch, 2, 1, at(1), &policy()), Ok(Claim::Held));
        }
        assert_eq!(job.answers(), []);
        assert_eq!(job.commit(Stage::Prefetch, 2, 1, "first", at(2), &policy()), Ok(Claim::Held));
        let Ok(Claim::Done(commit)) = job.commit(Stage::Prefetch, 1, 0, "second", at(3), &policy()) else {
            panic!("committed twice");
        };
        assert_eq!(commit.manifest, "first");
        assert!(job.is_ready_for(Stage::Apply) && !job.is_ready_for(Stage::Index));
    }

    #[test]
    fn a_grant_that_nobody_took_up_is_made_anew_for_the_next_token() {
        for told in [true, false] {
            let mut job = granted();
            if !told {
                job.drop_token("token");
                assert_eq!(job.answers(), []);
            }
            job.ask(Stage::Prefetch, 2, "new", at(1), &policy()).unwrap();
            assert_eq!(job.turn(Stage::Prefetch), &Turn::Waiting { token: "new".to_owned() });
            let outlived = job.claim(Stage::Prefetch, 2, 1, at(1), &policy());
            assert!(matches!(outlived, Err(JobRefusal::Fenced { fence: 1, .. })), "the task that waits is to have it");
            job.grant(Stage::Prefetch, 2, JobNumber::new(6), at(1), &policy());
            assert!(matches!(job.answers()[..], [("new", TurnAnswer::Granted { fence: 2, .. })]));
        }
    }

    #[test]
    fn a_question_that_comes_twice_takes_nothing_away_a_new_one_does() {
        let mut job = granted();
        job.ask(Stage::Prefetch, 2, "token", at(1), &policy()).unwrap();
        assert!(matches!(job.turn(Stage::Prefetch), Turn::Granted { fence: 1, .. }));
        job.claim(Stage::Prefetch, 2, 1, at(1), &policy()).unwrap();
        job.ask(Stage::Prefetch, 2, "token", at(2), &policy()).unwrap();
        assert!(matches!(job.turn(Stage::Prefetch), Turn::Running { fence: 1, .. }));
        job.ask(Stage::Prefetch, 2, "new", at(2), &policy()).unwrap();
        job.grant(Stage::Prefetch, 2, JobNumber::new(6), at(2), &policy());
        let fenced = JobRefusal::Fenced { job: job.number(), stage: Stage::Prefetch, fence: 1 };
        assert_eq!(job.commit(Stage::Prefetch, 2, 1, "late", at(3), &policy()), Err(fenced));
        assert_eq!(job.snapshot, Some(JobNumber::new(4)), "the first grant fixed it");
    }

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
