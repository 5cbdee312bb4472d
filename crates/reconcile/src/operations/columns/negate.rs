//! The number with its sign turned.

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

/// The number with its sign turned.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Negate(OneColumn);

impl ColumnOperation for Negate {
    fn from(&self) -> &TableName {
        &self.0.from
    }

    fn result(&self) -> &str {
        &self.0.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        Ok(Expression::Negate { of: self.0.number(step, table)? })
    }
}

impl Documented for Negate {
    const NAME: &'static str = "negate";
    const REFERENCE: Reference = Reference {
        title: "Negate (-x)",
        summary: "The number with its sign turned.",
        types: "A number; the result has its type. -9223372036854775808 is an error: its opposite is no integer.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "An empty cell is 0 there.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("credits and debits")
                .input("a", "x: decimal(2)", &["-1.50", "1.50", "0.00", ""])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: decimal(2) | z: decimal(2)", &["-1.50 | 1.50", "1.50 | -1.50", "0.00 | 0.00", " | "]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "column": "x", "as": "x"}"#)
                .gives("x: integer", &[]),
            Case::new("the smallest integer has no opposite")
                .input("a", "x: integer", &["-9223372036854775808"])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .fails("the result does not fit integer"),
            Case::new("a date is no number")
                .input("a", "x: date", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .refused(r#"column "x": expected a number, it is date"#),
        ]
    }
}
