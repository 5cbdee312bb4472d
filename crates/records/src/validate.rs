//! Holds records to a schema.

use jiff::Timestamp;
use money::Amount;
use serde::{Deserialize, Serialize};

use crate::{
    dialect::Format,
    header::{Header, HeaderError},
    kind::Value,
    read::{Fault, Record, shorten},
    schema::{Broken, CompiledSchema},
};

/// The names of the rules that a record can break. They are part of reject files and do not change.
pub mod rule {
    /// The record has bytes that are no text in the declared encoding.
    pub const ENCODING: &str = "encoding";
    /// The record has a NUL byte.
    pub const NUL: &str = "nul";
    /// There is text behind a closing quote.
    pub const QUOTING: &str = "quoting";
    /// The record has more or fewer fields than the header.
    pub const FIELD_COUNT: &str = "field-count";
    /// The record is the header again.
    pub const REPEATED_HEADER: &str = "repeated-header";
    /// The cell is empty.
    pub const REQUIRED: &str = "required";
    /// The cell is not of the field's type.
    pub const TYPE: &str = "type";
    /// The cell has too few characters.
    pub const MIN_LENGTH: &str = "min-length";
    /// The cell has too many characters.
    pub const MAX_LENGTH: &str = "max-length";
    /// The value is too small, or too early.
    pub const MINIMUM: &str = "minimum";
    /// The value is too large, or too late.
    pub const MAXIMUM: &str = "maximum";
    /// The cell does not match the field's regular expression.
    pub const PATTERN: &str = "pattern";
    /// The value is not among those listed.
    pub const ENUM: &str = "enum";
}

/// The most characters of a value that a [`Violation`] shows.
pub const VALUE_CHARS_MAX: usize = 200;

/// One rule that one record breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The record's row; 1 is the first record behind the header.
    pub row: u64,
    /// Where the record begins, in bytes from the beginning of the input.
    pub byte_offset: u64,
    /// The column's name; `None` when it is about the whole record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The cell, cut to [`VALUE_CHARS_MAX`] characters; empty when it is about the whole record.
    pub value: String,
    /// The rule's name, one of [`rule`] or a caller's own.
    pub rule: String,
    /// What was expected, for a person.
    pub message: String,
}

impl Violation {
    /// A violation of a column's rule, or of a rule about the whole record.
    pub fn new(record: &Record<'_>, column: Option<&str>, value: &str, rule: &str, message: String) -> Self {
        Self {
            row: record.row(),
            byte_offset: record.offset(),
            column: column.map(str::to_owned),
            value: shorten(value, VALUE_CHARS_MAX).into_owned(),
            rule: rule.to_owned(),
            message,
        }
    }
}

/// Holds the records of one file to a schema.
#[derive(Debug, Clone)]
pub struct Validator {
    schema: CompiledSchema,
    header: Header,
    format: Format,
    /// For each field its column.
    columns: Vec<usize>,
    /// Whether a record's fields are the schema's, in its order, and none but an empty one is missing.
    as_schema: bool,
}

/// What the cells of a record hold, by field: kept from when they are checked, so that none is read twice. It is used
/// again for every record.
#[derive(Debug, Default)]
pub struct Values(Vec<Value>);

/// A record that keeps all rules, as its schema has it.
#[derive(Debug, Clone, Copy)]
pub struct Accepted<'r> {
    record: &'r Record<'r>,
    validator: &'r Validator,
}

impl Validator {
    /// Matches the columns of a file to a schema.
    ///
    /// # Errors
    ///
    /// Columns that are missing, unexpected or out of order, as the schema's `fieldsMatch` has it.
    pub fn new(schema: &CompiledSchema, header: &Header, format: &Format) -> Result<Self, HeaderError> {
        let columns = header.match_to(schema)?;
        let in_order = columns.len() == header.names().len() && columns.iter().copied().eq(0..columns.len());
        let as_schema = in_order && schema.only_empty_is_missing();
        Ok(Self { schema: schema.clone(), header: header.clone(), format: *format, columns, as_schema })
    }

    /// The schema.
    pub fn schema(&self) -> &CompiledSchema {
        &self.schema
    }

    /// Checks a record: its fields as the schema has them, or every rule that it breaks, one for a field at most.
    pub fn check<'r>(&'r self, record: &'r Record<'r>) -> Result<Accepted<'r>, Vec<Violation>> {
        self.check_all::<false>(record, &mut [Value::Text])
    }

    /// Checks a record as [`check`](Self::check) does, and keeps what its cells hold.
    pub fn check_and_keep<'r>(
        &'r self,
        record: &'r Record<'r>,
        values: &mut Values,
    ) -> Result<Accepted<'r>, Vec<Violation>> {
        values.0.resize(self.schema.fields.len(), Value::Text);
        self.check_all::<true>(record, &mut values.0)
    }

    /// Each value is written to its field's place where they are kept, and all to one place otherwise.
    #[inline]
    fn check_all<'r, const KEPT: bool>(
        &'r self,
        record: &'r Record<'r>,
        values: &mut [Value],
    ) -> Result<Accepted<'r>, Vec<Violation>> {
        if record.fault().is_some() || record.field_count() != self.header.names().len() || self.is_header(record) {
            return Err(vec![self.whole_record(record)]);
        }
        let mut violations = Vec::new();
        for (index, (field, column)) in self.schema.fields.iter().zip(&self.columns).enumerate() {
            let Some(value) = values.get_mut(if KEPT { index } else { 0 }) else { break };
            let cell = record.get(*column).unwrap_or_default();
            let checked = if self.schema.is_missing(cell) {
                *value = Value::Text;
                field.check_missing()
            } else {
                field.check(cell, value)
            };
            if let Err(Broken { rule, message }) = checked {
                violations.push(Violation::new(record, Some(&field.name), cell, rule, message));
            }
        }
        if violations.is_empty() { Ok(Accepted { record, validator: self }) } else { Err(violations) }
    }

    fn is_header(&self, record: &Record<'_>) -> bool {
        self.format.header && self.header.names().zip(record.fields()).all(|(name, cell)| name == cell)
    }

    /// What is wrong with a record as a whole.
    fn whole_record(&self, record: &Record<'_>) -> Violation {
        let (rule, message) = match record.fault() {
            Some(fault) => {
                let rule = match fault {
                    Fault::Nul => rule::NUL,
                    Fault::Encoding => rule::ENCODING,
                    Fault::Quoting { .. } => rule::QUOTING,
                };
                if let Fault::Quoting { field } = fault {
                    let column = self.header.names().nth(field);
                    let value = record.get(field).unwrap_or_default();
                    return Violation::new(record, column, value, rule, fault.describe(&self.format));
                }
                (rule, fault.describe(&self.format))
            }
            None if record.field_count() != self.header.names().len() => {
                let (expected, found) = (self.header.names().len(), record.field_count());
                (rule::FIELD_COUNT, format!("expected {expected} fields, found {found}"))
            }
            None => (rule::REPEATED_HEADER, "expected a record: this is the header again".to_owned()),
        };
        Violation::new(record, None, "", rule, message)
    }
}

impl Values {
    /// The number in a field, by its index in the schema; `None` where there is none.
    #[inline]
    pub fn number(&self, field: usize) -> Option<Amount> {
        self.0.get(field)?.number()
    }

    /// The instant that a field names: of a date its first, in UTC; `None` where there is none.
    #[inline]
    pub fn instant(&self, field: usize) -> Option<Timestamp> {
        self.0.get(field)?.instant()
    }
}

impl<'r> Accepted<'r> {
    /// The record as it was read.
    pub fn record(&self) -> &'r Record<'r> {
        self.record
    }

    /// The cell of a field, by its index in the schema; a missing value is empty.
    #[inline]
    pub fn get(&self, field: usize) -> Option<&'r str> {
        let column = self.validator.columns.get(field)?;
        self.record.get(*column).map(|cell| self.present(cell))
    }

    /// The cells of all fields, in the schema's order; missing values are empty.
    pub fn cells(&self) -> impl Iterator<Item = &'r str> + use<'r> {
        let accepted = *self;
        let cell = move |column: &usize| accepted.record.get(*column).map_or("", |cell| accepted.present(cell));
        self.validator.columns.iter().map(cell)
    }

    /// The record's text, where it is its [`cells`](Self::cells) with a comma between each two.
    #[inline]
    pub fn joined_by_commas(&self) -> Option<&'r str> {
        let Validator { format, as_schema, .. } = self.validator;
        (*as_schema && format.delimiter == b',' && self.record.is_plain()).then(|| self.record.text())
    }

    #[inline]
    fn present(&self, cell: &'r str) -> &'r str {
        if self.validator.schema.is_missing(cell) { "" } else { cell }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{descriptor::Resource, read::RecordReader};

    /// The orders of the example feed, as far as they need checking here.
    fn resource() -> Resource {
        serde_json::from_value(serde_json::json!({
            "name": "orders",
            "licenses": [{"name": "MIT"}],
            "schema": { "missingValues": ["", "n/a"], "fields": [
                {"name": "uuid", "constraints": {"required": true, "maxLength": 9}},
                {"name": "Country", "constraints": {"required": true, "maxLength": 50}},
                {"name": "Order Date", "type": "date", "format": "%m/%d/%y"},
                {"name": "Units Sold", "type": "integer"},
            ]}
        }))
        .unwrap()
    }

    type Outcome = Result<Vec<String>, Vec<Violation>>;

    fn check(resource: &Resource, file: &[u8]) -> Vec<Outcome> {
        let format = resource.format().unwrap();
        let schema = resource.schema.as_ref().unwrap().compile().unwrap();
        let end = file.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let (header, records) = file.split_at(end);
        let validator = Validator::new(&schema, &Header::parse(header, &format).unwrap(), &format).unwrap();
        let mut reader = RecordReader::new(records, &format, end as u64, 1);
        let mut outcomes = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            let checked = validator.check(&record);
            let mut values = Values::default();
            let kept = validator.check_and_keep(&record, &mut values).map(|accepted| accepted.record().row());
            assert_eq!(kept, checked.as_ref().map(|accepted| accepted.record().row()).map_err(Clone::clone));
            if let Ok(accepted) = &checked {
                for field in 0..schema.fields.len() {
                    let cell = accepted.get(field).unwrap();
                    assert_eq!(values.number(field), schema.number(field, cell), "{cell}");
                    assert_eq!(values.instant(field), schema.instant(field, cell), "{cell}");
                }
                assert!(accepted.cells().enumerate().all(|(index, cell)| accepted.get(index) == Some(cell)));
            }
            outcomes.push(checked.map(|accepted| accepted.cells().map(str::to_owned).collect()));
        }
        outcomes
    }

    fn rules(outcome: &Outcome) -> Vec<(Option<&str>, &str)> {
        let violations = outcome.as_ref().err().map(Vec::as_slice).unwrap_or_default();
        violations.iter().map(|violation| (violation.column.as_deref(), violation.rule.as_str())).collect()
    }

    const HEADER: &[u8] = b"uuid,Country,Order Date,Units Sold\r\n";

    #[test]
    fn good_records_pass_with_missing_values_empty() {
        let file = [HEADER, b"535113847,Azerbaijan,10/8/14,934\r\n874708545,\"Panama, Isthmus\",n/a,"].concat();
        let outcomes = check(&resource(), &file);
        assert_eq!(
            outcomes,
            [
                Ok(["535113847", "Azerbaijan", "10/8/14", "934"].map(str::to_owned).to_vec()),
                Ok(["874708545", "Panama, Isthmus", "", ""].map(str::to_owned).to_vec()),
            ]
        );
    }

    #[test]
    fn a_violation_says_where_what_and_why() {
        let file = [HEADER, b"535113847,,10/8/14,934\r\n5351138470,Peru,2014-10-08,many\r\n"].concat();
        let outcomes = check(&resource(), &file);
        let violations = outcomes[1].as_ref().unwrap_err();
        assert_eq!(
            violations[0],
            Violation {
                row: 2,
                byte_offset: 60,
                column: Some("uuid".to_owned()),
                value: "5351138470".to_owned(),
                rule: "max-length".to_owned(),
                message: "expected at most 9 characters, found 10".to_owned(),
            }
        );
        assert_eq!(violations[1].message, "expected a date as %m/%d/%y");
        assert_eq!(rules(&outcomes[0]), [(Some("Country"), "required")]);
        assert_eq!(
            rules(&outcomes[1]),
            [(Some("uuid"), "max-length"), (Some("Order Date"), "type"), (Some("Units Sold"), "type")]
        );
    }

    #[test]
    fn records_that_are_bad_as_a_whole() {
        let file = [
            HEADER,
            b"1,Peru,10/8/14\r\n1,Peru,10/8/14,5,\r\nuuid,Country,Order Date,Units Sold\r\n",
            b"1,Per\0u,10/8/14,5\r\n1,C\xf4te d'Ivoire,10/8/14,5\r\n1,\"Peru\" ,10/8/14,5\r\n1,Peru,10/8/14,5",
        ]
        .concat();
        let outcomes = check(&resource(), &file);
        let found: Vec<_> = outcomes.iter().map(rules).collect();
        assert_eq!(
            found,
            [
                vec![(None, "field-count")],
                vec![(None, "field-count")],
                vec![(None, "repeated-header")],
                vec![(None, "nul")],
                vec![(None, "encoding")],
                vec![(Some("Country"), "quoting")],
                vec![],
            ]
        );
        let messages: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().err())
            .map(|violations| violations[0].message.as_str())
            .collect();
        assert_eq!(messages[0], "expected 4 fields, found 3");
        assert!(messages[4].contains("the declared encoding"), "{}", messages[4]);
    }

    #[test]
    fn columns_out_of_order_come_in_the_schemas_order() {
        let mut resource = resource();
        resource.schema.as_mut().unwrap().fields_match = crate::FieldsMatch::Subset;
        let outcomes = check(&resource, b"note,Units Sold,Country,uuid,order date\nx,5,Peru,1,10/8/14\n");
        assert_eq!(outcomes, [Ok(["1", "Peru", "10/8/14", "5"].map(str::to_owned).to_vec())]);
    }

    #[test]
    fn a_long_value_is_cut_for_display() {
        let file = [HEADER, "ü".repeat(5000).as_bytes(), b",Peru,,\n"].concat();
        let outcomes = check(&resource(), &file);
        let value = &outcomes[0].as_ref().unwrap_err()[0].value;
        assert_eq!(value.chars().count(), VALUE_CHARS_MAX + 1);
        assert!(value.ends_with('…'));
    }
}
