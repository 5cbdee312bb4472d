//! How large rows are: the bytes of their cells, whatever they are kept in.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::DataType,
};

/// The bytes of a column's cells: 8 of an integer or a timestamp, 16 of a decimal, 4 of a date, 1 of a boolean, those of
/// the UTF-8 of a text. A blank has none.
pub(crate) fn of_column(array: &dyn Array) -> u64 {
    let cells = (array.len() - array.null_count()) as u64;
    match array.data_type() {
        DataType::Utf8View => of_texts(array),
        DataType::Boolean => cells,
        kind => cells * kind.primitive_width().unwrap_or(0) as u64,
    }
}

/// The bytes of all cells of a batch.
pub(crate) fn of_batch(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| of_column(column)).sum()
}

/// A view begins with the length of its text.
fn of_texts(array: &dyn Array) -> u64 {
    let views = array.as_string_view().views();
    let length = |view: &u128| u64::from(*view as u32);
    match array.nulls() {
        None => views.iter().map(length).sum(),
        Some(nulls) => nulls.valid_indices().filter_map(|row| views.get(row)).map(length).sum(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, StringViewArray};

    use super::*;

    #[test]
    fn cells_are_counted_and_blanks_are_not() {
        let text = "a text that is longer than twelve bytes: ä";
        let arrays: [(ArrayRef, u64); 5] = [
            (Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])), 16),
            (Arc::new(Decimal128Array::from(vec![Some(1), None, None])), 16),
            (Arc::new(Date32Array::from(vec![1, 2, 3])), 12),
            (Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])), 2),
            (Arc::new(StringViewArray::from(vec![Some(text), None, Some("b")])), text.len() as u64 + 1),
        ];
        for (array, bytes) in arrays {
            assert_eq!(of_column(&array), bytes, "{array:?}");
            assert_eq!(of_column(&array.slice(1, 0)), 0);
        }
    }
}
