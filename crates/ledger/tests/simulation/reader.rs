//! The book as it stands, read past all ports, and what must always hold of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use ledger::{
    BatchSequence, JobBatches, JobNumber,
    book::{BatchRecord, BatchStatus, CoverageRecord, NumberedBatch, SourceRecord},
    head::Head,
    intervals::IntervalSet,
    job::{Job, JobStatus},
    stage::{Stage, Turn},
    steps::StepRecord,
    watermark::{Exception, SourceIntervals, completeness},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use storage::memory::MemoryTables;

/// Reads the table without faults, at once.
#[derive(Clone)]
pub(crate) struct Reader(pub(crate) Arc<MemoryTables>);

/// Everything that is in the book.
#[derive(Debug, Clone, Default)]
pub(crate) struct Everything {
    pub(crate) head: Head,
    pub(crate) batches: Vec<BatchRecord>,
    pub(crate) numbered: Vec<NumberedBatch>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) sources: BTreeMap<String, SourceRecord>,
    pub(crate) coverage: BTreeMap<String, CoverageRecord>,
    pub(crate) signed: BTreeMap<String, Vec<Exception>>,
    pub(crate) steps: Vec<StepRecord>,
}

impl Reader {
    pub(crate) fn everything(&self) -> Everything {
        let mut all = Everything::default();
        for item in self.0.items("ledgers") {
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
                "step" => all.steps.push(read(item)),
                "definition" | "default" => {}
                other => panic!("{other} is in no layout"),
            }
        }
        all
    }

    pub(crate) fn batches(&self, batches: JobBatches) -> Vec<NumberedBatch> {
        let numbered = self.everything().numbered;
        numbered.into_iter().filter(|batch| batches.contains(batch.number)).collect()
    }
}

fn read<T: DeserializeOwned>(item: Value) -> T {
    serde_json::from_value(item).unwrap()
}

/// What was seen so far: what must never change again.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    head: Head,
    watermark: Option<Timestamp>,
    commits: BTreeMap<(JobNumber, &'static str), String>,
    snapshots: BTreeMap<JobNumber, JobNumber>,
    fences: BTreeMap<u64, (JobNumber, Stage)>,
    names: BTreeMap<BatchSequence, String>,
    void: BTreeSet<JobNumber>,
    /// Situations that a simulation that is worth anything runs into.
    pub(crate) situations: BTreeSet<&'static str>,
}

impl Seen {
    /// Checks every invariant of the book.
    pub(crate) fn check(&mut self, all: &Everything, opens_at: Timestamp) {
        self.cursors(all);
        self.numbers(all);
        for job in &all.jobs {
            self.job(all, job);
        }
        for stage in Stage::ALL {
            self.stage(all, stage);
        }
        self.intervals(all, opens_at);
    }

    fn cursors(&mut self, all: &Everything) {
        let Head { next, grouped, prefetched, applied, indexed, fence, .. } = all.head;
        assert!(indexed <= applied && applied <= prefetched && prefetched <= grouped, "{:?}", all.head);
        assert!(grouped.last_batch() < next, "{:?}", all.head);
        let before = self.head;
        assert!(before.indexed <= indexed && before.applied <= applied && before.prefetched <= prefetched);
        assert!(before.grouped <= grouped && before.next <= next && before.fence <= fence);
        self.head = all.head;
    }

    /// Numbers are dense and keep their batch; a registered batch has one number that counts.
    fn numbers(&mut self, all: &Everything) {
        let numbers: Vec<u64> = all.numbered.iter().map(|batch| batch.number.get()).collect();
        assert_eq!(numbers, (1..all.head.next.get()).collect::<Vec<_>>());
        for batch in &all.numbered {
            let name = self.names.entry(batch.number).or_insert_with(|| batch.batch.clone());
            assert_eq!(*name, batch.batch);
        }
        let mut ends = vec![0];
        ends.extend(all.jobs.iter().map(|job| job.number().get()));
        assert!(all.jobs.iter().zip(&ends).all(|(job, end)| job.predecessor().get() == *end), "jobs follow each other");
        assert_eq!(ends.last(), Some(&all.head.grouped.get()));
        let void = |number: BatchSequence| all.jobs.iter().any(|job| job.is_void() && job.batches.contains(number));
        for record in &all.batches {
            let live: Vec<_> =
                all.numbered.iter().filter(|batch| batch.batch == record.batch && !void(batch.number)).collect();
            match record.status {
                BatchStatus::Registered => {
                    assert_eq!(live.len(), 1, "{record:?}");
                    assert_eq!(record.number, Some(live[0].number));
                }
                _ => assert_eq!(live.len(), 0, "{record:?}"),
            }
        }
    }

    fn job(&mut self, all: &Everything, job: &Job) {
        let number = job.number();
        let commits = Stage::ALL.into_iter().filter_map(|stage| match job.turn(stage) {
            Turn::Committed(commit) => Some((stage.as_str(), commit.manifest.clone())),
            _ => None,
        });
        let stateless = job.stateless.iter().map(|commit| ("stateless", commit.manifest.clone()));
        for (step, manifest) in stateless.chain(commits) {
            let first = self.commits.entry((number, step)).or_insert_with(|| manifest.clone());
            assert_eq!(*first, manifest, "{step} of job {number} was committed twice");
            let rows = all.steps.iter().filter(|row| row.job == number && row.manifest.as_deref() == Some(&manifest));
            assert_eq!(rows.count(), 1, "{step} of job {number} has its row");
        }
        if let Some(snapshot) = job.snapshot {
            let first = *self.snapshots.entry(number).or_insert(all.head.indexed);
            assert_eq!(first, snapshot, "the snapshot of job {number} is `indexed` as it was at its first grant");
        }
        assert!(!job.is_void() || !job.is_committed(Stage::Apply), "job {number} is void and applied");
        if job.is_void() {
            self.void.insert(number);
            self.situations.insert("a job was voided");
            if job.is_committed(Stage::Prefetch) {
                self.situations.insert("a job was voided after prefetch");
            }
        }
        assert_eq!(self.void.contains(&number), job.is_void(), "void is for ever");
        if let JobStatus::Parked(_) = job.status {
            self.situations.insert("a job was parked");
        }
        if job.attempt > 3 {
            self.situations.insert("a job had many attempts");
        }
        if job.batches.count() > 1 {
            self.situations.insert("batches were grouped");
        }
    }

    /// Behind a cursor everything is committed or void; at it, at most one holds the turn; and nobody else does.
    fn stage(&mut self, all: &Everything, stage: Stage) {
        let cursor = all.head.cursor(stage);
        for job in &all.jobs {
            let done = job.is_void() || job.is_committed(stage);
            assert!(done || job.number() > cursor, "job {} was stepped over by {stage}", job.number());
            assert!(!job.is_committed(stage) || job.number() <= cursor, "{stage} of {} without cursor", job.number());
            if let (Turn::Granted { fence, .. } | Turn::Running { fence, .. }, false) = (job.turn(stage), job.is_void())
            {
                assert_eq!(job.predecessor(), cursor, "{stage} of job {} is out of turn", job.number());
                assert!(*fence <= all.head.fence);
                let holder = *self.fences.entry(*fence).or_insert((job.number(), stage));
                assert_eq!(holder, (job.number(), stage), "fence {fence} was granted twice");
            }
        }
        let begun = |job: &&Job| !job.is_void() && job.number() > all.head.indexed && job.snapshot.is_some();
        let in_flight: Vec<&Job> = all.jobs.iter().filter(begun).collect();
        assert!(in_flight.len() <= 3, "more than three jobs in flight");
        let runs =
            |job: Option<&&Job>, stage: Stage| job.is_some_and(|job| matches!(job.turn(stage), Turn::Running { .. }));
        let [first, second, third] = [0, 1, 2].map(|place| in_flight.get(place));
        if runs(first, Stage::Index) && runs(second, Stage::Apply) && runs(third, Stage::Prefetch) {
            self.situations.insert("three jobs were in flight, one at each stage");
        }
    }

    fn intervals(&mut self, all: &Everything, opens_at: Timestamp) {
        let indexed = |number: BatchSequence| {
            all.jobs.iter().any(|job| job.is_committed(Stage::Index) && job.batches.contains(number))
        };
        let mut expected: BTreeMap<String, IntervalSet> = BTreeMap::new();
        for batch in all.numbered.iter().filter(|batch| !batch.correction && indexed(batch.number)) {
            expected.entry(batch.source.clone()).or_default().insert(batch.interval);
        }
        let covered =
            all.coverage.iter().map(|(source, coverage)| (source.clone(), coverage.indexed.clone())).collect();
        assert_eq!(expected, covered);
        let watermark = all.watermark(opens_at);
        assert!(self.watermark <= watermark, "the watermark fell");
        self.watermark = watermark;
    }
}

impl Everything {
    pub(crate) fn watermark(&self, opens_at: Timestamp) -> Option<Timestamp> {
        let source = |name: &str| {
            let registered = self.sources.get(name).cloned().unwrap_or_default();
            let coverage = self.coverage.get(name).cloned().unwrap_or_default();
            SourceIntervals {
                opens_at,
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
