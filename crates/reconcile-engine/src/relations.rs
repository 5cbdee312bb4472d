//! A plan's relations as DataFusion's operators and our own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use datafusion_common::Result;
use reconcile::{
    Type,
    expression::{ColumnId, Comparison, Expression},
    plan::{Body, JoinKind, OrderKey, Plan, PlanColumn, Relation, RelationId, UnionSource, WindowFunction},
    task::Task,
};

use crate::{
    aggregate, columns,
    compute::{self, Stage},
    fault::unsound,
    figures::{Counter, counted},
    firsts,
    joins::{Join, Method},
    matching,
    scan::{self, Source},
    sorting::Ordered,
    spool::Spool,
    unpivot::{self, New},
    window,
};

/// Makes operators of relations.
pub(crate) struct Relations<'t> {
    pub(crate) task: &'t Task,
    pub(crate) source: &'t Source,
    /// What is counted of each relation.
    pub(crate) counters: Vec<Arc<Counter>>,
    /// Those that have been made and kept.
    pub(crate) spools: BTreeMap<RelationId, Spool>,
    /// The most bytes of an input that a join may hold in memory.
    pub(crate) held_bytes_max: u64,
}

/// The relations that several others are made of, in order. Inputs are read again instead: they lie there already.
pub(crate) fn shared(plan: &Plan) -> Vec<RelationId> {
    let (mut once, mut again) = (BTreeSet::new(), BTreeSet::new());
    let sources = plan.relations.iter().flat_map(|relation| relation.body.sources());
    for source in sources.chain(plan.outputs.iter().map(|output| output.from)) {
        if !once.insert(source) {
            again.insert(source);
        }
    }
    let is_read =
        |id: &RelationId| plan.relations.get(id.0 as usize).is_some_and(|one| matches!(one.body, Body::Read { .. }));
    again.into_iter().filter(|id| !is_read(id)).collect()
}

/// The relations that are results of steps: an output is made of them, or another step.
pub(crate) fn results(plan: &Plan) -> BTreeSet<RelationId> {
    let mut results: BTreeSet<RelationId> = plan.outputs.iter().map(|output| output.from).collect();
    for relation in &plan.relations {
        let of_another =
            |id: &RelationId| plan.relations.get(id.0 as usize).is_some_and(|source| source.step != relation.step);
        results.extend(relation.body.sources().into_iter().filter(of_another));
    }
    results
}

impl Relations<'_> {
    fn relation(&self, id: RelationId) -> Result<&Relation> {
        self.task.plan.relations.get(id.0 as usize).ok_or_else(|| unsound("a relation is not there"))
    }

    fn counter(&self, id: RelationId) -> Result<&Arc<Counter>> {
        self.counters.get(id.0 as usize).ok_or_else(|| unsound("a relation is not there"))
    }

    /// The plan of a relation; one that has been kept is read.
    fn plan(&self, id: RelationId) -> Result<Ordered> {
        self.plan_for(id, &[])
    }

    /// The plan of a relation whose rows are wanted in that order, and in one partition: it may have neither, but has them
    /// where it is cheaper to sort before than behind it.
    pub(crate) fn plan_for(&self, id: RelationId, order: &[OrderKey]) -> Result<Ordered> {
        match self.spools.get(&id) {
            Some(spool) => Ok(spool.read()),
            None => self.make(id, order),
        }
    }

    /// The plan that makes a relation; `wanted` as of [`Self::plan_for`].
    pub(crate) fn make(&self, id: RelationId, wanted: &[OrderKey]) -> Result<Ordered> {
        let relation = self.relation(id)?;
        if is_chained(relation) {
            return self.chain(id, wanted);
        }
        let made = self.body(relation, wanted)?;
        Ok(Ordered { plan: counted(made.plan, self.counter(id)?), ..made })
    }

    fn body(&self, relation: &Relation, wanted: &[OrderKey]) -> Result<Ordered> {
        let partitions = self.source.threads;
        match &relation.body {
            Body::Read { input } => self.read(relation, input),
            Body::Join { join, left, right, keys } => {
                let method = self.method(*join, *left, *right);
                let (left, right) = (self.plan(*left)?, self.plan(*right)?);
                Join { kind: *join, left, right, keys: keys.clone() }.plan(method, partitions)
            }
            Body::Aggregate { from, keys, measures } => {
                let known = &self.relation(*from)?.columns;
                let kind = |id: ColumnId| kind_of(known, id).unwrap_or(Type::Text);
                aggregate::aggregate(relation, self.plan(*from)?, keys, measures, kind, partitions)
            }
            Body::Window { from, function, partition, order, column } => {
                window::window(relation, self.plan(*from)?, *function, (partition, order), *column, partitions)
            }
            Body::Unpivot { from, cells, name, value, ordinal } => {
                let new = New { name: *name, value: *value, ordinal: *ordinal };
                // There are fewer rows before it.
                let input = self.in_order(*from, new.back(wanted).unwrap_or_default())?;
                unpivot::unpivot(relation, input, cells, new, self.source.batch_rows)
            }
            Body::Union { sources } => self.union(relation, sources),
            Body::Match { left, right, tolerance } => {
                let known = &self.relation(left.from)?.columns;
                let scale = left.amount.and_then(|amount| kind_of(known, amount)).map_or(0, Type::scale);
                let sides = ((self.plan(left.from)?, left), (self.plan(right.from)?, right));
                matching::pairs(relation, sides.0, sides.1, (tolerance.as_ref(), scale), partitions)
            }
            Body::Project { .. } | Body::Filter { .. } => Err(unsound("a row's relation is part of a chain")),
        }
    }

    fn read(&self, relation: &Relation, name: &str) -> Result<Ordered> {
        let input = self.task.inputs.get(name).ok_or_else(|| unsound("an input is not there"))?;
        let plan = scan::scan(relation, name, input, self.source);
        let of = |name: &str| relation.columns.iter().find(|column| column.name == name).map(|column| column.id);
        let order = match (of("#object"), of("#row")) {
            (Some(object), Some(row)) => vec![OrderKey::ascending(object), OrderKey::ascending(row)],
            _ => Vec::new(),
        };
        Ok(Ordered { plan, scanned: !order.is_empty(), order })
    }

    /// A row's relation, and those below it that are one too, as one operator; `wanted` as of [`Self::plan_for`].
    fn chain(&self, id: RelationId, wanted: &[OrderKey]) -> Result<Ordered> {
        let (mut stages, mut links, mut below) = (Vec::new(), Vec::new(), id);
        loop {
            let relation = self.relation(below)?;
            let counter = self.counter(below)?;
            let is_kept = below != id && self.spools.contains_key(&below);
            let from = match &relation.body {
                Body::Project { from, keep, compute } if !is_kept => {
                    stages.push(Stage::project(relation, &self.relation(*from)?.columns, keep, compute, counter));
                    *from
                }
                Body::Filter { from, condition } if !is_kept => {
                    stages.push(Stage::filter(relation, &self.relation(*from)?.columns, condition, counter));
                    *from
                }
                _ => break,
            };
            links.push(&relation.body);
            below = from;
        }
        stages.reverse();
        // What is computed makes rows longer: they are sorted before.
        let before = links.iter().try_fold(wanted.to_vec(), |order, body| back(order, body)).unwrap_or_default();
        let input = match self.firsts(below, links.last().copied())? {
            Some(firsts) => firsts.gathered_unless_in(&before)?,
            None => self.in_order(below, &before)?,
        };
        let order = links.into_iter().rev().fold(input.order, through);
        let scanned = input.scanned && !order.is_empty();
        Ok(Ordered { plan: compute::chain(input.plan, stages), order, scanned })
    }

    /// The plan of a relation, with its rows in that order, if it is one.
    fn in_order(&self, id: RelationId, order: &[OrderKey]) -> Result<Ordered> {
        self.plan_for(id, order)?.gathered_unless_in(order)
    }

    /// A window of which only the rows are kept that it numbers 1: made without a sort where its input comes in its order, else
    /// as any window.
    fn firsts(&self, id: RelationId, above: Option<&Body>) -> Result<Option<Ordered>> {
        let relation = self.relation(id)?;
        let (Body::Window { from, function, partition, order, column }, Some(above)) = (&relation.body, above) else {
            return Ok(None);
        };
        let is_kept = self.spools.contains_key(&id) || partition.is_empty();
        let fits = self.sizes().get(from.0 as usize).is_some_and(|size| *size <= self.held_bytes_max);
        if is_kept || !fits || *function != WindowFunction::RowNumber || !keeps_firsts(above, *column) {
            return Ok(None);
        }
        let input = self.plan(*from)?;
        let made = if input.scanned && input.is_in(order) {
            firsts::firsts(relation, input, (partition, order), *column)?
        } else {
            window::window(relation, input, *function, (partition, order), *column, self.source.threads)?
        };
        Ok(Some(Ordered { plan: counted(made.plan, self.counter(id)?), ..made }))
    }

    fn union(&self, relation: &Relation, sources: &[UnionSource]) -> Result<Ordered> {
        let schema = columns::schema_of(&relation.columns);
        let source =
            |source: &UnionSource| Ok(compute::renamed(self.plan(source.from)?.plan, &source.columns, &schema));
        let sources = sources.iter().map(source).collect::<Result<Vec<_>>>()?;
        Ok(Ordered::without(compute::all(sources, schema, self.source.threads)))
    }

    /// How a join is done: what is much smaller than the other, or fits into memory, is held there.
    fn method(&self, join: JoinKind, left: RelationId, right: RelationId) -> Method {
        let sizes = self.sizes();
        let size = |id: RelationId| sizes.get(id.0 as usize).copied().unwrap_or(u64::MAX);
        let (left, right) = (size(left), size(right));
        let keeps_order = !matches!(join, JoinKind::Right | JoinKind::Full);
        let smaller_left = left.saturating_mul(if keeps_order { 4 } else { 1 }) < right;
        if left <= self.held_bytes_max && (smaller_left || right > self.held_bytes_max) {
            Method::HoldLeft
        } else if right <= self.held_bytes_max {
            Method::HoldRight
        } else {
            Method::Sort
        }
    }

    /// About how many bytes each relation has, by those of the inputs that it is made of.
    fn sizes(&self) -> Vec<u64> {
        let mut sizes: Vec<u64> = Vec::with_capacity(self.task.plan.relations.len());
        for relation in &self.task.plan.relations {
            let size = match &relation.body {
                Body::Read { input } => {
                    self.task.inputs.get(input).map_or(0, |input| input.objects.iter().map(|object| object.bytes).sum())
                }
                Body::Unpivot { from, cells, .. } => {
                    // A column takes as much there as it does before.
                    let before = self.task.plan.relations.get(from.0 as usize).map_or(1, |from| from.columns.len());
                    let column = sizes.get(from.0 as usize).copied().unwrap_or(0) / before.max(1) as u64;
                    column.saturating_mul((cells.len() * relation.columns.len()) as u64)
                }
                body => {
                    let of = |id: RelationId| sizes.get(id.0 as usize).copied().unwrap_or(0);
                    body.sources().into_iter().map(of).fold(0, u64::saturating_add)
                }
            };
            sizes.push(size);
        }
        sizes
    }
}

/// Whether it is made of one row at a time.
fn is_chained(relation: &Relation) -> bool {
    matches!(relation.body, Body::Project { .. } | Body::Filter { .. })
}

/// Whether it is a filter that keeps what has the number 1.
fn keeps_firsts(body: &Body, number: ColumnId) -> bool {
    let Body::Filter { condition: Expression::Compare { comparison: Comparison::Equal, left, right }, .. } = body
    else {
        return false;
    };
    matches!(left.as_ref(), Expression::Column { id, .. } if *id == number) && **right == Expression::integer(1)
}

fn kind_of(known: &[PlanColumn], id: ColumnId) -> Option<Type> {
    known.iter().find(|column| column.id == id).map(|column| column.kind)
}

/// The order that rows must have before a projection to be in that order behind it. None if its columns are not there
/// yet, and before a filter: behind it fewer rows are sorted.
fn back(order: Vec<OrderKey>, body: &Body) -> Option<Vec<OrderKey>> {
    let Body::Project { keep, compute, .. } = body else { return None };
    let number = |new: ColumnId| {
        let copied = || match &compute.iter().find(|one| one.column == new)?.expression {
            Expression::Column { id, .. } => Some(*id),
            _ => None,
        };
        if keep.contains(&new) { Some(new) } else { copied() }
    };
    order.into_iter().map(|key| Some(OrderKey { column: number(key.column)?, ..key })).collect()
}

/// The order of rows behind a row's relation: as far as its columns are there, perhaps under another number.
fn through(order: Vec<OrderKey>, body: &Body) -> Vec<OrderKey> {
    let Body::Project { keep, compute, .. } = body else { return order };
    let number = |old: ColumnId| {
        let copy =
            |one: &&reconcile::plan::Computed| matches!(&one.expression, Expression::Column { id, .. } if *id == old);
        if keep.contains(&old) { Some(old) } else { compute.iter().find(copy).map(|one| one.column) }
    };
    order.into_iter().map_while(|key| Some(OrderKey { column: number(key.column)?, ..key })).collect()
}
