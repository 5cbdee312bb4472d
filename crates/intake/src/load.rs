//! Loading a reference table from a CSV file.

use std::collections::{HashMap, hash_map::Entry};

use error_class::{Classified, ErrorClass};
use records::{Format, Header, HeaderError, RecordReader, StructureError};
use storage::Clock;

use crate::{
    error::IntakeError,
    layout::is_name,
    reference::{KEY_BYTES_MAX, References, Row, is_key},
};

/// A load: which table, from which column, of which tenant.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The table's name.
    pub table: &'a str,
    /// The column that rows are found by.
    pub key_column: &'a str,
}

/// Why a file cannot be loaded. Unless it is [`LoadError::Intake`], nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The table's name is none.
    #[error("{0:?} is no name of a table: lower-case letters, digits, '-', '_' and '.'")]
    Name(String),
    /// It has no records that can be told apart.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// Its header cannot be read.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// It lacks the key column.
    #[error("there is no column {column:?} to take keys from: the file has {}", columns.join(", "))]
    NoKeyColumn {
        /// The column that was asked for.
        column: String,
        /// The columns that there are.
        columns: Vec<String>,
    },
    /// A row is no row.
    #[error("row {row}: {problem}")]
    Row {
        /// Its number; the first behind the header is row 1.
        row: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// Two rows have one key.
    #[error("rows {first} and {second} both have the key {key:?}: a key must find one row")]
    DoubleKey {
        /// The key.
        key: String,
        /// The first row.
        first: u64,
        /// The second row.
        second: u64,
    },
    /// A store failed; the rows of the file may be written in part. Loading again completes them.
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

impl Classified for LoadError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Intake(error) => error.class(),
            _ => ErrorClass::InvalidInput,
        }
    }
}

/// Rows written in one call of the port.
const ROWS_A_CALL: usize = 1_000;

impl References {
    /// Loads all rows of a CSV file (UTF-8, comma, with a header), in place of those with the same keys; rows with
    /// other keys stay. The whole file is checked before the first row is written. Tells `progress` how many rows are
    /// written, and returns how many that were in the end.
    pub async fn load(
        &self,
        load: Load<'_>,
        csv: &[u8],
        clock: &dyn Clock,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, LoadError> {
        if !is_name(load.table) {
            return Err(LoadError::Name(load.table.to_owned()));
        }
        let (columns, rows) = read(csv, load.key_column)?;
        self.loading(load).await?;
        let mut written = 0;
        let mut rows = rows.into_iter();
        loop {
            let some: Vec<KeyedRow> = rows.by_ref().take(ROWS_A_CALL).collect();
            if some.is_empty() {
                break;
            }
            written += some.len() as u64;
            self.put_rows(load.tenant, load.table, some).await?;
            progress(written);
        }
        self.loaded(load, &columns, written, clock).await?;
        Ok(written)
    }
}

/// A row and its key.
type KeyedRow = (String, Row);

/// The columns and rows of a file, all of them checked.
fn read(csv: &[u8], key_column: &str) -> Result<(Vec<String>, Vec<KeyedRow>), LoadError> {
    let format = Format::default();
    let csv = csv.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(csv);
    let mut reader = RecordReader::new(csv, &format, 0, 0);
    let header = match reader.next_record()? {
        Some(record) => Header::new(record.fields(), &format)?,
        None => return Err(HeaderError::Absent.into()),
    };
    let columns: Vec<String> = header.names().map(str::to_owned).collect();
    let Some(key_index) = header.position(key_column) else {
        return Err(LoadError::NoKeyColumn { column: key_column.to_owned(), columns });
    };
    let mut rows = Vec::new();
    let mut seen: HashMap<String, u64> = HashMap::new();
    while let Some(record) = reader.next_record()? {
        let row = record.row();
        let wrong = |problem: String| LoadError::Row { row, problem };
        if let Some(fault) = record.fault() {
            return Err(wrong(fault.describe(&format)));
        }
        if record.field_count() != columns.len() {
            return Err(wrong(format!("expected {} fields, found {}", columns.len(), record.field_count())));
        }
        let key = record.get(key_index).unwrap_or_default().to_owned();
        if !is_key(&key) {
            return Err(wrong(format!("the key is {} bytes long; it must be from 1 to {KEY_BYTES_MAX}", key.len())));
        }
        match seen.entry(key.clone()) {
            Entry::Occupied(first) => return Err(LoadError::DoubleKey { key, first: *first.get(), second: row }),
            Entry::Vacant(free) => free.insert(row),
        };
        rows.push((key, columns.iter().cloned().zip(record.fields().map(str::to_owned)).collect()));
    }
    Ok((columns, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(csv: &str) -> String {
        read(csv.as_bytes(), "id").unwrap_err().to_string()
    }

    #[test]
    fn rows_are_read_by_column() {
        let (columns, rows) = read(b"\xEF\xBB\xBFid,price\r\na,1.50\r\nb,\"2,50\"\r\n", "id").unwrap();
        assert_eq!(columns, ["id", "price"]);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1].0, "b");
        assert_eq!(rows[1].1["price"], "2,50");
    }

    #[test]
    fn what_is_wrong_names_row_and_key() {
        assert_eq!(
            problem("id,price\na,1\nb,2\na,3\n"),
            "rows 1 and 3 both have the key \"a\": a key must find one row"
        );
        assert_eq!(problem("id,price\na\n"), "row 1: expected 2 fields, found 1");
        assert_eq!(problem("id,price\n,1\n"), "row 1: the key is 0 bytes long; it must be from 1 to 1024");
        assert_eq!(problem("key,price\na,1\n"), "there is no column \"id\" to take keys from: the file has key, price");
        assert_eq!(problem(""), "the file is empty: expected a header");
        assert!(problem("id,price\n\"a,1\n").contains("quote"), "an open quote is told");
    }
}
