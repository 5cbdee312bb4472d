//! The ways through the machine of reconcile.

use serde_json::{Value, json};
use tests::{
    Project,
    interpreter::{Ending, Failure, Machine},
};

use crate::stage::Stage;

const SPARK: &str = "emr-serverless:startJobRun.sync";

/// An attempt for which the planner chooses that engine, on a stack with Spark or without; all that is called answers.
fn stage(engine: &str, spark: bool) -> Stage {
    let stage = Stage::default();
    let plan = json!({"engine": engine, "spark": spark, "task": {"bucket": "work", "key": "task.json"},
        "task_uri": "s3://work/task.json", "report": {"bucket": "work", "key": "report.json"}});
    stage.always("JobPlanner", plan);
    stage.always("TransformRunner", json!({"rows_in": 1}));
    stage.always(SPARK, json!({}));
    stage.always("OutputChecker", json!({"count": 0, "bucket": "work", "pieces": "pieces.json", "rows": 1}));
    stage.always("JobPublisher", json!({"job": "close", "status": "published"}));
    stage.always("events:putEvents", json!({}));
    stage.always("JobCloser", closed("published"));
    stage
}

/// What job-closer answers.
fn closed(status: &str) -> Value {
    json!({"status": status, "event": {"tenant": "acme", "job": "close", "attempt": 2, "status": status}})
}

async fn run(stage: &Stage) -> (Ending, Vec<String>) {
    run_with(stage, json!({"tenant": "acme", "job": "close", "attempt": 2})).await
}

async fn run_with(stage: &Stage, input: Value) -> (Ending, Vec<String>) {
    let machine = Machine::new("reconcile", Project::read().unwrap().deployed("reconcile").unwrap());
    let ended = machine.run(stage, "one", input).await;
    (ended, stage.calls().into_iter().map(|(called, _)| called).collect())
}

/// The same, but that the outputs are too long for one call.
fn in_pieces() -> Stage {
    let stage = stage("spark", true);
    stage.object("work/pieces.json", r#"[{"number": 0, "from": 0, "to": 2}, {"number": 1, "from": 2, "to": 3}]"#);
    stage.once("OutputChecker", Ok(json!({"count": 2, "bucket": "work", "pieces": "pieces.json", "rows": 1})));
    stage.always("OutputChecker", json!({}));
    stage
}

/// What output-checker was asked to do.
fn actions(stage: &Stage) -> Vec<String> {
    let asked = stage.calls().into_iter().filter(|(called, _)| called == "OutputChecker");
    asked.map(|(_, payload)| payload["action"].as_str().unwrap().to_owned()).collect()
}

fn details(stage: &Stage) -> Vec<Value> {
    let events = stage.calls().into_iter().filter(|(called, _)| called == "events:putEvents");
    events.map(|(_, payload)| payload["Entries"][0]["Detail"].clone()).collect()
}

#[tokio::test]
async fn both_engines_come_to_the_same_check() {
    for (engine, runs) in [("embedded", "TransformRunner"), ("spark", SPARK)] {
        let stage = stage(engine, true);
        let (ended, called) = run(&stage).await;
        assert!(matches!(ended, Ending::Succeeded(_)), "{ended:?}");
        let ending = ["OutputChecker", "JobPublisher", "events:putEvents", "JobCloser", "JobCloser"];
        assert_eq!(called, [["JobPlanner", runs].as_slice(), &ending].concat());
    }
    let stage = stage("spark", true);
    run(&stage).await;
    let (_, asked) = stage.calls().into_iter().find(|(called, _)| called == SPARK).unwrap();
    assert_eq!(asked["Name"], "acme-close-2");
    let submitted = json!({
        "EntryPoint": "SparkScripts.Folder/run_task.py",
        "EntryPointArguments": ["--task", "s3://work/task.json"],
        "SparkSubmitParameters": "--py-files SparkScripts.Folder/tieout_spark.zip",
    });
    assert_eq!(asked["JobDriver"]["SparkSubmit"], submitted);
}

/// Too large, too slow, or too much for its memory: the other engine takes the same task.
#[tokio::test]
async fn what_the_function_cannot_do_goes_to_spark() {
    for (error, times) in [
        ("TooLarge", 1),
        ("Sandbox.Timedout", 3),
        ("Runtime.ExitError", 3),
        ("WorkerLost", 3),
        // How Lambda tells that a function was out of memory, or has told it.
        ("Lambda.Unknown", 6),
    ] {
        let lost = |stage: &Stage| {
            (0..times).for_each(|_| stage.once("TransformRunner", Err(Failure::new(error, "no room"))));
        };
        let with_spark = stage("embedded", true);
        lost(&with_spark);
        let (ended, called) = run(&with_spark).await;
        assert!(matches!(ended, Ending::Succeeded(_)), "{error}: {ended:?}");
        assert_eq!(called.iter().filter(|called| *called == "TransformRunner").count(), times, "{error}");
        // And the row says so before it runs there.
        let before = called.iter().position(|called| called == SPARK).expect("Spark runs it") - 1;
        let (planner, told) = &with_spark.calls()[before];
        assert_eq!((planner.as_str(), &told["failure"]["Error"]), ("JobPlanner", &json!(error)));
        assert_eq!(called.iter().filter(|called| *called == "JobPlanner").count(), 2, "{error}");

        let without = stage("embedded", false);
        lost(&without);
        without.always("JobCloser", closed("failed"));
        assert_eq!(run(&without).await.0, Ending::Failed(Failure::new(error, "no room")));
    }
    let stage = stage("embedded", true);
    stage.once("TransformRunner", Err(Failure::new("Bug", "ouch")));
    stage.always("JobCloser", closed("failed"));
    let (_, called) = run(&stage).await;
    assert!(!called.iter().any(|called| called == SPARK), "a fault of ours stays one on another engine");
}

fn on_spark(called: &[String]) -> usize {
    called.iter().filter(|called| *called == SPARK).count()
}

/// What was not begun is asked for again, what has failed is begun again once, and what takes too long never is.
#[tokio::test]
async fn a_job_run_is_begun_again_for_what_may_pass() {
    let throttled = stage("spark", true);
    for error in ["ThrottlingException", "ConflictException", "InternalServerException"] {
        throttled.once(SPARK, Err(Failure::new(format!("EMRServerless.{error}"), "not now")));
    }
    let (ended, called) = run(&throttled).await;
    assert!(matches!(ended, Ending::Succeeded(_)), "{ended:?}");
    assert_eq!((on_spark(&called), throttled.slept()), (4, vec![10, 20, 40]));

    for (failures, runs) in [(1, 2), (2, 2)] {
        let lost = stage("spark", true);
        (0..failures).for_each(|_| lost.once(SPARK, Err(Failure::new("States.TaskFailed", "the driver is gone"))));
        let is_published = failures == 1;
        lost.always("JobCloser", closed(if is_published { "published" } else { "failed" }));
        let (ended, called) = run(&lost).await;
        assert_eq!(on_spark(&called), runs);
        assert_eq!(called.contains(&"JobPublisher".to_owned()), is_published, "{ended:?}");
    }

    let slow = stage("spark", true);
    slow.never(SPARK);
    slow.always("JobCloser", closed("failed"));
    let (ended, called) = run(&slow).await;
    let Ending::Failed(failure) = ended else { panic!("{called:?}") };
    assert_eq!((failure.error.as_str(), on_spark(&called)), ("States.Timeout", 1));
    assert_eq!(slow.slept(), [14_400]);
}

#[tokio::test]
async fn every_end_is_told() {
    for (state, status) in [("OutputChecker", "failed"), ("OutputChecker", "published"), ("JobPlanner", "cancelled")] {
        let stage = stage("embedded", false);
        stage.once(state, Err(Failure::new("Conflict", "it is over")));
        stage.always("JobCloser", closed(status));
        let (ended, called) = run(&stage).await;
        assert_eq!(matches!(ended, Ending::Succeeded(_)), status != "failed", "{status}: {ended:?}");
        let told = json!({"tenant": "acme", "job": "close", "attempt": 2, "status": status});
        assert_eq!(details(&stage), [told], "{status}: {called:?}");
    }
    let stage = stage("embedded", false);
    (0..=8).for_each(|_| stage.once("events:putEvents", Err(Failure::new("Denied", "no"))));
    let (ended, called) = run(&stage).await;
    assert_eq!(ended, Ending::Failed(Failure::new("Denied", "no")), "published, and somebody has to tell it");
    assert_eq!(called.last().unwrap(), "JobCloser");
}

/// The rule hears only of executions that fail, and calls job-closer again: for the slot, which all others wait for.
#[tokio::test]
async fn what_could_not_be_closed_fails() {
    let stage = stage("embedded", false);
    stage.once("JobCloser", Err(Failure::new("Bug", "a row without a status")));
    let (ended, called) = run(&stage).await;
    assert_eq!(ended, Ending::Failed(Failure::new("Bug", "a row without a status")));
    assert!(called.contains(&"JobPublisher".to_owned()));
}

/// A mail, or a dead letter, that cannot be sent changes nothing of how a job has ended, nor of what third parties hear.
#[tokio::test]
async fn a_mail_that_cannot_be_sent_fails_no_job() {
    for (planned, ending) in [(true, "published"), (false, "failed")] {
        let stage = stage("embedded", false);
        if !planned {
            stage.once("JobPlanner", Err(Failure::new("InvalidInput", "no such column")));
        }
        stage.once("JobCloser", Ok(closed(ending)));
        (0..=8).for_each(|_| stage.once("JobCloser", Err(Failure::new("Throttled", "200 mails a day"))));
        let (ended, _) = run(&stage).await;
        assert_eq!(matches!(ended, Ending::Succeeded(_)), planned, "{ended:?}");
        assert_eq!(details(&stage).len(), 1, "{ending}");
    }
}

/// It ends like every job that has failed: with row, mail and dead letter of job-closer's, and with an event.
#[tokio::test]
async fn a_job_whose_message_came_too_often_is_ended() {
    let stage = stage("embedded", false);
    stage.always("JobCloser", closed("failed"));
    let failure = json!({"Error": "poisonous", "Cause": "received 21 times"});
    let input = json!({"tenant": "acme", "job": "close", "attempt": 2, "failure": failure});
    let (ended, called) = run_with(&stage, input.clone()).await;
    assert_eq!(ended, Ending::Failed(Failure::new("poisonous", "received 21 times")));
    assert_eq!(called, ["JobCloser", "events:putEvents", "JobCloser"]);
    let mut asked = input;
    asked["only_end"] = json!(true);
    assert_eq!(stage.calls()[0].1, asked);
    assert_eq!(details(&stage), [json!({"tenant": "acme", "job": "close", "attempt": 2, "status": "failed"})]);
}

#[tokio::test]
async fn what_one_call_cannot_read_is_checked_in_pieces() {
    let at_once = stage("embedded", false);
    run(&at_once).await;
    assert_eq!(actions(&at_once), ["check"]);

    let stage = in_pieces();
    let (ended, called) = run(&stage).await;
    assert!(matches!(ended, Ending::Succeeded(_)), "{ended:?}");
    assert_eq!(actions(&stage), ["check", "check_piece", "check_piece", "add_up"]);
    assert_eq!(called[6..], ["JobPublisher", "events:putEvents", "JobCloser", "JobCloser"]);
    let calls = stage.calls();
    let report = json!({"bucket": "work", "key": "report.json"});
    let piece = json!({"action": "check_piece", "tenant": "acme", "job": "close", "attempt": 2, "report": report,
        "piece": {"number": 1, "from": 2, "to": 3}});
    assert!(calls.iter().any(|(_, payload)| *payload == piece), "{calls:?}");
    let sum = json!({"action": "add_up", "tenant": "acme", "job": "close", "attempt": 2, "report": report});
    assert!(calls.iter().any(|(_, payload)| *payload == sum), "{calls:?}");
}

/// A map says only that a child has failed: what it was is left to the last call, which says it in the child's words.
#[tokio::test]
async fn the_reason_of_a_piece_reaches_the_end() {
    let failure = Failure::new("ControlTotalMismatch", "a cent is missing");
    let stage = in_pieces();
    stage.once("OutputChecker", Err(failure.clone()));
    (0..2).for_each(|_| stage.once("OutputChecker", Ok(json!({}))));
    stage.once("OutputChecker", Err(failure.clone()));
    stage.always("JobCloser", closed("failed"));
    let (ended, called) = run(&stage).await;
    assert_eq!(ended, Ending::Failed(failure));
    let mut asked = actions(&stage);
    assert_eq!(asked.pop().unwrap(), "add_up");
    asked.sort();
    assert_eq!(asked, ["check", "check_piece", "check_piece", "report_piece"]);
    let told = stage.calls().into_iter().find(|(_, payload)| payload["action"] == "report_piece").unwrap().1;
    assert_eq!(told["failure"], json!({"Error": "ControlTotalMismatch", "Cause": "a cent is missing"}));
    assert!(!called.iter().any(|called| called == "JobPublisher"), "nothing is published");
}
