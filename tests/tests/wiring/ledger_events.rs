//! The sample events of the ledger are what its functions take, and are about one job.

use ledger::{
    JobBatches, JobNumber, PartitionBits,
    manifest::{LedgerId, ManifestKey},
    messages::{
        IndexRequest, IndexWork, PartitionRequest, ReduceRequest, RunInput, SplitRequest, StageRequest,
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
fn the_sample_manifest_is_let_through_to_its_registrar() {
    let event = event("batch-registrar");
    let key = event["detail"]["object"]["key"].as_str().expect("an object has a key");
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
    let input = event["detail"]["input"].as_str().expect("an execution has an input");
    assert_eq!(serde_json::from_str::<RunInput>(input).expect("it is a job's"), run(2));
    let pattern = &PROJECT.template["Resources"]["JobEndedRule"]["Properties"]["EventPattern"];
    assert_eq!((&pattern["source"][0], &pattern["detail-type"][0]), (&event["source"], &event["detail-type"]));
    assert_eq!(pattern["detail"]["status"][1], event["detail"]["status"]);
}
