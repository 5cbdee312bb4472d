//! Columns under other names.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    operations::{Documented, Operation, Reference, Results},
    parameters::TableName,
    planner::StepPlan,
};

/// Columns under other names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rename {
    /// The table.
    from: TableName,
    /// The columns and their new names.
    columns: Vec<Renamed>,
}

/// A column and its new name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "{\"column\": …, \"as\": …}")]
struct Renamed {
    /// The column.
    column: String,
    /// Its new name.
    #[serde(rename = "as")]
    name: String,
}

impl Operation for Rename {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", &self.from)]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let table = step.table(&self.from)?;
        let mut result = table.clone();
        for (index, Renamed { column, name }) in self.columns.iter().enumerate() {
            step.column(&table, column)?;
            if self.columns.iter().take(index).any(|other| other.column == *column) {
                return Err(step.fail_on(column, "it is renamed twice"));
            }
            // By its name as it was: several columns may be one by their number.
            let columns = result.columns.iter_mut().zip(&table.columns).filter(|(_, old)| old.name == *column);
            columns.for_each(|(one, _)| one.name.clone_from(name));
        }
        Ok(result.into())
    }
}

impl Documented for Rename {
    const NAME: &'static str = "rename";
    const REFERENCE: Reference = Reference {
        title: "Rename columns",
        summary: "Columns under other names.",
        types: "Any; they stay.",
        blanks: "They stay.",
        rows: "Rows, columns and their orders stay. All names change at once, so two columns can exchange theirs.",
        spreadsheet: "As writing over the header.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| Case::new(title).input("a", "x: integer | y: text", &["2 | b"]);
        vec![
            case("one of two")
                .step(r#"{"from": "a", "columns": [{"column": "y", "as": "Größe"}]}"#)
                .gives("x: integer | Größe: text", &["2 | b"]),
            case("an exchange")
                .step(r#"{"from": "a", "columns": [{"column": "x", "as": "y"}, {"column": "y", "as": "x"}]}"#)
                .gives("y: integer | x: text", &["2 | b"]),
            Case::new("one of two columns that were taken from one")
                .input("a", "k: integer", &["1"])
                .input("b", "k: integer | v: text", &["1 | x"])
                .after(
                    r#"{"name": "twice", "operation": "vlookup", "from": "a", "in": "b", "on": [{"left": "k", "right": "k"}],
                        "columns": [{"column": "v", "as": "one"}, {"column": "v", "as": "two"}]}"#,
                )
                .step(r#"{"from": "twice", "columns": [{"column": "one", "as": "two"}, {"column": "two", "as": "three"}]}"#)
                .gives("k: integer | two: text | three: text", &["1 | x | x"]),
            Case::new("no rows")
                .input("a", "x: integer", &[])
                .step(r#"{"from": "a", "columns": [{"column": "x", "as": "X"}]}"#)
                .gives("X: integer", &[]),
            case("a column that is not there")
                .step(r#"{"from": "a", "columns": [{"column": "z", "as": "y"}]}"#)
                .refused(r#"column "z": a has no such column"#),
            case("a name that is taken")
                .step(r#"{"from": "a", "columns": [{"column": "x", "as": "y"}]}"#)
                .refused(r#"column "y": the result would have two columns of this name"#),
            case("one column twice")
                .step(r#"{"from": "a", "columns": [{"column": "x", "as": "p"}, {"column": "x", "as": "q"}]}"#)
                .refused(r#"column "x": it is renamed twice"#),
            case("a name that is none")
                .step(r##"{"from": "a", "columns": [{"column": "x", "as": "#x"}]}"##)
                .refused("a name has characters, and does not begin with #"),
        ]
    }
}
