//! The model of turns: what must hold does, and no rule is idle.

use crate::checks::{breaks, holds, runs_end};
use ledger_model::turns::{
    Budget, Mutation, Turns,
    invariants::{ENDS, HOLDER, ONCE},
};

fn turns(jobs: u8, deaths: u8, voids: u8) -> Turns {
    Turns { jobs, budget: Budget { deaths, timeouts: 1, losses: 1, voids }, mutation: None }
}

fn broken(rule: Mutation) -> Turns {
    Turns { mutation: Some(rule), ..turns(1, 2, 0) }
}

#[test]
fn turns_hold() {
    holds("two jobs, two deaths", turns(2, 2, 0));
    holds("one job, three deaths", turns(1, 3, 0));
    holds("two jobs, one death, one void", turns(2, 1, 1));
}

#[test]
fn runs_of_turns_end() {
    runs_end(turns(1, 1, 1));
}

#[test]
fn an_unconditional_commit_is_made_twice() {
    breaks(broken(Mutation::UnconditionalCommit), ONCE);
}

#[test]
fn without_fences_a_zombie_and_its_successor_hold_one_turn() {
    breaks(broken(Mutation::NoFence), HOLDER);
}

#[test]
fn a_grant_that_is_not_sent_again_waits_for_ever() {
    breaks(broken(Mutation::GrantNotSentAgain), ENDS);
}

/// A grant that outlives its token reaches the next attempt with the same fence: who claims must say who it is.
#[test]
fn a_claim_without_a_name_lets_two_workers_hold_one_fence() {
    breaks(broken(Mutation::ClaimWithoutName), HOLDER);
}

/// A zombie may claim what its successor waits for, and commit: the successor's token must be answered all the same.
#[test]
fn what_waits_for_a_finished_job_must_be_sent_home() {
    breaks(broken(Mutation::NotSentHome), ENDS);
}
