//! batch-registrar and backlog-manager: what senders get wrong is told and not retried, and who asks is answered.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking, their helpers too")]

use std::sync::Arc;

use bytes::Bytes;
use error_class::{Classified, ErrorClass};
use futures::FutureExt;
use ledger::{
    BatchSequence, Definition, Interval, JobNumber, LedgerError, Rules,
    backlog::{BacklogManager, Config},
    book::{BatchStatus, Book, FaultRecord},
    definitions::Definitions,
    job::{Job, JobStatus, Run},
    manage::Manager,
    manifest::LedgerId,
    messages::{Managed, RunInput},
    operate::OperateError,
    register::Registrar,
    registrar::{self, BatchRegistrar},
    stage::{Stage, Turn},
    turns::StageResult,
    watermark::Exception,
};
use serde_json::{Value, json};
use storage::{
    Clock, Location, Objects, StorageError, Tables,
    memory::{Fault, Faulty, ManualClock, MemoryObjects, MemoryTables, MemoryWorkflows, Operation},
    objects::PutOptions,
};

struct World {
    clock: Arc<ManualClock>,
    objects: Arc<MemoryObjects>,
    tables: Arc<dyn Tables>,
    workflows: Arc<MemoryWorkflows>,
    registrar: BatchRegistrar,
    manager: Manager,
}

fn config() -> Config {
    Config {
        stateless_machine: "stateless".to_owned(),
        stateful_machine: "stateful".to_owned(),
        ledgers_table: "ledgers".to_owned(),
    }
}

fn ledger() -> LedgerId {
    LedgerId::new("acme", "orders").unwrap()
}

fn definition(name: &str) -> Definition {
    let definition = json!({
        "name": name,
        "sources": { "shop": "1970-01-01T00:00:00Z" },
        "events": { "format": "csv", "fields": [
            { "name": "id" }, { "name": "event" }, { "name": "time", "type": "datetime" }] },
        "artifactKey": ["id"], "eventId": "event", "eventTime": "time",
    });
    Definition::from_json(&definition.to_string()).unwrap()
}

fn manifest(source: &str, day: u8) -> Value {
    json!({
        "source": source,
        "interval": { "from": format!("2026-01-{day:02}T00:00:00Z"), "to": format!("2026-01-{:02}T00:00:00Z", day + 1) },
        "objects": [{ "key": "events.csv", "records": 1 }],
        "totals": { "records": 1 },
    })
}

impl World {
    async fn new() -> Self {
        let world = Self::on(Arc::new(MemoryTables::default()));
        world.put("orders").await;
        world
    }

    fn on(tables: Arc<dyn Tables>) -> Self {
        let clock = Arc::new(ManualClock::default());
        let objects = Arc::new(MemoryObjects::new(clock.clone()));
        let workflows = Arc::new(MemoryWorkflows::default());
        let settings = registrar::Config { data_bucket: "data".to_owned(), backlog: config() };
        Self {
            registrar: BatchRegistrar::new(objects.clone(), tables.clone(), workflows.clone(), clock.clone(), settings),
            manager: Manager::new(tables.clone(), workflows.clone(), clock.clone(), config()),
            clock,
            objects,
            tables,
            workflows,
        }
    }

    async fn put(&self, name: &str) {
        let definitions = Definitions::new(self.tables.clone(), "ledgers", Rules::default());
        definitions.put("acme", &definition(name)).await.unwrap();
    }

    fn book(&self) -> Book {
        Book::new(self.tables.clone(), "ledgers")
    }

    fn backlog(&self) -> BacklogManager {
        BacklogManager::new(self.tables.clone(), self.workflows.clone(), self.clock.clone(), config())
    }

    /// Uploads a batch of the ledger. The event of its manifest, as AWS sends it.
    async fn upload(&self, ledger: &str, batch: &str, manifest: impl ToString) -> Value {
        let folder = format!("acme/batches/{ledger}/{batch}");
        let put = |file: &str, body: String| {
            let at = Location::new("input", format!("{folder}/{file}"));
            async move { self.objects.put(&at, Bytes::from(body), PutOptions::default()).await.unwrap() }
        };
        put("events.csv", "id\n".to_owned()).await;
        let version = put("manifest.json", manifest.to_string()).await.written().unwrap().version;
        let key = format!("{folder}/manifest.json");
        event(&key, version)
    }

    async fn deliver(&self, event: &Value) -> Result<(), LedgerError> {
        self.registrar.register(serde_json::from_value(event.clone()).unwrap()).await.map(|_| ())
    }

    async fn send(&self, batch: &str, manifest: impl ToString) {
        let event = self.upload("orders", batch, manifest).await;
        self.deliver(&event).await.unwrap();
    }

    /// Registers a batch and does not look at the ledger.
    async fn put_batch_only(&self, batch: &str, day: u8) {
        let (tables, table) = (self.tables.clone(), "ledgers");
        let registrar = Registrar::new(self.objects.clone(), tables.clone(), self.clock.clone(), table, "data");
        let event = self.upload("orders", batch, manifest("shop", day)).await;
        let at = Location::new("input", event["detail"]["object"]["key"].as_str().unwrap());
        let terms = Definitions::new(tables, table, Rules::default()).terms(&ledger()).await.unwrap();
        registrar.register(&at, None, &terms).await.unwrap();
    }

    async fn fault(&self, batch: &str) -> Option<FaultRecord> {
        self.book().fault(&ledger(), batch).await.unwrap()
    }

    async fn numbers(&self) -> Vec<String> {
        let numbered = self.book().numbered(&ledger(), BatchSequence::FIRST, BatchSequence::new(99)).await.unwrap();
        numbered.into_iter().map(|batch| batch.batch).collect()
    }

    async fn job(&self, number: u64) -> Job {
        self.book().job(&ledger(), JobNumber::new(number)).await.unwrap().unwrap()
    }

    async fn tell(&self, request: Value) -> Result<Managed, LedgerError> {
        self.manager.handle(serde_json::from_value(request).unwrap()).await
    }

    /// The input of the last execution that was started.
    fn run(&self) -> RunInput {
        serde_json::from_str(&self.workflows.executions().last().unwrap().input).unwrap()
    }

    /// A job of one batch whose stateless half is done.
    async fn combined(&self) -> RunInput {
        self.send("b1", manifest("shop", 1)).await;
        let backlog = self.backlog();
        let policy = ledger::policy::Policy::default();
        backlog.turns().commit_stateless(&self.run().who(), &result("combined"), &policy).await.unwrap();
        self.tell(json!({ "action": "tick" })).await.unwrap();
        self.run()
    }
}

fn result(manifest: &str) -> StageResult {
    StageResult {
        manifest: manifest.to_owned(),
        expected: money::ControlTotals::default(),
        found: money::ControlTotals::default(),
        figures: ledger::steps::Figures::default(),
    }
}

fn event(key: &str, version: Option<String>) -> Value {
    let mut event = json!({
        "version": "0", "detail-type": "Object Created", "source": "aws.s3",
        "detail": { "bucket": { "name": "input" }, "object": { "key": key, "size": 1, "sequencer": "0" } },
    });
    if let Some(version) = version {
        event["detail"]["object"]["version-id"] = version.into();
    }
    event
}

#[tokio::test]
async fn a_batch_is_registered_and_its_job_started() {
    let world = World::new().await;
    let event = world.upload("orders", "b1", manifest("shop", 1)).await;
    world.deliver(&event).await.unwrap();
    world.deliver(&event).await.unwrap();
    assert_eq!(world.numbers().await, ["b1"]);
    let executions = world.workflows.executions();
    assert_eq!((executions.len(), executions[0].machine.as_str()), (1, "stateless"));
    assert_eq!((world.run().job, world.run().attempt), (JobNumber::new(1), 1));
}

#[tokio::test]
async fn an_event_without_a_version_takes_the_latest() {
    let world = World::new().await;
    let mut event = world.upload("orders", "b1", manifest("shop", 1)).await;
    event["detail"]["object"].as_object_mut().unwrap().remove("version-id").unwrap();
    world.deliver(&event).await.unwrap();
    assert_eq!(world.numbers().await, ["b1"]);
}

#[tokio::test]
async fn what_is_no_manifest_or_gone_is_left_alone() {
    let world = World::new().await;
    for key in
        ["acme/batches/orders/b1/events.csv", "batches/orders/UP/manifest.json", "acme/batches/orders/no/manifest.json"]
    {
        world.deliver(&event(key, None)).await.unwrap();
    }
    let event = world.upload("orders", "b1", manifest("shop", 1)).await;
    let at = Location::new("input", "acme/batches/orders/b1/manifest.json");
    world.objects.delete(&at, event["detail"]["object"]["version-id"].as_str()).await.unwrap();
    world.deliver(&event).await.unwrap();
    assert!(world.numbers().await.is_empty());
    assert_eq!(world.fault("b1").await, None);
}

#[tokio::test]
async fn what_the_sender_got_wrong_is_told_until_it_is_right() {
    let world = World::new().await;
    world.send("b1", manifest("shop", 1)).await;
    let no_object = {
        let mut manifest = manifest("shop", 3);
        manifest["objects"][0]["key"] = "none.csv".into();
        manifest
    };
    for (batch, wrong, said) in [
        ("b2", manifest("bank", 2).to_string(), "has no source \"bank\""),
        ("b3", manifest("shop", 1).to_string(), "has closed a part already"),
        ("b4", "{".to_owned(), "cannot be read: EOF"),
        ("b5", no_object.to_string(), "none.csv, which does not exist"),
        ("b6", format!("{}{}", manifest("shop", 4), " ".repeat(1024 * 1024)), "a manifest has at most 1048576"),
    ] {
        world.send(batch, wrong).await;
        let fault = world.fault(batch).await.unwrap();
        assert!(fault.reason.contains(said), "{batch}: {}", fault.reason);
    }
    assert_eq!(world.numbers().await, ["b1"]);
    world.clock.advance(std::time::Duration::from_secs(60));
    world.send("b2", manifest("shop", 2)).await;
    assert_eq!((world.numbers().await.len(), world.fault("b2").await), (2, None));
}

/// A manifest that says the same again, over objects that do not: their sender would take them for read.
#[tokio::test]
async fn the_same_manifest_over_other_content_is_told_and_the_batch_stays() {
    let world = World::new().await;
    world.send("b1", manifest("shop", 1)).await;
    world.clock.advance(std::time::Duration::from_secs(60));
    world.send("b1", manifest("shop", 1)).await;
    assert_eq!(world.fault("b1").await, None, "the same content");
    let pinned = world.book().batch(&ledger(), "b1").await.unwrap();
    let at = Location::new("input", "acme/batches/orders/b1/events.csv");
    let upload = async |body: &'static str| {
        world.clock.advance(std::time::Duration::from_secs(60));
        let event = world.upload("orders", "b1", manifest("shop", 1)).await;
        world.objects.put(&at, Bytes::from(body), PutOptions::default()).await.unwrap();
        world.deliver(&event).await.unwrap();
    };
    upload("id\n2\n").await;
    let reason = world.fault("b1").await.unwrap().reason;
    assert!(
        reason.starts_with("batch b1 was registered with other content: acme/batches/orders/b1/events.csv"),
        "{reason}"
    );
    assert_eq!((world.numbers().await.len(), world.book().batch(&ledger(), "b1").await.unwrap()), (1, pinned));
    world.clock.advance(std::time::Duration::from_secs(60));
    world.send("b1", manifest("shop", 1)).await;
    assert_eq!(world.fault("b1").await, None, "as it was");
    upload("longer than that\n").await;
    assert!(world.fault("b1").await.is_some());
    // What is gone was registered all the same.
    world.clock.advance(std::time::Duration::from_secs(60));
    let event = world.upload("orders", "b1", manifest("shop", 1)).await;
    world.objects.delete(&at, None).await.unwrap();
    world.deliver(&event).await.unwrap();
    assert_eq!(world.fault("b1").await, None);
    // Where the manifest says what the content is, other content makes another manifest.
    let mut said = manifest("shop", 2);
    said["objects"][0]["sha256"] = "0".repeat(64).into();
    world.send("b2", &said).await;
    said["objects"][0]["sha256"] = "1".repeat(64).into();
    world.clock.advance(std::time::Duration::from_secs(60));
    world.send("b2", &said).await;
    let reason = world.fault("b2").await.unwrap().reason;
    assert!(reason.contains("was registered with another manifest"), "{reason}");
}

#[tokio::test]
async fn an_unknown_ledger_is_told_and_taken_once_it_is_known() {
    let world = World::on(Arc::new(MemoryTables::default()));
    let event = world.upload("orders", "b1", manifest("shop", 1)).await;
    world.deliver(&event).await.unwrap();
    let reason = world.fault("b1").await.unwrap().reason;
    assert!(reason.contains("tieout ledger put"), "{reason}");
    world.put("orders").await;
    world.deliver(&event).await.unwrap();
    assert_eq!((world.numbers().await.len(), world.fault("b1").await), (1, None));
}

/// A wrong manifest whose event comes late does not speak against the right one that has been taken since; another one
/// that is uploaded later does.
#[tokio::test]
async fn a_fault_is_of_the_latest_manifest() {
    let world = World::new().await;
    let minute = std::time::Duration::from_secs(60);
    let wrong = world.upload("orders", "b1", manifest("bank", 1)).await;
    world.clock.advance(minute);
    world.send("b1", manifest("shop", 1)).await;
    world.deliver(&wrong).await.unwrap();
    assert_eq!(world.fault("b1").await, None);
    world.clock.advance(minute);
    world.send("b1", manifest("shop", 2)).await;
    let fault = world.fault("b1").await.unwrap();
    assert!(fault.reason.contains("was registered with another manifest"), "{}", fault.reason);
    assert_eq!(world.numbers().await, ["b1"]);
}

#[tokio::test]
async fn what_a_store_got_wrong_is_tried_again_and_not_told() {
    let tables = Arc::new(MemoryTables::default());
    World::on(tables.clone()).put("orders").await;
    let faulty = Faulty::new(tables, |call: &Operation| {
        let error = StorageError::Unavailable { what: call.what.clone(), source: "the test".into() };
        (call.name == "transact").then_some(Fault::Refused(error))
    });
    let world = World::on(Arc::new(faulty));
    let event = world.upload("orders", "b1", manifest("shop", 1)).await;
    assert_eq!(world.deliver(&event).await.unwrap_err().class(), ErrorClass::Unavailable);
    assert_eq!(world.fault("b1").await, None);
}

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
    for _ in 0..2 {
        backlog.redrive_afresh(&terms, number).await.unwrap();
    }
    assert!(world.job(1).await.is_void());
    assert_eq!(world.numbers().await, ["b1", "b2", "b1"], "behind what waited");
    let again = world.job(3).await;
    assert_eq!((run.definition, again.definition), (1, 2));
    assert_eq!((again.attempt, again.failures, &again.stateless), (1, 0, &None));
    assert_eq!((world.run().job, world.run().definition), (JobNumber::new(3), 2));
    assert_eq!(refused(backlog.redrive(&terms, number).await), "job 1 is void");
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

/// A manager that has read the definition long ago makes no job under it once there is one under a later version.
#[tokio::test]
async fn definitions_never_go_back_along_the_jobs() {
    let world = World::new().await;
    let definitions = Definitions::new(world.tables.clone(), "ledgers", Rules::default());
    let (slow, old) = (world.backlog(), definitions.terms(&ledger()).await.unwrap());
    let mut titled = definition("orders");
    titled.title = Some("Orders".to_owned());
    definitions.put("acme", &titled).await.unwrap();
    world.send("b1", manifest("shop", 1)).await;
    assert_eq!(world.job(1).await.definition, 2);
    world.put_batch_only("b2", 2).await;
    assert!(slow.tick(&old).await.unwrap().stale);
    assert_eq!(world.book().job(&ledger(), JobNumber::new(2)).await.unwrap(), None);
    let refused = slow.skip(&old, "b2", "wrong").await.unwrap_err();
    assert_eq!(refused.class(), ErrorClass::Throttled, "{refused}");
    slow.move_on(&old, &definitions).await.unwrap();
    assert_eq!(world.job(2).await.definition, 2, "it has read the definition again");
}

fn with_measures(change: &Value) -> Definition {
    let mut document = json!(definition("orders"));
    document["events"]["fields"] = json!([
        { "name": "id" }, { "name": "event" }, { "name": "time", "type": "datetime" }, { "name": "kind" },
        { "name": "net", "type": "number" }, { "name": "gross", "type": "number" }, { "name": "currency" }]);
    document["amounts"] = json!([{ "column": "net", "currency": "EUR" }, { "column": "gross", "currency": "EUR" }]);
    document["measures"] = json!({ "paid": { "measure": "sum", "column": "net" }, "events": { "measure": "count" } });
    document["attributes"] = json!({ "kind": "kind" });
    for (path, value) in change.as_object().unwrap() {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap();
        match (value, parent) {
            (Value::Null, Value::Object(members)) => drop(members.remove(name)),
            (value, Value::Object(members)) => drop(members.insert(name.to_owned(), value.clone())),
            (value, parent) => parent[name.parse::<usize>().unwrap()] = value.clone(),
        }
    }
    Definition::from_json(&document.to_string()).unwrap()
}

#[tokio::test]
async fn what_a_name_means_stays_once_there_are_batches() {
    let world = World::new().await;
    let definitions = Definitions::new(world.tables.clone(), "ledgers", Rules::default());
    let put = async |change: Value| definitions.put("acme", &with_measures(&change)).await;
    put(json!({ "/measures/paid": { "measure": "max", "column": "gross" } })).await.unwrap();
    put(json!({})).await.unwrap();
    world.send("b1", manifest("shop", 1)).await;
    for (change, said) in [
        (json!({ "/measures/paid/measure": "min" }), "measure \"paid\" had another kind: take a new name"),
        (json!({ "/measures/paid/column": "gross" }), "measure \"paid\" had another column: take a new name"),
        (json!({ "/measures/events/where": { "kind": "invoice" } }), "measure \"events\" had another filter"),
        (json!({ "/amounts/0/currency": "USD" }), "measure \"paid\" had another currency: take a new name"),
        (json!({ "/attributes/kind": "currency" }), "attribute \"kind\" had another column: take a new name"),
        (json!({ "/events/fields/3/type": "number" }), "column \"kind\" had another type (string): take a new name"),
        (json!({ "/events/fields/2/type": "date" }), "column \"time\" had another type (datetime)"),
    ] {
        let error = put(change).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::InvalidInput);
        assert!(error.to_string().contains(said), "{error}");
    }
    // Whole numbers are numbers, and nothing is made of the column `gross` but a sum for control.
    put(json!({ "/events/fields/4/type": "integer" })).await.unwrap();
    put(json!({})).await.unwrap();
    put(json!({ "/amounts": [{ "column": "net", "currency": "EUR" }], "/events/fields/5/type": "string" }))
        .await
        .unwrap();
    put(json!({})).await.unwrap();
    // What no measure is made of may change, and names may be left out; they are not used again, though.
    put(json!({ "/amounts/1/currency": "USD", "/measures/events": null, "/attributes/kind": null })).await.unwrap();
    put(json!({ "/measures/events": null, "/attributes": {}, "/measures/all": { "measure": "count" } })).await.unwrap();
    let error = put(json!({ "/attributes": {} })).await.unwrap_err();
    assert!(error.to_string().contains("measure \"events\" was left out after version 7: take a new name"), "{error}");
    let error = put(json!({ "/measures/events": null })).await.unwrap_err();
    assert!(error.to_string().contains("attribute \"kind\" was left out after version 7"), "{error}");
}

/// The watermark goes by the sources: one that has batches stays as it is, unless that is asked for.
#[tokio::test]
async fn sources_with_batches_are_moved_or_left_out_only_when_asked() {
    let world = World::new().await;
    let definitions = Definitions::new(world.tables.clone(), "ledgers", Rules::default());
    let of = |sources: Value| {
        let mut document = json!(definition("orders"));
        document["sources"] = sources;
        Definition::from_json(&document.to_string()).unwrap()
    };
    let (old, new) = ("1970-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    definitions.put("acme", &of(json!({ "shop": old, "bank": old, "till": old }))).await.unwrap();
    definitions.put("acme", &of(json!({ "shop": "2026-01-01T00:00:00Z", "bank": new }))).await.unwrap();
    world.send("b1", manifest("shop", 1)).await;
    definitions.put("acme", &of(json!({ "shop": "2026-01-01T00:00:00Z", "bank": old }))).await.unwrap();
    let watermark = async || {
        let terms = definitions.terms(&ledger()).await.unwrap();
        world.backlog().completeness(&terms).await.unwrap().watermark.unwrap().to_string()
    };
    let signed = Exception {
        interval: Interval::new(old.parse().unwrap(), new.parse().unwrap()).unwrap(),
        signed_by: "ada".to_owned(),
        reason: "it was closed".to_owned(),
        signed_at: world.clock.now(),
    };
    world.backlog().sign(&definitions.terms(&ledger()).await.unwrap(), "bank", &signed).await.unwrap();
    assert_eq!(watermark().await, "2026-01-01T00:00:00Z");
    for (sources, says) in [
        (
            json!({ "shop": old, "bank": old }),
            format!("\"shop\" of ledger acme/orders has batches or signatures, and would begin at {old}"),
        ),
        (json!({ "bank": old }), "would be none of its sources any more".to_owned()),
        (json!({ "shop": "2026-01-01T00:00:00Z" }), "\"bank\" of ledger".to_owned()),
    ] {
        let error = definitions.put("acme", &of(sources)).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::InvalidInput);
        assert!(error.to_string().contains(&says), "{error}");
        assert_eq!(watermark().await, "2026-01-01T00:00:00Z");
    }
    definitions.put_moving_sources("acme", &of(json!({ "bank": old }))).await.unwrap();
    assert_eq!(watermark().await, new);
}

/// The source's first batch comes between the look whether it has one and the write.
#[tokio::test]
async fn a_source_is_not_left_out_while_its_first_batch_comes() {
    let tables = Arc::new(MemoryTables::default());
    let first = Arc::new(World::on(tables.clone()));
    first.put("orders").await;
    let (racing, once) = (first.clone(), std::sync::Once::new());
    let faulty = Faulty::new(tables, move |call: &Operation| {
        if call.name == "transact" {
            once.call_once(|| {
                racing.send("b1", manifest("shop", 1)).now_or_never().unwrap();
            });
        }
        None
    });
    let definitions = Definitions::new(Arc::new(faulty), "ledgers", Rules::default());
    let mut other = json!(definition("orders"));
    other["sources"] = json!({ "bank": "1970-01-01T00:00:00Z" });
    let other = Definition::from_json(&other.to_string()).unwrap();
    assert!(matches!(definitions.put("acme", &other).await, Err(LedgerError::DefinitionContended(_))));
    assert!(matches!(definitions.put("acme", &other).await, Err(LedgerError::SourceInUse { .. })));
}

/// The first batch comes between the look whether there is one and the change that only a ledger without one allows.
#[tokio::test]
async fn what_is_fixed_cannot_change_while_the_first_batch_comes() {
    let tables = Arc::new(MemoryTables::default());
    let first = Arc::new(World::on(tables.clone()));
    first.put("orders").await;
    let (racing, once) = (first.clone(), std::sync::Once::new());
    let faulty = Faulty::new(tables, move |call: &Operation| {
        if call.name == "transact" {
            once.call_once(|| {
                racing.send("b1", manifest("shop", 1)).now_or_never().unwrap();
            });
        }
        None
    });
    let definitions = Definitions::new(Arc::new(faulty), "ledgers", Rules::default());
    let mut other = definition("orders");
    other.event_id = "time".to_owned();
    assert!(matches!(definitions.put("acme", &other).await, Err(LedgerError::DefinitionContended(_))));
    assert!(matches!(definitions.put("acme", &other).await, Err(LedgerError::DefinitionFixed { .. })));
    assert_eq!(first.job(1).await.definition, 1);
}

/// What changes before the first batch binds the first job, too, whoever has read the definition before.
#[tokio::test]
async fn no_job_goes_by_what_was_changed_before_there_was_a_batch() {
    let world = World::new().await;
    let definitions = Definitions::new(world.tables.clone(), "ledgers", Rules::default());
    let old = definitions.terms(&ledger()).await.unwrap();
    let mut other = definition("orders");
    other.event_id = "time".to_owned();
    definitions.put("acme", &other).await.unwrap();
    world.put_batch_only("b1", 1).await;
    assert!(world.backlog().tick(&old).await.unwrap().stale);
    assert_eq!(world.book().job(&ledger(), JobNumber::new(1)).await.unwrap(), None);
}

/// A right manifest is taken between the look at what is known and the note that an earlier one was wrong.
#[tokio::test]
async fn a_fault_that_is_written_late_does_not_stand() {
    let tables = Arc::new(MemoryTables::default());
    let right = Arc::new(World::on(tables.clone()));
    right.put("orders").await;
    right.clock.advance(std::time::Duration::from_secs(60));
    let (racing, once) = (right.clone(), std::sync::Once::new());
    let faulty = Faulty::new(tables, move |call: &Operation| {
        if matches!(call.name, "transact" | "put") {
            once.call_once(|| {
                racing.send("b1", manifest("shop", 1)).now_or_never().unwrap();
            });
        }
        None
    });
    let wrong = World::on(Arc::new(faulty));
    wrong.send("b1", manifest("bank", 1)).await;
    assert_eq!((right.numbers().await, right.fault("b1").await), (vec!["b1".to_owned()], None));
}

/// S3 knows whole seconds: a wrong manifest that is uploaded in the second in which another was taken is told.
#[tokio::test]
async fn times_of_one_second_are_the_same() {
    let world = World::new().await;
    let wrong = world.upload("orders", "b1", manifest("shop", 2)).await;
    world.clock.advance(std::time::Duration::from_millis(700));
    world.send("b1", manifest("shop", 1)).await;
    world.deliver(&wrong).await.unwrap();
    assert!(world.fault("b1").await.unwrap().reason.contains("was registered with another manifest"));
}
