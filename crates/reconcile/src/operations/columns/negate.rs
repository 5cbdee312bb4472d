//! Negate.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{BLANK_IN_BLANK_OUT, ColumnOperation, ROW_BY_ROW},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
};

/// The number with its sign turned.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Negate {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for Negate {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let of = step.number(table, &self.column)?.expression();
        Ok(Expression::Negate { of: Box::new(of) })
    }
}

impl Documented for Negate {
    const NAME: &'static str = "negate";
    const REFERENCE: Reference = Reference {
        title: "Negate",
        summary: "The number with its sign turned.",
        types: "A number; its type stays. The smallest integer has no positive twin: an error.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "As `=-A2`.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("with decimals")
                .input("a", "x: decimal(2)", &["2.50", "-2.50", "", "0.00"])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: decimal(2) | z: decimal(2)", &["2.50 | -2.50", "-2.50 | 2.50", " | ", "0.00 | 0.00"]),
            Case::new("in place")
                .input("a", "x: integer | y: text", &["-7 | a"])
                .step(r#"{"from": "a", "column": "x", "as": "x"}"#)
                .gives("x: integer | y: text", &["7 | a"]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: integer | z: integer", &[]),
            Case::new("an integer that does not fit is an error")
                .input("a", "x: integer", &["-9223372036854775808"])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .fails(r#"the result does not fit integer"#),
            Case::new("text is no number")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .refused(r#"column "x": expected a number, it is text"#),
        ]
    }
}
