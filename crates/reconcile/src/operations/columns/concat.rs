//! CONCAT.

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

/// One text behind the other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Concat {
    /// The table.
    from: TableName,
    /// The texts: columns, or values such as `{"value": "-"}`.
    of: Vec<Operand>,
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
            return Err(step.fail("expected one text at least in `of`"));
        }
        let text = |operand: &Operand| {
            let operand = operand.expression(step, table, None)?;
            operand.cast(Type::Text).ok_or_else(|| step.fail("expected what can be written as text"))
        };
        Ok(Expression::Concatenate { of: self.of.iter().map(text).collect::<Result<_, _>>()? })
    }
}

impl Documented for Concat {
    const NAME: &'static str = "concat";
    const REFERENCE: Reference = Reference {
        title: "CONCAT",
        summary: "One text behind the other.",
        types: "Any; what is not text is taken as it is written in outputs. The result is text.",
        blanks: "A blank adds nothing; the result is blank where all are.",
        rows: ROW_BY_ROW,
        spreadsheet: "As CONCAT or `&`, but that numbers have all their decimals and days are ISO 8601.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("text, numbers and days")
                .input(
                    "a",
                    "x: text | y: decimal(2) | d: date | b: boolean",
                    &["é | 1.50 | 2024-05-01 | true", " | | | ", " | -0.10 | | false"],
                )
                .step(r#"{"from": "a", "of": ["x", {"value": "/"}, "y", "d", "b"], "as": "z"}"#)
                .gives(
                    "x: text | y: decimal(2) | d: date | b: boolean | z: text",
                    &[
                        "é | 1.50 | 2024-05-01 | true | é/1.502024-05-01true",
                        " | | | | /",
                        " | -0.10 | | false | /-0.10false",
                    ],
                ),
            Case::new("blanks alone")
                .input("a", "x: text | y: integer", &[" | ", "a | 1"])
                .step(r#"{"from": "a", "of": ["x", "y"], "as": "x"}"#)
                .gives("x: text | y: integer", &[" | ", "a1 | 1"]),
            Case::new("no rows")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "of": ["x"], "as": "z"}"#)
                .gives("x: text | z: text", &[]),
            Case::new("of nothing")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "of": [], "as": "z"}"#)
                .refused(r#"expected one text at least in `of`"#),
            Case::new("a column that is not there")
                .input("a", "x: text", &[])
                .step(r#"{"from": "a", "of": ["y"], "as": "z"}"#)
                .refused(r#"column "y": a has no such column"#),
        ]
    }
}
