//! What `docs/` says of jobs is what the code does.

#![expect(clippy::unwrap_used, reason = "a test ends there")]

use std::{fs, path::PathBuf};

use reconcile::{Job, documentation};

/// The published document is that which the code makes; `UPDATE_DOCS=1 cargo test -p reconcile --test documentation`
/// writes it anew.
fn published(name: &str, made: &str) {
    let at = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&at, made).unwrap();
    }
    assert!(fs::read_to_string(&at).is_ok_and(|found| found == made), "docs/{name} is out of date");
}

#[test]
fn the_published_schema_is_that_of_the_types() {
    published("reconcile-job.schema.json", &(serde_json::to_string_pretty(&Job::json_schema()).unwrap() + "\n"));
}

#[test]
fn the_reference_is_that_of_the_operations() {
    published("operations-reference.md", &documentation::reference());
}
