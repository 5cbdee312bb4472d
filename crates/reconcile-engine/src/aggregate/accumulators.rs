//! Measures of many groups at once.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array},
    datatypes::{DataType, Field, Int64Type},
};
use datafusion_common::Result;
use datafusion_expr::{EmitTo, GroupsAccumulator};
use reconcile::{
    Type,
    plan::{Aggregation, Measure},
};

use super::{
    sums::{SUM, Sums},
    values::{Differents, Extremes},
};
use crate::{columns, compute::Site, fault::unsound};

/// The accumulator of a measure of a column of type `of`.
pub(super) fn of(measure: &Measure, of: Type, site: &Site) -> Result<Box<dyn GroupsAccumulator>> {
    Ok(match measure.function {
        Aggregation::Count => Box::new(Counts::default()),
        Aggregation::CountDistinct => Box::new(Differents::of(of)?),
        Aggregation::Min | Aggregation::Max => Box::new(Extremes::of(of, measure.function == Aggregation::Max)?),
        Aggregation::Sum | Aggregation::Average => Box::new(Sums::of(measure, of, site)),
    })
}

/// What goes between the first and the last stage of a measure.
pub(super) fn state_types(measure: &Measure, of: Type) -> Vec<DataType> {
    match measure.function {
        Aggregation::Count => vec![DataType::Int64],
        Aggregation::CountDistinct => vec![DataType::List(Arc::new(Field::new_list_field(DataType::Binary, true)))],
        Aggregation::Min | Aggregation::Max => vec![columns::data_type(of)],
        Aggregation::Sum | Aggregation::Average => vec![SUM, DataType::Int64],
    }
}

pub(super) fn first(values: &[ArrayRef]) -> Result<&ArrayRef> {
    values.first().ok_or_else(|| unsound("a measure lacks its column"))
}

/// Applies `change` to the group of each row that is neither blank nor filtered out.
pub(super) fn each<G>(
    values: &ArrayRef,
    groups: &mut [G],
    indices: &[usize],
    filter: Option<&BooleanArray>,
    mut change: impl FnMut(&mut G, usize),
) {
    for (row, group) in indices.iter().enumerate() {
        let counts = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        if counts && values.is_valid(row) {
            groups.get_mut(*group).into_iter().for_each(|group| change(group, row));
        }
    }
}

/// How many cells are filled.
#[derive(Default)]
struct Counts {
    counts: Vec<i64>,
}

impl GroupsAccumulator for Counts {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.counts.resize(groups, 0);
        each(first(values)?, &mut self.counts, indices, filter, |count, _| *count += 1);
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], indices: &[usize], groups: usize) -> Result<()> {
        self.counts.resize(groups, 0);
        let values = first(values)?;
        let more = values.as_primitive_opt::<Int64Type>().ok_or_else(|| unsound("no count"))?;
        each(values, &mut self.counts, indices, None, |count, row| *count += more.value(row));
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(emit.take_needed(&mut self.counts))))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit)?])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        states_of_rows(&mut Self::default(), values, filter)
    }

    fn size(&self) -> usize {
        self.counts.capacity() * size_of::<i64>()
    }
}

/// Each row as a group of its own.
pub(super) fn states_of_rows(
    fresh: &mut dyn GroupsAccumulator,
    values: &[ArrayRef],
    filter: Option<&BooleanArray>,
) -> Result<Vec<ArrayRef>> {
    let rows = first(values)?.len();
    let indices: Vec<usize> = (0..rows).collect();
    fresh.update_batch(values, &indices, filter, rows)?;
    fresh.state(EmitTo::All)
}
