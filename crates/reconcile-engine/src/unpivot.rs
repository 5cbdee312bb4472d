//! Rows that become several: one for each of some of their cells.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray, UInt32Array},
    compute::{interleave, take},
    datatypes::SchemaRef,
};
use datafusion_common::Result;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::{ExecutionPlan, ExecutionPlanProperties, stream::RecordBatchStreamAdapter};
use futures::{TryStreamExt, stream};
use reconcile::{
    expression::ColumnId,
    plan::{OrderKey, Relation, UnpivotedCell},
};

use crate::{
    columns,
    compute::only,
    fault::unsound,
    operator::{Operator, Work},
    sorting::Ordered,
};

/// The new columns: the cells' names, the cells, and what tells the rows of one row apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct New {
    pub(crate) name: ColumnId,
    pub(crate) value: ColumnId,
    pub(crate) ordinal: ColumnId,
}

impl New {
    fn has(self, id: ColumnId) -> bool {
        [self.name, self.value, self.ordinal].contains(&id)
    }

    /// The order that rows must have for those that are made of them to be in that order, if there is one.
    pub(crate) fn back(self, order: &[OrderKey]) -> Option<&[OrderKey]> {
        let before = order.strip_suffix(&[OrderKey::ascending(self.ordinal)])?;
        (!before.iter().any(|key| self.has(key.column))).then_some(before)
    }
}

/// The rows that are made of those of `input`, whose batches have about that many rows.
pub(crate) fn unpivot(
    relation: &Relation,
    input: Ordered,
    cells: &[UnpivotedCell],
    new: New,
    batch_rows: usize,
) -> Result<Ordered> {
    let schema = columns::schema_of(&relation.columns);
    let ids: Vec<ColumnId> = relation.columns.iter().map(|column| column.id).collect();
    let kept = input.order.iter().take_while(|key| ids.contains(&key.column));
    let mut order: Vec<OrderKey> = kept.copied().collect();
    // An order that ends with the ordinal tells all rows apart wherever it is asked for, and so does the one before.
    if !order.is_empty() && order.len() == input.order.len() && ids.contains(&new.ordinal) {
        order.push(OrderKey::ascending(new.ordinal));
    }
    let partitions = input.plan.output_partitioning().partition_count();
    let work = Unpivot { made: Made::of(cells, batch_rows)?, ids, new, schema: Arc::clone(&schema) };
    let scanned = input.scanned && !order.is_empty();
    Ok(Ordered {
        plan: Operator::plan("Unpivot", Arc::new(work), vec![input.plan], schema, partitions),
        order,
        scanned,
    })
}

#[derive(Debug)]
struct Unpivot {
    ids: Vec<ColumnId>,
    new: New,
    schema: SchemaRef,
    made: Made,
}

/// Of the rows that become one batch: which row each of the batch is made of, and of which cell. It is the same for all
/// batches.
#[derive(Debug)]
struct Made {
    /// How many rows become a batch.
    rows_at_once: usize,
    cells: Vec<ColumnId>,
    rows: UInt32Array,
    names: StringViewArray,
    ordinals: Int64Array,
    /// The number of the cell, and that of the row.
    places: Vec<(usize, usize)>,
}

impl Made {
    fn of(cells: &[UnpivotedCell], batch_rows: usize) -> Result<Self> {
        let rows_at_once = (batch_rows / cells.len().max(1)).max(1);
        let places: Vec<(usize, usize)> =
            (0..rows_at_once).flat_map(|row| (0..cells.len()).map(move |cell| (cell, row))).collect();
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let ordinals = Int64Array::from_iter_values(places.iter().map(|(cell, _)| number(*cell)));
        let names = StringViewArray::from_iter_values(cells.iter().map(|cell| cell.name.as_str()));
        let names = take(&names, &ordinals, None)?;
        Ok(Self {
            rows_at_once,
            cells: cells.iter().map(|cell| cell.column).collect(),
            rows: places.iter().map(|(_, row)| u32::try_from(*row).ok()).collect(),
            names: names.as_string_view().clone(),
            ordinals,
            places,
        })
    }
}

impl Work for Arc<Unpivot> {
    fn start(
        &self,
        partition: usize,
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = only(inputs)?.execute(partition, Arc::clone(context))?;
        let work = Arc::clone(self);
        let made = input.map_ok(move |batch| {
            let (work, rows) = (Arc::clone(&work), batch.num_rows());
            let starts = (0..rows).step_by(work.made.rows_at_once);
            let made = starts.map(move |start| work.of(&batch.slice(start, work.made.rows_at_once.min(rows - start))));
            stream::iter(made)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), made.try_flatten())))
    }
}

impl Unpivot {
    /// What is made of at most [`Made::rows_at_once`] rows.
    fn of(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let made = &self.made;
        let rows = batch.num_rows() * made.cells.len();
        let array = |id: &ColumnId| -> Result<ArrayRef> {
            Ok(match *id {
                id if id == self.new.name => Arc::new(made.names.slice(0, rows)),
                id if id == self.new.ordinal => Arc::new(made.ordinals.slice(0, rows)),
                id if id == self.new.value => self.values(batch, rows)?,
                id => alone(take(columns::column(batch, id)?, &made.rows.slice(0, rows), None)?),
            })
        };
        let arrays = self.ids.iter().map(array).collect::<Result<_>>()?;
        Ok(columns::batch(&self.schema, arrays, rows)?)
    }

    fn values(&self, batch: &RecordBatch, rows: usize) -> Result<ArrayRef> {
        let cells = self.made.cells.iter().map(|id| Ok(columns::column(batch, *id)?.as_ref()));
        let cells = cells.collect::<Result<Vec<&dyn Array>>>()?;
        let places = self.made.places.get(..rows);
        let places = places.ok_or_else(|| unsound("a batch has too many rows"))?;
        Ok(alone(interleave(&cells, places)?))
    }
}

/// Texts without those of their batch's other rows: whoever keeps batches counts all that they hold on to.
fn alone(array: ArrayRef) -> ArrayRef {
    match array.as_string_view_opt() {
        Some(texts) if !texts.data_buffers().is_empty() => Arc::new(texts.gc()),
        _ => array,
    }
}
