//! The types of columns and the values of cells.
//!
//! An empty cell is *blank*: the one value that every type has. There is no empty text: text without characters is blank,
//! because a file cannot tell the two apart.

use std::{fmt, str::FromStr};

use jiff::{
    civil::{Date, DateTime, Time},
    fmt::temporal::Pieces,
    tz::Offset,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::decimal;

/// The most decimals that a column can have.
pub const SCALE_MAX: u8 = 20;

/// What the cells of a column are. In JSON a text: `text`, `integer`, `decimal(2)`, `date`, `timestamp`, `boolean`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Type {
    /// Unicode text of at least one character.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// An exact decimal with that many decimals, at most [`SCALE_MAX`]; 38 digits with them.
    Decimal(u8),
    /// A day of the Gregorian calendar, of the years 1 to 9999.
    Date,
    /// A moment, in microseconds, UTC, of the years 1 to 9999.
    Timestamp,
    /// True or false.
    Boolean,
}

/// A text that names no type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no type: expected text, integer, decimal(0) to decimal({SCALE_MAX}), date, timestamp or boolean")]
pub struct UnknownType(pub String);

impl Type {
    /// Whether it can be calculated with.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Decimal(_))
    }

    /// The decimals of a number; an integer has none.
    pub const fn scale(self) -> u8 {
        match self {
            Self::Decimal(scale) => scale,
            _ => 0,
        }
    }

    /// The type that holds the values of both exactly: numbers take the larger number of decimals, other types hold
    /// only their like.
    pub fn common(self, other: Self) -> Option<Self> {
        match (self, other) {
            (one, two) if one == two => Some(one),
            (one, two) if one.is_number() && two.is_number() => Some(Self::Decimal(one.scale().max(two.scale()))),
            _ => None,
        }
    }

    /// The value that `text` stands for; empty text is blank. `None` when it is none of this type: dates and
    /// timestamps are ISO 8601, decimals have no more decimals than the type, and nothing is rounded.
    pub fn parse(self, text: &str) -> Option<Value> {
        if text.is_empty() {
            return Some(Value::Blank);
        }
        match self {
            Self::Text => Some(Value::Text(text.to_owned())),
            Self::Integer => text.parse().ok().map(Value::Integer),
            Self::Decimal(scale) => {
                let (units, written) = decimal::parse(text)?;
                (written <= scale)
                    .then(|| decimal::rescale(units, written, scale, Rounding::HalfUp))?
                    .map(Value::Decimal)
            }
            Self::Date => text.parse::<Date>().ok().filter(|_| text.len() == 10).and_then(Value::date),
            Self::Timestamp => moment(text),
            Self::Boolean => match text {
                "true" | "TRUE" | "True" => Some(Value::Boolean(true)),
                "false" | "FALSE" | "False" => Some(Value::Boolean(false)),
                _ => None,
            },
        }
    }

    /// What a text must be to stand for a value of this type, for people.
    pub fn written(self) -> String {
        match self {
            Self::Date => "date as YYYY-MM-DD".to_owned(),
            Self::Timestamp => "timestamp as YYYY-MM-DDThh:mm:ssZ".to_owned(),
            Self::Text | Self::Integer | Self::Decimal(_) | Self::Boolean => self.to_string(),
        }
    }

    /// The text of a value of this type, as outputs write it; blank is empty.
    pub fn format(self, value: &Value) -> String {
        match value {
            Value::Blank => String::new(),
            Value::Text(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Decimal(units) => decimal::format(*units, self.scale()),
            Value::Date(days) => Value::calendar(*days).map_or_else(String::new, |date| date.to_string()),
            Value::Timestamp(at) => Value::moment(*at).map_or_else(String::new, |at| format!("{at}Z")),
            Value::Boolean(truth) => truth.to_string(),
        }
    }
}

/// The moment that a text stands for. Not by way of a library's instants, which end a day before the year 9999 does: that is
/// how many systems write "for ever".
fn moment(text: &str) -> Option<Value> {
    let pieces = Pieces::parse(text).ok().filter(|_| is_moment(text))?;
    let at = pieces.date().to_datetime(pieces.time().unwrap_or(Time::midnight()));
    Value::instant(at, pieces.to_numeric_offset()?)
}

/// Whether a text is written as ISO 8601 has a moment: `2024-05-01T10:00`, perhaps with seconds and their fraction, and
/// always `Z` or an offset. Libraries take more, each in its own way.
fn is_moment(text: &str) -> bool {
    let shape: String = text.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
    let Some(rest) =
        ["T", "t", " "].iter().find_map(|between| shape.strip_prefix(&format!("0000-00-00{between}00:00")))
    else {
        return false;
    };
    let offset = match rest.strip_prefix(":00") {
        Some(behind) => behind.strip_prefix(['.', ',']).map_or(behind, |fraction| {
            let digits = fraction.len() - fraction.trim_start_matches('0').len();
            // A fraction has a digit; more than nine are no offset either.
            if (1..=9).contains(&digits) { fraction.get(digits..).unwrap_or_default() } else { "" }
        }),
        None => rest,
    };
    let is_leap = text.get(17..19) == Some("60") && rest.starts_with(":00");
    !is_leap && matches!(offset, "Z" | "z" | "+00" | "-00" | "+0000" | "-0000" | "+00:00" | "-00:00")
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Integer => f.write_str("integer"),
            Self::Decimal(scale) => write!(f, "decimal({scale})"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Boolean => f.write_str("boolean"),
        }
    }
}

impl FromStr for Type {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let decimal = || {
            let scale = text.strip_prefix("decimal(")?.strip_suffix(')')?;
            let scale = scale.parse::<u8>().ok().filter(|scale| *scale <= SCALE_MAX)?;
            Some(Self::Decimal(scale))
        };
        match text {
            "text" => Ok(Self::Text),
            "integer" => Ok(Self::Integer),
            "date" => Ok(Self::Date),
            "timestamp" => Ok(Self::Timestamp),
            "boolean" => Ok(Self::Boolean),
            _ => decimal().ok_or_else(|| UnknownType(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Type {
    type Error = UnknownType;

    fn try_from(text: String) -> Result<Self, UnknownType> {
        text.parse()
    }
}

impl From<Type> for String {
    fn from(kind: Type) -> Self {
        kind.to_string()
    }
}

impl JsonSchema for Type {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Type".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "What the cells of a column are: `text`, `integer`, `decimal(2)` (0 to 20 decimals), `date`, `timestamp` or `boolean`.",
            "pattern": r"^(text|integer|decimal\((1?[0-9]|20)\)|date|timestamp|boolean)$",
        })
    }
}

/// What a cell holds. Its type is that of its column.
///
/// The order is that of sorting: text by code points, false before true, blanks last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Text of at least one character.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Units of 10^−scale, fewer than 10^38 of them; the scale is that of the column.
    Decimal(i128),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// True or false.
    Boolean(bool),
    /// An empty cell.
    Blank,
}

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

impl Value {
    /// That text, or blank where it has no characters.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::Blank } else { Self::Text(text) }
    }

    /// That day; `None` outside the years 1 to 9999.
    pub fn date(date: Date) -> Option<Self> {
        let days = (1..=9999).contains(&date.year()).then(|| date.since(EPOCH).ok())??.get_days();
        Some(Self::Date(days))
    }

    /// The day that is so many days after 1970-01-01.
    pub fn calendar(days: i32) -> Option<Date> {
        EPOCH.checked_add(jiff::Span::new().try_days(days).ok()?).ok()
    }

    /// The moment that is so many microseconds after 1970-01-01T00:00:00Z; `None` outside the years 1 to 9999.
    pub fn timestamp(microseconds: i64) -> Option<Self> {
        Self::moment(microseconds).filter(|at| at.year() >= 1).map(|_| Self::Timestamp(microseconds))
    }

    /// The moment at which it is that time at that offset; `None` outside the years 1 to 9999 in UTC, and where parts of a
    /// microsecond would be lost.
    pub fn instant(at: DateTime, offset: Offset) -> Option<Self> {
        let since = at.duration_since(EPOCH.at(0, 0, 0, 0));
        let microseconds = i64::try_from(since.as_micros()).ok()? - i64::from(offset.seconds()) * 1_000_000;
        (at.subsec_nanosecond() % 1_000 == 0).then(|| Self::timestamp(microseconds))?
    }

    /// Date and time of day, UTC, so many microseconds after 1970-01-01T00:00:00Z.
    pub fn moment(microseconds: i64) -> Option<DateTime> {
        EPOCH.at(0, 0, 0, 0).checked_add(jiff::Span::new().try_microseconds(microseconds).ok()?).ok()
    }

    /// Whether it is an empty cell.
    pub const fn is_blank(&self) -> bool {
        matches!(self, Self::Blank)
    }
}

/// How a number becomes one of fewer decimals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Rounding {
    /// To the nearest; what lies halfway, away from zero, as spreadsheets do: 2.5 → 3, −2.5 → −3.
    #[default]
    HalfUp,
    /// To the nearest; what lies halfway, to the even neighbour: 2.5 → 2, 3.5 → 4.
    HalfEven,
    /// Away from zero: 2.1 → 3, −2.1 → −3.
    Up,
    /// Towards zero: 2.9 → 2, −2.9 → −2.
    Down,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_texts() {
        for text in ["text", "integer", "decimal(0)", "decimal(20)", "date", "timestamp", "boolean"] {
            assert_eq!(text.parse::<Type>().unwrap().to_string(), text);
        }
        for text in ["", "Text", "decimal", "decimal(21)", "decimal(-1)", "decimal(2", "number"] {
            text.parse::<Type>().unwrap_err();
        }
    }

    #[test]
    fn values_are_read_exactly_or_not_at_all() {
        for (kind, text, written) in [
            (Type::Decimal(2), "1.5", Some("1.50")),
            (Type::Decimal(2), "-.05", Some("-0.05")),
            (Type::Decimal(2), "1.505", None),
            (Type::Decimal(0), "1e3", None),
            (
                Type::Decimal(2),
                "999999999999999999999999999999999999.99",
                Some("999999999999999999999999999999999999.99"),
            ),
            (Type::Decimal(2), "1000000000000000000000000000000000000", None),
            (Type::Integer, "9223372036854775807", Some("9223372036854775807")),
            (Type::Integer, "9223372036854775808", None),
            (Type::Integer, "1.0", None),
            (Type::Date, "2024-02-29", Some("2024-02-29")),
            (Type::Date, "2023-02-29", None),
            (Type::Date, "0000-01-01", None),
            (Type::Date, "1900-01-01", Some("1900-01-01")),
            (Type::Timestamp, "2024-05-01T12:00:00.5+02:00", Some("2024-05-01T10:00:00.5Z")),
            (Type::Timestamp, "2024-05-01 12:00+02", Some("2024-05-01T10:00:00Z")),
            (Type::Timestamp, "2024-05-01T10:00:00+25:59", Some("2024-04-30T08:01:00Z")),
            (Type::Timestamp, "2024-05-01T10:00:00+26:00", None),
            (Type::Timestamp, "2024-05-01T10:00:00-05:60", None),
            (Type::Timestamp, "2024-05-01T12:00:00.123456000Z", Some("2024-05-01T12:00:00.123456Z")),
            (Type::Timestamp, "2024-05-01T12:00:00.1234567Z", None),
            (Type::Timestamp, "1969-12-31T23:59:59.9999999Z", None),
            (Type::Timestamp, "2024-05-01T23:59:60Z", None),
            (Type::Timestamp, "20240501T120000Z", None),
            (Type::Timestamp, "2024-05-01T12:00:00+02:00[Europe/Berlin]", None),
            (Type::Timestamp, "2024-05-01T12:00:00", None),
            (Type::Timestamp, "2024-05-01", None),
            (Type::Timestamp, "0000-12-31T23:59:59Z", None),
            (Type::Timestamp, "0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00Z")),
            (Type::Timestamp, "0001-01-01T00:00:00+00:01", None),
            (Type::Timestamp, "9999-12-31T23:59:59.999999Z", Some("9999-12-31T23:59:59.999999Z")),
            (Type::Timestamp, "9999-12-31T23:59:59-00:01", None),
            (Type::Timestamp, "1969-12-31T23:59:59.999999Z", Some("1969-12-31T23:59:59.999999Z")),
            (Type::Boolean, "TRUE", Some("true")),
            (Type::Boolean, "yes", None),
            (Type::Text, "", Some("")),
        ] {
            assert_eq!(kind.parse(text).map(|value| kind.format(&value)).as_deref(), written, "{kind} {text}");
        }
    }

    #[test]
    fn the_last_day_has_a_moment() {
        let days = Value::date(jiff::civil::date(9999, 12, 31)).unwrap();
        let Value::Date(days) = days else { unreachable!() };
        let at = Value::timestamp(i64::from(days) * 86_400_000_000).unwrap();
        assert_eq!(Type::Timestamp.format(&at), "9999-12-31T00:00:00Z");
    }

    #[test]
    fn numbers_have_a_common_type() {
        assert_eq!(Type::Integer.common(Type::Decimal(2)), Some(Type::Decimal(2)));
        assert_eq!(Type::Decimal(4).common(Type::Decimal(2)), Some(Type::Decimal(4)));
        assert_eq!(Type::Integer.common(Type::Integer), Some(Type::Integer));
        assert_eq!(Type::Integer.common(Type::Text), None);
    }
}
