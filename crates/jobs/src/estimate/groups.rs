//! What row groups of Parquet take of the memory: each thread reads one, and holds all of its columns that are needed.

use std::collections::BTreeMap;

use reconcile::{
    plan::{Body, Plan, Relation, RelationId},
    task::TaskInput,
};

/// The most threads that a function has.
const THREADS: u64 = 6;
/// So many hundredths of the memory are for what is on its way between operators: the others are theirs.
const BETWEEN_PERCENT: u64 = 40;

/// The memory that an engine must have for the row groups that are read at once. A relation that several others are made of
/// is made before them.
pub(super) fn memory_bytes(plan: &Plan, inputs: &BTreeMap<String, TaskInput>, readers: &[u64]) -> u64 {
    let (mut held, mut most): (Vec<u64>, u64) = (Vec::with_capacity(plan.relations.len()), 0);
    for (relation, readers) in plan.relations.iter().zip(readers) {
        let sources = relation.body.sources();
        let mut of = sources.iter().map(|id: &RelationId| held.get(id.0 as usize).copied().unwrap_or(0));
        let bytes = match &relation.body {
            Body::Read { input } => inputs.get(input).map_or(0, |input| group(relation, input)),
            // One behind the other.
            Body::Union { .. } => of.max().unwrap_or(0),
            _ => of.try_fold(0, u64::checked_add).unwrap_or(u64::MAX),
        };
        most = most.max(bytes);
        let is_kept = *readers > 1 && !matches!(relation.body, Body::Read { .. });
        held.push(if is_kept { 0 } else { bytes });
    }
    (most / BETWEEN_PERCENT).saturating_mul(100).saturating_mul(THREADS)
}

/// The largest row group's columns that are read.
fn group(relation: &Relation, input: &TaskInput) -> u64 {
    let columns = relation.columns.iter().filter_map(|column| input.held.get(&column.name));
    columns.fold(0, |sum, bytes| sum.saturating_add(*bytes))
}
