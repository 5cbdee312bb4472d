//! splitter: one input object → a plan with record-aligned byte ranges.

use std::sync::Arc;

use bytes::Bytes;
use environment::{ConfigError, addresses, ascii, optional_text, parsed, text};
use futures::TryStreamExt;
use records::{Format, Header, SplitPlan};
use serde_json::json;
use storage::{ByteRange, Clock, Location, Objects, Tables, cache::NoCache, documents};
use tracing::info;

use crate::{
    error::{FileError, IntakeError},
    feed::{CHUNK_BYTES_MAX, ChunkSize, Feed, FeedError, Feeds},
    input::{InputObject, recognise},
    layout::{DEFAULT_FEED, FILE_BYTES_MAX, InputKey},
    manifest::{Compression, Plan, attempt_folder, plan_key},
    messages::{Chunk, RunRequest, Split},
    reference::References,
    runs::{RunStatus, Runs, Step, StepFigures},
    shape::Shape,
};

/// What splitter is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket of plans and ranges.
    pub work_bucket: String,
    /// The table of feeds.
    pub feeds_table: String,
    /// The table of reference rows.
    pub reference_table: String,
    /// The table of runs.
    pub runs_table: String,
    /// The delimiter of files in `input/`, when nobody has described the feed `default`.
    pub default_delimiter: u8,
    /// The records in a chunk of such a file.
    pub default_chunk_records: u64,
    /// The sender of mails for feeds that name none.
    pub mail_from: Option<String>,
    /// The recipients of mails for feeds that name none.
    pub mail_to: Vec<String>,
}

impl Config {
    /// Reads `WORK_BUCKET`, `FEEDS_TABLE`, `REFERENCE_TABLE`, `RUNS_TABLE`, `DEFAULT_DELIMITER`,
    /// `DEFAULT_CHUNK_RECORDS`, `MAIL_FROM` and `MAIL_TO`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            work_bucket: text("WORK_BUCKET")?,
            feeds_table: text("FEEDS_TABLE")?,
            reference_table: text("REFERENCE_TABLE")?,
            runs_table: text("RUNS_TABLE")?,
            default_delimiter: ascii("DEFAULT_DELIMITER")?,
            default_chunk_records: parsed("DEFAULT_CHUNK_RECORDS")?,
            mail_from: optional_text("MAIL_FROM"),
            mail_to: addresses("MAIL_TO"),
        })
    }
}

/// Plans a run: reads the input once, writes nothing of it again.
///
/// Running it again, late or twice at once is harmless: each attempt writes its ranges under a path of its own, and
/// the first plan that stands is the run's; the others return it.
pub struct Splitter {
    objects: Arc<dyn Objects>,
    feeds: Feeds,
    references: References,
    runs: Runs,
    config: Config,
}

/// What one Distributed Map takes in parallel, and one multipart upload in parts.
const CHUNKS_MAX: u64 = 10_000;

/// What the bytes of an input say.
struct Scan {
    header: Vec<String>,
    compression: Compression,
    split: records::Split,
}

impl Splitter {
    /// A splitter that reads `objects` and looks feeds up in `tables`.
    pub fn new(objects: Arc<dyn Objects>, tables: Arc<dyn Tables>, clock: Arc<dyn Clock>, config: Config) -> Self {
        Self {
            objects,
            feeds: Feeds::new(tables.clone(), &config.feeds_table),
            references: References::new(tables.clone(), &config.reference_table, Arc::new(NoCache)),
            runs: Runs::new(tables, &config.runs_table, clock),
            config,
        }
    }

    /// Handles the start of one run.
    pub async fn split(&self, request: RunRequest) -> Result<Split, IntakeError> {
        let run = request.run.clone();
        let at = Location::new(&self.config.work_bucket, plan_key(&run));
        let plan: Plan = match documents::read::<Plan>(&*self.objects, &at).await? {
            Some(plan) => {
                self.runs.step_done(&run, Step::Split, figures(&plan.split)).await;
                plan
            }
            None => {
                // Started by hand, a run has not been registered by file-arrival.
                self.runs.register(&request).await?;
                self.runs.step(&run, Step::Split, self.plan(request, &at)).await?
            }
        };
        let Split { chunks, records, bytes, .. } = plan.split;
        let known = json!({ "status": RunStatus::Running, "bytes": bytes, "chunks": chunks, "records_in": records });
        self.runs.set_unless_final(&run, known).await?;
        info!(run = %run, chunks, records, bytes, "split complete");
        Ok(plan.split)
    }

    async fn plan(&self, mut request: RunRequest, at: &Location) -> Result<(Plan, StepFigures), IntakeError> {
        let feed = self.feed(&request).await?;
        // Before anything can be found wrong with the file: these are the people who are to be told.
        let mail = &feed.tieout.mail;
        let told = json!({
            "mail_to": mail.to.as_ref().unwrap_or(&self.config.mail_to),
            "mail_from": mail.from.as_ref().or(self.config.mail_from.as_ref()),
        });
        self.runs.set_unless_final(&request.run, told).await?;
        check_name(&request)?;
        let reference_generation = self.reference_generation(&request, &feed).await?;
        let head = InputObject::new(&*self.objects, &request.input).head().await?;
        // From here on every step reads, and the archive takes away, this version and no other.
        request.input.version = request.input.version.or(head.version);
        let input = InputObject::new(&*self.objects, &request.input);
        let Scan { header, compression, split } = self.scan(&input, &feed, head.bytes).await?;

        let chunks: Vec<Chunk> = split.ranges.iter().map(Chunk::from).collect();
        let ranges = format!("{}.json", attempt_folder(&request.run, "ranges"));
        documents::write(&*self.objects, &Location::new(&at.bucket, &ranges), &chunks).await?;
        let plan = Plan {
            split: Split {
                bucket: at.bucket.clone(),
                ranges,
                chunks: chunks.len() as u64,
                records: split.records,
                bytes: head.bytes,
            },
            request,
            feed,
            reference_generation,
            header,
            compression,
        };
        let plan = documents::commit(&*self.objects, at, plan).await?;
        let figures = figures(&plan.split);
        Ok((plan, figures))
    }

    async fn feed(&self, request: &RunRequest) -> Result<Feed, IntakeError> {
        match self.feeds.get(request.run.tenant(), &request.feed).await? {
            Some(feed) => Ok(feed),
            None if request.feed == DEFAULT_FEED => {
                Ok(Feed::undescribed(self.config.default_delimiter, self.config.default_chunk_records))
            }
            None => Err(IntakeError::UnknownFeed { feed: request.feed.clone() }),
        }
    }

    /// The generation of the reference table, once it is known to have every column that the feed brings in.
    async fn reference_generation(&self, request: &RunRequest, feed: &Feed) -> Result<Option<u64>, IntakeError> {
        let Some(enrichment) = &feed.tieout.enrichment else { return Ok(None) };
        let (feed, table) = (request.feed.clone(), enrichment.table.clone());
        let Some(info) = self.references.info(request.run.tenant(), &table).await? else {
            return Err(IntakeError::UnknownReference { feed, table });
        };
        match enrichment.columns.iter().find(|column| !info.columns.contains(&column.from)) {
            Some(column) => Err(IntakeError::UnknownReferenceColumn { feed, table, column: column.from.clone() }),
            None => Ok(Some(info.generation)),
        }
    }

    async fn scan(&self, input: &InputObject<'_>, feed: &Feed, bytes: u64) -> Result<Scan, IntakeError> {
        let format = feed.format().map_err(FeedError::from)?;
        let magic = input.range(ByteRange::new(0, bytes.min(8))).await?;
        let compression = recognise(&magic).map_err(|error| input.wrong(error))?;
        let mut start = Start::new(feed.record_bytes_max());
        let mut scanner = records::Splitter::new(&format, split_plan(feed, compression, bytes));
        let mut take = |block: Bytes| {
            start.keep(&block);
            scanner.push(&block).map_err(|error| input.wrong(error))
        };
        match compression {
            Compression::Gzip => take(input.decompressed().await?)?,
            Compression::None => {
                let mut blocks = std::pin::pin!(input.blocks(bytes));
                while let Some(block) = blocks.try_next().await? {
                    take(block)?;
                }
            }
        }
        let split = scanner.finish().map_err(|error| input.wrong(error))?;
        let header = start.columns(feed, &format, &split).map_err(|error| input.wrong(error))?;
        Ok(Scan { header, compression, split })
    }
}

fn figures(split: &Split) -> StepFigures {
    StepFigures { bytes: split.bytes, records_in: split.records, records_out: split.records, records_rejected: 0 }
}

fn check_name(request: &RunRequest) -> Result<(), IntakeError> {
    let key = &request.input.key;
    let path = InputKey::parse(key).map_or(key.as_str(), |parsed| parsed.file);
    if path.len() <= FILE_BYTES_MAX {
        return Ok(());
    }
    Err(IntakeError::File { file: key.clone(), source: FileError::NameTooLong { limit: FILE_BYTES_MAX } })
}

fn split_plan(feed: &Feed, compression: Compression, bytes: u64) -> SplitPlan {
    let chunk = match (compression, feed.tieout.chunk) {
        // A worker decompresses all of it, so there is no use in a second one.
        (Compression::Gzip, _) => records::ChunkSize::ByBytes(u64::MAX),
        // Large files take larger chunks rather than more than there can be.
        (Compression::None, ChunkSize::Bytes(wanted)) => {
            records::ChunkSize::ByBytes(wanted.max(bytes / CHUNKS_MAX + 1))
        }
        (Compression::None, ChunkSize::Records(wanted)) => records::ChunkSize::ByRecords(wanted),
    };
    SplitPlan { chunk, chunk_bytes_max: CHUNK_BYTES_MAX, chunks_max: CHUNKS_MAX }
}

/// The beginning of an input: as much as its header can be long.
struct Start {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Start {
    fn new(record_bytes_max: usize) -> Self {
        // A byte order mark and empty lines may stand before the header, and a line end behind it.
        Self { bytes: Vec::new(), bytes_max: 2 * record_bytes_max + 8 }
    }

    fn keep(&mut self, block: &[u8]) {
        let wanted = self.bytes_max.saturating_sub(self.bytes.len()).min(block.len());
        self.bytes.extend_from_slice(block.get(..wanted).unwrap_or_default());
    }

    /// The input's columns, checked against everything that the feed says of columns.
    fn columns(&self, feed: &Feed, format: &Format, split: &records::Split) -> Result<Vec<String>, FileError> {
        let columns: Vec<String> = match split.header {
            Some(range) => {
                let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
                let line = bounds.and_then(|(start, end)| self.bytes.get(start..end)).unwrap_or_default();
                Header::parse(line, format)?.names().map(str::to_owned).collect()
            }
            None if format.has_header() => return Err(FileError::Empty),
            None => feed.compiled_schema(&[])?.names().map(str::to_owned).collect(),
        };
        if feed.resource.schema.is_none() {
            feed.check_enrichment(&columns)?;
        }
        Shape::new(feed, &columns)?;
        Ok(columns)
    }
}

impl From<&records::RecordRange> for Chunk {
    fn from(range: &records::RecordRange) -> Self {
        let records::RecordRange { index, start, end, records, first_row } = *range;
        Self { index, start, end, records, first_row }
    }
}
