//! reducer: one byte range → its events by partition, and its rejects.

use std::sync::{Arc, Mutex, PoisonError};

use records::Header;
use storage::{ByteRange, Clock, Location, Objects, Tables};
use tracing::info;

use crate::{
    JobNumber, Ledger, LedgerError, Reduced,
    commits::{ReducedRange, SplitJob, Written},
    layout::{range_key, split_key},
    manifest::{LedgerId, PinnedBatch, PinnedObject},
    messages::{Done, EventChunk, ReduceRequest, RunInput},
    pinned::{ObjectError, Pinned},
    reduce::{EventRange, Reduction},
    rejects::RejectFile,
    split::reason,
    workplace::{Workplace, attempt_place},
};

/// What reducer is configured by.
pub use crate::workplace::Places as Config;

/// Reduces one range: reads it as it was pinned, and writes its events by partition and key.
///
/// Running it again, late or twice at once is harmless: the result depends on what is pinned alone, each attempt writes
/// under a path of its own, and the first commit that stands for the range counts. A batch can be refused once, by the
/// current attempt.
pub struct Reducer {
    workplace: Workplace,
    /// The split of the job that was last worked on: a warm function takes many ranges of one job.
    split: Mutex<Option<Known>>,
}

struct Known {
    ledger: LedgerId,
    job: JobNumber,
    split: Arc<SplitJob>,
}

/// What a range is read from.
struct Source<'a> {
    batch: &'a PinnedBatch,
    object: &'a PinnedObject,
    header: Option<Header>,
}

impl Reducer {
    /// A reducer that reads and writes `objects` and keeps its book in `tables`.
    pub fn new(objects: Arc<dyn Objects>, tables: Arc<dyn Tables>, clock: Arc<dyn Clock>, config: &Config) -> Self {
        Self { workplace: Workplace::at(objects, tables, clock, config), split: Mutex::new(None) }
    }

    /// Handles one range.
    pub async fn reduce(&self, request: ReduceRequest) -> Result<Done, LedgerError> {
        let ReduceRequest { run, range } = &request;
        let entered = self.workplace.enter(run).await?;
        let at = self.workplace.work(range_key(run, range.index));
        if self.workplace.find::<ReducedRange>(&at).await?.is_none() {
            self.make(run, *range, &entered.ledger, &at).await?;
        }
        Ok(Done {})
    }

    async fn make(&self, run: &RunInput, range: EventChunk, ledger: &Ledger, at: &Location) -> Result<(), LedgerError> {
        let split = self.split(run).await?;
        let source = Source::of(&split, range, ledger, run)?;
        let mut rejects = self.workplace.reject_file(run, &format!("reduce-{:06}", range.index));
        let reduced = self.read_and_reduce(run, range, ledger, &source, &mut rejects).await;
        let (reduced, rejects) = match rejects.end(reduced).await {
            Ok(reduced) => reduced,
            Err(ObjectError::Fault(fault)) => {
                let reasons = [(range.batch, reason(&source.object.key, &fault))].into();
                return Err(self.workplace.refuse(run, reasons).await);
            }
            Err(ObjectError::Other(error)) => return Err(error),
        };
        let found = reduced.totals_in.records();
        if found != range.records {
            return Err(LedgerError::ControlTotalMismatch {
                boundary: boundary(run, range),
                difference: format!("{} records against {found}", range.records),
            });
        }
        self.commit(run, range, reduced, rejects, at).await
    }

    async fn read_and_reduce(
        &self,
        run: &RunInput,
        range: EventChunk,
        ledger: &Ledger,
        source: &Source<'_>,
        rejects: &mut RejectFile,
    ) -> Result<Reduced, ObjectError> {
        let compression = ledger.definition().events.compression;
        let pinned = Pinned::new(&*self.workplace.objects, source.batch, source.object, compression);
        let bytes = pinned.range(ByteRange::new(range.start, range.end)).await?;
        let events = EventRange {
            bytes: &bytes,
            offset: range.start,
            first_row: range.first_row,
            batch: range.batch,
            object: range.object,
            interval: source.batch.manifest.interval,
        };
        let wrong = |error| ObjectError::reducing(error, || boundary(run, range));
        let mut reduction =
            Reduction::new(ledger, source.header.as_ref(), &events, run.partition_bits).map_err(wrong)?;
        while let Some(next) = reduction.next_rejects().map_err(wrong)? {
            rejects.write(&next).await?;
        }
        reduction.finish().map_err(wrong)
    }

    async fn commit(
        &self,
        run: &RunInput,
        range: EventChunk,
        reduced: Reduced,
        rejects: Option<Written>,
        at: &Location,
    ) -> Result<(), LedgerError> {
        let step = format!("{:06}", range.index);
        let file = self.workplace.work(format!("{}.events", attempt_place(run, &format!("reduce/{step}"))));
        let reduced = ReducedRange {
            range,
            file: self.workplace.put(&file, reduced.file, "application/octet-stream").await?,
            sections: reduced.sections,
            totals_in: reduced.totals_in,
            totals_out: reduced.totals_out,
            rejected_by_rule: reduced.rejected_by_rule,
            rejects,
        };
        let ReducedRange { file, totals_in, totals_out, .. } = self.workplace.commit(at, reduced).await?;
        info!(
            ledger = %run.ledger,
            job = %run.job,
            range = range.index,
            records = totals_in.records(),
            events = totals_out.records(),
            bytes = file.bytes,
            "range reduced"
        );
        Ok(())
    }

    async fn split(&self, run: &RunInput) -> Result<Arc<SplitJob>, LedgerError> {
        {
            let known = self.split.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = known.as_ref().filter(|known| known.ledger == run.ledger && known.job == run.job) {
                return Ok(known.split.clone());
            }
        }
        let split: SplitJob = self.workplace.read(run, &self.workplace.work(split_key(run))).await?;
        let split = Arc::new(split);
        let known = Known { ledger: run.ledger.clone(), job: run.job, split: split.clone() };
        *self.split.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(split)
    }
}

fn boundary(run: &RunInput, range: EventChunk) -> String {
    format!("range {} of job {}, split against reduced", range.index, run.job)
}

impl<'a> Source<'a> {
    fn of(split: &'a SplitJob, range: EventChunk, ledger: &Ledger, run: &RunInput) -> Result<Self, LedgerError> {
        let place = usize::try_from(range.object).unwrap_or(usize::MAX);
        let batch = split.batches.get(&range.batch);
        let found = batch.and_then(|batch| Some((batch, batch.objects.get(place)?)));
        let (batch, object) = found.ok_or_else(|| LedgerError::StepMissing {
            what: format!("object {} of batch {}", range.object, range.batch),
            job: run.job,
        })?;
        let names = split.headers.get(&range.batch).and_then(|headers| headers.get(place)?.as_ref());
        let header = names.map(|names| Header::new(names.iter().map(String::as_str), ledger.format())).transpose();
        let header = header.map_err(|source| LedgerError::ControlTotalMismatch {
            boundary: boundary(run, range),
            difference: error_class::chain(&source),
        })?;
        Ok(Self { batch, object, header })
    }
}
