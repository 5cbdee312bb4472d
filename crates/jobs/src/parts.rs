//! Parts of outputs, read again: how many rows they have, and the exact sums of their columns of numbers.
//!
//! It reads with other code than that which has written, and in bounded memory, whatever the length of a part.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Seek, SeekFrom, Write},
};

use csv_core::{ReadRecordResult, Reader};
use futures::TryStreamExt;
use parquet::{
    data_type::Decimal,
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::Field,
    schema::types::Type as ParquetType,
};
use reconcile::{
    Format, Type,
    plan::{PlanColumn, PlanOutput},
    report::{OutputFigures, Part, Sum},
};
use serde_json::value::RawValue;
use storage::{Location, Objects, objects::blocks};

use crate::error::JobError;

/// What a part, or all parts of an output, add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    sums: Vec<Option<Sum>>,
}

impl Tally {
    /// Of no rows yet.
    pub(crate) fn of(columns: &[PlanColumn]) -> Self {
        Self { rows: 0, sums: columns.iter().map(|column| Sum::of(column.kind)).collect() }
    }

    /// The tally with these rows and totals; `None` where they are not those of such columns.
    pub(crate) fn read(columns: &[PlanColumn], rows: u64, totals: &BTreeMap<String, String>) -> Option<Self> {
        let sum = |column: &PlanColumn| match column.kind.is_number() {
            true => Sum::parse(column.kind, totals.get(&column.name)?).map(Some),
            false => Some(None),
        };
        Some(Self { rows, sums: columns.iter().map(sum).collect::<Option<_>>()? })
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        for (sum, other) in self.sums.iter_mut().zip(&other.sums) {
            if let (Some(sum), Some(other)) = (sum, other) {
                sum.merge(other);
            }
        }
    }

    /// The sums by the names of their columns, as reports have them.
    fn totals(&self, columns: &[PlanColumn]) -> BTreeMap<String, String> {
        let each = columns.iter().zip(&self.sums);
        each.filter_map(|(column, sum)| Some((column.name.clone(), sum.as_ref()?.to_string()))).collect()
    }

    /// What is said of an output of which these parts add up to it.
    pub(crate) fn figures(&self, output: &PlanOutput, parts: Vec<Part>) -> OutputFigures {
        OutputFigures { name: output.name.clone(), rows: self.rows, totals: self.totals(&output.columns), parts }
    }

    fn add(&mut self, column: usize, kind: Type, cell: &str) -> Result<(), String> {
        if let Some(Some(sum)) = self.sums.get_mut(column) {
            let value = kind.parse(cell).ok_or_else(|| format!("{cell:?} is no {kind}"))?;
            sum.add(&value);
        }
        Ok(())
    }
}

/// Reads a part to its end.
pub(crate) async fn read(
    objects: &dyn Objects,
    bucket: &str,
    part: &Part,
    format: Format,
    columns: &[PlanColumn],
) -> Result<Result<Tally, String>, JobError> {
    let at = Location::new(bucket, &part.key);
    let mut blocks = std::pin::pin!(blocks(objects, &at, None, part.bytes));
    let mut reader: Box<dyn Read + Send> = match format {
        Format::Csv => Box::new(CsvRows::new(columns)),
        Format::JsonLines => Box::new(JsonRows { columns, line: Vec::new(), tally: Tally::of(columns) }),
        Format::Parquet => Box::new(ParquetRows { columns, file: tempfile::tempfile()? }),
    };
    while let Some(block) = blocks.try_next().await? {
        match reader.push(&block)? {
            Ok(()) => {}
            Err(problem) => return Ok(Err(problem)),
        }
    }
    reader.finish()
}

/// Takes the bytes of a part. The inner error says what is wrong with them.
trait Read {
    fn push(&mut self, bytes: &[u8]) -> Result<Result<(), String>, JobError>;
    fn finish(self: Box<Self>) -> Result<Result<Tally, String>, JobError>;
}

/// Rows as RFC 4180 has them, without a header.
struct CsvRows<'c> {
    columns: &'c [PlanColumn],
    reader: Reader,
    cells: Vec<u8>,
    written: usize,
    ends: Vec<usize>,
    ended: usize,
    tally: Tally,
}

impl<'c> CsvRows<'c> {
    fn new(columns: &'c [PlanColumn]) -> Self {
        let (cells, ends) = (vec![0; 64 * 1024], vec![0; columns.len() + 1]);
        Self { columns, reader: Reader::new(), cells, written: 0, ends, ended: 0, tally: Tally::of(columns) }
    }

    /// Reads on. Empty bytes are the end.
    fn read(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        let at_end = bytes.is_empty();
        loop {
            let cells = self.cells.get_mut(self.written..).unwrap_or_default();
            let ends = self.ends.get_mut(self.ended..).unwrap_or_default();
            let (result, taken, written, ended) = self.reader.read_record(bytes, cells, ends);
            bytes = bytes.get(taken..).unwrap_or_default();
            self.written += written;
            self.ended += ended;
            match result {
                ReadRecordResult::InputEmpty => return Ok(()),
                ReadRecordResult::OutputFull => self.cells.resize(self.cells.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => return Err(self.at("it has too many cells")),
                ReadRecordResult::Record => {
                    self.row()?;
                    (self.written, self.ended) = (0, 0);
                }
                ReadRecordResult::End => return Ok(()),
            }
            if bytes.is_empty() && !at_end {
                return Ok(());
            }
        }
    }

    fn row(&mut self) -> Result<(), String> {
        self.tally.rows += 1;
        if self.ended != self.columns.len() {
            return Err(self.at(&format!("it has {} cells, not {}", self.ended, self.columns.len())));
        }
        let mut start = 0;
        for (index, column) in self.columns.iter().enumerate() {
            let end = self.ends.get(index).copied().unwrap_or(start);
            if column.kind.is_number() {
                let cell = std::str::from_utf8(self.cells.get(start..end).unwrap_or_default());
                let cell = cell.map_err(|_| format!("row {}: it is no UTF-8", self.tally.rows))?;
                let added = self.tally.add(index, column.kind, cell);
                added.map_err(|problem| format!("row {}, column {:?}: {problem}", self.tally.rows, column.name))?;
            }
            start = end;
        }
        Ok(())
    }

    fn at(&self, problem: &str) -> String {
        format!("row {}: {problem}", self.tally.rows.max(1))
    }
}

impl Read for CsvRows<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result<Result<(), String>, JobError> {
        Ok(if bytes.is_empty() { Ok(()) } else { self.read(bytes) })
    }

    fn finish(mut self: Box<Self>) -> Result<Result<Tally, String>, JobError> {
        Ok(self.read(&[]).map(|()| self.tally))
    }
}

/// A JSON object a line.
struct JsonRows<'c> {
    columns: &'c [PlanColumn],
    line: Vec<u8>,
    tally: Tally,
}

impl JsonRows<'_> {
    fn row(&mut self) -> Result<(), String> {
        self.tally.rows += 1;
        let row = self.tally.rows;
        let cells: BTreeMap<String, &RawValue> =
            serde_json::from_slice(&self.line).map_err(|error| format!("row {row}: {error}"))?;
        if cells.len() != self.columns.len() {
            return Err(format!("row {row}: it has {} cells, not {}", cells.len(), self.columns.len()));
        }
        for (index, column) in self.columns.iter().enumerate() {
            let wrong = |problem: &str| format!("row {row}, column {:?}: {problem}", column.name);
            let cell = cells.get(&column.name).ok_or_else(|| wrong("it is missing"))?.get();
            let cell = if cell == "null" { "" } else { cell.trim_matches('"') };
            self.tally.add(index, column.kind, cell).map_err(|problem| wrong(&problem))?;
        }
        self.line.clear();
        Ok(())
    }
}

impl Read for JsonRows<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result<Result<(), String>, JobError> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.split_last() {
                Some((b'\n', line)) => {
                    self.line.extend_from_slice(line);
                    if let Err(problem) = self.row() {
                        return Ok(Err(problem));
                    }
                }
                _ => self.line.extend_from_slice(piece),
            }
        }
        Ok(Ok(()))
    }

    fn finish(mut self: Box<Self>) -> Result<Result<Tally, String>, JobError> {
        if !self.line.is_empty()
            && let Err(problem) = self.row()
        {
            return Ok(Err(problem));
        }
        Ok(Ok(self.tally))
    }
}

/// Apache Parquet: kept on disk until all of it is there.
struct ParquetRows<'c> {
    columns: &'c [PlanColumn],
    file: File,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::{
        data_type::{ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int64Type},
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::parser::parse_message_type,
    };
    use reconcile::expression::ColumnId;
    use storage::{memory::MemoryObjects, objects::PutOptions};

    use super::*;

    fn columns() -> Vec<PlanColumn> {
        let column =
            |(id, (name, kind)): (u32, (&str, Type))| PlanColumn { id: ColumnId(id), name: name.to_owned(), kind };
        (0..).zip([("n", Type::Integer), ("net", Type::Decimal(2)), ("text", Type::Text)]).map(column).collect()
    }

    async fn tally(format: Format, bytes: impl Into<bytes::Bytes>) -> Result<(u64, BTreeMap<String, String>), String> {
        let objects = MemoryObjects::default().with_piece_bytes(3);
        let bytes = bytes.into();
        let part = Part { key: "part".to_owned(), bytes: bytes.len() as u64, rows: 0 };
        objects.put(&Location::new("b", "part"), bytes, PutOptions::default()).await.unwrap();
        let tally = read(&objects, "b", &part, format, &columns()).await.unwrap()?;
        Ok((tally.rows, tally.totals(&columns())))
    }

    fn sums(n: &str, net: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("n".to_owned(), n.to_owned()), ("net".to_owned(), net.to_owned())])
    }

    #[tokio::test]
    async fn csv_is_counted_and_summed() {
        let long = "x".repeat(200_000);
        let text = format!("1,0.10,\"a,\r\nb \"\"c\"\"\"\r\n-2,,\r\n9223372036854775807,-0.30,{long}\r\n");
        assert_eq!(tally(Format::Csv, text).await, Ok((3, sums("9223372036854775806", "-0.20"))));
        assert_eq!(tally(Format::Csv, "").await, Ok((0, sums("0", "0.00"))));
        for (text, words) in [
            ("1,0.10\r\n", "row 1: it has 2 cells, not 3"),
            ("1,0.10,a\r\n1,0.10,a,b\r\n", "row 2: it has"),
            ("1,0.1O,a\r\n", r#"row 1, column "net": "0.1O" is no decimal(2)"#),
            ("1.5,0.10,a\r\n", r#"column "n""#),
        ] {
            let error = tally(Format::Csv, text).await.unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn json_lines_are_counted_and_summed() {
        let text = "{\"n\":1,\"net\":\"0.10\",\"text\":\"a\\nb\"}\n{\"n\":null,\"net\":null,\"text\":null}\n";
        assert_eq!(tally(Format::JsonLines, text).await, Ok((2, sums("1", "0.10"))));
        for (text, words) in [
            ("{\"n\":1,\"net\":\"0.10\"}\n", "it has 2 cells, not 3"),
            ("{\"n\":1,\"net\":\"0.10\",\"tex\":null}\n", r#"column "text": it is missing"#),
            ("{\"n\":1,\"net\":0.105,\"text\":null}\n", r#""0.105" is no decimal(2)"#),
            ("{\"n\":1,\n", "row 1"),
        ] {
            let error = tally(Format::JsonLines, text).await.unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    fn parquet(message: &str) -> Vec<u8> {
        let schema = Arc::new(parse_message_type(message).unwrap());
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::default())).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&[7, -9], Some(&[1, 1, 0]), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let units = |units: i128| FixedLenByteArray::from(units.to_be_bytes().to_vec());
        let cells = [units(10_i128.pow(38) - 1), units(-5)];
        column.typed::<FixedLenByteArrayType>().write_batch(&cells, Some(&[1, 0, 1]), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&["a".into()], Some(&[0, 0, 1]), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        bytes
    }

    const SCHEMA: &str = "message rows { optional int64 n; optional fixed_len_byte_array(16) net (DECIMAL(38,2)); \
                          optional binary text (UTF8); }";

    #[tokio::test]
    async fn parquet_is_counted_and_summed() {
        let bytes = parquet(SCHEMA);
        let net = "999999999999999999999999999999999999.94";
        assert_eq!(tally(Format::Parquet, bytes.clone()).await, Ok((3, sums("-2", net))));
        let error = tally(Format::Parquet, parquet(&SCHEMA.replace("(38,2)", "(38,3)"))).await.unwrap_err();
        assert!(error.contains(r#"column "net": it has 3 decimals, not 2"#), "{error}");
        let error = tally(Format::Parquet, parquet(&SCHEMA.replace(" n;", " m;"))).await.unwrap_err();
        assert!(error.contains("its columns are m, net, text"), "{error}");
        tally(Format::Parquet, &b"PAR1 nothing PAR1"[..]).await.unwrap_err();

        let footer = |bytes: &[u8]| {
            let tail: [u8; 8] = *bytes.last_chunk().unwrap();
            let length = usize::try_from(crate::footer::length(&tail).unwrap()).unwrap();
            let end = bytes.len() - 8;
            crate::footer::read(&bytes[end - length..end]).unwrap().columns
        };
        let found = footer(&bytes);
        let read: Vec<(&str, Type)> = found.read.iter().map(|column| (column.name.as_str(), column.kind)).collect();
        assert_eq!(read, [("n", Type::Integer), ("net", Type::Decimal(2)), ("text", Type::Text)]);
        assert!(found.unread.is_empty());
        let found = footer(&parquet(&SCHEMA.replace(" (UTF8)", "")));
        assert_eq!((found.read.len(), found.unread), (2, vec!["text".to_owned()]), "bytes are told of");
    }
}
