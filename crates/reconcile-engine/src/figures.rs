//! What is counted while a plan runs: rows, bytes and time of each relation, and memory.

use std::{
    cell::Cell,
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion_common::Result;
use datafusion_execution::{
    RecordBatchStream, SendableRecordBatchStream, TaskContext,
    memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
};
use datafusion_physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{Stream, StreamExt};

use crate::{
    operator::{Operator, Work},
    size,
};

/// What is counted of a relation: its time, and each reading of it. An input may be read several times in one plan.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    nanoseconds: AtomicU64,
    readings: Mutex<Vec<Arc<Reading>>>,
}

/// One reading of a relation.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    rows: AtomicU64,
    bytes: AtomicU64,
    /// Partitions that have not been read to their end.
    unread: AtomicUsize,
}

impl Reading {
    pub(crate) fn add(&self, rows: usize, bytes: u64) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A partition has been read to its end.
    pub(crate) fn end_partition(&self) {
        let _ = self.unread.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |unread| unread.checked_sub(1));
    }
}

impl Counter {
    /// The rows of the reading that came furthest.
    pub(crate) fn rows(&self) -> u64 {
        self.readings().iter().map(|reading| reading.rows.load(Ordering::Relaxed)).max().unwrap_or(0)
    }

    /// The bytes of that reading's cells.
    pub(crate) fn bytes(&self) -> u64 {
        self.readings().iter().map(|reading| reading.bytes.load(Ordering::Relaxed)).max().unwrap_or(0)
    }

    pub(crate) fn milliseconds(&self) -> u64 {
        self.nanoseconds.load(Ordering::Relaxed) / 1_000_000
    }

    /// Whether anybody has begun to read it.
    pub(crate) fn has_begun(&self) -> bool {
        !self.readings().is_empty()
    }

    /// Whether some of its rows were not asked for by any of its readers.
    pub(crate) fn is_unfinished(&self) -> bool {
        let readings = self.readings();
        !readings.is_empty() && readings.iter().all(|reading| reading.unread.load(Ordering::Relaxed) > 0)
    }

    /// A reading of that many partitions.
    pub(crate) fn begin(&self, partitions: usize) -> Arc<Reading> {
        let reading = Arc::new(Reading { unread: AtomicUsize::new(partitions), ..Reading::default() });
        self.readings().push(Arc::clone(&reading));
        reading
    }

    fn readings(&self) -> MutexGuard<'_, Vec<Arc<Reading>>> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spent(&self, since: Instant, now: Instant) {
        let nanoseconds = u64::try_from(now.duration_since(since).as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

thread_local! {
    /// Whose time runs on this thread, and since when.
    static RUNNING: Cell<Option<(Arc<Counter>, Instant)>> = const { Cell::new(None) };
}

/// From here on time is the counter's, until the clock goes.
pub(crate) struct Clock(Option<Arc<Counter>>);

impl Clock {
    pub(crate) fn of(counter: &Arc<Counter>) -> Self {
        let begin = Instant::now();
        let outer = RUNNING.replace(Some((Arc::clone(counter), begin)));
        if let Some((outer, since)) = &outer {
            outer.spent(*since, begin);
        }
        Self(outer.map(|(outer, _)| outer))
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let end = Instant::now();
        if let Some((mine, since)) = RUNNING.replace(self.0.take().map(|outer| (outer, end))) {
            mine.spent(since, end);
        }
    }
}

/// The plan of a relation, counted.
pub(crate) fn counted(plan: Arc<dyn ExecutionPlan>, counter: &Arc<Counter>) -> Arc<dyn ExecutionPlan> {
    let (schema, partitions) = (plan.schema(), plan.output_partitioning().partition_count());
    let counted = Counted { counter: Arc::clone(counter), reading: counter.begin(partitions) };
    Operator::plan("Counted", counted, vec![plan], schema, partitions)
}

#[derive(Debug)]
struct Counted {
    counter: Arc<Counter>,
    reading: Arc<Reading>,
}

impl Work for Counted {
    fn start(
        &self,
        partition: usize,
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let stream = crate::compute::only(inputs)?.execute(partition, Arc::clone(context))?;
        Ok(Box::pin(CountedStream {
            stream,
            counter: Arc::clone(&self.counter),
            reading: Arc::clone(&self.reading),
            ended: false,
        }))
    }
}

struct CountedStream {
    stream: SendableRecordBatchStream,
    counter: Arc<Counter>,
    reading: Arc<Reading>,
    ended: bool,
}

impl Stream for CountedStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = {
            let _clock = Clock::of(&self.counter);
            self.stream.poll_next_unpin(context)
        };
        match &polled {
            Poll::Ready(Some(Ok(batch))) => self.reading.add(batch.num_rows(), size::of_batch(batch)),
            Poll::Ready(None) if !self.ended => {
                self.ended = true;
                self.reading.end_partition();
            }
            _ => {}
        }
        polled
    }
}

impl RecordBatchStream for CountedStream {
    fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }
}

/// A pool of memory that knows the most that was taken of it.
#[derive(Debug)]
pub(crate) struct Pool {
    pool: FairSpillPool,
    peak: AtomicUsize,
}

impl Pool {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { pool: FairSpillPool::new(bytes), peak: AtomicUsize::new(0) }
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    fn look(&self) {
        self.peak.fetch_max(self.pool.reserved(), Ordering::Relaxed);
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pool.fmt(f)
    }
}

impl MemoryPool for Pool {
    fn name(&self) -> &str {
        self.pool.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.pool.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.pool.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.pool.grow(reservation, additional);
        self.look();
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.pool.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.pool.try_grow(reservation, additional)?;
        self.look();
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.pool.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.pool.memory_limit()
    }
}

/// Lets the system forget the most memory that this process has held; where it cannot, the most is that of its life.
pub(crate) fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most memory that this process has held, where the system tells.
pub(crate) fn process_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
