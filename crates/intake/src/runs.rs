//! The record of every run: one row for the run, one for each of its steps and chunks.
//!
//! Step Functions knows which state a run is in; this table knows what it did: figures, times and reasons. Workers
//! write their own rows, so a run's progress can be shown while it runs and explained after it failed. What is decided
//! by these rows is whether a run was registered, and who sends its mail; commits are manifests in the work and data
//! buckets. Rows of steps are progress: one that cannot be written is logged and fails nothing.

use std::sync::Arc;

use error_class::Classified;
use jiff::{SignedDuration, Timestamp};
use money::ControlTotals;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use storage::{
    Clock, Condition, Item, Key, StorageError, Tables,
    tables::{Outcome, Query, Update},
};

use tracing::warn;

use crate::{
    layout::run_partition,
    messages::{Input, MailStatus, RunId, RunRequest},
};

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Registered; its execution may not have started yet.
    Queued,
    /// At work.
    Running,
    /// Its output is published and ties out, and its input is archived, or the row says why not.
    Published,
    /// It failed: nothing is published, the input is where it was.
    Failed,
}

impl RunStatus {
    /// Whether nothing more will happen to the run.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Published | Self::Failed)
    }

    /// The word for it, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Published => "published",
            Self::Failed => "failed",
        }
    }
}

/// Why a run or a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The error class, or Step Functions' own name for what happened.
    pub class: String,
    /// What went wrong, for a person.
    pub message: String,
}

/// The row of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run.
    pub run: RunId,
    /// The feed.
    pub feed: String,
    /// The input object.
    pub input: Input,
    /// How far it is.
    pub status: RunStatus,
    /// When it was registered.
    pub started_at: Timestamp,
    /// When it was published or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The input's length, once it is split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many chunks it has, once it is split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<u64>,
    /// Records in the input, once it is split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_in: Option<u64>,
    /// Records published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_out: Option<u64>,
    /// Records rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_rejected: Option<u64>,
    /// Sums of the amount columns over the records published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<ControlTotals>,
    /// The output's key in the data bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The reject file's key in the data bucket; absent when nothing was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejects: Option<String>,
    /// The report's key in the data bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// Where the input was archived, in the data bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Why it failed; on a published run, what failed after publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Reason>,
    /// What became of its mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailStatus>,
    /// Who is told how it ended, once its feed is read; until then the installation's own recipients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_to: Option<Vec<String>>,
    /// Who tells them, once its feed is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_from: Option<String>,
}

impl RunRecord {
    /// Seconds from registration to the end, or to `now` while it runs.
    pub fn seconds(&self, now: Timestamp) -> f64 {
        self.ended_at.unwrap_or(now).duration_since(self.started_at).as_secs_f64()
    }

    /// The name of the uploaded file, without its folders.
    pub fn file_name(&self) -> &str {
        self.input.key.rsplit('/').next().unwrap_or(&self.input.key)
    }
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// At work, or dead without having said so.
    Running,
    /// Done.
    Done,
    /// Failed; a retry sets it running again.
    Failed,
}

/// The row of a step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// `split`, `merge`, or `chunk` and its number.
    #[serde(rename = "sk")]
    pub step: String,
    /// How far it is.
    pub status: StepStatus,
    /// How many times it was begun.
    #[serde(default)]
    pub attempts: u32,
    /// When it was begun last, if that could be written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What it did.
    #[serde(flatten)]
    pub figures: StepFigures,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Reason>,
}

/// What a step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFigures {
    /// Bytes read.
    #[serde(default)]
    pub bytes: u64,
    /// Records read.
    #[serde(default)]
    pub records_in: u64,
    /// Records passed on.
    #[serde(default)]
    pub records_out: u64,
    /// Records rejected.
    #[serde(default)]
    pub records_rejected: u64,
}

/// The steps that have a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The splitter's.
    Split,
    /// A chunk-processor's.
    Chunk(u64),
    /// The merger's.
    Merge,
}

impl Step {
    /// Its sort key: `step#…` or `chunk#…`, so that chunks sort by number.
    pub fn sort_key(self) -> String {
        match self {
            Self::Split => "step#split".to_owned(),
            Self::Chunk(index) => format!("chunk#{index:06}"),
            Self::Merge => "step#merge".to_owned(),
        }
    }
}

const RUN_ROW: &str = "run";

/// How long rows of steps are kept. The row of a run stays: it is what keeps a failed file from being run again.
const STEP_ROWS_KEPT_DAYS: i64 = 400;

/// How long a claim to send a run's mail holds: emailer's own timeout.
const MAIL_CLAIM_SECONDS: i64 = 60;

/// The `runs` table.
#[derive(Clone)]
pub struct Runs {
    tables: Arc<dyn Tables>,
    table: String,
    clock: Arc<dyn Clock>,
}

impl Runs {
    /// The runs kept in `table`.
    pub fn new(tables: Arc<dyn Tables>, table: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self { tables, table: table.into(), clock }
    }

    /// The time by this record's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Writes the run down, once. Returns what stands there: the new record, or the one of an earlier delivery.
    pub async fn register(&self, request: &RunRequest) -> Result<RunRecord, StorageError> {
        let record = RunRecord {
            run: request.run.clone(),
            feed: request.feed.clone(),
            input: request.input.clone(),
            status: RunStatus::Queued,
            started_at: self.clock.now(),
            ended_at: None,
            bytes: None,
            chunks: None,
            records_in: None,
            records_out: None,
            records_rejected: None,
            totals: None,
            output: None,
            rejects: None,
            report: None,
            archive: None,
            failure: None,
            mail: None,
            mail_to: None,
            mail_from: None,
        };
        let mut item = to_item(&record)?;
        item.insert("pk".into(), run_partition(&record.run).into());
        item.insert("sk".into(), RUN_ROW.into());
        item.insert("by_start_pk".into(), index_partition(record.run.tenant()).into());
        item.insert("by_start_sk".into(), format!("{}#{}", record.started_at, record.run).into());
        match self.tables.put(&self.table, item, Condition::Absent).await? {
            Outcome::Refused(Some(existing)) => from_item(existing),
            Outcome::Refused(None) | Outcome::Written => Ok(record),
        }
    }

    /// The run's row.
    pub async fn get(&self, run: &RunId) -> Result<Option<RunRecord>, StorageError> {
        self.tables.get(&self.table, &run_key(run)).await?.map(from_item).transpose()
    }

    /// The run's steps: chunks in order, then the others.
    pub async fn steps(&self, run: &RunId) -> Result<Vec<StepRecord>, StorageError> {
        let mut steps = Vec::new();
        for prefix in ["chunk#", "step#"] {
            let mut query = Query {
                table: self.table.clone(),
                partition: run_partition(run),
                sort_prefix: Some(prefix.to_owned()),
                ..Query::default()
            };
            loop {
                let page = self.tables.query(&query).await?;
                for item in page.items {
                    steps.push(from_item(item)?);
                }
                query.from = page.next;
                if query.from.is_none() {
                    break;
                }
            }
        }
        Ok(steps)
    }

    /// The tenant's last runs, newest first; a run of the last second may be missing.
    pub async fn recent(&self, tenant: &str, limit: usize) -> Result<Vec<RunRecord>, StorageError> {
        let mut query = Query {
            table: self.table.clone(),
            index: Some("by_start".to_owned()),
            partition: index_partition(tenant),
            descending: true,
            ..Query::default()
        };
        let mut runs = Vec::new();
        while runs.len() < limit {
            query.limit = Some(limit - runs.len());
            let page = self.tables.query(&query).await?;
            for item in page.items {
                runs.push(from_item(item)?);
            }
            query.from = page.next;
            if query.from.is_none() {
                break;
            }
        }
        Ok(runs)
    }

    /// Sets attributes of a run that has not ended; of one that has, nothing is changed. Whether it was changed.
    pub async fn set_unless_final(&self, run: &RunId, set: Value) -> Result<bool, StorageError> {
        let still_open = Condition::Any(
            [RunStatus::Queued, RunStatus::Running]
                .map(|status| Condition::Equals("status".into(), status.as_str().into()))
                .to_vec(),
        );
        self.set(run, set, still_open).await
    }

    /// Sets attributes of a run, whatever its status. Whether there is such a run.
    pub async fn set_always(&self, run: &RunId, set: Value) -> Result<bool, StorageError> {
        self.set(run, set, Condition::Present).await
    }

    async fn set(&self, run: &RunId, set: Value, condition: Condition) -> Result<bool, StorageError> {
        let update = Update { set: attributes(set), ..Update::default() };
        let outcome = self.tables.update(&self.table, &run_key(run), update, condition).await?;
        Ok(outcome == Outcome::Written)
    }

    /// Claims the sending of the run's mail under `token`, unless it was sent, or another worker has claimed it within
    /// the last minute, which is as long as one lives. Whether it was claimed.
    pub async fn claim_mail(&self, run: &RunId, token: &str) -> Result<bool, StorageError> {
        let now = self.clock.now().as_second();
        let free = Condition::All(vec![
            Condition::Lacks("mail_sent".into()),
            Condition::Any(vec![
                Condition::Lacks("mail_claimed_at".into()),
                Condition::Less("mail_claimed_at".into(), (now - MAIL_CLAIM_SECONDS).into()),
            ]),
        ]);
        let claim = json!({ "mail": MailStatus::Sending, "mail_claim": token, "mail_claimed_at": now });
        self.set(run, claim, free).await
    }

    /// Writes down what became of a mail that was claimed under `token`, and gives the claim back, so that a retry need
    /// not wait for it. A worker whose claim has passed to another changes nothing.
    pub async fn mail_ended(&self, run: &RunId, token: &str, mail: &MailStatus) -> Result<(), StorageError> {
        let mut set = attributes(json!({ "mail": mail }));
        if matches!(mail, MailStatus::Sent { .. }) {
            set.push(("mail_sent".into(), true.into()));
        }
        let update = Update { set, remove: vec!["mail_claim".into(), "mail_claimed_at".into()], add: Vec::new() };
        let mine = Condition::Equals("mail_claim".into(), token.into());
        self.tables.update(&self.table, &run_key(run), update, mine).await.map(|_| ())
    }

    /// Does a step's work, and writes down when it began, and what it did or why it failed.
    pub async fn step<T, E: Classified>(
        &self,
        run: &RunId,
        step: Step,
        work: impl Future<Output = Result<(T, StepFigures), E>>,
    ) -> Result<T, E> {
        let started = json!({ "status": StepStatus::Running, "started_at": self.clock.now() });
        self.set_step(run, step, started, 1).await;
        match work.await {
            Ok((done, figures)) => {
                self.step_done(run, step, figures).await;
                Ok(done)
            }
            Err(error) => {
                let failure = Reason { class: error.class().to_string(), message: error_class::chain(&error) };
                let end = json!({ "status": StepStatus::Failed, "ended_at": self.clock.now(), "failure": failure });
                self.set_step(run, step, end, 0).await;
                Err(error)
            }
        }
    }

    /// Writes down that a step is done; also for a worker that finds it done by one that could not say so.
    pub async fn step_done(&self, run: &RunId, step: Step, figures: StepFigures) {
        let now = self.clock.now();
        let StepFigures { bytes, records_in, records_out, records_rejected } = figures;
        let end = json!({
            "status": StepStatus::Done,
            "ended_at": now,
            "bytes": bytes,
            "records_in": records_in,
            "records_out": records_out,
            "records_rejected": records_rejected,
        });
        self.set_step(run, step, end, 0).await;
    }

    /// A step that is done stays done: an overtaken worker's row changes nothing.
    async fn set_step(&self, run: &RunId, step: Step, set: Value, attempts: i64) {
        let key = Key::sorted(run_partition(run), step.sort_key());
        let mut set = attributes(set);
        let expires_at = self.clock.now() + SignedDuration::from_hours(24 * STEP_ROWS_KEPT_DAYS);
        set.push(("expires_at".into(), expires_at.as_second().into()));
        let update = Update { set, add: vec![("attempts".into(), attempts)], remove: Vec::new() };
        let not_done = Condition::Any(vec![
            Condition::Lacks("status".into()),
            Condition::Equals("status".into(), json!(StepStatus::Running)),
            Condition::Equals("status".into(), json!(StepStatus::Failed)),
        ]);
        if let Err(error) = self.tables.update(&self.table, &key, update, not_done).await {
            warn!(run = %run, step = key.sort, error = error_class::chain(&error), "step not recorded");
        }
    }
}

fn run_key(run: &RunId) -> Key {
    Key::sorted(run_partition(run), RUN_ROW)
}

fn index_partition(tenant: &str) -> String {
    format!("{tenant}#runs")
}

fn attributes(set: Value) -> Vec<(String, Value)> {
    match set {
        Value::Object(attributes) => attributes.into_iter().collect(),
        _ => Vec::new(),
    }
}

/// A record as the attributes of an item.
pub(crate) fn to_item<T: Serialize>(record: &T) -> Result<Item, StorageError> {
    match serde_json::to_value(record) {
        Ok(Value::Object(item)) => Ok(item),
        Ok(other) => Err(unreadable(format!("{other} is no item"))),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// A record from the attributes of an item.
pub(crate) fn from_item<T: DeserializeOwned>(item: Item) -> Result<T, StorageError> {
    serde_json::from_value(Value::Object(item)).map_err(|error| unreadable(error.to_string()))
}

fn unreadable(reason: String) -> StorageError {
    StorageError::Invalid { what: "an item of the tables of intake".to_owned(), reason }
}
