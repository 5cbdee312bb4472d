//! LEN.

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

/// The number of characters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Len {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for Len {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let of = Box::new(text_of(step, table, &self.column)?);
        Ok(Expression::Length { of })
    }
}

impl Documented for Len {
    const NAME: &'static str = "len";
    const REFERENCE: Reference = Reference {
        title: "LEN",
        summary: "The number of characters.",
        types: "Any; what is not text is taken as it is written in outputs. The result is an integer. A character is a Unicode scalar value.",
        blanks: "The length of a blank is 0.",
        rows: ROW_BY_ROW,
        spreadsheet: "LEN counts UTF-16 units: an emoji is 2 there and 1 here; a letter and a combining accent are 2 in both.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("text of any script")
                .input("a", "x: text", &["abc", "日本", "😀", "é", "\" a \"", ""])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: text | z: integer", &["abc | 3", "日本 | 2", "😀 | 1", "é | 2", "\" a \" | 3", " | 0"]),
            Case::new("a number")
                .input("a", "x: decimal(2)", &["-1.50"])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: decimal(2) | z: integer", &["-1.50 | 5"]),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: text | z: integer", &[]),
            Case::new("a column that is not there")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "y", "as": "z"}"#)
                .refused(r#"column "y": a has no such column; it has x"#),
        ]
    }
}
