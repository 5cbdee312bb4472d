//! job-closer: how an attempt ended → its row, its mail, its slot, and a dead letter if it failed.

use std::{sync::Arc, time::Duration};

use environment::{ConfigError, optional_text, parsed, text};
use error_class::{Classified, ErrorClass};
use jiff::Timestamp;
use reconcile::{Job, task::TaskJob};
use report::{JobFigures, JobOutcome, OutputFigures};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use storage::{Clock, Location, Mail, Mailer, Objects, Queues, Tables, documents};
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    book::{JobRecord, Jobs, MailStatus, Reason},
    error::JobError,
    layout::{document_key, execution, is_attempt, manifest_key, outputs_prefix},
    leftovers,
    letters::{Letter, dead_letter},
    manifest::{End, Unpublished},
    messages::{Caught, CloseRequest, Closed, EndedExecution, ExecutionEnded, Finished, Notice, StepRequest},
    prices::{self, Resources},
    publisher,
    slots::Slots,
    submission::Submission,
};

/// Why a mail that a job asks for is not sent where the stack has no address to send from.
const NO_SENDER: &str = "this stack sends no mail: deploy it with the parameter MailFrom";

/// What job-closer is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket of documents and ends.
    pub data_bucket: String,
    /// The table of jobs and slots.
    pub jobs_table: String,
    /// The URL of the queue of jobs that cannot be done.
    pub dead_letters: String,
    /// How many slots there are.
    pub slots: u32,
    /// The sender of mails; without one, none are sent.
    pub mail_from: Option<String>,
    /// What the engines have.
    pub resources: Resources,
}

impl Config {
    /// Reads `DATA_BUCKET`, `JOBS_TABLE`, `DEAD_LETTERS_URL`, `JOB_SLOTS`, `MAIL_FROM` and what [`Resources::from_env`]
    /// reads.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            data_bucket: text("DATA_BUCKET")?,
            jobs_table: text("JOBS_TABLE")?,
            dead_letters: text("DEAD_LETTERS_URL")?,
            slots: parsed("JOB_SLOTS")?,
            mail_from: optional_text("MAIL_FROM"),
            resources: Resources::from_env()?,
        })
    }
}

/// Decides that an attempt failed or was cancelled, if nobody has decided otherwise, and puts everything in order.
///
/// Running it again, late or twice at once is harmless: the first [`End`] that stands is the attempt's, so what is published
/// never becomes failed, nor the other way round; the row of an attempt that another has replaced is left alone; giving a slot
/// back twice gives it back once; and the mail is sent by the worker that has claimed it. A worker that dies between sending
/// and writing that down is the one case in which a mail, or a dead letter, comes twice.
pub struct JobCloser {
    objects: Arc<dyn Objects>,
    queues: Arc<dyn Queues>,
    mailer: Arc<dyn Mailer>,
    jobs: Jobs,
    slots: Slots,
    config: Config,
}

impl JobCloser {
    /// A closer that follows the ends in `objects`.
    pub fn new(
        objects: Arc<dyn Objects>,
        tables: Arc<dyn Tables>,
        queues: Arc<dyn Queues>,
        mailer: Arc<dyn Mailer>,
        clock: Arc<dyn Clock>,
        config: Config,
    ) -> Self {
        let jobs = Jobs::new(tables.clone(), &config.jobs_table, clock.clone());
        // It takes no slots, so the length of a lease says nothing here.
        let slots = Slots::new(tables, &config.jobs_table, clock, config.slots, Duration::ZERO);
        Self { objects, queues, mailer, jobs, slots, config }
    }

    /// Handles the end of one attempt.
    pub async fn close(&self, notice: Notice) -> Result<Closed, JobError> {
        let CloseRequest { job, failure, only_end } = notice.try_into()?;
        let record = self.jobs.get(&job.tenant, &job.job).await?;
        let record =
            record.ok_or_else(|| JobError::StepMissing { what: "its row".to_owned(), job: execution(&job) })?;
        let end = self.end(&job, &record, failure.as_ref()).await?;
        // The slot first: what is wrong with a row keeps nobody else waiting.
        self.slots.release(&execution(&job)).await?;
        let event = self.record(&job, &record, &end).await?;
        let status = end.status();
        self.tidy(&job, &end).await;
        // And again: a message that came in between has found the job running, and may have taken a slot for it.
        self.slots.release(&execution(&job)).await?;
        if record.status != status {
            info!(job = execution(&job), status = status.as_str(), "job closed");
        }
        let closed = Closed { status, mail: None, dead_letters: 0, mails_failed: 0, event };
        if only_end {
            return Ok(closed);
        }
        let current = self.jobs.get(&job.tenant, &job.job).await?.filter(|record| record.attempt == job.attempt);
        let Some(record) = current else {
            info!(
                job = execution(&job),
                "another attempt has begun: of this one's end, no mail and no dead letter tells"
            );
            return Ok(closed);
        };
        let document = self.document(&job).await?;
        let dead_letters = self.bury(&record, &end, document.as_deref()).await?;
        let mail = self.mail(&record, &end, document.as_deref()).await?;
        info!(job = execution(&job), dead_letters, mail = ?mail, "end told");
        let mails_failed = u8::from(matches!(mail, MailStatus::Failed { .. }));
        Ok(Closed { mail: Some(mail), dead_letters, mails_failed, ..closed })
    }

    /// How the attempt ended: as it stands, or else as the failure says, from now on.
    async fn end(&self, job: &TaskJob, record: &JobRecord, failure: Option<&Caught>) -> Result<End, JobError> {
        let at = Location::new(&self.config.data_bucket, manifest_key(job));
        match (documents::read(&*self.objects, &at).await?, failure) {
            (Some(end), _) => Ok(end),
            (None, Some(failure)) => {
                let cancelled = record.cancel_asked && record.attempt == job.attempt;
                let reason = if cancelled {
                    Reason { class: "Cancelled".to_owned(), message: "somebody has cancelled it".to_owned() }
                } else {
                    told(failure)
                };
                let unpublished = Unpublished { job: job.clone(), reason, ended_at: self.jobs.now() };
                let end = if cancelled { End::Cancelled(unpublished) } else { End::Failed(unpublished) };
                Ok(documents::commit(&*self.objects, &at, end).await?)
            }
            (None, None) => Err(JobError::StepMissing { what: at.to_string(), job: execution(job) }),
        }
    }

    /// Writes the end down in the job's row, which was `record`. What is told of it.
    async fn record(&self, job: &TaskJob, record: &JobRecord, end: &End) -> Result<Finished, JobError> {
        let resources = self.config.resources;
        let status = end.status();
        let cost = |ended_at: &Timestamp| prices::cost_until(record, *ended_at, resources);
        let (set, event) = match end {
            End::Published(publication) => {
                let cost = prices::cost(record, publication.engine, publication.figures.milliseconds, resources);
                let at = Location::new(&self.config.data_bucket, manifest_key(job));
                let set = publisher::published(publication, &at.key, cost).into();
                (set, Finished::Published(publisher::told(publication, at, cost)))
            }
            End::Failed(Unpublished { reason, ended_at, .. }) => {
                if record.status != status {
                    warn!(job = execution(job), class = reason.class, message = reason.message, "job failed");
                }
                let cost = cost(ended_at);
                let set =
                    json!({ "status": status, "ended_at": ended_at, "failure": reason, "cost_microdollars": cost });
                (set, Finished::Unpublished { job: job.clone(), status })
            }
            End::Cancelled(Unpublished { ended_at, .. }) => {
                let set = json!({ "status": status, "ended_at": ended_at, "cost_microdollars": cost(ended_at) });
                (set, Finished::Unpublished { job: job.clone(), status })
            }
        };
        self.jobs.set_always(job, set).await?;
        Ok(event)
    }

    /// Removes outputs that the end does not name: what a publisher wrote that died, or came second.
    async fn tidy(&self, job: &TaskJob, end: &End) {
        let outputs = match end {
            End::Published(publication) => publication.outputs.as_slice(),
            End::Failed(_) | End::Cancelled(_) => &[],
        };
        let named = outputs.iter().flat_map(|output| &output.objects).map(|object| object.key.as_str()).collect();
        leftovers::remove(&*self.objects, &self.config.data_bucket, &outputs_prefix(job), &named).await;
    }

    /// Sends what failed to the dead-letter queue, with the reason, once.
    async fn bury(&self, record: &JobRecord, end: &End, document: Option<&RawValue>) -> Result<u32, JobError> {
        let End::Failed(Unpublished { job, reason, .. }) = end else { return Ok(0) };
        if record.dead_letter {
            return Ok(0);
        }
        let missing = || JobError::StepMissing { what: "its document".to_owned(), job: execution(job) };
        let document = document.ok_or_else(missing)?.to_owned();
        let TaskJob { tenant, job: id, attempt } = job.clone();
        let submission = Submission { tenant, job: id, attempt, document };
        let message = submission.message()?;
        let letter = Letter {
            body: &message.body,
            job: Some(job.clone()),
            class: &reason.class,
            reason: reason.message.clone(),
        };
        self.queues.send(&self.config.dead_letters, &dead_letter(&letter)).await?;
        self.jobs.set_always(job, json!({ "dead_letter": true })).await?;
        Ok(1)
    }

    async fn document(&self, job: &TaskJob) -> Result<Option<Box<RawValue>>, JobError> {
        let at = Location::new(&self.config.data_bucket, document_key(&job.tenant, &job.job));
        Ok(documents::read(&*self.objects, &at).await?)
    }

    /// Sends the attempt's mail, unless it was sent. What cannot be sent is an error while it is worth trying again.
    async fn mail(&self, record: &JobRecord, end: &End, document: Option<&RawValue>) -> Result<MailStatus, JobError> {
        let job = record.current();
        let document = document.and_then(|document| Job::from_json(document.get()).ok());
        let to = document.map(|document| document.options.mail).unwrap_or_default();
        let from = match &self.config.mail_from {
            Some(from) if !to.is_empty() => from.clone(),
            sender => {
                let reason = NO_SENDER.to_owned();
                let unwanted = sender.is_some() || to.is_empty();
                let unsent = if unwanted { MailStatus::NotWanted } else { MailStatus::Failed { reason } };
                self.jobs.set_always(&job, json!({ "mail": unsent })).await?;
                return Ok(unsent);
            }
        };
        let claim = Uuid::new_v4().to_string();
        if !self.jobs.claim_mail(&job, &claim).await? {
            let known = self.jobs.get(&job.tenant, &job.job).await?.and_then(|record| record.mail);
            return known.filter(|mail| matches!(mail, MailStatus::Sent { .. })).ok_or(JobError::MailClaimed);
        }
        let report::Mail { subject, text, html } = report::job_mail(&figures(record, end));
        let sent = self.mailer.send(&Mail { from, to, subject, text, html }).await;
        let mail = match &sent {
            Ok(id) => MailStatus::Sent { id: id.clone() },
            Err(error) => MailStatus::Failed { reason: error_class::chain(error) },
        };
        self.jobs.mail_ended(&job, &claim, &mail).await?;
        match sent {
            Err(error) if matches!(error.class(), ErrorClass::Throttled | ErrorClass::Unavailable) => Err(error.into()),
            Ok(_) | Err(_) => Ok(mail),
        }
    }
}

impl TryFrom<Notice> for CloseRequest {
    type Error = JobError;

    fn try_from(notice: Notice) -> Result<Self, JobError> {
        let malformed = |reason: String| JobError::Malformed { what: "the input of an execution".to_owned(), reason };
        let request = match notice {
            Notice::State(request) => request,
            Notice::Ended(ExecutionEnded { detail: EndedExecution { status, input, error, cause } }) => {
                let StepRequest { job } = serde_json::from_str(&input).map_err(|error| malformed(error.to_string()))?;
                let cause = cause.unwrap_or_else(|| format!("the execution ended as {status}"));
                let failure = Some(Caught { error: error.unwrap_or(status), cause });
                Self { job, failure, only_end: false }
            }
        };
        if is_attempt(&request.job) { Ok(request) } else { Err(malformed("it is no attempt at a job".to_owned())) }
    }
}

/// The failure as Step Functions tells it.
pub(crate) fn told(failure: &Caught) -> Reason {
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

/// What is told of an attempt that has ended.
fn figures(record: &JobRecord, end: &End) -> JobFigures {
    let (ended_at, outcome) = match end {
        End::Published(publication) => {
            let outputs = publication.outputs.iter().map(|output| OutputFigures {
                name: output.name.clone(),
                rows: output.rows,
                totals: output.record().totals.into_iter().collect(),
            });
            (publication.published_at, JobOutcome::Published { outputs: outputs.collect() })
        }
        End::Failed(Unpublished { reason: Reason { class, message }, ended_at, .. }) => {
            (*ended_at, JobOutcome::Failed { class: class.clone(), message: message.clone() })
        }
        End::Cancelled(Unpublished { ended_at, .. }) => (*ended_at, JobOutcome::Cancelled),
    };
    JobFigures {
        job: record.job.clone(),
        tenant: record.tenant.clone(),
        attempt: record.attempt,
        submitted_at: record.submitted_at,
        redriven_at: record.redriven_at,
        ended_at,
        outcome,
    }
}
