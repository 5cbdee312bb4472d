//! The backlog manager: what moves a ledger on.
//!
//! All that it does follows from the book: [`plan`] looks at it and names the next move, the manager makes it, and so on
//! until there is none. Then it tells those who wait.

use std::sync::Arc;

use environment::{ConfigError, text};
use error_class::ErrorClass;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use storage::{Clock, Condition, StorageError, Tables, Workflows, tables::Write, workflows::Answer};
use tracing::{info, warn};

use crate::{
    BatchSequence, JobBatches, JobNumber, LedgerError, OnStuck,
    book::{BatchStatus, Book, NumberedBatch, View, number_row},
    definitions::Definitions,
    head::Field,
    job::{Failure, Job, JobStatus, Run},
    manifest::LedgerId,
    messages::RunInput,
    operate::TAKEN_OUT,
    policy::{JOB_BATCHES_MAX, PASSES_MAX, Pending, Terms},
    stage::{Half, Stage, Turn},
    steps::StepKey,
    turns::{Attempt, TRIES, TurnError, Turns, behind},
};

/// How many jobs behind `indexed` may prefetch, apply and index at once: each further one would have one more part-file
/// to overlay, and while an index is parked they would be without bound.
pub const JOBS_IN_FLIGHT: usize = 3;

/// The most moves of one call; the next call goes on.
const MOVES_MAX: u32 = 200;

/// The most objects of a job, but for one of a single batch: each is in documents that steps read whole.
const JOB_OBJECTS_MAX: u64 = 4_000;

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

/// A move: something that the book says is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// A cursor goes past a void job.
    StepOver {
        /// The cursor.
        stage: Stage,
        /// The job.
        job: JobNumber,
    },
    /// A turn is granted.
    Grant {
        /// The stage.
        stage: Stage,
        /// The job.
        job: JobNumber,
    },
    /// An attempt is taken for dead.
    TakeForDead {
        /// The job.
        job: JobNumber,
    },
    /// A job whose pause is over is started again.
    StartAgain {
        /// The job.
        job: JobNumber,
    },
    /// A parked job lets others overtake it.
    Pass {
        /// The job.
        job: JobNumber,
    },
    /// Pending batches become a job.
    Group {
        /// How many.
        batches: usize,
    },
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

    /// Gives a batch that waits a job of its own that is void from its beginning, so that it can be taken out now: batches
    /// leave by their job. Those before it become jobs as they would have anyway, if sooner. Whether it is
    /// in a job now; not where too many are before it.
    pub(crate) async fn group_out(
        &self,
        number: BatchSequence,
        terms: &Terms,
        status: &BatchStatus,
    ) -> Result<bool, TurnError> {
        for _ in 0..JOB_BATCHES_MAX + u64::from(TRIES) {
            let view = self.book().view(&terms.ledger).await?;
            if number <= view.head.grouped.last_batch() {
                return Ok(true);
            }
            if is_stale(&view, terms) {
                return Err(TurnError::Stale { ledger: terms.ledger.clone() });
            }
            let pending = self.pending(&terms.ledger, &view).await?;
            let Some(at) = pending.iter().position(|batch| batch.number == number) else { return Ok(false) };
            let (before, rest) = pending.split_at(at);
            let writes = match (before, rest) {
                ([], [batch, ..]) => {
                    let (job, mut writes) = self.group(&view, std::slice::from_ref(batch), terms)?;
                    let verdicts = [(number, status.clone())].into();
                    let batches = vec![batch.clone()];
                    writes.extend(self.turns.taking_out(&terms.ledger, job, batches, TAKEN_OUT, &verdicts, 0).await?);
                    writes
                }
                _ => {
                    let next = terms.policy.grouping.next(&sizes(before), 0);
                    let (job, mut writes) = self.group(&view, before.get(..next).unwrap_or_default(), terms)?;
                    writes.push(self.turns.replace_job(&terms.ledger, &job)?);
                    writes
                }
            };
            if self.book().write(writes).await? && before.is_empty() {
                warn!(ledger = %terms.ledger, batch = %number, "batch taken out");
                return Ok(true);
            }
        }
        Err(TurnError::contended_batch(&terms.ledger, number))
    }

    async fn pending(&self, ledger: &LedgerId, view: &View) -> Result<Vec<NumberedBatch>, StorageError> {
        let (first, last) = (behind(view.head.grouped), view.head.next.previous());
        let most = BatchSequence::new(first.get().saturating_add(JOB_BATCHES_MAX - 1));
        if first > last { Ok(Vec::new()) } else { self.book().numbered(ledger, first, last.min(most)).await }
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

    /// A new job, and the writes that go with its row: they move `grouped`, and tell each batch its job.
    fn group(&self, view: &View, batches: &[NumberedBatch], terms: &Terms) -> Result<(Job, Vec<Write>), TurnError> {
        let (ledger, now) = (&terms.ledger, self.now());
        let wrong = |reason| TurnError::Storage(StorageError::Invalid { what: ledger.to_string(), reason });
        let ends = batches.first().zip(batches.last());
        let (first, last) = ends.ok_or_else(|| wrong("no job is made of no batches".to_owned()))?;
        let span = JobBatches::new(first.number, last.number).map_err(|error| wrong(error.to_string()))?;
        let mut job = Job::new(span, now, &terms.policy);
        job.events = batches.iter().fold(0, |sum, batch| sum.saturating_add(batch.events));
        job.bytes = batches.iter().fold(0, |sum, batch| sum.saturating_add(batch.bytes));
        job.passes = batches.iter().map(|batch| batch.passes).max().unwrap_or_default();
        job.definition = terms.definition;
        let number = job.number();
        // Neither bits nor definitions ever go back along the order of jobs; the head keeps those of the last one.
        job.partition_bits = terms.partition_bits.max(view.head.partition_bits);
        let set = [
            (Field::Grouped, number.get()),
            (Field::Definition, job.definition),
            (Field::PartitionBits, job.partition_bits.get().into()),
        ];
        let mut writes = vec![view.head.change(self.book(), ledger, &set, &[])];
        writes.extend(batches.iter().map(|batch| {
            let set = vec![("job".to_owned(), json!(number))];
            self.book().change(ledger, &number_row(batch.number), set, Condition::Present)
        }));
        Ok((job, writes))
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

    /// Starts what is to be started, and tells who waits. One that cannot be reached does not keep the others waiting.
    /// Whether the book was changed.
    async fn tell(&self, ledger: &LedgerId, view: &View, ticked: &mut Ticked) -> Result<bool, TurnError> {
        let (mut changed, mut failure) = (false, None);
        for job in &view.jobs {
            if job.is_live() && job.run == Run::Starting {
                ticked.starts += 1;
                if let Err(error) = self.start(ledger, job).await {
                    failure = Some(error);
                }
            }
            for (token, answer) in job.answers() {
                match self.workflows.answer(token, &json!(answer).to_string()).await {
                    // It goes on, and will claim. Should it die before that, it is told again, and gone.
                    Ok(Answer::Taken) if !job.is_void() => ticked.answers += 1,
                    Ok(_) => changed |= self.forget(ledger, job, token).await?,
                    Err(error) => failure = Some(error.into()),
                }
            }
        }
        failure.map_or(Ok(changed), Err)
    }

    /// Whether this changed the book; if somebody else did meanwhile, the next call looks again.
    async fn forget(&self, ledger: &LedgerId, job: &Job, token: &str) -> Result<bool, TurnError> {
        let mut job = job.clone();
        job.drop_token(token);
        Ok(self.book().write(vec![self.turns.replace_job(ledger, &job)?]).await?)
    }

    async fn start(&self, ledger: &LedgerId, job: &Job) -> Result<(), TurnError> {
        let machine = match job.half() {
            Half::Stateless => &self.config.stateless_machine,
            Half::Stateful => &self.config.stateful_machine,
        };
        let input = json!(RunInput {
            ledger: ledger.clone(),
            job: job.number(),
            batches: job.batches,
            attempt: job.attempt,
            definition: job.definition,
            partition_bits: job.partition_bits,
        });
        self.workflows.start(machine, &execution_name(ledger, job), &input.to_string()).await?;
        Ok(())
    }
}

/// The name of the execution of the job's current attempt, which no other ever has: `<tenant>-<job>-<attempt>-<digits>`,
/// where the digits are of a SHA-256 of the ledger's name, which would make it too long.
pub fn execution_name(ledger: &LedgerId, job: &Job) -> String {
    let digest = Sha256::digest(ledger.ledger.as_bytes());
    let digits: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{digits}", ledger.tenant, job.number().padded(), job.attempt)
}

/// The next move that the book calls for, if any. Nearest to the end first, so that what is in flight gets out of it.
pub fn plan(view: &View, pending: &[NumberedBatch], terms: &Terms, now: Timestamp) -> Option<Move> {
    let mut stages = Stage::ALL.into_iter().rev();
    stages
        .find_map(|stage| at_cursor(view, stage))
        .or_else(|| view.jobs.iter().find_map(|job| of_job(view, pending, job, terms, now)))
        .or_else(|| grouping(view, pending, terms))
}

/// What is to be done about the job that a cursor has come to.
fn at_cursor(view: &View, stage: Stage) -> Option<Move> {
    let cursor = view.head.cursor(stage);
    let job = view.jobs.iter().find(|job| job.predecessor() == cursor)?;
    let number = job.number();
    if job.is_void() {
        let cursor_before = stage.previous().map_or(view.head.grouped, |previous| view.head.cursor(previous));
        // The last cursor waits until every task has been told: behind it nobody looks at the job again.
        let told = stage != Stage::Index || job.answers().is_empty();
        return (number <= cursor_before && told).then_some(Move::StepOver { stage, job: number });
    }
    let waits = matches!(job.turn(stage), Turn::Waiting { .. });
    let mut in_flight = view.jobs.iter().filter(|job| !job.is_void()).take(JOBS_IN_FLIGHT);
    let near = stage != Stage::Prefetch || in_flight.any(|near| near.number() == number);
    (job.is_live() && waits && near && job.is_ready_for(stage)).then_some(Move::Grant { stage, job: number })
}

/// What is to be done about a job wherever it is.
fn of_job(view: &View, pending: &[NumberedBatch], job: &Job, terms: &Terms, now: Timestamp) -> Option<Move> {
    let number = job.number();
    match &job.status {
        JobStatus::Live if job.is_silent(now) => Some(Move::TakeForDead { job: number }),
        JobStatus::Live if matches!(job.run, Run::Resting(until) if until <= now) => {
            Some(Move::StartAgain { job: number })
        }
        JobStatus::Parked(_) if terms.on_stuck == OnStuck::Pass => {
            let waits = |other: &Job| other.number() > number && !other.is_void() && other.passes < PASSES_MAX;
            let others = view.jobs.iter().any(waits) || pending.iter().any(|batch| batch.passes < PASSES_MAX);
            let may = job.passes < PASSES_MAX && !job.is_committed(Stage::Apply);
            (others && may).then_some(Move::Pass { job: number })
        }
        _ => None,
    }
}

fn grouping(view: &View, pending: &[NumberedBatch], terms: &Terms) -> Option<Move> {
    let live = view.jobs.iter().filter(|job| !job.is_void()).count();
    let batches = terms.policy.grouping.next(&sizes(pending), u32::try_from(live).unwrap_or(u32::MAX));
    (batches > 0 && !is_stale(view, terms)).then_some(Move::Group { batches })
}

/// Whether a job was made under a later definition than these terms are of.
fn is_stale(view: &View, terms: &Terms) -> bool {
    terms.definition < view.head.definition
}

/// The sizes of batches, as far as one job can hold them.
fn sizes(pending: &[NumberedBatch]) -> Vec<Pending> {
    let mut objects = 0_u64;
    let holds = |(index, batch): &(usize, &NumberedBatch)| {
        objects = objects.saturating_add(batch.objects);
        *index == 0 || objects <= JOB_OBJECTS_MAX
    };
    let held = pending.iter().enumerate().take_while(holds);
    held.map(|(_, batch)| Pending { events: batch.events, bytes: batch.bytes }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PartitionBits;
    use crate::{
        Interval,
        head::Head,
        policy::{Grouping, Policy},
    };

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn terms(on_stuck: OnStuck) -> Terms {
        Terms {
            ledger: LedgerId { tenant: "t".repeat(32), ledger: "l".repeat(64) },
            definition: 1,
            partition_bits: PartitionBits::ZERO,
            sources: std::collections::BTreeMap::new(),
            on_stuck,
            duplicates: crate::DuplicateScope::Batch,
            policy: Policy { grouping: Grouping { live_jobs_max: 8, ..Grouping::default() }, ..Policy::default() },
        }
    }

    /// Jobs 1 to `count`, of one batch each, all of them waiting for the turn to prefetch.
    fn waiting(count: u64) -> View {
        let policy = Policy::default();
        let job = |number| {
            let mut job = Job::new(JobBatches::one(BatchSequence::new(number)), now(), &policy);
            job.commit_stateless(1, "combined", now(), &policy).unwrap();
            job.ask(Stage::Prefetch, 2, "token", now(), &policy).unwrap();
            job
        };
        let mut head = Head::default();
        (head.next, head.grouped) = (BatchSequence::new(count + 1), JobNumber::new(count));
        View { head, jobs: (1..=count).map(job).collect() }
    }

    fn planned(view: &View, on_stuck: OnStuck) -> Option<Move> {
        plan(view, &[], &terms(on_stuck), now())
    }

    #[test]
    fn turns_are_granted_in_order_to_the_first_three_live_jobs() {
        let mut view = waiting(5);
        let granted = |job| Some(Move::Grant { stage: Stage::Prefetch, job: JobNumber::new(job) });
        assert_eq!(planned(&view, OnStuck::Wait), granted(1));
        for (prefetched, next) in [(1, granted(2)), (2, granted(3)), (3, None)] {
            view.head.prefetched = JobNumber::new(prefetched);
            assert_eq!(planned(&view, OnStuck::Wait), next);
        }
        view.jobs[1].void("out", None).unwrap();
        assert_eq!(planned(&view, OnStuck::Wait), granted(4), "a void job is none of the three");
    }

    #[test]
    fn cursors_step_over_void_jobs_one_behind_the_other_once_all_are_told() {
        let mut view = waiting(1);
        view.jobs[0].void("out", None).unwrap();
        let over = |stage| Some(Move::StepOver { stage, job: JobNumber::new(1) });
        assert_eq!(planned(&view, OnStuck::Wait), over(Stage::Prefetch));
        view.head.prefetched = JobNumber::new(1);
        assert_eq!(planned(&view, OnStuck::Wait), over(Stage::Apply));
        view.head.applied = JobNumber::new(1);
        assert_eq!(planned(&view, OnStuck::Wait), None, "its task has not been told");
        view.jobs[0].drop_token("token");
        assert_eq!(planned(&view, OnStuck::Wait), over(Stage::Index));
    }

    #[test]
    fn a_parked_job_lets_others_by_where_they_may_and_not_for_ever() {
        let mut view = waiting(2);
        view.jobs[0].status = JobStatus::Parked(Failure { class: ErrorClass::Bug, message: "poison".to_owned() });
        assert_eq!(planned(&view, OnStuck::Wait), None);
        assert_eq!(planned(&view, OnStuck::Pass), Some(Move::Pass { job: JobNumber::new(1) }));
        view.jobs[0].passes = PASSES_MAX;
        assert_eq!(planned(&view, OnStuck::Pass), None);
        view.jobs[0].passes = 0;
        view.jobs.truncate(1);
        assert_eq!(planned(&view, OnStuck::Pass), None, "nobody is behind it");
    }

    fn batch() -> NumberedBatch {
        NumberedBatch {
            number: BatchSequence::FIRST,
            batch: "b".to_owned(),
            source: "shop".to_owned(),
            interval: Interval::new(Timestamp::MIN, Timestamp::MAX).unwrap(),
            correction: false,
            events: 1,
            bytes: 1,
            objects: 1,
            pinned: String::new(),
            passes: 0,
            job: None,
        }
    }

    #[test]
    fn what_has_arrived_is_grouped_when_nothing_else_is_to_be_done() {
        let batch = batch();
        let grouped = plan(&waiting(0), &[batch.clone(), batch], &terms(OnStuck::Wait), now());
        assert_eq!(grouped, Some(Move::Group { batches: 2 }));
    }

    #[test]
    fn a_job_has_no_more_objects_than_its_documents_can_name() {
        let batch = |objects| NumberedBatch { objects, ..batch() };
        for (objects, most) in [(vec![9_999, 1], 1), (vec![1_000; 5], 4), (vec![1, 4_000], 1), (vec![100; 40], 40)] {
            let pending: Vec<_> = objects.into_iter().map(batch).collect();
            let grouped = plan(&waiting(0), &pending, &terms(OnStuck::Wait), now());
            assert_eq!(grouped, Some(Move::Group { batches: most }));
        }
    }

    #[test]
    fn no_job_goes_by_an_older_definition_than_the_one_before() {
        let mut view = waiting(0);
        for (last, grouped) in [(1, Some(Move::Group { batches: 1 })), (2, None)] {
            view.head.definition = last;
            assert_eq!(plan(&view, &[batch()], &terms(OnStuck::Wait), now()), grouped);
        }
    }

    #[test]
    fn names_of_executions_fit_and_differ() {
        let terms = terms(OnStuck::Wait);
        let mut job = Job::new(JobBatches::one(BatchSequence::new(999_999_999_999)), now(), &terms.policy);
        job.attempt = u32::MAX;
        let name = execution_name(&terms.ledger, &job);
        storage::workflows::check_start("machine", &name, "{}").unwrap();
        let other = LedgerId { ledger: "m".repeat(64), ..terms.ledger };
        assert_ne!(execution_name(&other, &job), name);
    }
}
