//! state-engine: one partition of a job, merged with what its artifacts were → part-files.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use environment::{ConfigError, parsed, text};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use storage::{Clock, Objects, Tables};
use tracing::info;

use crate::{
    Corrupt, JobNumber, Partition,
    applied::Applied,
    apply::{Apply, ApplyJob},
    combine::Stateless,
    commits::{AppliedPartition, ApplyManifest, CombinedPartition, PartWritten, PrefetchedPartition, Written},
    error::LedgerError,
    job::Job,
    layout::{combined_key, partition_key},
    messages::{Done, PartitionRequest, RunInput},
    overlay::Overlay,
    part_file::{PartBytes, Sidecar},
    parts::Parts,
    read_back::ReadBack,
    side_lines::SIDE_BYTES_MAX,
    stage::{Stage, Turn},
    ties_out,
    workplace::{Entered, Workplace, attempt_place},
};

/// What state-engine is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket of what steps hand on.
    pub work_bucket: String,
    /// The bucket of part-files.
    pub data_bucket: String,
    /// The table of the book.
    pub ledgers_table: String,
    /// A part-file ends with the first artifact that brings it to so many bytes.
    pub part_bytes_max: usize,
}

impl Config {
    /// Reads `WORK_BUCKET`, `DATA_BUCKET`, `LEDGERS_TABLE` and `PART_BYTES_MAX`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            work_bucket: text("WORK_BUCKET")?,
            data_bucket: text("DATA_BUCKET")?,
            ledgers_table: text("LEDGERS_TABLE")?,
            part_bytes_max: parsed("PART_BYTES_MAX")?,
        })
    }
}

/// Objects of overlays read at once.
const READS_AT_ONCE: usize = 8;

/// Makes the new versions of one partition's artifacts.
///
/// Running it again, late or twice at once is harmless: it is a function of what is committed, each attempt writes under
/// a path of its own, and the first commit counts, for ever. One that comes so late that the job has been indexed finds
/// its own work in the index, and stops.
pub struct StateEngine {
    workplace: Workplace,
    part_bytes_max: usize,
}

/// What a job between the snapshot and this one has written of a partition, as it was read.
struct OverlayBytes {
    job: JobNumber,
    /// Sidecars and part-files.
    parts: Vec<(Bytes, Bytes)>,
}

impl StateEngine {
    /// A state engine that reads and writes `objects`.
    pub fn new(objects: Arc<dyn Objects>, tables: Arc<dyn Tables>, clock: Arc<dyn Clock>, config: Config) -> Self {
        let Config { work_bucket, data_bucket, ledgers_table, part_bytes_max } = &config;
        Self {
            workplace: Workplace::new(objects, tables, clock, ledgers_table, work_bucket, data_bucket),
            part_bytes_max: *part_bytes_max,
        }
    }

    /// Holds at most so many bytes of files at once, whatever memory there is.
    pub const fn holding(mut self, bytes_max: u64) -> Self {
        self.workplace.held_bytes_max = bytes_max;
        self
    }

    /// Handles one partition.
    pub async fn apply(&self, request: PartitionRequest) -> Result<Done, LedgerError> {
        let PartitionRequest { run, partition } = &request;
        let entered = self.workplace.enter(run).await?;
        let at = self.workplace.data(partition_key(&run.ledger, run.job, Stage::Apply, *partition));
        if entered.job.is_committed(Stage::Apply) || self.workplace.find::<AppliedPartition>(&at).await?.is_some() {
            return Ok(Done {});
        }
        let applied = self.make(run, *partition, &entered).await?;
        let artifacts = applied.artifacts();
        let AppliedPartition { created, overlaid, .. } = applied;
        self.workplace.commit(&at, applied).await?;
        info!(ledger = %run.ledger, job = %run.job, %partition, artifacts, created, overlaid, "partition applied");
        Ok(Done {})
    }

    async fn make(
        &self,
        run: &RunInput,
        partition: Partition,
        entered: &Entered,
    ) -> Result<AppliedPartition, LedgerError> {
        let workplace = &self.workplace;
        let combined: CombinedPartition =
            workplace.read(run, &workplace.work(combined_key(&run.ledger, run.job, partition))).await?;
        let prefetched_at = workplace.work(partition_key(&run.ledger, run.job, Stage::Prefetch, partition));
        let prefetched: PrefetchedPartition = workplace.read(run, &prefetched_at).await?;
        // What is made is held twice: as it is made, and as it is written or read back.
        let made = 2 * (self.part_bytes_max + SIDE_BYTES_MAX) as u64;
        let held = combined.file.bytes.saturating_add(prefetched.file.bytes).saturating_add(made);
        workplace.room(run, partition, [held])?;
        let (stateless_at, versions_at) = (workplace.work(&combined.file.key), workplace.work(&prefetched.file.key));
        let (stateless_bytes, versions) = futures::try_join!(
            workplace.written(&stateless_at, combined.file.bytes),
            workplace.written(&versions_at, prefetched.file.bytes)
        )?;
        let corrupt = |source| LedgerError::File { file: stateless_at.to_string(), source };
        let stateless = Stateless::open(&stateless_bytes).map_err(corrupt)?;
        let overlays = self.overlays(run, partition, &entered.job, &stateless, held).await?;

        let folder = attempt_place(run, &format!("{}/{}", Stage::Apply, partition.padded()));
        let told = ApplyJob {
            batches: run.batches,
            snapshot: snapshot(run, &entered.job)?,
            bits: run.partition_bits,
            partition,
            folder: &folder,
            part_bytes_max: self.part_bytes_max,
        };
        let parts: Vec<Vec<PartBytes<'_>>> = overlays
            .iter()
            .map(|overlay| overlay.parts.iter().map(|(sidecar, lines)| PartBytes { sidecar, lines }).collect())
            .collect();
        let overlays: Vec<Overlay<'_>> =
            overlays.iter().zip(&parts).map(|(overlay, parts)| Overlay { job: overlay.job, parts }).collect();
        let mut apply = Apply::new(&entered.ledger, told, &stateless, &versions, &overlays)?;
        let pulse = workplace.pulse(run, entered.policy());
        let mut parts = Parts::new(workplace, &entered.ledger, run, partition);
        let made = async {
            while let Some(piece) = apply.next_piece()? {
                parts.write(piece).await?;
                pulse.beat().await?;
            }
            Ok::<_, LedgerError>(())
        };
        let made = made.await;
        let (written, read_back) = parts.end(made).await?;
        let applied = apply.finish()?;
        let step = format!("{}-{}", Stage::Apply, partition.padded());
        ties_out::sums(run.job, partition, &applied.sums.differences(&entered.ledger, &read_back.sums))?;
        let rejects = workplace.put_conflicts(run, &step, &applied.rejected).await?;
        let rule = entered.ledger.rule_version();
        let applied = AppliedPartition { rule, ..committed(partition, written, rejects, applied, &read_back) };
        ties_out::read_back(run.job, &applied, read_back.artifacts)?;
        Ok(applied)
    }

    /// What every job between the snapshot and this one that is not void has written of the partition's keys. All of
    /// them have committed apply, or this one's turn would not have come.
    async fn overlays(
        &self,
        run: &RunInput,
        partition: Partition,
        job: &Job,
        stateless: &Stateless<'_>,
        held: u64,
    ) -> Result<Vec<OverlayBytes>, LedgerError> {
        let held = AtomicU64::new(held);
        let room = &|bytes: u64| {
            let before = held.fetch_add(bytes, Ordering::Relaxed);
            self.workplace.room(run, partition, [before, bytes])
        };
        let mut overlays = Vec::new();
        for between in self.workplace.book.jobs_between(&run.ledger, snapshot(run, job)?, job).await? {
            if between.is_void() {
                continue;
            }
            let number = between.number();
            let Turn::Committed(commit) = between.turn(Stage::Apply) else {
                return Err(LedgerError::StepMissing { what: format!("apply of job {number}"), job: run.job });
            };
            let manifest: ApplyManifest = self.workplace.read(run, &self.workplace.data(&commit.manifest)).await?;
            if partition.at(run.partition_bits, manifest.partition_bits).is_none() {
                let what = format!("job {number} in at most {} partition bits", run.partition_bits);
                return Err(LedgerError::StepMissing { what, job: run.job });
            }
            let parts = manifest.parts(partition, run.partition_bits).iter();
            let parts: Vec<_> = parts.map(|part| self.overlay_part(part, stateless, room).boxed()).collect();
            let parts = stream::iter(parts).buffered(READS_AT_ONCE).try_collect().await?;
            overlays.push(OverlayBytes { job: number, parts });
        }
        Ok(overlays)
    }

    /// A part-file's sidecar, and its lines where one of them is of a key that is to be merged. `room` is asked before
    /// so many bytes more are held.
    async fn overlay_part(
        &self,
        part: &PartWritten,
        stateless: &Stateless<'_>,
        room: &(impl Fn(u64) -> Result<(), LedgerError> + Sync),
    ) -> Result<(Bytes, Bytes), LedgerError> {
        room(part.sidecar.bytes)?;
        let at = self.workplace.data(&part.sidecar.key);
        let sidecar = self.workplace.written(&at, part.sidecar.bytes).await?;
        let corrupt = |source| LedgerError::File { file: at.to_string(), source };
        if !touches(&sidecar, stateless).map_err(corrupt)? {
            return Ok((sidecar, Bytes::new()));
        }
        room(part.lines.bytes)?;
        let lines = self.workplace.written(&self.workplace.data(&part.lines.key), part.lines.bytes).await?;
        Ok((sidecar, lines))
    }
}

/// Whether a sidecar names one of the keys. Both are in order.
fn touches(sidecar: &[u8], stateless: &Stateless<'_>) -> Result<bool, Corrupt> {
    let mut keys = stateless.keys();
    let mut key = keys.next().transpose()?;
    for entry in Sidecar::open(sidecar)? {
        let entry = entry?;
        while key.is_some_and(|key| key < entry.key) {
            key = keys.next().transpose()?;
        }
        if key == Some(entry.key) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn snapshot(run: &RunInput, job: &Job) -> Result<JobNumber, LedgerError> {
    let missing = || LedgerError::StepMissing { what: "the grant of prefetch".to_owned(), job: run.job };
    job.snapshot.ok_or_else(missing)
}

fn committed(
    partition: Partition,
    parts: Vec<PartWritten>,
    rejects: Option<Written>,
    applied: Applied,
    read_back: &ReadBack<'_>,
) -> AppliedPartition {
    let Applied { created, open, reconciled, breaks, overlaid, .. } = applied;
    let Applied { totals_in, totals_applied, duplicates, conflicts, events_before, .. } = applied;
    AppliedPartition {
        partition,
        parts,
        created,
        open,
        reconciled,
        breaks,
        overlaid,
        totals_in,
        totals_applied,
        duplicates,
        conflicts,
        rejects,
        events_before,
        events_after: read_back.events,
        rule: None,
    }
}
