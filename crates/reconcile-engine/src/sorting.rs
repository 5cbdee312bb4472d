//! Orders of rows: known ones, and those that are made.

use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion_common::Result;
use datafusion_physical_expr::{LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr, expressions::Column};
use datafusion_physical_plan::{
    ExecutionPlan, ExecutionPlanProperties,
    coalesce_partitions::CoalescePartitionsExec,
    repartition::RepartitionExec,
    sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
};
use reconcile::{expression::ColumnId, plan::OrderKey};

use crate::{columns, fault::unsound, gather, operator};

/// A plan, and the order of the rows in each of its partitions.
#[derive(Debug, Clone)]
pub(crate) struct Ordered {
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    pub(crate) order: Vec<OrderKey>,
    /// Whether the order is that of a scan: the partitions' rows lie in one another in long runs.
    pub(crate) scanned: bool,
}

/// From the smallest value to the largest, then blanks.
pub(crate) const ASCENDING: SortOptions = SortOptions { descending: false, nulls_first: false };

/// The column as an expression over the plan's batches.
pub(crate) fn expression(plan: &Arc<dyn ExecutionPlan>, column: ColumnId) -> Result<Arc<dyn PhysicalExpr>> {
    Ok(Arc::new(Column::new_with_schema(&columns::field_name(column), &plan.schema())?))
}

fn ordering(plan: &Arc<dyn ExecutionPlan>, order: &[OrderKey]) -> Result<LexOrdering> {
    let key = |key: &OrderKey| {
        let options = SortOptions { descending: key.descending, nulls_first: key.blanks_first };
        Ok(PhysicalSortExpr::new(expression(plan, key.column)?, options))
    };
    let keys = order.iter().map(key).collect::<Result<Vec<_>>>()?;
    LexOrdering::new(keys).ok_or_else(|| unsound("an order has no keys"))
}

fn partitions(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.output_partitioning().partition_count()
}

impl Ordered {
    /// A plan whose rows come in any order.
    pub(crate) fn without(plan: Arc<dyn ExecutionPlan>) -> Self {
        Self { plan, order: Vec::new(), scanned: false }
    }

    /// Whether the rows of each partition are in that order.
    pub(crate) fn is_in(&self, order: &[OrderKey]) -> bool {
        self.order.starts_with(order)
    }

    /// A plan that tells DataFusion of its order.
    pub(crate) fn told(&self) -> Result<Arc<dyn ExecutionPlan>> {
        if self.order.is_empty() {
            return Ok(Arc::clone(&self.plan));
        }
        Ok(operator::in_order(Arc::clone(&self.plan), ordering(&self.plan, &self.order)?))
    }

    /// With the rows of each partition in that order.
    pub(crate) fn sorted(self, order: &[OrderKey]) -> Result<Self> {
        if self.is_in(order) {
            return Ok(self);
        }
        let sort = SortExec::new(ordering(&self.plan, order)?, self.plan).with_preserve_partitioning(true);
        Ok(Self { plan: Arc::new(sort), order: order.to_vec(), scanned: false })
    }

    /// One partition, in that order; in any where there are no keys.
    pub(crate) fn gathered(self, order: &[OrderKey]) -> Result<Self> {
        if partitions(&self.plan) == 1 {
            return self.sorted(order);
        }
        if order.is_empty() {
            return Ok(Self::without(Arc::new(CoalescePartitionsExec::new(self.plan))));
        }
        let sorted = self.sorted(order)?;
        if sorted.scanned {
            let Self { plan, order: known, scanned } = sorted;
            return Ok(Self { plan: gather::in_runs(plan, order), order: known, scanned });
        }
        let merge = SortPreservingMergeExec::new(ordering(&sorted.plan, order)?, sorted.plan);
        Ok(Self { plan: Arc::new(merge), order: order.to_vec(), scanned: false })
    }

    /// As [`Self::gathered`], unless each partition is in that order already or there are no keys.
    pub(crate) fn gathered_unless_in(self, order: &[OrderKey]) -> Result<Self> {
        if self.is_in(order) { Ok(self) } else { self.gathered(order) }
    }

    /// The rows with equal keys in one partition.
    pub(crate) fn partitioned(self, keys: &[ColumnId], into: usize) -> Result<Self> {
        if keys.is_empty() {
            return self.gathered(&[]);
        }
        if into == 1 && partitions(&self.plan) == 1 {
            return Ok(self);
        }
        let keys = keys.iter().map(|key| expression(&self.plan, *key)).collect::<Result<Vec<_>>>()?;
        let plan = RepartitionExec::try_new(self.plan, Partitioning::Hash(keys, into))?;
        Ok(Self::without(Arc::new(plan)))
    }
}
