//! Stages, and the turns to do them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::JobNumber;

/// A stage that works on one job at a time, in the order of the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Fetches the artifacts that the job touches.
    Prefetch,
    /// Merges them with the job's events.
    Apply,
    /// Makes the new versions the current ones.
    Index,
}

impl Stage {
    /// All, in order.
    pub const ALL: [Self; 3] = [Self::Prefetch, Self::Apply, Self::Index];

    /// The stage before it; prefetch comes behind the stateless half.
    pub const fn previous(self) -> Option<Self> {
        match self {
            Self::Prefetch => None,
            Self::Apply => Some(Self::Prefetch),
            Self::Index => Some(Self::Apply),
        }
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prefetch => "prefetch",
            Self::Apply => "apply",
            Self::Index => "index",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The half of a job that one state machine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// Split, reduce and combine: of many jobs at once.
    Stateless,
    /// Prefetch, apply and index, each in its turn.
    Stateful,
}

/// A step of the stateless half. Many jobs are at it at once, and none waits for another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preparation {
    /// Cuts the objects of the job's batches into ranges.
    #[default]
    Split,
    /// Reads each range, and sorts its events by partition and artifact.
    Reduce,
    /// Brings each partition of all ranges together.
    Combine,
}

impl Preparation {
    /// The step behind it; combine is the last.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Split => Some(Self::Reduce),
            Self::Reduce => Some(Self::Combine),
            Self::Combine => None,
        }
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Reduce => "reduce",
            Self::Combine => "combine",
        }
    }
}

/// A turn: the right to do a stage of the job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// Nobody asks for it.
    #[default]
    Idle,
    /// A task waits for it.
    Waiting {
        /// The task's token.
        token: String,
    },
    /// It was given, and nobody has taken it up yet.
    Granted {
        /// The number of the grant.
        fence: u64,
        /// The token of the task that is to be told; absent once that task is known not to wait any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    /// A worker has taken it up.
    Running {
        /// The number of the grant.
        fence: u64,
        /// The token of the task that was told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    /// The stage is done, for ever.
    Committed(Commit),
}

/// The commit of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The key of the manifest that says what was made; of index, the manifest of apply, whose versions it has put.
    pub manifest: String,
    /// The attempt that made it.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
}

/// What a worker that claims a turn, or commits, is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The turn is its own.
    Held,
    /// The stage was done before; this is its manifest.
    Done(Commit),
}

/// What a task that waits for a turn is told: the output of its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "turn", rename_all = "snake_case")]
pub enum TurnAnswer {
    /// Go on.
    Granted {
        /// The attempt.
        attempt: u32,
        /// The fence to claim and to commit with.
        fence: u64,
        /// Up to which job the index counts for prefetch.
        snapshot: JobNumber,
    },
    /// The stage was done before: go on behind it.
    Done,
    /// The job is void: end.
    Void,
}
