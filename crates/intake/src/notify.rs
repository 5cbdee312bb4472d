//! emailer: how a run ended → its row, and a mail.

use std::{sync::Arc, time::Duration};

use environment::{ConfigError, addresses, optional_text, parsed, text};
use error_class::{Classified, ErrorClass};
use records::{Reject, Violation};
use report::{Outcome, RunFigures};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use storage::{Clock, Links, Location, Mail, Mailer, Objects, Tables, documents};
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    error::IntakeError,
    manifest::{End, FailedRun, Publication, end_key},
    messages::{
        EndedExecution, ExecutionEnded, Failure, MailStatus, Notice, Notified, NotifyRequest, RunId, RunRequest,
    },
    runs::{Reason, RunRecord, RunStatus, Runs, StepStatus},
};

/// What emailer is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket of runs' ends.
    pub data_bucket: String,
    /// The table of runs.
    pub runs_table: String,
    /// The sender of mails about runs that failed before their feed was read; without one, none are sent.
    pub mail_from: Option<String>,
    /// The recipients of such mails.
    pub mail_to: Vec<String>,
    /// How long a download link is asked to live.
    pub link_lifetime: Duration,
}

impl Config {
    /// Reads `DATA_BUCKET`, `RUNS_TABLE`, `MAIL_FROM`, `MAIL_TO` and `LINK_LIFETIME_SECONDS`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            data_bucket: text("DATA_BUCKET")?,
            runs_table: text("RUNS_TABLE")?,
            mail_from: optional_text("MAIL_FROM"),
            mail_to: addresses("MAIL_TO"),
            link_lifetime: Duration::from_secs(parsed("LINK_LIFETIME_SECONDS")?),
        })
    }
}

/// Decides that a run failed, if nobody has decided otherwise, and mails how it ended.
///
/// Running it again, late or twice at once is harmless: the first [`End`] that stands is the run's, so what is published
/// never becomes failed, nor the other way round; and the mail is sent by the worker that has claimed it, once. A worker
/// that dies between handing a mail over and writing that down is the one case in which a mail comes twice.
pub struct Emailer {
    objects: Arc<dyn Objects>,
    links: Arc<dyn Links>,
    mailer: Arc<dyn Mailer>,
    runs: Runs,
    config: Config,
}

/// Failures of Step Functions' own that only say that some worker failed: the worker's row says why.
const NAMELESS: [&str; 4] =
    ["States.TaskFailed", "States.ExceedToleratedFailureThreshold", "States.ItemReaderFailed", "Lambda.Unknown"];

impl Emailer {
    /// An emailer that follows the ends in `objects`.
    pub fn new(
        objects: Arc<dyn Objects>,
        links: Arc<dyn Links>,
        tables: Arc<dyn Tables>,
        mailer: Arc<dyn Mailer>,
        clock: Arc<dyn Clock>,
        config: Config,
    ) -> Self {
        let runs = Runs::new(tables, &config.runs_table, clock);
        Self { objects, links, mailer, runs, config }
    }

    /// Handles the end of one run.
    pub async fn notify(&self, notice: Notice) -> Result<Notified, IntakeError> {
        let NotifyRequest { run: request, failure } = notice.try_into()?;
        let registered = self.runs.register(&request).await?;
        let end = self.end(&request, failure.as_ref()).await?;
        self.record(&request.run, &end, failure.as_ref()).await?;
        let record = self.runs.get(&request.run).await?.unwrap_or(registered);
        let mail = self.mail(&record, &end).await?;
        info!(run = %request.run, mail = ?mail, "run notified");
        let mails_failed = u8::from(matches!(mail, MailStatus::Failed { .. }));
        Ok(Notified { mail, mails_failed })
    }

    /// How the run ended: as it stands, or else as the failure says, from now on.
    async fn end(&self, request: &RunRequest, failure: Option<&Failure>) -> Result<End, IntakeError> {
        let at = Location::new(&self.config.data_bucket, end_key(&request.run));
        match (documents::read(&*self.objects, &at).await?, failure) {
            (Some(end), _) => Ok(end),
            (None, Some(failure)) => {
                let reason = self.reason(&request.run, failure).await?;
                let failed = FailedRun { request: request.clone(), reason, failed_at: self.runs.now() };
                Ok(documents::commit(&*self.objects, &at, End::Failed(failed)).await?)
            }
            (None, None) => Err(IntakeError::StepMissing { what: at.to_string(), run: request.run.to_string() }),
        }
    }

    /// Writes the end down in the run's row; on a published run also what failed after that.
    async fn record(&self, run: &RunId, end: &End, failure: Option<&Failure>) -> Result<(), IntakeError> {
        let ended = match end {
            End::Published(publication) => {
                let mut ended = published(publication);
                if let Some(failure) = failure {
                    ended.insert("failure".to_owned(), json!(self.reason(run, failure).await?));
                }
                ended.into()
            }
            End::Failed(FailedRun { reason, failed_at, .. }) => {
                warn!(run = %run, class = reason.class, message = reason.message, "run failed");
                json!({ "status": RunStatus::Failed, "ended_at": failed_at, "failure": reason })
            }
        };
        self.runs.set_always(run, ended).await?;
        Ok(())
    }

    /// Why the run failed, from whoever knows best.
    async fn reason(&self, run: &RunId, failure: &Failure) -> Result<Reason, IntakeError> {
        if !NAMELESS.contains(&failure.error.as_str()) {
            return Ok(told(failure));
        }
        let steps = self.runs.steps(run).await?;
        let failed = steps.iter().filter(|step| step.status == StepStatus::Failed);
        if let Some(reason) = failed.min_by_key(|step| step.ended_at).and_then(|step| step.failure.clone()) {
            return Ok(reason);
        }
        let Some(lost) = steps.iter().find(|step| step.status == StepStatus::Running) else {
            return Ok(told(failure));
        };
        let message = format!("{} was begun {} times and never ended", lost.step, lost.attempts);
        Ok(Reason { class: ErrorClass::WorkerLost.to_string(), message })
    }

    /// Sends the run's mail, unless it was sent. What cannot be sent is an error while it is worth trying again.
    async fn mail(&self, record: &RunRecord, end: &End) -> Result<MailStatus, IntakeError> {
        let from = record.mail_from.as_ref().or(self.config.mail_from.as_ref());
        let to = record.mail_to.as_ref().unwrap_or(&self.config.mail_to);
        let (Some(from), false) = (from, to.is_empty()) else {
            self.runs.set_always(&record.run, json!({ "mail": MailStatus::NotWanted })).await?;
            return Ok(MailStatus::NotWanted);
        };

        let claim = Uuid::new_v4().to_string();
        if !self.runs.claim_mail(&record.run, &claim).await? {
            let known = self.runs.get(&record.run).await?.and_then(|record| record.mail);
            return known.filter(|mail| matches!(mail, MailStatus::Sent { .. })).ok_or(IntakeError::MailClaimed);
        }
        let report::Mail { subject, text, html } = self.compose(record, end).await;
        let sent = self.mailer.send(&Mail { from: from.clone(), to: to.clone(), subject, text, html }).await;
        let mail = match &sent {
            Ok(id) => MailStatus::Sent { id: id.clone() },
            Err(error) => MailStatus::Failed { reason: error_class::chain(error) },
        };
        self.runs.mail_ended(&record.run, &claim, &mail).await?;
        match sent {
            Err(error) if matches!(error.class(), ErrorClass::Throttled | ErrorClass::Unavailable) => Err(error.into()),
            Ok(_) | Err(_) => Ok(mail),
        }
    }

    async fn compose(&self, record: &RunRecord, end: &End) -> report::Mail {
        match end {
            End::Published(publication) => {
                let at = Location::new(&self.config.data_bucket, &publication.output.key);
                let link = match self.links.sign(&at, self.config.link_lifetime).await {
                    Ok(link) => Some(report::Link { url: link.url, expires_at: link.expires_at }),
                    // The figures are worth a mail without it; it says how to get a link.
                    Err(error) => {
                        warn!(run = %record.run, error = error_class::chain(&error), "link not signed");
                        None
                    }
                };
                report::mail(&figures_of(publication, Vec::new()), link.as_ref())
            }
            End::Failed(failed) => report::mail(&figures_of_failed(record, failed), None),
        }
    }
}

impl TryFrom<Notice> for NotifyRequest {
    type Error = IntakeError;

    fn try_from(notice: Notice) -> Result<Self, IntakeError> {
        let EndedExecution { status, input, error, cause } = match notice {
            Notice::Run(request) => return Ok(request),
            Notice::Ended(ExecutionEnded { detail }) => detail,
        };
        let run = serde_json::from_str(&input)
            .map_err(|source| IntakeError::Malformed { what: "the input of an execution".to_owned(), source })?;
        let cause = cause.unwrap_or_else(|| format!("the execution ended as {status}"));
        Ok(Self { run, failure: Some(Failure { error: error.unwrap_or(status), cause }) })
    }
}

/// The failure as Step Functions tells it.
fn told(failure: &Failure) -> Reason {
    /// What a Lambda's error looks like in a `Cause`.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cause {
        error_message: String,
    }
    let message = serde_json::from_str::<Cause>(&failure.cause)
        .map_or_else(|_| failure.cause.clone(), |cause| cause.error_message);
    let class = match failure.error.as_str() {
        "Sandbox.Timedout" | "Runtime.ExitError" | "States.Timeout" | "TIMED_OUT" => ErrorClass::WorkerLost.as_str(),
        lambda if lambda.starts_with("Lambda.") => ErrorClass::Unavailable.as_str(),
        named => named,
    };
    Reason { class: class.to_owned(), message }
}

/// The attributes that a published run's row has.
pub(crate) fn published(publication: &Publication) -> Map<String, Value> {
    let rejects = publication.rejects.as_ref().map(|part| &part.key);
    let attributes = [
        ("status", json!(RunStatus::Published)),
        ("ended_at", json!(publication.published_at)),
        ("bytes", publication.bytes.into()),
        ("chunks", publication.chunks.into()),
        ("records_in", publication.records_in.into()),
        ("records_out", publication.records_out.into()),
        ("records_rejected", publication.records_rejected.into()),
        ("totals", json!(publication.totals)),
        ("output", json!(publication.output.key)),
        ("rejects", json!(rejects)),
        ("report", json!(publication.report.key)),
    ];
    attributes.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// What is told of a published run.
pub(crate) fn figures_of(publication: &Publication, first: Vec<Reject>) -> RunFigures {
    let RunRequest { run, feed, input } = &publication.request;
    let mut rejects_by_rule: Vec<(String, u64)> = publication.rejected_by_rule.clone().into_iter().collect();
    rejects_by_rule.sort_by_key(|(_, records)| std::cmp::Reverse(*records));
    RunFigures {
        run: run.to_string(),
        tenant: run.tenant().to_owned(),
        feed: feed.clone(),
        file: file_name(&input.key).to_owned(),
        input: Location::new(&input.bucket, &input.key).to_string(),
        started_at: publication.started_at,
        ended_at: publication.published_at,
        bytes: Some(publication.bytes),
        chunks: Some(publication.chunks),
        records_in: Some(publication.records_in),
        records_out: Some(publication.records_out),
        records_rejected: Some(publication.records_rejected),
        totals: Some(publication.totals.clone()),
        totals_rejected: (publication.records_rejected > 0).then(|| publication.totals_rejected.clone()),
        rejects_by_rule,
        rejects: first.into_iter().map(told_reject).collect(),
        outcome: Outcome::Published { output: file_name(&publication.output.key).to_owned() },
    }
}

fn told_reject(reject: Reject) -> report::Reject {
    let Violation { row, column, value, rule, message, .. } = reject.violation;
    report::Reject { row, value: column.is_some().then_some(value), column, rule, message }
}

/// What is told of a run that failed.
fn figures_of_failed(record: &RunRecord, failed: &FailedRun) -> RunFigures {
    let RunRequest { run, feed, input } = &failed.request;
    let Reason { class, message } = failed.reason.clone();
    RunFigures {
        run: run.to_string(),
        tenant: run.tenant().to_owned(),
        feed: feed.clone(),
        file: file_name(&input.key).to_owned(),
        input: Location::new(&input.bucket, &input.key).to_string(),
        started_at: record.started_at,
        ended_at: failed.failed_at,
        bytes: record.bytes,
        chunks: record.chunks,
        records_in: record.records_in,
        records_out: None,
        records_rejected: None,
        totals: None,
        totals_rejected: None,
        rejects_by_rule: Vec::new(),
        rejects: Vec::new(),
        outcome: Outcome::Failed { class, message },
    }
}

fn file_name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}
