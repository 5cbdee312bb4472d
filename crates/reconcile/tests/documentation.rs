//! What `docs/` says of jobs is what the code does.

#![expect(clippy::unwrap_used, reason = "a test ends there")]

use std::{collections::BTreeMap, fs, path::PathBuf};

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

#[test]
fn the_example_is_a_job() {
    let at = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reconcile.md");
    let text = fs::read_to_string(at).unwrap();
    let (job, _) = text.split_once("```json job\n").unwrap().1.split_once("```").unwrap();
    let planned = Job::from_json(job).unwrap().plan(&BTreeMap::new()).unwrap();
    assert_eq!(planned.warnings, [""; 0]);
    let outputs: Vec<Vec<String>> = planned
        .plan
        .outputs
        .iter()
        .map(|output| output.columns.iter().map(|column| format!("{}: {}", column.name, column.kind)).collect())
        .collect();
    assert_eq!(outputs[1], ["Region: text", "settled: decimal(2)", "open: decimal(2)", "All: decimal(2)"]);
    assert_eq!(outputs[0].last().map(String::as_str), Some("Status: text"));
}
