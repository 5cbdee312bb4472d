//! A number with fewer decimals, away from zero.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{BLANK_IN_BLANK_OUT, ColumnOperation, FewerDecimals, ROUNDED, ROW_BY_ROW, rounded},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
    types::Rounding,
};

/// A number with fewer decimals, away from zero.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct RoundUp(FewerDecimals);

impl ColumnOperation for RoundUp {
    fn from(&self) -> &TableName {
        &self.0.from
    }

    fn result(&self) -> &str {
        &self.0.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let of = step.number(table, &self.0.column)?.expression();
        rounded(step, of, self.0.decimals, Rounding::Up)
    }
}

impl Documented for RoundUp {
    const NAME: &'static str = "roundUp";
    const REFERENCE: Reference = Reference {
        title: "ROUNDUP",
        summary: "A number with fewer decimals, or to tens, hundreds and so on, away from zero.",
        types: ROUNDED,
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "As ROUNDUP; of exact numbers, so that no 2.0000000000000004 becomes 3.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("away from zero")
                .input("a", "x: decimal(3)", &["1.001", "-1.001", "1.000", "0.000", ""])
                .step(r#"{"from": "a", "column": "x", "decimals": 2, "as": "z"}"#)
                .gives(
                    "x: decimal(3) | z: decimal(2)",
                    &["1.001 | 1.01", "-1.001 | -1.01", "1.000 | 1.00", "0.000 | 0.00", " | "],
                ),
            Case::new("to hundreds")
                .input("a", "x: integer", &["1", "-101", "100", "0"])
                .step(r#"{"from": "a", "column": "x", "decimals": -2, "as": "z"}"#)
                .gives("x: integer | z: integer", &["1 | 100", "-101 | -200", "100 | 100", "0 | 0"]),
            Case::new("a number that does not fit any more is an error")
                .input("a", "x: decimal(2)", &["999999999999999999999999999999999999.01"])
                .step(r#"{"from": "a", "column": "x", "decimals": -37, "as": "z"}"#)
                .gives(
                    "x: decimal(2) | z: decimal(0)",
                    &["999999999999999999999999999999999999.01 | 10000000000000000000000000000000000000"],
                ),
            Case::new("no rows")
                .input("a", "x: decimal(4)", &[])
                .step(r#"{"from": "a", "column": "x", "decimals": 2, "as": "z"}"#)
                .gives("x: decimal(4) | z: decimal(2)", &[]),
            Case::new("too many decimals")
                .input("a", "x: decimal(2)", &[])
                .step(r#"{"from": "a", "column": "x", "decimals": 21, "as": "z"}"#)
                .refused("`decimals` goes from -37 to 20, it is 21"),
            Case::new("text is no number")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "decimals": 2, "as": "z"}"#)
                .refused(r#"column "x": expected a number, it is text"#),
        ]
    }
}
