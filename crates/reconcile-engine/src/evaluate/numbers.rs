//! Numbers, and what is computed of days.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Int64Array, RecordBatch},
    buffer::{BooleanBuffer, NullBuffer},
    datatypes::{DataType, Date32Type, Decimal128Type, Int64Type},
    error::ArrowError,
};
use reconcile::{
    Rounding, Type, Value,
    expression::{Expression, OnError, OnZero, Operator},
    scalar,
};
use records::DatePattern;

use super::{
    Cells, either, evaluate as cells,
    units::{self, ten_to},
    unsound,
};
use crate::columns;

/// The units of a column of numbers; those of blanks mean nothing.
pub(crate) fn units_of(array: &ArrayRef) -> Result<Cow<'_, [i128]>, ArrowError> {
    match array.data_type() {
        DataType::Decimal128(..) => Ok(Cow::Borrowed(array.as_primitive::<Decimal128Type>().values())),
        DataType::Int64 => {
            Ok(Cow::Owned(array.as_primitive::<Int64Type>().values().iter().map(|one| i128::from(*one)).collect()))
        }
        _ => Err(unsound("no number")),
    }
}

/// The rows that failed, but for blanks.
fn bad_rows(failed: &[usize], nulls: Option<&NullBuffer>, rows: usize) -> Option<BooleanBuffer> {
    let mut failed = failed.iter().filter(|row| nulls.is_none_or(|nulls| nulls.is_valid(**row))).peekable();
    failed.peek()?;
    let mut bad = vec![false; rows];
    for row in failed {
        bad.iter_mut().skip(*row).take(1).for_each(|bad| *bad = true);
    }
    Some(BooleanBuffer::from(bad))
}

/// A column of numbers of that type; units that are none failed.
fn column(
    units: impl Iterator<Item = Option<i128>>,
    nulls: Option<NullBuffer>,
    kind: Type,
) -> Result<Cells, ArrowError> {
    let mut failed = Vec::new();
    let array: ArrayRef = match kind {
        Type::Integer => {
            let numbers = units.enumerate().map(|(row, units)| {
                units.and_then(|units| i64::try_from(units).ok()).unwrap_or_else(|| {
                    failed.push(row);
                    0
                })
            });
            let numbers: Vec<i64> = numbers.collect();
            Arc::new(Int64Array::try_new(numbers.into(), nulls)?)
        }
        Type::Decimal(_) => {
            let units = units.enumerate().map(|(row, units)| {
                units.unwrap_or_else(|| {
                    failed.push(row);
                    0
                })
            });
            let units: Vec<i128> = units.collect();
            Arc::new(Decimal128Array::try_new(units.into(), nulls)?.with_data_type(columns::data_type(kind)))
        }
        _ => return Err(unsound("no number")),
    };
    let bad = bad_rows(&failed, array.nulls(), array.len());
    Ok(Cells { array, bad })
}

/// Each number of a column changed.
fn map(of: Cells, kind: Type, change: impl Fn(i128) -> Option<i128>) -> Result<Cells, ArrowError> {
    let units = units_of(&of.array)?;
    let made = column(units.iter().map(|units| change(*units)), of.array.nulls().cloned(), kind)?;
    Ok(Cells { bad: either(of.bad, made.bad), ..made })
}

/// The numbers of a column in a type of as many decimals or more.
pub(super) fn widen(of: Cells, from: Type, to: Type) -> Result<Cells, ArrowError> {
    map(of, to, |number| units::rescale(number, from.scale(), to.scale(), Rounding::Down))
}

pub(super) fn evaluate(expression: &Expression, batch: &RecordBatch) -> Result<Cells, ArrowError> {
    match expression {
        Expression::Arithmetic { operator, left, right, kind, rounding, on_zero } => {
            let scales = (left.kind().scale(), right.kind().scale());
            let sides = (cells(left, batch)?, cells(right, batch)?);
            arithmetic(*operator, sides, scales, *kind, *rounding, *on_zero)
        }
        Expression::Negate { of } => {
            let kind = of.kind();
            map(cells(of, batch)?, kind, |number| number.checked_neg().and_then(units::fit))
        }
        Expression::Absolute { of } => {
            let kind = of.kind();
            map(cells(of, batch)?, kind, |number| number.checked_abs().and_then(units::fit))
        }
        Expression::Round { of, decimals, rounding, kind } => {
            let (from, to, rounding) = (of.kind().scale(), kind.scale(), *rounding);
            match u8::try_from(*decimals) {
                Ok(kept) if kept < from && kept <= to => map(cells(of, batch)?, *kind, |number| {
                    units::rescale(number, from, kept, rounding)
                        .and_then(|rounded| units::rescale(rounded, kept, to, rounding))
                }),
                _ => map(cells(of, batch)?, *kind, |number| scalar::round((number, from), *decimals, rounding, to)),
            }
        }
        Expression::Length { of } => {
            let of = cells(of, batch)?;
            let texts = of.array.as_string_view_opt().ok_or_else(|| unsound("no text"))?;
            let length = |text: Option<&str>| text.map_or(0, |text| text.chars().count());
            let lengths = texts.iter().map(|text| i128::try_from(length(text)).ok());
            let made = column(lengths, None, Type::Integer)?;
            Ok(Cells { bad: either(of.bad, made.bad), ..made })
        }
        Expression::ParseNumber { of, format, kind, on_error } => {
            let read = |text: &str| match scalar::number(text, format, *kind)? {
                Value::Integer(number) => Some(i128::from(number)),
                Value::Decimal(units) => Some(units),
                _ => None,
            };
            let of = cells(of, batch)?;
            let (numbers, nulls) = parsed(&of.array, read, *on_error)?;
            let made = column(numbers.into_iter(), nulls, *kind)?;
            Ok(Cells { bad: either(of.bad, made.bad), ..made })
        }
        Expression::ParseDate { of, format, on_error } => {
            let pattern = DatePattern::compile(format).map_err(|_| unsound("no date pattern"))?;
            let read = |text: &str| match Value::date(pattern.read(text)?)? {
                Value::Date(days) => Some(days),
                _ => None,
            };
            let of = cells(of, batch)?;
            let (days, nulls) = parsed(&of.array, read, *on_error)?;
            let failed: Vec<usize> =
                days.iter().enumerate().filter(|(_, day)| day.is_none()).map(|(row, _)| row).collect();
            let bad = bad_rows(&failed, nulls.as_ref(), days.len());
            let days: Vec<i32> = days.into_iter().map(Option::unwrap_or_default).collect();
            Ok(Cells { array: Arc::new(Date32Array::try_new(days.into(), nulls)?), bad: either(of.bad, bad) })
        }
        Expression::DateDifference { from, to, unit } => {
            let (from, to) = (cells(from, batch)?, cells(to, batch)?);
            let days =
                |cells: &Cells| cells.array.as_primitive_opt::<Date32Type>().cloned().ok_or_else(|| unsound("no date"));
            let (ones, twos) = (days(&from)?, days(&to)?);
            let nulls = NullBuffer::union(ones.nulls(), twos.nulls());
            let pairs = ones.values().iter().zip(twos.values()).enumerate();
            let apart = pairs.map(|(row, (one, two))| {
                let filled = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                filled.then(|| scalar::date_difference(*one, *two, *unit).ok()).flatten().map(i128::from)
            });
            let made = column(apart.collect::<Vec<_>>().into_iter(), nulls, Type::Integer)?;
            Ok(Cells { bad: either(either(from.bad, to.bad), made.bad), ..made })
        }
        _ => Err(unsound("no number")),
    }
}

type Parsed<T> = (Vec<Option<T>>, Option<NullBuffer>);

/// What the texts of a column stand for, and which rows are blank.
fn parsed<T>(array: &ArrayRef, read: impl Fn(&str) -> Option<T>, on_error: OnError) -> Result<Parsed<T>, ArrowError> {
    let texts = array.as_string_view_opt().ok_or_else(|| unsound("no text"))?;
    let read: Vec<Option<T>> = texts.iter().map(|text| text.and_then(&read)).collect();
    let nulls = match on_error {
        OnError::Blank => Some(NullBuffer::from_iter(read.iter().map(Option::is_some))),
        OnError::Fail => texts.nulls().cloned(),
    };
    Ok((read, nulls))
}

fn arithmetic(
    operator: Operator,
    (left, right): (Cells, Cells),
    scales: (u8, u8),
    kind: Type,
    rounding: Rounding,
    on_zero: OnZero,
) -> Result<Cells, ArrowError> {
    let (ones, twos) = (units_of(&left.array)?, units_of(&right.array)?);
    let mut nulls = NullBuffer::union(left.array.nulls(), right.array.nulls());
    if operator == Operator::Divide && on_zero == OnZero::Blank && twos.contains(&0) {
        let filled = NullBuffer::from_iter(twos.iter().map(|two| *two != 0));
        nulls = NullBuffer::union(nulls.as_ref(), Some(&filled));
    }
    let (one, two, scale) = (scales.0, scales.1, kind.scale());
    let pairs = ones.iter().zip(twos.iter());
    let alike = one == scale && two == scale;
    let made = match operator {
        Operator::Add if alike => column(pairs.map(|(l, r)| l.checked_add(*r).and_then(units::fit)), nulls, kind),
        Operator::Subtract if alike => column(pairs.map(|(l, r)| l.checked_sub(*r).and_then(units::fit)), nulls, kind),
        Operator::Add => column(pairs.map(|(l, r)| units::add((*l, one), (*r, two), scale)), nulls, kind),
        Operator::Subtract => column(pairs.map(|(l, r)| units::subtract((*l, one), (*r, two), scale)), nulls, kind),
        Operator::Multiply => match (one + two).checked_sub(scale).and_then(ten_to) {
            // Nearly all numbers have a short way: their product fits 64 bits.
            Some(ten) => column(
                pairs.map(|(l, r)| {
                    short_product(*l, *r, ten, rounding)
                        .or_else(|| units::multiply((*l, one), (*r, two), scale, rounding))
                }),
                nulls,
                kind,
            ),
            None => column(pairs.map(|(l, r)| units::multiply((*l, one), (*r, two), scale, rounding)), nulls, kind),
        },
        Operator::Divide => {
            column(pairs.map(|(l, r)| units::divide((*l, one), (*r, two), scale, rounding)), nulls, kind)
        }
    }?;
    Ok(Cells { bad: either(either(left.bad, right.bad), made.bad), ..made })
}

#[inline]
fn short_product(left: i128, right: i128, ten: i128, rounding: Rounding) -> Option<i128> {
    let (left, right) = (i64::try_from(left).ok()?, i64::try_from(right).ok()?);
    let product = left.checked_mul(right)?;
    if ten == 1 { Some(i128::from(product)) } else { units::divide_rounded(i128::from(product), ten, rounding) }
}
