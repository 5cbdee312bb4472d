//! Jobs that are handed in by the API, that wait for a slot, and that are cancelled while they run.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{collections::BTreeMap, time::Duration};

use e2e::{
    DATA, Stack,
    command::{boto, tieout},
    throttle::Throttle,
};
use serde_json::{Value, json};
use storage::{Location, Objects, Queues, objects::PutOptions, queues::Message};
use tokio::{sync::Mutex, time::sleep};

fn unique(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::new_v4().simple().to_string().get(..12).unwrap())
}

/// A message about a job on a file that is there.
async fn message(stack: &Stack, job: &str) -> String {
    let file = unique("files/slots");
    let at = Location::new(DATA, format!("default/{file}.csv"));
    stack.session.objects().put(&at, "id,net\n1,0.50\n2,7.25\n".into(), PutOptions::default()).await.unwrap();
    let document = json!({
        "version": 1,
        "inputs": {"rows": {"format": "csv", "objects": [format!("{file}.csv")],
            "columns": [{"name": "id", "type": "integer"}, {"name": "net", "type": "decimal(2)"}]}},
        "steps": [{"name": "dear", "operation": "filter", "from": "rows",
            "where": {"column": "net", "is": ">", "value": "1.00"}}],
        "outputs": [{"name": "dear", "from": "dear", "format": "csv"}],
    });
    json!({"job": job, "document": document}).to_string()
}

fn shown(job: &str) -> Value {
    let shown = tieout(&["job", "show", job, "--json"]);
    if shown.status == 0 { shown.json() } else { json!({"status": "unknown"}) }
}

/// The job's row, as soon as it is so.
async fn once(job: &str, is: impl Fn(&Value) -> bool) -> Value {
    let mut row = Value::Null;
    for _ in 0..240 {
        row = shown(job);
        if is(&row) {
            return row;
        }
        sleep(Duration::from_millis(250)).await;
    }
    panic!("{job} is {row}");
}

/// All jobs of this stack are counted here: one test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// The rows of these jobs.
fn listed(jobs: &[String]) -> Vec<Value> {
    let rows = tieout(&["job", "list", "--limit", "50", "--json"]).well().json();
    let is_one = |row: &&Value| jobs.iter().any(|job| row["job"] == **job);
    rows.as_array().unwrap().iter().filter(is_one).cloned().collect()
}

/// The status and the body that the API answers with.
fn post(body: &str, signed: bool) -> (u16, Value) {
    let arguments = if signed { vec!["", body] } else { vec!["", body, "unsigned"] };
    let script = format!("import sys; sys.argv = {}\n{}", json!(arguments), include_str!("../src/api.py"));
    let answer = boto(&script).well().stdout;
    let (status, body) = answer.split_once(' ').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body.trim()).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_job_is_handed_in_by_the_api() {
    let _alone = ALONE.lock().await;
    let stack = Stack::connect().await;
    let id = unique("posted");
    let body = message(&stack, &id).await;
    let (status, answer) = post(&body, true);
    assert_eq!((status, &answer["tenant"], &answer["job"]), (202, &json!("default"), &json!(id)), "{answer}");
    let published = once(&id, |row| row["status"] == "published").await;
    assert_eq!(published["outputs"][0]["totals"]["net"], "7.25");
    // The same again is the same job; another document under its id is none.
    let (status, answer) = post(&body, true);
    assert_eq!((status, &answer["status"]), (202, &json!("published")), "{answer}");
    let (status, answer) = post(&body.replace("1.00", "2.00"), true);
    assert_eq!(status, 409, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("another document"), "{answer}");
    let (status, answer) = post(&body.replace("filter", "filtre"), true);
    assert_eq!(status, 400, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("filtre"), "{answer}");
    assert_eq!(post(&body, false).0, 403, "whoever signs nothing is nobody");
}

/// Ten jobs hold the slots, and cannot go on; the eleventh waits, and comes when one of them is cancelled.
#[tokio::test]
async fn the_eleventh_job_waits_and_a_running_one_is_cancelled() {
    let _alone = ALONE.lock().await;
    let stack = Stack::connect().await;
    let queue = format!("{}/000000000000/tieout-jobs", stack.var("AWS_ENDPOINT_URL").unwrap());
    // The runner is always told to slow down, and asked again: for as long as this test needs, and not much longer.
    let throttle = Throttle::before(&stack, &["transform-runner"], 1).await;
    let mut jobs = Vec::new();
    for number in 0..11 {
        let id = unique(&format!("slot-{number}"));
        let message = Message { body: message(&stack, &id).await, attributes: BTreeMap::new() };
        stack.session.queues().send(&queue, &message).await.unwrap();
        jobs.push(id);
    }
    let mut rows: Vec<Value> = Vec::new();
    for _ in 0..100 {
        rows = listed(&jobs);
        let count = |status: &str| rows.iter().filter(|row| row["status"] == status).count();
        if count("running") == 10 && rows.iter().any(|row| row["status"] == "queued" && row["waits"] != 0) {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    let of = |status: &str| rows.iter().filter(|row| row["status"] == status).collect::<Vec<_>>();
    let ([waiting], running) = (&of("queued")[..], of("running")) else { panic!("{rows:?}") };
    assert_eq!((running.len(), waiting["waits"].as_u64() > Some(0)), (10, true), "{rows:?}");

    let name = |row: &Value| row["job"].as_str().unwrap().to_owned();
    let cancelled = name(running.first().unwrap());
    tieout(&["job", "cancel", &cancelled]).well();
    let row = once(&cancelled, |row| row["status"] != "running").await;
    assert_eq!((&row["status"], row["ended_at"].is_string()), (&json!("cancelled"), true), "{row}");
    assert_eq!(row["failure"], Value::Null, "it did not fail: {row}");
    throttle.open();
    for job in jobs.iter().filter(|job| **job != cancelled) {
        let row = once(job, |row| row["ended_at"].is_string()).await;
        assert_eq!(row["status"], "published", "{row}");
    }
    // Nobody is at the door while this test waits for a command.
    drop(throttle);
    let manifest = Location::new(DATA, format!("default/jobs/{cancelled}/attempt=1/manifest.json"));
    let bytes = stack.session.objects().read(&manifest, None, None).await.unwrap();
    let end = storage::objects::read_all(bytes, &manifest, 1 << 20).await.unwrap();
    let end: Value = serde_json::from_slice(&end).unwrap();
    assert_eq!(end["status"], "cancelled", "{end}");
    let again = tieout(&["job", "redrive", &cancelled, "--wait", "--json"]).well().json();
    assert_eq!((&again["status"], &again["attempt"]), (&json!("published"), &json!(2)));
}
