//! The model of the stages: what must hold does, and no rule is idle.

use crate::checks::{breaks, holds, keeps, runs_end};
use ledger_model::stages::{
    Bounds, Keys, Mutation, Stages, Touch,
    invariants::{ENDS, EXACT, GUARDS, INDEXED, LOOK_UPS, MONOTONE, NAMED_EXACT, RESOLVABLE, VOID},
};

const BOTH: Keys = [Touch::New, Touch::New];
const ONE: Keys = [Touch::New, Touch::No];
/// Has nothing new for the first key.
const KNOWN: Keys = [Touch::Known, Touch::New];

fn stages(jobs: &[Keys], [restarts, voids, repeats]: [u8; 3]) -> Stages {
    let bounds = Bounds { jobs: jobs.to_vec(), restarts, voids, repeats };
    Stages { bounds, mutation: None, greater_wins: false }
}

/// Four jobs on two keys, small enough to find faults in; the rule is broken.
fn broken(rule: Mutation) -> Stages {
    Stages { mutation: Some(rule), ..stages(&[BOTH, ONE, BOTH, ONE], [1, 0, 0]) }
}

/// Three jobs, one of which is voided; the rule is broken.
fn broken_void(rule: Mutation) -> Stages {
    Stages { mutation: Some(rule), ..stages(&[BOTH, ONE, BOTH], [0, 1, 0]) }
}

#[test]
fn stages_hold_with_zombies() {
    holds("four jobs, two zombie attempts", stages(&[BOTH, ONE, BOTH, ONE], [2, 0, 0]));
}

/// A job that has nothing new for a key leaves a hole in its line of versions.
#[test]
fn stages_hold_where_a_job_makes_no_version() {
    holds("four jobs, one with nothing new, one zombie attempt", stages(&[BOTH, KNOWN, BOTH, ONE], [1, 0, 0]));
    holds("three jobs, one with nothing new, one void", stages(&[ONE, KNOWN, BOTH], [1, 1, 0]));
}

#[test]
fn stages_hold_with_skip_and_pass() {
    holds("three jobs, one void, one zombie attempt, one repeated put", stages(&[BOTH, ONE, BOTH], [1, 1, 1]));
}

#[test]
fn runs_of_the_stages_end() {
    runs_end(stages(&[BOTH, ONE], [1, 1, 1]));
}

#[test]
fn without_the_overlay_updates_are_lost() {
    breaks(broken(Mutation::NoOverlay), EXACT);
}

#[test]
fn an_overlay_that_begins_late_loses_updates() {
    breaks(broken(Mutation::OverlayFromSnapshotPlusTwo), EXACT);
}

#[test]
fn a_prefetched_version_that_always_wins_loses_updates() {
    breaks(broken(Mutation::PrefetchedAlwaysWins), EXACT);
}

#[test]
fn sequences_compared_as_text_lose_updates() {
    breaks(broken(Mutation::SequencesAsText), EXACT);
}

#[test]
fn a_snapshot_read_after_the_look_ups_loses_updates() {
    breaks(broken(Mutation::SnapshotAfterLookUps), EXACT);
}

#[test]
fn eventual_reads_lose_updates() {
    breaks(broken(Mutation::EventualReads), EXACT);
}

#[test]
fn an_unprocessed_key_taken_as_absent_loses_updates() {
    breaks(broken(Mutation::UnprocessedAsAbsent), EXACT);
}

#[test]
fn an_unconditional_put_lets_a_zombie_turn_the_index_back() {
    breaks(broken(Mutation::UnconditionalPut), MONOTONE);
    breaks(broken(Mutation::UnconditionalPut), INDEXED);
}

#[test]
fn on_a_shared_path_a_zombie_overwrites_what_was_committed() {
    breaks(broken(Mutation::SharedOutputPath), RESOLVABLE);
}

#[test]
fn a_job_applied_again_is_counted_twice() {
    breaks(broken(Mutation::ApplyAgain), EXACT);
}

#[test]
fn after_a_late_skip_versions_refer_to_void() {
    breaks(broken_void(Mutation::LateSkip), VOID);
}

/// Its prefetch finds versions with greater numbers, takes itself for a zombie, and never ends (rule 8).
#[test]
fn a_job_that_passes_and_keeps_its_number_never_ends() {
    breaks(broken_void(Mutation::PassKeepsNumber), LOOK_UPS);
    breaks(broken_void(Mutation::PassKeepsNumber), ENDS);
}

#[test]
fn a_cursor_ahead_of_acknowledgement_leaves_jobs_unindexed() {
    breaks(broken(Mutation::CursorAheadOfAcknowledgement), INDEXED);
}

/// Rule 11's "equal to previous" is a guard: as long as no other rule is broken, "greater wins" does the same.
#[test]
fn stages_hold_if_greater_wins() {
    let stages = Stages { greater_wins: true, ..stages(&[BOTH, ONE, BOTH], [1, 1, 0]) };
    holds("three jobs, one void, one zombie attempt, greater wins", stages);
}

/// What loses updates is stopped by rule 11 before a reader can see it, and by nothing else.
#[test]
fn the_put_catches_lost_updates_in_the_act() {
    let jobs = [BOTH, ONE, BOTH, ONE];
    let strict = |rule| Stages { mutation: Some(rule), ..stages(&jobs, [0, 0, 0]) };
    let weak = |rule| Stages { greater_wins: true, ..strict(rule) };
    for rule in [
        Mutation::NoOverlay,
        Mutation::OverlayFromSnapshotPlusTwo,
        Mutation::SnapshotAfterLookUps,
        Mutation::EventualReads,
        Mutation::UnprocessedAsAbsent,
    ] {
        breaks(strict(rule), GUARDS);
        keeps(strict(rule), NAMED_EXACT);
        breaks(weak(rule), NAMED_EXACT);
    }
}
