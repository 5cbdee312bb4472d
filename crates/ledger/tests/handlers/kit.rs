//! A ledger in one process: batches are sent, jobs made of them, and the real handlers do the stateless half.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use error_class::ErrorClass;
use ledger::{
    BatchSequence, Definition, LedgerError, Partition, Places, Rules, backlog,
    book::{BatchStatus, Book},
    combine_partition::Combiner,
    commits::StatelessManifest,
    coordinate::StageCoordinator,
    definitions::Definitions,
    job::Job,
    manage::Manager,
    manifest::{LedgerId, ManifestKey},
    messages::{
        EventChunk, JobSplit, ManageAction, ManageRequest, PartitionRequest, Partitions, ReduceRequest, RunInput,
        SplitRequest, StageReply, StageRequest, StateFailure,
    },
    policy::Terms,
    reduce_range::Reducer,
    register::Registrar,
    split::{self, JobSplitter},
    stage::{Stage, TurnAnswer},
    turns::Turns,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use storage::{
    Location, Objects, Tables,
    memory::{Fault, Faulty, ManualClock, MemoryObjects, MemoryTables, MemoryWorkflows, Operation},
    objects::{PutOptions, read_all},
};

pub(crate) const INPUT: &str = "input";
pub(crate) const WORK: &str = "work";
pub(crate) const DATA: &str = "data";
const LEDGERS: &str = "ledgers";
/// How long a splitter reads.
pub(crate) const WORK_SECONDS_MAX: u64 = 840;

/// Everything that outlives a handler.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) objects: Arc<MemoryObjects>,
    pub(crate) tables: Arc<MemoryTables>,
    pub(crate) workflows: Arc<MemoryWorkflows>,
    terms: Terms,
}

/// The handlers, wired to a world, perhaps with faults before its ports.
pub(crate) struct Handlers {
    pub(crate) splitter: JobSplitter,
    pub(crate) reducer: Reducer,
    pub(crate) combiner: Combiner,
    pub(crate) coordinator: StageCoordinator,
}

pub(crate) fn ledger() -> LedgerId {
    LedgerId::new("acme", "orders").unwrap()
}

/// A definition of CSV events; tests change what they are about.
pub(crate) fn definition() -> Value {
    json!({
        "name": "orders",
        "sources": { "shop": "2026-01-01T00:00:00Z" },
        "events": { "format": "csv", "fields": [
            { "name": "order", "constraints": { "required": true } },
            { "name": "event" },
            { "name": "at", "type": "datetime" },
            { "name": "net", "type": "number" },
            { "name": "currency" },
            { "name": "note" },
        ] },
        "artifactKey": ["order"], "eventId": "event", "eventTime": "at",
        "amounts": [{ "column": "net", "currencyColumn": "currency" }],
        "measures": { "net": { "measure": "sum", "column": "net" } },
        "partitionBits": 2,
    })
}

pub(crate) const HEADER: &str = "order,event,at,net,currency,note\n";

/// Events of the first of January, with their header.
pub(crate) fn csv(orders: u32, events: u32) -> String {
    let event = |event: u32| {
        let order = event % orders;
        format!(
            "A-{order},e{event},2026-01-01T{:02}:00:00Z,{event}.25,EUR,\"a \"\"note\"\",\nof two lines\"\n",
            event % 24
        )
    };
    HEADER.to_owned() + &(0..events).map(event).collect::<String>()
}

/// What [`csv`] adds up to.
pub(crate) fn totals(events: u32) -> Value {
    let cents = u64::from(events) * u64::from(events.saturating_sub(1)) / 2 * 100 + u64::from(events) * 25;
    let sum = format!("{}.{:02}", cents / 100, cents % 100);
    let columns = json!([{ "column": "net", "currency": "EUR", "sum": sum, "amounts": events, "unparsed": 0 }]);
    json!({ "records": events, "columns": if events == 0 { json!([]) } else { columns } })
}

/// The manifest of a batch of the first of January with these objects: their names and how many records they hold.
pub(crate) fn manifest(day: u32, objects: &[(&str, u32)], totals: Value) -> Value {
    let objects: Vec<Value> = objects.iter().map(|(key, records)| json!({ "key": key, "records": records })).collect();
    let interval = match day {
        0 => json!({ "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z" }),
        day => json!({
            "from": format!("2026-01-{:02}T00:00:00Z", day + 1), "to": format!("2026-01-{:02}T00:00:00Z", day + 2),
        }),
    };
    json!({ "source": "shop", "interval": interval, "objects": objects, "totals": totals })
}

impl World {
    pub(crate) async fn new(definition: &Value) -> Self {
        let clock = Arc::new(ManualClock::default());
        let tables = Arc::new(MemoryTables::default());
        let definition = Definition::from_json(&definition.to_string()).unwrap();
        let definitions = Definitions::new(tables.clone(), LEDGERS, Rules::default());
        definitions.put("acme", &definition).await.unwrap();
        Self {
            objects: Arc::new(MemoryObjects::new(clock.clone())),
            workflows: Arc::new(MemoryWorkflows::default()),
            terms: definitions.terms(&ledger()).await.unwrap(),
            clock,
            tables,
        }
    }

    /// The book is as it was before the first batch was sent. Buckets and executions stand.
    pub(crate) async fn restore(&mut self) {
        let definition = self.book_definitions().definition(&ledger(), self.terms.definition).await.unwrap();
        self.tables = Arc::new(MemoryTables::default());
        self.book_definitions().put(&ledger().tenant, &definition).await.unwrap();
    }

    fn book_definitions(&self) -> Definitions {
        Definitions::new(self.tables.clone(), LEDGERS, Rules::default())
    }

    /// The handlers on ports that do as they are told; ranges are of so many bytes.
    pub(crate) fn handlers(&self, event_range_bytes: u64) -> Handlers {
        self.wire(self.objects.clone(), self.tables.clone(), event_range_bytes)
    }

    /// The handlers on ports that fail as `plan` says.
    pub(crate) fn faulty_handlers(
        &self,
        plan: impl Fn(&Operation) -> Option<Fault> + Send + Sync + Clone + 'static,
    ) -> Handlers {
        let objects = Arc::new(Faulty::new(self.objects.clone(), plan.clone()));
        self.wire(objects, Arc::new(Faulty::new(self.tables.clone(), plan)), 100)
    }

    fn wire(&self, objects: Arc<dyn Objects>, tables: Arc<dyn Tables>, event_range_bytes: u64) -> Handlers {
        let places =
            Places { work_bucket: WORK.to_owned(), data_bucket: DATA.to_owned(), ledgers_table: LEDGERS.to_owned() };
        let clock = self.clock.clone();
        let config = split::Config { places: places.clone(), event_range_bytes, work_seconds_max: WORK_SECONDS_MAX };
        Handlers {
            splitter: JobSplitter::new(objects.clone(), tables.clone(), clock.clone(), config),
            reducer: Reducer::new(objects.clone(), tables.clone(), clock.clone(), &places),
            combiner: Combiner::new(objects.clone(), tables.clone(), clock.clone(), &places),
            coordinator: StageCoordinator::new(objects, tables, clock, &places),
        }
    }

    pub(crate) async fn put(&self, bucket: &str, key: &str, body: impl Into<Bytes>) {
        self.objects.put(&Location::new(bucket, key), body.into(), PutOptions::default()).await.unwrap();
    }

    pub(crate) async fn bytes(&self, bucket: &str, key: &str) -> Bytes {
        let at = Location::new(bucket, key);
        read_all(self.objects.read(&at, None, None).await.unwrap(), &at, u64::MAX).await.unwrap()
    }

    pub(crate) async fn document<T: DeserializeOwned>(&self, bucket: &str, key: &str) -> T {
        serde_json::from_slice(&self.bytes(bucket, key).await).unwrap()
    }

    /// Changes a document behind everybody's back.
    pub(crate) async fn edit(&self, bucket: &str, key: &str, change: impl FnOnce(&mut Value)) {
        let mut document: Value = self.document(bucket, key).await;
        let before = document.clone();
        change(&mut document);
        assert_ne!(document, before, "{key}");
        self.put(bucket, key, document.to_string()).await;
    }

    /// All keys of a bucket that contain this.
    pub(crate) async fn keys(&self, bucket: &str, part: &str) -> Vec<String> {
        let listed = self.objects.list(bucket, "", None).await.unwrap();
        listed.into_iter().map(|listed| listed.key).filter(|key| key.contains(part)).collect()
    }

    /// Deletes what stands at a key, behind everybody's back.
    pub(crate) async fn delete(&self, bucket: &str, key: &str) {
        self.objects.delete(&Location::new(bucket, key), None).await.unwrap();
    }

    /// The documents that were committed so far, with their keys.
    pub(crate) async fn committed(&self) -> Vec<(String, Bytes)> {
        let mut committed = Vec::new();
        for key in self.keys(WORK, ".json").await {
            let number = key.rsplit_once('/').map_or("", |(_, name)| name).trim_end_matches(".json");
            if number.len() < 32 && !key.contains("/reduced/") {
                committed.push((key.clone(), self.bytes(WORK, &key).await));
            }
        }
        committed
    }

    /// The attempt fails, and the job is tried again at once. The input of the new one.
    pub(crate) async fn fail(&self, run: &RunInput) -> RunInput {
        let failure = StateFailure { error: ErrorClass::WorkerLost.to_string(), cause: "lost".to_owned() };
        self.tell(ManageAction::Finished { run: run.clone(), failure: Some(failure) }).await;
        self.clock.advance(Duration::from_secs(600));
        self.run().await
    }

    /// Uploads the objects and registers the manifest; no job is made yet.
    pub(crate) async fn send(&self, batch: &str, objects: &[(&str, &[u8])], manifest: &Value) {
        let at = ManifestKey::new(ledger(), batch);
        for (name, body) in objects {
            self.put(INPUT, &format!("{}{name}", at.folder()), body.to_vec()).await;
        }
        self.put(INPUT, &at.key(), manifest.to_string()).await;
        let clock = self.clock.clone();
        let registrar = Registrar::new(self.objects.clone(), self.tables.clone(), clock, LEDGERS, DATA);
        registrar.register(&Location::new(INPUT, at.key()), None, &self.terms).await.unwrap();
    }

    /// A batch of one CSV object.
    pub(crate) async fn send_csv(&self, batch: &str, orders: u32, events: u32) {
        let manifest = manifest(0, &[("events.csv", events)], totals(events));
        self.send(batch, &[("events.csv", csv(orders, events).as_bytes())], &manifest).await;
    }

    pub(crate) fn turns(&self) -> Turns {
        Turns::new(self.book(), self.clock.clone())
    }

    async fn tell(&self, action: ManageAction) {
        let config = backlog::Config {
            stateless_machine: "stateless".to_owned(),
            stateful_machine: "stateful".to_owned(),
            ledgers_table: LEDGERS.to_owned(),
        };
        let manager = Manager::new(self.tables.clone(), self.workflows.clone(), self.clock.clone(), config);
        manager.handle(ManageRequest::Told(action)).await.unwrap();
    }

    /// Makes a job of what waits, and gives the input of the last execution that was started.
    pub(crate) async fn run(&self) -> RunInput {
        self.tell(ManageAction::Tick {}).await;
        serde_json::from_str(&self.workflows.executions().last().unwrap().input).unwrap()
    }

    pub(crate) fn book(&self) -> Book {
        Book::new(self.tables.clone(), LEDGERS)
    }

    pub(crate) async fn job(&self, run: &RunInput) -> Job {
        self.book().job(&ledger(), run.job).await.unwrap().unwrap()
    }

    pub(crate) async fn status(&self, batch: &str) -> BatchStatus {
        self.book().batch(&ledger(), batch).await.unwrap().unwrap().status
    }

    /// The key of a batch's pinned manifest.
    pub(crate) async fn pinned(&self, number: u64) -> String {
        let number = BatchSequence::new(number);
        self.book().numbered(&ledger(), number, number).await.unwrap()[0].pinned.clone()
    }

    /// The manifest of the stateless half.
    pub(crate) async fn stateless(&self, run: &RunInput) -> StatelessManifest {
        self.document(WORK, &self.job(run).await.stateless.unwrap().manifest).await
    }

    pub(crate) async fn chunks(&self, split: &JobSplit) -> Vec<EventChunk> {
        let chunks: Vec<EventChunk> = self.document(&split.bucket, &split.ranges).await;
        assert_eq!(chunks.len() as u64, split.count);
        chunks
    }

    pub(crate) async fn list(&self, partitions: &Partitions) -> Vec<Partition> {
        let list: Vec<Partition> = self.document(&partitions.bucket, &partitions.partitions).await;
        assert_eq!(list.len() as u64, partitions.count);
        list
    }

    pub(crate) async fn split(&self, handlers: &Handlers, run: &RunInput) -> JobSplit {
        handlers.splitter.split(SplitRequest { run: run.clone() }).await.unwrap()
    }

    /// Splits and reduces.
    pub(crate) async fn reduce(&self, handlers: &Handlers, run: &RunInput) -> Result<(), LedgerError> {
        let split = handlers.splitter.split(SplitRequest { run: run.clone() }).await?;
        for range in self.chunks(&split).await {
            handlers.reducer.reduce(ReduceRequest { run: run.clone(), range }).await?;
        }
        Ok(())
    }

    /// Checks what was reduced, and combines.
    pub(crate) async fn combine(&self, handlers: &Handlers, run: &RunInput) -> Result<(), LedgerError> {
        let partitions = handlers.check_reduced(run).await?;
        for partition in self.list(&partitions).await {
            handlers.combiner.combine(PartitionRequest { run: run.clone(), partition }).await?;
        }
        Ok(())
    }

    /// The whole stateless half.
    pub(crate) async fn do_stateless(&self, handlers: &Handlers, run: &RunInput) -> Result<(), LedgerError> {
        self.reduce(handlers, run).await?;
        self.combine(handlers, run).await?;
        handlers.commit_stateless(run).await
    }

    /// Asks for a turn, and is granted it: its fence.
    pub(crate) async fn turn(&self, run: &RunInput, stage: Stage) -> u64 {
        let token = format!("{}-{stage}", run.job);
        self.workflows.wait(&token);
        self.tell(ManageAction::Ask { run: run.clone(), stage, token: token.clone() }).await;
        let answers = self.workflows.answers();
        let answer = answers.iter().find(|answer| answer.token == token).unwrap();
        match serde_json::from_str(&answer.output).unwrap() {
            TurnAnswer::Granted { fence, .. } => fence,
            other => panic!("{other:?}"),
        }
    }
}

impl Handlers {
    pub(crate) async fn check_reduced(&self, run: &RunInput) -> Result<Partitions, LedgerError> {
        match self.coordinator.handle(StageRequest::CheckReduced { run: run.clone() }).await? {
            StageReply::Partitions(partitions) => Ok(partitions),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn commit_stateless(&self, run: &RunInput) -> Result<(), LedgerError> {
        self.coordinator.handle(StageRequest::CommitStateless { run: run.clone() }).await.map(|_| ())
    }

    pub(crate) async fn begin(&self, run: &RunInput, stage: Stage, fence: u64) -> Result<Partitions, LedgerError> {
        match self.coordinator.handle(StageRequest::Begin { run: run.clone(), stage, fence }).await? {
            StageReply::Partitions(partitions) => Ok(partitions),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn commit(&self, run: &RunInput, stage: Stage, fence: u64) -> Result<(), LedgerError> {
        self.coordinator.handle(StageRequest::Commit { run: run.clone(), stage, fence }).await.map(|_| ())
    }
}
