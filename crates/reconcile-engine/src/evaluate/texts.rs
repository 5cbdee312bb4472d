//! Texts; one without characters is blank.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray, StringViewBuilder, TimestampMicrosecondArray},
    datatypes::Date32Type,
    error::ArrowError,
};
use reconcile::{Type, expression::Expression, scalar};

use super::{Cells, either, evaluate as cells, numbers, unsound};
use crate::{columns, text::Formatter};

fn texts(array: &ArrayRef) -> Result<&StringViewArray, ArrowError> {
    array.as_string_view_opt().ok_or_else(|| unsound("no text"))
}

/// Each text of a column changed: the change writes into an empty one.
fn map(of: Cells, change: impl Fn(&str, &mut String)) -> Result<Cells, ArrowError> {
    let mut made = StringViewBuilder::with_capacity(of.array.len());
    let mut text = String::new();
    for old in texts(&of.array)? {
        text.clear();
        if let Some(old) = old {
            change(old, &mut text);
        }
        made.append_option((!text.is_empty()).then_some(&text));
    }
    Ok(Cells { array: Arc::new(made.finish()), bad: of.bad })
}

/// A part of each text of a column.
fn part(of: Cells, part: impl Fn(&str) -> &str) -> Result<Cells, ArrowError> {
    let mut made = StringViewBuilder::with_capacity(of.array.len());
    for old in texts(&of.array)? {
        made.append_option(old.map(&part).filter(|text| !text.is_empty()));
    }
    Ok(Cells { array: Arc::new(made.finish()), bad: of.bad })
}

pub(super) fn evaluate(expression: &Expression, batch: &RecordBatch) -> Result<Cells, ArrowError> {
    match expression {
        Expression::Concatenate { of } => concatenate(of, batch),
        Expression::Trim { of } => map(cells(of, batch)?, scalar::trim),
        Expression::Upper { of } => map(cells(of, batch)?, |old, new| {
            if old.is_ascii() {
                new.push_str(old);
                new.make_ascii_uppercase();
            } else {
                new.push_str(&old.to_uppercase());
            }
        }),
        Expression::Lower { of } => map(cells(of, batch)?, |old, new| {
            if old.is_ascii() {
                new.push_str(old);
                new.make_ascii_lowercase();
            } else {
                new.push_str(&old.to_lowercase());
            }
        }),
        Expression::Substring { of, start, length } => {
            part(cells(of, batch)?, |text| scalar::substring(text, *start, *length))
        }
        Expression::Last { of, length } => part(cells(of, batch)?, |text| scalar::last(text, *length)),
        Expression::Replace { of, find, with, occurrence } => map(cells(of, batch)?, |old, new| {
            if old.contains(find.as_str()) {
                new.push_str(&scalar::replace(old, find, with, *occurrence));
            } else {
                new.push_str(old);
            }
        }),
        _ => Err(unsound("no such expression")),
    }
}

fn concatenate(of: &[Expression], batch: &RecordBatch) -> Result<Cells, ArrowError> {
    let parts = of.iter().map(|one| cells(one, batch)).collect::<Result<Vec<_>, _>>()?;
    let columns = parts.iter().map(|part| texts(&part.array)).collect::<Result<Vec<_>, _>>()?;
    let mut made = StringViewBuilder::with_capacity(batch.num_rows());
    let mut text = String::new();
    for row in 0..batch.num_rows() {
        text.clear();
        for column in &columns {
            if column.is_valid(row) {
                text.push_str(column.value(row));
            }
        }
        made.append_option((!text.is_empty()).then_some(&text));
    }
    let bad = parts.into_iter().fold(None, |bad, part| either(bad, part.bad));
    Ok(Cells { array: Arc::new(made.finish()), bad })
}

/// The values as another type that holds them exactly.
pub(super) fn cast(of: Cells, from: Type, to: Type) -> Result<Cells, ArrowError> {
    match (from, to) {
        (from, to) if from == to => Ok(of),
        (_, Type::Text) => {
            let formatter = Formatter::new(&of.array, from)?;
            let mut made = StringViewBuilder::with_capacity(of.array.len());
            let mut text = Vec::new();
            for row in 0..of.array.len() {
                text.clear();
                formatter.write(row, &mut text);
                let text = std::str::from_utf8(&text).map_err(|_| unsound("no text"))?;
                made.append_option((!text.is_empty()).then_some(text));
            }
            Ok(Cells { array: Arc::new(made.finish()), bad: of.bad })
        }
        (from, Type::Decimal(_)) if from.is_number() => numbers::widen(of, from, to),
        (Type::Date, Type::Timestamp) => {
            let days = of.array.as_primitive_opt::<Date32Type>().ok_or_else(|| unsound("no date"))?;
            let at: TimestampMicrosecondArray = days.unary(|day| i64::from(day) * 86_400_000_000);
            Ok(Cells { array: Arc::new(at.with_data_type(columns::data_type(to))), bad: of.bad })
        }
        _ => Err(unsound("no such cast")),
    }
}
