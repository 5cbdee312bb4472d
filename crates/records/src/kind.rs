//! The types of cells: what is read of them, and what constraints compare.

use std::cmp::Ordering;

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::Offset,
};
use money::Amount;
use serde_json::Value as Json;

use crate::{number::NumberFormat, temporal::TemporalFormat};

/// What cells are, and how they are read.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Any,
    Text,
    Number(NumberFormat),
    Boolean { yes: Vec<String>, no: Vec<String> },
    Date(TemporalFormat, String),
    DateTime(TemporalFormat, String),
    Time(TemporalFormat, String),
    Year,
}

/// A cell's value, as far as it is compared.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) enum Value {
    /// Of text there is nothing to compare but the cell itself.
    Text,
    Number(Amount),
    Boolean(bool),
    Date(Date),
    DateTime(DateTime),
    Time(Time),
    Year(u16),
}

impl Value {
    #[inline]
    pub(crate) const fn number(&self) -> Option<Amount> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// Of a date its first instant, in UTC.
    #[inline]
    pub(crate) fn instant(&self) -> Option<Timestamp> {
        let date_time = match self {
            Self::Date(date) => date.at(0, 0, 0, 0),
            Self::DateTime(date_time) => *date_time,
            _ => return None,
        };
        Offset::UTC.to_timestamp(date_time).ok()
    }
}

/// The order of two values of one type.
pub(crate) fn order(left: &Value, right: &Value) -> Ordering {
    left.partial_cmp(right).unwrap_or(Ordering::Equal)
}

/// A descriptor's value without the quotes of JSON.
pub(crate) fn json_text(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

impl Kind {
    /// What cells are expected to be, for messages.
    pub(crate) fn expected(&self) -> String {
        match self {
            Self::Any | Self::Text => "text".to_owned(),
            Self::Number(format) => {
                let kind = if format.whole { "a whole number" } else { "a number" };
                let mut text = kind.to_owned();
                if !format.whole && format.decimal_char != '.' {
                    text.push_str(&format!(" with decimal sign {:?}", format.decimal_char));
                }
                if let Some(group_char) = format.group_char {
                    text.push_str(&format!(" with groups set off by {group_char:?}"));
                }
                text
            }
            Self::Boolean { yes, no } => format!("one of {} or {}", yes.join(", "), no.join(", ")),
            Self::Date(_, format) => format!("a date as {format}"),
            Self::DateTime(_, format) => format!("a date and time as {format}"),
            Self::Time(_, format) => format!("a time as {format}"),
            Self::Year => "a year of four digits".to_owned(),
        }
    }

    /// A cell's value; `None` when it is not of this type.
    pub(crate) fn value(&self, cell: &str) -> Option<Value> {
        let mut value = Value::Text;
        self.read(cell, &mut value).then_some(value)
    }

    /// Whether a cell is of this type; then its value is written to `into`.
    ///
    /// It is written where it stays: a value that is copied right after its parts were written has the processor wait
    /// until all that was written before is in its cache.
    #[inline]
    pub(crate) fn read(&self, cell: &str, into: &mut Value) -> bool {
        match self {
            Self::Any | Self::Text => *into = Value::Text,
            Self::Number(format) => match format.parse(cell) {
                Some(number) => *into = Value::Number(number),
                None => return false,
            },
            Self::Boolean { yes, no } => {
                let is = |values: &[String]| values.iter().any(|value| value == cell);
                match (is(yes), is(no)) {
                    (true, _) => *into = Value::Boolean(true),
                    (false, true) => *into = Value::Boolean(false),
                    (false, false) => return false,
                }
            }
            Self::Date(format, _) => match format.date(cell) {
                Some(date) => *into = Value::Date(date),
                None => return false,
            },
            Self::DateTime(format, _) => match format.date_time(cell) {
                Some(date_time) => *into = Value::DateTime(date_time),
                None => return false,
            },
            Self::Time(format, _) => match format.time(cell) {
                Some(time) => *into = Value::Time(time),
                None => return false,
            },
            Self::Year => {
                let digits = cell.len() == 4 && cell.bytes().all(|byte| byte.is_ascii_digit());
                match cell.parse() {
                    Ok(year) if digits => *into = Value::Year(year),
                    _ => return false,
                }
            }
        }
        true
    }

    /// The value of a constraint: as it would stand in a cell, or as JSON or ISO 8601 has it.
    pub(crate) fn constant(&self, json: &Json) -> Option<Value> {
        match (self, json) {
            (Self::Number(format), Json::Number(number)) => {
                let plain = NumberFormat { whole: format.whole, ..NumberFormat::default() };
                plain.parse(&number.to_string()).map(Value::Number)
            }
            (Self::Boolean { .. }, Json::Bool(value)) => Some(Value::Boolean(*value)),
            (Self::Year, Json::Number(number)) => self.value(&number.to_string()),
            (_, Json::String(text)) => self.value(text).or_else(|| match self {
                Self::Date(..) => TemporalFormat::iso_date().date(text).map(Value::Date),
                Self::DateTime(..) => TemporalFormat::iso_date_time().date_time(text).map(Value::DateTime),
                Self::Time(..) => TemporalFormat::iso_time().time(text).map(Value::Time),
                _ => None,
            }),
            _ => None,
        }
    }
}
