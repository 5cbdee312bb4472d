//! job-splitter: the objects of a job's batches → record-aligned byte ranges.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use environment::{ConfigError, parsed};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use records::{ChunkSize, RecordRange, Split, SplitPlan};
use storage::{ByteRange, Clock, Location, Objects, Tables};
use tracing::info;

use crate::{
    BatchSequence, Ledger, LedgerError, PartitionBits,
    commits::SplitJob,
    figures,
    layout::split_key,
    manifest::PinnedBatch,
    messages::{EventChunk, JobSplit, RunInput, SplitRequest},
    pinned::{ObjectError, ObjectFault, Pinned, outside, slice},
    scan::{self, EventScanner},
    stage::Preparation,
    workplace::{Entered, Places, Pulse, Workplace, attempt_place},
};

/// What job-splitter is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where its things are.
    pub places: Places,
    /// How many bytes a range is to have.
    pub event_range_bytes: u64,
    /// How long a splitter reads at most: below what the platform lets it.
    pub work_seconds_max: u64,
}

impl Config {
    /// Reads `WORK_BUCKET`, `DATA_BUCKET`, `LEDGERS_TABLE`, `EVENT_RANGE_BYTES` and `WORK_SECONDS_MAX`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            places: Places::from_env()?,
            event_range_bytes: parsed("EVENT_RANGE_BYTES")?,
            work_seconds_max: parsed("WORK_SECONDS_MAX")?,
        })
    }
}

/// How many objects are read at once. Each reads its own blocks in parallel, and a packed one is held in memory.
const OBJECTS_AT_ONCE: usize = 2;
/// How many ranges one object is cut into at most: larger objects take larger ranges rather than more.
const RANGES_MAX: u64 = 10_000;
/// How many sections the ranges of a job come to at most, one a partition and range: more of a job take larger ranges too.
const SECTIONS_MAX: u64 = 1 << 23;
/// The longest range: what a reducer can hold.
const RANGE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Plans the stateless half of a job: reads every object of its batches once, and writes nothing of them again.
///
/// Running it again, late or twice at once is harmless: each attempt writes its ranges under a key of its own, and the
/// first split that stands is the job's; the others answer with it.
pub struct JobSplitter {
    workplace: Workplace,
    clock: Arc<dyn Clock>,
    config: Config,
}

/// What the bytes of an object say.
struct Scan {
    header: Option<Vec<String>>,
    ranges: Vec<RecordRange>,
}

type Headers = BTreeMap<BatchSequence, Vec<Option<Vec<String>>>>;

impl JobSplitter {
    /// A job-splitter that reads and writes `objects` and keeps its book in `tables`.
    pub fn new(objects: Arc<dyn Objects>, tables: Arc<dyn Tables>, clock: Arc<dyn Clock>, config: Config) -> Self {
        Self { workplace: Workplace::at(objects, tables, clock.clone(), &config.places), clock, config }
    }

    /// Handles the start of a job's stateless half.
    pub async fn split(&self, request: SplitRequest) -> Result<JobSplit, LedgerError> {
        let run = &request.run;
        let at = self.workplace.work(split_key(run));
        let entered = self.workplace.begin(run).await?;
        let split = match self.workplace.find::<SplitJob>(&at).await? {
            Some(split) => split,
            None => self.make(run, &entered, &at).await?,
        };
        let figures = figures::split(&split);
        self.workplace.turns.prepared(&run.who(), Preparation::Split, &figures, entered.policy()).await?;
        let SplitJob { ranges, count, .. } = split;
        info!(ledger = %run.ledger, job = %run.job, attempt = run.attempt, ranges = count, "job split");
        Ok(JobSplit { bucket: at.bucket, ranges, count })
    }

    async fn make(&self, run: &RunInput, entered: &Entered, at: &Location) -> Result<SplitJob, LedgerError> {
        let batches = self.batches(run).await?;
        let (chunks, headers) = self.scan_all(run, entered, &batches).await?;
        let ranges = self.workplace.work(format!("{}.json", attempt_place(run, "split")));
        self.workplace.write(&ranges, &chunks).await?;
        let split = SplitJob { ranges: ranges.key, count: chunks.len() as u64, batches, headers };
        self.workplace.commit(at, split).await
    }

    fn work_time(&self) -> Duration {
        Duration::from_secs(self.config.work_seconds_max)
    }

    /// The job's batches, as they were pinned.
    async fn batches(&self, run: &RunInput) -> Result<BTreeMap<BatchSequence, PinnedBatch>, LedgerError> {
        let numbered = self.workplace.book.batches(&run.ledger, run.batches).await?;
        let pinned = numbered.iter().map(|batch| self.workplace.data(&batch.pinned)).collect();
        let pinned = self.workplace.read_each(run, pinned).await?;
        Ok(numbered.iter().map(|batch| batch.number).zip(pinned).collect())
    }

    /// Reads all objects. Batches with an object at fault are refused, all of them at once.
    async fn scan_all(
        &self,
        run: &RunInput,
        entered: &Entered,
        batches: &BTreeMap<BatchSequence, PinnedBatch>,
    ) -> Result<(Vec<EventChunk>, Headers), LedgerError> {
        let ledger = &*entered.ledger;
        let job_bytes = batches.values().flat_map(|batch| &batch.objects).map(|object| object.bytes).sum();
        let shift = Shift {
            pulse: self.workplace.pulse(run, entered.policy()),
            clock: &*self.clock,
            until: self.clock.now().saturating_add(self.work_time()).unwrap_or(Timestamp::MAX),
            run,
            read: AtomicU64::new(0),
            bytes: job_bytes,
        };
        let shift = &shift;
        let mut scans = Vec::new();
        let range_bytes = range_bytes(self.config.event_range_bytes, job_bytes, run.partition_bits);
        for (number, batch) in batches {
            for (index, object) in (0..).zip(&batch.objects) {
                let compression = ledger.definition().events.compression;
                let pinned = Pinned::new(&*self.workplace.objects, batch, object, compression);
                let plan = split_plan(&pinned, range_bytes, object.bytes);
                let task = Task { ledger, pinned, bytes: object.bytes, said: object.records, plan };
                scans.push(async move {
                    match task.scan(shift).await {
                        Ok(scan) => Ok((*number, index, Ok(scan))),
                        Err(ObjectError::Fault(fault)) => Ok((*number, index, Err(reason(&object.key, &fault)))),
                        Err(ObjectError::Other(error)) => Err(error),
                    }
                });
            }
        }
        let scanned: Vec<(BatchSequence, u32, Result<Scan, String>)> =
            stream::iter(scans).buffered(OBJECTS_AT_ONCE).try_collect().await?;
        let mut headers: Headers = batches.keys().map(|number| (*number, Vec::new())).collect();
        let (mut chunks, mut reasons) = (Vec::new(), BTreeMap::new());
        for (batch, object, scan) in scanned {
            match scan {
                Ok(Scan { header, ranges }) => {
                    headers.entry(batch).or_default().push(header);
                    chunks.extend(ranges.iter().map(|range| chunk(batch, object, range)));
                }
                Err(reason) => {
                    reasons.entry(batch).or_insert(reason);
                }
            }
        }
        if !reasons.is_empty() {
            return Err(self.workplace.refuse(run, reasons).await);
        }
        (0..).zip(&mut chunks).for_each(|(index, chunk)| chunk.index = index);
        Ok((chunks, headers))
    }
}

/// What a batch is refused for: the object, and what is wrong with it.
pub(crate) fn reason(key: &str, fault: &ObjectFault) -> String {
    format!("{key}: {}", error_class::chain(fault))
}

fn chunk(batch: BatchSequence, object: u32, range: &RecordRange) -> EventChunk {
    let RecordRange { start, end, first_row, records, .. } = *range;
    EventChunk { index: 0, batch, object, start, end, first_row, records }
}

/// How many bytes the ranges of a job have at least: as many as are asked for, unless they would be too many.
fn range_bytes(asked: u64, job_bytes: u64, bits: PartitionBits) -> u64 {
    let ranges_max = SECTIONS_MAX / u64::from(bits.partitions()).max(1);
    asked.max(job_bytes.div_ceil(ranges_max.max(1))).min(asked.max(RANGE_BYTES_MAX))
}

fn split_plan(pinned: &Pinned<'_>, range_bytes: u64, bytes: u64) -> SplitPlan {
    let (target, most) = match pinned.packing {
        // A reducer unpacks all of it, so there is no use in a second one.
        Some(_) => (u64::MAX, u64::MAX),
        None => (range_bytes.max(bytes / RANGES_MAX + 1), RANGE_BYTES_MAX),
    };
    SplitPlan { chunk: ChunkSize::ByBytes(target), chunk_bytes_max: most, chunks_max: 2 * RANGES_MAX }
}

/// One invocation: how far it is, and until when it has to be done.
struct Shift<'a> {
    pulse: Pulse<'a>,
    clock: &'a dyn Clock,
    until: Timestamp,
    run: &'a RunInput,
    /// Bytes that were read, of `bytes` in all.
    read: AtomicU64,
    bytes: u64,
}

impl Shift<'_> {
    /// So many bytes more were read: goes on, unless the time is over. Whoever reads them again has no more of it.
    async fn go_on(&self, bytes: u64) -> Result<(), LedgerError> {
        let read = self.read.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if read < self.bytes && self.clock.now() >= self.until {
            return Err(LedgerError::JobTooLong { job: self.run.job, read, bytes: self.bytes });
        }
        self.pulse.beat().await
    }
}

/// One object to be read.
struct Task<'a> {
    ledger: &'a Ledger,
    pinned: Pinned<'a>,
    bytes: u64,
    /// How many records it holds, by the manifest.
    said: u64,
    plan: SplitPlan,
}

impl Task<'_> {
    async fn scan(&self, shift: &Shift<'_>) -> Result<Scan, ObjectError> {
        shift.go_on(0).await?;
        self.pinned.check().await?;
        let mut scanner = EventScanner::new(self.ledger, self.plan);
        let unpacked = match self.pinned.packing {
            Some(packing) => {
                let whole = self.pinned.unpacked(packing).await?;
                scanner.push(&whole)?;
                shift.go_on(self.bytes).await?;
                Some(whole)
            }
            None => {
                self.scan_blocks(&mut scanner, shift).await?;
                None
            }
        };
        let split = scanner.finish()?;
        let header = self.header(&split, unpacked.as_ref()).await?;
        self.pinned.check_again().await?;
        if split.records != self.said {
            return Err(ObjectFault::Count { found: split.records, said: self.said }.into());
        }
        Ok(Scan { header, ranges: split.ranges })
    }

    async fn scan_blocks(&self, scanner: &mut EventScanner, shift: &Shift<'_>) -> Result<(), ObjectError> {
        let mut blocks = std::pin::pin!(self.pinned.blocks());
        while let Some(block) = blocks.try_next().await? {
            scanner.push(&block)?;
            shift.go_on(block.len() as u64).await?;
        }
        Ok(())
    }

    /// The columns of an object that has a header, once they are known to be those of the definition.
    async fn header(&self, split: &Split, unpacked: Option<&Bytes>) -> Result<Option<Vec<String>>, ObjectError> {
        let Some(records::ByteRange { start, end }) = split.header else { return Ok(None) };
        let range = ByteRange::new(start, end);
        let bytes = match unpacked {
            Some(whole) => slice(whole, range).ok_or_else(|| outside(&self.pinned.at, range))?,
            None => self.pinned.read(range).await?,
        };
        let header = scan::header(self.ledger, &bytes)?;
        Ok(Some(header.names().map(str::to_owned).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_grow_before_they_are_too_many() {
        let (asked, most) = (64 << 20, PartitionBits::new(12).unwrap());
        for bits in [PartitionBits::ZERO, most] {
            assert_eq!(range_bytes(asked, 4 << 30, bits), asked, "a job of the default policy");
        }
        assert_eq!(range_bytes(asked, 256 << 30, most), 128 << 20, "the longest batch");
        assert_eq!(range_bytes(asked, u64::MAX, most), RANGE_BYTES_MAX);
        assert_eq!(range_bytes(100, 1 << 30, PartitionBits::ZERO), 128);
    }
}
