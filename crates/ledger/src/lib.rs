//! The ledger pipeline: time-bounded batches of financial events become artifacts, everything known about one order,
//! in order, nothing lost, nothing doubled.

mod partition;
mod sequence;

pub use partition::{KeyHash, PARTITION_BITS_MAX, Partition, PartitionBits, TooManyBits};
pub use sequence::{BatchSequence, EmptyInterval, Interval, JobBatches, JobNumber, NoBatches};
