//! A ledger in memory: what the pipeline's stages do between the pure functions, done in the simplest way.

use std::collections::BTreeMap;

use ledger::{
    Applied, Apply, ApplyError, ApplyJob, BatchSequence, Combined, EventRange, IndexEntry, Interval, JobBatches,
    JobNumber, Ledger, Overlay, PartBytes, PartFile, Partition, PartitionBits, Piece, PrefetchedWriter, Reduced,
    ReducedSection, Sidecar, Stateless, combine, reduce,
};
use money::ControlTotals;
use records::Header;

/// An object of events of a batch, cut into ranges of whole records.
pub(crate) struct EventObject {
    pub(crate) header: Option<Vec<u8>>,
    pub(crate) ranges: Vec<Vec<u8>>,
}

pub(crate) struct Batch {
    pub(crate) sequence: BatchSequence,
    pub(crate) interval: Interval,
    pub(crate) objects: Vec<EventObject>,
}

/// What a job has written, as its committed manifests tell.
pub(crate) struct Job {
    pub(crate) batches: JobBatches,
    pub(crate) bits: PartitionBits,
    pub(crate) parts: BTreeMap<Partition, Vec<PartFile>>,
    pub(crate) applied: Vec<Applied>,
    pub(crate) combined: Vec<Combined>,
    pub(crate) reduced: Vec<Reduced>,
}

/// Part-files, what applying came to, and side files by name.
pub(crate) type Made = (Vec<PartFile>, Applied, Files);
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// All that applying makes: part-files, and side files by name.
pub(crate) fn pieces(apply: &mut Apply<'_>) -> Result<(Vec<PartFile>, Files), ApplyError> {
    let (mut parts, mut files) = (Vec::new(), Files::new());
    while let Some(piece) = apply.next_piece()? {
        match piece {
            Piece::SideLines { file, bytes } => files.entry(file).or_default().extend(bytes),
            Piece::Part(part) => parts.push(part),
        }
    }
    Ok((parts, files))
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) jobs: Vec<Job>,
    pub(crate) files: Files,
    pub(crate) index: BTreeMap<String, IndexEntry>,
    /// How many jobs are indexed.
    pub(crate) indexed: usize,
}

impl World {
    /// Runs a job up to its commit of apply. `snapshot` jobs were indexed when its prefetch was granted; those that were
    /// indexed since are found in the index all the same. `rotate` is how far the ranges' order is off.
    pub(crate) fn run(
        &mut self,
        ledger: &Ledger,
        batches: &[Batch],
        bits: PartitionBits,
        snapshot: usize,
        rotate: usize,
    ) -> &Job {
        let (first, last) = (batches.first().unwrap().sequence, batches.last().unwrap().sequence);
        let batches_of = JobBatches::new(first, last).unwrap();
        let reduced = reduce_all(ledger, batches, bits);
        let mut job = Job {
            batches: batches_of,
            bits,
            parts: BTreeMap::new(),
            applied: Vec::new(),
            combined: Vec::new(),
            reduced,
        };
        for partition in bits.iter() {
            let mut sections = sections(&job.reduced, partition);
            if !sections.is_empty() {
                let places = sections.len();
                sections.rotate_left(rotate % places);
            }
            let combined = combine(ledger, bits, partition, &sections).unwrap();
            let made = self.apply(ledger, &job, snapshot, partition, &combined.file).unwrap();
            // A second attempt at the same time writes the same.
            let again = self.apply(ledger, &job, snapshot, partition, &combined.file).unwrap();
            assert!(again == made);
            let (parts, applied, side_files) = made;
            self.files.extend(side_files);
            assert_eq!(applied.totals_in, combined.totals_out);
            job.combined.push(combined);
            job.applied.push(applied);
            job.parts.insert(partition, parts);
        }
        ties_out(&job);
        for part in job.parts.values().flatten() {
            self.files.insert(part.file.clone(), part.lines.clone());
        }
        self.jobs.push(job);
        self.jobs.last().unwrap()
    }

    pub(crate) fn apply(
        &self,
        ledger: &Ledger,
        job: &Job,
        snapshot: usize,
        partition: Partition,
        stateless: &[u8],
    ) -> Result<Made, ApplyError> {
        let stateless = Stateless::open(stateless).unwrap();
        let mut prefetched = PrefetchedWriter::default();
        for key in stateless.keys() {
            let key = key.unwrap();
            prefetched.push(key, self.index.get(key).map(|entry| (entry, self.read(entry))));
        }
        let prefetched = prefetched.finish();
        let in_flight: Vec<&Job> =
            self.jobs.iter().skip(snapshot).filter(|other| other.batches.hi() < job.batches.lo()).collect();
        let parts: Vec<Vec<PartBytes<'_>>> = in_flight
            .iter()
            .map(|other| {
                let parts = &other.parts[&partition.at(job.bits, other.bits).unwrap()];
                parts.iter().map(|part| PartBytes { sidecar: &part.sidecar, lines: &part.lines }).collect()
            })
            .collect();
        let overlays: Vec<Overlay<'_>> =
            in_flight.iter().zip(&parts).map(|(job, parts)| Overlay { job: job.batches.job(), parts }).collect();
        let folder = format!("job={}/{}", job.batches.job().padded(), partition.padded());
        let snapshot = snapshot.checked_sub(1).map_or(JobNumber::ZERO, |last| self.jobs[last].batches.job());
        let told = ApplyJob {
            batches: job.batches,
            snapshot,
            bits: job.bits,
            partition,
            folder: &folder,
            part_bytes_max: 1500,
        };
        let mut apply = Apply::new(ledger, told, &stateless, &prefetched, &overlays)?;
        let (parts, side_files) = pieces(&mut apply)?;
        Ok((parts, apply.finish()?, side_files))
    }

    /// Indexes the next job: each put is conditional on the version that it was computed from.
    pub(crate) fn index_next(&mut self) {
        for part in self.jobs[self.indexed].parts.values().flatten() {
            let sidecar = Sidecar::open(&part.sidecar).unwrap();
            assert_eq!(sidecar.file(), part.file);
            let mut puts = 0;
            for entry in sidecar.clone() {
                let entry = entry.unwrap();
                let old = self.index.insert(entry.key.to_owned(), sidecar.index_entry(&entry));
                assert_eq!(old.map(|old| old.sequence), entry.previous, "a lost update of {:?}", entry.key);
                puts += 1;
            }
            assert_eq!(puts, part.artifacts);
        }
        self.indexed += 1;
    }

    pub(crate) fn read(&self, entry: &IndexEntry) -> &[u8] {
        let range = entry.range();
        &self.files[&entry.file][range.start as usize..range.end as usize]
    }
}

fn reduce_all(ledger: &Ledger, batches: &[Batch], bits: PartitionBits) -> Vec<Reduced> {
    let mut reduced = Vec::new();
    for batch in batches {
        for (number, object) in batch.objects.iter().enumerate() {
            let header = object.header.as_ref().map(|header| Header::parse(header, ledger.format()).unwrap());
            let mut offset = object.header.as_ref().map_or(0, Vec::len) as u64;
            let mut first_row = 1;
            for bytes in &object.ranges {
                let range = EventRange {
                    bytes,
                    offset,
                    first_row,
                    batch: batch.sequence,
                    object: number as u32,
                    interval: batch.interval,
                };
                let one = reduce(ledger, header.as_ref(), &range, bits).unwrap();
                offset += bytes.len() as u64;
                first_row += one.totals_in.records();
                reduced.push(one);
            }
        }
    }
    reduced
}

pub(crate) fn sections(reduced: &[Reduced], partition: Partition) -> Vec<ReducedSection<'_>> {
    let of = |reduced: &'_ Reduced| {
        let section = *reduced.sections.iter().find(|section| section.number == partition.get())?;
        Some((section, section.range()))
    };
    reduced
        .iter()
        .filter_map(|reduced| {
            let (section, range) = of(reduced)?;
            Some(ReducedSection { section, bytes: &reduced.file[range.start as usize..range.end as usize] })
        })
        .collect()
}

/// What a stage says it read is what the one before says it wrote, and nothing of it is unaccounted for.
fn ties_out(job: &Job) {
    let sum = |totals: &mut dyn Iterator<Item = &ControlTotals>| {
        let mut sum = ControlTotals::default();
        totals.for_each(|totals| sum.merge(totals).unwrap());
        sum
    };
    let reduced = sum(&mut job.reduced.iter().map(|reduced| &reduced.totals_out));
    let combined = sum(&mut job.combined.iter().map(|combined| &combined.totals_in));
    assert_eq!(reduced.differences(&combined), vec![]);
    for applied in &job.applied {
        let out = sum(&mut [&applied.totals_applied, &applied.duplicates, &applied.conflicts].into_iter());
        assert_eq!(applied.totals_in.differences(&out), vec![]);
    }
}
