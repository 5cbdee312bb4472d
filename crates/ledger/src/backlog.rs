//! The backlog manager: what moves a ledger on.
//!
//! All that it does follows from the book: [`plan`] looks at it and names the next move, the manager makes it, and so on
//! until there is none. Then it tells those who wait.

mod group;
mod plan;
mod tell;

use std::sync::Arc;

use environment::{ConfigError, text};
use error_class::ErrorClass;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use storage::{Clock, Tables, Workflows, tables::Write};
use tracing::{info, warn};

use self::plan::is_stale;
use crate::{
    JobNumber, LedgerError,
    book::{Book, NumberedBatch, View},
    definitions::Definitions,
    head::Field,
    job::{Failure, Job, JobStatus},
    manifest::LedgerId,
    policy::Terms,
    stage::Stage,
    steps::StepKey,
    turns::{Attempt, TRIES, TurnError, Turns},
};

pub use plan::{JOBS_IN_FLIGHT, Move, plan};
pub use tell::execution_name;

/// The most moves of one call; the next call goes on.
const MOVES_MAX: u32 = 200;

/// The most calls that one invocation makes of itself; the next minute goes on.
const TICKS_MAX: u32 = 10;

/// Where the manager's machines and rows are.
#[derive(Debug, Clone)]
pub struct Config {
    /// The `stateless` machine's ARN.
    pub stateless_machine: String,
    /// The `stateful` machine's ARN.
    pub stateful_machine: String,
    /// The table of ledgers.
    pub ledgers_table: String,
}

impl Config {
    /// Reads `STATELESS_MACHINE_ARN`, `STATEFUL_MACHINE_ARN` and `LEDGERS_TABLE`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            stateless_machine: text("STATELESS_MACHINE_ARN")?,
            stateful_machine: text("STATEFUL_MACHINE_ARN")?,
            ledgers_table: text("LEDGERS_TABLE")?,
        })
    }
}

/// What a call did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticked {
    /// Moves made.
    pub moves: u32,
    /// Executions that were asked to start; most had been before.
    pub starts: u32,
    /// Tasks that were told of their turn.
    pub answers: u32,
    /// Whether there is more to do than one call does.
    pub more: bool,
    /// Whether a job was made under a later definition than this call's: it made none. Read the terms again.
    pub stale: bool,
}

/// Moves ledgers on: groups, starts, grants, notices the dead, parks.
///
/// Running it again, late, or several at once is harmless: every move is one transaction on condition of what it was
/// decided on, so of two managers one makes it, and the other looks again. Executions are started under a name that
/// is theirs alone and can be started as often as one likes; a task is told of its turn as often as one likes, and
/// claims it by its fence. What is lost between a transaction and the call that should follow it, the next call
/// (at the latest the next minute's) makes up for, because the book says that it is still to be done.
#[derive(Clone)]
pub struct BacklogManager {
    pub(crate) turns: Turns,
    workflows: Arc<dyn Workflows>,
    config: Config,
}

impl BacklogManager {
    /// A manager that keeps its book in `tables` and starts and answers through `workflows`.
    pub fn new(tables: Arc<dyn Tables>, workflows: Arc<dyn Workflows>, clock: Arc<dyn Clock>, config: Config) -> Self {
        let book = Book::new(tables, &config.ledgers_table);
        Self { turns: Turns::new(book, clock), workflows, config }
    }

    /// The turns, for those who ask, claim and commit.
    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    pub(crate) fn book(&self) -> &Book {
        &self.turns.book
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.turns.clock.now()
    }

    /// Makes every move that there is to make, then tells those who wait.
    pub async fn tick(&self, terms: &Terms) -> Result<Ticked, TurnError> {
        let mut ticked = Ticked::default();
        loop {
            let view = self.book().view(&terms.ledger).await?;
            let pending = self.pending(&terms.ledger, &view).await?;
            ticked.stale = is_stale(&view, terms);
            match plan(&view, &pending, terms, self.now()) {
                Some(_) if ticked.moves >= MOVES_MAX => ticked.more = true,
                Some(next) => {
                    ticked.moves += 1;
                    self.make(&next, &view, &pending, terms).await?;
                    continue;
                }
                None => {}
            }
            if !self.tell(&terms.ledger, &view, &mut ticked).await? || ticked.more {
                info!(ledger = %terms.ledger, moves = ticked.moves, answers = ticked.answers, "backlog looked at");
                return Ok(ticked);
            }
        }
    }

    /// Ticks until there is nothing more to do, or much was done. Terms that have grown old are read again.
    pub async fn move_on(&self, terms: &Terms, definitions: &Definitions) -> Result<(), LedgerError> {
        let mut terms = terms.clone();
        for _ in 0..TICKS_MAX {
            let ticked = self.tick(&terms).await?;
            if ticked.stale {
                terms = definitions.terms(&terms.ledger).await?;
            } else if !ticked.more {
                break;
            }
        }
        Ok(())
    }

    /// Makes a move, unless what it was decided on has changed: then nothing happens, and the next look decides.
    async fn make(&self, next: &Move, view: &View, pending: &[NumberedBatch], terms: &Terms) -> Result<(), TurnError> {
        let ledger = &terms.ledger;
        let job = |number: JobNumber| view.jobs.iter().find(|job| job.number() == number).cloned();
        let (now, policy) = (self.now(), &terms.policy);
        let writes = match *next {
            Move::StepOver { stage, job } => {
                let relied: Vec<_> = stage.previous().map(Field::Cursor).into_iter().collect();
                vec![view.head.change(self.book(), ledger, &[(Field::Cursor(stage), job.get())], &relied)]
            }
            Move::Grant { stage, job: number } => {
                let Some(mut job) = job(number) else { return Ok(()) };
                let fence = view.head.fence + 1;
                job.grant(stage, fence, view.head.indexed, now, policy);
                // While `indexed` is what the snapshot says, and the job before is through this stage.
                let relied = [Field::Cursor(stage), Field::Cursor(Stage::Index)];
                let head = view.head.change(self.book(), ledger, &[(Field::Fence, fence)], &relied);
                vec![head, self.turns.replace_job(ledger, &job)?]
            }
            Move::TakeForDead { job: number } => {
                let Some(job) = job(number) else { return Ok(()) };
                let message = format!("attempt {} gave no sign of life until {}", job.attempt, job.lease_until);
                let failure = Failure { class: ErrorClass::WorkerLost, message };
                self.failed(ledger, job, failure, terms)?
            }
            Move::StartAgain { job: number } => {
                let Some(mut job) = job(number) else { return Ok(()) };
                job.start(now, policy);
                vec![self.turns.replace_job(ledger, &job)?]
            }
            Move::Pass { job } => return self.turns.pass(ledger, job).await,
            Move::Group { batches } => {
                let (job, mut writes) = self.group(view, pending.get(..batches).unwrap_or_default(), terms)?;
                writes.push(self.turns.replace_job(ledger, &job)?);
                writes
            }
        };
        if self.book().write(writes).await? {
            info!(%ledger, made = ?next, "move made");
        }
        Ok(())
    }

    /// The transaction of a failure: the attempt is over, and the step's row says why.
    fn failed(
        &self,
        ledger: &LedgerId,
        mut job: Job,
        failure: Failure,
        terms: &Terms,
    ) -> Result<Vec<Write>, TurnError> {
        let now = self.now();
        let step = StepKey::current(ledger, &job).failed(self.book(), now, &failure);
        let (number, attempt) = (job.number(), job.attempt);
        warn!(%ledger, job = %number, attempt, class = %failure.class, failure.message, "attempt failed");
        job.fail(attempt, failure, now, &terms.policy)?;
        if let JobStatus::Parked(_) = job.status {
            warn!(%ledger, job = %number, failures = job.failures, "job parked");
        }
        Ok(vec![self.turns.replace_job(ledger, &job)?, step])
    }

    /// The attempt failed; no news of one that is not the current one.
    pub(crate) async fn fail(&self, who: &Attempt, failure: &Failure, terms: &Terms) -> Result<(), TurnError> {
        for _ in 0..TRIES {
            let Some(job) = self.book().job(&who.ledger, who.job).await? else {
                return Err(TurnError::UnknownJob { ledger: who.ledger.clone(), job: who.job });
            };
            if !job.is_live() || job.attempt != who.attempt || job.is_committed(Stage::Index) {
                return Ok(());
            }
            if self.book().write(self.failed(&who.ledger, job, failure.clone(), terms)?).await? {
                return Ok(());
            }
        }
        Err(TurnError::contended_job(&who.ledger, who.job))
    }
}
