//! What of the language is known: everything else is refused before a machine is run.

use serde_json::Value;

use super::text;

const MACHINE: [&str; 5] = ["Comment", "QueryLanguage", "TimeoutSeconds", "StartAt", "States"];
const CHILDREN: [&str; 3] = ["ProcessorConfig", "StartAt", "States"];
const EVERY: [&str; 2] = ["Type", "Comment"];
const RETRIER: [&str; 6] =
    ["ErrorEquals", "IntervalSeconds", "BackoffRate", "MaxDelaySeconds", "MaxAttempts", "JitterStrategy"];
const CATCHER: [&str; 3] = ["ErrorEquals", "ResultPath", "Next"];
const READER: [&str; 3] = ["Resource", "ReaderConfig", "Parameters"];
const CHOICE: [&str; 9] =
    ["Variable", "StringEquals", "BooleanEquals", "NumericEquals", "IsPresent", "And", "Or", "Not", "Next"];

/// The fields of a state, by its type.
fn fields(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "Task" => &[
            "Resource",
            "Parameters",
            "ResultSelector",
            "ResultPath",
            "TimeoutSeconds",
            "Retry",
            "Catch",
            "Next",
            "End",
        ],
        "Map" => &[
            "Label",
            "ItemReader",
            "ItemsPath",
            "ItemSelector",
            "MaxConcurrency",
            "ToleratedFailurePercentage",
            "ItemProcessor",
            "ResultSelector",
            "ResultPath",
            "Retry",
            "Catch",
            "Next",
            "End",
        ],
        "Choice" => &["Choices", "Default"],
        "Pass" => &["Result", "Parameters", "ResultPath", "Next", "End"],
        "Succeed" => &[],
        "Fail" => &["Error", "Cause", "ErrorPath", "CausePath"],
        _ => return None,
    })
}

/// Panics where a machine has what is not known.
pub(super) fn check(name: &str, machine: &Value) {
    only(name, machine, &[&MACHINE]);
    if machine.get("QueryLanguage").is_some_and(|language| language != "JSONPath") {
        panic!("{name}: {} is not known here", machine["QueryLanguage"]);
    }
    states(name, machine);
}

fn states(machine_name: &str, machine: &Value) {
    for (name, body) in machine["States"].as_object().into_iter().flatten() {
        let at = format!("{machine_name}, {name}");
        let kind = text(&body["Type"]);
        let Some(fields) = fields(kind) else { panic!("{at}: {kind} is not known here") };
        only(&at, body, &[&EVERY, fields]);
        each(&at, &body["Retry"], &RETRIER);
        each(&at, &body["Catch"], &CATCHER);
        each(&at, &body["Choices"], &CHOICE);
        let ends = matches!(kind, "Task" | "Map" | "Pass") && body["End"] != true;
        assert!(!ends || body["Next"].is_string(), "{at}: leads nowhere");
        if kind == "Map" {
            map(&at, body);
        }
    }
    assert!(machine["States"].get(text(&machine["StartAt"])).is_some(), "{machine_name} begins nowhere");
}

fn map(at: &str, body: &Value) {
    let (children, reader) = (&body["ItemProcessor"], &body["ItemReader"]);
    only(at, children, &[&CHILDREN]);
    assert!(body["ToleratedFailurePercentage"].as_u64().unwrap_or(0) == 0, "{at}: tolerance is not known here");
    if !reader.is_null() {
        only(at, reader, &[&READER]);
        assert!(text(&reader["Resource"]).ends_with(":states:::s3:getObject"), "{at}: {reader} is not known here");
        assert_eq!(reader["ReaderConfig"]["InputType"], "JSON", "{at}: {reader} is not known here");
    }
    states(at, children);
}

fn each(at: &str, clauses: &Value, known: &[&str]) {
    clauses.as_array().into_iter().flatten().for_each(|clause| only(at, clause, &[known]));
}

fn only(at: &str, value: &Value, known: &[&[&str]]) {
    for (name, _) in value.as_object().into_iter().flatten() {
        assert!(known.iter().any(|some| some.contains(&name.as_str())), "{at}: {name} is not known here");
    }
}
