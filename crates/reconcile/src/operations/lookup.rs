//! What VLOOKUP and XLOOKUP share.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    error::PlanError,
    expression::{ColumnId, Expression},
    parameters::{CaseRule, KeyPair, Literal, TableName, TakenColumn},
    plan::{JoinKind, OrderKey, PlanColumn, UnionSource, WindowFunction},
    planner::{Keyed, StepPlan, Table},
    types::Type,
};

/// Which of several rows with one key is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Take {
    /// The first, in row order.
    #[default]
    First,
    /// The last, in row order.
    Last,
}

/// What happens where nothing is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum NotFound {
    /// The cells are blank, or `ifNotFound`.
    #[default]
    Blank,
    /// The job fails and says which key.
    Fail,
}

/// Which key is found where the one that is looked for is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nearest {
    /// None.
    Exact,
    /// The largest that is smaller.
    Smaller,
    /// The smallest that is larger.
    Larger,
}

/// Columns of the row that has a key. `M` says which keys are found, as the spreadsheet's function has it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Lookup<M: Default> {
    /// The table whose rows look something up.
    from: TableName,
    /// The table that is looked into.
    #[serde(rename = "in")]
    table: TableName,
    /// The keys: a column of `from` (`left`) and the one of `in` (`right`) that must equal it.
    on: Vec<KeyPair>,
    /// The columns of `in` that are taken.
    #[serde(default)]
    columns: Vec<TakenColumn>,
    /// Whether the last key must be equal.
    #[serde(default, rename = "match")]
    matching: M,
    /// Which of several rows with one key is taken.
    #[serde(default)]
    take: Take,
    /// What happens where nothing is found.
    #[serde(default)]
    not_found: NotFound,
    /// What the cells are where nothing is found.
    #[serde(default)]
    if_not_found: Option<Literal>,
    /// A further column that says whether something was found.
    #[serde(default)]
    found: Option<String>,
    /// Whether case counts in text.
    #[serde(default = "CaseRule::ignore")]
    case: CaseRule,
}

impl<M: Copy + Default + Into<Nearest>> Lookup<M> {
    pub(crate) fn tables(&self) -> Vec<(&'static str, &TableName)> {
        vec![("from", &self.from), ("in", &self.table)]
    }

    pub(crate) fn plan(&self, step: &mut StepPlan<'_>) -> Result<Table, PlanError> {
        let (left, right) = step.pair(&self.from, &self.table)?;
        if self.on.is_empty() || (self.columns.is_empty() && self.found.is_none()) {
            return Err(step.fail("expected one key at least in `on`, and one column in `columns` or `found`"));
        }
        if self.not_found == NotFound::Fail && self.if_not_found.is_some() {
            return Err(step.fail("`ifNotFound` does not go with `notFound: \"fail\"`"));
        }
        if self.columns.is_empty() && self.if_not_found.is_some() {
            return Err(step.fail("`ifNotFound` does not go without `columns`"));
        }
        let taken: Vec<String> = self.columns.iter().map(|taken| taken.column.clone()).collect();
        let taken = step.columns(&right, &taken)?;
        let pairs: Vec<_> = self.on.iter().map(|pair| (pair.left.clone(), pair.right.clone())).collect();
        let mut keyed = step.keys(&left, &right, &pairs, self.case)?;
        let which: Nearest = self.matching.into();
        if which != Nearest::Exact {
            sortable(step, &left, &self.on)?;
        }
        keyed.right = step.one_of_each(&keyed.right, keyed.right_keys.clone(), self.take == Take::Last);
        let (keyed, pairs) = if which == Nearest::Exact {
            let pairs = keyed.pairs();
            (keyed, pairs)
        } else {
            nearest(step, keyed, which)?
        };
        let (right, marker) = step.hidden(&keyed.right, vec![Expression::boolean(true)]);
        let joined = step.join(JoinKind::Left, &keyed.left, &right, pairs);
        let missing = marker.first().map(|id| Expression::Column { id: *id, kind: Type::Boolean }.is_blank());
        let missing = missing.ok_or_else(|| step.fail("the lookup has no mark"))?;
        let result = Table { columns: keyed.left.columns.clone(), order: keyed.left.order.clone(), ..joined };
        self.result(step, result, &taken, missing)
    }

    /// The columns of the right behind those of the left.
    fn result(
        &self,
        step: &mut StepPlan<'_>,
        mut table: Table,
        taken: &[PlanColumn],
        missing: Expression,
    ) -> Result<Table, PlanError> {
        if self.not_found == NotFound::Fail {
            let mut shown = Vec::new();
            for pair in &self.on {
                shown.push(step.column(&table, &pair.left)?.expression());
            }
            table = step.require(&table, missing.clone().not(), format!("{} has no such key", self.table), shown);
        }
        let mut names: Vec<&str> = self.columns.iter().map(TakenColumn::result).collect();
        let mut new = Vec::new();
        for (column, name) in taken.iter().zip(&names) {
            step.unused(&table, name)?;
            new.push(self.cell(step, column, missing.clone())?);
        }
        if let Some(found) = &self.found {
            step.unused(&table, found)?;
            names.push(found);
            new.push(missing.not());
        }
        let (made, ids) = step.hidden(&table, new.clone());
        table.relation = made.relation;
        let columns = names.iter().zip(ids).zip(&new);
        table.columns.extend(columns.map(|((name, id), cell)| PlanColumn {
            id,
            name: (*name).to_owned(),
            kind: cell.kind(),
        }));
        Ok(table)
    }

    /// The cell of a column that is taken.
    fn cell(&self, step: &StepPlan<'_>, column: &PlanColumn, missing: Expression) -> Result<Expression, PlanError> {
        let cell = column.expression();
        let Some(value) = &self.if_not_found else { return Ok(cell) };
        let constant = value.expected(column.kind).map(Expression::from);
        let alike = constant.and_then(|value| value.alike(cell));
        let (value, cell) = alike.ok_or_else(|| {
            step.fail_on(&column.name, format!("it is {}, which `ifNotFound`, {value}, is not", column.kind))
        })?;
        Ok(Expression::case(missing, value, cell))
    }
}

/// Nearness goes by an order that people know: not by that of true and false.
fn sortable(step: &StepPlan<'_>, left: &Table, on: &[KeyPair]) -> Result<(), PlanError> {
    let Some(last) = on.last() else { return Ok(()) };
    match step.column(left, &last.left)?.kind {
        Type::Boolean => Err(step.fail_on(&last.left, "true and false have no neighbours: look them up exactly")),
        _ => Ok(()),
    }
}

/// Both sides with keys that are equal where the last key of the right is the nearest to that of the left.
///
/// The rows of the right are numbered by their last key among those with the same other keys. Both sides are laid into one
/// another by the last key, the right first; the last number seen is that of the nearest row.
fn nearest(
    step: &mut StepPlan<'_>,
    keyed: Keyed,
    nearest: Nearest,
) -> Result<(Keyed, Vec<(ColumnId, ColumnId)>), PlanError> {
    let Keyed { left, right, left_keys, right_keys } = keyed;
    let (Some((left_last, _)), Some((right_last, right_exact))) = (left_keys.split_last(), right_keys.split_last())
    else {
        return Err(step.fail("expected one key at least in `on`"));
    };
    let last_kind = step.kind(&right, *right_last)?;
    let filled = Expression::Column { id: *right_last, kind: last_kind }.is_blank().not();
    let right = step.filter(&right, filled);
    let by_last = if nearest == Nearest::Larger { OrderKey::descending } else { OrderKey::ascending };
    let (right, number) =
        step.window(&right, WindowFunction::RowNumber, right_exact.to_vec(), vec![by_last(*right_last)], Type::Integer);

    // One relation: keys, which side, the right's number, and what the left carries.
    let carried = step.carried(&left);
    let mut columns: Vec<(String, Type)> = Vec::new();
    for key in &left_keys {
        columns.push(("#".to_owned(), step.kind(&left, *key)?));
    }
    columns.extend([("#".to_owned(), Type::Integer), ("#".to_owned(), Type::Integer)]);
    columns.extend(carried.iter().map(|column| (column.name.clone(), column.kind)));
    let blanks: Vec<Expression> = carried.iter().map(|column| Expression::blank(column.kind)).collect();
    let (of_right, right_extra) = step.hidden(&right, [vec![Expression::integer(0)], blanks].concat());
    let (of_left, left_extra) = step.hidden(&left, vec![Expression::integer(1), Expression::blank(Type::Integer)]);
    let carried: Vec<ColumnId> = carried.iter().map(|column| column.id).collect();
    let (side, rest) =
        right_extra.split_first().map_or((&[][..], &[][..]), |(side, rest)| (std::slice::from_ref(side), rest));
    let sources = vec![
        UnionSource { from: of_right.relation, columns: [&right_keys, side, &[number], rest].concat() },
        UnionSource { from: of_left.relation, columns: [&left_keys, left_extra.as_slice(), &carried].concat() },
    ];
    let (relation, all) = step.union(sources, &columns);
    let ids: Vec<ColumnId> = all.iter().map(|column| column.id).collect();
    let (keys, rest) = ids.split_at_checked(left_keys.len()).unwrap_or((&[], &[]));
    let ([side, seen, moved @ ..], Some((last, exact))) = (rest, keys.split_last()) else {
        return Err(step.fail("the lookup has no keys"));
    };
    let mut both = left.moved(&carried.iter().copied().zip(moved.iter().copied()).collect::<BTreeMap<_, _>>());
    both.relation = relation;
    both.place = None;

    let order = [vec![by_last(*last), OrderKey::ascending(*side)], both.order.clone()].concat();
    let (both, found) =
        step.window(&both, WindowFunction::LastValue { of: *seen }, exact.to_vec(), order, Type::Integer);
    let is_left = Expression::Column { id: *side, kind: Type::Integer }.equals(Expression::integer(1));
    let both = step.filter(&both, is_left);
    let blank_key = Expression::Column { id: *last, kind: step.kind(&left, *left_last)? }.is_blank();
    let found = Expression::Column { id: found, kind: Type::Integer };
    let (both, found) = step.hidden(&both, vec![Expression::case(blank_key, Expression::blank(Type::Integer), found)]);
    let left_keys = [exact, &found].concat();
    let right_keys = [right_exact, &[number]].concat();
    let keyed = Keyed { left: both, right, left_keys, right_keys };
    let pairs = keyed.pairs();
    Ok((keyed, pairs))
}
