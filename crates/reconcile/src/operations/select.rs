//! Some columns, in an order.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    operations::{Documented, Operation, Reference, Results},
    parameters::TableName,
    planner::StepPlan,
};

/// Some columns, in that order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Select {
    /// The table.
    from: TableName,
    /// The columns that stay, in their new order.
    columns: Vec<String>,
}

impl Operation for Select {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", &self.from)]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let mut table = step.table(&self.from)?;
        table.columns = step.columns(&table, &self.columns)?;
        Ok(table.into())
    }
}

impl Documented for Select {
    const NAME: &'static str = "select";
    const REFERENCE: Reference = Reference {
        title: "Select columns",
        summary: "Some columns, in the order in which they are named.",
        types: "Any; they stay.",
        blanks: "They stay.",
        rows: "Rows and their order stay, also where they are sorted by a column that goes.",
        spreadsheet: "As CHOOSECOLS, by name.",
    };

    fn cases() -> Vec<Case> {
        let case =
            |title| Case::new(title).input("a", "x: integer | y: text | z: boolean", &["2 | b | true", "1 | | false"]);
        vec![
            case("two of three, the other way round")
                .step(r#"{"from": "a", "columns": ["z", "x"]}"#)
                .gives("z: boolean | x: integer", &["true | 2", "false | 1"]),
            Case::new("no rows")
                .input("a", "x: integer | y: text", &[])
                .step(r#"{"from": "a", "columns": ["y"]}"#)
                .gives("y: text", &[]),
            case("a column that is not there")
                .step(r#"{"from": "a", "columns": ["X"]}"#)
                .refused(r#"column "X": a has no such column; it has x, y, z"#),
            case("a column twice")
                .step(r#"{"from": "a", "columns": ["x", "x"]}"#)
                .refused(r#"column "x": the result would have two columns of this name"#),
            case("no columns").step(r#"{"from": "a", "columns": []}"#).refused("the result would have no columns"),
        ]
    }
}
