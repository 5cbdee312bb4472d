//! The product of two numbers.

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

/// The product of two numbers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Multiply {
    /// The table.
    from: TableName,
    /// The first number.
    left: Operand,
    /// The second number.
    right: Operand,
    /// The decimals of the result.
    #[serde(default)]
    scale: Option<u8>,
    /// How the result is rounded where it has more decimals.
    #[serde(default)]
    rounding: Rounding,
    /// What a blank operand counts as.
    #[serde(default)]
    blank_as: BlankAs,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for Multiply {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let (left, right) = (self.left.number(step, table)?, self.right.number(step, table)?);
        let (left, right) = (self.blank_as.apply(left), self.blank_as.apply(right));
        arithmetic(step, Operator::Multiply, left, right, self.scale, self.rounding, OnZero::Fail)
    }
}

impl Documented for Multiply {
    const NAME: &'static str = "multiply";
    const REFERENCE: Reference = Reference {
        title: "Multiply (*)",
        summary: "The product of two numbers, exactly or rounded once.",
        types: "Integers give an integer; else the result has the decimals of both operands together, and is exact. \
                `scale` gives it other decimals, and more than 20 need it. The exact product is rounded once. A \
                product that does not fit is an error.",
        blanks: "Where an operand is blank, so is the product; with `blankAs: \"zero\"` a blank counts as 0.",
        rows: ROW_BY_ROW,
        spreadsheet: "A spreadsheet counts an empty cell as 0 and multiplies in binary floating point: 1.15 * 100 \
                is 114.99999999999999 there, and 115 here. It shows a rounded number and goes on with the other; here \
                the column has what is shown.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("decimals add up")
                .input("a", "x: decimal(2) | y: decimal(3)", &["1.15 | 100.000", "-0.01 | 0.001", " | 1.000"])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .gives(
                    "x: decimal(2) | y: decimal(3) | z: decimal(5)",
                    &["1.15 | 100.000 | 115.00000", "-0.01 | 0.001 | -0.00001", " | 1.000 | "],
                ),
            Case::new("integers stay integers")
                .input("a", "x: integer | y: integer", &["-3 | 4", "0 | 9"])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .gives("x: integer | y: integer | z: integer", &["-3 | 4 | -12", "0 | 9 | 0"]),
            Case::new("rounded to cents: halves away from zero")
                .input("a", "x: decimal(2) | y: decimal(2)", &["0.50 | 0.25", "-0.50 | 0.25", "0.50 | 0.35"])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z", "scale": 2}"#)
                .gives(
                    "x: decimal(2) | y: decimal(2) | z: decimal(2)",
                    &["0.50 | 0.25 | 0.13", "-0.50 | 0.25 | -0.13", "0.50 | 0.35 | 0.18"],
                ),
            Case::new("rounded to cents: halves to the even one")
                .input("a", "x: decimal(2) | y: decimal(2)", &["0.50 | 0.25", "-0.50 | 0.25", "0.50 | 0.35"])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z", "scale": 2, "rounding": "halfEven"}"#)
                .gives(
                    "x: decimal(2) | y: decimal(2) | z: decimal(2)",
                    &["0.50 | 0.25 | 0.12", "-0.50 | 0.25 | -0.12", "0.50 | 0.35 | 0.18"],
                ),
            Case::new("a blank as zero")
                .input("a", "x: integer", &["", "2"])
                .step(r#"{"from": "a", "left": "x", "right": {"value": "0.19"}, "as": "z", "blankAs": "zero"}"#)
                .gives("x: integer | z: decimal(2)", &[" | 0.00", "2 | 0.38"]),
            Case::new("what 38 digits hold, though the product on the way has 76")
                .input("a", "x: decimal(20)", &["999999999999999999.99999999999999999999"])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z", "scale": 0}"#)
                .gives(
                    "x: decimal(20) | z: decimal(0)",
                    &["999999999999999999.99999999999999999999 | 1000000000000000000000000000000000000"],
                ),
            Case::new("no rows")
                .input("a", "x: integer | y: integer", &[])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z", "scale": 2}"#)
                .gives("x: integer | y: integer | z: decimal(2)", &[]),
            Case::new("an integer that does not fit is an error")
                .input("a", "x: integer | y: integer", &["4294967296 | 2147483648"])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .fails(r#"column "z", row 1 of "a": the result does not fit integer"#),
            Case::new("a decimal that does not fit is an error")
                .input("a", "x: decimal(0) | y: decimal(0)", &["10000000000000000000 | 10000000000000000000"])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .fails("the result does not fit decimal(0)"),
            Case::new("too many decimals")
                .input("a", "x: decimal(12) | y: decimal(9)", &[])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .refused("21 decimals are more than 20: say `scale`"),
            Case::new("a scale beyond the most")
                .input("a", "x: integer | y: integer", &[])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z", "scale": 21}"#)
                .refused("21 decimals are more than 20"),
        ]
    }
}
