//! A batch on its way through the ledger: the functions, called as the state machines call them.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use futures::{StreamExt, stream};
use ledger::{
    LedgerError, Partition,
    apply_partition::{self, StateEngine},
    backlog,
    combine_partition::Combiner,
    commits::{AppliedPartition, PartWritten},
    coordinate::{self, StageCoordinator},
    index::{self, IndexCoordinator},
    index_worker::{self, IndexWorker},
    layout::partition_key,
    manage::Manager,
    messages::{
        BatchArrival, BucketName, CreatedObject, Done, EventChunk, IndexReply, IndexRequest, IndexTask, IndexWork,
        JobSplit, ManageAction, ManageRequest, ObjectCreated, PartitionRequest, Partitions, ReduceRequest, RunInput,
        SplitRequest, StageReply, StageRequest,
    },
    prefetch::{self, Prefetcher},
    reduce_range::Reducer,
    registrar::{self, BatchRegistrar},
    split::{self, JobSplitter},
    stage::{Stage, TurnAnswer},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use storage::{Clock, Location, clock::System, documents};
use tokio::runtime::Handle;

use crate::{
    WORKERS,
    meter::Meter,
    world::{ColdCache, DATA, INPUT, LEDGERS, WORK, World},
};

const ARTIFACTS: &str = "artifacts";
const STATELESS: &str = "stateless";
const STATEFUL: &str = "stateful";

/// How many bytes of events a reducer takes.
const EVENT_RANGE_BYTES: u64 = 24 << 20;
const PART_BYTES_MAX: usize = 64 << 20;
const ARTIFACTS_PER_WORKER: u64 = 50_000;

/// All functions of the ledger, on the ports of a world.
struct Functions {
    world: World,
    registrar: BatchRegistrar,
    manager: Manager,
    splitter: JobSplitter,
    reducer: Reducer,
    combiner: Combiner,
    coordinator: StageCoordinator,
    prefetcher: Prefetcher,
    engine: StateEngine,
    index_coordinator: IndexCoordinator,
    index_worker: IndexWorker,
}

/// Takes a batch from its arrival to its last index entry.
pub(crate) async fn run(world: World, batch: u64) -> Value {
    let functions = Functions::new(world);
    let mut meter = Meter::default();
    let run = meter.measure("register", functions.register(batch)).await;
    functions.stateless(&run, &mut meter).await;
    let run = functions.advance(&run, STATEFUL).await;
    let applied = functions.stateful(&run, &mut meter).await;
    let artifacts: u64 = applied.iter().map(AppliedPartition::artifacts).sum();
    let file = |part: &PartWritten| functions.world.objects.file(&Location::new(DATA, &part.lines.key), None).unwrap();
    let part_files: Vec<PathBuf> = applied.iter().flat_map(|applied| &applied.parts).map(file).collect();
    json!({ "stages": meter.0, "artifacts": artifacts, "part_files": part_files })
}

impl Functions {
    fn new(world: World) -> Self {
        let (objects, tables, workflows) = (world.objects.clone(), world.tables.clone(), world.workflows.clone());
        let (clock, cache): (Arc<dyn Clock>, _) = (Arc::new(System), Arc::new(ColdCache));
        let (work_bucket, data_bucket, ledgers_table) = (WORK.to_owned(), DATA.to_owned(), LEDGERS.to_owned());
        let artifacts_table = ARTIFACTS.to_owned();
        let places = coordinate::Config {
            work_bucket: work_bucket.clone(),
            data_bucket: data_bucket.clone(),
            ledgers_table: ledgers_table.clone(),
        };
        let backlog = backlog::Config {
            stateless_machine: STATELESS.to_owned(),
            stateful_machine: STATEFUL.to_owned(),
            ledgers_table: ledgers_table.clone(),
        };
        let registrar = registrar::Config { data_bucket: data_bucket.clone(), backlog: backlog.clone() };
        let split =
            split::Config { places: places.clone(), event_range_bytes: EVENT_RANGE_BYTES, work_seconds_max: 840 };
        let prefetch = prefetch::Config {
            work_bucket: work_bucket.clone(),
            data_bucket: data_bucket.clone(),
            ledgers_table: ledgers_table.clone(),
            artifacts_table: artifacts_table.clone(),
        };
        let apply = apply_partition::Config {
            work_bucket: work_bucket.clone(),
            data_bucket: data_bucket.clone(),
            ledgers_table: ledgers_table.clone(),
            part_bytes_max: PART_BYTES_MAX,
        };
        let index = index::Config {
            work_bucket: work_bucket.clone(),
            data_bucket: data_bucket.clone(),
            ledgers_table: ledgers_table.clone(),
            artifacts_per_worker: ARTIFACTS_PER_WORKER,
            index_workers_max: 1_000,
        };
        let index_worker = index_worker::Config {
            work_bucket,
            data_bucket,
            ledgers_table,
            artifacts_table,
            cache_seconds: 0,
            work_seconds_max: 840,
        };
        Self {
            registrar: BatchRegistrar::new(
                objects.clone(),
                tables.clone(),
                workflows.clone(),
                clock.clone(),
                registrar,
            ),
            manager: Manager::new(tables.clone(), workflows, clock.clone(), backlog),
            splitter: JobSplitter::new(objects.clone(), tables.clone(), clock.clone(), split),
            reducer: Reducer::new(objects.clone(), tables.clone(), clock.clone(), &places),
            combiner: Combiner::new(objects.clone(), tables.clone(), clock.clone(), &places),
            coordinator: StageCoordinator::new(objects.clone(), tables.clone(), clock.clone(), &places),
            prefetcher: Prefetcher::new(objects.clone(), tables.clone(), cache.clone(), clock.clone(), prefetch),
            engine: StateEngine::new(objects.clone(), tables.clone(), clock.clone(), apply),
            index_coordinator: IndexCoordinator::new(objects.clone(), tables.clone(), clock.clone(), index),
            index_worker: IndexWorker::new(objects, tables, cache, clock, index_worker),
            world,
        }
    }

    /// The batch's manifest arrives; the execution that its job starts.
    async fn register(&self, batch: u64) -> RunInput {
        let key = self.world.manifest_key(batch).key();
        let arrival = BatchArrival::ObjectCreated(ObjectCreated {
            bucket: BucketName { name: INPUT.to_owned() },
            object: CreatedObject { key, version_id: None },
        });
        self.registrar.register(arrival).await.unwrap();
        self.started(STATELESS)
    }

    /// Says that a half of the job has ended; the execution that the next one starts.
    async fn advance(&self, run: &RunInput, machine: &str) -> RunInput {
        self.manage(ManageAction::Finished { run: run.clone(), failure: None }).await;
        self.started(machine)
    }

    async fn stateless(&self, run: &RunInput, meter: &mut Meter) {
        let split = meter.measure("split", self.splitter.split(SplitRequest { run: run.clone() })).await.unwrap();
        let reduced = meter.measure("reduce", self.reduce(run, &split)).await;
        meter.measure("combine", self.combine(run, &reduced)).await;
    }

    async fn reduce(&self, run: &RunInput, split: &JobSplit) -> Partitions {
        let ranges: Vec<EventChunk> = self.read(&split.bucket, &split.ranges).await;
        map(ranges, |range| self.reducer.reduce(ReduceRequest { run: run.clone(), range }));
        self.stage(StageRequest::CheckReduced { run: run.clone() }).await
    }

    async fn combine(&self, run: &RunInput, partitions: &Partitions) {
        map(self.requests(run, partitions).await, |request| self.combiner.combine(request));
        self.coordinator.handle(StageRequest::CommitStateless { run: run.clone() }).await.unwrap();
    }

    /// Returns what was applied.
    async fn stateful(&self, run: &RunInput, meter: &mut Meter) -> Vec<AppliedPartition> {
        meter.measure("prefetch", self.prefetch(run)).await;
        let applied = meter.measure("apply", self.apply(run)).await;
        meter.measure("index", self.index(run)).await;
        applied
    }

    async fn prefetch(&self, run: &RunInput) {
        let (fence, partitions) = self.begin(run, Stage::Prefetch).await;
        map(self.requests(run, &partitions).await, |request| self.prefetcher.prefetch(request));
        self.commit(run, Stage::Prefetch, fence).await;
    }

    async fn apply(&self, run: &RunInput) -> Vec<AppliedPartition> {
        let (fence, partitions) = self.begin(run, Stage::Apply).await;
        let requests = self.requests(run, &partitions).await;
        let commits = requests.iter().map(|of| partition_key(run, Stage::Apply, of.partition));
        let commits: Vec<String> = commits.collect();
        map(requests, |request| self.engine.apply(request));
        self.commit(run, Stage::Apply, fence).await;
        stream::iter(&commits).then(|commit| self.read(DATA, commit)).collect().await
    }

    async fn index(&self, run: &RunInput) {
        let fence = self.turn(run, Stage::Index).await;
        let plan = || IndexRequest::Plan { run: run.clone(), fence };
        while let IndexReply::Plan(plan) = self.index_coordinator.handle(plan()).await.unwrap() {
            if plan.count == 0 {
                break;
            }
            let tasks: Vec<IndexTask> = self.read(&plan.bucket, &plan.tasks).await;
            map(tasks, |task| self.index_worker.index(IndexWork { run: run.clone(), task }));
        }
        self.index_coordinator.handle(IndexRequest::Commit { run: run.clone(), fence }).await.unwrap();
        // The tables keep the latest writes in memory: to write them out is part of the work here.
        self.world.tables.flush().unwrap();
    }

    /// Asks for a turn, and takes it up.
    async fn begin(&self, run: &RunInput, stage: Stage) -> (u64, Partitions) {
        let fence = self.turn(run, stage).await;
        (fence, self.stage(StageRequest::Begin { run: run.clone(), stage, fence }).await)
    }

    async fn commit(&self, run: &RunInput, stage: Stage, fence: u64) {
        self.coordinator.handle(StageRequest::Commit { run: run.clone(), stage, fence }).await.unwrap();
    }

    /// Asks for a turn: nobody else is there, so it is granted. Its fence.
    async fn turn(&self, run: &RunInput, stage: Stage) -> u64 {
        let token = format!("{stage}");
        self.world.workflows.wait(&token);
        self.manage(ManageAction::Ask { run: run.clone(), stage, token: token.clone() }).await;
        let answers = self.world.workflows.answers();
        let answer = &answers.iter().find(|answer| answer.token == token).unwrap().output;
        match serde_json::from_str(answer).unwrap() {
            TurnAnswer::Granted { fence, .. } => fence,
            other => panic!("no turn: {other:?}"),
        }
    }

    async fn manage(&self, action: ManageAction) {
        self.manager.handle(ManageRequest::Told(action)).await.unwrap();
    }

    async fn stage(&self, request: StageRequest) -> Partitions {
        match self.coordinator.handle(request).await.unwrap() {
            StageReply::Partitions(partitions) => partitions,
            other => panic!("{other:?}"),
        }
    }

    async fn requests(&self, run: &RunInput, partitions: &Partitions) -> Vec<PartitionRequest> {
        let numbers: Vec<Partition> = self.read(&partitions.bucket, &partitions.partitions).await;
        numbers.into_iter().map(|partition| PartitionRequest { run: run.clone(), partition }).collect()
    }

    async fn read<T: DeserializeOwned>(&self, bucket: &str, key: &str) -> T {
        documents::read(&*self.world.objects, &Location::new(bucket, key)).await.unwrap().unwrap()
    }

    /// The input of the execution of a machine.
    fn started(&self, machine: &str) -> RunInput {
        let executions = self.world.workflows.executions();
        let execution = executions.iter().find(|execution| execution.machine == machine).unwrap();
        serde_json::from_str(&execution.input).unwrap()
    }
}

/// Does the work of a Distributed Map: each item by itself, on as many threads as there are workers.
fn map<I: Send, F: Future<Output = Result<Done, LedgerError>>>(items: Vec<I>, work: impl Fn(I) -> F + Sync) {
    let (items, runtime) = (Mutex::new(items.into_iter()), Handle::current());
    let next = || items.lock().unwrap().next();
    let worker = || {
        while let Some(item) = next() {
            runtime.block_on(work(item)).unwrap();
        }
    };
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(worker);
        }
    });
}
