//! A plan without what nobody needs: columns that come out nowhere, what is computed for them, and relations that no output
//! is made of.
//!
//! So what is not needed is not read, and not computed by any engine: its errors are none.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    expression::{ColumnId, Expression},
    plan::{Aggregation, Body, OrderKey, PlanOutput, Relation, RelationId, UnionSource, WindowFunction},
};

/// The relations that the outputs are made of, with the columns that are needed.
pub(crate) fn prune(relations: Vec<Relation>, outputs: &mut [PlanOutput]) -> Vec<Relation> {
    let (mut reached, mut needed) = (BTreeSet::new(), BTreeSet::new());
    for output in outputs.iter() {
        reached.insert(output.from);
        needed.extend(output.columns.iter().map(|column| column.id));
        needed.extend(ids(&output.order));
    }
    let id = |index: usize| RelationId(u32::try_from(index).unwrap_or(u32::MAX));
    // A relation is made of earlier ones: from the last to the first, all who need it have been seen.
    for (index, relation) in relations.iter().enumerate().rev() {
        if reached.contains(&id(index)) {
            reached.extend(relation.body.sources());
            need(relation, &mut needed);
        }
    }
    let mut places: BTreeMap<RelationId, RelationId> = BTreeMap::new();
    let mut kept = Vec::new();
    for (index, mut relation) in relations.into_iter().enumerate() {
        if reached.contains(&id(index)) {
            if let Some(same) = passed_on(&relation.body, &needed) {
                places.insert(id(index), places.get(&same).copied().unwrap_or(same));
                continue;
            }
            keep(&mut relation, &needed);
            through(&mut relation.body, |source| places.get(&source).copied().unwrap_or(source));
            places.insert(id(index), id(kept.len()));
            kept.push(relation);
        }
    }
    for output in outputs {
        output.from = places.get(&output.from).copied().unwrap_or(output.from);
    }
    kept
}

fn ids(order: &[OrderKey]) -> impl Iterator<Item = ColumnId> {
    order.iter().map(|key| key.column)
}

/// Adds the columns that a relation needs of those that it is made of.
fn need(relation: &Relation, needed: &mut BTreeSet<ColumnId>) {
    match &relation.body {
        Body::Read { .. } => {
            // Rows are counted, if nothing else is known of them.
            if !relation.columns.iter().any(|column| needed.contains(&column.id)) {
                needed.extend(relation.columns.first().map(|column| column.id));
            }
        }
        Body::Project { compute, .. } => {
            for one in compute.iter().filter(|one| needed.contains(&one.column)).collect::<Vec<_>>() {
                columns(&one.expression, needed);
                told(&one.expression, relation, needed);
            }
        }
        Body::Filter { condition, .. } => {
            columns(condition, needed);
            told(condition, relation, needed);
        }
        Body::Join { keys, .. } => needed.extend(keys.iter().flat_map(|(left, right)| [*left, *right])),
        Body::Aggregate { keys, measures, .. } => {
            let of: Vec<ColumnId> =
                measures.iter().filter(|one| needed.contains(&one.column)).map(|one| one.of).collect();
            needed.extend(keys.iter().copied().chain(of));
            // One row of all rows, if nothing else is known of it.
            if keys.is_empty() && !measures.iter().any(|one| needed.contains(&one.column)) {
                let count = measures.iter().find(|one| one.function == Aggregation::Count);
                needed.extend(count.or(measures.first()).into_iter().flat_map(|one| [one.column, one.of]));
            }
        }
        Body::Window { function, partition, order, column, .. } => {
            if needed.contains(column) {
                needed.extend(partition.iter().copied().chain(ids(order)));
                if let WindowFunction::RunningSum { of } | WindowFunction::LastValue { of } = function {
                    needed.insert(*of);
                }
            }
        }
        Body::Unpivot { cells, value, .. } => {
            if needed.contains(value) {
                needed.extend(cells.iter().map(|cell| cell.column));
            }
        }
        Body::Union { sources } => {
            for (index, column) in relation.columns.iter().enumerate() {
                if needed.contains(&column.id) {
                    needed.extend(sources.iter().filter_map(|source| source.columns.get(index)));
                }
            }
        }
        Body::Match { left, right, .. } => {
            for side in [left, right] {
                needed.extend(side.keys.iter().copied().chain(side.amount).chain([side.rank]));
            }
            // The columns of a match go by their places.
            needed.extend(relation.columns.iter().map(|column| column.id));
        }
    }
}

/// The relation that this one only passes on: nothing of what it computes is needed.
fn passed_on(body: &Body, needed: &BTreeSet<ColumnId>) -> Option<RelationId> {
    match body {
        Body::Project { from, compute, .. } => {
            (!compute.iter().any(|one| needed.contains(&one.column))).then_some(*from)
        }
        Body::Window { from, column, .. } => (!needed.contains(column)).then_some(*from),
        _ => None,
    }
}

/// The relation without columns that are not needed.
fn keep(relation: &mut Relation, needed: &BTreeSet<ColumnId>) {
    match &mut relation.body {
        Body::Project { keep, compute, .. } => {
            keep.retain(|column| needed.contains(column));
            compute.retain(|one| needed.contains(&one.column));
        }
        Body::Aggregate { measures, .. } => measures.retain(|measure| needed.contains(&measure.column)),
        Body::Union { sources } => {
            let wanted: Vec<bool> = relation.columns.iter().map(|column| needed.contains(&column.id)).collect();
            for UnionSource { columns, .. } in sources {
                let mut wanted = wanted.iter();
                columns.retain(|_| wanted.next().copied().unwrap_or(false));
            }
        }
        Body::Read { .. }
        | Body::Filter { .. }
        | Body::Join { .. }
        | Body::Window { .. }
        | Body::Unpivot { .. }
        | Body::Match { .. } => {}
    }
    let has = |id: ColumnId, relation: &Relation| relation.columns.iter().any(|column| column.id == id);
    relation.columns.retain(|column| needed.contains(&column.id));
    if relation.place.as_ref().is_some_and(|place| !has(place.object, relation) || !has(place.row, relation)) {
        relation.place = None;
    }
}

/// Puts other relations in the places of those that a relation is made of.
fn through(body: &mut Body, new: impl Fn(RelationId) -> RelationId) {
    match body {
        Body::Read { .. } => {}
        Body::Project { from, .. }
        | Body::Filter { from, .. }
        | Body::Aggregate { from, .. }
        | Body::Window { from, .. }
        | Body::Unpivot { from, .. } => *from = new(*from),
        Body::Join { left, right, .. } => (*left, *right) = (new(*left), new(*right)),
        Body::Union { sources } => sources.iter_mut().for_each(|source| source.from = new(source.from)),
        Body::Match { left, right, .. } => (left.from, right.from) = (new(left.from), new(right.from)),
    }
}

/// Adds the place of a row: where an expression can fail for it, that is told, even if nobody else needs it any more.
fn told(expression: &Expression, relation: &Relation, needed: &mut BTreeSet<ColumnId>) {
    if expression.can_fail() {
        needed.extend(relation.place.iter().flat_map(|place| [place.object, place.row]));
    }
}

/// Adds the columns that an expression reads.
fn columns(expression: &Expression, needed: &mut BTreeSet<ColumnId>) {
    if let Expression::Column { id, .. } = expression {
        needed.insert(*id);
    }
    for part in expression.parts() {
        columns(part, needed);
    }
}
