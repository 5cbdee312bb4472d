//! Random jobs.

use std::collections::BTreeMap;

use reconcile::{Job, Type, operations};
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

const STEPS_MAX: u64 = 7;

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
        // Whole rows that are there twice.
        let again: Vec<_> = rows.iter().step_by(5).cloned().collect();
        rows.extend(again);
        let objects = 1 + self.dice.below(3) as usize;
        let typed: Vec<Json> = columns.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
        self.inputs.insert(name.to_owned(), json!({"format": "jsonLines", "objects": [name], "columns": typed}));
        self.known.push(Known { name: name.to_owned(), columns: columns.clone() });
        let objects = parted(&mut self.dice, rows, objects);
        self.data.insert(name.to_owned(), Data { columns, objects });
    }

    /// The whole job.
    pub(super) fn example(mut self, name: String) -> Example {
        let wanted = 1 + self.dice.below(STEPS_MAX);
        for _ in 0..wanted * 6 {
            if self.steps.len() as u64 == wanted {
                break;
            }
            self.step();
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

    /// The last table, and up to two others.
    fn outputs(&mut self) -> Vec<Json> {
        let mut from: Vec<String> = self.known.last().map(|table| table.name.clone()).into_iter().collect();
        for _ in 0..self.dice.below(3) {
            let table = self.table().name;
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
    fn step(&mut self) {
        let kinds = operations::all();
        let Some(kind) = kinds.get(self.dice.below(kinds.len() as u64) as usize) else { return };
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

    /// A table, more likely one of the last.
    #[expect(clippy::indexing_slicing, reason = "there is an input at least")]
    pub(super) fn table(&mut self) -> Known {
        let count = self.known.len() as u64;
        let at =
            if self.dice.below(2) == 0 { count - 1 - self.dice.below(count.min(3)) } else { self.dice.below(count) };
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
