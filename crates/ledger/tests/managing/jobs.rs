//! backlog-manager: who asks is answered, and what ends is noticed.

use std::sync::Arc;

use error_class::{Classified, ErrorClass};
use ledger::{
    BatchSequence, JobNumber, Rules,
    book::BatchStatus,
    definitions::Definitions,
    job::{JobStatus, Run},
    manage::Manager,
    messages::{Managed, RunInput},
    operate::OperateError,
    stage::{Stage, Turn},
};
use serde_json::{Value, json};
use storage::{
    StorageError,
    memory::{Fault, Faulty, MemoryTables, Operation},
};

use crate::kit::*;

#[tokio::test]
async fn an_asking_task_gets_its_turn() {
    let world = World::new().await;
    let run = world.combined().await;
    world.workflows.wait("t1");
    world.tell(json!({ "action": "ask", "run": run, "stage": "prefetch", "token": "t1" })).await.unwrap();
    let answers = world.workflows.answers();
    let answer: Value = serde_json::from_str(&answers[0].output).unwrap();
    assert_eq!(answer, json!({ "turn": "granted", "attempt": 2, "fence": 1, "snapshot": 0 }));
}

#[tokio::test]
async fn a_task_that_will_never_get_a_turn_is_told_to_end() {
    let world = World::new().await;
    let run = world.combined().await;
    let fail = |run: &RunInput, error: &str| json!({ "action": "finished", "run": run, "failure": { "Error": error, "Cause": "{\"errorMessage\":\"poison\"}" } });
    world.tell(fail(&run, "WorkerLost")).await.unwrap();
    assert_eq!(world.run().attempt, 3);
    world.tell(fail(&world.run(), "Bug")).await.unwrap();
    let parked = world.job(1).await;
    assert!(matches!(&parked.status, JobStatus::Parked(failure) if failure.message == "poison"), "{parked:?}");
    // One was replaced, the other's job is parked.
    for (token, run) in [("old", run), ("parked", world.run())] {
        world.workflows.wait(token);
        world.tell(json!({ "action": "ask", "run": run, "stage": "prefetch", "token": token })).await.unwrap();
        let answered = world.workflows.answers().pop().unwrap();
        assert_eq!((answered.token.as_str(), answered.output.as_str()), (token, r#"{"turn":"void"}"#));
    }
    assert_eq!(world.job(1).await.prefetch, Turn::Idle);
    let managed = world.tell(json!({ "action": "tick" })).await.unwrap();
    assert_eq!((managed.jobs_parked, managed.jobs_live), (Some(1), Some(0)));
}

/// Of an attempt that was replaced a conflict is no news. The current one's job would stand still until its lease ends.
#[tokio::test]
async fn a_conflict_is_a_failure_of_the_current_attempt_alone() {
    let world = World::new().await;
    let run = world.combined().await;
    let conflict = |run: &RunInput| {
        let failure = json!({ "Error": "Conflict", "Cause": "" });
        json!({ "action": "finished", "run": run, "failure": failure })
    };
    world.tell(conflict(&run)).await.unwrap();
    let job = world.job(1).await;
    assert_eq!(job.failures, 1);
    assert!(matches!(job.run, Run::Resting(_)), "it is begun again soon: {job:?}");
    let replaced = RunInput { attempt: run.attempt - 1, ..run };
    world.tell(conflict(&replaced)).await.unwrap();
    assert_eq!(world.job(1).await.failures, 1);
}

#[tokio::test]
async fn an_execution_that_ended_in_silence_fails_its_attempt_once() {
    let world = World::new().await;
    let run = world.combined().await;
    let ended = json!({
        "detail-type": "Step Functions Execution Status Change", "source": "aws.states",
        "detail": { "status": "TIMED_OUT", "input": json!(run).to_string(), "error": null, "cause": null },
    });
    world.tell(ended.clone()).await.unwrap();
    world.tell(ended).await.unwrap();
    let job = world.job(1).await;
    assert_eq!((job.attempt, job.failures, job.run), (3, 1, Run::Starting));
    assert_eq!(job.last_failure.unwrap().class, ErrorClass::WorkerLost);
    let foreign = json!({ "detail": { "status": "FAILED", "input": "{}" } });
    assert_eq!(world.tell(foreign).await.unwrap_err().class(), ErrorClass::InvalidInput);
}

/// A ledger whose book cannot be read, and one whose executions cannot be started, neither keep another from being moved
/// on nor hide that a job of it is parked.
#[tokio::test]
async fn a_failing_ledger_does_not_hold_up_the_others() {
    let tables = Arc::new(MemoryTables::default());
    let whole = World::on(tables.clone());
    for name in ["broken", "orders"] {
        whole.put(name).await;
    }
    whole.send("b1", manifest("shop", 1)).await;
    let failure = json!({ "Error": "Bug", "Cause": "{\"errorMessage\":\"poison\"}" });
    whole.tell(json!({ "action": "finished", "run": whole.run(), "failure": failure })).await.unwrap();
    whole.put_batch_only("b2", 2).await;
    let faulty = Faulty::new(tables, |call: &Operation| {
        let error = StorageError::Unavailable { what: call.what.clone(), source: "the test".into() };
        (call.name == "get" && call.what.contains("acme#broken")).then_some(Fault::Refused(error))
    });
    let world = World::on(Arc::new(faulty));
    let figures = |parked, live, failed| Managed {
        jobs_parked: Some(parked),
        jobs_live: Some(live),
        ledgers_failed: Some(failed),
    };
    assert_eq!(world.tell(json!({ "action": "tick" })).await.unwrap(), figures(1, 1, 1));
    assert_eq!(world.workflows.executions().len(), 1, "orders was moved on");
    let refusing = Faulty::new(world.workflows.clone(), |call: &Operation| {
        let error = StorageError::Unavailable { what: call.what.clone(), source: "the test".into() };
        Some(Fault::Refused(error))
    });
    let manager = Manager::new(whole.tables.clone(), Arc::new(refusing), whole.clock.clone(), config());
    let ticked = manager.handle(serde_json::from_value(json!({ "action": "tick" })).unwrap()).await.unwrap();
    assert_eq!(ticked, figures(1, 1, 1), "of the ledger that cannot be moved on, too");
}

#[tokio::test]
async fn requests_that_are_none_are_refused() {
    for wrong in [json!({ "action": "tock" }), json!({}), json!({ "action": "ask" })] {
        assert!(serde_json::from_value::<ledger::messages::ManageRequest>(wrong).is_err());
    }
}

/// A definition that was mended is of no use to a job that is tied to the one before.
#[tokio::test]
async fn a_parked_job_redriven_afresh_goes_by_new_numbers_and_the_definition_in_force() {
    let world = World::new().await;
    let run = world.combined().await;
    world.send("b2", manifest("shop", 2)).await;
    let definitions = Definitions::new(world.tables.clone(), "ledgers", Rules::default());
    let mut mended = definition("orders");
    mended.duplicates.ids_max += 1;
    definitions.put("acme", &mended).await.unwrap();
    let terms = definitions.terms(&ledger()).await.unwrap();
    let (backlog, number) = (world.backlog(), JobNumber::new(1));
    let refused = |result: Result<(), OperateError>| result.unwrap_err().to_string();
    assert_eq!(refused(backlog.redrive_afresh(&terms, number).await), "job 1 is not parked");
    let failure = json!({ "Error": "InvalidInput", "Cause": "{\"errorMessage\":\"too many ids\"}" });
    world.tell(json!({ "action": "finished", "run": run, "failure": failure })).await.unwrap();
    assert!(matches!(world.job(1).await.status, JobStatus::Parked(_)));
    let times = async || {
        let batch = world.book().batch(&ledger(), "b1").await.unwrap().unwrap();
        (batch.registered_at, batch.let_in_at)
    };
    let (first, minute) = (times().await, std::time::Duration::from_secs(60));
    world.clock.advance(minute);
    for _ in 0..2 {
        backlog.redrive_afresh(&terms, number).await.unwrap();
        world.clock.advance(minute);
    }
    assert_eq!(times().await, (first.0, first.1 + minute));
    assert!(world.job(1).await.is_void());
    assert_eq!(world.numbers().await, ["b1", "b2", "b1"], "behind what waited");
    let again = world.job(3).await;
    assert_eq!((run.definition, again.definition), (1, 2));
    assert_eq!((again.attempt, again.failures, &again.stateless), (1, 0, &None));
    assert_eq!((world.run().job, world.run().definition), (JobNumber::new(3), 2));
    assert_eq!(refused(backlog.redrive(&terms, number).await), "job 1 is void");
}

/// Whoever asks again while the job starts is told the same; later, that there is nothing to redrive.
#[tokio::test]
async fn a_job_that_is_at_work_again_is_not_redriven() {
    let world = World::new().await;
    let failure = json!({ "Error": "Bug", "Cause": "{\"errorMessage\":\"poison\"}" });
    let run = world.combined().await;
    world.tell(json!({ "action": "finished", "run": run, "failure": failure })).await.unwrap();
    let definitions = Definitions::new(world.tables.clone(), "ledgers", Rules::default());
    let terms = definitions.terms(&ledger()).await.unwrap();
    let backlog = world.backlog();
    for _ in 0..2 {
        backlog.redrive(&terms, JobNumber::new(1)).await.unwrap();
    }
    let again = world.run();
    assert_eq!(again.attempt, run.attempt + 1);
    backlog.turns().renew(&again.who(), &terms.policy).await.unwrap();
    let refused = backlog.redrive(&terms, JobNumber::new(1)).await.unwrap_err();
    assert_eq!(refused.to_string(), "job 1 is not parked");
}

/// Behind an apply that is committed, versions and overlays name the job.
#[tokio::test]
async fn an_applied_job_is_not_redriven_afresh() {
    let world = World::new().await;
    let run = world.combined().await;
    let backlog = world.backlog();
    let policy = ledger::policy::Policy::default();
    for stage in [Stage::Prefetch, Stage::Apply] {
        world.workflows.wait(stage.as_str());
        world.tell(json!({ "action": "ask", "run": run, "stage": stage, "token": stage.as_str() })).await.unwrap();
        let answer: Value = serde_json::from_str(&world.workflows.answers().pop().unwrap().output).unwrap();
        let fence = answer["fence"].as_u64().unwrap();
        backlog.turns().claim(&run.who(), stage, fence, &policy).await.unwrap();
        backlog.turns().commit(&run.who(), stage, fence, &result("m"), &policy).await.unwrap();
    }
    let failure = json!({ "Error": "Bug", "Cause": "{\"errorMessage\":\"poison\"}" });
    world.tell(json!({ "action": "finished", "run": run, "failure": failure })).await.unwrap();
    let definitions = Definitions::new(world.tables.clone(), "ledgers", Rules::default());
    let terms = definitions.terms(&ledger()).await.unwrap();
    let error = backlog.redrive_afresh(&terms, JobNumber::new(1)).await.unwrap_err();
    assert!(error.to_string().starts_with("job 1 is applied"), "{error}");
    backlog.redrive(&terms, JobNumber::new(1)).await.unwrap();
}

/// Batches gather while as many jobs are live as may be: one of them is taken out all the same, by a job of its own.
#[tokio::test]
async fn a_batch_that_waits_to_be_grouped_can_be_skipped() {
    let world = World::new().await;
    let definitions = Definitions::new(world.tables.clone(), "ledgers", Rules::default());
    let mut narrow = definition("orders");
    narrow.policy.grouping.live_jobs_max = 1;
    definitions.put("acme", &narrow).await.unwrap();
    for day in 1..=4 {
        world.send(&format!("b{day}"), manifest("shop", day)).await;
    }
    let numbered = world.book().numbered(&ledger(), BatchSequence::FIRST, BatchSequence::new(4)).await.unwrap();
    assert_eq!(numbered[2].job, None, "it waits");
    let terms = definitions.terms(&ledger()).await.unwrap();
    for _ in 0..2 {
        world.backlog().skip(&terms, "b3", "sent in error").await.unwrap();
    }
    let record = |batch: &'static str| {
        let book = world.book();
        async move { book.batch(&ledger(), batch).await.unwrap().unwrap() }
    };
    assert_eq!(record("b3").await.status, BatchStatus::Skipped { reason: "sent in error".to_owned() });
    assert_eq!(record("b2").await.number, Some(BatchSequence::new(2)), "its neighbours stay");
    assert_eq!(record("b4").await.number, Some(BatchSequence::new(4)));
    assert!(world.job(2).await.is_live());
    assert!(world.job(3).await.is_void());
    assert_eq!((world.job(3).await.version, world.job(3).await.batches.count()), (1, 1), "from its beginning");
}
