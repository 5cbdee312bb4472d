//! The beginning of a text.

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

/// The beginning of a text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Left(SomeCharacters);

impl ColumnOperation for Left {
    fn from(&self) -> &TableName {
        &self.0.from
    }

    fn result(&self) -> &str {
        &self.0.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        Ok(Expression::Substring { of: as_text(step, table, &self.0.column)?, start: 1, length: self.0.length })
    }
}

impl Documented for Left {
    const NAME: &'static str = "left";
    const REFERENCE: Reference = Reference {
        title: "LEFT",
        summary: "The beginning of a text.",
        types: "Text, or anything else as outputs write it; gives text. Characters are Unicode scalar values.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "As LEFT: one character unless told otherwise, and nothing for 0. Excel counts UTF-16 units \
                and can cut 😀 in two; here a character stays whole.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("two characters")
                .input("a", "x: text", &["abc", "a", "😀é日", "\"  a\"", ""])
                .step(r#"{"from": "a", "column": "x", "length": 2, "as": "z"}"#)
                .gives("x: text | z: text", &["abc | ab", "a | a", "😀é日 | 😀é", "\"  a\" | \"  \"", " | "]),
            Case::new("one, where nothing is said")
                .input("a", "x: text", &["abc"])
                .step(r#"{"from": "a", "column": "x", "as": "x"}"#)
                .gives("x: text", &["a"]),
            Case::new("none, and all")
                .input("a", "x: text", &["abc"])
                .step(r#"{"from": "a", "column": "x", "length": 0, "as": "x"}"#)
                .gives("x: text", &[""]),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "length": 3, "as": "z"}"#)
                .gives("x: text | z: text", &[]),
            Case::new("of account numbers")
                .input("a", "x: integer", &["4711", "-1", ""])
                .step(r#"{"from": "a", "column": "x", "length": 2, "as": "z"}"#)
                .gives("x: integer | z: text", &["4711 | 47", "-1 | -1", " | "]),
            Case::new("a column that is not there")
                .input("a", "y: text", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .refused(r#"column "x": a has no such column; it has y"#),
            Case::new("less than none")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "length": -1, "as": "z"}"#)
                .refused("invalid value: integer `-1`"),
        ]
    }
}
