//! SUMIFS.

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

/// For each row of a table, a sum over those rows of another that meet the criteria.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct SumIfs(Criteria<String>);

impl Operation for SumIfs {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        self.0.tables()
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        Ok(self.0.plan(step, Aggregation::Sum, Some(self.0.column()), Some("0"))?.into())
    }
}

impl Documented for SumIfs {
    const NAME: &'static str = "sumIfs";
    const REFERENCE: Reference = Reference {
        title: "SUMIFS",
        summary: "For each row, a sum over those rows of another table that meet the criteria.",
        types: "The column is a number; the sum of an integer is decimal(0), of a decimal(s) decimal(s). A sum that does not fit is an error.",
        blanks: "Blank cells add nothing; the sum of nothing is 0. A blank key goes with no row.",
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
                .step(r#"{"from": "o", "in": "p", "on": [{"left": "id", "right": "order"}], "column": "paid", "as": "x"}"#)
                .gives("id: integer | note: text | x: decimal(2)", &["1 | a | 4.55", "2 | b | 0.00", "3 |  | 0.00", " | d | 0.00"]),
            case("a further criterion; case does not count")
                .step(
                    r#"{"from": "o", "in": "p", "on": [{"left": "id", "right": "order"}], "column": "paid", "as": "x",
                        "where": {"column": "kind", "is": "=", "value": "CARD"}}"#,
                )
                .gives("id: integer | note: text | x: decimal(2)", &["1 | a | 4.00", "2 | b | 0.00", "3 |  | 0.00", " | d | 0.00"]),
            case("text has no sum")
                .step(r#"{"from": "o", "in": "p", "on": [{"left": "id", "right": "order"}], "column": "kind", "as": "x"}"#)
                .refused(r#"column "kind": expected a number, it is text"#),
            case("keys of different types")
                .step(r#"{"from": "o", "in": "p", "on": [{"left": "id", "right": "kind"}], "column": "paid", "as": "x"}"#)
                .refused(r#"column "id": it is integer, and "kind" of p is text: they are never equal"#),
            case("a name that is taken")
                .step(r#"{"from": "o", "in": "p", "on": [{"left": "id", "right": "order"}], "column": "paid", "as": "id"}"#)
                .refused(r#"column "id": o has such a column already: say another name for the new one"#),
            case("no criteria").step(r#"{"from": "o", "in": "p", "on": [], "column": "paid", "as": "x"}"#).refused("expected one key at least in `on`"),
            Case::new("empty tables")
                .input("o", "id: integer", &["1"])
                .input("p", "order: integer | paid: decimal(2)", &[])
                .step(r#"{"from": "o", "in": "p", "on": [{"left": "id", "right": "order"}], "column": "paid", "as": "x"}"#)
                .gives("id: integer | x: decimal(2)", &["1 | 0.00"]),
        ]
    }
}
