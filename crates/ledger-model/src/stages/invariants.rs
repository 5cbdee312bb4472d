//! What must always hold, and what must be able to happen for that to mean anything.

use stateright::Property;

use super::{Bounds, Fault, KEYS, Place, Stage, Stages, State, Step, Touch, Version, WINDOW};

/// Version n holds exactly the live jobs up to n that touch the key, once each.
pub const EXACT: &str = "versions hold every job once";
/// What the index names is such a version: rule 11 keeps this even where apply went wrong.
pub const NAMED_EXACT: &str = "the index names versions that hold every job once";
/// The index names committed, readable versions of live jobs.
pub const RESOLVABLE: &str = "the index is resolvable";
/// No put makes the index name an older version.
pub const MONOTONE: &str = "the index is monotone";
/// For each job up to `indexed` the index names its version or a newer one.
pub const INDEXED: &str = "jobs up to indexed are indexed";
/// `indexed` ≤ `applied` ≤ `prefetched`, and no more jobs between them than the window allows.
pub const ORDERED: &str = "cursors are ordered";
/// No live version was computed from a void one, and the index names none.
pub const VOID: &str = "nothing refers to void";
/// A look-up whose answer can still count finds older versions: whoever finds the job's own is a zombie.
pub const LOOK_UPS: &str = "look-ups that count find older versions";
/// No guard of the protocol reports a bug.
pub const GUARDS: &str = "no guard reports a bug";
/// Every run ends with all jobs indexed or void.
pub const ENDS: &str = "runs end with all jobs indexed or void";

pub(super) fn all(bounds: &Bounds) -> Vec<Property<Stages>> {
    let mut all = vec![
        Property::always(EXACT, |_, state| committed(state).all(|(place, key)| exact(state, place, key))),
        Property::always(NAMED_EXACT, |_, state| named(state).all(|(place, key)| exact(state, place, key))),
        Property::always(RESOLVABLE, |_, state| named(state).all(|(place, key)| resolvable(state, place, key))),
        Property::always(MONOTONE, |_, state: &State| state.fault != Some(Fault::IndexWentBack)),
        Property::always(INDEXED, indexed),
        Property::always(ORDERED, |_, state| ordered(state)),
        Property::always(VOID, |_, state| nothing_void(state)),
        Property::always(LOOK_UPS, look_ups),
        Property::always(GUARDS, |_, state: &State| matches!(state.fault, None | Some(Fault::IndexWentBack))),
        Property::always(ENDS, |model, state: &State| {
            state.cursor(Stage::Index) == state.last() || !model.ended(state)
        }),
        Property::sometimes("a prefetched version is newer than s", |_, state| newer_than_snapshot(state)),
        Property::sometimes("three in flight", |_, state| in_flight(state) == Stage::ALL),
    ];
    if bounds.restarts > 0 {
        all.push(Property::sometimes("a zombie's put is refused", zombie_refused));
    }
    if bounds.repeats > 0 {
        all.push(Property::sometimes("a put is repeated after its success", |_, state| repeated(state)));
    }
    if bounds.voids > 0 {
        all.push(Property::sometimes("a job was requeued and indexed", |model: &Stages, state: &State| {
            state.jobs.len() > model.bounds.jobs.len() && state.cursor(Stage::Index) == state.last()
        }));
    }
    all
}

/// Versions that apply has committed for live jobs.
fn committed(state: &State) -> impl Iterator<Item = (Place, usize)> {
    let live = (1..=state.cursor(Stage::Apply)).filter(|&place| !state.job(place).void);
    live.flat_map(|place| (0..KEYS).map(move |key| (place, key)))
        .filter(|&(place, key)| state.job(place).keys[key] == Touch::New)
}

/// Versions that the index names.
fn named(state: &State) -> impl Iterator<Item = (Place, usize)> {
    (0..KEYS).map(|key| (state.index[key], key)).filter(|(place, _)| *place != 0)
}

fn exact(state: &State, place: Place, key: usize) -> bool {
    let touches = |other: &Place| state.job(*other).keys[key] == Touch::New && !state.job(*other).void;
    let expected: u16 = (1..=place).filter(touches).map(Version::once).sum();
    state.job(place).versions[key].is_some_and(|version| version.contributions == expected)
}

fn resolvable(state: &State, place: Place, key: usize) -> bool {
    place <= state.cursor(Stage::Apply) && state.job(place).versions[key].is_some_and(|version| version.intact)
}

fn indexed(model: &Stages, state: &State) -> bool {
    committed(state)
        .filter(|(place, _)| *place <= state.cursor(Stage::Index))
        .all(|(place, key)| !model.newer(state, place, state.index[key]))
}

fn ordered(state: &State) -> bool {
    let [prefetched, applied, indexed] = state.cursors;
    let live = (indexed + 1..=prefetched).filter(|&place| !state.job(place).void).count();
    indexed <= applied && applied <= prefetched && prefetched <= state.last() && live <= WINDOW
}

fn nothing_void(state: &State) -> bool {
    let live = |place: Place| place == 0 || !state.job(place).void;
    let previous = |(place, key): (Place, usize)| state.job(place).versions[key].map_or(0, |version| version.previous);
    named(state).all(|(place, _)| live(place)) && committed(state).all(|version| live(previous(version)))
}

fn look_ups(model: &Stages, state: &State) -> bool {
    let mut reads = state.workers.iter().filter(|worker| (worker.stage, worker.step) == (Stage::Prefetch, Step::Start));
    reads.all(|worker| state.index[worker.key] == 0 || model.newer(state, worker.job, state.index[worker.key]))
}

fn newer_than_snapshot(state: &State) -> bool {
    let newer = |found: &Option<Place>, s| found.is_some_and(|found| found > s);
    state.jobs.iter().any(|job| job.prefetched.iter().any(|found| newer(found, job.snapshot)))
}

/// The stages that are being worked on.
fn in_flight(state: &State) -> Vec<Stage> {
    let held = |stage: &Stage| {
        let next = state.cursor(*stage) + 1;
        next <= state.last() && state.stage(next) == Some(*stage) && state.job(next).attempt > 0
    };
    Stage::ALL.into_iter().filter(held).collect()
}

fn zombie_refused(model: &Stages, state: &State) -> bool {
    let mut puts = state.workers.iter().filter(|worker| (worker.stage, worker.step) == (Stage::Index, Step::Start));
    puts.any(|worker| model.newer(state, state.index[worker.key], worker.job))
}

fn repeated(state: &State) -> bool {
    let mut puts = state.workers.iter().filter(|worker| (worker.stage, worker.step) == (Stage::Index, Step::Start));
    puts.any(|worker| state.index[worker.key] == worker.job && state.budget.repeats == 0)
}
