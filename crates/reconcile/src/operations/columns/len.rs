//! How many characters a text has.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{ColumnOperation, OneColumn, ROW_BY_ROW},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
};

/// How many characters a text has.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Len(OneColumn);

impl ColumnOperation for Len {
    fn from(&self) -> &TableName {
        &self.0.from
    }

    fn result(&self) -> &str {
        &self.0.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        Ok(Expression::Length { of: self.0.text(step, table)? })
    }
}

impl Documented for Len {
    const NAME: &'static str = "len";
    const REFERENCE: Reference = Reference {
        title: "LEN",
        summary: "How many characters a text has.",
        types: "Text, or anything else as outputs write it; gives an integer. What counts is Unicode scalar values, \
                as in `left`, `mid` and `right`.",
        blanks: "A blank has 0 characters.",
        rows: ROW_BY_ROW,
        spreadsheet: "Excel counts UTF-16 units, so that 😀 has 2 characters there and 1 here. It writes 1.50 as \
                1.5, here it has 4 characters.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("characters, not bytes")
                .input("a", "x: text", &["abc", "é", "e\u{301}", "😀", "日本", "\"  \"", ""])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives(
                    "x: text | z: integer",
                    &["abc | 3", "é | 1", "e\u{301} | 2", "😀 | 1", "日本 | 2", "\"  \" | 2", " | 0"],
                ),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: text | z: integer", &[]),
            Case::new("of numbers")
                .input("a", "x: decimal(2)", &["-1.50", ""])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: decimal(2) | z: integer", &["-1.50 | 5", " | 0"]),
            Case::new("a column that is not there")
                .input("a", "y: text", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .refused(r#"column "x": a has no such column; it has y"#),
        ]
    }
}
