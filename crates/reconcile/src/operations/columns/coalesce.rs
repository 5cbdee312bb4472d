//! The first of several values that is not blank.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{ColumnOperation, ONE_TYPE, ROW_BY_ROW, of_one_type},
    },
    parameters::{Operand, TableName},
    planner::{StepPlan, Table},
};

/// The first of several values that is not blank.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Coalesce {
    /// The table.
    from: TableName,
    /// The values, in their order.
    of: Vec<Operand>,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for Coalesce {
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
        Ok(Expression::Coalesce { of: of_one_type(step, table, &self.of.iter().collect::<Vec<_>>())? })
    }
}

impl Documented for Coalesce {
    const NAME: &'static str = "coalesce";
    const REFERENCE: Reference = Reference {
        title: "COALESCE",
        summary: "The first of several values that is not blank.",
        types: ONE_TYPE,
        blanks: "Blank where all are.",
        rows: ROW_BY_ROW,
        spreadsheet: "Excel has no COALESCE: this is IF(x <> \"\", x, IF(y <> \"\", y, ...)). Nor are there cells \
                with errors here, so that IFERROR is `onZero` and `onError` where errors come from.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("the first that is there, or a value")
                .input("a", "x: text | y: text", &["a | b", " | b", " | "])
                .step(r#"{"from": "a", "of": ["x", "y", {"value": "none"}], "as": "z"}"#)
                .gives("x: text | y: text | z: text", &["a | b | a", " | b | b", " | | none"]),
            Case::new("numbers take the most decimals")
                .input("a", "x: integer | y: decimal(2)", &["1 | 2.50", " | 2.50", " | "])
                .step(r#"{"from": "a", "of": ["x", "y"], "as": "x"}"#)
                .gives("x: decimal(2) | y: decimal(2)", &["1.00 | 2.50", "2.50 | 2.50", " | "]),
            Case::new("zero is no blank, false neither")
                .input("a", "x: integer | y: boolean", &["0 | false", " | "])
                .step(r#"{"from": "a", "of": ["x", {"value": 1}], "as": "x"}"#)
                .gives("x: integer | y: boolean", &["0 | false", "1 | "]),
            Case::new("dates")
                .input("a", "x: date", &["", "2024-02-29"])
                .step(r#"{"from": "a", "of": ["x", {"value": "1900-01-01"}], "as": "z"}"#)
                .gives("x: date | z: date", &[" | 1900-01-01", "2024-02-29 | 2024-02-29"]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "of": ["x"], "as": "z"}"#)
                .gives("x: integer | z: integer", &[]),
            Case::new("two types")
                .input("a", "x: integer | y: text", &[])
                .step(r#"{"from": "a", "of": ["x", "y"], "as": "z"}"#)
                .refused("a column cannot hold both integer and text: `concat` makes text of anything"),
            Case::new("of nothing")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "of": [], "as": "z"}"#)
                .refused("expected one value at least in `of`"),
        ]
    }
}
