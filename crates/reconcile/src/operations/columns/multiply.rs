//! Multiply (*).

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
    /// The decimals of the result; by the rule unless given.
    #[serde(default)]
    scale: Option<u8>,
    /// How the result is rounded, where it has more decimals.
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
        summary: "The product of two numbers, exactly, or rounded once to `scale`.",
        types: "Integers give an integer; else the result has as many decimals as both operands together, which may not be more than 20: say `scale` then. With \
                `scale` the result is a decimal of that many, rounded once. A product that does not fit is an error.",
        blanks: "Where an operand is blank, so is the result; with `blankAs: \"zero\"` a blank counts as 0.",
        rows: ROW_BY_ROW,
        spreadsheet: "A spreadsheet counts an empty cell as 0 and multiplies in binary floating point.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("all decimals stay")
                .input("a", "x: decimal(2) | y: decimal(3)", &["152.58 | 1.075", " | 1.000", "-0.01 | 0.001"])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .gives("x: decimal(2) | y: decimal(3) | z: decimal(5)", &["152.58 | 1.075 | 164.02350", " | 1.000 | ", "-0.01 | 0.001 | -0.00001"]),
            Case::new("halves go away from zero")
                .input("a", "x: decimal(2)", &["0.05", "-0.05", "0.15"])
                .step(r#"{"from": "a", "left": "x", "right": {"value": "0.1"}, "as": "z", "scale": 2}"#)
                .gives("x: decimal(2) | z: decimal(2)", &["0.05 | 0.01", "-0.05 | -0.01", "0.15 | 0.02"]),
            Case::new("halves go to the even neighbour")
                .input("a", "x: decimal(2)", &["0.05", "-0.15", "0.25"])
                .step(r#"{"from": "a", "left": "x", "right": {"value": "0.1"}, "as": "z", "scale": 2, "rounding": "halfEven"}"#)
                .gives("x: decimal(2) | z: decimal(2)", &["0.05 | 0.00", "-0.15 | -0.02", "0.25 | 0.02"]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z"}"#)
                .gives("x: integer | z: integer", &[]),
            Case::new("between, 76 digits do no harm; a product that does not fit is an error")
                .input("a", "x: decimal(20)", &["999999999999999999.00000000000000000000"])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z", "scale": 2}"#)
                .gives("x: decimal(20) | z: decimal(2)", &["999999999999999999.00000000000000000000 | 999999999999999998000000000000000001.00"]),
            Case::new("an integer that does not fit is an error")
                .input("a", "x: integer", &["4294967296"])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z"}"#)
                .fails(r#"the result does not fit integer"#),
            Case::new("more than 20 decimals")
                .input("a", "x: decimal(11)", &[])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z"}"#)
                .refused(r#"22 decimals are more than 20: say `scale`"#),
            Case::new("text is no number")
                .input("a", "x: text", &["1"])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z"}"#)
                .refused(r#"column "x": expected a number, it is text"#),
        ]
    }
}
