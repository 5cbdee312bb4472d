//! COUNTIFS.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    operations::{Documented, Operation, Reference, Results, criteria::Criteria},
    parameters::TableName,
    plan::Aggregation,
    planner::StepPlan,
};

/// For each row of a table, how many rows of another meet the criteria.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct CountIfs(Criteria<Option<String>>);

impl Operation for CountIfs {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        self.0.tables()
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        Ok(self.0.plan(step, Aggregation::Count, self.0.column().as_deref(), Some("0"))?.into())
    }
}

impl Documented for CountIfs {
    const NAME: &'static str = "countIfs";
    const REFERENCE: Reference = Reference {
        title: "COUNTIFS",
        summary: "For each row, how many rows of another table meet the criteria.",
        types: "The count is an integer.",
        blanks: "A blank key goes with no row: its count is 0. With `column`, rows with a blank there do not count.",
        rows: "Rows of `from` and their order stay; each row of `in` counts once for every row of `from` that it goes with.",
        spreadsheet: "Case does not count, as there. Criteria are conditions instead of texts such as `>5`; wildcards are `contains`, `startsWith` and `endsWith`.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| {
            Case::new(title).input("o", "id: integer | note: text", &["1 | a", "2 | b", "3 | ", " | d"]).input(
                "p",
                "order: integer | kind: text | paid: decimal(2)",
                &["1 | Card | 5.00", "2 | cash | ", "1 | cash | 0.55", " | card | 9.00", "1 | card | -1.00"],
            )
        };
        vec![
            case("the rows with that key; no row at all; blank keys")
                .step(r#"{"from": "o", "in": "p", "on": [{"left": "id", "right": "order"}], "as": "x"}"#)
                .gives("id: integer | note: text | x: integer", &["1 | a | 3", "2 | b | 1", "3 |  | 0", " | d | 0"]),
            case("a further criterion; case does not count")
                .step(
                    r#"{"from": "o", "in": "p", "on": [{"left": "id", "right": "order"}], "as": "x",
                        "where": {"column": "kind", "is": "=", "value": "CARD"}}"#,
                )
                .gives("id: integer | note: text | x: integer", &["1 | a | 2", "2 | b | 0", "3 |  | 0", " | d | 0"]),
            case("only rows with a cell")
                .step(r#"{"from": "o", "in": "p", "on": [{"left": "id", "right": "order"}], "column": "paid", "as": "x"}"#)
                .gives("id: integer | note: text | x: integer", &["1 | a | 3", "2 | b | 0", "3 |  | 0", " | d | 0"]),
            case("keys of different types")
                .step(r#"{"from": "o", "in": "p", "on": [{"left": "id", "right": "kind"}], "as": "x"}"#)
                .refused(r#"column "id": it is integer, and "kind" of p is text: they are never equal"#),
            case("a name that is taken")
                .step(r#"{"from": "o", "in": "p", "on": [{"left": "id", "right": "order"}], "as": "id"}"#)
                .refused(r#"column "id": o has such a column already: say another name for the new one"#),
            case("no criteria").step(r#"{"from": "o", "in": "p", "on": [], "as": "x"}"#).refused("expected one key at least in `on`"),
            Case::new("empty tables")
                .input("o", "id: integer", &["1"])
                .input("p", "order: integer | paid: decimal(2)", &[])
                .step(r#"{"from": "o", "in": "p", "on": [{"left": "id", "right": "order"}], "as": "x"}"#)
                .gives("id: integer | x: integer", &["1 | 0"]),
        ]
    }
}
