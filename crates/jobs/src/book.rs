//! The record of every job: one row each, with its status and its figures.
//!
//! What is decided by a row is which attempt is the current one, whether it waits or runs, whether it is to be cancelled,
//! and who sends its mail. How an attempt ended is decided by its [`crate::manifest::End`]; the row follows.

mod record;

use std::sync::Arc;

use jiff::Timestamp;
use reconcile::task::TaskJob;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use storage::{
    Clock, Condition, Item, Key, StorageError, Tables,
    tables::{Outcome, Query, Update},
};

pub use self::record::{JobRecord, JobStatus, MailStatus, OutputRecord, Reason};
use crate::{
    error::JobError,
    layout::{ATTEMPT_MAX, index_partition, job_partition},
};

/// What an attempt leaves behind that the next one makes anew.
const OF_AN_ATTEMPT: [&str; 21] = [
    "cancel_asked",
    "cost_microdollars",
    "dead_letter",
    "ended_at",
    "engine",
    "engine_since",
    "engine_why",
    "failure",
    "given_up_milliseconds",
    "inputs",
    "ledgers",
    "mail",
    "mail_claim",
    "mail_claimed_at",
    "mail_sent",
    "milliseconds",
    "outputs",
    "peak_memory_bytes",
    "spilled_bytes",
    "started_at",
    "steps",
];

const JOB_ROW: &str = "job";

/// How long a claim to send a job's mail holds: job-closer's own timeout.
const MAIL_CLAIM_SECONDS: i64 = 60;

/// The `jobs` table, as far as it is about jobs.
#[derive(Clone)]
pub struct Jobs {
    tables: Arc<dyn Tables>,
    table: String,
    clock: Arc<dyn Clock>,
}

impl Jobs {
    /// The jobs kept in `table`.
    pub fn new(tables: Arc<dyn Tables>, table: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self { tables, table: table.into(), clock }
    }

    /// The time by this record's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Writes the job down, once. Returns what stands there: the new record, or that of an earlier hand-in.
    pub async fn register(&self, tenant: &str, job: &str, digest: &str) -> Result<JobRecord, StorageError> {
        let submitted_at = self.clock.now();
        let item = json!({
            "pk": job_partition(tenant, job),
            "sk": JOB_ROW,
            "by_start_pk": index_partition(tenant),
            "by_start_sk": format!("{submitted_at}#{job}"),
            "tenant": tenant,
            "job": job,
            "attempt": 1,
            "status": JobStatus::Queued,
            "digest": digest,
            "submitted_at": submitted_at,
            "waits": 0,
        });
        let item = object(item);
        match self.tables.put(&self.table, item.clone(), Condition::Absent).await? {
            Outcome::Refused(Some(existing)) => from_item(existing),
            Outcome::Refused(None) | Outcome::Written => from_item(item),
        }
    }

    /// The job's row.
    pub async fn get(&self, tenant: &str, job: &str) -> Result<Option<JobRecord>, StorageError> {
        self.tables.get(&self.table, &key(tenant, job)).await?.map(from_item).transpose()
    }

    /// The row of a job whose attempt goes on; an error where it is over, or is to be.
    pub async fn live(&self, job: &TaskJob) -> Result<JobRecord, JobError> {
        let over = |status: &str| JobError::Over { job: crate::layout::execution(job), status: status.to_owned() };
        match self.get(&job.tenant, &job.job).await? {
            None => Err(over("there is no such job")),
            Some(record) if record.attempt != job.attempt => Err(over("another attempt has taken its place")),
            Some(record) if record.status.is_final() => Err(over(record.status.as_str())),
            Some(record) if record.cancel_asked => Err(over("it is to be cancelled")),
            Some(record) => Ok(record),
        }
    }

    /// The tenant's last jobs, newest first; a job of the last second may be missing.
    pub async fn recent(&self, tenant: &str, limit: usize) -> Result<Vec<JobRecord>, StorageError> {
        let mut query = Query {
            table: self.table.clone(),
            index: Some("by_start".to_owned()),
            partition: index_partition(tenant),
            descending: true,
            ..Query::default()
        };
        let mut jobs = Vec::new();
        while jobs.len() < limit {
            query.limit = Some(limit - jobs.len());
            let page = self.tables.query(&query).await?;
            for item in page.items {
                jobs.push(from_item(item)?);
            }
            query.from = page.next;
            if query.from.is_none() {
                break;
            }
        }
        Ok(jobs)
    }

    /// Moves a job that failed or was cancelled on to its next attempt. Whether that one is now the current.
    pub async fn next_attempt(&self, after: &TaskJob) -> Result<bool, StorageError> {
        if after.attempt >= ATTEMPT_MAX {
            return Ok(false);
        }
        let ended = Condition::Any(
            [JobStatus::Failed, JobStatus::Cancelled]
                .map(|status| Condition::Equals("status".into(), json!(status)))
                .to_vec(),
        );
        let set = json!({
            "attempt": after.attempt + 1,
            "status": JobStatus::Queued,
            "redriven_at": self.clock.now(),
            "waits": 0,
        });
        let remove = OF_AN_ATTEMPT.iter().chain(&["manifest", "warnings"]).map(|name| (*name).to_owned()).collect();
        let update = Update { set: attributes(set), remove, add: Vec::new() };
        self.update(after, update, ended).await
    }

    /// Sets an attempt that has its slot to running. Whether it was queued.
    pub async fn begin(&self, job: &TaskJob) -> Result<bool, StorageError> {
        let queued = Condition::Equals("status".into(), json!(JobStatus::Queued));
        let set = json!({ "status": JobStatus::Running, "started_at": self.clock.now() });
        self.update(job, Update { set: attributes(set), ..Update::default() }, queued).await
    }

    /// Counts that an attempt has found no slot.
    pub async fn waited(&self, job: &TaskJob) -> Result<(), StorageError> {
        let update = Update { add: vec![("waits".to_owned(), 1)], ..Update::default() };
        self.update(job, update, Condition::Present).await.map(|_| ())
    }

    /// Cancels an attempt that is not over. One that waits is over now: nobody is at work on it, and its message may be
    /// long in coming, or never come. One that runs is marked, which every step looks at. Whether it was not over.
    pub async fn ask_cancel(&self, job: &TaskJob) -> Result<bool, StorageError> {
        let queued = Condition::Equals("status".into(), json!(JobStatus::Queued));
        let over = json!({ "status": JobStatus::Cancelled, "ended_at": self.clock.now(), "cancel_asked": true });
        if self.update(job, Update { set: attributes(over), ..Update::default() }, queued).await? {
            return Ok(true);
        }
        self.set_while_running(job, json!({ "cancel_asked": true })).await
    }

    /// Sets attributes of an attempt that runs; of one that is over nothing is changed. Whether it was changed.
    pub async fn set_while_running(&self, job: &TaskJob, set: Value) -> Result<bool, StorageError> {
        let running = Condition::Equals("status".into(), json!(JobStatus::Running));
        self.update(job, Update { set: attributes(set), ..Update::default() }, running).await
    }

    /// Sets attributes of an attempt, whatever its status, as long as no other has taken its place. Whether it was set.
    pub async fn set_always(&self, job: &TaskJob, set: Value) -> Result<bool, StorageError> {
        self.update(job, Update { set: attributes(set), ..Update::default() }, Condition::Present).await
    }

    /// Claims the sending of an attempt's mail under `token`, unless it was sent, or another worker has claimed it within
    /// the last minute, which is as long as one lives. Whether it was claimed.
    pub async fn claim_mail(&self, job: &TaskJob, token: &str) -> Result<bool, StorageError> {
        let now = self.clock.now().as_second();
        let free = Condition::All(vec![
            Condition::Lacks("mail_sent".into()),
            Condition::Any(vec![
                Condition::Lacks("mail_claimed_at".into()),
                Condition::Less("mail_claimed_at".into(), (now - MAIL_CLAIM_SECONDS).into()),
            ]),
        ]);
        let claim = json!({ "mail": MailStatus::Sending, "mail_claim": token, "mail_claimed_at": now });
        self.update(job, Update { set: attributes(claim), ..Update::default() }, free).await
    }

    /// Writes down what became of a mail that was claimed under `token`, and gives the claim back. A worker whose claim
    /// has passed to another changes nothing.
    pub async fn mail_ended(&self, job: &TaskJob, token: &str, mail: &MailStatus) -> Result<(), StorageError> {
        let mut set = attributes(json!({ "mail": mail }));
        if matches!(mail, MailStatus::Sent { .. }) {
            set.push(("mail_sent".into(), true.into()));
        }
        let update = Update { set, remove: vec!["mail_claim".into(), "mail_claimed_at".into()], add: Vec::new() };
        self.update(job, update, Condition::Equals("mail_claim".into(), token.into())).await.map(|_| ())
    }

    async fn update(&self, job: &TaskJob, update: Update, condition: Condition) -> Result<bool, StorageError> {
        let current = Condition::Equals("attempt".into(), job.attempt.into());
        let condition = Condition::All(vec![current, condition]);
        let outcome = self.tables.update(&self.table, &key(&job.tenant, &job.job), update, condition).await?;
        Ok(outcome == Outcome::Written)
    }
}

fn key(tenant: &str, job: &str) -> Key {
    Key::sorted(job_partition(tenant, job), JOB_ROW)
}

fn object(value: Value) -> Item {
    match value {
        Value::Object(item) => item,
        _ => Item::new(),
    }
}

fn attributes(set: Value) -> Vec<(String, Value)> {
    object(set).into_iter().collect()
}

fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, StorageError> {
    serde_json::from_value(Value::Object(item)).map_err(|error| StorageError::Invalid {
        what: "an item of the jobs table".to_owned(),
        reason: error.to_string(),
    })
}
