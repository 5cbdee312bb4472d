//! Reads inputs: objects become chunks of whole rows in order, chunks become batches, several at a time.
//!
//! One task reads ahead and cuts; every partition of the scan takes the next chunk when it has done with its last. So the
//! rows of a partition are in the order of the input, and none waits for another.

mod builders;
mod csv;
mod json_lines;
mod parquet;
mod taken;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch},
    datatypes::SchemaRef,
};
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::{ExecutionPlan, stream::RecordBatchStreamAdapter};
use error_class::ErrorClass;
use futures::stream;
use reconcile::{
    plan::{PlanColumn, Relation},
    report::Failure,
    task::{TaskFormat, TaskInput, TaskObject},
};
use records::StructureError;
use storage::{Location, Objects, StorageError};
use tokio::sync::{Mutex, mpsc};

use crate::{
    columns,
    fault::{DataFault, stored, unsound},
    feed::Feed,
    operator::{Operator, Work},
};

pub(crate) use taken::{Readings, Taken};

/// How many blocks of an object are read at once.
pub(crate) const BLOCKS_AT_ONCE: usize = 4;

/// How an input is read: by whom, and how much at a time.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) objects: Arc<dyn Objects>,
    /// One read of an object.
    pub(crate) block_bytes: u64,
    /// About how long a chunk of rows is.
    pub(crate) chunk_bytes: u64,
    /// The most rows of a batch that is read.
    pub(crate) batch_rows: usize,
    pub(crate) threads: usize,
    /// What has been read.
    pub(crate) taken: Arc<Readings>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("block_bytes", &self.block_bytes).finish_non_exhaustive()
    }
}

/// An input on its way through the scan.
#[derive(Debug, Clone)]
struct Reading {
    source: Source,
    name: String,
    input: TaskInput,
    /// The columns that are read, without those of the place.
    columns: Vec<PlanColumn>,
    taken: Arc<Taken>,
}

/// The rows of one object that a partition takes at a time.
enum Chunk {
    Csv(csv::Rows),
    JsonLines(json_lines::Rows),
    Parquet(parquet::Rows),
}

/// The rows of an input.
pub(crate) fn scan(relation: &Relation, name: &str, input: &TaskInput, source: &Source) -> Arc<dyn ExecutionPlan> {
    let read: Vec<PlanColumn> = relation.columns.iter().filter(|column| !is_place(column)).cloned().collect();
    let taken = source.taken.begin(name, input, &read);
    let reading = Reading { source: source.clone(), name: name.to_owned(), input: input.clone(), columns: read, taken };
    let schema = columns::schema_of(&relation.columns);
    let scan = Scan {
        reading: Arc::new(reading),
        columns: relation.columns.clone(),
        schema: Arc::clone(&schema),
        chunks: Arc::new(OnceLock::new()),
    };
    Operator::plan("Scan", scan, Vec::new(), schema, source.threads)
}

fn is_place(column: &PlanColumn) -> bool {
    matches!(column.name.as_str(), "#object" | "#row")
}

#[derive(Debug)]
struct Scan {
    reading: Arc<Reading>,
    columns: Vec<PlanColumn>,
    schema: SchemaRef,
    chunks: Arc<OnceLock<Arc<Chunks>>>,
}

/// The chunks that all partitions take from, by a task that reads ahead.
type Chunks = Mutex<Feed<Chunk>>;

fn chunks(reading: Arc<Reading>) -> Chunks {
    Mutex::new(Feed::of(reading.source.threads.max(2), |sender| async move {
        if let Err(error) = reading.send_all(&sender).await {
            // Nobody listens where another error has ended the run.
            let _ = sender.send(Err(error)).await;
        }
    }))
}

impl Work for Scan {
    fn start(
        &self,
        _partition: usize,
        _: &[Arc<dyn ExecutionPlan>],
        _: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let shared = Arc::clone(self.chunks.get_or_init(|| Arc::new(chunks(Arc::clone(&self.reading)))));
        let (reading, columns, schema) = (Arc::clone(&self.reading), self.columns.clone(), Arc::clone(&self.schema));
        let batches = stream::try_unfold((shared, None::<Chunk>), move |(shared, mut current)| {
            let (reading, columns, schema) = (Arc::clone(&reading), columns.clone(), Arc::clone(&schema));
            async move {
                loop {
                    if let Some(chunk) = &mut current {
                        if let Some(read) = chunk.next(&reading).await? {
                            reading.taken.add_rows(read.object, read.rows);
                            let batch = read.batch(&columns, &schema)?;
                            return Ok(Some((batch, (shared, current))));
                        }
                        let (object, bytes) = chunk.size();
                        reading.taken.add_bytes(object, bytes);
                    }
                    current = shared.lock().await.next().await?;
                    if current.is_none() {
                        return Ok(None);
                    }
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches)))
    }
}

impl Chunk {
    async fn next(&mut self, reading: &Reading) -> Result<Option<Read>> {
        match self {
            Self::Csv(rows) => rows.next(reading),
            Self::JsonLines(rows) => rows.next(reading),
            Self::Parquet(rows) => rows.next(reading).await,
        }
    }

    /// Its object, and how many bytes of it have become rows.
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Csv(rows) => rows.size(),
            Self::JsonLines(rows) => rows.size(),
            Self::Parquet(rows) => rows.size(),
        }
    }
}

/// Rows that have been read: the columns in the order of the reading's.
struct Read {
    columns: Vec<ArrayRef>,
    rows: usize,
    object: usize,
    /// The row of each; the first of an object is 1.
    numbers: Numbers,
}

/// The rows' numbers: one behind the other, or each its own.
enum Numbers {
    From(i64),
    Each(Vec<i64>),
}

impl Read {
    fn batch(self, columns: &[PlanColumn], schema: &SchemaRef) -> Result<RecordBatch> {
        let mut read = self.columns.into_iter();
        let object = i64::try_from(self.object).unwrap_or(i64::MAX);
        let count = i64::try_from(self.rows).unwrap_or(i64::MAX);
        let array = |column: &PlanColumn| -> Result<ArrayRef> {
            Ok(match column.name.as_str() {
                "#object" => Arc::new(Int64Array::from_value(object, self.rows)),
                "#row" => match &self.numbers {
                    Numbers::From(first) => Arc::new(Int64Array::from_iter_values(*first..first + count)),
                    Numbers::Each(numbers) => Arc::new(Int64Array::from(numbers.clone())),
                },
                _ => read.next().ok_or_else(|| unsound("a column was not read"))?,
            })
        };
        let arrays = columns.iter().map(array).collect::<Result<_>>()?;
        Ok(columns::batch(schema, arrays, self.rows)?)
    }
}

impl Reading {
    /// Sends the chunks of all objects, in order.
    async fn send_all(&self, sender: &mpsc::Sender<Result<Chunk>>) -> Result<()> {
        for (index, object) in self.input.objects.iter().enumerate() {
            let at = Location::new(&object.bucket, &object.key);
            self.check(object, &at).await?;
            match self.input.format {
                TaskFormat::Csv => csv::send(self, index, object, &at, sender).await?,
                TaskFormat::JsonLines => json_lines::send(self, index, object, &at, sender).await?,
                TaskFormat::Parquet => parquet::send(self, index, object, &at, sender).await?,
            }
        }
        Ok(())
    }

    /// An object without a version must be the one that was planned with.
    async fn check(&self, object: &TaskObject, at: &Location) -> Result<()> {
        if object.version.is_some() {
            return Ok(());
        }
        let info = self.source.objects.head(at, None).await.map_err(|error| self.lost(object, error))?;
        if info.etag == object.etag && info.bytes == object.bytes {
            return Ok(());
        }
        Err(self.lost(object, StorageError::Changed { what: at.to_string() }))
    }

    /// An error of the store about an input: one that has gone or changed is the sender's.
    fn lost(&self, object: &TaskObject, error: StorageError) -> DataFusionError {
        match error {
            StorageError::NotFound { .. } | StorageError::Changed { .. } => {
                self.failure(object, None, None, error.to_string())
            }
            error => stored(error),
        }
    }

    /// What is wrong with an object, or with a row of it.
    fn failure(&self, object: &TaskObject, row: Option<u64>, column: Option<&str>, problem: String) -> DataFusionError {
        let row_words = row.map_or_else(String::new, |row| format!(", row {row}"));
        let column_words = column.map_or_else(String::new, |column| format!(", column {column:?}"));
        self.told(object, row, column, &format!("{row_words}{column_words}: {problem}"))
    }

    /// Records that cannot be told apart.
    fn uncut(&self, object: &TaskObject, error: &StructureError) -> DataFusionError {
        match error {
            // They tell the row themselves.
            StructureError::RecordTooLong { row, .. } | StructureError::UnterminatedQuote { row, .. } => {
                self.told(object, Some(*row), None, &format!(", {error}"))
            }
            _ => self.failure(object, None, None, error.to_string()),
        }
    }

    fn told(&self, object: &TaskObject, row: Option<u64>, column: Option<&str>, about: &str) -> DataFusionError {
        let failure = Failure {
            class: ErrorClass::InvalidInput,
            message: format!("input {:?} ({}){about}", self.name, object.key),
            step: None,
            operation: None,
            column: column.map(str::to_owned),
            input: Some(self.name.clone()),
            object: Some(object.key.clone()),
            row,
        };
        DataFault::Input(Box::new(failure)).into()
    }

    /// A cell that is not of its column's type.
    fn misfit(&self, object: usize, row: u64, column: &PlanColumn, cell: &str, expected: &str) -> DataFusionError {
        self.misplaced(
            object,
            row,
            column,
            format!("expected {expected}, found {:?}", records::shorten(cell, records::VALUE_CHARS_MAX)),
        )
    }

    /// A cell of which that is wrong.
    fn misplaced(&self, object: usize, row: u64, column: &PlanColumn, problem: String) -> DataFusionError {
        match self.input.objects.get(object) {
            Some(object) => self.failure(object, Some(row), Some(&column.name), problem),
            None => unsound("an object is not there"),
        }
    }
}

impl Reading {
    /// The bytes of an object, in blocks, several of which are read at once.
    fn blocks<'a>(
        &'a self,
        object: &'a TaskObject,
        at: &'a Location,
    ) -> impl futures::Stream<Item = Result<bytes::Bytes>> + 'a {
        use futures::{StreamExt, TryStreamExt};

        let step = self.source.block_bytes.max(1);
        let starts = (0..object.bytes.div_ceil(step)).map(move |block| block * step);
        let read = move |start: u64| {
            let range = storage::ByteRange::new(start, object.bytes.min(start + step));
            storage::objects::read_range(self.source.objects.as_ref(), at, object.version.as_deref(), range)
        };
        stream::iter(starts).map(read).buffered(BLOCKS_AT_ONCE).map_err(|error| self.lost(object, error))
    }
}
