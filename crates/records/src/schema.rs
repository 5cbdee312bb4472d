//! Schemas, checked and made ready to check cells by.

mod compile;
mod field;
#[cfg(test)]
mod kit;

use error_class::{Classified, ErrorClass};
use jiff::Timestamp;
use money::Amount;

use self::compile::compile_field;
use crate::{
    descriptor::{FieldsMatch, Schema},
    kind::Kind,
};

pub(crate) use field::{Broken, CompiledField};

/// A schema that says what cannot be done, or nothing sensible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A key of the schema itself.
    #[error("schema: {key}: {problem}")]
    Table {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A key of a field.
    #[error("schema: field {field:?}: {key}: {problem}")]
    Field {
        /// The field's name.
        field: String,
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl Classified for SchemaError {
    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidInput
    }
}

/// A schema ready to check cells by. Made by [`Schema::compile`].
#[derive(Debug, Clone)]
pub struct CompiledSchema {
    pub(crate) fields: Vec<CompiledField>,
    pub(crate) fields_match: FieldsMatch,
    missing: Missing,
}

/// What counts as empty.
#[derive(Debug, Clone)]
enum Missing {
    /// Nothing but the empty cell, which is asked for of every cell, and more than once.
    Empty,
    Texts(Vec<String>),
}

impl Schema {
    /// Checks the schema and makes it ready. The first thing wrong is the error.
    pub fn compile(&self) -> Result<CompiledSchema, SchemaError> {
        let table = |key, problem: &str| Err(SchemaError::Table { key, problem: problem.to_owned() });
        for (key, value) in
            [("primaryKey", &self.primary_key), ("uniqueKeys", &self.unique_keys), ("foreignKeys", &self.foreign_keys)]
        {
            if value.is_some() {
                return table(key, "not supported: records are checked one by one, so that a file can be of any size");
            }
        }
        if self.fields.is_empty() {
            return table("fields", "there must be at least one");
        }
        let mut fields: Vec<CompiledField> = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            if field.name.is_empty() {
                return table("fields", "a field has an empty name");
            }
            if fields.iter().any(|other| other.name == field.name) {
                return table("fields", &format!("two fields are named {:?}", field.name));
            }
            fields.push(compile_field(field).map_err(|(key, problem)| SchemaError::Field {
                field: field.name.clone(),
                key,
                problem,
            })?);
        }
        Ok(CompiledSchema { fields, fields_match: self.fields_match, missing: Missing::new(&self.missing_values) })
    }
}

impl Missing {
    fn new(texts: &[String]) -> Self {
        if let [text] = texts
            && text.is_empty()
        {
            return Self::Empty;
        }
        Self::Texts(texts.to_vec())
    }
}

impl CompiledSchema {
    /// The schema of a file that has none: the columns of its header, of any content.
    pub fn untyped<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let fields = names.into_iter().map(CompiledField::any).collect();
        Self { fields, fields_match: FieldsMatch::Exact, missing: Missing::new(&[String::new()]) }
    }

    /// The names of the fields, in order: the header of the output.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// For each field, in order, whether its cells are text, and not numbers, dates or the like.
    pub fn text_columns(&self) -> Vec<bool> {
        self.fields.iter().map(|field| matches!(field.kind, Kind::Text | Kind::Any)).collect()
    }

    /// Whether a cell counts as empty: it has one of the schema's `missingValues`.
    #[inline]
    pub fn is_missing(&self, cell: &str) -> bool {
        match &self.missing {
            Missing::Empty => cell.is_empty(),
            Missing::Texts(texts) => texts.iter().any(|text| text == cell),
        }
    }

    /// Whether nothing but an empty cell counts as empty.
    pub(crate) fn only_empty_is_missing(&self) -> bool {
        matches!(self.missing, Missing::Empty)
    }

    /// Whether the cells of a field, by its index, are numbers.
    pub fn is_number(&self, field: usize) -> bool {
        matches!(self.fields.get(field).map(|field| &field.kind), Some(Kind::Number(_)))
    }

    /// Whether the cells of a field, by its index, are numbers that are written as [`Amount`] reads them.
    pub fn is_plain_number(&self, field: usize) -> bool {
        matches!(self.fields.get(field).map(|field| &field.kind), Some(Kind::Number(format)) if format.is_plain())
    }

    /// Whether the cells of a field, by its index, say when something was: a date, or a date and a time.
    pub fn is_instant(&self, field: usize) -> bool {
        matches!(self.fields.get(field).map(|field| &field.kind), Some(Kind::Date(..) | Kind::DateTime(..)))
    }

    /// The number that a cell of a field holds, by the field's index; `None` when it is no such number.
    #[inline]
    pub fn number(&self, field: usize, cell: &str) -> Option<Amount> {
        self.fields.get(field)?.kind.value(cell)?.number()
    }

    /// The instant that a cell of a field names, by the field's index: of a date its first, in UTC.
    #[inline]
    pub fn instant(&self, field: usize, cell: &str) -> Option<Timestamp> {
        self.fields.get(field)?.kind.value(cell)?.instant()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&CompiledField> {
        self.fields.iter().find(|field| field.name == name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_are_checked_as_a_whole() {
        for (schema, says) in [
            (json!({"fields": []}), "schema: fields: there must be at least one"),
            (json!({"fields": [{"name": "a"}, {"name": "a"}]}), "schema: fields: two fields are named \"a\""),
            (json!({"fields": [{"name": ""}]}), "schema: fields: a field has an empty name"),
            (json!({"fields": [{"name": "a"}], "primaryKey": "a"}), "schema: primaryKey: not supported"),
            (json!({"fields": [{"name": "a"}], "fieldsMatch": "partial"}), "unknown variant `partial`"),
        ] {
            let compiled = serde_json::from_value::<Schema>(schema.clone()).map_err(|error| error.to_string());
            let error = compiled.and_then(|schema| schema.compile().map_err(|error| error.to_string())).unwrap_err();
            assert!(error.contains(says), "{schema}: {error}");
        }
    }

    /// A descriptor that is stored and read again is the same descriptor.
    #[test]
    fn descriptors_survive_json() {
        let json = json!({"fields": [
            {"name": "a", "type": "date", "format": "%m/%d/%y", "constraints": {"required": true, "maximum": "2020-01-01"}},
            {"name": "b", "type": "number", "groupChar": ","},
        ], "missingValues": ["", "-"], "fieldsMatch": "subset"});
        let schema: Schema = serde_json::from_value(json).unwrap();
        let again: Schema = serde_json::from_value(serde_json::to_value(&schema).unwrap()).unwrap();
        assert_eq!(again, schema);
        assert!(schema.compile().is_ok());
    }

    #[test]
    fn cells_are_read_as_their_field_writes_them() {
        let schema: Schema = serde_json::from_value(serde_json::json!({ "fields": [
            { "name": "net", "type": "number", "decimalChar": ",", "groupChar": "." },
            { "name": "day", "type": "date", "format": "%d.%m.%Y" },
            { "name": "at", "type": "datetime" },
            { "name": "note" },
        ] }))
        .unwrap();
        let schema = schema.compile().unwrap();
        assert_eq!(schema.number(0, "1.234,50"), Some("1234.50".parse().unwrap()));
        assert_eq!((schema.number(0, "1,2,3"), schema.number(3, "1"), schema.number(9, "1")), (None, None, None));
        assert_eq!(schema.instant(1, "02.05.2024"), Some("2024-05-02T00:00:00Z".parse().unwrap()));
        assert_eq!(schema.instant(2, "2024-05-02T01:00:00.5+02:00"), Some("2024-05-01T23:00:00.5Z".parse().unwrap()));
        assert_eq!((schema.instant(2, "tomorrow"), schema.instant(0, "1")), (None, None));
        let kinds: Vec<_> = (0..5).map(|field| (schema.is_number(field), schema.is_instant(field))).collect();
        assert_eq!(kinds, [(true, false), (false, true), (false, true), (false, false), (false, false)]);
    }
}
