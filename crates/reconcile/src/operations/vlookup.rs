//! VLOOKUP.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    operations::{
        Documented, Operation, Reference, Results,
        lookup::{Lookup, Nearest},
    },
    parameters::TableName,
    planner::StepPlan,
};

/// Columns of the row that has a key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct VLookup(Lookup<VLookupMatch>);

/// Whether the last key must be equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum VLookupMatch {
    /// It must.
    #[default]
    Exact,
    /// Where it is not there, the largest that is smaller is found; the other keys must be equal.
    Approximate,
}

impl From<VLookupMatch> for Nearest {
    fn from(matching: VLookupMatch) -> Self {
        match matching {
            VLookupMatch::Exact => Self::Exact,
            VLookupMatch::Approximate => Self::Smaller,
        }
    }
}

impl Operation for VLookup {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        self.0.tables()
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        Ok(self.0.plan(step)?.into())
    }
}

const ORDERS: (&str, &[&str]) = ("id: integer | sku: text", &["1 | A", "2 | b", "3 | x", "4 | ", "5 | a"]);
const PRICES: (&str, &[&str]) =
    ("sku: text | price: decimal(2) | unit: text", &["a | 1.00 | kg", "B | 2.50 | ", "A | 9.00 | t", " | 7.00 | g"]);

impl Documented for VLookup {
    const NAME: &'static str = "vlookup";
    const REFERENCE: Reference = Reference {
        title: "VLOOKUP",
        summary: "Columns of the row of another table that has the same key.",
        types: "Both columns of a key have one type; integers and decimals compare as numbers. The columns taken keep their types; \
                with `ifNotFound` a number takes that value's decimals, where it has more.",
        blanks: "A blank key finds nothing and is never found. A cell that is found may be blank: `found` tells the two apart.",
        rows: "One row for each row of `from`, in its order: rows are neither lost nor multiplied. Of several rows with the key the first \
               counts, or the last with `take: \"last\"`.",
        spreadsheet: "As in a spreadsheet case does not count (`case: \"sensitive\"` changes that), and the first match is taken. Unlike \
                      its VLOOKUP the match is exact unless told otherwise; wildcards are plain text; where nothing is found the cell is blank \
                      instead of #N/A; and an approximate match needs no sorted table.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| Case::new(title).input("orders", ORDERS.0, ORDERS.1).input("prices", PRICES.0, PRICES.1);
        vec![
            case("the first match; case does not count; blank keys find nothing")
                .step(r#"{"from": "orders", "in": "prices", "on": [{"left": "sku", "right": "sku"}], "columns": [{"column": "price"}]}"#)
                .gives("id: integer | sku: text | price: decimal(2)", &["1 | A | 1.00", "2 | b | 2.50", "3 | x | ", "4 | | ", "5 | a | 1.00"]),
            case("the last match; case counts; several columns; a value where nothing is found")
                .step(
                    r#"{"from": "orders", "in": "prices", "on": [{"left": "sku", "right": "sku"}], "case": "sensitive", "take": "last",
                        "columns": [{"column": "price", "as": "Price"}], "ifNotFound": "0", "found": "known"}"#,
                )
                .gives(
                    "id: integer | sku: text | Price: decimal(2) | known: boolean",
                    &["1 | A | 9.00 | true", "2 | b | 0.00 | false", "3 | x | 0.00 | false", "4 | | 0.00 | false", "5 | a | 1.00 | true"],
                ),
            case("a blank that is found is not a blank that is not found")
                .step(
                    r#"{"from": "orders", "in": "prices", "on": [{"left": "sku", "right": "sku"}],
                        "columns": [{"column": "unit"}], "ifNotFound": "none"}"#,
                )
                .gives("id: integer | sku: text | unit: text", &["1 | A | kg", "2 | b | ", "3 | x | none", "4 | | none", "5 | a | kg"]),
            Case::new("the last row of a sorted table, where blanks come last")
                .input("a", "k: integer", &["1"])
                .input("b", "k: integer | v: date | note: text", &["1 | | last", "1 | 2024-01-31 | first", "2 | | only"])
                .after(r#"{"name": "sorted", "operation": "sort", "from": "b", "by": [{"column": "v"}]}"#)
                .step(
                    r#"{"from": "a", "in": "sorted", "on": [{"left": "k", "right": "k"}], "take": "last",
                        "columns": [{"column": "note"}]}"#,
                )
                .gives("k: integer | note: text", &["1 | last"]),
            Case::new("approximate: the largest key that is not larger")
                .input("sales", "amount: decimal(2)", &["50.00", "100.00", "99.99", "", "5000.00", "-1.00"])
                .input("bands", "from: integer | rate: decimal(3)", &["1000 | 0.100", "0 | 0.010", "100 | 0.050", "0 | 0.999", " | 1.000"])
                .step(
                    r#"{"from": "sales", "in": "bands", "on": [{"left": "amount", "right": "from"}], "match": "approximate",
                        "columns": [{"column": "rate"}]}"#,
                )
                .gives(
                    "amount: decimal(2) | rate: decimal(3)",
                    &["50.00 | 0.010", "100.00 | 0.050", "99.99 | 0.010", " | ", "5000.00 | 0.100", "-1.00 | "],
                ),
            Case::new("approximate in the last key, exact in the others: the rate of a currency on a day")
                .input("payments", "ccy: text | day: date", &["USD | 2024-05-03", "usd | 2024-05-01", "EUR | 2024-05-03", "USD | 2024-04-30", " | 2024-05-03"])
                .input(
                    "rates",
                    "ccy: text | day: date | rate: decimal(4)",
                    &["USD | 2024-05-02 | 1.0800", "EUR | 2024-05-03 | 1.0000", "USD | 2024-05-01 | 1.0700", " | 2024-05-01 | 9.0000"],
                )
                .step(
                    r#"{"from": "payments", "in": "rates", "match": "approximate", "columns": [{"column": "rate"}],
                        "on": [{"left": "ccy", "right": "ccy"}, {"left": "day", "right": "day"}]}"#,
                )
                .gives(
                    "ccy: text | day: date | rate: decimal(4)",
                    &[
                        "USD | 2024-05-03 | 1.0800",
                        "usd | 2024-05-01 | 1.0700",
                        "EUR | 2024-05-03 | 1.0000",
                        "USD | 2024-04-30 | ",
                        " | 2024-05-03 | ",
                    ],
                ),
            Case::new("a table looks into itself")
                .input("staff", "id: integer | boss: integer | name: text", &["1 | | Ada", "2 | 1 | Ben", "3 | 2 | Cy"])
                .step(
                    r#"{"from": "staff", "in": "staff", "on": [{"left": "boss", "right": "id"}], "columns": [{"column": "name", "as": "boss name"}]}"#,
                )
                .gives(
                    "id: integer | boss: integer | name: text | boss name: text",
                    &["1 | | Ada | ", "2 | 1 | Ben | Ada", "3 | 2 | Cy | Ben"],
                ),
            Case::new("an integer and a decimal are numbers; a value with more decimals")
                .input("a", "k: integer", &["1", "2"])
                .input("b", "k: decimal(2) | v: integer", &["1.00 | 7", "1.50 | 8"])
                .step(r#"{"from": "a", "in": "b", "on": [{"left": "k", "right": "k"}], "columns": [{"column": "v"}], "ifNotFound": "0.5"}"#)
                .gives("k: integer | v: decimal(1)", &["1 | 7.0", "2 | 0.5"]),
            Case::new("an empty table finds nothing; no rows look nothing up")
                .input("a", "k: integer", &["1"])
                .input("b", "k: integer | v: text", &[])
                .step(r#"{"from": "a", "in": "b", "on": [{"left": "k", "right": "k"}], "columns": [{"column": "v"}], "match": "approximate"}"#)
                .gives("k: integer | v: text", &["1 | "]),
            case("nothing found can be an error")
                .step(
                    r#"{"from": "orders", "in": "prices", "on": [{"left": "sku", "right": "sku"}], "columns": [{"column": "price"}],
                        "notFound": "fail"}"#,
                )
                .fails(r#"of "orders": "prices" has no such key: "#),
            Case::new("nothing found can be an error, and nothing is wrong where all is found")
                .input("a", "k: text | amount: decimal(2)", &["I1 | 1.00", "I2 | 2.00"])
                .input("b", "k: text | paid: decimal(2)", &["I2 | 2.50", "I1 | 1.50"])
                .step(
                    r#"{"from": "a", "in": "b", "on": [{"left": "k", "right": "k"}], "columns": [{"column": "paid"}],
                        "notFound": "fail"}"#,
                )
                .gives("k: text | amount: decimal(2) | paid: decimal(2)", &["I1 | 1.00 | 1.50", "I2 | 2.00 | 2.50"]),
            Case::new("a key that is blank is told as such")
                .input("a", "k: text", &[""])
                .step(
                    r#"{"from": "a", "in": "a", "on": [{"left": "k", "right": "k"}], "columns": [{"column": "k", "as": "K"}],
                        "notFound": "fail"}"#,
                )
                .fails(r#"row 1 of "a": "a" has no such key: (blank)"#),
            case("keys of different types")
                .step(r#"{"from": "orders", "in": "prices", "on": [{"left": "id", "right": "sku"}], "columns": [{"column": "price"}]}"#)
                .refused(r#"step "step" (vlookup), column "id": it is integer, and "sku" of prices is text: they are never equal"#),
            case("a name that is taken")
                .step(r#"{"from": "orders", "in": "prices", "on": [{"left": "sku", "right": "sku"}], "columns": [{"column": "sku"}]}"#)
                .refused(r#"column "sku": orders has such a column already: say another name for the new one"#),
            case("a value for cells that nobody wants")
                .step(r#"{"from": "orders", "in": "prices", "on": [{"left": "sku", "right": "sku"}], "found": "known", "ifNotFound": "0"}"#)
                .refused("`ifNotFound` does not go without `columns`"),
            case("a value of another type")
                .step(
                    r#"{"from": "orders", "in": "prices", "on": [{"left": "sku", "right": "sku"}], "columns": [{"column": "price"}],
                        "ifNotFound": "n/a"}"#,
                )
                .refused(r#"column "price": it is decimal(2), which `ifNotFound`, "n/a", is not"#),
        ]
    }
}
