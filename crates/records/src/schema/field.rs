//! Fields that cells are held to.

use regex::Regex;

use crate::{
    kind::{Kind, Value, order},
    validate::rule,
};

/// A field ready to check cells by.
#[derive(Debug, Clone)]
pub(crate) struct CompiledField {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(super) required: bool,
    pub(super) min_length: Option<usize>,
    pub(super) max_length: Option<usize>,
    pub(super) minimum: Option<Bound>,
    pub(super) maximum: Option<Bound>,
    pub(super) pattern: Option<(Regex, String)>,
    pub(super) values: Option<(Allowed, String)>,
}

/// The values of an `enum`, sorted to be searched.
#[derive(Debug, Clone)]
pub(super) enum Allowed {
    Texts(Vec<String>),
    Values(Vec<Value>),
}

#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) value: Value,
    /// As the descriptor has it.
    pub(super) text: String,
}

/// A cell that breaks a rule.
pub(crate) struct Broken {
    pub(crate) rule: &'static str,
    pub(crate) message: String,
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
    pub(super) fn any(name: &str) -> Self {
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
    use serde_json::json;

    use super::*;
    use crate::schema::kit::compile;

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
}
