//! What comes into the functions, and what they answer: keys and counts, never rows.
//!
//! `events/reconcile/` holds a real sample of each request; the contract tests read them through these types.

use std::collections::BTreeMap;

use reconcile::{report::Engine, task::TaskJob};
use serde::{Deserialize, Serialize};
use storage::Location;

/// What job-starter takes: messages of the queue, or a request to the API.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
pub enum StartRequest {
    /// From the queue.
    Messages(SqsEvent),
    /// From the API.
    Posted(ApiRequest),
}

/// The event of an SQS event source, as far as it is used.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct SqsEvent {
    /// The messages.
    #[serde(rename = "Records")]
    pub records: Vec<SqsMessage>,
}

/// A message that was received.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsMessage {
    /// The message's id: what is named to have it back.
    pub message_id: String,
    /// What it is hidden by.
    pub receipt_handle: String,
    /// A [`Submission`](crate::submission::Submission), if it is well-formed.
    pub body: String,
    /// What SQS says of it.
    pub attributes: SqsAttributes,
}

/// What SQS says of a message.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SqsAttributes {
    /// How many times it was received, this time counted.
    pub approximate_receive_count: String,
}

/// A request to an HTTP API (payload format 2.0), as far as it is used.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiRequest {
    /// `POST /jobs`.
    pub route_key: String,
    /// A [`Submission`](crate::submission::Submission), if it is well-formed.
    #[serde(default)]
    pub body: String,
    /// Whether the body is in Base64.
    #[serde(default)]
    pub is_base64_encoded: bool,
}

/// What job-starter answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Started {
    /// To the event source.
    Messages(Taken),
    /// To the API.
    Posted(ApiResponse),
}

/// What became of messages; the numbers are metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The messages that stay in the queue.
    #[serde(rename = "batchItemFailures")]
    pub failures: Vec<ItemFailure>,
    /// Jobs that were started.
    pub started: u32,
    /// Messages about jobs that were started before, or have ended.
    pub repeated: u32,
    /// Messages that wait for a slot.
    pub waiting: u32,
    /// Messages that could not be handled now, and are tried again.
    pub failed: u32,
    /// Messages that went to the dead-letter queue.
    pub dead_letters: u32,
    /// Messages that came too often: their jobs were started to be ended.
    pub given_up: u32,
}

/// A message that stays in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemFailure {
    /// Its id.
    #[serde(rename = "itemIdentifier")]
    pub id: String,
}

/// An answer of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiResponse {
    /// 202 taken, 400 malformed, 409 another document stands under the id.
    pub status_code: u16,
    /// `content-type`.
    pub headers: BTreeMap<String, String>,
    /// JSON: `tenant`, `job`, `status`, or `error`.
    pub body: String,
}

/// What every state of the machine says: the attempt that it is about. Also the input of the execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRequest {
    /// The attempt.
    #[serde(flatten)]
    pub job: TaskJob,
}

/// What job-planner takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRequest {
    /// The attempt.
    #[serde(flatten)]
    pub job: TaskJob,
    /// Why the embedded engine has given it up, as Step Functions tells it: then the other one takes the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Caught>,
}

/// What job-planner answers; the machine chooses by `engine`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// What runs the task.
    pub engine: Engine,
    /// Whether there is a distributed engine, for a task that turns out too large for the other.
    pub spark: bool,
    /// Where the task is.
    pub task: Location,
    /// The same, as the distributed engine's script takes it: `s3://bucket/key`.
    pub task_uri: String,
    /// Where an engine that takes the task as it is puts its report.
    pub report: Location,
    /// Bytes of all inputs.
    pub bytes: u64,
    /// Objects of all inputs.
    pub objects: u64,
}

/// What output-checker takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// The attempt.
    #[serde(flatten)]
    pub job: TaskJob,
    /// Where the engine has put its report.
    pub report: Location,
    /// What is to be done.
    #[serde(flatten)]
    pub action: CheckAction,
}

/// What output-checker does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum CheckAction {
    /// Checks the outputs, or says in which pieces others are to.
    Check,
    /// Reads a piece of them.
    CheckPiece {
        /// Which.
        piece: Piece,
    },
    /// Writes down why a piece could not be read.
    ReportPiece {
        /// Which.
        piece: Piece,
        /// Why, as Step Functions tells it.
        failure: Caught,
    },
    /// Adds up what was found in all pieces.
    AddUp,
}

/// Some parts of an engine's report: those of all outputs are numbered from 0, one output behind the other in the order of
/// the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// The piece's own number; the first is 0.
    pub number: u32,
    /// Its first part.
    pub from: u64,
    /// The first part behind it.
    pub to: u64,
}

/// What output-checker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CheckReply {
    /// To `check`.
    Begun(CheckBegun),
    /// To `add_up`.
    Checked(CheckedFigures),
    /// To what was about one piece. Ten thousand of these share a payload.
    Piece {},
}

/// How a check begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckBegun {
    /// In how many pieces others are to read the outputs: none where all has been checked.
    pub count: u64,
    /// The work bucket.
    pub bucket: String,
    /// The key of the array of [`Piece`]s in it, where there are some.
    pub pieces: String,
    /// The figures.
    #[serde(flatten)]
    pub figures: CheckedFigures,
}

/// What the outputs are, as the engine says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedFigures {
    /// Rows of all outputs.
    pub rows: u64,
    /// Bytes of all parts.
    pub bytes: u64,
    /// How many parts there are.
    pub parts: u64,
}

/// What job-publisher answers: enough for the `JobFinished` event. Its figures are metrics, also by engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The attempt.
    #[serde(flatten)]
    pub job: TaskJob,
    /// `published`.
    pub status: String,
    /// The data bucket.
    pub bucket: String,
    /// The key of the manifest in it.
    pub manifest: String,
    /// Rows of all outputs.
    pub rows: u64,
    /// Bytes of all outputs.
    pub bytes: u64,
    /// What ran it.
    pub engine: Engine,
    /// How long that took.
    pub milliseconds: u64,
    /// About what the job cost, in millionths of a dollar.
    pub cost_microdollars: u64,
}

/// What job-closer takes: word of an attempt's end, from the machine's own states or from EventBridge, which also tells of
/// executions that ended without reaching them (timed out, stopped).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Notice {
    /// An execution ended.
    Ended(ExecutionEnded),
    /// A state says so.
    State(CloseRequest),
}

/// EventBridge's `Step Functions Execution Status Change`, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionEnded {
    /// What it says.
    pub detail: EndedExecution,
}

/// The detail of such an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedExecution {
    /// `FAILED`, `TIMED_OUT` or `ABORTED`.
    pub status: String,
    /// The execution's input: a [`StepRequest`] as JSON text.
    pub input: String,
    /// The error's name, if there is one.
    #[serde(default)]
    pub error: Option<String>,
    /// The error's cause, if there is one.
    #[serde(default)]
    pub cause: Option<String>,
}

/// How an attempt ended, told by a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloseRequest {
    /// The attempt.
    #[serde(flatten)]
    pub job: TaskJob,
    /// Why it failed, as Step Functions tells it; absent when it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Caught>,
    /// Whether the end is all that is asked for: that it is told, by mail and dead letter, is asked for later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_end: bool,
}

/// A failure as a state machine's `Catch` hands it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Caught {
    /// The error's name: an [`error_class::ErrorClass`] or one of Step Functions' own.
    pub error: String,
    /// For a Lambda's error a JSON text with `errorMessage`.
    #[serde(default)]
    pub cause: String,
}

/// What job-closer answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The attempt's end.
    pub status: crate::book::JobStatus,
    /// What became of its mail, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<crate::book::MailStatus>,
    /// 1 if it failed for good, and its message went to the dead-letter queue.
    pub dead_letters: u32,
    /// 1 if its mail could not be sent: a metric, and an alarm.
    pub mails_failed: u8,
    /// What the `JobFinished` event says.
    pub event: Finished,
}

/// How an attempt ended, for third parties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Finished {
    /// Its outputs are published.
    Published(Published),
    /// It failed, or was cancelled.
    Unpublished {
        /// The attempt.
        #[serde(flatten)]
        job: TaskJob,
        /// Which of both.
        status: crate::book::JobStatus,
    },
}
