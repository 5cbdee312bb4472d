//! Parquet: row groups, and their columns as the plan has them.

use std::{
    ops::{Range, RangeInclusive},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringViewBuilder},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Date32Type, Decimal128Type, Int64Type, TimeUnit},
    util::display::array_value_to_string,
};
use bytes::Bytes;
use datafusion_common::Result;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
        async_reader::{AsyncFileReader, ParquetRecordBatchStream},
    },
    errors::ParquetError,
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};
use reconcile::{
    Type, decimal,
    footer::{FOOTER_BYTES_MAX, TAIL_BYTES, footer_bytes},
    plan::PlanColumn,
    task::TaskObject,
};
use storage::{
    StorageError,
    objects::{ByteRange, Location, Objects, read_range},
};
use tokio::sync::mpsc;

use super::{
    Chunk, Numbers, Read, Reading,
    builders::{Builder, Spelling},
};
use crate::{columns, evaluate::units::ten_to};

/// Rows of one row group.
pub(super) struct Rows {
    object: usize,
    batches: ParquetRecordBatchStream<Reader>,
    /// The next row's number; the first of an object is 1.
    next: i64,
}

/// Sends the row groups of an object.
pub(super) async fn send(
    reading: &Reading,
    index: usize,
    object: &TaskObject,
    at: &Location,
    sender: &mpsc::Sender<Result<Chunk>>,
) -> Result<()> {
    let broken = |error: ParquetError| reading.broken(object, error);
    let new = || Reader {
        objects: Arc::clone(&reading.source.objects),
        at: at.clone(),
        version: object.version.clone(),
        bytes: object.bytes,
    };
    let metadata = new().get_metadata(None).await.map_err(broken)?;
    // Types are those of Parquet, which all who write it mean alike, and not what Arrow has noted beside them.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::try_new(metadata, options).map_err(broken)?;
    let mut next = 1_i64;
    for (group, about) in metadata.metadata().row_groups().iter().enumerate() {
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(new(), metadata.clone());
        let wanted = |name: &str| reading.columns.iter().any(|column| column.name == name);
        let leaves = builder.parquet_schema().columns().iter().enumerate();
        let leaves = leaves.filter(|(_, leaf)| leaf.path().parts().first().is_some_and(|name| wanted(name)));
        let mask = ProjectionMask::leaves(builder.parquet_schema(), leaves.map(|(at, _)| at).collect::<Vec<_>>());
        if let Some(column) = reading.columns.iter().find(|column| builder.schema().index_of(&column.name).is_err()) {
            let problem = "the file has no such column".to_owned();
            return Err(reading.failure(object, None, Some(&column.name), problem));
        }
        let builder =
            builder.with_row_groups(vec![group]).with_projection(mask).with_batch_size(reading.source.batch_rows);
        let batches = builder.build().map_err(broken)?;
        let rows = Rows { object: index, batches, next };
        next += about.num_rows();
        if sender.send(Ok(Chunk::Parquet(rows))).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

impl Rows {
    /// Only the columns that are needed are read.
    pub(super) const fn size(&self) -> (usize, usize) {
        (self.object, 0)
    }

    /// The next rows of the group.
    pub(super) async fn next(&mut self, reading: &Reading) -> Result<Option<Read>> {
        let Some(object) = reading.input.objects.get(self.object) else { return Ok(None) };
        let Some(batch) = self.batches.next().await else { return Ok(None) };
        let batch = batch.map_err(|error| reading.broken(object, error))?;
        let first = self.next;
        self.next += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        let columns = reading
            .columns
            .iter()
            .map(|column| {
                reading.typed(&batch, column).map_err(|misfit| {
                    let row = misfit.row.and_then(|row| u64::try_from(row).ok()).map(|row| first.unsigned_abs() + row);
                    reading.failure(object, row, Some(&column.name), misfit.problem)
                })
            })
            .collect::<Result<_>>()?;
        Ok(Some(Read { columns, rows: batch.num_rows(), object: self.object, numbers: Numbers::From(first) }))
    }
}

/// A column or a cell that does not fit.
struct Misfit {
    row: Option<usize>,
    problem: String,
}

impl Reading {
    fn broken(&self, object: &TaskObject, error: ParquetError) -> datafusion_common::DataFusionError {
        match error {
            ParquetError::External(source) => match source.downcast::<StorageError>() {
                Ok(error) => self.lost(object, *error),
                Err(source) => self.failure(object, None, None, format!("it cannot be read as Parquet: {source}")),
            },
            error => self.failure(object, None, None, format!("it cannot be read as Parquet: {error}")),
        }
    }

    /// A column in the plan's type, exactly.
    fn typed(&self, batch: &RecordBatch, column: &PlanColumn) -> Result<ArrayRef, Misfit> {
        let general = |problem: String| Misfit { row: None, problem };
        let found =
            batch.column_by_name(&column.name).ok_or_else(|| general("the file has no such column".to_owned()))?;
        let typed = converted(found, column.kind).map_err(|error| general(error.to_string()))?;
        let typed =
            typed.ok_or_else(|| general(format!("expected {}, the file has {}", column.kind, found.data_type())))?;
        let lost = (0..found.len()).find(|row| found.is_valid(*row) && typed.is_null(*row) && !is_empty(found, *row));
        match lost {
            None => Ok(typed),
            Some(row) => {
                // Some values are so far off that nothing can write them.
                let value = array_value_to_string(found, row)
                    .map(|value| format!("{:?}", records::shorten(&value, records::VALUE_CHARS_MAX)));
                let value = value.unwrap_or_else(|_| "the value".to_owned());
                Err(Misfit { row: Some(row), problem: format!("{value} is no {}", column.kind) })
            }
        }
    }
}

fn is_empty(array: &ArrayRef, row: usize) -> bool {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).is_empty(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).is_empty(),
        DataType::Utf8View => array.as_string_view().value(row).is_empty(),
        _ => false,
    }
}

/// The column in that type; what does not fit is null. `None` where no value could fit.
fn converted(array: &ArrayRef, kind: Type) -> Result<Option<ArrayRef>, arrow::error::ArrowError> {
    let cast = |to: &DataType| cast_with_options(array, to, &CastOptions { safe: true, ..CastOptions::default() });
    let from = array.data_type();
    Ok(Some(match (from, kind) {
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, _) => {
            let texts = cast(&DataType::Utf8View)?;
            return Ok(texts.as_string_view_opt().map(|texts| read_texts(texts.iter(), kind)));
        }
        (from, Type::Integer) if from.is_integer() => cast(&DataType::Int64)?,
        (from, Type::Decimal(_)) if from.is_integer() => {
            let whole = cast(&columns::data_type(Type::Decimal(0)))?;
            rescaled(whole.as_primitive::<Decimal128Type>(), 0, kind)
        }
        (
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
            | DataType::Decimal256(_, scale),
            Type::Integer | Type::Decimal(_),
        ) => {
            let Ok(from) = u8::try_from(*scale) else { return Ok(None) };
            let wide = cast(&DataType::Decimal128(columns::PRECISION, *scale))?;
            rescaled(wide.as_primitive::<Decimal128Type>(), from, kind)
        }
        (DataType::Date32, Type::Date | Type::Timestamp) => {
            let days = array.as_primitive::<Date32Type>();
            let days: Date32Array = days.unary_opt(|day| DAYS.contains(&day).then_some(day));
            cast_with_options(&days, &columns::data_type(kind), &CastOptions::default())?
        }
        (DataType::Boolean, Type::Boolean) => Arc::clone(array),
        (DataType::Timestamp(unit, _), Type::Timestamp) => {
            let units = cast(&DataType::Int64)?;
            let moments: Int64Array = units.as_primitive::<Int64Type>().unary_opt(|units| microseconds(units, *unit));
            cast_with_options(&moments, &columns::data_type(kind), &CastOptions::default())?
        }
        _ => return Ok(None),
    }))
}

/// The days of the years 1 to 9999, from 1970-01-01 on.
const DAYS: RangeInclusive<i32> = -719_162..=2_932_896;

/// A moment in microseconds; `None` where that is not all of it, and outside the years 1 to 9999.
fn microseconds(units: i64, unit: TimeUnit) -> Option<i64> {
    let whole = match unit {
        TimeUnit::Second => units.checked_mul(1_000_000),
        TimeUnit::Millisecond => units.checked_mul(1_000),
        TimeUnit::Microsecond => Some(units),
        TimeUnit::Nanosecond => (units % 1_000 == 0).then_some(units / 1_000),
    };
    let day = |whole: &i64| i32::try_from(whole.div_euclid(86_400_000_000));
    whole.filter(|whole| day(whole).is_ok_and(|day| DAYS.contains(&day)))
}

/// Texts as values of the type; none is blank.
fn read_texts<'t>(texts: impl ExactSizeIterator<Item = Option<&'t str>>, kind: Type) -> ArrayRef {
    if kind == Type::Text {
        let mut made = StringViewBuilder::with_capacity(texts.len());
        // No CSV could be made of a text with a NUL.
        texts.for_each(|text| made.append_option(text.filter(|text| !text.is_empty() && !text.contains('\0'))));
        return Arc::new(made.finish());
    }
    let mut made = Builder::new(kind, texts.len());
    for text in texts {
        let text = text.unwrap_or_default();
        if text.is_empty() || made.append(text, &Spelling::Plain).is_none() {
            made.append_blank();
        }
    }
    made.finish()
}

/// Decimals in a type of other decimals; what would have to be rounded is null.
fn rescaled(array: &Decimal128Array, from: u8, kind: Type) -> ArrayRef {
    let to = kind.scale();
    let exact = |units: i128| match from.checked_sub(to) {
        None | Some(0) => decimal::rescale(units, from, to, reconcile::Rounding::Down),
        Some(fewer) => ten_to(fewer).filter(|ten| units % ten == 0).map(|ten| units / ten),
    };
    let units = array.iter().map(|units| units.and_then(exact));
    match kind {
        Type::Integer => {
            Arc::new(units.map(|units| units.and_then(|units| i64::try_from(units).ok())).collect::<Int64Array>())
        }
        _ => Arc::new(units.collect::<Decimal128Array>().with_data_type(columns::data_type(kind))),
    }
}

/// Reads ranges of an object.
struct Reader {
    objects: Arc<dyn Objects>,
    at: Location,
    version: Option<String>,
    bytes: u64,
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move {
            let range = ByteRange::new(range.start, range.end);
            let read = read_range(self.objects.as_ref(), &self.at, self.version.as_deref(), range).await;
            read.map_err(|error| ParquetError::External(Box::new(error)))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let bytes = self.bytes;
            let length = match bytes.checked_sub(TAIL_BYTES) {
                Some(begin) => footer_bytes(&self.get_bytes(begin..bytes).await?),
                None => None,
            };
            // What is no Parquet the reader tells.
            let length = length.unwrap_or(0);
            if length > FOOTER_BYTES_MAX {
                let problem = format!("its footer has {length} bytes, more than {FOOTER_BYTES_MAX}");
                return Err(ParquetError::General(problem));
            }
            let whole = usize::try_from(length.saturating_add(TAIL_BYTES)).ok();
            let reader = ParquetMetaDataReader::new().with_prefetch_hint(whole);
            Ok(Arc::new(reader.load_and_finish(self, bytes).await?))
        }
        .boxed()
    }
}
