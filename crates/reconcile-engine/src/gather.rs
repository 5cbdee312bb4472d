//! One stream of the partitions of a scan, in its order.
//!
//! Each partition is in order, and holds long runs of what comes behind one another: so runs are handed on as they are, instead
//! of comparing row with row.

use std::{collections::VecDeque, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::Int64Type,
};
use datafusion_common::Result;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::{ExecutionPlan, ExecutionPlanProperties, stream::RecordBatchStreamAdapter};
use futures::{StreamExt, stream};
use reconcile::plan::OrderKey;

use crate::{
    columns,
    compute::only,
    fault::unsound,
    feed::Feed,
    operator::{Operator, Work},
};

/// Batches of a partition that wait to be gathered.
const WAITING: usize = 2;

/// The rows of all partitions of `input`, each in that order; the keys are integers, ascending.
pub(crate) fn in_runs(input: Arc<dyn ExecutionPlan>, order: &[OrderKey]) -> Arc<dyn ExecutionPlan> {
    let schema = input.schema();
    Operator::plan("Gather", Gather(order.to_vec()), vec![input], schema, 1)
}

#[derive(Debug)]
struct Gather(Vec<OrderKey>);

impl Work for Gather {
    fn start(
        &self,
        _: usize,
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = only(inputs)?;
        let mut lanes = Vec::new();
        for partition in 0..input.output_partitioning().partition_count() {
            let mut batches = input.execute(partition, Arc::clone(context))?;
            let feed = Feed::of(WAITING, |sender| async move {
                while let Some(batch) = batches.next().await {
                    if sender.send(batch).await.is_err() {
                        return;
                    }
                }
            });
            lanes.push(Lane { feed, waiting: VecDeque::new(), ended: false });
        }
        let merge = Merge { lanes, order: self.0.clone() };
        let runs =
            stream::try_unfold(merge, |mut merge| async move { Ok(merge.next().await?.map(|run| (run, merge))) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(input.schema(), runs)))
    }
}

/// A partition, and its rows that have not been handed on.
struct Lane {
    feed: Feed<RecordBatch>,
    waiting: VecDeque<RecordBatch>,
    ended: bool,
}

struct Merge {
    lanes: Vec<Lane>,
    order: Vec<OrderKey>,
}

impl Merge {
    /// The next run: of the lane that begins first, the rows up to where another one begins.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let mut first: Option<(Vec<i64>, usize)> = None;
        let mut second: Option<Vec<i64>> = None;
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            while lane.waiting.is_empty() && !lane.ended {
                match lane.feed.next().await? {
                    Some(batch) if batch.num_rows() == 0 => {}
                    Some(batch) => lane.waiting.push_back(batch),
                    None => lane.ended = true,
                }
            }
            let Some(batch) = lane.waiting.front() else { continue };
            let key = key(batch, &self.order, 0)?;
            match &first {
                Some((least, _)) if *least <= key => {
                    second = Some(second.map_or(key.clone(), |second| second.min(key)));
                }
                _ => second = first.replace((key, at)).map(|(key, _)| key).or(second),
            }
        }
        let Some(lane) = first.and_then(|(_, at)| self.lanes.get_mut(at)) else { return Ok(None) };
        let Some(batch) = lane.waiting.pop_front() else { return Ok(None) };
        let rows = match &second {
            Some(end) => rows_before(&batch, &self.order, end)?,
            None => batch.num_rows(),
        };
        if rows < batch.num_rows() {
            lane.waiting.push_front(batch.slice(rows, batch.num_rows() - rows));
        }
        Ok(Some(batch.slice(0, rows)))
    }
}

/// How many rows of a batch, one at least, come before that key.
fn rows_before(batch: &RecordBatch, order: &[OrderKey], end: &[i64]) -> Result<usize> {
    let (mut low, mut high) = (1, batch.num_rows());
    while low < high {
        let middle = usize::midpoint(low, high);
        if key(batch, order, middle)?.as_slice() < end { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

fn key(batch: &RecordBatch, order: &[OrderKey], row: usize) -> Result<Vec<i64>> {
    let cell = |key: &OrderKey| {
        let array = columns::column(batch, key.column)?.as_primitive_opt::<Int64Type>();
        let array = array.filter(|array| array.is_valid(row));
        let value = array.map(|array| array.value(row));
        value.ok_or_else(|| unsound("the place of a row is no number"))
    };
    order.iter().map(cell).collect()
}
