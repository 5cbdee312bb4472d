//! index-coordinator: the part-files of a job → work for index workers, until the index names all of its versions.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use environment::{ConfigError, parsed, text};
use money::ControlTotals;
use serde_json::json;
use storage::{Clock, Objects, Tables};
use tracing::info;

use crate::{
    commits::ApplyManifest,
    cursors,
    error::LedgerError,
    job::Job,
    messages::{Done, IndexPlan, IndexReply, IndexRequest, IndexTask, PartRef, RunInput},
    stage::{Claim, Commit, Stage, Turn},
    steps::Figures,
    turns::StageResult,
    workplace::{Workplace, attempt_place},
};

/// What index-coordinator is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket of what steps hand on.
    pub work_bucket: String,
    /// The bucket of part-files.
    pub data_bucket: String,
    /// The table of the book.
    pub ledgers_table: String,
    /// A worker more for each so many artifacts.
    pub artifacts_per_worker: u64,
    /// The most workers.
    pub index_workers_max: u64,
}

impl Config {
    /// Reads `WORK_BUCKET`, `DATA_BUCKET`, `LEDGERS_TABLE`, `ARTIFACTS_PER_WORKER` and `INDEX_WORKERS_MAX`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            work_bucket: text("WORK_BUCKET")?,
            data_bucket: text("DATA_BUCKET")?,
            ledgers_table: text("LEDGERS_TABLE")?,
            artifacts_per_worker: parsed("ARTIFACTS_PER_WORKER")?,
            index_workers_max: parsed("INDEX_WORKERS_MAX")?,
        })
    }
}

/// Plans and commits index.
///
/// Running it again, late or twice at once is harmless: a plan only reads, but for taking up the turn, which one fence
/// does once; part-files that two plans hand out are put twice, and a put that stands is confirmed again. The commit
/// counts the cursors anew, and the first one stands.
pub struct IndexCoordinator {
    workplace: Workplace,
    config: Config,
}

impl IndexCoordinator {
    /// An index coordinator whose manifests are in `objects`.
    pub fn new(objects: Arc<dyn Objects>, tables: Arc<dyn Tables>, clock: Arc<dyn Clock>, config: Config) -> Self {
        let Config { work_bucket, data_bucket, ledgers_table, .. } = &config;
        let workplace = Workplace::new(objects, tables, clock, ledgers_table, work_bucket, data_bucket);
        Self { workplace, config }
    }

    /// Handles one question.
    pub async fn handle(&self, request: IndexRequest) -> Result<IndexReply, LedgerError> {
        match request {
            IndexRequest::Plan { run, fence } => self.plan(&run, fence).await.map(IndexReply::Plan),
            IndexRequest::Commit { run, fence } => self.commit(&run, fence).await.map(IndexReply::Done),
        }
    }

    async fn plan(&self, run: &RunInput, fence: u64) -> Result<IndexPlan, LedgerError> {
        let entered = self.workplace.enter(run).await?;
        let unfinished = match self.workplace.turns.claim(&run.who(), Stage::Index, fence, entered.policy()).await? {
            Claim::Done(_) => Vec::new(),
            Claim::Held => self.unfinished(run, &entered.job).await?,
        };
        let tasks = hand_out(unfinished, self.config.artifacts_per_worker, self.config.index_workers_max);
        let at = self.workplace.work(format!("{}.json", attempt_place(run, Stage::Index.as_str())));
        self.workplace.write(&at, &tasks).await?;
        let count = tasks.len() as u64;
        info!(ledger = %run.ledger, job = %run.job, workers = count, "index planned");
        Ok(IndexPlan { bucket: at.bucket, tasks: at.key, count })
    }

    /// The part-files that have puts which are not confirmed, and how many.
    async fn unfinished(&self, run: &RunInput, job: &Job) -> Result<Vec<(PartRef, u64)>, LedgerError> {
        let manifest = apply_manifest(&self.workplace, run, job).await?;
        let cursors = cursors::of_job(&self.workplace.book, &run.ledger, run.job).await?;
        let left = manifest.all().map(|(part, written)| {
            let confirmed = cursors.get(&part).copied().unwrap_or_default();
            (part, written.artifacts.saturating_sub(confirmed))
        });
        Ok(left.filter(|(_, left)| *left > 0).collect())
    }

    async fn commit(&self, run: &RunInput, fence: u64) -> Result<Done, LedgerError> {
        let entered = self.workplace.enter(run).await?;
        if entered.job.is_committed(Stage::Index) {
            return Ok(Done {});
        }
        let applied = apply_commit(run, &entered.job)?;
        let manifest = apply_manifest(&self.workplace, run, &entered.job).await?;
        let cursors = cursors::of_job(&self.workplace.book, &run.ledger, run.job).await?;
        let (mut expected, mut found) = (ControlTotals::default(), ControlTotals::default());
        let mut parts = 0_u64;
        for (part, written) in manifest.all() {
            parts += 1;
            expected.add_records(written.artifacts)?;
            // One that is beyond its part-file must not make up for another that is behind.
            found.add_records(cursors.get(&part).copied().unwrap_or_default().min(written.artifacts))?;
        }
        let confirmed = found.records();
        let figures = Figures::from_iter([
            ("parts".to_owned(), json!(parts)),
            ("artifacts".to_owned(), json!(expected.records())),
            ("confirmed".to_owned(), json!(confirmed)),
        ]);
        let result = StageResult { manifest: applied.manifest.clone(), expected, found, figures };
        self.workplace.turns.commit(&run.who(), Stage::Index, fence, &result, entered.policy()).await?;
        Ok(Done {})
    }
}

/// The manifest that a job's apply has committed.
pub(crate) async fn apply_manifest(
    workplace: &Workplace,
    run: &RunInput,
    job: &Job,
) -> Result<ApplyManifest, LedgerError> {
    workplace.read(run, &workplace.data(&apply_commit(run, job)?.manifest)).await
}

fn apply_commit<'j>(run: &RunInput, job: &'j Job) -> Result<&'j Commit, LedgerError> {
    match job.turn(Stage::Apply) {
        Turn::Committed(commit) => Ok(commit),
        _ => Err(LedgerError::StepMissing { what: "the commit of apply".to_owned(), job: run.job }),
    }
}

/// Spreads part-files over as many workers as their puts are worth: the largest first, each to whom has the least.
fn hand_out(mut parts: Vec<(PartRef, u64)>, artifacts_per_worker: u64, workers_max: u64) -> Vec<IndexTask> {
    let artifacts = parts.iter().fold(0_u64, |sum, (_, left)| sum.saturating_add(*left));
    let workers = artifacts.div_ceil(artifacts_per_worker.max(1)).clamp(1, workers_max.max(1)).min(parts.len() as u64);
    let mut tasks: Vec<IndexTask> = (0..workers).map(|worker| IndexTask { worker, parts: Vec::new() }).collect();
    let mut loads: BinaryHeap<Reverse<(u64, usize)>> = (0..tasks.len()).map(|worker| Reverse((0, worker))).collect();
    parts.sort_unstable_by_key(|(part, left)| (Reverse(*left), *part));
    for (part, left) in parts {
        let Some(mut least) = loads.peek_mut() else { break };
        let Reverse((load, worker)) = *least;
        *least = Reverse((load.saturating_add(left), worker));
        tasks.get_mut(worker).into_iter().for_each(|task| task.parts.push(part));
    }
    tasks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Partition;

    fn part(number: usize) -> PartRef {
        PartRef { partition: Partition::new(number as u32), part: 0 }
    }

    proptest! {
        /// Every part-file is handed out once, to no more workers than there may be, and none has much more to do than
        /// another: no more than one part-file.
        #[test]
        fn part_files_are_handed_out_once_and_evenly(
            sizes in proptest::collection::vec(1..1_000_u64, 0..60),
            per_worker in 0..2_000_u64,
            workers_max in 0..9_u64,
        ) {
            let parts: Vec<_> = sizes.iter().enumerate().map(|(number, left)| (part(number), *left)).collect();
            let tasks = hand_out(parts, per_worker, workers_max);
            prop_assert_eq!(tasks.is_empty(), sizes.is_empty());
            prop_assert!(tasks.len() as u64 <= workers_max.max(1));
            let artifacts: u64 = sizes.iter().sum();
            prop_assert!(tasks.len() as u64 <= artifacts.div_ceil(per_worker.max(1)));
            let load = |task: &IndexTask| task.parts.iter().map(|part| sizes[part.partition.get() as usize]).sum::<u64>();
            let loads: Vec<u64> = tasks.iter().map(load).collect();
            if let (Some(most), Some(least)) = (loads.iter().max(), loads.iter().min()) {
                prop_assert!(*least > 0 && most - least <= sizes.iter().copied().max().unwrap_or(0));
            }
            let mut seen: Vec<_> = tasks.iter().flat_map(|task| &task.parts).map(|part| part.partition.get() as usize).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..sizes.len()).collect::<Vec<_>>());
            prop_assert!(tasks.iter().enumerate().all(|(number, task)| task.worker == number as u64));
        }
    }
}
