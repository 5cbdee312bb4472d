//! Parts of bounded size.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema, SchemaRef},
};
use bytes::Bytes;
use datafusion_common::{DataFusionError, Result};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use reconcile::{Format, plan::PlanOutput, report::Part};
use storage::objects::{Location, ObjectWriter, PutOptions};

use super::Outputs;
use crate::{columns, fault::stored};

/// The parts of an output of CSV or JSON lines, one behind the other.
pub(super) struct Parts<'o> {
    outputs: &'o Outputs<'o>,
    output: &'o PlanOutput,
    open: Option<(Box<dyn ObjectWriter>, Part)>,
    pub(super) written: Vec<Part>,
}

impl<'o> Parts<'o> {
    pub(super) fn of(outputs: &'o Outputs<'o>, output: &'o PlanOutput) -> Self {
        Self { outputs, output, open: None, written: Vec::new() }
    }

    /// Writes rows.
    pub(super) async fn push(&mut self, bytes: Bytes, rows: u64) -> Result<()> {
        if rows == 0 {
            return Ok(());
        }
        let (mut writer, mut part) = match self.open.take() {
            Some(open) => open,
            None => self.begin().await?,
        };
        part.bytes += bytes.len() as u64;
        part.rows += rows;
        let written = writer.write(bytes).await;
        let (full, bytes_max) = (part.bytes, self.outputs.part_bytes);
        self.open = Some((writer, part));
        written.map_err(stored)?;
        if full >= bytes_max { self.end().await } else { Ok(()) }
    }

    async fn begin(&self) -> Result<(Box<dyn ObjectWriter>, Part)> {
        let key = self.outputs.key(self.output, self.written.len())?;
        let media = match self.output.format {
            Format::Csv => "text/csv; charset=utf-8; header=absent",
            Format::JsonLines | Format::Parquet => "application/x-ndjson",
        };
        let options = PutOptions { content_type: Some(media.to_owned()), ..PutOptions::default() };
        let at = Location::new(&self.outputs.task.output.bucket, &key);
        let writer = self.outputs.objects.writer(&at, options).await.map_err(stored)?;
        Ok((writer, Part { key, bytes: 0, rows: 0 }))
    }

    /// Ends the part that is being written.
    pub(super) async fn end(&mut self) -> Result<()> {
        if let Some((writer, part)) = self.open.take() {
            writer.finish().await.map_err(stored)?;
            self.written.push(part);
        }
        Ok(())
    }

    /// Gives the part that is being written up.
    pub(super) async fn abort(&mut self) {
        if let Some((writer, _)) = self.open.take()
            && let Err(error) = writer.abort().await
        {
            tracing::warn!(%error, "part not aborted");
        }
    }
}

/// The parts of an output of Parquet.
pub(super) struct ParquetParts<'o> {
    outputs: &'o Outputs<'o>,
    output: &'o PlanOutput,
    schema: SchemaRef,
    open: Option<(ArrowWriter<Vec<u8>>, u64)>,
    pub(super) written: Vec<Part>,
}

/// A part is held in memory until it is whole.
const PARQUET_PART_BYTES: u64 = 32 << 20;

fn broken(error: parquet::errors::ParquetError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl<'o> ParquetParts<'o> {
    pub(super) fn of(outputs: &'o Outputs<'o>, output: &'o PlanOutput) -> Self {
        let field =
            |column: &reconcile::plan::PlanColumn| Field::new(&column.name, columns::data_type(column.kind), true);
        let schema = Arc::new(Schema::new(output.columns.iter().map(field).collect::<Vec<_>>()));
        Self { outputs, output, schema, open: None, written: Vec::new() }
    }

    fn begin(&self) -> Result<ArrowWriter<Vec<u8>>> {
        let level = ZstdLevel::try_new(3).map_err(broken)?;
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
        ArrowWriter::try_new(Vec::new(), Arc::clone(&self.schema), Some(properties)).map_err(broken)
    }

    /// Writes rows.
    pub(super) async fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let (mut writer, rows) = match self.open.take() {
            Some(open) => open,
            None => (self.begin()?, 0),
        };
        let arrays = self.output.columns.iter().map(|column| columns::column(batch, column.id).map(Arc::clone));
        let named = columns::batch(&self.schema, arrays.collect::<Result<_, _>>()?, batch.num_rows())?;
        writer.write(&named).map_err(broken)?;
        let bytes = (writer.bytes_written() + writer.in_progress_size()) as u64;
        self.open = Some((writer, rows + batch.num_rows() as u64));
        if bytes >= self.outputs.part_bytes.min(PARQUET_PART_BYTES) { self.close().await } else { Ok(()) }
    }

    /// Ends the parts; there is one at least, for its columns.
    pub(super) async fn end(&mut self) -> Result<()> {
        if self.open.is_none() && self.written.is_empty() {
            self.open = Some((self.begin()?, 0));
        }
        self.close().await
    }

    async fn close(&mut self) -> Result<()> {
        let Some((writer, rows)) = self.open.take() else { return Ok(()) };
        let body = Bytes::from(writer.into_inner().map_err(broken)?);
        let key = self.outputs.key(self.output, self.written.len())?;
        let bytes = body.len() as u64;
        let options =
            PutOptions { content_type: Some("application/vnd.apache.parquet".to_owned()), ..PutOptions::default() };
        let at = Location::new(&self.outputs.task.output.bucket, &key);
        self.outputs.objects.put(&at, body, options).await.map_err(stored)?;
        self.written.push(Part { key, bytes, rows });
        Ok(())
    }
}
