//! A book that was restored to an earlier state, while buckets hold what jobs wrote that it does not know.

use error_class::{Classified, ErrorClass};
use ledger::{
    LedgerError,
    job::JobStatus,
    messages::{RunInput, SplitRequest},
    stage::Stage,
};

use crate::kit::{Handlers, World, definition};

/// A job of six events, lost by its book; and the job of two events that has its number now.
async fn restored() -> (World, Handlers, RunInput, RunInput) {
    let mut world = World::new(&definition()).await;
    world.send_csv("lost", 3, 6).await;
    let lost = world.run().await;
    world.do_stateless(&world.handlers(100), &lost).await.unwrap();
    world.restore().await;
    world.send_csv("new", 2, 2).await;
    let run = world.run().await;
    assert_eq!((run.job, run.batches, run.attempt), (lost.job, lost.batches, lost.attempt));
    let handlers = world.handlers(100);
    (world, handlers, lost, run)
}

#[tokio::test]
async fn a_job_takes_nothing_of_one_that_had_its_number() {
    let (world, handlers, _, run) = restored().await;
    world.do_stateless(&handlers, &run).await.unwrap();
    assert_eq!(world.stateless(&run).await.totals.records(), 2);
}

/// Executions of a job that the book does not know any more end, and do nothing to the one that has its number.
#[tokio::test]
async fn an_attempt_at_a_job_that_is_lost_is_not_heard() {
    let (world, handlers, lost, run) = restored().await;
    let before = world.job(&run).await;
    let conflict = |what: &str, error: LedgerError| assert_eq!(error.class(), ErrorClass::Conflict, "{what}: {error}");
    conflict("split", handlers.splitter.split(SplitRequest { run: lost.clone() }).await.unwrap_err());
    conflict("check", handlers.check_reduced(&lost).await.unwrap_err());
    conflict("commit", handlers.commit_stateless(&lost).await.unwrap_err());
    conflict("begin", handlers.begin(&lost, Stage::Prefetch, 1).await.unwrap_err());
    let reasons = [(lost.batches.lo(), "it is not what it says".to_owned())].into();
    assert_eq!(world.turns().refuse(&lost.who(), &reasons).await.unwrap_err().class(), ErrorClass::Conflict);
    world.fail(&lost).await;
    let after = world.job(&run).await;
    assert_eq!((after.status, after.failures, after.stateless), (JobStatus::Live, 0, None));
    assert_eq!(after.id, before.id);
    world.do_stateless(&handlers, &world.fail(&run).await).await.unwrap();
}
