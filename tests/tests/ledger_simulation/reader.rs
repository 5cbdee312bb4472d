//! The book as it stands, read past all ports, and what must hold of it at any time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::FutureExt;
use jiff::Timestamp;
use ledger::{
    BatchSequence, Interval, JobNumber,
    book::{BatchRecord, BatchStatus, CoverageRecord, NumberedBatch, SourceRecord},
    head::Head,
    intervals::IntervalSet,
    job::{Job, JobStatus},
    stage::{Stage, Turn},
    watermark::{Exception, SourceIntervals, completeness},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use storage::{Item, Key, Tables, memory::MemoryTables};

use crate::{
    installation::{Installation, LEDGERS},
    scheduler::Scene,
    sender::opens_at,
};

/// Reads the table without faults, at once.
pub(crate) struct Reader(pub(crate) Arc<MemoryTables>);

/// What the book says of batches and jobs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Everything {
    pub(crate) head: Head,
    pub(crate) batches: Vec<BatchRecord>,
    pub(crate) numbered: Vec<NumberedBatch>,
    pub(crate) jobs: Vec<Job>,
    sources: BTreeMap<String, SourceRecord>,
    coverage: BTreeMap<String, CoverageRecord>,
    signed: BTreeMap<String, Vec<Exception>>,
    pub(crate) faults: Vec<Value>,
}

impl Reader {
    pub(crate) fn everything(&self) -> Everything {
        let mut all = Everything::default();
        for item in self.0.items(LEDGERS) {
            let row = item["sk"].as_str().unwrap().to_owned();
            let (kind, name) = row.split_once('#').unwrap_or((&row, ""));
            let item = Value::Object(item);
            match kind {
                "head" => all.head = read(item),
                "batch" => all.batches.push(read(item)),
                "number" => all.numbered.push(read(item)),
                "job" => all.jobs.push(read(item)),
                "source" => drop(all.sources.insert(name.to_owned(), read(item))),
                "coverage" => drop(all.coverage.insert(name.to_owned(), read(item))),
                "signed" => {
                    let source = name.split('#').next().unwrap();
                    all.signed.entry(source.to_owned()).or_default().push(read(item));
                }
                "fault" => all.faults.push(item),
                _ => {}
            }
        }
        all
    }

    /// Whether a batch has been registered or refused.
    pub(crate) fn knows(&self, batch: &str) -> bool {
        self.row(&format!("batch#{batch}")).is_some()
    }

    /// Whether a manifest of that name was not taken for a reason that says this.
    pub(crate) fn was_told(&self, batch: &str, words: &str) -> bool {
        let fault = self.row(&format!("fault#{batch}"));
        fault.is_some_and(|fault| Value::Object(fault).to_string().contains(words))
    }

    pub(crate) fn head(&self) -> Head {
        self.row("head").map(|item| read(Value::Object(item))).unwrap_or_default()
    }

    fn row(&self, row: &str) -> Option<Item> {
        let id = Installation::id();
        let key = Key::sorted(format!("{}#{}", id.tenant, id.ledger), row);
        self.0.get(LEDGERS, &key).now_or_never().unwrap().unwrap()
    }
}

fn read<T: DeserializeOwned>(item: Value) -> T {
    serde_json::from_value(item).unwrap()
}

impl Everything {
    /// Batches that are out and have nothing in their place.
    pub(crate) fn out(&self) -> impl Iterator<Item = &str> {
        let out = |record: &&BatchRecord| record.status != BatchStatus::Registered && record.replaced_by.is_none();
        self.batches.iter().filter(out).map(|record| record.batch.as_str())
    }

    pub(crate) fn registered(&self) -> impl Iterator<Item = &str> {
        let registered = |record: &&BatchRecord| record.status == BatchStatus::Registered;
        self.batches.iter().filter(registered).map(|record| record.batch.as_str())
    }

    pub(crate) fn parked(&self) -> Option<JobNumber> {
        self.jobs.iter().find(|job| matches!(job.status, JobStatus::Parked(_))).map(Job::number)
    }

    /// Whether everything that is known is indexed, or out and replaced.
    pub(crate) fn is_settled(&self) -> bool {
        self.out().next().is_none()
            && self.jobs.iter().all(|job| job.is_void() || job.is_committed(Stage::Index))
            && self.head.grouped.last_batch().next() == self.head.next
            && self.head.indexed == self.head.grouped
    }

    pub(crate) fn has_signed(&self, source: &str, interval: Interval) -> bool {
        self.signed.get(source).is_some_and(|signed| signed.iter().any(|exception| exception.interval == interval))
    }

    /// The watermark of a ledger of both sources.
    pub(crate) fn watermark(&self) -> Option<Timestamp> {
        let source = |name: &str| {
            let registered = self.sources.get(name).cloned().unwrap_or_default();
            let coverage = self.coverage.get(name).cloned().unwrap_or_default();
            SourceIntervals {
                opens_at: opens_at(),
                claimed: registered.claimed,
                void: registered.void,
                parked: IntervalSet::default(),
                indexed: coverage.indexed,
                exceptions: self.signed.get(name).cloned().unwrap_or_default(),
            }
        };
        completeness(&["bank", "shop"].map(|name| (name.to_owned(), source(name))).into()).watermark
    }
}

/// What was seen so far, transaction by transaction: what must never change again.
#[derive(Default)]
pub(crate) struct Seen {
    head: Head,
    watermark: Option<Timestamp>,
    commits: BTreeMap<(JobNumber, &'static str), String>,
    snapshots: BTreeMap<JobNumber, JobNumber>,
    names: BTreeMap<BatchSequence, String>,
    void: BTreeSet<JobNumber>,
}

impl Seen {
    pub(crate) fn check(&mut self, all: &Everything, scene: &Scene) {
        let Head { next, grouped, prefetched, applied, indexed, .. } = all.head;
        let ordered = indexed <= applied && applied <= prefetched && prefetched <= grouped;
        assert!(ordered, "the cursors are out of order: {:?}", all.head);
        assert!(grouped.last_batch() < next, "{:?}", all.head);
        let before = self.head;
        assert!(before.indexed <= indexed && before.applied <= applied && before.prefetched <= prefetched);
        assert!(before.grouped <= grouped && before.next <= next && before.fence <= all.head.fence);
        self.head = all.head;
        let numbers: Vec<u64> = all.numbered.iter().map(|batch| batch.number.get()).collect();
        assert_eq!(numbers, (1..next.get()).collect::<Vec<_>>(), "numbers are dense");
        for batch in &all.numbered {
            assert_eq!(self.names.entry(batch.number).or_insert_with(|| batch.batch.clone()), &batch.batch);
        }
        for job in &all.jobs {
            self.job(job, indexed, scene);
        }
        for (job, next) in all.jobs.iter().zip(all.jobs.iter().skip(1)) {
            let goes_back = next.definition < job.definition || next.partition_bits < job.partition_bits;
            assert!(!goes_back, "job {} goes by less than the one before it", next.number());
            let in_flight = |job: &Job| job.is_live() && job.snapshot.is_some() && !job.is_committed(Stage::Index);
            if in_flight(job) && in_flight(next) && job.definition < next.definition {
                scene.saw("the definition changed under jobs in flight");
            }
        }
        let watermark = all.watermark();
        assert!(self.watermark <= watermark, "the watermark fell");
        self.watermark = watermark;
        in_flight(all, scene);
    }

    fn job(&mut self, job: &Job, indexed: JobNumber, scene: &Scene) {
        let number = job.number();
        let commits = Stage::ALL.into_iter().filter_map(|stage| match job.turn(stage) {
            Turn::Committed(commit) => Some((stage.as_str(), &commit.manifest)),
            _ => None,
        });
        let stateless = job.stateless.iter().map(|commit| ("stateless", &commit.manifest));
        for (step, manifest) in stateless.chain(commits) {
            let first = self.commits.entry((number, step)).or_insert_with(|| manifest.clone());
            assert_eq!(first, manifest, "{step} of job {number} was committed twice");
        }
        if let Some(snapshot) = job.snapshot {
            let granted = *self.snapshots.entry(number).or_insert(indexed);
            assert_eq!(snapshot, granted, "the snapshot of job {number} is what `indexed` was at its first grant");
        }
        assert!(!job.is_void() || !job.is_committed(Stage::Apply), "job {number} is void and applied");
        if job.is_void() {
            self.void.insert(number);
            scene.saw("a job was voided");
        }
        assert_eq!(self.void.contains(&number), job.is_void(), "void is for ever");
        if job.last_failure.as_ref().is_some_and(|failure| failure.message.contains("gave no sign of life")) {
            scene.saw("an attempt was taken for dead");
        }
        if job.attempt > 3 {
            scene.saw("a job had many attempts");
        }
        if job.batches.count() > 1 {
            scene.saw("batches were grouped");
        }
    }
}

/// No more than three jobs are; sometimes there is one at each stage.
fn in_flight(all: &Everything, scene: &Scene) {
    let begun = |job: &&Job| !job.is_void() && job.number() > all.head.indexed && job.snapshot.is_some();
    let in_flight: Vec<&Job> = all.jobs.iter().filter(begun).collect();
    assert!(in_flight.len() <= 3, "more than three jobs in flight");
    let runs =
        |job: Option<&&Job>, stage: Stage| job.is_some_and(|job| matches!(job.turn(stage), Turn::Running { .. }));
    let [first, second, third] = [0, 1, 2].map(|place| in_flight.get(place));
    if runs(first, Stage::Index) && runs(second, Stage::Apply) && runs(third, Stage::Prefetch) {
        scene.saw("three jobs were in flight, one at each stage");
    }
}
