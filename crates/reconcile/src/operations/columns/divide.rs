//! Divide (/).

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

/// The quotient of two numbers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Divide {
    /// The table.
    from: TableName,
    /// The first number.
    left: Operand,
    /// The second number.
    right: Operand,
    /// The decimals of the result; by the rule unless given.
    #[serde(default)]
    scale: Option<u8>,
    /// How the result is rounded, where it has more decimals.
    #[serde(default)]
    rounding: Rounding,
    /// What a division by zero is.
    #[serde(default)]
    on_zero: OnZero,
    /// What a blank operand counts as.
    #[serde(default)]
    blank_as: BlankAs,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for Divide {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let (left, right) = (self.left.number(step, table)?, self.right.number(step, table)?);
        let (left, right) = (self.blank_as.apply(left), self.blank_as.apply(right));
        arithmetic(step, Operator::Divide, left, right, self.scale, self.rounding, self.on_zero)
    }
}

impl Documented for Divide {
    const NAME: &'static str = "divide";
    const REFERENCE: Reference = Reference {
        title: "Divide (/)",
        summary: "The quotient of two numbers, rounded once.",
        types: "The result is a decimal with the decimals of the operand with more of them, but six at least; or with `scale`. It is the exact quotient, rounded \
                once. A quotient that does not fit is an error.",
        blanks: "Where an operand is blank, so is the result; with `blankAs: \"zero\"` a blank counts as 0.",
        rows: ROW_BY_ROW,
        spreadsheet: "A division by zero is #DIV/0! there; here the job fails, or the cell is blank with `onZero: \"blank\"`.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("six decimals, halves away from zero")
                .input("a", "x: decimal(2) | y: integer", &["1.00 | 3", "-2.00 | 3", " | 3", "1.00 | ", "1.00 | 128"])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .gives("x: decimal(2) | y: integer | z: decimal(6)", &["1.00 | 3 | 0.333333", "-2.00 | 3 | -0.666667", " | 3 | ", "1.00 | | ", "1.00 | 128 | 0.007813"]),
            Case::new("with a scale, to the even neighbour")
                .input("a", "x: integer", &["1", "3", "5"])
                .step(r#"{"from": "a", "left": "x", "right": {"value": 2}, "as": "z", "scale": 0, "rounding": "halfEven"}"#)
                .gives("x: integer | z: decimal(0)", &["1 | 0", "3 | 2", "5 | 2"]),
            Case::new("by zero, blank")
                .input("a", "x: integer", &["1", "0"])
                .step(r#"{"from": "a", "left": {"value": 6}, "right": "x", "as": "z", "onZero": "blank"}"#)
                .gives("x: integer | z: decimal(6)", &["1 | 6.000000", "0 | "]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z"}"#)
                .gives("x: integer | z: decimal(6)", &[]),
            Case::new("by zero, an error")
                .input("a", "x: decimal(2)", &["1.00", "0.00"])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z"}"#)
                .fails(r#"step "step" (divide), column "z", row 2 of "a": division by zero"#),
            Case::new("a quotient that does not fit is an error")
                .input("a", "x: decimal(0)", &["99999999999999999999999999999999999999"])
                .step(r#"{"from": "a", "left": "x", "right": {"value": 1}, "as": "z"}"#)
                .fails(r#"the result does not fit decimal(6)"#),
            Case::new("a scale that is too large")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z", "scale": 21}"#)
                .refused(r#"21 decimals are more than 20"#),
            Case::new("text is no number")
                .input("a", "x: text", &["1"])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z"}"#)
                .refused(r#"column "x": expected a number, it is text"#),
        ]
    }
}
