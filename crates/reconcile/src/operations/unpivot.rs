//! Columns become rows.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    operations::{Documented, Operation, Reference, Results},
    parameters::TableName,
    plan::{PlanColumn, UnpivotedCell},
    planner::StepPlan,
    types::Type,
};

/// Columns become rows: for each row and each of the columns, a row with the column's name and its cell.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Unpivot {
    /// The table.
    from: TableName,
    /// The columns that become rows; the others are there in each of them.
    columns: Vec<String>,
    /// The new column with the names.
    names: String,
    /// The new column with the cells.
    values: String,
    /// Whether a blank cell makes a row.
    #[serde(default)]
    blanks: Blanks,
}

/// Whether a blank cell makes a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Blanks {
    /// It does.
    #[default]
    Keep,
    /// It does not.
    Drop,
}

impl Operation for Unpivot {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", &self.from)]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let table = step.table(&self.from)?;
        let columns = step.columns(&table, &self.columns)?;
        let mut seen = BTreeSet::new();
        if let Some(again) = self.columns.iter().find(|column| !seen.insert(*column)) {
            return Err(step.fail_on(again, "it is listed twice: its cells would count twice"));
        }
        let kind = self.kind(step, &columns)?;
        let cast = |column: &PlanColumn| {
            column.expression().cast(kind).ok_or_else(|| step.fail_on(&column.name, format!("is no {kind}")))
        };
        let cells = columns.iter().map(cast).collect::<Result<Vec<_>, _>>()?;
        let (mut rest, ids) = step.hidden(&table, cells);
        rest.columns.retain(|column| !self.columns.contains(&column.name));
        let cells = columns.into_iter().zip(ids).map(|(column, id)| UnpivotedCell { name: column.name, column: id });
        let mut result = step.unpivot(&rest, cells.collect(), &self.names, (&self.values, kind));
        if self.blanks == Blanks::Drop {
            let value = step.column(&result, &self.values)?.expression();
            result = step.filter(&result, value.is_blank().not());
        }
        Ok(result.into())
    }
}

impl Unpivot {
    /// The type of the new column: that of all cells.
    fn kind(&self, step: &StepPlan<'_>, columns: &[PlanColumn]) -> Result<Type, PlanError> {
        let Some((first, rest)) = columns.split_first() else {
            return Err(step.fail("expected one column at least in `columns`"));
        };
        rest.iter().try_fold(first.kind, |kind, column| {
            let problem =
                || step.fail_on(&column.name, format!("it is {}, but {:?} is {}", column.kind, first.name, first.kind));
            kind.common(column.kind).ok_or_else(problem)
        })
    }
}

impl Documented for Unpivot {
    const NAME: &'static str = "unpivot";
    const REFERENCE: Reference = Reference {
        title: "Unpivot",
        summary: "Columns become rows: for each row and column, one with the column's name and its cell.",
        types: "The columns have one type; of numbers the result has the one with the most decimals.",
        blanks: "A blank cell makes a row, unless `blanks` is `drop`.",
        rows: "The rows of one row follow one another, in the order of `columns`.",
        spreadsheet: "Power Query's Unpivot drops blank cells: `blanks: \"drop\"`.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| {
            Case::new(title).input(
                "a",
                "id: integer | jan: integer | feb: decimal(2) | note: text",
                &["1 | 5 | 0.50 | x", "2 | | 1.00 | ", "1 | 7 | | x"],
            )
        };
        vec![
            case("blanks stay")
                .step(r#"{"from": "a", "columns": ["feb", "jan"], "names": "month", "values": "v"}"#)
                .gives(
                    "id: integer | note: text | month: text | v: decimal(2)",
                    &[
                        "1 | x | feb | 0.50",
                        "1 | x | jan | 5.00",
                        "2 | | feb | 1.00",
                        "2 | | jan | ",
                        "1 | x | feb | ",
                        "1 | x | jan | 7.00",
                    ],
                ),
            case("a column twice")
                .step(r#"{"from": "a", "columns": ["feb", "jan", "feb"], "names": "month", "values": "v"}"#)
                .refused(r#"column "feb": it is listed twice: its cells would count twice"#),
            case("blanks go")
                .step(r#"{"from": "a", "columns": ["jan", "feb"], "names": "month", "values": "v", "blanks": "drop"}"#)
                .gives(
                    "id: integer | note: text | month: text | v: decimal(2)",
                    &["1 | x | jan | 5.00", "1 | x | feb | 0.50", "2 | | feb | 1.00", "1 | x | jan | 7.00"],
                ),
            Case::new("no rows; no other columns")
                .input("a", "x: text | y: text", &[])
                .step(r#"{"from": "a", "columns": ["x", "y"], "names": "n", "values": "v"}"#)
                .gives("n: text | v: text", &[]),
            case("types that do not go together")
                .step(r#"{"from": "a", "columns": ["jan", "note"], "names": "n", "values": "v"}"#)
                .refused(r#"column "note": it is text, but "jan" is integer"#),
            case("a name that is taken")
                .step(r#"{"from": "a", "columns": ["jan"], "names": "note", "values": "v"}"#)
                .refused(r#"column "note": the result would have two columns of this name"#),
        ]
    }
}
