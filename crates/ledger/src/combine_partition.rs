//! combiner: one partition of all ranges → its stateless artifacts.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use storage::{Clock, Location, Objects, Tables};
use tracing::info;

use crate::{
    Ledger, LedgerError, ReducedSection,
    by_key::SORTED_EVENT_BYTES,
    combine::combine,
    commits::{CombinedPartition, PartitionSection, ReducedJob},
    container::Section,
    coordinate::sections_key,
    layout::{combined_key, reduced_key},
    messages::{Done, PartitionRequest},
    workplace::{Workplace, attempt_place},
};

/// What combiner is configured by.
pub use crate::workplace::Places as Config;

/// How many sections are read at once.
const SECTIONS_AT_ONCE: usize = 16;

/// Combines one partition: drops duplicates, and writes the artifacts that the job brings events to, by key.
///
/// Running it again, late or twice at once is harmless: the result depends on the sections alone, each attempt writes
/// under a path of its own, and the first commit that stands for the partition counts.
pub struct Combiner {
    workplace: Workplace,
}

impl Combiner {
    /// A combiner that reads and writes `objects` and keeps its book in `tables`.
    pub fn new(objects: Arc<dyn Objects>, tables: Arc<dyn Tables>, clock: Arc<dyn Clock>, config: &Config) -> Self {
        Self { workplace: Workplace::at(objects, tables, clock, config) }
    }

    /// Holds at most so many bytes of files at once, whatever memory there is.
    pub const fn holding(mut self, bytes_max: u64) -> Self {
        self.workplace.held_bytes_max = bytes_max;
        self
    }

    /// Handles one partition.
    pub async fn combine(&self, request: PartitionRequest) -> Result<Done, LedgerError> {
        let PartitionRequest { run, partition } = &request;
        let entered = self.workplace.enter(run).await?;
        let at = self.workplace.work(combined_key(run, *partition));
        if self.workplace.find::<CombinedPartition>(&at).await?.is_none() {
            self.make(&request, &entered.ledger, &at).await?;
        }
        Ok(Done {})
    }

    async fn make(&self, request: &PartitionRequest, ledger: &Ledger, at: &Location) -> Result<(), LedgerError> {
        let PartitionRequest { run, partition } = request;
        let job: ReducedJob = self.workplace.read(run, &self.workplace.work(reduced_key(run))).await?;
        let list = self.workplace.work(sections_key(&job.sections, *partition));
        let list: Vec<PartitionSection> = self.workplace.read(run, &list).await?;
        // What comes out is as long as what goes in, and its keys once more, at most; both are held, and what is sorted.
        let held = |Section { length, records, .. }: Section| {
            length.saturating_mul(3).saturating_add(records.saturating_mul(SORTED_EVENT_BYTES))
        };
        self.workplace.room(run, *partition, list.iter().map(|of| held(of.section)))?;
        let read = self.sections(&list).await?;
        let sections: Vec<ReducedSection<'_>> =
            list.iter().zip(&read).map(|(at, bytes)| ReducedSection { section: at.section, bytes }).collect();
        let combined = combine(ledger, run.partition_bits, *partition, &sections)?;

        let step = partition.padded();
        let file = self.workplace.work(format!("{}.artifacts", attempt_place(run, &format!("combine/{step}"))));
        let combined = CombinedPartition {
            partition: *partition,
            file: self.workplace.put(&file, combined.file, "application/octet-stream").await?,
            sections: combined.sections,
            artifacts: combined.artifacts,
            totals_in: combined.totals_in,
            totals_out: combined.totals_out,
            duplicates: combined.duplicates,
            conflicts: combined.conflicts,
            rejects: self.workplace.put_conflicts(run, &format!("combine-{step}"), &combined.rejected).await?,
        };
        let CombinedPartition { artifacts, totals_in, file, .. } = self.workplace.commit(at, combined).await?;
        info!(
            ledger = %run.ledger,
            job = %run.job,
            %partition,
            events = totals_in.records(),
            artifacts,
            bytes = file.bytes,
            "partition combined"
        );
        Ok(())
    }

    async fn sections(&self, list: &[PartitionSection]) -> Result<Vec<Bytes>, LedgerError> {
        let reads = list.iter().map(|PartitionSection { file, section }| {
            let at = self.workplace.work(file);
            let range = section.range();
            async move { self.workplace.range(&at, range).await }
        });
        stream::iter(reads.collect::<Vec<_>>()).buffered(SECTIONS_AT_ONCE).try_collect().await
    }
}
