//! The end of a text.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{BLANK_IN_BLANK_OUT, ColumnOperation, ROW_BY_ROW, SomeCharacters, as_text},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
};

/// The end of a text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Right(SomeCharacters);

impl ColumnOperation for Right {
    fn from(&self) -> &TableName {
        &self.0.from
    }

    fn result(&self) -> &str {
        &self.0.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        Ok(Expression::Last { of: as_text(step, table, &self.0.column)?, length: self.0.length })
    }
}

impl Documented for Right {
    const NAME: &'static str = "right";
    const REFERENCE: Reference = Reference {
        title: "RIGHT",
        summary: "The end of a text.",
        types: "Text, or anything else as outputs write it; gives text. Characters are Unicode scalar values.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "As RIGHT: one character unless told otherwise, and nothing for 0. Excel counts UTF-16 units \
                and can cut 😀 in two; here a character stays whole.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("two characters")
                .input("a", "x: text", &["abc", "a", "日é😀", "\"a  \"", ""])
                .step(r#"{"from": "a", "column": "x", "length": 2, "as": "z"}"#)
                .gives("x: text | z: text", &["abc | bc", "a | a", "日é😀 | é😀", "\"a  \" | \"  \"", " | "]),
            Case::new("one, where nothing is said")
                .input("a", "x: text", &["abc"])
                .step(r#"{"from": "a", "column": "x", "as": "x"}"#)
                .gives("x: text", &["c"]),
            Case::new("more than there are")
                .input("a", "x: text", &["abc"])
                .step(r#"{"from": "a", "column": "x", "length": 4294967295, "as": "x"}"#)
                .gives("x: text", &["abc"]),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "length": 3, "as": "z"}"#)
                .gives("x: text | z: text", &[]),
            Case::new("of numbers")
                .input("a", "x: decimal(2)", &["1.50", ""])
                .step(r#"{"from": "a", "column": "x", "length": 2, "as": "z"}"#)
                .gives("x: decimal(2) | z: text", &["1.50 | 50", " | "]),
            Case::new("a column that is not there")
                .input("a", "y: text", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .refused(r#"column "x": a has no such column; it has y"#),
        ]
    }
}
