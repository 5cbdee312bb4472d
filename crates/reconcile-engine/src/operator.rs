//! Operators of our own, as DataFusion's plans take them.

use std::{fmt, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion_common::{Result, tree_node::TreeNodeRecursion};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::{EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr};
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    execution_plan::{Boundedness, EmissionType},
};

/// What an operator does.
pub(crate) trait Work: fmt::Debug + Send + Sync {
    /// The batches of one partition of its result.
    fn start(
        &self,
        partition: usize,
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream>;
}

/// An operator of a plan.
#[derive(Debug)]
pub(crate) struct Operator {
    name: &'static str,
    work: Arc<dyn Work>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl Operator {
    /// An operator whose result has that many partitions.
    pub(crate) fn plan(
        name: &'static str,
        work: impl Work + 'static,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        schema: SchemaRef,
        partitions: usize,
    ) -> Arc<dyn ExecutionPlan> {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Arc::new(Self { name, work: Arc::new(work), inputs, properties: Arc::new(properties) })
    }
}

/// `input`, which is known to be in that order: joins keep the order only of what has one.
pub(crate) fn in_order(input: Arc<dyn ExecutionPlan>, order: LexOrdering) -> Arc<dyn ExecutionPlan> {
    let mut known = EquivalenceProperties::new(input.schema());
    known.add_ordering(order);
    let partitioning = Partitioning::UnknownPartitioning(input.output_partitioning().partition_count());
    let properties = PlanProperties::new(known, partitioning, EmissionType::Incremental, Boundedness::Bounded);
    Arc::new(Operator {
        name: "InOrder",
        work: Arc::new(InOrder),
        inputs: vec![input],
        properties: Arc::new(properties),
    })
}

#[derive(Debug)]
struct InOrder;

impl Work for InOrder {
    fn start(
        &self,
        partition: usize,
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        crate::compute::only(inputs)?.execute(partition, Arc::clone(context))
    }
}

impl DisplayAs for Operator {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl ExecutionPlan for Operator {
    fn name(&self) -> &str {
        self.name
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let (name, work, properties) = (self.name, Arc::clone(&self.work), Arc::clone(&self.properties));
        Ok(Arc::new(Self { name, work, inputs, properties }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.work.start(partition, &self.inputs, &context)
    }
}
