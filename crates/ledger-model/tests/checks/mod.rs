//! What the checks have in common.

use std::{collections::BTreeSet, fmt::Debug, hash::Hash};

use stateright::{Checker, HasDiscoveries, Model};

/// Visits every state: all that must always hold does, all that must be possible is.
#[expect(clippy::print_stdout, reason = "how much was checked is worth a line")]
pub(crate) fn holds<M>(what: &str, model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let start = std::time::Instant::now();
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{what}: {states} states, longest run {depth} steps, {:.1?}", start.elapsed());
    checker.assert_properties();
}

/// Visits every state of a model that breaks some rule: `property` holds nevertheless.
pub(crate) fn keeps<M>(model: M, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = model.checker().finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property]))).spawn_dfs().join();
    checker.assert_no_discovery(property);
}

/// Finds a run that breaks `property`.
#[expect(clippy::print_stdout, reason = "the run says why the rule is there")]
pub(crate) fn breaks<M>(model: M, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = model.checker().finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property]))).spawn_bfs().join();
    let run = checker.assert_any_discovery(property);
    println!("breaks \"{property}\":");
    for action in run.into_actions() {
        println!("  {action:?}");
    }
}
