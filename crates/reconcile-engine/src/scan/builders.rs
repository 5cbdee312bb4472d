//! Arrays made of texts: the cells of CSV and of JSON lines.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Int64Builder, StringViewBuilder,
    TimestampMicrosecondBuilder,
};
use jiff::{civil::Date, tz::Offset};
use reconcile::{Rounding, Type, Value, decimal, task::CsvColumn};
use records::{DatePattern, MomentPattern, NumberPattern};

use crate::columns;

/// How the cells of a column are written.
#[derive(Debug)]
pub(super) enum Spelling {
    /// As [`Type::parse`] has it.
    Plain,
    Number(NumberPattern),
    Date(DatePattern, String),
    Moment(MomentPattern, String),
    Boolean {
        yes: Vec<String>,
        no: Vec<String>,
    },
}

impl Spelling {
    /// How the cells of a column of CSV are written; or what is wrong with how it says so.
    pub(super) fn of(column: &CsvColumn, kind: Type) -> Result<Self, String> {
        let sign = |text: Option<&str>| match text.map(|text| (text.chars().next(), text.chars().count())) {
            None => Ok(None),
            Some((Some(sign), 1)) => Ok(Some(sign)),
            Some(_) => Err(format!("expected one character, found {text:?}")),
        };
        match kind {
            Type::Integer | Type::Decimal(_) => {
                let decimal_char = sign(column.decimal_char.as_deref())?.unwrap_or('.');
                let group_char = sign(column.group_char.as_deref())?;
                if decimal_char == '.' && group_char.is_none() && column.bare_number {
                    return Ok(Self::Plain);
                }
                let whole = kind == Type::Integer;
                Ok(Self::Number(NumberPattern::new(decimal_char, group_char, column.bare_number, whole)))
            }
            Type::Date => column.format.as_ref().map_or(Ok(Self::Plain), |format| {
                DatePattern::compile(format).map(|pattern| Self::Date(pattern, format.clone()))
            }),
            Type::Timestamp => column.format.as_ref().map_or(Ok(Self::Plain), |format| {
                MomentPattern::compile(format).map(|pattern| Self::Moment(pattern, format.clone()))
            }),
            Type::Boolean => {
                let words = |words: &Option<Vec<String>>, usual: [&str; 4]| {
                    words.clone().unwrap_or_else(|| usual.map(str::to_owned).to_vec())
                };
                Ok(Self::Boolean {
                    yes: words(&column.true_values, ["true", "True", "TRUE", "1"]),
                    no: words(&column.false_values, ["false", "False", "FALSE", "0"]),
                })
            }
            Type::Text => Ok(Self::Plain),
        }
    }

    /// What a cell must be, for people.
    pub(super) fn expected(&self, kind: Type) -> String {
        match self {
            Self::Date(_, format) | Self::Moment(_, format) => format!("{kind} as {format}"),
            Self::Boolean { yes, no } => format!("one of {} or {}", yes.join(", "), no.join(", ")),
            Self::Plain | Self::Number(_) => kind.written(),
        }
    }

    fn value(&self, text: &str, kind: Type) -> Option<Value> {
        match self {
            Self::Plain => kind.parse(text),
            Self::Number(pattern) => {
                let number = pattern.read(text)?;
                let units = (number.scale() <= kind.scale())
                    .then(|| decimal::rescale(number.minor(), number.scale(), kind.scale(), Rounding::Down))??;
                match kind {
                    Type::Integer => i64::try_from(units).ok().map(Value::Integer),
                    _ => Some(Value::Decimal(units)),
                }
            }
            Self::Date(pattern, _) => Value::date(pattern.read(text)?),
            Self::Moment(pattern, _) => Value::instant(pattern.read(text)?, Offset::UTC),
            Self::Boolean { yes, no } => {
                let is = |words: &[String]| words.iter().any(|word| word == text);
                if is(yes) { Some(Value::Boolean(true)) } else { is(no).then_some(Value::Boolean(false)) }
            }
        }
    }
}

/// An array on its way.
#[derive(Debug)]
pub(super) enum Builder {
    Text(StringViewBuilder),
    Integer(Int64Builder),
    Decimal(Decimal128Builder, u8),
    Date(Date32Builder, LastDay),
    Timestamp(TimestampMicrosecondBuilder),
    Boolean(BooleanBuilder),
}

/// The last day that was read: days come in rows.
#[derive(Debug, Default)]
pub(super) struct LastDay {
    text: String,
    days: i32,
}

impl Builder {
    pub(super) fn new(kind: Type, rows: usize) -> Self {
        match kind {
            Type::Text => Self::Text(StringViewBuilder::with_capacity(rows)),
            Type::Integer => Self::Integer(Int64Builder::with_capacity(rows)),
            Type::Decimal(scale) => {
                Self::Decimal(Decimal128Builder::with_capacity(rows).with_data_type(columns::data_type(kind)), scale)
            }
            Type::Date => Self::Date(Date32Builder::with_capacity(rows), LastDay::default()),
            Type::Timestamp => Self::Timestamp(
                TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(columns::data_type(kind)),
            ),
            Type::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
        }
    }

    pub(super) fn append_blank(&mut self) {
        match self {
            Self::Text(made) => made.append_null(),
            Self::Integer(made) => made.append_null(),
            Self::Decimal(made, _) => made.append_null(),
            Self::Date(made, _) => made.append_null(),
            Self::Timestamp(made) => made.append_null(),
            Self::Boolean(made) => made.append_null(),
        }
    }

    /// Adds a cell that is not blank; `None` where it does not fit.
    #[inline]
    pub(super) fn append(&mut self, text: &str, spelling: &Spelling) -> Option<()> {
        match (&mut *self, spelling) {
            (Self::Text(made), _) => {
                made.append_value(text);
                return Some(());
            }
            (Self::Decimal(made, scale), Spelling::Plain) => {
                if let Some(units) = short_decimal(text.as_bytes(), *scale) {
                    made.append_value(units);
                    return Some(());
                }
            }
            (Self::Integer(made), Spelling::Plain) => {
                made.append_value(text.parse().ok()?);
                return Some(());
            }
            (Self::Date(made, last), _) => {
                if last.text == text {
                    made.append_value(last.days);
                    return Some(());
                }
                let plain = matches!(spelling, Spelling::Plain).then(|| iso_day(text.as_bytes())).flatten();
                let days = match plain {
                    Some(days) => days,
                    None => match spelling.value(text, Type::Date)? {
                        Value::Date(days) => days,
                        _ => return None,
                    },
                };
                made.append_value(days);
                last.text.clear();
                last.text.push_str(text);
                last.days = days;
                return Some(());
            }
            _ => {}
        }
        let value = spelling.value(text, self.kind())?;
        self.append_cell(&value)
    }

    fn kind(&self) -> Type {
        match self {
            Self::Text(_) => Type::Text,
            Self::Integer(_) => Type::Integer,
            Self::Decimal(_, scale) => Type::Decimal(*scale),
            Self::Date(..) => Type::Date,
            Self::Timestamp(_) => Type::Timestamp,
            Self::Boolean(_) => Type::Boolean,
        }
    }

    /// Adds a cell of the column's type.
    fn append_cell(&mut self, value: &Value) -> Option<()> {
        match (self, value) {
            (Self::Text(made), Value::Text(text)) => made.append_value(text),
            (Self::Integer(made), Value::Integer(number)) => made.append_value(*number),
            (Self::Decimal(made, _), Value::Decimal(units)) => made.append_value(*units),
            (Self::Date(made, _), Value::Date(days)) => made.append_value(*days),
            (Self::Timestamp(made), Value::Timestamp(at)) => made.append_value(*at),
            (Self::Boolean(made), Value::Boolean(truth)) => made.append_value(*truth),
            (made, Value::Blank) => made.append_blank(),
            _ => return None,
        }
        Some(())
    }

    pub(super) fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut made) => Arc::new(made.finish()),
            Self::Integer(mut made) => Arc::new(made.finish()),
            Self::Decimal(mut made, _) => Arc::new(made.finish()),
            Self::Date(mut made, _) => Arc::new(made.finish()),
            Self::Timestamp(mut made) => Arc::new(made.finish()),
            Self::Boolean(mut made) => Arc::new(made.finish()),
        }
    }
}

/// The units of a plain number of at most 18 digits; `None` for any other text, and for one that is no number.
#[inline]
fn short_decimal(text: &[u8], scale: u8) -> Option<i128> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mut units, mut decimals, mut count) = (0_i64, None::<u8>, 0_u8);
    if digits.len() > 18 {
        return None;
    }
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                units = units * 10 + i64::from(byte - b'0');
                count += 1;
                decimals = decimals.map(|decimals| decimals + 1);
            }
            b'.' if decimals.is_none() => decimals = Some(0),
            _ => return None,
        }
    }
    let missing = scale.checked_sub(decimals.unwrap_or(0)).filter(|_| count > 0)?;
    let units = i128::from(units).checked_mul(10_i128.pow(u32::from(missing)))?;
    Some(if negative { -units } else { units })
}

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// The day of a text such as `2024-05-01`; `None` for any other.
#[inline]
fn iso_day(text: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let number = |digits: &[&u8]| {
        digits
            .iter()
            .try_fold(0_i16, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i16::from(*digit - b'0')))
    };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let days = date.duration_since(EPOCH).as_hours() / 24;
    (year >= 1).then(|| i32::try_from(days).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn short_ways_read_what_the_type_reads(text in "[-+]?[0-9]{0,20}[.]?[0-9]{0,5}|[-+.0-9e ]{0,6}", scale in 0..=6_u8) {
            let expected = Type::Decimal(scale).parse(&text);
            if let Some(units) = short_decimal(text.as_bytes(), scale) {
                prop_assert_eq!(Some(Value::Decimal(units)), expected);
            } else if text.len() < 18 && !text.is_empty() {
                prop_assert_eq!(None, expected);
            }
        }

        #[test]
        fn short_days_too(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]|[-0-9]{10}") {
            let expected = Type::Date.parse(&text);
            prop_assert_eq!(iso_day(text.as_bytes()).map(Value::Date), expected);
        }
    }
}
