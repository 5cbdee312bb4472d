//! What operations make their plans with.

mod keys;
mod making;
mod table;

use std::collections::{BTreeMap, BTreeSet};

pub use self::{keys::Keyed, making::measure_type, table::Table};
use crate::{
    error::PlanError,
    expression::ColumnId,
    parameters::TableName,
    plan::{Body, Computed, OrderKey, Place, PlanColumn, Relation, RelationId},
    types::{SCALE_MAX, Type},
};

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
        let order = [place.object, place.row].map(OrderKey::ascending).to_vec();
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

    /// A name for a new column that stands beside those of the table.
    pub fn unused(&self, table: &Table, name: &str) -> Result<(), PlanError> {
        if table.find(name).is_none() {
            return Ok(());
        }
        Err(self.fail_on(name, format!("{} has such a column already: say another name for the new one", table.name)))
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
}
