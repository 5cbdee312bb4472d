//! What the footer of a Parquet file tells: its columns, its rows, and how much of it is read at once.

use std::collections::BTreeMap;

use parquet::{
    basic::{ConvertedType, LogicalType, Type as Physical},
    file::metadata::ParquetMetaDataReader,
    schema::types::ColumnDescriptor,
};
use reconcile::{InputColumn, SCALE_MAX, Type};

/// A page of values, and one of the column's dictionary, as programs write them at most.
const PAGES_BYTES: u64 = 4 << 20;

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
    /// Of each column the most bytes that are in memory while a row group is read: its chunk as it is stored, and what is
    /// unpacked of it at a time.
    pub(crate) held: BTreeMap<String, u64>,
}

impl Footer {
    /// What is held of each column where files are read one behind the other.
    pub(crate) fn hold(&mut self, other: &BTreeMap<String, u64>) {
        for (column, bytes) in other {
            let most = self.held.entry(column.clone()).or_default();
            *most = (*most).max(*bytes);
        }
    }
}

impl Columns {
    /// A column that others have not, or otherwise, or have more than these; in whatever order: columns are read by their names.
    pub(crate) fn differing<'c>(&'c self, others: &'c Self) -> Option<&'c str> {
        let missing = |one: &'c Self, other: &Self| {
            let read = one.read.iter().find(|column| !other.read.contains(column)).map(|column| column.name.as_str());
            read.or_else(|| one.unread.iter().find(|name| !other.unread.contains(name)).map(String::as_str))
        };
        missing(self, others).or_else(|| missing(others, self))
    }
}

/// Whether a column can be read as of a type, its values being of another: by the table of `docs/reconcile.md`, which both
/// engines follow. A value that does not fit is an error of its row.
pub(crate) const fn is_read_as(found: Type, wanted: Type) -> bool {
    match found {
        Type::Text => true,
        Type::Integer | Type::Decimal(_) => wanted.is_number(),
        Type::Date => matches!(wanted, Type::Date | Type::Timestamp),
        Type::Timestamp => matches!(wanted, Type::Timestamp),
        Type::Boolean => matches!(wanted, Type::Boolean),
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
    let mut footer = Footer { columns: found, rows, held: BTreeMap::new() };
    for group in metadata.row_groups() {
        let mut held: BTreeMap<String, u64> = BTreeMap::new();
        for chunk in group.columns() {
            let name = chunk.column_path().parts().first().cloned().unwrap_or_default();
            let bytes = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
            let unpacked = bytes(chunk.uncompressed_size()).min(PAGES_BYTES);
            let column = held.entry(name).or_default();
            *column = column.saturating_add(bytes(chunk.compressed_size()).saturating_add(unpacked));
        }
        footer.hold(&held);
    }
    Ok(footer)
}

/// The most digits of a decimal that both engines read.
const DIGITS_MAX: i32 = 38;

fn kind(column: &ColumnDescriptor) -> Option<Type> {
    let decimal = || {
        let scale = u8::try_from(column.type_scale()).ok().filter(|scale| *scale <= SCALE_MAX);
        scale.filter(|_| column.type_precision() <= DIGITS_MAX).map(Type::Decimal)
    };
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::{file::writer::SerializedFileWriter, schema::parser::parse_message_type};
    use reconcile::footer::{TAIL_BYTES, footer_bytes};

    use super::*;

    /// The columns of a file without rows.
    fn columns_of(fields: &str) -> Columns {
        let schema = Arc::new(parse_message_type(&format!("message m {{ {fields} }}")).unwrap());
        let mut bytes = Vec::new();
        SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap().close().unwrap();
        let end = bytes.len() - usize::try_from(TAIL_BYTES).unwrap();
        let length = usize::try_from(footer_bytes(&bytes[end..]).unwrap()).unwrap();
        read(&bytes[end - length..end]).unwrap().columns
    }

    #[test]
    fn a_type_is_known_however_it_is_stored() {
        for (field, kind) in [
            ("int32 x", Some(Type::Integer)),
            ("int64 x (INTEGER(64,true))", Some(Type::Integer)),
            ("int32 x (INTEGER(32,false))", Some(Type::Integer)),
            ("int64 x (INTEGER(64,false))", None),
            ("int32 x (DECIMAL(9,2))", Some(Type::Decimal(2))),
            ("int64 x (DECIMAL(18,2))", Some(Type::Decimal(2))),
            ("binary x (DECIMAL(38,20))", Some(Type::Decimal(20))),
            ("fixed_len_byte_array (16) x (DECIMAL(38,21))", None),
            ("fixed_len_byte_array (17) x (DECIMAL(39,2))", None),
            ("int32 x (DATE)", Some(Type::Date)),
            ("int64 x (TIMESTAMP(NANOS,false))", Some(Type::Timestamp)),
            ("int64 x (TIMESTAMP_MILLIS)", Some(Type::Timestamp)),
            ("int64 x (TIME(MICROS,true))", None),
            ("int96 x", None),
            ("binary x (STRING)", Some(Type::Text)),
            ("binary x", None),
            ("boolean x", Some(Type::Boolean)),
            ("double x", None),
        ] {
            let found = columns_of(&format!("OPTIONAL {field};"));
            let read = kind.map(|kind| InputColumn::new("x".to_owned(), kind));
            assert_eq!(found.read, read.into_iter().collect::<Vec<_>>(), "{field}");
            assert_eq!(found.unread.is_empty(), kind.is_some(), "{field}");
        }
        assert_eq!(columns_of("REPEATED int32 x; OPTIONAL group y { OPTIONAL int32 z; }").unread, ["x", "y"]);
    }

    #[test]
    fn the_column_that_differs_is_told() {
        let one = columns_of("OPTIONAL int32 x; OPTIONAL int32 y (DECIMAL(9,2)); OPTIONAL double z;");
        for (fields, differing) in [
            ("OPTIONAL double z; OPTIONAL int64 y (DECIMAL(18,2)); OPTIONAL int64 x;", None),
            ("OPTIONAL int32 x; OPTIONAL int32 y (DECIMAL(9,3)); OPTIONAL double z;", Some("y")),
            ("OPTIONAL int32 x; OPTIONAL int32 y (DECIMAL(9,2));", Some("z")),
            ("OPTIONAL int32 x; OPTIONAL int32 y (DECIMAL(9,2)); OPTIONAL double z; OPTIONAL int32 w;", Some("w")),
        ] {
            assert_eq!(one.differing(&columns_of(fields)), differing, "{fields}");
        }
    }
}
