//! ROUNDDOWN.

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

/// The number with so many decimals, towards zero.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RoundDown {
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

impl ColumnOperation for RoundDown {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        rounded(step, table, &self.column, self.decimals, Rounding::Down)
    }
}

impl Documented for RoundDown {
    const NAME: &'static str = "roundDown";
    const REFERENCE: Reference = Reference {
        title: "ROUNDDOWN",
        summary: "The number with so many decimals, towards zero.",
        types: "An integer stays one; a decimal gets `decimals`, or none where that is below zero. A result that does not fit is an error.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "As there, but that the number is the one that is shown: 2.675 rounds to 2.68, where binary floating point may have it as 2.67499….",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("to cents")
                .input("a", "x: decimal(3)", &["2.345", "-2.349", "2.340", "", "9.999"])
                .step(r#"{"from": "a", "column": "x", "decimals": 2, "as": "z"}"#)
                .gives(
                    "x: decimal(3) | z: decimal(2)",
                    &["2.345 | 2.34", "-2.349 | -2.34", "2.340 | 2.34", " | ", "9.999 | 9.99"],
                ),
            Case::new("to tens")
                .input("a", "x: integer", &["25", "-29", "10", ""])
                .step(r#"{"from": "a", "column": "x", "decimals": -1, "as": "z"}"#)
                .gives("x: integer | z: integer", &["25 | 20", "-29 | -20", "10 | 10", " | "]),
            Case::new("more decimals than there are, and a decimal to hundreds")
                .input("a", "x: decimal(1)", &["250.5"])
                .step(r#"{"from": "a", "column": "x", "decimals": 3, "as": "z"}"#)
                .gives("x: decimal(1) | z: decimal(3)", &["250.5 | 250.500"]),
            Case::new("beyond all digits")
                .input("a", "x: decimal(2)", &["50.00", "-0.01"])
                .step(r#"{"from": "a", "column": "x", "decimals": -3, "as": "z"}"#)
                .gives("x: decimal(2) | z: decimal(0)", &["50.00 | 0", "-0.01 | 0"]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: integer | z: integer", &[]),
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
