//! The sample events of intake are what its functions take, and follow one another.

use std::fs;

use intake::{
    layout::InputKey,
    messages::{Arrival, ChunkRequest, MergeRequest, Notice, NotifyRequest, RunId, RunRequest},
};
use serde::{Serialize, de::DeserializeOwned};
use tests::project::root;

const BUCKET: &str = "tieout-input-000000000000-us-east-1";
/// In no feed's folder, so that putting it there starts no run, and where functions may read inputs all the same.
const KEY: &str = "samples/intake/sample.csv";

/// The run of the samples: any version will do, as they name none, but the attempt.
fn run(attempt: u32) -> RunId {
    RunId::of("default", BUCKET, KEY, "sample", attempt)
}

/// The event `events/<pipeline>/<name>.json`, by `<pipeline>/<name>`.
pub(crate) fn event<T: DeserializeOwned>(name: &str) -> T {
    let event = crate::PROJECT.events.get(name).expect("there is such an event");
    serde_json::from_value(event.clone())
        .unwrap_or_else(|error| panic!("{name} is not what its function takes: {error}"))
}

/// Reads the event and writes it again: nothing in it is misspelled and so left out.
pub(crate) fn exact<T: DeserializeOwned + Serialize>(name: &str) -> T {
    let read: T = event(name);
    let written = serde_json::to_value(&read).expect("a message can be written");
    assert_eq!(written, event::<serde_json::Value>(name));
    read
}

#[test]
fn arrivals_are_events_of_s3_and_of_the_schedule() {
    let Arrival::ObjectCreated(created) = event("intake/file-arrival") else { panic!("an object was created") };
    assert_eq!(created.bucket.name, BUCKET);
    let key = InputKey::parse(&created.object.key).expect("it lies in a feed's folder");
    assert_eq!((key.tenant, key.feed), ("default", "orders"));
    assert_eq!(event::<Arrival>("intake/file-arrival-sweep"), Arrival::Sweep {});
}

#[test]
fn the_steps_of_the_sample_run_follow_one_another() {
    let split: RunRequest = exact("intake/splitter");
    assert_eq!((split.run.clone(), split.feed.as_str()), (run(1), "orders"));
    assert_eq!(InputKey::parse(KEY), None);
    assert_eq!((split.input.bucket.as_str(), split.input.key.as_str(), split.input.version), (BUCKET, KEY, None));
    assert_eq!(exact::<MergeRequest>("intake/merger").run, run(1));
    let mailed: NotifyRequest = exact("intake/emailer");
    assert_eq!((mailed.run, mailed.failure), (exact("intake/splitter"), None));
}

#[test]
fn the_sample_failure_is_of_another_attempt() {
    let failed: NotifyRequest = exact("intake/emailer-failure");
    assert_eq!(failed.run.run, run(2));
    let cause = failed.failure.expect("it failed").cause;
    let cause: serde_json::Value = serde_json::from_str(&cause).expect("a Lambda's cause is JSON");
    assert!(cause["errorMessage"].is_string());
}

#[test]
fn the_sample_end_is_of_a_third_attempt() {
    let Notice::Ended(ended) = event("intake/emailer-ended") else { panic!("an execution ended") };
    let of: RunRequest = serde_json::from_str(&ended.detail.input).expect("its input is a run request");
    assert_eq!(of, RunRequest { run: run(3), ..exact("intake/splitter") });
    let event: serde_json::Value = event("intake/emailer-ended");
    assert_eq!(event["detail"]["name"], run(3).as_str());
    // What the rule lets through, in the order in which it names the ends.
    let pattern = &crate::PROJECT.template["Resources"]["RunEndedRule"]["Properties"]["EventPattern"];
    assert_eq!((&pattern["source"][0], &pattern["detail-type"][0]), (&event["source"], &event["detail-type"]));
    assert_eq!(pattern["detail"]["status"][1], event["detail"]["status"]);
}

#[test]
fn the_sample_chunk_is_the_whole_sample_file() {
    let ChunkRequest { run: of, chunk } = exact("intake/chunk-processor");
    assert_eq!((of, chunk.index, chunk.first_row), (run(1), 0, 1));
    let file = fs::read(root().join("examples/orders/orders.csv")).expect("the sample file is there");
    let lines: Vec<usize> = file.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    assert_eq!((chunk.start, chunk.end), (lines[0] as u64, file.len() as u64));
    assert_eq!(chunk.records, lines.len() as u64 - 1);
}
