//! Each handover, changed once behind everybody's back: the next step notices.

use error_class::{Classified, ErrorClass};
use ledger::{
    LedgerError, Partition,
    layout::{combined_key, partition_key, range_key, reduced_key, split_key},
    messages::RunInput,
    stage::{Stage, Turn},
};
use serde_json::{Value, json};

use crate::kit::{DATA, Handlers, WORK, World, definition};

async fn reduced() -> (World, Handlers, RunInput) {
    let world = World::new(&definition()).await;
    world.send_csv("b", 5, 12).await;
    let (run, handlers) = (world.run().await, world.handlers(100));
    world.reduce(&handlers, &run).await.unwrap();
    (world, handlers, run)
}

async fn combined() -> (World, Handlers, RunInput) {
    let (world, handlers, run) = reduced().await;
    world.combine(&handlers, &run).await.unwrap();
    (world, handlers, run)
}

fn mismatch(what: &str, result: Result<impl std::fmt::Debug, LedgerError>) {
    let error = result.unwrap_err();
    assert_eq!(error.class(), ErrorClass::ControlTotalMismatch, "{what}: {error:?}");
}

type Change = fn(&mut Value);

#[tokio::test]
async fn between_splitter_and_reducers() {
    let changes: [(&str, Change); 3] = [
        ("a range is lost", |ranges| drop(ranges.as_array_mut().unwrap().pop())),
        ("a range is there twice", |ranges| {
            let last = ranges.as_array().unwrap().last().unwrap().clone();
            ranges.as_array_mut().unwrap().push(last);
        }),
        ("a range is another one", |ranges| ranges[0]["end"] = json!(7)),
    ];
    for (what, change) in changes {
        let (world, handlers, run) = reduced().await;
        let split: Value = world.document(WORK, &split_key(&run)).await;
        world.edit(WORK, split["ranges"].as_str().unwrap(), change).await;
        mismatch(what, handlers.check_reduced(&run).await);
    }
    // A range that begins or ends elsewhere has other records than were counted.
    let world = World::new(&definition()).await;
    world.send_csv("b", 5, 12).await;
    let (run, handlers) = (world.run().await, world.handlers(100));
    let split = world.split(&handlers, &run).await;
    world.edit(WORK, &split.ranges, |ranges| ranges[0]["records"] = json!(9)).await;
    mismatch("a range has other records", world.reduce(&handlers, &run).await);

    // A header or a range that cannot be of the object is not the sender's fault.
    let world = World::new(&definition()).await;
    world.send_csv("b", 5, 12).await;
    let (run, handlers) = (world.run().await, world.handlers(100));
    let split = world.split(&handlers, &run).await;
    world.edit(WORK, &split.ranges, |ranges| ranges[0]["end"] = json!(1_000_000)).await;
    let error = world.reduce(&handlers, &run).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Bug, "{error:?}");
    world.edit(WORK, &split_key(&run), |split| split["headers"]["1"][0] = json!(["order", "order"])).await;
    mismatch("a header has other columns", world.reduce(&world.handlers(100), &run).await);
}

#[tokio::test]
async fn between_reducers_and_coordinator() {
    let changes: [(&str, Change); 6] = [
        ("range", |commit| commit["range"]["first_row"] = json!(30)),
        ("read", |commit| commit["totals_in"]["records"] = json!(7)),
        ("kept", |commit| commit["totals_out"]["records"] = json!(0)),
        ("rejected", |commit| commit["rejected_by_rule"]["type"] = json!(1)),
        ("section", |commit| commit["sections"][0]["records"] = json!(5)),
        ("sections", |commit| commit["sections"] = json!([])),
    ];
    for (what, change) in changes {
        let (world, handlers, run) = reduced().await;
        world.edit(WORK, &range_key(&run, 1), change).await;
        mismatch(what, handlers.check_reduced(&run).await);
    }
}

/// A job that lay parked for longer than the work bucket keeps what steps hand on, documents and files.
#[tokio::test]
async fn what_has_expired_is_to_be_redriven_afresh() {
    let (world, handlers, run) = reduced().await;
    let expired = |done: Result<(), LedgerError>| {
        let error = done.unwrap_err();
        assert_eq!(error.class(), ErrorClass::InvalidInput, "{error:?}");
        assert!(error.to_string().contains("`tieout batch redrive --afresh`"), "{error}");
    };
    let partitions = handlers.check_reduced(&run).await.unwrap();
    let document: Value = world.document(WORK, &reduced_key(&run)).await;
    let partition = world.list(&partitions).await[0];
    let list: Value =
        world.document(WORK, &format!("{}{}.json", document["sections"].as_str().unwrap(), partition.padded())).await;
    world.delete(WORK, list[0]["file"].as_str().unwrap()).await;
    expired(world.combine(&handlers, &run).await);

    let (world, handlers, run) = reduced().await;
    world.delete(WORK, &range_key(&run, 1)).await;
    expired(handlers.check_reduced(&run).await.map(drop));
}

#[tokio::test]
async fn between_coordinator_and_combiners() {
    let (world, handlers, run) = reduced().await;
    let partitions = handlers.check_reduced(&run).await.unwrap();
    let partition = world.list(&partitions).await[0];
    let reduced: Value = world.document(WORK, &reduced_key(&run)).await;
    let sections = format!("{}{}.json", reduced["sections"].as_str().unwrap(), partition.padded());
    let list: Value = world.document(WORK, &sections).await;

    let file = list[0]["file"].as_str().unwrap();
    let mut bytes = world.bytes(WORK, file).await.to_vec();
    bytes[list[0]["section"]["offset"].as_u64().unwrap() as usize + 3] ^= 1;
    let whole = world.bytes(WORK, file).await;
    world.put(WORK, file, bytes).await;
    let damaged = world.combine(&handlers, &run).await.unwrap_err();
    assert!(matches!(damaged, LedgerError::Combine(_)) && damaged.class() == ErrorClass::Bug, "{damaged:?}");
    world.put(WORK, file, whole.slice(..whole.len() / 3)).await;
    world.combine(&handlers, &run).await.unwrap_err();
    world.put(WORK, file, whole).await;

    // A section that is lost, or read twice, shows in the sums.
    world.edit(WORK, &sections, |list| drop(list.as_array_mut().unwrap().pop())).await;
    world.combine(&handlers, &run).await.unwrap();
    mismatch("a section is lost", handlers.commit_stateless(&run).await);
    assert!(world.job(&run).await.stateless.is_none());
}

#[tokio::test]
async fn between_combiners_and_coordinator() {
    let changes: [(&str, Change); 4] = [
        ("an event is lost", |commit| commit["totals_out"]["records"] = json!(1)),
        ("an event is lost on both sides", |commit| {
            commit["totals_in"]["records"] = json!(1);
            commit["totals_out"]["records"] = json!(1);
        }),
        ("an amount is another one", |commit| {
            for side in ["totals_in", "totals_out"] {
                commit[side]["columns"][0]["sum"] = json!("0.01");
            }
        }),
        ("another partition", |commit| commit["partition"] = json!(77)),
    ];
    for (what, change) in changes {
        let (world, handlers, run) = combined().await;
        let partition = world.list(&handlers.check_reduced(&run).await.unwrap()).await[0];
        world.edit(WORK, &combined_key(&run, partition), change).await;
        mismatch(what, handlers.commit_stateless(&run).await);
        assert!(world.job(&run).await.stateless.is_none(), "{what}");
    }
}

/// What prefetchers commit who found nothing.
fn prefetched(partition: Partition, keys: u64) -> Value {
    let file = json!({ "key": "versions", "bytes": 1 });
    json!({ "partition": partition, "file": file, "keys": keys, "found": 0, "lookups": 2,
        "cache_calls": 1, "cached": 0, "reads": 3, "bytes_read": 0 })
}

/// A job whose stateless half is done and whose prefetchers have committed; the input of its stateful half.
async fn stateful(stage: Stage) -> (World, Handlers, RunInput, u64) {
    let (world, handlers, run) = combined().await;
    handlers.commit_stateless(&run).await.unwrap();
    let run = world.run().await;
    assert_eq!(run.attempt, 2);
    let fence = world.turn(&run, Stage::Prefetch).await;
    let partitions = handlers.begin(&run, Stage::Prefetch, fence).await.unwrap();
    let stateless = world.stateless(&run).await;
    assert_eq!(world.list(&partitions).await.len(), stateless.partitions.len());
    for of in &stateless.partitions {
        let key = partition_key(&run, Stage::Prefetch, of.partition);
        world.put(WORK, &key, prefetched(of.partition, of.artifacts).to_string()).await;
        let key = partition_key(&run, Stage::Apply, of.partition);
        let nothing = json!({ "records": 0 });
        let part = json!({
            "lines": { "key": "part", "bytes": 10 }, "sidecar": { "key": "sidecar", "bytes": 5 },
            "artifacts": of.artifacts,
        });
        let applied = json!({
            "partition": of.partition, "parts": [part], "created": of.artifacts, "open": 0, "reconciled": 0,
            "breaks": 0, "overlaid": 0, "totals_in": of.totals_out, "totals_applied": of.totals_out,
            "duplicates": nothing, "conflicts": nothing, "events_before": 7, "events_after": 7 + of.totals_out.records(),
        });
        world.put(DATA, &key, applied.to_string()).await;
    }
    if stage == Stage::Prefetch {
        return (world, handlers, run, fence);
    }
    handlers.commit(&run, Stage::Prefetch, fence).await.unwrap();
    let fence = world.turn(&run, Stage::Apply).await;
    handlers.begin(&run, Stage::Apply, fence).await.unwrap();
    (world, handlers, run, fence)
}

#[tokio::test]
async fn between_prefetchers_and_coordinator() {
    let changes: [(&str, Change); 2] = [
        ("a key is lost", |commit| commit["keys"] = json!(commit["keys"].as_u64().unwrap() - 1)),
        ("another partition", |commit| commit["partition"] = json!(77)),
    ];
    for (what, change) in changes {
        let (world, handlers, run, fence) = stateful(Stage::Prefetch).await;
        let partition = world.stateless(&run).await.partitions[0].partition;
        world.edit(WORK, &partition_key(&run, Stage::Prefetch, partition), change).await;
        mismatch(what, handlers.commit(&run, Stage::Prefetch, fence).await);
        assert!(!world.job(&run).await.is_committed(Stage::Prefetch), "{what}");
    }
}

#[tokio::test]
async fn between_state_engines_and_coordinator() {
    let changes: [(&str, Change); 6] = [
        ("the lines hold an event less", |commit| {
            commit["events_after"] = json!(commit["events_after"].as_u64().unwrap() - 1);
        }),
        ("the lines were made of an event more", |commit| commit["events_before"] = json!(8)),
        ("an event was not read", |commit| commit["totals_in"]["records"] = json!(1)),
        ("an event was not applied", |commit| commit["totals_applied"]["records"] = json!(1)),
        ("an amount was not applied", |commit| commit["totals_applied"]["columns"][0]["sum"] = json!("0.01")),
        ("more versions than artifacts", |commit| commit["parts"][0]["artifacts"] = json!(99)),
    ];
    for (what, change) in changes {
        let (world, handlers, run, fence) = stateful(Stage::Apply).await;
        let partition = world.stateless(&run).await.partitions[0].partition;
        world.edit(DATA, &partition_key(&run, Stage::Apply, partition), change).await;
        mismatch(what, handlers.commit(&run, Stage::Apply, fence).await);
        assert!(!world.job(&run).await.is_committed(Stage::Apply), "{what}");
    }
}

#[tokio::test]
async fn stages_are_begun_and_committed_once_by_who_holds_the_fence() {
    let (world, handlers, run, fence) = stateful(Stage::Apply).await;
    let stranger = handlers.begin(&run, Stage::Apply, fence + 1).await.unwrap_err();
    assert_eq!(stranger.class(), ErrorClass::Conflict);
    let stranger = handlers.commit(&run, Stage::Apply, fence + 1).await.unwrap_err();
    assert_eq!(stranger.class(), ErrorClass::Conflict);
    for _ in 0..2 {
        handlers.begin(&run, Stage::Apply, fence).await.unwrap();
    }
    futures::try_join!(handlers.commit(&run, Stage::Apply, fence), handlers.commit(&run, Stage::Apply, fence)).unwrap();
    let committed = world.job(&run).await;
    handlers.commit(&run, Stage::Apply, fence).await.unwrap();
    // Begun again behind its commit, it answers, so that its workers and its commit can find that it is done.
    handlers.begin(&run, Stage::Apply, fence).await.unwrap();
    assert_eq!(world.job(&run).await, committed);

    let steps = ledger::steps::Steps::new(world.book()).of_job(&run.ledger, run.job).await.unwrap();
    let figures = |name: &str| steps.iter().find(|step| step.step == name).unwrap().figures.clone();
    let (prefetch, apply) = (figures("prefetch"), figures("apply"));
    let partitions = world.stateless(&run).await.partitions.len() as u64;
    assert_eq!((&prefetch["keys"], &prefetch["reads"]), (&json!(5), &json!(3 * partitions)));
    assert_eq!((&prefetch["lookups"], &prefetch["cache_calls"]), (&json!(2 * partitions), &json!(partitions)));
    assert_eq!(prefetch["requests"], json!(6 * partitions));
    for (name, of_each) in [("lookups", 2), ("cache_calls", 1), ("reads", 3), ("requests", 6)] {
        let requests = of_each * partitions;
        let per_artifact = format!("{}.{}00", requests / 5, requests % 5 * 2);
        assert_eq!(prefetch[&format!("{name}_per_artifact")], per_artifact, "{name}");
    }
    assert_eq!((&apply["artifacts"], &apply["created"], &apply["events"]), (&json!(5), &json!(5), &json!(12)));
    assert_eq!((&apply["part_files"], &apply["bytes"]), (&json!(partitions), &json!(10 * partitions)));

    let index = handlers.begin(&run, Stage::Index, 1).await.unwrap_err();
    assert_eq!(index.class(), ErrorClass::Bug);
}

/// An artifact that the index has cannot begin anew: then what was known of it would be lost.
#[tokio::test]
async fn between_prefetchers_and_state_engines() {
    let changes: [(&str, Change); 2] = [
        ("an artifact was known", |prefetched| prefetched["partitions"][0]["found"] = json!(1)),
        ("a partition is lost", |prefetched| drop(prefetched["partitions"].as_array_mut().unwrap().pop())),
    ];
    for (what, change) in changes {
        let (world, handlers, run, fence) = stateful(Stage::Apply).await;
        let job = world.job(&run).await;
        let Turn::Committed(prefetch) = job.turn(Stage::Prefetch) else { panic!("{job:?}") };
        world.edit(WORK, &prefetch.manifest, change).await;
        mismatch(what, handlers.commit(&run, Stage::Apply, fence).await);
        assert!(!world.job(&run).await.is_committed(Stage::Apply), "{what}");
    }
}
