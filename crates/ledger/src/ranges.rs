//! The ranges of a job, brought together: whether they tie out, and what each partition is made of.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    LedgerError, Partition, Section,
    commits::{PartitionSection, ReducedRange, SplitJob, Written},
    coordinate::sections_key,
    layout::range_key,
    messages::{EventChunk, RunInput},
    ties_out::{self, RangeTotals},
    workplace::{Pulse, Workplace},
};

/// Ranges that are read at once: each can have a section for every partition.
const RANGES_AT_ONCE: usize = 32;
/// Lists of sections that are written at once: each can have a section for every range.
const LISTS_AT_ONCE: usize = 8;
/// What a section takes of memory: itself, and as much again for the list that grows.
const SECTION_BYTES: u64 = 2 * size_of::<RangeSection>() as u64;

/// All ranges of a job.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    /// Of each range its object.
    files: Vec<String>,
    /// How many bytes these have.
    pub(crate) bytes_written: u64,
    /// By partition, in the order of the ranges.
    sections: BTreeMap<u32, Vec<RangeSection>>,
    pub(crate) totals: RangeTotals,
    /// The reject files.
    pub(crate) rejects: Vec<Written>,
}

/// A section, and the place of its range.
#[derive(Debug, Clone, Copy)]
struct RangeSection {
    range: usize,
    section: Section,
}

impl Ranges {
    /// Reads what each range was reduced to. Where all of it together takes more memory than there is, the job is stopped.
    pub(crate) async fn read(
        workplace: &Workplace,
        run: &RunInput,
        split: &SplitJob,
        pulse: &Pulse<'_>,
    ) -> Result<Self, LedgerError> {
        let chunks: Vec<EventChunk> = workplace.read(run, &workplace.work(&split.ranges)).await?;
        ties_out::ranges_are_whole(run.job, split, &chunks)?;
        let sections_max = workplace.held_bytes_max / SECTION_BYTES;
        let reads = chunks.iter().map(|chunk| async move {
            let at = workplace.work(range_key(run, chunk.index));
            Ok::<_, LedgerError>((chunk, workplace.read::<ReducedRange>(run, &at).await?))
        });
        let mut reads = stream::iter(reads.collect::<Vec<_>>()).buffered(RANGES_AT_ONCE);
        let (mut ranges, mut sections) = (Self::default(), 0_u64);
        while let Some((chunk, range)) = reads.try_next().await? {
            ties_out::range_ties_out(run.job, chunk, &range)?;
            sections = sections.saturating_add(range.sections.len() as u64);
            if sections > sections_max {
                let (job, ranges, bits) = (run.job, chunks.len() as u64, run.partition_bits);
                return Err(LedgerError::TooManySections { job, ranges, bits, sections_max });
            }
            ranges.add(range);
            pulse.beat().await?;
        }
        Ok(ranges)
    }

    fn add(&mut self, range: ReducedRange) {
        self.totals.add(&range);
        for section in range.sections {
            let of = RangeSection { range: self.files.len(), section };
            self.sections.entry(section.number).or_default().push(of);
        }
        self.bytes_written += range.file.bytes;
        self.files.push(range.file.key);
        self.rejects.extend(range.rejects);
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> u64 {
        self.files.len() as u64
    }

    /// The partitions that hold events, in order.
    pub(crate) fn partitions(&self) -> Vec<Partition> {
        self.sections.keys().copied().map(Partition::new).collect()
    }

    /// Writes what each partition is made of, to a document of its own in `folder`.
    pub(crate) async fn write(&self, workplace: &Workplace, folder: &str) -> Result<(), LedgerError> {
        let writes = self.sections.iter().map(|(number, sections)| async move {
            let at = workplace.work(sections_key(folder, Partition::new(*number)));
            let section = |of: &RangeSection| {
                Some(PartitionSection { file: self.files.get(of.range)?.clone(), section: of.section })
            };
            workplace.write(&at, &sections.iter().filter_map(section).collect::<Vec<_>>()).await
        });
        stream::iter(writes.collect::<Vec<_>>()).buffered(LISTS_AT_ONCE).try_collect().await
    }
}
