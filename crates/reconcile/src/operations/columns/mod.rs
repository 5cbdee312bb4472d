//! Operations that compute a column of each row.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    error::PlanError,
    expression::{Expression, OnZero, Operator},
    operations::{Operation, Results},
    parameters::{Operand, TableName, ValueOperand},
    planner::{StepPlan, Table},
    types::{Rounding, SCALE_MAX, Type},
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

/// A column, and the one that is made of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct OneColumn {
    /// The table.
    pub(crate) from: TableName,
    /// The column.
    pub(crate) column: String,
    /// The new column.
    #[serde(rename = "as")]
    pub(crate) result: String,
}

impl OneColumn {
    /// The column's cells, which must be numbers.
    pub(crate) fn number(&self, step: &StepPlan<'_>, table: &Table) -> Result<Box<Expression>, PlanError> {
        Ok(Box::new(step.number(table, &self.column)?.expression()))
    }

    /// The column's cells, as text.
    pub(crate) fn text(&self, step: &StepPlan<'_>, table: &Table) -> Result<Box<Expression>, PlanError> {
        as_text(step, table, &self.column)
    }
}

/// A text column, and the one that is made of some characters of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct SomeCharacters {
    /// The table.
    pub(crate) from: TableName,
    /// The column.
    pub(crate) column: String,
    /// How many characters are taken, as far as there are.
    #[serde(default = "one")]
    pub(crate) length: u32,
    /// The new column.
    #[serde(rename = "as")]
    pub(crate) result: String,
}

/// One, where nothing is said.
const fn one() -> u32 {
    1
}

/// A number column, and the one that is made of it by rounding.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct FewerDecimals {
    /// The table.
    pub(crate) from: TableName,
    /// The column.
    pub(crate) column: String,
    /// The decimals; -1, -2, … for tens, hundreds, …
    pub(crate) decimals: i8,
    /// The new column.
    #[serde(rename = "as")]
    pub(crate) result: String,
}

/// A column's cells, as text.
pub(crate) fn as_text(step: &StepPlan<'_>, table: &Table, name: &str) -> Result<Box<Expression>, PlanError> {
    let text = step.column(table, name)?.expression().cast(Type::Text);
    text.map(Box::new).ok_or_else(|| step.fail_on(name, "expected what can be text"))
}

/// A column's cells, which must be text.
pub(crate) fn text(step: &StepPlan<'_>, table: &Table, name: &str) -> Result<Box<Expression>, PlanError> {
    let column = step.column(table, name)?;
    if column.kind == Type::Text {
        Ok(Box::new(column.expression()))
    } else {
        Err(step.fail_on(name, format!("expected text, it is {}", column.kind)))
    }
}

/// What rounding says of its types.
pub(crate) const ROUNDED: &str = "An integer stays an integer. A decimal has as many decimals as are asked for, or as it had where those are \
     fewer; below zero, none. `decimals` goes from -37 to 20. A rounded number that does not fit is an error.";

/// A column with so many decimals, or rounded to tens, hundreds, … where they are below zero.
pub(crate) fn rounded(
    step: &StepPlan<'_>,
    of: Expression,
    decimals: i8,
    rounding: Rounding,
) -> Result<Expression, PlanError> {
    let least = -37;
    if decimals < least || decimals > SCALE_MAX.cast_signed() {
        return Err(step.fail(format!("`decimals` goes from {least} to {SCALE_MAX}, it is {decimals}")));
    }
    let kind = match of.kind() {
        Type::Decimal(scale) => Type::Decimal(u8::try_from(decimals).unwrap_or(0).min(scale)),
        kind => kind,
    };
    Ok(Expression::Round { of: Box::new(of), decimals, rounding, kind })
}

/// What operands that become one column say of their types.
pub(crate) const ONE_TYPE: &str = "All have one type; of integers and decimals the result is a decimal with the most decimals among them. A \
     value takes the type of the others; among values alone, text is text, whatever it says, and `type` makes it \
     another.";

/// Operands that become cells of one column.
pub(crate) fn of_one_type(
    step: &StepPlan<'_>,
    table: &Table,
    operands: &[&Operand],
) -> Result<Vec<Expression>, PlanError> {
    let mut known = Vec::new();
    let mut by_form = Vec::new();
    for operand in operands {
        match operand {
            Operand::Column(name) => known.push(step.column(table, name)?.kind),
            Operand::Value(ValueOperand { kind: Some(kind), .. }) => known.push(*kind),
            Operand::Value(ValueOperand { value, kind: None }) => {
                let constant = value.by_form();
                by_form.extend((!constant.value().is_blank()).then(|| constant.kind()));
            }
        }
    }
    // Where nothing has a type of its own, values are what they look like.
    let kinds = if known.is_empty() { by_form } else { known };
    let expected = kinds.first().copied().unwrap_or(Type::Text);
    let expected = kinds.into_iter().try_fold(expected, |one, two| common(step, one, two))?;
    let cells: Vec<Expression> =
        operands.iter().map(|operand| operand.expression(step, table, Some(expected))).collect::<Result<_, _>>()?;
    let kind = cells.iter().try_fold(expected, |one, cell| common(step, one, cell.kind()))?;
    cells.into_iter().map(|cell| cell.cast(kind).ok_or_else(|| apart(step, expected, kind))).collect()
}

fn common(step: &StepPlan<'_>, one: Type, two: Type) -> Result<Type, PlanError> {
    one.common(two).ok_or_else(|| apart(step, one, two))
}

fn apart(step: &StepPlan<'_>, one: Type, two: Type) -> PlanError {
    step.fail(format!("a column cannot hold both {one} and {two}: `concat` makes text of anything"))
}
