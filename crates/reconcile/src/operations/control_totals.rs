//! Control totals.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    cases::Case,
    error::PlanError,
    expression::{Branch, ColumnId, Constant, Expression, OnZero, Operator},
    operations::{Documented, Operation, Reference, Results, columns::arithmetic, group_by::measured_column},
    parameters::TableName,
    plan::{Aggregation, PlanColumn, UnionSource},
    planner::{StepPlan, Table},
    types::{Rounding, Type},
};

/// The number of records and the sums of columns, of one table or of two that must tie out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ControlTotals {
    /// The table.
    from: TableName,
    /// The columns that are summed.
    columns: Vec<String>,
    /// The columns whose values each have totals of their own, such as a currency.
    #[serde(default)]
    by: Vec<String>,
    /// A second table with these columns, whose totals stand beside.
    #[serde(default)]
    against: Option<TableName>,
    /// What happens where the totals of both differ.
    #[serde(default)]
    on_difference: OnDifference,
}

/// What happens where totals differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum OnDifference {
    /// The difference is in the result.
    #[default]
    Report,
    /// The job fails and says which total.
    Fail,
}

const TOTAL: &str = "Control Total";
const RECORDS: &str = "Records";

impl Operation for ControlTotals {
    fn tables(&self) -> Vec<(&'static str, &TableName)> {
        std::iter::once(("from", &self.from)).chain(self.against.iter().map(|table| ("against", table))).collect()
    }

    fn plan(&self, step: &mut StepPlan<'_>) -> Result<Results, PlanError> {
        if self.against.is_none() && self.on_difference == OnDifference::Fail {
            return Err(step.fail("`onDifference` does not go without `against`"));
        }
        if let Some(taken) = self.by.iter().find(|by| self.names().contains(&by.as_str())) {
            return Err(step.fail_on(taken, "the result has a column of this name besides: `rename` it before"));
        }
        let mut tables = vec![step.table(&self.from)?];
        for against in self.against.iter() {
            tables.push(step.table(against)?);
        }
        let (keys, kind) = self.kinds(step, &tables)?;
        let mut sources = Vec::new();
        for (side, table) in tables.iter().enumerate() {
            self.totals(step, (side, table), (&keys, kind), &mut sources)?;
        }
        let names = self.by.iter().cloned().zip(keys);
        let rest = [Type::Integer, kind, kind].map(|kind| ("#".to_owned(), kind));
        let (relation, made) = step.union(sources, &names.chain(rest).collect::<Vec<_>>());
        let (keys, values) = made.split_at_checked(self.by.len() + 1).unwrap_or((&[], &[]));
        let both =
            Table { name: step.step.to_owned(), relation, columns: made.clone(), order: Vec::new(), place: None };
        let sums = values.iter().map(|value| ("#".to_owned(), Aggregation::Sum, value.clone())).collect();
        let sums = step.aggregate(&both, keys, sums);
        self.result(step, sums, kind)
    }
}

impl ControlTotals {
    /// The types of the keys, and one for all totals.
    fn kinds(&self, step: &StepPlan<'_>, tables: &[Table]) -> Result<(Vec<Type>, Type), PlanError> {
        let mut scale = 0;
        for table in tables {
            for column in &self.columns {
                scale = step.number(table, column)?.kind.scale().max(scale);
            }
        }
        let mut kinds = Vec::new();
        for name in &self.by {
            let mut kind: Option<Type> = None;
            for table in tables {
                let column = step.column(table, name)?;
                let problem = || {
                    step.fail_on(
                        name,
                        format!("the tables have different types for it: {} has {}", table.name, column.kind),
                    )
                };
                kind = Some(kind.unwrap_or(column.kind).common(column.kind).ok_or_else(problem)?);
            }
            kinds.extend(kind);
        }
        Ok((kinds, Type::Decimal(scale)))
    }

    /// A table's totals, each a row: the keys, which total, and its value on the table's side.
    fn totals(
        &self,
        step: &mut StepPlan<'_>,
        (side, table): (usize, &Table),
        (kinds, kind): (&[Type], Type),
        sources: &mut Vec<UnionSource>,
    ) -> Result<(), PlanError> {
        let cast = |(name, kind): (&String, &Type)| {
            let column = step.column(table, name)?;
            column.expression().cast(*kind).ok_or_else(|| step.fail_on(name, format!("is no {kind}")))
        };
        let keys: Vec<Expression> = self.by.iter().zip(kinds).map(cast).collect::<Result<_, _>>()?;
        let (keyed, ids) = step.hidden(table, keys);
        let key = |(id, kind): (ColumnId, &Type)| PlanColumn { id, name: "#".to_owned(), kind: *kind };
        let keys: Vec<PlanColumn> = ids.into_iter().zip(kinds).map(key).collect();
        let (counted, records) = measured_column(step, &keyed, Aggregation::Count, None)?;
        let mut measures = vec![("#".to_owned(), Aggregation::Count, records)];
        for column in &self.columns {
            measures.push(("#".to_owned(), Aggregation::Sum, step.number(&counted, column)?));
        }
        let sums = step.aggregate(&counted, &keys, measures);
        let key_ids: Vec<ColumnId> = keys.iter().map(|key| key.id).collect();
        for (index, sum) in sums.columns.iter().skip(keys.len()).enumerate() {
            let value = sum.expression().cast(kind).ok_or_else(|| step.fail(format!("a total is no {kind}")))?;
            let ordinal = Expression::integer(i64::try_from(index).unwrap_or(i64::MAX));
            let none = Expression::blank(kind);
            let cells = if side == 0 { vec![ordinal, value, none] } else { vec![ordinal, none, value] };
            let (with, ids) = step.hidden(&sums, cells);
            sources.push(UnionSource { from: with.relation, columns: [key_ids.clone(), ids].concat() });
        }
        Ok(())
    }

    /// The names of the columns behind those of `by`.
    const fn names(&self) -> &'static [&'static str] {
        if self.against.is_some() { &[TOTAL, "Left", "Right", "Difference"] } else { &[TOTAL, "Value"] }
    }

    fn result(&self, step: &mut StepPlan<'_>, mut sums: Table, kind: Type) -> Result<Results, PlanError> {
        let mut rest = sums.columns.split_off(self.by.len().min(sums.columns.len())).into_iter();
        let (Some(ordinal), Some(left), Some(right)) = (rest.next(), rest.next(), rest.next()) else {
            return Err(step.fail("there are no totals"));
        };
        let named = |(index, name): (usize, &String)| Branch {
            when: ordinal.expression().equals(Expression::integer(i64::try_from(index + 1).unwrap_or(i64::MAX))),
            then: Expression::text(name),
        };
        let branches: Vec<Branch> = self.columns.iter().enumerate().map(named).collect();
        let name = Expression::Case { branches, otherwise: Box::new(Expression::text(RECORDS)) };
        let zero = Constant::parse(kind, "0").map(Expression::from).ok_or_else(|| step.fail("there is no zero"))?;
        let (left, right) = (left.expression().or_else(zero.clone()), right.expression().or_else(zero.clone()));
        let columns = |cells: Vec<Expression>| self.names().iter().map(|name| (*name).to_owned()).zip(cells).collect();
        let Some(against) = &self.against else { return Ok(step.extend(&sums, columns(vec![name, left])).into()) };
        let sides = (left.clone(), right.clone());
        let difference = arithmetic(step, Operator::Subtract, sides.0, sides.1, None, Rounding::HalfUp, OnZero::Fail)?;
        if self.on_difference == OnDifference::Fail {
            let keys = sums.columns.iter().map(PlanColumn::expression);
            let shown = keys.chain([name.clone(), left.clone(), right.clone()]).collect();
            let same = difference.clone().equals(zero);
            let labels: Vec<&str> = self.by.iter().map(String::as_str).chain(["total", "left", "right"]).collect();
            let (from, labels) = (&self.from, labels.join(", "));
            let message = format!("the control totals of {from} (left) and {against} (right) differ; {labels}");
            sums = step.require(&sums, same, message, shown);
        }
        Ok(step.extend(&sums, columns(vec![name, left, right, difference])).into())
    }
}

impl Documented for ControlTotals {
    const NAME: &'static str = "controlTotals";
    const REFERENCE: Reference = Reference {
        title: "Control totals",
        summary: "The number of records and the sums of columns, of one table or of two that must tie out.",
        types: "The columns are numbers; all totals are decimals with the decimals of the column that has most of them. A total that does not fit is \
                an error. The result has the columns of `by`, `Control Total` (`Records` or a column's name), and `Value`; or `Left`, `Right` and \
                `Difference` with `against`.",
        blanks: "Blanks add nothing; their records count. Blanks in `by` have totals of their own.",
        rows: "One row for each total, those of one group together; groups in the order of their keys, `Records` first. A group that only one \
               table has is 0 in the other.",
        spreadsheet: "As SUM and ROWS under a column.",
    };

    fn cases() -> Vec<Case> {
        let case = |title| {
            Case::new(title)
                .input(
                    "a",
                    "ccy: text | net: decimal(2) | tax: integer",
                    &["USD | 1.50 | 1", "EUR | 2.00 | ", "USD | -0.25 | 3", " | 9.00 | 0"],
                )
                .input(
                    "b",
                    "tax: decimal(1) | ccy: text | net: decimal(2)",
                    &["4.0 | USD | 1.25", " | EUR | 2.01", "0.0 | JPY | "],
                )
        };
        vec![
            case("of one table")
                .step(r#"{"from": "a", "columns": ["net", "tax"]}"#)
                .gives("Control Total: text | Value: decimal(2)", &["Records | 4.00", "net | 12.25", "tax | 4.00"]),
            case("of two, by currency")
                .step(r#"{"from": "a", "against": "b", "columns": ["net"], "by": ["ccy"]}"#)
                .gives(
                    "ccy: text | Control Total: text | Left: decimal(2) | Right: decimal(2) | Difference: decimal(2)",
                    &[
                        "EUR | Records | 1.00 | 1.00 | 0.00",
                        "EUR | net | 2.00 | 2.01 | -0.01",
                        "JPY | Records | 0.00 | 1.00 | -1.00",
                        "JPY | net | 0.00 | 0.00 | 0.00",
                        "USD | Records | 2.00 | 1.00 | 1.00",
                        "USD | net | 1.25 | 1.25 | 0.00",
                        " | Records | 1.00 | 0.00 | 1.00",
                        " | net | 9.00 | 0.00 | 9.00",
                    ],
                ),
            case("a table ties out with itself")
                .step(r#"{"from": "a", "against": "a", "columns": ["tax"], "onDifference": "fail"}"#)
                .gives(
                    "Control Total: text | Left: decimal(0) | Right: decimal(0) | Difference: decimal(0)",
                    &["Records | 4 | 4 | 0", "tax | 4 | 4 | 0"],
                ),
            case("by one column under two names")
                .after(
                    r#"{"name": "found", "operation": "vlookup", "from": "a", "in": "b", "on": [{"left": "ccy", "right": "ccy"}],
                        "columns": [{"column": "tax", "as": "one"}, {"column": "tax", "as": "two"}]}"#,
                )
                .step(r#"{"from": "found", "columns": ["net"], "by": ["one", "two"]}"#)
                .gives(
                    "one: decimal(1) | two: decimal(1) | Control Total: text | Value: decimal(2)",
                    &["4.0 | 4.0 | Records | 2.00", "4.0 | 4.0 | net | 1.25", " | | Records | 2.00", " | | net | 11.00"],
                ),
            Case::new("no rows")
                .input("a", "v: integer", &[])
                .step(r#"{"from": "a", "columns": ["v"]}"#)
                .gives("Control Total: text | Value: decimal(0)", &["Records | 0", "v | 0"]),
            case("a difference can be an error")
                .step(r#"{"from": "a", "against": "b", "columns": ["tax"], "by": ["ccy"], "onDifference": "fail"}"#)
                .fails(r#"the control totals of "a" (left) and "b" (right) differ; ccy, total, left, right: "#),
            case("text has no total")
                .step(r#"{"from": "a", "columns": ["ccy"]}"#)
                .refused(r#"column "ccy": expected a number, it is text"#),
            Case::new("a group that is called as a column of the result")
                .input("a", "Value: text | v: integer", &["x | 1"])
                .step(r#"{"from": "a", "columns": ["v"], "by": ["Value"]}"#)
                .refused(r#"column "Value": the result has a column of this name besides: `rename` it before"#),
            case("against nothing")
                .step(r#"{"from": "a", "columns": [], "onDifference": "fail"}"#)
                .refused("`onDifference` does not go without `against`"),
        ]
    }
}
