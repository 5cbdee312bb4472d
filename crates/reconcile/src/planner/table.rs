//! What steps give one another.

use std::collections::BTreeMap;

use crate::{
    expression::{ColumnId, Expression},
    plan::{OrderKey, Place, PlanColumn, RelationId},
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
