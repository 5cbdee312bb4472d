//! job-planner: an attempt at a job → its task, and the engine that runs it.

use std::{collections::BTreeMap, sync::Arc};

use environment::{ConfigError, parsed, text};
use reconcile::{
    EngineChoice, Job,
    report::Engine,
    task::{Output, Task, TaskJob},
};
use serde_json::{json, value::RawValue};
use storage::{Clock, Location, Objects, Tables, documents};
use tracing::info;

use crate::{
    book::{JobRecord, Jobs, Reason},
    closer,
    error::JobError,
    estimate::{self, Bounds},
    inputs::Finder,
    layout::{document_key, engine_prefix, execution, task_key},
    messages::{Caught, Chosen, PlanRequest},
};

/// What job-planner is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket of documents and inputs.
    pub data_bucket: String,
    /// The bucket of tasks and of what engines write.
    pub work_bucket: String,
    /// The table of jobs.
    pub jobs_table: String,
    /// The table of feeds.
    pub feeds_table: String,
    /// The table of ledgers.
    pub ledgers_table: String,
    /// What the embedded engine has.
    pub bounds: Bounds,
    /// Whether there is a distributed engine.
    pub spark: bool,
}

impl Config {
    /// Reads `DATA_BUCKET`, `WORK_BUCKET`, `JOBS_TABLE`, `FEEDS_TABLE`, `LEDGERS_TABLE`, `TRANSFORM_MEMORY_MIB`,
    /// `TRANSFORM_DISK_MIB`, `TRANSFORM_SECONDS` and `SPARK_ENGINE` (`on` or `off`).
    pub fn from_env() -> Result<Self, ConfigError> {
        let mebibytes = |name| parsed::<u64>(name).map(|number| number.saturating_mul(1 << 20));
        Ok(Self {
            data_bucket: text("DATA_BUCKET")?,
            work_bucket: text("WORK_BUCKET")?,
            jobs_table: text("JOBS_TABLE")?,
            feeds_table: text("FEEDS_TABLE")?,
            ledgers_table: text("LEDGERS_TABLE")?,
            bounds: Bounds {
                memory_bytes: mebibytes("TRANSFORM_MEMORY_MIB")?,
                disk_bytes: mebibytes("TRANSFORM_DISK_MIB")?,
                seconds: parsed("TRANSFORM_SECONDS")?,
            },
            spark: text("SPARK_ENGINE")? == "on",
        })
    }
}

/// How much a row tells of why an engine gave up.
const WHY_CHARS_MAX: usize = 500;

/// Plans an attempt: everything that can be wrong with the job is said here, before any data is read.
///
/// Running it again, late or twice at once is harmless: the first task that stands is the attempt's, with the versions of
/// the inputs that it pinned; the others follow it. That the other engine takes over is told once.
pub struct JobPlanner {
    objects: Arc<dyn Objects>,
    tables: Arc<dyn Tables>,
    jobs: Jobs,
    config: Config,
}

impl JobPlanner {
    /// A planner of the documents in `objects` and the feeds in `tables`.
    pub fn new(objects: Arc<dyn Objects>, tables: Arc<dyn Tables>, clock: Arc<dyn Clock>, config: Config) -> Self {
        let jobs = Jobs::new(tables.clone(), &config.jobs_table, clock);
        Self { objects, tables, jobs, config }
    }

    /// Handles one attempt.
    pub async fn plan(&self, request: PlanRequest) -> Result<Chosen, JobError> {
        let PlanRequest { job: attempt, failure } = &request;
        let record = self.jobs.live(attempt).await?;
        let job = self.document(attempt).await?;
        let at = Location::new(&self.config.work_bucket, task_key(attempt));
        let task = match documents::read::<Task>(&*self.objects, &at).await? {
            Some(standing) => standing,
            None => {
                let (task, warnings) = self.task(&job, attempt).await?;
                // Before the task stands: after that nobody plans, and learns of them, again.
                self.jobs.set_while_running(attempt, json!({ "warnings": warnings })).await?;
                documents::commit(&*self.objects, &at, task).await?
            }
        };
        task.check()?;
        let (engine, why) = match failure {
            None => self.choose(&job, &task, attempt).await?,
            Some(failure) => self.hand_over(&record, failure).await?,
        };
        let objects = task.inputs.values().flat_map(|input| &input.objects);
        let (bytes, count) = objects.fold((0, 0), |(bytes, count), object| (bytes + object.bytes, count + 1));
        info!(job = execution(attempt), engine = engine.as_str(), why, bytes, objects = count, "job planned");
        Ok(Chosen {
            engine,
            spark: self.config.spark && job.options.engine != EngineChoice::Embedded,
            task_uri: at.to_string(),
            task: at,
            report: Location::new(&task.output.bucket, task.output.report_key()),
            bytes,
            objects: count,
        })
    }

    async fn choose(&self, job: &Job, task: &Task, attempt: &TaskJob) -> Result<(Engine, String), JobError> {
        let estimate = estimate::estimate(&task.plan, &task.inputs);
        let (engine, why) = estimate::choose(job.options.engine, estimate, self.config.bounds, self.config.spark)?;
        let ledgers = task.inputs.iter().filter_map(|(name, input)| Some((name, input.ledger.as_ref()?)));
        let ledgers: BTreeMap<_, _> = ledgers.collect();
        let known = json!({
            "engine": engine,
            "engine_why": format!("planned for {engine}: {why}"),
            "engine_since": self.jobs.now(),
            "ledgers": ledgers,
        });
        self.jobs.set_while_running(attempt, known).await?;
        Ok((engine, why))
    }

    /// The task is too much for the embedded engine, and goes to the other one.
    async fn hand_over(&self, record: &JobRecord, failure: &Caught) -> Result<(Engine, String), JobError> {
        if !self.config.spark {
            return Err(JobError::NoSpark);
        }
        let engine = Engine::Spark;
        let planned = record.engine_why.clone().unwrap_or_default();
        // A call that is made again has told it already.
        if record.given_up_milliseconds.is_some() {
            return Ok((engine, planned));
        }
        let now = self.jobs.now();
        let milliseconds = record.engine_since.map_or(0, |since| now.duration_since(since).as_millis());
        let Reason { class, message } = closer::told(failure);
        let message: String = message.chars().take(WHY_CHARS_MAX).collect();
        let why = format!("{planned}; {engine} took over after {milliseconds} ms ({class}: {message})");
        let known = json!({
            "engine": engine,
            "engine_why": why,
            "engine_since": now,
            "given_up_milliseconds": u64::try_from(milliseconds).unwrap_or(0),
        });
        self.jobs.set_while_running(&record.current(), known).await?;
        Ok((engine, why))
    }

    async fn document(&self, job: &TaskJob) -> Result<Job, JobError> {
        let at = Location::new(&self.config.data_bucket, document_key(&job.tenant, &job.job));
        let document: Option<Box<RawValue>> = documents::read(&*self.objects, &at).await?;
        let missing = || JobError::StepMissing { what: at.to_string(), job: execution(job) };
        Ok(Job::from_json(document.ok_or_else(missing)?.get())?)
    }

    async fn task(&self, job: &Job, attempt: &TaskJob) -> Result<(Task, Vec<String>), JobError> {
        let finder = Finder {
            objects: &self.objects,
            tables: &self.tables,
            feeds_table: &self.config.feeds_table,
            ledgers_table: &self.config.ledgers_table,
            bucket: &self.config.data_bucket,
            tenant: &attempt.tenant,
        };
        let inputs = finder.find(job).await?;
        let planned = job.plan(&inputs.found)?;
        let output = Output { bucket: self.config.work_bucket.clone(), prefix: engine_prefix(attempt) };
        let task =
            Task { version: Task::VERSION, job: attempt.clone(), plan: planned.plan, inputs: inputs.pinned, output };
        Ok((task, told([planned.warnings, inputs.warnings].concat())))
    }
}

/// The most bytes of warnings: they stand in the job's row.
const WARNINGS_BYTES_TOLD: usize = 64 * 1024;

/// As many warnings as there is room for, and how many more there are.
fn told(mut warnings: Vec<String>) -> Vec<String> {
    let mut bytes = 0;
    let fits = |warning: &String| {
        bytes += warning.len();
        bytes <= WARNINGS_BYTES_TOLD
    };
    let told = warnings.iter().map(fits).take_while(|fits| *fits).count();
    let more = warnings.split_off(told).len();
    warnings.extend((more > 0).then(|| format!("{more} more warnings")));
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row has 400 KiB at most.
    #[test]
    fn a_row_has_room_for_the_warnings() {
        let warnings: Vec<String> = (0..1_000).map(|number| format!("{number}: {}", "x".repeat(1_000))).collect();
        let known = told(warnings.clone());
        assert!(known.iter().map(String::len).sum::<usize>() <= WARNINGS_BYTES_TOLD + 20);
        assert_eq!(known.last().unwrap(), &format!("{} more warnings", 1_000 - (known.len() - 1)));
        assert_eq!(told(warnings[..9].to_vec()), warnings[..9]);
    }
}
