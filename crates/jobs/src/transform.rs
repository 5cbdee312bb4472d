//! transform-runner: a task → its parts and its report, by the embedded engine.
//!
//! The engine itself is handed in: it takes minutes to build, and nothing else here needs it.

use std::{sync::Arc, time::Duration};

use environment::{ConfigError, function_memory, parsed, text};
use error_class::Classified;
use reconcile::{
    report::{Outcome, Report},
    task::{Task, TaskJob},
};
use serde::{Deserialize, Serialize};
use storage::{Clock, Location, Objects, Tables, documents};
use tracing::info;

use crate::{book::Jobs, error::JobError, layout::execution};

/// What transform-runner is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The table of jobs.
    pub jobs_table: String,
    /// What the engine may use.
    pub room: Room,
}

/// What an engine may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Disk, in bytes.
    pub disk_bytes: u64,
    /// Time.
    pub time: Duration,
}

/// Memory where the runtime does not say how much there is: in a test, or by hand.
const MEMORY_BYTES: u64 = 2 << 30;
/// Of the function's time, in seconds, so much is not the engine's: it begins before, and answers after.
const MARGIN_SECONDS: u64 = 20;

impl Config {
    /// Reads `JOBS_TABLE`, `TRANSFORM_DISK_MIB` and `TRANSFORM_SECONDS`; the memory is the function's.
    pub fn from_env() -> Result<Self, ConfigError> {
        let disk_mebibytes: u64 = parsed("TRANSFORM_DISK_MIB")?;
        let disk_bytes = disk_mebibytes.saturating_mul(1 << 20);
        let memory_bytes = function_memory().unwrap_or(MEMORY_BYTES);
        let seconds: u64 = parsed("TRANSFORM_SECONDS")?;
        let time = Duration::from_secs(seconds.saturating_sub(MARGIN_SECONDS).max(1));
        Ok(Self { jobs_table: text("JOBS_TABLE")?, room: Room { memory_bytes, disk_bytes, time } })
    }
}

/// What transform-runner takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformRequest {
    /// The attempt.
    #[serde(flatten)]
    pub job: TaskJob,
    /// Where its task is.
    pub task: Location,
}

/// What transform-runner answers: figures, which are metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transformed {
    /// Rows of all inputs.
    pub rows_in: u64,
    /// Rows of all outputs.
    pub rows_out: u64,
    /// How long the engine took.
    pub milliseconds: u64,
    /// The most memory that it held.
    pub peak_memory_bytes: u64,
    /// What it wrote to disk because memory was short.
    pub spilled_bytes: u64,
}

/// Runs tasks.
///
/// Running it again, late or twice at once is harmless as far as the engine is: it writes parts under keys that no other run
/// has, and of all reports the first stands.
pub struct TransformRunner {
    objects: Arc<dyn Objects>,
    jobs: Jobs,
    config: Config,
}

impl TransformRunner {
    /// A runner of the tasks in `objects`.
    pub fn new(objects: Arc<dyn Objects>, tables: Arc<dyn Tables>, clock: Arc<dyn Clock>, config: Config) -> Self {
        let jobs = Jobs::new(tables, &config.jobs_table, clock);
        Self { objects, jobs, config }
    }

    /// Handles one task by `engine`. What is wrong with the data stands in the report: output-checker says it.
    pub async fn run<F, E>(
        &self,
        request: TransformRequest,
        engine: impl FnOnce(Task, Arc<dyn Objects>, Room) -> F,
    ) -> Result<Transformed, JobError>
    where
        F: Future<Output = Result<Report, E>>,
        E: Classified,
    {
        self.jobs.live(&request.job).await?;
        let missing = || JobError::StepMissing { what: request.task.to_string(), job: execution(&request.job) };
        let task: Task = documents::read(&*self.objects, &request.task).await?.ok_or_else(missing)?;
        task.check()?;
        let report = engine(task, Arc::clone(&self.objects), self.config.room).await;
        let report =
            report.map_err(|error| JobError::Engine { class: error.class(), message: error_class::chain(&error) })?;
        let mut transformed = Transformed::default();
        if let Outcome::Done(figures) = &report.outcome {
            transformed = Transformed {
                rows_in: figures.inputs.values().map(|input| input.rows).sum(),
                rows_out: figures.outputs.iter().map(|output| output.rows).sum(),
                milliseconds: figures.milliseconds,
                peak_memory_bytes: figures.peak_memory_bytes,
                spilled_bytes: figures.spilled_bytes,
            };
        }
        info!(
            job = execution(&request.job),
            rows_in = transformed.rows_in,
            rows_out = transformed.rows_out,
            milliseconds = transformed.milliseconds,
            failed = matches!(report.outcome, Outcome::Failed { .. }),
            "task run"
        );
        Ok(transformed)
    }
}
