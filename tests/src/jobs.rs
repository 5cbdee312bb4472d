//! Jobs for engines to be compared by: those of the operations' cases and as many random ones as are wanted, the data that they
//! read, and what is to come of them.
//!
//! Everything is a function of its seed: the same on every machine. What comes of a job is what `reconcile::reference` says.

mod columns;
mod expected;
mod maker;
mod parquet;
mod tables;
mod values;
mod write;

use std::collections::BTreeMap;

use reconcile::{
    Type, Value,
    cases::{Case, Expected as CaseExpected},
    operations,
    plan::Plan,
    reference::{Arrival, InputRows, OutputRows, run},
};
use serde_json::Value as Json;

pub use expected::failures;
pub use write::write;

use crate::dice::Dice;

/// An input's data.
#[derive(Debug, Clone)]
pub struct Data {
    /// Its columns.
    pub columns: Vec<(String, Type)>,
    /// The rows of each of its objects.
    pub objects: Vec<Vec<Vec<Value>>>,
}

/// A job, its plan, and the data that it reads.
#[derive(Debug, Clone)]
pub struct Example {
    /// What it is called: letters, digits and `-`.
    pub name: String,
    /// The document.
    pub job: Json,
    /// Its plan.
    pub plan: Plan,
    /// The data, by input.
    pub data: BTreeMap<String, Data>,
}

/// Where a job can fail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    /// The step.
    pub step: String,
    /// Its operation.
    pub operation: String,
    /// The column, where it is one.
    pub column: Option<String>,
}

/// What is to come of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its outputs.
    Outputs(BTreeMap<String, OutputRows>),
    /// It fails: at one of these places, because an engine may come to any of them first.
    Fails(Vec<Failure>),
}

impl Example {
    /// The random job of that seed.
    pub fn random(seed: u64) -> Self {
        maker::Maker::new(seed).example(format!("random-{seed}"))
    }

    /// The jobs of all cases of all operations, but for those that are refused.
    pub fn cases() -> Vec<Self> {
        let of = |kind: &'static operations::OperationKind| {
            let cases = (kind.cases)().into_iter().enumerate();
            cases.filter_map(move |(index, case)| of_case(&case, kind, index))
        };
        operations::all().iter().flat_map(of).collect()
    }

    /// The data as the reference engine reads it.
    pub fn inputs(&self) -> BTreeMap<String, InputRows> {
        let rows = |data: &Data| InputRows {
            columns: data.columns.iter().map(|(name, _)| name.clone()).collect(),
            objects: data.objects.clone(),
        };
        self.data.iter().map(|(name, data)| (name.clone(), rows(data))).collect()
    }

    /// What is to come of it.
    pub fn outcome(&self) -> Outcome {
        match run(&self.plan, &self.inputs(), Arrival::Forwards) {
            Ok(outputs) => Outcome::Outputs(outputs),
            Err(_) => Outcome::Fails(failures(&self.plan, &self.inputs())),
        }
    }
}

fn of_case(case: &Case, kind: &operations::OperationKind, index: usize) -> Option<Example> {
    if matches!(case.expected, CaseExpected::Refused(_)) {
        return None;
    }
    let results: Vec<&str> =
        if kind.results.is_empty() { vec![""] } else { kind.results.iter().map(|(name, _)| *name).collect() };
    let job = case.job(kind.name, &results)?;
    let plan = reconcile::Job::from_json(&job.to_string()).ok()?.plan(&BTreeMap::new()).ok()?.plan;
    let mut dice = Dice(index as u64);
    let mut data = BTreeMap::new();
    for (name, table) in &case.inputs {
        let OutputRows { columns, rows } = table.read()?;
        data.insert((*name).to_owned(), Data { columns, objects: parted(&mut dice, rows, 1) });
    }
    Some(Example { name: format!("case-{}-{index}", kind.name), job, plan, data })
}

/// The rows, cut into so many objects.
fn parted(dice: &mut Dice, rows: Vec<Vec<Value>>, objects: usize) -> Vec<Vec<Vec<Value>>> {
    let mut parts = Vec::new();
    let mut rest = rows;
    for _ in 1..objects {
        let tail = rest.split_off(dice.below(rest.len() as u64 + 1) as usize);
        parts.push(std::mem::replace(&mut rest, tail));
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_is_a_job_that_gives_the_same_in_any_order_of_arrival() {
        let (mut used, mut failed) = (BTreeSet::new(), 0);
        for seed in 0..150 {
            let example = Example::random(seed);
            assert_eq!(Example::random(seed).job, example.job);
            let found = [Arrival::Forwards, Arrival::Backwards, Arrival::Scattered].map(|arrival| {
                let mut found = run(&example.plan, &example.inputs(), arrival);
                for output in example.plan.outputs.iter().filter(|output| output.order.is_empty()) {
                    let rows = found.iter_mut().filter_map(|found| found.get_mut(&output.name));
                    rows.for_each(|output| output.rows.sort());
                }
                found
            });
            let [first, rest @ ..] = &found;
            for other in rest {
                assert_eq!(first.is_ok(), other.is_ok(), "{seed}\n{:#}", example.job);
                assert!(first.is_err() || other == first, "{seed}\n{:#}", example.job);
            }
            failed += usize::from(first.is_err());
            if let Outcome::Fails(places) = example.outcome() {
                for error in found.iter().filter_map(|one| one.as_ref().err()) {
                    assert!(!matches!(*error.fault, reconcile::Fault::Plan(_)), "{seed} {error}");
                    let place = Failure {
                        step: error.step.clone(),
                        operation: error.operation.clone(),
                        column: error.column.clone(),
                    };
                    assert!(places.contains(&place), "{seed} {place:?} {places:?}");
                }
            }
            let steps = example.job["steps"].as_array().into_iter().flatten();
            used.extend(steps.filter_map(|step| step["operation"].as_str().map(str::to_owned)));
        }
        let unused: Vec<&str> =
            operations::all().iter().map(|kind| kind.name).filter(|name| !used.contains(*name)).collect();
        assert_eq!(unused, [""; 0], "never made");
        assert!((5..75).contains(&failed), "{failed} of 150 fail");
    }

    #[test]
    fn cases_are_jobs() {
        let cases = Example::cases();
        let operations: BTreeSet<&str> = cases.iter().filter_map(|case| case.name.split('-').nth(1)).collect();
        assert_eq!(operations.len(), operations::all().len());
        assert!(cases.iter().any(|case| matches!(case.outcome(), Outcome::Fails(_))));
    }
}
