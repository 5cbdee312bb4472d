//! Schemas, checked and made ready to check cells by.

use error_class::{Classified, ErrorClass};
use jiff::Timestamp;
use money::Amount;
use regex::Regex;
use serde_json::Value as Json;

use crate::{
    descriptor::{Constraints, Field, FieldType, FieldsMatch, Schema},
    kind::{Kind, Value, json_text, order},
    number::NumberFormat,
    temporal::TemporalFormat,
    validate::rule,
};

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

/// A field ready to check cells by.
#[derive(Debug, Clone)]
pub(crate) struct CompiledField {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    required: bool,
    min_length: Option<usize>,
    max_length: Option<usize>,
    minimum: Option<Bound>,
    maximum: Option<Bound>,
    pattern: Option<(Regex, String)>,
    values: Option<(Allowed, String)>,
}

/// The values of an `enum`, sorted to be searched.
#[derive(Debug, Clone)]
enum Allowed {
    Texts(Vec<String>),
    Values(Vec<Value>),
}

#[derive(Debug, Clone)]
struct Bound {
    value: Value,
    /// As the descriptor has it.
    text: String,
}

/// A cell that breaks a rule.
pub(crate) struct Broken {
    pub(crate) rule: &'static str,
    pub(crate) message: String,
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

type Problem = (&'static str, String);

fn compile_field(field: &Field) -> Result<CompiledField, Problem> {
    let constraints = &field.constraints;
    if constraints.unique {
        let problem = "not supported: records are checked one by one, so that a file can be of any size";
        return Err(("unique", problem.to_owned()));
    }
    let kind = compile_kind(field)?;
    let length = |length: Option<u64>| length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let (min_length, max_length) = (length(constraints.min_length), length(constraints.max_length));
    if min_length > max_length && max_length.is_some() {
        return Err(("maxLength", "is less than minLength".to_owned()));
    }
    let minimum = compile_bound(&kind, "minimum", constraints.minimum.as_ref())?;
    let maximum = compile_bound(&kind, "maximum", constraints.maximum.as_ref())?;
    if let (Some(minimum), Some(maximum)) = (&minimum, &maximum)
        && minimum.value > maximum.value
    {
        return Err(("maximum", "is less than minimum".to_owned()));
    }
    Ok(CompiledField {
        name: field.name.clone(),
        required: constraints.required,
        min_length,
        max_length,
        minimum,
        maximum,
        pattern: compile_pattern(constraints)?,
        values: compile_values(&kind, constraints)?,
        kind,
    })
}

fn compile_kind(field: &Field) -> Result<Kind, Problem> {
    let kind = match &field.kind {
        FieldType::String => Kind::Text,
        FieldType::Any => Kind::Any,
        FieldType::Integer => Kind::Number(number_format(field, true)?),
        FieldType::Number => Kind::Number(number_format(field, false)?),
        FieldType::Boolean => {
            let texts = |given: &Option<Vec<String>>, default: [&str; 4]| {
                given.clone().unwrap_or_else(|| default.map(str::to_owned).to_vec())
            };
            let yes = texts(&field.true_values, ["true", "True", "TRUE", "1"]);
            let no = texts(&field.false_values, ["false", "False", "FALSE", "0"]);
            if let Some(both) = yes.iter().find(|value| no.contains(value)) {
                return Err(("trueValues", format!("{both:?} is among the falseValues too")));
            }
            Kind::Boolean { yes, no }
        }
        FieldType::Date => {
            let (format, name) = temporal_format(field, TemporalFormat::iso_date(), "YYYY-MM-DD")?;
            if !format.has_date() {
                return Err(("format", format!("{name:?} does not say year, month and day")));
            }
            Kind::Date(format, name)
        }
        FieldType::DateTime => {
            let (format, name) = temporal_format(field, TemporalFormat::iso_date_time(), "YYYY-MM-DDThh:mm:ssZ")?;
            if !format.has_date() || !format.has_time() {
                return Err(("format", format!("{name:?} does not say year, month, day and hour")));
            }
            Kind::DateTime(format, name)
        }
        FieldType::Time => {
            let (format, name) = temporal_format(field, TemporalFormat::iso_time(), "hh:mm:ss")?;
            if !format.has_time() {
                return Err(("format", format!("{name:?} does not say the hour")));
            }
            Kind::Time(format, name)
        }
        FieldType::Year => Kind::Year,
        FieldType::Other(name) => {
            let known = "string, integer, number, boolean, date, datetime, time, year or any";
            return Err(("type", format!("{name:?} is not supported: expected {known}")));
        }
    };
    refuse_foreign_keys(field, &kind)?;
    Ok(kind)
}

/// Keys that belong to another type would check nothing.
fn refuse_foreign_keys(field: &Field, kind: &Kind) -> Result<(), Problem> {
    let number = matches!(kind, Kind::Number(_));
    let boolean = matches!(kind, Kind::Boolean { .. });
    let temporal = matches!(kind, Kind::Date(..) | Kind::DateTime(..) | Kind::Time(..));
    let format = field.format.as_deref().is_some_and(|format| format != "default");
    for (key, misplaced, instead) in [
        ("decimalChar", field.decimal_char.is_some() && !number, "is for numbers"),
        ("groupChar", field.group_char.is_some() && !number, "is for numbers and integers"),
        ("bareNumber", field.bare_number.is_some() && !number, "is for numbers and integers"),
        ("trueValues", field.true_values.is_some() && !boolean, "is for booleans"),
        ("falseValues", field.false_values.is_some() && !boolean, "is for booleans"),
        ("format", format && !temporal, "is for dates and times; a pattern can say what a text looks like"),
    ] {
        if misplaced {
            return Err((key, instead.to_owned()));
        }
    }
    Ok(())
}

fn number_format(field: &Field, whole: bool) -> Result<NumberFormat, Problem> {
    let character = |key: &'static str, text: &Option<String>| match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) if !char.is_ascii_digit() && !matches!(char, '-' | '+') => Ok(Some(char)),
                _ => Err((key, format!("is {text:?}: expected one character that is neither digit nor sign"))),
            }
        }
    };
    let decimal_char = character("decimalChar", &field.decimal_char)?.unwrap_or('.');
    let group_char = character("groupChar", &field.group_char)?;
    if group_char == Some(decimal_char) {
        return Err(("groupChar", "is the decimalChar too".to_owned()));
    }
    Ok(NumberFormat { decimal_char, group_char, bare: field.bare_number.unwrap_or(true), whole })
}

fn temporal_format(field: &Field, iso: TemporalFormat, name: &str) -> Result<(TemporalFormat, String), Problem> {
    match field.format.as_deref() {
        None | Some("default") => Ok((iso, name.to_owned())),
        Some("any") => {
            Err(("format", "\"any\" would guess: say how the dates are written, such as \"%m/%d/%y\"".to_owned()))
        }
        Some(pattern) => match TemporalFormat::compile(pattern) {
            Ok(format) => Ok((format, pattern.to_owned())),
            Err(directive) => Err(("format", format!("{directive} in {pattern:?} is not supported"))),
        },
    }
}

fn compile_bound(kind: &Kind, key: &'static str, json: Option<&Json>) -> Result<Option<Bound>, Problem> {
    let Some(json) = json else { return Ok(None) };
    if matches!(kind, Kind::Any | Kind::Text | Kind::Boolean { .. }) {
        return Err((key, "is for numbers, dates, times and years".to_owned()));
    }
    let value = kind.constant(json).ok_or_else(|| (key, format!("{json} is not {}", kind.expected())))?;
    Ok(Some(Bound { value, text: json_text(json) }))
}

fn compile_pattern(constraints: &Constraints) -> Result<Option<(Regex, String)>, Problem> {
    let Some(pattern) = &constraints.pattern else { return Ok(None) };
    // Alone first: only then do the anchors hold for all of it.
    let compiled = Regex::new(pattern).and_then(|_| Regex::new(&format!("^(?:{pattern})$")));
    match compiled {
        Ok(regex) => Ok(Some((regex, pattern.clone()))),
        Err(error) => Err(("pattern", error.to_string())),
    }
}

fn compile_values(kind: &Kind, constraints: &Constraints) -> Result<Option<(Allowed, String)>, Problem> {
    let Some(listed) = &constraints.values else { return Ok(None) };
    if listed.is_empty() {
        return Err(("enum", "there must be at least one value".to_owned()));
    }
    let allowed = if matches!(kind, Kind::Any | Kind::Text) {
        let mut texts: Vec<String> = listed.iter().map(json_text).collect();
        texts.sort();
        Allowed::Texts(texts)
    } else {
        let mut values = Vec::with_capacity(listed.len());
        for json in listed {
            let value = kind.constant(json);
            values.push(value.ok_or_else(|| ("enum", format!("{json} is not {}", kind.expected())))?);
        }
        values.sort_by(order);
        Allowed::Values(values)
    };
    let names: Vec<String> = listed.iter().take(20).map(json_text).collect();
    let more = if listed.len() > 20 { ", …" } else { "" };
    Ok(Some((allowed, format!("{}{more}", names.join(", ")))))
}

impl Allowed {
    fn has(&self, value: &Value, cell: &str) -> bool {
        match self {
            Self::Texts(texts) => texts.binary_search_by(|text| text.as_str().cmp(cell)).is_ok(),
            Self::Values(values) => values.binary_search_by(|listed| order(listed, value)).is_ok(),
        }
    }
}

impl CompiledField {
    fn any(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Any,
            required: false,
            min_length: None,
            max_length: None,
            minimum: None,
            maximum: None,
            pattern: None,
            values: None,
        }
    }

    /// Holds an empty cell to the field.
    pub(crate) fn check_missing(&self) -> Result<(), Broken> {
        if self.required { broken(rule::REQUIRED, || "expected a value: the cell is empty".to_owned()) } else { Ok(()) }
    }

    /// Holds a cell that is not empty to the field, and writes its value to `value`.
    #[inline]
    pub(crate) fn check(&self, cell: &str, value: &mut Value) -> Result<(), Broken> {
        self.check_length(cell)?;
        if !self.kind.read(cell, value) {
            return broken(rule::TYPE, || format!("expected {}", self.kind.expected()));
        }
        if let Some(minimum) = &self.minimum
            && *value < minimum.value
        {
            return broken(rule::MINIMUM, || format!("expected {} or more", minimum.text));
        }
        if let Some(maximum) = &self.maximum
            && *value > maximum.value
        {
            return broken(rule::MAXIMUM, || format!("expected {} or less", maximum.text));
        }
        if let Some((regex, pattern)) = &self.pattern
            && !regex.is_match(cell)
        {
            return broken(rule::PATTERN, || format!("expected text like {pattern}"));
        }
        if let Some((values, names)) = &self.values
            && !values.has(value, cell)
        {
            return broken(rule::ENUM, || format!("expected one of {names}"));
        }
        Ok(())
    }

    #[inline]
    fn check_length(&self, cell: &str) -> Result<(), Broken> {
        // A character has one byte or more: most cells need no counting.
        if let Some(most) = self.max_length
            && cell.len() > most
        {
            let length = cell.chars().count();
            if length > most {
                return broken(rule::MAX_LENGTH, || format!("expected at most {most} characters, found {length}"));
            }
        }
        if let Some(least) = self.min_length {
            let length = cell.chars().count();
            if length < least {
                return broken(rule::MIN_LENGTH, || format!("expected at least {least} characters, found {length}"));
            }
        }
        Ok(())
    }
}

#[cold]
fn broken<T>(rule: &'static str, message: impl FnOnce() -> String) -> Result<T, Broken> {
    Err(Broken { rule, message: message() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compile(field: Json) -> Result<CompiledField, String> {
        let schema: Schema = serde_json::from_value(json!({ "fields": [field] })).map_err(|error| error.to_string())?;
        let compiled = schema.compile().map_err(|error| error.to_string())?;
        Ok(compiled.fields.into_iter().next().unwrap())
    }

    /// The rule that a cell breaks, or `ok`.
    fn verdict(field: &CompiledField, cell: &str) -> &'static str {
        field.check(cell, &mut Value::Text).map_or_else(|broken| broken.rule, |()| "ok")
    }

    #[test]
    fn cells_are_held_to_type_and_constraints() {
        for (field, cells) in [
            (
                json!({"constraints": {"maxLength": 3, "minLength": 2}}),
                vec![("äöü", "ok"), ("abcd", "max-length"), ("ä", "min-length")],
            ),
            (
                json!({"constraints": {"pattern": "[A-Z]{2}|x"}}),
                vec![("AB", "ok"), ("x", "ok"), ("ABx", "pattern"), ("AB\n", "pattern")],
            ),
            (json!({"constraints": {"enum": ["H", "L", "C"]}}), vec![("H", "ok"), ("h", "enum"), ("HL", "enum")]),
            (
                json!({"type": "integer", "constraints": {"minimum": 1, "maximum": "100"}}),
                vec![("1", "ok"), ("+100", "ok"), ("0", "minimum"), ("101", "maximum"), ("1.0", "type"), ("x", "type")],
            ),
            (
                json!({"type": "number", "constraints": {"minimum": 0.1}}),
                vec![("0.10", "ok"), ("0.0999", "minimum"), ("1e3", "type"), ("NaN", "type")],
            ),
            (
                json!({"type": "number", "decimalChar": ",", "groupChar": ".", "constraints": {"maximum": "1.000,5"}}),
                vec![("1.000,50", "ok"), ("1.000,51", "maximum"), ("1.5", "type")],
            ),
            (json!({"type": "number", "bareNumber": false}), vec![("$5.00", "ok"), ("(5.00)", "type")]),
            (
                json!({"type": "number", "constraints": {"enum": [1.5, "2"]}}),
                vec![("1.50", "ok"), ("2.0", "ok"), ("3", "enum")],
            ),
            (json!({"type": "boolean"}), vec![("true", "ok"), ("0", "ok"), ("yes", "type")]),
            (
                json!({"type": "boolean", "trueValues": ["Y"], "falseValues": ["N"], "constraints": {"enum": [true]}}),
                vec![("Y", "ok"), ("N", "enum"), ("true", "type")],
            ),
            (json!({"type": "date"}), vec![("2014-10-08", "ok"), ("10/8/14", "type"), ("2014-02-30", "type")]),
            (
                json!({"type": "date", "format": "%m/%d/%y", "constraints": {"minimum": "2014-01-01", "maximum": "12/31/14", "maxLength": 8}}),
                vec![("10/8/14", "ok"), ("12/31/13", "minimum"), ("1/1/15", "maximum"), ("010/8/2014", "max-length")],
            ),
            (
                json!({"type": "datetime", "constraints": {"minimum": "2014-10-08T12:00:00Z"}}),
                vec![("2014-10-08T14:00:00+02:00", "ok"), ("2014-10-08T13:00:00+02:00", "minimum")],
            ),
            (json!({"type": "time", "format": "%H:%M"}), vec![("9:05", "ok"), ("25:00", "type")]),
            (
                json!({"type": "year", "constraints": {"minimum": 2000}}),
                vec![("2014", "ok"), ("1999", "minimum"), ("14", "type"), ("+201", "type")],
            ),
            (json!({"type": "any"}), vec![("whatever", "ok")]),
        ] {
            let mut named = field.clone();
            named["name"] = "c".into();
            let compiled = compile(named).unwrap();
            for (cell, expected) in cells {
                assert_eq!(verdict(&compiled, cell), expected, "{field} {cell:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_checked_is_refused_by_field_and_key() {
        for (field, says) in [
            (json!({"type": "geopoint"}), "field \"c\": type: \"geopoint\" is not supported: expected string, integer"),
            (
                json!({"constraints": {"unique": true}}),
                "field \"c\": unique: not supported: records are checked one by one",
            ),
            (json!({"constraints": {"requried": true}}), "unknown field `requried`"),
            (json!({"constraints": {"pattern": "(a"}}), "field \"c\": pattern: regex parse error"),
            (json!({"constraints": {"pattern": "a)|(b"}}), "field \"c\": pattern: regex parse error"),
            (json!({"constraints": {"minimum": 1}}), "field \"c\": minimum: is for numbers"),
            (json!({"constraints": {"minLength": 3, "maxLength": 2}}), "maxLength: is less than minLength"),
            (json!({"constraints": {"enum": []}}), "enum: there must be at least one"),
            (json!({"type": "integer", "constraints": {"minimum": 1.5}}), "minimum: 1.5 is not a whole number"),
            (json!({"type": "integer", "constraints": {"minimum": 5, "maximum": 4}}), "maximum: is less than minimum"),
            (json!({"type": "integer", "constraints": {"enum": ["x"]}}), "enum: \"x\" is not a whole number"),
            (json!({"type": "date", "format": "any"}), "format: \"any\" would guess"),
            (json!({"type": "date", "format": "%m/%y"}), "format: \"%m/%y\" does not say year, month and day"),
            (json!({"type": "date", "format": "%Q"}), "format: %Q in \"%Q\" is not supported"),
            (json!({"format": "email"}), "format: is for dates and times"),
            (json!({"decimalChar": ","}), "decimalChar: is for numbers"),
            (json!({"type": "number", "decimalChar": ",", "groupChar": ","}), "groupChar: is the decimalChar too"),
            (json!({"type": "number", "decimalChar": "--"}), "decimalChar: is \"--\""),
            (json!({"type": "boolean", "trueValues": ["0"]}), "trueValues: \"0\" is among the falseValues too"),
        ] {
            let mut named = field.clone();
            named["name"] = "c".into();
            let error = compile(named).unwrap_err();
            assert!(error.contains(says), "{field}: {error}");
        }
    }

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
