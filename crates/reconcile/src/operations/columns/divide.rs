//! The quotient of two numbers.

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
    /// The number by which it is divided.
    right: Operand,
    /// The decimals of the result; else the most of the operands', and 6 at least.
    #[serde(default)]
    scale: Option<u8>,
    /// How the result is rounded where it has more decimals.
    #[serde(default)]
    rounding: Rounding,
    /// What a blank operand counts as.
    #[serde(default)]
    blank_as: BlankAs,
    /// What a division by zero is.
    #[serde(default)]
    on_zero: OnZero,
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
        summary: "The first number divided by the second, rounded once.",
        types: "A decimal with `scale` decimals; unless that is given, with as many as the operand with more of \
                them, and 6 at least: also of integers. The exact quotient is rounded once, halves away from zero \
                unless `rounding` says otherwise. A division by zero is an error, or blank with `onZero: \"blank\"`; a \
                quotient that does not fit is an error.",
        blanks: "Where an operand is blank, so is the quotient; with `blankAs: \"zero\"` a blank counts as 0. A \
                blank divisor is then a division by zero.",
        rows: ROW_BY_ROW,
        spreadsheet: "A spreadsheet has about 15 digits, and #DIV/0! in one cell where this fails the job: `onZero: \
                \"blank\"` is IFERROR(x / y, \"\").",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("six decimals at least")
                .input("a", "x: integer | y: integer", &["1 | 3", "2 | 3", "-2 | 3", "6 | 3", " | 3", "1 | "])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .gives(
                    "x: integer | y: integer | z: decimal(6)",
                    &[
                        "1 | 3 | 0.333333",
                        "2 | 3 | 0.666667",
                        "-2 | 3 | -0.666667",
                        "6 | 3 | 2.000000",
                        " | 3 | ",
                        "1 | | ",
                    ],
                ),
            Case::new("as many as the operands have")
                .input("a", "x: decimal(8) | y: decimal(2)", &["1.00000000 | 3.00"])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .gives("x: decimal(8) | y: decimal(2) | z: decimal(8)", &["1.00000000 | 3.00 | 0.33333333"]),
            Case::new("to cents: halves away from zero")
                .input("a", "x: decimal(2)", &["0.25", "-0.25", "0.35"])
                .step(r#"{"from": "a", "left": "x", "right": {"value": 10}, "as": "z", "scale": 2}"#)
                .gives("x: decimal(2) | z: decimal(2)", &["0.25 | 0.03", "-0.25 | -0.03", "0.35 | 0.04"]),
            Case::new("to cents: halves to the even one")
                .input("a", "x: decimal(2)", &["0.25", "-0.25", "0.35"])
                .step(
                    r#"{"from": "a", "left": "x", "right": {"value": 10}, "as": "z", "scale": 2,
                        "rounding": "halfEven"}"#,
                )
                .gives("x: decimal(2) | z: decimal(2)", &["0.25 | 0.02", "-0.25 | -0.02", "0.35 | 0.04"]),
            Case::new("zero as divisor gives a blank, if so told")
                .input("a", "x: integer | y: decimal(1)", &["1 | 0.0", "0 | 0.0", "1 | 0.5"])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z", "onZero": "blank", "scale": 0}"#)
                .gives("x: integer | y: decimal(1) | z: decimal(0)", &["1 | 0.0 | ", "0 | 0.0 | ", "1 | 0.5 | 2"]),
            Case::new("a blank as zero divides by zero")
                .input("a", "x: integer | y: integer", &[" | 4", "4 | "])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z", "onZero": "blank", "blankAs": "zero"}"#)
                .gives("x: integer | y: integer | z: decimal(6)", &[" | 4 | 0.000000", "4 | | "]),
            Case::new("no rows")
                .input("a", "x: integer | y: integer", &[])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .gives("x: integer | y: integer | z: decimal(6)", &[]),
            Case::new("zero as divisor is an error")
                .input("a", "x: integer | y: integer", &["1 | 1", "1 | 0"])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .fails(r#"step "step" (divide), column "z", row 2 of "a": division by zero"#),
            Case::new("a quotient that does not fit is an error")
                .input("a", "x: decimal(0)", &["10000000000000000000000000000000"])
                .step(r#"{"from": "a", "left": "x", "right": {"value": "0.1"}, "as": "z"}"#)
                .fails("the result does not fit decimal(6)"),
            Case::new("text is no number")
                .input("a", "x: integer | y: text", &[])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .refused(r#"column "y": expected a number, it is text"#),
        ]
    }
}
