//! TRIM.

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

/// The text without spaces at its ends, and with one where there are several between.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Trim {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for Trim {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let of = Box::new(text_of(step, table, &self.column)?);
        Ok(Expression::Trim { of })
    }
}

impl Documented for Trim {
    const NAME: &'static str = "trim";
    const REFERENCE: Reference = Reference {
        title: "TRIM",
        summary: "The text without spaces at its ends, and with one where there are several between.",
        types: "Any; what is not text is taken as it is written in outputs. The result is text. Spaces are U+0020 alone.",
        blanks: "A blank stays one; a text of nothing but spaces becomes one.",
        rows: ROW_BY_ROW,
        spreadsheet: "As TRIM: tabs and no-break spaces stay there, too: `substitute` them before.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("spaces at the ends and between; nothing else")
                .input("a", "x: text", &["\"  a   b \"", "日本", "\"   \"", "", "\" a \""])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives(
                    "x: text | z: text",
                    &["\"  a   b \" | a b", "日本 | 日本", "\"   \" | ", " | ", "\" a \" | \" a\""],
                ),
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
