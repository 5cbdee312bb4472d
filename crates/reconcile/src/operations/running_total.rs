//! Running totals.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{Documented, Operation, Reference, Results},
    parameters::TableName,
    plan::WindowFunction,
    planner::StepPlan,
    types::Type,
};

/// The sum of a column down to each row.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RunningTotal {
    /// The table.
    from: TableName,
    /// The column that is summed.
    column: String,
    /// The columns whose values each have a total of their own; one for all rows unless given.
    #[serde(default)]
    by: Vec<String>,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

impl Operation for RunningTotal {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", &self.from)]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let table = step.table(&self.from)?;
        step.unused(&table, &self.result)?;
        let of = step.number(&table, &self.column)?;
        let by = step.columns(&table, &self.by)?.iter().map(|column| column.id).collect();
        let (order, kind) = (table.order.clone(), Type::Decimal(of.kind.scale()));
        let (table, sum) = step.window(&table, WindowFunction::RunningSum { of: of.id }, by, order, kind);
        let sum = Expression::Column { id: sum, kind };
        Ok(step.extend(&table, vec![(self.result.clone(), sum)]).into())
    }
}

impl Documented for RunningTotal {
    const NAME: &'static str = "runningTotal";
    const REFERENCE: Reference = Reference {
        title: "Running total",
        summary: "The sum of a column down to each row, over all rows or for each group.",
        types: "The column is a number; the total of an integer is decimal(0), of a decimal(s) decimal(s). A total that does not fit is an \
                error.",
        blanks: "A blank adds nothing; its row shows the total so far, 0 before any other. Blanks among the groups make a group.",
        rows: "Rows and their order stay; totals go by that order: `sort` before it for another.",
        spreadsheet: "As `SUM($A$2:A2)` filled down, or `SUMIFS` for groups; exact, and in one pass.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| {
            Case::new(title).input(
                "a",
                "k: text | v: decimal(2)",
                &["x | ", "y | 1.00", "x | 2.50", " | 4.00", "x | -0.50", " | 1.00"],
            )
        };
        vec![
            case("over all rows").step(r#"{"from": "a", "column": "v", "as": "t"}"#).gives(
                "k: text | v: decimal(2) | t: decimal(2)",
                &[
                    "x | | 0.00",
                    "y | 1.00 | 1.00",
                    "x | 2.50 | 3.50",
                    " | 4.00 | 7.50",
                    "x | -0.50 | 7.00",
                    " | 1.00 | 8.00",
                ],
            ),
            case("for each group").step(r#"{"from": "a", "column": "v", "by": ["k"], "as": "t"}"#).gives(
                "k: text | v: decimal(2) | t: decimal(2)",
                &[
                    "x | | 0.00",
                    "y | 1.00 | 1.00",
                    "x | 2.50 | 2.50",
                    " | 4.00 | 4.00",
                    "x | -0.50 | 2.00",
                    " | 1.00 | 5.00",
                ],
            ),
            Case::new("no rows")
                .input("a", "v: integer", &[])
                .step(r#"{"from": "a", "column": "v", "as": "t"}"#)
                .gives("v: integer | t: decimal(0)", &[]),
            Case::new("a total that does not fit is an error")
                .input("a", "v: decimal(0)", &["1", "99999999999999999999999999999999999999", "-1"])
                .step(r#"{"from": "a", "column": "v", "as": "t"}"#)
                .fails(r#"row 2 of "a": the result does not fit decimal(0)"#),
            case("a name that is taken")
                .step(r#"{"from": "a", "column": "v", "as": "v"}"#)
                .refused(r#"column "v": a has such a column already: say another name for the new one"#),
            case("text has no total")
                .step(r#"{"from": "a", "column": "k", "as": "t"}"#)
                .refused(r#"column "k": expected a number, it is text"#),
        ]
    }
}
