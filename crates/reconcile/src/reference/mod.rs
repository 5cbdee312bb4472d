//! The reference engine: runs a plan in memory, row by row, as simply as it can.
//!
//! It is what the other engines are compared with, and what runs the operations' cases. It keeps everything in memory and is
//! for small data.

mod evaluate;
mod lines;
mod matching;
mod relations;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

pub use matching::{Group, Member};

use crate::{
    error::{Fault, InputRow, RunError},
    expression::{ColumnId, Expression},
    plan::{OrderKey, Plan, PlanColumn, PlanOutput, Relation},
    types::{Type, Value},
};

/// The rows of an input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InputRows {
    /// Its columns; a plan may need not all of them.
    pub columns: Vec<String>,
    /// The rows of each of its objects, with a cell for each column.
    pub objects: Vec<Vec<Vec<Value>>>,
}

/// The rows of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputRows {
    /// Its columns.
    pub columns: Vec<(String, Type)>,
    /// Its rows, with a cell for each column.
    pub rows: Vec<Vec<Value>>,
}

/// In which order each relation hands on its rows. A sound plan gives the same in any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// As they are made.
    Forwards,
    /// The other way round.
    Backwards,
    /// In an order without sense, the same each time.
    Scattered,
}

impl Arrival {
    fn arrange<T>(self, rows: &mut Vec<T>) {
        match self {
            Self::Forwards => {}
            Self::Backwards => rows.reverse(),
            Self::Scattered => {
                let (mut taken, mut index) = (Vec::with_capacity(rows.len()), 0_usize);
                while !rows.is_empty() {
                    index = (index + 7) % rows.len();
                    taken.push(rows.swap_remove(index));
                }
                *rows = taken;
            }
        }
    }
}

/// The rows of a relation, and where each column's cell is in them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub(crate) index: HashMap<ColumnId, usize>,
    pub(crate) kinds: HashMap<ColumnId, Type>,
    pub(crate) rows: Vec<Vec<Value>>,
    /// How many cells a row has; a column may be there twice.
    pub(crate) width: usize,
}

impl Rows {
    fn of(relation: &Relation, rows: Vec<Vec<Value>>) -> Self {
        Self::with(&relation.columns, rows)
    }

    fn with(columns: &[PlanColumn], rows: Vec<Vec<Value>>) -> Self {
        let index = columns.iter().enumerate().map(|(index, column)| (column.id, index)).collect();
        let kinds = columns.iter().map(|column| (column.id, column.kind)).collect();
        Self { index, kinds, rows, width: columns.len() }
    }

    /// The cell of a row.
    pub(crate) fn cell<'r>(&self, row: &'r [Value], column: ColumnId) -> Result<&'r Value, Fault> {
        let cell = self.index.get(&column).and_then(|index| row.get(*index));
        cell.ok_or(Fault::Plan("a column is not there"))
    }

    /// The cells of a row.
    pub(crate) fn cells(&self, row: &[Value], columns: &[ColumnId]) -> Result<Vec<Value>, Fault> {
        columns.iter().map(|column| self.cell(row, *column).cloned()).collect()
    }

    /// The type of a column.
    pub(crate) fn kind(&self, column: ColumnId) -> Result<Type, Fault> {
        self.kinds.get(&column).copied().ok_or(Fault::Plan("a column is not there"))
    }

    /// The rows' places, sorted by these keys.
    pub(crate) fn sorted(&self, order: &[OrderKey]) -> Result<Vec<usize>, Fault> {
        let key = |row: &Vec<Value>| -> Result<Vec<Value>, Fault> {
            order.iter().map(|key| self.cell(row, key.column).cloned()).collect()
        };
        let mut keyed: Vec<(Vec<Value>, usize)> =
            self.rows.iter().enumerate().map(|(at, row)| Ok((key(row)?, at))).collect::<Result<_, Fault>>()?;
        keyed.sort_by(|(one, _), (two, _)| compare(order, one, two));
        Ok(keyed.into_iter().map(|(_, at)| at).collect())
    }
}

/// How two rows' keys sort.
fn compare(order: &[OrderKey], one: &[Value], two: &[Value]) -> Ordering {
    let each = order.iter().zip(one.iter().zip(two));
    let mut compared = each.map(|(key, (one, two))| match (one.is_blank(), two.is_blank()) {
        (false, false) if key.descending => two.cmp(one),
        (false, false) => one.cmp(two),
        (one, two) if key.blanks_first => two.cmp(&one),
        (one, two) => one.cmp(&two),
    });
    compared.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
}

/// What went wrong, and where in a relation.
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    pub(crate) column: Option<ColumnId>,
    pub(crate) row: Option<InputRow>,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { fault, column: None, row: None }
    }
}

/// What an expression is for one row, whose cells are those of `columns`.
pub fn value(expression: &Expression, columns: &[PlanColumn], cells: &[Value]) -> Result<Value, Fault> {
    evaluate::Row { of: &Rows::with(columns, Vec::new()), cells }.value(expression)
}

/// Runs a plan.
pub fn run(
    plan: &Plan,
    inputs: &BTreeMap<String, InputRows>,
    arrival: Arrival,
) -> Result<BTreeMap<String, OutputRows>, RunError> {
    let mut made: Vec<Rows> = Vec::with_capacity(plan.relations.len());
    for relation in &plan.relations {
        let rows = relations::rows(relation, &made, inputs).map_err(|failure| error(relation, failure))?;
        let mut rows = Rows::of(relation, rows);
        arrival.arrange(&mut rows.rows);
        made.push(rows);
    }
    let output = |output: &PlanOutput| {
        let rows = write(output, &made).map_err(|fault| RunError {
            step: output.name.clone(),
            operation: "output".to_owned(),
            column: None,
            row: None,
            fault: Box::new(fault),
        })?;
        Ok((output.name.clone(), rows))
    };
    plan.outputs.iter().map(output).collect()
}

fn error(relation: &Relation, failure: Failure) -> RunError {
    let named = |id: ColumnId| relation.columns.iter().find(|column| column.id == id);
    let column = failure.column.and_then(named).map(|column| column.name.clone());
    RunError {
        step: relation.step.clone(),
        operation: relation.operation.clone(),
        column: column.filter(|name| !name.starts_with('#')),
        row: failure.row,
        fault: Box::new(failure.fault),
    }
}

fn write(output: &PlanOutput, made: &[Rows]) -> Result<OutputRows, Fault> {
    let from = made.get(output.from.0 as usize).ok_or(Fault::Plan("a relation is not there"))?;
    let ids: Vec<ColumnId> = output.columns.iter().map(|column| column.id).collect();
    let rows = from.sorted(&output.order)?.into_iter().filter_map(|at| from.rows.get(at));
    let rows = rows.map(|row| from.cells(row, &ids)).collect::<Result<_, _>>()?;
    Ok(OutputRows { columns: output.columns.iter().map(|column| (column.name.clone(), column.kind)).collect(), rows })
}
