//! A number with fewer decimals, towards zero.

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

/// A number with fewer decimals, towards zero.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct RoundDown(FewerDecimals);

impl ColumnOperation for RoundDown {
    fn from(&self) -> &TableName {
        &self.0.from
    }

    fn result(&self) -> &str {
        &self.0.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let of = step.number(table, &self.0.column)?.expression();
        rounded(step, of, self.0.decimals, Rounding::Down)
    }
}

impl Documented for RoundDown {
    const NAME: &'static str = "roundDown";
    const REFERENCE: Reference = Reference {
        title: "ROUNDDOWN",
        summary: "A number with fewer decimals, or to tens, hundreds and so on, towards zero.",
        types: ROUNDED,
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "As ROUNDDOWN and TRUNC; of exact numbers, so that no 2.9999999999999996 becomes 2.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("towards zero")
                .input("a", "x: decimal(3)", &["1.009", "-1.009", "1.000", "-0.001", ""])
                .step(r#"{"from": "a", "column": "x", "decimals": 2, "as": "z"}"#)
                .gives(
                    "x: decimal(3) | z: decimal(2)",
                    &["1.009 | 1.00", "-1.009 | -1.00", "1.000 | 1.00", "-0.001 | 0.00", " | "],
                ),
            Case::new("to hundreds")
                .input("a", "x: integer", &["199", "-199", "99", "9223372036854775807"])
                .step(r#"{"from": "a", "column": "x", "decimals": -2, "as": "z"}"#)
                .gives(
                    "x: integer | z: integer",
                    &["199 | 100", "-199 | -100", "99 | 0", "9223372036854775807 | 9223372036854775800"],
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
