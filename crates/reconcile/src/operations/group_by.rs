//! Groups and what is computed of them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::Expression,
    operations::{Documented, Operation, Reference, Results},
    parameters::TableName,
    plan::{Aggregation, PlanColumn},
    planner::{StepPlan, Table},
    types::Type,
};

/// One row for each group, with what is computed of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct GroupBy {
    /// The table.
    from: TableName,
    /// The columns whose values make the groups; none for one row of everything.
    by: Vec<String>,
    /// What is computed.
    measures: Vec<MeasureOf>,
}

/// What is computed of a group.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "{\"function\": …, \"as\": …}")]
pub(crate) struct MeasureOf {
    /// How.
    function: Aggregation,
    /// Of which column; `count` without a column counts rows.
    #[serde(default)]
    column: Option<String>,
    /// The new column.
    #[serde(rename = "as")]
    result: String,
}

/// The column that a function is of, checked; `count` of none counts rows, by a column that is never blank.
pub(crate) fn measured_column(
    step: &mut StepPlan<'_>,
    table: &Table,
    function: Aggregation,
    column: Option<&str>,
) -> Result<(Table, PlanColumn), PlanError> {
    match (function, column) {
        (Aggregation::Count, None) => {
            let (table, ids) = step.hidden(table, vec![Expression::boolean(true)]);
            let id = *ids.first().ok_or_else(|| step.fail("no column"))?;
            Ok((table, PlanColumn { id, name: "#".to_owned(), kind: Type::Boolean }))
        }
        (_, None) => Err(step.fail("only `count` can do without a column")),
        (Aggregation::Sum | Aggregation::Average, Some(column)) => Ok((table.clone(), step.number(table, column)?)),
        (_, Some(column)) => Ok((table.clone(), step.column(table, column)?)),
    }
}

impl Operation for GroupBy {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", &self.from)]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let mut table = step.table(&self.from)?;
        let keys = step.columns(&table, &self.by)?;
        let mut measures = Vec::new();
        for one in &self.measures {
            let (with, of) = measured_column(step, &table, one.function, one.column.as_deref())?;
            measures.push((one.result.clone(), one.function, of));
            table = with;
        }
        Ok(step.aggregate(&table, &keys, measures).into())
    }
}

impl Documented for GroupBy {
    const NAME: &'static str = "groupBy";
    const REFERENCE: Reference = Reference {
        title: "Group by",
        summary: "One row for each group of rows: SUM, COUNT, COUNT DISTINCT, AVERAGE, MIN, MAX.",
        types: "`sum` of an integer is decimal(0), of a decimal(s) decimal(s); `average` has s decimals, but six at least, rounded half up; \
                `count` and `countDistinct` are integers; `min` and `max` have the column's type, whichever it is. A sum that does not fit is an error.",
        blanks: "Blanks among the keys make a group. Blank cells are not measured; a group without other cells has a blank `sum`, `average`, \
                 `min` and `max`, and a count of 0.",
        rows: "Groups come in the order of their keys, blanks last. Case counts: `lower` before it where it should not.",
        spreadsheet: "A PivotTable puts `a` and `A` into one group; SUM of nothing is 0 there and blank here; AVERAGE is a binary float there.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| {
            Case::new(title).input(
                "a",
                "region: text | sku: text | v: decimal(2) | n: integer",
                &[
                    "W | a | 1.00 | 1",
                    "E | b | 2.50 | 2",
                    "W | a | 0.05 | ",
                    " | c | -1.00 | 4",
                    "W | | | 5",
                    "e | b | | ",
                ],
            )
        };
        vec![
            case("every measure")
                .step(
                    r#"{"from": "a", "by": ["region"], "measures": [
                        {"function": "sum", "column": "v", "as": "sum"}, {"function": "count", "as": "rows"},
                        {"function": "count", "column": "v", "as": "filled"}, {"function": "countDistinct", "column": "sku", "as": "skus"},
                        {"function": "average", "column": "n", "as": "mean"}, {"function": "min", "column": "v", "as": "least"},
                        {"function": "max", "column": "sku", "as": "most"}]}"#,
                )
                .gives(
                    "region: text | sum: decimal(2) | rows: integer | filled: integer | skus: integer | mean: decimal(6) | least: decimal(2) | most: text",
                    &[
                        "E | 2.50 | 1 | 1 | 1 | 2.000000 | 2.50 | b",
                        "W | 1.05 | 3 | 2 | 1 | 3.000000 | 0.05 | a",
                        "e | | 1 | 0 | 1 | | | b",
                        " | -1.00 | 1 | 1 | 1 | 4.000000 | -1.00 | c",
                    ],
                ),
            case("everything in one row, and an average that is rounded")
                .step(r#"{"from": "a", "by": [], "measures": [{"function": "sum", "column": "n", "as": "n"}, {"function": "average", "column": "v", "as": "mean"}]}"#)
                .gives("n: decimal(0) | mean: decimal(6)", &["12 | 0.637500"]),
            Case::new("halves go away from zero; several keys")
                .input("a", "k: integer | l: boolean | v: decimal(6)", &["1 | true | -0.000001", "1 | true | 0.000000", "1 | false | 0.000001", "1 | false | 0.000002"])
                .step(r#"{"from": "a", "by": ["k", "l"], "measures": [{"function": "average", "column": "v", "as": "mean"}]}"#)
                .gives("k: integer | l: boolean | mean: decimal(6)", &["1 | false | 0.000002", "1 | true | -0.000001"]),
            Case::new("no rows, no groups")
                .input("a", "k: integer | v: integer", &[])
                .step(r#"{"from": "a", "by": ["k"], "measures": [{"function": "sum", "column": "v", "as": "s"}]}"#)
                .gives("k: integer | s: decimal(0)", &[]),
            Case::new("no rows, without keys: one row")
                .input("a", "v: integer", &[])
                .step(r#"{"from": "a", "by": [], "measures": [{"function": "sum", "column": "v", "as": "s"}, {"function": "count", "as": "n"}]}"#)
                .gives("s: decimal(0) | n: integer", &[" | 0"]),
            Case::new("integers are summed beyond 64 bits")
                .input("a", "v: integer", &["9223372036854775807", "9223372036854775807"])
                .step(r#"{"from": "a", "by": [], "measures": [{"function": "sum", "column": "v", "as": "s"}]}"#)
                .gives("s: decimal(0)", &["18446744073709551614"]),
            Case::new("a sum of more than 38 digits is an error")
                .input("a", "v: decimal(0)", &["99999999999999999999999999999999999999", "1"])
                .step(r#"{"from": "a", "by": [], "measures": [{"function": "sum", "column": "v", "as": "s"}]}"#)
                .fails(r#"column "s": the result does not fit decimal(0)"#),
            case("text has no sum")
                .step(r#"{"from": "a", "by": [], "measures": [{"function": "sum", "column": "sku", "as": "s"}]}"#)
                .refused(r#"column "sku": expected a number, it is text"#),
            case("a sum of nothing")
                .step(r#"{"from": "a", "by": [], "measures": [{"function": "sum", "as": "s"}]}"#)
                .refused("only `count` can do without a column"),
            case("a measure called as a key")
                .step(r#"{"from": "a", "by": ["sku"], "measures": [{"function": "count", "as": "sku"}]}"#)
                .refused("the result would have two columns of this name"),
        ]
    }
}
