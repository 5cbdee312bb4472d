//! Every handler twice, late, at once, and failing anywhere: the same ledger comes of it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use error_class::{Classified, ErrorClass};
use ledger::{
    LedgerError,
    book::BatchStatus,
    messages::{PartitionRequest, ReduceRequest, RunInput, SplitRequest},
    steps::StepStatus,
};
use serde_json::{Value, json};
use storage::{
    StorageError,
    memory::{Fault, Operation},
};

use crate::kit::{Handlers, WORK, World, csv, definition, manifest, totals};

async fn world() -> (World, RunInput) {
    let world = World::new(&definition()).await;
    world.send_csv("b", 5, 12).await;
    let run = world.run().await;
    (world, run)
}

/// What the stateless half came to, without the names of attempts.
async fn outcome(world: &World, run: &RunInput) -> Value {
    let manifest = world.stateless(run).await;
    let mut files = Vec::new();
    for partition in &manifest.partitions {
        files.push(world.bytes(WORK, &partition.file.key).await.to_vec());
    }
    json!({ "totals": manifest.totals, "files": files, "batch": world.status("b").await })
}

async fn expected() -> Value {
    let (world, run) = world().await;
    world.do_stateless(&world.handlers(100), &run).await.unwrap();
    outcome(&world, &run).await
}

#[tokio::test]
async fn twice_one_after_the_other() {
    let (world, run) = world().await;
    let handlers = world.handlers(100);
    world.reduce(&handlers, &run).await.unwrap();
    // Ranges of another size do not matter any more.
    world.reduce(&world.handlers(1 << 20), &run).await.unwrap();
    world.combine(&handlers, &run).await.unwrap();
    let committed = world.committed().await;
    world.combine(&handlers, &run).await.unwrap();
    world.reduce(&handlers, &run).await.unwrap();
    assert_eq!(world.committed().await, committed);
    for _ in 0..2 {
        handlers.commit_stateless(&run).await.unwrap();
    }
    assert_eq!(outcome(&world, &run).await, expected().await);
    assert_eq!(world.job(&run).await.attempt, 2);
}

#[tokio::test]
async fn twice_at_once() {
    let (world, run) = world().await;
    let (one, other) = (world.handlers(100), world.handlers(77));
    let (first, second) = futures::join!(world.split(&one, &run), world.split(&other, &run));
    assert_eq!(first, second);
    for range in world.chunks(&first).await {
        let request = || ReduceRequest { run: run.clone(), range };
        futures::try_join!(one.reducer.reduce(request()), other.reducer.reduce(request())).unwrap();
    }
    let (checked, again) = futures::try_join!(one.check_reduced(&run), other.check_reduced(&run)).unwrap();
    assert_eq!(checked, again);
    for partition in world.list(&checked).await {
        let request = || PartitionRequest { run: run.clone(), partition };
        futures::try_join!(one.combiner.combine(request()), other.combiner.combine(request())).unwrap();
    }
    futures::try_join!(one.commit_stateless(&run), other.commit_stateless(&run)).unwrap();
    assert_eq!(outcome(&world, &run).await, expected().await);
}

#[tokio::test]
async fn a_second_attempt_goes_on_where_the_first_stopped_and_the_first_is_told() {
    let (world, run) = world().await;
    let handlers = world.handlers(100);
    let split = world.split(&handlers, &run).await;
    let chunks = world.chunks(&split).await;
    handlers.reducer.reduce(ReduceRequest { run: run.clone(), range: chunks[0] }).await.unwrap();
    let committed = world.committed().await;

    let second = world.fail(&run).await;
    assert_eq!((second.job, second.attempt), (run.job, 2));
    let old = handlers.reducer.reduce(ReduceRequest { run: run.clone(), range: chunks[1] }).await.unwrap_err();
    assert_eq!(old.class(), ErrorClass::Conflict);
    let old = handlers.splitter.split(SplitRequest { run: run.clone() }).await.unwrap_err();
    assert_eq!(old.class(), ErrorClass::Conflict);
    assert_eq!(world.committed().await, committed);

    world.do_stateless(&handlers, &second).await.unwrap();
    assert_eq!(outcome(&world, &run).await, expected().await);
    for late in [
        handlers.reducer.reduce(ReduceRequest { run: second.clone(), range: chunks[0] }).await.unwrap_err(),
        handlers.check_reduced(&second).await.unwrap_err(),
    ] {
        assert_eq!(late.class(), ErrorClass::Conflict);
    }
    let rows = ledger::steps::Steps::new(world.book()).of_job(&run.ledger, run.job).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| (&*row.step, row.attempt, row.step_attempt, row.status)).collect();
    let done = |step, attempt, step_attempt| (step, attempt, step_attempt, StepStatus::Done);
    let failed = ("reduce", 1, 1, StepStatus::Failed);
    assert_eq!(told, [failed, done("split", 1, 1), done("combine", 2, 1), done("reduce", 2, 2)]);
    // Whose answer was lost is told that it is done.
    handlers.commit_stateless(&second).await.unwrap();
    assert_eq!(handlers.splitter.split(SplitRequest { run: second }).await.unwrap(), split);
}

/// What an attempt that was replaced finds wrong is not heard: it may look at what is not there any more.
#[tokio::test]
async fn an_old_attempt_cannot_refuse_a_batch() {
    let world = World::new(&definition()).await;
    world.send("b", &[("e", csv(2, 3).as_bytes())], &manifest(0, &[("e", 2)], totals(2))).await;
    let run = world.run().await;
    let second = world.fail(&run).await;
    let reasons = [(run.batches.lo(), "said too late".to_owned())].into();
    let refused = world.turns().refuse(&run.who(), &reasons).await.unwrap_err();
    assert_eq!(refused.class(), ErrorClass::Conflict);
    assert_eq!(world.status("b").await, BatchStatus::Registered);
    let refused = world.do_stateless(&world.handlers(60), &second).await.unwrap_err();
    assert!(matches!(refused, LedgerError::BatchRefused { .. }));
    let rows = ledger::steps::Steps::new(world.book()).of_job(&run.ledger, run.job).await.unwrap();
    let last = rows.last().unwrap();
    assert_eq!((&*last.step, last.attempt, last.status), ("split", 2, StepStatus::Failed));
    assert!(last.failure.as_ref().unwrap().message.contains("records"), "{last:?}");
}

/// Fails at one call after the other, before it and after it was done, and is tried again until it is done.
#[tokio::test]
async fn whatever_call_fails_trying_again_ends_the_same() {
    let expected = expected().await;
    let mut fails = 0;
    for at in 0.. {
        let (world, run) = world().await;
        let (calls, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let plan = {
            let (calls, failed) = (calls.clone(), failed.clone());
            move |call: &Operation| {
                let is_now = calls.fetch_add(1, Ordering::Relaxed) == at / 2;
                let error = StorageError::Unavailable { what: call.what.clone(), source: "the test".into() };
                is_now.then(|| {
                    failed.fetch_add(1, Ordering::Relaxed);
                    if at % 2 == 0 { Fault::Refused(error) } else { Fault::ReplyLost(error) }
                })
            }
        };
        let handlers = world.faulty_handlers(plan);
        let mut tries = 0;
        while let Err(error) = step_by_step(&world, &handlers, &run).await {
            tries += 1;
            assert!(tries < 3 && error.class() == ErrorClass::Unavailable, "call {at}: {error:?}");
        }
        assert_eq!(outcome(&world, &run).await, expected, "call {at}");
        if failed.load(Ordering::Relaxed) == 0 {
            break;
        }
        fails += 1;
    }
    assert!(fails > 100, "{fails}");
}

async fn step_by_step(world: &World, handlers: &Handlers, run: &RunInput) -> Result<(), LedgerError> {
    if world.job(run).await.stateless.is_some() {
        return Ok(());
    }
    world.do_stateless(handlers, run).await
}
