//! A ledger whose jobs' stateless half is done by the pure functions, and whose stages commit as their coordinator has
//! them commit.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use ledger::{
    BatchSequence, Definition, EventRange, Interval, JobNumber, Ledger, LedgerError, Partition, ReducedSection, Rules,
    apply_partition::{self, StateEngine},
    artifacts::{Artifacts, Found},
    backlog::{self, BacklogManager},
    book::Book,
    combine,
    commits::{AppliedPartition, ApplyManifest, CombinedPartition, PrefetchedPartition, Written},
    definitions::Definitions,
    index::{self, IndexCoordinator},
    index_worker::{self, IndexWorker},
    layout::{combined_key, job_folder, partition_key},
    manage::Manager,
    manifest::LedgerId,
    messages::{
        IndexPlan, IndexReply, IndexRequest, IndexTask, IndexWork, ManageAction, ManageRequest, PartitionRequest,
        RunInput,
    },
    policy::Terms,
    prefetch::{self, Prefetcher},
    reduce,
    register::Registrar,
    stage::{Stage, TurnAnswer},
    steps::Figures,
    turns::StageResult,
};
use money::ControlTotals;
use records::Header;
use serde_json::{Value, json};
use storage::{
    Cache, Location, Objects, Tables, documents,
    memory::{ManualClock, MemoryCache, MemoryObjects, MemoryTables, MemoryWorkflows},
    objects::{PutOptions, read_all},
};

/// What a handler is made of; a test puts faults before any of them.
#[derive(Clone)]
pub(crate) struct Ports {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) tables: Arc<dyn Tables>,
    pub(crate) cache: Arc<dyn Cache>,
}

pub(crate) struct World {
    pub(crate) objects: Arc<MemoryObjects>,
    pub(crate) tables: Arc<MemoryTables>,
    pub(crate) cache: Arc<MemoryCache>,
    pub(crate) clock: Arc<ManualClock>,
    workflows: Arc<MemoryWorkflows>,
    manager: Manager,
    pub(crate) backlog: BacklogManager,
    registrar: Registrar,
    definitions: Definitions,
    pub(crate) id: LedgerId,
    tokens: AtomicU64,
    pub(crate) part_bytes_max: usize,
    pub(crate) artifacts_per_worker: u64,
    pub(crate) work_seconds_max: u64,
}

pub(crate) const HEADER: &str = "order,id,at,amount,currency\n";

pub(crate) fn definition(extra: Value) -> Definition {
    let mut document = json!({
        "name": "orders",
        "sources": { "shop": "2024-05-01T00:00:00Z" },
        "events": { "format": "csv", "fields": [
            { "name": "order" }, { "name": "id" }, { "name": "at", "type": "datetime" },
            { "name": "amount", "type": "number" }, { "name": "currency" },
        ] },
        "artifactKey": ["order"],
        "eventId": "id",
        "eventTime": "at",
        "amounts": [{ "column": "amount", "currencyColumn": "currency" }],
        "measures": { "net": { "measure": "sum", "column": "amount" }, "count": { "measure": "count" } },
        "eventLines": { "keep": "all" },
        "partitionBits": 1,
        "policy": { "grouping": { "batchesMax": 1 } },
    });
    for (name, value) in extra.as_object().unwrap() {
        document[name] = value.clone();
    }
    Definition::from_json(&document.to_string()).unwrap()
}

fn day(day: u64) -> Interval {
    let at = |day: u64| format!("2024-05-{day:02}T00:00:00Z").parse().unwrap();
    Interval::new(at(day), at(day + 1)).unwrap()
}

/// An event of a day: `id` is unique among all.
pub(crate) fn event(day: u64, key: &str, id: u64, amount: &str) -> String {
    format!("{key},e{id},2024-05-{day:02}T{:02}:{:02}:00Z,{amount},USD\n", id / 60 % 24, id % 60)
}

impl World {
    pub(crate) async fn new(extra: Value) -> Self {
        let clock = Arc::new(ManualClock::default());
        let objects = Arc::new(MemoryObjects::new(clock.clone()));
        let tables = Arc::new(MemoryTables::default());
        let workflows = Arc::new(MemoryWorkflows::default());
        let config = backlog::Config {
            stateless_machine: "stateless".to_owned(),
            stateful_machine: "stateful".to_owned(),
            ledgers_table: "ledgers".to_owned(),
        };
        let definitions = Definitions::new(tables.clone(), "ledgers", Rules::built_in());
        definitions.put("acme", &definition(extra)).await.unwrap();
        Self {
            manager: Manager::new(tables.clone(), workflows.clone(), clock.clone(), config.clone()),
            backlog: BacklogManager::new(tables.clone(), workflows.clone(), clock.clone(), config),
            registrar: Registrar::new(objects.clone(), tables.clone(), clock.clone(), "ledgers", "data"),
            cache: Arc::new(MemoryCache::new(clock.clone())),
            definitions,
            objects,
            tables,
            clock,
            workflows,
            id: LedgerId::new("acme", "orders").unwrap(),
            tokens: AtomicU64::new(0),
            part_bytes_max: 1 << 20,
            artifacts_per_worker: 1_000,
            work_seconds_max: 600,
        }
    }

    async fn tell(&self, action: ManageAction) {
        self.manager.handle(ManageRequest::Told(action)).await.unwrap();
    }

    pub(crate) async fn redefine(&self, extra: Value) {
        self.definitions.put("acme", &definition(extra)).await.unwrap();
    }

    pub(crate) async fn terms(&self) -> Terms {
        self.definitions.terms(&self.id).await.unwrap()
    }

    pub(crate) fn ports(&self) -> Ports {
        Ports { objects: self.objects.clone(), tables: self.tables.clone(), cache: self.cache.clone() }
    }

    pub(crate) fn book(&self) -> Book {
        Book::new(self.tables.clone(), "ledgers")
    }

    /// The job of that number, as the input of its current attempt.
    pub(crate) async fn run(&self, job: u64) -> RunInput {
        let job = self.book().job(&self.id, JobNumber::new(job)).await.unwrap().unwrap();
        RunInput::of(&self.id, &job)
    }

    /// Sends the batch of a day, whose records are these: a job of that number, through its stateless half.
    pub(crate) async fn send(&self, number: u64, records: &str) -> RunInput {
        self.send_as(number, day(number), json!({}), records).await
    }

    /// Sends late events of the first day as the batch of that number.
    pub(crate) async fn correct(&self, number: u64, records: &str) -> RunInput {
        self.send_as(number, day(1), json!({ "correction": "late" }), records).await
    }

    async fn send_as(&self, number: u64, interval: Interval, more: Value, records: &str) -> RunInput {
        let folder = format!("acme/batches/orders/day-{number}");
        let count = records.lines().count();
        let mut manifest = json!({
            "source": "shop",
            "interval": interval,
            "objects": [{ "key": "events.csv", "records": count }],
            "totals": { "records": count },
        });
        manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        for (file, body) in [("events.csv", format!("{HEADER}{records}")), ("manifest.json", manifest.to_string())] {
            let at = Location::new("input", format!("{folder}/{file}"));
            self.objects.put(&at, Bytes::from(body), PutOptions::default()).await.unwrap();
        }
        let at = Location::new("input", format!("{folder}/manifest.json"));
        let terms = self.terms().await;
        self.registrar.register(&at, None, &terms).await.unwrap();
        self.tell(ManageAction::Tick {}).await;
        let run = self.run(number).await;
        let totals = self.combine(&run, interval, records).await;
        let turns = self.backlog.turns();
        turns.begin_stateless(&run.who(), &terms.policy).await.unwrap();
        let result = StageResult {
            manifest: "stateless.json".to_owned(),
            expected: totals.clone(),
            found: totals,
            figures: Figures::new(),
        };
        turns.commit_stateless(&run.who(), &result, &terms.policy).await.unwrap();
        self.run(number).await
    }

    async fn combine(&self, run: &RunInput, interval: Interval, records: &str) -> ControlTotals {
        let ledger: Arc<Ledger> = self.definitions.ledger(&self.id, run.definition).await.unwrap();
        let header = Header::parse(HEADER.as_bytes(), ledger.format()).unwrap();
        let range = EventRange {
            bytes: records.as_bytes(),
            offset: HEADER.len() as u64,
            first_row: 1,
            batch: BatchSequence::new(run.job.get()),
            object: 0,
            interval,
        };
        let reduced = reduce(&ledger, Some(&header), &range, run.partition_bits).unwrap();
        assert!(reduced.rejected_by_rule.is_empty(), "{:?}", reduced.rejected_by_rule);
        for section in &reduced.sections {
            let partition = Partition::new(section.number);
            let bytes = section.range();
            let bytes = &reduced.file[bytes.start as usize..bytes.end as usize];
            let made = combine(&ledger, run.partition_bits, partition, &[ReducedSection { section: *section, bytes }])
                .unwrap();
            let key = format!("{}/combine/{}/1.artifacts", job_folder(run), partition.padded());
            let file = Written { key: key.clone(), bytes: made.file.len() as u64 };
            let at = Location::new("work", key);
            self.objects.put(&at, Bytes::from(made.file), PutOptions::default()).await.unwrap();
            let combined = CombinedPartition {
                partition,
                file,
                sections: made.sections,
                artifacts: made.artifacts,
                totals_in: made.totals_in,
                totals_out: made.totals_out,
                duplicates: made.duplicates,
                conflicts: made.conflicts,
                rejects: None,
            };
            let at = Location::new("work", combined_key(run, partition));
            documents::write(&*self.objects, &at, &combined).await.unwrap();
        }
        reduced.totals_out
    }

    /// The partitions that hold events of the job.
    pub(crate) async fn partitions(&self, run: &RunInput) -> Vec<Partition> {
        let mut partitions = Vec::new();
        for partition in run.partition_bits.iter() {
            let at = Location::new("work", combined_key(run, partition));
            if self.objects.head(&at, None).await.is_ok() {
                partitions.push(partition);
            }
        }
        partitions
    }

    /// Asks for the turn, is granted it and takes it up: the fence.
    pub(crate) async fn turn(&self, run: &RunInput, stage: Stage) -> u64 {
        let fence = self.granted(run, stage).await;
        self.backlog.turns().claim(&run.who(), stage, fence, &self.terms().await.policy).await.unwrap();
        fence
    }

    pub(crate) async fn granted(&self, run: &RunInput, stage: Stage) -> u64 {
        let token = format!("token-{}", self.tokens.fetch_add(1, Ordering::Relaxed));
        self.workflows.wait(&token);
        self.tell(ManageAction::Ask { run: run.clone(), stage, token: token.clone() }).await;
        let answer = self.workflows.answers().into_iter().find(|answer| answer.token == token).unwrap();
        match serde_json::from_str(&answer.output).unwrap() {
            TurnAnswer::Granted { fence, .. } => fence,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn commit(&self, run: &RunInput, stage: Stage, fence: u64, manifest: &str) {
        let totals = ControlTotals::default();
        let result = StageResult {
            manifest: manifest.to_owned(),
            expected: totals.clone(),
            found: totals,
            figures: Figures::new(),
        };
        let terms = self.terms().await;
        self.backlog.turns().commit(&run.who(), stage, fence, &result, &terms.policy).await.unwrap();
    }

    /// Prefetch, from the turn to the commit.
    pub(crate) async fn prefetch(&self, run: &RunInput) -> Vec<PrefetchedPartition> {
        let fence = self.turn(run, Stage::Prefetch).await;
        let prefetcher = self.prefetcher(self.ports());
        let mut partitions = Vec::new();
        for partition in self.partitions(run).await {
            prefetcher.prefetch(PartitionRequest { run: run.clone(), partition }).await.unwrap();
            partitions.push(self.prefetched(run, partition).await);
        }
        self.commit(run, Stage::Prefetch, fence, "prefetched.json").await;
        partitions
    }

    /// Apply, from the turn to the commit.
    pub(crate) async fn apply(&self, run: &RunInput) -> ApplyManifest {
        let fence = self.turn(run, Stage::Apply).await;
        let engine = self.engine(self.ports());
        for partition in self.partitions(run).await {
            engine.apply(PartitionRequest { run: run.clone(), partition }).await.unwrap();
        }
        self.commit_apply(run, fence).await
    }

    pub(crate) async fn commit_apply(&self, run: &RunInput, fence: u64) -> ApplyManifest {
        let mut partitions = Vec::new();
        for partition in self.partitions(run).await {
            partitions.push(self.applied(run, partition).await);
        }
        let manifest = ApplyManifest { job: run.job, partition_bits: run.partition_bits, partitions };
        let key = format!("{}/apply-1.json", job_folder(run));
        documents::write(&*self.objects, &Location::new("data", &key), &manifest).await.unwrap();
        self.commit(run, Stage::Apply, fence, &key).await;
        manifest
    }

    /// Index, from the turn to the commit.
    pub(crate) async fn index(&self, run: &RunInput) {
        let fence = self.granted(run, Stage::Index).await;
        let plan = self.plan(run, fence).await;
        for task in self.tasks(&plan).await {
            self.worker(self.ports()).index(IndexWork { run: run.clone(), task }).await.unwrap();
        }
        assert_eq!(self.plan(run, fence).await.count, 0);
        self.commit_index(run, fence).await.unwrap();
    }

    pub(crate) async fn plan(&self, run: &RunInput, fence: u64) -> IndexPlan {
        match self.coordinator().handle(IndexRequest::Plan { run: run.clone(), fence }).await.unwrap() {
            IndexReply::Plan(plan) => plan,
            IndexReply::Done(_) => panic!("a plan was asked for"),
        }
    }

    pub(crate) async fn commit_index(&self, run: &RunInput, fence: u64) -> Result<IndexReply, LedgerError> {
        self.coordinator().handle(IndexRequest::Commit { run: run.clone(), fence }).await
    }

    pub(crate) async fn tasks(&self, plan: &IndexPlan) -> Vec<IndexTask> {
        let tasks: Vec<IndexTask> =
            documents::read(&*self.objects, &Location::new(&plan.bucket, &plan.tasks)).await.unwrap().unwrap();
        assert_eq!(tasks.len() as u64, plan.count);
        tasks
    }

    /// Everything that a job's stateful half does.
    pub(crate) async fn through(&self, run: &RunInput) {
        self.prefetch(run).await;
        self.apply(run).await;
        self.index(run).await;
    }

    pub(crate) fn prefetcher(&self, ports: Ports) -> Prefetcher {
        let config = prefetch::Config {
            work_bucket: "work".to_owned(),
            data_bucket: "data".to_owned(),
            ledgers_table: "ledgers".to_owned(),
            artifacts_table: "artifacts".to_owned(),
        };
        Prefetcher::new(ports.objects, ports.tables, ports.cache, self.clock.clone(), config)
    }

    pub(crate) fn engine(&self, ports: Ports) -> StateEngine {
        let config = apply_partition::Config {
            work_bucket: "work".to_owned(),
            data_bucket: "data".to_owned(),
            ledgers_table: "ledgers".to_owned(),
            part_bytes_max: self.part_bytes_max,
        };
        StateEngine::new(ports.objects, ports.tables, self.clock.clone(), config)
    }

    pub(crate) fn coordinator(&self) -> IndexCoordinator {
        let config = index::Config {
            work_bucket: "work".to_owned(),
            data_bucket: "data".to_owned(),
            ledgers_table: "ledgers".to_owned(),
            artifacts_per_worker: self.artifacts_per_worker,
            index_workers_max: 4,
        };
        IndexCoordinator::new(self.objects.clone(), self.tables.clone(), self.clock.clone(), config)
    }

    pub(crate) fn worker(&self, ports: Ports) -> IndexWorker {
        let config = index_worker::Config {
            work_bucket: "work".to_owned(),
            data_bucket: "data".to_owned(),
            ledgers_table: "ledgers".to_owned(),
            artifacts_table: "artifacts".to_owned(),
            cache_seconds: 3_600,
            work_seconds_max: self.work_seconds_max,
        };
        IndexWorker::new(ports.objects, ports.tables, ports.cache, self.clock.clone(), config)
    }

    pub(crate) fn artifacts(&self, ports: Ports) -> Artifacts {
        Artifacts::new(ports.objects, ports.tables, ports.cache, "artifacts", "data")
    }

    pub(crate) async fn get(&self, key: &str) -> Option<Found> {
        self.artifacts(self.ports()).get(&self.id, key).await.unwrap()
    }

    /// An artifact's sequence, its count of events, and its net sum.
    pub(crate) async fn summary(&self, key: &str) -> Option<(u64, u64, String)> {
        let found = self.get(key).await?;
        let line: Value = serde_json::from_slice(&found.line).unwrap();
        assert_eq!(line["events"], line["measures"]["count"]);
        let net = line["measures"]["net"][0]["amount"].as_str().unwrap().to_owned();
        Some((line["applied_through"].as_u64().unwrap(), line["events"].as_u64().unwrap(), net))
    }

    pub(crate) async fn prefetched(&self, run: &RunInput, partition: Partition) -> PrefetchedPartition {
        self.document("work", partition_key(run, Stage::Prefetch, partition)).await
    }

    pub(crate) async fn applied(&self, run: &RunInput, partition: Partition) -> AppliedPartition {
        self.document("data", partition_key(run, Stage::Apply, partition)).await
    }

    async fn document<T: serde::de::DeserializeOwned>(&self, bucket: &str, key: String) -> T {
        documents::read(&*self.objects, &Location::new(bucket, key)).await.unwrap().unwrap()
    }

    pub(crate) async fn bytes(&self, bucket: &str, key: &str) -> Bytes {
        let at = Location::new(bucket, key);
        read_all(self.objects.read(&at, None, None).await.unwrap(), &at, 1 << 30).await.unwrap()
    }

    /// The index as it stands.
    pub(crate) fn index_items(&self) -> Vec<storage::Item> {
        self.tables.items("artifacts")
    }

    /// What the cursors of a job cover, together.
    pub(crate) fn confirmed(&self, job: u64) -> u64 {
        let prefix = format!("cursor#{job:012}#");
        let rows = self.tables.items("ledgers");
        let rows = rows.iter().filter(|row| row["sk"].as_str().is_some_and(|sk| sk.starts_with(&prefix)));
        rows.map(|row| row["confirmed"].as_u64().unwrap()).sum()
    }
}

#[expect(dead_code, reason = "says that handlers can be shared between threads, as their functions need")]
fn are_shared() {
    fn is_shared<T: Send + Sync>() {}
    fn is_sent<T: Send>(_: T) {}
    is_shared::<(Prefetcher, StateEngine, IndexCoordinator, IndexWorker, Artifacts)>();
    let _ = |prefetcher: &'static Prefetcher,
             engine: &'static StateEngine,
             worker: &'static IndexWorker,
             request: PartitionRequest,
             work: IndexWork| {
        is_sent(prefetcher.prefetch(request.clone()));
        is_sent(engine.apply(request));
        is_sent(worker.index(work));
    };
}
