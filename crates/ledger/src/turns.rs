//! Turns: how workers come to work on a job, and how what they did comes to count.
//!
//! `waiting(token)` → `granted(fence)` → `running(lease)` → `committed`. A task asks and waits; the backlog manager
//! grants; the worker claims by fence, and commits in one transaction. Fences protect, leases only notice: a worker
//! that was taken for dead and lives can do nothing that counts.

use std::sync::Arc;

use error_class::{Classified, ErrorClass};
use money::ControlTotals;
use storage::{Clock, StorageError, tables::Write};
use tracing::info;

use crate::{
    BatchSequence, JobNumber,
    book::{Book, COVERED_INTERVALS_MAX, CoverageRecord, coverage_row, job_row},
    head::Field,
    job::{Job, JobRefusal},
    manifest::LedgerId,
    policy::Policy,
    stage::{Claim, Preparation, Stage, TurnAnswer},
    steps::{Figures, StepKey},
};

/// How often a transition is decided anew when its rows have changed meanwhile. Each time, somebody else's was made.
pub(crate) const TRIES: u32 = 32;

/// Why a job was not moved.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// A store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The job does not do it.
    #[error(transparent)]
    Refused(#[from] JobRefusal),
    /// There is no such job.
    #[error("there is no job {job} in ledger {ledger}")]
    UnknownJob {
        /// The ledger.
        ledger: LedgerId,
        /// The job.
        job: JobNumber,
    },
    /// Two independent readings of the same records differ.
    #[error("{step} of job {job} does not tie out: {difference}")]
    ControlTotalMismatch {
        /// The job.
        job: JobNumber,
        /// The step.
        step: &'static str,
        /// In what.
        difference: String,
    },
    /// A stage was committed out of order: its cursor is not where the job begins.
    #[error("{stage} of job {job} cannot commit: its cursor is at {cursor}")]
    OutOfOrder {
        /// The job.
        job: JobNumber,
        /// The stage.
        stage: Stage,
        /// The cursor.
        cursor: JobNumber,
    },
    /// A source's intervals are too many to be kept.
    #[error("the batches of source {source_name:?} leave more than {COVERED_INTERVALS_MAX} gaps")]
    Gaps {
        /// The source.
        source_name: String,
    },
    /// The ledger's definition was read before a job was made under a later one.
    #[error("the definition of ledger {ledger} has changed meanwhile: try again")]
    Stale {
        /// The ledger.
        ledger: LedgerId,
    },
    /// The rows changed under every try.
    #[error("{what} is changed by too many at once")]
    Contended {
        /// What.
        what: String,
    },
}

impl TurnError {
    /// What is told where somebody else was first again and again.
    pub(crate) fn contended_job(ledger: &LedgerId, job: JobNumber) -> Self {
        Self::Contended { what: format!("job {job} of ledger {ledger}") }
    }

    /// As [`contended_job`](Self::contended_job), of a batch by its number or name.
    pub(crate) fn contended_batch(ledger: &LedgerId, batch: impl std::fmt::Display) -> Self {
        Self::Contended { what: format!("batch {batch} of ledger {ledger}") }
    }
}

impl Classified for TurnError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Storage(error) => error.class(),
            Self::Refused(refusal) => refusal.class(),
            Self::UnknownJob { .. } | Self::Gaps { .. } => ErrorClass::InvalidInput,
            Self::ControlTotalMismatch { .. } => ErrorClass::ControlTotalMismatch,
            Self::OutOfOrder { .. } => ErrorClass::Bug,
            Self::Contended { .. } | Self::Stale { .. } => ErrorClass::Throttled,
        }
    }
}

/// A task of an attempt at a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The ledger.
    pub ledger: LedgerId,
    /// The job.
    pub job: JobNumber,
    /// Its id.
    pub id: String,
    /// The attempt.
    pub attempt: u32,
}

/// What a stage commits.
#[derive(Debug, Clone, PartialEq)]
pub struct StageResult {
    /// The key of the manifest that says what was made; of index, the manifest of apply.
    pub manifest: String,
    /// What went in, by the reading of the stage before.
    pub expected: ControlTotals,
    /// What was found, by this stage's own reading.
    pub found: ControlTotals,
    /// Figures for the operator.
    pub figures: Figures,
}

/// The turns of all ledgers.
///
/// Everything here can be called again, late or twice at once: an attempt that is not the current one is told so, a
/// question that is repeated is answered the same, and a stage that is committed stays as it was first committed.
#[derive(Clone)]
pub struct Turns {
    pub(crate) book: Book,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Turns {
    /// Turns kept in `book`.
    pub fn new(book: Book, clock: Arc<dyn Clock>) -> Self {
        Self { book, clock }
    }

    /// A task asks for a turn and waits with `token`. Where there is nothing to wait for, this is what to tell it; the
    /// grant is the backlog manager's.
    pub async fn ask(
        &self,
        who: &Attempt,
        stage: Stage,
        token: &str,
        policy: &Policy,
    ) -> Result<Option<TurnAnswer>, TurnError> {
        for _ in 0..TRIES {
            let mut job = self.job(who).await?;
            if job.is_void() {
                return Ok(Some(TurnAnswer::Void));
            }
            let before = job.clone();
            match job.ask(stage, who.attempt, token, self.clock.now(), policy)? {
                Claim::Done(_) => return Ok(Some(TurnAnswer::Done)),
                Claim::Held if job == before => return Ok(None),
                Claim::Held if self.book.write(vec![self.replace(who, &job)?]).await? => return Ok(None),
                Claim::Held => {}
            }
        }
        Err(TurnError::contended_job(&who.ledger, who.job))
    }

    /// A worker takes up the turn that it was told of.
    pub async fn claim(&self, who: &Attempt, stage: Stage, fence: u64, policy: &Policy) -> Result<Claim, TurnError> {
        for _ in 0..TRIES {
            let mut job = self.job(who).await?;
            let (before, now) = (job.turn(stage).clone(), self.clock.now());
            let begun = StepKey::current(&who.ledger, &job).begun(&self.book, now, Some(fence));
            let claim = job.claim(stage, who.attempt, fence, now, policy)?;
            if matches!(claim, Claim::Done(_)) {
                return Ok(claim);
            }
            let mut writes = vec![self.replace(who, &job)?];
            if before != *job.turn(stage) {
                writes.push(begun);
            }
            if self.book.write(writes).await? {
                return Ok(claim);
            }
        }
        Err(TurnError::contended_job(&who.ledger, who.job))
    }

    /// The stateless half begins; or begins again, after its first worker was retried.
    pub async fn begin_stateless(&self, who: &Attempt, policy: &Policy) -> Result<Claim, TurnError> {
        for _ in 0..TRIES {
            let mut job = self.job(who).await?;
            if let Some(commit) = job.stateless {
                return Ok(Claim::Done(commit));
            }
            let (heard_of, now) = (job.is_at_work(), self.clock.now());
            if !job.renew(who.attempt, now, policy)? {
                return Ok(Claim::Held);
            }
            let mut writes = vec![self.replace(who, &job)?];
            if !heard_of {
                writes.push(StepKey::current(&who.ledger, &job).begun(&self.book, now, None));
            }
            if self.book.write(writes).await? {
                return Ok(Claim::Held);
            }
        }
        Err(TurnError::contended_job(&who.ledger, who.job))
    }

    /// A step of the stateless half is done, and the next one begins; combine is done with the half. The first to say so
    /// counts.
    pub async fn prepared(
        &self,
        who: &Attempt,
        step: Preparation,
        figures: &Figures,
        policy: &Policy,
    ) -> Result<(), TurnError> {
        for _ in 0..TRIES {
            let mut job = self.job(who).await?;
            let now = self.clock.now();
            let done = StepKey::current(&who.ledger, &job).done(&self.book, now, figures, None);
            if !job.prepared(who.attempt, step, now, policy)? {
                return Ok(());
            }
            let begun = StepKey::current(&who.ledger, &job).begun(&self.book, now, None);
            if self.book.write(vec![self.replace(who, &job)?, done, begun]).await? {
                info!(ledger = %who.ledger, job = %who.job, step = step.as_str(), "step done");
                return Ok(());
            }
        }
        Err(TurnError::contended_job(&who.ledger, who.job))
    }

    /// The attempt lives. An error of class `Conflict` tells its worker to stop. To be called by every worker now and
    /// then: it writes at most twice a lease, however many do. The job, as it is now.
    pub async fn renew(&self, who: &Attempt, policy: &Policy) -> Result<Job, TurnError> {
        for _ in 0..TRIES {
            let mut job = self.job(who).await?;
            let worth = job.renew(who.attempt, self.clock.now(), policy)?;
            if !worth || self.book.write(vec![self.replace(who, &job)?]).await? {
                return Ok(job);
            }
        }
        Err(TurnError::contended_job(&who.ledger, who.job))
    }

    /// The stateless half is done. The first commit counts; whoever comes later is told what that was.
    pub async fn commit_stateless(
        &self,
        who: &Attempt,
        result: &StageResult,
        policy: &Policy,
    ) -> Result<Claim, TurnError> {
        result.ties_out(who.job, Preparation::Combine.as_str())?;
        for _ in 0..TRIES {
            let mut job = self.job(who).await?;
            let now = self.clock.now();
            let step = StepKey::current(&who.ledger, &job);
            let done = step.done(&self.book, now, &result.figures, Some(&result.manifest));
            let claim = job.commit_stateless(who.attempt, &result.manifest, now, policy)?;
            if matches!(claim, Claim::Done(_)) {
                return Ok(claim);
            }
            if self.book.write(vec![self.replace(who, &job)?, done]).await? {
                info!(ledger = %who.ledger, job = %who.job, "stateless half committed");
                return Ok(claim);
            }
        }
        Err(TurnError::contended_job(&who.ledger, who.job))
    }

    /// A stage is done: in one transaction, while the fence holds the turn and the job is not void, the commit stands
    /// and the cursor moves from the job before to this one. Index also covers the intervals of the job's batches.
    pub async fn commit(
        &self,
        who: &Attempt,
        stage: Stage,
        fence: u64,
        result: &StageResult,
        policy: &Policy,
    ) -> Result<Claim, TurnError> {
        result.ties_out(who.job, stage.as_str())?;
        for _ in 0..TRIES {
            let mut job = self.job(who).await?;
            let now = self.clock.now();
            let step = StepKey::current(&who.ledger, &job);
            let done = step.done(&self.book, now, &result.figures, Some(&result.manifest));
            let claim = job.commit(stage, who.attempt, fence, &result.manifest, now, policy)?;
            if matches!(claim, Claim::Done(_)) {
                return Ok(claim);
            }
            let Some(mut writes) = self.stage_commit(who, &job, stage).await? else { continue };
            writes.push(done);
            if self.book.write(writes).await? {
                info!(ledger = %who.ledger, job = %who.job, %stage, "stage committed");
                return Ok(claim);
            }
        }
        Err(TurnError::contended_job(&who.ledger, who.job))
    }

    /// The writes of a stage commit, but for the step's row; `None` where the job was read before the head moved.
    async fn stage_commit(&self, who: &Attempt, job: &Job, stage: Stage) -> Result<Option<Vec<Write>>, TurnError> {
        let head = self.book.head(&who.ledger).await?;
        let cursor = head.cursor(stage);
        if cursor >= job.number() {
            return Ok(None);
        }
        if cursor != job.predecessor() {
            return Err(TurnError::OutOfOrder { job: who.job, stage, cursor });
        }
        let set = [(Field::Cursor(stage), job.number().get())];
        let mut writes = vec![head.change(&self.book, &who.ledger, &set, &[]), self.replace(who, job)?];
        if stage == Stage::Index {
            writes.extend(self.coverage(who, job).await?);
        }
        Ok(Some(writes))
    }

    /// The intervals of a job's batches become covered. Corrections cover none: theirs are closed already.
    async fn coverage(&self, who: &Attempt, job: &Job) -> Result<Vec<Write>, TurnError> {
        let ledger = &who.ledger;
        let numbered = self.book.batches(ledger, job.batches).await?;
        let mut sources: Vec<(String, CoverageRecord)> = Vec::new();
        for batch in numbered.into_iter().filter(|batch| !batch.correction) {
            match sources.iter_mut().find(|(source, _)| *source == batch.source) {
                Some((_, coverage)) => coverage.indexed.insert(batch.interval),
                None => {
                    let mut coverage = self.book.coverage(ledger, &batch.source).await?;
                    coverage.indexed.insert(batch.interval);
                    sources.push((batch.source, coverage));
                }
            }
        }
        let write = |(source, coverage): (String, CoverageRecord)| match coverage.indexed.intervals().len() {
            0..=COVERED_INTERVALS_MAX => Ok(self.book.replace(ledger, &coverage_row(&source), &coverage)?),
            _ => Err(TurnError::Gaps { source_name: source }),
        };
        sources.into_iter().map(write).collect()
    }

    /// The job that is attempted. One of the same number that the book was given since is another one.
    pub(crate) async fn job(&self, who: &Attempt) -> Result<Job, TurnError> {
        let job = self.book.job(&who.ledger, who.job).await?;
        let job = job.ok_or_else(|| TurnError::UnknownJob { ledger: who.ledger.clone(), job: who.job })?;
        if job.id == who.id { Ok(job) } else { Err(JobRefusal::Other(who.job).into()) }
    }

    pub(crate) fn replace_job(&self, ledger: &LedgerId, job: &Job) -> Result<Write, StorageError> {
        self.book.replace(ledger, &job_row(job.number()), job)
    }

    fn replace(&self, who: &Attempt, job: &Job) -> Result<Write, StorageError> {
        self.replace_job(&who.ledger, job)
    }
}

impl StageResult {
    fn ties_out(&self, job: JobNumber, step: &'static str) -> Result<(), TurnError> {
        match self.expected.differences(&self.found).first() {
            None => Ok(()),
            Some(difference) => Err(TurnError::ControlTotalMismatch { job, step, difference: difference.to_string() }),
        }
    }
}

/// The first batch behind a job.
pub(crate) fn behind(job: JobNumber) -> BatchSequence {
    job.last_batch().next()
}
