//! What readers of all artifacts are told to read.

use std::{collections::BTreeMap, sync::Arc};

use ledger::{
    contents::{Contents, contents},
    manifest::LedgerId,
};
use serde_json::{Value, json};
use storage::Tables;

use crate::kit::{World, event};

async fn held(world: &World) -> Contents {
    let tables: Arc<dyn Tables> = world.tables.clone();
    contents(&*world.objects, &tables, "ledgers", "data", &world.id).await.unwrap().unwrap()
}

/// The latest line of every artifact, by key, as whoever reads the parts finds it.
async fn latest(world: &World, contents: &Contents) -> BTreeMap<String, Value> {
    let mut latest: BTreeMap<String, Value> = BTreeMap::new();
    for part in &contents.parts {
        let bytes = world.bytes("data", &part.key).await;
        assert_eq!(bytes.len() as u64, part.bytes);
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_slice(line).unwrap();
            let held = latest.entry(line["key"].as_str().unwrap().to_owned()).or_default();
            if held["applied_through"].as_u64() < line["applied_through"].as_u64() {
                *held = line;
            }
        }
    }
    latest
}

#[tokio::test]
async fn all_that_is_indexed_is_read_and_nothing_else() {
    let world = World::new(json!({})).await;
    let empty = held(&world).await;
    assert_eq!((empty.through.get(), empty.parts.len()), (0, 0));
    assert_eq!(empty.watermark.unwrap().to_string(), "2024-05-01T00:00:00Z");

    let first = world.send(1, &(event(1, "a", 1, "1.00") + &event(1, "b", 2, "2.00"))).await;
    world.through(&first).await;
    let second = world.send(2, &(event(2, "a", 3, "0.25") + &event(2, "c", 4, "4.00"))).await;
    // Applied, and in part even in the index: still it does not count.
    world.prefetch(&second).await;
    world.apply(&second).await;
    let before = held(&world).await;
    assert_eq!(before.through.get(), 1);
    assert_eq!(before.watermark.unwrap().to_string(), "2024-05-02T00:00:00Z");
    let sums = |lines: &BTreeMap<String, Value>| -> Vec<String> {
        let sum = |line: &Value| line["measures"]["net"][0]["amount"].as_str().unwrap().to_owned();
        lines.iter().map(|(key, line)| format!("{key} {}", sum(line))).collect()
    };
    assert_eq!(sums(&latest(&world, &before).await), ["a 1.00", "b 2.00"]);

    world.index(&second).await;
    let after = held(&world).await;
    assert_eq!(after.through.get(), 2);
    assert_eq!(after.watermark.unwrap().to_string(), "2024-05-03T00:00:00Z");
    assert_eq!(sums(&latest(&world, &after).await), ["a 1.25", "b 2.00", "c 4.00"]);
    assert!(after.parts.starts_with(&before.parts));

    // A job that an operator takes out, and one behind it.
    let third = world.send(3, &event(3, "a", 5, "100.00")).await;
    let fourth = world.send(4, &event(4, "d", 6, "8.00")).await;
    world.backlog.skip(&world.terms().await, "day-3", "a test").await.unwrap();
    assert!(world.book().job(&world.id, third.job).await.unwrap().unwrap().is_void());
    world.through(&fourth).await;
    let last = held(&world).await;
    assert_eq!(last.through.get(), 4);
    assert_eq!(last.watermark.unwrap().to_string(), "2024-05-03T00:00:00Z", "an interval is not covered");
    assert_eq!(sums(&latest(&world, &last).await), ["a 1.25", "b 2.00", "c 4.00", "d 8.00"]);
}

#[tokio::test]
async fn a_ledger_that_is_not_there_holds_nothing() {
    let world = World::new(json!({})).await;
    let tables: Arc<dyn Tables> = world.tables.clone();
    let other = LedgerId::new("acme", "other").unwrap();
    assert_eq!(contents(&*world.objects, &tables, "ledgers", "data", &other).await.unwrap(), None);
}
