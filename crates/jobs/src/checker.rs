//! output-checker: the engine's report → proof that its parts tie out with it.
//!
//! What one call can read is checked by the first. Of more it makes pieces, which others read side by side; a last call adds
//! up what they have found.

use std::sync::Arc;

use environment::{ConfigError, parsed, text};
use futures::{StreamExt, TryStreamExt, stream};
use reconcile::{
    plan::PlanOutput,
    report::{Outcome, OutputFigures, Part, Report},
    task::{Task, TaskJob},
};
use serde_json::json;
use storage::{Clock, Location, Objects, Tables, documents};
use tokio::task::JoinSet;
use tracing::info;

use crate::{
    book::Jobs,
    closer,
    error::JobError,
    layout::{checked_key, execution, finding_key, pieces_key, task_key},
    manifest::{Checked, Finding},
    messages::{Caught, CheckAction, CheckBegun, CheckReply, CheckRequest, CheckedFigures, Piece},
    parts::{self, Tally},
    pieces::{Said, mismatch},
    sources::read_whole,
};

/// What output-checker is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket of tasks, reports and parts.
    pub work_bucket: String,
    /// The table of jobs.
    pub jobs_table: String,
    /// What one call reads, in bytes; of a longer part, all of it.
    pub piece_bytes: u64,
}

impl Config {
    /// Reads `WORK_BUCKET`, `JOBS_TABLE` and `CHECK_PIECE_BYTES`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            work_bucket: text("WORK_BUCKET")?,
            jobs_table: text("JOBS_TABLE")?,
            piece_bytes: parsed("CHECK_PIECE_BYTES")?,
        })
    }
}

/// Reads an attempt's outputs again, and holds them against what the engine says of them.
///
/// Running it again, late or twice at once is harmless: it reads what nobody overwrites, of the pieces and of what was found in
/// each the first that stands counts, and the first proof that stands is the attempt's.
pub struct OutputChecker {
    objects: Arc<dyn Objects>,
    jobs: Jobs,
    config: Config,
}

/// Parts read side by side: as many as a large function has processors.
const PARTS_AT_ONCE: usize = 6;
/// Findings read side by side.
const FINDINGS_AT_ONCE: usize = 16;

impl OutputChecker {
    /// A checker of what lies in `objects`.
    pub fn new(objects: Arc<dyn Objects>, tables: Arc<dyn Tables>, clock: Arc<dyn Clock>, config: Config) -> Self {
        let jobs = Jobs::new(tables, &config.jobs_table, clock);
        Self { objects, jobs, config }
    }

    /// Does what is asked with one report.
    pub async fn handle(&self, request: CheckRequest) -> Result<CheckReply, JobError> {
        let CheckRequest { job, report, action } = &request;
        match action {
            CheckAction::Check => self.check(job, report).await.map(CheckReply::Begun),
            CheckAction::CheckPiece { piece } => self.check_piece(job, report, piece).await,
            CheckAction::ReportPiece { piece, failure } => self.report_piece(job, piece, failure).await,
            CheckAction::AddUp => self.add_up(job, report).await.map(CheckReply::Checked),
        }
    }

    async fn check(&self, job: &TaskJob, report: &Location) -> Result<CheckBegun, JobError> {
        self.jobs.live(job).await?;
        let (task, checked) = self.made(job, report).await?;
        // However the attempt ends now: this is what its engine has cost.
        let known = json!({ "engine": checked.engine, "milliseconds": checked.figures.milliseconds });
        self.jobs.set_while_running(job, known).await?;
        let said = Said::of(&task, &checked.figures)?;
        let figures = said.figures();
        let at = Location::new(&self.config.work_bucket, pieces_key(job));
        let count = match said.pieces(self.config.piece_bytes)[..] {
            [] | [_] => {
                let all = Piece { number: 0, from: 0, to: figures.parts };
                said.ties_out(&[self.read(&task, &said, &all).await?])?;
                self.commit(job, checked, figures).await?;
                0
            }
            ref pieces => documents::commit(&*self.objects, &at, pieces.to_vec()).await?.len() as u64,
        };
        info!(job = execution(job), pieces = count, bytes = figures.bytes, "check begun");
        Ok(CheckBegun { count, bucket: at.bucket, pieces: at.key, figures })
    }

    async fn check_piece(&self, job: &TaskJob, report: &Location, piece: &Piece) -> Result<CheckReply, JobError> {
        self.jobs.live(job).await?;
        let at = Location::new(&self.config.work_bucket, finding_key(job, piece.number));
        if documents::read::<Finding>(&*self.objects, &at).await?.is_none() {
            let (task, checked) = self.made(job, report).await?;
            let said = Said::of(&task, &checked.figures)?;
            let outputs = self.read(&task, &said, piece).await?;
            documents::commit(&*self.objects, &at, Finding::Read { outputs }).await?;
        }
        info!(job = execution(job), piece = piece.number, "piece checked");
        Ok(CheckReply::Piece {})
    }

    /// A map says of a child that failed only that it did: so its reason is a finding.
    async fn report_piece(&self, job: &TaskJob, piece: &Piece, failure: &Caught) -> Result<CheckReply, JobError> {
        let at = Location::new(&self.config.work_bucket, finding_key(job, piece.number));
        let reason = closer::told(failure);
        info!(job = execution(job), piece = piece.number, class = reason.class, "piece not checked");
        documents::commit(&*self.objects, &at, Finding::Failed { reason }).await?;
        Ok(CheckReply::Piece {})
    }

    async fn add_up(&self, job: &TaskJob, report: &Location) -> Result<CheckedFigures, JobError> {
        self.jobs.live(job).await?;
        let (task, checked) = self.made(job, report).await?;
        let said = Said::of(&task, &checked.figures)?;
        let at = Location::new(&self.config.work_bucket, pieces_key(job));
        let pieces: Vec<Piece> = self.document(job, &at).await?;
        let findings = stream::iter(pieces).map(|piece| self.finding(job, piece)).buffered(FINDINGS_AT_ONCE);
        let found: Vec<Vec<OutputFigures>> = findings.try_collect().await?;
        said.ties_out(&found)?;
        let figures = said.figures();
        self.commit(job, checked, figures).await?;
        Ok(figures)
    }

    async fn finding(&self, job: &TaskJob, piece: Piece) -> Result<Vec<OutputFigures>, JobError> {
        let at = Location::new(&self.config.work_bucket, finding_key(job, piece.number));
        match self.document(job, &at).await? {
            Finding::Read { outputs } => Ok(outputs),
            Finding::Failed { reason } => Err(reason.into()),
        }
    }

    /// The task, and what the engine says that it has made of it.
    async fn made(&self, job: &TaskJob, report_at: &Location) -> Result<(Task, Checked), JobError> {
        let task: Task = self.document(job, &Location::new(&self.config.work_bucket, task_key(job))).await?;
        let Report { version, engine, outcome } = self.document(job, report_at).await?;
        if version != Report::VERSION {
            let reason = format!("it has version {version}, this is version {}", Report::VERSION);
            return Err(JobError::Malformed { what: report_at.to_string(), reason });
        }
        match outcome {
            Outcome::Done(figures) => {
                read_whole(&task, &figures.inputs)?;
                Ok((task, Checked { engine, figures }))
            }
            Outcome::Failed { failure } => Err(JobError::Engine { class: failure.class, message: failure.message }),
        }
    }

    async fn document<T: serde::de::DeserializeOwned>(&self, job: &TaskJob, at: &Location) -> Result<T, JobError> {
        let missing = || JobError::StepMissing { what: at.to_string(), job: execution(job) };
        documents::read(&*self.objects, at).await?.ok_or_else(missing)
    }

    async fn commit(&self, job: &TaskJob, checked: Checked, figures: CheckedFigures) -> Result<(), JobError> {
        let at = Location::new(&self.config.work_bucket, checked_key(job));
        documents::commit(&*self.objects, &at, checked).await?;
        let CheckedFigures { rows, bytes, parts } = figures;
        info!(job = execution(job), rows, bytes, parts, "outputs checked");
        Ok(())
    }

    /// Reads the parts of a piece, and compares each with what is said of it.
    async fn read(&self, task: &Task, said: &Said<'_>, piece: &Piece) -> Result<Vec<OutputFigures>, JobError> {
        let mut outputs = Vec::new();
        for (planned, parts) in said.parts_of(piece) {
            let mut whole = Tally::of(&planned.columns);
            let (mut waiting, mut reading) = (parts.iter(), JoinSet::new());
            loop {
                while reading.len() < PARTS_AT_ONCE
                    && let Some(part) = waiting.next()
                {
                    let bucket = task.output.bucket.clone();
                    reading.spawn(read(self.objects.clone(), bucket, planned.clone(), part.clone()));
                }
                let Some(tally) = reading.join_next().await else { break };
                whole.merge(&tally??);
            }
            outputs.push(whole.figures(planned, parts.to_vec()));
        }
        Ok(outputs)
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
