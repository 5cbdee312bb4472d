//! Registration: numbers without gaps or doubles, intervals without overlaps, whoever comes when.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking, their helpers too")]

mod content;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use error_class::{Classified, ErrorClass};
use futures::FutureExt;
use jiff::Timestamp;
use ledger::{
    BatchSequence, DuplicateScope, Interval, JobNumber, OnStuck, PartitionBits,
    backlog::{BacklogManager, Config},
    book::{BatchStatus, Book, COVERED_INTERVALS_MAX},
    manifest::{LedgerId, PinnedBatch},
    messages::RunInput,
    operate::{EXCEPTIONS_MAX, OperateError},
    policy::{Policy, Terms},
    register::{RegisterError, Registered, Registrar},
    stage::Stage,
    turns::Attempt,
    watermark::{Exception, GapCause},
};
use serde_json::{Value, json};
use storage::{
    Clock, Condition, Location, Objects, StorageError, Tables,
    memory::{Fault, Faulty, ManualClock, MemoryObjects, MemoryTables, MemoryWorkflows, Operation},
    objects::{PutOptions, read_all},
};

struct World {
    objects: Arc<MemoryObjects>,
    tables: Arc<dyn Tables>,
    registrar: Registrar,
    terms: Terms,
}

fn config() -> Config {
    Config {
        stateless_machine: "stateless".to_owned(),
        stateful_machine: "stateful".to_owned(),
        ledgers_table: "ledgers".to_owned(),
    }
}

fn hour(hour: i64) -> Timestamp {
    Timestamp::from_second(hour * 3600).unwrap()
}

impl World {
    fn new() -> Self {
        Self::on(Arc::new(MemoryTables::default()))
    }

    fn on(tables: Arc<dyn Tables>) -> Self {
        let clock = Arc::new(ManualClock::default());
        Self::of(Arc::new(MemoryObjects::new(clock)), tables)
    }

    fn of(objects: Arc<MemoryObjects>, tables: Arc<dyn Tables>) -> Self {
        let clock = Arc::new(ManualClock::default());
        let registrar = Registrar::new(objects.clone(), tables.clone(), clock, "ledgers", "data");
        let terms = Terms {
            ledger: LedgerId::new("acme", "orders").unwrap(),
            definition: 1,
            partition_bits: PartitionBits::ZERO,
            sources: [("shop".to_owned(), hour(0)), ("bank".to_owned(), hour(0))].into(),
            on_stuck: OnStuck::Wait,
            duplicates: DuplicateScope::Batch,
            policy: Policy::default(),
        };
        Self { objects, tables, registrar, terms }
    }

    fn book(&self) -> Book {
        Book::new(self.tables.clone(), "ledgers")
    }

    fn manager(&self) -> BacklogManager {
        let clock = Arc::new(ManualClock::default());
        BacklogManager::new(self.tables.clone(), Arc::new(MemoryWorkflows::default()), clock, config())
    }

    /// The current attempt at a job.
    async fn current(&self, job: u64) -> Attempt {
        let ledger = &self.terms.ledger;
        RunInput::of(ledger, &self.book().job(ledger, JobNumber::new(job)).await.unwrap().unwrap()).who()
    }

    async fn upload(&self, batch: &str, manifest: &Value) -> Location {
        let at = |file: &str| Location::new("input", format!("acme/batches/orders/{batch}/{file}"));
        let put = |file: &str, body: String| {
            let at = at(file);
            async move { self.objects.put(&at, Bytes::from(body), PutOptions::default()).await.unwrap() }
        };
        put("events.csv", "id\n1\n2\n".to_owned()).await;
        put("manifest.json", manifest.to_string()).await;
        at("manifest.json")
    }

    async fn send(&self, batch: &str, manifest: &Value) -> Result<Registered, RegisterError> {
        let at = self.upload(batch, manifest).await;
        self.registrar.register(&at, None, &self.terms).await
    }

    async fn refused(&self, batch: &str, manifest: &Value) -> String {
        let error = self.send(batch, manifest).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::InvalidInput, "{error}");
        error_class::chain(&error)
    }
}

fn manifest(from: i64, to: i64) -> Value {
    json!({
        "source": "shop",
        "interval": { "from": hour(from), "to": hour(to) },
        "objects": [{ "key": "events.csv", "records": 2 }],
        "totals": { "records": 2 },
    })
}

fn with(mut manifest: Value, name: &str, value: impl Into<Value>) -> Value {
    manifest[name] = value.into();
    manifest
}

fn numbered(number: u64) -> Registered {
    Registered::Numbered { number: BatchSequence::new(number), repeated: false }
}

fn again(number: u64) -> Registered {
    Registered::Numbered { number: BatchSequence::new(number), repeated: true }
}

/// Eight threads, each with all batches in an order of its own, and every seventh call failing, half of them after it
/// has done its work: in the end each batch has one number, and the numbers are dense.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_many_registrars_at_once_each_batch_gets_one_number() {
    const BATCHES: usize = 23;
    let calls = AtomicU64::new(0);
    let plan = move |call: &Operation| {
        let count = calls.fetch_add(1, Ordering::Relaxed);
        let error = || StorageError::Unavailable { what: call.what.clone(), source: "the test".into() };
        match count % 14 {
            3 => Some(Fault::Refused(error())),
            10 => Some(Fault::ReplyLost(error())),
            _ => None,
        }
    };
    let world = Arc::new(World::on(Arc::new(Faulty::new(Arc::new(MemoryTables::default()), plan))));
    let register = |thread: usize| {
        let world = world.clone();
        async move {
            let mut numbers = vec![0; BATCHES];
            for step in 0..BATCHES {
                let batch = (step * (2 * thread + 1) + thread) % BATCHES;
                let hours = batch as i64;
                let manifest = manifest(hours, hours + 1);
                numbers[batch] = loop {
                    match world.send(&format!("b{batch}"), &manifest).await {
                        Ok(Registered::Numbered { number, .. }) => break number.get(),
                        Err(error) if error.class() != ErrorClass::InvalidInput => tokio::task::yield_now().await,
                        other => panic!("{other:?}"),
                    }
                };
            }
            numbers
        }
    };
    let threads: Vec<_> = (0..8).map(|thread| tokio::spawn(register(thread))).collect();
    let mut all = BTreeSet::new();
    for thread in threads {
        all.insert(thread.await.unwrap());
    }
    assert_eq!(all.len(), 1, "everybody was told the same: {all:?}");
    let numbers: BTreeSet<u64> = all.pop_first().unwrap().into_iter().collect();
    assert_eq!(numbers, (1..=BATCHES as u64).collect());
}

#[tokio::test]
async fn batches_are_numbered_as_they_come_whatever_their_intervals() {
    let world = World::new();
    assert_eq!(world.send("late", &manifest(5, 6)).await.unwrap(), numbered(1));
    assert_eq!(world.send("early", &manifest(0, 1)).await.unwrap(), numbered(2));
    assert_eq!(world.send("late", &manifest(5, 6)).await.unwrap(), again(1));
    let bank = with(manifest(0, 9), "source", "bank");
    assert_eq!(world.send("bank", &bank).await.unwrap(), numbered(3));
}

#[tokio::test]
async fn what_cannot_be_taken_says_why_and_burns_no_number() {
    let world = World::new();
    assert_eq!(world.send("b1", &manifest(1, 3)).await.unwrap(), numbered(1));
    let told = world.refused("b1", &manifest(1, 4)).await;
    assert_eq!(told, "batch b1 was registered with another manifest: a corrected batch has a name of its own");
    let told = world.refused("b2", &manifest(2, 4)).await;
    assert!(told.contains("of which source \"shop\" has closed a part already"), "{told}");
    let told = world.refused("b2", &with(manifest(3, 4), "source", "till")).await;
    assert_eq!(told, "ledger acme/orders has no source \"till\"");
    let told = world.refused("b2", &manifest(-1, 0)).await;
    assert!(told.contains("before its source is expected to"), "{told}");
    let absent = json!([{ "key": "other.csv", "records": 2 }]);
    let told = world.refused("b2", &with(manifest(3, 4), "objects", absent)).await;
    assert!(told.ends_with("other.csv, which does not exist: upload the manifest after its objects"), "{told}");
    let told = world.refused("b2", &with(manifest(3, 4), "colour", "red")).await;
    assert!(told.starts_with("the manifest of batch b2 cannot be taken: it cannot be read: unknown field"), "{told}");
    let elsewhere = Location::new("input", "acme/batches/other/b2/manifest.json");
    world.objects.put(&elsewhere, Bytes::from("{}"), PutOptions::default()).await.unwrap();
    assert!(matches!(world.registrar.register(&elsewhere, None, &world.terms).await, Err(RegisterError::Key(_))));
    assert_eq!(world.send("b2", &manifest(3, 4)).await.unwrap(), numbered(2));
}

#[tokio::test]
async fn a_batch_that_does_not_tie_out_is_written_down_and_blocks_nothing() {
    let world = World::new();
    let untrue = with(manifest(0, 1), "totals", json!({ "records": 3 }));
    let reason = "the objects have 2 records by their own counts, the totals say 3".to_owned();
    for _ in 0..2 {
        let refused = Registered::Refused { reason: reason.clone() };
        assert_eq!(world.send("b1", &untrue).await.unwrap(), refused);
    }
    let record = world.book().batch(&world.terms.ledger, "b1").await.unwrap().unwrap();
    assert_eq!((record.status, record.number), (BatchStatus::Refused { reason }, None));
    assert_eq!(world.send("b2", &with(manifest(0, 1), "replaces", "b1")).await.unwrap(), numbered(1));
    let record = world.book().batch(&world.terms.ledger, "b1").await.unwrap().unwrap();
    assert_eq!(record.replaced_by.as_deref(), Some("b2"));
}

#[tokio::test]
async fn corrections_are_of_closed_intervals_and_may_overlap() {
    let world = World::new();
    let late = with(manifest(0, 1), "correction", "late events");
    assert!(world.refused("c1", &late).await.contains("has not closed a part: close it first"));
    assert_eq!(world.send("b1", &manifest(0, 2)).await.unwrap(), numbered(1));
    assert_eq!(world.send("c1", &late).await.unwrap(), numbered(2));
    assert_eq!(world.send("c2", &late).await.unwrap(), numbered(3));
}

/// What is uploaded over a batch's objects after its manifest does not count.
#[tokio::test]
async fn versions_are_pinned_by_the_first_registration() {
    let world = World::new();
    world.send("b1", &manifest(0, 1)).await.unwrap();
    let pinned = async || {
        let batch =
            world.book().numbered(&world.terms.ledger, BatchSequence::FIRST, BatchSequence::FIRST).await.unwrap();
        let at = Location::new("data", &batch[0].pinned);
        let json = read_all(world.objects.read(&at, None, None).await.unwrap(), &at, 10_000).await.unwrap();
        (batch[0].bytes, serde_json::from_slice::<PinnedBatch>(&json).unwrap())
    };
    let (bytes, first) = pinned().await;
    assert_eq!((bytes, first.objects[0].records), (7, 2));
    let at = Location::new("input", &first.objects[0].key);
    assert_eq!(first.objects[0].version, world.objects.head(&at, None).await.unwrap().version);
    assert_eq!(world.send("b1", &manifest(0, 1)).await.unwrap(), again(1), "with its objects uploaded again");
    assert_ne!(first.objects[0].version, world.objects.head(&at, None).await.unwrap().version);
    assert_eq!(pinned().await, (bytes, first));
}

/// What was pinned for a registration that came to nothing does not count for one that comes to something.
#[tokio::test]
async fn versions_are_pinned_by_the_registration_that_gives_the_number() {
    let world = World::new();
    let late = with(manifest(0, 1), "correction", "late events");
    assert!(world.refused("c1", &late).await.contains("close it first"));
    assert_eq!(world.send("b1", &manifest(0, 2)).await.unwrap(), numbered(1));
    assert_eq!(world.send("c1", &late).await.unwrap(), numbered(2), "with its objects uploaded again");
    let second = BatchSequence::new(2);
    let batch = world.book().numbered(&world.terms.ledger, second, second).await.unwrap().pop().unwrap();
    let at = Location::new("data", &batch.pinned);
    let pinned: PinnedBatch = storage::documents::read(&*world.objects, &at).await.unwrap().unwrap();
    let at = Location::new("input", &pinned.objects[0].key);
    assert_eq!(pinned.objects[0].version, world.objects.head(&at, None).await.unwrap().version);
}

/// A skipped batch holds the watermark until it is replaced or signed off, and its neighbours go on under new numbers.
#[tokio::test]
async fn a_skipped_batch_is_replaced_by_one_of_the_same_interval() {
    let world = World::new();
    let (manager, terms) = (world.manager(), &world.terms);
    for (batch, from) in [("b1", 0), ("b2", 1)] {
        world.send(batch, &manifest(from, from + 1)).await.unwrap();
    }
    manager.tick(terms).await.unwrap();
    let told = world.refused("r1", &with(manifest(0, 1), "replaces", "b1")).await;
    assert_eq!(told, "batch r1 cannot replace b1: it was neither refused nor skipped; send a correction");
    for _ in 0..2 {
        manager.skip(terms, "b1", "wrong file").await.unwrap();
    }
    manager.skip(terms, "b1", "another reason").await.unwrap_err();
    let record = world.book().batch(&terms.ledger, "b2").await.unwrap().unwrap();
    assert_eq!(record.number, Some(BatchSequence::new(3)), "its neighbour was let in again");
    let gaps = async || manager.completeness(terms).await.unwrap().sources["shop"].clone();
    assert_eq!(gaps().await.gaps.iter().map(|gap| gap.cause).collect::<Vec<_>>(), [GapCause::Void, GapCause::InFlight]);
    for (name, wrong) in [
        ("of another interval", with(manifest(0, 2), "replaces", "b1")),
        ("no replacement", manifest(0, 1)),
        ("a correction", with(with(manifest(0, 1), "replaces", "b1"), "correction", "late")),
        ("of nothing", with(manifest(0, 1), "replaces", "b9")),
    ] {
        let told = world.refused("r1", &wrong).await;
        assert!(!told.is_empty(), "{name}");
    }
    assert_eq!(world.send("r1", &with(manifest(0, 1), "replaces", "b1")).await.unwrap(), numbered(4));
    assert!(world.refused("r2", &with(manifest(0, 1), "replaces", "b1")).await.ends_with("it was replaced already"));
    assert_eq!(gaps().await.gaps.iter().map(|gap| gap.cause).collect::<Vec<_>>(), [GapCause::InFlight]);
}

#[tokio::test]
async fn a_signed_exception_moves_the_watermark_and_stays_visible() {
    let world = World::new();
    let (manager, terms) = (world.manager(), &world.terms);
    let exception = Exception {
        interval: ledger::Interval::new(hour(0), hour(4)).unwrap(),
        signed_by: "ada".to_owned(),
        reason: "closed for the holidays".to_owned(),
        signed_at: hour(10),
    };
    for source in ["shop", "shop", "bank"] {
        manager.sign(terms, source, &exception).await.unwrap();
    }
    let complete = manager.completeness(terms).await.unwrap();
    assert_eq!(complete.watermark, Some(hour(4)));
    assert_eq!(complete.sources["shop"].exceptions, std::slice::from_ref(&exception));
    manager.sign(terms, "till", &exception).await.unwrap_err();
    manager.sign(terms, "shop", &Exception { signed_by: " ".to_owned(), ..exception }).await.unwrap_err();
}

#[tokio::test]
async fn what_is_signed_stays_as_it_was_signed_first_and_is_told() {
    let world = World::new();
    let (manager, terms) = (world.manager(), &world.terms);
    let because = |reason: &str, to: i64| Exception {
        interval: Interval::new(hour(0), hour(to)).unwrap(),
        signed_by: "ada".to_owned(),
        reason: reason.to_owned(),
        signed_at: hour(10),
    };
    assert_eq!(manager.sign(terms, "shop", &because("closed", 4)).await.unwrap(), None);
    assert_eq!(manager.sign(terms, "shop", &because("lost", 4)).await.unwrap(), Some(because("closed", 4)));
    assert_eq!(manager.sign(terms, "bank", &because("lost", 4)).await.unwrap(), None, "another source");
    assert_eq!(manager.sign(terms, "shop", &because("lost", 5)).await.unwrap(), None, "another interval");
    let signed = &manager.completeness(terms).await.unwrap().sources["shop"].exceptions;
    assert_eq!(signed.iter().map(|signed| &*signed.reason).collect::<BTreeSet<_>>(), ["closed", "lost"].into());
    assert_eq!(signed.len(), 2);
}

/// The last batches are found by their numbers: what is older is not read. (Here it could not be.)
#[tokio::test]
async fn the_newest_batches_are_found_without_the_others() {
    let world = World::new();
    for batch in 0..9 {
        world.send(&format!("b{batch}"), &manifest(batch, batch + 1)).await.unwrap();
    }
    let untrue = with(manifest(20, 21), "totals", json!({ "records": 3 }));
    assert!(matches!(world.send("untrue", &untrue).await.unwrap(), Registered::Refused { .. }));
    let newest = async |limit| {
        let found = world.book().newest_batches(&world.terms.ledger, limit).await.unwrap();
        found.into_iter().map(|batch| batch.batch).collect::<Vec<_>>()
    };
    assert_eq!(newest(3).await, ["b8", "b7", "b6", "untrue"]);
    // One that is let in again under another number is found once.
    let (manager, terms) = (world.manager(), &world.terms);
    manager.tick(terms).await.unwrap();
    manager.skip(terms, "b7", "wrong").await.unwrap();
    assert_eq!(world.book().head(&terms.ledger).await.unwrap().next, BatchSequence::new(18), "eight are let in again");
    for batch in 0..5 {
        let row = json!({ "pk": "acme#orders", "sk": format!("batch#b{batch}"), "batch": "unreadable" });
        world.tables.put("ledgers", row.as_object().unwrap().clone(), Condition::Always).await.unwrap();
    }
    assert_eq!(newest(3).await, ["b8", "b6", "b5", "untrue"]);
}

/// As many as there may be, each as long as it may be, of a source that has as many gaps as it may have.
#[tokio::test]
async fn all_signatures_of_a_source_have_room() {
    let world = World::new();
    let (manager, terms) = (world.manager(), &world.terms);
    let signed = |number: u32| Exception {
        interval: Interval::new(hour(0), hour(i64::from(number) + 1)).unwrap(),
        signed_by: "𝄞".repeat(1_000),
        reason: "𝄢".repeat(1_000),
        signed_at: hour(10),
    };
    for number in 1..EXCEPTIONS_MAX {
        manager.sign(terms, "shop", &signed(number)).await.unwrap();
    }
    let nanosecond = std::time::Duration::from_nanos(1);
    let gaps = (0..COVERED_INTERVALS_MAX as i64).map(|at| Interval::new(hour(2 * at) + nanosecond, hour(2 * at + 1)));
    let covered = json!({
        "pk": "acme#orders", "sk": "coverage#shop",
        "indexed": gaps.map(Result::unwrap).collect::<Vec<_>>(), "signed": EXCEPTIONS_MAX - 1, "version": 1,
    });
    let Value::Object(covered) = covered else { unreachable!() };
    world.tables.put("ledgers", covered, Condition::Always).await.unwrap();
    manager.sign(terms, "shop", &signed(0)).await.unwrap();
    manager.sign(terms, "shop", &signed(7)).await.unwrap();
    let error = manager.sign(terms, "shop", &signed(EXCEPTIONS_MAX)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::InvalidInput);
    assert!(error.to_string().starts_with("source \"shop\" has 500 signed exceptions: send a batch"), "{error}");
    let complete = manager.completeness(terms).await.unwrap();
    assert_eq!(complete.sources["shop"].exceptions.len(), EXCEPTIONS_MAX as usize);
    let long = Exception { reason: "é".repeat(1_001), ..signed(0) };
    assert!(matches!(manager.sign(terms, "shop", &long).await, Err(OperateError::Unsigned)));
}

/// Whoever loses to others waits before it tries again, a little longer each time, and not for ever.
#[tokio::test]
async fn a_batch_that_loses_every_race_waits_between_its_tries() {
    let world = Arc::new(World::new());
    let (others, counted) = (world.clone(), AtomicU64::new(0));
    // Another batch takes the number just before every try to take it.
    let plan = move |call: &Operation| {
        if call.name == "transact" {
            let other = 1 + counted.fetch_add(1, Ordering::Relaxed) as i64;
            others.send(&format!("b{other}"), &manifest(other, other + 1)).now_or_never().unwrap().unwrap();
        }
        None
    };
    let clock = Arc::new(ManualClock::default());
    let tables = Arc::new(Faulty::new(world.tables.clone(), plan));
    let registrar = Registrar::new(world.objects.clone(), tables, clock.clone(), "ledgers", "data");
    let at = world.upload("late", &manifest(0, 1)).await;
    let error = registrar.register(&at, None, &world.terms).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Throttled, "{error}");
    let waited = clock.now().duration_since(ManualClock::default().now()).as_secs();
    assert!((20..60).contains(&waited), "{waited} s");
}

/// The turns of a job that nobody disturbs, as an operator sees them.
#[tokio::test]
async fn three_jobs_are_three_stages_deep_and_every_step_has_its_row() {
    use ledger::{
        stage::{Claim, Preparation, Turn},
        steps::{Figures, StepStatus, Steps},
        turns::StageResult,
    };
    let world = World::new();
    let (manager, terms) = (world.manager(), &world.terms);
    let result = |manifest: &str| StageResult {
        manifest: manifest.to_owned(),
        expected: Default::default(),
        found: Default::default(),
        figures: Figures::from_iter([("records".to_owned(), json!(2))]),
    };
    for job in 1..=4 {
        let from = job as i64;
        world.send(&format!("b{job}"), &manifest(from, from + 1)).await.unwrap();
        manager.tick(terms).await.unwrap();
        manager.turns().begin_stateless(&world.current(job).await, &terms.policy).await.unwrap();
        for step in [Preparation::Split, Preparation::Reduce] {
            manager
                .turns()
                .prepared(&world.current(job).await, step, &result("").figures, &terms.policy)
                .await
                .unwrap();
        }
        manager.turns().commit_stateless(&world.current(job).await, &result("combined"), &terms.policy).await.unwrap();
        manager.turns().ask(&world.current(job).await, Stage::Prefetch, "a token", &terms.policy).await.unwrap();
        manager.tick(terms).await.unwrap();
    }
    let turn = async |job: u64, stage: Stage| {
        world.book().job(&terms.ledger, JobNumber::new(job)).await.unwrap().unwrap().turn(stage).clone()
    };
    for job in 1..=3 {
        let Turn::Granted { fence, .. } = turn(job, Stage::Prefetch).await else { panic!("job {job} has no turn") };
        let claimed =
            manager.turns().claim(&world.current(job).await, Stage::Prefetch, fence, &terms.policy).await.unwrap();
        assert_eq!(claimed, Claim::Held);
        manager
            .turns()
            .commit(&world.current(job).await, Stage::Prefetch, fence, &result("p"), &terms.policy)
            .await
            .unwrap();
        manager.tick(terms).await.unwrap();
    }
    assert!(matches!(turn(4, Stage::Prefetch).await, Turn::Waiting { .. }), "a fourth would be too deep");
    manager.turns().ask(&world.current(1).await, Stage::Apply, "a token", &terms.policy).await.unwrap();
    manager.tick(terms).await.unwrap();
    let Turn::Granted { fence, .. } = turn(1, Stage::Apply).await else { panic!("no turn to apply") };
    manager.turns().claim(&world.current(1).await, Stage::Apply, fence, &terms.policy).await.unwrap();
    let mut untrue = result("a");
    untrue.found.add_record().unwrap();
    let error =
        manager.turns().commit(&world.current(1).await, Stage::Apply, fence, &untrue, &terms.policy).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::ControlTotalMismatch);
    let steps = Steps::new(world.book());
    let rows = steps.of_job(&terms.ledger, JobNumber::new(1)).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.step.as_str(), row.attempt, row.step_attempt, row.status)).collect();
    let done = |step, attempt| (step, attempt, 1, StepStatus::Done);
    let running = ("apply", 2, 1, StepStatus::Running);
    assert_eq!(told, [done("combine", 1), done("reduce", 1), done("split", 1), running, done("prefetch", 2)]);
    for row in rows.iter().filter(|row| row.status == StepStatus::Done) {
        let (began, ended) = (row.started_at.is_some(), row.ended_at.is_some());
        assert!(began && ended && row.figures["records"] == 2, "{row:?}");
    }
}

/// What was lost between a transaction and the call behind it is made up for by the next tick.
#[tokio::test]
async fn a_start_and_a_grant_that_were_lost_are_told_again() {
    use ledger::{steps::Figures, turns::StageResult};
    let world = World::new();
    let terms = &world.terms;
    let workflows = Arc::new(MemoryWorkflows::default());
    let down = Arc::new(AtomicU64::new(1));
    let is_down = down.clone();
    let plan = move |call: &Operation| {
        let error = || StorageError::Unavailable { what: call.what.clone(), source: "the test".into() };
        (is_down.load(Ordering::Relaxed) > 0).then(|| Fault::Refused(error()))
    };
    let port = Arc::new(Faulty::new(workflows.clone(), plan));
    let manager = BacklogManager::new(world.tables.clone(), port, Arc::new(ManualClock::default()), config());
    world.send("b1", &manifest(0, 1)).await.unwrap();
    manager.tick(terms).await.unwrap_err();
    assert_eq!(workflows.executions().len(), 0);
    down.store(0, Ordering::Relaxed);
    assert_eq!(manager.tick(terms).await.unwrap().starts, 1);
    assert_eq!(workflows.executions().len(), 1);

    let result = StageResult {
        manifest: "combined".to_owned(),
        expected: Default::default(),
        found: Default::default(),
        figures: Figures::new(),
    };
    manager.turns().commit_stateless(&world.current(1).await, &result, &terms.policy).await.unwrap();
    workflows.wait("token");
    down.store(1, Ordering::Relaxed);
    manager.turns().ask(&world.current(1).await, Stage::Prefetch, "token", &terms.policy).await.unwrap();
    manager.tick(terms).await.unwrap_err();
    assert_eq!(workflows.answers().len(), 0);
    down.store(0, Ordering::Relaxed);
    assert_eq!(manager.tick(terms).await.unwrap(), ledger::backlog::Ticked { answers: 1, ..Default::default() });
    assert_eq!(workflows.answers()[0].output, r#"{"turn":"granted","attempt":2,"fence":1,"snapshot":0}"#);
    // Told again, nobody waits any more; the grant is kept.
    assert_eq!(manager.tick(terms).await.unwrap().answers, 0);
    manager.turns().claim(&world.current(1).await, Stage::Prefetch, 1, &terms.policy).await.unwrap();
}
