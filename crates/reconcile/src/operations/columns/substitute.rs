//! SUBSTITUTE.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{ColumnOperation, ROW_BY_ROW, text_of},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
};

/// A text with something put for something else.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Substitute {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// What goes.
    find: String,
    /// What comes for it; nothing unless given.
    #[serde(default)]
    with: String,
    /// Only this occurrence, from 1; all unless given.
    #[serde(default)]
    occurrence: Option<u32>,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for Substitute {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        if self.find.is_empty() || self.occurrence == Some(0) {
            return Err(step.fail("expected a text in `find`, and an `occurrence` of 1 or more"));
        }
        let of = Box::new(text_of(step, table, &self.column)?);
        let (find, with, occurrence) = (self.find.clone(), self.with.clone(), self.occurrence);
        Ok(Expression::Replace { of, find, with, occurrence })
    }
}

impl Documented for Substitute {
    const NAME: &'static str = "substitute";
    const REFERENCE: Reference = Reference {
        title: "SUBSTITUTE",
        summary: "A text with something put for something else.",
        types: "Any; what is not text is taken as it is written in outputs. The result is text.",
        blanks: "A blank stays one; a text of which nothing is left becomes one.",
        rows: ROW_BY_ROW,
        spreadsheet: "As SUBSTITUTE: case counts, and what was put in is not looked at again.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("text of any script")
                .input("a", "x: text", &["a-b-c", "---", "日-本", "A", ""])
                .step(r#"{"from": "a", "column": "x", "find": "-", "with": "+", "as": "z"}"#)
                .gives("x: text | z: text", &["a-b-c | a+b+c", "--- | +++", "日-本 | 日+本", "A | A", " | "]),
            Case::new("one occurrence")
                .input("a", "x: text", &["a-b-c", "a-b"])
                .step(r#"{"from": "a", "column": "x", "find": "-", "with": "--", "occurrence": 2, "as": "x"}"#)
                .gives("x: text", &["a-b--c", "a-b"]),
            Case::new("nothing is left")
                .input("a", "x: text", &["aaa", "aab"])
                .step(r#"{"from": "a", "column": "x", "find": "a", "as": "z"}"#)
                .gives("x: text | z: text", &["aaa | ", "aab | b"]),
            Case::new("a number")
                .input("a", "x: decimal(2)", &["-1.50"])
                .step(r#"{"from": "a", "column": "x", "find": "-", "as": "z"}"#)
                .gives("x: decimal(2) | z: text", &["-1.50 | 1.50"]),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "find": "-", "as": "z"}"#)
                .gives("x: text | z: text", &[]),
            Case::new("a column that is not there")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "y", "find": "-", "as": "z"}"#)
                .refused(r#"column "y": a has no such column; it has x"#),
            Case::new("nothing to find")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "find": "", "as": "z"}"#)
                .refused(r#"expected a text in `find`"#),
        ]
    }
}
