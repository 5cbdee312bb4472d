//! Sorting.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    operations::{Documented, Operation, Reference, Results},
    parameters::{CaseRule, TableName},
    plan::OrderKey,
    planner::StepPlan,
};

/// The rows in another order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Sort {
    /// The table.
    from: TableName,
    /// The columns that rows are sorted by, the most important one first.
    by: Vec<SortKey>,
    /// Whether case counts in text.
    #[serde(default = "CaseRule::sensitive")]
    case: CaseRule,
}

/// A column that rows are sorted by.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "{\"column\": …}")]
struct SortKey {
    /// The column.
    column: String,
    /// Which value comes first.
    #[serde(default)]
    order: SortOrder,
}

/// Which value comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum SortOrder {
    /// The smallest.
    #[default]
    Ascending,
    /// The largest.
    Descending,
}

impl Operation for Sort {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", &self.from)]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let table = step.table(&self.from)?;
        if self.by.is_empty() {
            return Err(step.fail("expected one column at least in `by`"));
        }
        let mut keys = Vec::new();
        for key in &self.by {
            keys.push(self.case.apply(step.column(&table, &key.column)?.expression()));
        }
        let (mut table, ids) = step.hidden(&table, keys);
        let key = |(column, key): (_, &SortKey)| match key.order {
            SortOrder::Ascending => OrderKey::ascending(column),
            SortOrder::Descending => OrderKey::descending(column),
        };
        let keys: Vec<OrderKey> = ids.into_iter().zip(&self.by).map(key).collect();
        table.order = [keys, table.order].concat();
        Ok(table.into())
    }
}

impl Documented for Sort {
    const NAME: &'static str = "sort";
    const REFERENCE: Reference = Reference {
        title: "Sort",
        summary: "The rows in the order of some columns.",
        types: "Numbers by value, text by code points, days and moments by time, false before true.",
        blanks: "Blanks come last, ascending and descending.",
        rows: "Rows that are equal in these columns keep their order.",
        spreadsheet: "Blanks come last there, too. A spreadsheet sorts text by the rules of a language and without case; here it is by code \
                      points, so `Z` comes before `a`; with `case: \"ignore\"` by those of the lower case.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| {
            Case::new(title).input(
                "a",
                "id: integer | k: text | v: decimal(1)",
                &["1 | b | 2.0", "2 | | 9.0", "3 | Z | ", "4 | a | 2.0", "5 | ä | 10.0"],
            )
        };
        vec![
            case("by code points; blanks last")
                .step(r#"{"from": "a", "by": [{"column": "k"}]}"#)
                .gives("id: integer | k: text | v: decimal(1)", &["3 | Z | ", "4 | a | 2.0", "1 | b | 2.0", "5 | ä | 10.0", "2 | | 9.0"]),
            case("downwards; blanks last all the same, and equal rows keep their order")
                .step(r#"{"from": "a", "by": [{"column": "v", "order": "descending"}]}"#)
                .gives("id: integer | k: text | v: decimal(1)", &["5 | ä | 10.0", "2 | | 9.0", "1 | b | 2.0", "4 | a | 2.0", "3 | Z | "]),
            case("by several; case does not count")
                .step(r#"{"from": "a", "by": [{"column": "v"}, {"column": "k", "order": "descending"}], "case": "ignore"}"#)
                .gives("id: integer | k: text | v: decimal(1)", &["1 | b | 2.0", "4 | a | 2.0", "2 | | 9.0", "5 | ä | 10.0", "3 | Z | "]),
            Case::new("no rows").input("a", "id: integer", &[]).step(r#"{"from": "a", "by": [{"column": "id"}]}"#).gives("id: integer", &[]),
            case("a column that is not there")
                .step(r#"{"from": "a", "by": [{"column": "K"}]}"#)
                .refused(r#"column "K": a has no such column; it has id, k, v"#),
            case("by nothing").step(r#"{"from": "a", "by": []}"#).refused("expected one column at least in `by`"),
        ]
    }
}
