//! Whether what came out of a step is what went into it.
//!
//! Each handover is counted on both sides, by different readers: the sender's manifest against the bytes (splitter), the
//! splitter's count against the reducer's, the manifest's sums against the reducers', the reducers' events against the
//! combiners', theirs against what is applied. A batch that is not what its sender says is refused; everything else
//! that differs is our own mistake, and stops the job.

use std::collections::{BTreeMap, BTreeSet};

use money::{ControlTotals, Overflow};
use serde_json::{Value, json};

use crate::{
    BatchSequence, JobNumber, LedgerError, Partition, RuleVersion,
    commits::{
        AppliedPartition, CombinedPartition, PrefetchManifest, PrefetchedPartition, ReducedJob, ReducedRange, SplitJob,
        StatelessManifest,
    },
    figures::figures,
    job::Job,
    manifest::PinnedBatch,
    messages::EventChunk,
    turns::StageResult,
};

/// Both sides of a handover, and figures for the operator.
pub(crate) struct Accounts {
    /// What went in, by the reading of the step before.
    expected: ControlTotals,
    /// What was found.
    found: ControlTotals,
    figures: Value,
}

impl Accounts {
    /// What is committed; the book compares both sides.
    pub(crate) fn result(self, manifest: String) -> StageResult {
        StageResult { manifest, expected: self.expected, found: self.found, figures: figures(self.figures) }
    }
}

/// What all ranges of a job come to.
#[derive(Debug)]
pub(crate) struct RangeTotals {
    /// All records that were read, by batch; a sum that cannot be held is that batch's fault.
    by_batch: BTreeMap<BatchSequence, Result<ControlTotals, Overflow>>,
    pub(crate) totals_out: Result<ControlTotals, Overflow>,
    pub(crate) rejected_by_rule: BTreeMap<String, u64>,
}

impl Default for RangeTotals {
    fn default() -> Self {
        Self { by_batch: BTreeMap::new(), totals_out: Ok(ControlTotals::default()), rejected_by_rule: BTreeMap::new() }
    }
}

impl RangeTotals {
    pub(crate) fn add(&mut self, range: &ReducedRange) {
        let read = self.by_batch.entry(range.range.batch).or_insert_with(|| Ok(ControlTotals::default()));
        merge(read, &range.totals_in);
        merge(&mut self.totals_out, &range.totals_out);
        for (rule, count) in &range.rejected_by_rule {
            *self.rejected_by_rule.entry(rule.clone()).or_default() += count;
        }
    }

    /// All records that were read.
    pub(crate) fn totals_in(&self) -> Result<ControlTotals, Overflow> {
        let mut sum = ControlTotals::default();
        for totals in self.by_batch.values() {
            sum.merge(totals.as_ref().map_err(Clone::clone)?)?;
        }
        Ok(sum)
    }

    /// The batches whose objects do not add up to what their manifests say, and how they differ.
    pub(crate) fn untrue_batches(&self, split: &SplitJob) -> BTreeMap<BatchSequence, String> {
        let nothing = Ok(ControlTotals::default());
        let untrue = |(batch, pinned): (&BatchSequence, &PinnedBatch)| {
            let reason = match self.by_batch.get(batch).unwrap_or(&nothing) {
                Err(overflow) => overflow.to_string(),
                Ok(found) => {
                    let differences = pinned.manifest.totals.differences(found);
                    if differences.is_empty() {
                        return None;
                    }
                    let differences: Vec<String> = differences.iter().map(ToString::to_string).collect();
                    format!("the manifest says other totals than its objects hold: {}", differences.join("; "))
                }
            };
            Some((*batch, reason))
        };
        split.batches.iter().filter_map(untrue).collect()
    }
}

fn merge(sum: &mut Result<ControlTotals, Overflow>, totals: &ControlTotals) {
    if let Ok(held) = sum
        && let Err(overflow) = held.merge(totals)
    {
        *sum = Err(overflow);
    }
}

/// Whether the ranges that were cut are all records of the job's objects.
pub(crate) fn ranges_are_whole(job: JobNumber, split: &SplitJob, chunks: &[EventChunk]) -> Result<(), LedgerError> {
    same(|| format!("job {job}, ranges against their commits"), "ranges", split.count, chunks.len() as u64)?;
    let mut cut: BTreeMap<(BatchSequence, u32), u64> = BTreeMap::new();
    for chunk in chunks {
        *cut.entry((chunk.batch, chunk.object)).or_default() += chunk.records;
    }
    for (batch, pinned) in &split.batches {
        for (place, object) in (0..).zip(&pinned.objects) {
            let cut = cut.get(&(*batch, place)).copied().unwrap_or_default();
            same(|| format!("{}, manifest against ranges", object.key), "records", object.records, cut)?;
        }
    }
    Ok(())
}

/// Whether a range was read as it was cut, and all of it is kept or rejected.
pub(crate) fn range_ties_out(job: JobNumber, chunk: &EventChunk, range: &ReducedRange) -> Result<(), LedgerError> {
    let boundary = |which: &str| format!("range {} of job {job}, {which}", chunk.index);
    if range.range != *chunk {
        let difference = format!("cut as {chunk:?}, reduced as {:?}", range.range);
        return Err(LedgerError::ControlTotalMismatch { boundary: boundary("split against reduced"), difference });
    }
    let (read, kept) = (range.totals_in.records(), range.totals_out.records());
    let rejected: u64 = range.rejected_by_rule.values().sum();
    let in_sections = range.sections.iter().map(|section| section.records).sum();
    same(|| boundary("split against reduced"), "records", chunk.records, read)?;
    same(|| boundary("read against kept and rejected"), "records", read, kept + rejected)?;
    same(|| boundary("kept against written"), "events", kept, in_sections)
}

/// The combiners' partitions against the reducers' events.
pub(crate) fn combined(
    job: &Job,
    reduced: &ReducedJob,
    list: &[Partition],
    partitions: &[CombinedPartition],
) -> Result<Accounts, LedgerError> {
    let (mut found, mut duplicates, mut conflicts): (ControlTotals, ControlTotals, ControlTotals) = Default::default();
    let (mut artifacts, mut bytes_written) = (0, 0);
    for (partition, of) in list.iter().zip(partitions) {
        let boundary = || format!("partition {partition} of job {}, reduced against combined", job.number());
        same(boundary, "as its number", partition.get().into(), of.partition.get().into())?;
        tie(boundary, &of.totals_in, &sum([&of.totals_out, &of.duplicates, &of.conflicts])?)?;
        found.merge(&of.totals_in)?;
        duplicates.merge(&of.duplicates)?;
        conflicts.merge(&of.conflicts)?;
        artifacts += of.artifacts;
        bytes_written += of.file.bytes;
    }
    let figures = json!({
        "events": reduced.totals_out.records(),
        "duplicates": duplicates.records(),
        "conflicts": conflicts.records(),
        "artifacts": artifacts,
        "partitions": partitions.len(),
        "bytes_written": bytes_written,
    });
    Ok(Accounts { expected: reduced.totals_out.clone(), found, figures })
}

/// The prefetchers' look-ups against the combiners' artifacts.
pub(crate) fn prefetched(
    stateless: &StatelessManifest,
    partitions: &[PrefetchedPartition],
) -> Result<Accounts, LedgerError> {
    let (mut expected, mut found) = (ControlTotals::default(), ControlTotals::default());
    for (combined, of) in stateless.partitions.iter().zip(partitions) {
        let boundary =
            || format!("partition {} of job {}, combined against prefetched", combined.partition, stateless.job);
        same(boundary, "as its number", combined.partition.get().into(), of.partition.get().into())?;
        same(boundary, "artifacts", combined.artifacts, of.keys)?;
        expected.add_records(combined.artifacts)?;
        found.add_records(of.keys)?;
    }
    let total = |of: fn(&PrefetchedPartition) -> u64| partitions.iter().map(of).sum::<u64>();
    let keys = found.records();
    let (lookups, cache_calls, reads) = (total(|of| of.lookups), total(|of| of.cache_calls), total(|of| of.reads));
    let requests = lookups + cache_calls + reads;
    let figures = json!({
        "keys": keys,
        "found": total(|of| of.found),
        "cached": total(|of| of.cached),
        "bytes_read": total(|of| of.bytes_read),
        "lookups": lookups,
        "cache_calls": cache_calls,
        "reads": reads,
        "requests": requests,
        "lookups_per_artifact": per(lookups, keys),
        "cache_calls_per_artifact": per(cache_calls, keys),
        "reads_per_artifact": per(reads, keys),
        "requests_per_artifact": per(requests, keys),
    });
    Ok(Accounts { expected, found, figures })
}

/// What was applied against the combiners' events, and against what the prefetchers found of their artifacts.
pub(crate) fn applied(
    stateless: &StatelessManifest,
    prefetched: &PrefetchManifest,
    partitions: &[AppliedPartition],
) -> Result<Accounts, LedgerError> {
    let mut found = ControlTotals::default();
    same(
        || format!("job {}, prefetched against applied", stateless.job),
        "partitions",
        prefetched.partitions.len() as u64,
        partitions.len() as u64,
    )?;
    for ((combined, known), of) in stateless.partitions.iter().zip(&prefetched.partitions).zip(partitions) {
        let boundary =
            || format!("partition {} of job {}, combined against applied", combined.partition, stateless.job);
        same(boundary, "as its number", combined.partition.get().into(), of.partition.get().into())?;
        tie(boundary, &combined.totals_out, &of.totals_in)?;
        tie(boundary, &of.totals_in, &sum([&of.totals_applied, &of.duplicates, &of.conflicts])?)?;
        // What the lines say that stand in the store, against what was counted when they were made.
        same(boundary, "events more than before", of.totals_applied.records(), of.events_added())?;
        found.merge(&of.totals_in)?;
        // An artifact that the index has does not begin anew.
        let unknown = known.keys.saturating_sub(known.found);
        if of.created > unknown {
            return Err(LedgerError::ControlTotalMismatch {
                boundary: format!("partition {} of job {}, prefetched against applied", of.partition, stateless.job),
                difference: format!(
                    "{unknown} artifacts that the index does not have against {} first versions",
                    of.created
                ),
            });
        }
        if of.artifacts() > combined.artifacts || of.created > of.artifacts() {
            return Err(LedgerError::ControlTotalMismatch {
                boundary: boundary(),
                difference: format!(
                    "{} artifacts, {} new versions, {} first ones",
                    combined.artifacts,
                    of.artifacts(),
                    of.created
                ),
            });
        }
    }
    let total = |of: fn(&AppliedPartition) -> u64| partitions.iter().map(of).sum::<u64>();
    let mut figures = json!({
        "artifacts": total(AppliedPartition::artifacts),
        "created": total(|of| of.created),
        "open": total(|of| of.open),
        "reconciled": total(|of| of.reconciled),
        "breaks": total(|of| of.breaks),
        "overlaid": total(|of| of.overlaid),
        "events": total(AppliedPartition::events_added),
        "duplicates": total(|of| of.duplicates.records()),
        "conflicts": total(|of| of.conflicts.records()),
        "part_files": total(|of| of.parts.len() as u64),
        "bytes": total(|of| of.parts.iter().map(|part| part.lines.bytes).sum()),
    });
    // Two, where the functions were deployed anew meanwhile.
    let rules: BTreeSet<_> = partitions.iter().filter_map(|of| of.rule.as_ref()).map(RuleVersion::to_string).collect();
    if let (Value::Object(figures), false) = (&mut figures, rules.is_empty()) {
        figures.insert("rule".to_owned(), rules.into_iter().collect::<Vec<_>>().join(", ").into());
    }
    Ok(Accounts { expected: stateless.totals.clone(), found, figures })
}

/// What `sum` measures said before and what the events of one partition brought, against what the new versions say.
pub(crate) fn sums(job: JobNumber, partition: Partition, differences: &[String]) -> Result<(), LedgerError> {
    if differences.is_empty() {
        return Ok(());
    }
    let boundary = format!("partition {partition} of job {job}, artifacts before and events against artifacts after");
    Err(LedgerError::ControlTotalMismatch { boundary, difference: differences.join("; ") })
}

/// What one partition's part-files hold, as they were read back, against what was counted when they were made.
pub(crate) fn read_back(job: JobNumber, of: &AppliedPartition, artifacts: u64) -> Result<(), LedgerError> {
    let boundary = || format!("partition {} of job {job}, written against read back", of.partition);
    same(boundary, "artifacts", of.artifacts(), artifacts)?;
    same(boundary, "events more than before", of.totals_applied.records(), of.events_added())
}

/// The sum of totals.
pub(crate) fn sum<'a>(totals: impl IntoIterator<Item = &'a ControlTotals>) -> Result<ControlTotals, Overflow> {
    let mut sum = ControlTotals::default();
    totals.into_iter().try_for_each(|totals| sum.merge(totals))?;
    Ok(sum)
}

fn tie(boundary: impl Fn() -> String, left: &ControlTotals, right: &ControlTotals) -> Result<(), LedgerError> {
    match left.differences(right).first() {
        None => Ok(()),
        Some(difference) => {
            Err(LedgerError::ControlTotalMismatch { boundary: boundary(), difference: difference.to_string() })
        }
    }
}

fn same(boundary: impl Fn() -> String, what: &str, left: u64, right: u64) -> Result<(), LedgerError> {
    if left == right {
        return Ok(());
    }
    Err(LedgerError::ControlTotalMismatch {
        boundary: boundary(),
        difference: format!("{left} {what} against {right}"),
    })
}

/// A ratio with three decimals; nothing for nothing.
fn per(count: u64, of: u64) -> String {
    let thousandths = (u128::from(count) * 1000).checked_div(of.into()).unwrap_or_default();
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}
