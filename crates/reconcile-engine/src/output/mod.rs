//! Writes outputs: batches become text in parallel, text becomes parts in order.

mod parts;
mod rows;

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::{Array, RecordBatch};
use bytes::Bytes;
use datafusion_common::{DataFusionError, Result};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use futures::{StreamExt, TryStreamExt};
use reconcile::{
    Format,
    plan::PlanOutput,
    report::{OutputFigures, Sum},
    task::Task,
};
use storage::Objects;

use self::{
    parts::{ParquetParts, Parts},
    rows::Rows,
};
use crate::{columns, evaluate::numbers::units_of, sorting::Ordered};

/// Where outputs go.
pub(crate) struct Outputs<'t> {
    pub(crate) task: &'t Task,
    pub(crate) objects: Arc<dyn Objects>,
    /// What the keys of this run's parts have in common: no other run writes there, so none overwrites another's.
    pub(crate) run: String,
    pub(crate) threads: usize,
    pub(crate) part_bytes: u64,
}

/// Rows as they are written.
struct Text {
    bytes: Bytes,
    rows: u64,
    sums: Sums,
}

/// The sums of the number columns.
#[derive(Clone)]
struct Sums(Vec<(String, Sum)>);

impl Sums {
    fn of(output: &PlanOutput) -> Self {
        let sum = |column: &reconcile::plan::PlanColumn| Some((column.name.clone(), Sum::of(column.kind)?));
        Self(output.columns.iter().filter_map(sum).collect())
    }

    /// Adds the rows of a batch.
    fn add(&mut self, output: &PlanOutput, batch: &RecordBatch) -> Result<()> {
        let numbers = output.columns.iter().filter(|column| column.kind.is_number());
        for (column, (_, sum)) in numbers.zip(&mut self.0) {
            let array = columns::column(batch, column.id)?;
            let units = units_of(array)?;
            for (row, units) in units.iter().enumerate() {
                if array.is_valid(row) {
                    sum.add_units(*units);
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|((_, sum), (_, more))| sum.merge(more));
    }

    fn totals(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(name, sum)| (name.clone(), sum.to_string())).collect()
    }
}

impl Outputs<'_> {
    /// Writes an output, in its order.
    pub(crate) async fn write(
        &self,
        output: &PlanOutput,
        made: Ordered,
        context: &Arc<TaskContext>,
    ) -> Result<OutputFigures> {
        let gathered = made.gathered(&output.order)?;
        let batches = gathered.plan.execute(0, Arc::clone(context))?;
        match output.format {
            Format::Parquet => self.write_parquet(output, batches).await,
            Format::Csv | Format::JsonLines => self.write_text(output, batches).await,
        }
    }

    async fn write_text(&self, output: &PlanOutput, batches: SendableRecordBatchStream) -> Result<OutputFigures> {
        let rows = Arc::new(Rows::of(output));
        let sums = Sums::of(output);
        let format = |batch: Result<RecordBatch>| {
            let (rows, output, mut sums) = (Arc::clone(&rows), output.clone(), sums.clone());
            let task = tokio::spawn(async move {
                let batch = batch?;
                sums.add(&output, &batch)?;
                let bytes = Bytes::from(rows.write(&batch)?);
                Ok::<_, DataFusionError>(Text { bytes, rows: batch.num_rows() as u64, sums })
            });
            async move { task.await.map_err(|error| DataFusionError::External(Box::new(error)))? }
        };
        let mut texts = batches.map(format).buffered(self.threads + 1);
        let (mut parts, mut sums) = (Parts::of(self, output), Sums::of(output));
        let written = async {
            while let Some(text) = texts.try_next().await? {
                sums.merge(&text.sums);
                parts.push(text.bytes, text.rows).await?;
            }
            parts.end().await
        };
        if let Err(error) = written.await {
            parts.abort().await;
            return Err(error);
        }
        Ok(self.figures(output, &sums, parts.written))
    }

    async fn write_parquet(
        &self,
        output: &PlanOutput,
        mut batches: SendableRecordBatchStream,
    ) -> Result<OutputFigures> {
        let (mut parts, mut sums) = (ParquetParts::of(self, output), Sums::of(output));
        while let Some(batch) = batches.try_next().await? {
            sums.add(output, &batch)?;
            parts.push(&batch).await?;
        }
        parts.end().await?;
        Ok(self.figures(output, &sums, parts.written))
    }

    fn figures(&self, output: &PlanOutput, sums: &Sums, parts: Vec<reconcile::report::Part>) -> OutputFigures {
        let rows = parts.iter().map(|part| part.rows).sum();
        OutputFigures { name: output.name.clone(), rows, totals: sums.totals(), parts }
    }

    fn key(&self, output: &PlanOutput, part: usize) -> Result<String> {
        let number = u32::try_from(part).ok().filter(|number| *number <= PART_NUMBER_MAX);
        let number =
            number.ok_or_else(|| DataFusionError::ResourcesExhausted("an output has too many parts".to_owned()))?;
        Ok(self.task.output.part_key(&format!("{}/{}", output.name, self.run), number, output.format))
    }
}

/// Keys have five digits for a part.
const PART_NUMBER_MAX: u32 = 99_999;
