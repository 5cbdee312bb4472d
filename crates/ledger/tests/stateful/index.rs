//! Index, and reading back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use error_class::{Classified, ErrorClass};
use ledger::{
    IndexEntry, LedgerError,
    artifacts::{Artifacts, Found, Walk},
    layout::artifact_key,
    manifest::LedgerId,
    messages::{IndexTask, IndexWork, PartRef, RunInput},
    stage::{Stage, Turn},
    steps::Steps,
};
use serde_json::{Value, json};
use storage::{
    Cache, Clock, Condition, Item, Key, Location, Objects, StorageError, Tables,
    memory::{Fault, Faulty, Operation},
    objects::PutOptions,
};

use crate::{
    hindered::Hindered,
    kit::{Ports, World, event},
};

const KEYS: u64 = 3_000;

fn events(day: u64) -> String {
    (0..KEYS).map(|key| event(day, &format!("k{key:05}"), day * 10_000 + key, "1")).collect()
}

/// The key of an artifact's row in the index.
fn row(key: &str) -> String {
    artifact_key(&LedgerId::new("acme", "orders").unwrap(), key)
}

/// A ledger with the first `indexed` days indexed, and one more applied: its fence of index, and all that is to be put.
async fn applied(indexed: u64) -> (World, RunInput, u64, IndexTask) {
    let mut world = World::new(json!({ "partitionBits": 0 })).await;
    world.part_bytes_max = 200_000;
    for day in 1..=indexed {
        let run = world.send(day, &events(day)).await;
        world.through(&run).await;
    }
    let run = world.send(indexed + 1, &events(indexed + 1)).await;
    world.prefetch(&run).await;
    let manifest = world.apply(&run).await;
    let parts: Vec<PartRef> = manifest.all().map(|(part, _)| part).collect();
    assert!(parts.len() > 3, "{}", parts.len());
    let fence = world.granted(&run, Stage::Index).await;
    (world, run, fence, IndexTask { worker: 0, parts })
}

fn unavailable(call: &Operation) -> StorageError {
    StorageError::Unavailable { what: call.what.clone(), source: "the test".into() }
}

fn throttled(call: &Operation) -> StorageError {
    StorageError::Throttled { what: call.what.clone(), source: "the test".into() }
}

/// Nobody reads the cursors of a job that is done; one that has lost them makes its puts again, and they stand.
#[tokio::test]
async fn cursors_expire_and_are_not_missed() {
    let (world, run, fence, task) = applied(0).await;
    let work = IndexWork { run: run.clone(), task };
    world.worker(world.ports()).index(work.clone()).await.unwrap();
    let cursors = || {
        let rows = world.tables.items("ledgers").into_iter();
        rows.filter(|row| row["sk"].as_str().is_some_and(|sk| sk.starts_with("cursor#"))).collect::<Vec<_>>()
    };
    let later = world.clock.now().as_second() + 30 * 24 * 3_600;
    let rows = cursors();
    assert_eq!(rows.len(), work.task.parts.len());
    assert!(rows.iter().all(|row| row["expires_at"].as_i64().is_some_and(|expires_at| expires_at > later)), "{rows:?}");
    for row in rows {
        let key = Key::sorted(row["pk"].as_str().unwrap(), row["sk"].as_str().unwrap());
        world.tables.delete("ledgers", &key, Condition::Always).await.unwrap();
    }
    let before = world.index_items();
    assert!(world.plan(&run, fence).await.count > 0, "it is to be done again");
    world.worker(world.ports()).index(work).await.unwrap();
    assert_eq!((world.plan(&run, fence).await.count, world.index_items()), (0, before));
    world.commit_index(&run, fence).await.unwrap();
}

fn is_put(call: &Operation) -> bool {
    call.name == "put" && call.what.starts_with("artifacts/")
}

/// The world's ports, with this plan before the tables.
fn with_tables(world: &World, plan: impl Fn(&Operation) -> Option<Fault> + Send + Sync + 'static) -> Ports {
    let tables = Faulty::new(world.tables.clone() as Arc<dyn Tables>, plan);
    Ports { tables: Arc::new(tables), ..world.ports() }
}

/// Counts puts into the index.
fn counted(world: &World) -> (Ports, Arc<AtomicU64>) {
    let puts = Arc::new(AtomicU64::new(0));
    let count = puts.clone();
    let ports = with_tables(world, move |call| {
        count.fetch_add(u64::from(is_put(call)), Ordering::Relaxed);
        None
    });
    (ports, puts)
}

async fn sequences(world: &World) -> Vec<u64> {
    world.index_items().iter().map(|item| item["sequence"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn workers_are_as_many_as_the_artifacts_are_worth_and_put_them_all() {
    let (world, run, fence, _) = applied(0).await;
    let plan = world.plan(&run, fence).await;
    assert!(plan.count > 0);
    assert_eq!(plan.count, 3, "one for each thousand artifacts");
    // Committed too early, it does not tie out.
    let early = world.commit_index(&run, fence).await.unwrap_err();
    assert_eq!(early.class(), ErrorClass::ControlTotalMismatch, "{early}");
    for task in world.tasks(&plan).await {
        world.worker(world.ports()).index(IndexWork { run: run.clone(), task }).await.unwrap();
    }
    assert_eq!(world.confirmed(1), KEYS);
    let plan = world.plan(&run, fence).await;
    assert_eq!(plan.count, 0);
    for _ in 0..2 {
        world.commit_index(&run, fence).await.unwrap();
    }
    let job = world.book().job(&world.id, run.job).await.unwrap().unwrap();
    let Turn::Committed(commit) = job.turn(Stage::Index) else { panic!("{job:?}") };
    let Turn::Committed(applied) = job.turn(Stage::Apply) else { panic!("{job:?}") };
    assert_eq!(commit.manifest, applied.manifest, "what that names is in the index");
    let steps = Steps::new(world.book()).of_job(&world.id, run.job).await.unwrap();
    let step = steps.iter().find(|step| step.step == "index").unwrap();
    assert_eq!((&step.figures["artifacts"], &step.figures["confirmed"]), (&json!(KEYS), &json!(KEYS)));
    assert_eq!(world.book().head(&world.id).await.unwrap().indexed, run.job);
    assert_eq!(sequences(&world).await, vec![1; KEYS as usize]);
    // A plan of what is done hands nothing out.
    assert_eq!(world.plan(&run, fence).await.count, 0);
    // The index is what the table holds, in few attributes.
    let item = world.tables.get("artifacts", &Key::of(row("k00000"))).await.unwrap().unwrap();
    assert_eq!(item.keys().collect::<Vec<_>>(), ["file", "offset", "length", "sequence", "pk"]);
}

#[tokio::test]
async fn a_fence_that_is_not_the_turns_plans_and_commits_nothing() {
    let (world, run, fence, _) = applied(0).await;
    let request = ledger::messages::IndexRequest::Plan { run: run.clone(), fence: fence + 1 };
    assert_eq!(world.coordinator().handle(request).await.unwrap_err().class(), ErrorClass::Conflict);
}

#[tokio::test]
async fn twice_at_once_and_again_the_index_is_the_same() {
    let (world, run, fence, task) = applied(1).await;
    world.plan(&run, fence).await;
    let work = IndexWork { run: run.clone(), task };
    let (one, other) = (world.worker(world.ports()), world.worker(world.ports()));
    let both = futures::join!(one.index(work.clone()), other.index(work.clone()));
    assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
    let standing = world.index_items();
    assert_eq!(sequences(&world).await, vec![2; KEYS as usize]);
    one.index(work.clone()).await.unwrap();
    world.commit_index(&run, fence).await.unwrap();
    // Late: index is committed, and so the worker does nothing.
    let (ports, puts) = counted(&world);
    world.worker(ports).index(work).await.unwrap();
    assert_eq!((world.index_items(), puts.load(Ordering::Relaxed)), (standing, 0));
}

/// A worker that had begun before index was committed, and only now goes on with its puts.
#[tokio::test]
async fn a_version_that_was_superseded_is_well_only_once_index_is_committed() {
    let (world, run, fence, task) = applied(0).await;
    world.plan(&run, fence).await;
    let work = IndexWork { run: run.clone(), task };
    // Somebody has put a later version while index of this job is not committed: that version was not computed from
    // this one.
    let wrong = json!({ "pk": row("k00007"), "file": "f", "offset": 0, "length": 1, "sequence": 9 });
    let wrong: Item = serde_json::from_value(wrong).unwrap();
    world.tables.put("artifacts", wrong.clone(), Condition::Always).await.unwrap();
    let error = world.worker(world.ports()).index(work.clone()).await.unwrap_err();
    assert!(
        matches!(&error, LedgerError::LostUpdate { key, found, .. } if key == "k00007" && found.get() == 9),
        "{error}"
    );
    assert_eq!(error.class(), ErrorClass::Bug);
    // Without it, all goes on.
    world.tables.delete("artifacts", &storage::Key::of(row("k00007")), Condition::Always).await.unwrap();
    world.worker(world.ports()).index(work.clone()).await.unwrap();
    // Index is committed, and the next job indexed, while a worker of this one is about to read its cursors: it
    // was told that index is not committed, and sees none.
    let world = Arc::new(world);
    let next = world.send(2, &events(2)).await;
    world.prefetch(&next).await;
    world.apply(&next).await;
    let stalled = Arc::new(Hindered { stalls: true, ..Hindered::new(world.tables.clone()) });
    let worker = world.worker(Ports { tables: stalled.clone(), ..world.ports() });
    let (late, ()) = futures::join!(worker.index(work), async {
        stalled.reached.notified().await;
        world.commit_index(&run, fence).await.unwrap();
        world.index(&next).await;
        stalled.go_on.notify_one();
    });
    late.unwrap();
    assert_eq!(sequences(&world).await, vec![2; KEYS as usize], "nothing was turned back");
}

#[tokio::test]
async fn an_index_that_is_not_as_it_was_prefetched_is_a_lost_update() {
    for (change, found) in [("missing", 0), ("older", 1), ("same", 3), ("elsewhere", 3)] {
        let (world, run, fence, task) = applied(2).await;
        world.plan(&run, fence).await;
        let key = storage::Key::of(row("k00000"));
        let mut item = world.tables.get("artifacts", &key).await.unwrap().unwrap();
        match change {
            "missing" => {
                world.tables.delete("artifacts", &key, Condition::Always).await.unwrap();
            }
            "older" => {
                item["sequence"] = 1.into();
                world.tables.put("artifacts", item, Condition::Always).await.unwrap();
            }
            // What the worker puts, or the same version at a place where it is not.
            _ => {
                let line = world.applied(&run, task.parts[0].partition).await.parts[0].clone();
                let bytes = world.bytes("data", &line.lines.key).await;
                let length = bytes.iter().position(|byte| *byte == b'\n').unwrap();
                let file = if change == "same" { line.lines.key } else { "elsewhere".to_owned() };
                let entry = IndexEntry { file, offset: 0, length: length as u64, sequence: run.batches.hi() };
                let mut item: Item = serde_json::from_value(json!(entry)).unwrap();
                item.insert("pk".to_owned(), key.partition.clone().into());
                world.tables.put("artifacts", item, Condition::Always).await.unwrap();
            }
        }
        let told = world.worker(world.ports()).index(IndexWork { run, task }).await;
        match (change, told) {
            ("same", told) => assert!(told.is_ok(), "{told:?}"),
            (_, Err(LedgerError::LostUpdate { key, expected, found: seen })) => {
                assert_eq!((key.as_str(), expected.get(), seen.get()), ("k00000", 2, found), "{change}");
            }
            (_, told) => panic!("{change}: {told:?}"),
        }
    }
}

#[tokio::test]
async fn a_worker_goes_on_behind_what_was_acknowledged() {
    let (mut world, run, fence, _) = applied(0).await;
    world.artifacts_per_worker = 1_000_000;
    let plan = world.plan(&run, fence).await;
    let task = world.tasks(&plan).await.remove(0);
    // The 1,500th put fails for good: what is acknowledged stays so, and the cursor is behind it.
    let puts = AtomicU64::new(0);
    let ports = with_tables(&world, move |call| {
        let denied = StorageError::Denied { action: "dynamodb:PutItem".to_owned(), what: call.what.clone() };
        (is_put(call) && puts.fetch_add(1, Ordering::Relaxed) >= 1_500).then_some(Fault::Refused(denied))
    });
    world.worker(ports).index(IndexWork { run: run.clone(), task: task.clone() }).await.unwrap_err();
    let confirmed = world.confirmed(1);
    assert!(confirmed > 0 && confirmed <= 1_500 && world.index_items().len() == 1_500, "{confirmed}");
    let (ports, puts) = counted(&world);
    let plan = world.plan(&run, fence).await;
    for task in world.tasks(&plan).await {
        world.worker(ports.clone()).index(IndexWork { run: run.clone(), task }).await.unwrap();
    }
    assert_eq!(puts.load(Ordering::Relaxed), KEYS - confirmed);
    assert_eq!((world.confirmed(1), world.index_items().len() as u64), (KEYS, KEYS));
    world.commit_index(&run, fence).await.unwrap();
}

#[tokio::test]
async fn a_worker_that_is_late_stops_and_another_goes_on() {
    let (mut world, run, fence, _) = applied(0).await;
    (world.work_seconds_max, world.artifacts_per_worker) = (60, 1_000_000);
    // A put takes 50 ms.
    let (clock, puts) = (world.clock.clone(), Arc::new(AtomicU64::new(0)));
    let count = puts.clone();
    let ports = with_tables(&world, move |call| {
        if is_put(call) {
            clock.advance(Duration::from_millis(50));
            count.fetch_add(1, Ordering::Relaxed);
        }
        None
    });
    let mut workers = 0;
    loop {
        let plan = world.plan(&run, fence).await;
        if plan.count == 0 {
            break;
        }
        workers += plan.count;
        for task in world.tasks(&plan).await {
            world.worker(ports.clone()).index(IndexWork { run: run.clone(), task }).await.unwrap();
        }
        // Nothing waits longer for the clock than for the puts themselves.
        assert!(workers < 10);
    }
    // 3,000 puts take 150 s: workers of 60 s, each with the window that it was at.
    assert!((2..=3).contains(&workers), "{workers}");
    assert_eq!(puts.load(Ordering::Relaxed), KEYS, "none was put twice");
    world.commit_index(&run, fence).await.unwrap();
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_told() {
    let (world, run, fence, task) = applied(0).await;
    world.plan(&run, fence).await;
    let work = IndexWork { run: run.clone(), task };
    let never = with_tables(&world, |call| is_put(call).then(|| Fault::Refused(throttled(call))));
    let error = world.worker(never).index(work.clone()).await.unwrap_err();
    assert_eq!((error.class(), world.confirmed(1)), (ErrorClass::Throttled, 0), "{error}");
    // Every fifth put fails, half of them after they have been made.
    let calls = AtomicU64::new(0);
    let shaky = with_tables(&world, move |call| {
        if !is_put(call) {
            return None;
        }
        match calls.fetch_add(1, Ordering::Relaxed) % 10 {
            0 => Some(Fault::Refused(throttled(call))),
            5 => Some(Fault::ReplyLost(unavailable(call))),
            _ => None,
        }
    });
    world.worker(shaky).index(work).await.unwrap();
    assert_eq!((world.confirmed(1), sequences(&world).await), (KEYS, vec![1; KEYS as usize]));
    world.commit_index(&run, fence).await.unwrap();
}

#[tokio::test]
async fn the_cache_is_filled_with_what_was_put_and_never_before() {
    let (world, run, fence, task) = applied(0).await;
    world.plan(&run, fence).await;
    let work = IndexWork { run: run.clone(), task };
    let no_puts = with_tables(&world, |call| {
        let denied = StorageError::Denied { action: "dynamodb:PutItem".to_owned(), what: call.what.clone() };
        is_put(call).then_some(Fault::Refused(denied))
    });
    world.worker(no_puts).index(work.clone()).await.unwrap_err();
    assert!(format!("{:?}", world.cache).contains("entries: 0"), "{:?}", world.cache);
    let broken: Arc<dyn Cache> = Arc::new(Faulty::new(world.cache.clone() as Arc<dyn Cache>, |call: &Operation| {
        Some(Fault::Refused(unavailable(call)))
    }));
    let half = IndexTask { worker: 0, parts: work.task.parts[..1].to_vec() };
    world
        .worker(Ports { cache: broken, ..world.ports() })
        .index(IndexWork { task: half, ..work.clone() })
        .await
        .unwrap();
    world.worker(world.ports()).index(work).await.unwrap();
    world.commit_index(&run, fence).await.unwrap();
    let next = world.send(2, &events(2)).await;
    let prefetched = world.prefetch(&next).await.remove(0);
    assert_eq!((prefetched.keys, prefetched.found), (KEYS, KEYS));
    assert!(prefetched.cached > KEYS / 2 && prefetched.cached < KEYS, "{prefetched:?}");
    assert_eq!((prefetched.lookups, prefetched.cache_calls, prefetched.reads), (KEYS.div_ceil(100), 1, 1));
    // What is cached expires.
    world.clock.advance(Duration::from_secs(3_601));
    let found = world.artifacts(world.ports()).get(&world.id, "k02999").await.unwrap().unwrap();
    assert_eq!(found.entry.sequence.get(), 1);
}

#[tokio::test]
async fn an_artifact_is_read_with_what_it_was_and_all_its_events() {
    let world = World::new(json!({ "partitionBits": 0 })).await;
    // Each day as many lines as an artifact keeps for itself, and more: they move to side files.
    let lines = |day: u64| (0..2_500).map(|id| event(day, "hot", day * 10_000 + id, "0.01")).collect::<String>();
    for day in 1..=3 {
        let records = lines(day) + &event(day, "cold", day * 10_000 + 9_999, "1");
        let run = world.send(day, &records).await;
        world.through(&run).await;
    }
    let artifacts = world.artifacts(world.ports());
    let Walk { items: history, more } = artifacts.history(&world.id, "hot", 3).await.unwrap();
    assert!(!more);
    assert_eq!(history.iter().map(|found| found.entry.sequence.get()).collect::<Vec<_>>(), [3, 2, 1]);
    let two = artifacts.history(&world.id, "hot", 2).await.unwrap();
    assert_eq!((two.items.len(), two.more), (2, true));
    assert_eq!(artifacts.history(&world.id, "nobody", 2).await.unwrap().items, []);
    let all = event_lines(&artifacts, &history[0]).await;
    let ids: std::collections::BTreeSet<String> = all
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((all.len(), ids.len()), (7_500, 7_500));
    let line: Value = serde_json::from_slice(&history[0].line).unwrap();
    let own = line["lines"].as_array().unwrap().len();
    assert_eq!(own as u64 + line["lines_file"]["lines"].as_u64().unwrap(), 7_500);
    let times: Vec<Value> =
        all.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["event_time"].take()).collect();
    assert!(times.is_sorted_by_key(|time| time.as_str().unwrap().to_owned()));
    let cold = artifacts.get(&world.id, "cold").await.unwrap().unwrap();
    assert_eq!(event_lines(&artifacts, &cold).await.len(), 3);
}

/// Whoever reads side lines sees whether they are those that were written, before the last of them.
#[tokio::test]
async fn side_lines_that_were_changed_are_not_read() {
    let world = World::new(json!({ "partitionBits": 0 })).await;
    let lines = (0..5_000).map(|id| event(1, "hot", id, "0.01")).collect::<String>();
    world.through(&world.send(1, &lines).await).await;
    let artifacts = world.artifacts(world.ports());
    let found = artifacts.get(&world.id, "hot").await.unwrap().unwrap();
    let line: Value = serde_json::from_slice(&found.line).unwrap();
    let at = Location::new("data", line["lines_file"]["file"].as_str().unwrap());
    let whole = world.objects.read(&at, None, None).await.unwrap();
    let whole = storage::objects::read_all(whole, &at, u64::MAX).await.unwrap();
    let text = std::str::from_utf8(&whole).unwrap();
    for place in [text.find("0.01").unwrap(), text.rfind("0.01").unwrap()] {
        // Another amount of as many digits: all that is read is JSON, and in order.
        let mut changed = whole.to_vec();
        changed[place + 3] = b'2';
        world.objects.put(&at, changed.into(), PutOptions::default()).await.unwrap();
        let (mut lines, mut read) = (artifacts.event_lines(&found).await.unwrap(), 0);
        let error = loop {
            match lines.next().await {
                Ok(line) => read += usize::from(line.is_some()),
                Err(error) => break error,
            }
            assert!(read < 5_000, "all lines were read");
        };
        assert_eq!(error.class(), ErrorClass::Bug);
        assert!(error_class::chain(&error).contains("a run of lines is not the one that was written"), "{error}");
    }
}

async fn event_lines(artifacts: &Artifacts, of: &Found) -> Vec<String> {
    let (mut lines, mut all) = (artifacts.event_lines(of).await.unwrap(), Vec::new());
    while let Some(line) = lines.next().await.unwrap() {
        all.push(line);
    }
    all
}

/// Late events stand in a later run of side lines than others of their time, and among them all the same.
#[tokio::test]
async fn event_lines_have_one_order_however_late_they_came() {
    let world = World::new(json!({ "partitionBits": 0 })).await;
    let lines = |ids: std::ops::Range<u64>| ids.map(|id| event(1, "hot", id, "0.01")).collect::<String>();
    world.through(&world.send(1, &lines(2_000..5_000)).await).await;
    for (number, ids) in [(2, 0..3_000_u64), (3, 4_000..7_000)] {
        // Corrections of the first day: their ids lie before and between those that were taken.
        let ids = ids.map(|id| id * 10 % 9_999 + 10_000);
        let late = ids.map(|id| event(1, "hot", id, "0.01")).collect::<String>();
        world.through(&world.correct(number, &late).await).await;
    }
    let artifacts = world.artifacts(world.ports());
    let found = artifacts.get(&world.id, "hot").await.unwrap().unwrap();
    let all = event_lines(&artifacts, &found).await;
    let events = serde_json::from_slice::<Value>(&found.line).unwrap()["events"].as_u64().unwrap();
    assert_eq!(all.len() as u64, events);
    let order = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("event_time"), text("event_id"), line["batch"].as_u64(), line["row"].as_u64())
    };
    assert!(all.is_sorted_by_key(order));
}
