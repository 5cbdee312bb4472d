//! Prefetch and apply.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use error_class::{Classified, ErrorClass};
use ledger::{
    IndexEntry, LedgerError, Partition, PrefetchedWriter,
    commits::{PrefetchedPartition, Written},
    job::JobRefusal,
    layout::partition_key,
    messages::{PartitionRequest, RunInput},
    stage::Stage,
    turns::TurnError,
};
use serde_json::{Value, json};
use storage::{
    Cache, Location, Objects, StorageError, Tables, documents,
    memory::{Fault, Faulty, Operation},
    objects::PutOptions,
};

use crate::{
    hindered::Hindered,
    kit::{Ports, World, event},
};

const KEYS: u64 = 40;

/// The events of a day: some keys every day, some every other, some only then.
fn events(day: u64) -> String {
    let mut events = String::new();
    for key in 0..KEYS {
        if key % 3 == 0 || (key + day).is_multiple_of(2) {
            events.push_str(&event(day, &format!("k{key:03}"), day * 1_000 + key, &format!("{day}.{key:02}")));
        }
    }
    events.push_str(&event(day, &format!("only-{day}"), day * 1_000 + 999, "1"));
    events
}

/// Every artifact that the index names, with its line, its place left out: what a reader sees.
async fn everything(world: &World) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for item in world.index_items() {
        let key = item["pk"].as_str().unwrap().splitn(4, '#').last().unwrap();
        let mut line: Value = serde_json::from_slice(&world.get(key).await.unwrap().line).unwrap();
        line["previous"] = line["previous"]["sequence"].take();
        all.push((key.to_owned(), line));
    }
    all
}

async fn one_behind_the_other(days: u64) -> World {
    let world = World::new(json!({})).await;
    for day in 1..=days {
        let run = world.send(day, &events(day)).await;
        world.through(&run).await;
    }
    world
}

#[tokio::test]
async fn jobs_in_flight_make_what_they_make_one_behind_the_other() {
    let expected = one_behind_the_other(4).await;
    let world = World::new(json!({})).await;
    let mut runs = Vec::new();
    for day in 1..=4 {
        runs.push(world.send(day, &events(day)).await);
    }
    for run in &runs[..3] {
        world.prefetch(run).await;
    }
    let mut overlaid = Vec::new();
    for run in &runs[..3] {
        overlaid.push(world.apply(run).await.partitions.iter().map(|applied| applied.overlaid).sum::<u64>());
    }
    world.index(&runs[0]).await;
    // It finds the first job in the index, and the second and third in overlays.
    world.prefetch(&runs[3]).await;
    world.index(&runs[1]).await;
    let fourth: u64 = world.apply(&runs[3]).await.partitions.iter().map(|applied| applied.overlaid).sum();
    overlaid.push(fourth);
    world.index(&runs[2]).await;
    world.index(&runs[3]).await;
    assert_eq!(overlaid[0], 0);
    assert!(overlaid[1..].iter().all(|overlaid| *overlaid > 0), "{overlaid:?}");
    assert_eq!(everything(&world).await, everything(&expected).await);
    assert_eq!(world.summary("k000").await, Some((4, 4, "10.00".to_owned())));
    assert_eq!(world.summary("only-2").await, Some((2, 1, "1.00".to_owned())));
    assert_eq!(world.summary("nobody").await, None);
}

#[tokio::test]
async fn partitions_double_while_jobs_are_in_flight() {
    let expected = one_behind_the_other(3).await;
    let world = World::new(json!({ "partitionBits": 0 })).await;
    let mut runs = vec![world.send(1, &events(1)).await];
    world.redefine(json!({ "partitionBits": 2 })).await;
    runs.push(world.send(2, &events(2)).await);
    world.redefine(json!({ "partitionBits": 3 })).await;
    runs.push(world.send(3, &events(3)).await);
    assert_eq!(runs.iter().map(|run| run.partition_bits.get()).collect::<Vec<_>>(), [0, 2, 3]);
    for run in &runs {
        world.prefetch(run).await;
    }
    for run in &runs {
        world.apply(run).await;
    }
    for run in &runs {
        world.index(run).await;
    }
    assert_eq!(everything(&world).await, everything(&expected).await);
}

#[tokio::test]
async fn void_jobs_are_not_overlaid_and_live_ones_must_be() {
    let world = World::new(json!({})).await;
    let mut runs = Vec::new();
    for day in 1..=3 {
        runs.push(world.send(day, &events(day)).await);
    }
    for run in &runs {
        world.prefetch(run).await;
    }
    world.apply(&runs[0]).await;
    // The second has not been applied: the third cannot be, whatever turn it believes to have.
    let partition = world.partitions(&runs[2]).await[0];
    let request = PartitionRequest { run: runs[2].clone(), partition };
    let early = world.engine(world.ports()).apply(request).await.unwrap_err();
    assert!(matches!(&early, LedgerError::StepMissing { what, .. } if what == "apply of job 2"), "{early}");
    assert_eq!(early.class(), ErrorClass::Bug);
    world.backlog.skip(&world.terms().await, "day-2", "poison").await.unwrap();
    let third = world.run(3).await;
    world.apply(&third).await;
    world.index(&runs[0]).await;
    world.index(&third).await;
    assert_eq!(world.summary("k000").await, Some((3, 2, "4.00".to_owned())));
    assert_eq!(world.summary("only-2").await, None);
    // What the void job's workers still do is told to stop.
    let partition = world.partitions(&runs[1]).await[0];
    let late = PartitionRequest { run: runs[1].clone(), partition };
    let told = world.engine(world.ports()).apply(late.clone()).await.unwrap_err();
    assert!(matches!(told, LedgerError::Turn(TurnError::Refused(JobRefusal::Void(_)))), "{told}");
    assert_eq!(world.prefetcher(world.ports()).prefetch(late).await.unwrap_err().class(), ErrorClass::Conflict);
}

/// Everything that `run` commits for its first partition, as it stands.
async fn prefetched_file(world: &World, run: &RunInput) -> (PrefetchedPartition, Bytes) {
    let partition = world.partitions(run).await[0];
    let prefetched = world.prefetched(run, partition).await;
    let bytes = world.bytes("work", &prefetched.file.key).await;
    (prefetched, bytes)
}

/// A second job of a ledger whose first is indexed, with the turn to prefetch, and the request for a partition.
async fn second_job() -> (World, RunInput, PartitionRequest) {
    let world = World::new(json!({ "partitionBits": 0 })).await;
    let first = world.send(1, &events(1)).await;
    world.through(&first).await;
    let run = world.send(2, &events(2)).await;
    world.turn(&run, Stage::Prefetch).await;
    let partition = world.partitions(&run).await[0];
    (world, run.clone(), PartitionRequest { run, partition })
}

fn failing_cache(world: &World) -> Arc<dyn Cache> {
    let plan = |call: &Operation| {
        Some(Fault::Refused(StorageError::Unavailable { what: call.what.clone(), source: "the test".into() }))
    };
    Arc::new(Faulty::new(world.cache.clone() as Arc<dyn Cache>, plan))
}

/// A cache that answers every key with what `poison` makes of the truth.
struct Poisoned<F>(Arc<dyn Cache>, F);

#[async_trait::async_trait]
impl<F: Fn(Vec<Option<Bytes>>) -> Vec<Option<Bytes>> + Send + Sync> Cache for Poisoned<F> {
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StorageError> {
        self.0.get_many(keys).await.map(&self.1)
    }

    async fn put_many(&self, _: Vec<(String, Bytes)>, _: std::time::Duration) -> Result<(), StorageError> {
        Ok(())
    }
}

#[tokio::test]
async fn whatever_the_cache_says_the_same_is_prefetched() {
    let mut files = Vec::new();
    for kind in ["full", "empty", "failing", "swapped", "garbled", "cut", "nothing"] {
        let (world, run, request) = second_job().await;
        let cache: Arc<dyn Cache> = world.cache.clone();
        let cache = match kind {
            "empty" => {
                world.cache.clear();
                cache
            }
            "failing" => failing_cache(&world),
            // Whole and intact, but another artifact's.
            "swapped" => Arc::new(Poisoned(cache, |mut found: Vec<_>| {
                found.rotate_left(1);
                found
            })),
            "garbled" => Arc::new(Poisoned(cache, |found: Vec<Option<Bytes>>| {
                let garbled = |bytes: Bytes| {
                    let mut bytes = bytes.to_vec();
                    *bytes.last_mut().unwrap() ^= 1;
                    Bytes::from(bytes)
                };
                found.into_iter().map(|bytes| bytes.map(garbled)).collect()
            })),
            "cut" => Arc::new(Poisoned(cache, |found: Vec<Option<Bytes>>| {
                found.into_iter().map(|bytes| bytes.map(|bytes| bytes.slice(..7))).collect()
            })),
            "nothing" => Arc::new(Poisoned(cache, |_| Vec::new())),
            _ => cache,
        };
        world.prefetcher(Ports { cache, ..world.ports() }).prefetch(request).await.unwrap();
        let (prefetched, bytes) = prefetched_file(&world, &run).await;
        let keys = events(2).lines().count() as u64;
        assert_eq!(prefetched.keys, keys);
        assert!(prefetched.found > 10 && prefetched.found < keys, "{prefetched:?}");
        assert_eq!((prefetched.lookups, prefetched.cache_calls), (keys.div_ceil(100), 1), "{kind}");
        match kind {
            "full" => assert_eq!((prefetched.cached, prefetched.reads), (prefetched.found, 0)),
            _ => assert_eq!((prefetched.cached, prefetched.reads), (0, 1), "{kind}"),
        }
        // Attempts' paths are in it, each of the same length.
        files.push((kind, bytes.len(), prefetched.found));
    }
    assert!(files.iter().all(|(_, bytes, found)| (*bytes, *found) == (files[0].1, files[0].2)), "{files:?}");
}

#[tokio::test]
async fn what_was_asked_for_again_is_counted() {
    let (world, run, request) = second_job().await;
    let tables = Arc::new(Hindered { repeats: 2, ..Hindered::new(world.tables.clone()) });
    world.prefetcher(Ports { tables, ..world.ports() }).prefetch(request).await.unwrap();
    let (prefetched, _) = prefetched_file(&world, &run).await;
    assert_eq!(prefetched.lookups, prefetched.keys.div_ceil(100) + 2);
}

fn not_found(call: &Operation) -> Option<Fault> {
    Some(Fault::Refused(StorageError::NotFound { what: call.what.clone() }))
}

#[tokio::test]
async fn a_file_that_is_gone_is_asked_for_once_more_and_where_the_index_says_then() {
    let (world, run, request) = second_job().await;
    world.cache.clear();
    // Compaction: the file is copied, the index told, the old file taken away, between the look-up and the read.
    let file = world.get("k000").await.unwrap().entry.file;
    let moved = "acme/ledgers/orders/compacted/part-00000.jsonl";
    let compacted = AtomicU64::new(0);
    let tables = world.tables.clone();
    let objects = world.objects.clone();
    let from = Location::new("data", &file);
    let plan = move |call: &Operation| {
        if call.name != "read" || call.what != from.to_string() {
            return None;
        }
        if compacted.fetch_add(1, Ordering::Relaxed) == 0 {
            let compact = async {
                objects.copy(&from, None, &Location::new("data", moved)).await.unwrap();
                for mut item in tables.items("artifacts") {
                    item["file"] = moved.into();
                    tables.put("artifacts", item, storage::Condition::Always).await.unwrap();
                }
            };
            futures::FutureExt::now_or_never(compact).unwrap();
        }
        not_found(call)
    };
    let objects = Arc::new(Faulty::new(world.objects.clone() as Arc<dyn Objects>, plan));
    world.prefetcher(Ports { objects, ..world.ports() }).prefetch(request).await.unwrap();
    let (prefetched, bytes) = prefetched_file(&world, &run).await;
    assert_eq!((prefetched.reads, prefetched.cached), (2, 0));
    assert_eq!(
        (prefetched.lookups, prefetched.cache_calls),
        (prefetched.keys.div_ceil(100) + 1, 2),
        "both looks count"
    );
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(moved));
}

#[tokio::test]
async fn a_file_that_stays_away_is_a_bug_after_one_more_look() {
    let (world, _, request) = second_job().await;
    world.cache.clear();
    let looks = Arc::new(AtomicU64::new(0));
    let objects = Faulty::new(world.objects.clone() as Arc<dyn Objects>, |call: &Operation| {
        (call.name == "read" && call.what.contains("/part-")).then(|| not_found(call)).flatten()
    });
    let count = looks.clone();
    let tables = Faulty::new(world.tables.clone() as Arc<dyn Tables>, move |call: &Operation| {
        count.fetch_add(u64::from(call.name == "get_many" && call.what == "artifacts"), Ordering::Relaxed);
        None
    });
    let ports = Ports { objects: Arc::new(objects), tables: Arc::new(tables), ..world.ports() };
    let error = world.prefetcher(ports).prefetch(request).await.unwrap_err();
    assert_eq!((error.class(), looks.load(Ordering::Relaxed)), (ErrorClass::Bug, 2), "{error}");
}

#[tokio::test]
async fn a_line_of_another_version_is_no_version() {
    let (world, _, request) = second_job().await;
    world.cache.clear();
    let mut items = world.index_items().into_iter();
    let mut item = items.find(|item| item["pk"].as_str().unwrap().ends_with("#k000")).unwrap();
    item["sequence"] = 0.into();
    world.tables.put("artifacts", item, storage::Condition::Always).await.unwrap();
    let error = world.prefetcher(world.ports()).prefetch(request).await.unwrap_err();
    assert!(matches!(error, LedgerError::File { .. }), "{error}");
}

#[tokio::test]
async fn twice_at_once_and_late_each_partition_is_committed_once() {
    let world = World::new(json!({})).await;
    let first = world.send(1, &events(1)).await;
    world.through(&first).await;
    let run = world.send(2, &events(2)).await;
    let prefetch = world.turn(&run, Stage::Prefetch).await;
    let partition = world.partitions(&run).await[0];
    let request = PartitionRequest { run: run.clone(), partition };
    let (one, other) = (world.prefetcher(world.ports()), world.prefetcher(world.ports()));
    let both = futures::join!(one.prefetch(request.clone()), other.prefetch(request.clone()));
    assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
    let prefetched = world.prefetched(&run, partition).await;
    one.prefetch(request.clone()).await.unwrap();
    assert_eq!(world.prefetched(&run, partition).await, prefetched);
    for partition in world.partitions(&run).await {
        one.prefetch(PartitionRequest { run: run.clone(), partition }).await.unwrap();
    }
    world.commit(&run, Stage::Prefetch, prefetch, "prefetched.json").await;

    let fence = world.turn(&run, Stage::Apply).await;
    let (one, other) = (world.engine(world.ports()), world.engine(world.ports()));
    let both = futures::join!(one.apply(request.clone()), other.apply(request.clone()));
    assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
    let applied = world.applied(&run, partition).await;
    for partition in world.partitions(&run).await {
        one.apply(PartitionRequest { run: run.clone(), partition }).await.unwrap();
    }
    assert_eq!(world.applied(&run, partition).await, applied);
    world.commit_apply(&run, fence).await;
    world.index(&run).await;
    // Far too late: what they would do is done.
    let before = world.index_items();
    world.prefetcher(world.ports()).prefetch(request.clone()).await.unwrap();
    one.apply(request.clone()).await.unwrap();
    assert_eq!(world.applied(&run, partition).await, applied);
    assert_eq!(world.prefetched(&run, partition).await, prefetched);
    assert_eq!(world.index_items(), before);
    // Another attempt's worker is told to stop.
    let old = PartitionRequest { run: RunInput { attempt: 1, ..run }, ..request };
    assert_eq!(one.apply(old.clone()).await.unwrap_err().class(), ErrorClass::Conflict);
    assert_eq!(world.prefetcher(world.ports()).prefetch(old).await.unwrap_err().class(), ErrorClass::Conflict);
}

#[tokio::test]
async fn nothing_is_prefetched_before_the_turn_is_granted() {
    let world = World::new(json!({})).await;
    let run = world.send(1, &events(1)).await;
    let partition = world.partitions(&run).await[0];
    let request = PartitionRequest { run: run.clone(), partition };
    let early = world.prefetcher(world.ports()).prefetch(request.clone()).await.unwrap_err();
    assert!(matches!(early, LedgerError::StepMissing { .. }), "{early}");
    world.turn(&run, Stage::Prefetch).await;
    let early = world.engine(world.ports()).apply(request).await.unwrap_err();
    assert!(matches!(early, LedgerError::WorkExpired { .. }), "{early}");
}

/// A prefetcher that was as good as dead looked up the artifacts after the job itself was indexed.
#[tokio::test]
async fn a_version_of_the_job_itself_ends_the_attempt() {
    let (world, run, request) = second_job().await;
    let entry = world.get("k000").await.unwrap().entry;
    let mut writer = PrefetchedWriter::default();
    let keys: std::collections::BTreeSet<String> =
        events(2).lines().map(|line| line.split(',').next().unwrap().to_owned()).collect();
    for key in &keys {
        let line = format!("{{\"key\":\"{key}\",\"applied_through\":2,");
        let entry = IndexEntry { sequence: run.batches.lo(), ..entry.clone() };
        writer.push(key, (key == "k000").then_some((&entry, line.as_bytes())));
    }
    let bytes = writer.finish();
    let file = Written { key: "acme/zombie.versions".to_owned(), bytes: bytes.len() as u64 };
    let at = Location::new("work", &file.key);
    world.objects.put(&at, Bytes::from(bytes), PutOptions::default()).await.unwrap();
    let keys = keys.len() as u64;
    let partition = request.partition;
    let (found, lookups, cache_calls, cached, reads, bytes_read) = (1, 0, 0, 0, 0, 0);
    let commit = PrefetchedPartition { partition, file, keys, found, lookups, cache_calls, cached, reads, bytes_read };
    let at = Location::new("work", partition_key(&run, Stage::Prefetch, partition));
    documents::write(&*world.objects, &at, &commit).await.unwrap();
    let error = world.engine(world.ports()).apply(request).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Conflict, "{error}");
}

#[tokio::test]
async fn events_that_contradict_earlier_ones_are_rejected_into_a_file() {
    let world = World::new(json!({ "duplicates": { "scope": "artifact" }, "partitionBits": 0 })).await;
    let first = world.send(1, &event(1, "a", 1, "1")).await;
    world.through(&first).await;
    // The same id with another amount; one that is quite new.
    let records = format!("{}{}", event(2, "a", 1, "2"), event(2, "a", 7, "5"));
    let run = world.send(2, &records).await;
    world.prefetch(&run).await;
    let manifest = world.apply(&run).await;
    world.index(&run).await;
    assert_eq!(world.summary("a").await, Some((2, 2, "6.00".to_owned())));
    let applied = &manifest.partitions[0];
    assert_eq!((applied.conflicts.records(), applied.totals_applied.records()), (1, 1));
    let rejects = applied.rejects.clone().unwrap();
    let bytes = world.bytes("data", &rejects.key).await;
    assert_eq!(rejects.bytes, bytes.len() as u64);
    let line: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((&line["key"], &line["event_id"], &line["row"]), (&json!("a"), &json!("e1"), &json!(1)));
}

#[tokio::test]
async fn a_partition_that_the_memory_has_no_room_for_is_not_read() {
    let (world, run, request) = second_job().await;
    world.prefetch(&run).await;
    world.turn(&run, Stage::Apply).await;
    let error = world.engine(world.ports()).holding(1_000).apply(request.clone()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::InvalidInput, "{error}");
    let said = error.to_string();
    assert!(
        said.contains("partition 0 of job 2 takes ") && said.contains("now 0, then `tieout batch redrive --afresh`")
    );
    world.engine(world.ports()).apply(request).await.unwrap();
}

/// The store damages what is written: some file of the partition, as soon as it is first asked for.
#[tokio::test]
async fn what_does_not_stand_as_it_was_written_is_not_applied() {
    // One artifact has more lines than it keeps for itself: they stand in a side file.
    let world = World::new(json!({ "partitionBits": 0 })).await;
    let lines = (0..2_500).map(|id| event(1, "hot", id, "0.01")).collect::<String>();
    let run = world.send(1, &(lines + &events(1))).await;
    let request = PartitionRequest { run: run.clone(), partition: Partition::new(0) };
    world.prefetch(&run).await;
    world.turn(&run, Stage::Apply).await;
    let first: fn(&mut Vec<u8>) = |bytes| bytes[0] ^= 1;
    let flip: fn(&mut Vec<u8>) = |bytes| *bytes.last_mut().unwrap() ^= 1;
    let cut: fn(&mut Vec<u8>) = |bytes| bytes.truncate(bytes.len() - 1);
    let files = ["/part-00000.jsonl", "/part-00000.idx", "/lines-00000.jsonl"];
    for (file, damage) in files.into_iter().flat_map(|file| [first, flip, cut].map(|damage| (file, damage))) {
        let objects = world.objects.clone();
        let plan = move |call: &Operation| {
            let key = call.what.strip_prefix("s3://data/").filter(|key| key.contains("/apply/") && key.ends_with(file));
            if let Some(key) = key.filter(|_| call.name == "head") {
                let at = Location::new("data", key);
                let spoil = async {
                    let whole = objects.read(&at, None, None).await.unwrap();
                    let mut bytes = storage::objects::read_all(whole, &at, u64::MAX).await.unwrap().to_vec();
                    damage(&mut bytes);
                    objects.put(&at, bytes.into(), PutOptions::default()).await.unwrap();
                };
                futures::FutureExt::now_or_never(spoil).unwrap();
            }
            None
        };
        let objects = Arc::new(Faulty::new(world.objects.clone() as Arc<dyn Objects>, plan));
        let engine = world.engine(Ports { objects, ..world.ports() });
        let error = engine.apply(request.clone()).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::ControlTotalMismatch, "{file}: {error}");
        let said = error.to_string();
        assert!(said.starts_with("partition 0 of job 1, written against read back: s3://data/"), "{said}");
    }
    let committed = partition_key(&run, Stage::Apply, request.partition);
    assert!(world.objects.head(&Location::new("data", committed), None).await.is_err(), "nothing is committed");
    world.apply(&run).await;
}

/// A ledger that is judged by a business rule, through all functions; which one it was, and in what version, is written
/// down.
#[tokio::test]
async fn a_business_rule_judges_and_is_named() {
    let world = World::new(json!({
        "measures": {
            "invoiced": { "measure": "max", "column": "amount" },
            "paid": { "measure": "min", "column": "amount" },
        },
        "status": { "rule": "settled" },
    }))
    .await;
    let mut events = String::new();
    for (number, (key, amount)) in (0..).zip([("a", "100"), ("a", "98"), ("b", "100"), ("b", "97.99")]) {
        events.push_str(&event(1, key, number, amount));
    }
    let run = world.send(1, &events).await;
    world.prefetch(&run).await;
    let applied = world.apply(&run).await;
    let rules: Vec<_> = applied.partitions.iter().map(|of| of.rule.as_ref().unwrap().to_string()).collect();
    assert!(!rules.is_empty() && rules.iter().all(|rule| rule == "settled 1"), "{rules:?}");
    world.index(&run).await;
    let status = async |key: &str| -> Value {
        let line: Value = serde_json::from_slice(&world.get(key).await.unwrap().line).unwrap();
        line["status"].clone()
    };
    assert_eq!((status("a").await, status("b").await), (json!("reconciled"), json!("break")));
}
