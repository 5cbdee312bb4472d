//! Runs a task.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use datafusion_common::{DataFusionError, Result, config::SpillCompression};
use datafusion_execution::{
    TaskContext,
    config::SessionConfig,
    disk_manager::{DiskManager, DiskManagerMode},
    runtime_env::RuntimeEnvBuilder,
};
use datafusion_physical_plan::{ExecutionPlan, ExecutionPlanProperties, metrics::ExecutionPlanMetricsSet};
use futures::TryStreamExt;
use reconcile::{
    plan::{Body, RelationId},
    report::{Engine, Failure, Figures, InputFigures, Outcome, OutputFigures, Report, StepFigures},
    task::{Task, TaskFormat},
};
use storage::objects::{Location, Objects, Put, PutOptions, read_all};
use tokio::task::JoinSet;

use crate::{
    fault::{EngineError, Root, is_of_step, root},
    figures::{self, Counter, Pool},
    output::Outputs,
    relations::{Relations, results, shared},
    scan::{BLOCKS_AT_ONCE, Source, scan},
    spool::Spool,
};

/// What a worker has.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The memory of the process.
    pub memory_bytes: u64,
    /// The room on disk for what does not fit into memory.
    pub disk_bytes: u64,
    /// Where that is; the system's folder for temporary files unless said otherwise.
    pub disk: Option<PathBuf>,
    /// How long a run may take; none where nobody waits for it.
    pub time: Option<Duration>,
    /// How many rows of work go side by side.
    pub threads: usize,
    /// How many rows go from one operator to the next at once.
    pub batch_rows: usize,
    /// A part of CSV or JSON lines is ended at or behind this many bytes.
    pub part_bytes: u64,
}

impl Limits {
    /// A worker of that memory and disk, with a thread for each processor.
    pub fn new(memory_bytes: u64, disk_bytes: u64) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // Fewer in little memory, where a sort has to hold a batch of each of its runs.
        let batch_rows = usize::try_from(memory_bytes >> 17).unwrap_or(usize::MAX).clamp(1024, 8192);
        Self { memory_bytes, disk_bytes, disk: None, time: None, threads, batch_rows, part_bytes: 128 << 20 }
    }

    /// What operators may hold. The rest is for what is on its way between them, and for the process itself.
    fn pool_bytes(&self) -> usize {
        usize::try_from(self.memory_bytes / 10 * 6).unwrap_or(usize::MAX)
    }

    /// Each thread sorts for itself, several times over where a job has several sorts: fewer of them in little memory.
    fn sorting_threads(&self) -> usize {
        usize::try_from(self.memory_bytes >> 28).unwrap_or(usize::MAX).clamp(1, self.threads.max(1))
    }

    /// One read of an object: several of them are a small part of the memory.
    fn block_bytes(&self) -> u64 {
        (self.memory_bytes / (32 * BLOCKS_AT_ONCE as u64)).clamp(64 << 10, 4 << 20)
    }
}

/// Runs a task: writes its outputs, and at last its report.
///
/// Running it again, late or twice at once is harmless: each run writes parts under keys of its own, and of all the first
/// report stays, which is returned. What is wrong with the data is a report as well.
pub async fn run(task: &Task, objects: Arc<dyn Objects>, limits: &Limits) -> Result<Report, EngineError> {
    figures::forget_peak();
    let outcome = match limits.time {
        None => outcome(task, &objects, limits).await,
        Some(time) => {
            let late = |_| EngineError::TooSlow { seconds: time.as_secs() };
            tokio::time::timeout(time, outcome(task, &objects, limits)).await.map_err(late)?
        }
    }?;
    report(task, objects.as_ref(), Report::new(Engine::Embedded, outcome)).await
}

async fn outcome(task: &Task, objects: &Arc<dyn Objects>, limits: &Limits) -> Result<Outcome, EngineError> {
    let begin = Instant::now();
    let figures = match attempt(task, objects, limits, begin, Joins::ByHash).await {
        // Sorting takes more disk, not less.
        Err(error) if matches!(root(&error, task), Root::Memory) => {
            tracing::info!(error = %error, "joins sorted instead");
            attempt(task, objects, limits, begin, Joins::Sorted).await
        }
        figures => figures,
    };
    Ok(match figures {
        Ok(figures) => Outcome::Done(figures),
        Err(error) => Outcome::Failed { failure: failure(error, task, limits)? },
    })
}

/// What is wrong with the data, if that is it.
fn failure(error: DataFusionError, task: &Task, limits: &Limits) -> Result<Failure, EngineError> {
    match root(&error, task) {
        Root::Data(failure) => Ok(failure),
        Root::Store(error) => Err(error.into()),
        Root::Memory | Root::Disk => Err(EngineError::TooLarge {
            memory_bytes: limits.memory_bytes,
            disk_bytes: limits.disk_bytes,
            source: Box::new(error),
        }),
        Root::Other => Err(EngineError::Engine(Box::new(error))),
    }
}

/// Writes a report, or reads the one that stands there already.
async fn report(task: &Task, objects: &dyn Objects, report: Report) -> Result<Report, EngineError> {
    let at = Location::new(&task.output.bucket, task.output.report_key());
    let broken = |error: serde_json::Error| EngineError::Engine(Box::new(DataFusionError::External(Box::new(error))));
    let body = Bytes::from(serde_json::to_vec(&report).map_err(broken)?);
    let json = Some("application/json".to_owned());
    let options = PutOptions { content_type: json, if_absent: true, ..PutOptions::default() };
    match objects.put(&at, body, options).await? {
        Put::Written(_) => Ok(report),
        Put::Exists => {
            let stored = read_all(objects.read(&at, None, None).await?, &at, REPORT_BYTES_MAX).await?;
            serde_json::from_slice(&stored).map_err(broken)
        }
    }
}

const REPORT_BYTES_MAX: u64 = 64 << 20;

/// How joins are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joins {
    /// By hash, where the smaller side is likely to fit.
    ByHash,
    /// By sorting: it goes to disk.
    Sorted,
}

/// What runs a plan.
struct Attempt<'t> {
    task: &'t Task,
    relations: Relations<'t>,
    context: Arc<TaskContext>,
    pool: Arc<Pool>,
    /// The plans that have been run: they know what they have spilled.
    plans: Vec<Arc<dyn ExecutionPlan>>,
    spooled: ExecutionPlanMetricsSet,
}

async fn attempt(
    task: &Task,
    objects: &Arc<dyn Objects>,
    limits: &Limits,
    begin: Instant,
    joins: Joins,
) -> Result<Figures> {
    let threads = match joins {
        Joins::ByHash => limits.threads.max(1),
        Joins::Sorted => limits.sorting_threads(),
    };
    let pool = Arc::new(Pool::new(limits.pool_bytes()));
    let context = context(limits, threads, &pool)?;
    let block_bytes = limits.block_bytes();
    let source = Source {
        objects: Arc::clone(objects),
        block_bytes,
        chunk_bytes: block_bytes.min(1 << 20),
        batch_rows: limits.batch_rows,
        threads,
        taken: Arc::default(),
    };
    let held_bytes_max = match joins {
        // What is held takes about as much memory as it takes bytes as text, and half of that for its table.
        Joins::ByHash => limits.pool_bytes() as u64 / 3,
        Joins::Sorted => 0,
    };
    let relations = Relations {
        task,
        source: &source,
        counters: counters(task),
        spools: std::collections::BTreeMap::new(),
        held_bytes_max,
    };
    let run = uuid::Uuid::new_v4().simple().to_string();
    let outputs = Outputs { task, objects: Arc::clone(objects), run, threads, part_bytes: limits.part_bytes };
    let spooled = ExecutionPlanMetricsSet::new();
    let attempt = Attempt { task, relations, context: Arc::clone(&context), pool, plans: Vec::new(), spooled };
    let made = attempt.run(&outputs, begin).await;
    match made {
        // A step may have failed because of a column that no row has.
        Err(error) if is_of_step(&error) => {
            let read = read_on(task, &source, &context).await;
            Err(read.ok().and_then(|()| source.taken.absent(task)).unwrap_or(error))
        }
        Err(error) => Err(error),
        Ok(figures) => source.taken.absent(task).map_or(Ok(figures), Err),
    }
}

/// Reads inputs to their end of which no row so far had a column that one at least must have.
async fn read_on(task: &Task, source: &Source, context: &Arc<TaskContext>) -> Result<()> {
    for relation in &task.plan.relations {
        if let Body::Read { input: name } = &relation.body
            && let Some(input) = task.inputs.get(name).filter(|input| source.taken.may_lack(name, input))
        {
            drain(&scan(relation, name, input, source), context).await?;
        }
    }
    Ok(())
}

fn counters(task: &Task) -> Vec<Arc<Counter>> {
    task.plan.relations.iter().map(|_| Arc::new(Counter::default())).collect()
}

fn context(limits: &Limits, threads: usize, pool: &Arc<Pool>) -> Result<Arc<TaskContext>> {
    let mode = match &limits.disk {
        Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
        None => DiskManagerMode::OsTmpDirectory,
    };
    let disk = DiskManager::builder().with_mode(mode).with_max_temp_directory_size(limits.disk_bytes);
    let pool: Arc<dyn datafusion_execution::memory_pool::MemoryPool> = Arc::<Pool>::clone(pool);
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).with_disk_manager_builder(disk).build_arc()?;
    let mut config = SessionConfig::new().with_batch_size(limits.batch_rows).with_target_partitions(threads);
    // What a sort keeps back for its merge: as much as usual, but a part of the memory where that is small.
    let reserved = (10 << 20).min(limits.pool_bytes() / 16);
    let execution = &mut config.options_mut().execution;
    execution.sort_spill_reservation_bytes = reserved;
    // A third of the disk, for less time than the disk would take for the rest.
    execution.spill_compression = SpillCompression::Lz4Frame;
    Ok(Arc::new(TaskContext::default().with_session_config(config).with_runtime(runtime)))
}

impl Attempt<'_> {
    async fn run(mut self, outputs: &Outputs<'_>, begin: Instant) -> Result<Figures> {
        for id in shared(&self.task.plan) {
            let made = self.relations.make(id, &[])?;
            self.plans.push(Arc::clone(&made.plan));
            let spool = Spool::of(made, &self.context, &self.spooled).await?;
            self.relations.spools.insert(id, spool);
        }
        let mut written = Vec::with_capacity(self.task.plan.outputs.len());
        for output in &self.task.plan.outputs {
            let made = self.relations.plan_for(output.from, &output.order)?.gathered(&output.order)?;
            self.plans.push(Arc::clone(&made.plan));
            written.push(outputs.write(output, made, &self.context).await?);
        }
        self.finish().await?;
        Ok(self.figures(written, begin.elapsed()))
    }

    /// Runs what has not been read to its end, because a join could stop early: what is wrong there is wrong all the same.
    async fn finish(&mut self) -> Result<()> {
        for index in (0..self.task.plan.relations.len()).rev() {
            let Some(counter) = self.relations.counters.get(index).filter(|counter| counter.is_unfinished()) else {
                continue;
            };
            tracing::debug!(rows = counter.rows(), relation = index, "relation read to its end");
            let id = RelationId(u32::try_from(index).unwrap_or(u32::MAX));
            let before = std::mem::replace(&mut self.relations.counters, counters(self.task));
            let made = self.relations.make(id, &[])?;
            drain(&made.plan, &self.context).await?;
            for (fresh, before) in self.relations.counters.iter_mut().zip(before) {
                // What is not part of this plan still waits to be read.
                if !fresh.has_begun() || fresh.rows() < before.rows() || !before.is_unfinished() {
                    *fresh = before;
                }
            }
        }
        Ok(())
    }

    fn figures(&self, outputs: Vec<OutputFigures>, elapsed: Duration) -> Figures {
        let spilled: usize = self.plans.iter().map(spilled).sum();
        let spooled = self.spooled.clone_inner().spilled_bytes().unwrap_or(0);
        let peak = figures::process_peak().unwrap_or_else(|| self.pool.peak() as u64);
        Figures {
            inputs: self.inputs(),
            steps: self.steps(),
            outputs,
            milliseconds: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            peak_memory_bytes: peak,
            spilled_bytes: (spilled + spooled) as u64,
        }
    }

    fn inputs(&self) -> std::collections::BTreeMap<String, InputFigures> {
        let mut figures = std::collections::BTreeMap::new();
        for (relation, counter) in self.task.plan.relations.iter().zip(&self.relations.counters) {
            let Body::Read { input: name } = &relation.body else { continue };
            let Some(input) = self.task.inputs.get(name) else { continue };
            let objects = self.relations.source.taken.objects(name, input);
            let bytes = match input.format {
                TaskFormat::Parquet => input.objects.iter().map(|object| object.bytes).sum(),
                TaskFormat::Csv | TaskFormat::JsonLines => objects.iter().map(|object| object.bytes).sum(),
            };
            let figure: &mut InputFigures = figures.entry(name.clone()).or_default();
            // An input that is read by several relations has its rows once.
            *figure = InputFigures { rows: figure.rows.max(counter.rows()), bytes, objects };
        }
        figures
    }

    /// One entry for each step: the rows of all its results, the time of all its relations.
    fn steps(&self) -> Vec<StepFigures> {
        let results = results(&self.task.plan);
        let mut steps: Vec<StepFigures> = Vec::new();
        for (id, (relation, counter)) in
            (0..).map(RelationId).zip(self.task.plan.relations.iter().zip(&self.relations.counters))
        {
            if relation.operation == "input" {
                continue;
            }
            let (rows, bytes) = if results.contains(&id) { (counter.rows(), counter.bytes()) } else { (0, 0) };
            match steps.iter_mut().find(|step| step.step == relation.step) {
                Some(step) => {
                    step.rows += rows;
                    step.bytes = step.bytes.map(|before| before + bytes);
                    step.milliseconds = step.milliseconds.map(|time| time + counter.milliseconds());
                }
                None => steps.push(StepFigures {
                    step: relation.step.clone(),
                    operation: relation.operation.clone(),
                    rows,
                    bytes: Some(bytes),
                    milliseconds: Some(counter.milliseconds()),
                }),
            }
        }
        steps
    }
}

/// Reads a plan to its end.
async fn drain(plan: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<()> {
    let mut tasks = JoinSet::new();
    for partition in 0..plan.output_partitioning().partition_count() {
        let mut rows = plan.execute(partition, Arc::clone(context))?;
        tasks.spawn(async move {
            while rows.try_next().await?.is_some() {}
            Ok::<_, DataFusionError>(())
        });
    }
    while let Some(drained) = tasks.join_next().await {
        drained.map_err(|error| DataFusionError::External(Box::new(error)))??;
    }
    Ok(())
}

/// What a plan and all below it have written to disk.
fn spilled(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.spilled_bytes()).unwrap_or(0);
    own + plan.children().into_iter().map(spilled).sum::<usize>()
}
