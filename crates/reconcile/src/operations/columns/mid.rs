//! A part of a text.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{BLANK_IN_BLANK_OUT, ColumnOperation, ROW_BY_ROW, as_text},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
};

/// A part of a text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Mid {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// The first character that is taken; 1 is the text's first.
    start: u32,
    /// How many are taken, as far as there are.
    length: u32,
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
            return Err(step.fail("the first character of a text has the number 1, `start` is 0"));
        }
        Ok(Expression::Substring { of: as_text(step, table, &self.column)?, start: self.start, length: self.length })
    }
}

impl Documented for Mid {
    const NAME: &'static str = "mid";
    const REFERENCE: Reference = Reference {
        title: "MID",
        summary: "A part of a text.",
        types: "Text, or anything else as outputs write it; gives text. Characters are Unicode scalar values.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "As MID: nothing behind the end. Excel counts UTF-16 units and can cut 😀 in two; here a \
                character stays whole. ",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("from the second, two characters")
                .input("a", "x: text", &["abcd", "ab", "a", "😀é日本", ""])
                .step(r#"{"from": "a", "column": "x", "start": 2, "length": 2, "as": "z"}"#)
                .gives("x: text | z: text", &["abcd | bc", "ab | b", "a | ", "😀é日本 | é日", " | "]),
            Case::new("no characters")
                .input("a", "x: text", &["abc"])
                .step(r#"{"from": "a", "column": "x", "start": 1, "length": 0, "as": "x"}"#)
                .gives("x: text", &[""]),
            Case::new("to the end")
                .input("a", "x: text", &["abc"])
                .step(r#"{"from": "a", "column": "x", "start": 3, "length": 4294967295, "as": "x"}"#)
                .gives("x: text", &["c"]),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "start": 1, "length": 1, "as": "z"}"#)
                .gives("x: text | z: text", &[]),
            Case::new("the numbers begin with 1")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "start": 0, "length": 1, "as": "z"}"#)
                .refused("the first character of a text has the number 1, `start` is 0"),
            Case::new("of dates")
                .input("a", "x: date", &["2024-05-01", ""])
                .step(r#"{"from": "a", "column": "x", "start": 6, "length": 2, "as": "z"}"#)
                .gives("x: date | z: text", &["2024-05-01 | 05", " | "]),
            Case::new("a column that is not there")
                .input("a", "y: text", &[])
                .step(r#"{"from": "a", "column": "x", "start": 1, "length": 1, "as": "z"}"#)
                .refused(r#"column "x": a has no such column; it has y"#),
        ]
    }
}
