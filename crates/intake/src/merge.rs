//! merger: parts → one output that ties out, published; the input archived.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use environment::{ConfigError, parsed, text};
use futures::{StreamExt, TryStreamExt, stream};
use money::{ControlTotals, Difference};
use records::{Reject, RejectReader, RejectWriter};
use storage::{
    ByteRange, Clock, Location, Objects, StorageError, Tables, documents,
    objects::{Piece, Put, PutOptions, read_all},
};
use tracing::{info, warn};

use crate::{
    error::{FileError, IntakeError},
    feed::OnReject,
    layout::{InputKey, archive_key},
    manifest::{ChunkManifest, End, Part, Plan, Publication, attempt_folder, chunk_key, end_key, plan_key},
    messages::{Chunk, MergeRequest, Merged, RunId},
    notify,
    rejects::Rejects,
    runs::{Runs, Step, StepFigures},
    shape::{OutputShape, Shape},
};

/// What merger is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket of plans, parts and their manifests.
    pub work_bucket: String,
    /// The bucket of what is published and archived.
    pub data_bucket: String,
    /// The table of runs.
    pub runs_table: String,
    /// The table of rejects.
    pub rejects_table: String,
    /// How many rejects of a run are put into that table, and into the report.
    pub rejects_kept: usize,
    /// For how many days.
    pub rejects_kept_days: u32,
}

impl Config {
    /// Reads `WORK_BUCKET`, `DATA_BUCKET`, `RUNS_TABLE`, `REJECTS_TABLE`, `REJECTS_KEPT` and `REJECTS_KEPT_DAYS`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            work_bucket: text("WORK_BUCKET")?,
            data_bucket: text("DATA_BUCKET")?,
            runs_table: text("RUNS_TABLE")?,
            rejects_table: text("REJECTS_TABLE")?,
            rejects_kept: parsed("REJECTS_KEPT")?,
            rejects_kept_days: parsed("REJECTS_KEPT_DAYS")?,
        })
    }
}

/// Publishes a run and archives its input.
///
/// Running it again, late or twice at once is harmless: each attempt writes under a path of its own, and the first
/// [`End`] that stands is the run's: the others follow it, and take away what they wrote. A run that was declared failed
/// meanwhile stays failed: nothing is published, nothing archived. Rejects are put under the same keys with the same
/// content; the archive is a copy of one version, which is then deleted by its name.
pub struct Merger {
    objects: Arc<dyn Objects>,
    runs: Runs,
    rejects: Rejects,
    config: Config,
}

/// Small objects read at once.
const READS_AT_ONCE: usize = 32;
/// Stretches of the output checked at once, as far as they fit into so many bytes: each is held in memory.
const CHECKS_AT_ONCE: u64 = 8;
const CHECKED_BYTES_AT_ONCE: u64 = 512 * 1024 * 1024;

impl Merger {
    /// A merger that follows the manifests in `objects`.
    pub fn new(objects: Arc<dyn Objects>, tables: Arc<dyn Tables>, clock: Arc<dyn Clock>, config: Config) -> Self {
        let runs = Runs::new(tables.clone(), &config.runs_table, clock);
        let rejects = Rejects::new(tables, &config.rejects_table);
        Self { objects, runs, rejects, config }
    }

    /// Handles the end of one run's chunks.
    pub async fn merge(&self, request: MergeRequest) -> Result<Merged, IntakeError> {
        let run = &request.run;
        let plan_at = Location::new(&self.config.work_bucket, plan_key(run));
        let plan: Plan = documents::read(&*self.objects, &plan_at)
            .await?
            .ok_or_else(|| IntakeError::StepMissing { what: plan_at.to_string(), run: run.to_string() })?;
        let publication = self.published(&plan).await?;
        let archive = self.archive(&plan).await?;
        let mut ended = notify::published(&publication);
        ended.insert("archive".to_owned(), archive.key.into());
        self.runs.set_always(run, ended.into()).await?;
        Ok(Merged {
            run: run.clone(),
            feed: plan.request.feed,
            bucket: self.config.data_bucket.clone(),
            output: publication.output.key,
            records_in: publication.records_in,
            records_out: publication.records_out,
            records_rejected: publication.records_rejected,
        })
    }

    /// The run's publication: the one that stands, or else the one that is made now.
    async fn published(&self, plan: &Plan) -> Result<Publication, IntakeError> {
        let run = &plan.request.run;
        let at = Location::new(&self.config.data_bucket, end_key(run));
        match documents::read(&*self.objects, &at).await? {
            None => self.runs.step(run, Step::Merge, self.publish(plan, &at)).await,
            Some(end) => {
                let publication = publication_of(end, run)?;
                self.runs.step_done(run, Step::Merge, figures(&publication)).await;
                Ok(publication)
            }
        }
    }

    /// Makes a publication and offers it as the run's end. Whatever then stands, nothing remains of an attempt that does
    /// not tie out or that came second.
    async fn publish(&self, plan: &Plan, at: &Location) -> Result<(Publication, StepFigures), IntakeError> {
        let run = &plan.request.run;
        let folder = attempt_folder(run, "output");
        let published = async {
            let publication = self.make(plan, &folder).await?;
            let end = documents::commit(&*self.objects, at, End::Published(Box::new(publication))).await?;
            publication_of(end, run)
        };
        match published.await {
            Ok(publication) => {
                if !publication.output.key.starts_with(&folder) {
                    self.discard(&folder).await;
                }
                let figures = figures(&publication);
                info!(
                    run = %run,
                    records_in = figures.records_in,
                    records_out = figures.records_out,
                    records_rejected = figures.records_rejected,
                    "run published"
                );
                Ok((publication, figures))
            }
            // Whether a commit whose reply was lost stands is for the next attempt to see.
            Err(error @ IntakeError::Storage(_)) => Err(error),
            Err(error) => {
                self.discard(&folder).await;
                Err(error)
            }
        }
    }

    /// Removes what an attempt wrote. What cannot be removed is named by no manifest, and only takes up room.
    async fn discard(&self, folder: &str) {
        let removed = async {
            for listed in self.objects.list(&self.config.data_bucket, folder, None).await? {
                let at = Location::new(&self.config.data_bucket, listed.key);
                let version = self.objects.head(&at, None).await?.version;
                self.objects.delete(&at, version.as_deref()).await?;
            }
            Ok::<_, StorageError>(())
        };
        if let Err(error) = removed.await {
            warn!(folder, error = error_class::chain(&error), "attempt not removed");
        }
    }

    /// Joins the parts under `folder`, and proves that they tie out.
    async fn make(&self, plan: &Plan, folder: &str) -> Result<Publication, IntakeError> {
        let run = &plan.request.run;
        let started_at = self.runs.register(&plan.request).await?.started_at;
        let chunks = self.chunks(plan).await?;
        let tally = Tally::of(plan, &chunks)?;
        if tally.rejected > 0 && plan.feed.tieout.on_reject == OnReject::Fail {
            self.keep_first_rejects(run, &chunks).await?;
            let rejected = FileError::Rejected { rejected: tally.rejected, records: plan.split.records };
            return Err(file_error(plan, rejected));
        }

        let shape = Shape::new(&plan.feed, &plan.header).map_err(|error| file_error(plan, error.into()))?.output;
        let file = output_name(&plan.request.input.key);
        let output_pieces = chunks.iter().filter_map(|chunk| chunk.part.as_ref());
        let output = self.concatenate(shape.header(), output_pieces, format!("{folder}/{file}")).await?;
        let totals = self.check_output(&shape, &chunks, &output).await?;
        tally.check(&shape, &totals)?;

        let (rejects, first) = if tally.rejected == 0 {
            (None, Vec::new())
        } else {
            let pieces = chunks.iter().filter_map(|chunk| chunk.rejects.as_ref());
            let key = format!("{folder}/{}", rejects_name(&file));
            let part = self.concatenate(rejects_header(), pieces, key).await?;
            let first = self.check_rejects(&chunks, &part).await?;
            self.rejects.put(run, &first, self.runs.now(), self.config.rejects_kept_days).await?;
            (Some(part), first)
        };

        let mut publication = Publication {
            request: plan.request.clone(),
            output,
            rejects,
            report: Part { key: format!("{folder}/report.html"), bytes: 0 },
            bytes: plan.split.bytes,
            chunks: plan.split.chunks,
            records_in: plan.split.records,
            records_out: tally.out,
            records_rejected: tally.rejected,
            rejected_by_rule: tally.by_rule,
            totals,
            totals_rejected: tally.totals_rejected,
            started_at,
            published_at: self.runs.now(),
        };
        publication.report.bytes = self.write_report(&publication, first).await?;
        Ok(publication)
    }

    /// Every chunk's manifest, in file order, each held against the range that the splitter counted.
    async fn chunks(&self, plan: &Plan) -> Result<Vec<ChunkManifest>, IntakeError> {
        let ranges_at = Location::new(&plan.split.bucket, &plan.split.ranges);
        let ranges: Vec<Chunk> = documents::read(&*self.objects, &ranges_at).await?.ok_or_else(|| {
            IntakeError::StepMissing { what: ranges_at.to_string(), run: plan.request.run.to_string() }
        })?;
        stream::iter(ranges).map(|range| self.chunk(plan, range)).buffered(READS_AT_ONCE).try_collect().await
    }

    async fn chunk(&self, plan: &Plan, range: Chunk) -> Result<ChunkManifest, IntakeError> {
        let run = &plan.request.run;
        let at = Location::new(&self.config.work_bucket, chunk_key(run, range.index));
        let chunk: ChunkManifest = documents::read(&*self.objects, &at)
            .await?
            .ok_or_else(|| IntakeError::StepMissing { what: at.to_string(), run: run.to_string() })?;
        let boundary = || format!("splitter → chunk-processor, chunk {}", range.index);
        if chunk.chunk != range {
            return Err(mismatch(boundary(), format!("the range is {range:?}, but {:?} was processed", chunk.chunk)));
        }
        if chunk.records_in != range.records {
            return Err(mismatch(boundary(), format!("{} records, {} read", range.records, chunk.records_in)));
        }
        if chunk.records_out.checked_add(chunk.records_rejected) != Some(chunk.records_in)
            || chunk.totals.records() != chunk.records_out
        {
            let ChunkManifest { records_in, records_out, records_rejected, .. } = chunk;
            let sides = format!("{records_in} in, {records_out} out, {records_rejected} rejected");
            return Err(mismatch(format!("chunk-processor, chunk {}", range.index), sides));
        }
        Ok(chunk)
    }

    async fn concatenate(
        &self,
        header: Bytes,
        parts: impl Iterator<Item = &Part>,
        key: String,
    ) -> Result<Part, IntakeError> {
        let part = |part: &Part| Piece::Object {
            location: Location::new(&self.config.work_bucket, &part.key),
            bytes: part.bytes,
        };
        let pieces: Vec<Piece> = std::iter::once(Piece::Bytes(header)).chain(parts.map(part)).collect();
        let to = Location::new(&self.config.data_bucket, key);
        let options = PutOptions { content_type: Some("text/csv; charset=utf-8".to_owned()), ..PutOptions::default() };
        match self.objects.concatenate(&pieces, &to, options).await? {
            Put::Written(info) => Ok(Part { key: to.key, bytes: info.bytes }),
            // The path is this attempt's own.
            Put::Exists => Err(StorageError::Changed { what: to.to_string() }.into()),
        }
    }

    /// Reads the output again, each chunk's stretch of it by itself, and holds it against what that chunk-processor
    /// said it passed on. Returns the sums over the whole output.
    async fn check_output(
        &self,
        shape: &OutputShape,
        chunks: &[ChunkManifest],
        output: &Part,
    ) -> Result<ControlTotals, IntakeError> {
        let header = shape.header();
        let header_range = ByteRange::new(0, header.len() as u64);
        if self.stretch(output, header_range).await? != header {
            return Err(mismatch("merger → output".to_owned(), "the header is another".to_owned()));
        }
        let stretches = stretches(header_range.end, chunks, |chunk| chunk.part.as_ref());
        let end = stretches.last().map_or(header_range.end, |(_, range)| range.end);
        if end != output.bytes {
            return Err(mismatch(
                "merger → output".to_owned(),
                format!("the parts are {end} bytes, the output {}", output.bytes),
            ));
        }
        let at_once = checks_at_once(&stretches);
        let totals: Vec<ControlTotals> = stream::iter(stretches)
            .map(|(chunk, range)| async move {
                let read = shape.totals(&self.stretch(output, range).await?)?;
                match chunk.totals.differences(&read).first() {
                    Some(difference) => Err(mismatch(
                        format!("chunk-processor → output, chunk {}", chunk.chunk.index),
                        difference.to_string(),
                    )),
                    None => Ok(read),
                }
            })
            .buffered(at_once)
            .try_collect()
            .await?;
        let mut sum = ControlTotals::default();
        for part in &totals {
            sum.merge(part)?;
        }
        Ok(sum)
    }

    /// Reads the rejects again and counts them. Returns the first of them, as many as are kept.
    async fn check_rejects(&self, chunks: &[ChunkManifest], rejects: &Part) -> Result<Vec<Reject>, IntakeError> {
        let kept = self.config.rejects_kept;
        let stretches = stretches(rejects_header().len() as u64, chunks, |chunk| chunk.rejects.as_ref());
        let at_once = checks_at_once(&stretches);
        let mut read = stream::iter(stretches)
            .map(|(chunk, range)| async move {
                let bytes = self.stretch(rejects, range).await?;
                let mut first = Vec::new();
                let mut counted = 0;
                for reject in RejectReader::new(&bytes) {
                    let reject = reject.map_err(IntakeError::RejectsUnreadable)?;
                    counted += 1;
                    if first.len() < kept {
                        first.push(reject);
                    }
                }
                if counted == chunk.records_rejected {
                    return Ok(first);
                }
                let sides = format!("{} records rejected, {counted} in the reject file", chunk.records_rejected);
                Err(mismatch(format!("chunk-processor → rejects, chunk {}", chunk.chunk.index), sides))
            })
            .buffered(at_once);
        let mut first = Vec::new();
        while let Some(rows) = read.try_next().await? {
            let wanted = kept.saturating_sub(first.len());
            first.extend(rows.into_iter().take(wanted));
        }
        Ok(first)
    }

    /// Keeps the first rejects of a run that is not going to be published, straight from its parts.
    async fn keep_first_rejects(&self, run: &RunId, chunks: &[ChunkManifest]) -> Result<(), IntakeError> {
        let kept = self.config.rejects_kept;
        let mut first: Vec<Reject> = Vec::new();
        for part in chunks.iter().filter_map(|chunk| chunk.rejects.as_ref()) {
            if first.len() >= kept {
                break;
            }
            let bytes = self.read(&self.config.work_bucket, part, ByteRange::new(0, part.bytes)).await?;
            for reject in RejectReader::new(&bytes).take(kept - first.len()) {
                first.push(reject.map_err(IntakeError::RejectsUnreadable)?);
            }
        }
        Ok(self.rejects.put(run, &first, self.runs.now(), self.config.rejects_kept_days).await?)
    }

    async fn stretch(&self, part: &Part, range: ByteRange) -> Result<Bytes, IntakeError> {
        self.read(&self.config.data_bucket, part, range).await
    }

    async fn read(&self, bucket: &str, part: &Part, range: ByteRange) -> Result<Bytes, IntakeError> {
        let at = Location::new(bucket, &part.key);
        let stream = self.objects.read(&at, None, Some(range)).await?;
        Ok(read_all(stream, &at, range.len()).await?)
    }

    async fn write_report(&self, publication: &Publication, first: Vec<Reject>) -> Result<u64, IntakeError> {
        let page = report::page(&notify::figures_of(publication, first));
        let at = Location::new(&self.config.data_bucket, &publication.report.key);
        let options = PutOptions { content_type: Some("text/html; charset=utf-8".to_owned()), ..PutOptions::default() };
        let bytes = page.len() as u64;
        self.objects.put(&at, page.into(), options).await?;
        Ok(bytes)
    }

    /// Copies the version that was read to the archive, and then takes that version, and no other, out of the input.
    async fn archive(&self, plan: &Plan) -> Result<Location, IntakeError> {
        let input = &plan.request.input;
        let file = InputKey::parse(&input.key).map_or(input.key.as_str(), |key| key.file);
        let to = Location::new(&self.config.data_bucket, archive_key(&plan.request.run, &plan.request.feed, file));
        let from = Location::new(&input.bucket, &input.key);
        let archived = match self.objects.head(&to, None).await {
            Ok(info) => info,
            Err(StorageError::NotFound { .. }) => self.objects.copy(&from, input.version.as_deref(), &to).await?,
            Err(error) => return Err(error.into()),
        };
        if archived.bytes != plan.split.bytes {
            let sides = format!("{} bytes were read, {} archived", plan.split.bytes, archived.bytes);
            return Err(mismatch("input → archive".to_owned(), sides));
        }
        self.objects.delete(&from, input.version.as_deref()).await?;
        Ok(to)
    }
}

/// What the chunks say together.
#[derive(Default)]
struct Tally {
    out: u64,
    rejected: u64,
    by_rule: BTreeMap<String, u64>,
    totals: ControlTotals,
    totals_read: ControlTotals,
    totals_rejected: ControlTotals,
}

impl Tally {
    fn of(plan: &Plan, chunks: &[ChunkManifest]) -> Result<Self, IntakeError> {
        let mut tally = Self::default();
        for chunk in chunks {
            tally.out += chunk.records_out;
            tally.rejected += chunk.records_rejected;
            tally.totals.merge(&chunk.totals)?;
            tally.totals_read.merge(&chunk.totals_read)?;
            tally.totals_rejected.merge(&chunk.totals_rejected)?;
            for (rule, records) in &chunk.rejected_by_rule {
                *tally.by_rule.entry(rule.clone()).or_default() += records;
            }
        }
        let records = plan.split.records;
        if chunks.len() as u64 != plan.split.chunks || tally.out + tally.rejected != records {
            let sides = format!("{records} in, {} out, {} rejected", tally.out, tally.rejected);
            return Err(mismatch("splitter → merger".to_owned(), sides));
        }
        Ok(tally)
    }

    /// Holds the output, read again, against the chunks' sums, and together with the rejects against the input's.
    fn check(&self, shape: &OutputShape, output: &ControlTotals) -> Result<(), IntakeError> {
        if let Some(difference) = self.totals.differences(output).first() {
            return Err(mismatch("chunk-processors → output".to_owned(), difference.to_string()));
        }
        let mut accounted = output.clone();
        accounted.merge(&self.totals_rejected)?;
        let differences = self.totals_read.differences(&accounted);
        match differences.iter().find(|difference| !is_of(difference, &shape.brought)) {
            Some(difference) => Err(mismatch("input → output and rejects".to_owned(), difference.to_string())),
            None => Ok(()),
        }
    }
}

/// Whether a difference is in a column that only the output has.
fn is_of(difference: &Difference, brought: &[String]) -> bool {
    matches!(difference, Difference::Column { column, .. } if brought.contains(column))
}

/// Where each chunk's part lies in the concatenation that begins at `start`.
fn stretches(
    start: u64,
    chunks: &[ChunkManifest],
    part: impl Fn(&ChunkManifest) -> Option<&Part>,
) -> Vec<(&ChunkManifest, ByteRange)> {
    let mut at = start;
    chunks
        .iter()
        .map(|chunk| {
            let range = ByteRange::new(at, at + part(chunk).map_or(0, |part| part.bytes));
            at = range.end;
            (chunk, range)
        })
        .collect()
}

/// How many stretches can be held at once.
fn checks_at_once(stretches: &[(&ChunkManifest, ByteRange)]) -> usize {
    let longest = stretches.iter().map(|(_, range)| range.len()).max().unwrap_or_default().max(1);
    usize::try_from((CHECKED_BYTES_AT_ONCE / longest).clamp(1, CHECKS_AT_ONCE)).unwrap_or(1)
}

fn publication_of(end: End, run: &RunId) -> Result<Publication, IntakeError> {
    match end {
        End::Published(publication) => Ok(*publication),
        End::Failed(_) => Err(IntakeError::DeclaredFailed { run: run.to_string() }),
    }
}

fn figures(publication: &Publication) -> StepFigures {
    StepFigures {
        bytes: publication.output.bytes,
        records_in: publication.records_in,
        records_out: publication.records_out,
        records_rejected: publication.records_rejected,
    }
}

fn file_error(plan: &Plan, source: FileError) -> IntakeError {
    IntakeError::File { file: plan.request.input.key.clone(), source }
}

fn rejects_header() -> Bytes {
    let mut writer = RejectWriter::new();
    writer.write_header();
    writer.into_bytes().into()
}

fn mismatch(boundary: String, difference: String) -> IntakeError {
    IntakeError::ControlTotalMismatch { boundary, difference }
}

/// The output is never compressed, whatever the input was.
fn output_name(input_key: &str) -> String {
    let name = input_key.rsplit('/').next().unwrap_or(input_key);
    name.strip_suffix(".gz").unwrap_or(name).to_owned()
}

fn rejects_name(output: &str) -> String {
    format!("{}.rejects.csv", output.strip_suffix(".csv").unwrap_or(output))
}
