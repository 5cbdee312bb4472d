//! IF.

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
    parameters::{CaseRule, Condition, Operand, TableName},
    planner::{StepPlan, Table},
};

/// One value where a condition is true, another where it is not.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct IfThen {
    /// The table.
    from: TableName,
    /// The condition.
    #[serde(rename = "where")]
    condition: Condition,
    /// Where it is true: a column, or a value such as `{"value": 0}`.
    then: Operand,
    /// Where it is not; blank unless given.
    #[serde(default, rename = "else")]
    otherwise: Option<Operand>,
    /// Whether case counts in text, where a test does not say.
    #[serde(default = "CaseRule::ignore")]
    case: CaseRule,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for IfThen {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let condition = self.condition.expression(step, table, self.case)?;
        let operands: Vec<&Operand> = std::iter::once(&self.then).chain(&self.otherwise).collect();
        let mut values = alike(step, table, &operands)?.into_iter();
        let then = values.next().ok_or_else(|| step.fail("there is no value"))?;
        let otherwise = values.next().unwrap_or_else(|| Expression::blank(then.kind()));
        Ok(Expression::case(condition, then, otherwise))
    }
}

impl Documented for IfThen {
    const NAME: &'static str = "if";
    const REFERENCE: Reference = Reference {
        title: "IF",
        summary: "One value where a condition is true, another where it is not.",
        types: "The results have one type; of numbers it is the one with the most decimals. Conditions are as in `filter`.",
        blanks: "A comparison with a blank is false, but for `<>`: the other value is taken. A value that is taken may be blank.",
        rows: ROW_BY_ROW,
        spreadsheet: "As IF; case does not count, as there. A spreadsheet counts an empty cell as 0 or as empty text.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("a column or a value")
                .input("a", "x: integer | y: decimal(2) | s: text", &["1 | 0.50 | A", "2 | 0.75 | a", " | 1.00 | b", "4 | | "])
                .step(r#"{"from": "a", "where": {"column": "s", "is": "=", "value": "a"}, "then": "x", "else": {"value": "0.125"}, "as": "z"}"#)
                .gives("x: integer | y: decimal(2) | s: text | z: decimal(3)", &["1 | 0.50 | A | 1.000", "2 | 0.75 | a | 2.000", " | 1.00 | b | 0.125", "4 | | | 0.125"]),
            Case::new("blank where it is not; case counts")
                .input("a", "s: text", &["A", "a", ""])
                .step(r#"{"from": "a", "where": {"column": "s", "is": "<>", "value": "a"}, "case": "sensitive", "then": {"value": "other"}, "as": "z"}"#)
                .gives("s: text | z: text", &["A | other", "a | ", " | other"]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "where": {"column": "x", "is": "blank"}, "then": {"value": true}, "else": {"value": false}, "as": "z"}"#)
                .gives("x: integer | z: boolean", &[]),
            Case::new("values of different types")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "where": {"column": "x", "is": "blank"}, "then": {"value": 1}, "else": {"value": "none"}, "as": "z"}"#)
                .refused(r#"text does not go with integer"#),
        ]
    }
}
