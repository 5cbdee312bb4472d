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
    pub(crate) fn number(self) -> Option<Amount> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }

    /// Of a date its first instant, in UTC.
    pub(crate) fn instant(self) -> Option<Timestamp> {
        let date_time = match self {
            Self::Date(date) => date.at(0, 0, 0, 0),
            Self::DateTime(date_time) => date_time,
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
    #[inline]
    pub(crate) fn value(&self, cell: &str) -> Option<Value> {
        match self {
            Self::Any | Self::Text => Some(Value::Text),
            Self::Number(format) => format.parse(cell).map(Value::Number),
            Self::Boolean { yes, no } => {
                let is = |values: &[String]| values.iter().any(|value| value == cell);
                if is(yes) { Some(Value::Boolean(true)) } else { is(no).then_some(Value::Boolean(false)) }
            }
            Self::Date(format, _) => format.date(cell).map(Value::Date),
            Self::DateTime(format, _) => format.date_time(cell).map(Value::DateTime),
            Self::Time(format, _) => format.time(cell).map(Value::Time),
            Self::Year => {
                let digits = cell.len() == 4 && cell.bytes().all(|byte| byte.is_ascii_digit());
                digits.then(|| cell.parse().ok().map(Value::Year)).flatten()
            }
        }
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
