//! At the end: whether the ledger holds what was sent, no more and no less.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ledger::{
    BatchSequence, Definition, DuplicateScope, IndexEntry, JobNumber, KeepLines,
    book::BatchStatus,
    commits::{ApplyManifest, ReducedJob, StatelessManifest},
    job::Job,
    layout::{artifact_key, job_folder, reduced_key},
    messages::{IndexTask, RunInput},
    stage::{Stage, Turn},
};
use money::ControlTotals;
use serde::de::DeserializeOwned;
use serde_json::Value;
use storage::{Location, Objects, objects::read_all};
use tests::events::{
    Batch,
    oracle::{Figures, Keep, Oracle},
};

use crate::{
    installation::{ARTIFACTS, DATA, Installation, LATER, WORK},
    reader::Everything,
    sender::Parcel,
};

/// The sequences of the versions of each artifact.
type Versions<'k> = BTreeMap<&'k str, Vec<u64>>;

/// What was made, and what must have been.
pub(crate) struct Verdict<'a> {
    pub(crate) installation: &'a Installation,
    pub(crate) all: &'a Everything,
    scope: DuplicateScope,
    /// The version of the definition that brought [`LATER`].
    later: Option<u64>,
    oracle: Oracle,
    pub(crate) index: BTreeMap<String, IndexEntry>,
}

impl<'a> Verdict<'a> {
    /// `sent` are all parcels, those among them that were sent in the place of others too.
    pub(crate) fn new(
        installation: &'a Installation,
        all: &'a Everything,
        sent: &[Parcel],
        definitions: &[Definition],
    ) -> Self {
        // What the verdict goes by, no later version changes.
        let definition = &definitions[0];
        let later = definitions.iter().position(|definition| definition.measures.contains_key(LATER));
        let mut oracle = Oracle::new(match definition.event_lines.keep {
            KeepLines::Last(count) => Keep::Last(count as usize),
            _ => Keep::All,
        });
        if definition.duplicates.scope == DuplicateScope::Artifact {
            oracle = oracle.once_for_ever();
        }
        let registered = all.batches.iter().filter(|record| record.status == BatchStatus::Registered);
        let numbers: BTreeMap<_, _> = registered.map(|record| (record.number.unwrap(), &record.batch)).collect();
        for (number, name) in numbers {
            oracle.take(number.get(), batch(sent, name));
        }
        let entry = |mut item: storage::Item| {
            let row = item.shift_remove("pk").unwrap();
            let key = row.as_str().unwrap().splitn(4, '#').last().unwrap().to_owned();
            assert_eq!(row, artifact_key(&Installation::id(), &key));
            (key, serde_json::from_value(Value::Object(item)).unwrap())
        };
        let index = installation.tables.items(ARTIFACTS).into_iter().map(entry).collect();
        Self {
            installation,
            all,
            scope: definition.duplicates.scope,
            later: later.map(|place| place as u64 + 1),
            oracle,
            index,
        }
    }

    pub(crate) async fn check(&self, sent: &[Parcel]) {
        self.batches(sent);
        let indexed: Vec<&str> = self.index.keys().map(String::as_str).collect();
        assert_eq!(indexed, self.oracle.keys().collect::<Vec<_>>(), "the index has the keys that were sent");
        let mut versions = Versions::new();
        for (key, entry) in &self.index {
            versions.insert(key, self.artifact(key, entry).await);
        }
        for job in self.all.jobs.iter().filter(|job| !job.is_void()) {
            let applied = self.totals(job).await;
            self.overlaps(job, &applied, self.newer_bases(job, sent, &versions));
            self.index_plans(job).await;
        }
        self.read_by_a_job().await;
    }

    /// Every batch that was sent counts once, or is out and has another in its place; the watermark is at the end.
    fn batches(&self, sent: &[Parcel]) {
        for parcel in sent {
            let name = &parcel.batch.name;
            let record = self.all.batches.iter().find(|record| record.batch == *name);
            let record = record.unwrap_or_else(|| panic!("{name} is unknown: {:?}", self.all.faults));
            let live = self.all.numbered.iter().filter(|batch| {
                batch.batch == *name && self.job_of(batch.job.unwrap()).is_some_and(|job| !job.is_void())
            });
            let numbers: Vec<_> = live.map(|batch| batch.number).collect();
            match record.status {
                BatchStatus::Registered => assert_eq!(numbers, [record.number.unwrap()], "{name}"),
                _ => assert!(numbers.is_empty() && record.replaced_by.is_some(), "{record:?}"),
            }
        }
        let ends = sent.iter().map(|parcel| (parcel.batch.source, parcel.batch.to));
        let mut last: BTreeMap<&str, jiff::Timestamp> = BTreeMap::new();
        ends.for_each(|(source, to)| {
            let end = last.entry(source).or_insert(to);
            *end = to.max(*end);
        });
        assert_eq!(self.all.watermark(), last.values().min().copied(), "the ledger is complete up to the end");
    }

    fn job_of(&self, number: JobNumber) -> Option<&Job> {
        self.all.jobs.iter().find(|job| job.number() == number)
    }

    /// An entry leads to the line that it names, which says what was sent; and so do all versions before it, one for
    /// each job that brought the artifact something. Their sequences, in order.
    async fn artifact(&self, key: &str, entry: &IndexEntry) -> Vec<u64> {
        let mut line = self.line(entry).await;
        self.later(key, &mut line);
        if let Some(fault) = self.oracle.fault(&line) {
            panic!("artifact {key}: {fault}");
        }
        if !line["lines_file"].is_null() {
            self.installation.scene.saw("event lines were in side files");
            let found: Value = self.installation.event_lines(key).await.iter().map(|line| json_of(line)).collect();
            assert_eq!(found, self.oracle.artifact(key)["lines"], "the event lines of artifact {key}");
        }
        let mut expected: Vec<u64> = self
            .oracle
            .batches_of(key)
            .into_iter()
            .map(|batch| {
                let job =
                    self.all.jobs.iter().find(|job| !job.is_void() && job.batches.contains(BatchSequence::new(batch)));
                job.unwrap().number().get()
            })
            .collect();
        expected.dedup();
        let (mut found, mut version) = (Vec::new(), (entry.clone(), line));
        loop {
            let (entry, line) = version;
            assert_eq!(line["key"], key);
            assert_eq!(line["applied_through"], entry.sequence.get());
            found.push(entry.sequence.get());
            let Some(previous) = serde_json::from_value::<Option<IndexEntry>>(line["previous"].clone()).unwrap() else {
                break;
            };
            let line = self.line(&previous).await;
            version = (previous, line);
        }
        found.reverse();
        assert_eq!(found, expected, "the versions of artifact {key}");
        found
    }

    /// What a measure has counted that came with a later version of the definition; the oracle does not know it.
    fn later(&self, key: &str, line: &mut Value) {
        let counted = line["measures"].as_object_mut().unwrap().shift_remove(LATER);
        let since = |batch: &u64| {
            let number = BatchSequence::new(*batch);
            let job = self.all.jobs.iter().find(|job| !job.is_void() && job.batches.contains(number)).unwrap();
            self.later.is_some_and(|version| job.definition >= version)
        };
        let (after, before): (Vec<u64>, Vec<u64>) = self.oracle.batches_of(key).into_iter().partition(since);
        let events = self.oracle.events_of(key, &after);
        assert_eq!(
            counted.and_then(|counted| counted.as_u64()).unwrap_or_default(),
            events,
            "{LATER} of artifact {key}"
        );
        if !after.is_empty() && !before.is_empty() {
            self.installation.scene.saw("a measure was new to an artifact");
        }
    }

    pub(crate) async fn line(&self, entry: &IndexEntry) -> Value {
        let bytes = self.object(DATA, &entry.file).await;
        let range = entry.range();
        serde_json::from_slice(&bytes[range.start as usize..range.end as usize]).unwrap()
    }

    /// What went into each step of a job came out of it, was there before, or was refused; and the oracle says the same.
    /// What the job has applied.
    async fn totals(&self, job: &Job) -> ApplyManifest {
        let expected = (job.batches.lo().get()..=job.batches.hi().get()).map(|number| self.oracle.figures(number));
        let expected = expected.fold(Figures::default(), |sum, one| Figures {
            records: sum.records + one.records,
            applied: sum.applied + one.applied,
            duplicates: sum.duplicates + one.duplicates,
            conflicts: sum.conflicts + one.conflicts,
            rejected: sum.rejected + one.rejected,
        });
        let number = job.number();
        let reduced: ReducedJob = self.document(WORK, &reduced_key(&RunInput::of(&Installation::id(), job))).await;
        let stateless: StatelessManifest = self.document(WORK, &job.stateless.as_ref().unwrap().manifest).await;
        let Turn::Committed(applied) = job.turn(Stage::Apply) else { panic!("job {number} is not applied") };
        let applied: ApplyManifest = self.document(DATA, &applied.manifest).await;
        let sum = |of: &mut dyn Iterator<Item = &ControlTotals>| of.map(ControlTotals::records).sum::<u64>();
        let combined = &stateless.partitions;
        let found = Figures {
            records: reduced.totals_in.records(),
            applied: sum(&mut applied.partitions.iter().map(|partition| &partition.totals_applied)),
            duplicates: sum(&mut combined.iter().map(|partition| &partition.duplicates))
                + sum(&mut applied.partitions.iter().map(|partition| &partition.duplicates)),
            conflicts: sum(&mut combined.iter().map(|partition| &partition.conflicts))
                + sum(&mut applied.partitions.iter().map(|partition| &partition.conflicts)),
            rejected: reduced.rejected_by_rule.values().sum(),
        };
        assert_eq!(self.comparable(found), self.comparable(expected), "job {number}");
        applied
    }

    /// Where an id counts once for ever, an event that differs from an earlier one of its job is a conflict, even if it is
    /// what the artifact had taken before that: the combiner cannot know. So only the sum is the same in all groupings.
    fn comparable(&self, figures: Figures) -> Figures {
        match self.scope {
            DuplicateScope::Batch => figures,
            DuplicateScope::Artifact => {
                Figures { duplicates: figures.duplicates + figures.conflicts, conflicts: 0, ..figures }
            }
        }
    }

    /// Of the artifacts that the job has events of, how many had a version of a job that was in flight with it.
    fn newer_bases(&self, job: &Job, sent: &[Parcel], versions: &Versions<'_>) -> u64 {
        let numbered = self.all.numbered.iter().filter(|numbered| job.batches.contains(numbered.number));
        let rows = numbered.flat_map(|numbered| batch(sent, &numbered.batch).files.iter().flatten());
        let keys: BTreeSet<&str> = rows.filter(|row| row.fault.is_none()).map(|row| row.event.order.as_str()).collect();
        let (snapshot, number) = (job.snapshot.unwrap().get(), job.number().get());
        let base = |key: &&str| versions[*key].iter().copied().filter(|sequence| *sequence < number).max();
        keys.iter().filter(|key| base(key) > Some(snapshot)).count() as u64
    }

    /// Whether the job met others in flight, and took no more from them than they had.
    fn overlaps(&self, job: &Job, applied: &ApplyManifest, newer: u64) {
        let scene = &self.installation.scene;
        let overlaid: u64 = applied.partitions.iter().map(|partition| partition.overlaid).sum();
        assert!(overlaid <= newer, "job {} took {overlaid} bases from jobs in flight, which had {newer}", job.number());
        if overlaid > 0 {
            scene.saw("a base came from a job in flight");
        }
        if applied.partitions.iter().any(|partition| partition.duplicates.records() > 0) {
            scene.saw("events had been taken before");
        }
        if newer > overlaid {
            scene.saw("a prefetched version was newer than the snapshot");
        }
        if applied.partition_bits > self.all.jobs[0].partition_bits {
            scene.saw("partitions were doubled");
        }
    }

    async fn index_plans(&self, job: &Job) {
        let mut parts = Vec::new();
        let plans = format!("{}/index/", job_folder(&RunInput::of(&Installation::id(), job)));
        for plan in self.installation.objects.list(WORK, &plans, None).await.unwrap() {
            let tasks: Vec<IndexTask> = self.document(WORK, &plan.key).await;
            parts.push(tasks.iter().map(|task| task.parts.len()).sum::<usize>());
        }
        if parts.iter().any(|count| (1..*parts.iter().max().unwrap()).contains(count)) {
            self.installation.scene.saw("index went on behind its cursors");
        }
    }

    async fn document<T: DeserializeOwned>(&self, bucket: &str, key: &str) -> T {
        serde_json::from_slice(&self.object(bucket, key).await).unwrap()
    }

    pub(crate) async fn object(&self, bucket: &str, key: &str) -> Bytes {
        let at = Location::new(bucket, key);
        read_all(self.installation.objects.read(&at, None, None).await.unwrap(), &at, u64::MAX).await.unwrap()
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn batch<'p>(sent: &'p [Parcel], name: &str) -> &'p Batch {
    &sent.iter().find(|parcel| parcel.batch.name == name).unwrap_or_else(|| panic!("nobody sent {name}")).batch
}
