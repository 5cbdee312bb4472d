//! Functions are given the variables that their code reads, and no others.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{Project, cloudformation::logical_id, project::Function};

use crate::{PROJECT, finds, finds_nothing, place, remove};

/// What every function has: read by the SDK and by the logger.
const GLOBAL: [&str; 2] = ["AWS_ENDPOINT_URL", "RUST_LOG"];

fn variables(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    let global = keys(&project.template["Globals"]["Function"]["Environment"]["Variables"]);
    if global != BTreeSet::from(GLOBAL.map(str::to_owned)) {
        faults.push(format!("all functions are given {global:?}"));
    }
    for Function { name, variables, .. } in &project.functions {
        let id = logical_id(name);
        let given = keys(&project.template["Resources"][&id]["Properties"]["Environment"]["Variables"]);
        faults.extend(variables.difference(&given).map(|variable| format!("{id} is not given {variable}")));
        faults.extend(given.difference(variables).map(|variable| format!("{id} does not read {variable}")));
        let values = project.template["Resources"][&id]["Properties"]["Environment"]["Variables"].as_object();
        let numbers = values.into_iter().flatten().filter(|(_, value)| value.is_number());
        // CloudFormation would make it a text, the emulator starts no such function.
        faults.extend(numbers.map(|(variable, _)| format!("{id} is given a number as {variable}, and not a text")));
        let sample: BTreeSet<String> = given.union(&global).cloned().collect();
        if keys(&project.environment[&id]) != sample {
            faults.push(format!("events/env.json has other variables for {id} than the template"));
        }
    }
    let known: BTreeSet<String> = project.functions.iter().map(|function| logical_id(&function.name)).collect();
    if keys(&project.environment) != known {
        faults.push("events/env.json has other functions than functions/".to_owned());
    }
    faults
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

#[test]
fn functions_are_given_the_variables_that_they_read() {
    finds_nothing(variables);
    let given = "Resources/Merger/Properties/Environment/Variables";
    finds(variables, "Merger is not given REJECTS_KEPT", |broken| remove(broken, &format!("{given}/REJECTS_KEPT")));
    finds(variables, "Merger does not read FEEDS_TABLE", |broken| place(broken, given)["FEEDS_TABLE"] = json!("x"));
    finds(variables, "JobSplitter is given a number as EVENT_RANGE_BYTES", |broken| {
        *place(broken, "Resources/JobSplitter/Properties/Environment/Variables/EVENT_RANGE_BYTES") = json!(67_108_864);
    });
    finds(variables, "Merger is not given NEW_ONE", |broken| {
        let merger = broken.functions.iter_mut().find(|function| function.name == "merger").expect("there is one");
        merger.variables.insert("NEW_ONE".to_owned());
    });
    finds(variables, "all functions are given", |broken| {
        place(broken, "Globals/Function/Environment/Variables")["MAIL_TO"] = json!("x");
    });
    finds(variables, "events/env.json has other variables for Merger", |broken| {
        broken.environment["Merger"]["WORK_BUCKETS"] = json!("x");
    });
    finds(variables, "events/env.json has other functions", |broken| broken.environment["Joiner"] = json!({}));
}

/// The names are found where they are read: in the pipeline's module, in the adapters' module, and in their doors.
#[test]
fn what_the_code_reads_is_found() {
    let of = |name: &str| {
        let function =
            PROJECT.functions.iter().find(|function| function.name == name).expect("there is such a function");
        function.variables.iter().map(String::as_str).collect::<BTreeSet<_>>()
    };
    assert!(of("splitter").is_superset(&BTreeSet::from(["WORK_BUCKET", "DEFAULT_DELIMITER", "MAIL_TO"])));
    assert!(of("chunk-processor").is_superset(&BTreeSet::from(["REDIS_HOST", "REDIS_PASSWORD"])));
    // Read by a `Config` of another module, by one that is another module's own, and by a type with another name.
    let machines = BTreeSet::from(["LEDGERS_TABLE", "STATELESS_MACHINE_ARN", "STATEFUL_MACHINE_ARN"]);
    assert!(of("batch-registrar").is_superset(&machines) && of("batch-registrar").contains("DATA_BUCKET"));
    assert_eq!(of("backlog-manager"), machines);
    assert_eq!(of("reducer"), BTreeSet::from(["WORK_BUCKET", "DATA_BUCKET", "LEDGERS_TABLE"]));
    assert!(of("emailer").contains("LINK_ROLE_ARN"));
    assert!(!of("merger").contains("LINK_ROLE_ARN"));
}
