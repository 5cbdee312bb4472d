//! A ledger in memory, and what arrives at it.

use std::sync::Arc;

use bytes::Bytes;
use ledger::{
    BatchSequence, Definition, JobNumber, LedgerError, Rules,
    backlog::{BacklogManager, Config},
    book::{Book, FaultRecord},
    definitions::Definitions,
    job::Job,
    manage::Manager,
    manifest::LedgerId,
    messages::{Managed, RunInput},
    register::Registrar,
    registrar::{self, BatchRegistrar},
    turns::StageResult,
};
use serde_json::{Value, json};
use storage::{
    Location, Objects, Tables,
    memory::{ManualClock, MemoryObjects, MemoryTables, MemoryWorkflows},
    objects::PutOptions,
};

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) objects: Arc<MemoryObjects>,
    pub(crate) tables: Arc<dyn Tables>,
    pub(crate) workflows: Arc<MemoryWorkflows>,
    pub(crate) registrar: BatchRegistrar,
    pub(crate) manager: Manager,
}

pub(crate) fn config() -> Config {
    Config {
        stateless_machine: "stateless".to_owned(),
        stateful_machine: "stateful".to_owned(),
        ledgers_table: "ledgers".to_owned(),
    }
}

pub(crate) fn ledger() -> LedgerId {
    LedgerId::new("acme", "orders").unwrap()
}

pub(crate) fn definition(name: &str) -> Definition {
    let definition = json!({
        "name": name,
        "sources": { "shop": "1970-01-01T00:00:00Z" },
        "events": { "format": "csv", "fields": [
            { "name": "id" }, { "name": "event" }, { "name": "time", "type": "datetime" }] },
        "artifactKey": ["id"], "eventId": "event", "eventTime": "time",
    });
    Definition::from_json(&definition.to_string()).unwrap()
}

pub(crate) fn manifest(source: &str, day: u8) -> Value {
    json!({
        "source": source,
        "interval": { "from": format!("2026-01-{day:02}T00:00:00Z"), "to": format!("2026-01-{:02}T00:00:00Z", day + 1) },
        "objects": [{ "key": "events.csv", "records": 1 }],
        "totals": { "records": 1 },
    })
}

impl World {
    pub(crate) async fn new() -> Self {
        let world = Self::on(Arc::new(MemoryTables::default()));
        world.put("orders").await;
        world
    }

    pub(crate) fn on(tables: Arc<dyn Tables>) -> Self {
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

    pub(crate) async fn put(&self, name: &str) {
        let definitions = Definitions::new(self.tables.clone(), "ledgers", Rules::default());
        definitions.put("acme", &definition(name)).await.unwrap();
    }

    pub(crate) fn book(&self) -> Book {
        Book::new(self.tables.clone(), "ledgers")
    }

    pub(crate) fn backlog(&self) -> BacklogManager {
        BacklogManager::new(self.tables.clone(), self.workflows.clone(), self.clock.clone(), config())
    }

    /// Uploads a batch of the ledger. The event of its manifest, as AWS sends it.
    pub(crate) async fn upload(&self, ledger: &str, batch: &str, manifest: impl ToString) -> Value {
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

    pub(crate) async fn deliver(&self, event: &Value) -> Result<(), LedgerError> {
        self.registrar.register(serde_json::from_value(event.clone()).unwrap()).await.map(|_| ())
    }

    pub(crate) async fn send(&self, batch: &str, manifest: impl ToString) {
        let event = self.upload("orders", batch, manifest).await;
        self.deliver(&event).await.unwrap();
    }

    /// Registers a batch and does not look at the ledger.
    pub(crate) async fn put_batch_only(&self, batch: &str, day: u8) {
        let (tables, table) = (self.tables.clone(), "ledgers");
        let registrar = Registrar::new(self.objects.clone(), tables.clone(), self.clock.clone(), table, "data");
        let event = self.upload("orders", batch, manifest("shop", day)).await;
        let at = Location::new("input", event["detail"]["object"]["key"].as_str().unwrap());
        let terms = Definitions::new(tables, table, Rules::default()).terms(&ledger()).await.unwrap();
        registrar.register(&at, None, &terms).await.unwrap();
    }

    pub(crate) async fn fault(&self, batch: &str) -> Option<FaultRecord> {
        self.book().fault(&ledger(), batch).await.unwrap()
    }

    pub(crate) async fn numbers(&self) -> Vec<String> {
        let numbered = self.book().numbered(&ledger(), BatchSequence::FIRST, BatchSequence::new(99)).await.unwrap();
        numbered.into_iter().map(|batch| batch.batch).collect()
    }

    pub(crate) async fn job(&self, number: u64) -> Job {
        self.book().job(&ledger(), JobNumber::new(number)).await.unwrap().unwrap()
    }

    pub(crate) async fn tell(&self, request: Value) -> Result<Managed, LedgerError> {
        self.manager.handle(serde_json::from_value(request).unwrap()).await
    }

    /// The input of the last execution that was started.
    pub(crate) fn run(&self) -> RunInput {
        serde_json::from_str(&self.workflows.executions().last().unwrap().input).unwrap()
    }

    /// A job of one batch whose stateless half is done.
    pub(crate) async fn combined(&self) -> RunInput {
        self.send("b1", manifest("shop", 1)).await;
        let backlog = self.backlog();
        let policy = ledger::policy::Policy::default();
        backlog.turns().commit_stateless(&self.run().who(), &result("combined"), &policy).await.unwrap();
        self.tell(json!({ "action": "tick" })).await.unwrap();
        self.run()
    }
}

pub(crate) fn result(manifest: &str) -> StageResult {
    StageResult {
        manifest: manifest.to_owned(),
        expected: money::ControlTotals::default(),
        found: money::ControlTotals::default(),
        figures: ledger::steps::Figures::default(),
    }
}

pub(crate) fn event(key: &str, version: Option<String>) -> Value {
    let mut event = json!({
        "version": "0", "detail-type": "Object Created", "source": "aws.s3",
        "detail": { "bucket": { "name": "input" }, "object": { "key": key, "size": 1, "sequencer": "0" } },
    });
    if let Some(version) = version {
        event["detail"]["object"]["version-id"] = version.into();
    }
    event
}
