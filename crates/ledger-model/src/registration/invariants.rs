//! What must always hold, and what must be able to happen for that to mean anything.

use stateright::{Model, Property};

use super::{Call, Job, Manifest, Number, Registration, State};

/// While no call is between its two steps, each number before `next` is a batch's.
pub const DENSE: &str = "numbers are dense";
/// A batch has one number that counts, and the registry and the numbers agree on it.
pub const ONE_NUMBER: &str = "a batch has one number";
/// A call is told a number of its own batch.
pub const TOLD: &str = "a call is told its batch's number";
/// Intervals of batches that count do not overlap.
pub const DISJOINT: &str = "intervals do not overlap";
/// Each number up to `grouped` is in one job, and no other is.
pub const ONE_JOB: &str = "a number is in one job";
/// Every run ends with all calls answered and all numbers in jobs.
pub const ENDS: &str = "runs end with all calls answered and all numbers grouped";

pub(super) fn all() -> Vec<Property<Registration>> {
    vec![
        Property::always(DENSE, |_, state: &State| under_way(state) || dense(state)),
        Property::always(ONE_NUMBER, |_, state: &State| one_number(state)),
        Property::always(TOLD, |model: &Registration, state: &State| {
            model.calls.iter().zip(&state.calls).all(|(manifest, call)| told(state, manifest, call))
        }),
        Property::always(DISJOINT, |_, state: &State| disjoint(state)),
        Property::always(ONE_JOB, |_, state: &State| {
            (1..state.next).all(|number| jobs_of(state, number).count() == usize::from(number <= state.grouped))
        }),
        Property::always(ENDS, ends),
        Property::sometimes("a transaction finds N taken", |_, state: &State| {
            state.calls.iter().any(|call| matches!(call, Call::Numbered(number) if *number < state.next))
        }),
        Property::sometimes("managers plan the same numbers", |_, state: &State| {
            state.managers.iter().flatten().filter(|plan| plan.0 == state.grouped + 1).count() > 1
        }),
        Property::sometimes("an overlap is refused", |model: &Registration, state: &State| {
            model.calls.iter().zip(&state.calls).any(|(manifest, call)| {
                *call == Call::Refused && !state.batches.contains_key(&manifest.batch) && !under_way(state)
            })
        }),
        Property::sometimes("another content is refused", |model: &Registration, state: &State| {
            model
                .calls
                .iter()
                .zip(&state.calls)
                .any(|(manifest, call)| *call == Call::Refused && state.batches.contains_key(&manifest.batch))
        }),
        Property::sometimes("a requeued batch is grouped again", |_, state: &State| {
            state.jobs.iter().any(|job| job.void) && state.jobs.last().is_some_and(|job| job.hi + 1 == state.next)
        }),
    ]
}

fn under_way(state: &State) -> bool {
    state.calls.iter().any(|call| matches!(call, Call::Numbered(_)))
}

fn dense(state: &State) -> bool {
    (1..state.next).eq(state.numbers.keys().copied())
}

fn jobs_of(state: &State, number: Number) -> impl Iterator<Item = &Job> {
    state.jobs.iter().filter(move |job| (job.lo..=job.hi).contains(&number))
}

/// Whether a number stands in no void job.
fn counts(state: &State, number: Number) -> bool {
    !jobs_of(state, number).any(|job| job.void)
}

fn one_number(state: &State) -> bool {
    state.batches.iter().all(|(batch, registered)| {
        let given = state.numbers.iter().filter(|(number, to)| *to == batch && counts(state, **number));
        given.map(|(number, _)| *number).eq(registered.number)
    })
}

fn told(state: &State, manifest: &Manifest, call: &Call) -> bool {
    match call {
        Call::Told(Some(number)) => state.numbers.get(number) == Some(&manifest.batch) && known(state, manifest),
        Call::Told(None) => known(state, manifest),
        _ => true,
    }
}

fn known(state: &State, manifest: &Manifest) -> bool {
    state.batches.get(&manifest.batch).is_some_and(|known| known.manifest.digest == manifest.digest)
}

fn disjoint(state: &State) -> bool {
    let live = || state.batches.values().filter(|known| known.number.is_some()).map(|known| known.manifest);
    live().all(|one| live().filter(|other| one.from < other.to && other.from < one.to).count() == 1)
}

fn ends(model: &Registration, state: &State) -> bool {
    let answered = state.calls.iter().all(|call| matches!(call, Call::Told(_) | Call::Refused));
    if answered && state.grouped + 1 == state.next {
        return true;
    }
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    !actions.is_empty()
}
