//! The intake machine in one process: the real handlers, on in-memory ports.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use error_class::Classified;
use intake::{
    IntakeError,
    arrival::{self, FileArrival},
    chunk::{self, ChunkProcessor},
    feed::{Feed, Feeds},
    load::Load,
    manifest::{End, Publication, end_key},
    merge::{self, Merger},
    messages::{
        Arrival, BucketName, Chunk, ChunkRequest, CreatedObject, Failure, MergeRequest, Notice, Notified,
        NotifyRequest, ObjectCreated, RunRequest, Split,
    },
    notify::{self, Emailer},
    reference::References,
    runs::{RunRecord, Runs},
    split::{self, Splitter},
};
use storage::{
    Cache, Links, Location, Mailer, Objects, StorageError, Tables, Workflows, documents,
    memory::{
        Fault, Faulty, ManualClock, MemoryCache, MemoryLinks, MemoryMailer, MemoryObjects, MemoryTables,
        MemoryWorkflows, Operation,
    },
    objects::{Put, PutOptions, read_all},
};

pub(crate) const INPUT: &str = "input";
pub(crate) const WORK: &str = "work";
pub(crate) const DATA: &str = "data";
const FEEDS: &str = "feeds";
const RUNS: &str = "runs";
const REJECTS: &str = "rejects";
const REFERENCE: &str = "reference";

/// Everything that outlives a handler.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) objects: Arc<MemoryObjects>,
    pub(crate) tables: Arc<MemoryTables>,
    pub(crate) cache: Arc<MemoryCache>,
    pub(crate) mailer: Arc<MemoryMailer>,
    pub(crate) workflows: Arc<MemoryWorkflows>,
}

/// What the handlers reach the world by.
struct Ports {
    objects: Arc<dyn Objects>,
    tables: Arc<dyn Tables>,
    cache: Arc<dyn Cache>,
    links: Arc<dyn Links>,
    mailer: Arc<dyn Mailer>,
    workflows: Arc<dyn Workflows>,
}

/// The handlers, wired to a world, perhaps with faults before its ports.
pub(crate) struct Handlers {
    pub(crate) arrival: FileArrival,
    pub(crate) splitter: Splitter,
    pub(crate) processor: ChunkProcessor,
    pub(crate) merger: Merger,
    pub(crate) emailer: Emailer,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-03-31T12:00:00Z".parse().unwrap()));
        Self {
            objects: Arc::new(MemoryObjects::new(clock.clone())),
            tables: Arc::new(MemoryTables::default()),
            cache: Arc::new(MemoryCache::new(clock.clone())),
            mailer: Arc::new(MemoryMailer::default()),
            workflows: Arc::new(MemoryWorkflows::default()),
            clock,
        }
    }

    /// The handlers on ports that do as they are told.
    pub(crate) fn handlers(&self) -> Handlers {
        let links = Arc::new(MemoryLinks::new(self.clock.clone()));
        self.wire(Ports {
            objects: self.objects.clone(),
            tables: self.tables.clone(),
            cache: self.cache.clone(),
            links,
            mailer: self.mailer.clone(),
            workflows: self.workflows.clone(),
        })
    }

    /// The handlers on ports that fail as `plan` says.
    pub(crate) fn faulty_handlers(
        &self,
        plan: impl Fn(&Operation) -> Option<Fault> + Send + Sync + Clone + 'static,
    ) -> Handlers {
        let links = Arc::new(MemoryLinks::new(self.clock.clone()));
        self.wire(Ports {
            objects: Arc::new(Faulty::new(self.objects.clone(), plan.clone())),
            tables: Arc::new(Faulty::new(self.tables.clone(), plan.clone())),
            cache: Arc::new(Faulty::new(self.cache.clone(), plan.clone())),
            links: Arc::new(Faulty::new(links, plan.clone())),
            mailer: Arc::new(Faulty::new(self.mailer.clone(), plan.clone())),
            workflows: Arc::new(Faulty::new(self.workflows.clone(), plan)),
        })
    }

    fn wire(&self, ports: Ports) -> Handlers {
        let Ports { objects, tables, cache, links, mailer, workflows } = ports;
        let (work_bucket, data_bucket, runs_table) = (WORK.to_owned(), DATA.to_owned(), RUNS.to_owned());
        let arrival = arrival::Config {
            input_bucket: INPUT.to_owned(),
            machine: "intake".to_owned(),
            sweep_min_age: Duration::from_secs(600),
            runs_table: runs_table.clone(),
        };
        let split = split::Config {
            work_bucket: work_bucket.clone(),
            feeds_table: FEEDS.to_owned(),
            reference_table: REFERENCE.to_owned(),
            runs_table: runs_table.clone(),
            default_delimiter: b',',
            default_chunk_records: 1_000,
            mail_from: Some("tieout@example.com".to_owned()),
            mail_to: vec!["operator@example.com".to_owned()],
        };
        let chunk = chunk::Config {
            work_bucket: work_bucket.clone(),
            reference_table: REFERENCE.to_owned(),
            runs_table: runs_table.clone(),
        };
        let merge = merge::Config {
            work_bucket,
            data_bucket: data_bucket.clone(),
            runs_table: runs_table.clone(),
            rejects_table: REJECTS.to_owned(),
            rejects_kept: 5,
            rejects_kept_days: 30,
        };
        let notify = notify::Config {
            data_bucket,
            runs_table,
            mail_from: split.mail_from.clone(),
            mail_to: split.mail_to.clone(),
            link_lifetime: Duration::from_secs(3_600),
        };
        let clock = self.clock.clone();
        Handlers {
            arrival: FileArrival::new(objects.clone(), tables.clone(), workflows, clock.clone(), arrival),
            splitter: Splitter::new(objects.clone(), tables.clone(), clock.clone(), split),
            processor: ChunkProcessor::new(objects.clone(), tables.clone(), cache, clock.clone(), chunk),
            merger: Merger::new(objects.clone(), tables.clone(), clock.clone(), merge),
            emailer: Emailer::new(objects, links, tables, mailer, clock, notify),
        }
    }

    pub(crate) async fn put_feed(&self, descriptor: &str) {
        let feed = Feed::from_json(descriptor).unwrap();
        Feeds::new(self.tables.clone(), FEEDS).put("default", &feed).await.unwrap();
    }

    pub(crate) async fn load(&self, table: &str, key_column: &str, csv: &[u8]) {
        let references = References::new(self.tables.clone(), REFERENCE, self.cache.clone());
        let load = Load { tenant: "default", table, key_column };
        references.load(load, csv, &*self.clock, |_| {}).await.unwrap();
    }

    /// Uploads a file and lets file-arrival hear of it.
    pub(crate) async fn upload(&self, key: &str, bytes: impl Into<Vec<u8>>) -> RunRequest {
        let at = Location::new(INPUT, key);
        let Put::Written(_) = self.objects.put(&at, bytes.into().into(), PutOptions::default()).await.unwrap() else {
            panic!("an unconditional put is never refused");
        };
        let arrived = self.handlers().arrival.arrive(created(key, None)).await.unwrap();
        assert_eq!(arrived.started, 1, "{arrived:?}");
        let execution = self.workflows.executions().pop().unwrap();
        serde_json::from_str(&execution.input).unwrap()
    }

    pub(crate) fn runs(&self) -> Runs {
        Runs::new(self.tables.clone(), RUNS, self.clock.clone())
    }

    pub(crate) fn rejects(&self) -> intake::rejects::Rejects {
        intake::rejects::Rejects::new(self.tables.clone(), REJECTS)
    }

    pub(crate) async fn record(&self, request: &RunRequest) -> RunRecord {
        self.runs().get(&request.run).await.unwrap().unwrap()
    }

    pub(crate) async fn end(&self, request: &RunRequest) -> Option<End> {
        documents::read(&*self.objects, &Location::new(DATA, end_key(&request.run))).await.unwrap()
    }

    pub(crate) async fn publication(&self, request: &RunRequest) -> Option<Publication> {
        match self.end(request).await {
            Some(End::Published(publication)) => Some(*publication),
            Some(End::Failed(_)) | None => None,
        }
    }

    pub(crate) async fn text(&self, bucket: &str, key: &str) -> String {
        String::from_utf8(self.bytes(bucket, key).await.unwrap()).unwrap()
    }

    pub(crate) async fn bytes(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let at = Location::new(bucket, key);
        match self.objects.read(&at, None, None).await {
            Ok(stream) => Some(read_all(stream, &at, u64::MAX).await.unwrap().to_vec()),
            Err(StorageError::NotFound { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn ranges(&self, split: &Split) -> Vec<Chunk> {
        serde_json::from_str(&self.text(&split.bucket, &split.ranges).await).unwrap()
    }

    /// The output's text and the reject file's, of a run that was published.
    pub(crate) async fn files(&self, request: &RunRequest) -> (String, Option<String>) {
        let publication = self.publication(request).await.expect("published");
        let output = self.text(DATA, &publication.output.key).await;
        let rejects = match publication.rejects {
            Some(rejects) => Some(self.text(DATA, &rejects.key).await),
            None => None,
        };
        (output, rejects)
    }

    /// The machine: split, process each chunk, merge, notify; on an error, notify of that.
    pub(crate) async fn run(&self, request: &RunRequest) -> Result<RunRecord, (RunRecord, IntakeError)> {
        let handlers = self.handlers();
        let worked = handlers.work(self, request).await;
        let failure = worked.as_ref().err().map(failure);
        handlers.notify(request, failure).await.unwrap();
        let record = self.record(request).await;
        match worked {
            Ok(()) => Ok(record),
            Err(error) => Err((record, error)),
        }
    }
}

impl Handlers {
    pub(crate) async fn work(&self, world: &World, request: &RunRequest) -> Result<(), IntakeError> {
        let split = self.splitter.split(request.clone()).await?;
        // Last chunk first: no step may depend on the order.
        for chunk in world.ranges(&split).await.into_iter().rev() {
            self.processor.process(ChunkRequest { run: request.run.clone(), chunk }).await?;
        }
        self.merger.merge(MergeRequest { run: request.run.clone() }).await?;
        Ok(())
    }

    pub(crate) async fn notify(&self, request: &RunRequest, failure: Option<Failure>) -> Result<Notified, IntakeError> {
        self.emailer.notify(Notice::Run(NotifyRequest { run: request.clone(), failure })).await
    }
}

/// A failure as Step Functions hands a Lambda's error over.
pub(crate) fn failure(error: &IntakeError) -> Failure {
    let cause: BTreeMap<_, _> =
        [("errorType", error.class().to_string()), ("errorMessage", error_class::chain(error))].into();
    Failure { error: error.class().to_string(), cause: serde_json::to_string(&cause).unwrap() }
}

/// The event of an upload.
pub(crate) fn created(key: &str, version: Option<&str>) -> Arrival {
    Arrival::ObjectCreated(ObjectCreated {
        bucket: BucketName { name: INPUT.to_owned() },
        object: CreatedObject { key: key.to_owned(), version_id: version.map(str::to_owned) },
    })
}
