//! CSV files as accounting needs them: cut into ranges, read, held to a schema, written, and summed.
//!
//! Descriptions are those of Frictionless: [`Resource`], [`Dialect`], [`Schema`]. A file goes through in this order:
//!
//! 1. [`Splitter`] scans its bytes once and tells the [`RecordRange`]s.
//! 2. [`Header::parse`] reads the column names, and [`Validator::new`] matches them to the [`CompiledSchema`].
//! 3. [`RecordReader`] reads the records of one range; [`Validator::check`] accepts each or says what is wrong with it.
//! 4. [`Writer`] writes what was accepted, [`RejectWriter`] what was not; [`AmountColumns`] sums either.
//!
//! What a record is, is decided in one place, `structure`: splitter and reader cannot disagree about it.

mod amounts;
mod descriptor;
mod dialect;
mod header;
mod number;
mod read;
mod reject;
mod schema;
mod split;
mod structure;
mod temporal;
mod validate;
mod write;

pub use amounts::{AmountColumn, AmountColumns};
pub use descriptor::{Constraints, Field, FieldType, FieldsMatch, Resource, Schema};
pub use dialect::{Dialect, DialectError, Encoding, Format, RECORD_BYTES_MAX};
pub use header::{Header, HeaderError};
pub use read::{Fault, Record, RecordReader};
pub use reject::{REJECT_COLUMNS, Reject, RejectError, RejectReader, RejectWriter};
pub use schema::{CompiledSchema, SchemaError};
pub use split::{ByteRange, ChunkSize, RecordRange, Split, SplitPlan, Splitter};
pub use structure::StructureError;
pub use validate::{Accepted, VALUE_CHARS_MAX, Validator, Violation, rule};
pub use write::{LineEnd, Writer, guard, unguard};
