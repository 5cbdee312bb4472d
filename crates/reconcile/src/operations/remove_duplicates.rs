//! One row of each.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::ColumnId,
    operations::{Documented, Operation, Reference, Results, lookup::Take},
    parameters::{CaseRule, TableName},
    planner::{StepPlan, Table},
};

/// One row of those that are equal in some columns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RemoveDuplicates {
    /// The table.
    from: TableName,
    /// The columns that are compared; all unless given.
    #[serde(default)]
    columns: Option<Vec<String>>,
    /// Which of several rows stays.
    #[serde(default)]
    keep: Take,
    /// Whether case counts in text.
    #[serde(default = "CaseRule::sensitive")]
    case: CaseRule,
}

/// The table with the columns that are compared; all where none are named.
pub(crate) fn compared(
    step: &mut StepPlan<'_>,
    table: &Table,
    columns: Option<&[String]>,
    case: CaseRule,
) -> Result<(Table, Vec<ColumnId>), PlanError> {
    let columns = match columns {
        Some([]) => return Err(step.fail("expected one column at least in `columns`")),
        Some(names) => step.columns(table, names)?,
        None => table.columns.clone(),
    };
    let keys = columns.iter().map(|column| case.apply(column.expression())).collect();
    Ok(step.hidden(table, keys))
}

impl Operation for RemoveDuplicates {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", &self.from)]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let table = step.table(&self.from)?;
        let (table, keys) = compared(step, &table, self.columns.as_deref(), self.case)?;
        Ok(step.one_of_each(&table, keys, self.keep == Take::Last).into())
    }
}

impl Documented for RemoveDuplicates {
    const NAME: &'static str = "removeDuplicates";
    const REFERENCE: Reference = Reference {
        title: "Remove Duplicates",
        summary: "One row of those that are equal in some columns, or in all.",
        types: "Any.",
        blanks: "A blank equals a blank.",
        rows: "The first row stays, or the last with `keep: \"last\"`; rows keep their order. `flagDuplicates` and `filter` give those that go.",
        spreadsheet: "A spreadsheet compares what cells show, and without case; here values are compared, and case counts unless `case` is \
                      `ignore`.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| {
            Case::new(title).input(
                "a",
                "k: text | v: decimal(1)",
                &["x | 1.0", "X | 1.0", "x | 2.0", " | 1.0", "x | 1.0", " | 1.0"],
            )
        };
        vec![
            case("equal in all columns")
                .step(r#"{"from": "a"}"#)
                .gives("k: text | v: decimal(1)", &["x | 1.0", "X | 1.0", "x | 2.0", " | 1.0"]),
            case("equal in one; the last stays; case does not count")
                .step(r#"{"from": "a", "columns": ["k"], "keep": "last", "case": "ignore"}"#)
                .gives("k: text | v: decimal(1)", &["x | 1.0", " | 1.0"]),
            Case::new("the same amount in another column is another row")
                .input(
                    "journal",
                    "account: text | debit: decimal(2) | credit: decimal(2)",
                    &["A | 5.00 | ", "A | | 5.00", "B | 1.00 | ", "A | | 5.00", "B | 1.00 | "],
                )
                .step(r#"{"from": "journal"}"#)
                .gives(
                    "account: text | debit: decimal(2) | credit: decimal(2)",
                    &["A | 5.00 | ", "A | | 5.00", "B | 1.00 | "],
                ),
            Case::new("the last of an order is a blank, where there is one")
                .input("a", "k: text | v: integer", &["x | ", "y | 2", "x | 1", "y | 3"])
                .after(r#"{"name": "sorted", "operation": "sort", "from": "a", "by": [{"column": "v"}]}"#)
                .step(r#"{"from": "sorted", "columns": ["k"], "keep": "last"}"#)
                .gives("k: text | v: integer", &["y | 3", "x | "]),
            Case::new("no rows").input("a", "k: text", &[]).step(r#"{"from": "a"}"#).gives("k: text", &[]),
            case("no columns")
                .step(r#"{"from": "a", "columns": []}"#)
                .refused("expected one column at least in `columns`"),
            case("a column that is not there")
                .step(r#"{"from": "a", "columns": ["z"]}"#)
                .refused(r#"column "z": a has no such column"#),
        ]
    }
}
