//! The footer of a Parquet file: what columns it has, and how many rows.
//!
//! [The format](https://parquet.apache.org/docs/file-format/): the metadata, its length in four bytes, little-endian, and
//! `PAR1`.

use parquet::{
    basic::{ConvertedType, LogicalType, Type as Physical},
    file::metadata::ParquetMetaDataReader,
    schema::types::ColumnDescriptor,
};
use reconcile::{InputColumn, SCALE_MAX, Type};

/// The bytes behind the metadata.
pub(crate) const TAIL_BYTES: u64 = 8;

/// The length of the metadata, from the file's last bytes; `None` where they are not a Parquet file's.
pub(crate) fn length(tail: &[u8]) -> Option<u64> {
    let (length, magic) = tail.split_first_chunk::<4>()?;
    (magic == b"PAR1").then(|| u64::from(u32::from_le_bytes(*length)))
}

/// The columns of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    /// Those that jobs can read.
    pub(crate) read: Vec<InputColumn>,
    /// The names of the others: of floating point, of bytes, or nested.
    pub(crate) unread: Vec<String>,
}

/// What a footer tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) columns: Columns,
    pub(crate) rows: u64,
}

impl Columns {
    /// Whether others are the same, in whatever order: columns are read by their names.
    pub(crate) fn are(&self, others: &Self) -> bool {
        self.read.len() == others.read.len()
            && self.unread.len() == others.unread.len()
            && self.read.iter().all(|column| others.read.contains(column))
            && self.unread.iter().all(|name| others.unread.contains(name))
    }
}

/// What the metadata tells.
pub(crate) fn read(metadata: &[u8]) -> Result<Footer, String> {
    let metadata = ParquetMetaDataReader::decode_metadata(metadata).map_err(|error| error.to_string())?;
    let rows = metadata.file_metadata().num_rows();
    let rows = u64::try_from(rows).map_err(|_| format!("it says that it has {rows} rows"))?;
    let schema = metadata.file_metadata().schema_descr();
    let mut found = Columns { read: Vec::new(), unread: Vec::new() };
    for column in schema.columns() {
        let is_plain = column.path().parts().len() == 1 && column.max_rep_level() == 0;
        let name = column.path().parts().first().cloned().unwrap_or_default();
        match kind(column).filter(|_| is_plain) {
            Some(kind) => found.read.push(InputColumn::new(name, kind)),
            // A nested column has several leaves.
            None if found.unread.last() == Some(&name) => {}
            None => found.unread.push(name),
        }
    }
    Ok(Footer { columns: found, rows })
}

fn kind(column: &ColumnDescriptor) -> Option<Type> {
    let decimal = || u8::try_from(column.type_scale()).ok().filter(|scale| *scale <= SCALE_MAX).map(Type::Decimal);
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Decimal { .. }), _) | (None, ConvertedType::DECIMAL) => decimal(),
        (Some(LogicalType::String), _) | (None, ConvertedType::UTF8) => Some(Type::Text),
        (Some(LogicalType::Date), _) | (None, ConvertedType::DATE) => Some(Type::Date),
        (Some(LogicalType::Timestamp { .. }), _)
        | (None, ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS) => Some(Type::Timestamp),
        (Some(LogicalType::Integer(int)), _) => (int.is_signed || int.bit_width < 64).then_some(Type::Integer),
        (None, ConvertedType::INT_8 | ConvertedType::INT_16 | ConvertedType::INT_32 | ConvertedType::INT_64) => {
            Some(Type::Integer)
        }
        (None, ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32) => Some(Type::Integer),
        (None, ConvertedType::NONE) => match column.physical_type() {
            Physical::BOOLEAN => Some(Type::Boolean),
            Physical::INT32 | Physical::INT64 => Some(Type::Integer),
            _ => None,
        },
        _ => None,
    }
}
