//! A number with fewer decimals.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{BLANK_IN_BLANK_OUT, ColumnOperation, ROUNDED, ROW_BY_ROW, rounded},
    },
    parameters::TableName,
    planner::{StepPlan, Table},
    types::Rounding,
};

/// A number with fewer decimals.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Round {
    /// The table.
    from: TableName,
    /// The column.
    column: String,
    /// The decimals; -1, -2, … for tens, hundreds, …
    decimals: i8,
    /// How.
    #[serde(default)]
    rounding: Rounding,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for Round {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let of = step.number(table, &self.column)?.expression();
        rounded(step, of, self.decimals, self.rounding)
    }
}

impl Documented for Round {
    const NAME: &'static str = "round";
    const REFERENCE: Reference = Reference {
        title: "ROUND",
        summary: "A number with fewer decimals, or rounded to tens, hundreds and so on.",
        types: ROUNDED,
        blanks: BLANK_IN_BLANK_OUT,
        rows: ROW_BY_ROW,
        spreadsheet: "As ROUND: halves go away from zero. `rounding: \"halfEven\"` is what banks and IEEE 754 do. \
                ROUND(1.005, 2) is 1.01 here, always; in binary floating point 1.005 is less than that.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("halves away from zero")
                .input("a", "x: decimal(3)", &["1.005", "-1.005", "1.015", "1.004", "2.500", ""])
                .step(r#"{"from": "a", "column": "x", "decimals": 2, "as": "z"}"#)
                .gives(
                    "x: decimal(3) | z: decimal(2)",
                    &["1.005 | 1.01", "-1.005 | -1.01", "1.015 | 1.02", "1.004 | 1.00", "2.500 | 2.50", " | "],
                ),
            Case::new("halves to the even neighbour")
                .input("a", "x: decimal(3)", &["1.005", "-1.005", "1.015", "1.006"])
                .step(r#"{"from": "a", "column": "x", "decimals": 2, "rounding": "halfEven", "as": "z"}"#)
                .gives(
                    "x: decimal(3) | z: decimal(2)",
                    &["1.005 | 1.00", "-1.005 | -1.00", "1.015 | 1.02", "1.006 | 1.01"],
                ),
            Case::new("to whole numbers")
                .input("a", "x: decimal(1)", &["0.5", "1.5", "-0.5", "0.4"])
                .step(r#"{"from": "a", "column": "x", "decimals": 0, "as": "z"}"#)
                .gives("x: decimal(1) | z: decimal(0)", &["0.5 | 1", "1.5 | 2", "-0.5 | -1", "0.4 | 0"]),
            Case::new("to thousands: an integer stays one")
                .input("a", "x: integer", &["1500", "-1499", "-1500", "499", ""])
                .step(r#"{"from": "a", "column": "x", "decimals": -3, "as": "z"}"#)
                .gives("x: integer | z: integer", &["1500 | 2000", "-1499 | -1000", "-1500 | -2000", "499 | 0", " | "]),
            Case::new("a decimal to hundreds")
                .input("a", "x: decimal(2)", &["150.00", "149.99", "50.00"])
                .step(r#"{"from": "a", "column": "x", "decimals": -2, "rounding": "halfEven", "as": "z"}"#)
                .gives("x: decimal(2) | z: decimal(0)", &["150.00 | 200", "149.99 | 100", "50.00 | 0"]),
            Case::new("to more digits than there are")
                .input(
                    "a",
                    "x: decimal(2)",
                    &["999999999999999999999999999999999999.99", "4999999999999999999999999999999999.99"],
                )
                .step(r#"{"from": "a", "column": "x", "decimals": -36, "rounding": "down", "as": "z"}"#)
                .gives(
                    "x: decimal(2) | z: decimal(0)",
                    &["999999999999999999999999999999999999.99 | 0", "4999999999999999999999999999999999.99 | 0"],
                ),
            Case::new("fewer decimals than asked for stay")
                .input("a", "x: decimal(1) | y: integer", &["1.5 | 7"])
                .step(r#"{"from": "a", "column": "x", "decimals": 4, "as": "x"}"#)
                .gives("x: decimal(1) | y: integer", &["1.5 | 7"]),
            Case::new("a number that does not fit any more is an error")
                .input("a", "x: integer", &["9223372036854775807"])
                .step(r#"{"from": "a", "column": "x", "decimals": -1, "as": "z"}"#)
                .fails(r#"column "z", row 1 of "a": the result does not fit integer"#),
            Case::new("no rows")
                .input("a", "x: decimal(4)", &[])
                .step(r#"{"from": "a", "column": "x", "decimals": 2, "as": "z"}"#)
                .gives("x: decimal(4) | z: decimal(2)", &[]),
            Case::new("too many decimals")
                .input("a", "x: decimal(2)", &[])
                .step(r#"{"from": "a", "column": "x", "decimals": 21, "as": "z"}"#)
                .refused("`decimals` goes from -37 to 20, it is 21"),
            Case::new("text is no number")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "column": "x", "decimals": 2, "as": "z"}"#)
                .refused(r#"column "x": expected a number, it is text"#),
        ]
    }
}
