//! The first row of each group, of rows that come in order: what a lookup finds, without a sort.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, RecordBatch},
    compute::filter_record_batch,
    datatypes::{Schema, SchemaRef},
};
use datafusion_common::Result;
use datafusion_execution::{
    SendableRecordBatchStream, TaskContext,
    memory_pool::{MemoryConsumer, MemoryReservation},
};
use datafusion_physical_plan::{
    ExecutionPlan,
    aggregates::{
        group_values::{GroupValues, new_group_values},
        order::GroupOrdering,
    },
    stream::RecordBatchStreamAdapter,
};
use futures::{TryStreamExt, stream};
use reconcile::{
    expression::ColumnId,
    plan::{OrderKey, Relation},
};

use crate::{
    columns,
    compute::only,
    operator::{Operator, Work},
    sorting::Ordered,
};

/// The rows that a window numbers 1 in their partition. Those that it numbers otherwise do not come.
pub(crate) fn firsts(
    relation: &Relation,
    input: Ordered,
    (partition, order): (&[ColumnId], &[OrderKey]),
    number: ColumnId,
) -> Result<Ordered> {
    let gathered = input.gathered(order)?;
    let schema = columns::schema_of(&relation.columns);
    let work = Firsts { partition: partition.to_vec(), number, schema: Arc::clone(&schema) };
    let plan = Operator::plan("Firsts", Arc::new(work), vec![gathered.plan], schema, 1);
    Ok(Ordered { plan, ..gathered })
}

#[derive(Debug)]
struct Firsts {
    partition: Vec<ColumnId>,
    number: ColumnId,
    schema: SchemaRef,
}

impl Work for Arc<Firsts> {
    fn start(
        &self,
        partition: usize,
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = only(inputs)?.execute(partition, Arc::clone(context))?;
        let known = input.schema();
        let field = |id: &ColumnId| Ok(known.field_with_name(&columns::field_name(*id))?.clone());
        let fields = self.partition.iter().map(field).collect::<Result<Vec<_>>>()?;
        let seen = Seen {
            work: Arc::clone(self),
            groups: new_group_values(Arc::new(Schema::new(fields)), &GroupOrdering::None)?,
            places: Vec::new(),
            reservation: MemoryConsumer::new("Firsts").register(context.memory_pool()),
        };
        let made = stream::try_unfold((input, seen), |(mut input, mut seen)| async move {
            let Some(batch) = input.try_next().await? else { return Ok(None) };
            let batch = seen.firsts(&batch)?;
            Ok(Some((batch, (input, seen))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), made)))
    }
}

/// The groups that have been seen.
struct Seen {
    work: Arc<Firsts>,
    groups: Box<dyn GroupValues>,
    places: Vec<usize>,
    reservation: MemoryReservation,
}

impl Seen {
    fn firsts(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let keys = self.work.partition.iter().map(|id| columns::column(batch, *id).map(Arc::clone));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let known = self.groups.len();
        self.groups.intern(&keys, &mut self.places)?;
        self.reservation.try_resize(self.groups.size())?;
        // New groups are not numbered in the order of their rows: those whose hash another has come later.
        let mut is_met = vec![false; self.groups.len() - known];
        let is_first = |place: &usize| {
            let met = place.checked_sub(known).and_then(|new| is_met.get_mut(new));
            met.is_some_and(|met| !std::mem::replace(met, true))
        };
        let first = BooleanArray::from(self.places.iter().map(is_first).collect::<Vec<bool>>());
        let kept = if first.false_count() == 0 { batch.clone() } else { filter_record_batch(batch, &first)? };
        let ones: ArrayRef = Arc::new(Int64Array::from_value(1, kept.num_rows()));
        Ok(columns::with(&kept, self.work.number, &ones, &self.work.schema)?)
    }
}
