//! The day that a text stands for.

use records::DatePattern;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::{Expression, OnError},
    operations::{
        Documented, Reference,
        columns::{ColumnOperation, ROW_BY_ROW, text},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
};

/// The day that a text stands for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DateValue {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// How it is written: a pattern such as `%d.%m.%Y`, or `default` for ISO 8601.
    format: String,
    /// What a text is that is no such day.
    #[serde(default)]
    on_error: OnError,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for DateValue {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let of = text(step, table, &self.column)?;
        DatePattern::compile(&self.format)
            .map_err(|problem| step.fail(format!("the format {:?} is no date: {problem}", self.format)))?;
        Ok(Expression::ParseDate { of, format: self.format.clone(), on_error: self.on_error })
    }
}

impl Documented for DateValue {
    const NAME: &'static str = "dateValue";
    const REFERENCE: Reference = Reference {
        title: "DATEVALUE",
        summary: "The day that a text stands for, written as `format` says.",
        types: "Text; gives a date. `%Y` is a year of four digits, `%y` of two (69 to 99 are of the last century), \
                `%m` and `%d` have one or two digits, `%b` or `%B` is the English month, whole or its first three \
                letters, `%a` or `%A` the weekday, which must be right. A time (`%H %I %M %S %f %p %z`) is passed \
                over. A space stands for any white space, or none. All of the text must be as the format says; what is \
                not is an error, or blank with `onError: \"blank\"`.",
        blanks: "A blank stays blank.",
        rows: ROW_BY_ROW,
        spreadsheet: "DATEVALUE takes any form that the language of the computer has, so that 01/02/2024 is one day \
                here and another there; this takes one form, which is said. Spaces around it are errors: `trim` takes \
                them away. Excel holds 1900-02-29 for a day; it is none.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("a German form")
                .input("a", "x: text", &["29.02.2024", "1.3.2024", ""])
                .step(r#"{"from": "a", "column": "x", "format": "%d.%m.%Y", "as": "z"}"#)
                .gives("x: text | z: date", &["29.02.2024 | 2024-02-29", "1.3.2024 | 2024-03-01", " | "]),
            Case::new("years of two digits, months by name, weekdays")
                .input("a", "x: text", &["Wed, 8-Oct-14", "thursday, 1-JANUARY-70", "Sun, 1-Jan-68"])
                .step(r#"{"from": "a", "column": "x", "format": "%a, %d-%b-%y", "as": "z"}"#)
                .gives(
                    "x: text | z: date",
                    &[
                        "Wed, 8-Oct-14 | 2014-10-08",
                        "thursday, 1-JANUARY-70 | 1970-01-01",
                        "Sun, 1-Jan-68 | 2068-01-01",
                    ],
                ),
            Case::new("ISO 8601")
                .input("a", "x: text", &["2024-05-01", "0001-01-01", "9999-12-31"])
                .step(r#"{"from": "a", "column": "x", "format": "default", "as": "z"}"#)
                .gives(
                    "x: text | z: date",
                    &["2024-05-01 | 2024-05-01", "0001-01-01 | 0001-01-01", "9999-12-31 | 9999-12-31"],
                ),
            Case::new("the day of a time; other scripts")
                .input("a", "x: text", &["2014年10月8日 23:59:59"])
                .step(r#"{"from": "a", "column": "x", "format": "%Y年%m月%d日 %T", "as": "z"}"#)
                .gives("x: text | z: date", &["2014年10月8日 23:59:59 | 2014-10-08"]),
            Case::new("what is no such day can be blank")
                .input(
                    "a",
                    "x: text",
                    &[
                        "2023-02-29",
                        "1900-02-29",
                        "2024-5-1",
                        "2024-13-01",
                        "0000-01-01",
                        "2024-05-01 ",
                        "2024-05-01x",
                        "today",
                        "٢٠٢٤-05-01",
                    ],
                )
                .step(r#"{"from": "a", "column": "x", "format": "default", "onError": "blank", "as": "z"}"#)
                .gives(
                    "x: text | z: date",
                    &[
                        "2023-02-29 | ",
                        "1900-02-29 | ",
                        "2024-5-1 | ",
                        "2024-13-01 | ",
                        "0000-01-01 | ",
                        "2024-05-01 | 2024-05-01",
                        "2024-05-01x | ",
                        "today | ",
                        "٢٠٢٤-05-01 | ",
                    ],
                ),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "format": "%Y%m%d", "as": "z"}"#)
                .gives("x: text | z: date", &[]),
            Case::new("a text that is no such day is an error")
                .input("a", "x: text", &["31/12/2024", "12/31/2024"])
                .step(r#"{"from": "a", "column": "x", "format": "%d/%m/%Y", "as": "z"}"#)
                .fails(r#"step "step" (dateValue), column "z", row 2 of "a": "12/31/2024" is no date as %d/%m/%Y"#),
            Case::new("spaces are errors")
                .input("a", "x: text", &["\" 31/12/2024\""])
                .step(r#"{"from": "a", "column": "x", "format": "%d/%m/%Y", "as": "z"}"#)
                .fails(r#"" 31/12/2024" is no date"#),
            Case::new("a format without a day")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "format": "%m/%Y", "as": "z"}"#)
                .refused(r#"the format "%m/%Y" is no date: it does not say year, month and day"#),
            Case::new("a format of another tongue")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "format": "yyyy-mm-dd", "as": "z"}"#)
                .refused(r#"the format "yyyy-mm-dd" is no date"#),
            Case::new("a directive that is not known")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "format": "%d.%m.%Q", "as": "z"}"#)
                .refused("%Q"),
            Case::new("a date already")
                .input("a", "x: date", &[])
                .step(r#"{"from": "a", "column": "x", "format": "default", "as": "z"}"#)
                .refused(r#"column "x": expected text, it is date"#),
        ]
    }
}
