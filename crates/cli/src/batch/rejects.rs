//! What a job rejected, and what a batch's manifest said: read from the documents that count, never by listing.

use std::collections::BTreeMap;

use ledger::{
    commits::{ApplyManifest, ReducedJob, StatelessManifest, Written},
    event_rule,
    job::Job,
    layout::reduced_key,
    manifest::{LedgerId, PinnedBatch},
    messages::RunInput,
    stage::{Stage, Turn},
};
use money::ControlTotals;
use report::text;
use serde::{Serialize, de::DeserializeOwned};
use storage::{Location, Objects, documents};

use crate::{error::Failure, installation::Names};

/// What a job rejected, as far as it has come.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Rejected {
    /// How many records and events.
    pub(crate) records: u64,
    /// Records that cannot be taken, by rule; events with the id of another, as `event-conflict`.
    pub(crate) by_rule: BTreeMap<String, u64>,
    /// Files with each of them, by their full address: those of records, and those of events with the id of another.
    pub(crate) files: Vec<String>,
}

impl Rejected {
    fn conflicts<'a>(&mut self, conflicts: impl Iterator<Item = &'a ControlTotals>) {
        let events: u64 = conflicts.map(ControlTotals::records).sum();
        if events > 0 {
            *self.by_rule.entry(event_rule::EVENT_CONFLICT.to_owned()).or_default() += events;
        }
    }

    /// What is told of one that may be no longer known.
    pub(crate) fn told(rejected: Option<&Self>) -> Vec<(&'static str, Option<String>)> {
        let gone = "no longer known by rule; the steps below have the counts".to_owned();
        rejected.map_or_else(|| vec![("rejected", Some(gone))], Self::facts)
    }

    /// How many, by rule and where, a line each.
    fn facts(&self) -> Vec<(&'static str, Option<String>)> {
        if self.records == 0 {
            return Vec::new();
        }
        let by_rule: Vec<_> =
            self.by_rule.iter().map(|(rule, records)| format!("{rule} {}", text::count(*records))).collect();
        let told =
            format!("{} records and events of the job, by rule: {}", text::count(self.records), by_rule.join(", "));
        let files = self.files.iter().map(|file| ("rejects", Some(text::visible(file, 2_000))));
        // A mended file sent whole would count what was taken once more.
        let mend = "send these records alone, mended, with --correction".to_owned();
        std::iter::once(("rejected", Some(told))).chain(files).chain([("to mend", Some(mend))]).collect()
    }
}

/// The manifest of a batch, as it was pinned.
pub(crate) async fn pinned(objects: &dyn Objects, bucket: &str, key: &str) -> Result<Option<PinnedBatch>, Failure> {
    read(objects, bucket, key).await
}

/// What a job rejected; `None` where it is no longer known, because the work bucket keeps documents for some days.
pub(crate) async fn of_job(
    objects: &dyn Objects,
    names: &Names,
    ledger: &LedgerId,
    job: &Job,
) -> Result<Option<Rejected>, Failure> {
    let (work, data) = (&names.work_bucket, &names.data_bucket);
    let mut rejected = Rejected::default();
    let mut files: Vec<Written> = Vec::new();
    match read::<ReducedJob>(objects, work, &reduced_key(&RunInput::of(ledger, job))).await? {
        Some(reduced) => {
            rejected.by_rule = reduced.rejected_by_rule;
            files.extend(reduced.rejects);
        }
        None if job.stateless.is_some() => return Ok(None),
        None => {}
    }
    if let Some(commit) = &job.stateless {
        let Some(combined) = read::<StatelessManifest>(objects, work, &commit.manifest).await? else {
            return Ok(None);
        };
        rejected.conflicts(combined.partitions.iter().map(|partition| &partition.conflicts));
        files.extend(combined.partitions.into_iter().filter_map(|partition| partition.rejects));
    }
    if let Turn::Committed(commit) = job.turn(Stage::Apply)
        && let Some(applied) = read::<ApplyManifest>(objects, data, &commit.manifest).await?
    {
        rejected.conflicts(applied.partitions.iter().map(|partition| &partition.conflicts));
        files.extend(applied.partitions.into_iter().filter_map(|partition| partition.rejects));
    }
    rejected.records = rejected.by_rule.values().sum();
    rejected.files = files.into_iter().map(|file| Location::new(data, file.key).to_string()).collect();
    Ok(Some(rejected))
}

async fn read<T: DeserializeOwned>(objects: &dyn Objects, bucket: &str, key: &str) -> Result<Option<T>, Failure> {
    let at = Location::new(bucket, key);
    documents::read(objects, &at).await.map_err(|error| ledger::LedgerError::from(error).into())
}
