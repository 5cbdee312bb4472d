//! ROUNDUP.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{BLANK_IN_BLANK_OUT, ColumnOperation, ROW_BY_ROW, rounded},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
    types::Rounding,
};

/// The number with so many decimals, away from zero.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RoundUp {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// The decimals, at most 20; below zero, to tens, hundreds, … as far as -20.
    #[serde(default)]
    decimals: i8,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for RoundUp {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        rounded(step, table, &self.column, self.decimals, Rounding::Up)
    }
}

impl Documented for RoundUp {
    const NAME: &'static str = "roundUp";
    const REFERENCE: Reference = Reference {
        title: "ROUNDUP",
        summary: "The number with so many decimals, away from zero.",
        types: "An integer stays one; a decimal gets `decimals`, or none where that is below zero. A result that does not fit is an error.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "As there, but that the number is the one that is shown: 2.675 rounds to 2.68, where binary floating point may have it as 2.67499….",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("to cents")
                .input("a", "x: decimal(3)", &["2.345", "-2.341", "2.340", "", "9.991"])
                .step(r#"{"from": "a", "column": "x", "decimals": 2, "as": "z"}"#)
                .gives(
                    "x: decimal(3) | z: decimal(2)",
                    &["2.345 | 2.35", "-2.341 | -2.35", "2.340 | 2.34", " | ", "9.991 | 10.00"],
                ),
            Case::new("to tens")
                .input("a", "x: integer", &["25", "-21", "10", ""])
                .step(r#"{"from": "a", "column": "x", "decimals": -1, "as": "z"}"#)
                .gives("x: integer | z: integer", &["25 | 30", "-21 | -30", "10 | 10", " | "]),
            Case::new("more decimals than there are, and a decimal to hundreds")
                .input("a", "x: decimal(1)", &["250.5"])
                .step(r#"{"from": "a", "column": "x", "decimals": 3, "as": "z"}"#)
                .gives("x: decimal(1) | z: decimal(3)", &["250.5 | 250.500"]),
            Case::new("beyond all digits")
                .input("a", "x: decimal(2)", &["50.00", "-0.01"])
                .step(r#"{"from": "a", "column": "x", "decimals": -3, "as": "z"}"#)
                .gives("x: decimal(2) | z: decimal(0)", &["50.00 | 1000", "-0.01 | -1000"]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: integer | z: integer", &[]),
            Case::new("an integer that does not fit is an error")
                .input("a", "x: integer", &["9223372036854775807"])
                .step(r#"{"from": "a", "column": "x", "decimals": -2, "as": "z"}"#)
                .fails(r#"the result does not fit integer"#),
            Case::new("too many decimals")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "column": "x", "decimals": 21, "as": "z"}"#)
                .refused(r#"expected -20 to 20 `decimals`"#),
            Case::new("text is no number")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .refused(r#"column "x": expected a number, it is text"#),
        ]
    }
}
