//! Relations as operations make them.

use super::{StepPlan, Table};
use crate::{
    expression::{ColumnId, Expression},
    plan::{
        Aggregation, Body, Computed, JoinKind, MatchSide, Measure, OrderKey, PlanColumn, RelationId, Tolerance,
        UnionSource, UnpivotedCell, WindowFunction,
    },
    types::Type,
};

impl StepPlan<'_> {
    /// The table with these columns computed of each row: a name that it has already is replaced where it stands, others
    /// come last. A name that begins with `#` is hidden. The numbers of the new columns are given in their order.
    fn project(&mut self, table: &Table, new: Vec<(String, Expression)>) -> (Table, Vec<ColumnId>) {
        let mut all = self.draft.columns_of(table.relation);
        let keep = all.iter().map(|column| column.id).collect();
        let (mut result, mut compute, mut ids) = (table.clone(), Vec::new(), Vec::new());
        for (name, expression) in new {
            let column = self.draft.new_column(&name, expression.kind());
            compute.push(Computed { column: column.id, expression });
            ids.push(column.id);
            all.push(column.clone());
            if name.starts_with('#') {
                continue;
            }
            match result.columns.iter_mut().find(|old| old.name == name) {
                Some(old) => *old = column,
                None => result.columns.push(column),
            }
        }
        let body = Body::Project { from: table.relation, keep, compute };
        result.relation = self.push(body, all, table.place.clone());
        (result, ids)
    }

    /// The table with these columns computed of each row: a name that it has already is replaced where it stands, others
    /// come last.
    pub fn extend(&mut self, table: &Table, new: Vec<(String, Expression)>) -> Table {
        self.project(table, new).0
    }

    /// The table with hidden columns, and their numbers. What is a column already stays the one it is.
    pub fn hidden(&mut self, table: &Table, new: Vec<Expression>) -> (Table, Vec<ColumnId>) {
        let fresh = new.iter().filter(|one| !matches!(one, Expression::Column { .. }));
        let fresh: Vec<_> = fresh.map(|one| ("#".to_owned(), one.clone())).collect();
        if fresh.is_empty() {
            let ids = new.iter().filter_map(column_id).collect();
            return (table.clone(), ids);
        }
        let (table, made) = self.project(table, fresh);
        let mut made = made.into_iter();
        let ids = new.iter().filter_map(|one| column_id(one).or_else(|| made.next())).collect();
        (table, ids)
    }

    /// The rows for which the condition is true.
    pub fn filter(&mut self, table: &Table, condition: Expression) -> Table {
        let columns = self.draft.columns_of(table.relation);
        let relation = self.push(Body::Filter { from: table.relation, condition }, columns, table.place.clone());
        Table { relation, ..table.clone() }
    }

    /// The table, all of whose rows must meet the condition: another is an error, which shows these values.
    pub fn require(&mut self, table: &Table, condition: Expression, message: String, shown: Vec<Expression>) -> Table {
        let of = Box::new(Expression::boolean(true));
        self.filter(table, Expression::Require { condition: Box::new(condition), of, message, shown })
    }

    /// The table with a hidden column that is computed of each row's neighbours, and its number.
    pub fn window(
        &mut self,
        table: &Table,
        function: WindowFunction,
        partition: Vec<ColumnId>,
        order: Vec<OrderKey>,
        kind: Type,
    ) -> (Table, ColumnId) {
        let mut columns = self.draft.columns_of(table.relation);
        let new = self.draft.new_column("#", kind);
        let column = new.id;
        columns.push(new);
        let body = Body::Window { from: table.relation, function, partition, order, column };
        let relation = self.push(body, columns, table.place.clone());
        (Table { relation, ..table.clone() }, column)
    }

    /// The table with the number of each row among those with the same values in `partition`, in the table's order or the
    /// opposite one.
    pub fn row_number(&mut self, table: &Table, partition: Vec<ColumnId>, backwards: bool) -> (Table, ColumnId) {
        let key = |key: &OrderKey| if backwards { key.opposite() } else { *key };
        let order = table.order.iter().map(key).collect();
        self.window(table, WindowFunction::RowNumber, partition, order, Type::Integer)
    }

    /// The first row, or the last, of those with the same values in `keys`.
    pub fn one_of_each(&mut self, table: &Table, keys: Vec<ColumnId>, last: bool) -> Table {
        let (numbered, number) = self.row_number(table, keys, last);
        let first = Expression::Column { id: number, kind: Type::Integer }.equals(Expression::integer(1));
        self.filter(&numbered, first)
    }

    /// The pairs of rows with equal keys, in the order of the left and then of the right.
    pub fn join(&mut self, join: JoinKind, left: &Table, right: &Table, keys: Vec<(ColumnId, ColumnId)>) -> Table {
        let left_only = matches!(join, JoinKind::Semi | JoinKind::Anti);
        let right_alone = matches!(join, JoinKind::Right | JoinKind::Full);
        // All that a row of the left is sorted by may be blank, as it is in a row of the right alone: this is not.
        let sides = if right_alone { vec![Expression::integer(0)] } else { Vec::new() };
        let (left, sides) = self.hidden(left, sides);
        let mut all = self.draft.columns_of(left.relation);
        let sides = sides.into_iter().map(OrderKey::ascending);
        let (mut columns, mut order) =
            (left.columns.clone(), sides.chain(left.order.iter().copied()).collect::<Vec<_>>());
        if !left_only {
            all.extend(self.draft.columns_of(right.relation));
            columns.extend(right.columns.iter().cloned());
            order.extend(right.order.iter().copied());
        }
        // A row of the right alone is of no row of the left.
        let place = left.place.clone().filter(|_| !right_alone);
        let body = Body::Join { join, left: left.relation, right: right.relation, keys };
        let relation = self.push(body, all, place.clone());
        Table { name: left.name.clone(), relation, columns, order, place }
    }

    /// One row for each combination of keys, in their order, with these measures. A column may be there under two names, and be
    /// two keys: it is one column of the relation.
    pub fn aggregate(
        &mut self,
        table: &Table,
        keys: &[PlanColumn],
        measures: Vec<(String, Aggregation, PlanColumn)>,
    ) -> Table {
        let mut distinct: Vec<PlanColumn> = Vec::new();
        for key in keys {
            if distinct.iter().all(|other| other.id != key.id) {
                distinct.push(key.clone());
            }
        }
        let ids: Vec<ColumnId> = distinct.iter().map(|key| key.id).collect();
        let (mut new, mut made) = (Vec::new(), Vec::new());
        for (name, function, of) in measures {
            let column = self.draft.new_column(&name, measure_type(function, of.kind));
            made.push(Measure { function, of: of.id, column: column.id, kind: column.kind });
            new.push(column);
        }
        let order = ids.iter().copied().map(OrderKey::ascending).collect();
        let body = Body::Aggregate { from: table.relation, keys: ids, measures: made };
        let relation = self.push(body, [distinct, new.clone()].concat(), None);
        Table { name: table.name.clone(), relation, columns: [keys.to_vec(), new].concat(), order, place: None }
    }

    /// Each row of the table once for each of the cells, with the cell's name and the cell as columns of those names; the
    /// cells of a row follow one another.
    pub fn unpivot(
        &mut self,
        table: &Table,
        cells: Vec<UnpivotedCell>,
        names: &str,
        (values, kind): (&str, Type),
    ) -> Table {
        let name = self.draft.new_column(names, Type::Text);
        let value = self.draft.new_column(values, kind);
        let ordinal = self.draft.new_column("#", Type::Integer);
        let mut all = self.carried(table);
        all.extend([name.clone(), value.clone(), ordinal.clone()]);
        let body = Body::Unpivot { from: table.relation, cells, name: name.id, value: value.id, ordinal: ordinal.id };
        let mut result = Table { relation: self.push(body, all, table.place.clone()), ..table.clone() };
        result.columns.extend([name, value]);
        result.order.push(OrderKey::ascending(ordinal.id));
        result
    }

    /// The rows of all sources: each gives a column for every one of `columns`, of its type. The order is up to the caller.
    pub fn union(&mut self, sources: Vec<UnionSource>, columns: &[(String, Type)]) -> (RelationId, Vec<PlanColumn>) {
        let columns: Vec<PlanColumn> = columns.iter().map(|(name, kind)| self.draft.new_column(name, *kind)).collect();
        (self.push(Body::Union { sources }, columns.clone(), None), columns)
    }

    /// One-to-one pairs: see [`Body::Match`]. The columns are those of the relation.
    pub fn matching(&mut self, left: MatchSide, right: MatchSide, tolerance: Option<Tolerance>) -> Table {
        let known = self.draft.columns_of(left.from);
        let kind =
            |id: &ColumnId| known.iter().find(|column| column.id == *id).map_or(Type::Text, |column| column.kind);
        let keys: Vec<Type> = left.keys.iter().map(kind).collect();
        let kinds = keys.into_iter().chain([Type::Integer; 4]);
        let columns: Vec<PlanColumn> = kinds.map(|kind| self.draft.new_column("#", kind)).collect();
        let relation = self.push(Body::Match { left, right, tolerance }, columns.clone(), None);
        Table { name: self.step.to_owned(), relation, columns, order: Vec::new(), place: None }
    }
}

fn column_id(expression: &Expression) -> Option<ColumnId> {
    match expression {
        Expression::Column { id, .. } => Some(*id),
        _ => None,
    }
}

/// The type of a measure.
pub const fn measure_type(function: Aggregation, of: Type) -> Type {
    match function {
        Aggregation::Count | Aggregation::CountDistinct => Type::Integer,
        Aggregation::Min | Aggregation::Max => of,
        Aggregation::Sum => Type::Decimal(of.scale()),
        Aggregation::Average => Type::Decimal(if of.scale() > 6 { of.scale() } else { 6 }),
    }
}
