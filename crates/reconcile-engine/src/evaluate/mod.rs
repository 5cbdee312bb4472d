//! Expressions, a column at a time.
//!
//! Laws are kept without branches by row: a row for which an operand fails is *bad* from there on, and badness is dropped
//! where the law does not look: behind the branch of a case that is not taken, behind what decides `and`, `or` and
//! `coalesce`. What is bad at the end has failed, and the reference engine says of that one row why.

mod conditions;
pub(crate) mod numbers;
mod texts;
pub(crate) mod units;

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, new_null_array},
    buffer::BooleanBuffer,
    compute::{is_null, kernels::zip::zip},
    error::ArrowError,
};
use reconcile::{
    Value,
    expression::{Branch, Constant, Expression},
};

use crate::columns;

/// The cells of an expression, and the rows for which there is none.
pub(crate) struct Cells {
    pub(crate) array: ArrayRef,
    /// Rows that failed; their cells mean nothing.
    pub(crate) bad: Option<BooleanBuffer>,
}

impl Cells {
    fn sound(array: ArrayRef) -> Self {
        Self { array, bad: None }
    }

    /// The first row that failed.
    pub(crate) fn first_bad(&self) -> Option<usize> {
        self.bad.as_ref().and_then(|bad| bad.set_indices().next())
    }

    /// The rows that are true.
    pub(crate) fn truth(&self) -> Result<BooleanBuffer, ArrowError> {
        conditions::truth(&self.array)
    }
}

/// What is bad in either.
fn either(one: Option<BooleanBuffer>, two: Option<BooleanBuffer>) -> Option<BooleanBuffer> {
    match (one, two) {
        (Some(one), Some(two)) => Some(&one | &two),
        (one, two) => one.or(two),
    }
}

/// What is bad among the rows that are looked at.
fn among(bad: Option<&BooleanBuffer>, rows: &BooleanBuffer) -> Option<BooleanBuffer> {
    bad.map(|bad| bad & rows).filter(|bad| bad.count_set_bits() > 0)
}

fn without(rows: &BooleanBuffer, bad: Option<&BooleanBuffer>) -> BooleanBuffer {
    bad.map_or_else(|| rows.clone(), |bad| rows & &!bad)
}

fn unsound(what: &'static str) -> ArrowError {
    ArrowError::ComputeError(what.to_owned())
}

/// The cells of an expression for the rows of a batch.
pub(crate) fn evaluate(expression: &Expression, batch: &RecordBatch) -> Result<Cells, ArrowError> {
    match expression {
        Expression::Column { id, .. } => Ok(Cells::sound(Arc::clone(columns::column(batch, *id)?))),
        Expression::Constant { constant } => Ok(Cells::sound(constant_array(constant, batch.num_rows())?)),
        Expression::Case { branches, otherwise } => case(branches, otherwise, batch),
        Expression::Coalesce { of } => coalesce(of, batch),
        Expression::Require { condition, of, .. } => {
            let (condition, of) = (evaluate(condition, batch)?, evaluate(of, batch)?);
            let unmet = !&condition.truth()?;
            let unmet = (unmet.count_set_bits() > 0).then_some(unmet);
            Ok(Cells { array: of.array, bad: either(either(condition.bad, unmet), of.bad) })
        }
        Expression::Compare { .. }
        | Expression::And { .. }
        | Expression::Or { .. }
        | Expression::Not { .. }
        | Expression::IsBlank { .. }
        | Expression::Contains { .. } => conditions::evaluate(expression, batch),
        Expression::Arithmetic { .. }
        | Expression::Negate { .. }
        | Expression::Absolute { .. }
        | Expression::Round { .. }
        | Expression::Length { .. }
        | Expression::ParseNumber { .. }
        | Expression::ParseDate { .. }
        | Expression::DateDifference { .. } => numbers::evaluate(expression, batch),
        Expression::Cast { of, kind } => texts::cast(evaluate(of, batch)?, of.kind(), *kind),
        Expression::Concatenate { .. }
        | Expression::Trim { .. }
        | Expression::Upper { .. }
        | Expression::Lower { .. }
        | Expression::Substring { .. }
        | Expression::Last { .. }
        | Expression::Replace { .. } => texts::evaluate(expression, batch),
    }
}

/// A value in every row.
fn constant_array(constant: &Constant, rows: usize) -> Result<ArrayRef, ArrowError> {
    use arrow::array::{Date32Array, Decimal128Array, Int64Array, StringViewBuilder, TimestampMicrosecondArray};

    let data_type = columns::data_type(constant.kind());
    Ok(match constant.value() {
        Value::Blank => new_null_array(&data_type, rows),
        Value::Text(text) => {
            let mut builder = StringViewBuilder::with_capacity(rows);
            let block = builder.append_block(text.as_bytes().into());
            let length = u32::try_from(text.len()).map_err(|_| unsound("a text is too long"))?;
            for _ in 0..rows {
                builder.try_append_view(block, 0, length)?;
            }
            Arc::new(builder.finish())
        }
        Value::Integer(number) => Arc::new(Int64Array::from_value(*number, rows)),
        Value::Decimal(units) => Arc::new(Decimal128Array::from_value(*units, rows).with_data_type(data_type)),
        Value::Date(days) => Arc::new(Date32Array::from_value(*days, rows)),
        Value::Timestamp(at) => Arc::new(TimestampMicrosecondArray::from_value(*at, rows).with_timezone("UTC")),
        Value::Boolean(truth) => Arc::new(BooleanArray::from(vec![*truth; rows])),
    })
}

fn case(branches: &[Branch], otherwise: &Expression, batch: &RecordBatch) -> Result<Cells, ArrowError> {
    let mut left = BooleanBuffer::new_set(batch.num_rows());
    let (mut taken, mut bad) = (Vec::with_capacity(branches.len()), None);
    for Branch { when, then } in branches {
        if left.count_set_bits() == 0 {
            break;
        }
        let condition = evaluate(when, batch)?;
        bad = either(bad, among(condition.bad.as_ref(), &left));
        left = without(&left, condition.bad.as_ref());
        let here = &left & &condition.truth()?;
        if here.count_set_bits() > 0 {
            let then = evaluate(then, batch)?;
            bad = either(bad, among(then.bad.as_ref(), &here));
            taken.push((here.clone(), then.array));
        }
        left = &left & &!&here;
    }
    let mut array = if left.count_set_bits() > 0 || taken.is_empty() {
        let otherwise = evaluate(otherwise, batch)?;
        bad = either(bad, among(otherwise.bad.as_ref(), &left));
        otherwise.array
    } else {
        new_null_array(&columns::data_type(otherwise.kind()), batch.num_rows())
    };
    for (rows, then) in taken.into_iter().rev() {
        array = chosen(rows, &then, &array)?;
    }
    Ok(Cells { array, bad })
}

/// The cells of `then` in these rows, of `otherwise` in the others.
fn chosen(rows: BooleanBuffer, then: &ArrayRef, otherwise: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match rows.count_set_bits() {
        0 => Ok(Arc::clone(otherwise)),
        all if all == rows.len() => Ok(Arc::clone(then)),
        _ => zip(&BooleanArray::new(rows, None), then, otherwise),
    }
}

fn coalesce(of: &[Expression], batch: &RecordBatch) -> Result<Cells, ArrowError> {
    let (first, others) = of.split_first().ok_or_else(|| unsound("nothing to choose from"))?;
    let Cells { mut array, mut bad } = evaluate(first, batch)?;
    for other in others {
        if array.null_count() == 0 {
            break;
        }
        let blank = without(is_null(&array)?.values(), bad.as_ref());
        let other = evaluate(other, batch)?;
        bad = either(bad, among(other.bad.as_ref(), &blank));
        array = chosen(blank, &other.array, &array)?;
    }
    Ok(Cells { array, bad })
}
