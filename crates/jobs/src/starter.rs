//! job-starter: a job that is handed in → one execution of the `reconcile` machine, once a slot is free.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use environment::{ConfigError, parsed, text};
use reconcile::task::TaskJob;
use serde::Serialize;
use serde_json::json;
use storage::{
    Clock, Location, Objects, Queues, Tables, Workflows,
    objects::{Put, PutOptions},
    workflows::Start,
};
use tracing::{info, warn};

use crate::{
    book::{JobRecord, JobStatus, Jobs},
    error::{JobError, Refused},
    layout::{document_key, execution},
    letters::{Letter, dead_letter},
    messages::{
        ApiRequest, ApiResponse, Caught, CloseRequest, ItemFailure, SqsEvent, SqsMessage, StartRequest, Started,
        StepRequest, Taken,
    },
    slots::Slots,
    submission::{Submission, digest},
};

/// What job-starter is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The URL of the queue of jobs.
    pub queue: String,
    /// The URL of the queue of those that cannot be done.
    pub dead_letters: String,
    /// The table of jobs and slots.
    pub jobs_table: String,
    /// The bucket of documents.
    pub data_bucket: String,
    /// The `reconcile` machine's ARN.
    pub machine: String,
    /// How many jobs run at once.
    pub slots: u32,
    /// How long an execution may last; a slot's lease is a little longer.
    pub execution: Duration,
}

/// How much longer than an execution the lease of its slot is.
const LEASE_MARGIN: Duration = Duration::from_secs(600);

impl Config {
    /// Reads `JOBS_QUEUE_URL`, `DEAD_LETTERS_URL`, `JOBS_TABLE`, `DATA_BUCKET`, `RECONCILE_MACHINE_ARN`, `JOB_SLOTS` and
    /// `JOB_SECONDS_MAX`.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            queue: text("JOBS_QUEUE_URL")?,
            dead_letters: text("DEAD_LETTERS_URL")?,
            jobs_table: text("JOBS_TABLE")?,
            data_bucket: text("DATA_BUCKET")?,
            machine: text("RECONCILE_MACHINE_ARN")?,
            slots: parsed("JOB_SLOTS")?,
            execution: Duration::from_secs(parsed("JOB_SECONDS_MAX")?),
        })
    }
}

/// Takes jobs in and starts them, as many at once as there are slots.
///
/// Running it again, late or twice at once is harmless: a job is registered by a put that only the first wins, its
/// document is written once, its slot goes by the attempt's name, and its execution is started under that name, which Step
/// Functions takes once. A message about a job that is over does nothing. A dead letter may come twice.
pub struct JobStarter {
    objects: Arc<dyn Objects>,
    workflows: Arc<dyn Workflows>,
    queues: Arc<dyn Queues>,
    jobs: Jobs,
    slots: Slots,
    config: Config,
}

/// So many receipts beyond those of waiting make a message poisonous.
pub const RECEIPTS_MAX: u32 = 20;
/// What waits is tried again after so long, then after twice that, and so on.
const WAIT_FIRST: Duration = Duration::from_secs(5);
/// And at the latest after so long.
const WAIT_MOST: Duration = Duration::from_secs(60);
/// What became of a submission.
enum Fate {
    Started,
    Repeated,
    Waiting,
    GivenUp,
}

impl JobStarter {
    /// A starter that keeps documents in `objects` and its record in `tables`.
    pub fn new(
        objects: Arc<dyn Objects>,
        tables: Arc<dyn Tables>,
        queues: Arc<dyn Queues>,
        workflows: Arc<dyn Workflows>,
        clock: Arc<dyn Clock>,
        config: Config,
    ) -> Self {
        let jobs = Jobs::new(tables.clone(), &config.jobs_table, clock.clone());
        let slots = Slots::new(tables, &config.jobs_table, clock, config.slots, config.execution + LEASE_MARGIN);
        Self { objects, workflows, queues, jobs, slots, config }
    }

    /// Handles messages, or a request.
    pub async fn start(&self, request: StartRequest) -> Result<Started, JobError> {
        match request {
            StartRequest::Messages(event) => Ok(Started::Messages(self.receive(event).await)),
            StartRequest::Posted(request) => self.post(request).await.map(Started::Posted),
        }
    }

    /// Takes messages one by one: what one of them meets does not touch the others.
    async fn receive(&self, event: SqsEvent) -> Taken {
        let mut taken = Taken::default();
        for message in event.records {
            match self.message(&message).await {
                Ok(Fate::Started) => taken.started += 1,
                Ok(Fate::Repeated) => taken.repeated += 1,
                Ok(Fate::GivenUp) => taken.given_up += 1,
                Ok(Fate::Waiting) => {
                    taken.waiting += 1;
                    taken.failures.push(ItemFailure { id: message.message_id });
                }
                Err(JobError::Refused(refused)) => match self.bury(&message, &refused).await {
                    Ok(()) => taken.dead_letters += 1,
                    Err(error) => {
                        warn!(error = error_class::chain(&error), "dead letter not sent");
                        taken.failed += 1;
                        taken.failures.push(ItemFailure { id: message.message_id });
                    }
                },
                Err(error) => {
                    warn!(message = message.message_id, error = error_class::chain(&error), "message not handled");
                    taken.failed += 1;
                    taken.failures.push(ItemFailure { id: message.message_id });
                }
            }
        }
        info!(
            started = taken.started,
            repeated = taken.repeated,
            waiting = taken.waiting,
            failed = taken.failed,
            dead_letters = taken.dead_letters,
            given_up = taken.given_up,
            "messages handled"
        );
        taken
    }

    async fn message(&self, message: &SqsMessage) -> Result<Fate, JobError> {
        let received = message.attributes.approximate_receive_count.parse().unwrap_or(1);
        let submission = Submission::read(&message.body)?;
        submission.check()?;
        let known = self.jobs.get(&submission.tenant, &submission.job).await?;
        let waits = known.as_ref().map_or(0, |known| known.waits);
        let too_often = received > RECEIPTS_MAX.saturating_add(waits);
        // What has begun, or is over, may run well: it is for its state machine to say.
        if too_often && known.is_none_or(|known| known.status == JobStatus::Queued) {
            return self.give_up(&submission, received).await;
        }
        let fate = match self.take(&submission).await {
            Err(error) if too_often && !matches!(error, JobError::Refused(_)) => {
                warn!(error = error_class::chain(&error), "message not handled");
                return self.give_up(&submission, received).await;
            }
            fate => fate?,
        };
        if matches!(fate, Fate::Waiting) {
            // Without it the message comes back when the queue's own time is up: later, but no worse.
            if let Err(error) = self.queues.hide(&self.config.queue, &message.receipt_handle, pause(received)).await {
                warn!(error = error_class::chain(&error), "wait not set");
            }
        }
        Ok(fate)
    }

    async fn take(&self, submission: &Submission) -> Result<Fate, JobError> {
        let record = self.register(submission).await?;
        self.go(submission, record).await
    }

    /// Writes a job that was checked down, if it is new, and keeps its document.
    async fn register(&self, submission: &Submission) -> Result<JobRecord, JobError> {
        let Submission { tenant, job, document, .. } = submission;
        let digest = digest(document.get());
        if submission.attempt > 1 && self.jobs.get(tenant, job).await?.is_none() {
            let why = "there is no such job yet: it begins with attempt 1".to_owned();
            return Err(Refused::Attempt { job: job.clone(), attempt: submission.attempt, why }.into());
        }
        let record = self.jobs.register(tenant, job, &digest).await?;
        if record.digest != digest {
            return Err(Refused::OtherDocument { job: job.clone() }.into());
        }
        let at = Location::new(&self.config.data_bucket, document_key(tenant, job));
        let content_type = Some("application/json".to_owned());
        let options = PutOptions { if_absent: true, content_type, ..PutOptions::default() };
        match self.objects.put(&at, document.get().to_owned().into(), options).await? {
            // Whoever has registered the job has written these bytes, but perhaps for white space.
            Put::Written(_) | Put::Exists => Ok(record),
        }
    }

    /// Brings the attempt that is meant to where it runs, waits or is over.
    async fn go(&self, submission: &Submission, mut record: JobRecord) -> Result<Fate, JobError> {
        let meant = submission.attempt();
        if meant.attempt == record.attempt + 1 {
            self.jobs.next_attempt(&record.current()).await?;
            record = self.jobs.get(&meant.tenant, &meant.job).await?.unwrap_or(record);
        }
        if meant.attempt > record.attempt {
            return Err(refused(meant, &record).into());
        }
        let holder = execution(&meant);
        if meant.attempt < record.attempt || record.status.is_final() {
            // It may have been cancelled behind a delivery that took a slot for it and came no further.
            self.slots.release(&holder).await?;
            return Ok(Fate::Repeated);
        }
        if !self.slots.acquire(&holder).await? {
            self.jobs.waited(&meant).await?;
            return Ok(Fate::Waiting);
        }
        // Whoever has cancelled it while it waited has ended it: nothing is to be started.
        let fate = match self.jobs.begin(&meant).await? || !self.is_over(&meant).await? {
            true => self.execute(&StepRequest { job: meant.clone() }, &holder).await?,
            false => Fate::Repeated,
        };
        // A message that comes late may have taken a slot for what has ended meanwhile.
        if self.is_over(&meant).await? {
            self.slots.release(&holder).await?;
        }
        Ok(fate)
    }

    async fn is_over(&self, job: &TaskJob) -> Result<bool, JobError> {
        let now = self.jobs.get(&job.tenant, &job.job).await?;
        Ok(now.is_none_or(|now| now.attempt != job.attempt || now.status.is_final()))
    }

    /// Ends a job whose message comes again and again: its execution begins with the failure, and ends it like any other. Where
    /// not even that can be started, the message stays in the queue.
    async fn give_up(&self, submission: &Submission, received: u32) -> Result<Fate, JobError> {
        let refused = Refused::Poisonous { received };
        let record = self.register(submission).await?;
        let job = submission.attempt();
        if job.attempt > record.attempt {
            return Err(refused.into());
        }
        if job.attempt < record.attempt || record.status.is_final() {
            return Ok(Fate::Repeated);
        }
        let name = execution(&job);
        let failure = Some(Caught { error: refused.kind().to_owned(), cause: refused.to_string() });
        Ok(match self.execute(&CloseRequest { job, failure, only_end: false }, &name).await? {
            Fate::Started => Fate::GivenUp,
            fate => fate,
        })
    }

    async fn execute(&self, input: &impl Serialize, name: &str) -> Result<Fate, JobError> {
        let input = serde_json::to_string(input);
        let input = input.map_err(|error| JobError::Malformed { what: name.to_owned(), reason: error.to_string() })?;
        Ok(match self.workflows.start(&self.config.machine, name, &input).await? {
            Start::Started => Fate::Started,
            Start::Exists => Fate::Repeated,
        })
    }

    /// Sends a message to the dead-letter queue, with the reason.
    async fn bury(&self, message: &SqsMessage, refused: &Refused) -> Result<(), JobError> {
        let submission = serde_json::from_str::<Submission>(&message.body).ok();
        let letter = Letter {
            body: &message.body,
            job: submission.as_ref().map(Submission::attempt),
            class: refused.kind(),
            reason: error_class::chain(refused),
        };
        Ok(self.queues.send(&self.config.dead_letters, &dead_letter(&letter)).await?)
    }

    /// Writes a job down and puts it into the queue, by which everything else goes. Returns what is known of it.
    pub async fn hand_in(&self, submission: &Submission) -> Result<JobRecord, JobError> {
        submission.check()?;
        let record = self.register(submission).await?;
        let may_begin = match submission.attempt.checked_sub(record.attempt) {
            None | Some(0) => true,
            Some(1) => matches!(record.status, JobStatus::Failed | JobStatus::Cancelled),
            Some(_) => false,
        };
        if !may_begin {
            return Err(refused(submission.attempt(), &record).into());
        }
        self.queues.send(&self.config.queue, &submission.message()?).await?;
        Ok(record)
    }

    /// Takes a request: what is well-formed is handed in.
    async fn post(&self, request: ApiRequest) -> Result<ApiResponse, JobError> {
        let submission = match posted(&request).and_then(Submission::read) {
            Ok(submission) => submission,
            Err(refused) => return Ok(respond(400, &json!({ "error": refused.to_string() }))),
        };
        let record = match self.hand_in(&submission).await {
            Ok(record) => record,
            Err(JobError::Refused(refused)) => {
                let conflict = matches!(refused, Refused::OtherDocument { .. } | Refused::Attempt { .. });
                let status = if conflict { 409 } else { 400 };
                return Ok(respond(status, &json!({ "error": error_class::chain(&refused) })));
            }
            Err(error) => return Err(error),
        };
        let Submission { tenant, job, attempt, .. } = &submission;
        // The row speaks of the attempt before until the message is received.
        let status = if *attempt > record.attempt { JobStatus::Queued } else { record.status };
        let attempt = record.attempt.max(*attempt);
        Ok(respond(202, &json!({ "tenant": tenant, "job": job, "attempt": attempt, "status": status })))
    }
}

/// That an attempt cannot follow what is known of its job.
fn refused(meant: TaskJob, record: &JobRecord) -> Refused {
    let why = format!("attempt {} is {}", record.attempt, record.status.as_str());
    Refused::Attempt { job: meant.job, attempt: meant.attempt, why }
}

fn posted(request: &ApiRequest) -> Result<&str, Refused> {
    if !request.is_base64_encoded {
        return Ok(&request.body);
    }
    Err(Refused::Malformed("the body is not text: send it as application/json".to_owned()))
}

fn respond(status_code: u16, body: &serde_json::Value) -> ApiResponse {
    let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
    ApiResponse { status_code, headers, body: body.to_string() }
}

/// How long a message that was received so many times waits.
fn pause(received: u32) -> Duration {
    WAIT_FIRST.saturating_mul(2_u32.saturating_pow(received.saturating_sub(1))).min(WAIT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_grows_to_a_minute() {
        let seconds: Vec<u64> = [1, 2, 3, 4, 5, 1000].map(|received| pause(received).as_secs()).to_vec();
        assert_eq!(seconds, [5, 10, 20, 40, 60, 60]);
    }
}
