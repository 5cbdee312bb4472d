//! The model of turns: what must hold does, and no rule is idle.

use crate::checks::{breaks, holds, runs_end};
use ledger_model::turns::{
    Budget, Mutation, Turns,
    invariants::{ENDS, HOLDER, ONCE, TOLD},
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

/// A worker that outlived its task claims the grant that is kept for the next token: whoever waits with that is not told.
#[test]
fn a_grant_that_is_kept_for_the_next_token_can_be_taken_from_it() {
    breaks(broken(Mutation::GrantKept), TOLD);
}

/// An execution that was taken for dead is not told. It must time out, ask again, and hear that it was replaced.
#[test]
fn a_wait_without_timeout_may_never_end() {
    breaks(broken(Mutation::EndlessWait), ENDS);
}

/// The fence says it all; that claims and commits also ask for the attempt only gives the better message.
#[test]
fn turns_hold_without_attempts() {
    holds(
        "two jobs, two deaths, attempts not asked for",
        Turns { mutation: Some(Mutation::NoAttempt), ..turns(2, 2, 0) },
    );
}
