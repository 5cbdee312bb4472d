//! job-publisher: parts that tie out → outputs, published whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use environment::{ConfigError, text};
use futures::{StreamExt, TryStreamExt, stream};
use reconcile::{
    Format,
    plan::PlanOutput,
    report::{InputFigures, OutputFigures},
    task::{Task, TaskJob},
};
use records::{LineEnd, Writer};
use serde_json::{Map, Value, json};
use storage::{
    Clock, Location, Objects, StorageError, Tables, documents,
    objects::{Piece, Put, PutOptions},
};
use tracing::info;

use crate::{
    book::{JobStatus, Jobs},
    error::JobError,
    layout::{checked_key, execution, manifest_key, output_folder, task_key},
    leftovers,
    manifest::{Checked, End, Publication, PublishedObject, PublishedOutput, output},
    messages::{Published, StepRequest},
    prices::{self, Resources},
};

/// What job-publisher is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket of tasks, findings and parts.
    pub work_bucket: String,
    /// The bucket of what is published.
    pub data_bucket: String,
    /// The table of jobs.
    pub jobs_table: String,
    /// What the engines have, by which their cost is reckoned.
    pub resources: Resources,
}

impl Config {
    /// Reads `WORK_BUCKET`, `DATA_BUCKET`, `JOBS_TABLE` and what [`Resources::from_env`] reads.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            work_bucket: text("WORK_BUCKET")?,
            data_bucket: text("DATA_BUCKET")?,
            jobs_table: text("JOBS_TABLE")?,
            resources: Resources::from_env()?,
        })
    }
}

/// Publishes an attempt: what it writes counts from the moment that its manifest stands.
///
/// Running it again, late or twice at once is harmless: each call writes under a path of its own, and the first [`End`] that
/// stands is the attempt's: the others follow it, and take away what they wrote. An attempt that was declared failed, or
/// cancelled, meanwhile publishes nothing.
pub struct JobPublisher {
    objects: Arc<dyn Objects>,
    jobs: Jobs,
    config: Config,
}

/// Parts copied side by side.
const COPIES_AT_ONCE: usize = 16;

impl JobPublisher {
    /// A publisher of what lies in `objects`.
    pub fn new(objects: Arc<dyn Objects>, tables: Arc<dyn Tables>, clock: Arc<dyn Clock>, config: Config) -> Self {
        let jobs = Jobs::new(tables, &config.jobs_table, clock);
        Self { objects, jobs, config }
    }

    /// Handles one attempt.
    pub async fn publish(&self, request: StepRequest) -> Result<Published, JobError> {
        let job = &request.job;
        let at = Location::new(&self.config.data_bucket, manifest_key(job));
        let publication = match documents::read::<End>(&*self.objects, &at).await? {
            Some(end) => publication_of(end, job)?,
            None => self.make(job, &at).await?,
        };
        let record = self.jobs.get(&job.tenant, &job.job).await?;
        let missing = || JobError::StepMissing { what: "its row".to_owned(), job: execution(job) };
        let (engine, milliseconds) = (publication.engine, publication.figures.milliseconds);
        let cost_microdollars = prices::cost(&record.ok_or_else(missing)?, engine, milliseconds, self.config.resources);
        self.jobs.set_always(job, published(&publication, &at.key, cost_microdollars).into()).await?;
        let (rows, bytes) = publication.size();
        info!(job = execution(job), rows, bytes, engine = engine.as_str(), milliseconds, "job published");
        Ok(told(&publication, at, cost_microdollars))
    }

    /// Makes a publication and offers it as the attempt's end. Whatever then stands, nothing remains of what came second.
    async fn make(&self, job: &TaskJob, at: &Location) -> Result<Publication, JobError> {
        self.jobs.live(job).await?;
        let folder = output_folder(job);
        let made = async {
            let publication = Box::new(self.outputs(job, &folder).await?);
            let end = documents::commit(&*self.objects, at, End::Published(publication)).await?;
            publication_of(end, job)
        };
        match made.await {
            Ok(publication) => {
                let mut keys = publication.outputs.iter().flat_map(|output| &output.objects);
                if !keys.all(|object| object.key.starts_with(&folder)) {
                    self.discard(&folder).await;
                }
                Ok(publication)
            }
            // Whether a commit whose reply was lost stands is for the next call to see.
            Err(error @ JobError::Storage(_)) => Err(error),
            Err(error) => {
                self.discard(&folder).await;
                Err(error)
            }
        }
    }

    async fn outputs(&self, job: &TaskJob, folder: &str) -> Result<Publication, JobError> {
        let task: Task = self.document(job, task_key(job)).await?;
        let Checked { engine, figures } = self.document(job, checked_key(job)).await?;
        let mut outputs = Vec::with_capacity(task.plan.outputs.len());
        for planned in &task.plan.outputs {
            let checked = output(&figures, &planned.name).ok_or_else(|| JobError::StepMissing {
                what: format!("the figures of output {:?}", planned.name),
                job: execution(job),
            })?;
            let objects = match planned.format {
                Format::Csv | Format::JsonLines => vec![self.join(&task, planned, checked, folder).await?],
                Format::Parquet => self.copies(&task, planned, checked, folder).await?,
            };
            outputs.push(PublishedOutput {
                name: planned.name.clone(),
                format: planned.format,
                rows: checked.rows,
                totals: checked.totals.clone(),
                amounts: task.plan.amounts(planned).into_iter().map(|column| column.name.clone()).collect(),
                objects,
            });
        }
        Ok(Publication { job: job.clone(), engine, outputs, figures, published_at: self.jobs.now() })
    }

    async fn document<T: serde::de::DeserializeOwned>(&self, job: &TaskJob, key: String) -> Result<T, JobError> {
        let at = Location::new(&self.config.work_bucket, key);
        let missing = || JobError::StepMissing { what: at.to_string(), job: execution(job) };
        documents::read(&*self.objects, &at).await?.ok_or_else(missing)
    }

    /// One object of all parts, behind the header that CSV has.
    async fn join(
        &self,
        task: &Task,
        planned: &PlanOutput,
        checked: &OutputFigures,
        folder: &str,
    ) -> Result<PublishedObject, JobError> {
        let header = if planned.format == Format::Csv { header(planned) } else { Bytes::new() };
        let bytes = header.len() as u64 + checked.parts.iter().map(|part| part.bytes).sum::<u64>();
        let parts = checked
            .parts
            .iter()
            .map(|part| Piece::Object { location: Location::new(&task.output.bucket, &part.key), bytes: part.bytes });
        let pieces: Vec<Piece> = std::iter::once(Piece::Bytes(header)).chain(parts).collect();
        let key = format!("{folder}/{}.{}", planned.name, planned.format.extension());
        let to = Location::new(&self.config.data_bucket, key);
        let content_type = match planned.format {
            Format::Csv => "text/csv; charset=utf-8",
            Format::JsonLines | Format::Parquet => "application/x-ndjson",
        };
        let options = PutOptions { content_type: Some(content_type.to_owned()), ..PutOptions::default() };
        match self.objects.concatenate(&pieces, &to, options).await? {
            Put::Written(info) if info.bytes == bytes => Ok(PublishedObject { key: to.key, bytes }),
            Put::Written(info) => Err(JobError::ControlTotalMismatch {
                output: planned.name.clone(),
                part: None,
                difference: format!("its parts and header have {bytes} bytes, what was joined of them {}", info.bytes),
            }),
            // The path is this call's own.
            Put::Exists => Err(StorageError::Changed { what: to.to_string() }.into()),
        }
    }

    /// Every part as an object of its own.
    async fn copies(
        &self,
        task: &Task,
        planned: &PlanOutput,
        checked: &OutputFigures,
        folder: &str,
    ) -> Result<Vec<PublishedObject>, JobError> {
        let copy = |(index, part): (usize, &reconcile::report::Part)| {
            let (key, bytes) = (part.key.clone(), part.bytes);
            async move {
                let from = Location::new(&task.output.bucket, key);
                let extension = planned.format.extension();
                let key = format!("{folder}/{}/part-{index:05}.{extension}", planned.name);
                let to = Location::new(&self.config.data_bucket, key);
                let info = self.objects.copy(&from, None, &to).await?;
                match info.bytes == bytes {
                    true => Ok(PublishedObject { key: to.key, bytes }),
                    false => Err(JobError::from(StorageError::Changed { what: from.to_string() })),
                }
            }
        };
        stream::iter(checked.parts.iter().enumerate()).map(copy).buffered(COPIES_AT_ONCE).try_collect().await
    }

    /// Removes what a call wrote. What cannot be removed is named by no manifest; job-closer tries again.
    async fn discard(&self, folder: &str) {
        leftovers::remove(&*self.objects, &self.config.data_bucket, folder, &BTreeSet::new()).await;
    }
}

fn publication_of(end: End, job: &TaskJob) -> Result<Publication, JobError> {
    let over = |status: &str| JobError::Over { job: execution(job), status: status.to_owned() };
    match end {
        End::Published(publication) => Ok(*publication),
        End::Failed(_) => Err(over("it was declared failed")),
        End::Cancelled(_) => Err(over("it was cancelled")),
    }
}

/// The names of an output's columns, as CSV.
fn header(output: &PlanOutput) -> Bytes {
    let mut writer = Writer::new(&records::Format::default(), LineEnd::CrLf);
    writer.write(output.columns.iter().map(|column| column.name.as_str()));
    Bytes::copy_from_slice(writer.as_bytes())
}

/// The most steps that a row tells of: an item has at most 400 KB.
const STEPS_TOLD: usize = 500;

/// And the most bytes of sums and of their columns' names, over all outputs: the manifest has all.
const TOTALS_BYTES_TOLD: usize = 128 * 1024;

/// What DynamoDB adds to a name and a text of a map.
const TOTAL_FRAME_BYTES: usize = 2;

/// What is told of a publication whose manifest is there.
pub(crate) fn told(publication: &Publication, manifest: Location, cost_microdollars: u64) -> Published {
    let (rows, bytes) = publication.size();
    Published {
        job: publication.job.clone(),
        status: JobStatus::Published.as_str().to_owned(),
        bucket: manifest.bucket,
        manifest: manifest.key,
        rows,
        bytes,
        engine: publication.engine,
        milliseconds: publication.figures.milliseconds,
        cost_microdollars,
    }
}

/// The attributes that a published job's row has.
pub(crate) fn published(publication: &Publication, manifest: &str, cost_microdollars: u64) -> Map<String, Value> {
    let figures = &publication.figures;
    let mut outputs: Vec<_> = publication.outputs.iter().map(PublishedOutput::record).collect();
    let mut left = TOTALS_BYTES_TOLD;
    for output in &mut outputs {
        output.totals.retain(|column, sum| {
            let room = left.checked_sub(column.len() + sum.len() + TOTAL_FRAME_BYTES);
            left = room.unwrap_or(0);
            room.is_some()
        });
    }
    let steps: Vec<_> = figures.steps.iter().take(STEPS_TOLD).collect();
    // There may be ten thousand objects.
    let inputs = figures.inputs.iter().map(|(name, InputFigures { rows, bytes, .. })| {
        (name, InputFigures { rows: *rows, bytes: *bytes, objects: Vec::new() })
    });
    let inputs: BTreeMap<_, _> = inputs.collect();
    let attributes = [
        ("status", json!(JobStatus::Published)),
        ("ended_at", json!(publication.published_at)),
        ("engine", json!(publication.engine)),
        ("inputs", json!(inputs)),
        ("steps", json!(steps)),
        ("outputs", json!(outputs)),
        ("milliseconds", figures.milliseconds.into()),
        ("peak_memory_bytes", figures.peak_memory_bytes.into()),
        ("spilled_bytes", figures.spilled_bytes.into()),
        ("cost_microdollars", cost_microdollars.into()),
        ("manifest", manifest.into()),
    ];
    attributes.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use reconcile::report::{Engine, Figures, StepFigures};

    use super::*;
    use crate::book::OutputRecord;

    /// A job with as much to tell as there may be: its row stays well below the 400 KB that an item has at most.
    #[test]
    fn a_row_tells_no_more_than_it_has_room_for() {
        let sums = |output: usize| {
            (0..1_000).map(move |column| (format!("{output}-{column}-{}", "x".repeat(100)), "1.00".to_owned()))
        };
        let outputs: Vec<PublishedOutput> = (0..3)
            .map(|output| PublishedOutput {
                name: format!("out-{output}"),
                format: Format::Csv,
                rows: 1,
                totals: sums(output).collect(),
                amounts: sums(output).map(|(column, _)| column).collect(),
                objects: Vec::new(),
            })
            .collect();
        let step = |number| StepFigures {
            step: format!("step-{number}-{}", "x".repeat(50)),
            operation: "filter".to_owned(),
            rows: 1,
            bytes: None,
            milliseconds: Some(1),
        };
        let figures = Figures {
            inputs: BTreeMap::new(),
            steps: (0..2_000).map(step).collect(),
            outputs: Vec::new(),
            milliseconds: 1,
            peak_memory_bytes: 1,
            spilled_bytes: 0,
        };
        let job = TaskJob { tenant: "acme".to_owned(), job: "close".to_owned(), attempt: 1 };
        let published_at = "2026-01-31T08:00:00Z".parse().unwrap();
        let publication = Publication { job, engine: Engine::Embedded, outputs, figures, published_at };
        let row = published(&publication, "manifest.json", 250);
        let outputs: Vec<OutputRecord> = serde_json::from_value(row["outputs"].clone()).unwrap();
        let told: Vec<usize> = outputs.iter().map(|output| output.totals.len()).collect();
        assert_eq!(told[0], 1_000, "the first output has room");
        assert!((1..1_000).contains(&told[1]) && told[2] == 0, "{told:?}");
        assert_eq!(row["steps"].as_array().unwrap().len(), STEPS_TOLD);
        let bytes = Value::Object(row).to_string().len();
        assert!(bytes < 300_000, "{bytes}");
    }
}
