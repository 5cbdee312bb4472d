//! COALESCE.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{
        Documented, Reference,
        columns::{ColumnOperation, ROW_BY_ROW, alike},
    },
    parameters::{Operand, TableName},
    planner::{StepPlan, Table},
};

/// The first of several values that is not blank.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CoalesceColumn {
    /// The table.
    from: TableName,
    /// The values: columns, or values such as `{"value": 0}`.
    of: Vec<Operand>,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for CoalesceColumn {
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
        Ok(Expression::Coalesce { of: alike(step, table, &self.of.iter().collect::<Vec<_>>())? })
    }
}

impl Documented for CoalesceColumn {
    const NAME: &'static str = "coalesce";
    const REFERENCE: Reference = Reference {
        title: "COALESCE",
        summary: "The first of several values that is not blank.",
        types: "All have one type; of numbers the result has the one with the most decimals.",
        blanks: "The result is blank where all are.",
        rows: ROW_BY_ROW,
        spreadsheet: "As `=IF(A2<>\"\", A2, B2)`.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("columns, then a value")
                .input("a", "x: integer | y: decimal(2)", &["1 | 2.00", " | 2.00", " | "])
                .step(r#"{"from": "a", "of": ["x", "y", {"value": "0.5"}], "as": "z"}"#)
                .gives(
                    "x: integer | y: decimal(2) | z: decimal(2)",
                    &["1 | 2.00 | 1.00", " | 2.00 | 2.00", " | | 0.50"],
                ),
            Case::new("all blank")
                .input("a", "x: text | y: text", &[" | ", "a | b", " | b"])
                .step(r#"{"from": "a", "of": ["x", "y"], "as": "x"}"#)
                .gives("x: text | y: text", &[" | ", "a | b", "b | b"]),
            Case::new("no rows")
                .input("a", "x: date", &[])
                .step(r#"{"from": "a", "of": ["x", {"value": "2024-01-01"}], "as": "z"}"#)
                .gives("x: date | z: date", &[]),
            Case::new("types that do not go together")
                .input("a", "x: text | y: integer", &[])
                .step(r#"{"from": "a", "of": ["x", "y"], "as": "z"}"#)
                .refused(r#"integer does not go with text"#),
            Case::new("a value of another type")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "of": ["x", {"value": "none"}], "as": "z"}"#)
                .refused(r#"the value "none" is no integer"#),
            Case::new("of nothing")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "of": [], "as": "z"}"#)
                .refused(r#"expected one value at least in `of`"#),
        ]
    }
}
