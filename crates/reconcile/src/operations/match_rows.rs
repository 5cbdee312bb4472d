//! One-to-one matching.

mod tolerance;

use schemars::JsonSchema;
use serde::Deserialize;

use self::tolerance::{ToleranceOf, checked};
use crate::{
    cases::Case,
    error::PlanError,
    expression::{ColumnId, Expression, OnZero, Operator},
    operations::{Documented, Operation, Reference, Results, columns::arithmetic},
    parameters::{CaseRule, KeyPair, TableName},
    plan::{JoinKind, MatchSide, OrderKey, PlanColumn, Tolerance, WindowFunction},
    planner::{Keyed, StepPlan, Table},
    types::{Rounding, Type},
};

/// Rows of two tables, one to one: the same keys, and amounts that are near enough.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Match {
    /// The first table.
    left: TableName,
    /// The second table.
    right: TableName,
    /// The columns that must be equal.
    on: Vec<KeyPair>,
    /// The amounts that must be near enough; without them equal keys are enough.
    #[serde(default)]
    amount: Option<KeyPair>,
    /// How far the amounts may differ; not at all unless given.
    #[serde(default)]
    tolerance: Option<ToleranceOf>,
    /// The columns whose order breaks ties, those of each side: an id that is the same tomorrow. Then the order of rows does.
    #[serde(default)]
    ids: Ids,
    /// What stands before the names of the right's columns in `matched`.
    #[serde(default = "right_prefix")]
    right_prefix: String,
    /// The column in `matched` with the left amount − the right one; `Difference` unless given.
    #[serde(default)]
    difference: Option<String>,
    /// The column in `matched` that says whether a row of the pair had other candidates.
    #[serde(default = "ambiguous")]
    ambiguous: String,
    /// The column in `leftOnly` and `rightOnly` with the number of candidates, all taken by others.
    #[serde(default = "candidates")]
    candidates: String,
    /// Whether case counts in text.
    #[serde(default = "CaseRule::sensitive")]
    case: CaseRule,
}

/// The columns that break ties.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Ids {
    /// Those of the left.
    left: Vec<String>,
    /// Those of the right.
    right: Vec<String>,
}

fn right_prefix() -> String {
    "Right ".to_owned()
}

fn ambiguous() -> String {
    "Ambiguous".to_owned()
}

fn candidates() -> String {
    "Candidates".to_owned()
}

/// A side with its keys, rank and amount.
#[derive(Debug)]
struct Side {
    table: Table,
    keys: Vec<ColumnId>,
    rank: ColumnId,
    amount: Option<ColumnId>,
}

/// What a match has found, column by column.
#[derive(Debug)]
struct Found {
    keys: Vec<ColumnId>,
    left_rank: PlanColumn,
    right_rank: PlanColumn,
    left_candidates: PlanColumn,
    right_candidates: PlanColumn,
}

impl Operation for Match {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("left", &self.left), ("right", &self.right)]
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        let (left, right) = step.pair(&self.left, &self.right)?;
        if self.on.is_empty() {
            return Err(step.fail("expected one key at least in `on`"));
        }
        let (one, two, tolerance) = self.sides(step, &left, &right)?;
        let side = |side: &Side| MatchSide {
            from: side.table.relation,
            keys: side.keys.clone(),
            amount: side.amount,
            rank: side.rank,
        };
        let pairs = step.matching(side(&one), side(&two), tolerance);
        let count = one.keys.len();
        let keys = pairs.columns.iter().take(count).map(|column| column.id).collect();
        let rest: Vec<PlanColumn> = pairs.columns.iter().skip(count).cloned().collect();
        let Ok([left_rank, right_rank, left_candidates, right_candidates]) = <[PlanColumn; 4]>::try_from(rest) else {
            return Err(step.fail("the match has no ranks"));
        };
        let found = Found { keys, left_rank, right_rank, left_candidates, right_candidates };
        let matched = self.matched(step, (&one, &two), &pairs, &found)?;
        let left_only =
            self.alone(step, &one, &pairs, (&found.keys, &found.left_rank, &found.right_rank, &found.left_candidates));
        let right_only =
            self.alone(step, &two, &pairs, (&found.keys, &found.right_rank, &found.left_rank, &found.right_candidates));
        for (table, name) in [(&left, &self.candidates), (&right, &self.candidates)] {
            if table.find(name).is_some() {
                return Err(step.fail_on(
                    name,
                    format!("{} has such a column already: say another name for `candidates`", table.name),
                ));
            }
        }
        Ok(Results::named([("matched", matched), ("leftOnly", left_only), ("rightOnly", right_only)]))
    }
}

impl Match {
    /// Both sides with what they are matched by, and how near is near enough.
    fn sides(
        &self,
        step: &mut StepPlan<'_>,
        left: &Table,
        right: &Table,
    ) -> Result<(Side, Side, Option<Tolerance>), PlanError> {
        let pairs: Vec<_> = self.on.iter().map(|pair| (pair.left.clone(), pair.right.clone())).collect();
        let mut keyed = step.keys(left, right, &pairs, self.case)?;
        let (mut amounts, mut tolerance) = ((None, None), None);
        if let Some(KeyPair { left: one, right: two }) = &self.amount {
            let (one, two) = (step.number(left, one)?, step.number(right, two)?);
            let scale = one.kind.scale().max(two.kind.scale());
            let kind = Type::Decimal(scale);
            let cast = |column: &PlanColumn| {
                column.expression().cast(kind).ok_or_else(|| step.fail_on(&column.name, "is no number"))
            };
            let (one, two) = (cast(&one)?, cast(&two)?);
            tolerance = Some(checked(self.tolerance.as_ref(), step, kind)?);
            let (with_left, left_amount) = step.hidden(&keyed.left, vec![one]);
            let (with_right, right_amount) = step.hidden(&keyed.right, vec![two]);
            (keyed.left, keyed.right) = (with_left, with_right);
            amounts = (left_amount.first().copied(), right_amount.first().copied());
        } else if self.tolerance.is_some() {
            return Err(step.fail("`tolerance` does not go without `amount`"));
        } else if self.difference.is_some() {
            return Err(step.fail("`difference` does not go without `amount`"));
        }
        let Keyed { left, right, left_keys, right_keys } = keyed;
        let one = side(step, &left, left_keys, &self.ids.left, amounts.0)?;
        let two = side(step, &right, right_keys, &self.ids.right, amounts.1)?;
        Ok((one, two, tolerance))
    }

    /// The pairs: all columns of the left, those of the right, and how well they match.
    fn matched(
        &self,
        step: &mut StepPlan<'_>,
        (one, two): (&Side, &Side),
        pairs: &Table,
        found: &Found,
    ) -> Result<Table, PlanError> {
        let to_left = keys(&one.keys, one.rank, &found.keys, found.left_rank.id);
        let with_left = step.join(JoinKind::Inner, &one.table, pairs, to_left);
        let to_right = keys(&found.keys, found.right_rank.id, &two.keys, two.rank);
        let mut table = step.join(JoinKind::Inner, &with_left, &two.table, to_right);
        let prefixed = |column: &PlanColumn| PlanColumn {
            name: format!("{}{}", self.right_prefix, column.name),
            ..column.clone()
        };
        table.columns = one.table.columns.iter().cloned().chain(two.table.columns.iter().map(prefixed)).collect();
        table.order.clone_from(&one.table.order);
        let mut new = Vec::new();
        if let (Some(left), Some(right)) = (one.amount, two.amount) {
            let amount = |id: ColumnId, table: &Table| Ok(Expression::Column { id, kind: step.kind(table, id)? });
            let (left, right) = (amount(left, &table)?, amount(right, &table)?);
            new.push((
                self.difference.clone().unwrap_or_else(|| "Difference".to_owned()),
                arithmetic(step, Operator::Subtract, left, right, None, Rounding::HalfUp, OnZero::Fail)?,
            ));
        }
        let others = [&found.left_candidates, &found.right_candidates];
        let others = others.map(|count| count.expression().equals(Expression::integer(1)).not());
        new.push((self.ambiguous.clone(), Expression::Or { of: others.to_vec() }));
        for (name, _) in &new {
            if table.find(name).is_some() {
                return Err(step.fail_on(
                    name,
                    "a table that is matched has such a column already: say another name for this one",
                ));
            }
        }
        Ok(step.extend(&table, new))
    }

    /// The rows of a side that are in no pair. Rows with a blank key are in no group, and had no candidates.
    fn alone(
        &self,
        step: &mut StepPlan<'_>,
        side: &Side,
        pairs: &Table,
        (found, rank, other_rank, candidates): (&[ColumnId], &PlanColumn, &PlanColumn, &PlanColumn),
    ) -> Table {
        let joined = step.join(JoinKind::Left, &side.table, pairs, keys(&side.keys, side.rank, found, rank.id));
        let table = Table { columns: side.table.columns.clone(), order: side.table.order.clone(), ..joined };
        let table = step.filter(&table, other_rank.expression().is_blank());
        let count = candidates.expression().or_else(Expression::integer(0));
        step.extend(&table, vec![(self.candidates.clone(), count)])
    }
}

/// Key by key, and the rank.
fn keys(left: &[ColumnId], left_rank: ColumnId, right: &[ColumnId], right_rank: ColumnId) -> Vec<(ColumnId, ColumnId)> {
    let pairs = left.iter().copied().zip(right.iter().copied());
    pairs.chain([(left_rank, right_rank)]).collect()
}

/// A side whose rows are ranked among those with the same keys: by their ids, then by their order.
fn side(
    step: &mut StepPlan<'_>,
    table: &Table,
    keys: Vec<ColumnId>,
    ids: &[String],
    amount: Option<ColumnId>,
) -> Result<Side, PlanError> {
    let ids = step.columns(table, ids)?;
    let order = ids.iter().map(|id| OrderKey::ascending(id.id)).chain(table.order.iter().copied()).collect();
    let (table, rank) = step.window(table, WindowFunction::RowNumber, keys.clone(), order, Type::Integer);
    Ok(Side { table, keys, rank, amount })
}

const BOOK: (&str, &[&str]) = (
    "id: text | ref: text | amount: decimal(2)",
    &["b1 | R1 | 10.00", "b2 | R2 | 5.00", "b3 | R2 | 5.02", "b4 | | 1.00", "b5 | R3 | 7.00", "b6 | R4 | "],
);
const BANK: (&str, &[&str]) = (
    "ref: text | paid: decimal(2)",
    &["R2 | 5.01", "R1 | 9.99", "R3 | 8.00", "R2 | 5.02", "R9 | 3.00", " | 1.00", "R2 | 5.00"],
);

impl Documented for Match {
    const NAME: &'static str = "match";
    const REFERENCE: Reference = Reference {
        title: "Match",
        summary: "Rows of two tables, one to one, by keys and by amounts that are near enough; and the rows of either side that stay alone.",
        types: "Both columns of a key have one type; integers and decimals compare as numbers. Amounts are numbers; they compare exactly, at the \
                decimals of the one with more of them. A percentage is of the amount that `of` names, and is compared without rounding.",
        blanks: "A row with a blank key or a blank amount stays alone.",
        rows: "Among rows with the same keys, pairs are taken in the order of their difference, the smallest first; then of the left's `ids`, \
               then of the right's. So every row of either side is in exactly one result, once. A pair of which a row had other candidates is \
               `Ambiguous`. Results keep the order of their side, `matched` that of the left. More than 1,000,000 candidate pairs with the same keys \
               are an error: match exactly before, or by a further key.",
        spreadsheet: "There is no such function: people use VLOOKUP, which pairs one row with many.",
    };
    const RESULTS: &'static [(&'static str, &'static str)] = &[
        (
            "matched",
            "the pairs: the left's columns, the right's with a prefix, `Difference` where there are amounts, `Ambiguous`",
        ),
        ("leftOnly", "rows of the left without a partner, and how many `Candidates` they had that went to others"),
        ("rightOnly", "rows of the right without a partner, and how many `Candidates` they had that went to others"),
    ];

    fn cases() -> Vec<Case> {
        let case = |title| Case::new(title).input("book", BOOK.0, BOOK.1).input("bank", BANK.0, BANK.1);
        let matched = "id: text | ref: text | amount: decimal(2) | Right ref: text | Right paid: decimal(2) | Difference: decimal(2) | Ambiguous: boolean";
        let left = "id: text | ref: text | amount: decimal(2) | Candidates: integer";
        let right = "ref: text | paid: decimal(2) | Candidates: integer";
        let twins = |title| {
            Case::new(title)
                .input("a", "k: text | n: integer | v: integer", &["x | 2 | 5", "x | 1 | 5", "X | 3 | 5"])
                .input("b", "k: text | m: integer | v: integer", &["x | 9 | 5", "x | 8 | 5", "y | 7 | 5"])
        };
        vec![
            case("within a cent: the nearest pair first")
                .step(
                    r#"{"left": "book", "right": "bank", "on": [{"left": "ref", "right": "ref"}], "amount": {"left": "amount", "right": "paid"},
                        "tolerance": {"absolute": "0.01"}, "ids": {"left": ["id"]}}"#,
                )
                .result("matched", matched, &["b1 | R1 | 10.00 | R1 | 9.99 | 0.01 | false", "b2 | R2 | 5.00 | R2 | 5.00 | 0.00 | true", "b3 | R2 | 5.02 | R2 | 5.02 | 0.00 | true"])
                .result("leftOnly", left, &["b4 | | 1.00 | 0", "b5 | R3 | 7.00 | 0", "b6 | R4 | | 0"])
                .result("rightOnly", right, &["R2 | 5.01 | 2", "R3 | 8.00 | 0", "R9 | 3.00 | 0", " | 1.00 | 0"]),
            case("within 14.285714 percent of the left, which is less than one in seven")
                .step(
                    r#"{"left": "book", "right": "bank", "on": [{"left": "ref", "right": "ref"}], "amount": {"left": "amount", "right": "paid"},
                        "tolerance": {"percent": {"percent": "14.285714", "of": "left"}}}"#,
                )
                .result("leftOnly", left, &["b4 | | 1.00 | 0", "b5 | R3 | 7.00 | 0", "b6 | R4 | | 0"]),
            case("within 12.5 percent of the larger, to the last digit")
                .step(
                    r#"{"left": "book", "right": "bank", "on": [{"left": "ref", "right": "ref"}], "amount": {"left": "amount", "right": "paid"},
                        "tolerance": {"percent": {"percent": "12.5", "of": "larger"}}}"#,
                )
                .result("leftOnly", left, &["b4 | | 1.00 | 0", "b6 | R4 | | 0"])
                .result("rightOnly", right, &["R2 | 5.01 | 2", "R9 | 3.00 | 0", " | 1.00 | 0"]),
            twins("keys alone; the ids break ties")
                .step(
                    r#"{"left": "a", "right": "b", "on": [{"left": "k", "right": "k"}], "ids": {"left": ["n"], "right": ["m"]},
                        "rightPrefix": "b ", "ambiguous": "unsure", "candidates": "others"}"#,
                )
                .result(
                    "matched",
                    "k: text | n: integer | v: integer | b k: text | b m: integer | b v: integer | unsure: boolean",
                    &["x | 2 | 5 | x | 9 | 5 | true", "x | 1 | 5 | x | 8 | 5 | true"],
                )
                .result("leftOnly", "k: text | n: integer | v: integer | others: integer", &["X | 3 | 5 | 0"])
                .result("rightOnly", "k: text | m: integer | v: integer | others: integer", &["y | 7 | 5 | 0"]),
            twins("without ids the order of rows breaks ties; case does not count; one stays alone")
                .step(
                    r#"{"left": "a", "right": "b", "on": [{"left": "k", "right": "k"}], "amount": {"left": "v", "right": "v"}, "case": "ignore"}"#,
                )
                .result(
                    "matched",
                    "k: text | n: integer | v: integer | Right k: text | Right m: integer | Right v: integer | Difference: decimal(0) | Ambiguous: boolean",
                    &["x | 2 | 5 | x | 9 | 5 | 0 | true", "x | 1 | 5 | x | 8 | 5 | 0 | true"],
                )
                .result("leftOnly", "k: text | n: integer | v: integer | Candidates: integer", &["X | 3 | 5 | 2"]),
            Case::new("a table with itself, and an empty one")
                .input("a", "k: integer", &["1", "1"])
                .input("b", "k: integer", &[])
                .step(r#"{"left": "a", "right": "b", "on": [{"left": "k", "right": "k"}]}"#)
                .result("matched", "k: integer | Right k: integer | Ambiguous: boolean", &[])
                .result("leftOnly", "k: integer | Candidates: integer", &["1 | 0", "1 | 0"])
                .result("rightOnly", "k: integer | Candidates: integer", &[]),
            twins("a tolerance below zero")
                .step(
                    r#"{"left": "a", "right": "b", "on": [{"left": "k", "right": "k"}], "amount": {"left": "v", "right": "v"},
                        "tolerance": {"absolute": -1}}"#,
                )
                .refused("the tolerance -1 is no decimal(0) of zero or more"),
            twins("a tolerance without amounts")
                .step(r#"{"left": "a", "right": "b", "on": [{"left": "k", "right": "k"}], "tolerance": {"absolute": 1}}"#)
                .refused("`tolerance` does not go without `amount`"),
            twins("amounts that are none")
                .step(r#"{"left": "a", "right": "b", "on": [{"left": "n", "right": "m"}], "amount": {"left": "k", "right": "v"}}"#)
                .refused(r#"column "k": expected a number, it is text"#),
            twins("a name that is taken")
                .step(r#"{"left": "a", "right": "b", "on": [{"left": "k", "right": "k"}], "candidates": "n"}"#)
                .refused(r#"column "n": a has such a column already: say another name for `candidates`"#),
        ]
    }
}
