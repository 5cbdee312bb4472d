//! Measures of many groups at once.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex},
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Decimal256Array, Int64Array, ListArray, ListBuilder,
        new_empty_array,
    },
    datatypes::{DataType, Decimal256Type, Field, Int64Type, i256},
    row::{RowConverter, SortField},
};
use datafusion_common::{DataFusionError, Result, ScalarValue};
use datafusion_expr::{Accumulator, EmitTo, GroupsAccumulator};
use reconcile::{
    Fault, Rounding, Type, decimal,
    plan::{Aggregation, Measure},
};

use crate::{
    columns,
    compute::Site,
    evaluate::{numbers::units_of, units},
};

/// The accumulator of a measure of a column of type `of`.
pub(super) fn of(measure: &Measure, of: Type, site: &Site) -> Result<Box<dyn GroupsAccumulator>> {
    Ok(match measure.function {
        Aggregation::Count => Box::new(Counts::default()),
        Aggregation::CountDistinct => Box::new(Differents { converter: converter(of)?, groups: Vec::new(), bytes: 0 }),
        Aggregation::Min | Aggregation::Max => Box::new(Extremes {
            converter: converter(of)?,
            largest: measure.function == Aggregation::Max,
            of,
            groups: Vec::new(),
            bytes: 0,
        }),
        Aggregation::Sum | Aggregation::Average => {
            Box::new(Sums { measure: measure.clone(), of, site: site.clone(), sums: Vec::new(), counts: Vec::new() })
        }
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

/// Units of sums, of 77 digits; the scale is that of the column.
const SUM: DataType = DataType::Decimal256(76, 0);

fn converter(kind: Type) -> Result<RowConverter> {
    Ok(RowConverter::new(vec![SortField::new(columns::data_type(kind))])?)
}

fn first(values: &[ArrayRef]) -> Result<&ArrayRef> {
    values.first().ok_or_else(|| DataFusionError::Internal("a measure lacks its column".to_owned()))
}

fn unsound(what: &str) -> DataFusionError {
    DataFusionError::Internal(what.to_owned())
}

/// Applies `change` to the group of each row that is neither blank nor filtered out.
fn each<G>(
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
fn states_of_rows(
    fresh: &mut dyn GroupsAccumulator,
    values: &[ArrayRef],
    filter: Option<&BooleanArray>,
) -> Result<Vec<ArrayRef>> {
    let rows = first(values)?.len();
    let indices: Vec<usize> = (0..rows).collect();
    fresh.update_batch(values, &indices, filter, rows)?;
    fresh.state(EmitTo::All)
}

/// Exact sums, in 256 bits, and how many cells they are of.
struct Sums {
    measure: Measure,
    of: Type,
    site: Site,
    sums: Vec<i256>,
    counts: Vec<i64>,
}

impl Sums {
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
        let results = results.collect::<Result<arrow::array::Decimal128Array>>()?;
        Ok(Arc::new(results.with_data_type(columns::data_type(self.measure.kind))))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let (sums, counts) = self.taken(emit);
        let sums = Decimal256Array::from(sums).with_data_type(SUM);
        Ok(vec![Arc::new(sums), Arc::new(Int64Array::from(counts))])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let (measure, site) = (self.measure.clone(), self.site.clone());
        let mut fresh = Self { measure, of: self.of, site, sums: Vec::new(), counts: Vec::new() };
        states_of_rows(&mut fresh, values, filter)
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i256>() + self.counts.capacity() * size_of::<i64>()
    }
}

/// The smallest or the largest value, as bytes that sort as the values do.
struct Extremes {
    converter: RowConverter,
    largest: bool,
    of: Type,
    groups: Vec<Option<Box<[u8]>>>,
    bytes: usize,
}

impl GroupsAccumulator for Extremes {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.groups.resize(groups, None);
        let values = first(values)?;
        let rows = self.converter.convert_columns(std::slice::from_ref(values))?;
        let (largest, mut bytes) = (self.largest, 0);
        each(values, &mut self.groups, indices, filter, |group, row| {
            let row = rows.row(row);
            let new: &[u8] = row.as_ref();
            if group.as_ref().is_none_or(|old| if largest { new > old.as_ref() } else { new < old.as_ref() }) {
                bytes += new.len();
                *group = Some(new.into());
            }
        });
        self.bytes += bytes;
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], indices: &[usize], groups: usize) -> Result<()> {
        self.update_batch(values, indices, None, groups)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let taken = emit.take_needed(&mut self.groups);
        self.bytes = self.groups.iter().flatten().map(|group| group.len()).sum();
        let blank = arrow::array::new_null_array(&columns::data_type(self.of), 1);
        let blank = self.converter.convert_columns(&[blank])?;
        let blank = blank.row(0);
        let parser = self.converter.parser();
        let rows = taken.iter().map(|group| group.as_ref().map_or(blank, |bytes| parser.parse(bytes)));
        let columns = self.converter.convert_rows(rows)?;
        Ok(Arc::clone(first(&columns)?))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit)?])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut fresh =
            Self { converter: converter(self.of)?, largest: self.largest, of: self.of, groups: Vec::new(), bytes: 0 };
        states_of_rows(&mut fresh, values, filter)
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<Option<Box<[u8]>>>() + self.bytes
    }
}

/// The different values, as bytes.
struct Differents {
    converter: RowConverter,
    groups: Vec<HashSet<Box<[u8]>>>,
    bytes: usize,
}

impl Differents {
    fn taken(&mut self, emit: EmitTo) -> Vec<HashSet<Box<[u8]>>> {
        let taken = emit.take_needed(&mut self.groups);
        self.bytes = self.groups.iter().flatten().map(|value| value.len() + VALUE_BYTES).sum();
        taken
    }
}

/// What a value in a set takes besides its bytes.
const VALUE_BYTES: usize = 2 * size_of::<Box<[u8]>>();

impl GroupsAccumulator for Differents {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.groups.resize_with(groups, HashSet::new);
        let values = first(values)?;
        let rows = self.converter.convert_columns(std::slice::from_ref(values))?;
        let mut bytes = 0;
        each(values, &mut self.groups, indices, filter, |group, row| {
            let row = rows.row(row);
            let value: &[u8] = row.as_ref();
            if !group.contains(value) {
                bytes += value.len() + VALUE_BYTES;
                group.insert(value.into());
            }
        });
        self.bytes += bytes;
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], indices: &[usize], groups: usize) -> Result<()> {
        self.groups.resize_with(groups, HashSet::new);
        let lists: &ListArray = first(values)?.as_list_opt().ok_or_else(|| unsound("no list of values"))?;
        for (row, index) in indices.iter().enumerate() {
            let list = lists.value(row);
            let more = list.as_binary_opt::<i32>().ok_or_else(|| unsound("no list of values"))?;
            let Some(group) = self.groups.get_mut(*index) else { continue };
            for value in more.iter().flatten() {
                if !group.contains(value) {
                    self.bytes += value.len() + VALUE_BYTES;
                    group.insert(value.into());
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let counts = self.taken(emit).into_iter().map(|group| i64::try_from(group.len()).unwrap_or(i64::MAX));
        Ok(Arc::new(Int64Array::from_iter_values(counts)))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let mut lists = ListBuilder::new(BinaryBuilder::new());
        for group in self.taken(emit) {
            group.iter().for_each(|value| lists.values().append_value(value));
            lists.append(true);
        }
        Ok(vec![Arc::new(lists.finish())])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values_of = first(values)?;
        let converter = RowConverter::new(vec![SortField::new(values_of.data_type().clone())])?;
        states_of_rows(&mut Self { converter, groups: Vec::new(), bytes: 0 }, values, filter)
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<HashSet<Box<[u8]>>>() + self.bytes
    }
}

/// A measure of one group: all rows.
pub(super) struct Single(Mutex<Box<dyn GroupsAccumulator>>);

impl Single {
    /// There is one group, of no rows too.
    pub(super) fn of(mut groups: Box<dyn GroupsAccumulator>, kind: Type) -> Result<Self> {
        groups.update_batch(&[new_empty_array(&columns::data_type(kind))], &[], None, 1)?;
        Ok(Self(Mutex::new(groups)))
    }

    fn groups(&mut self) -> Result<&mut Box<dyn GroupsAccumulator>> {
        self.0.get_mut().map_err(|_| unsound("a measure was given up"))
    }
}

impl fmt::Debug for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Single")
    }
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let indices = vec![0; first(values)?.len()];
        self.groups()?.update_batch(values, &indices, None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let indices = vec![0; first(states)?.len()];
        self.groups()?.merge_batch(states, &indices, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.groups()?.evaluate(EmitTo::All)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let states = self.groups()?.state(EmitTo::All)?;
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn size(&self) -> usize {
        self.0.lock().map_or(0, |groups| groups.size())
    }
}
