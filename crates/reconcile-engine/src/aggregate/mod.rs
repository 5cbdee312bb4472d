//! Groups: DataFusion's, with measures of our own.

mod accumulators;
mod single;
mod sums;
mod values;

use std::{hash::Hash, sync::Arc};

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result;
use datafusion_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
    function::{AccumulatorArgs, StateFieldsArgs},
};
use datafusion_physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion_physical_plan::{
    ExecutionPlan,
    aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy},
};
use reconcile::{
    Type,
    expression::ColumnId,
    plan::{Aggregation, Measure, Relation},
};

use crate::{
    columns,
    compute::Site,
    sorting::{Ordered, expression},
};

/// One row for each combination of keys: first within each partition of `input`, then among all.
pub(crate) fn aggregate(
    relation: &Relation,
    input: Ordered,
    keys: &[ColumnId],
    measures: &[Measure],
    kinds: impl Fn(ColumnId) -> Type,
    partitions: usize,
) -> Result<Ordered> {
    let schema = input.plan.schema();
    let groups = keys.iter().map(|key| Ok((expression(&input.plan, *key)?, columns::field_name(*key))));
    let groups = PhysicalGroupBy::new_single(groups.collect::<Result<_>>()?);
    let function = |measure: &Measure| -> Result<Arc<AggregateFunctionExpr>> {
        let function = Function {
            measure: measure.clone(),
            of: kinds(measure.of),
            site: Site::of(relation),
            signature: Signature::any(1, Volatility::Immutable),
        };
        let argument = expression(&input.plan, measure.of)?;
        let built = AggregateExprBuilder::new(Arc::new(AggregateUDF::new_from_impl(function)), vec![argument])
            .schema(Arc::clone(&schema))
            .alias(columns::field_name(measure.column))
            .build()?;
        Ok(Arc::new(built))
    };
    let functions = measures.iter().map(function).collect::<Result<Vec<_>>>()?;
    let filters = vec![None; functions.len()];
    let (last, mode) = (groups.as_final(), AggregateMode::Partial);
    let first =
        AggregateExec::try_new(mode, groups, functions.clone(), filters.clone(), input.plan, Arc::clone(&schema))?;
    let gathered = Ordered::without(Arc::new(first)).partitioned(keys, partitions)?;
    let mode = if keys.is_empty() { AggregateMode::Final } else { AggregateMode::FinalPartitioned };
    let plan: Arc<dyn ExecutionPlan> =
        Arc::new(AggregateExec::try_new(mode, last, functions, filters, gathered.plan, schema)?);
    Ok(Ordered::without(plan))
}

/// A measure, as DataFusion takes it.
#[derive(Debug, Clone)]
struct Function {
    measure: Measure,
    of: Type,
    site: Site,
    signature: Signature,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.measure == other.measure
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.measure.column.hash(state);
    }
}

impl Function {
    fn groups(&self) -> Result<Box<dyn GroupsAccumulator>> {
        accumulators::of(&self.measure, self.of, &self.site)
    }
}

impl AggregateUDFImpl for Function {
    fn name(&self) -> &str {
        match self.measure.function {
            Aggregation::Sum => "exact_sum",
            Aggregation::Count => "count_filled",
            Aggregation::CountDistinct => "count_different",
            Aggregation::Average => "exact_average",
            Aggregation::Min => "smallest",
            Aggregation::Max => "largest",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(columns::data_type(self.measure.kind))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let types = accumulators::state_types(&self.measure, self.of);
        let field =
            |(at, kind): (usize, DataType)| Arc::new(Field::new(format!("{}[{at}]", arguments.name), kind, true));
        Ok(types.into_iter().enumerate().map(field).collect())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(single::Single::of(self.groups()?, self.of)?))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        self.groups()
    }
}
