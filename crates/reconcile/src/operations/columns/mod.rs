//! Operations that compute a column of each row.

use std::fmt;

use crate::{
    error::PlanError,
    expression::{Expression, OnZero, Operator},
    operations::{Operation, Results},
    parameters::TableName,
    planner::{StepPlan, Table},
    types::{Rounding, Type},
};

pub(crate) mod add;
pub(crate) mod constant;

/// What a column operation does about blanks, where nothing else is said.
pub(crate) const BLANK_IN_BLANK_OUT: &str = "Where an operand is blank, so is the result.";
/// What a column operation does to rows.
pub(crate) const ROW_BY_ROW: &str = "Row by row: rows and their order stay. A column that is called as the result is replaced where it stands; else \
     the result is the last column.";

/// An operation that computes one column of each row.
pub(crate) trait ColumnOperation: fmt::Debug + Send + Sync {
    /// The table.
    fn from(&self) -> &TableName;

    /// The name of the new column.
    fn result(&self) -> &str;

    /// Its cells.
    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError>;
}

impl<O: ColumnOperation> Operation for O {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", self.from())]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let table = step.table(self.from())?;
        let expression = self.expression(step, &table)?;
        Ok(step.extend(&table, vec![(self.result().to_owned(), expression)]).into())
    }
}

/// The decimals of a quotient, where its operands do not have more.
const QUOTIENT_SCALE: u8 = 6;

/// Two numbers become one, with `scale` decimals or as many as the rule says.
pub(crate) fn arithmetic(
    step: &StepPlan<'_>,
    operator: Operator,
    left: Expression,
    right: Expression,
    scale: Option<u8>,
    rounding: Rounding,
    on_zero: OnZero,
) -> Result<Expression, PlanError> {
    let (one, two) = (left.kind(), right.kind());
    let wider = one.scale().max(two.scale());
    let kind = match (scale, operator) {
        (Some(scale), _) => step.decimal(scale)?,
        (None, Operator::Divide) => step.decimal(wider.max(QUOTIENT_SCALE))?,
        _ if one == Type::Integer && two == Type::Integer => Type::Integer,
        (None, Operator::Multiply) => step.decimal(one.scale() + two.scale())?,
        _ => step.decimal(wider)?,
    };
    Ok(Expression::Arithmetic { operator, left: Box::new(left), right: Box::new(right), kind, rounding, on_zero })
}
