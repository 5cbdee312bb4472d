//! The numbers of batches and jobs, and the time a batch covers.

use std::{fmt, num::ParseIntError, str::FromStr};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The number of a batch within its ledger: 1, 2, 3 and so on, without gaps.
///
/// An artifact's versions are numbered by it too: the sequence of a version is the last batch of the job that made it.
/// Compared as an integer, always: as text, 9 stands above 10.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct BatchSequence(u64);

impl BatchSequence {
    /// Before the first batch.
    pub const ZERO: Self = Self(0);
    /// The first batch of a ledger.
    pub const FIRST: Self = Self(1);

    /// The batch of that number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The batch behind this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The batch before this one; [`ZERO`](Self::ZERO) before the first.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// The number of a job: that of its last batch. With batches grouped into jobs, job numbers grow but are not dense.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct JobNumber(u64);

impl JobNumber {
    /// Before the first job: where cursors start.
    pub const ZERO: Self = Self(0);

    /// The job whose last batch has that number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The job's last batch: the sequence of the versions that it makes.
    pub const fn last_batch(self) -> BatchSequence {
        BatchSequence(self.0)
    }

    /// As it stands in paths: `000000000042`, so that a listing shows jobs in order.
    pub fn padded(self) -> String {
        format!("{:012}", self.0)
    }
}

impl From<BatchSequence> for JobNumber {
    fn from(last: BatchSequence) -> Self {
        Self(last.0)
    }
}

macro_rules! number_text {
    ($($number:ident),*) => {$(
        impl fmt::Display for $number {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $number {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.parse().map(Self)
            }
        }
    )*};
}

number_text!(BatchSequence, JobNumber);

/// The batches of a job: consecutive, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Span", into = "Span")]
#[schemars(with = "Span")]
pub struct JobBatches {
    lo: BatchSequence,
    hi: BatchSequence,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Span {
    /// The first batch.
    lo: BatchSequence,
    /// The last batch.
    hi: BatchSequence,
}

/// Not a run of batches: the first is 0, or stands behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job cannot have batches {lo} to {hi}")]
pub struct NoBatches {
    lo: BatchSequence,
    hi: BatchSequence,
}

impl JobBatches {
    /// The batches `lo` to `hi`.
    pub fn new(lo: BatchSequence, hi: BatchSequence) -> Result<Self, NoBatches> {
        if lo == BatchSequence::ZERO || lo > hi { Err(NoBatches { lo, hi }) } else { Ok(Self { lo, hi }) }
    }

    /// The job of one batch.
    pub const fn one(batch: BatchSequence) -> Self {
        Self { lo: batch, hi: batch }
    }

    /// The first batch.
    pub const fn lo(self) -> BatchSequence {
        self.lo
    }

    /// The last batch.
    pub const fn hi(self) -> BatchSequence {
        self.hi
    }

    /// The job's number.
    pub const fn job(self) -> JobNumber {
        JobNumber(self.hi.0)
    }

    /// How many batches: at least one.
    pub const fn count(self) -> u64 {
        self.hi.0 - self.lo.0 + 1
    }

    /// Whether the batch is one of them.
    pub fn contains(self, batch: BatchSequence) -> bool {
        (self.lo..=self.hi).contains(&batch)
    }

    /// The batches, in order.
    pub fn iter(self) -> impl Iterator<Item = BatchSequence> {
        (self.lo.0..=self.hi.0).map(BatchSequence)
    }
}

impl TryFrom<Span> for JobBatches {
    type Error = NoBatches;

    fn try_from(span: Span) -> Result<Self, NoBatches> {
        Self::new(span.lo, span.hi)
    }
}

impl From<JobBatches> for Span {
    fn from(batches: JobBatches) -> Self {
        Self { lo: batches.lo, hi: batches.hi }
    }
}

impl fmt::Display for JobBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lo == self.hi { self.hi.fmt(f) } else { write!(f, "{} to {}", self.lo, self.hi) }
    }
}

/// The half-open interval of time that a batch covers: `from` belongs to it, `to` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Bounds", into = "Bounds")]
#[schemars(with = "Bounds")]
pub struct Interval {
    from: Timestamp,
    to: Timestamp,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Interval")]
struct Bounds {
    /// The first instant, as `2024-05-01T00:00:00Z`.
    #[schemars(with = "String")]
    from: Timestamp,
    /// The first instant behind it.
    #[schemars(with = "String")]
    to: Timestamp,
}

/// Not an interval: it holds no instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the interval from {from} to {to} holds no instant")]
pub struct EmptyInterval {
    from: Timestamp,
    to: Timestamp,
}

impl Interval {
    /// From `from` up to, and without, `to`.
    pub fn new(from: Timestamp, to: Timestamp) -> Result<Self, EmptyInterval> {
        if from < to { Ok(Self { from, to }) } else { Err(EmptyInterval { from, to }) }
    }

    /// The first instant.
    pub const fn from(self) -> Timestamp {
        self.from
    }

    /// The first instant behind it.
    pub const fn to(self) -> Timestamp {
        self.to
    }

    /// Whether the instant belongs to it.
    pub fn contains(self, instant: Timestamp) -> bool {
        self.from <= instant && instant < self.to
    }

    /// Whether some instant belongs to both.
    pub fn overlaps(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }
}

impl TryFrom<Bounds> for Interval {
    type Error = EmptyInterval;

    fn try_from(bounds: Bounds) -> Result<Self, EmptyInterval> {
        Self::new(bounds.from, bounds.to)
    }
}

impl From<Interval> for Bounds {
    fn from(interval: Interval) -> Self {
        Self { from: interval.from, to: interval.to }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(from: &str, to: &str) -> Interval {
        Interval::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
    }

    #[test]
    fn numbers_are_compared_as_integers_and_listed_in_order() {
        assert!(BatchSequence::new(9) < BatchSequence::new(10));
        assert!(JobNumber::new(9).padded() < JobNumber::new(10).padded());
        assert_eq!("10".parse::<BatchSequence>().unwrap(), BatchSequence::new(10));
        assert_eq!(serde_json::to_string(&JobNumber::new(7)).unwrap(), "7");
    }

    #[test]
    fn a_job_has_at_least_one_batch() {
        let batches = JobBatches::new(BatchSequence::new(3), BatchSequence::new(5)).unwrap();
        assert_eq!((batches.count(), batches.job(), batches.iter().count()), (3, JobNumber::new(5), 3));
        assert!(batches.contains(BatchSequence::new(5)) && !batches.contains(BatchSequence::new(6)));
        assert!(JobBatches::new(BatchSequence::new(5), BatchSequence::new(3)).is_err());
        assert!(serde_json::from_str::<JobBatches>(r#"{"lo":0,"hi":1}"#).is_err());
    }

    #[test]
    fn intervals_are_half_open() {
        let (first, second) =
            (interval("2024-05-01T00Z", "2024-05-02T00Z"), interval("2024-05-02T00Z", "2024-05-03T00Z"));
        assert!(!first.overlaps(second) && first.overlaps(first));
        assert!(!first.contains(first.to()) && second.contains(first.to()));
        assert!(Interval::new(first.to(), first.to()).is_err());
        let json = serde_json::to_string(&first).unwrap();
        assert_eq!(json, r#"{"from":"2024-05-01T00:00:00Z","to":"2024-05-02T00:00:00Z"}"#);
        assert_eq!(serde_json::from_str::<Interval>(&json).unwrap(), first);
    }
}
