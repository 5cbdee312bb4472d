//! The sample events of the ledger are what its functions take, and are about one job.

use std::collections::BTreeSet;

use ledger::{
    JobBatches, JobNumber, PartitionBits,
    manifest::{LedgerId, ManifestKey},
    messages::{
        BatchArrival, IndexRequest, IndexWork, ManageAction, ManageRequest, PartitionRequest, ReduceRequest, RunInput,
        SplitRequest, StageRequest,
    },
    stage::Stage,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{PROJECT, events};

/// The job of the samples. Between the halves its attempt moves up.
fn run(attempt: u32) -> RunInput {
    RunInput {
        ledger: LedgerId::new("default", "orders").expect("they are names"),
        job: JobNumber::new(3),
        id: "5f0c2a917b3e".to_owned(),
        batches: serde_json::from_value::<JobBatches>(json!({"lo": 2, "hi": 3})).expect("they are batches"),
        attempt,
        definition: 1,
        partition_bits: PartitionBits::new(4).expect("it is not too many"),
    }
}

fn event(name: &str) -> Value {
    events::event(&format!("ledger/{name}"))
}

/// Reads the event and writes it again: nothing in it is misspelled and so left out.
fn exact<T: DeserializeOwned + Serialize>(name: &str) -> T {
    events::exact(&format!("ledger/{name}"))
}

#[test]
fn the_steps_of_the_sample_job_are_what_the_functions_take() {
    assert_eq!(exact::<SplitRequest>("job-splitter").run, run(1));
    let reduce: ReduceRequest = exact("reducer");
    assert_eq!((reduce.run, reduce.range.batch), (run(1), run(1).batches.lo()));
    assert_eq!(exact::<PartitionRequest>("combiner").run, run(1));
    for name in ["prefetcher", "state-engine"] {
        assert_eq!(exact::<PartitionRequest>(name).run, run(2), "{name}");
    }
    assert_eq!(exact::<IndexWork>("index-worker").run, run(2));
}

#[test]
fn the_coordinators_take_every_action() {
    assert_eq!(exact::<StageRequest>("stage-coordinator"), StageRequest::CheckReduced { run: run(1) });
    assert_eq!(exact::<StageRequest>("stage-coordinator-stateless"), StageRequest::CommitStateless { run: run(1) });
    let (stage, fence) = (Stage::Prefetch, 7);
    assert_eq!(exact::<StageRequest>("stage-coordinator-begin"), StageRequest::Begin { run: run(2), stage, fence });
    assert_eq!(exact::<StageRequest>("stage-coordinator-commit"), StageRequest::Commit { run: run(2), stage, fence });
    assert_eq!(exact::<IndexRequest>("index-coordinator"), IndexRequest::Plan { run: run(2), fence: 9 });
    assert_eq!(exact::<IndexRequest>("index-coordinator-commit"), IndexRequest::Commit { run: run(2), fence: 9 });
}

#[test]
fn the_manager_takes_what_states_and_schedule_tell() {
    let told = |name: &str| match exact::<ManageRequest>(name) {
        ManageRequest::Told(action) => action,
        ended => panic!("{name} is {ended:?}"),
    };
    assert_eq!(told("backlog-manager"), ManageAction::Tick {});
    let ask = ManageAction::Ask { run: run(2), stage: Stage::Prefetch, token: "sample-token".to_owned() };
    assert_eq!(told("backlog-manager-ask"), ask);
    assert_eq!(told("backlog-manager-finished"), ManageAction::Finished { run: run(1), failure: None });
    let ManageAction::Finished { run: of, failure: Some(failure) } = told("backlog-manager-failure") else {
        panic!("it has failed");
    };
    let cause: Value = serde_json::from_str(&failure.cause).expect("a Lambda's cause is JSON");
    assert_eq!((of, failure.error.as_str(), cause["errorMessage"].is_string()), (run(1), "InvalidInput", true));
}

/// What the states put together is what the sample events show, but for the values.
#[test]
fn the_states_ask_and_tell_as_the_samples_do() {
    let said = |machine: &str, state: &str| -> Value {
        let definition = PROJECT.deployed(machine).expect("it is JSON");
        let parameters = definition["States"][state]["Parameters"].clone();
        if parameters["Payload"].is_object() { parameters["Payload"].clone() } else { parameters }
    };
    for (machine, state, sample) in [
        ("stateless", "SplitJob", "job-splitter"),
        ("stateless", "CheckReduced", "stage-coordinator"),
        ("stateless", "CommitStateless", "stage-coordinator-stateless"),
        ("stateless", "Advance", "backlog-manager-finished"),
        ("stateless", "ReportFailure", "backlog-manager-failure"),
        ("stateless", "ReportConflict", "backlog-manager-failure"),
        ("stateful", "AwaitPrefetch", "backlog-manager-ask"),
        ("stateful", "BeginPrefetch", "stage-coordinator-begin"),
        ("stateful", "CommitPrefetch", "stage-coordinator-commit"),
        ("stateful", "PlanIndex", "index-coordinator"),
        ("stateful", "CommitIndex", "index-coordinator-commit"),
        ("stateful", "Advance", "backlog-manager-finished"),
        ("stateful", "ReportFailure", "backlog-manager-failure"),
        ("stateful", "ReportConflict", "backlog-manager-failure"),
    ] {
        let (said, sample) = (said(machine, state), event(sample));
        let said = said.as_object().expect("a task says something");
        let names: BTreeSet<&str> = said.keys().map(|name| name.trim_end_matches(".$")).collect();
        let sample_names: BTreeSet<&str> = sample.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(names, sample_names, "{machine}, {state}");
        for (name, value) in said.iter().filter(|(name, _)| !name.ends_with(".$")) {
            assert_eq!(value, &sample[name], "{machine}, {state}: {name}");
        }
    }
}

#[test]
fn the_sample_manifest_is_let_through_to_its_registrar() {
    let event = event("batch-registrar");
    let arrival = serde_json::from_value(event.clone()).expect("it is what its function takes");
    let BatchArrival::ObjectCreated(created) = arrival;
    let key = created.object.key.as_str();
    assert_eq!(ManifestKey::parse(key).expect("it is a manifest's").ledger, run(1).ledger);
    let pattern = &PROJECT.template["Resources"]["BatchClosedRule"]["Properties"]["EventPattern"];
    assert_eq!((&pattern["source"][0], &pattern["detail-type"][0]), (&event["source"], &event["detail-type"]));
    let keys = pattern["detail"]["object"]["key"].as_array().expect("there are patterns").iter();
    let patterns: Vec<&str> = keys.filter_map(|pattern| pattern["wildcard"].as_str()).collect();
    for (key, through) in [
        (key, true),
        ("batches/orders/b1/manifest.json", true),
        ("default/batches/orders/b1/events.csv", false),
        ("default/intake/orders/manifest.json", false),
    ] {
        assert_eq!(patterns.iter().any(|pattern| matches(pattern, key)), through, "{key}");
        assert_eq!(ManifestKey::parse(key).is_some(), through, "{key}");
    }
}

/// As EventBridge does: an asterisk is any text.
fn matches(pattern: &str, key: &str) -> bool {
    let pattern = regex::escape(pattern).replace("\\*", ".*");
    regex::Regex::new(&format!("^{pattern}$")).expect("it is a pattern").is_match(key)
}

#[test]
fn the_sample_end_is_of_the_stateful_half() {
    let event = event("backlog-manager-ended");
    let taken = serde_json::from_value(event.clone()).expect("it is what its function takes");
    let ManageRequest::Ended(ended) = taken else { panic!("an execution ended") };
    assert_eq!(serde_json::from_str::<RunInput>(&ended.detail.input).expect("it is a job's"), run(2));
    let pattern = &PROJECT.template["Resources"]["JobEndedRule"]["Properties"]["EventPattern"];
    assert_eq!((&pattern["source"][0], &pattern["detail-type"][0]), (&event["source"], &event["detail-type"]));
    assert_eq!(pattern["detail"]["status"][1], event["detail"]["status"]);
}
