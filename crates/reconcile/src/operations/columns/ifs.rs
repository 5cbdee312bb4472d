//! IFS.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::{Branch, Expression},
    operations::{
        Documented, Reference,
        columns::{ColumnOperation, ROW_BY_ROW, alike},
    },
    parameters::{CaseRule, Condition, Operand, TableName},
    planner::{StepPlan, Table},
};

/// The value of the first condition that is true.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Ifs {
    /// The table.
    from: TableName,
    /// Conditions and values, in this order.
    branches: Vec<IfsBranch>,
    /// Where no condition is true; blank unless given.
    #[serde(default, rename = "else")]
    otherwise: Option<Operand>,
    /// Whether case counts in text, where a test does not say.
    #[serde(default = "CaseRule::ignore")]
    case: CaseRule,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

/// A condition and a value.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IfsBranch {
    /// The condition.
    #[serde(rename = "where")]
    condition: Condition,
    /// The value where it is true: a column, or a value such as `{"value": 0}`.
    then: Operand,
}

impl ColumnOperation for Ifs {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        if self.branches.is_empty() {
            return Err(step.fail("expected one condition at least in `branches`"));
        }
        let operands: Vec<&Operand> = self.branches.iter().map(|branch| &branch.then).chain(&self.otherwise).collect();
        let mut values = alike(step, table, &operands)?;
        let kind = values.first().map(Expression::kind).ok_or_else(|| step.fail("there is no value"))?;
        let otherwise = if self.otherwise.is_some() { values.pop() } else { None };
        let mut branches = Vec::new();
        for (branch, then) in self.branches.iter().zip(values) {
            branches.push(Branch { when: branch.condition.expression(step, table, self.case)?, then });
        }
        Ok(Expression::Case { branches, otherwise: Box::new(otherwise.unwrap_or_else(|| Expression::blank(kind))) })
    }
}

impl Documented for Ifs {
    const NAME: &'static str = "ifs";
    const REFERENCE: Reference = Reference {
        title: "IFS",
        summary: "The value of the first condition that is true.",
        types: "The results have one type; of numbers it is the one with the most decimals. Conditions are as in `filter`.",
        blanks: "A comparison with a blank is false, but for `<>`. Where no condition is true the result is blank, unless `else` is given.",
        rows: ROW_BY_ROW,
        spreadsheet: "As IFS; where no condition is true it is #N/A there.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("the first that is true")
                .input("a", "v: decimal(2)", &["1500.00", "150.00", "15.00", "", "-1.00"])
                .step(r#"{"from": "a", "branches": [{"where": {"column": "v", "is": ">=", "value": 1000}, "then": {"value": "large"}},
                        {"where": {"column": "v", "is": ">=", "value": 100}, "then": {"value": "medium"}},
                        {"where": {"column": "v", "is": ">=", "value": 0}, "then": {"value": "small"}}], "as": "size"}"#)
                .gives("v: decimal(2) | size: text", &["1500.00 | large", "150.00 | medium", "15.00 | small", " | ", "-1.00 | "]),
            Case::new("else, and a common type")
                .input("a", "v: integer", &["1", "2", ""])
                .step(r#"{"from": "a", "branches": [{"where": {"column": "v", "is": "=", "value": 1}, "then": {"value": "0.5"}},
                        {"where": {"column": "v", "is": "blank"}, "then": {"value": 0}}], "else": "v", "as": "z"}"#)
                .gives("v: integer | z: decimal(1)", &["1 | 0.5", "2 | 2.0", " | 0.0"]),
            Case::new("no rows")
                .input("a", "v: integer", &[])
                .step(r#"{"from": "a", "branches": [{"where": {"column": "v", "is": "blank"}, "then": "v"}], "as": "z"}"#)
                .gives("v: integer | z: integer", &[]),
            Case::new("no conditions")
                .input("a", "v: integer", &[])
                .step(r#"{"from": "a", "branches": [], "as": "z"}"#)
                .refused(r#"expected one condition at least in `branches`"#),
            Case::new("columns of different types")
                .input("a", "v: integer | s: text", &[])
                .step(r#"{"from": "a", "branches": [{"where": {"column": "v", "is": "blank"}, "then": "s"}], "else": "v", "as": "z"}"#)
                .refused(r#"integer does not go with text"#),
        ]
    }
}
