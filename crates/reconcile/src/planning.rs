//! From a job to its plan.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    error::PlanError,
    expression::Expression,
    job::{InputColumn, InputFormat, Job, LEDGER_KEY, LEDGER_SEQUENCE, RowOrder, Step},
    operations,
    parameters::TableName,
    plan::{OrderKey, Plan, PlanOutput, WindowFunction},
    planner::{Draft, StepPlan, Table},
    pruning::prune,
    types::Type,
};

/// A plan, and what its author may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// What is no error but may be a mistake.
    pub warnings: Vec<String>,
}

impl Job {
    /// The job's plan. `found` has the columns of inputs that do not say all themselves: those of feeds and of
    /// Parquet files.
    pub fn plan(&self, found: &BTreeMap<String, Vec<InputColumn>>) -> Result<Planned, PlanError> {
        let mut draft = Draft::default();
        let mut tables = BTreeMap::new();
        for (name, input) in &self.inputs {
            let columns = input.schema(name, found.get(name).map(Vec::as_slice))?;
            let table = match input.format {
                InputFormat::Ledger => latest_versions(&mut draft, name, columns)?,
                InputFormat::Csv | InputFormat::JsonLines | InputFormat::Parquet => draft.read(name, &columns),
            };
            tables.insert(name.clone(), table);
        }
        for step in self.in_order()? {
            let mut planner =
                StepPlan { draft: &mut draft, tables: &tables, step: &step.name, operation: step.operation };
            let results = step.work.plan(&mut planner)?;
            for (_, table) in &results.0 {
                planner.sound(table)?;
            }
            for (suffix, table) in results.0 {
                let name = suffix.map_or_else(|| step.name.clone(), |suffix| format!("{}.{suffix}", step.name));
                tables.insert(name, table);
            }
        }
        let mut outputs = self.outputs(&tables)?;
        let relations = prune(draft.relations, &mut outputs);
        let plan = Plan { version: Plan::VERSION, relations, outputs };
        Ok(Planned { plan, warnings: self.unused() })
    }

    fn outputs(&self, tables: &BTreeMap<String, Table>) -> Result<Vec<PlanOutput>, PlanError> {
        let output = |(index, output): (usize, &crate::job::Output)| {
            let table = tables
                .get(output.from.as_str())
                .ok_or_else(|| PlanError::document(format!("outputs[{index}].from"), self.unknown(&output.from)))?;
            let order = if self.options.row_order == RowOrder::Any { Vec::new() } else { table.order.clone() };
            let (name, columns) = (output.name.clone(), table.columns.clone());
            let (format, formula_guard, from) = (output.format, output.formula_guard, table.relation);
            Ok(PlanOutput { name, format, formula_guard, from, columns, order })
        };
        self.outputs.iter().enumerate().map(output).collect()
    }

    /// What a name that means nothing may have meant.
    fn unknown(&self, name: &TableName) -> String {
        let (step, _) = split(name);
        match self.steps.iter().find(|other| other.name == step).and_then(|step| operations::find(step.operation)) {
            Some(kind) if kind.results.is_empty() => format!("step {step:?} has one result: say {step:?}"),
            Some(kind) => {
                let results = kind.results.iter().map(|(result, _)| format!("{step}.{result}"));
                format!("step {step:?} has several results: say one of {}", results.collect::<Vec<_>>().join(", "))
            }
            None => format!("there is no input or step {name}"),
        }
    }

    /// Whether a name is that of an input or of a step's result.
    fn known(&self, name: &TableName) -> bool {
        let (step, result) = split(name);
        let of_step = |step: &Step| {
            let results = operations::find(step.operation).map_or(&[][..], |kind| kind.results);
            match result {
                None => results.is_empty(),
                Some(result) => results.iter().any(|(name, _)| *name == result),
            }
        };
        self.inputs.contains_key(name.as_str()) || self.steps.iter().any(|other| other.name == step && of_step(other))
    }

    /// The steps, each behind those whose results it takes; as they are written where that leaves a choice.
    fn in_order(&self) -> Result<Vec<&Step>, PlanError> {
        let mut done: BTreeSet<&str> = self.inputs.keys().map(String::as_str).collect();
        let mut ordered = Vec::new();
        let mut left: Vec<(usize, &Step)> = self.steps.iter().enumerate().collect();
        for (index, step) in &left {
            if let Some((parameter, name)) = step.work.tables().into_iter().find(|(_, name)| !self.known(name)) {
                return Err(PlanError::document(format!("steps[{index}].{parameter}"), self.unknown(name)));
            }
        }
        while !left.is_empty() {
            let ready = |step: &Step| step.work.tables().iter().all(|(_, name)| done.contains(split(name).0));
            let Some(at) = left.iter().position(|(_, step)| ready(step)) else {
                return Err(circle(&left, &done));
            };
            let (_, step) = left.remove(at);
            done.insert(&step.name);
            ordered.push(step);
        }
        Ok(ordered)
    }

    /// Inputs and steps that no output comes of.
    fn unused(&self) -> Vec<String> {
        let steps: BTreeMap<&str, &Step> = self.steps.iter().map(|step| (step.name.as_str(), step)).collect();
        let mut open: Vec<&str> = self.outputs.iter().map(|output| split(&output.from).0).collect();
        let mut used = BTreeSet::new();
        while let Some(name) = open.pop() {
            if used.insert(name) {
                let of = steps.get(name).map(|step| step.work.tables());
                open.extend(of.into_iter().flatten().map(|(_, name)| split(name).0));
            }
        }
        let inputs = self.inputs.keys().filter(|name| !used.contains(name.as_str()));
        let steps = self.steps.iter().filter(|step| !used.contains(step.name.as_str()));
        let inputs = inputs.map(|name| format!("input {name:?} is not used"));
        inputs.chain(steps.map(|step| format!("step {:?} is not run: no output comes of it", step.name))).collect()
    }
}

/// A ledger: of all versions of each artifact that its files have the latest, in the order of the keys. How events came in
/// batches makes no difference to that order.
fn latest_versions(draft: &mut Draft, name: &str, columns: Vec<(String, Type)>) -> Result<Table, PlanError> {
    let mut read = columns.clone();
    for (needed, kind) in [(LEDGER_KEY, Type::Text), (LEDGER_SEQUENCE, Type::Integer)] {
        match columns.iter().find(|(column, _)| column == needed) {
            None => read.push((needed.to_owned(), kind)),
            Some((_, other)) if *other == kind => {}
            Some((_, other)) => {
                let problem = format!("column {needed:?} of a ledger is {kind}, and cannot be read as {other}");
                return Err(PlanError::input(name, problem));
            }
        }
    }
    let mut table = draft.read(name, &read);
    let number = |wanted: &str| table.find(wanted).map(|column| column.id);
    let missing = || PlanError::input(name, "a ledger without keys");
    let (key, sequence) = number(LEDGER_KEY).zip(number(LEDGER_SEQUENCE)).ok_or_else(missing)?;
    // The place tells apart what a sequence should.
    let newest = OrderKey::descending(sequence);
    let order = std::iter::once(newest).chain(table.order.iter().copied()).collect();
    let nothing = BTreeMap::new();
    let mut planner = StepPlan { draft, tables: &nothing, step: name, operation: "input" };
    let (numbered, version) = planner.window(&table, WindowFunction::RowNumber, vec![key], order, Type::Integer);
    let latest = Expression::Column { id: version, kind: Type::Integer }.equals(Expression::integer(1));
    table = planner.filter(&numbered, latest);
    table.columns.truncate(columns.len());
    table.order = vec![OrderKey::ascending(key)];
    Ok(table)
}

/// The step or input, and the result.
fn split(name: &TableName) -> (&str, Option<&str>) {
    match name.as_str().split_once('.') {
        Some((step, result)) => (step, Some(result)),
        None => (name.as_str(), None),
    }
}

/// The error that names steps which wait for one another.
fn circle(left: &[(usize, &Step)], done: &BTreeSet<&str>) -> PlanError {
    let waits_for = |step: &Step| {
        let names = step.work.tables();
        let names = names.iter().map(|(_, name)| split(name).0).find(|name| !done.contains(name));
        names.and_then(|name| left.iter().find(|(_, other)| other.name == name)).copied()
    };
    let mut walk: Vec<(usize, &Step)> = left.iter().take(1).copied().collect();
    while let Some(next) = walk.last().and_then(|(_, step)| waits_for(step)) {
        if let Some(begin) = walk.iter().position(|(index, _)| *index == next.0) {
            let names = walk.iter().skip(begin).chain([&next]).map(|(_, step)| format!("{:?}", step.name));
            let names: Vec<String> = names.collect();
            let problem =
                format!("the steps go in a circle, each takes what the next one gives: {}", names.join(" ← "));
            return PlanError::document(format!("steps[{}]", next.0), problem);
        }
        walk.push(next);
    }
    PlanError::document("steps", "the steps go in a circle")
}

impl StepPlan<'_> {
    /// Every column of a result has a name of its own.
    fn sound(&self, table: &Table) -> Result<(), PlanError> {
        if table.columns.is_empty() {
            return Err(self.fail("the result would have no columns"));
        }
        let mut names = BTreeSet::new();
        for column in &table.columns {
            if column.name.is_empty() || column.name.starts_with('#') {
                return Err(self.fail_on(&column.name, "a name has characters, and does not begin with #"));
            }
            if !names.insert(&column.name) {
                return Err(
                    self.fail_on(&column.name, "the result would have two columns of this name: rename one of them")
                );
            }
        }
        Ok(())
    }
}
