//! What the checks have in common.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Debug,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash},
    time::Instant,
};

use stateright::{Checker, HasDiscoveries, Model};

/// Visits every state: what must always hold does, what must be possible is.
#[expect(clippy::print_stdout, reason = "how much was checked is worth a line")]
pub(crate) fn holds<M>(what: &str, model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let start = Instant::now();
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
    let (states, steps) = (checker.unique_state_count(), checker.max_depth() - 1);
    println!("{what}: {states} states, runs of up to {steps} steps, {:.1?}", start.elapsed());
    checker.assert_properties();
}

/// Visits every state of a model that breaks a rule: `property` holds nevertheless.
pub(crate) fn keeps<M>(model: M, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let only = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    model.checker().finish_when(only).spawn_dfs().join().assert_no_discovery(property);
}

/// Finds a run that breaks `property`.
#[expect(clippy::print_stdout, reason = "the run says why the rule is there")]
pub(crate) fn breaks<M>(model: M, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let only = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let run = model.checker().finish_when(only).spawn_bfs().join().assert_any_discovery(property);
    let steps: Vec<String> = run.into_actions().iter().map(|action| format!("  {action:?}\n")).collect();
    println!("not \"{property}\":\n{}", steps.concat());
}

/// No run comes back to a state it was in. Without this, that runs end well would say nothing about those that do not.
pub(crate) fn runs_end<M>(model: M)
where
    M: Model,
    M::State: Hash,
{
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut under_way = HashMap::new();
    let mut path = vec![(0, model.init_states())];
    while let Some((state, successors)) = path.last_mut() {
        if let Some(successor) = successors.pop() {
            let name = hasher.hash_one(&successor);
            match under_way.insert(name, true) {
                None => path.push((name, model.next_states(&successor))),
                Some(on_path) => {
                    assert!(!on_path, "a run comes back to a state it was in");
                    under_way.insert(name, false);
                }
            }
        } else {
            under_way.insert(*state, false);
            path.pop();
        }
    }
}
