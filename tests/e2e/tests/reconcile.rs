//! Jobs through the deployed template: the queue, the state machine, the embedded engine, least-privilege roles in force.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{collections::BTreeMap, fs, time::Duration};

use aws_sdk_sqs::types::MessageAttributeValue;
use e2e::{DATA, Stack, WORK, command::tieout};
use serde_json::{Value, json};
use storage::{Queues, queues::Message};
use tokio::time::sleep;

const QUEUE: &str = "000000000000/tieout-jobs";

fn queue(stack: &Stack, name: &str) -> String {
    format!("{}/{QUEUE}{name}", stack.var("AWS_ENDPOINT_URL").unwrap())
}

/// The attributes of the dead letter that says this, once it is there.
async fn dead_letter(stack: &Stack, words: &str) -> BTreeMap<String, String> {
    let sqs = aws_sdk_sqs::Client::new(stack.session.sdk_config());
    for _ in 0..120 {
        let received = sqs.receive_message().queue_url(queue(stack, "-dead-letters")).max_number_of_messages(10);
        let received = received.message_attribute_names("All").visibility_timeout(0).send().await.unwrap();
        for message in received.messages() {
            let text = |value: &MessageAttributeValue| value.string_value().unwrap_or_default().to_owned();
            let attributes = message.message_attributes().into_iter().flatten();
            let attributes: BTreeMap<String, String> =
                attributes.map(|(name, value)| (name.clone(), text(value))).collect();
            if attributes.get("reason").is_some_and(|reason| reason.contains(words)) {
                return attributes;
            }
        }
        sleep(Duration::from_millis(500)).await;
    }
    panic!("no dead letter says {words:?}");
}

fn write(document: &Value) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), document.to_string()).unwrap();
    file
}

/// A job on a file of its own, which nobody else's job reads.
fn job(file: &str, filter: &str) -> Value {
    json!({
        "version": 1,
        "inputs": {"rows": {"format": "csv", "objects": [file],
            "columns": [{"name": "id", "type": "integer"}, {"name": "net", "type": "decimal(2)"}]}},
        "steps": [{"name": "dear", "operation": "filter", "from": "rows",
            "where": {"column": filter, "is": ">", "value": "1.00"}}],
        "outputs": [{"name": "dear", "from": "dear", "format": "csv"}],
    })
}

fn unique(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::new_v4().simple().to_string().get(..12).unwrap())
}

/// The keys under which a job's check has left what goes from call to call.
async fn checks(stack: &Stack, job: &str) -> Vec<String> {
    let prefix = format!("default/jobs/{job}/attempt=1/check/");
    let listed = storage::Objects::list(&stack.session.objects(), WORK, &prefix, None).await.unwrap();
    listed.into_iter().map(|listed| listed.key).collect()
}

#[tokio::test]
async fn the_example_is_published_to_the_cent() {
    let stack = Stack::connect().await;
    let submit = ["job", "submit", "examples/reconcile/orders.json", "--wait", "--json"];
    let job = tieout(&submit).well().json();
    assert_eq!((&job["status"], &job["engine"]), (&json!("published"), &json!("embedded")), "{job}");
    let totals = &job["outputs"][0]["totals"];
    for (column, sum) in [
        ("totalRevenue", "2574886623.94"),
        ("totalProfit", "752701681.68"),
        ("Margin", "752701681.68"),
        ("Variance", "0.00"),
    ] {
        assert_eq!(totals[column], sum, "{column}");
    }
    assert!(job["steps"].as_array().is_some_and(|steps| !steps.is_empty()) && job["cost_microdollars"].is_u64());
    let id = job["job"].as_str().unwrap();
    let regions = tieout(&["job", "output", id, "regions"]).well().stdout;
    assert_eq!(regions.lines().next(), Some("Region,Online,Offline,All"));
    let orders = tieout(&["job", "output", id, "orders"]).well().stdout;
    assert_eq!(orders.lines().count(), 2_001);
    // Handed in again it is the same job.
    let again = tieout(&submit).well().json();
    assert_eq!((&again["job"], &again["attempt"], &again["ended_at"]), (&job["job"], &json!(1), &job["ended_at"]));
    let manifest = job["manifest"].as_str().unwrap();
    let at = storage::Location::new(DATA, manifest);
    storage::Objects::head(&stack.session.objects(), &at, None).await.unwrap();
    // The orders are longer than what one call reads on this stack: both outputs are pieces of their own.
    assert!(checks(&stack, id).await.len() >= 3, "pieces.json, and what was found in each");
}

#[tokio::test]
async fn what_cannot_be_done_says_why_and_can_be_begun_anew() {
    let stack = Stack::connect().await;
    let file = unique("files/e2e");
    let document = write(&job(&format!("{file}.csv"), "net"));
    let id = unique("late");
    let path = document.path().to_str().unwrap();
    let failed = tieout(&["job", "submit", path, "--id", &id, "--wait", "--json"]);
    assert_eq!(failed.status, 1, "{failed:?}");
    let failure = &failed.json()["failure"];
    assert_eq!(failure["class"], "InvalidInput");
    assert!(failure["message"].as_str().unwrap().contains("does not exist"), "{failure}");
    let letter = dead_letter(&stack, &file).await;
    assert_eq!((letter["job"].as_str(), letter["class"].as_str()), (id.as_str(), "InvalidInput"));

    let at = storage::Location::new(DATA, format!("default/{file}.csv"));
    let rows = "id,net\n1,0.50\n2,7.25\n".into();
    storage::Objects::put(&stack.session.objects(), &at, rows, storage::objects::PutOptions::default()).await.unwrap();
    let published = tieout(&["job", "redrive", &id, "--wait", "--json"]).well().json();
    assert_eq!((&published["status"], &published["attempt"]), (&json!("published"), &json!(2)));
    assert_eq!(tieout(&["job", "output", &id]).well().stdout, "id,net\r\n2,7.25\r\n");
    assert_eq!(tieout(&["job", "redrive", &id]).status, 2, "it is published");
    assert_eq!(tieout(&["job", "cancel", &id]).status, 2, "it is over");
    assert!(tieout(&["job", "list", "--json"]).well().stdout.contains(&id));
}

#[tokio::test]
async fn a_job_that_makes_no_sense_is_refused_before_any_data_is_read() {
    let stack = Stack::connect().await;
    let file = unique("files/e2e");
    let at = storage::Location::new(DATA, format!("default/{file}.csv"));
    let options = storage::objects::PutOptions::default();
    storage::Objects::put(&stack.session.objects(), &at, "id,net\nno number,\n".into(), options).await.unwrap();
    let document = write(&job(&format!("{file}.csv"), "gross"));
    let refused = tieout(&["job", "submit", document.path().to_str().unwrap(), "--wait"]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.stdout.contains("gross"), "{refused:?}");
    let unknown =
        write(&json!({"version": 1, "inputs": {}, "steps": [{"name": "a", "operation": "filtre"}], "outputs": []}));
    let refused = tieout(&["job", "submit", unknown.path().to_str().unwrap()]);
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(refused.stderr.contains("no operation"), "{refused:?}");
}

#[tokio::test]
async fn a_malformed_message_becomes_a_dead_letter_with_its_reason() {
    let stack = Stack::connect().await;
    let id = unique("Bad Id");
    let body = json!({"job": id, "document": job("a.csv", "net")}).to_string();
    let message = Message { body, attributes: BTreeMap::new() };
    stack.session.queues().send(&queue(&stack, ""), &message).await.unwrap();
    let letter = dead_letter(&stack, &id).await;
    assert_eq!(letter["class"], "malformed");
    assert!(letter["reason"].contains("is no id of a job"), "{letter:?}");
}

#[tokio::test]
async fn operations_are_explained_without_an_installation() {
    let all = tieout(&["operations", "--json"]).well().json();
    assert!(all.as_array().is_some_and(|all| all.len() >= 40));
    assert!(tieout(&["operations", "vlookup"]).well().stdout.contains("VLOOKUP"));
    assert_eq!(tieout(&["operations", "vlokup"]).status, 2);
}
