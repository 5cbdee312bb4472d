//! What the states of the `intake` machine say to each other: keys and counts, never rows.
//!
//! `events/intake/` holds a real sample of each request; the contract tests read them through these types.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A run: one version of one input object, taken once. Also the name of its execution.
///
/// `<tenant>-<32 hex digits>`: the digits are of a SHA-256 of bucket, key, version and attempt, so that every delivery
/// of one upload names the same run, and anyone who knows what was uploaded knows the run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// The run of this attempt (from 1) at this version of an object.
    pub fn of(tenant: &str, bucket: &str, key: &str, version: &str, attempt: u32) -> Self {
        // Length prefixes keep ("ab", "c") and ("a", "bc") apart.
        let mut hash = Sha256::new();
        for part in [bucket, key, version, &attempt.to_string()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digits: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{tenant}-{digits}"))
    }

    /// The tenant that it belongs to.
    pub fn tenant(&self) -> &str {
        self.0.rsplit_once('-').map_or("", |(tenant, _)| tenant)
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        run.0
    }
}

/// A text that is no run's name.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a run: a run is named <tenant>-<32 hex digits>")]
pub struct NotARun(String);

impl FromStr for RunId {
    type Err = NotARun;

    fn from_str(text: &str) -> Result<Self, NotARun> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for RunId {
    type Error = NotARun;

    fn try_from(text: String) -> Result<Self, NotARun> {
        let whole = text.rsplit_once('-').is_some_and(|(tenant, digits)| {
            crate::layout::is_tenant(tenant)
                && digits.len() == 32
                && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
        if whole { Ok(Self(text)) } else { Err(NotARun(text)) }
    }
}

/// The version of the input object that a run takes, whatever is uploaded over it meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The input bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// Its version; absent only where the bucket keeps none (a sample event), and then the latest is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What file-arrival takes: an EventBridge event, of S3 or of the schedule that sweeps up what an event missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "detail-type", content = "detail")]
pub enum Arrival {
    /// An object was written to the input bucket.
    #[serde(rename = "Object Created")]
    ObjectCreated(ObjectCreated),
    /// Time to look for objects that no event told of.
    #[serde(rename = "Scheduled Event")]
    Sweep {},
}

/// The detail of S3's `Object Created` event, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectCreated {
    /// Where.
    pub bucket: BucketName,
    /// What.
    pub object: CreatedObject,
}

/// The bucket of an S3 event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketName {
    /// Its name.
    pub name: String,
}

/// The object of an S3 event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CreatedObject {
    /// Its key, not URL-encoded (EventBridge, unlike native S3 notifications, sends it plain).
    pub key: String,
    /// Its version, where the sender tells it; where not, every version under the key is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// What file-arrival answers: numbers only, because a sweep can see any number of objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// Runs that were started.
    pub started: u64,
    /// Versions whose run had been started before: this was a repetition.
    pub repeated: u64,
    /// What is no input: folders, keys outside every feed's folder or with control characters, versions that are gone.
    pub ignored: u64,
}

/// The input of the `intake` machine, and of splitter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRequest {
    /// The run.
    pub run: RunId,
    /// The feed whose folder the object lies in.
    pub feed: String,
    /// The object.
    pub input: Input,
}

/// What splitter answers; the Distributed Map reads its ranges from `ranges`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The work bucket.
    pub bucket: String,
    /// The key of a JSON array of [`Chunk`]s in it.
    pub ranges: String,
    /// How many chunks there are; zero for a file without records.
    pub chunks: u64,
    /// How many records there are in all.
    pub records: u64,
    /// The input's length in bytes.
    pub bytes: u64,
}

/// One range of whole records, one item of the Distributed Map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its number, from 0, in file order.
    pub index: u64,
    /// The offset of its first byte.
    pub start: u64,
    /// The offset after its last byte.
    pub end: u64,
    /// How many records the splitter counted in it.
    pub records: u64,
    /// The row number of its first record; the first record after the header is row 1.
    pub first_row: u64,
}

/// What chunk-processor takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRequest {
    /// The run.
    pub run: RunId,
    /// The range.
    pub chunk: Chunk,
}

/// What chunk-processor answers: next to nothing, because ten thousand answers share one 256 KiB payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkDone {}

/// What merger takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeRequest {
    /// The run.
    pub run: RunId,
}

/// What merger answers: enough for the `RunPublished` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// The run.
    pub run: RunId,
    /// Its feed.
    pub feed: String,
    /// The data bucket.
    pub bucket: String,
    /// The key of the output in it.
    pub output: String,
    /// Records read.
    pub records_in: u64,
    /// Records published.
    pub records_out: u64,
    /// Records rejected.
    pub records_rejected: u64,
}

/// What emailer takes: word of a run's end, from the machine's own states or from EventBridge, which also tells of
/// executions that ended without reaching them (timed out, stopped).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Notice {
    /// An execution ended.
    Ended(ExecutionEnded),
    /// A state says so.
    Run(NotifyRequest),
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
    /// The execution's input: a [`RunRequest`] as JSON text.
    pub input: String,
    /// The error's name, if there is one.
    #[serde(default)]
    pub error: Option<String>,
    /// The error's cause, if there is one.
    #[serde(default)]
    pub cause: Option<String>,
}

/// How a run ended, told by a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyRequest {
    /// The run, its feed and its input.
    #[serde(flatten)]
    pub run: RunRequest,
    /// Why it failed, as Step Functions tells it; absent when it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A failure as a state machine's `Catch` hands it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Failure {
    /// The error's name: an [`error_class::ErrorClass`] or one of Step Functions' own.
    pub error: String,
    /// For a Lambda's error a JSON text with `errorMessage`.
    #[serde(default)]
    pub cause: String,
}

/// What emailer answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// Whether a mail was handed over, was not wanted, or could not be sent.
    pub mail: MailStatus,
    /// 1 if it could not be sent: a metric, and an alarm.
    pub mails_failed: u8,
}

/// What became of a run's mail. A mail that was not sent is visible as such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum MailStatus {
    /// Handed to the mail service.
    Sent {
        /// The service's id for it.
        id: String,
    },
    /// A worker has claimed it. If this stays, the worker died between claiming and telling: it may have been sent.
    Sending,
    /// The feed has no recipients.
    NotWanted,
    /// It could not be sent; the run itself stands.
    Failed {
        /// Why.
        reason: String,
    },
}
