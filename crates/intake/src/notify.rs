//! emailer: how a run ended → its row, and a mail.

use std::{sync::Arc, time::Duration};

use error_class::{Classified, ErrorClass};
use records::{Reject, Violation};
use report::{Outcome, RunFigures};
use serde::Deserialize;
use serde_json::json;
use storage::{Clock, Links, Location, Mail, Mailer, Objects, Tables};
use tracing::{info, warn};

use crate::{
    config::{ConfigError, addresses, optional_text, parsed, text},
    error::IntakeError,
    manifest::{self, Plan, Publication, plan_key, publication_key},
    messages::{Failure, MailStatus, Notified, NotifyRequest, RunId, RunRequest},
    runs::{Reason, RunRecord, RunStatus, Runs, StepStatus},
};

/// What emailer is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket of plans.
    pub work_bucket: String,
    /// The bucket of publications.
    pub data_bucket: String,
    /// The table of runs.
    pub runs_table: String,
    /// The sender of mails about runs that failed before they had a plan; without one, none are sent.
    pub mail_from: Option<String>,
    /// The recipients of such mails.
    pub mail_to: Vec<String>,
    /// How long a download link is asked to live.
    pub link_lifetime: Duration,
}

impl Config {
    /// Reads `WORK_BUCKET`, `DATA_BUCKET`, `RUNS_TABLE`, `MAIL_FROM`, `MAIL_TO` and `LINK_LIFETIME_SECONDS`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            work_bucket: text("WORK_BUCKET")?,
            data_bucket: text("DATA_BUCKET")?,
            runs_table: text("RUNS_TABLE")?,
            mail_from: optional_text("MAIL_FROM"),
            mail_to: addresses("MAIL_TO"),
            link_lifetime: Duration::from_secs(parsed("LINK_LIFETIME_SECONDS")?),
        })
    }
}

/// Marks a run that failed, and mails how a run ended.
///
/// Running it again or late is harmless: what is published is never marked failed, and a run whose mail was sent is
/// not mailed again. Twice at once, the one that claims the mail first sends it. A worker that dies between handing a
/// mail over and writing that down is the one case in which a mail comes twice.
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
    /// An emailer that follows the manifests in `objects`.
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
    pub async fn notify(&self, request: NotifyRequest) -> Result<Notified, IntakeError> {
        let run = &request.run.run;
        let registered = self.runs.register(&request.run).await?;
        let at = Location::new(&self.config.data_bucket, publication_key(run));
        let publication: Option<Publication> = manifest::read(&*self.objects, &at).await?;
        let record = self.record_end(registered, request.failure.as_ref(), publication.as_ref()).await?;
        if let Some(sent @ MailStatus::Sent { .. }) = record.mail {
            return Ok(Notified { mail: sent });
        }
        let sent = self.mail(&record, publication.as_ref()).await;
        let mail = match &sent {
            Ok(status) => status.clone(),
            Err(IntakeError::MailClaimed) => return Err(IntakeError::MailClaimed),
            Err(error) => MailStatus::Failed { reason: error_class::chain(error) },
        };
        info!(run = %run, mail = ?mail, "run notified");
        self.runs.mail_ended(run, &mail).await?;
        // What the service may take later is tried again; what it will never take is visible in the row.
        match sent {
            Err(error) if matches!(error.class(), ErrorClass::Throttled | ErrorClass::Unavailable) => Err(error),
            Ok(_) | Err(_) => Ok(Notified { mail }),
        }
    }

    /// Writes down how the run ended, and returns its row as it is then.
    async fn record_end(
        &self,
        registered: RunRecord,
        failure: Option<&Failure>,
        publication: Option<&Publication>,
    ) -> Result<RunRecord, IntakeError> {
        let run = registered.run.clone();
        if let Some(publication) = publication {
            self.runs.set_unless_final(&run, published(publication)).await?;
        }
        if let Some(failure) = failure {
            let reason = self.reason(&run, failure).await?;
            warn!(run = %run, class = reason.class, message = reason.message, "run failed");
            if publication.is_some() {
                self.runs.set_always(&run, json!({ "failure": reason })).await?;
            } else {
                let end = json!({ "status": RunStatus::Failed, "ended_at": self.runs.now(), "failure": reason });
                self.runs.set_unless_final(&run, end).await?;
            }
        }
        Ok(self.runs.get(&run).await?.unwrap_or(registered))
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

    async fn mail(&self, record: &RunRecord, publication: Option<&Publication>) -> Result<MailStatus, IntakeError> {
        let plan: Option<Plan> =
            manifest::read(&*self.objects, &Location::new(&self.config.work_bucket, plan_key(&record.run))).await?;
        let (from, to) = match plan {
            Some(plan) => (Some(plan.mail_from).filter(|from| !from.is_empty()), plan.mail_to),
            None => (self.config.mail_from.clone(), self.config.mail_to.clone()),
        };
        let (Some(from), false) = (from, to.is_empty()) else { return Ok(MailStatus::NotWanted) };
        if !self.runs.claim_mail(&record.run).await? {
            return Err(IntakeError::MailClaimed);
        }
        let link = match publication {
            Some(publication) => {
                let at = Location::new(&self.config.data_bucket, &publication.output.key);
                let link = self.links.sign(&at, self.config.link_lifetime).await?;
                Some(report::Link { url: link.url, expires_at: link.expires_at })
            }
            None => None,
        };
        let figures =
            publication.map_or_else(|| figures_of_failed(record), |publication| figures_of(publication, Vec::new()));
        let report::Mail { subject, text, html } = report::mail(&figures, link.as_ref());
        let id = self.mailer.send(&Mail { from, to, subject, text, html }).await?;
        Ok(MailStatus::Sent { id })
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
    Reason { class: failure.error.clone(), message }
}

/// The attributes that a published run's row has.
pub(crate) fn published(publication: &Publication) -> serde_json::Value {
    json!({
        "status": RunStatus::Published,
        "ended_at": publication.published_at,
        "bytes": publication.bytes,
        "chunks": publication.chunks,
        "records_in": publication.records_in,
        "records_out": publication.records_out,
        "records_rejected": publication.records_rejected,
        "totals": publication.totals,
        "output": publication.output.key,
        "rejects": publication.rejects.as_ref().map(|part| &part.key),
        "report": publication.report.key,
    })
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
fn figures_of_failed(record: &RunRecord) -> RunFigures {
    let (class, message) = match &record.failure {
        Some(Reason { class, message }) => (class.clone(), message.clone()),
        None => (ErrorClass::Bug.to_string(), "the run ended without an output and without a reason".to_owned()),
    };
    RunFigures {
        run: record.run.to_string(),
        tenant: record.run.tenant().to_owned(),
        feed: record.feed.clone(),
        file: record.file_name().to_owned(),
        input: Location::new(&record.input.bucket, &record.input.key).to_string(),
        started_at: record.started_at,
        ended_at: record.ended_at.unwrap_or(record.started_at),
        bytes: record.bytes,
        chunks: record.chunks,
        records_in: record.records_in,
        records_out: None,
        records_rejected: None,
        totals: None,
        rejects_by_rule: Vec::new(),
        rejects: Vec::new(),
        outcome: Outcome::Failed { class, message },
    }
}

fn file_name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}
