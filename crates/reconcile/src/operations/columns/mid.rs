//! MID.

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

/// Characters from the middle of a text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Mid {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// The first character that is taken; the text's first is 1.
    start: u32,
    /// How many are taken, as far as there are.
    count: u32,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for Mid {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        if self.start == 0 {
            return Err(step.fail("expected a `start` of 1 or more: the first character is 1"));
        }
        let of = Box::new(text_of(step, table, &self.column)?);
        Ok(Expression::Substring { of, start: self.start, length: self.count })
    }
}

impl Documented for Mid {
    const NAME: &'static str = "mid";
    const REFERENCE: Reference = Reference {
        title: "MID",
        summary: "Characters from the middle of a text.",
        types: "Any; what is not text is taken as it is written in outputs. The result is text. A character is a Unicode scalar value.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "MID counts UTF-16 units.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("text of any script")
                .input("a", "x: text", &["abcd", "日本語", "x", "😀é!", ""])
                .step(r#"{"from": "a", "column": "x", "start": 2, "count": 2, "as": "z"}"#)
                .gives("x: text | z: text", &["abcd | bc", "日本語 | 本語", "x | ", "😀é! | é!", " | "]),
            Case::new("behind the end is blank")
                .input("a", "x: text", &["abc"])
                .step(r#"{"from": "a", "column": "x", "start": 4, "count": 4294967295, "as": "z"}"#)
                .gives("x: text | z: text", &["abc | "]),
            Case::new("a number")
                .input("a", "x: decimal(2)", &["-1.50"])
                .step(r#"{"from": "a", "column": "x", "start": 2, "count": 2, "as": "z"}"#)
                .gives("x: decimal(2) | z: text", &["-1.50 | 1."]),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "start": 2, "count": 2, "as": "z"}"#)
                .gives("x: text | z: text", &[]),
            Case::new("a column that is not there")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "y", "start": 2, "count": 2, "as": "z"}"#)
                .refused(r#"column "y": a has no such column; it has x"#),
            Case::new("from before the beginning")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "start": 0, "count": 1, "as": "z"}"#)
                .refused(r#"expected a `start` of 1 or more"#),
        ]
    }
}
