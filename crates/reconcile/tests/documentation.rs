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

/// A step is one object: where its parameters stood elsewhere, `name` and `operation` would be unknown there.
#[test]
fn the_schema_of_a_step_has_all_its_keys_in_one_place() {
    let schema = Job::json_schema();
    let steps =
        schema["properties"]["steps"]["items"]["oneOf"].as_array().or(schema["$defs"]["Step"]["oneOf"].as_array());
    for step in steps.unwrap() {
        assert_eq!(step.get("$ref"), None, "{}", step["title"]);
        let keys = step["properties"].as_object().unwrap();
        let required = step["required"].as_array().unwrap();
        assert!(
            keys.len() > 2 && required.iter().all(|key| keys.contains_key(key.as_str().unwrap())),
            "{}",
            step["title"]
        );
    }
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
