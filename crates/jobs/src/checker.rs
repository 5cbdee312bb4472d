//! output-checker: the engine's report → proof that its parts tie out with it.

use std::{collections::BTreeSet, sync::Arc};

use environment::{ConfigError, text};
use reconcile::{
    plan::PlanOutput,
    report::{Outcome, OutputFigures, Part, Report},
    task::{Task, TaskJob},
};
use storage::{Clock, Location, Objects, Tables, documents};
use tokio::task::JoinSet;
use tracing::info;

use crate::{
    book::Jobs,
    error::JobError,
    layout::{checked_key, execution, task_key},
    manifest::{Checked, output},
    messages::{CheckRequest, CheckedFigures},
    parts::{self, Tally},
};

/// What output-checker is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket of tasks, reports and parts.
    pub work_bucket: String,
    /// The table of jobs.
    pub jobs_table: String,
}

impl Config {
    /// Reads `WORK_BUCKET` and `JOBS_TABLE`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self { work_bucket: text("WORK_BUCKET")?, jobs_table: text("JOBS_TABLE")? })
    }
}

/// Reads an attempt's outputs again, and holds them against what the engine says of them.
///
/// Running it again, late or twice at once is harmless: it reads what nobody overwrites, and the first finding that stands is
/// the attempt's.
pub struct OutputChecker {
    objects: Arc<dyn Objects>,
    jobs: Jobs,
    config: Config,
}

/// Parts read side by side: as many as a large function has processors.
const PARTS_AT_ONCE: usize = 6;

impl OutputChecker {
    /// A checker of what lies in `objects`.
    pub fn new(objects: Arc<dyn Objects>, tables: Arc<dyn Tables>, clock: Arc<dyn Clock>, config: Config) -> Self {
        let jobs = Jobs::new(tables, &config.jobs_table, clock);
        Self { objects, jobs, config }
    }

    /// Handles one report.
    pub async fn check(&self, request: CheckRequest) -> Result<CheckedFigures, JobError> {
        let CheckRequest { job, report } = &request;
        self.jobs.live(job).await?;
        let task: Task = self.document(job, &Location::new(&self.config.work_bucket, task_key(job))).await?;
        let report: Report = self.document(job, report).await?;
        if report.version != Report::VERSION {
            let reason = format!("it has version {}, this is version {}", report.version, Report::VERSION);
            return Err(JobError::Malformed { what: request.report.to_string(), reason });
        }
        let figures = match report.outcome {
            Outcome::Done(figures) => figures,
            Outcome::Failed { failure } => {
                return Err(JobError::Engine { class: failure.class, message: failure.message });
            }
        };
        let mut checked = CheckedFigures::default();
        for output in &task.plan.outputs {
            let said = self::output(&figures, &output.name);
            let said = said.ok_or_else(|| mismatch(output, None, "the engine says nothing of it".to_owned()))?;
            self.output(&task, output, said).await?;
            checked.rows += said.rows;
            checked.parts += said.parts.len() as u64;
            checked.bytes += said.parts.iter().map(|part| part.bytes).sum::<u64>();
        }
        let at = Location::new(&self.config.work_bucket, checked_key(job));
        documents::commit(&*self.objects, &at, Checked { engine: report.engine, figures }).await?;
        info!(
            job = execution(job),
            rows = checked.rows,
            bytes = checked.bytes,
            parts = checked.parts,
            "outputs checked"
        );
        Ok(checked)
    }

    async fn document<T: serde::de::DeserializeOwned>(&self, job: &TaskJob, at: &Location) -> Result<T, JobError> {
        let missing = || JobError::StepMissing { what: at.to_string(), job: execution(job) };
        documents::read(&*self.objects, at).await?.ok_or_else(missing)
    }

    /// Reads the parts of one output, and compares each with what is said of it, and their sum with what is said of all.
    async fn output(&self, task: &Task, output: &PlanOutput, said: &OutputFigures) -> Result<(), JobError> {
        let folder = format!("{}/", task.output.prefix);
        let mut keys = BTreeSet::new();
        for part in &said.parts {
            if !part.key.starts_with(&folder) || !keys.insert(&part.key) {
                let strange = "the engine names it twice, or it is not of this attempt".to_owned();
                return Err(mismatch(output, Some(part), strange));
            }
        }
        let mut whole = Tally::of(&output.columns);
        let (mut waiting, mut reading) = (said.parts.iter(), JoinSet::new());
        loop {
            while reading.len() < PARTS_AT_ONCE
                && let Some(part) = waiting.next()
            {
                reading.spawn(read(self.objects.clone(), task.output.bucket.clone(), output.clone(), part.clone()));
            }
            let Some(tally) = reading.join_next().await else { break };
            whole.merge(&tally??);
        }
        if whole.rows != said.rows {
            return Err(mismatch(output, None, format!("the engine made {} rows, {} are read", said.rows, whole.rows)));
        }
        let totals = whole.totals(&output.columns);
        for column in totals.keys().chain(said.totals.keys()) {
            let (made, read) = (said.totals.get(column), totals.get(column));
            if made != read {
                let text = |sum: Option<&String>| sum.map_or_else(|| "nothing".to_owned(), String::clone);
                let difference = format!("the engine made {column:?} {}, {} is read", text(made), text(read));
                return Err(mismatch(output, None, difference));
            }
        }
        Ok(())
    }
}

/// Reads a part, and compares it with what is said of it. A task of its own: so each processor sums another.
async fn read(objects: Arc<dyn Objects>, bucket: String, output: PlanOutput, part: Part) -> Result<Tally, JobError> {
    let tally = parts::read(&*objects, &bucket, &part, output.format, &output.columns).await?;
    let tally = tally.map_err(|problem| mismatch(&output, Some(&part), problem))?;
    if tally.rows != part.rows {
        let difference = format!("the engine wrote {} rows, {} are read", part.rows, tally.rows);
        return Err(mismatch(&output, Some(&part), difference));
    }
    Ok(tally)
}

fn mismatch(output: &PlanOutput, part: Option<&Part>, difference: String) -> JobError {
    let part = part.map(|part| part.key.clone());
    JobError::ControlTotalMismatch { output: output.name.clone(), part, difference }
}
