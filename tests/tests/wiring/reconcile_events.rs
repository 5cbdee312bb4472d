//! The sample events of reconcile are what its functions take, and are about one job.

use std::collections::BTreeSet;

use jobs::{
    layout,
    messages::{CheckAction, CheckRequest, CloseRequest, Notice, Piece, PlanRequest, StartRequest, StepRequest},
    submission::Submission,
    transform::TransformRequest,
};
use reconcile::task::TaskJob;
use serde_json::{Value, json};
use tests::machine;

use crate::{PROJECT, events};

fn job(attempt: u32) -> TaskJob {
    TaskJob { tenant: "default".to_owned(), job: "sample".to_owned(), attempt }
}

fn exact<T: serde::de::DeserializeOwned + serde::Serialize>(name: &str) -> T {
    events::exact(&format!("reconcile/{name}"))
}

#[test]
fn the_same_job_is_handed_in_by_the_queue_and_by_the_api() {
    let StartRequest::Messages(event) = events::event("reconcile/job-starter") else { panic!("messages") };
    let StartRequest::Posted(request) = events::event("reconcile/job-starter-posted") else { panic!("a request") };
    assert_eq!(event.records[0].body, request.body);
    let submission: Submission = serde_json::from_str(&request.body).expect("it is a submission");
    assert_eq!(submission.attempt(), job(1));
    submission.check().expect("it is well-formed");
    let route = &PROJECT.template["Resources"]["JobsApiRoute"]["Properties"];
    assert_eq!((&route["RouteKey"], &route["AuthorizationType"]), (&json!(request.route_key), &json!("AWS_IAM")));
}

#[test]
fn the_steps_of_the_sample_job_are_what_the_functions_take() {
    assert_eq!(exact::<StepRequest>("job-publisher").job, job(1));
    assert_eq!(exact::<PlanRequest>("job-planner"), PlanRequest { job: job(1), failure: None });
    let handed_over: PlanRequest = exact("job-planner-hand-over");
    assert!(handed_over.job == job(1) && handed_over.failure.expect("it says why").error == "TooLarge");
    let transform: TransformRequest = exact("transform-runner");
    assert_eq!((transform.job, transform.task.key), (job(1), layout::task_key(&job(1))));
    let piece = Piece { number: 0, from: 0, to: 1 };
    for (name, attempt, action) in [
        ("output-checker", 1, Some(CheckAction::Check)),
        ("output-checker-piece", 1, Some(CheckAction::CheckPiece { piece })),
        ("output-checker-report-piece", 2, None),
        ("output-checker-add-up", 1, Some(CheckAction::AddUp)),
    ] {
        let check: CheckRequest = exact(name);
        let report = format!("{}/report.json", layout::engine_prefix(&job(attempt)));
        assert_eq!((&check.job, &check.report.key), (&job(attempt), &report), "{name}");
        let is_reported = matches!(&check.action, CheckAction::ReportPiece { piece: of, .. } if *of == piece);
        assert!(action.map_or(is_reported, |action| action == check.action), "{name}: {:?}", check.action);
    }
    for (name, only_end) in [("job-closer", true), ("job-closer-tell", false)] {
        assert_eq!(exact::<CloseRequest>(name), CloseRequest { job: job(1), failure: None, only_end }, "{name}");
    }
    let failed: CloseRequest = exact("job-closer-failure");
    let cause = failed.failure.expect("it failed").cause;
    let cause: Value = serde_json::from_str(&cause).expect("a Lambda's cause is JSON");
    assert!(failed.job == job(2) && failed.only_end && cause["errorMessage"].is_string());
}

#[test]
fn the_sample_end_is_of_a_third_attempt() {
    let Notice::Ended(ended) = events::event("reconcile/job-closer-ended") else { panic!("an execution ended") };
    let of: StepRequest = serde_json::from_str(&ended.detail.input).expect("its input is a job's");
    assert_eq!(of.job, job(3));
    let event: Value = events::event("reconcile/job-closer-ended");
    assert_eq!(event["detail"]["name"], layout::execution(&job(3)));
    let pattern = &PROJECT.template["Resources"]["ReconcileEndedRule"]["Properties"]["EventPattern"];
    assert_eq!((&pattern["source"][0], &pattern["detail-type"][0]), (&event["source"], &event["detail-type"]));
    assert_eq!(pattern["detail"]["status"][1], event["detail"]["status"]);
}

/// What the states put together is what the sample events show, but for the values.
#[test]
fn the_states_say_what_the_samples_do() {
    let definition = PROJECT.deployed("reconcile").expect("it is JSON");
    let states = machine::states(&definition);
    for (state, sample) in [
        ("Plan", "job-planner"),
        ("Transform", "transform-runner"),
        ("HandOver", "job-planner-hand-over"),
        ("Check", "output-checker"),
        ("CheckPiece", "output-checker-piece"),
        ("ReportPiece", "output-checker-report-piece"),
        ("AddUp", "output-checker-add-up"),
        ("Publish", "job-publisher"),
        ("Close", "job-closer"),
        ("CloseFailure", "job-closer-failure"),
        ("Tell", "job-closer-tell"),
    ] {
        let task = states.iter().find(|one| one.name == state).expect("there is such a state");
        let said = task.body["Parameters"].as_object().expect("a task says something");
        let names: BTreeSet<&str> = said.keys().map(|name| name.trim_end_matches(".$")).collect();
        let sample: Value = events::event(&format!("reconcile/{sample}"));
        if let Some(action) = said.get("action") {
            assert_eq!(*action, sample["action"], "{state}");
        }
        let sample: BTreeSet<&str> = sample.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(names, sample, "{state}");
    }
}

/// An execution never outlasts its slot: the starter's leases go by the machine's own bound.
#[test]
fn a_slot_is_leased_for_as_long_as_an_execution_lasts() {
    let definition = PROJECT.deployed("reconcile").expect("it is JSON");
    let starter = &PROJECT.template["Resources"]["JobStarter"]["Properties"]["Environment"]["Variables"];
    assert_eq!(starter["JOB_SECONDS_MAX"], definition["TimeoutSeconds"].to_string());
    let planner = &PROJECT.template["Resources"]["JobPlanner"]["Properties"]["Environment"]["Variables"];
    let runner = &PROJECT.template["Resources"]["TransformRunner"]["Properties"];
    assert_eq!(planner["TRANSFORM_SECONDS"], runner["Timeout"].to_string());
    assert_eq!(runner["Environment"]["Variables"]["TRANSFORM_SECONDS"], runner["Timeout"].to_string());
    assert_eq!(planner["TRANSFORM_DISK_MIB"], runner["EphemeralStorage"]["Size"].to_string());
    // What waits is received again by and by, never while it is still being handled.
    let queue = &PROJECT.template["Resources"]["JobsQueue"]["Properties"];
    let timeout = PROJECT.template["Resources"]["JobStarter"]["Properties"]["Timeout"].as_u64();
    assert!(queue["VisibilityTimeout"].as_u64() >= timeout.map(|seconds| seconds * 6));
    assert!(queue["RedrivePolicy"].is_null(), "SQS would count waiting as failing");
}
