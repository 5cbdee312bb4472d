//! The smallest, the largest and the different values of many groups at once.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, BinaryBuilder, BooleanArray, Int64Array, ListArray, ListBuilder, new_null_array},
    row::{RowConverter, SortField},
};
use datafusion_common::Result;
use datafusion_expr::{EmitTo, GroupsAccumulator};
use reconcile::Type;

use super::accumulators::{each, first, states_of_rows};
use crate::{columns, fault::unsound};

fn converter(kind: Type) -> Result<RowConverter> {
    Ok(RowConverter::new(vec![SortField::new(columns::data_type(kind))])?)
}

/// The smallest or the largest value, as bytes that sort as the values do.
pub(super) struct Extremes {
    converter: RowConverter,
    largest: bool,
    of: Type,
    groups: Vec<Option<Box<[u8]>>>,
    bytes: usize,
}

impl Extremes {
    pub(super) fn of(of: Type, largest: bool) -> Result<Self> {
        Ok(Self { converter: converter(of)?, largest, of, groups: Vec::new(), bytes: 0 })
    }
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
        let blank = new_null_array(&columns::data_type(self.of), 1);
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
        states_of_rows(&mut Self::of(self.of, self.largest)?, values, filter)
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<Option<Box<[u8]>>>() + self.bytes
    }
}

/// The different values, as bytes.
pub(super) struct Differents {
    converter: RowConverter,
    of: Type,
    groups: Vec<HashSet<Box<[u8]>>>,
    bytes: usize,
}

impl Differents {
    pub(super) fn of(of: Type) -> Result<Self> {
        Ok(Self { converter: converter(of)?, of, groups: Vec::new(), bytes: 0 })
    }

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
        states_of_rows(&mut Self::of(self.of)?, values, filter)
    }

    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<HashSet<Box<[u8]>>>() + self.bytes
    }
}
