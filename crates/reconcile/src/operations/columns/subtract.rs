//! Subtract (-).

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
    /// The second number.
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
        summary: "The difference of two numbers, exactly.",
        types: "Integers give an integer; else the result has the decimals of the operand with more of them. A difference that does not fit is an error.",
        blanks: "Where an operand is blank, so is the result; with `blankAs: \"zero\"` a blank counts as 0.",
        rows: ROW_BY_ROW,
        spreadsheet: "A spreadsheet counts an empty cell as 0 and subtracts in binary floating point: 1 - 0.9 is 0.09999999999999998 there, and 0.1 here.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("decimals are exact; a blank makes the difference blank")
                .input("a", "x: decimal(1) | y: decimal(2)", &["1.0 | 0.90", " | 1.00", "-0.5 | -0.50"])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .gives(
                    "x: decimal(1) | y: decimal(2) | z: decimal(2)",
                    &["1.0 | 0.90 | 0.10", " | 1.00 | ", "-0.5 | -0.50 | 0.00"],
                ),
            Case::new("a blank as zero; from a value")
                .input("a", "x: integer", &["2", ""])
                .step(r#"{"from": "a", "left": {"value": 5}, "right": "x", "as": "z", "blankAs": "zero"}"#)
                .gives("x: integer | z: integer", &["2 | 3", " | 5"]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z"}"#)
                .gives("x: integer | z: integer", &[]),
            Case::new("an integer that does not fit is an error")
                .input("a", "x: integer", &["-9223372036854775808"])
                .step(r#"{"from": "a", "left": "x", "right": {"value": 1}, "as": "z"}"#)
                .fails(r#"column "z", row 1 of "a": the result does not fit integer"#),
            Case::new("text is no number")
                .input("a", "x: text", &["1"])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z"}"#)
                .refused(r#"column "x": expected a number, it is text"#),
        ]
    }
}
