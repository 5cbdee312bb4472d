//! Random jobs.

use std::collections::BTreeMap;

use reconcile::{
    Job, Type,
    operations::{self, OperationKind},
};
use serde_json::{Map, Value as Json, json};

use super::{
    Data, Example, parted,
    values::{self, Taste},
};
use crate::dice::Dice;

/// What a step can be made of.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) columns: Vec<(String, Type)>,
}

impl Known {
    /// The columns that are such.
    pub(super) fn such(&self, such: impl Fn(Type) -> bool) -> Vec<String> {
        self.columns.iter().filter(|(_, kind)| such(*kind)).map(|(name, _)| name.clone()).collect()
    }
}

/// Makes a job, step by step; a step that the planner refuses is thrown away.
pub(super) struct Maker {
    pub(super) dice: Dice,
    pub(super) taste: Taste,
    inputs: Map<String, Json>,
    data: BTreeMap<String, Data>,
    steps: Vec<Json>,
    pub(super) known: Vec<Known>,
}

/// Before the two that many jobs end with.
const STEPS_MAX: u64 = 7;

/// Operations that bring two tables together.
const JOINS: [&str; 7] = ["join", "join", "vlookup", "xlookup", "match", "sumIfs", "append"];

/// Operations on whole tables that come behind others.
const BEHIND: [&str; 11] = [
    "filter",
    "filter",
    "select",
    "drop",
    "sort",
    "removeDuplicates",
    "flagDuplicates",
    "groupBy",
    "pivot",
    "unpivot",
    "runningTotal",
];

impl Maker {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed ^ 0x6a6f_6273);
        dice.next_number();
        let edges = if dice.below(3) == 0 { 20 } else { 0 };
        let taste = Taste { blanks: dice.pick(&[0, 10, 10, 30]), edges, strange: dice.pick(&[0, 30, 60]) };
        let mut maker =
            Self { dice, taste, inputs: Map::new(), data: BTreeMap::new(), steps: Vec::new(), known: Vec::new() };
        for name in ["a", "b", "c"].into_iter().take(1 + maker.dice.below(3) as usize) {
            maker.input(name);
        }
        maker
    }

    /// An input. All have columns in common, so that there are keys and things to append.
    fn input(&mut self, name: &str) {
        let mut columns =
            vec![("k".to_owned(), Type::Text), ("v".to_owned(), Type::Decimal(2)), ("n".to_owned(), Type::Integer)];
        for index in 0..self.dice.below(4) {
            columns.push((format!("x{index}"), values::kind(&mut self.dice)));
        }
        let rows = self.dice.pick(&[0, 1, 3, 8, 8, 20, 20]);
        let row = |maker: &mut Self| -> Vec<reconcile::Value> {
            columns.iter().map(|(_, kind)| values::value(&mut maker.dice, *kind, maker.taste)).collect()
        };
        let mut rows: Vec<Vec<reconcile::Value>> = (0..rows).map(|_| row(self)).collect();
        // Whole rows that are there twice, and rows with a value in one of two columns and its twin in the other.
        let again: Vec<_> = rows.iter().step_by(5).cloned().collect();
        let twins: Vec<_> = rows.iter().step_by(4).flat_map(|row| self.twins(&columns, row.clone())).collect();
        rows.extend(again.into_iter().chain(twins));
        let objects = 1 + self.dice.below(3) as usize;
        let typed: Vec<Json> = columns.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
        self.inputs.insert(name.to_owned(), json!({"format": "jsonLines", "objects": [name], "columns": typed}));
        self.known.push(Known { name: name.to_owned(), columns: columns.clone() });
        let objects = parted(&mut self.dice, rows, objects);
        self.data.insert(name.to_owned(), Data { columns, objects });
    }

    /// The row with only one of two columns of a type filled, as of debit and credit, and with only the other.
    fn twins(&mut self, columns: &[(String, Type)], mut row: Vec<reconcile::Value>) -> [Vec<reconcile::Value>; 2] {
        let one = self.dice.below(columns.len() as u64) as usize;
        let kind = columns.get(one).map(|(_, kind)| *kind);
        let other = columns.iter().rposition(|(_, other)| Some(*other) == kind).unwrap_or(one);
        if let Some(cell) = row.get_mut(other).filter(|_| one != other) {
            *cell = reconcile::Value::Blank;
        }
        let mut twin = row.clone();
        twin.swap(one, other);
        [row, twin]
    }

    /// The whole job.
    pub(super) fn example(mut self, name: String) -> Example {
        let wanted = 1 + self.dice.below(STEPS_MAX);
        for _ in 0..wanted * 6 {
            if self.steps.len() as u64 == wanted {
                break;
            }
            if let Some(kind) = self.operation() {
                self.step(kind);
            }
        }
        // People bring tables together for the step that comes right behind.
        if self.chance(50) {
            let ends = [self.dice.pick(&JOINS), self.dice.pick(&BEHIND)];
            ends.into_iter().filter_map(operations::find).for_each(|kind| self.step(kind));
        }
        let outputs = self.outputs();
        let options = if self.dice.below(6) == 0 { json!({"rowOrder": "any"}) } else { json!({}) };
        let job =
            json!({"version": 1, "inputs": self.inputs, "steps": self.steps, "outputs": outputs, "options": options});
        let planned = Job::from_json(&job.to_string()).and_then(|job| job.plan(&BTreeMap::new()));
        #[expect(clippy::panic, reason = "every step of it has been planned before")]
        let plan = planned.unwrap_or_else(|error| panic!("{error}\n{job:#}")).plan;
        Example { name, job, plan, data: self.data }
    }

    /// The last table, and up to two others, mostly what steps made.
    fn outputs(&mut self) -> Vec<Json> {
        let mut from: Vec<String> = self.known.last().map(|table| table.name.clone()).into_iter().collect();
        for _ in 0..self.dice.below(3) {
            let table = if self.steps.is_empty() || self.chance(10) { self.other() } else { self.table() }.name;
            if !from.contains(&table) {
                from.push(table);
            }
        }
        let mut output = |(index, from): (usize, &String)| match (format!("out{index}"), index % 3) {
            (name, 2) => json!({"name": name, "from": from, "format": "jsonLines"}),
            (name, _) => json!({"name": name, "from": from, "format": "csv", "formulaGuard": self.chance(40)}),
        };
        from.iter().enumerate().map(&mut output).collect()
    }

    /// Tries a step.
    fn step(&mut self, kind: &OperationKind) {
        let Some(mut step) = self.parameters(kind.name) else { return };
        let name = format!("s{}", self.steps.len() + 1);
        if let Some(map) = step.as_object_mut() {
            map.insert("name".to_owned(), json!(name));
            map.insert("operation".to_owned(), json!(kind.name));
        }
        let results: Vec<String> = if kind.results.is_empty() {
            vec![name]
        } else {
            kind.results.iter().map(|(result, _)| format!("{name}.{result}")).collect()
        };
        let outputs: Vec<Json> = results
            .iter()
            .enumerate()
            .map(|(index, from)| json!({"name": format!("out{index}"), "from": from, "format": "csv"}))
            .collect();
        self.steps.push(step);
        let job = json!({"version": 1, "inputs": self.inputs, "steps": self.steps, "outputs": outputs});
        match Job::from_json(&job.to_string()).and_then(|job| job.plan(&BTreeMap::new())) {
            Ok(planned) => {
                for (name, output) in results.into_iter().zip(planned.plan.outputs) {
                    let columns = output.columns.into_iter().map(|column| (column.name, column.kind)).collect();
                    self.known.push(Known { name, columns });
                }
            }
            Err(_) => {
                self.steps.pop();
            }
        }
    }

    /// An operation: any, or one on whole tables, where sides, order and what is left of a row can be mistaken.
    fn operation(&mut self) -> Option<&'static OperationKind> {
        match self.dice.below(5) {
            0 => operations::find(self.dice.pick(&JOINS)),
            1 | 2 => operations::find(self.dice.pick(&BEHIND)),
            _ => {
                let kinds = operations::all();
                kinds.get(self.dice.below(kinds.len() as u64) as usize)
            }
        }
    }

    /// A table to go on from: mostly the last, as in jobs of people.
    pub(super) fn table(&mut self) -> Known {
        let count = self.known.len();
        let among = self.dice.pick(&[1, 1, 1, 3, 3, count]).min(count);
        let back = 1 + self.dice.below(among as u64);
        self.at(count as u64 - back)
    }

    /// Any table.
    pub(super) fn other(&mut self) -> Known {
        let at = self.dice.below(self.known.len() as u64);
        self.at(at)
    }

    #[expect(clippy::indexing_slicing, reason = "there is an input at least")]
    fn at(&self, at: u64) -> Known {
        self.known[at as usize].clone()
    }

    /// One of them.
    pub(super) fn one(&mut self, of: &[String]) -> Option<String> {
        if of.is_empty() { None } else { of.get(self.dice.below(of.len() as u64) as usize).cloned() }
    }

    /// Some of them, in any order, one at least if there is one.
    pub(super) fn some(&mut self, of: &[String], most: u64) -> Vec<String> {
        let mut left = of.to_vec();
        let mut taken = Vec::new();
        for _ in 0..1 + self.dice.below(most) {
            if !left.is_empty() {
                taken.push(left.swap_remove(self.dice.below(left.len() as u64) as usize));
            }
        }
        taken
    }

    /// Whether it happens, so many times in a hundred.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.dice.below(100) < percent
    }

    /// A value of that type, as jobs write it.
    pub(super) fn literal(&mut self, kind: Type) -> Json {
        let value = values::filled(&mut self.dice, kind, Taste { edges: self.taste.edges / 2, ..self.taste });
        match value {
            reconcile::Value::Integer(number) => json!(number),
            reconcile::Value::Boolean(truth) => json!(truth),
            _ => json!(kind.format(&value)),
        }
    }

    /// A name for a column: a new one, or one that is there.
    pub(super) fn result(&mut self, table: &Known) -> String {
        if self.chance(15) {
            let names = table.such(|_| true);
            return self.one(&names).unwrap_or_default();
        }
        format!("y{}", table.columns.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operations_of_the_lists_are_there() {
        let mut names = JOINS.iter().chain(&BEHIND);
        assert_eq!(names.find(|name| operations::find(name).is_none()), None);
    }
}
