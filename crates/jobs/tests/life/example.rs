//! The example job, from its file to its sums.

use std::{fs, path::Path};

use jobs::book::JobStatus;
use serde_json::Value as Json;

use crate::kit::{World, attempt, body};

#[tokio::test]
async fn the_example_ties_out_to_the_cent() {
    let world = World::new();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let text = fs::read_to_string(examples.join("reconcile/orders.json")).unwrap();
    let mut job: Json = serde_json::from_str(&text).unwrap();
    for input in job["inputs"].as_object_mut().unwrap().values_mut() {
        for object in input["objects"].as_array_mut().unwrap() {
            let name = object.as_str().unwrap().trim_start_matches("../").to_owned();
            world.put(&format!("acme/{name}"), &fs::read_to_string(examples.join(&name)).unwrap()).await;
            *object = name.into();
        }
    }
    world.deliver(&world.handlers(), &body("close", &job)).await;
    let closed = world.execute(&world.handlers(), &attempt("close", 1)).await.unwrap();
    let record = world.record("close").await;
    assert_eq!(closed.status, JobStatus::Published, "{:?}", record.failure);
    let [orders, regions, totals] = &record.outputs[..] else { panic!("three outputs") };
    assert_eq!((orders.rows, regions.rows, totals.rows), (2_000, 7, 4));
    for (column, sum) in [
        ("totalRevenue", "2574886623.94"),
        ("totalCost", "1822184942.26"),
        ("totalProfit", "752701681.68"),
        ("Margin", "752701681.68"),
        ("Variance", "0.00"),
    ] {
        assert_eq!(orders.totals[column], sum, "{column}");
    }
    assert_eq!(regions.totals["All"], "2574886623.94");
    let readme = fs::read_to_string(examples.join("reconcile/README.md")).unwrap();
    assert!(readme.contains("2,574,886,623.94") && readme.contains("752,701,681.68"));
}
