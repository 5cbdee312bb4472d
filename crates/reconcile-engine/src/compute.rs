//! Relations that look at one row at a time: projections and filters.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch},
    compute::{BatchCoalescer, filter_record_batch},
    datatypes::SchemaRef,
    error::ArrowError,
};
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::{ExecutionPlan, ExecutionPlanProperties, stream::RecordBatchStreamAdapter};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use reconcile::{
    Fault, InputRow, RunError,
    expression::{ColumnId, Expression},
    plan::{Computed, PlanColumn, Relation},
    reference,
};

use crate::{
    columns,
    evaluate::evaluate,
    fault::{DataFault, unsound},
    figures::{Clock, Counter, Reading},
    operator::{Operator, Work},
    size,
};

/// The input of an operator that has one.
pub(crate) fn only(inputs: &[Arc<dyn ExecutionPlan>]) -> Result<&Arc<dyn ExecutionPlan>> {
    inputs.first().ok_or_else(|| unsound("an operator lacks its input"))
}

/// What the errors of a relation say of themselves.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    relation: Relation,
}

impl Site {
    pub(crate) fn of(relation: &Relation) -> Self {
        Self { relation: relation.clone() }
    }

    /// The error of a fault; `at` is a row of a batch that has the columns of the place.
    pub(crate) fn error(
        &self,
        fault: Fault,
        column: Option<ColumnId>,
        at: Option<(&RecordBatch, usize)>,
    ) -> DataFusionError {
        let named = |id: ColumnId| self.relation.columns.iter().find(|column| column.id == id);
        let column = column.and_then(named).map(|column| column.name.clone());
        let row = self.relation.place.as_ref().zip(at).and_then(|(place, (batch, row))| {
            let (object, row) = columns::origin(batch, place, row)?;
            Some(InputRow { input: place.input.clone(), object, row })
        });
        let error = RunError {
            step: self.relation.step.clone(),
            operation: self.relation.operation.clone(),
            column: column.filter(|name| !name.starts_with('#')),
            row,
            fault: Box::new(fault),
        };
        DataFault::Step(Box::new(error)).into()
    }

    /// Why an expression failed for a row.
    fn failed(
        &self,
        expression: &Expression,
        column: Option<ColumnId>,
        known: &[PlanColumn],
        batch: &RecordBatch,
        row: usize,
    ) -> DataFusionError {
        let fault = columns::values(batch, known, row)
            .map_err(|_| Fault::Plan("a column is not there"))
            .and_then(|cells| reference::value(expression, known, &cells));
        self.error(fault.err().unwrap_or(Fault::Plan("the engines differ")), column, Some((batch, row)))
    }
}

/// One relation of a chain.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    site: Site,
    known: Vec<PlanColumn>,
    schema: SchemaRef,
    body: StageBody,
    counter: Arc<Counter>,
    reading: Arc<Reading>,
}

#[derive(Debug, Clone)]
enum StageBody {
    Project { keep: Vec<ColumnId>, compute: Vec<Computed> },
    Filter(Expression),
}

impl Stage {
    /// Each row with the kept columns and the computed ones.
    pub(crate) fn project(
        relation: &Relation,
        known: &[PlanColumn],
        keep: &[ColumnId],
        compute: &[Computed],
        counter: &Arc<Counter>,
    ) -> Self {
        Self::new(relation, known, StageBody::Project { keep: keep.to_vec(), compute: compute.to_vec() }, counter)
    }

    /// The rows for which the condition is true.
    pub(crate) fn filter(
        relation: &Relation,
        known: &[PlanColumn],
        condition: &Expression,
        counter: &Arc<Counter>,
    ) -> Self {
        Self::new(relation, known, StageBody::Filter(condition.clone()), counter)
    }

    fn new(relation: &Relation, known: &[PlanColumn], body: StageBody, counter: &Arc<Counter>) -> Self {
        let (site, schema) = (Site::of(relation), columns::schema_of(&relation.columns));
        Self { site, known: known.to_vec(), schema, body, counter: Arc::clone(counter), reading: Arc::default() }
    }

    fn run(&self, measured: Measured) -> Result<Measured> {
        let _clock = Clock::of(&self.counter);
        let made = match &self.body {
            StageBody::Project { keep, compute } => self.projected(&measured, keep, compute),
            StageBody::Filter(condition) => self.filtered(measured, condition),
        }?;
        self.reading.add(made.batch.num_rows(), made.bytes.iter().sum());
        Ok(made)
    }

    fn projected(&self, measured: &Measured, keep: &[ColumnId], compute: &[Computed]) -> Result<Measured> {
        let batch = &measured.batch;
        let width = self.schema.fields().len();
        let (mut made, mut bytes) = (Vec::with_capacity(width), Vec::with_capacity(width));
        for id in keep {
            let (column, size) = measured.column(*id)?;
            made.push(column);
            bytes.push(size);
        }
        for Computed { column, expression } in compute {
            let cells = evaluate(expression, batch)?;
            if let Some(row) = cells.first_bad() {
                return Err(self.site.failed(expression, Some(*column), &self.known, batch, row));
            }
            bytes.push(size::of_column(&cells.array));
            made.push(cells.array);
        }
        Ok(Measured { batch: columns::batch(&self.schema, made, batch.num_rows())?, bytes })
    }

    fn filtered(&self, measured: Measured, condition: &Expression) -> Result<Measured> {
        let batch = &measured.batch;
        let cells = evaluate(condition, batch)?;
        if let Some(row) = cells.first_bad() {
            return Err(self.site.failed(condition, None, &self.known, batch, row));
        }
        let truth = cells.truth()?;
        let kept = if truth.count_set_bits() == batch.num_rows() {
            measured
        } else {
            Measured::of(filter_record_batch(batch, &BooleanArray::new(truth, None))?)
        };
        if kept.batch.schema_ref().fields() == self.schema.fields() {
            return Ok(kept);
        }
        // A join that holds its right side has the columns of that side first.
        let columns: Vec<ColumnId> = self.site.relation.columns.iter().map(|column| column.id).collect();
        self.projected(&kept, &columns, &[])
    }
}

/// A batch, and the bytes of each of its columns: one that stays as it is need not be measured again.
struct Measured {
    batch: RecordBatch,
    bytes: Vec<u64>,
}

impl Measured {
    fn of(batch: RecordBatch) -> Self {
        let bytes = batch.columns().iter().map(|column| size::of_column(column)).collect();
        Self { batch, bytes }
    }

    fn column(&self, id: ColumnId) -> Result<(ArrayRef, u64), ArrowError> {
        let column = Arc::clone(columns::column(&self.batch, id)?);
        let at = self.batch.schema_ref().index_of(&columns::field_name(id))?;
        Ok((column, self.bytes.get(at).copied().unwrap_or(0)))
    }
}

/// What is done with each row of `input`, one stage behind the other.
///
/// A chain is one operator, however long: jobs of a thousand steps do not nest a thousand streams.
pub(crate) fn chain(input: Arc<dyn ExecutionPlan>, mut stages: Vec<Stage>) -> Arc<dyn ExecutionPlan> {
    let Some(last) = stages.last() else { return input };
    let (schema, partitions) = (Arc::clone(&last.schema), input.output_partitioning().partition_count());
    stages.iter_mut().for_each(|stage| stage.reading = stage.counter.begin(partitions));
    Operator::plan("Chain", Chain(stages.into()), vec![input], schema, partitions)
}

#[derive(Debug)]
struct Chain(Arc<[Stage]>);

impl Work for Chain {
    fn start(
        &self,
        partition: usize,
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let from = only(inputs)?;
        let input = from.execute(partition, Arc::clone(context))?;
        let schema = self.0.last().map_or_else(|| input.schema(), |last| Arc::clone(&last.schema));
        let thins = self.0.iter().any(|stage| matches!(stage.body, StageBody::Filter(_)));
        let (whole, threads) = (context.session_config().batch_size(), context.session_config().target_partitions());
        let coalescer = (thins && !schema.fields().is_empty()).then(|| BatchCoalescer::new(Arc::clone(&schema), whole));
        let at_once = if from.output_partitioning().partition_count() == 1 { threads } else { 1 };
        let made = made(input, Arc::clone(&self.0), at_once);
        let links = Links { made, stages: Arc::clone(&self.0), coalescer, whole, ended: false };
        let made =
            stream::try_unfold(links, |mut links| async move { Ok(links.next().await?.map(|batch| (batch, links))) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, made)))
    }
}

/// The batches of `input` behind all stages, in their order: so many of them at once, where one partition has all rows.
fn made(
    input: SendableRecordBatchStream,
    stages: Arc<[Stage]>,
    at_once: usize,
) -> BoxStream<'static, Result<RecordBatch>> {
    let run = |stages: &[Stage], batch: RecordBatch| {
        let made = stages.iter().try_fold(Measured::of(batch), |measured, stage| stage.run(measured));
        made.map(|measured| measured.batch)
    };
    if at_once == 1 {
        return input.map(move |batch| run(&stages, batch?)).boxed();
    }
    let spawned = move |batch: Result<RecordBatch>| {
        let stages = Arc::clone(&stages);
        let task = tokio::spawn(async move { run(&stages, batch?) });
        async move { task.await.map_err(|error| DataFusionError::External(Box::new(error)))? }
    };
    input.map(spawned).buffered(at_once).boxed()
}

/// A partition of a chain.
struct Links {
    made: BoxStream<'static, Result<RecordBatch>>,
    stages: Arc<[Stage]>,
    /// Batches that lose rows are put together again, so that what follows has whole ones to work on.
    coalescer: Option<BatchCoalescer>,
    /// The rows of a whole batch.
    whole: usize,
    ended: bool,
}

impl Links {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.coalescer.as_mut().and_then(BatchCoalescer::next_completed_batch) {
                return Ok(Some(batch));
            }
            if self.ended {
                return Ok(None);
            }
            let Some(batch) = self.made.try_next().await? else {
                self.ended = true;
                self.stages.iter().for_each(|stage| stage.reading.end_partition());
                if let Some(coalescer) = &mut self.coalescer {
                    coalescer.finish_buffered_batch()?;
                }
                continue;
            };
            match &mut self.coalescer {
                Some(_) if batch.num_rows() == 0 => {}
                Some(coalescer) if !coalescer.is_empty() || batch.num_rows() < self.whole / 2 => {
                    coalescer.push_batch(batch)?;
                }
                _ => return Ok(Some(batch)),
            }
        }
    }
}

/// These columns of `input`, under the names of `schema`.
pub(crate) fn renamed(
    input: Arc<dyn ExecutionPlan>,
    columns: &[ColumnId],
    schema: &SchemaRef,
) -> Arc<dyn ExecutionPlan> {
    let partitions = input.output_partitioning().partition_count();
    let work = Renamed { columns: columns.into(), schema: Arc::clone(schema) };
    Operator::plan("Renamed", work, vec![input], Arc::clone(schema), partitions)
}

#[derive(Debug)]
struct Renamed {
    columns: Arc<[ColumnId]>,
    schema: SchemaRef,
}

impl Work for Renamed {
    fn start(
        &self,
        partition: usize,
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = only(inputs)?.execute(partition, Arc::clone(context))?;
        let (wanted, schema) = (Arc::clone(&self.columns), Arc::clone(&self.schema));
        let renamed = move |batch: Result<RecordBatch>| {
            let batch = batch?;
            let arrays = wanted.iter().map(|id| columns::column(&batch, *id).map(Arc::clone));
            let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
            Ok(columns::batch(&schema, arrays, batch.num_rows())?)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), input.map(renamed))))
    }
}

/// The rows of all `inputs`, which have one schema, in at most so many partitions: each has partitions of several inputs,
/// one behind the other in the order of the inputs.
pub(crate) fn all(inputs: Vec<Arc<dyn ExecutionPlan>>, schema: SchemaRef, most: usize) -> Arc<dyn ExecutionPlan> {
    let given: usize = inputs.iter().map(|input| input.output_partitioning().partition_count()).sum();
    let partitions = given.min(most.max(1));
    Operator::plan("All", All { partitions, schema: Arc::clone(&schema) }, inputs, schema, partitions)
}

#[derive(Debug)]
struct All {
    partitions: usize,
    schema: SchemaRef,
}

impl Work for All {
    fn start(
        &self,
        partition: usize,
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let mut mine = Vec::new();
        for (at, input) in inputs.iter().enumerate() {
            // Inputs of one partition each go to different ones.
            let of = (0..input.output_partitioning().partition_count()).map(|of| (at + of, of));
            mine.extend(of.filter(|(to, _)| to % self.partitions == partition).map(|(_, of)| (Arc::clone(input), of)));
        }
        let context = Arc::clone(context);
        // Begun when its turn comes: one that reads holds what it has read ahead.
        let started = stream::iter(mine).map(move |(input, of)| input.execute(of, Arc::clone(&context)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), started.try_flatten())))
    }
}
