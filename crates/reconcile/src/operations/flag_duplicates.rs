//! Which rows are there more than once.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::{ColumnId, Expression},
    operations::{Documented, Operation, Reference, Results, remove_duplicates::compared},
    parameters::{CaseRule, TableName},
    planner::StepPlan,
    types::Type,
};

/// A column that says whether a row is there more than once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FlagDuplicates {
    /// The table.
    from: TableName,
    /// The columns that are compared; all unless given.
    #[serde(default)]
    columns: Option<Vec<String>>,
    /// Which of several equal rows are flagged.
    #[serde(default)]
    flag: Flagged,
    /// Whether case counts in text.
    #[serde(default = "CaseRule::sensitive")]
    case: CaseRule,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

/// Which of several equal rows are flagged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Flagged {
    /// All but the first: those that `removeDuplicates` removes.
    #[default]
    Later,
    /// All of them.
    All,
}

impl Operation for FlagDuplicates {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", &self.from)]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let table = step.table(&self.from)?;
        step.unused(&table, &self.result)?;
        let (keyed, keys) = compared(step, &table, self.columns.as_deref(), self.case)?;
        let later = |number: ColumnId| {
            Expression::Column { id: number, kind: Type::Integer }.equals(Expression::integer(1)).not()
        };
        let (mut numbered, number) = step.row_number(&keyed, keys.clone(), false);
        let mut flag = later(number);
        if self.flag == Flagged::All {
            // The only one is the first from either end.
            let (both, number) = step.row_number(&numbered, keys, true);
            (numbered, flag) = (both, Expression::Or { of: vec![flag, later(number)] });
        }
        Ok(step.extend(&numbered, vec![(self.result.clone(), flag)]).into())
    }
}

impl Documented for FlagDuplicates {
    const NAME: &'static str = "flagDuplicates";
    const REFERENCE: Reference = Reference {
        title: "Flag duplicates",
        summary: "A column that says whether a row is there more than once, in some columns or in all.",
        types: "Any; the new column is boolean.",
        blanks: "A blank equals a blank.",
        rows: "Rows and their order stay. The first of equal rows is not flagged, unless `flag` is `all`.",
        spreadsheet: "As `COUNTIFS(…) > 1` over the whole columns (`all`) or down to the row (`later`); COUNTIFS does not count case, and \
                      takes `*` for a wildcard.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| {
            Case::new(title).input("a", "k: text | v: integer", &["x | 1", " | 2", "X | 3", "y | 4", "x | 5", " | 6"])
        };
        vec![
            case("all but the first").step(r#"{"from": "a", "columns": ["k"], "as": "again"}"#).gives(
                "k: text | v: integer | again: boolean",
                &["x | 1 | false", " | 2 | false", "X | 3 | false", "y | 4 | false", "x | 5 | true", " | 6 | true"],
            ),
            case("all of them; case does not count")
                .step(r#"{"from": "a", "columns": ["k"], "as": "again", "flag": "all", "case": "ignore"}"#)
                .gives(
                    "k: text | v: integer | again: boolean",
                    &["x | 1 | true", " | 2 | true", "X | 3 | true", "y | 4 | false", "x | 5 | true", " | 6 | true"],
                ),
            Case::new("all of them, in an order in which a blank is the last")
                .input("a", "k: text | v: integer", &["x | ", "x | 1", "y | "])
                .after(r#"{"name": "sorted", "operation": "sort", "from": "a", "by": [{"column": "v"}]}"#)
                .step(r#"{"from": "sorted", "columns": ["k"], "as": "again", "flag": "all"}"#)
                .gives("k: text | v: integer | again: boolean", &["x | 1 | true", "x | | true", "y | | false"]),
            Case::new("no rows")
                .input("a", "k: text", &[])
                .step(r#"{"from": "a", "as": "again"}"#)
                .gives("k: text | again: boolean", &[]),
            case("a name that is taken")
                .step(r#"{"from": "a", "columns": ["k"], "as": "k"}"#)
                .refused(r#"column "k": a has such a column already: say another name for the new one"#),
            case("a column that is not there")
                .step(r#"{"from": "a", "columns": ["z"], "as": "again"}"#)
                .refused(r#"column "z": a has no such column"#),
        ]
    }
}
