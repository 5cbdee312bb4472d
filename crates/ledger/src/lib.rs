//! The ledger pipeline: time-bounded batches of financial events become artifacts, everything known about one order,
//! in order, nothing lost, nothing doubled.

pub mod backlog;
pub mod book;
pub mod head;
pub mod intervals;
pub mod job;
pub mod manifest;
pub mod operate;
mod partition;
pub mod policy;
pub mod register;
mod sequence;
pub mod steps;
pub mod turns;
pub mod watermark;

pub use partition::{KeyHash, PARTITION_BITS_MAX, Partition, PartitionBits, TooManyBits};
pub use sequence::{BatchSequence, EmptyInterval, Interval, JobBatches, JobNumber, NoBatches};
