//! How far two days are apart.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::{Comparison, DateUnit, Expression},
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
    /// The first day.
    start: Operand,
    /// The second day.
    end: Operand,
    /// In what.
    unit: DateUnit,
    /// What it is where the second day is before the first, but for `D`, which is then less than nothing.
    #[serde(default)]
    on_reversed: OnReversed,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

/// What a difference of days in the wrong order is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum OnReversed {
    /// An error: the job fails and says where.
    #[default]
    Fail,
    /// Blank.
    Blank,
}

/// A column of dates, or a day that stands in the job.
fn date(step: &StepPlan<'_>, table: &Table, operand: &Operand) -> Result<Expression, PlanError> {
    let day = operand.expression(step, table, Some(Type::Date))?;
    match (day.kind(), operand) {
        (Type::Date, _) => Ok(day),
        (kind, Operand::Column(name)) => {
            let hint = if kind == Type::Text { ": `dateValue` reads it" } else { "" };
            Err(step.fail_on(name, format!("expected a date, it is {kind}{hint}")))
        }
        (kind, Operand::Value(_)) => Err(step.fail(format!("expected a date, it is {kind}"))),
    }
}

impl ColumnOperation for DateDif {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let (start, end) = (date(step, table, &self.start)?, date(step, table, &self.end)?);
        let reversed = end.clone().compare(Comparison::Less, start.clone());
        let apart = Expression::DateDifference { from: Box::new(start), to: Box::new(end), unit: self.unit };
        Ok(match self.on_reversed {
            OnReversed::Blank if self.unit != DateUnit::Days => {
                Expression::case(reversed, Expression::blank(Type::Integer), apart)
            }
            _ => apart,
        })
    }
}

impl Documented for DateDif {
    const NAME: &'static str = "dateDif";
    const REFERENCE: Reference = Reference {
        title: "DATEDIF",
        summary: "How far two days are apart, in days, complete months or complete years.",
        types: "Dates; gives an integer. A month is complete when its day of the month is reached: from 31 January, \
                February is complete on 1 March. `MD` and `YD` count days from the first day moved forward by the \
                complete months or years; where that month has no such day, from its last.",
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "As DATEDIF, but: `D` of days in the wrong order is less than nothing, as end - start is, \
                where DATEDIF is #NUM!; `MD` is never less than nothing, which in Excel it can be (31 January to 1 \
                March) and is documented as wrong; `YD` counts the days there are, and Excel's may be one off around \
                29 February; Excel counts 1900-02-29, which there was not. An empty cell is 1900-01-00 there.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("days")
                .input(
                    "a",
                    "x: date | y: date",
                    &[
                        "2024-02-28 | 2024-03-01",
                        "2023-02-28 | 2023-03-01",
                        "2024-01-01 | 2024-01-01",
                        "2024-01-02 | 2024-01-01",
                        " | 2024-01-01",
                        "2024-01-01 | ",
                        "0001-01-01 | 9999-12-31",
                    ],
                )
                .step(r#"{"from": "a", "start": "x", "end": "y", "unit": "D", "as": "z"}"#)
                .gives(
                    "x: date | y: date | z: integer",
                    &[
                        "2024-02-28 | 2024-03-01 | 2",
                        "2023-02-28 | 2023-03-01 | 1",
                        "2024-01-01 | 2024-01-01 | 0",
                        "2024-01-02 | 2024-01-01 | -1",
                        " | 2024-01-01 | ",
                        "2024-01-01 |  | ",
                        "0001-01-01 | 9999-12-31 | 3652058",
                    ],
                ),
            Case::new("complete months")
                .input(
                    "a",
                    "x: date | y: date",
                    &[
                        "2024-01-31 | 2024-02-29",
                        "2024-01-31 | 2024-03-01",
                        "2024-01-15 | 2024-02-14",
                        "2024-01-15 | 2024-02-15",
                        "2023-12-31 | 2024-12-31",
                    ],
                )
                .step(r#"{"from": "a", "start": "x", "end": "y", "unit": "M", "as": "z"}"#)
                .gives(
                    "x: date | y: date | z: integer",
                    &[
                        "2024-01-31 | 2024-02-29 | 0",
                        "2024-01-31 | 2024-03-01 | 1",
                        "2024-01-15 | 2024-02-14 | 0",
                        "2024-01-15 | 2024-02-15 | 1",
                        "2023-12-31 | 2024-12-31 | 12",
                    ],
                ),
            Case::new("complete years")
                .input(
                    "a",
                    "x: date | y: date",
                    &[
                        "2020-02-29 | 2021-02-28",
                        "2020-02-29 | 2021-03-01",
                        "2020-02-29 | 2024-02-29",
                        "2000-06-15 | 2024-06-14",
                    ],
                )
                .step(r#"{"from": "a", "start": "x", "end": "y", "unit": "Y", "as": "z"}"#)
                .gives(
                    "x: date | y: date | z: integer",
                    &[
                        "2020-02-29 | 2021-02-28 | 0",
                        "2020-02-29 | 2021-03-01 | 1",
                        "2020-02-29 | 2024-02-29 | 4",
                        "2000-06-15 | 2024-06-14 | 23",
                    ],
                ),
            Case::new("months beyond years")
                .input(
                    "a",
                    "x: date | y: date",
                    &["2023-12-31 | 2024-12-31", "2000-06-15 | 2024-06-14", "2024-01-31 | 2024-03-01"],
                )
                .step(r#"{"from": "a", "start": "x", "end": "y", "unit": "YM", "as": "z"}"#)
                .gives(
                    "x: date | y: date | z: integer",
                    &["2023-12-31 | 2024-12-31 | 0", "2000-06-15 | 2024-06-14 | 11", "2024-01-31 | 2024-03-01 | 1"],
                ),
            Case::new("days beyond months")
                .input(
                    "a",
                    "x: date | y: date",
                    &[
                        "2024-01-31 | 2024-03-01",
                        "2023-01-31 | 2023-03-01",
                        "2024-01-15 | 2024-02-14",
                        "2024-01-15 | 2024-02-15",
                        "2024-03-30 | 2024-04-29",
                    ],
                )
                .step(r#"{"from": "a", "start": "x", "end": "y", "unit": "MD", "as": "z"}"#)
                .gives(
                    "x: date | y: date | z: integer",
                    &[
                        "2024-01-31 | 2024-03-01 | 1",
                        "2023-01-31 | 2023-03-01 | 1",
                        "2024-01-15 | 2024-02-14 | 30",
                        "2024-01-15 | 2024-02-15 | 0",
                        "2024-03-30 | 2024-04-29 | 30",
                    ],
                ),
            Case::new("days beyond years")
                .input(
                    "a",
                    "x: date | y: date",
                    &[
                        "2020-02-29 | 2021-02-28",
                        "2020-02-29 | 2021-03-01",
                        "2023-06-15 | 2024-06-14",
                        "2024-01-01 | 2024-12-31",
                        "2023-12-31 | 2024-12-31",
                    ],
                )
                .step(r#"{"from": "a", "start": "x", "end": "y", "unit": "YD", "as": "z"}"#)
                .gives(
                    "x: date | y: date | z: integer",
                    &[
                        "2020-02-29 | 2021-02-28 | 365",
                        "2020-02-29 | 2021-03-01 | 1",
                        "2023-06-15 | 2024-06-14 | 365",
                        "2024-01-01 | 2024-12-31 | 365",
                        "2023-12-31 | 2024-12-31 | 0",
                    ],
                ),
            Case::new("to a day that stands in the job")
                .input("a", "x: date", &["2024-12-01"])
                .step(r#"{"from": "a", "start": "x", "end": {"value": "2024-12-31"}, "unit": "D", "as": "age"}"#)
                .gives("x: date | age: integer", &["2024-12-01 | 30"]),
            Case::new("days in the wrong order can be blank")
                .input(
                    "a",
                    "x: date | y: date",
                    &["2024-02-01 | 2024-01-01", "2024-01-01 | 2024-02-01", "2024-01-01 | 2024-01-01", " | 2024-01-01"],
                )
                .step(r#"{"from": "a", "start": "x", "end": "y", "unit": "M", "onReversed": "blank", "as": "z"}"#)
                .gives(
                    "x: date | y: date | z: integer",
                    &[
                        "2024-02-01 | 2024-01-01 | ",
                        "2024-01-01 | 2024-02-01 | 1",
                        "2024-01-01 | 2024-01-01 | 0",
                        " | 2024-01-01 | ",
                    ],
                ),
            Case::new("no rows")
                .input("a", "x: date | y: date", &[])
                .step(r#"{"from": "a", "start": "x", "end": "y", "unit": "Y", "as": "z"}"#)
                .gives("x: date | y: date | z: integer", &[]),
            Case::new("days in the wrong order are an error")
                .input("a", "x: date | y: date", &["2024-01-01 | 2024-01-01", "2024-02-01 | 2024-01-01"])
                .step(r#"{"from": "a", "start": "x", "end": "y", "unit": "M", "as": "z"}"#)
                .fails(r#"step "step" (dateDif), column "z", row 2 of "a": 2024-02-01 is after 2024-01-01"#),
            Case::new("a unit that is none")
                .input("a", "x: date | y: date", &[])
                .step(r#"{"from": "a", "start": "x", "end": "y", "unit": "W", "as": "z"}"#)
                .refused("unknown variant `W`"),
            Case::new("text is no date")
                .input("a", "x: text | y: date", &[])
                .step(r#"{"from": "a", "start": "x", "end": "y", "unit": "D", "as": "z"}"#)
                .refused(r#"column "x": expected a date, it is text: `dateValue` reads it"#),
            Case::new("a value that is no date")
                .input("a", "x: date", &[])
                .step(r#"{"from": "a", "start": "x", "end": {"value": "31.12.2024"}, "unit": "D", "as": "z"}"#)
                .refused(r#"the value "31.12.2024" is no date"#),
        ]
    }
}
