//! The number without its sign.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{BLANK_IN_BLANK_OUT, ColumnOperation, OneColumn, ROW_BY_ROW},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
};

/// The number without its sign.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Abs(OneColumn);

impl ColumnOperation for Abs {
    fn from(&self) -> &TableName {
        &self.0.from
    }

    fn result(&self) -> &str {
        &self.0.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        Ok(Expression::Absolute { of: self.0.number(step, table)? })
    }
}

impl Documented for Abs {
    const NAME: &'static str = "abs";
    const REFERENCE: Reference = Reference {
        title: "ABS",
        summary: "The number without its sign.",
        types: "A number; the result has its type. -9223372036854775808 is an error: its opposite is no integer.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "An empty cell is 0 there.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("of decimals")
                .input("a", "x: decimal(2)", &["-1.50", "1.50", "0.00", "", "-999999999999999999999999999999999999.99"])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives(
                    "x: decimal(2) | z: decimal(2)",
                    &[
                        "-1.50 | 1.50",
                        "1.50 | 1.50",
                        "0.00 | 0.00",
                        " | ",
                        "-999999999999999999999999999999999999.99 | 999999999999999999999999999999999999.99",
                    ],
                ),
            Case::new("of integers, in place")
                .input("a", "x: integer | y: text", &["-9223372036854775807 | a", "0 | b"])
                .step(r#"{"from": "a", "column": "x", "as": "x"}"#)
                .gives("x: integer | y: text", &["9223372036854775807 | a", "0 | b"]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: integer | z: integer", &[]),
            Case::new("the smallest integer has no opposite")
                .input("a", "x: integer", &["-1", "-9223372036854775808"])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .fails(r#"column "z", row 2 of "a": the result does not fit integer"#),
            Case::new("a parameter that is not known")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "column": "x", "decimals": 2, "as": "z"}"#)
                .refused("unknown field `decimals`"),
            Case::new("text is no number")
                .input("a", "x: text", &["1"])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .refused(r#"column "x": expected a number, it is text"#),
        ]
    }
}
