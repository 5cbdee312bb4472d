//! ROUND.

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

/// The nearest number with so many decimals.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Round {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// The decimals, at most 20; below zero, to tens, hundreds, … as far as -20.
    #[serde(default)]
    decimals: i8,
    /// How halves are rounded.
    #[serde(default)]
    mode: Rounding,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for Round {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        rounded(step, table, &self.column, self.decimals, self.mode)
    }
}

impl Documented for Round {
    const NAME: &'static str = "round";
    const REFERENCE: Reference = Reference {
        title: "ROUND",
        summary: "The nearest number with so many decimals.",
        types: "An integer stays one; a decimal gets `decimals`, or none where that is below zero. A result that does not fit is an error.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "As there, but that the number is the one that is shown: 2.675 rounds to 2.68, where binary floating point may have it as 2.67499…; `mode: \"halfEven\"` is a banker's.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("to cents")
                .input("a", "x: decimal(3)", &["2.345", "-2.345", "2.344", "", "9.999"])
                .step(r#"{"from": "a", "column": "x", "decimals": 2, "as": "z"}"#)
                .gives(
                    "x: decimal(3) | z: decimal(2)",
                    &["2.345 | 2.35", "-2.345 | -2.35", "2.344 | 2.34", " | ", "9.999 | 10.00"],
                ),
            Case::new("to tens")
                .input("a", "x: integer", &["25", "-25", "14", ""])
                .step(r#"{"from": "a", "column": "x", "decimals": -1, "as": "z"}"#)
                .gives("x: integer | z: integer", &["25 | 30", "-25 | -30", "14 | 10", " | "]),
            Case::new("more decimals than there are, and a decimal to hundreds")
                .input("a", "x: decimal(1)", &["250.5"])
                .step(r#"{"from": "a", "column": "x", "decimals": 3, "as": "z"}"#)
                .gives("x: decimal(1) | z: decimal(3)", &["250.5 | 250.500"]),
            Case::new("halves to the even neighbour")
                .input("a", "x: decimal(1)", &["0.5", "1.5", "-2.5"])
                .step(r#"{"from": "a", "column": "x", "mode": "halfEven", "as": "z"}"#)
                .gives("x: decimal(1) | z: decimal(0)", &["0.5 | 0", "1.5 | 2", "-2.5 | -2"]),
            Case::new("beyond all digits")
                .input("a", "x: decimal(2)", &["50.00", "-0.01"])
                .step(r#"{"from": "a", "column": "x", "decimals": -3, "as": "z"}"#)
                .gives("x: decimal(2) | z: decimal(0)", &["50.00 | 0", "-0.01 | 0"]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: integer | z: integer", &[]),
            Case::new("an integer that does not fit is an error")
                .input("a", "x: integer", &["9223372036854775807"])
                .step(r#"{"from": "a", "column": "x", "decimals": -1, "as": "z"}"#)
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
