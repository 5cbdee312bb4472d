//! One of two values, by a condition.

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
    parameters::{CaseRule, Condition, Operand, TableName},
    planner::{StepPlan, Table},
};

/// One of two values, by a condition.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct If {
    /// The table.
    from: TableName,
    /// The condition.
    #[serde(rename = "where")]
    condition: Condition,
    /// What the cell is where it is true.
    then: Operand,
    /// What it is elsewhere; blank unless given.
    #[serde(default, rename = "else")]
    otherwise: Option<Operand>,
    /// Whether case counts in text, where a test does not say.
    #[serde(default = "CaseRule::ignore")]
    case: CaseRule,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl ColumnOperation for If {
    fn from(&self) -> &TableName {
        &self.from
    }

    fn result(&self) -> &str {
        &self.result
    }

    fn expression(&self, step: &StepPlan<'_>, table: &Table) -> Result<Expression, PlanError> {
        let when = self.condition.expression(step, table, self.case)?;
        let operands: Vec<&Operand> = [&self.then].into_iter().chain(&self.otherwise).collect();
        let mut cells = of_one_type(step, table, &operands)?.into_iter();
        let then = cells.next().ok_or_else(|| step.fail("expected `then`"))?;
        let otherwise = cells.next().unwrap_or_else(|| Expression::blank(then.kind()));
        Ok(Expression::case(when, then, otherwise))
    }
}

impl Documented for If {
    const NAME: &'static str = "if";
    const REFERENCE: Reference = Reference {
        title: "IF",
        summary: "One of two values, by a condition.",
        types: ONE_TYPE,
        blanks: "A comparison with a blank is false, so that `else` counts. The chosen value may be blank; \
                `{\"value\": \"\"}` is one.",
        rows: ROW_BY_ROW,
        spreadsheet: "As IF, which ignores case, too, unless `case` says otherwise. IF(amount > 0, ...) counts an empty \
                cell as 0. Without an else it gives FALSE, and this a blank.",
    };

    fn cases() -> Vec<Case> {
        vec![
            Case::new("values")
                .input("a", "x: decimal(2)", &["1.00", "-1.00", "0.00", ""])
                .step(
                    r#"{"from": "a", "where": {"column": "x", "is": ">", "value": 0}, "then": {"value": "debit"},
                        "else": {"value": "credit"}, "as": "side"}"#,
                )
                .gives("x: decimal(2) | side: text", &["1.00 | debit", "-1.00 | credit", "0.00 | credit", " | credit"]),
            Case::new("columns of two kinds of number")
                .input("a", "x: integer | y: decimal(2)", &["1 | 2.50", "3 | ", " | 1.00"])
                .step(r#"{"from": "a", "where": {"column": "y", "is": "blank"}, "then": "x", "else": "y", "as": "z"}"#)
                .gives(
                    "x: integer | y: decimal(2) | z: decimal(2)",
                    &["1 | 2.50 | 2.50", "3 | | 3.00", " | 1.00 | 1.00"],
                ),
            Case::new("a value takes the type of the column; no else is blank")
                .input("a", "x: date | y: text", &["2024-02-29 | Open", "2024-03-01 | paid"])
                .step(
                    r#"{"from": "a", "where": {"column": "y", "is": "=", "value": "open"},
                        "then": {"value": "2024-12-31"}, "as": "due"}"#,
                )
                .gives("x: date | y: text | due: text", &["2024-02-29 | Open | 2024-12-31", "2024-03-01 | paid | "]),
            Case::new("a date that stands in the job")
                .input("a", "x: date | y: text", &["2024-02-29 | open", "2024-03-01 | paid"])
                .step(
                    r#"{"from": "a", "where": {"column": "y", "is": "=", "value": "open"},
                        "then": {"value": "2024-12-31"}, "else": "x", "as": "x"}"#,
                )
                .gives("x: date | y: text", &["2024-12-31 | open", "2024-03-01 | paid"]),
            Case::new("case counts, if so told")
                .input("a", "x: text", &["Open", "open", ""])
                .step(
                    r#"{"from": "a", "where": {"column": "x", "is": "=", "value": "open"}, "case": "sensitive",
                        "then": {"value": 1}, "else": {"value": 0}, "as": "z"}"#,
                )
                .gives("x: text | z: integer", &["Open | 0", "open | 1", " | 0"]),
            Case::new("a blank as value")
                .input("a", "x: integer", &["1", "2"])
                .step(
                    r#"{"from": "a", "where": {"column": "x", "is": "=", "value": 1}, "then": {"value": ""},
                        "else": "x", "as": "z"}"#,
                )
                .gives("x: integer | z: integer", &["1 | ", "2 | 2"]),
            Case::new("true and false")
                .input("a", "x: integer", &["1", "2"])
                .step(
                    r#"{"from": "a", "where": {"column": "x", "is": "=", "value": 1}, "then": {"value": true},
                        "else": {"value": ""}, "as": "z"}"#,
                )
                .gives("x: integer | z: boolean", &["1 | true", "2 | "]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "where": {"column": "x", "is": "=", "value": 1}, "then": "x", "as": "z"}"#)
                .gives("x: integer | z: integer", &[]),
            Case::new("two types")
                .input("a", "x: integer | y: date", &[])
                .step(
                    r#"{"from": "a", "where": {"column": "x", "is": "=", "value": 1}, "then": "x", "else": "y",
                        "as": "z"}"#,
                )
                .refused(r#"step "step" (if): a column cannot hold both integer and date"#),
            Case::new("a value of another type")
                .input("a", "x: integer", &[])
                .step(
                    r#"{"from": "a", "where": {"column": "x", "is": "=", "value": 1}, "then": "x",
                        "else": {"value": "none"}, "as": "z"}"#,
                )
                .refused(r#"the value "none" is no integer"#),
            Case::new("a column that is not there")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "where": {"column": "y", "is": "=", "value": 1}, "then": "x", "as": "z"}"#)
                .refused(r#"column "y": a has no such column"#),
        ]
    }
}
