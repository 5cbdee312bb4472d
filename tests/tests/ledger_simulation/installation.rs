//! An installation in memory: all functions of the ledger as deployed, with ports that go wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
    time::Duration,
};

use ledger::{
    Definition, EVENT_ID_BYTES_MAX, Interval, KeepLines, Rules, apply_partition, artifacts::Artifacts, backlog,
    backlog::BacklogManager, combine_partition, coordinate, definitions::Definitions, index, index_worker, manage,
    manifest::LedgerId, operate::OperateError, policy::Terms, prefetch, reduce_range, registrar, split,
    watermark::Exception,
};
use serde_json::{Value, json};
use storage::{
    Cache, Clock, Objects, Tables,
    memory::{MemoryCache, MemoryObjects, MemoryTables},
};
use tests::{
    Project,
    dice::Dice,
    events::{
        Batch, definition, made,
        write::{Format, Packing},
    },
    interpreter::Machine,
};

use crate::{
    lambdas::{Cloud, Functions},
    ports::{Forgetful, port},
    reader::Reader,
    sabotage::{NoOverlays, Sabotage, StaleLines, WatchedTables},
    scheduler::{Budget, HastyClock, Scene, SceneClock},
    sender::{AGAIN, POISONS, Parcel, Shape, can_take},
};

pub(crate) const INPUT: &str = "input";
pub(crate) const WORK: &str = "work";
pub(crate) const DATA: &str = "data";
pub(crate) const LEDGERS: &str = "ledgers";
pub(crate) const ARTIFACTS: &str = "artifacts";
pub(crate) const LEDGER: &str = "orders";

/// The machines as they are deployed, by ARN.
static MACHINES: LazyLock<BTreeMap<&str, Machine>> = LazyLock::new(|| {
    let project = Project::read().unwrap();
    ["stateless", "stateful"].map(|name| (name, Machine::new(name, project.deployed(name).unwrap()))).into()
});

/// What is drawn from a seed.
pub(crate) struct Setting {
    pub(crate) parcels: Vec<Parcel>,
    /// The versions of the definition, one behind the other.
    pub(crate) definitions: Vec<Definition>,
    shape: Shape,
    budget: Budget,
    part_bytes_max: usize,
    event_range_bytes: u64,
    artifacts_per_worker: u64,
    work_seconds_max: u64,
}

impl Setting {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut dice = Dice(seed ^ 0x5DEE_CE66_D1CE_4E5B);
        let calm = dice.below(8) == 0;
        let mut draw = |most: u64| if calm { 0 } else { dice.below(most) };
        let budget = Budget {
            faults: draw(50),
            crashes: draw(10),
            delays: draw(14),
            mishaps: draw(8),
            aborts: draw(4),
            cache: draw(6),
            whims: draw(3),
            haste: draw(12),
        };
        // An artifact with so many and so long event lines that they go to side files.
        let wordy = dice.below(40) == 0;
        let plan = made::Plan {
            seed: dice.next_number(),
            events: 10 + dice.below(70),
            artifacts: 2 + dice.below(14),
            batches: 2 + 2 * dice.below(4),
            files: 1 + dice.below(2),
            hot_lines: if wordy { 900 } else { dice.below(8) },
            duplicates: dice.below(3),
            conflicts: dice.below(3),
            rejects: dice.below(3),
        };
        let shape = Shape {
            format: dice.pick(&[Format::Csv, Format::JsonLines]),
            packing: dice.pick(&[Packing::None, Packing::None, Packing::Gzip, Packing::Zstd]),
        };
        let mut parcels = parcels(&plan, calm, &mut dice);
        let mut definitions = ledger_definitions(shape, &mut dice);
        if wordy {
            lengthen(&mut parcels);
            definitions.iter_mut().for_each(|definition| definition.event_lines.keep = KeepLines::All);
        }
        let range_bytes = dice.pick(&[300, 2_000, 1 << 20]);
        Self {
            definitions,
            parcels,
            shape,
            budget,
            part_bytes_max: dice.pick(&[1, 2_000, 1 << 20]),
            event_range_bytes: if wordy { 1 << 20 } else { range_bytes },
            artifacts_per_worker: 1 + dice.below(6),
            work_seconds_max: dice.pick(&[1, 5, 600]),
        }
    }
}

fn parcels(plan: &made::Plan, calm: bool, dice: &mut Dice) -> Vec<Parcel> {
    let corrections = if dice.below(2) == 0 { vec![plan.correction()] } else { vec![] };
    let mut resent: Vec<Batch> = plan.batches().filter(|_| dice.below(12) == 0).collect();
    for batch in &mut resent {
        batch.name.push_str("-resent");
        batch.correction = Some("it was not received".to_owned());
        // Some of it has changed.
        let rows = batch.files.iter_mut().flatten().filter(|_| dice.below(6) == 0);
        rows.for_each(|row| row.event.country.push('?'));
    }
    let corrections = corrections.into_iter().chain(resent).filter(|batch| batch.records() > 0);
    let batches = plan.batches().chain(corrections);
    let mut parcels: Vec<Parcel> = batches
        .map(|mut batch| {
            // Some intervals are quiet.
            if batch.correction.is_none() && dice.below(8) == 0 {
                batch.files.clear();
            }
            let poison = dice.pick(&POISONS);
            let spoiled = !calm && dice.below(8) == 0 && can_take(&batch, poison);
            Parcel { batch, poison: spoiled.then_some(poison), replaces: None }
        })
        .collect();
    for last in (1..parcels.len()).rev() {
        parcels.swap(last, dice.below(last as u64 + 1) as usize);
    }
    parcels
}

/// Makes the event ids of the hot order as long as they may be.
fn lengthen(parcels: &mut [Parcel]) {
    let rows = parcels.iter_mut().flat_map(|parcel| parcel.batch.files.iter_mut().flatten());
    for event in rows.map(|row| &mut row.event).filter(|event| event.order == made::HOT) {
        event.id = format!("{:-<EVENT_ID_BYTES_MAX$}", event.id);
    }
}

/// A measure that some definitions begin to have under way: it counts the events that are taken from then on.
pub(crate) const LATER: &str = "later";

fn ledger_definitions(shape: Shape, dice: &mut Dice) -> Vec<Definition> {
    let mut document = ledger_definition(shape, dice);
    let mut versions = vec![document.clone()];
    for change in 0..dice.below(4) {
        document["title"] = format!("changed {change}").into();
        match dice.below(5) {
            0 => document["partitionBits"] = (document["partitionBits"].as_u64().unwrap() + 1).into(),
            1 => document["measures"][LATER] = json!({ "measure": "count" }),
            2 => document["onReject"] = dice.pick(&["continue", "refuse"]).into(),
            3 => document["onStuck"] = dice.pick(&["wait", "pass"]).into(),
            _ => document["policy"]["grouping"]["eventsBase"] = (1 + dice.below(50)).into(),
        }
        versions.push(document.clone());
    }
    versions.iter().map(|document| Definition::from_json(&document.to_string()).unwrap()).collect()
}

fn ledger_definition(shape: Shape, dice: &mut Dice) -> Value {
    let mut document = definition(LEDGER);
    document["events"]["fields"][1]["constraints"]["maxLength"] = EVENT_ID_BYTES_MAX.into();
    document["events"]["format"] = shape.format.name().into();
    document["events"]["compression"] = shape.packing.name().into();
    document["eventLines"]["keep"] = if dice.below(2) == 0 { json!({ "last": 5 }) } else { json!("all") };
    document["duplicates"] = json!({ "scope": dice.pick(&["batch", "artifact"]) });
    document["partitionBits"] = dice.below(3).into();
    document["onReject"] = dice.pick(&["continue", "continue", "continue", "refuse"]).into();
    document["onStuck"] = dice.pick(&["wait", "pass"]).into();
    document["policy"] = json!({
        "grouping": { "eventsBase": 20, "eventsMax": 60, "liveJobsMax": 5 },
        "retry": { "failuresMax": dice.pick(&[0, 1, 5]) },
    });
    document
}

/// Everything that is deployed, and everybody who uses it.
#[derive(Clone)]
pub(crate) struct Installation {
    pub(crate) scene: Scene,
    pub(crate) cloud: Cloud,
    pub(crate) objects: Arc<MemoryObjects>,
    pub(crate) tables: Arc<MemoryTables>,
    pub(crate) shape: Shape,
    /// As an operator's tool has them.
    definitions: Definitions,
    manager: BacklogManager,
}

/// The ports of one set of warm instances.
struct Ports {
    objects: Arc<dyn Objects>,
    overlays: Arc<dyn Objects>,
    tables: Arc<dyn Tables>,
    cache: Arc<dyn Cache>,
    clock: Arc<dyn Clock>,
    cloud: Cloud,
    scene: Scene,
}

impl Installation {
    pub(crate) fn new(seed: u64, setting: &Setting, sabotage: Option<Sabotage>) -> Self {
        let scene = Scene::new(seed, setting.budget);
        let objects = Arc::new(MemoryObjects::new(scene.clock()).with_piece_bytes(700));
        let tables = Arc::new(MemoryTables::default());
        let watched = Arc::new(WatchedTables::new(tables.clone(), sabotage, &scene));
        let cache = Arc::new(Forgetful {
            inner: MemoryCache::new(scene.clock()),
            scene: scene.clone(),
            stale: (sabotage == Some(Sabotage::CacheByArtifact)).then(StaleLines::default),
        });
        let cloud = Cloud::new(&scene, objects.clone(), &MACHINES);
        let overlays: Arc<dyn Objects> = match sabotage {
            Some(Sabotage::NoOverlay) => Arc::new(NoOverlays((*objects).clone())),
            _ => objects.clone(),
        };
        let ports = || Ports {
            objects: port(objects.clone(), &scene),
            overlays: port(overlays.clone(), &scene),
            tables: port(watched.clone(), &scene),
            cache: port(cache.clone(), &scene),
            clock: Arc::new(SceneClock(scene.clone())),
            cloud: cloud.clone(),
            scene: scene.clone(),
        };
        cloud.deploy([ports().functions(setting), ports().functions(setting)]);
        let operator = ports();
        let workflows = port(Arc::new(cloud.clone()), &scene);
        Self {
            definitions: Definitions::new(operator.tables.clone(), LEDGERS, Rules::default()),
            manager: BacklogManager::new(operator.tables, workflows, operator.clock, backlog_config()),
            scene,
            cloud,
            objects,
            tables,
            shape: setting.shape,
        }
    }

    pub(crate) fn id() -> LedgerId {
        LedgerId::new("default", LEDGER).unwrap()
    }

    pub(crate) fn book(&self) -> Reader {
        Reader(self.tables.clone())
    }

    /// All event lines of an artifact, as a reader has them.
    pub(crate) async fn event_lines(&self, key: &str) -> Vec<String> {
        let cache = Arc::new(MemoryCache::new(self.scene.clock()));
        let artifacts = Artifacts::new(self.objects.clone(), self.tables.clone(), cache, ARTIFACTS, DATA);
        let found = artifacts.get(&Self::id(), key).await.unwrap().unwrap();
        let (mut lines, mut all) = (artifacts.event_lines(&found).await.unwrap(), Vec::new());
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    /// Puts one version of the definition behind the other, now and then, each as often as it takes.
    pub(crate) async fn define(self, versions: Vec<Definition>) {
        for definition in versions {
            while self.definitions.put("default", &definition).await.is_err() {}
            self.scene.sleep(Duration::from_secs(self.scene.below(900))).await;
        }
    }

    /// Every few minutes: every minute, less some that are lost.
    pub(crate) async fn tick(self) {
        loop {
            self.scene.sleep(Duration::from_secs(60 * (1 + self.scene.below(10)))).await;
            let ticked = self.clone();
            self.scene.begin(false, async move {
                let _ = ticked.cloud.deliver("BacklogManager", json!({ "action": "tick" })).await;
            });
        }
    }

    /// An operator looks now and then: what is out is replaced, what is parked is tried again, and some batch is taken
    /// out for no reason.
    pub(crate) async fn operate(self, parcels: Vec<Parcel>) {
        let mut replaced = BTreeSet::new();
        loop {
            self.scene.sleep(Duration::from_secs(300 + self.scene.below(1500))).await;
            let Ok(terms) = self.definitions.terms(&Self::id()).await else { continue };
            let book = self.book().everything();
            for out in book.out() {
                if replaced.insert(out.to_owned()) {
                    self.scene.saw("a batch was out and replaced");
                    self.scene.begin(false, self.clone().send(parcel(&parcels, out).mended()));
                }
            }
            if let Some(job) = book.parked() {
                self.scene.saw("a job was parked");
                if !self.scene.once_in(3) {
                    let _ = self.manager.redrive(&terms, job).await;
                } else if self.manager.redrive_afresh(&terms, job).await.is_ok() {
                    self.scene.saw("a job was redriven afresh");
                }
            }
            if self.scene.once_in(4) {
                let Batch { source, from, to, .. } = &parcels[self.scene.below(parcels.len() as u64) as usize].batch;
                self.sign(&terms, source, Interval::new(*from, *to).unwrap()).await;
            }
            let registered: Vec<&str> = book.registered().collect();
            if !registered.is_empty() && self.scene.mischief(4, |budget| &mut budget.whims) {
                let batch = registered[self.scene.below(registered.len() as u64) as usize];
                let skipped = self.manager.skip(&terms, batch, "a whim").await;
                if let Err(OperateError::UnknownBatch { .. }) = &skipped {
                    panic!("{skipped:?}");
                }
            }
        }
    }
}

impl Installation {
    /// Signs an interval off, whether or not a batch covers it; what is signed stays to be seen.
    async fn sign(&self, terms: &Terms, source: &str, interval: Interval) {
        let (signed_by, reason) = ("the operator".to_owned(), "a whim".to_owned());
        let exception = Exception { interval, signed_by, reason, signed_at: self.scene.clock().now() };
        if self.manager.sign(terms, source, &exception).await.is_ok() {
            assert!(self.book().everything().has_signed(source, interval), "{source} {interval}");
            self.scene.saw("an interval was signed off");
        }
    }
}

/// What was sent under this name: one of the parcels, or what was sent in its place.
fn parcel(parcels: &[Parcel], name: &str) -> Parcel {
    match parcels.iter().find(|parcel| parcel.batch.name == name) {
        Some(parcel) => parcel.clone(),
        None => parcel(parcels, name.strip_suffix(AGAIN).unwrap()).mended(),
    }
}

fn backlog_config() -> backlog::Config {
    backlog::Config {
        stateless_machine: "stateless".to_owned(),
        stateful_machine: "stateful".to_owned(),
        ledgers_table: LEDGERS.to_owned(),
    }
}

impl Ports {
    /// What the mains of `functions/ledger/` do.
    fn functions(self, setting: &Setting) -> Functions {
        let Self { objects, overlays, tables, cache, clock, cloud, scene } = self;
        let workflows = port(Arc::new(cloud), &scene);
        let [work_bucket, data_bucket, ledgers_table, artifacts_table] =
            [WORK, DATA, LEDGERS, ARTIFACTS].map(str::to_owned);
        let places = coordinate::Config {
            work_bucket: work_bucket.clone(),
            data_bucket: data_bucket.clone(),
            ledgers_table: ledgers_table.clone(),
        };
        let mut all = Functions::default();
        let config = registrar::Config { data_bucket: data_bucket.clone(), backlog: backlog_config() };
        let worker =
            registrar::BatchRegistrar::new(objects.clone(), tables.clone(), workflows.clone(), clock.clone(), config);
        all.add("BatchRegistrar", worker, |worker, request| async move { worker.register(request).await });
        let worker =
            manage::Manager::new(tables.clone(), workflows, Arc::new(HastyClock(scene.clone())), backlog_config());
        all.add("BacklogManager", worker, |worker, request| async move { worker.handle(request).await });
        // Workers sleep for hours here, and go on.
        let config = split::Config {
            places: places.clone(),
            event_range_bytes: setting.event_range_bytes,
            work_seconds_max: u32::MAX.into(),
        };
        let worker = split::JobSplitter::new(objects.clone(), tables.clone(), clock.clone(), config);
        all.add("JobSplitter", worker, |worker, request| async move { worker.split(request).await });
        let worker = reduce_range::Reducer::new(objects.clone(), tables.clone(), clock.clone(), &places);
        all.add("Reducer", worker, |worker, request| async move { worker.reduce(request).await });
        let worker = combine_partition::Combiner::new(objects.clone(), tables.clone(), clock.clone(), &places);
        all.add("Combiner", worker, |worker, request| async move { worker.combine(request).await });
        let worker = coordinate::StageCoordinator::new(objects.clone(), tables.clone(), clock.clone(), &places);
        all.add("StageCoordinator", worker, |worker, request| async move { worker.handle(request).await });
        let config = prefetch::Config {
            work_bucket: work_bucket.clone(),
            data_bucket: data_bucket.clone(),
            ledgers_table: ledgers_table.clone(),
            artifacts_table: artifacts_table.clone(),
        };
        let worker = prefetch::Prefetcher::new(objects.clone(), tables.clone(), cache.clone(), clock.clone(), config);
        all.add("Prefetcher", worker, |worker, request| async move { worker.prefetch(request).await });
        let config = apply_partition::Config {
            work_bucket: work_bucket.clone(),
            data_bucket: data_bucket.clone(),
            ledgers_table: ledgers_table.clone(),
            part_bytes_max: setting.part_bytes_max,
        };
        let worker = apply_partition::StateEngine::new(overlays, tables.clone(), clock.clone(), config);
        all.add("StateEngine", worker, |worker, request| async move { worker.apply(request).await });
        let config = index::Config {
            work_bucket: work_bucket.clone(),
            data_bucket: data_bucket.clone(),
            ledgers_table: ledgers_table.clone(),
            artifacts_per_worker: setting.artifacts_per_worker,
            index_workers_max: 3,
        };
        let worker = index::IndexCoordinator::new(objects.clone(), tables.clone(), clock.clone(), config);
        all.add("IndexCoordinator", worker, |worker, request| async move { worker.handle(request).await });
        let config = index_worker::Config {
            work_bucket,
            data_bucket,
            ledgers_table,
            artifacts_table,
            cache_seconds: 3_600,
            work_seconds_max: setting.work_seconds_max,
        };
        let worker = index_worker::IndexWorker::new(objects, tables, cache, clock, config);
        all.add("IndexWorker", worker, |worker, request| async move { worker.index(request).await });
        all
    }
}
