//! How jobs end when they do not end well, and how they begin again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use error_class::{Classified, ErrorClass};
use jobs::{
    book::{JobRecord, JobStatus, MailStatus},
    manifest::End,
    messages::{Caught, CloseRequest, EndedExecution, ExecutionEnded, Finished, Notice, PlanRequest, StepRequest},
    prices,
};
use reconcile::report::Engine;
use serde_json::{Value as Json, json};
use storage::{Objects, StorageError, memory::Fault};

use crate::kit::{ORDERS, RESOURCES, World, again, attempt, body, document, lost};

fn with_mail() -> Json {
    let mut job = document();
    job["options"] = json!({"mail": ["reader@example.com"]});
    job
}

async fn started(world: &World, job: &Json) {
    world.put("acme/orders.csv", ORDERS).await;
    assert_eq!(world.deliver(&world.handlers(), &body("close", job)).await.started, 1);
}

fn failed(number: u32) -> Notice {
    Notice::State(CloseRequest { job: attempt("close", number), failure: Some(lost()), only_end: false })
}

fn ended(status: &str) -> Notice {
    let input = serde_json::to_string(&StepRequest { job: attempt("close", 1) }).unwrap();
    Notice::Ended(ExecutionEnded {
        detail: EndedExecution { status: status.to_owned(), input, error: None, cause: None },
    })
}

#[tokio::test]
async fn a_failure_is_told_once_everywhere() {
    let world = World::new();
    started(&world, &with_mail()).await;
    let handlers = world.handlers();
    let closed = handlers.closer.close(failed(1)).await.unwrap();
    assert_eq!((closed.status, closed.dead_letters), (JobStatus::Failed, 1));
    assert!(matches!(closed.mail, Some(MailStatus::Sent { .. })));
    // The rule tells of the failed execution too.
    let closed = handlers.closer.close(ended("FAILED")).await.unwrap();
    assert_eq!((closed.status, closed.dead_letters), (JobStatus::Failed, 0));
    assert_eq!((world.dead_letters().len(), world.mailer.sent().len()), (1, 1));
    let letter = &world.dead_letters()[0];
    assert_eq!(letter.attributes["class"], "WorkerLost");
    assert_eq!(letter.attributes["reason"], "it took too long");
    let submission: Json = serde_json::from_str(&letter.body).unwrap();
    assert_eq!((&submission["job"], &submission["document"]), (&json!("close"), &with_mail()));
    let record = world.record("close").await;
    assert_eq!((record.status, record.failure.unwrap().class.as_str()), (JobStatus::Failed, "WorkerLost"));
    assert!(world.mailer.sent()[0].subject.contains("close failed"));
}

/// Whatever call fails, with or without its effect: the next one goes on. Nobody waits for a slot or hears nothing.
#[tokio::test]
async fn every_call_can_fail() {
    for lost_reply in [false, true] {
        for failing in 0..25 {
            let world = World::new();
            started(&world, &with_mail()).await;
            let count = Arc::new(AtomicU32::new(0));
            let handlers = world.faulty_handlers(move |_| {
                let error = || StorageError::Unavailable { what: "port".into(), source: "down".into() };
                let now = count.fetch_add(1, Ordering::Relaxed) == failing;
                now.then(|| if lost_reply { Fault::ReplyLost(error()) } else { Fault::Refused(error()) })
            });
            let first = handlers.closer.close(failed(1)).await;
            let closed = match first {
                Ok(closed) => closed,
                // A mail that was claimed and not sent is free again a little later.
                Err(_) => {
                    world.clock.advance(Duration::from_secs(3_600));
                    world.handlers().closer.close(failed(1)).await.unwrap()
                }
            };
            let told = json!({"tenant": "acme", "job": "close", "attempt": 1, "status": "failed"});
            assert_eq!(serde_json::to_value(&closed.event).unwrap(), told);
            let record = world.record("close").await;
            assert_eq!(record.status, JobStatus::Failed, "call {failing}");
            assert!(matches!(record.mail, Some(MailStatus::Sent { .. })), "call {failing}: {:?}", record.mail);
            // What was sent, and could not be written down, is sent again.
            assert!((1..=2).contains(&world.dead_letters().len()), "call {failing}");
            assert!((1..=2).contains(&world.mailer.sent().len()), "call {failing}");
            for number in 0..10 {
                let body = body(&format!("job-{number}"), &document());
                assert_eq!(
                    world.deliver(&world.handlers(), &body).await.started,
                    1,
                    "call {failing}: its slot is free"
                );
            }
        }
    }
}

/// What is published stays published, and what failed stays failed, whoever comes late.
#[tokio::test]
async fn the_first_end_is_the_end() {
    let world = World::new();
    started(&world, &with_mail()).await;
    let handlers = world.handlers();
    let job = attempt("close", 1);
    world.execute(&handlers, &job).await.unwrap();
    let closed = handlers.closer.close(ended("TIMED_OUT")).await.unwrap();
    assert_eq!(closed.status, JobStatus::Published);
    // Whoever hears of it late hears all of it.
    let published = handlers.publisher.publish(StepRequest { job: job.clone() }).await.unwrap();
    assert_eq!(closed.event, Finished::Published(published));
    assert_eq!(world.mailer.sent().len(), 1);
    assert!(world.dead_letters().is_empty());

    let world = World::new();
    started(&world, &document()).await;
    let handlers = world.handlers();
    let chosen = world.to_engine(&handlers, &job).await.unwrap();
    world.check(&handlers, &job, &chosen.report).await.unwrap();
    handlers.closer.close(failed(1)).await.unwrap();
    let error = handlers.publisher.publish(StepRequest { job: job.clone() }).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Conflict, "{error}");
    assert!(matches!(world.end(&job).await, Some(End::Failed(_))));
    assert_eq!(world.record("close").await.status, JobStatus::Failed);
}

#[tokio::test]
async fn a_cancelled_job_is_no_failure() {
    let world = World::new();
    started(&world, &with_mail()).await;
    let handlers = world.handlers();
    let job = attempt("close", 1);
    let chosen = world.to_engine(&handlers, &job).await.unwrap();
    assert!(world.jobs().ask_cancel(&job).await.unwrap());
    let error = world.check(&handlers, &job, &chosen.report).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Conflict, "{error}");
    let closed = handlers.closer.close(ended("ABORTED")).await.unwrap();
    assert_eq!((closed.status, closed.dead_letters), (JobStatus::Cancelled, 0));
    assert!(matches!(world.end(&job).await, Some(End::Cancelled(_))));
    assert!(world.mailer.sent()[0].subject.contains("was cancelled"));
    assert!(world.dead_letters().is_empty());
}

/// A publisher that died, or whose bucket did not answer, cannot take away what it wrote.
#[tokio::test]
async fn what_the_end_does_not_name_is_removed() {
    for published in [true, false] {
        let world = World::new();
        started(&world, &document()).await;
        let (handlers, job) = (world.handlers(), attempt("close", 1));
        world.put("acme/jobs/close/attempt=1/output/0/dear.csv", "left behind").await;
        world.put("acme/jobs/close/attempt=10/output/0/dear.csv", "another attempt's").await;
        let kept = if published {
            world.execute(&handlers, &job).await.unwrap();
            let Some(End::Published(publication)) = world.end(&job).await else { panic!("it is published") };
            publication.outputs.iter().map(|output| output.objects.len()).sum()
        } else {
            handlers.closer.close(failed(1)).await.unwrap();
            0
        };
        let found = world.objects.list("data", "acme/jobs/close/attempt=1/output/", None).await.unwrap();
        assert_eq!(found.len(), kept);
        assert!(found.iter().all(|object| !object.key.contains("/output/0/")));
        assert_eq!(world.objects.list("data", "acme/jobs/close/attempt=10/", None).await.unwrap().len(), 1);
    }
}

/// The embedded engine gave the job up, and Spark took over: however it ends, the row says so, and what both have cost.
#[tokio::test]
async fn who_took_over_is_told_at_every_end() {
    for status in [JobStatus::Published, JobStatus::Failed, JobStatus::Cancelled] {
        let mut world = World::new();
        world.spark = true;
        started(&world, &document()).await;
        let (handlers, job) = (world.handlers(), attempt("close", 1));
        handlers.planner.plan(PlanRequest { job: job.clone(), failure: None }).await.unwrap();
        world.clock.advance(Duration::from_secs(100));
        let cause = json!({"errorMessage": "the step \"dear\" needs more disk"}).to_string();
        let failure = Some(Caught { error: "TooLarge".to_owned(), cause });
        let mut chosen = None;
        // A call whose answer was lost is made again.
        for _ in 0..2 {
            let request = PlanRequest { job: job.clone(), failure: failure.clone() };
            chosen = Some(handlers.planner.plan(request).await.unwrap());
            world.clock.advance(Duration::from_secs(1_800));
        }
        let chosen = chosen.unwrap();
        assert_eq!(world.record("close").await.engine, Some(Engine::Spark), "while it runs there");
        let milliseconds = match status {
            JobStatus::Published => {
                world.engine(&chosen).await;
                world.check(&handlers, &job, &chosen.report).await.unwrap();
                handlers.publisher.publish(StepRequest { job: job.clone() }).await.unwrap();
                7
            }
            JobStatus::Cancelled => {
                assert!(world.jobs().ask_cancel(&job).await.unwrap());
                3_600_000
            }
            _ => 3_600_000,
        };
        let told = world.record("close").await.cost_microdollars;
        let closed = handlers.closer.close(failed(1)).await.unwrap();
        let record = world.record("close").await;
        assert_eq!((closed.status, record.status, record.engine), (status, status, Some(Engine::Spark)));
        let why = record.engine_why.clone().unwrap();
        assert!(why.starts_with("planned for embedded: "), "{why}");
        let took_over = r#"; spark took over after 100000 ms (TooLarge: the step "dear" needs more disk)"#;
        assert!(why.ends_with(took_over), "{why}");
        let cost = |given_up, milliseconds| {
            let before = JobRecord { given_up_milliseconds: given_up, ..record.clone() };
            prices::cost(&before, Engine::Spark, milliseconds, RESOURCES)
        };
        assert!(cost(Some(100_000), milliseconds) > cost(None, milliseconds));
        assert_eq!(record.cost_microdollars, Some(cost(Some(100_000), milliseconds)), "{status:?}");
        assert!(told.is_none() || told == record.cost_microdollars, "publisher and closer say the same");
    }
}

/// What an engine has done is paid, even if it does not tie out; what never came to one costs nothing that is known.
#[tokio::test]
async fn what_is_not_published_has_cost_what_its_engine_took() {
    let world = World::new();
    started(&world, &document()).await;
    let (handlers, job) = (world.handlers(), attempt("close", 1));
    let chosen = world.to_engine(&handlers, &job).await.unwrap();
    world.check(&handlers, &job, &chosen.report).await.unwrap();
    world.clock.advance(Duration::from_secs(500));
    handlers.closer.close(failed(1)).await.unwrap();
    let record = world.record("close").await;
    let cost = prices::cost(&record, Engine::Embedded, 7, RESOURCES);
    assert_eq!((record.milliseconds, record.cost_microdollars), (Some(7), Some(cost)));

    let world = World::new();
    started(&world, &document()).await;
    world.handlers().closer.close(failed(1)).await.unwrap();
    assert_eq!(world.record("close").await.cost_microdollars, None);
}

#[tokio::test]
async fn a_new_attempt_takes_the_inputs_as_they_are_then() {
    let world = World::new();
    world.put("acme/orders.csv", "id,region,net\nx,north,1.00\n").await;
    let handlers = world.handlers();
    world.deliver(&handlers, &body("close", &document())).await;
    handlers.closer.close(failed(1)).await.unwrap();

    world.put("acme/orders.csv", ORDERS).await;
    let first = world.record("close").await;
    assert_eq!((first.handed_in_at(), first.redriven_at), (first.submitted_at, None));
    world.clock.advance(Duration::from_secs(3_600));
    let redrive = again("close", &document(), 2);
    assert_eq!(world.deliver(&handlers, &redrive).await.started, 1);
    assert_eq!(world.deliver(&handlers, &redrive).await.repeated, 1);
    let record = world.record("close").await;
    assert_eq!((record.attempt, record.status, &record.failure), (2, JobStatus::Running, &None));
    // It lasts from its own hand-in; the first is kept.
    let now = world.jobs().now();
    assert_eq!((record.submitted_at, record.redriven_at), (first.submitted_at, Some(now)));
    world.clock.advance(Duration::from_secs(5));
    assert!((record.seconds(world.jobs().now()) - 5.0).abs() < 1e-9);
    // The old attempt has nothing to say any more.
    handlers.closer.close(failed(1)).await.unwrap();
    let error = handlers.planner.plan(PlanRequest { job: attempt("close", 1), failure: None }).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Conflict);
    assert_eq!(world.record("close").await.status, JobStatus::Running);
    let closed = world.execute(&handlers, &attempt("close", 2)).await.unwrap();
    assert_eq!(closed.status, JobStatus::Published);
    assert!(world.end(&attempt("close", 2)).await.is_some());
    // What is published is not begun again.
    assert_eq!(world.deliver(&handlers, &again("close", &document(), 3)).await.dead_letters, 1);
}

#[tokio::test]
async fn a_mail_that_nobody_sends_is_visible() {
    let mut world = World::new();
    world.mail_from = None;
    started(&world, &with_mail()).await;
    world.handlers().closer.close(failed(1)).await.unwrap();
    let Some(MailStatus::Failed { reason }) = world.record("close").await.mail else { panic!("it was sent") };
    assert!(reason.contains("MailFrom"), "{reason}");
    assert!(world.mailer.sent().is_empty());
}

#[tokio::test]
async fn a_mail_that_cannot_be_sent_is_visible() {
    let world = World::new();
    started(&world, &with_mail()).await;
    let handlers = world.handlers();
    world.mailer.set_down(true);
    let Notice::State(request) = failed(1) else { unreachable!() };
    let closed = handlers.closer.close(Notice::State(CloseRequest { only_end: true, ..request })).await.unwrap();
    assert_eq!((closed.status, closed.mail, closed.dead_letters), (JobStatus::Failed, None, 0), "nobody is told yet");
    let error = handlers.closer.close(failed(1)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unavailable, "{error}");
    let record = world.record("close").await;
    assert_eq!(record.status, JobStatus::Failed, "the job stands, whatever becomes of its mail");
    assert!(matches!(record.mail, Some(MailStatus::Failed { .. })));
    world.mailer.set_down(false);
    let closed = handlers.closer.close(failed(1)).await.unwrap();
    assert!(matches!(closed.mail, Some(MailStatus::Sent { .. })));
    assert_eq!((world.mailer.sent().len(), world.dead_letters().len()), (1, 1));
}
