//! Cells as outputs write them: the text of [`Type::format`], without an allocation for each.

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Int64Array, StringViewArray,
        TimestampMicrosecondArray,
    },
    error::ArrowError,
};
use reconcile::{Type, Value};

/// Writes the cells of one column.
#[derive(Debug)]
pub(crate) enum Formatter<'a> {
    Text(&'a StringViewArray),
    Integer(&'a Int64Array),
    Decimal(&'a Decimal128Array, usize),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray),
    Boolean(&'a BooleanArray),
}

impl<'a> Formatter<'a> {
    pub(crate) fn new(array: &'a ArrayRef, kind: Type) -> Result<Self, ArrowError> {
        let found = match kind {
            Type::Text => array.as_string_view_opt().map(Self::Text),
            Type::Integer => array.as_primitive_opt().map(Self::Integer),
            Type::Decimal(scale) => array.as_primitive_opt().map(|array| Self::Decimal(array, usize::from(scale))),
            Type::Date => array.as_primitive_opt().map(Self::Date),
            Type::Timestamp => array.as_primitive_opt().map(Self::Timestamp),
            Type::Boolean => array.as_boolean_opt().map(Self::Boolean),
        };
        found.ok_or_else(|| ArrowError::SchemaError(format!("expected {kind}, found {}", array.data_type())))
    }

    /// Whether the row's cell is blank.
    #[inline]
    pub(crate) fn is_blank(&self, row: usize) -> bool {
        match self {
            Self::Text(array) => array.is_null(row),
            Self::Integer(array) => array.is_null(row),
            Self::Decimal(array, _) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Timestamp(array) => array.is_null(row),
            Self::Boolean(array) => array.is_null(row),
        }
    }

    /// The row's text, of a column of texts; blank is empty.
    #[inline]
    pub(crate) fn text(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Text(array) => Some(if array.is_null(row) { "" } else { array.value(row) }),
            _ => None,
        }
    }

    /// Writes the row's cell; of a blank nothing.
    #[inline]
    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_blank(row) {
            return;
        }
        match self {
            Self::Text(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Self::Integer(array) => out.extend_from_slice(itoa::Buffer::new().format(array.value(row)).as_bytes()),
            Self::Decimal(array, scale) => write_decimal(array.value(row), *scale, out),
            Self::Date(array) => write_date(array.value(row), out),
            Self::Timestamp(array) => {
                out.extend_from_slice(Type::Timestamp.format(&Value::Timestamp(array.value(row))).as_bytes());
            }
            Self::Boolean(array) => out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }),
        }
    }
}

fn write_decimal(units: i128, scale: usize, out: &mut Vec<u8>) {
    if units < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let above = units.unsigned_abs();
    let digits = match u64::try_from(above) {
        Ok(above) => buffer.format(above),
        Err(_) => buffer.format(above),
    }
    .as_bytes();
    if scale == 0 {
        return out.extend_from_slice(digits);
    }
    match digits.len().checked_sub(scale).filter(|whole| *whole > 0).and_then(|whole| digits.split_at_checked(whole)) {
        Some((whole, decimals)) => {
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(decimals);
        }
        None => {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', scale - digits.len()));
            out.extend_from_slice(digits);
        }
    }
}

fn write_date(days: i32, out: &mut Vec<u8>) {
    let Some(date) = Value::calendar(days) else { return };
    let digit = |number: i16| u8::try_from(number % 10).map_or(b'0', |digit| b'0' + digit);
    let (year, month, day) = (date.year(), i16::from(date.month()), i16::from(date.day()));
    out.extend_from_slice(&[digit(year / 1000), digit(year / 100), digit(year / 10), digit(year), b'-']);
    out.extend_from_slice(&[digit(month / 10), digit(month), b'-', digit(day / 10), digit(day)]);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::columns;

    fn written(array: ArrayRef, kind: Type) -> String {
        let mut out = Vec::new();
        Formatter::new(&array, kind).unwrap().write(0, &mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn cells_are_written_as_the_plan_has_them(
            digits in 0..=38_u32, bits in any::<i128>(), scale in 0..=20_u8, days in -719_162..=2_932_896_i32, number in any::<i64>(),
        ) {
            let units = bits % 10_i128.pow(digits).max(1);
            let kind = Type::Decimal(scale);
            let decimals = Decimal128Array::from_value(units, 1).with_data_type(columns::data_type(kind));
            prop_assert_eq!(written(Arc::new(decimals), kind), kind.format(&Value::Decimal(units)));
            prop_assert_eq!(written(Arc::new(Date32Array::from_value(days, 1)), Type::Date), Type::Date.format(&Value::Date(days)));
            prop_assert_eq!(written(Arc::new(Int64Array::from_value(number, 1)), Type::Integer), number.to_string());
        }
    }
}
