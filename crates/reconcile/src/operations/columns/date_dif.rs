//! DATEDIF.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::{DateUnit, Expression},
    operations::{
        Documented, Reference,
        columns::{BLANK_IN_BLANK_OUT, ColumnOperation, ROW_BY_ROW},
    },
    parameters::{Operand, TableName},
    planner::{StepPlan, Table},
    types::Type,
};

/// How far two days are apart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DateDif {
    /// The table.
    from: TableName,
    /// The first day: a column, or a value such as `{"value": "2024-01-01"}`.
    start: Operand,
    /// The second day.
    end: Operand,
    /// In what.
    unit: DateUnit,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for DateDif {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let day = |operand: &Operand| {
            let day = operand.expression(step, table, Some(Type::Date))?;
            if day.kind() == Type::Date {
                Ok(Box::new(day))
            } else {
                Err(step.fail(format!("expected a date, it is {}", day.kind())))
            }
        };
        Ok(Expression::DateDifference { from: day(&self.start)?, to: day(&self.end)?, unit: self.unit })
    }
}

impl Documented for DateDif {
    const NAME: &'static str = "dateDif";
    const REFERENCE: Reference = Reference {
        title: "DATEDIF",
        summary: "How far two days are apart, in days, complete months or complete years.",
        types: "Two dates give an integer. A start behind the end is an error, but for `days`, which are then below zero.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "As DATEDIF with D, M, Y, YM, MD and YD. Its MD is known to be wrong around short months: here it is the days since the last complete \
                      month. A month from the 31st is complete on the first day of a month that has no 31st before it.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("days")
                .input(
                    "a",
                    "x: date | y: date",
                    &["2024-02-28 | 2024-03-01", "2024-03-01 | 2024-02-28", " | 2024-01-01", "1900-02-28 | 1900-03-01"],
                )
                .step(r#"{"from": "a", "start": "x", "end": "y", "unit": "days", "as": "z"}"#)
                .gives(
                    "x: date | y: date | z: integer",
                    &[
                        "2024-02-28 | 2024-03-01 | 2",
                        "2024-03-01 | 2024-02-28 | -2",
                        " | 2024-01-01 | ",
                        "1900-02-28 | 1900-03-01 | 1",
                    ],
                ),
            Case::new("complete months")
                .input("a", "y: date", &["2024-02-29", "2024-03-30", "2024-03-31", "2025-01-31", "2024-01-31"])
                .step(r#"{"from": "a", "start": {"value": "2024-01-31"}, "end": "y", "unit": "months", "as": "z"}"#)
                .gives(
                    "y: date | z: integer",
                    &["2024-02-29 | 0", "2024-03-30 | 1", "2024-03-31 | 2", "2025-01-31 | 12", "2024-01-31 | 0"],
                ),
            Case::new("complete years")
                .input("a", "y: date", &["2025-02-28", "2025-03-01", "2028-02-29"])
                .step(r#"{"from": "a", "start": {"value": "2024-02-29"}, "end": "y", "unit": "years", "as": "z"}"#)
                .gives("y: date | z: integer", &["2025-02-28 | 0", "2025-03-01 | 1", "2028-02-29 | 4"]),
            Case::new("days beyond complete months")
                .input("a", "y: date", &["2024-03-01", "2024-03-30", "2024-02-15"])
                .step(
                    r#"{"from": "a", "start": {"value": "2024-01-15"}, "end": "y", "unit": "daysOfMonth", "as": "z"}"#,
                )
                .gives("y: date | z: integer", &["2024-03-01 | 15", "2024-03-30 | 15", "2024-02-15 | 0"]),
            Case::new("months beyond complete years")
                .input("a", "y: date", &["2026-03-14", "2026-03-15"])
                .step(
                    r#"{"from": "a", "start": {"value": "2024-01-15"}, "end": "y", "unit": "monthsOfYear", "as": "z"}"#,
                )
                .gives("y: date | z: integer", &["2026-03-14 | 1", "2026-03-15 | 2"]),
            Case::new("days beyond complete years")
                .input("a", "y: date", &["2026-01-14", "2026-01-16"])
                .step(r#"{"from": "a", "start": {"value": "2024-01-15"}, "end": "y", "unit": "daysOfYear", "as": "z"}"#)
                .gives("y: date | z: integer", &["2026-01-14 | 364", "2026-01-16 | 1"]),
            Case::new("no rows")
                .input("a", "x: date", &[])
                .step(r#"{"from": "a", "start": "x", "end": "x", "unit": "years", "as": "z"}"#)
                .gives("x: date | z: integer", &[]),
            Case::new("days the wrong way round")
                .input("a", "x: date", &["2024-01-02"])
                .step(r#"{"from": "a", "start": "x", "end": {"value": "2024-01-01"}, "unit": "months", "as": "z"}"#)
                .fails(r#"row 1 of "a": 2024-01-02 is after 2024-01-01"#),
            Case::new("text is no date")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "start": "x", "end": "x", "unit": "days", "as": "z"}"#)
                .refused(r#"expected a date, it is text"#),
        ]
    }
}
