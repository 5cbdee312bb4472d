//! Joins.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::{ColumnId, Expression},
    operations::{Documented, Operation, Reference, Results},
    parameters::{CaseRule, KeyPair, TableName, TakenColumn},
    plan::{JoinKind, PlanColumn},
    planner::{Keyed, StepPlan, Table},
    types::Type,
};

/// The rows of two tables that have the same keys, side by side.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Join {
    /// The first table.
    left: TableName,
    /// The second table.
    right: TableName,
    /// Which rows stay without a partner.
    join: JoinKind,
    /// The columns that must be equal.
    on: Vec<KeyPair>,
    /// The columns of the right that are taken; all but its keys unless given.
    #[serde(default)]
    columns: Option<Vec<TakenColumn>>,
    /// How many partners a row may have; `manyToOne` unless given.
    #[serde(default)]
    expect: Option<Partners>,
    /// Whether case counts in text.
    #[serde(default = "CaseRule::sensitive")]
    case: CaseRule,
}

/// How many partners a row may have. A key that is there more often is an error while the job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Partners {
    /// A left row has at most one: keys are unique on the right.
    ManyToOne,
    /// A right row has at most one: keys are unique on the left.
    OneToMany,
    /// Keys are unique on both sides.
    OneToOne,
    /// Any number: rows are multiplied.
    ManyToMany,
}

impl Operation for Join {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("left", &self.left), ("right", &self.right)]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let (left, right) = step.pair(&self.left, &self.right)?;
        if self.on.is_empty() {
            return Err(step.fail("expected one key at least in `on`"));
        }
        let pairs: Vec<_> = self.on.iter().map(|pair| (pair.left.clone(), pair.right.clone())).collect();
        let mut keyed = step.keys(&left, &right, &pairs, self.case)?;
        if matches!(self.join, JoinKind::Semi | JoinKind::Anti) {
            if self.columns.is_some() {
                return Err(
                    step.fail("`columns` does not go with a semi or an anti join: it gives the left's columns alone")
                );
            }
            if self.expect.is_some() {
                return Err(step.fail(
                    "`expect` does not go with a semi or an anti join: each left row comes once, or not at all",
                ));
            }
            let pairs = keyed.pairs();
            return Ok(step.join(self.join, &keyed.left, &keyed.right, pairs).into());
        }
        let taken = self.taken(step, &right)?;
        self.check_partners(step, &mut keyed)?;
        let pairs = keyed.pairs();
        let mut table = step.join(self.join, &keyed.left, &keyed.right, pairs);
        table.columns = [left.columns.clone(), taken].concat();
        if matches!(self.join, JoinKind::Right | JoinKind::Full) {
            let keys = self.either_key(step, &left, &right)?;
            table = step.extend(&table, keys);
        }
        Ok(table.into())
    }
}

impl Join {
    /// The columns of the right that are taken, by the names that they get.
    fn taken(&self, step: &StepPlan<'_>, right: &Table) -> Result<Vec<PlanColumn>, PlanError> {
        let Some(columns) = &self.columns else {
            let is_key = |column: &&PlanColumn| !self.on.iter().any(|pair| pair.right == column.name);
            return Ok(right.columns.iter().filter(is_key).cloned().collect());
        };
        let take = |taken: &TakenColumn| {
            let column = step.column(right, &taken.column)?;
            Ok(PlanColumn { name: taken.result().to_owned(), ..column })
        };
        columns.iter().map(take).collect()
    }

    /// The key of whichever side there is.
    fn either_key(
        &self,
        step: &StepPlan<'_>,
        left: &Table,
        right: &Table,
    ) -> Result<Vec<(String, Expression)>, PlanError> {
        let either = |(index, pair): (usize, &KeyPair)| {
            if self.on.iter().take(index).any(|other| other.left == pair.left) {
                return Err(step.fail_on(
                    &pair.left,
                    "it is there twice in `on`, and one column cannot have the keys of two columns of the right: \
                     make another of it before, with `coalesce`",
                ));
            }
            let (one, two) = (step.column(left, &pair.left)?, step.column(right, &pair.right)?);
            let (one, two) =
                one.expression().alike(two.expression()).ok_or_else(|| step.fail_on(&pair.left, "no key"))?;
            Ok((pair.left.clone(), one.or_else(two)))
        };
        self.on.iter().enumerate().map(either).collect()
    }

    /// A key that is not unique where it must be is none.
    fn check_partners(&self, step: &mut StepPlan<'_>, keyed: &mut Keyed) -> Result<(), PlanError> {
        let expect = self.expect.unwrap_or(Partners::ManyToOne);
        if matches!(expect, Partners::ManyToOne | Partners::OneToOne) {
            keyed.right = unique(step, &keyed.right, &keyed.right_keys)?;
        }
        if matches!(expect, Partners::OneToMany | Partners::OneToOne) {
            keyed.left = unique(step, &keyed.left, &keyed.left_keys)?;
        }
        Ok(())
    }
}

/// The table, in which a key that is there already in an earlier row is an error. Blank keys have no partners, and may be
/// there often.
fn unique(step: &mut StepPlan<'_>, table: &Table, keys: &[ColumnId]) -> Result<Table, PlanError> {
    let (numbered, number) = step.row_number(table, keys.to_vec(), false);
    let mut shown = Vec::new();
    for key in keys {
        shown.push(Expression::Column { id: *key, kind: step.kind(table, *key)? });
    }
    let first = Expression::Column { id: number, kind: Type::Integer }.equals(Expression::integer(1));
    let blank = shown.iter().cloned().map(Expression::is_blank);
    let condition = Expression::Or { of: std::iter::once(first).chain(blank).collect() };
    let message = format!("{} has this key more than once, and `expect` does not allow it", table.name);
    Ok(step.require(&numbered, condition, message, shown))
}

const ORDERS: (&str, &[&str]) =
    ("id: integer | customer: text", &["1 | anna", "2 | bert", "3 | ", "4 | anna", "5 | zoe"]);
const CUSTOMERS: (&str, &[&str]) =
    ("name: text | city: text", &["bert | Bonn", " | Nowhere", "anna | Aachen", "carl | Celle"]);

impl Documented for Join {
    const NAME: &'static str = "join";
    const REFERENCE: Reference = Reference {
        title: "Join",
        summary: "The rows of two tables that have the same keys, side by side: inner, left, right, full, semi or anti.",
        types: "Both columns of a key have one type; integers and decimals compare as numbers. The result has the columns of the left, then \
                those of the right without its keys. In a right or full join a key is that of whichever side there is.",
        blanks: "A blank key equals nothing: such rows have no partner. Cells of a side that is missing are blank.",
        rows: "In the order of the left, then of the right; rows of the right alone come last. Rows are never multiplied in silence: a key \
               that the right has more than once is an error unless `expect` is `oneToMany` or `manyToMany`.",
        spreadsheet: "Power Query's Merge has the same kinds, counts case as here, and multiplies rows without a word; it pairs blank keys, \
                      which have no partner here.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| Case::new(title).input("o", ORDERS.0, ORDERS.1).input("c", CUSTOMERS.0, CUSTOMERS.1);
        let doubled = |title| {
            Case::new(title).input("a", "k: text | x: integer", &["p | 1", "q | 2", "P | 3"]).input(
                "b",
                "k: text | y: integer",
                &["q | 7", "p | 8", "q | 9", " | 0", " | 0"],
            )
        };
        vec![
            case("inner: blank keys have no partner")
                .step(r#"{"left": "o", "right": "c", "join": "inner", "on": [{"left": "customer", "right": "name"}]}"#)
                .gives("id: integer | customer: text | city: text", &["1 | anna | Aachen", "2 | bert | Bonn", "4 | anna | Aachen"]),
            case("left")
                .step(r#"{"left": "o", "right": "c", "join": "left", "on": [{"left": "customer", "right": "name"}]}"#)
                .gives(
                    "id: integer | customer: text | city: text",
                    &["1 | anna | Aachen", "2 | bert | Bonn", "3 | | ", "4 | anna | Aachen", "5 | zoe | "],
                ),
            case("right: the key is that of the right where there is no left")
                .step(r#"{"left": "o", "right": "c", "join": "right", "on": [{"left": "customer", "right": "name"}]}"#)
                .gives(
                    "id: integer | customer: text | city: text",
                    &["1 | anna | Aachen", "2 | bert | Bonn", "4 | anna | Aachen", " | | Nowhere", " | carl | Celle"],
                ),
            case("full, with the right's key as well")
                .step(
                    r#"{"left": "o", "right": "c", "join": "full", "on": [{"left": "customer", "right": "name"}],
                        "columns": [{"column": "name"}, {"column": "city", "as": "town"}]}"#,
                )
                .gives(
                    "id: integer | customer: text | name: text | town: text",
                    &[
                        "1 | anna | anna | Aachen",
                        "2 | bert | bert | Bonn",
                        "3 | | | ",
                        "4 | anna | anna | Aachen",
                        "5 | zoe | | ",
                        " | | | Nowhere",
                        " | carl | carl | Celle",
                    ],
                ),
            Case::new("full, of groups: rows of the left, those of a blank key too, come before rows of the right alone")
                .input("a", "k: text", &["q", "", "p", "q"])
                .input("b", "k: text", &["r", "", "q"])
                .after(
                    r#"{"name": "left", "operation": "groupBy", "from": "a", "by": ["k"], "measures": [{"function": "count", "as": "m"}]}"#,
                )
                .after(
                    r#"{"name": "right", "operation": "groupBy", "from": "b", "by": ["k"], "measures": [{"function": "count", "as": "n"}]}"#,
                )
                .step(r#"{"left": "left", "right": "right", "join": "full", "on": [{"left": "k", "right": "k"}]}"#)
                .gives(
                    "k: text | m: integer | n: integer",
                    &["p | 1 | ", "q | 2 | 1", " | 1 | ", "r | | 1", " | | 1"],
                ),
            case("semi: rows that have a partner, once")
                .step(r#"{"left": "c", "right": "o", "join": "semi", "on": [{"left": "name", "right": "customer"}]}"#)
                .gives("name: text | city: text", &["bert | Bonn", "anna | Aachen"]),
            case("anti: rows that have none")
                .step(r#"{"left": "o", "right": "c", "join": "anti", "on": [{"left": "customer", "right": "name"}]}"#)
                .gives("id: integer | customer: text", &["3 | ", "5 | zoe"]),
            doubled("rows are multiplied only where that is expected")
                .step(r#"{"left": "a", "right": "b", "join": "inner", "on": [{"left": "k", "right": "k"}], "expect": "manyToMany", "case": "ignore"}"#)
                .gives("k: text | x: integer | y: integer", &["p | 1 | 8", "q | 2 | 7", "q | 2 | 9", "P | 3 | 8"]),
            Case::new("several keys, an integer and a decimal, and a table with itself")
                .input("a", "y: integer | m: decimal(1) | v: integer", &["2024 | 1.0 | 5", "2025 | 1.0 | 6", "2024 | 2.0 | "])
                .step(
                    r#"{"left": "a", "right": "a", "join": "left", "columns": [{"column": "v", "as": "w"}], "expect": "oneToOne",
                        "on": [{"left": "y", "right": "y"}, {"left": "m", "right": "m"}]}"#,
                )
                .gives(
                    "y: integer | m: decimal(1) | v: integer | w: integer",
                    &["2024 | 1.0 | 5 | 5", "2025 | 1.0 | 6 | 6", "2024 | 2.0 | | "],
                ),
            Case::new("empty tables")
                .input("a", "k: integer", &[])
                .input("b", "k: decimal(1) | v: text", &["1.0 | x"])
                .step(r#"{"left": "a", "right": "b", "join": "full", "on": [{"left": "k", "right": "k"}]}"#)
                .gives("k: decimal(1) | v: text", &["1.0 | x"]),
            doubled("a key that is there twice, blank ones aside, is an error")
                .step(r#"{"left": "a", "right": "b", "join": "left", "on": [{"left": "k", "right": "k"}]}"#)
                .fails(r#"row 3 of "b": b has this key more than once, and `expect` does not allow it: q"#),
            doubled("case makes keys equal")
                .step(r#"{"left": "a", "right": "b", "join": "inner", "on": [{"left": "k", "right": "k"}], "expect": "oneToMany", "case": "ignore"}"#)
                .fails("a has this key more than once"),
            doubled("each left row of a semi join comes once")
                .step(r#"{"left": "a", "right": "b", "join": "semi", "on": [{"left": "k", "right": "k"}], "expect": "oneToOne"}"#)
                .refused("`expect` does not go with a semi or an anti join: each left row comes once, or not at all"),
            doubled("one key of the left for two of the right, each of which would be lost in rows of the right alone")
                .step(
                    r#"{"left": "b", "right": "a", "join": "full", "expect": "manyToMany",
                        "on": [{"left": "y", "right": "x"}, {"left": "y", "right": "x"}]}"#,
                )
                .refused(r#"column "y": it is there twice in `on`, and one column cannot have the keys of two columns of the right"#),
            doubled("names that are there twice")
                .step(r#"{"left": "a", "right": "a", "join": "left", "on": [{"left": "k", "right": "k"}]}"#)
                .refused(r#"column "x": the result would have two columns of this name: rename one of them"#),
            doubled("keys of different types")
                .step(r#"{"left": "a", "right": "b", "join": "left", "on": [{"left": "k", "right": "y"}]}"#)
                .refused(r#"column "k": it is text, and "y" of b is integer: they are never equal"#),
        ]
    }
}
