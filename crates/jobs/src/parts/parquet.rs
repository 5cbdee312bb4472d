//! Parts of Parquet.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
};

use parquet::{
    data_type::Decimal,
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::Field,
    schema::types::Type as ParquetType,
};
use reconcile::plan::PlanColumn;

use super::{Read, Tally};
use crate::error::JobError;

/// Apache Parquet: kept on disk until all of it is there.
pub(super) struct ParquetRows<'c> {
    columns: &'c [PlanColumn],
    file: File,
}

impl<'c> ParquetRows<'c> {
    pub(super) fn new(columns: &'c [PlanColumn]) -> Result<Self, JobError> {
        Ok(Self { columns, file: tempfile::tempfile()? })
    }
}

impl Read for ParquetRows<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result<Result<(), String>, JobError> {
        self.file.write_all(bytes)?;
        Ok(Ok(()))
    }

    fn finish(mut self: Box<Self>) -> Result<Result<Tally, String>, JobError> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok(parquet_tally(self.file, self.columns))
    }
}

fn parquet_tally(file: File, columns: &[PlanColumn]) -> Result<Tally, String> {
    let reader = SerializedFileReader::new(file).map_err(|error| error.to_string())?;
    let schema = reader.metadata().file_metadata().schema();
    let names: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
    if !names.iter().copied().eq(columns.iter().map(|column| column.name.as_str())) {
        return Err(format!("its columns are {}", names.join(", ")));
    }
    let numbers: Vec<(usize, &PlanColumn)> =
        columns.iter().enumerate().filter(|(_, column)| column.kind.is_number()).collect();
    let mut tally = Tally::of(columns);
    let rows = reader.metadata().file_metadata().num_rows();
    tally.rows = u64::try_from(rows).map_err(|_| format!("it has {rows} rows"))?;
    if numbers.is_empty() {
        return Ok(tally);
    }
    let fields = numbers.iter().filter_map(|(index, _)| schema.get_fields().get(*index).cloned()).collect();
    let projection = ParquetType::group_type_builder(schema.name()).with_fields(fields).build();
    let projection = projection.map_err(|error| error.to_string())?;
    let mut counted = 0;
    for row in reader.get_row_iter(Some(projection)).map_err(|error| error.to_string())? {
        let row = row.map_err(|error| error.to_string())?;
        counted += 1;
        for ((index, column), (_, field)) in numbers.iter().zip(row.get_column_iter()) {
            let units = units(field, column.kind.scale());
            let units = units.map_err(|problem| format!("row {counted}, column {:?}: {problem}", column.name))?;
            if let (Some(units), Some(Some(sum))) = (units, tally.sums.get_mut(*index)) {
                sum.add_units(units);
            }
        }
    }
    if counted == tally.rows { Ok(tally) } else { Err(format!("it says that it has {rows} rows, and has {counted}")) }
}

/// The units of a number's last decimal; none of a blank.
fn units(field: &Field, scale: u8) -> Result<Option<i128>, String> {
    Ok(Some(match field {
        Field::Null => return Ok(None),
        Field::Byte(number) => i128::from(*number),
        Field::Short(number) => i128::from(*number),
        Field::Int(number) => i128::from(*number),
        Field::Long(number) => i128::from(*number),
        Field::Decimal(decimal) if decimal.scale() == i32::from(scale) => decimal_units(decimal)?,
        Field::Decimal(decimal) => return Err(format!("it has {} decimals, not {scale}", decimal.scale())),
        _ => return Err("it is no number".to_owned()),
    }))
}

/// Big-endian, two's complement.
fn decimal_units(decimal: &Decimal) -> Result<i128, String> {
    let bytes = decimal.data();
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    if bytes.len() > 16 {
        return Err(format!("it has {} bytes, more than 16", bytes.len()));
    }
    let start = if negative { -1 } else { 0 };
    Ok(bytes.iter().fold(start, |units: i128, byte| units << 8 | i128::from(*byte)))
}
