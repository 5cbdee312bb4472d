//! Windows: over rows that lie sorted, one partition of the window behind the other.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Decimal128Array, Int64Array, RecordBatch, UInt32Array, new_null_array},
    compute::{concat, take},
    datatypes::{Int64Type, SchemaRef},
    row::{OwnedRow, RowConverter, Rows, SortField},
};
use datafusion_common::Result;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_plan::{ExecutionPlan, ExecutionPlanProperties, stream::RecordBatchStreamAdapter};
use futures::{TryStreamExt, stream};
use reconcile::{
    Fault, Type,
    expression::ColumnId,
    plan::{OrderKey, Relation, WindowFunction},
};

use crate::{
    columns,
    compute::{Site, only},
    evaluate::{numbers::units_of, units},
    fault::unsound,
    operator::{Operator, Work},
    sorting::Ordered,
};

/// Each row with a column that is computed of those before it.
pub(crate) fn window(
    relation: &Relation,
    input: Ordered,
    function: WindowFunction,
    (partition, order): (&[ColumnId], &[OrderKey]),
    column: ColumnId,
    partitions: usize,
) -> Result<Ordered> {
    let whole: Vec<OrderKey> =
        partition.iter().copied().map(OrderKey::ascending).chain(order.iter().copied()).collect();
    let sorted = if partition.is_empty() {
        input.gathered(&whole)?
    } else {
        input.partitioned(partition, partitions)?.sorted(&whole)?
    };
    let known = relation.columns.iter().find(|one| one.id == column);
    let kind = known.map(|column| column.kind).ok_or_else(|| unsound("a window has no column"))?;
    let schema = columns::schema_of(&relation.columns);
    let (site, partition) = (Site::of(relation), partition.to_vec());
    let work = Window { site, function, partition, column, kind, schema: Arc::clone(&schema) };
    let count = sorted.plan.output_partitioning().partition_count();
    let plan = Operator::plan("Window", Arc::new(work), vec![sorted.plan], schema, count);
    Ok(Ordered { plan, ..sorted })
}

#[derive(Debug)]
struct Window {
    site: Site,
    function: WindowFunction,
    partition: Vec<ColumnId>,
    column: ColumnId,
    kind: Type,
    schema: SchemaRef,
}

impl Work for Arc<Window> {
    fn start(
        &self,
        partition: usize,
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = only(inputs)?.execute(partition, Arc::clone(context))?;
        let fields = self.partition.iter().map(|id| {
            let field = input.schema().field_with_name(&columns::field_name(*id))?.data_type().clone();
            Ok(SortField::new(field))
        });
        let converter = match self.partition.is_empty() {
            true => None,
            false => Some(RowConverter::new(fields.collect::<Result<Vec<_>>>()?)?),
        };
        let pane = Pane { work: Arc::clone(self), converter, last: None, number: 0, sum: 0, seen: None };
        let made = stream::try_unfold((input, pane), |(mut input, mut pane)| async move {
            let Some(batch) = input.try_next().await? else { return Ok(None) };
            let batch = pane.batch(&batch)?;
            Ok(Some((batch, (input, pane))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), made)))
    }
}

/// Where a window has come to.
struct Pane {
    work: Arc<Window>,
    converter: Option<RowConverter>,
    /// The last row's values of the partition's columns.
    last: Option<OwnedRow>,
    number: i64,
    sum: i128,
    /// The last value, as a column of one row.
    seen: Option<ArrayRef>,
}

impl Pane {
    fn batch(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        if batch.num_rows() == 0 {
            return Ok(RecordBatch::new_empty(Arc::clone(&self.work.schema)));
        }
        let begins = self.begins(batch)?;
        let new = match self.work.function {
            WindowFunction::RowNumber => self.numbers(&begins),
            WindowFunction::RunningSum { of } => self.sums(batch, of, &begins)?,
            WindowFunction::LastValue { of } => self.values(batch, of, &begins)?,
        };
        Ok(columns::with(batch, self.work.column, &new, &self.work.schema)?)
    }

    /// The rows that are the first of their partition.
    fn begins(&mut self, batch: &RecordBatch) -> Result<Vec<bool>> {
        let Some(converter) = &self.converter else { return Ok(vec![false; batch.num_rows()]) };
        let keys = self.work.partition.iter().map(|id| Ok(Arc::clone(columns::column(batch, *id)?)));
        let rows: Rows = converter.convert_columns(&keys.collect::<Result<Vec<_>>>()?)?;
        let mut begins = Vec::with_capacity(batch.num_rows());
        let mut before = self.last.as_ref().map(OwnedRow::row);
        for row in rows.iter() {
            begins.push(before != Some(row));
            before = Some(row);
        }
        self.last = rows.iter().next_back().map(|row| row.owned());
        Ok(begins)
    }

    fn numbers(&mut self, begins: &[bool]) -> ArrayRef {
        let number = |begins: &bool| {
            self.number = if *begins { 1 } else { self.number + 1 };
            self.number
        };
        Arc::new(Int64Array::from_iter_values(begins.iter().map(number)))
    }

    fn sums(&mut self, batch: &RecordBatch, of: ColumnId, begins: &[bool]) -> Result<ArrayRef> {
        let array = columns::column(batch, of)?;
        let units = units_of(array)?;
        let mut sums = Vec::with_capacity(batch.num_rows());
        for (row, (begins, next)) in begins.iter().zip(units.iter()).enumerate() {
            let next = if array.is_valid(row) { *next } else { 0 };
            let sum = if *begins { Some(next) } else { self.sum.checked_add(next) };
            let (work, overflow) = (&self.work, Fault::Overflow(self.work.kind));
            self.sum = sum
                .and_then(units::fit)
                .ok_or_else(|| work.site.error(overflow, Some(work.column), Some((batch, row))))?;
            sums.push(self.sum);
        }
        let sums = Decimal128Array::from(sums).with_data_type(columns::data_type(self.work.kind));
        Ok(Arc::new(sums))
    }

    fn values(&mut self, batch: &RecordBatch, of: ColumnId, begins: &[bool]) -> Result<ArrayRef> {
        let array = columns::column(batch, of)?;
        let before = self.seen.take().unwrap_or_else(|| new_null_array(array.data_type(), 1));
        let all = concat(&[&before, array])?;
        // Row 0 is what was seen before this batch.
        let mut seen = Some(0);
        let places = begins.iter().zip(1_u32..).map(|(begins, place)| {
            if *begins {
                seen = None;
            }
            let row = usize::try_from(place - 1).unwrap_or_default();
            if array.is_valid(row) {
                seen = Some(place);
            }
            seen
        });
        let places: UInt32Array = places.collect();
        let made = take(&all, &places, None)?;
        self.seen = Some(made.slice(made.len() - 1, 1));
        Ok(made)
    }
}

/// The numbers of a column of whole numbers.
pub(crate) fn whole_numbers(array: &ArrayRef) -> Result<&Int64Array> {
    array.as_primitive_opt::<Int64Type>().ok_or_else(|| unsound("no whole number"))
}
