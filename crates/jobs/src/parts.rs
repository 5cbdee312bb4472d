//! Parts of outputs, read again: how many rows they have, and the exact sums of their columns of numbers.
//!
//! It reads with other code than that which has written, and in bounded memory, whatever the length of a part.

mod csv;
mod json_lines;
mod parquet;

use std::collections::BTreeMap;

use futures::TryStreamExt;
use reconcile::{
    Format, Type,
    plan::{PlanColumn, PlanOutput},
    report::{OutputFigures, Part, Sum},
};
use storage::{Location, Objects, objects::blocks};

use self::{csv::CsvRows, json_lines::JsonRows, parquet::ParquetRows};
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
        Format::JsonLines => Box::new(JsonRows::new(columns)),
        Format::Parquet => Box::new(ParquetRows::new(columns)?),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::parquet::{
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
            let length = usize::try_from(reconcile::footer::footer_bytes(&tail).unwrap()).unwrap();
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
