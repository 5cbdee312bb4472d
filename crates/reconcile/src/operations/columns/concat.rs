//! Several values as one text.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{ColumnOperation, ROW_BY_ROW},
    },
    parameters::{Operand, TableName},
    planner::{StepPlan, Table},
    types::Type,
};

/// Several values as one text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Concat {
    /// The table.
    from: TableName,
    /// The values, in their order.
    of: Vec<Operand>,
    /// What stands between two of them, also where one is blank.
    #[serde(default)]
    separator: Option<String>,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for Concat {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        if self.of.is_empty() {
            return Err(step.fail("expected one value at least in `of`"));
        }
        let between = self.separator.as_deref().unwrap_or_default();
        let mut texts = Vec::new();
        for operand in &self.of {
            let cell = operand.expression(step, table, None)?;
            let text = cell.cast(Type::Text).ok_or_else(|| step.fail("expected what can be text"))?;
            if !texts.is_empty() && !between.is_empty() {
                texts.push(Expression::text(between));
            }
            texts.push(text);
        }
        Ok(Expression::Concatenate { of: texts })
    }
}

impl Documented for Concat {
    const NAME: &'static str = "concat";
    const REFERENCE: Reference = Reference {
        title: "CONCAT",
        summary: "Several values as one text, one behind the other.",
        types: "Anything; gives text. What is no text is written as outputs write it: a decimal with all its \
                decimals, a date as 2024-05-01, a timestamp as 2024-05-01T10:00:00Z, true and false.",
        blanks: "A blank adds nothing; a separator beside it stays, so that (a, blank) and (blank, a) remain two \
                texts. Blank where the whole text has no characters.",
        rows: ROW_BY_ROW,
        spreadsheet: "As CONCAT and &, or TEXTJOIN(separator, FALSE, ...). There a number is written as short as \
                can be, a date as its serial number and truth as TRUE; a text has 32,767 characters at most, and no \
                such bound here.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("texts in any script")
                .input("a", "x: text | y: text", &["a | b", "日本 | 語", " | b", " | "])
                .step(r#"{"from": "a", "of": ["x", "y"], "as": "z"}"#)
                .gives("x: text | y: text | z: text", &["a | b | ab", "日本 | 語 | 日本語", " | b | b", " | | "]),
            Case::new("of anything, with a separator")
                .input(
                    "a",
                    "i: integer | d: decimal(2) | t: date | b: boolean",
                    &["-7 | 1.50 | 2024-02-29 | true", " | 0.00 | | false"],
                )
                .step(
                    r#"{"from": "a", "of": ["i", "d", "t", "b", {"value": "x"}, {"value": 1}], "separator": " / ",
                        "as": "z"}"#,
                )
                .gives(
                    "i: integer | d: decimal(2) | t: date | b: boolean | z: text",
                    &[
                        "-7 | 1.50 | 2024-02-29 | true | -7 / 1.50 / 2024-02-29 / true / x / 1",
                        " | 0.00 | | false | \" / 0.00 /  / false / x / 1\"",
                    ],
                ),
            Case::new("a timestamp")
                .input("a", "x: timestamp", &["2024-05-01T12:00:00.250000+02:00", "2024-05-01T00:00:00Z", ""])
                .step(r#"{"from": "a", "of": ["x"], "as": "z"}"#)
                .gives(
                    "x: timestamp | z: text",
                    &[
                        "2024-05-01T10:00:00.25Z | 2024-05-01T10:00:00.25Z",
                        "2024-05-01T00:00:00Z | 2024-05-01T00:00:00Z",
                        " | ",
                    ],
                ),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "of": ["x"], "as": "x"}"#)
                .gives("x: text", &[]),
            Case::new("of nothing")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "of": [], "as": "z"}"#)
                .refused("expected one value at least in `of`"),
            Case::new("a column that is not there")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "of": ["x", "y"], "as": "z"}"#)
                .refused(r#"column "y": a has no such column; it has x"#),
        ]
    }
}
