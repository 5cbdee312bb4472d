//! Text with something put for something else.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{ColumnOperation, ROW_BY_ROW, as_text},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
};

/// Text with something put for something else.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Substitute {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// What goes.
    find: String,
    /// What comes for it; nothing unless given.
    #[serde(default)]
    with: String,
    /// Only that occurrence, from 1; all of them unless given.
    #[serde(default)]
    occurrence: Option<u32>,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for Substitute {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        if self.find.is_empty() {
            return Err(step.fail("expected characters in `find`"));
        }
        if self.occurrence == Some(0) {
            return Err(step.fail("the first occurrence has the number 1, `occurrence` is 0"));
        }
        let (find, with) = (self.find.clone(), self.with.clone());
        Ok(Expression::Replace { of: as_text(step, table, &self.column)?, find, with, occurrence: self.occurrence })
    }
}

impl Documented for Substitute {
    const NAME: &'static str = "substitute";
    const REFERENCE: Reference = Reference {
        title: "SUBSTITUTE",
        summary: "Text with something put for something else, everywhere or once.",
        types: "Text, or anything else as outputs write it; gives text. Case counts. Occurrences are found from \
                left to right and do not overlap.",
        blanks: "A blank stays blank; where no characters are left, the result is blank.",
        rows: ROW_BY_ROW,
        spreadsheet: "As SUBSTITUTE, whose `find` of no characters changes nothing and is refused here. Characters \
                compare by code points: é as one character is not e with an accent behind it.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("everywhere")
                .input("a", "x: text", &["1.234.567", ".", "abc", ""])
                .step(r#"{"from": "a", "column": "x", "find": ".", "with": "", "as": "z"}"#)
                .gives("x: text | z: text", &["1.234.567 | 1234567", ". | ", "abc | abc", " | "]),
            Case::new("only the second")
                .input("a", "x: text", &["a-b-c-d", "a-b", "aXa"])
                .step(r#"{"from": "a", "column": "x", "find": "-", "with": " to ", "occurrence": 2, "as": "x"}"#)
                .gives("x: text", &["a-b to c-d", "a-b", "aXa"]),
            Case::new("occurrences do not overlap, and case counts")
                .input("a", "x: text", &["aaaaa", "AAaa"])
                .step(r#"{"from": "a", "column": "x", "find": "aa", "with": "b", "as": "x"}"#)
                .gives("x: text", &["bba", "AAb"]),
            Case::new("in any script; what comes may hold what goes")
                .input("a", "x: text", &["日本日", "é", "e\u{301}"])
                .step(r#"{"from": "a", "column": "x", "find": "日", "with": "日日", "as": "x"}"#)
                .gives("x: text", &["日日本日日", "é", "e\u{301}"]),
            Case::new("a no-break space")
                .input("a", "x: text", &["1\u{a0}000"])
                .step(r#"{"from": "a", "column": "x", "find": "\u00a0", "with": " ", "as": "x"}"#)
                .gives("x: text", &["1 000"]),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "find": "a", "as": "z"}"#)
                .gives("x: text | z: text", &[]),
            Case::new("nothing to find")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "find": "", "as": "z"}"#)
                .refused("expected characters in `find`"),
            Case::new("occurrence 0")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "find": "a", "occurrence": 0, "as": "z"}"#)
                .refused("the first occurrence has the number 1, `occurrence` is 0"),
            Case::new("of dates")
                .input("a", "x: date", &["2024-05-01", ""])
                .step(r#"{"from": "a", "column": "x", "find": "-", "as": "z"}"#)
                .gives("x: date | z: text", &["2024-05-01 | 20240501", " | "]),
            Case::new("a column that is not there")
                .input("a", "y: text", &[])
                .step(r#"{"from": "a", "column": "x", "find": "-", "as": "z"}"#)
                .refused(r#"column "x": a has no such column; it has y"#),
        ]
    }
}
