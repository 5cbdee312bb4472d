//! What an operator does, and what is done to batches that do not tie out: skip, refuse, pass, redrive, sign.

use std::collections::{BTreeMap, btree_map::Entry};

use error_class::{Classified, ErrorClass};
use storage::{StorageError, tables::Write};
use tracing::{info, warn};

use crate::{
    BatchSequence, JobNumber,
    backlog::BacklogManager,
    book::{
        BatchRecord, BatchStatus, Book, NumberedBatch, SourceRecord, batch_row, coverage_row, number_row, signed_row,
        source_row,
    },
    head::Field,
    intervals::IntervalSet,
    job::{Failure, Job, JobRefusal, JobStatus},
    manifest::LedgerId,
    policy::{JOB_BATCHES_MAX, Terms},
    steps::StepKey,
    turns::{Attempt, TRIES, TurnError, Turns},
    watermark::{Completeness, Exception, SourceIntervals, completeness},
};

/// What becomes of batches of a job that is taken out, by their numbers. Those not named are let in again.
pub type Verdicts = BTreeMap<BatchSequence, BatchStatus>;

/// Who takes batches out of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taker {
    /// A worker of this attempt, who found that they are not what they say.
    Worker(u32),
    /// A person.
    Operator,
    /// The rule that others may pass a parked job.
    Policy,
    /// A person who has a parked job made anew.
    Afresh,
}

/// Why an operator's wish is not granted.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// The job was not moved.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// There is no such batch.
    #[error("there is no batch {batch:?} in ledger {ledger}")]
    UnknownBatch {
        /// The ledger.
        ledger: LedgerId,
        /// The batch.
        batch: String,
    },
    /// The batch is in no job yet.
    #[error("more than {JOB_BATCHES_MAX} batches wait before batch {0:?}: take it out once fewer do")]
    NotGrouped(String),
    /// The batch is out already.
    #[error("batch {batch:?} is out already: {reason}")]
    Out {
        /// The batch.
        batch: String,
        /// Why it was taken out.
        reason: String,
    },
    /// An exception that does not say enough.
    #[error("an exception names a source of the ledger, who signed it, and why, in {REASON_CHARS_MAX} characters each")]
    Unsigned,
    /// Too many exceptions.
    #[error("source {0:?} has {EXCEPTIONS_MAX} signed exceptions: send a batch without objects for the interval")]
    TooManyExceptions(String),
}

impl From<StorageError> for OperateError {
    fn from(error: StorageError) -> Self {
        Self::Turn(error.into())
    }
}

impl Classified for OperateError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Turn(error) => error.class(),
            _ => ErrorClass::InvalidInput,
        }
    }
}

/// The most signed exceptions of one source.
pub const EXCEPTIONS_MAX: u32 = 500;

/// Why the job of a batch that an operator took out is void.
pub(crate) const TAKEN_OUT: &str = "a batch of it was taken out";

/// The longest text that a person gives, in characters; more is cut.
const REASON_CHARS_MAX: usize = 1_000;

/// Taking batches out of their jobs.
impl Turns {
    /// Takes batches of the job out because their events are not what their manifests say, each for its reason. Their
    /// neighbours in the job are let in again, under new numbers; the backlog manager is called after this. Only the
    /// current attempt is heard; whoever comes later is told that the job is void.
    pub async fn refuse(&self, who: &Attempt, reasons: &BTreeMap<BatchSequence, String>) -> Result<(), TurnError> {
        self.job(who).await?;
        let refused = |reason: &String| BatchStatus::Refused { reason: cut(reason) };
        let verdicts = reasons.iter().map(|(batch, reason)| (*batch, refused(reason))).collect();
        self.take_out(&who.ledger, who.job, "a batch of it was refused", &verdicts, Taker::Worker(who.attempt)).await?;
        for batch in reasons.keys() {
            warn!(ledger = %who.ledger, job = %who.job, %batch, "batch refused");
        }
        Ok(())
    }

    async fn out(&self, ledger: &LedgerId, batch: &str, status: &BatchStatus) -> Result<(), OperateError> {
        for _ in 0..TRIES {
            let unknown = || OperateError::UnknownBatch { ledger: ledger.clone(), batch: batch.to_owned() };
            let record = self.book.batch(ledger, batch).await?.ok_or_else(unknown)?;
            match &record.status {
                standing if standing == status => return Ok(()),
                BatchStatus::Skipped { reason } | BatchStatus::Refused { reason } => {
                    return Err(OperateError::Out { batch: batch.to_owned(), reason: reason.clone() });
                }
                BatchStatus::Registered => {}
            }
            let number = record.number.ok_or_else(unknown)?;
            let numbered = self.book.numbered(ledger, number, number).await?.pop().ok_or_else(unknown)?;
            let job = numbered.job.ok_or_else(|| OperateError::NotGrouped(batch.to_owned()))?;
            let verdicts = Verdicts::from([(number, status.clone())]);
            match self.take_out(ledger, job, TAKEN_OUT, &verdicts, Taker::Operator).await {
                // It has just been let in again under another number.
                Err(TurnError::Refused(JobRefusal::Void(_))) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => warn!(%ledger, batch, %number, "batch taken out"),
            }
        }
        Err(TurnError::contended_batch(ledger, batch).into())
    }

    /// A parked job lets others by: all of its batches are let in again, behind them.
    pub(crate) async fn pass(&self, ledger: &LedgerId, job: JobNumber) -> Result<(), TurnError> {
        match self.take_out(ledger, job, "it was parked, and others were let by", &Verdicts::new(), Taker::Policy).await
        {
            // Somebody else has just done something about it.
            Err(TurnError::Refused(_)) => Ok(()),
            taken => taken,
        }
    }

    /// Voids a job and, in the same transaction, gives those of its batches that are let in again new numbers. (With
    /// their old ones, their index writes would look too old.)
    async fn take_out(
        &self,
        ledger: &LedgerId,
        number: JobNumber,
        reason: &str,
        verdicts: &Verdicts,
        taker: Taker,
    ) -> Result<(), TurnError> {
        let passes = u32::from(taker == Taker::Policy);
        for _ in 0..TRIES {
            let unknown = || TurnError::UnknownJob { ledger: ledger.clone(), job: number };
            let job = self.book.job(ledger, number).await?.ok_or_else(unknown)?;
            match taker {
                Taker::Worker(attempt) => job.check_attempt(attempt)?,
                Taker::Policy if !matches!(job.status, JobStatus::Parked(_)) => return Ok(()),
                Taker::Afresh if job.is_live() => return Err(JobRefusal::NotParked(number).into()),
                Taker::Policy | Taker::Operator | Taker::Afresh => {}
            }
            let batches = self.book.batches(ledger, job.batches).await?;
            let writes = self.taking_out(ledger, job, batches, reason, verdicts, passes).await?;
            if self.book.write(writes).await? {
                return Ok(());
            }
        }
        Err(TurnError::contended_job(ledger, number))
    }

    /// The transaction of it; also for a job that has no row yet.
    pub(crate) async fn taking_out(
        &self,
        ledger: &LedgerId,
        mut job: Job,
        batches: Vec<NumberedBatch>,
        reason: &str,
        verdicts: &Verdicts,
        passes: u32,
    ) -> Result<Vec<Write>, TurnError> {
        let book = &self.book;
        let head = book.head(ledger).await?;
        let mut next = head.next;
        let mut void: BTreeMap<String, SourceRecord> = BTreeMap::new();
        let mut writes = Vec::new();
        for batch in batches {
            let mut record = self.record(ledger, &batch).await?;
            match verdicts.get(&batch.number) {
                Some(status) => {
                    record.status = status.clone();
                    if !batch.correction {
                        let source = match void.entry(batch.source) {
                            Entry::Occupied(read) => read.into_mut(),
                            Entry::Vacant(unread) => {
                                let source = book.source(ledger, unread.key()).await?;
                                unread.insert(source)
                            }
                        };
                        source.void.insert(batch.interval);
                    }
                }
                None => {
                    (record.number, record.let_in_at) = (Some(next), self.clock.now());
                    let again = NumberedBatch { number: next, job: None, passes: batch.passes + passes, ..batch };
                    writes.push(book.insert(ledger, &number_row(next), &again)?);
                    next = next.next();
                }
            }
            writes.push(book.replace(ledger, &batch_row(&record.batch), &record)?);
        }
        for (source, record) in &void {
            writes.push(book.replace(ledger, &source_row(source), record)?);
        }
        if next != head.next {
            writes.push(head.change(book, ledger, &[(Field::Next, next.get())], &[]));
        }
        if job.is_at_work() {
            let end = end_of_step(reason, verdicts);
            writes.push(StepKey::current(ledger, &job).failed(book, self.clock.now(), &end));
        }
        job.void(reason, (next != head.next).then_some(head.next))?;
        writes.push(self.replace_job(ledger, &job)?);
        Ok(writes)
    }

    async fn record(&self, ledger: &LedgerId, batch: &NumberedBatch) -> Result<BatchRecord, TurnError> {
        let missing = || StorageError::NotFound { what: format!("batch {} of ledger {ledger}", batch.batch) };
        Ok(self.book.batch(ledger, &batch.batch).await?.ok_or_else(missing)?)
    }
}

/// What the row of a step says that was under way when its job was voided.
fn end_of_step(reason: &str, verdicts: &Verdicts) -> Failure {
    let refused = verdicts.values().find_map(|status| match status {
        BatchStatus::Refused { reason } => Some(reason.clone()),
        _ => None,
    });
    let class = if refused.is_some() { ErrorClass::InvalidInput } else { ErrorClass::Conflict };
    Failure { class, message: refused.unwrap_or_else(|| reason.to_owned()) }
}

/// An operator's wishes. Each can be repeated: what is so already is left so.
impl BacklogManager {
    /// Takes a batch out, for ever, while its job is not applied. Its neighbours in the job are let in again, under new
    /// numbers. Its interval stays open until a batch that `replaces` it is indexed, or an exception is signed.
    pub async fn skip(&self, terms: &Terms, batch: &str, reason: &str) -> Result<(), OperateError> {
        let skipped = BatchStatus::Skipped { reason: cut(reason) };
        let ledger = &terms.ledger;
        match self.turns.out(ledger, batch, &skipped).await {
            // It leaves by a job, so it gets one; if somebody else made that, it leaves as others do.
            Err(OperateError::NotGrouped(_)) if self.out_of_turn(terms, batch, &skipped).await? => {
                self.turns.out(ledger, batch, &skipped).await?;
            }
            out => out?,
        }
        self.tick(terms).await?;
        Ok(())
    }

    async fn out_of_turn(&self, terms: &Terms, batch: &str, status: &BatchStatus) -> Result<bool, TurnError> {
        match self.book().batch(&terms.ledger, batch).await?.and_then(|record| record.number) {
            Some(number) => self.group_out(number, terms, status).await,
            None => Ok(false),
        }
    }

    /// Has a parked job tried again, where it stopped: with its definition, and with all that it has committed.
    pub async fn redrive(&self, terms: &Terms, job: JobNumber) -> Result<(), OperateError> {
        let ledger = &terms.ledger;
        for _ in 0..TRIES {
            let unknown = || TurnError::UnknownJob { ledger: ledger.clone(), job };
            let mut found = self.book().job(ledger, job).await?.ok_or_else(unknown)?;
            match found.redrive(self.now()) {
                // It was redriven by an earlier call, and nothing has failed since.
                Err(JobRefusal::NotParked(_)) if found.is_redriven() => {}
                Err(refusal) => return Err(TurnError::from(refusal).into()),
                Ok(()) if !self.book().write(vec![self.turns.replace_job(ledger, &found)?]).await? => continue,
                Ok(()) => info!(%ledger, %job, "job redriven"),
            }
            self.tick(terms).await?;
            return Ok(());
        }
        Err(TurnError::contended_job(ledger, job).into())
    }

    /// Voids a parked job that is not applied, and lets its batches in again under new numbers, behind all that waits
    /// already: what they are grouped into takes nothing over from it, and goes by the definition in force.
    pub async fn redrive_afresh(&self, terms: &Terms, job: JobNumber) -> Result<(), OperateError> {
        let ledger = &terms.ledger;
        match self.turns.take_out(ledger, job, "it was redriven afresh", &Verdicts::new(), Taker::Afresh).await {
            Err(TurnError::Refused(JobRefusal::Void(_))) if self.was_let_in_again(ledger, job).await? => {}
            taken => {
                taken?;
                info!(%ledger, %job, "job redriven afresh");
            }
        }
        self.tick(terms).await?;
        Ok(())
    }

    /// Whether batches of a void job have new numbers.
    async fn was_let_in_again(&self, ledger: &LedgerId, job: JobNumber) -> Result<bool, TurnError> {
        let found = self.book().job(ledger, job).await?;
        Ok(found.is_some_and(|job| matches!(job.status, JobStatus::Void { requeued_from: Some(_), .. })))
    }

    /// Signs that an interval is to count as complete although no batch covers it. Completeness will always name it. One
    /// that is signed already stays as it was signed: that is what is answered then.
    pub async fn sign(
        &self,
        terms: &Terms,
        source: &str,
        exception: &Exception,
    ) -> Result<Option<Exception>, OperateError> {
        let said = |text: &str| !text.trim().is_empty() && text.chars().count() <= REASON_CHARS_MAX;
        if !terms.sources.contains_key(source) || !said(&exception.signed_by) || !said(&exception.reason) {
            return Err(OperateError::Unsigned);
        }
        for _ in 0..TRIES {
            let (book, ledger) = (self.book(), &terms.ledger);
            // The coverage first: it is written only if nobody has signed since.
            let mut coverage = book.coverage(ledger, source).await?;
            let mut signed = book.exceptions(ledger, source).await?.into_iter();
            if let Some(standing) = signed.find(|signed| signed.interval == exception.interval) {
                return Ok(Some(standing));
            }
            if coverage.signed >= EXCEPTIONS_MAX {
                return Err(OperateError::TooManyExceptions(source.to_owned()));
            }
            coverage.signed += 1;
            let signed = book.insert(ledger, &signed_row(source, exception), exception)?;
            if book.write(vec![signed, book.replace(ledger, &coverage_row(source), &coverage)?]).await? {
                warn!(ledger = %terms.ledger, source, interval = %exception.interval, "exception signed");
                return Ok(None);
            }
        }
        Err(TurnError::Contended { what: format!("the coverage of source {source}") }.into())
    }

    /// Until when the ledger is complete, and what holds it.
    pub async fn completeness(&self, terms: &Terms) -> Result<Completeness, OperateError> {
        Ok(self.book().completeness(terms).await?)
    }
}

impl Book {
    /// Until when the ledger is complete, and what holds it.
    pub(crate) async fn completeness(&self, terms: &Terms) -> Result<Completeness, StorageError> {
        let view = self.view(&terms.ledger).await?;
        let mut parked: BTreeMap<String, IntervalSet> = BTreeMap::new();
        for job in view.jobs.iter().filter(|job| matches!(job.status, JobStatus::Parked(_))) {
            for batch in self.numbered(&terms.ledger, job.batches.lo(), job.batches.hi()).await? {
                parked.entry(batch.source).or_default().insert(batch.interval);
            }
        }
        let mut sources = BTreeMap::new();
        for (name, opens_at) in &terms.sources {
            let registered = self.source(&terms.ledger, name).await?;
            let coverage = self.coverage(&terms.ledger, name).await?;
            let intervals = SourceIntervals {
                opens_at: *opens_at,
                claimed: registered.claimed,
                void: registered.void,
                parked: parked.remove(name).unwrap_or_default(),
                indexed: coverage.indexed,
                exceptions: self.exceptions(&terms.ledger, name).await?,
            };
            sources.insert(name.clone(), intervals);
        }
        Ok(completeness(&sources))
    }
}

/// At most so much of a text that somebody gave.
pub(crate) fn cut(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}
