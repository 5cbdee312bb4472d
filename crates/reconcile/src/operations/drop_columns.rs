//! All but some columns.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    operations::{Documented, Operation, Reference, Results},
    parameters::TableName,
    planner::StepPlan,
};

/// All but some columns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DropColumns {
    /// The table.
    from: TableName,
    /// The columns that go.
    columns: Vec<String>,
}

impl Operation for DropColumns {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", &self.from)]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let mut table = step.table(&self.from)?;
        step.columns(&table, &self.columns)?;
        table.columns.retain(|column| !self.columns.contains(&column.name));
        Ok(table.into())
    }
}

impl Documented for DropColumns {
    const NAME: &'static str = "drop";
    const REFERENCE: Reference = Reference {
        title: "Drop columns",
        summary: "All columns but some.",
        types: "Any; they stay.",
        blanks: "They stay.",
        rows: "Rows and their order stay, also where they are sorted by a column that goes.",
        spreadsheet: "As deleting columns.",
    };

    fn cases() -> Vec<Case> {
        let case =
            |title| Case::new(title).input("a", "x: integer | y: text | z: boolean", &["2 | b | true", "1 | | false"]);
        vec![
            case("one of three")
                .step(r#"{"from": "a", "columns": ["y"]}"#)
                .gives("x: integer | z: boolean", &["2 | true", "1 | false"]),
            Case::new("no rows")
                .input("a", "x: integer | y: text", &[])
                .step(r#"{"from": "a", "columns": ["x"]}"#)
                .gives("y: text", &[]),
            case("a column that is not there")
                .step(r#"{"from": "a", "columns": ["w"]}"#)
                .refused(r#"column "w": a has no such column"#),
            case("all columns")
                .step(r#"{"from": "a", "columns": ["x", "y", "z"]}"#)
                .refused("the result would have no columns"),
        ]
    }
}
