//! chunk-processor: one range of records → a clean part and its rejects.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use environment::{ConfigError, text};
use records::RecordReader;
use storage::{ByteRange, Cache, Clock, Location, Objects, StorageError, Tables, documents, objects::PutOptions};
use tracing::info;

use crate::{
    batch::{Batch, Made},
    error::IntakeError,
    feed::Enrichment,
    input::InputObject,
    manifest::{ChunkManifest, Compression, Part, Plan, attempt_folder, chunk_key, plan_key},
    messages::{Chunk, ChunkDone, ChunkRequest, RunId},
    reference::{References, Row},
    runs::{Runs, Step, StepFigures},
    shape::Shape,
};

/// What chunk-processor is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket of plans, parts and their manifests.
    pub work_bucket: String,
    /// The table of reference rows.
    pub reference_table: String,
    /// The table of runs.
    pub runs_table: String,
}

impl Config {
    /// Reads `WORK_BUCKET`, `REFERENCE_TABLE` and `RUNS_TABLE`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            work_bucket: text("WORK_BUCKET")?,
            reference_table: text("REFERENCE_TABLE")?,
            runs_table: text("RUNS_TABLE")?,
        })
    }
}

/// Processes one range: validates, enriches, writes what is good and what is not.
///
/// Running it again, late or twice at once is harmless: each attempt writes under a path of its own, and the first
/// manifest that stands for the chunk counts; the others find it and stop.
pub struct ChunkProcessor {
    objects: Arc<dyn Objects>,
    references: References,
    runs: Runs,
    config: Config,
    /// The plan of the run that was last worked on: a warm function takes many chunks of one run.
    plan: Mutex<Option<Arc<Plan>>>,
}

/// The rule that a record breaks whose key the reference table lacks.
pub const RULE_REFERENCE: &str = "reference";
/// The rule that a record breaks whose amount has a currency that is no ISO 4217 code.
pub const RULE_CURRENCY: &str = "currency";

impl ChunkProcessor {
    /// A chunk-processor that reads and writes `objects` and looks rows up in `tables` behind `cache`.
    pub fn new(
        objects: Arc<dyn Objects>,
        tables: Arc<dyn Tables>,
        cache: Arc<dyn Cache>,
        clock: Arc<dyn Clock>,
        config: Config,
    ) -> Self {
        let references = References::new(tables.clone(), &config.reference_table, cache);
        let runs = Runs::new(tables, &config.runs_table, clock);
        Self { objects, references, runs, config, plan: Mutex::new(None) }
    }

    /// Handles one chunk.
    pub async fn process(&self, request: ChunkRequest) -> Result<ChunkDone, IntakeError> {
        let ChunkRequest { run, chunk } = request;
        let at = Location::new(&self.config.work_bucket, chunk_key(&run, chunk.index));
        let step = Step::Chunk(chunk.index);
        match documents::read::<ChunkManifest>(&*self.objects, &at).await? {
            Some(manifest) => self.runs.step_done(&run, step, figures(&manifest)).await,
            None => self.runs.step(&run, step, self.make(&run, chunk, &at)).await?,
        }
        Ok(ChunkDone {})
    }

    async fn make(&self, run: &RunId, chunk: Chunk, at: &Location) -> Result<((), StepFigures), IntakeError> {
        let plan = self.plan(run).await?;
        let input = InputObject::new(&*self.objects, &plan.request.input);
        let bytes = self.range(&input, &plan, &chunk).await?;
        let shape = Shape::new(&plan.feed, &plan.header).map_err(|error| input.wrong(error))?;
        let enrichment = enrichment(&plan, &shape);

        let mut reader = RecordReader::new(&bytes, &shape.input, chunk.start, chunk.first_row);
        let mut made = Made::new(&shape);
        while let Some(batch) = Batch::read(&mut reader, &chunk, &shape)? {
            let rows = self.look_up(&plan, &batch, enrichment).await?;
            batch.write(&bytes, &chunk, &shape, enrichment, &rows, &mut made)?;
        }

        let folder = attempt_folder(run, &format!("chunks/{:06}", chunk.index));
        let manifest = ChunkManifest {
            part: self.write(format!("{folder}/part.csv"), made.part.into_bytes()).await?,
            rejects: self.write(format!("{folder}/rejects.csv"), made.rejects.into_bytes()).await?,
            records_in: made.records_in,
            records_out: made.totals.records(),
            records_rejected: made.records_rejected,
            totals: made.totals,
            totals_read: made.totals_read,
            totals_rejected: made.totals_rejected,
            rejected_by_rule: made.rejected_by_rule,
            chunk,
        };
        let manifest = documents::commit(&*self.objects, at, manifest).await?;
        let figures = figures(&manifest);
        info!(
            run = %run,
            chunk = manifest.chunk.index,
            bytes = figures.bytes,
            records_in = figures.records_in,
            records_rejected = figures.records_rejected,
            "chunk processed"
        );
        Ok(((), figures))
    }

    async fn plan(&self, run: &RunId) -> Result<Arc<Plan>, IntakeError> {
        let known = self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(plan) = known.filter(|plan| plan.request.run == *run) {
            return Ok(plan);
        }
        let at = Location::new(&self.config.work_bucket, plan_key(run));
        let plan: Plan = documents::read(&*self.objects, &at)
            .await?
            .ok_or_else(|| IntakeError::StepMissing { what: at.to_string(), run: run.to_string() })?;
        let plan = Arc::new(plan);
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan.clone());
        Ok(plan)
    }

    async fn range(&self, input: &InputObject<'_>, plan: &Plan, chunk: &Chunk) -> Result<Bytes, IntakeError> {
        let range = ByteRange::new(chunk.start, chunk.end);
        match plan.compression {
            Compression::None => input.range(range).await,
            Compression::Gzip => {
                let whole = input.decompressed().await?;
                let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
                match bounds.and_then(|(start, end)| whole.get(start..end)) {
                    Some(part) => Ok(whole.slice_ref(part)),
                    None => Err(StorageError::Changed { what: plan.request.input.key.clone() }.into()),
                }
            }
        }
    }

    /// The reference rows of all keys of the batch.
    async fn look_up(
        &self,
        plan: &Plan,
        batch: &Batch,
        enrichment: Option<(&Enrichment, usize)>,
    ) -> Result<HashMap<String, Row>, IntakeError> {
        let (Some((enrichment, key_column)), Some(generation)) = (enrichment, plan.reference_generation) else {
            return Ok(HashMap::new());
        };
        let keys = batch.keys(key_column);
        self.references.rows(plan.request.run.tenant(), &enrichment.table, generation, &keys).await
    }

    async fn write(&self, key: String, bytes: Vec<u8>) -> Result<Option<Part>, IntakeError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let part = Part { bytes: bytes.len() as u64, key };
        let at = Location::new(&self.config.work_bucket, &part.key);
        let options = PutOptions { content_type: Some("text/csv; charset=utf-8".to_owned()), ..PutOptions::default() };
        self.objects.put(&at, bytes.into(), options).await?;
        Ok(Some(part))
    }
}

fn figures(manifest: &ChunkManifest) -> StepFigures {
    StepFigures {
        bytes: manifest.chunk.end - manifest.chunk.start,
        records_in: manifest.records_in,
        records_out: manifest.records_out,
        records_rejected: manifest.records_rejected,
    }
}

/// The run's enrichment, and which of the schema's columns is its key.
fn enrichment<'p>(plan: &'p Plan, shape: &Shape) -> Option<(&'p Enrichment, usize)> {
    let enrichment = plan.feed.tieout.enrichment.as_ref()?;
    let column = shape.validator.schema().names().position(|name| name == enrichment.key)?;
    Some((enrichment, column))
}
