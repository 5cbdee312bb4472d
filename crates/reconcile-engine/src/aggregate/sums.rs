//! Sums and averages of many groups at once.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, Decimal128Array, Decimal256Array, Int64Array},
    datatypes::{DataType, Decimal256Type, Int64Type, i256},
};
use datafusion_common::{DataFusionError, Result};
use datafusion_expr::{EmitTo, GroupsAccumulator};
use reconcile::{
    Fault, Rounding, Type, decimal,
    plan::{Aggregation, Measure},
};

use super::accumulators::{each, first, states_of_rows};
use crate::{
    columns,
    compute::Site,
    evaluate::{numbers::units_of, units},
    fault::unsound,
};

/// Units of sums, of 77 digits; the scale is that of the column.
pub(super) const SUM: DataType = DataType::Decimal256(76, 0);

/// Exact sums, in 256 bits, and how many cells they are of.
pub(super) struct Sums {
    measure: Measure,
    of: Type,
    site: Site,
    sums: Vec<i256>,
    counts: Vec<i64>,
}

impl Sums {
    pub(super) fn of(measure: &Measure, of: Type, site: &Site) -> Self {
        Self { measure: measure.clone(), of, site: site.clone(), sums: Vec::new(), counts: Vec::new() }
    }

    /// What comes of a sum; a sum that no decimal holds is an error, of an average too.
    fn result(&self, sum: i256, count: i64) -> Option<i128> {
        let sum = sum.to_i128().and_then(units::fit)?;
        if self.measure.function == Aggregation::Sum {
            return Some(sum);
        }
        decimal::divide((sum, self.of.scale()), (i128::from(count), 0), self.measure.kind.scale(), Rounding::HalfUp)
    }

    fn overflow(&self) -> DataFusionError {
        self.site.error(Fault::Overflow(self.measure.kind), Some(self.measure.column), None)
    }

    fn taken(&mut self, emit: EmitTo) -> (Vec<i256>, Vec<i64>) {
        (emit.take_needed(&mut self.sums), emit.take_needed(&mut self.counts))
    }
}

impl GroupsAccumulator for Sums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.sums.resize(groups, i256::ZERO);
        self.counts.resize(groups, 0);
        let values = first(values)?;
        let units = units_of(values)?;
        each(values, &mut self.sums, indices, filter, |sum, row| {
            let unit = units.get(row).copied().unwrap_or_default();
            *sum = sum.wrapping_add(i256::from_i128(unit));
        });
        each(values, &mut self.counts, indices, filter, |count, _| *count += 1);
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], indices: &[usize], groups: usize) -> Result<()> {
        self.sums.resize(groups, i256::ZERO);
        self.counts.resize(groups, 0);
        let [sums, counts] = values else { return Err(unsound("a sum lacks its count")) };
        let more = sums.as_primitive_opt::<Decimal256Type>().ok_or_else(|| unsound("no sum"))?;
        each(sums, &mut self.sums, indices, None, |sum, row| *sum = sum.wrapping_add(more.value(row)));
        let more = counts.as_primitive_opt::<Int64Type>().ok_or_else(|| unsound("no count"))?;
        each(counts, &mut self.counts, indices, None, |count, row| *count += more.value(row));
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let (sums, counts) = self.taken(emit);
        let each = sums.into_iter().zip(counts);
        let results = each.map(|(sum, count)| match count {
            0 => Ok(None),
            _ => self.result(sum, count).map(Some).ok_or_else(|| self.overflow()),
        });
        let results = results.collect::<Result<Decimal128Array>>()?;
        Ok(Arc::new(results.with_data_type(columns::data_type(self.measure.kind))))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let (sums, counts) = self.taken(emit);
        let sums = Decimal256Array::from(sums).with_data_type(SUM);
        Ok(vec![Arc::new(sums), Arc::new(Int64Array::from(counts))])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        states_of_rows(&mut Self::of(&self.measure, self.of, &self.site), values, filter)
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i256>() + self.counts.capacity() * size_of::<i64>()
    }
}
