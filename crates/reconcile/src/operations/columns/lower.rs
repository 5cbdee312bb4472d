//! Text in lower case.

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

/// Text in lower case.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Lower(OneColumn);

impl ColumnOperation for Lower {
    fn from(&self) -> &TableName {
        &self.0.from
    }

    fn result(&self) -> &str {
        &self.0.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        Ok(Expression::Lower { of: self.0.text(step, table)? })
    }
}

impl Documented for Lower {
    const NAME: &'static str = "lower";
    const REFERENCE: Reference = Reference {
        title: "LOWER",
        summary: "Text in lower case.",
        types: "Text, or anything else as outputs write it; gives text. Unicode lower case, of no particular \
                language; a character may become several.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "The same; a final Σ may be σ there and is ς here.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("in any script")
                .input("a", "x: text", &["ABC", "ẞ", "ÉÀ", "ΟΔΟΣ", "İ", "日本 1", ""])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives(
                    "x: text | z: text",
                    &["ABC | abc", "ẞ | ß", "ÉÀ | éà", "ΟΔΟΣ | οδος", "İ | i\u{307}", "日本 1 | 日本 1", " | "],
                ),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "as": "x"}"#)
                .gives("x: text", &[]),
            Case::new("a column that is not there")
                .input("a", "y: text", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .refused(r#"column "x": a has no such column; it has y"#),
        ]
    }
}
