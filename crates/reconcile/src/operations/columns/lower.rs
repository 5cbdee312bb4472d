//! LOWER.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{BLANK_IN_BLANK_OUT, ColumnOperation, ROW_BY_ROW, text_of},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
};

/// The text in lower case.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Lower {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for Lower {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let of = Box::new(text_of(step, table, &self.column)?);
        Ok(Expression::Lower { of })
    }
}

impl Documented for Lower {
    const NAME: &'static str = "lower";
    const REFERENCE: Reference = Reference {
        title: "LOWER",
        summary: "The text in lower case.",
        types: "Any; what is not text is taken as it is written in outputs. The result is text. The mapping is Unicode's, of no language.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "As LOWER.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("text of any script")
                .input("a", "x: text", &["STRASSE", "ÉA1", "ΟΔΟΣ", "日本", ""])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: text | z: text", &["STRASSE | strasse", "ÉA1 | éa1", "ΟΔΟΣ | οδος", "日本 | 日本", " | "]),
            Case::new("a number")
                .input("a", "x: decimal(2)", &["1.50"])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: decimal(2) | z: text", &["1.50 | 1.50"]),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: text | z: text", &[]),
            Case::new("a column that is not there")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "y", "as": "z"}"#)
                .refused(r#"column "y": a has no such column; it has x"#),
        ]
    }
}
