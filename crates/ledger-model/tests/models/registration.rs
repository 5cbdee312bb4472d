//! The model of registration and grouping: what must hold does, and no rule is idle.

use crate::checks::{breaks, holds, runs_end};
use ledger_model::registration::{
    Budget, Manifest, Mutation, Registration,
    invariants::{DENSE, DISJOINT, ENDS, ONE_JOB},
};

const fn manifest(batch: u8, digest: u8, from: u8, to: u8) -> Manifest {
    Manifest { batch, digest, from, to }
}

/// One batch sent twice, the same with another content, its neighbour, and one that overlaps the neighbour.
const CALLS: [Manifest; 5] =
    [manifest(1, 1, 0, 1), manifest(1, 1, 0, 1), manifest(1, 2, 0, 1), manifest(2, 1, 1, 2), manifest(3, 1, 1, 3)];

fn registration() -> Registration {
    let budget = Budget { losses: 1, voids: 1 };
    Registration { calls: CALLS.to_vec(), managers: 2, budget, mutation: None }
}

fn broken(rule: Mutation) -> Registration {
    Registration { mutation: Some(rule), ..registration() }
}

#[test]
fn registration_holds() {
    holds("five calls, two managers, a lost answer, a void job", registration());
}

#[test]
fn runs_of_registration_end() {
    let calls = CALLS[1..4].to_vec();
    runs_end(Registration { calls, ..registration() });
}

#[test]
fn an_atomic_counter_burns_numbers() {
    breaks(broken(Mutation::AtomicCounter), DENSE);
    breaks(broken(Mutation::AtomicCounter), ENDS);
}

#[test]
fn overlaps_looked_for_before_n_is_read_get_through() {
    breaks(broken(Mutation::OverlapsCheckedFirst), DISJOINT);
}

#[test]
fn grouping_in_two_writes_puts_a_batch_into_two_jobs() {
    breaks(broken(Mutation::GroupedApart), ONE_JOB);
}
