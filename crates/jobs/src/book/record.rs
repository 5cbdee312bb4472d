//! What a job's row tells.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reconcile::{
    Format,
    report::{Engine, InputFigures, StepFigures},
    task::{LedgerRead, TaskJob},
};
use serde::{Deserialize, Serialize};

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Handed in; it waits for a slot.
    Queued,
    /// At work.
    Running,
    /// Its outputs are published, and they tie out.
    Published,
    /// It failed: nothing is published.
    Failed,
    /// It was cancelled: nothing is published.
    Cancelled,
}

impl JobStatus {
    /// Whether nothing more will happen, unless a new attempt is begun.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Published | Self::Failed | Self::Cancelled)
    }

    /// The word for it, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Published => "published",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The error class, or Step Functions' own name for what happened.
    pub class: String,
    /// What went wrong, for a person.
    pub message: String,
}

/// What became of a job's mail.
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
    /// The job names nobody.
    NotWanted,
    /// It could not be sent; the job itself stands.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What is told of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRecord {
    /// Its name.
    pub name: String,
    /// How it is written.
    pub format: Format,
    /// Its rows.
    pub rows: u64,
    /// Its bytes, all objects together.
    pub bytes: u64,
    /// The exact sums of its columns of amounts.
    pub totals: BTreeMap<String, String>,
}

/// The row of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The tenant.
    pub tenant: String,
    /// The id.
    pub job: String,
    /// Which attempt is the current one.
    pub attempt: u32,
    /// How far it is.
    pub status: JobStatus,
    /// The SHA-256 of its document, in hexadecimal digits.
    pub digest: String,
    /// When it was handed in first.
    pub submitted_at: Timestamp,
    /// When the current attempt was, where it is not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redriven_at: Option<Timestamp>,
    /// How many times the current attempt has found no slot free.
    #[serde(default)]
    pub waits: u32,
    /// Whether it is to be cancelled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_asked: bool,
    /// When the attempt got its slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// Which engine it was planned for, and why; and why the other one took over, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_why: Option<String>,
    /// Since when the engine is at work, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_since: Option<Timestamp>,
    /// How long the embedded engine was at work before it gave the job up, and the other one took over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up_milliseconds: Option<u64>,
    /// What was no error in planning it, but may be a mistake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// How far the ledgers were read that are inputs, by input.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ledgers: BTreeMap<String, LedgerRead>,
    /// What was read, by input.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, InputFigures>,
    /// What was done, step by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepFigures>,
    /// What was published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputRecord>,
    /// How long the engine took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<u64>,
    /// The most memory that it held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// What it wrote to disk because memory was short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spilled_bytes: Option<u64>,
    /// About what the engines cost, in millionths of a dollar ([`crate::prices`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_microdollars: Option<u64>,
    /// The key of the manifest of a published job, in the data bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Reason>,
    /// What became of its mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailStatus>,
    /// Whether its message went to the dead-letter queue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dead_letter: bool,
}

impl JobRecord {
    /// The current attempt.
    pub fn current(&self) -> TaskJob {
        TaskJob { tenant: self.tenant.clone(), job: self.job.clone(), attempt: self.attempt }
    }

    /// When the current attempt was handed in.
    pub fn handed_in_at(&self) -> Timestamp {
        self.redriven_at.unwrap_or(self.submitted_at)
    }

    /// Seconds from the hand-in of the current attempt to its end, or to `now` while it is not over.
    pub fn seconds(&self, now: Timestamp) -> f64 {
        self.ended_at.unwrap_or(now).duration_since(self.handed_in_at()).as_secs_f64()
    }
}
