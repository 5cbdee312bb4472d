//! stage-coordinator: begins and ends what many workers do at once.

use std::sync::Arc;

use storage::{Clock, Objects, Tables};
use tracing::info;

use crate::{
    LedgerError, Partition,
    commits::{
        AppliedPartition, ApplyManifest, CombinedPartition, PrefetchManifest, PrefetchedPartition, ReducedJob,
        SplitJob, StatelessManifest,
    },
    figures,
    job::Job,
    layout::{attempt, combined_key, job_folder, partition_key, reduced_key, split_key},
    messages::{Done, Partitions, RunInput, StageReply, StageRequest},
    ranges::Ranges,
    stage::{Claim, Preparation, Stage, Turn},
    ties_out,
    turns::StageResult,
    workplace::{Entered, Workplace, attempt_place},
};

/// What stage-coordinator is configured by.
pub use crate::workplace::Places as Config;

/// Begins and ends stages: says which partitions there are to go through, checks that what came out is what went in,
/// and commits.
///
/// Running it again, late or twice at once is harmless: what it sums up is committed and does not change, of several
/// documents the first counts, and a commit in the book is one transaction that happens once, for the current attempt
/// and fence.
pub struct StageCoordinator {
    workplace: Workplace,
}

impl StageCoordinator {
    /// A stage-coordinator that reads and writes `objects` and keeps its book in `tables`.
    pub fn new(objects: Arc<dyn Objects>, tables: Arc<dyn Tables>, clock: Arc<dyn Clock>, config: &Config) -> Self {
        Self { workplace: Workplace::at(objects, tables, clock, config) }
    }

    /// Holds at most so many bytes at once, whatever memory there is.
    pub const fn holding(mut self, bytes_max: u64) -> Self {
        self.workplace.held_bytes_max = bytes_max;
        self
    }

    /// Handles what a state asks.
    pub async fn handle(&self, request: StageRequest) -> Result<StageReply, LedgerError> {
        match request {
            StageRequest::CheckReduced { run } => self.check_reduced(&run).await.map(StageReply::Partitions),
            StageRequest::CommitStateless { run } => self.commit_stateless(&run).await.map(StageReply::Done),
            StageRequest::Begin { run, stage, fence } => {
                self.begin(&run, stage, fence).await.map(StageReply::Partitions)
            }
            StageRequest::Commit { run, stage, fence } => self.commit(&run, stage, fence).await,
        }
    }

    async fn check_reduced(&self, run: &RunInput) -> Result<Partitions, LedgerError> {
        let entered = self.workplace.enter(run).await?;
        let at = self.workplace.work(reduced_key(run));
        let reduced: ReducedJob = match self.workplace.find(&at).await? {
            Some(reduced) => reduced,
            None => {
                let reduced = self.sum_ranges(run, &entered).await?;
                self.workplace.commit(&at, reduced).await?
            }
        };
        let figures = figures::reduced(&reduced);
        self.workplace.turns.prepared(&run.who(), Preparation::Reduce, &figures, entered.policy()).await?;
        Ok(self.partitions(reduced.partitions, reduced.count))
    }

    /// Whether all ranges tie out with the ranges that were cut, and all batches with their manifests; and what each
    /// partition is made of.
    async fn sum_ranges(&self, run: &RunInput, entered: &Entered) -> Result<ReducedJob, LedgerError> {
        let workplace = &self.workplace;
        let pulse = workplace.pulse(run, entered.policy());
        let split: SplitJob = workplace.read(run, &workplace.work(split_key(run))).await?;
        let ranges = Ranges::read(workplace, run, &split, &pulse).await?;
        let reasons = ranges.totals.untrue_batches(&split);
        if !reasons.is_empty() {
            return Err(workplace.refuse(run, reasons).await);
        }
        let folder = format!("{}/", attempt_place(run, "reduced"));
        let partitions = ranges.partitions();
        let list = workplace.work(format!("{folder}partitions.json"));
        workplace.write(&list, &partitions).await?;
        ranges.write(workplace, &folder).await?;
        let count = ranges.count();
        let Ranges { totals, rejects, bytes_written, .. } = ranges;
        let (totals_in, totals_out) = (totals.totals_in()?, totals.totals_out?);
        info!(
            ledger = %run.ledger,
            job = %run.job,
            ranges = count,
            partitions = partitions.len(),
            records = totals_in.records(),
            events = totals_out.records(),
            "ranges tie out"
        );
        Ok(ReducedJob {
            partitions: list.key,
            count: partitions.len() as u64,
            sections: folder,
            ranges: count,
            bytes_written,
            totals_in,
            totals_out,
            rejected_by_rule: totals.rejected_by_rule,
            rejects,
        })
    }

    async fn commit_stateless(&self, run: &RunInput) -> Result<Done, LedgerError> {
        let Entered { ledger, job } = self.workplace.look(run).await?;
        if job.stateless.is_some() {
            return Ok(Done {});
        }
        let workplace = &self.workplace;
        let policy = &ledger.definition().policy;
        workplace.turns.renew(&run.who(), policy).await?;
        let reduced: ReducedJob = workplace.read(run, &workplace.work(reduced_key(run))).await?;
        let list: Vec<Partition> = workplace.read(run, &workplace.work(&reduced.partitions)).await?;
        let at = list.iter().map(|partition| workplace.work(combined_key(run, *partition)));
        let partitions: Vec<CombinedPartition> = workplace.read_each(run, at.collect()).await?;

        let at = workplace.work(manifest_key(run, "stateless"));
        let accounts = ties_out::combined(&job, &reduced, &list, &partitions)?;
        let manifest = StatelessManifest {
            job: run.job,
            partition_bits: run.partition_bits,
            list: reduced.partitions,
            totals: ties_out::sum(partitions.iter().map(|partition| &partition.totals_out))?,
            partitions,
        };
        workplace.write(&at, &manifest).await?;
        workplace.turns.commit_stateless(&run.who(), &accounts.result(at.key), policy).await?;
        Ok(Done {})
    }

    async fn begin(&self, run: &RunInput, stage: Stage, fence: u64) -> Result<Partitions, LedgerError> {
        if stage == Stage::Index {
            return Err(LedgerError::NotCoordinated(stage));
        }
        let Entered { ledger, job } = self.workplace.look(run).await?;
        // Where the stage is done, the workers find that it is, and the commit does.
        self.workplace.turns.claim(&run.who(), stage, fence, &ledger.definition().policy).await?;
        let stateless = self.stateless(run, &job).await?;
        Ok(self.partitions(stateless.list, stateless.partitions.len() as u64))
    }

    async fn commit(&self, run: &RunInput, stage: Stage, fence: u64) -> Result<StageReply, LedgerError> {
        let Entered { ledger, job } = self.workplace.look(run).await?;
        if matches!(job.turn(stage), Turn::Committed(_)) {
            return Ok(StageReply::Done(Done {}));
        }
        let policy = &ledger.definition().policy;
        self.workplace.turns.renew(&run.who(), policy).await?;
        let result = match stage {
            Stage::Prefetch => self.prefetched(run, &job).await?,
            Stage::Apply => self.applied(run, &job).await?,
            Stage::Index => return Err(LedgerError::NotCoordinated(stage)),
        };
        let committed = self.workplace.turns.commit(&run.who(), stage, fence, &result, policy).await?;
        Ok(match (stage, committed) {
            // Once a job: who comes later has made requests that another has told of.
            (Stage::Prefetch, Claim::Held) => StageReply::Prefetched(figures::requests(&result.figures)),
            _ => StageReply::Done(Done {}),
        })
    }

    async fn prefetched(&self, run: &RunInput, job: &Job) -> Result<StageResult, LedgerError> {
        let workplace = &self.workplace;
        let stateless = self.stateless(run, job).await?;
        let key = |of: &CombinedPartition| partition_key(run, Stage::Prefetch, of.partition);
        let at = stateless.partitions.iter().map(|of| workplace.work(key(of)));
        let partitions: Vec<PrefetchedPartition> = workplace.read_each(run, at.collect()).await?;
        let at = workplace.work(manifest_key(run, Stage::Prefetch.as_str()));
        let accounts = ties_out::prefetched(&stateless, &partitions)?;
        workplace.write(&at, &PrefetchManifest { job: run.job, partitions }).await?;
        Ok(accounts.result(at.key))
    }

    async fn applied(&self, run: &RunInput, job: &Job) -> Result<StageResult, LedgerError> {
        let workplace = &self.workplace;
        let stateless = self.stateless(run, job).await?;
        let key = |of: &CombinedPartition| partition_key(run, Stage::Apply, of.partition);
        let at = stateless.partitions.iter().map(|of| workplace.data(key(of)));
        let partitions: Vec<AppliedPartition> = workplace.read_each(run, at.collect()).await?;
        let at = workplace.data(manifest_key(run, Stage::Apply.as_str()));
        let missing = || LedgerError::StepMissing { what: "the commit of prefetch".to_owned(), job: run.job };
        let Turn::Committed(prefetch) = job.turn(Stage::Prefetch) else { return Err(missing()) };
        let prefetched: PrefetchManifest = workplace.read(run, &workplace.work(&prefetch.manifest)).await?;
        let accounts = ties_out::applied(&stateless, &prefetched, &partitions)?;
        let manifest = ApplyManifest { job: run.job, partition_bits: run.partition_bits, partitions };
        workplace.write(&at, &manifest).await?;
        Ok(accounts.result(at.key))
    }

    async fn stateless(&self, run: &RunInput, job: &Job) -> Result<StatelessManifest, LedgerError> {
        let missing =
            || LedgerError::StepMissing { what: "the manifest of the stateless half".to_owned(), job: run.job };
        let commit = job.stateless.as_ref().ok_or_else(missing)?;
        self.workplace.read(run, &self.workplace.work(&commit.manifest)).await
    }

    fn partitions(&self, partitions: String, count: u64) -> Partitions {
        let at = self.workplace.work(partitions);
        Partitions { bucket: at.bucket, partitions: at.key, count }
    }
}

/// The key of the document that says what a partition is made of; `folder` is that of [`ReducedJob::sections`].
pub(crate) fn sections_key(folder: &str, partition: Partition) -> String {
    format!("{folder}{}.json", partition.padded())
}

/// A key for the manifest of a stage, never used again.
fn manifest_key(run: &RunInput, stage: &str) -> String {
    format!("{}/{stage}-{}.json", job_folder(run), attempt())
}
