//! Joins: by hash where the smaller side fits into memory, else by sorting, which goes to disk.

use std::sync::Arc;

use datafusion_common::{JoinType, NullEquality, Result};
use datafusion_physical_expr::{PhysicalExpr, expressions::Column};
use datafusion_physical_plan::{
    ExecutionPlan,
    joins::{HashJoinExec, PartitionMode, SortMergeJoinExec},
};
use reconcile::{
    expression::ColumnId,
    plan::{JoinKind, OrderKey},
};

use crate::{
    columns,
    fault::unsound,
    sorting::{ASCENDING, Ordered},
};

/// How a join is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// The right side is held in memory. The order of the left stays, where no row of the right alone comes out.
    HoldRight,
    /// The left side is held in memory.
    HoldLeft,
    /// Both sides are sorted.
    Sort,
}

type Pairs = Vec<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)>;

/// A join, and the keys of each side.
pub(crate) struct Join {
    pub(crate) kind: JoinKind,
    pub(crate) left: Ordered,
    pub(crate) right: Ordered,
    pub(crate) keys: Vec<(ColumnId, ColumnId)>,
}

impl Join {
    /// The plan of the join.
    pub(crate) fn plan(self, method: Method, partitions: usize) -> Result<Ordered> {
        if self.keys.is_empty() {
            return Err(unsound("a join has no keys"));
        }
        match method {
            Method::HoldRight => self.hold_right(),
            Method::HoldLeft => self.hold_left(),
            Method::Sort => self.sort(partitions),
        }
    }

    fn pairs(&self, first: &Ordered, second: &Ordered, turned: bool) -> Result<Pairs> {
        let column = |side: &Ordered, id: ColumnId| -> Result<Arc<dyn PhysicalExpr>> {
            Ok(Arc::new(Column::new_with_schema(&columns::field_name(id), &side.plan.schema())?))
        };
        let pair = |(left, right): &(ColumnId, ColumnId)| {
            let (one, two) = if turned { (right, left) } else { (left, right) };
            Ok((column(first, *one)?, column(second, *two)?))
        };
        self.keys.iter().map(pair).collect()
    }

    /// DataFusion holds its left side, and keeps the order of the other.
    fn hold_right(self) -> Result<Ordered> {
        let kind = join_type(self.kind).swap();
        let held = self.right.clone().gathered(&[])?;
        let on = self.pairs(&held, &self.left, true)?;
        let plan = hash(held.plan, self.left.told()?, on, kind)?;
        let stays = !matches!(self.kind, JoinKind::Right | JoinKind::Full);
        let order = if stays { self.left.order } else { Vec::new() };
        // A row of the left may have become several, which no run may tear apart; but all of them are in one partition.
        Ok(Ordered { plan, scanned: self.left.scanned && !order.is_empty(), order })
    }

    fn hold_left(self) -> Result<Ordered> {
        let kind = join_type(self.kind);
        let held = self.left.clone().gathered(&[])?;
        let on = self.pairs(&held, &self.right, false)?;
        Ok(Ordered::without(hash(held.plan, self.right.plan, on, kind)?))
    }

    fn sort(self, partitions: usize) -> Result<Ordered> {
        let kind = join_type(self.kind);
        let (ones, twos): (Vec<ColumnId>, Vec<ColumnId>) = self.keys.iter().copied().unzip();
        let side = |side: &Ordered, keys: &[ColumnId]| {
            let order: Vec<OrderKey> = keys.iter().copied().map(OrderKey::ascending).collect();
            side.clone().partitioned(keys, partitions)?.sorted(&order)
        };
        let (left, right) = (side(&self.left, &ones)?, side(&self.right, &twos)?);
        let on = self.pairs(&left, &right, false)?;
        let sorted = vec![ASCENDING; on.len()];
        let join =
            SortMergeJoinExec::try_new(left.plan, right.plan, on, None, kind, sorted, NullEquality::NullEqualsNothing)?;
        Ok(Ordered::without(Arc::new(join)))
    }
}

/// The join as DataFusion calls it.
fn join_type(kind: JoinKind) -> JoinType {
    match kind {
        JoinKind::Inner => JoinType::Inner,
        JoinKind::Left => JoinType::Left,
        JoinKind::Right => JoinType::Right,
        JoinKind::Full => JoinType::Full,
        JoinKind::Semi => JoinType::LeftSemi,
        JoinKind::Anti => JoinType::LeftAnti,
    }
}

fn hash(
    held: Arc<dyn ExecutionPlan>,
    other: Arc<dyn ExecutionPlan>,
    on: Pairs,
    kind: JoinType,
) -> Result<Arc<dyn ExecutionPlan>> {
    let (mode, nulls) = (PartitionMode::CollectLeft, NullEquality::NullEqualsNothing);
    Ok(Arc::new(HashJoinExec::try_new(held, other, on, None, &kind, None, mode, nulls, false)?))
}
