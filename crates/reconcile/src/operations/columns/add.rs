//! Addition.

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

/// The sum of two numbers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Add {
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

impl ColumnOperation for Add {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let (left, right) = (self.left.number(step, table)?, self.right.number(step, table)?);
        let (left, right) = (self.blank_as.apply(left), self.blank_as.apply(right));
        arithmetic(step, Operator::Add, left, right, None, Rounding::HalfUp, OnZero::Fail)
    }
}

impl Documented for Add {
    const NAME: &'static str = "add";
    const REFERENCE: Reference = Reference {
        title: "Add (+)",
        summary: "The sum of two numbers, exactly.",
        types: "Integers give an integer; else the result has the decimals of the operand with more of them. A sum that does not \
                fit is an error.",
        blanks: "Where an operand is blank, so is the sum; with `blankAs: \"zero\"` a blank counts as 0.",
        rows: ROW_BY_ROW,
        spreadsheet: "A spreadsheet counts an empty cell as 0 and adds in binary floating point: 0.1 + 0.2 is 0.30000000000000004 \
                      there, and 0.3 here.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("decimals are exact; a blank makes the sum blank")
                .input("a", "x: decimal(1) | y: decimal(2)", &["0.1 | 0.20", " | 1.00", "-0.5 | 0.50"])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "z"}"#)
                .gives(
                    "x: decimal(1) | y: decimal(2) | z: decimal(2)",
                    &["0.1 | 0.20 | 0.30", " | 1.00 | ", "-0.5 | 0.50 | 0.00"],
                ),
            Case::new("a blank as zero, as in a spreadsheet; the column is replaced where it stands")
                .input("a", "x: integer | y: integer", &["1 | 2", " | 3", " | "])
                .step(r#"{"from": "a", "left": "x", "right": "y", "as": "x", "blankAs": "zero"}"#)
                .gives("x: integer | y: integer", &["3 | 2", "3 | 3", "0 | "]),
            Case::new("a value as operand")
                .input("a", "x: integer", &["1"])
                .step(r#"{"from": "a", "left": "x", "right": {"value": "0.5"}, "as": "z"}"#)
                .gives("x: integer | z: decimal(1)", &["1 | 1.5"]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z"}"#)
                .gives("x: integer | z: integer", &[]),
            Case::new("an integer that does not fit is an error")
                .input("a", "x: integer", &["1", "9223372036854775807"])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z"}"#)
                .fails(r#"step "step" (add), column "z", row 2 of "a": the result does not fit integer"#),
            Case::new("a decimal that does not fit is an error")
                .input("a", "x: decimal(2)", &["999999999999999999999999999999999999.99"])
                .step(r#"{"from": "a", "left": "x", "right": {"value": "0.01"}, "as": "z"}"#)
                .fails("the result does not fit decimal(2)"),
            Case::new("a value is of the type that it says")
                .input("a", "x: integer", &["1"])
                .step(r#"{"from": "a", "left": "x", "right": {"value": "1.5", "type": "integer"}, "as": "z"}"#)
                .refused(r#"the value "1.5" is no integer"#),
            Case::new("text is no number")
                .input("a", "x: text", &["1"])
                .step(r#"{"from": "a", "left": "x", "right": "x", "as": "z"}"#)
                .refused(r#"step "step" (add), column "x": expected a number, it is text"#),
            Case::new("a column that is not there")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "left": "x", "right": "Y", "as": "z"}"#)
                .refused(r#"step "step" (add), column "Y": a has no such column; it has x"#),
        ]
    }
}
