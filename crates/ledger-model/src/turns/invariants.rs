//! What must always hold, and what must be able to happen for that to mean anything.

use stateright::{Model, Property};

use super::{Budget, Execution, Number, State, Step, Turn, Turns};

/// All workers that could commit are of one attempt, and hold one fence.
pub const HOLDER: &str = "a turn has one holder";
/// No turn is granted before its predecessors are committed or void.
pub const ORDER: &str = "turns are granted in order";
/// No stage of a job is committed twice.
pub const ONCE: &str = "a stage commits once";
/// No job behind the cursor is open.
pub const CURSOR: &str = "jobs up to the cursor are committed or void";
/// An execution of the attempt that counts, once it waits, will be told: no worker can take away what it waits for.
pub const TOLD: &str = "who waits is told";
/// Every run ends with all jobs committed or void, and nothing waits.
pub const ENDS: &str = "runs end with all jobs committed or void";

pub(super) fn all(budget: &Budget) -> Vec<Property<Turns>> {
    let mut all = vec![
        Property::always(HOLDER, holder),
        Property::always(ORDER, |_, state: &State| numbers(state).all(|number| in_order(state, number))),
        Property::always(ONCE, |_, state: &State| state.rows.iter().all(|row| row.commits <= 1)),
        Property::always(CURSOR, |_, state: &State| (1..=state.cursor).all(|number| over(state, number))),
        Property::always(TOLD, |_, state: &State| state.executions.iter().all(|one| told(state, one))),
        Property::always(ENDS, ends),
        Property::sometimes("a zombie's commit is refused", |_, state: &State| {
            state.executions.iter().any(|one| outdated(state, one))
        }),
        Property::sometimes("a grant outlives its token", |_, state: &State| {
            state.rows.iter().any(|row| row.turn == Turn::Granted && row.token.is_none())
        }),
        Property::sometimes("a grant is lost to the worker that was called", |_, state: &State| {
            state.executions.iter().any(|one| called_in_vain(state, one))
        }),
    ];
    if budget.voids > 0 {
        all.push(Property::sometimes("a job was requeued and committed", |model: &Turns, state: &State| {
            state.cursor > model.jobs && state.rows.last().is_some_and(|row| row.turn == Turn::Committed)
        }));
    }
    all
}

fn holder(model: &Turns, state: &State) -> bool {
    let mut holders = state.executions.iter().filter(|one| model.may_commit(state, **one));
    let held = |one: &Execution| (one.job, one.token.attempt, one.step);
    holders.next().is_none_or(|first| holders.all(|other| held(other) == held(first)))
}

fn numbers(state: &State) -> impl Iterator<Item = Number> + use<> {
    1..=state.last()
}

fn over(state: &State, number: Number) -> bool {
    state.row(number).over()
}

fn in_order(state: &State, number: Number) -> bool {
    matches!(state.row(number).turn, Turn::Waiting | Turn::Void) || (1..number).all(|before| over(state, before))
}

fn ends(model: &Turns, state: &State) -> bool {
    if numbers(state).all(|number| over(state, number)) && state.executions.is_empty() {
        return true;
    }
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    !actions.is_empty()
}

fn outdated(state: &State, one: &Execution) -> bool {
    matches!(one.step, Step::Working(fence) if fence < state.row(one.job).fence)
}

fn told(state: &State, one: &Execution) -> bool {
    let row = state.row(one.job);
    one.step != Step::Waiting || one.token.attempt != row.attempt || row.awaits(*one)
}

/// Whether a worker is about to claim what has been asked for with a newer token.
fn called_in_vain(state: &State, one: &Execution) -> bool {
    let row = state.row(one.job);
    one.step == Step::Called(row.fence) && row.turn == Turn::Waiting && one.token.attempt == row.attempt
}
