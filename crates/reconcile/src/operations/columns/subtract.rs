//! The difference of two numbers.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::{Expression, OnZero, Operator},
    operations::{
        Documented, Reference,
        columns::{ColumnOperation, ROW_BY_ROW, arithmetic},
    },
    parameters::{BlankAs, Operand, TableName},
    planner::{StepPlan, Table},
    types::Rounding,
};

/// The difference of two numbers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Subtract {
    /// The table.
    from: TableName,
    /// The first number.
    left: Operand,
    /// The number that is taken from it.
    right: Operand,
    /// What a blank operand counts as.
    #[serde(default)]
    blank_as: BlankAs,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for Subtract {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let (left, right) = (self.left.number(step, table)?, self.right.number(step, table)?);
        let (left, right) = (self.blank_as.apply(left), self.blank_as.apply(right));
        arithmetic(step, Operator::Subtract, left, right, None, Rounding::HalfUp, OnZero::Fail)
    }
}

impl Documented for Subtract {
    const NAME: &'static str = "subtract";
    const REFERENCE: Reference = Reference {
        title: "Subtract (-)",
        summary: "The first number less the second, exactly.",
        types: "Integers give an integer; else the result has the decimals of the operand with more of them. A \
                difference that does not fit is an error. Dates are subtracted by `dateDif`.",
        blanks: "Where an operand is blank, so is the difference; with `blankAs: \"zero\"` a blank counts as 0.",
        rows: ROW_BY_ROW,
        spreadsheet: "A spreadsheet counts an empty cell as 0 and subtracts in binary floating point: 1.1 - 1 is \
                0.10000000000000009 there, and 0.1 here.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("decimals are exact")
                .input("a", "x: decimal(1) | y: integer", &["1.1 | 1", "-0.5 | -1", " | 1", "2.0 | "])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .gives(
                    "x: decimal(1) | y: integer | z: decimal(1)",
                    &["1.1 | 1 | 0.1", "-0.5 | -1 | 0.5", " | 1 | ", "2.0 | | "],
                ),
            Case::new("a blank as zero")
                .input("a", "x: integer | y: integer", &["5 | ", " | 3", " | "])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z", "blankAs": "zero"}"#)
                .gives("x: integer | y: integer | z: integer", &["5 | | 5", " | 3 | -3", " | | 0"]),
            Case::new("of a value")
                .input("a", "x: decimal(2)", &["12.50"])
                .step(r#"{"from": "a", "left": {"value": 100}, "right": "x", "as": "z"}"#)
                .gives("x: decimal(2) | z: decimal(2)", &["12.50 | 87.50"]),
            Case::new("no rows")
                .input("a", "x: integer | y: decimal(3)", &[])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .gives("x: integer | y: decimal(3) | z: decimal(3)", &[]),
            Case::new("an integer that does not fit is an error")
                .input("a", "x: integer | y: integer", &["-9223372036854775808 | 1"])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .fails(r#"step "step" (subtract), column "z", row 1 of "a": the result does not fit integer"#),
            Case::new("dates are no numbers")
                .input("a", "x: date | y: date", &[])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .refused(r#"column "x": expected a number, it is date"#),
        ]
    }
}
