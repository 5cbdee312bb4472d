//! Measures of all rows.

use std::{fmt, sync::Mutex};

use arrow::array::{Array, ArrayRef, new_empty_array};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{Accumulator, EmitTo, GroupsAccumulator};
use reconcile::Type;

use super::accumulators::first;
use crate::{columns, fault::unsound};

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
