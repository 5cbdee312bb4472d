//! Cases: examples that are documentation and tests.
//!
//! A case has input tables, perhaps steps before, a step's parameters, and what comes of them. A row is written as text,
//! with `|` between cells; a cell in double quotes keeps its spaces.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::{
    error::RunError,
    job::{InputColumn, Job},
    plan::Plan,
    reference::{Arrival, InputRows, OutputRows, run},
    types::{Type, Value},
};

/// A table as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseTable {
    /// `name: type | name: type`.
    pub header: &'static str,
    /// Cells with `|` between them.
    pub rows: &'static [&'static str],
}

/// What comes of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// These results, by name; the name of a single result is empty.
    Tables(Vec<(&'static str, CaseTable)>),
    /// The job is refused, in words such as these.
    Refused(&'static str),
    /// The job fails while it runs, in words such as these.
    Fails(&'static str),
}

/// An example.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it shows.
    pub title: &'static str,
    /// The tables that it takes.
    pub inputs: Vec<(&'static str, CaseTable)>,
    /// Steps before it, as they stand in a job.
    pub before: Vec<&'static str>,
    /// The step's parameters, as JSON.
    pub parameters: &'static str,
    /// What comes of it.
    pub expected: Expected,
}

impl Case {
    /// A case that shows this.
    pub fn new(title: &'static str) -> Self {
        Self { title, inputs: Vec::new(), before: Vec::new(), parameters: "{}", expected: Expected::Tables(Vec::new()) }
    }

    /// With that input.
    #[must_use]
    pub fn input(mut self, name: &'static str, header: &'static str, rows: &'static [&'static str]) -> Self {
        self.inputs.push((name, CaseTable { header, rows }));
        self
    }

    /// With that step before it, as it stands in a job.
    #[must_use]
    pub fn after(mut self, step: &'static str) -> Self {
        self.before.push(step);
        self
    }

    /// With these parameters.
    #[must_use]
    pub const fn step(mut self, parameters: &'static str) -> Self {
        self.parameters = parameters;
        self
    }

    /// It gives that table.
    #[must_use]
    pub fn gives(self, header: &'static str, rows: &'static [&'static str]) -> Self {
        self.result("", header, rows)
    }

    /// It gives that table under that name.
    #[must_use]
    pub fn result(mut self, name: &'static str, header: &'static str, rows: &'static [&'static str]) -> Self {
        if let Expected::Tables(tables) = &mut self.expected {
            tables.push((name, CaseTable { header, rows }));
        }
        self
    }

    /// It is refused, in words such as these.
    #[must_use]
    pub fn refused(mut self, words: &'static str) -> Self {
        self.expected = Expected::Refused(words);
        self
    }

    /// It fails while it runs, in words such as these.
    #[must_use]
    pub fn fails(mut self, words: &'static str) -> Self {
        self.expected = Expected::Fails(words);
        self
    }
}

/// The cells of a row, without the spaces around them.
pub fn cells(row: &str) -> Vec<&str> {
    let plain = |cell: &str| -> usize { cell.len() };
    let trimmed = row.split('|').map(str::trim);
    trimmed
        .map(|cell| {
            cell.strip_prefix('"')
                .and_then(|cell| cell.strip_suffix('"'))
                .filter(|cell| plain(cell) > 0)
                .unwrap_or(cell)
        })
        .collect()
}

/// Names and types of a header.
pub fn header(header: &str) -> Option<Vec<InputColumn>> {
    let column = |text: &str| {
        let (name, kind) = text.rsplit_once(':')?;
        Some(InputColumn::new(name.trim().to_owned(), kind.trim().parse().ok()?))
    };
    header.split('|').map(column).collect()
}

fn values(columns: &[InputColumn], row: &str) -> Option<Vec<Value>> {
    let cells = cells(row);
    (cells.len() == columns.len())
        .then(|| columns.iter().zip(cells).map(|(column, cell)| column.kind.parse(cell)).collect())?
}

impl CaseTable {
    /// Its columns and rows; `None` where it is not well written.
    pub fn read(&self) -> Option<OutputRows> {
        let columns = header(self.header)?;
        let rows = self.rows.iter().map(|row| values(&columns, row)).collect::<Option<_>>()?;
        Some(OutputRows { columns: columns.into_iter().map(|column| (column.name, column.kind)).collect(), rows })
    }
}

impl Case {
    /// The job that the case is.
    pub fn job(&self, operation: &str, results: &[&str]) -> Option<Json> {
        let mut step: Json = serde_json::from_str(self.parameters).ok()?;
        let map = step.as_object_mut()?;
        map.insert("name".to_owned(), Json::from("step"));
        map.insert("operation".to_owned(), Json::from(operation));
        let mut inputs = serde_json::Map::new();
        for (name, table) in &self.inputs {
            let columns: Vec<Json> =
                header(table.header)?.iter().map(|one| json!({"name": one.name, "type": one.kind})).collect();
            inputs.insert((*name).to_owned(), json!({"format": "jsonLines", "objects": [name], "columns": columns}));
        }
        let of = |result: &&str| {
            let (name, from) =
                if result.is_empty() { ("result", "step".to_owned()) } else { (*result, format!("step.{result}")) };
            json!({"name": name, "from": from, "format": "csv"})
        };
        let outputs: Vec<Json> = results.iter().map(of).collect();
        let before = self.before.iter().map(|step| serde_json::from_str(step));
        let steps: Vec<Json> = before.chain([Ok(step)]).collect::<Result<_, _>>().ok()?;
        Some(json!({"version": 1, "inputs": inputs, "steps": steps, "outputs": outputs}))
    }

    /// Runs the case. What is wrong, if it does not do what it says.
    pub fn check(&self, operation: &str, all_results: &[(&str, &str)]) -> Result<(), String> {
        let all: Vec<&str> =
            if all_results.is_empty() { vec![""] } else { all_results.iter().map(|(name, _)| *name).collect() };
        let job = self.job(operation, &all).ok_or("the case is not well written")?.to_string();
        let planned = Job::from_json(&job).and_then(|job| job.plan(&BTreeMap::new()));
        let planned = match (planned, &self.expected) {
            (Err(error), Expected::Refused(words)) if error.to_string().contains(words) => return Ok(()),
            (Err(error), _) => return Err(format!("refused: {error}")),
            (Ok(_), Expected::Refused(words)) => return Err(format!("should be refused: {words}")),
            (Ok(planned), _) => planned,
        };
        let stored = serde_json::to_string(&planned.plan).map_err(|error| error.to_string())?;
        let plan = Plan::from_json(&stored).map_err(|error| error.to_string())?;
        if plan != planned.plan {
            return Err("the stored plan is another one".to_owned());
        }
        for arrival in [Arrival::Forwards, Arrival::Backwards, Arrival::Scattered] {
            let found = self.run(&plan, arrival)?;
            self.compare(found).map_err(|problem| format!("{arrival:?}: {problem}"))?;
        }
        Ok(())
    }

    /// Runs the case's plan on the reference engine.
    fn run(&self, plan: &Plan, arrival: Arrival) -> Result<Result<BTreeMap<String, OutputRows>, RunError>, String> {
        let mut inputs = BTreeMap::new();
        for (name, table) in &self.inputs {
            let OutputRows { columns, rows } =
                table.read().ok_or_else(|| format!("input {name} is not well written"))?;
            let columns = columns.into_iter().map(|(name, _)| name).collect();
            inputs.insert((*name).to_owned(), InputRows { columns, objects: vec![rows] });
        }
        Ok(run(plan, &inputs, arrival))
    }

    fn compare(&self, found: Result<BTreeMap<String, OutputRows>, RunError>) -> Result<(), String> {
        let (found, tables) = match (found, &self.expected) {
            (Ok(found), Expected::Tables(tables)) => (found, tables),
            (Err(error), Expected::Fails(words)) if error.to_string().contains(words) => return Ok(()),
            (Err(error), _) => return Err(format!("fails: {error}")),
            (Ok(_), _) => return Err("should fail".to_owned()),
        };
        if tables.is_empty() {
            return Err("the case expects nothing".to_owned());
        }
        for (name, table) in tables {
            let expected = table.read().ok_or_else(|| format!("result {name:?} is not well written"))?;
            let name = if name.is_empty() { "result" } else { name };
            let found = found.get(name).ok_or_else(|| format!("there is no result {name:?}"))?;
            if *found != expected {
                return Err(format!("{name}: expected\n{expected}found\n{found}"));
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for OutputRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let header: Vec<String> = self.columns.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
        writeln!(f, "{}", header.join(" | "))?;
        for row in &self.rows {
            let cell = |((_, kind), value): (&(String, Type), &Value)| kind.format(value);
            writeln!(f, "{}", self.columns.iter().zip(row).map(cell).collect::<Vec<_>>().join(" | "))?;
        }
        Ok(())
    }
}
