//! The model of compaction, cache and deletion: what must hold does, and no rule is idle.

use crate::checks::{breaks, holds, runs_end};
use ledger_model::compaction::{
    Budget, Compaction, Mutation,
    invariants::{CACHE, FETCHED, HISTORY, MONOTONE, NEEDED, READ, RESOLVABLE},
};

const BUDGET: Budget = Budget { compactions: 2, deletions: 2, repeats: 1, reads: 1, overstays: 1 };

fn broken(rule: Mutation) -> Compaction {
    Compaction { jobs: 3, budget: BUDGET, mutation: Some(rule) }
}

#[test]
fn compaction_holds() {
    let zombie = Budget { reads: 0, overstays: 0, ..BUDGET };
    holds("three jobs, two compactions, a zombie's put", Compaction { jobs: 3, budget: zombie, mutation: None });
    let reader = Budget { repeats: 0, ..BUDGET };
    holds("three jobs, two compactions, a slow reader", Compaction { jobs: 3, budget: reader, mutation: None });
}

#[test]
fn runs_of_compaction_end() {
    let budget = Budget { compactions: 1, deletions: 1, ..BUDGET };
    runs_end(Compaction { jobs: 2, budget, mutation: None });
}

#[test]
fn a_put_over_its_own_sequence_undoes_compaction() {
    breaks(broken(Mutation::EqualWins), RESOLVABLE);
}

#[test]
fn a_cache_by_artifact_serves_stale_versions() {
    breaks(broken(Mutation::CacheByArtifact), CACHE);
    breaks(broken(Mutation::CacheByArtifact), FETCHED);
    breaks(broken(Mutation::CacheByArtifact), READ);
}

#[test]
fn a_compaction_that_does_not_look_turns_the_index_back() {
    breaks(broken(Mutation::NoLocationCheck), MONOTONE);
}

#[test]
fn early_deletion_takes_what_is_needed() {
    breaks(broken(Mutation::EarlyDeletion), HISTORY);
    breaks(broken(Mutation::EarlyDeletion), NEEDED);
}

#[test]
fn deletion_that_forgets_copies_takes_what_compaction_is_about_to_name() {
    breaks(broken(Mutation::CopiesForgotten), RESOLVABLE);
}

/// One more read after a 404 is enough because deletion waits for readers, and one that overstays is an exception.
#[test]
fn a_reader_that_overstays_twice_may_get_nothing() {
    let budget = Budget { overstays: 2, ..BUDGET };
    breaks(Compaction { jobs: 3, budget, mutation: None }, READ);
}
