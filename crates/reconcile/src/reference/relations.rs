//! Relations, each of those before it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{
    decimal,
    error::{Fault, InputRow},
    expression::ColumnId,
    plan::{
        Aggregation, Body, Computed, JoinKind, Measure, OrderKey, Place, PlanColumn, Relation, RelationId, UnionSource,
        UnpivotedCell, WindowFunction,
    },
    reference::{
        Failure, InputRows, Rows,
        evaluate::{Row, units, value},
        matching,
    },
    types::{Rounding, Type, Value},
};

/// The rows of a relation.
pub(crate) fn rows(
    relation: &Relation,
    made: &[Rows],
    inputs: &BTreeMap<String, InputRows>,
) -> Result<Vec<Vec<Value>>, Failure> {
    let get = |id: RelationId| made.get(id.0 as usize).ok_or(Fault::Plan("a relation is not there"));
    match &relation.body {
        Body::Read { input } => Ok(read(relation, inputs.get(input).ok_or(Fault::Plan("an input is not there"))?)?),
        Body::Project { from, keep, compute } => project(get(*from)?, keep, compute, relation.place.as_ref()),
        Body::Filter { from, condition } => {
            let of = get(*from)?;
            let kept = |cells: &Vec<Value>| match (Row { of, cells }).truth(condition) {
                Ok(true) => Some(Ok(cells.clone())),
                Ok(false) => None,
                Err(fault) => {
                    Some(Err(Failure { fault, column: None, row: origin(of, cells, relation.place.as_ref()) }))
                }
            };
            of.rows.iter().filter_map(kept).collect()
        }
        Body::Join { join, left, right, keys } => Ok(joined(*join, get(*left)?, get(*right)?, keys)?),
        Body::Aggregate { from, keys, measures } => aggregate(get(*from)?, keys, measures),
        Body::Window { from, function, partition, order, column } => {
            let of = get(*from)?;
            let kind = relation.columns.iter().find(|one| one.id == *column).map_or(Type::Integer, |one| one.kind);
            window(of, *function, partition, order, kind).map_err(|(fault, at)| Failure {
                fault,
                column: Some(*column),
                row: at.and_then(|at| of.rows.get(at)).and_then(|cells| origin(of, cells, relation.place.as_ref())),
            })
        }
        Body::Unpivot { from, cells, name, value, ordinal } => {
            Ok(unpivot(relation, get(*from)?, cells, (*name, *value, *ordinal))?)
        }
        Body::Union { sources } => {
            let mut rows = Vec::new();
            for UnionSource { from, columns } in sources {
                let of = get(*from)?;
                for cells in &of.rows {
                    rows.push(of.cells(cells, columns)?);
                }
            }
            Ok(rows)
        }
        Body::Match { left, right, tolerance } => {
            Ok(matching::pairs((get(left.from)?, left), (get(right.from)?, right), tolerance.as_ref())?)
        }
    }
}

/// The rows of all objects, with the columns of the relation; the place is one of the row's, not of the input's.
fn read(relation: &Relation, input: &InputRows) -> Result<Vec<Vec<Value>>, Fault> {
    let number = |index: usize| i64::try_from(index).map(Value::Integer).map_err(|_| Fault::Overflow(Type::Integer));
    let at = |name: &str| input.columns.iter().position(|column| column == name);
    let mut rows = Vec::new();
    for (object, cells) in input.objects.iter().enumerate() {
        for (row, cells) in cells.iter().enumerate() {
            let cell = |column: &PlanColumn| match column.name.as_str() {
                "#object" => number(object),
                "#row" => number(row + 1),
                name => {
                    at(name).and_then(|at| cells.get(at)).cloned().ok_or(Fault::Plan("an input has no such column"))
                }
            };
            rows.push(relation.columns.iter().map(cell).collect::<Result<_, _>>()?);
        }
    }
    Ok(rows)
}

/// The row of an input that a row is made of.
fn origin(of: &Rows, cells: &[Value], place: Option<&Place>) -> Option<InputRow> {
    let place = place?;
    let cell = |column: ColumnId| match of.cell(cells, column) {
        Ok(Value::Integer(number)) => Some(*number),
        _ => None,
    };
    Some(InputRow { input: place.input.clone(), object: cell(place.object)?, row: cell(place.row)? })
}

fn project(
    of: &Rows,
    keep: &[ColumnId],
    compute: &[Computed],
    place: Option<&Place>,
) -> Result<Vec<Vec<Value>>, Failure> {
    let row = |cells: &Vec<Value>| {
        let mut new = of.cells(cells, keep)?;
        for Computed { column, expression } in compute {
            let value = (Row { of, cells }).value(expression);
            new.push(value.map_err(|fault| Failure { fault, column: Some(*column), row: origin(of, cells, place) })?);
        }
        Ok(new)
    };
    of.rows.iter().map(row).collect()
}

fn joined(join: JoinKind, left: &Rows, right: &Rows, keys: &[(ColumnId, ColumnId)]) -> Result<Vec<Vec<Value>>, Fault> {
    let (ones, twos): (Vec<ColumnId>, Vec<ColumnId>) = keys.iter().copied().unzip();
    let mut partners: HashMap<Vec<Value>, Vec<usize>> = HashMap::new();
    for (at, cells) in right.rows.iter().enumerate() {
        partners.entry(right.cells(cells, &twos)?).or_default().push(at);
    }
    let blanks = |rows: &Rows| vec![Value::Blank; rows.width];
    let (mut rows, mut met) = (Vec::new(), BTreeSet::new());
    for cells in &left.rows {
        let key = left.cells(cells, &ones)?;
        let found = if key.iter().any(Value::is_blank) { None } else { partners.get(&key) };
        match (join, found) {
            (JoinKind::Semi, Some(_)) | (JoinKind::Anti, None) => rows.push(cells.clone()),
            (JoinKind::Semi | JoinKind::Anti, _) | (JoinKind::Inner | JoinKind::Right, None) => {}
            (JoinKind::Left | JoinKind::Full, None) => rows.push([cells.clone(), blanks(right)].concat()),
            (_, Some(found)) => {
                for at in found {
                    met.insert(*at);
                    rows.extend(right.rows.get(*at).map(|other| [cells.as_slice(), other].concat()));
                }
            }
        }
    }
    if matches!(join, JoinKind::Right | JoinKind::Full) {
        let alone = right.rows.iter().enumerate().filter(|(at, _)| !met.contains(at));
        rows.extend(alone.map(|(_, cells)| [blanks(left), cells.clone()].concat()));
    }
    Ok(rows)
}

/// The rows of each cell of each row, with the columns of the relation.
fn unpivot(
    relation: &Relation,
    of: &Rows,
    unpivoted: &[UnpivotedCell],
    (name, value, ordinal): (ColumnId, ColumnId, ColumnId),
) -> Result<Vec<Vec<Value>>, Fault> {
    let mut rows = Vec::new();
    for cells in &of.rows {
        for (at, one) in (0..).zip(unpivoted) {
            let cell = |column: &PlanColumn| match column.id {
                id if id == name => Ok(Value::text(one.name.as_str())),
                id if id == value => of.cell(cells, one.column).cloned(),
                id if id == ordinal => Ok(Value::Integer(at)),
                id => of.cell(cells, id).cloned(),
            };
            rows.push(relation.columns.iter().map(cell).collect::<Result<_, _>>()?);
        }
    }
    Ok(rows)
}

fn aggregate(of: &Rows, keys: &[ColumnId], measures: &[Measure]) -> Result<Vec<Vec<Value>>, Failure> {
    let mut groups: BTreeMap<Vec<Value>, Vec<&Vec<Value>>> = BTreeMap::new();
    if keys.is_empty() {
        groups.insert(Vec::new(), Vec::new());
    }
    for cells in &of.rows {
        groups.entry(of.cells(cells, keys)?).or_default().push(cells);
    }
    let row = |(mut key, group): (Vec<Value>, Vec<&Vec<Value>>)| {
        for one in measures {
            let filled: Vec<&Value> = group.iter().map(|cells| of.cell(cells, one.of)).collect::<Result<_, _>>()?;
            let filled: Vec<&Value> = filled.into_iter().filter(|value| !value.is_blank()).collect();
            let value = measure(one, of.kind(one.of)?, &filled);
            key.push(value.map_err(|fault| Failure { fault, column: Some(one.column), row: None })?);
        }
        Ok(key)
    };
    groups.into_iter().map(row).collect()
}

fn measure(measure: &Measure, of: Type, filled: &[&Value]) -> Result<Value, Fault> {
    let count = |count: usize| i64::try_from(count).map(Value::Integer).map_err(|_| Fault::Overflow(Type::Integer));
    let sum = || -> Result<i128, Fault> {
        let units: Vec<i128> =
            filled.iter().map(|value| Ok(units(value)?.unwrap_or(0))).collect::<Result<_, Fault>>()?;
        decimal::sum(units).ok_or(Fault::Overflow(Type::Decimal(of.scale())))
    };
    match measure.function {
        Aggregation::Count => count(filled.len()),
        Aggregation::CountDistinct => count(filled.iter().collect::<BTreeSet<_>>().len()),
        Aggregation::Min => Ok(filled.iter().min().map_or(Value::Blank, |value| (*value).clone())),
        Aggregation::Max => Ok(filled.iter().max().map_or(Value::Blank, |value| (*value).clone())),
        _ if filled.is_empty() => Ok(Value::Blank),
        Aggregation::Sum => value(sum()?, measure.kind).ok_or(Fault::Overflow(measure.kind)),
        Aggregation::Average => {
            let count = i128::try_from(filled.len()).map_err(|_| Fault::Overflow(measure.kind))?;
            let average = decimal::divide((sum()?, of.scale()), (count, 0), measure.kind.scale(), Rounding::HalfUp);
            average.map(Value::Decimal).ok_or(Fault::Overflow(measure.kind))
        }
    }
}

/// The rows with a further cell each; or what is wrong, and at which row.
fn window(
    of: &Rows,
    function: WindowFunction,
    partition: &[ColumnId],
    order: &[OrderKey],
    kind: Type,
) -> Result<Vec<Vec<Value>>, (Fault, Option<usize>)> {
    let general = |fault| (fault, None);
    let mut states: HashMap<Vec<Value>, Value> = HashMap::new();
    let mut rows = Vec::with_capacity(of.rows.len());
    for at in of.sorted(order).map_err(general)? {
        let Some(cells) = of.rows.get(at) else { continue };
        let key = of.cells(cells, partition).map_err(general)?;
        let state = states.entry(key).or_insert(Value::Blank);
        *state = step(of, function, cells, state, kind).map_err(|fault| (fault, Some(at)))?;
        rows.push([cells.as_slice(), std::slice::from_ref(state)].concat());
    }
    Ok(rows)
}

/// What a window's column is in the row behind `before`.
fn step(of: &Rows, function: WindowFunction, cells: &[Value], before: &Value, kind: Type) -> Result<Value, Fault> {
    let overflow = Fault::Overflow(kind);
    match function {
        WindowFunction::RowNumber => {
            units(before)?.unwrap_or(0).checked_add(1).and_then(|number| value(number, kind)).ok_or(overflow)
        }
        WindowFunction::RunningSum { of: column } => {
            let sum = units(before)?.unwrap_or(0);
            let next = units(of.cell(cells, column)?)?.unwrap_or(0);
            sum.checked_add(next).and_then(|sum| value(sum, kind)).ok_or(overflow)
        }
        WindowFunction::LastValue { of: column } => {
            let here = of.cell(cells, column)?;
            Ok(if here.is_blank() { before.clone() } else { here.clone() })
        }
    }
}
