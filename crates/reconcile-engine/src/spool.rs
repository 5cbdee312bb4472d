//! Relations that several others are made of: made once, kept on disk.

use std::{fmt, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion_physical_plan::{
    EmptyRecordBatchStream, ExecutionPlan, ExecutionPlanProperties, SpillManager,
    metrics::{ExecutionPlanMetricsSet, SpillMetrics},
};
use futures::TryStreamExt;
use reconcile::plan::OrderKey;
use tokio::task::JoinSet;

use crate::{
    operator::{Operator, Work},
    sorting::Ordered,
};

/// A relation on disk.
#[derive(Clone)]
pub(crate) struct Spool {
    manager: SpillManager,
    schema: SchemaRef,
    files: Arc<[Option<Arc<dyn SpillFile>>]>,
    order: Vec<OrderKey>,
    scanned: bool,
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl Spool {
    /// Makes all rows of a plan and keeps them. What it writes is counted in `metrics`.
    pub(crate) async fn of(
        made: Ordered,
        context: &Arc<TaskContext>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Self> {
        let schema = made.plan.schema();
        let manager = SpillManager::new(context.runtime_env(), SpillMetrics::new(metrics, 0), Arc::clone(&schema))
            .with_compression_type(context.session_config().options().execution.spill_compression);
        let mut tasks = JoinSet::new();
        let partitions = made.plan.output_partitioning().partition_count();
        for partition in 0..partitions {
            let rows = made.plan.execute(partition, Arc::clone(context))?;
            let manager = manager.clone();
            tasks.spawn(async move { Ok::<_, DataFusionError>((partition, keep(rows, &manager).await?)) });
        }
        let mut files = vec![None; partitions];
        while let Some(kept) = tasks.join_next().await {
            let (partition, file) = kept.map_err(|error| DataFusionError::External(Box::new(error)))??;
            files.iter_mut().skip(partition).take(1).for_each(|slot| slot.clone_from(&file));
        }
        Ok(Self { manager, schema, files: files.into(), order: made.order, scanned: made.scanned })
    }

    /// The rows again, as often as wanted.
    pub(crate) fn read(&self) -> Ordered {
        let plan = Operator::plan("Spool", self.clone(), Vec::new(), Arc::clone(&self.schema), self.files.len());
        Ordered { plan, order: self.order.clone(), scanned: self.scanned }
    }
}

async fn keep(mut rows: SendableRecordBatchStream, manager: &SpillManager) -> Result<Option<Arc<dyn SpillFile>>> {
    let mut file = manager.create_in_progress_file("a relation that several others are made of")?;
    while let Some(batch) = rows.try_next().await? {
        if batch.num_rows() > 0 {
            file.append_batch(&batch)?;
        }
    }
    file.finish()
}

impl Work for Spool {
    fn start(
        &self,
        partition: usize,
        _: &[Arc<dyn ExecutionPlan>],
        _: &Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        match self.files.get(partition).cloned().flatten() {
            Some(file) => self.manager.read_spill_as_stream(file, None),
            None => Ok(Box::pin(EmptyRecordBatchStream::new(Arc::clone(&self.schema)))),
        }
    }
}
