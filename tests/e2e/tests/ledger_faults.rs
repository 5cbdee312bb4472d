//! Ledgers through the deployed template while things break. Apart from the other tests: what breaks here is theirs too.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::{Duration, Instant};

use e2e::{
    DATA, Stack,
    books::{Books, Shape, one_by_one},
    command::{invoke, python, tieout},
    throttle::Throttle,
    workers,
};
use futures::future::join_all;
use ledger::{
    JobNumber,
    backlog::execution_name,
    book::View,
    job::JobStatus,
    messages::RunInput,
    steps::{StepRecord, StepStatus},
};
use serde_json::{Value, json};
use storage::{Location, Objects, Workflows};
use tests::events::{Batch, made::Plan};
use tokio::{sync::Mutex, time::sleep};

/// One at a time: each breaks what the others stand on.
static ALONE: Mutex<()> = Mutex::const_new(());
/// A worker may have been idle when it was held: then the experiment is made again, so many times.
const TRIES: usize = 4;
/// A ledger in which nothing has happened for so long hangs on a worker that is held: an undisturbed step takes less.
const STUCK: Duration = Duration::from_millis(2_500);
/// The ledger's functions.
const FUNCTIONS: [&str; 10] = [
    "batch-registrar",
    "job-splitter",
    "reducer",
    "combiner",
    "stage-coordinator",
    "prefetcher",
    "state-engine",
    "index-coordinator",
    "index-worker",
    "backlog-manager",
];

/// Four batches over the same orders.
fn plan() -> Plan {
    Plan { events: 2_000, artifacts: 150, batches: 4, duplicates: 2, conflicts: 2, rejects: 2, ..Plan::default() }
}

/// Every kind of worker is killed in the middle of its work: the artifacts are what they would have been.
#[tokio::test]
async fn workers_that_are_killed_are_replaced_and_nothing_is_lost() {
    let _alone = ALONE.lock().await;
    let stack = Stack::connect().await;
    // So that there is one of each.
    let mut books = Books::open(&stack, "warm", Shape::default(), one_by_one).await;
    for batch in plan().batches() {
        books.send(&batch).await;
    }
    books.agree().await;
    for function in FUNCTIONS {
        killed(&stack, function).await;
    }
}

/// Kills a function's workers while the ledger hangs on one of them.
async fn killed(stack: &Stack, function: &str) {
    for _ in 0..TRIES {
        let held = workers::of(stack, function);
        held.iter().for_each(|worker| worker.freeze());
        let mut books = Books::open(stack, &format!("no-{function}"), Shape::default(), one_by_one).await;
        for batch in plan().batches() {
            books.send(&batch).await;
        }
        let hangs = hangs(&books).await;
        held.iter().for_each(|worker| worker.kill());
        if function == "batch-registrar" {
            // The emulator does not deliver an event again whose function has died: the senders do.
            sleep(Duration::from_secs(1)).await;
            for batch in plan().batches() {
                if books.number(&batch.name).await.is_none() {
                    books.send(&batch).await;
                }
            }
        }
        books.agree().await;
        if hangs {
            return;
        }
    }
    panic!("no {function} was hit in {TRIES} ledgers");
}

/// Waits until everything is indexed, or nothing happens any more. Whether it is the latter.
async fn hangs(books: &Books) -> bool {
    let look = async || -> (View, Vec<StepRecord>) {
        let view = books.book.view(&books.id).await.unwrap();
        let mut steps = Vec::new();
        for job in &view.jobs {
            steps.extend(books.steps_of(job.number()).await);
        }
        (view, steps)
    };
    let (mut seen, mut since) = (look().await, Instant::now());
    loop {
        sleep(Duration::from_millis(100)).await;
        let now = look().await;
        if now.0.head.indexed == JobNumber::new(plan().batches) {
            return false;
        }
        if now != seen {
            (seen, since) = (now, Instant::now());
        } else if since.elapsed() > STUCK {
            return true;
        }
    }
}

/// Everything that is told is told twice: manifests, registrations, ends of steps; and every execution has a double, which
/// does all of it again while the first is at work, and once more when all is done.
#[tokio::test]
async fn what_is_told_twice_happens_once() {
    let _alone = ALONE.lock().await;
    let stack = Stack::connect().await;
    let mut books = Books::open(&stack, "twice", Shape::default(), one_by_one).await;
    let batches: Vec<Batch> = plan().batches().collect();
    for batch in &batches {
        books.send(batch).await;
        books.close(batch, &books.manifest(batch)).await;
    }
    let mut doubled = 0;
    books
        .until("every execution has a double", async |books: &Books| {
            for run in runs(books).await {
                doubled += u64::from(start_again(&stack, books, &run, "double").await);
            }
            (books.book.head(&books.id).await.unwrap().indexed.get() == plan().batches).then_some(())
        })
        .await;
    assert!(doubled >= plan().batches, "{doubled}");
    books.agree().await;
    let runs = runs(&books).await;
    for run in &runs {
        start_again(&stack, &books, run, "late").await;
    }
    for run in [runs.first().unwrap(), runs.last().unwrap()] {
        for message in [
            json!({ "action": "finished", "run": run }),
            json!({ "action": "finished", "run": run, "failure": { "Error": "Bug", "Cause": "an old one" } }),
            json!({ "action": "tick" }),
        ] {
            let told = invoke("backlog-manager", Some(&books.file("message.json", &message.to_string())));
            assert_eq!(told.status, 0, "{told:?}");
        }
    }
    for batch in &batches {
        books.close(batch, &books.manifest(batch)).await;
        let key = books.key(batch).key();
        let event = json!({
            "detail-type": "Object Created",
            "detail": { "bucket": { "name": e2e::INPUT }, "object": { "key": key } },
        });
        let told = invoke("batch-registrar", Some(&books.file("event.json", &event.to_string())));
        assert_eq!(told.status, 0, "{told:?}");
    }
    // What came late has its effect by now, if it has one.
    sleep(Duration::from_secs(3)).await;
    let oracle = books.agree().await;
    assert_eq!(books.book.head(&books.id).await.unwrap().next.get(), plan().batches + 1);
    // A fifth batch finds everything as it should be.
    books.send(&plan().correction()).await;
    assert!(books.agree().await.totals().breaks < oracle.totals().breaks);
}

/// The inputs of all executions so far: both halves of every job.
async fn runs(books: &Books) -> Vec<RunInput> {
    let head = books.book.head(&books.id).await.unwrap();
    let mut runs = Vec::new();
    for number in 1..=head.grouped.get() {
        let job = books.book.job(&books.id, JobNumber::new(number)).await.unwrap().unwrap();
        runs.extend((1..=job.attempt).map(|attempt| RunInput { attempt, ..RunInput::of(&books.id, &job) }));
    }
    runs
}

/// Starts an execution's double, once. Whether it is new.
async fn start_again(stack: &Stack, books: &Books, run: &RunInput, mark: &str) -> bool {
    let machine = if run.attempt == 1 { "stateless" } else { "stateful" };
    let machine = format!("arn:aws:states:us-east-1:000000000000:stateMachine:tieout-{machine}");
    let job = books.book.job(&books.id, run.job).await.unwrap().unwrap();
    let name = format!("{mark}-{}-{}", run.attempt, execution_name(&books.id, &job).replace("default-", ""));
    let start = stack.session.workflows().start(&machine, &name, &json!(run).to_string()).await.unwrap();
    start == storage::workflows::Start::Started
}

/// The cache goes away in the middle, stays away for some batches, and comes back empty.
#[tokio::test]
async fn without_a_cache_nothing_is_wrong() {
    let _alone = ALONE.lock().await;
    let stack = Stack::connect().await;
    let mut books = Books::open(&stack, "cacheless", Shape::default(), one_by_one).await;
    let plan = Plan { events: 15_000, batches: 30, ..plan() };
    let batches: Vec<Batch> = plan.batches().collect();
    let (before, rest) = batches.split_at(4);
    let (without, after) = rest.split_at(4);
    for batch in before {
        books.send(batch).await;
    }
    let some = async |books: &Books| {
        let head = books.book.head(&books.id).await.unwrap();
        (head.indexed > JobNumber::ZERO).then_some(())
    };
    books.until("something is indexed", some).await;
    python("from local import services; services.terminate('valkey')").well();
    for batch in without {
        books.send(batch).await;
    }
    books.agree().await;
    assert_eq!(cached(&books, 7..=8).await, 0, "a cache that was down has answered");

    python("from local import settings, stack; stack.start_services(settings.current())").well();
    // Each worker that finds its connection broken leaves the cache alone for some seconds.
    for (number, batch) in (9..).zip(after) {
        books.send(batch).await;
        books.settled().await;
        if cached(&books, number..=number).await > 0 {
            books.agree().await;
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
    panic!("the cache is not used again");
}

/// How many artifacts the prefetchers of these jobs have found in the cache.
async fn cached(books: &Books, jobs: std::ops::RangeInclusive<u64>) -> u64 {
    let steps = books.steps().await;
    let of_jobs = steps.iter().filter(|step| step.step == "prefetch" && jobs.contains(&step.job.get()));
    of_jobs.filter_map(|step| step.figures.get("cached").and_then(Value::as_u64)).sum()
}

/// Every function of the ledger that asks DynamoDB is turned away now and then, and tries again.
#[tokio::test]
async fn throttled_tables_only_take_longer() {
    let _alone = ALONE.lock().await;
    let stack = Stack::connect().await;
    let throttle = Throttle::before(&stack, &FUNCTIONS, 12).await;
    let mut books = Books::open(&stack, "throttled", Shape::default(), one_by_one).await;
    for batch in plan().batches() {
        books.send(&batch).await;
    }
    books.agree().await;
    // Of the index puts alone there are five hundred.
    assert!(throttle.turned_away() > 20, "{}", throttle.turned_away());
}

/// Registered all at once and in any order, batches get dense numbers, and the artifacts do not care.
#[tokio::test]
async fn batches_are_registered_at_once_and_out_of_order() {
    let _alone = ALONE.lock().await;
    let stack = Stack::connect().await;
    let mut books = Books::open(&stack, "unordered", Shape::default(), |_| ()).await;
    let plan = Plan { events: 6_000, batches: 20, ..plan() };
    // Neither forwards nor backwards: 7 and 20 have no factor in common.
    let mut batches: Vec<Batch> = plan.batches().collect();
    batches = (0..batches.len()).filter_map(|index| batches.get(index * 7 % batches.len()).cloned()).collect();
    join_all(batches.iter().map(|batch| books.upload(batch))).await;
    let manifests: Vec<Value> = batches.iter().map(|batch| books.manifest(batch)).collect();
    join_all(batches.iter().zip(&manifests).map(|(batch, manifest)| books.close(batch, manifest))).await;
    batches.iter().for_each(|batch| books.expect(batch));
    books.agree().await;
    let mut numbers = Vec::new();
    for batch in &batches {
        numbers.push(books.number(&batch.name).await.unwrap().get());
    }
    assert!(!numbers.is_sorted(), "all were registered in the order of their intervals");
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
}

/// A part-file that cannot be read parks the job that needs it; those behind it wait; and once it is there again, redriving
/// the batch is all that is needed.
#[tokio::test]
async fn a_parked_batch_is_redriven_once_the_cause_is_gone() {
    let _alone = ALONE.lock().await;
    let stack = Stack::connect().await;
    let mut books = Books::open(&stack, "redriven", Shape::default(), one_by_one).await;
    let mut batches = plan().batches().collect::<Vec<_>>().into_iter();
    books.send(&batches.next().unwrap()).await;
    books.agree().await;
    // The cache would help out.
    python("from local import services; services.terminate('valkey')").well();
    python("from local import settings, stack; stack.start_services(settings.current())").well();
    let objects = stack.session.objects();
    let folder = format!("default/ledgers/{}/job=000000000001-", books.id.ledger);
    let parts = objects.list(DATA, &folder, None).await.unwrap();
    let hidden: Vec<_> =
        parts.iter().filter(|part| part.key.contains("/apply/") && part.key.ends_with(".jsonl")).collect();
    assert!(!hidden.is_empty(), "{parts:?}");
    for part in &hidden {
        objects.delete(&Location::new(DATA, &part.key), None).await.unwrap();
    }
    let second = batches.next().unwrap();
    books.send(&second).await;
    books.until("it has a number", async |books: &Books| books.number(&second.name).await).await;
    books.send(&batches.next().unwrap()).await;
    let job = books.until("the second job is parked", async |books: &Books| books.parked().await).await;
    let JobStatus::Parked(failure) = &job.status else { panic!("{job:?}") };
    assert!(failure.message.contains(".jsonl"), "{failure:?}");
    let failed = books.steps_of(job.number()).await;
    assert!(failed.iter().any(|step| step.step == "prefetch" && step.status == StepStatus::Failed), "{failed:#?}");
    unhide(&stack, &hidden.iter().map(|part| part.key.as_str()).collect::<Vec<_>>()).await;
    tieout(&["batch", "redrive", &books.id.ledger, &second.name]).well();
    books.agree().await;
}

/// Removes the marks that hide objects.
async fn unhide(stack: &Stack, keys: &[&str]) {
    let config = aws_sdk_s3::config::Builder::from(stack.session.sdk_config()).force_path_style(true).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    for key in keys {
        let versions = client.list_object_versions().bucket(DATA).prefix(*key).send().await.unwrap();
        for mark in versions.delete_markers() {
            let version = mark.version_id().unwrap();
            client.delete_object().bucket(DATA).key(*key).version_id(version).send().await.unwrap();
        }
    }
}
