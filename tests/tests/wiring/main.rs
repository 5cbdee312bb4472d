//! Template, state machines, functions, events and code agree.
//!
//! A check takes the project and names what is wrong with it. Each is tried on the project as it is, where it finds
//! nothing, and on copies with one thing broken, where it must find just that.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends there; a JSON value is null where it lacks a key"
)]

mod documented;
mod environment;
mod events;
mod leases;
mod ledger_events;
mod machines;
mod names;
mod policies;
mod protection;
mod reconcile_events;
mod rules;
mod spark;

use std::sync::LazyLock;

use serde_json::Value;
use tests::Project;

type Check = fn(&Project) -> Vec<String>;

static PROJECT: LazyLock<Project> = LazyLock::new(|| Project::read().expect("the project's files can be read"));

fn finds_nothing(check: Check) {
    let faults = check(&PROJECT);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// After `breaking` the project, the check names the fault in these words.
fn finds(check: Check, fault: &str, breaking: impl FnOnce(&mut Project)) {
    let mut broken = PROJECT.clone();
    breaking(&mut broken);
    assert_ne!(broken, *PROJECT, "nothing was broken");
    let faults = check(&broken);
    assert!(faults.iter().any(|found| found.contains(fault)), "{fault:?} is not among {faults:#?}");
}

/// The place in the template, which must exist: `Resources/Splitter/Properties/Timeout`.
fn place<'a>(project: &'a mut Project, path: &str) -> &'a mut Value {
    project.template.pointer_mut(&format!("/{path}")).unwrap_or_else(|| panic!("the template has {path}"))
}

/// Takes a key out of the template.
fn remove(project: &mut Project, path: &str) {
    let (parent, key) = path.rsplit_once('/').expect("a path has a parent");
    let removed = place(project, parent).as_object_mut().and_then(|entries| entries.shift_remove(key));
    assert!(removed.is_some(), "the template has {path}");
}

/// Replaces text in a state machine.
fn edit(project: &mut Project, machine: &str, from: &str, to: &str) {
    let text = project.machines.get_mut(machine).expect("there is such a machine");
    assert!(text.contains(from), "{machine} says {from}");
    *text = text.replacen(from, to, 1);
}
