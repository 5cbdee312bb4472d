//! XLOOKUP.

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

/// Columns of the row that has a key, or the nearest one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct XLookup(Lookup<XLookupMatch>);

/// Whether the last key must be equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum XLookupMatch {
    /// It must.
    #[default]
    Exact,
    /// Where it is not there, the largest that is smaller is found; the other keys must be equal.
    NextSmaller,
    /// Where it is not there, the smallest that is larger is found; the other keys must be equal.
    NextLarger,
}

impl From<XLookupMatch> for Nearest {
    fn from(matching: XLookupMatch) -> Self {
        match matching {
            XLookupMatch::Exact => Self::Exact,
            XLookupMatch::NextSmaller => Self::Smaller,
            XLookupMatch::NextLarger => Self::Larger,
        }
    }
}

impl Operation for XLookup {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        self.0.tables()
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        Ok(self.0.plan(step)?.into())
    }
}

impl Documented for XLookup {
    const NAME: &'static str = "xlookup";
    const REFERENCE: Reference = Reference {
        title: "XLOOKUP",
        summary: "Columns of the row of another table that has the same key, or the nearest one on either side.",
        types: "As `vlookup`. The nearest text is the nearest by code points, in lower case unless `case` is `sensitive`.",
        blanks: "A blank key finds nothing and is never found. A cell that is found may be blank: `found` tells the two apart.",
        rows: "One row for each row of `from`, in its order. Of several rows with the key that is found, the first counts, or the last with \
               `take: \"last\"`.",
        spreadsheet: "Match modes 0, -1 and 1 are `exact`, `nextSmaller` and `nextLarger`; wildcards (mode 2) are `filter`'s and not \
                      here. Search modes 1 and -1 are `take`; the binary ones are not needed, and no table has to be sorted. Where nothing is \
                      found the cell is blank instead of #N/A. In spreadsheets a blank key finds a blank.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| {
            Case::new(title).input("parcels", "grams: integer", &["20", "21", "2000", "2001", ""]).input(
                "stamps",
                "upto: integer | price: decimal(2)",
                &["500 | 1.60", "20 | 0.85", "2000 | 2.75", "20 | 0.95"],
            )
        };
        vec![
            case("the smallest key that is not smaller")
                .step(r#"{"from": "parcels", "in": "stamps", "on": [{"left": "grams", "right": "upto"}], "match": "nextLarger", "columns": [{"column": "price"}]}"#)
                .gives("grams: integer | price: decimal(2)", &["20 | 0.85", "21 | 1.60", "2000 | 2.75", "2001 | ", " | "]),
            case("the largest key that is not larger, and the last of its rows")
                .step(
                    r#"{"from": "parcels", "in": "stamps", "on": [{"left": "grams", "right": "upto"}], "match": "nextSmaller", "take": "last",
                        "columns": [{"column": "upto"}, {"column": "price"}], "ifNotFound": 0}"#,
                )
                .gives(
                    "grams: integer | upto: integer | price: decimal(2)",
                    &["20 | 20 | 0.95", "21 | 20 | 0.95", "2000 | 2000 | 2.75", "2001 | 2000 | 2.75", " | 0 | 0.00"],
                ),
            Case::new("the last row of a sorted table, where blanks come last")
                .input("a", "k: integer", &["1", "3"])
                .input("b", "k: integer | v: date | note: text", &["1 | | last", "1 | 2024-01-31 | first", "2 | | only"])
                .after(r#"{"name": "sorted", "operation": "sort", "from": "b", "by": [{"column": "v"}]}"#)
                .step(
                    r#"{"from": "a", "in": "sorted", "on": [{"left": "k", "right": "k"}], "match": "nextSmaller", "take": "last",
                        "columns": [{"column": "note"}]}"#,
                )
                .gives("k: integer | note: text", &["1 | last", "3 | only"]),
            Case::new("text, by code points in lower case")
                .input("a", "k: text", &["Beta", "ZETA", "Äpfel", "aa"])
                .input("b", "k: text | v: integer", &["alpha | 1", "gamma | 2", "Zeta | 3"])
                .step(r#"{"from": "a", "in": "b", "on": [{"left": "k", "right": "k"}], "match": "nextSmaller", "columns": [{"column": "v"}]}"#)
                .gives("k: text | v: integer", &["Beta | 1", "ZETA | 3", "Äpfel | 3", "aa | "]),
            Case::new("exact unless told otherwise; only whether something is there")
                .input("a", "k: date", &["2024-01-01", "2024-01-02"])
                .input("b", "k: date", &["2024-01-01", "2024-01-01"])
                .step(r#"{"from": "a", "in": "b", "on": [{"left": "k", "right": "k"}], "found": "there"}"#)
                .gives("k: date | there: boolean", &["2024-01-01 | true", "2024-01-02 | false"]),
            Case::new("no rows")
                .input("a", "k: integer", &[])
                .input("b", "k: integer", &["1"])
                .step(r#"{"from": "a", "in": "b", "on": [{"left": "k", "right": "k"}], "match": "nextLarger", "found": "there"}"#)
                .gives("k: integer | there: boolean", &[]),
            Case::new("true and false have no neighbours")
                .input("a", "k: boolean", &[])
                .step(r#"{"from": "a", "in": "a", "on": [{"left": "k", "right": "k"}], "match": "nextLarger", "found": "there"}"#)
                .refused("true and false have no neighbours"),
            Case::new("nothing is looked for")
                .input("a", "k: integer", &[])
                .step(r#"{"from": "a", "in": "a", "on": [], "found": "there"}"#)
                .refused("expected one key at least in `on`"),
        ]
    }
}
