//! Reject files: one record for each rejected record, with the reason and with the record itself.

use error_class::{Classified, ErrorClass};

use crate::{
    dialect::Format,
    read::{Record, RecordReader},
    structure::StructureError,
    validate::Violation,
    write::{LineEnd, Writer, unguard},
};

/// One line of a reject file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The first rule that the record breaks; its message tells of the others too.
    pub violation: Violation,
    /// The whole record as text, without its line end.
    pub record: String,
}

/// Writes rejects as CSV: comma, LF, UTF-8. Cells that a spreadsheet could take for formulas are guarded, and
/// [`RejectReader`] gives them back as they were.
#[derive(Debug, Clone)]
pub struct RejectWriter {
    writer: Writer,
}

/// The columns of a reject file.
pub const REJECT_COLUMNS: [&str; 7] = ["row", "byte_offset", "column", "value", "rule", "message", "record"];

impl Reject {
    /// The reject of a record for these violations; `None` when there are none.
    pub fn new(record: &Record<'_>, violations: &[Violation]) -> Option<Self> {
        let (first, others) = violations.split_first()?;
        let mut violation = first.clone();
        for other in others {
            let column = other.column.as_deref().unwrap_or("record");
            violation.message.push_str(&format!("; {column}: {}", other.message));
            if !other.value.is_empty() {
                violation.message.push_str(&format!(", found {:?}", other.value));
            }
        }
        Some(Self { violation, record: record.text().to_owned() })
    }
}

impl Default for RejectWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl RejectWriter {
    /// A writer that has written nothing.
    pub fn new() -> Self {
        let guarded = REJECT_COLUMNS.iter().map(|column| !matches!(*column, "row" | "byte_offset")).collect();
        Self { writer: Writer::new(&Format::default(), LineEnd::Lf).guarding(guarded) }
    }

    /// Writes the column names.
    pub fn write_header(&mut self) {
        self.writer.write_header(REJECT_COLUMNS);
    }

    /// Writes one reject.
    pub fn write(&mut self, reject: &Reject) {
        let Violation { row, byte_offset, column, value, rule, message } = &reject.violation;
        let (row, offset) = (row.to_string(), byte_offset.to_string());
        let column = column.as_deref().unwrap_or_default();
        self.writer.write([&row, &offset, column, value, rule, message, &reject.record]);
    }

    /// What has been written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.writer.into_bytes()
    }
}

/// A reject file that was not written by [`RejectWriter`], or was cut or changed since.
#[derive(Debug, thiserror::Error)]
pub enum RejectError {
    /// It has no records that can be told apart.
    #[error("the reject file cannot be read")]
    Structure(#[from] StructureError),
    /// One of its records is no reject.
    #[error("the reject file's record at byte {offset} is not a reject")]
    Malformed {
        /// Where the record begins, in bytes from the beginning of the reject file.
        offset: u64,
    },
}

impl Classified for RejectError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Bug
    }
}

/// Reads what [`RejectWriter`] has written, with or without the column names.
#[derive(Debug)]
pub struct RejectReader<'a> {
    records: RecordReader<'a>,
}

impl<'a> RejectReader<'a> {
    /// Reads rejects from whole records.
    pub fn new(bytes: &'a [u8]) -> Self {
        // A reject holds a whole record, with its quotes doubled: it may be longer than any record.
        let format = Format { record_bytes_max: 1 << 30, ..Format::default() };
        Self { records: RecordReader::new(bytes, &format, 0, 0) }
    }

    fn read(&mut self) -> Result<Option<Reject>, RejectError> {
        while let Some(record) = self.records.next_record()? {
            if !record.fields().eq(REJECT_COLUMNS) {
                let reject = Reject::read(&record);
                return reject.map(Some).ok_or(RejectError::Malformed { offset: record.offset() });
            }
        }
        Ok(None)
    }
}

impl Iterator for RejectReader<'_> {
    type Item = Result<Reject, RejectError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

impl Reject {
    fn read(record: &Record<'_>) -> Option<Self> {
        let cells: Vec<&str> = record.fields().collect();
        let [row, offset, column, value, rule, message, text] = cells.as_slice() else { return None };
        // NUL is a fault of the record that is quoted here, not of the reject file.
        let cell = |cell: &str| unguard(cell).to_owned();
        let violation = Violation {
            row: row.parse().ok()?,
            byte_offset: offset.parse().ok()?,
            column: (!column.is_empty()).then(|| cell(column)),
            value: cell(value),
            rule: cell(rule),
            message: cell(message),
        };
        Some(Self { violation, record: cell(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::rule;

    fn rejects(input: &[u8]) -> Vec<Reject> {
        let (mut rejects, mut reader) = (Vec::new(), RecordReader::new(input, &Format::default(), 10, 1));
        while let Some(record) = reader.next_record().unwrap() {
            let first =
                Violation::new(&record, Some("note"), record.get(1).unwrap(), rule::TYPE, "expected x".to_owned());
            let second =
                Violation::new(&record, Some("id"), record.get(0).unwrap(), rule::ENUM, "expected y".to_owned());
            rejects.push(Reject::new(&record, &[first, second]).unwrap());
        }
        rejects
    }

    #[test]
    fn rejects_are_written_and_read_back() {
        let rejects = rejects(b"1,\"=cmd|'/c calc'!A1\"\n=2,\"a \"\"b\"\"\nc\",3\nM\xfcller,\0\n");
        let mut writer = RejectWriter::new();
        writer.write_header();
        rejects.iter().for_each(|reject| writer.write(reject));
        let file = writer.into_bytes();
        let text = std::str::from_utf8(&file).unwrap();
        assert!(text.starts_with(
            "row,byte_offset,column,value,rule,message,record\n\
             1,10,note,'=cmd|'/c calc'!A1,type,\"expected x; id: expected y, found \"\"1\"\"\",\"1,\"\"=cmd|'/c calc'!A1\"\"\"\n\
             2,32,note,"
        ), "{text}");
        assert!(text.contains(",\"'=2,"), "the record itself is guarded too: {text}");
        let read: Vec<Reject> = RejectReader::new(&file).map(Result::unwrap).collect();
        assert_eq!(read, rejects);
        assert_eq!(read[2].record, "M\u{fffd}ller,\0");
    }

    #[test]
    fn what_is_no_reject_file_is_refused() {
        for file in [&b"a,b\n"[..], b"x,1,,,,,\n", b"1,1,,,,,\"open\n"] {
            assert!(RejectReader::new(file).any(|reject| reject.is_err()));
        }
        assert!(RejectReader::new(b"").next().is_none());
    }
}
