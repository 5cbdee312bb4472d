//! One-to-one pairs: both sides sorted by their keys, group by group.

use std::{cmp::Ordering, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, Int64Array, RecordBatch},
    datatypes::SchemaRef,
    row::{OwnedRow, RowConverter, Rows, SortField},
};
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::{
    SendableRecordBatchStream, TaskContext,
    memory_pool::{MemoryConsumer, MemoryReservation},
};
use datafusion_physical_plan::{ExecutionPlan, ExecutionPlanProperties, stream::RecordBatchStreamAdapter};
use futures::{TryStreamExt, stream};
use reconcile::{
    Fault, Type, Value,
    expression::ColumnId,
    plan::{MatchSide, OrderKey, Relation, Tolerance},
    reference::{Group, Member},
};

use crate::{
    columns,
    compute::Site,
    evaluate::numbers::units_of,
    fault::unsound,
    operator::{Operator, Work},
    sorting::Ordered,
    window::whole_numbers,
};

/// The pairs of two sides, and what stays alone.
pub(crate) fn pairs(
    relation: &Relation,
    (left, left_side): (Ordered, &MatchSide),
    (right, right_side): (Ordered, &MatchSide),
    (tolerance, scale): (Option<&Tolerance>, u8),
    partitions: usize,
) -> Result<Ordered> {
    let sorted = |side: Ordered, of: &MatchSide| {
        let order: Vec<OrderKey> = of.keys.iter().chain([&of.rank]).copied().map(OrderKey::ascending).collect();
        side.partitioned(&of.keys, partitions)?.sorted(&order)
    };
    let (left, right) = (sorted(left, left_side)?, sorted(right, right_side)?);
    let schema = columns::schema_of(&relation.columns);
    let work = Match {
        site: Site::of(relation),
        left: left_side.clone(),
        right: right_side.clone(),
        tolerance: tolerance.cloned(),
        scale,
        kinds: relation.columns.iter().take(left_side.keys.len()).map(|key| key.kind).collect(),
        schema: Arc::clone(&schema),
    };
    let count = left.plan.output_partitioning().partition_count();
    let plan = Operator::plan("Match", Arc::new(work), vec![left.plan, right.plan], schema, count);
    Ok(Ordered::without(plan))
}

#[derive(Debug)]
struct Match {
    site: Site,
    left: MatchSide,
    right: MatchSide,
    tolerance: Option<Tolerance>,
    /// The decimals of the amounts.
    scale: u8,
    /// The types of the keys.
    kinds: Vec<Type>,
    schema: SchemaRef,
}

impl Work for Arc<Match> {
    fn start(
        &self,
        partition: usize,
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let [left, right] = inputs else { return Err(unsound("a match has two sides")) };
        let fields = self.schema.fields().iter().take(self.left.keys.len());
        let converter =
            Arc::new(RowConverter::new(fields.map(|field| SortField::new(field.data_type().clone())).collect())?);
        let side = |plan: &Arc<dyn ExecutionPlan>, side: &MatchSide| -> Result<Side> {
            let rows = plan.execute(partition, Arc::clone(context))?;
            Ok(Side { rows, side: side.clone(), converter: Arc::clone(&converter), batch: None, at: 0 })
        };
        let (left, right) = (side(left, &self.left)?, side(right, &self.right)?);
        let whole = context.session_config().batch_size();
        let held = MemoryConsumer::new("Match").register(context.memory_pool());
        let (work, keys, cells) = (Arc::clone(self), Vec::new(), Vec::new());
        let table = Table { work, left, right, held, keys, cells, whole, ended: false };
        let made =
            stream::try_unfold(table, |mut table| async move { Ok(table.next().await?.map(|batch| (batch, table))) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), made)))
    }
}

/// A side, and where it has come to.
struct Side {
    rows: SendableRecordBatchStream,
    side: MatchSide,
    converter: Arc<RowConverter>,
    batch: Option<Loaded>,
    at: usize,
}

/// A batch of a side: its keys, ranks and amounts.
struct Loaded {
    keys: Rows,
    blank: Vec<bool>,
    ranks: Int64Array,
    amounts: Option<(ArrayRef, Vec<i128>)>,
    key_columns: Vec<ArrayRef>,
}

impl Side {
    /// Stands at a row with a key, or at the end.
    async fn settle(&mut self) -> Result<Option<(&Loaded, usize)>> {
        loop {
            if let Some(batch) = &self.batch {
                while batch.blank.get(self.at) == Some(&true) {
                    self.at += 1;
                }
                if self.at < batch.blank.len() {
                    break;
                }
            }
            let Some(batch) = self.rows.try_next().await? else {
                self.batch = None;
                return Ok(None);
            };
            (self.batch, self.at) = (Some(self.load(&batch)?), 0);
        }
        Ok(self.batch.as_ref().map(|batch| (batch, self.at)))
    }

    fn load(&self, batch: &RecordBatch) -> Result<Loaded> {
        let column = |id: &ColumnId| columns::column(batch, *id).map(Arc::clone);
        let key_columns = self.side.keys.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let blank = (0..batch.num_rows()).map(|row| key_columns.iter().any(|key| key.is_null(row))).collect();
        let amounts = match &self.side.amount {
            Some(amount) => {
                let array = column(amount)?;
                let units = units_of(&array)?.into_owned();
                Some((array, units))
            }
            None => None,
        };
        let ranks = whole_numbers(&column(&self.side.rank)?)?.clone();
        Ok(Loaded { keys: self.converter.convert_columns(&key_columns)?, blank, ranks, amounts, key_columns })
    }

    /// The key of the row that it stands at.
    async fn key(&mut self) -> Result<Option<OwnedRow>> {
        Ok(self.settle().await?.map(|(batch, at)| batch.keys.row(at).owned()))
    }

    /// The values of the key of the row that it stands at.
    async fn values(&mut self) -> Result<Vec<Value>> {
        let found = self.settle().await?;
        Ok(found.map_or_else(Vec::new, |(batch, at)| {
            batch.key_columns.iter().map(|column| columns::value(column, at)).collect()
        }))
    }

    /// Takes the rows of that key, within the memory that there is.
    async fn take(&mut self, key: &OwnedRow, held: &MemoryReservation) -> Result<Vec<Member>> {
        let mut members = Vec::new();
        while let Some((batch, at)) = self.settle().await? {
            if batch.keys.row(at) != key.row() {
                break;
            }
            let amount = batch.amounts.as_ref().filter(|(array, _)| array.is_valid(at));
            let amount = amount.and_then(|(_, units)| units.get(at).copied());
            if members.len() == members.capacity() && members.len() >= SMALL_GROUP {
                // The vector doubles.
                held.try_grow(members.len() * size_of::<Member>())?;
            }
            members.push(Member { rank: batch.ranks.value(at), amount });
            self.at += 1;
        }
        Ok(members)
    }
}

/// Memory is asked for from so many rows of a group on: less is no more than a batch takes.
const SMALL_GROUP: usize = 1024;
/// What a row of a group takes when it has been matched: its cells, its key and its place among the pairs.
const ROW_BYTES: usize = size_of::<[Value; 4]>() + size_of::<OwnedRow>() + 64;

/// Memory is not asked for less of candidates.
const SMALL_CANDIDATES_BYTES: usize = 64 << 10;

/// Why a group was not matched.
enum Unmatched {
    Fault(Fault),
    Room(DataFusionError),
}

impl From<Fault> for Unmatched {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A partition of a match.
struct Table {
    work: Arc<Match>,
    left: Side,
    right: Side,
    /// What the rows of one group take, and those that are made of them.
    held: MemoryReservation,
    /// The rows that have been made: keys and the four numbers.
    keys: Vec<OwnedRow>,
    cells: Vec<[Value; 4]>,
    /// The rows of a whole batch.
    whole: usize,
    ended: bool,
}

impl Table {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while !self.ended && self.cells.len() < self.whole {
            let key = match (self.left.key().await?, self.right.key().await?) {
                (None, None) => {
                    self.ended = true;
                    break;
                }
                (Some(key), None) | (None, Some(key)) => key,
                (Some(one), Some(two)) => match one.cmp(&two) {
                    Ordering::Greater => two,
                    _ => one,
                },
            };
            self.group(key).await?;
        }
        if self.cells.is_empty() { Ok(None) } else { self.batch().map(Some) }
    }

    async fn group(&mut self, key: OwnedRow) -> Result<()> {
        let of_left = self.left.key().await?.as_ref() == Some(&key);
        let values = if of_left { self.left.values().await? } else { self.right.values().await? };
        let left = self.left.take(&key, &self.held).await?;
        let group = Group { left, right: self.right.take(&key, &self.held).await? };
        let most = group.left.len() + group.right.len();
        if most > SMALL_GROUP {
            self.held.try_grow(most * ROW_BYTES)?;
        }
        let (tolerance, scale) = (self.work.tolerance.as_ref(), self.work.scale);
        // Candidates are given back when the group has been matched.
        let held = self.held.new_empty();
        let room = |bytes| match bytes {
            ..SMALL_CANDIDATES_BYTES => Ok(()),
            bytes => held.try_grow(bytes).map_err(Unmatched::Room),
        };
        let rows = group.rows((&self.work.kinds, &values), tolerance, scale, room).map_err(|error| match error {
            Unmatched::Fault(fault) => self.work.site.error(fault, None, None),
            Unmatched::Room(error) => error,
        })?;
        self.keys.extend(std::iter::repeat_n(key, rows.len()));
        self.cells.extend(rows);
        Ok(())
    }

    fn batch(&mut self) -> Result<RecordBatch> {
        let (keys, cells) = (std::mem::take(&mut self.keys), std::mem::take(&mut self.cells));
        let mut arrays = self.left.converter.convert_rows(keys.iter().map(OwnedRow::row))?;
        for at in 0..4 {
            let number = |row: &[Value; 4]| match row.get(at) {
                Some(Value::Integer(number)) => Some(*number),
                _ => None,
            };
            arrays.push(Arc::new(cells.iter().map(number).collect::<Int64Array>()));
        }
        self.held.free();
        Ok(columns::batch(&self.work.schema, arrays, cells.len())?)
    }
}
