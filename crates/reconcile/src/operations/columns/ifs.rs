//! The value of the first condition that is true.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::{Branch, Expression},
    operations::{
        Documented, Reference,
        columns::{ColumnOperation, ONE_TYPE, ROW_BY_ROW, of_one_type},
    },
    parameters::{CaseRule, Condition, Operand, TableName},
    planner::{StepPlan, Table},
    types::Type,
};

/// The value of the first condition that is true.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Ifs {
    /// The table.
    from: TableName,
    /// The conditions and their values, in their order.
    branches: Vec<IfBranch>,
    /// What the cell is where none is true; blank unless given.
    #[serde(default, rename = "else")]
    otherwise: Option<Operand>,
    /// Whether case counts in text, where a test does not say.
    #[serde(default = "CaseRule::ignore")]
    case: CaseRule,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

/// A condition and what the cell is where it is true.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "{\"where\": …, \"then\": …}")]
pub(crate) struct IfBranch {
    /// The condition.
    #[serde(rename = "where")]
    condition: Condition,
    /// What the cell is where it is true, and none before it was.
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
            return Err(step.fail("expected one branch at least in `branches`"));
        }
        let operands: Vec<&Operand> = self.branches.iter().map(|branch| &branch.then).chain(&self.otherwise).collect();
        let mut cells = of_one_type(step, table, &operands)?;
        let otherwise = if self.otherwise.is_some() { cells.pop() } else { None };
        let kind = cells.first().map_or(Type::Text, Expression::kind);
        let branch = |(branch, then): (&IfBranch, Expression)| {
            Ok(Branch { when: branch.condition.expression(step, table, self.case)?, then })
        };
        let branches = self.branches.iter().zip(cells).map(branch).collect::<Result<_, PlanError>>()?;
        Ok(Expression::Case { branches, otherwise: Box::new(otherwise.unwrap_or_else(|| Expression::blank(kind))) })
    }
}

impl Documented for Ifs {
    const NAME: &'static str = "ifs";
    const REFERENCE: Reference = Reference {
        title: "IFS",
        summary: "The value of the first condition that is true.",
        types: ONE_TYPE,
        blanks: "A comparison with a blank is false. The chosen value may be blank; `{\"value\": \"\"}` is one.",
        rows: ROW_BY_ROW,
        spreadsheet: "As IFS, which ignores case, too, unless `case` says otherwise. Where no condition is true it gives \
                #N/A, and this a blank; `else` is its last condition TRUE.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("the first that is true counts")
                .input("a", "x: integer", &["5", "50", "500", ""])
                .step(
                    r#"{"from": "a", "branches": [{"where": {"column": "x", "is": "<", "value": 10},
                        "then": {"value": "small"}}, {"where": {"column": "x", "is": "<", "value": 100},
                        "then": {"value": "middle"}}, {"where": {"column": "x", "is": "notBlank"},
                        "then": {"value": "large"}}], "else": {"value": "none"}, "as": "z"}"#,
                )
                .gives("x: integer | z: text", &["5 | small", "50 | middle", "500 | large", " | none"]),
            Case::new("no else is blank; numbers take the most decimals")
                .input("a", "x: integer | y: decimal(1)", &["1 | 0.5", "2 | 0.5", "3 | 0.5"])
                .step(
                    r#"{"from": "a", "branches": [{"where": {"column": "x", "is": "=", "value": 1}, "then": "y"},
                        {"where": {"column": "x", "is": "=", "value": 2}, "then": {"value": "0.25"}}], "as": "z"}"#,
                )
                .gives(
                    "x: integer | y: decimal(1) | z: decimal(2)",
                    &["1 | 0.5 | 0.50", "2 | 0.5 | 0.25", "3 | 0.5 | "],
                ),
            Case::new("a value with a type")
                .input("a", "x: text", &["A", "a"])
                .step(
                    r#"{"from": "a", "branches": [{"where": {"column": "x", "is": "=", "value": "a"},
                        "then": {"value": "1.5", "type": "decimal(2)"}}], "else": {"value": 0},
                        "as": "z"}"#,
                )
                .gives("x: text | z: decimal(2)", &["A | 1.50", "a | 1.50"]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(
                    r#"{"from": "a", "branches": [{"where": {"column": "x", "is": "=", "value": 1}, "then": "x"}],
                        "as": "x"}"#,
                )
                .gives("x: integer", &[]),
            Case::new("no branches")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "branches": [], "as": "z"}"#)
                .refused("expected one branch at least in `branches`"),
            Case::new("numbers and texts")
                .input("a", "x: integer", &[])
                .step(
                    r#"{"from": "a", "branches": [{"where": {"column": "x", "is": "=", "value": 1},
                        "then": {"value": 1}}, {"where": {"column": "x", "is": "=", "value": 2},
                        "then": {"value": "two"}}], "as": "z"}"#,
                )
                .refused(r#"step "step" (ifs): a column cannot hold both integer and text"#),
        ]
    }
}
