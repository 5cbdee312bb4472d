//! DATEVALUE.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::{Expression, OnError},
    operations::{
        Documented, Reference,
        columns::{ColumnOperation, ROW_BY_ROW},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
    types::Type,
};

/// The day that a text stands for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DateValue {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// How days are written: as in a feed's descriptor, such as `%m/%d/%Y`; `default` is ISO 8601.
    #[serde(default = "iso")]
    format: String,
    /// What happens where a text is no such day.
    #[serde(default)]
    on_error: OnError,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

fn iso() -> String {
    "default".to_owned()
}

impl ColumnOperation for DateValue {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let column = step.column(table, &self.column)?;
        if column.kind != Type::Text {
            return Err(step.fail_on(&self.column, format!("expected text, it is {}", column.kind)));
        }
        if let Err(problem) = records::DatePattern::compile(&self.format) {
            return Err(step.fail(format!("the format {:?}: {problem}", self.format)));
        }
        let of = Box::new(column.expression());
        Ok(Expression::ParseDate { of, format: self.format.clone(), on_error: self.on_error })
    }
}

impl Documented for DateValue {
    const NAME: &'static str = "dateValue";
    const REFERENCE: Reference = Reference {
        title: "DATEVALUE",
        summary: "The day that a text stands for, in a stated format.",
        types: "Text becomes a date, of the years 1 to 9999. The format is that of feeds: `%Y %y %m %b %B %d %a %A`, and signs that stand for themselves.",
        blanks: "A blank stays one. With `onError: \"blank\"` a text that is no such day is blank, too.",
        rows: ROW_BY_ROW,
        spreadsheet: "DATEVALUE guesses by the machine's locale, and a day is a number there. Here a text means the same on every machine, and 1900 is no leap year.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("ISO 8601")
                .input("a", "x: text", &["2024-02-29", "1900-03-01", ""])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .gives("x: text | z: date", &["2024-02-29 | 2024-02-29", "1900-03-01 | 1900-03-01", " | "]),
            Case::new("another format, in place; what is no day is blank")
                .input("a", "x: text", &["29.02.2024", "29.02.2023", "1900-02-29", "31.4.2024", "1.5.2024"])
                .step(r#"{"from": "a", "column": "x", "format": "%d.%m.%Y", "onError": "blank", "as": "x"}"#)
                .gives("x: date", &["2024-02-29", "", "", "", "2024-05-01"]),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "format": "%m/%d/%y", "as": "z"}"#)
                .gives("x: text | z: date", &[]),
            Case::new("what is no day is an error")
                .input("a", "x: text", &["1900-02-29"])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .fails(r#"row 1 of "a": "1900-02-29" is no date as default"#),
            Case::new("a format without a year")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "format": "%d.%m", "as": "z"}"#)
                .refused(r#"the format "%d.%m": it does not say year, month and day"#),
            Case::new("a day already")
                .input("a", "x: date", &[])
                .step(r#"{"from": "a", "column": "x", "as": "z"}"#)
                .refused(r#"column "x": expected text, it is date"#),
        ]
    }
}
