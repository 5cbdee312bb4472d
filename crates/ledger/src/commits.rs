//! What the steps of a job commit: small JSON documents that name the objects that count.

use std::collections::BTreeMap;

use money::ControlTotals;
use serde::{Deserialize, Serialize};

use crate::{
    JobNumber, Partition, PartitionBits, RuleVersion, Section,
    manifest::PinnedBatch,
    messages::{EventChunk, PartRef},
    sequence::BatchSequence,
};

/// An object that a step wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The ranges of a job: what job-splitter commits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitJob {
    /// The key of the JSON array of [`EventChunk`].
    pub ranges: String,
    /// How many ranges there are.
    pub count: u64,
    /// The job's batches, by number, as they were pinned.
    pub batches: BTreeMap<BatchSequence, PinnedBatch>,
    /// The header's columns of each object that has one, by batch and then in the manifest's order.
    pub headers: BTreeMap<BatchSequence, Vec<Option<Vec<String>>>>,
}

/// What a reducer commits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReducedRange {
    /// The range.
    pub range: EventChunk,
    /// The object with its events, in the work bucket.
    pub file: Written,
    /// The object's sections; the number of each is its partition.
    pub sections: Vec<Section>,
    /// All records that were read.
    pub totals_in: ControlTotals,
    /// The events in the object.
    pub totals_out: ControlTotals,
    /// How many records were rejected, by the first rule that each breaks.
    pub rejected_by_rule: BTreeMap<String, u64>,
    /// The rejects, in the data bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejects: Option<Written>,
}

/// What each partition is made of, once all ranges tie out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReducedJob {
    /// The key of the JSON array of partitions that hold events.
    pub partitions: String,
    /// How many there are.
    pub count: u64,
    /// The folder with one document of [`PartitionSection`]s for each of them, `<partition>.json`; ends in a slash.
    pub sections: String,
    /// How many ranges there are.
    pub ranges: u64,
    /// The bytes of their objects.
    pub bytes_written: u64,
    /// All records that were read.
    pub totals_in: ControlTotals,
    /// The events that go on.
    pub totals_out: ControlTotals,
    /// How many records were rejected, by rule.
    pub rejected_by_rule: BTreeMap<String, u64>,
    /// The reject files, in the data bucket.
    pub rejects: Vec<Written>,
}

/// One section of one range's object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSection {
    /// The object's key, in the work bucket.
    pub file: String,
    /// The section.
    pub section: Section,
}

/// What a combiner commits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CombinedPartition {
    /// The partition.
    pub partition: Partition,
    /// The stateless artifacts, in the work bucket.
    pub file: Written,
    /// The object's sections: the artifacts, and their keys.
    pub sections: Vec<Section>,
    /// How many artifacts the job touches.
    pub artifacts: u64,
    /// All events that were read.
    pub totals_in: ControlTotals,
    /// The events in the object.
    pub totals_out: ControlTotals,
    /// The duplicates that were dropped.
    pub duplicates: ControlTotals,
    /// The events with the id of an earlier one and different content.
    pub conflicts: ControlTotals,
    /// Which ones, in the data bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejects: Option<Written>,
}

/// The manifest of the stateless half.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatelessManifest {
    /// The job.
    pub job: JobNumber,
    /// How many partitions it is cut into.
    pub partition_bits: PartitionBits,
    /// The key of the JSON array of partitions that hold events.
    pub list: String,
    /// Those partitions, in order.
    pub partitions: Vec<CombinedPartition>,
    /// The events in them.
    pub totals: ControlTotals,
}

/// What a prefetcher commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefetchedPartition {
    /// The partition.
    pub partition: Partition,
    /// What was found, in the work bucket.
    pub file: Written,
    /// How many keys were looked up.
    pub keys: u64,
    /// How many of them the index has.
    pub found: u64,
    /// How many requests that took, each for many keys.
    pub lookups: u64,
    /// How many requests were made to the cache, each for many versions.
    pub cache_calls: u64,
    /// How many versions the cache had.
    pub cached: u64,
    /// How many reads got the others.
    pub reads: u64,
    /// How many bytes those reads have read.
    pub bytes_read: u64,
}

/// The manifest of prefetch: what apply's new versions are looked at against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrefetchManifest {
    /// The job.
    pub job: JobNumber,
    /// The partitions, in order.
    pub partitions: Vec<PrefetchedPartition>,
}

/// A part-file that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartWritten {
    /// The part-file, in the data bucket.
    pub lines: Written,
    /// Its sidecar, in the data bucket.
    pub sidecar: Written,
    /// The event lines that artifacts of this part-file moved out of their own lines, in the data bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Written>,
    /// How many artifacts it holds: the puts that index must confirm.
    pub artifacts: u64,
}

/// What a state engine commits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppliedPartition {
    /// The partition.
    pub partition: Partition,
    /// Its part-files, in order.
    pub parts: Vec<PartWritten>,
    /// New versions that are their artifact's first.
    pub created: u64,
    /// New versions that are open.
    pub open: u64,
    /// New versions that are reconciled.
    pub reconciled: u64,
    /// New versions that are breaks.
    pub breaks: u64,
    /// How many bases came from a job in flight, and not from the prefetcher.
    pub overlaid: u64,
    /// All events that were read.
    pub totals_in: ControlTotals,
    /// The events that were added to artifacts.
    pub totals_applied: ControlTotals,
    /// Events that an artifact had taken before.
    pub duplicates: ControlTotals,
    /// Events with the id of one that the artifact had taken before, and different content.
    pub conflicts: ControlTotals,
    /// Which ones, in the data bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejects: Option<Written>,
    /// The `events` of the versions that the new ones were computed from, as their lines say.
    pub events_before: u64,
    /// The `events` of the new versions, as their lines say in the part-files that stand.
    pub events_after: u64,
    /// The business rule that has judged the new versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleVersion>,
}

impl AppliedPartition {
    /// How many new versions there are.
    pub fn artifacts(&self) -> u64 {
        self.parts.iter().map(|part| part.artifacts).sum()
    }

    /// How many events the new versions hold more than those before them, as their lines say. Fewer come out as a number
    /// that no job has.
    pub const fn events_added(&self) -> u64 {
        self.events_after.wrapping_sub(self.events_before)
    }
}

/// The manifest of apply, in the data bucket: what index puts, and what later jobs overlay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApplyManifest {
    /// The job.
    pub job: JobNumber,
    /// How many partitions it was cut into.
    pub partition_bits: PartitionBits,
    /// The partitions that had events, in order; one whose events were all taken before has no part-files.
    pub partitions: Vec<AppliedPartition>,
}

impl ApplyManifest {
    /// The part-files of a partition of `bits` bits, which may hold keys of other partitions too.
    pub fn parts(&self, partition: Partition, bits: PartitionBits) -> &[PartWritten] {
        let there = partition.at(bits, self.partition_bits);
        let found = self.partitions.iter().find(|applied| Some(applied.partition) == there);
        found.map_or(&[], |applied| &applied.parts)
    }

    /// All part-files, with their places.
    pub fn all(&self) -> impl Iterator<Item = (PartRef, &PartWritten)> {
        self.partitions.iter().flat_map(|applied| {
            let place = |part: u32| PartRef { partition: applied.partition, part };
            (0..).zip(&applied.parts).map(move |(part, written)| (place(part), written))
        })
    }
}
