//! Where a job fails.

use std::collections::{BTreeMap, BTreeSet};

use reconcile::{
    plan::{Body, OrderKey, Plan, PlanOutput, Relation, RelationId},
    reference::{Arrival, InputRows, run},
};

use super::Failure;

/// All the places at which a plan can fail on this data. The reference engine stops at the first; another may come to one of a
/// later relation or column before. What is made of a failed relation is no such place.
pub fn failures(plan: &Plan, inputs: &BTreeMap<String, InputRows>) -> Vec<Failure> {
    let mut found = BTreeSet::new();
    for (index, relation) in plan.relations.iter().enumerate() {
        let columns = match &relation.body {
            Body::Project { compute, .. } => compute.len(),
            Body::Aggregate { measures, .. } => measures.len(),
            _ => 1,
        };
        for column in 0..columns.max(1) {
            if let Err(error) = run(&only(plan, index, column), inputs, Arrival::Forwards) {
                found.insert(Failure { step: error.step, operation: error.operation, column: error.column });
            }
        }
    }
    found.into_iter().collect()
}

/// The plan as far as that relation, which computes one column, and without what that relation is not made of.
fn only(plan: &Plan, last: usize, column: usize) -> Plan {
    let mut wanted = BTreeSet::from([last]);
    let mut relations: Vec<Relation> = plan.relations.iter().take(last + 1).cloned().collect();
    for (index, relation) in relations.iter_mut().enumerate().rev() {
        if wanted.contains(&index) {
            wanted.extend(relation.body.sources().into_iter().map(|source| source.0 as usize));
        } else {
            relation.body = Body::Union { sources: Vec::new() };
        }
        if index == last {
            keep(&mut relation.body, column);
        }
    }
    let from = RelationId(u32::try_from(last).unwrap_or(u32::MAX));
    let format = reconcile::Format::Csv;
    let order: Vec<OrderKey> = Vec::new();
    let name = "output".to_owned();
    let output = PlanOutput { name, format, formula_guard: false, from, columns: Vec::new(), order };
    Plan { version: plan.version, relations, outputs: vec![output] }
}

fn keep(body: &mut Body, column: usize) {
    match body {
        Body::Project { compute, .. } => *compute = compute.iter().skip(column).take(1).cloned().collect(),
        Body::Aggregate { measures, .. } => *measures = measures.iter().skip(column).take(1).cloned().collect(),
        _ => {}
    }
}
