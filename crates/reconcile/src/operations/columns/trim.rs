//! Text without spaces around it.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{ColumnOperation, OneColumn, ROW_BY_ROW},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
};

/// Text without spaces around it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Trim(OneColumn);

impl ColumnOperation for Trim {
    fn from(&self) -> &TableName {
        &self.0.from
    }

    fn result(&self) -> &str {
        &self.0.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        Ok(Expression::Trim { of: self.0.text(step, table)? })
    }
}

impl Documented for Trim {
    const NAME: &'static str = "trim";
    const REFERENCE: Reference = Reference {
        title: "TRIM",
        summary: "Text without spaces at its ends, and with one where there are several.",
        types: "Text, or anything else as outputs write it; gives text.",
        blanks: "A blank stays blank, and spaces alone become blank.",
        rows: ROW_BY_ROW,
        spreadsheet: "As TRIM: only the space (U+0020) goes. The no-break space of web pages, tabs and line ends \
                stay: `substitute` takes them away.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("spaces")
                .input("a", "x: text", &["\"  a   b \"", "ab", "\"   \"", "", "\"é  日 \""])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives(
                    "x: text | z: text",
                    &["\"  a   b \" | a b", "ab | ab", "\"   \" | ", " | ", "\"é  日 \" | é 日"],
                ),
            Case::new("a no-break space and a tab stay")
                .input("a", "x: text", &["\"\u{a0}a \"", "\"a\t \""])
                .step(r#"{"from": "a", "column": "x", "as": "x"}"#)
                .gives("x: text", &["\"\u{a0}a\"", "\"a\t\""]),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: text | z: text", &[]),
            Case::new("a column that is not there")
                .input("a", "y: text", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .refused(r#"column "x": a has no such column; it has y"#),
        ]
    }
}
