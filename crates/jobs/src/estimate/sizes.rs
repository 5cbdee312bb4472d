//! How many rows relations seem to have, and how long ones.

use std::collections::BTreeMap;

use reconcile::{
    Type,
    expression::{ColumnId, Expression},
    plan::{Body, JoinKind, PlanColumn, Relation, RelationId},
    task::{TaskFormat, TaskInput},
};

/// Compressed columns become so many times as much when they are read.
const PARQUET_GROWS: u64 = 5;

/// The bytes of an input, unpacked.
pub(super) fn size(input: &TaskInput) -> u64 {
    let bytes = input.objects.iter().fold(0, |sum: u64, object| sum.saturating_add(object.bytes));
    if input.format == TaskFormat::Parquet { bytes.saturating_mul(PARQUET_GROWS) } else { bytes }
}

/// The relations so far, and the bytes of a cell of each of their columns.
#[derive(Default)]
pub(super) struct Sizes {
    pub(super) made: Vec<Made>,
    cells: BTreeMap<ColumnId, u64>,
}

/// How large a relation seems.
#[derive(Clone, Copy, Default)]
pub(super) struct Made {
    rows: u64,
    pub(super) bytes: u64,
}

impl Sizes {
    fn rows(&self, id: RelationId) -> u64 {
        self.made.get(id.0 as usize).map_or(0, |made| made.rows)
    }

    pub(super) fn bytes(&self, id: RelationId) -> u64 {
        self.made.get(id.0 as usize).map_or(0, |made| made.bytes)
    }

    pub(super) fn last(&self) -> u64 {
        self.made.last().map_or(0, |made| made.bytes)
    }

    /// The bytes of a column's cell: what is known of it, or what is usual for its type.
    fn cell(&self, column: &PlanColumn) -> u64 {
        let known = self.cells.get(&column.id).copied();
        known.unwrap_or_else(|| if is_place(column) { PLACE_BYTES } else { usual(column.kind) })
    }

    pub(super) fn push(&mut self, relation: &Relation, inputs: &BTreeMap<String, TaskInput>) {
        let rows = match &relation.body {
            Body::Read { input } => inputs.get(input).map_or(0, |input| self.read(relation, input)),
            Body::Project { from, compute, .. } => {
                for one in compute {
                    let bytes = self.computed(&one.expression);
                    self.cells.insert(one.column, bytes);
                }
                self.rows(*from)
            }
            Body::Filter { from, .. } | Body::Window { from, .. } => self.rows(*from),
            Body::Aggregate { keys, .. } if keys.is_empty() => 1,
            Body::Aggregate { from, .. } => self.rows(*from),
            Body::Join { join, left, right, .. } => {
                let (left, right) = (self.rows(*left), self.rows(*right));
                match join {
                    JoinKind::Left | JoinKind::Semi | JoinKind::Anti => left,
                    JoinKind::Right => right,
                    JoinKind::Inner => left.max(right),
                    JoinKind::Full => left.saturating_add(right),
                }
            }
            Body::Unpivot { from, cells, name, value, .. } => {
                let of = cells.iter().filter_map(|cell| self.cells.get(&cell.column));
                let bytes = of.max().copied().unwrap_or_else(|| usual(Type::Text));
                self.cells.insert(*value, bytes);
                let longest = cells.iter().map(|cell| cell.name.len() as u64 + 1).max();
                self.cells.insert(*name, longest.unwrap_or(0));
                self.rows(*from).saturating_mul(cells.len() as u64)
            }
            Body::Union { sources } => {
                for (at, column) in relation.columns.iter().enumerate() {
                    let of = sources.iter().filter_map(|source| self.cells.get(source.columns.get(at)?));
                    let bytes = of.max().copied().unwrap_or_else(|| usual(column.kind));
                    self.cells.insert(column.id, bytes);
                }
                sources.iter().fold(0, |sum: u64, source| sum.saturating_add(self.rows(source.from)))
            }
            Body::Match { left, right, .. } => self.rows(left.from).saturating_add(self.rows(right.from)),
        };
        let row = relation.columns.iter().fold(0, |sum: u64, column| sum.saturating_add(self.cell(column)));
        self.made.push(Made { rows, bytes: rows.saturating_mul(row) });
    }

    /// The rows of an input: those that it tells, or by the columns that it has. Its bytes are taken to be those of the columns that are read: a long
    /// one may be among them.
    fn read(&mut self, relation: &Relation, input: &TaskInput) -> u64 {
        let columns = || relation.columns.iter().filter(|column| !is_place(column));
        let read: u64 = columns().map(|column| usual(column.kind)).sum();
        let all =
            input.csv.as_ref().map_or(RECORD_BYTES, |csv| csv.columns.iter().map(|column| usual(column.kind)).sum());
        let bytes = size(input);
        let row = match input.rows {
            Some(rows) => read.max(bytes / rows.max(1)).max(1),
            None => read.max(all).max(1),
        };
        for column in columns() {
            let part = usual(column.kind).saturating_mul(row).div_ceil(read.max(1));
            self.cells.insert(column.id, part);
        }
        input.rows.unwrap_or_else(|| bytes.div_ceil(row))
    }

    /// The bytes of a computed cell: text may hold all the text that it is made of.
    fn computed(&self, expression: &Expression) -> u64 {
        match expression {
            Expression::Column { id, kind } => self.cells.get(id).copied().unwrap_or_else(|| usual(*kind)),
            _ if expression.kind() == Type::Text => self.text(expression).max(usual(Type::Text)),
            _ => usual(expression.kind()),
        }
    }

    fn text(&self, expression: &Expression) -> u64 {
        let own = match expression {
            Expression::Column { id, kind } => self.cells.get(id).copied().unwrap_or_else(|| usual(*kind)),
            _ => 0,
        };
        let parts = expression.parts().into_iter().map(|part| self.text(part));
        match expression {
            Expression::Concatenate { .. } => parts.fold(own, u64::saturating_add),
            // One of its parts, or a part of it.
            _ => parts.fold(own, u64::max),
        }
    }
}

/// The bytes of a record of a format that names its columns in each, or of which not all columns are known.
const RECORD_BYTES: u64 = 100;

/// Whether a column tells rows apart, and stands in no file.
pub(super) fn is_place(column: &PlanColumn) -> bool {
    column.name.starts_with('#')
}

/// The bytes of such a cell: what goes to disk is compressed, and these are numbers that follow one another.
const PLACE_BYTES: u64 = 1;

/// The bytes of a cell as files have them, with what is between it and the next.
const fn usual(kind: Type) -> u64 {
    match kind {
        Type::Boolean => 6,
        Type::Integer => 8,
        Type::Decimal(_) | Type::Date => 11,
        Type::Text => 13,
        Type::Timestamp => 21,
    }
}
