//! RIGHT.

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

/// The last characters of a text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Right {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// How many characters; fewer where there are not so many.
    #[serde(default = "one")]
    count: u32,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

const fn one() -> u32 {
    1
}

impl ColumnOperation for Right {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let of = Box::new(text_of(step, table, &self.column)?);
        Ok(Expression::Last { of, length: self.count })
    }
}

impl Documented for Right {
    const NAME: &'static str = "right";
    const REFERENCE: Reference = Reference {
        title: "RIGHT",
        summary: "The last characters of a text.",
        types: "Any; what is not text is taken as it is written in outputs. The result is text. A character is a Unicode scalar value.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "RIGHT counts UTF-16 units, and so can cut an emoji in two.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("text of any script")
                .input("a", "x: text", &["abcd", "日本語", "x", "😀é!", ""])
                .step(r#"{"from": "a", "column": "x", "count": 2, "as": "z"}"#)
                .gives("x: text | z: text", &["abcd | cd", "日本語 | 本語", "x | x", "😀é! | é!", " | "]),
            Case::new("one unless told otherwise; none is blank")
                .input("a", "x: text", &["ab"])
                .step(r#"{"from": "a", "column": "x", "count": 0, "as": "z"}"#)
                .gives("x: text | z: text", &["ab | "]),
            Case::new("a number")
                .input("a", "x: decimal(2)", &["-1.50"])
                .step(r#"{"from": "a", "column": "x", "count": 2, "as": "z"}"#)
                .gives("x: decimal(2) | z: text", &["-1.50 | 50"]),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "count": 2, "as": "z"}"#)
                .gives("x: text | z: text", &[]),
            Case::new("a column that is not there")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "y", "count": 2, "as": "z"}"#)
                .refused(r#"column "y": a has no such column; it has x"#),
        ]
    }
}
