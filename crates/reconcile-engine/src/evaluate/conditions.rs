//! Conditions: never blank.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch},
    buffer::BooleanBuffer,
    compute::{
        is_null,
        kernels::cmp::{eq, lt, lt_eq},
    },
    error::ArrowError,
};
use reconcile::expression::{Comparison, Expression};

use super::{Cells, among, either, evaluate as cells, unsound, without};

/// The rows that are true; blank is not.
pub(super) fn truth(array: &ArrayRef) -> Result<BooleanBuffer, ArrowError> {
    let array = array.as_boolean_opt().ok_or_else(|| unsound("no condition"))?;
    Ok(true_rows(array))
}

fn true_rows(array: &BooleanArray) -> BooleanBuffer {
    match array.nulls() {
        Some(nulls) => array.values() & nulls.inner(),
        None => array.values().clone(),
    }
}

fn condition(truth: BooleanBuffer, bad: Option<BooleanBuffer>) -> Cells {
    Cells { array: Arc::new(BooleanArray::new(truth, None)), bad }
}

pub(super) fn evaluate(expression: &Expression, batch: &RecordBatch) -> Result<Cells, ArrowError> {
    match expression {
        Expression::Compare { comparison, left, right } => {
            let (left, right) = (cells(left, batch)?, cells(right, batch)?);
            let compared = match comparison {
                Comparison::Equal => eq(&left.array, &right.array),
                Comparison::Less => lt(&left.array, &right.array),
                Comparison::LessOrEqual => lt_eq(&left.array, &right.array),
            }?;
            Ok(condition(true_rows(&compared), either(left.bad, right.bad)))
        }
        Expression::And { of } => {
            let (mut open, mut bad) = (BooleanBuffer::new_set(batch.num_rows()), None);
            for one in of {
                if open.count_set_bits() == 0 {
                    break;
                }
                let one = cells(one, batch)?;
                bad = either(bad, among(one.bad.as_ref(), &open));
                open = without(&(&open & &one.truth()?), one.bad.as_ref());
            }
            Ok(condition(open, bad))
        }
        Expression::Or { of } => {
            let (mut open, mut bad) = (BooleanBuffer::new_set(batch.num_rows()), None);
            let mut truth = BooleanBuffer::new_unset(batch.num_rows());
            for one in of {
                if open.count_set_bits() == 0 {
                    break;
                }
                let one = cells(one, batch)?;
                bad = either(bad, among(one.bad.as_ref(), &open));
                open = without(&open, one.bad.as_ref());
                let here = &open & &one.truth()?;
                truth = &truth | &here;
                open = &open & &!&here;
            }
            Ok(condition(truth, bad))
        }
        Expression::Not { of } => {
            let of = cells(of, batch)?;
            Ok(condition(!&of.truth()?, of.bad))
        }
        Expression::IsBlank { of } => {
            let of = cells(of, batch)?;
            Ok(Cells { array: Arc::new(is_null(&of.array)?), bad: of.bad })
        }
        Expression::Contains { of, find } => {
            let (of, find) = (cells(of, batch)?, cells(find, batch)?);
            let (Some(texts), Some(finds)) = (of.array.as_string_view_opt(), find.array.as_string_view_opt()) else {
                return Err(unsound("no text"));
            };
            let found: BooleanBuffer = texts
                .iter()
                .zip(finds)
                .map(|(text, find)| text.zip(find).is_some_and(|(text, find)| text.contains(find)))
                .collect();
            Ok(condition(found, either(of.bad, find.bad)))
        }
        _ => Err(unsound("no condition")),
    }
}
