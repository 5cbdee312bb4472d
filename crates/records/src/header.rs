//! Column names, and how they are matched to a schema.

use error_class::{Classified, ErrorClass};

use crate::{
    descriptor::FieldsMatch,
    dialect::Format,
    read::{Fault, RecordReader},
    schema::CompiledSchema,
    structure::StructureError,
};

/// The column names of a file, each of them different and none empty. Spaces around a name are part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    names: Vec<String>,
    case_sensitive: bool,
}

/// A header that cannot be used, or does not match the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The input has no record at all.
    #[error("the file is empty: expected a header")]
    Absent,
    /// It is no record.
    #[error("the header cannot be read")]
    Structure(#[from] StructureError),
    /// Its bytes are at fault.
    #[error("the header cannot be read: {0}")]
    Fault(String),
    /// A column without a name.
    #[error("column {position} of the header has no name")]
    EmptyName {
        /// The column's number, from 1.
        position: usize,
    },
    /// Two columns of one name.
    #[error("columns {first} and {second} of the header are both named {name:?}{}", but_for_case(name, before))]
    Duplicate {
        /// The second column's name.
        name: String,
        /// The first column's: it may differ in case.
        before: String,
        /// The first column's number, from 1.
        first: usize,
        /// The second column's number, from 1.
        second: usize,
    },
    /// Columns that the schema has and the file has not, and the other way round.
    #[error("the header does not match the schema: {}", mismatch(missing, unexpected, found))]
    Mismatch {
        /// Names that are in the schema only.
        missing: Vec<String>,
        /// Names that are in the file only, where the file may have no others.
        unexpected: Vec<String>,
        /// The names that the file has.
        found: Vec<String>,
    },
    /// All columns are there, but not in the schema's order.
    #[error("column {position} of the header is {found:?}: expected {expected:?}")]
    WrongOrder {
        /// The first such column's number, from 1.
        position: usize,
        /// Its name.
        found: String,
        /// The name that the schema has there.
        expected: String,
    },
}

/// The most names of a file that are told.
const NAMES_TOLD: usize = 50;

/// Names that differ in case are one unless the dialect says otherwise.
fn but_for_case(name: &str, before: &str) -> String {
    if name == before {
        return String::new();
    }
    format!(", but for case ({before:?}): set `caseSensitiveHeader` to tell them apart")
}

fn mismatch(missing: &[String], unexpected: &[String], found: &[String]) -> String {
    let list = |what: &str, names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        format!("{what} {}", names.join(", "))
    };
    // Which of its columns is meant by a name that is missing is seen in the file's own.
    let told = found.get(..NAMES_TOLD).unwrap_or(found);
    let more = if told.len() < found.len() { ", …" } else { "" };
    let has = list("the file has", told) + more;
    match (missing, unexpected) {
        (missing, []) => format!("{}; {has}", list("missing", missing)),
        ([], unexpected) => list("unexpected", unexpected),
        (missing, unexpected) => format!("{}; {}; {has}", list("missing", missing), list("unexpected", unexpected)),
    }
}

impl Classified for HeaderError {
    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidInput
    }
}

impl Header {
    /// Reads the header from its bytes, as [`Split::header`](crate::Split) tells where they are, and checks its names.
    pub fn parse(bytes: &[u8], format: &Format) -> Result<Self, HeaderError> {
        let mut reader = RecordReader::new(bytes, format, 0, 0);
        let record = reader.next_record()?.ok_or(HeaderError::Absent)?;
        if let Some(fault) = record.fault() {
            return Err(HeaderError::Fault(fault.describe(format)));
        }
        Self::new(record.fields(), format)
    }

    /// The header of a file that has none: its columns are the schema's fields, in order.
    pub fn of_schema(schema: &CompiledSchema) -> Self {
        Self { names: schema.names().map(str::to_owned).collect(), case_sensitive: true }
    }

    /// The header of these names, checked.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>, format: &Format) -> Result<Self, HeaderError> {
        let mut header = Self { names: Vec::new(), case_sensitive: format.case_sensitive_header };
        for (index, name) in names.into_iter().enumerate() {
            if name.is_empty() {
                return Err(HeaderError::EmptyName { position: index + 1 });
            }
            if let Some(first) = header.position(name) {
                let before = header.names.get(first).cloned().unwrap_or_default();
                let (name, first, second) = (name.to_owned(), first + 1, index + 1);
                return Err(HeaderError::Duplicate { name, before, first, second });
            }
            header.names.push(name.to_owned());
        }
        Ok(header)
    }

    /// The names, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The index of the column of that name. Case matters only where the dialect's `caseSensitiveHeader` says so.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| self.same(other, name))
    }

    /// For each field of the schema the index of its column.
    pub(crate) fn match_to(&self, schema: &CompiledSchema) -> Result<Vec<usize>, HeaderError> {
        let names: Vec<&str> = schema.names().collect();
        self.match_names(&names, schema.fields_match)
    }

    /// For each of these names the index of its column.
    pub fn match_names(&self, names: &[&str], fields_match: FieldsMatch) -> Result<Vec<usize>, HeaderError> {
        let positions: Vec<Option<usize>> = names.iter().map(|name| self.position(name)).collect();
        let missing = names.iter().zip(&positions).filter(|(_, position)| position.is_none());
        let missing: Vec<String> = missing.map(|(name, _)| (*name).to_owned()).collect();
        let unexpected: Vec<String> = match fields_match {
            FieldsMatch::Subset => Vec::new(),
            FieldsMatch::Exact | FieldsMatch::Equal => self
                .names()
                .filter(|name| !names.iter().any(|field| self.same(field, name)))
                .map(str::to_owned)
                .collect(),
        };
        if !missing.is_empty() || !unexpected.is_empty() {
            let found = self.names().map(str::to_owned).collect();
            return Err(HeaderError::Mismatch { missing, unexpected, found });
        }
        let positions: Vec<usize> = positions.into_iter().flatten().collect();
        if fields_match == FieldsMatch::Exact
            && let Some((index, (found, expected))) =
                self.names().zip(names).enumerate().find(|(_, (found, expected))| !self.same(found, expected))
        {
            let (found, expected) = (found.to_owned(), (*expected).to_owned());
            return Err(HeaderError::WrongOrder { position: index + 1, found, expected });
        }
        Ok(positions)
    }

    fn same(&self, left: &str, right: &str) -> bool {
        left == right || (!self.case_sensitive && left.to_lowercase() == right.to_lowercase())
    }
}

impl Fault {
    /// What was expected instead, for a person.
    pub fn describe(self, format: &Format) -> String {
        match self {
            Self::Nul => "expected text: there is a NUL byte".to_owned(),
            Self::Encoding => {
                format!(
                    "expected text in {}: there are bytes that are none (see the declared encoding)",
                    format.encoding
                )
            }
            Self::Quoting { field } => {
                format!("expected a delimiter or the record's end behind the closing quote of field {}", field + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::Schema;

    fn header(line: &str) -> Result<Header, HeaderError> {
        Header::parse(line.as_bytes(), &Format::default())
    }

    fn schema(names: &[&str], fields_match: &str) -> CompiledSchema {
        let fields: Vec<_> = names.iter().map(|name| serde_json::json!({ "name": name })).collect();
        let json = serde_json::json!({ "fields": fields, "fieldsMatch": fields_match });
        serde_json::from_value::<Schema>(json).unwrap().compile().unwrap()
    }

    #[test]
    fn names_are_checked() {
        let names: Vec<_> = header("id,\"Item, Type\"\r\n").unwrap().names().map(str::to_owned).collect();
        assert_eq!(names, ["id", "Item, Type"]);
        for (line, says) in [
            ("", "the file is empty: expected a header"),
            ("\r\n\n", "the file is empty: expected a header"),
            ("id,,b", "column 2 of the header has no name"),
            (
                "id,b,ID",
                "columns 1 and 3 of the header are both named \"ID\", but for case (\"id\"): set `caseSensitiveHeader` to tell them apart",
            ),
            ("id,b,id", "columns 1 and 3 of the header are both named \"id\""),
            ("id\0,b", "the header cannot be read: expected text: there is a NUL byte"),
            ("\"id\"x,b", "closing quote of field 1"),
        ] {
            let error = header(line).unwrap_err().to_string();
            assert!(error.contains(says), "{line:?}: {error}");
        }
        let error = header("id,\"b").unwrap_err();
        assert_eq!(
            error_class::chain(&error),
            "the header cannot be read: row 0, at byte 0, opens a quote that is not closed before the end of the file"
        );
        let error = Header::parse(b"Stra\xdfe\n", &Format::default()).unwrap_err().to_string();
        assert!(error.contains("encoding"), "{error}");
    }

    #[test]
    fn columns_match_as_the_schema_says() {
        for (fields_match, line, expected) in [
            ("exact", "a,b,c", Ok(vec![0, 1, 2])),
            ("exact", "A,b,C", Ok(vec![0, 1, 2])),
            ("exact", "a,c,b", Err("column 2 of the header is \"c\": expected \"b\"")),
            ("exact", "a,b", Err("the header does not match the schema: missing \"c\"; the file has \"a\", \"b\"")),
            ("exact", "a,b,c,d", Err("the header does not match the schema: unexpected \"d\"")),
            (
                "exact",
                "a,b, c",
                Err(
                    "the header does not match the schema: missing \"c\"; unexpected \" c\"; the file has \"a\", \"b\", \" c\"",
                ),
            ),
            ("equal", "c,a,b", Ok(vec![1, 2, 0])),
            ("equal", "c,a,b,d", Err("the header does not match the schema: unexpected \"d\"")),
            ("subset", "c,x,a,b", Ok(vec![2, 3, 0])),
            (
                "subset",
                "c,x,a",
                Err("the header does not match the schema: missing \"b\"; the file has \"c\", \"x\", \"a\""),
            ),
        ] {
            let matched = header(line).unwrap().match_to(&schema(&["a", "b", "c"], fields_match));
            let matched = matched.map_err(|error| error.to_string());
            assert_eq!(matched, expected.map_err(str::to_owned), "{fields_match} {line}");
        }
    }

    #[test]
    fn case_matters_where_the_dialect_says_so() {
        let format = Format { case_sensitive_header: true, ..Format::default() };
        let header = Header::parse(b"id,ID\n", &format).unwrap();
        assert_eq!(header.position("ID"), Some(1));
        assert!(header.match_to(&schema(&["id", "Id"], "equal")).is_err());
    }
}
