//! What operations make their plans with.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    error::PlanError,
    expression::{ColumnId, Expression},
    parameters::{CaseRule, TableName},
    plan::{
        Aggregation, Body, Computed, JoinKind, MatchSide, Measure, OrderKey, Place, PlanColumn, Relation, RelationId,
        Tolerance, UnionSource, WindowFunction,
    },
    types::{SCALE_MAX, Type},
};

/// What a step gives and takes: columns with names, of a relation, in an order.
///
/// The relation may have more columns; they are hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it is called in messages.
    pub name: String,
    /// The relation.
    pub relation: RelationId,
    /// The columns, in their order. Names are unique in what a step gives.
    pub columns: Vec<PlanColumn>,
    /// The order of its rows; it tells all rows apart.
    pub order: Vec<OrderKey>,
    /// Where its rows come from, where each is of one.
    pub place: Option<Place>,
}

impl Table {
    /// The column of that name.
    pub fn find(&self, name: &str) -> Option<&PlanColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The same table of a relation that carries its columns under these numbers.
    pub fn moved(&self, numbers: &BTreeMap<ColumnId, ColumnId>) -> Self {
        let new = |id: ColumnId| numbers.get(&id).copied().unwrap_or(id);
        let place = |place: &Place| Place { object: new(place.object), row: new(place.row), ..place.clone() };
        Self {
            name: self.name.clone(),
            relation: self.relation,
            columns: self.columns.iter().map(|column| PlanColumn { id: new(column.id), ..column.clone() }).collect(),
            order: self.order.iter().map(|key| OrderKey { column: new(key.column), ..*key }).collect(),
            place: self.place.as_ref().map(place),
        }
    }

    /// The numbers of the columns that are not hidden.
    pub fn ids(&self) -> Vec<ColumnId> {
        self.columns.iter().map(|column| column.id).collect()
    }
}

impl PlanColumn {
    /// Its cells.
    pub const fn expression(&self) -> Expression {
        Expression::Column { id: self.id, kind: self.kind }
    }
}

/// The relations made so far.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) relations: Vec<Relation>,
    columns: u32,
}

impl Draft {
    fn new_column(&mut self, name: &str, kind: Type) -> PlanColumn {
        let id = ColumnId(self.columns);
        self.columns += 1;
        PlanColumn { id, name: name.to_owned(), kind }
    }

    fn push(&mut self, relation: Relation) -> RelationId {
        let id = RelationId(u32::try_from(self.relations.len()).unwrap_or(u32::MAX));
        self.relations.push(relation);
        id
    }

    fn columns_of(&self, relation: RelationId) -> Vec<PlanColumn> {
        self.relations.get(relation.0 as usize).map(|relation| relation.columns.clone()).unwrap_or_default()
    }

    /// An input, in the order of its rows.
    pub(crate) fn read(&mut self, input: &str, columns: &[(String, Type)]) -> Table {
        let visible: Vec<PlanColumn> = columns.iter().map(|(name, kind)| self.new_column(name, *kind)).collect();
        let object = self.new_column("#object", Type::Integer);
        let row = self.new_column("#row", Type::Integer);
        let place = Place { input: input.to_owned(), object: object.id, row: row.id };
        let order = [place.object, place.row].map(ascending).to_vec();
        let all = visible.iter().cloned().chain([object, row]).collect();
        let relation = self.push(Relation {
            body: Body::Read { input: input.to_owned() },
            columns: all,
            step: input.to_owned(),
            operation: "input".to_owned(),
            place: Some(place.clone()),
        });
        Table { name: input.to_owned(), relation, columns: visible, order, place: Some(place) }
    }
}

/// From the smallest value to the largest.
pub const fn ascending(column: ColumnId) -> OrderKey {
    OrderKey { column, descending: false }
}

/// The planning of one step.
#[derive(Debug)]
pub struct StepPlan<'a> {
    pub(crate) draft: &'a mut Draft,
    pub(crate) tables: &'a BTreeMap<String, Table>,
    pub(crate) step: &'a str,
    pub(crate) operation: &'static str,
}

impl StepPlan<'_> {
    /// What is wrong with the step.
    pub fn fail(&self, problem: impl Into<String>) -> PlanError {
        self.refuse(None, problem.into())
    }

    /// What is wrong with the step, about a column.
    pub fn fail_on(&self, column: &str, problem: impl Into<String>) -> PlanError {
        self.refuse(Some(column.to_owned()), problem.into())
    }

    fn refuse(&self, column: Option<String>, problem: String) -> PlanError {
        PlanError::Step { step: self.step.to_owned(), operation: self.operation.to_owned(), column, problem }
    }

    /// What an input or another step gives.
    pub fn table(&self, name: &TableName) -> Result<Table, PlanError> {
        let table = self.tables.get(name.as_str()).cloned();
        let mut table = table.ok_or_else(|| self.fail(format!("there is no input or result {name}")))?;
        name.as_str().clone_into(&mut table.name);
        Ok(table)
    }

    /// Two tables that have no column number in common, even where both are one.
    pub fn pair(&mut self, left: &TableName, right: &TableName) -> Result<(Table, Table), PlanError> {
        let (left, right) = (self.table(left)?, self.table(right)?);
        let numbers = |draft: &Draft, table: &Table| -> BTreeSet<ColumnId> {
            draft.columns_of(table.relation).iter().map(|column| column.id).collect()
        };
        if numbers(self.draft, &left).is_disjoint(&numbers(self.draft, &right)) {
            return Ok((left, right));
        }
        let right = self.renumbered(&right);
        Ok((left, right))
    }

    /// The type of a column, hidden or not.
    pub fn kind(&self, table: &Table, id: ColumnId) -> Result<Type, PlanError> {
        let columns = self.draft.columns_of(table.relation);
        let kind = columns.iter().find(|column| column.id == id).map(|column| column.kind);
        kind.ok_or_else(|| self.fail(format!("{} has no column number {}", table.name, id.0)))
    }

    /// The columns of a table that a relation must carry for it to stay one: its own, and those of its order and place.
    pub fn carried(&self, table: &Table) -> Vec<PlanColumn> {
        let mut wanted: BTreeSet<ColumnId> = table.ids().into_iter().collect();
        wanted.extend(table.order.iter().map(|key| key.column));
        wanted.extend(table.place.iter().flat_map(|place| [place.object, place.row]));
        self.draft.columns_of(table.relation).into_iter().filter(|column| wanted.contains(&column.id)).collect()
    }

    /// The table with numbers of its own, and without other hidden columns than those of its order and place.
    pub fn renumbered(&mut self, table: &Table) -> Table {
        let (mut columns, mut compute, mut numbers) = (Vec::new(), Vec::new(), BTreeMap::new());
        for old in self.carried(table) {
            let new = self.draft.new_column(&old.name, old.kind);
            numbers.insert(old.id, new.id);
            compute.push(Computed { column: new.id, expression: old.expression() });
            columns.push(new);
        }
        let body = Body::Project { from: table.relation, keep: Vec::new(), compute };
        let mut result = table.moved(&numbers);
        result.relation = self.push(body, columns, result.place.clone());
        result
    }

    /// The column of that name.
    pub fn column(&self, table: &Table, name: &str) -> Result<PlanColumn, PlanError> {
        table.find(name).cloned().ok_or_else(|| {
            let mut known: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).take(20).collect();
            if table.columns.len() > known.len() {
                known.push("…");
            }
            self.fail_on(name, format!("{} has no such column; it has {}", table.name, known.join(", ")))
        })
    }

    /// The columns of those names.
    pub fn columns(&self, table: &Table, names: &[String]) -> Result<Vec<PlanColumn>, PlanError> {
        names.iter().map(|name| self.column(table, name)).collect()
    }

    /// The column of that name, which must be a number.
    pub fn number(&self, table: &Table, name: &str) -> Result<PlanColumn, PlanError> {
        let column = self.column(table, name)?;
        if column.kind.is_number() {
            Ok(column)
        } else {
            Err(self.fail_on(name, format!("expected a number, it is {}", column.kind)))
        }
    }

    /// A decimal type of that scale, if there is one.
    pub fn decimal(&self, scale: u8) -> Result<Type, PlanError> {
        if scale > SCALE_MAX {
            return Err(self.fail(format!("{scale} decimals are more than {SCALE_MAX}: say `scale`")));
        }
        Ok(Type::Decimal(scale))
    }

    fn push(&mut self, body: Body, columns: Vec<PlanColumn>, place: Option<Place>) -> RelationId {
        let (step, operation) = (self.step.to_owned(), self.operation.to_owned());
        self.draft.push(Relation { body, columns, step, operation, place })
    }

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
        let turn = |key: &OrderKey| OrderKey { descending: key.descending != backwards, ..*key };
        let order = table.order.iter().map(turn).collect();
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
        let mut all = self.draft.columns_of(left.relation);
        let (mut columns, mut order) = (left.columns.clone(), left.order.clone());
        if !left_only {
            all.extend(self.draft.columns_of(right.relation));
            columns.extend(right.columns.iter().cloned());
            order.extend(right.order.iter().copied());
        }
        // A row of the right alone is of no row of the left.
        let place = left.place.clone().filter(|_| !matches!(join, JoinKind::Right | JoinKind::Full));
        let body = Body::Join { join, left: left.relation, right: right.relation, keys };
        let relation = self.push(body, all, place.clone());
        Table { name: left.name.clone(), relation, columns, order, place }
    }

    /// One row for each combination of keys, in their order, with these measures.
    pub fn aggregate(
        &mut self,
        table: &Table,
        keys: &[PlanColumn],
        measures: Vec<(String, Aggregation, PlanColumn)>,
    ) -> Table {
        let mut columns = keys.to_vec();
        let mut made = Vec::new();
        for (name, function, of) in measures {
            let new = self.draft.new_column(&name, measured(function, of.kind));
            made.push(Measure { function, of: of.id, column: new.id, kind: new.kind });
            columns.push(new);
        }
        let ids: Vec<ColumnId> = keys.iter().map(|key| key.id).collect();
        let order = ids.iter().copied().map(ascending).collect();
        let body = Body::Aggregate { from: table.relation, keys: ids, measures: made };
        let relation = self.push(body, columns.clone(), None);
        Table { name: table.name.clone(), relation, columns, order, place: None }
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

    /// Two columns as keys of one type, in lower case where case does not count.
    fn key_pair(
        &self,
        (left, one): (&Table, &str),
        (right, two): (&Table, &str),
        case: CaseRule,
    ) -> Result<(Expression, Expression), PlanError> {
        let (one, two) = (self.column(left, one)?, self.column(right, two)?);
        let pair = one.expression().alike(two.expression()).ok_or_else(|| {
            let problem = format!(
                "it is {}, and {:?} of {} is {}: they are never equal",
                one.kind, two.name, right.name, two.kind
            );
            self.fail_on(&one.name, problem)
        })?;
        Ok(if case == CaseRule::Ignore { (pair.0.folded(), pair.1.folded()) } else { pair })
    }

    /// Both tables with the columns by which their rows are compared, and those columns' numbers.
    pub fn keys(
        &mut self,
        left: &Table,
        right: &Table,
        pairs: &[(String, String)],
        case: CaseRule,
    ) -> Result<Keyed, PlanError> {
        let pair = |(one, two): &(String, String)| self.key_pair((left, one), (right, two), case);
        let pairs: Vec<(Expression, Expression)> = pairs.iter().map(pair).collect::<Result<_, _>>()?;
        let (ones, twos) = pairs.into_iter().unzip();
        let ((left, left_keys), (right, right_keys)) = (self.hidden(left, ones), self.hidden(right, twos));
        Ok(Keyed { left, right, left_keys, right_keys })
    }
}

/// Two tables with the columns by which their rows are compared.
#[derive(Debug, Clone)]
pub struct Keyed {
    /// The left one.
    pub left: Table,
    /// The right one.
    pub right: Table,
    /// The left one's keys.
    pub left_keys: Vec<ColumnId>,
    /// The right one's keys, of the same types in the same order.
    pub right_keys: Vec<ColumnId>,
}

impl Keyed {
    /// Key by key.
    pub fn pairs(&self) -> Vec<(ColumnId, ColumnId)> {
        self.left_keys.iter().copied().zip(self.right_keys.iter().copied()).collect()
    }
}

fn column_id(expression: &Expression) -> Option<ColumnId> {
    match expression {
        Expression::Column { id, .. } => Some(*id),
        _ => None,
    }
}

/// The type of a measure.
pub const fn measured(function: Aggregation, of: Type) -> Type {
    match function {
        Aggregation::Count | Aggregation::CountDistinct => Type::Integer,
        Aggregation::Min | Aggregation::Max => of,
        Aggregation::Sum => Type::Decimal(of.scale()),
        Aggregation::Average => Type::Decimal(if of.scale() > 6 { of.scale() } else { 6 }),
    }
}
