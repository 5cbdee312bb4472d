//! A run's figures, told to people: as one HTML page to keep and forward, and as one mail.
//!
//! The page is one file without scripts or anything to fetch. Cell values come from strangers' files: they are escaped
//! by construction (every text goes through `maud`), bounded in length, and their control characters made visible. The
//! mail carries figures, never cell values: mail travels further than files should.

mod advice;
mod job;
mod mail;
mod page;
pub mod text;

use jiff::Timestamp;
use money::ControlTotals;

pub use job::{JobFigures, JobOutcome, OutputFigures, job_mail};
pub use mail::{Mail, mail};
pub use page::page;

/// What is told of a run that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFigures {
    /// The run's name.
    pub run: String,
    /// Its tenant.
    pub tenant: String,
    /// Its feed.
    pub feed: String,
    /// The name of the file that was uploaded.
    pub file: String,
    /// The full address of that file: where it is if the run failed.
    pub input: String,
    /// When the run was registered.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// The input's length in bytes. This and the following counts are absent if the run failed before they were known.
    pub bytes: Option<u64>,
    /// Into how many chunks it was split.
    pub chunks: Option<u64>,
    /// Records read.
    pub records_in: Option<u64>,
    /// Records published.
    pub records_out: Option<u64>,
    /// Records rejected.
    pub records_rejected: Option<u64>,
    /// The sums of the amount columns over the records published.
    pub totals: Option<ControlTotals>,
    /// The sums of the input's amount columns over the records rejected: with those published, what the input held.
    pub totals_rejected: Option<ControlTotals>,
    /// How many records each rule rejected, most first.
    pub rejects_by_rule: Vec<(String, u64)>,
    /// The first rejects, in row order.
    pub rejects: Vec<Reject>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its output ties out and is published.
    Published {
        /// The output's file name.
        output: String,
    },
    /// Nothing was published.
    Failed {
        /// The error class, or Step Functions' name for what happened.
        class: String,
        /// What went wrong.
        message: String,
    },
}

/// A record that was not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Its row number; the first record after the header is row 1.
    pub row: u64,
    /// The column at fault, if it is one.
    pub column: Option<String>,
    /// What stands in it.
    pub value: Option<String>,
    /// The rule that it breaks.
    pub rule: String,
    /// The rule, said for a person.
    pub message: String,
}

/// A download link, and when it stops working.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The address.
    pub url: String,
    /// When it stops working.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod samples;
