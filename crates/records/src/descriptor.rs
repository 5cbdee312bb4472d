//! The descriptors of a CSV file: Frictionless *Tabular Data Resource* and *Table Schema*.
//!
//! In a schema, a field or its constraints an unknown key is an error, because a mistyped `requried` would otherwise
//! check nothing. A resource may carry keys of its own (`licenses`, `sources`, …); they are not looked at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dialect::{Dialect, DialectError, Encoding, Format};

/// A CSV file: how it is written, and what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// A name for machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `tabular-data-resource`; not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// How bytes become text.
    #[serde(default)]
    pub encoding: Encoding,
    /// How records and fields are marked.
    #[serde(default)]
    pub dialect: Dialect,
    /// The columns; without a schema every record with the header's number of fields is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
}

impl Resource {
    /// The keys that a Tabular Data Resource has, those that are not used among them.
    pub const KEYS: [&str; 19] = [
        "$schema",
        "bytes",
        "data",
        "description",
        "dialect",
        "encoding",
        "format",
        "hash",
        "homepage",
        "licenses",
        "mediatype",
        "name",
        "path",
        "profile",
        "schema",
        "scheme",
        "sources",
        "title",
        "type",
    ];

    /// How it is to be read.
    pub fn format(&self) -> Result<Format, DialectError> {
        Format::new(&self.dialect, self.encoding)
    }
}

/// A *Table Schema*: the columns and what their cells must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Schema {
    /// The columns, in the order of the output.
    pub fields: Vec<Field>,
    /// Texts that stand for an empty cell.
    #[serde(default = "missing_values")]
    pub missing_values: Vec<String>,
    /// How the columns of a file are matched to the fields.
    #[serde(default)]
    pub fields_match: FieldsMatch,
    /// Refused when compiled: uniqueness cannot be seen in one range of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_key: Option<Value>,
    /// Refused when compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_keys: Option<Value>,
    /// Refused when compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_keys: Option<Value>,
    /// A name for machines; not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A name for people; not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What the table is; not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The profile of the descriptor; not used.
    #[serde(default, rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

fn missing_values() -> Vec<String> {
    vec![String::new()]
}

/// How the columns of a file are matched to the fields of its schema, by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FieldsMatch {
    /// The same columns in the same order.
    #[default]
    Exact,
    /// The same columns in any order.
    Equal,
    /// All fields are there, in any order; further columns are left out.
    Subset,
}

/// A column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Field {
    /// The column's name in the header.
    pub name: String,
    /// A name for people; not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is; not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What its cells are.
    #[serde(default, rename = "type")]
    pub kind: FieldType,
    /// For dates and times, how they are written: `default` (ISO 8601), or a pattern such as `%m/%d/%y`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// What its cells must be besides.
    #[serde(default)]
    pub constraints: Constraints,
    /// For numbers: the decimal sign, a point unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal_char: Option<String>,
    /// For numbers and integers: what groups digits; none unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_char: Option<String>,
    /// For numbers and integers: false when characters before and behind the digits (`$`, `%`, ` EUR`) are not part of
    /// the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bare_number: Option<bool>,
    /// For booleans: what means true; `true`, `True`, `TRUE` and `1` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub true_values: Option<Vec<String>>,
    /// For booleans: what means false; `false`, `False`, `FALSE` and `0` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub false_values: Option<Vec<String>>,
    /// An example; not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<Value>,
    /// A semantic class; not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rdf_type: Option<String>,
}

/// What the cells of a column are. The standard's other types are refused by name when the schema is compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// Text.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// An exact decimal: no exponent, no NaN, no infinity.
    Number,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// A day and a time, with or without an offset from UTC.
    DateTime,
    /// A time of day.
    Time,
    /// A year, of four digits.
    Year,
    /// Whatever it is.
    Any,
    /// A type of the standard, or of nobody, that is not checked here.
    #[serde(untagged)]
    Other(String),
}

impl FieldType {
    /// The name in descriptors.
    pub fn as_str(&self) -> &str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Time => "time",
            Self::Year => "year",
            Self::Any => "any",
            Self::Other(name) => name,
        }
    }
}

/// What the cells of a column must be besides their type. Lengths and `pattern` are about the cell's text, whatever
/// its type; an empty cell is held to `required` alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Constraints {
    /// Whether a cell may be empty.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Refused when compiled if true: uniqueness cannot be seen in one range of a file.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unique: bool,
    /// The least number of characters (Unicode scalar values).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u64>,
    /// The largest number of characters (Unicode scalar values).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// The least value: a JSON number, or text as it would stand in a cell; dates and times also in ISO 8601.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Value>,
    /// The largest value, written like `minimum`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Value>,
    /// A regular expression for the whole cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The values that a cell can have, written like `minimum`.
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Value>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A feed's descriptor can be written with an editor that knows its JSON Schema.
    #[test]
    fn the_json_schema_names_the_keys_of_the_standard() {
        let schema = serde_json::to_value(schemars::schema_for!(Resource)).unwrap();
        let text = schema.to_string();
        for key in ["quoteChar", "skipInitialSpace", "missingValues", "fieldsMatch", "decimalChar", "maxLength", "enum"]
        {
            assert!(text.contains(&format!("\"{key}\"")), "{key}: {text}");
        }
        assert_eq!(schema["$defs"]["Field"]["additionalProperties"], false);
    }

    #[test]
    fn a_resource_may_have_keys_that_are_not_ours_but_a_schema_may_not() {
        let resource = serde_json::json!({"name": "orders", "path": "orders.csv", "sources": [], "encoding": "latin1",
            "dialect": {"delimiter": ";"}, "schema": {"fields": [{"name": "id"}]}});
        let resource: Resource = serde_json::from_value(resource).unwrap();
        assert_eq!((resource.encoding, resource.dialect.delimiter.as_str()), (Encoding::Iso8859_1, ";"));
        assert!(serde_json::from_str::<Schema>(r#"{"fields": [{"name": "id", "typo": 1}]}"#).is_err());
        assert!(serde_json::from_str::<Schema>(r#"{"fields": [], "missingValue": []}"#).is_err());
    }

    /// A type that is not known is kept, so that the error can name the field: see `Schema::compile`.
    #[test]
    fn unknown_types_are_read_and_kept() {
        let field: Field = serde_json::from_str(r#"{"name": "c", "type": "geopoint"}"#).unwrap();
        assert_eq!(field.kind.as_str(), "geopoint");
        assert_eq!(serde_json::to_value(&field).unwrap()["type"], "geopoint");
    }
}
