//! Text in upper case.

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

/// Text in upper case.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Upper(OneColumn);

impl ColumnOperation for Upper {
    fn from(&self) -> &TableName {
        &self.0.from
    }

    fn result(&self) -> &str {
        &self.0.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        Ok(Expression::Upper { of: self.0.text(step, table)? })
    }
}

impl Documented for Upper {
    const NAME: &'static str = "upper";
    const REFERENCE: Reference = Reference {
        title: "UPPER",
        summary: "Text in upper case.",
        types: "Text, or anything else as outputs write it; gives text. Unicode upper case, of no particular \
                language; a character may become several.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "Excel leaves ß as it is; Unicode makes SS of it.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("in any script")
                .input("a", "x: text", &["abc", "straße", "éà", "ὀδός", "ﬁn", "i", "日本 1", ""])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives(
                    "x: text | z: text",
                    &[
                        "abc | ABC",
                        "straße | STRASSE",
                        "éà | ÉÀ",
                        "ὀδός | ὈΔΌΣ",
                        "ﬁn | FIN",
                        "i | I",
                        "日本 1 | 日本 1",
                        " | ",
                    ],
                ),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "as": "x"}"#)
                .gives("x: text", &[]),
            Case::new("of true and false")
                .input("a", "x: boolean", &["true", ""])
                .step(r#"{"from": "a", "column": "x", "as": "x"}"#)
                .gives("x: text", &["TRUE", ""]),
            Case::new("a column that is not there")
                .input("a", "y: text", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .refused(r#"column "x": a has no such column; it has y"#),
        ]
    }
}
