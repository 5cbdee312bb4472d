//! Every handler twice, late, twice at once, and with faults between any two calls of any port.

use std::sync::{Arc, Mutex};

use crate::kit::{Handlers, INPUT, World, created, failure};
use error_class::{Classified, ErrorClass};
use intake::{
    IntakeError,
    messages::{Arrival, ChunkRequest, MailStatus, MergeRequest, RunRequest},
    runs::RunStatus,
};
use storage::{
    Location, Objects, StorageError,
    memory::{Fault, Operation},
};

const KEY: &str = "intake/payments/file.csv";
const FEED: &str = r#"{
    "name": "payments",
    "schema": { "fields": [{ "name": "id" }, { "name": "amount", "type": "number" }] },
    "tieout": {
        "chunk": { "records": 3 },
        "enrichment": { "table": "names", "key": "id", "columns": [{ "from": "name" }] },
        "amounts": [{ "column": "amount", "currency": "EUR" }],
        "mail": { "to": ["finance@example.com"] }
    }
}"#;
const FILE: &str = "id,amount\na,1.10\nb,2.20\nc,3.30\nd,oops\ne,5.50\nz,6.60\na,7.70\n";
const NAMES: &str = "id,name\na,Ann\nb,Bo\nc,Cy\nd,Di\ne,Ed\n";
const OUTPUT: &str = "id,amount,name\na,1.10,Ann\nb,2.20,Bo\nc,3.30,Cy\ne,5.50,Ed\na,7.70,Ann\n";

async fn payments() -> World {
    let world = World::new();
    world.put_feed(FEED).await;
    world.load("names", "id", NAMES.as_bytes()).await;
    world
}

/// What must hold at the end, however it was reached.
async fn assert_published_once(world: &World, request: &RunRequest) {
    let record = world.record(request).await;
    assert_eq!(record.status, RunStatus::Published, "{record:?}");
    assert_eq!((record.records_in, record.records_out, record.records_rejected), (Some(7), Some(5), Some(2)));
    let (output, rejects) = world.files(request).await;
    assert_eq!(output, OUTPUT);
    assert_eq!(rejects.unwrap().lines().count(), 3);
    assert!(world.bytes(INPUT, KEY).await.is_none(), "the input is archived");
    assert!(record.archive.is_some());
    assert_eq!(world.rejects().list(&request.run, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn one_upload_told_many_times_is_one_run() {
    let world = payments().await;
    let request = world.upload(KEY, FILE).await;
    let arrival = world.handlers().arrival;
    for event in [created(KEY, None), created(KEY, request.input.version.as_deref()), created(KEY, None)] {
        let arrived = arrival.arrive(event).await.unwrap();
        assert_eq!((arrived.started.len(), arrived.repeated), (0, vec![request.run.clone()]));
    }
    world.run(&request).await.unwrap();
    assert_eq!(world.workflows.executions().len(), 1);
    // The version is archived by now; an event that comes so late has nothing to start.
    let arrived = arrival.arrive(created(KEY, request.input.version.as_deref())).await.unwrap();
    assert_eq!(arrived.ignored, [KEY]);
    assert_eq!(world.workflows.executions().len(), 1);
}

#[tokio::test]
async fn a_failed_run_is_not_started_again_by_a_late_event_or_a_sweep() {
    let world = World::new();
    let request = world.upload("intake/unknown/file.csv", "a\n1\n").await;
    world.run(&request).await.unwrap_err();
    let arrival = world.handlers().arrival;
    let arrived = arrival.arrive(created("intake/unknown/file.csv", None)).await.unwrap();
    assert_eq!(arrived.repeated, std::slice::from_ref(&request.run));
    world.clock.advance(std::time::Duration::from_secs(100 * 24 * 3_600));
    let arrived = arrival.arrive(Arrival::Sweep {}).await.unwrap();
    assert_eq!((arrived.started.len(), arrived.repeated), (0, vec![request.run]), "not even when names are free again");
    assert_eq!(world.workflows.executions().len(), 1);
}

#[tokio::test]
async fn a_sweep_takes_what_no_event_told_of_and_leaves_the_young_to_theirs() {
    let world = payments().await;
    for key in [KEY, "input/", "elsewhere/file.csv"] {
        world.objects.put(&Location::new(INPUT, key), FILE.into(), Default::default()).await.unwrap();
    }
    let arrival = world.handlers().arrival;
    assert_eq!(arrival.arrive(Arrival::Sweep {}).await.unwrap(), Default::default());
    world.clock.advance(std::time::Duration::from_secs(3_600));
    let arrived = arrival.arrive(Arrival::Sweep {}).await.unwrap();
    assert_eq!(arrived.started.len(), 1);
    assert_eq!(arrived.ignored, ["elsewhere/file.csv", "input/"]);
    assert_eq!(arrival.arrive(Arrival::Sweep {}).await.unwrap().repeated, arrived.started);
}

#[tokio::test]
async fn every_handler_twice_and_late() {
    let world = payments().await;
    let request = world.upload(KEY, FILE).await;
    let handlers = world.handlers();
    for _ in 0..2 {
        handlers.work(&world, &request).await.unwrap();
    }
    for _ in 0..2 {
        handlers.notify(&request, None).await.unwrap();
    }
    // All of it late: the input is archived, the mail is sent.
    handlers.work(&world, &request).await.unwrap();
    handlers.notify(&request, None).await.unwrap();
    assert_published_once(&world, &request).await;
    assert_eq!(world.mailer.sent().len(), 1);
}

/// The same call on two workers, on two threads.
fn at_once<T: Send, F: Future<Output = T>>(world: &World, call: impl Fn(Handlers) -> F + Sync) -> (T, T) {
    std::thread::scope(|scope| {
        let worker = || scope.spawn(|| runtime().block_on(call(world.handlers())));
        let (left, right) = (worker(), worker());
        (left.join().unwrap(), right.join().unwrap())
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn every_handler_twice_at_once() {
    let runtime = runtime();
    for _ in 0..20 {
        let world = runtime.block_on(payments());
        let request = runtime.block_on(world.upload(KEY, FILE));
        let (left, right) = at_once(&world, |handlers| {
            let request = request.clone();
            async move { handlers.splitter.split(request).await.unwrap() }
        });
        assert_eq!(left, right, "both go by the plan that stands");
        for chunk in runtime.block_on(world.ranges(&left)) {
            let work = ChunkRequest { run: request.run.clone(), chunk };
            at_once(&world, |handlers| {
                let work = work.clone();
                async move { handlers.processor.process(work).await.unwrap() }
            });
        }
        let (left, right) = at_once(&world, |handlers| {
            let run = request.run.clone();
            async move { handlers.merger.merge(MergeRequest { run }).await.unwrap() }
        });
        assert_eq!(left, right, "both go on from the publication that stands");
        let (left, right) = at_once(&world, |handlers| {
            let request = request.clone();
            async move { handlers.notify(&request, None).await }
        });
        assert!(left.is_ok() || right.is_ok());
        runtime.block_on(assert_published_once(&world, &request));
        assert_eq!(world.mailer.sent().len(), 1);
    }
}

#[tokio::test]
async fn what_is_published_is_never_marked_failed() {
    let world = payments().await;
    let request = world.upload(KEY, FILE).await;
    world.handlers().work(&world, &request).await.unwrap();
    let late = intake::messages::Failure { error: "States.Timeout".to_owned(), cause: String::new() };
    world.handlers().notify(&request, Some(late)).await.unwrap();
    let record = world.record(&request).await;
    assert_eq!(record.status, RunStatus::Published);
    assert_eq!(record.failure.unwrap().class, "States.Timeout", "and yet it is told");
}

#[tokio::test]
async fn a_worker_that_died_without_a_word_is_named() {
    let world = payments().await;
    let request = world.upload(KEY, FILE).await;
    // The input is gone: the chunk's own row says so, though Step Functions only knows that a child failed.
    let handlers = world.handlers();
    let split = handlers.splitter.split(request.clone()).await.unwrap();
    world.objects.delete(&Location::new(INPUT, KEY), request.input.version.as_deref()).await.unwrap();
    let chunk = world.ranges(&split).await.remove(0);
    let error = handlers.processor.process(ChunkRequest { run: request.run.clone(), chunk }).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::InvalidInput);
    let nameless = intake::messages::Failure {
        error: "States.ExceedToleratedFailureThreshold".to_owned(),
        cause: "The specified tolerated failure threshold was exceeded".to_owned(),
    };
    handlers.notify(&request, Some(nameless)).await.unwrap();
    let failure = world.record(&request).await.failure.unwrap();
    assert_eq!(failure.class, "InvalidInput");
    assert!(failure.message.contains("does not exist"), "{}", failure.message);
}

#[tokio::test]
async fn a_mail_that_cannot_be_sent_is_visible_and_sent_later() {
    let world = payments().await;
    let request = world.upload(KEY, FILE).await;
    world.handlers().work(&world, &request).await.unwrap();
    world.mailer.set_down(true);
    let error = world.handlers().notify(&request, None).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unavailable, "Step Functions is to try again");
    let record = world.record(&request).await;
    assert_eq!(record.status, RunStatus::Published, "the run stands");
    assert!(matches!(record.mail, Some(MailStatus::Failed { .. })), "{:?}", record.mail);
    world.mailer.set_down(false);
    world.handlers().notify(&request, None).await.unwrap();
    assert!(matches!(world.record(&request).await.mail, Some(MailStatus::Sent { .. })));
    assert_eq!(world.mailer.sent().len(), 1);
}

/// A generator for the simulation: xorshift64*, so that a seed printed on failure replays the run.
#[derive(Clone)]
struct Dice(Arc<Mutex<u64>>);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)))
    }

    fn roll(&self, sides: u64) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D) % sides
    }

    /// Every tenth call fails: half of them before anything happened, half of them after.
    fn fault(&self, operation: &Operation) -> Option<Fault> {
        let unavailable = || StorageError::Unavailable { what: operation.what.clone(), source: "injected".into() };
        match self.roll(20) {
            0 => Some(Fault::Refused(unavailable())),
            1 => Some(Fault::ReplyLost(unavailable())),
            _ => None,
        }
    }
}

/// Runs one handler as Step Functions would: again, on a new worker, while the error is one to retry.
async fn retried<T, F: Future<Output = Result<T, IntakeError>>>(
    world: &World,
    dice: &Dice,
    call: impl Fn(Arc<Handlers>) -> F,
) -> T {
    for _ in 0..200 {
        let dice = dice.clone();
        let handlers = Arc::new(world.faulty_handlers(move |operation| dice.fault(operation)));
        match call(handlers).await {
            Ok(done) => return done,
            Err(error) if matches!(error.class(), ErrorClass::Unavailable | ErrorClass::Conflict) => {
                world.clock.advance(std::time::Duration::from_secs(61));
            }
            Err(error) => panic!("{}: {}", error.class(), failure(&error).cause),
        }
    }
    panic!("two hundred attempts were not enough");
}

async fn simulate(seed: u64) {
    let dice = Dice::new(seed);
    let world = payments().await;
    let request = world.upload(KEY, FILE).await;
    let split = retried(&world, &dice, |handlers| {
        let request = request.clone();
        async move { handlers.splitter.split(request).await }
    })
    .await;
    for chunk in world.ranges(&split).await {
        let work = ChunkRequest { run: request.run.clone(), chunk };
        retried(&world, &dice, |handlers| {
            let work = work.clone();
            async move { handlers.processor.process(work).await }
        })
        .await;
    }
    retried(&world, &dice, |handlers| {
        let run = request.run.clone();
        async move { handlers.merger.merge(MergeRequest { run }).await }
    })
    .await;
    retried(&world, &dice, |handlers| {
        let request = request.clone();
        async move { handlers.notify(&request, None).await }
    })
    .await;
    assert_published_once(&world, &request).await;
    assert!(!world.mailer.sent().is_empty());
}

#[test]
fn whatever_fails_between_any_two_calls_the_run_ends_published_and_whole() {
    let runtime = runtime();
    for seed in 0..500 {
        let simulated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(simulate(seed))));
        assert!(simulated.is_ok(), "seed {seed} fails: `simulate({seed})` replays it");
    }
}
