//! Every handler twice, late, twice at once, and with faults between any two calls of any port.

use std::sync::{Arc, Mutex};

use crate::kit::{self, Handlers, INPUT, World, created, failure};
use error_class::{Classified, ErrorClass};
use intake::{
    IntakeError,
    messages::{
        Arrival, ChunkRequest, EndedExecution, ExecutionEnded, Failure, MailStatus, MergeRequest, Notice, RunRequest,
    },
    runs::{RunStatus, Step, StepFigures, StepStatus},
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
        assert_eq!((arrived.started, arrived.repeated), (0, 1));
    }
    world.run(&request).await.unwrap();
    assert_eq!(world.workflows.executions().len(), 1);
    // The version is archived by now; an event that comes so late has nothing to start.
    let arrived = arrival.arrive(created(KEY, request.input.version.as_deref())).await.unwrap();
    assert_eq!(arrived.ignored, 1);
    assert_eq!(world.workflows.executions().len(), 1);
}

#[tokio::test]
async fn a_failed_run_is_not_started_again_by_a_late_event_or_a_sweep() {
    let world = World::new();
    let request = world.upload("intake/unknown/file.csv", "a\n1\n").await;
    world.run(&request).await.unwrap_err();
    let arrival = world.handlers().arrival;
    let arrived = arrival.arrive(created("intake/unknown/file.csv", None)).await.unwrap();
    assert_eq!((arrived.started, arrived.repeated), (0, 1));
    world.clock.advance(std::time::Duration::from_secs(100 * 24 * 3_600));
    let arrived = arrival.arrive(Arrival::Sweep {}).await.unwrap();
    assert_eq!((arrived.started, arrived.repeated), (0, 1), "not even when names are free again");
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
    assert_eq!((arrived.started, arrived.repeated, arrived.ignored), (1, 0, 2));
    assert_eq!(arrival.arrive(Arrival::Sweep {}).await.unwrap().repeated, 1);
}

/// Uploads this many files under one key, one over the other; their versions, oldest first.
async fn overwritten(world: &World, key: &str, count: usize) -> Vec<String> {
    let mut versions = Vec::new();
    for number in 0..count {
        let file = format!("{FILE}{number},1.00\n");
        let put = world.objects.put(&Location::new(INPUT, key), file.into(), Default::default()).await.unwrap();
        versions.push(put.written().unwrap().version.unwrap());
    }
    versions
}

/// The versions that runs were started with, in the order of writing.
fn started(world: &World) -> Vec<String> {
    let version = |input: &str| serde_json::from_str::<RunRequest>(input).unwrap().input.version.unwrap();
    let mut versions: Vec<_> = world.workflows.executions().iter().map(|begun| version(&begun.input)).collect();
    versions.sort_unstable();
    versions
}

#[tokio::test]
async fn ten_versions_under_one_key_are_ten_runs_though_no_event_tells_which() {
    let world = payments().await;
    let versions = overwritten(&world, KEY, 10).await;
    overwritten(&world, &format!("{KEY}.gz"), 1).await;
    let arrival = world.handlers().arrival;
    let arrived = arrival.arrive(created(KEY, None)).await.unwrap();
    assert_eq!((arrived.started, arrived.repeated, arrived.ignored), (10, 0, 0));
    assert_eq!(started(&world), versions, "of this very key, each its own");
    for _ in 1..10 {
        let arrived = arrival.arrive(created(KEY, None)).await.unwrap();
        assert_eq!((arrived.started, arrived.repeated, arrived.ignored), (0, 10, 0));
    }
    for request in world.workflows.executions() {
        world.run(&serde_json::from_str(&request.input).unwrap()).await.unwrap();
    }
    // All are archived by now.
    assert_eq!(arrival.arrive(created(KEY, None)).await.unwrap().ignored, 1);
    assert_eq!(world.workflows.executions().len(), 10);
}

#[tokio::test]
async fn an_event_that_tells_its_version_takes_that_one() {
    let world = payments().await;
    let versions = overwritten(&world, KEY, 3).await;
    let arrived = world.handlers().arrival.arrive(created(KEY, Some(&versions[1]))).await.unwrap();
    assert_eq!((arrived.started, arrived.repeated, arrived.ignored), (1, 0, 0));
    assert_eq!(started(&world), versions[1..2]);
}

#[tokio::test]
async fn a_sweep_finds_the_version_that_was_overwritten_before_its_event_was_lost() {
    let world = payments().await;
    let versions = overwritten(&world, KEY, 3).await;
    let arrival = world.handlers().arrival;
    for told in [&versions[0], &versions[2]] {
        assert_eq!(arrival.arrive(created(KEY, Some(told))).await.unwrap().started, 1);
    }
    world.clock.advance(std::time::Duration::from_secs(3_600));
    let young = overwritten(&world, KEY, 1).await;
    let arrived = arrival.arrive(Arrival::Sweep {}).await.unwrap();
    assert_eq!((arrived.started, arrived.repeated, arrived.ignored), (1, 2, 0));
    assert_eq!(started(&world), versions, "and {young:?} is left to its event");
}

#[tokio::test]
async fn a_sweep_goes_through_every_page() {
    let world = payments().await;
    let count = storage::objects::PAGE_OBJECTS + 1;
    overwritten(&world, KEY, count).await;
    overwritten(&world, "intake/payments/next.csv", 1).await;
    world.clock.advance(std::time::Duration::from_secs(3_600));
    let arrived = world.handlers().arrival.arrive(Arrival::Sweep {}).await.unwrap();
    assert_eq!((arrived.started, arrived.repeated, arrived.ignored), (count as u64 + 1, 0, 0));
}

#[tokio::test]
async fn a_sweep_passes_over_batches() {
    let world = payments().await;
    let page = storage::objects::PAGE_OBJECTS;
    for key in ["acme/batches/orders/b/part.csv", "acme/intake/payments/batches/a.csv", "batches/orders/b/part.csv"] {
        overwritten(&world, key, if key.contains("intake") { 1 } else { 3 * page }).await;
    }
    overwritten(&world, KEY, 1).await;
    world.clock.advance(std::time::Duration::from_secs(3_600));
    let arrived = world.handlers().arrival.arrive(Arrival::Sweep {}).await.unwrap();
    assert_eq!((arrived.started, arrived.repeated), (2, 0));
    assert!(arrived.ignored < 2 * page as u64, "{} versions of batches were looked at", arrived.ignored);
}

#[tokio::test]
async fn a_version_that_cannot_be_taken_keeps_none_waiting() {
    let world = payments().await;
    overwritten(&world, KEY, 10).await;
    let failed = Arc::new(Mutex::new(false));
    let handlers = world.faulty_handlers(move |operation| {
        let first = operation.name == "start" && !std::mem::replace(&mut *failed.lock().unwrap(), true);
        let source = "injected".into();
        first.then(|| Fault::Refused(StorageError::Unavailable { what: operation.what.clone(), source }))
    });
    let error = handlers.arrival.arrive(created(KEY, None)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unavailable, "the event is to come again");
    assert_eq!(world.workflows.executions().len(), 9);
    let arrived = handlers.arrival.arrive(created(KEY, None)).await.unwrap();
    assert_eq!((arrived.started, arrived.repeated), (1, 9));
}

#[tokio::test]
async fn keys_with_control_characters_are_ignored() {
    let world = payments().await;
    let key = "intake/payments/a\nb.csv";
    let versions = overwritten(&world, key, 2).await;
    world.clock.advance(std::time::Duration::from_secs(3_600));
    let arrival = world.handlers().arrival;
    for (event, ignored) in [(created(key, None), 1), (created(key, Some(&versions[0])), 1), (Arrival::Sweep {}, 2)] {
        let arrived = arrival.arrive(event).await.unwrap();
        assert_eq!((arrived.started, arrived.repeated, arrived.ignored), (0, 0, ignored));
    }
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

fn timed_out() -> Failure {
    Failure { error: "States.Timeout".to_owned(), cause: String::new() }
}

#[tokio::test]
async fn what_is_published_is_never_marked_failed() {
    let world = payments().await;
    let request = world.upload(KEY, FILE).await;
    world.handlers().work(&world, &request).await.unwrap();
    world.handlers().notify(&request, Some(timed_out())).await.unwrap();
    assert_published_once(&world, &request).await;
    let failure = world.record(&request).await.failure.unwrap();
    assert_eq!(failure.class, "WorkerLost", "and yet it is told");
}

#[tokio::test]
async fn what_was_declared_failed_is_never_published() {
    let world = payments().await;
    let request = world.upload(KEY, FILE).await;
    let handlers = world.handlers();
    let split = handlers.splitter.split(request.clone()).await.unwrap();
    for chunk in world.ranges(&split).await {
        handlers.processor.process(ChunkRequest { run: request.run.clone(), chunk }).await.unwrap();
    }
    // Step Functions has given up on a merger that is still alive.
    handlers.notify(&request, Some(timed_out())).await.unwrap();
    let error = handlers.merger.merge(MergeRequest { run: request.run.clone() }).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Conflict, "it stops quietly: {error}");
    assert_failed_once(&world, &request).await;
}

/// What must hold of a run that was declared failed.
async fn assert_failed_once(world: &World, request: &RunRequest) {
    let record = world.record(request).await;
    assert_eq!(record.status, RunStatus::Failed);
    assert_eq!((record.output, record.archive), (None, None));
    assert_eq!(world.bytes(INPUT, KEY).await.unwrap(), FILE.as_bytes(), "the input is where it was");
    let outputs = format!("{}/output/", intake::layout::run_folder(&request.run));
    assert_eq!(world.objects.list(kit::DATA, &outputs, None).await.unwrap(), [], "nothing of an output is left");
    let [mail] = &world.mailer.sent()[..] else { panic!("one mail") };
    assert!(mail.subject.contains("failed"), "{}", mail.subject);
}

#[test]
fn merger_and_failure_at_once_agree_on_one_end() {
    let runtime = runtime();
    for _ in 0..50 {
        let world = runtime.block_on(payments());
        let request = runtime.block_on(world.upload(KEY, FILE));
        let handlers = world.handlers();
        let split = runtime.block_on(handlers.splitter.split(request.clone())).unwrap();
        for chunk in runtime.block_on(world.ranges(&split)) {
            let work = ChunkRequest { run: request.run.clone(), chunk };
            runtime.block_on(handlers.processor.process(work)).unwrap();
        }
        let merged = std::thread::scope(|scope| {
            let merge =
                || self::runtime().block_on(world.handlers().merger.merge(MergeRequest { run: request.run.clone() }));
            let fail = || self::runtime().block_on(world.handlers().notify(&request, Some(timed_out())));
            let (merging, failing) = (scope.spawn(merge), scope.spawn(fail));
            failing.join().unwrap().unwrap();
            merging.join().unwrap()
        });
        match merged {
            Ok(_) => runtime.block_on(assert_published_once(&world, &request)),
            Err(error) => {
                assert_eq!(error.class(), ErrorClass::Conflict, "{error}");
                runtime.block_on(assert_failed_once(&world, &request));
            }
        }
    }
}

#[tokio::test]
async fn an_execution_that_was_stopped_marks_its_run_and_mails() {
    let world = payments().await;
    let request = world.upload(KEY, FILE).await;
    let detail = EndedExecution {
        status: "ABORTED".to_owned(),
        input: serde_json::to_string(&request).unwrap(),
        error: None,
        cause: None,
    };
    let notice = Notice::Ended(ExecutionEnded { detail });
    world.handlers().emailer.notify(notice.clone()).await.unwrap();
    assert_failed_once(&world, &request).await;
    assert_eq!(world.record(&request).await.failure.unwrap().message, "the execution ended as ABORTED");
    // EventBridge tells of every execution that failed, also of those whose states have told already.
    world.handlers().emailer.notify(notice).await.unwrap();
    assert_failed_once(&world, &request).await;
}

#[tokio::test]
async fn the_people_whom_the_feed_names_are_told_whatever_is_wrong_with_the_file() {
    let world = payments().await;
    let request = world.upload(KEY, "Nummer,Betrag\n1,2\n").await;
    world.run(&request).await.unwrap_err();
    assert_eq!(world.mailer.sent()[0].to, ["finance@example.com"]);
}

#[tokio::test]
async fn a_mail_claimed_by_a_worker_that_died_is_sent_by_the_next() {
    let world = payments().await;
    let request = world.upload(KEY, FILE).await;
    let handlers = world.handlers();
    handlers.work(&world, &request).await.unwrap();
    assert!(world.runs().claim_mail(&request.run, "a worker that dies").await.unwrap());
    assert_eq!(world.record(&request).await.mail, Some(MailStatus::Sending), "it is visible");
    let error = handlers.notify(&request, None).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unavailable, "Step Functions tries again");
    world.clock.advance(std::time::Duration::from_secs(61));
    handlers.notify(&request, None).await.unwrap();
    // The dead one speaks after all: its claim has passed, and what it says changes nothing.
    let late = MailStatus::Failed { reason: "late".to_owned() };
    world.runs().mail_ended(&request.run, "a worker that dies", &late).await.unwrap();
    assert!(matches!(world.record(&request).await.mail, Some(MailStatus::Sent { .. })));
    assert_eq!(world.mailer.sent().len(), 1);
}

#[tokio::test]
async fn a_failure_without_a_name_is_told_by_the_worker_that_saw_it() {
    let world = payments().await;
    let request = world.upload(KEY, FILE).await;
    // The input is gone: the chunk's own row says so, though Step Functions only knows that a child failed.
    let handlers = world.handlers();
    let split = handlers.splitter.split(request.clone()).await.unwrap();
    world.objects.delete(&Location::new(INPUT, KEY), request.input.version.as_deref()).await.unwrap();
    let chunk = world.ranges(&split).await.remove(0);
    let error = handlers.processor.process(ChunkRequest { run: request.run.clone(), chunk }).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::InvalidInput);
    let nameless = Failure {
        error: "States.ExceedToleratedFailureThreshold".to_owned(),
        cause: "The specified tolerated failure threshold was exceeded".to_owned(),
    };
    handlers.notify(&request, Some(nameless)).await.unwrap();
    let failure = world.record(&request).await.failure.unwrap();
    assert_eq!(failure.class, "InvalidInput");
    assert!(failure.message.contains("deleted or replaced"), "{}", failure.message);
}

#[tokio::test]
async fn a_worker_that_died_without_a_word_is_named() {
    let world = payments().await;
    let request = world.upload(KEY, FILE).await;
    world.handlers().splitter.split(request.clone()).await.unwrap();
    let forever = std::future::pending::<Result<((), StepFigures), IntakeError>>();
    let runs = world.runs();
    let killed =
        tokio::time::timeout(std::time::Duration::ZERO, runs.step(&request.run, Step::Chunk(1), forever)).await;
    assert!(killed.is_err(), "it never ends");
    let nameless = Failure { error: "States.ExceedToleratedFailureThreshold".to_owned(), cause: String::new() };
    world.handlers().notify(&request, Some(nameless)).await.unwrap();
    let failure = world.record(&request).await.failure.unwrap();
    assert_eq!(failure.class, "WorkerLost");
    assert_eq!(failure.message, "chunk#000001 was begun 1 times and never ended");
}

#[tokio::test]
async fn progress_that_cannot_be_written_fails_nothing() {
    let world = payments().await;
    let request = world.upload(KEY, FILE).await;
    let handlers = world.faulty_handlers(|operation| {
        let progress =
            operation.name == "update" && (operation.what.contains("chunk#") || operation.what.contains("step#"));
        let source = "injected".into();
        progress.then(|| Fault::Refused(StorageError::Throttled { what: operation.what.clone(), source }))
    });
    handlers.work(&world, &request).await.unwrap();
    handlers.notify(&request, None).await.unwrap();
    assert_published_once(&world, &request).await;
    // Who finds a step done by another that could not say so says it.
    world.handlers().work(&world, &request).await.unwrap();
    let steps = world.runs().steps(&request.run).await.unwrap();
    assert!(steps.len() == 5 && steps.iter().all(|step| step.status == StepStatus::Done), "{steps:?}");
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
) -> Result<T, IntakeError> {
    for _ in 0..200 {
        let dice = dice.clone();
        let handlers = Arc::new(world.faulty_handlers(move |operation| dice.fault(operation)));
        match call(handlers).await {
            Err(error) if error.class() == ErrorClass::Unavailable => {
                world.clock.advance(std::time::Duration::from_secs(16));
            }
            ended => return ended,
        }
    }
    panic!("two hundred attempts were not enough");
}

/// One run with faults. Sometimes Step Functions gives up on a merger that is still alive.
async fn simulate(seed: u64) -> RunStatus {
    let dice = Dice::new(seed);
    let world = payments().await;
    world.objects.put(&Location::new(INPUT, KEY), FILE.into(), Default::default()).await.unwrap();
    retried(&world, &dice, |handlers| async move { handlers.arrival.arrive(created(KEY, None)).await }).await.unwrap();
    let [execution] = &world.workflows.executions()[..] else { panic!("one execution") };
    let request: RunRequest = serde_json::from_str(&execution.input).unwrap();

    let splitting = retried(&world, &dice, |handlers| {
        let request = request.clone();
        async move { handlers.splitter.split(request).await }
    });
    let split = splitting.await.unwrap();
    for chunk in world.ranges(&split).await {
        let work = ChunkRequest { run: request.run.clone(), chunk };
        let processing = retried(&world, &dice, |handlers| {
            let work = work.clone();
            async move { handlers.processor.process(work).await }
        });
        processing.await.unwrap();
    }
    let request = &request;
    let given_up = (dice.roll(4) == 0).then(timed_out);
    let merge = || {
        retried(&world, &dice, |handlers| {
            let run = request.run.clone();
            async move { handlers.merger.merge(MergeRequest { run }).await }
        })
    };
    let notify = |failure: Option<Failure>| {
        retried(&world, &dice, move |handlers| {
            let failure = failure.clone();
            async move { handlers.notify(request, failure).await }
        })
    };
    let (merge_first, failed) = (dice.roll(2) == 0, given_up.is_some());
    if failed && !merge_first {
        notify(given_up.clone()).await.unwrap();
    }
    let merged = merge().await;
    if !failed || merge_first {
        notify(given_up).await.unwrap();
    }
    match merged {
        Ok(_) => {
            assert!(!failed || merge_first);
            assert_published_once(&world, request).await;
        }
        Err(error) => {
            assert_eq!(error.class(), ErrorClass::Conflict, "{}", failure(&error).cause);
            assert_eq!(world.record(request).await.status, RunStatus::Failed);
            assert_eq!(world.bytes(INPUT, KEY).await.unwrap(), FILE.as_bytes());
        }
    }
    assert!(!world.mailer.sent().is_empty());
    world.record(request).await.status
}

#[test]
fn whatever_fails_between_any_two_calls_the_run_ends_whole_or_not_at_all() {
    let runtime = runtime();
    let mut ends = Vec::new();
    for seed in 0..500 {
        let simulated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(simulate(seed))));
        ends.push(simulated.unwrap_or_else(|_| panic!("seed {seed} fails: `simulate({seed})` replays it")));
    }
    assert!(ends.contains(&RunStatus::Published) && ends.contains(&RunStatus::Failed), "both ends are reached");
}
