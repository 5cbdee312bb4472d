//! What must always hold, and what must be able to happen for that to mean anything.

use stateright::{Model, Property};

use super::{Budget, Compaction, Reader, Sequence, State, Step};

/// What the index names is there.
pub const RESOLVABLE: &str = "the index is resolvable";
/// The index never names an older version than before.
pub const MONOTONE: &str = "the index is monotone";
/// What the cache holds for a location is what the file holds.
pub const CACHE: &str = "the cache is the file";
/// Each version's pointer leads to its previous version.
pub const HISTORY: &str = "history is walkable";
/// What jobs under way will read is there.
pub const NEEDED: &str = "jobs find what they need";
/// A prefetched record is the one that the index named.
pub const FETCHED: &str = "prefetch reads what the index named";
/// A reader gets the version that the index named.
pub const READ: &str = "a reader gets what the index named";
/// Every run ends with all jobs indexed.
pub const ENDS: &str = "runs end with all jobs indexed";

pub(super) fn all(budget: &Budget) -> Vec<Property<Compaction>> {
    let mut all = vec![
        Property::always(RESOLVABLE, |_, state: &State| {
            state.index.file == 0 || state.files.get(&state.index.file) == Some(&state.index.sequence)
        }),
        Property::always(MONOTONE, |_, state: &State| state.index.sequence == put(state)),
        Property::always(CACHE, |model: &Compaction, state: &State| {
            model.cached(state, state.index.file).is_none_or(|cached| cached == state.index.sequence)
        }),
        Property::always(HISTORY, |_, state: &State| history(state)),
        Property::always(NEEDED, |_, state: &State| {
            (1..=state.last()).flat_map(|n| state.needed(n)).all(|file| state.files.contains_key(&file))
        }),
        Property::always(FETCHED, |_, state: &State| {
            let wrong = |fetched: Option<Sequence>, found| fetched.is_some_and(|sequence| sequence != found);
            !state.jobs.iter().any(|job| wrong(job.fetched, job.found.sequence))
        }),
        Property::always(READ, |_, state: &State| {
            let right = |reader: Reader| reader.got.is_none_or(|got| got == Some(reader.entry.sequence));
            state.reader.is_none_or(right)
        }),
        Property::always(ENDS, |model: &Compaction, state: &State| {
            let done = state.jobs.iter().all(|job| job.step == Step::Indexed) && state.copies.is_empty();
            done || !ended(model, state)
        }),
        Property::sometimes("a copy comes too late", |_, state: &State| {
            state.copies.iter().any(|(from, _)| *from != state.index)
        }),
        Property::sometimes("a redirect is followed", |_, state: &State| {
            state.jobs.iter().any(|job| job.previous.file != 0 && !state.files.contains_key(&job.previous.file))
        }),
    ];
    if budget.repeats > 0 {
        all.push(Property::sometimes("a zombie puts what has moved and is deleted", |_, state: &State| {
            let moved = state.index.file != state.index.sequence && state.budget.repeats > 0;
            moved && !state.files.contains_key(&state.index.sequence)
        }));
    }
    if budget.overstays > 0 {
        all.push(Property::sometimes("a reader meets a 404 and reads again", |_, state: &State| {
            state.reader.is_some_and(|reader| reader.again && reader.got.is_some())
        }));
    }
    all
}

impl State {
    fn last(&self) -> Sequence {
        self.numbered().map(|(n, _)| n).last().unwrap_or(0)
    }
}

/// The last version that was put.
fn put(state: &State) -> Sequence {
    state.numbered().filter(|(_, job)| job.step >= Step::Put).map(|(n, _)| n).last().unwrap_or(0)
}

fn history(state: &State) -> bool {
    let pointers = state.jobs.iter().map(|job| job.previous).filter(|pointer| pointer.file != 0);
    pointers.into_iter().all(|pointer| state.files.get(&state.resolve(pointer)) == Some(&pointer.sequence))
}

fn ended(model: &Compaction, state: &State) -> bool {
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    actions.is_empty()
}
