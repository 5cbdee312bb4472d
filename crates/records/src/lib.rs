//! CSV files as accounting needs them: cut into ranges, read, checked against a schema, written, and summed.
//!
//! Descriptions are those of Frictionless ([`Resource`], [`Dialect`], [`Schema`]).
mod dialect;
mod read;
mod split;
mod structure;

pub use dialect::{Dialect, DialectError, Encoding, Format, RECORD_BYTES_MAX};
pub use read::{Fault, Record, RecordReader};
pub use split::{ByteRange, ChunkSize, RecordRange, Split, SplitPlan, Splitter};
pub use structure::StructureError;
