//! A column with one value.

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
    parameters::{Literal, TableName},
    planner::{StepPlan, Table},
    types::Type,
};

/// A column with the same value in every row.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ConstantColumn {
    /// The table.
    from: TableName,
    /// The value; blank unless given.
    #[serde(default)]
    value: Option<Literal>,
    /// The column's type.
    #[serde(rename = "type")]
    kind: Type,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for ConstantColumn {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, _: &Table) -> Result<Expression, PlanError> {
        let Some(value) = &self.value else { return Ok(Expression::blank(self.kind)) };
        let constant = value.expected(self.kind).and_then(|constant| Expression::from(constant).cast(self.kind));
        constant.ok_or_else(|| step.fail_on(&self.result, format!("the value {value} is no {}", self.kind.written())))
    }
}

impl Documented for ConstantColumn {
    const NAME: &'static str = "constant";
    const REFERENCE: Reference = Reference {
        title: "Constant column",
        summary: "A column with the same value in every row.",
        types: "The type is stated; a value that does not fit it is an error, nothing is rounded.",
        blanks: "Without a value every cell is blank.",
        rows: ROW_BY_ROW,
        spreadsheet: "As a value that is filled down.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| Case::new(title).input("a", "x: integer", &["1", ""]);
        vec![
            case("a decimal, with all its decimals")
                .step(r#"{"from": "a", "value": "1.5", "type": "decimal(3)", "as": "y"}"#)
                .gives("x: integer | y: decimal(3)", &["1 | 1.500", " | 1.500"]),
            case("blank, in place of a column")
                .step(r#"{"from": "a", "type": "date", "as": "x"}"#)
                .gives("x: date", &["", ""]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "value": "=A1", "type": "text", "as": "y"}"#)
                .gives("x: integer | y: text", &[]),
            case("a value that does not fit")
                .step(r#"{"from": "a", "value": "1.55", "type": "decimal(1)", "as": "y"}"#)
                .refused(r#"column "y": the value "1.55" is no decimal(1)"#),
            case("a value of another type")
                .step(r#"{"from": "a", "value": "2024-02-30", "type": "date", "as": "y"}"#)
                .refused(r#"the value "2024-02-30" is no date"#),
        ]
    }
}
