//! The interpreter of state machines, tried on the machine of intake and on a task that waits; and the ways through the
//! machine of reconcile.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod reconcile;
mod stage;

use serde_json::{Value, json};
use tests::{
    Project,
    interpreter::{Ending, Failure, Machine},
};

use self::stage::{Stage, intake};

const RANGES: &str = r#"[{"chunk": 0}, {"chunk": 1}]"#;

/// An intake run whose functions all answer.
fn stage() -> Stage {
    let stage = Stage::default();
    stage.object("work/ranges.json", RANGES);
    stage.always("Splitter", json!({"bucket": "work", "ranges": "ranges.json"}));
    stage.always("ChunkProcessor", json!({}));
    stage.always("Merger", json!({"run": "r", "output": "o"}));
    stage.always("events:putEvents", json!({}));
    stage.always("Emailer", json!({"sent": true}));
    stage
}

fn input() -> Value {
    json!({"run": "r", "feed": "f", "input": "i"})
}

/// A job whose batches hold no events: no array is read, and no worker called.
#[tokio::test]
async fn a_job_of_quiet_intervals_begins_no_map() {
    for (name, called) in [
        ("stateless", &["JobSplitter", "StageCoordinator", "StageCoordinator", "BacklogManager"][..]),
        (
            "stateful",
            &[
                "BacklogManager",
                "StageCoordinator",
                "StageCoordinator",
                "BacklogManager",
                "StageCoordinator",
                "StageCoordinator",
                "BacklogManager",
                "IndexCoordinator",
                "IndexCoordinator",
                "BacklogManager",
            ],
        ),
    ] {
        let stage = Stage::default();
        stage.always("BacklogManager", json!({}));
        for function in ["JobSplitter", "StageCoordinator", "IndexCoordinator"] {
            stage.always(
                function,
                json!({"bucket": "work", "ranges": "r", "partitions": "p", "tasks": "t", "count": 0}),
            );
        }
        for token in ["token-1", "token-2", "token-3"] {
            stage.answer(token, json!({"turn": "granted", "fence": 1}));
        }
        let machine = Machine::new(name, Project::read().unwrap().deployed(name).unwrap());
        let ended = machine.run(&stage, "one", json!({"job": 1})).await;
        assert!(matches!(ended, Ending::Succeeded(_)), "{name}: {ended:?}");
        assert_eq!(stage.calls().into_iter().map(|(called, _)| called).collect::<Vec<_>>(), called, "{name}");
    }
}

async fn run(stage: &Stage) -> Ending {
    intake().run(stage, "one", input()).await
}

fn failed(error: &str, cause: &str) -> Ending {
    Ending::Failed(Failure::new(error, cause))
}

#[tokio::test]
async fn a_run_goes_through_all_states() {
    let stage = stage();
    let Ending::Succeeded(output) = run(&stage).await else { panic!("{:?}", stage.calls()) };
    let (called, payloads): (Vec<String>, Vec<Value>) = stage.calls().into_iter().unzip();
    assert_eq!(called, ["Splitter", "ChunkProcessor", "ChunkProcessor", "Merger", "events:putEvents", "Emailer"]);
    assert_eq!(payloads[0], input());
    assert_eq!(payloads[1..3], [0, 1].map(|chunk| json!({"run": "r", "chunk": {"chunk": chunk}})));
    assert_eq!(payloads[4]["Entries"][0]["Detail"], json!({"run": "r", "output": "o"}));
    assert_eq!(output["notified"], json!({"sent": true}));
    assert!(stage.slept().is_empty());
}

#[tokio::test]
async fn a_child_that_fails_fails_the_map_which_does_not_say_how() {
    let stage = stage();
    stage.once("ChunkProcessor", Err(Failure::new("InvalidInput", "row 7")));
    let ended = run(&stage).await;
    let Ending::Failed(failure) = ended else { panic!("{ended:?}") };
    assert_eq!(failure.error, "States.ExceedToleratedFailureThreshold");
    let (function, payload) = stage.calls().pop().unwrap();
    assert_eq!((function.as_str(), &payload["failure"]["Error"]), ("Emailer", &json!(failure.error)));
}

#[tokio::test]
async fn what_passes_is_tried_again_as_often_as_its_class_deserves() {
    let stage = stage();
    for _ in 0..8 {
        stage.once("Merger", Err(Failure::new("Throttled", "slow down")));
    }
    stage.once("Merger", Err(Failure::new("Unavailable", "gone")));
    assert!(matches!(run(&stage).await, Ending::Succeeded(_)));
    // The template's numbers on AWS; no jitter here.
    assert_eq!(stage.slept(), [10, 20, 40, 80, 120, 120, 120, 120, 2]);
    stage.once("Merger", Err(Failure::new("Bug", "ouch")));
    assert_eq!(run(&stage).await, failed("Bug", "ouch"));
}

#[tokio::test]
async fn a_task_that_does_not_answer_times_out() {
    let stage = stage();
    for _ in 0..3 {
        stage.never("Splitter");
    }
    let Ending::Failed(failure) = run(&stage).await else { panic!("{:?}", stage.calls()) };
    assert_eq!(failure.error, "States.Timeout");
    assert_eq!(stage.slept(), [960, 1, 960, 1, 960]);
}

#[tokio::test]
async fn an_error_is_caught_by_the_first_clause_that_takes_it() {
    let stage = stage();
    stage.once("Merger", Err(Failure::new("Conflict", "declared failed")));
    assert!(matches!(run(&stage).await, Ending::Succeeded(_)));
    assert_eq!(stage.calls().pop().unwrap().0, "Merger", "nobody is told");
    for _ in 0..=8 {
        stage.once("events:putEvents", Err(Failure::new("Denied", "no")));
    }
    assert_eq!(run(&stage).await, failed("Denied", "no"));
    assert_eq!(stage.calls().pop().unwrap().0, "Emailer", "NotAnnounced comes after the mail");
}

#[tokio::test]
async fn items_that_cannot_be_read_are_an_error_of_the_reader() {
    let stage = stage();
    stage.object("work/ranges.json", "no JSON");
    let Ending::Failed(failure) = run(&stage).await else { panic!("{:?}", stage.calls()) };
    assert_eq!(failure.error, "States.ItemReaderFailed");
    assert_eq!(stage.slept(), [2, 4, 8], "read again, three times");
    stage.object("work/ranges.json", "[]");
    assert!(matches!(run(&stage).await, Ending::Succeeded(_)), "no items are no error");
}

/// Waits for its token for a minute, and asks again with another.
fn waiting() -> Machine {
    Machine::new(
        "waiting",
        json!({
            "StartAt": "Await",
            "States": { "Await": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
                "Parameters": {
                    "FunctionName": "arn:aws:lambda:us-east-1:123456789012:function:Asker",
                    "Payload": { "token.$": "$$.Task.Token", "run.$": "$$.Execution.Input" },
                },
                "TimeoutSeconds": 60,
                "Retry": [{ "ErrorEquals": ["States.Timeout"], "IntervalSeconds": 1, "MaxAttempts": 2 }],
                "ResultPath": "$.turn",
                "End": true,
            } },
        }),
    )
}

#[tokio::test]
async fn a_task_waits_for_its_token_to_be_answered_and_not_for_its_function() {
    for answered_at_once in [true, false] {
        let stage = Stage::default();
        stage.never("Asker");
        stage.always("Asker", json!("not looked at"));
        stage.answer(if answered_at_once { "token-1" } else { "token-2" }, json!("granted"));
        let ended = waiting().run(&stage, "one", json!({"job": 1})).await;
        assert_eq!(ended, Ending::Succeeded(json!({"job": 1, "turn": "granted"})));
        let tokens: Vec<Value> = stage.calls().into_iter().map(|(_, payload)| payload["token"].clone()).collect();
        let expected = if answered_at_once { vec!["token-1"] } else { vec!["token-1", "token-2"] };
        assert_eq!(tokens, expected);
    }
}

#[tokio::test]
async fn a_task_that_waits_fails_with_its_function() {
    let stage = Stage::default();
    stage.once("Asker", Err(Failure::new("Conflict", "replaced")));
    assert_eq!(waiting().run(&stage, "one", json!({})).await, failed("Conflict", "replaced"));
}

#[test]
#[should_panic(expected = "odd, S: HeartbeatSeconds is not known here")]
fn what_is_not_known_is_refused() {
    let state = json!({"Type": "Task", "Resource": "r", "HeartbeatSeconds": 1, "End": true});
    Machine::new("odd", json!({"StartAt": "S", "States": {"S": state}}));
}
