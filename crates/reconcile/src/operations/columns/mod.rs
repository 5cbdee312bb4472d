//! Operations that compute a column of each row.

use std::fmt;

use crate::{
    error::PlanError,
    expression::{Expression, OnZero, Operator},
    operations::{Operation, Results},
    parameters::{Operand, TableName},
    planner::{StepPlan, Table},
    types::{Rounding, Type},
};

pub(crate) mod abs;
pub(crate) mod add;
pub(crate) mod coalesce;
pub(crate) mod concat;
pub(crate) mod constant;
pub(crate) mod date_dif;
pub(crate) mod date_value;
pub(crate) mod divide;
pub(crate) mod if_then;
pub(crate) mod ifs;
pub(crate) mod left;
pub(crate) mod len;
pub(crate) mod lower;
pub(crate) mod mid;
pub(crate) mod multiply;
pub(crate) mod negate;
pub(crate) mod right;
pub(crate) mod round;
pub(crate) mod round_down;
pub(crate) mod round_up;
pub(crate) mod substitute;
pub(crate) mod subtract;
pub(crate) mod trim;
pub(crate) mod upper;
pub(crate) mod value;

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

/// The column, as text.
pub(crate) fn text_of(step: &StepPlan<'_>, table: &Table, column: &str) -> Result<Expression, PlanError> {
    let text = step.column(table, column)?.expression().cast(Type::Text);
    text.ok_or_else(|| step.fail_on(column, "expected what can be written as text"))
}

const DECIMALS_MAX: u8 = 20;

/// The column with so many decimals.
pub(crate) fn rounded(
    step: &StepPlan<'_>,
    table: &Table,
    column: &str,
    decimals: i8,
    rounding: Rounding,
) -> Result<Expression, PlanError> {
    if decimals.unsigned_abs() > DECIMALS_MAX {
        return Err(step.fail(format!("expected -{DECIMALS_MAX} to {DECIMALS_MAX} `decimals`")));
    }
    let number = step.number(table, column)?;
    let kind = match number.kind {
        Type::Integer => Type::Integer,
        _ => step.decimal(u8::try_from(decimals).unwrap_or(0))?,
    };
    Ok(Expression::Round { of: Box::new(number.expression()), decimals, rounding, kind })
}

/// The operands in the type that holds them all. The values among them are read as what the columns are.
pub(crate) fn alike(step: &StepPlan<'_>, table: &Table, operands: &[&Operand]) -> Result<Vec<Expression>, PlanError> {
    let common = |kinds: &[Type]| {
        let Some((first, rest)) = kinds.split_first() else { return Ok(None) };
        let both = |one: Type, other: &Type| {
            one.common(*other).ok_or_else(|| step.fail(format!("{other} does not go with {one}")))
        };
        rest.iter().try_fold(*first, both).map(Some)
    };
    let mut columns = Vec::new();
    for operand in operands.iter().filter(|operand| matches!(operand, Operand::Column(_))) {
        columns.push(operand.expression(step, table, None)?.kind());
    }
    let expected = common(&columns)?;
    let values: Vec<Expression> =
        operands.iter().map(|operand| operand.expression(step, table, expected)).collect::<Result<_, _>>()?;
    let kinds: Vec<Type> = values.iter().map(Expression::kind).collect();
    let kind = common(&kinds)?.unwrap_or(Type::Text);
    let cast = |value: Expression| value.cast(kind).ok_or_else(|| step.fail(format!("expected {kind}")));
    values.into_iter().map(cast).collect()
}
