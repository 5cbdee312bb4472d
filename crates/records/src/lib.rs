//! CSV files as accounting needs them: cut into ranges, read, held to a schema, written, and summed.
//!
//! Descriptions are those of Frictionless: [`Resource`], [`Dialect`], [`Schema`]. A file goes through in this order:
//!
//! 1. [`Splitter`] scans its bytes once and tells the [`RecordRange`]s.
//! 2. [`Header::parse`] reads the column names, and [`Validator::new`] matches them to the [`CompiledSchema`].
//! 3. [`RecordReader`] reads the records of one range; [`Validator::check`] accepts each or says what is wrong with it.
//! 4. [`Writer`] writes what was accepted, [`RejectWriter`] what was not; [`AmountColumns`] sums either.
//!
//! ```
//! use money::ControlTotals;
//! use records::*;
//!
//! let file = b"id,day,net\r\n1,10/8/14,12.50\r\n2,tomorrow,7.00\r\n";
//! let resource: Resource = serde_json::from_value(serde_json::json!({ "schema": { "fields": [
//!     { "name": "id", "constraints": { "required": true } },
//!     { "name": "day", "type": "date", "format": "%m/%d/%y" },
//!     { "name": "net", "type": "number" },
//! ]}}))?;
//! let (format, schema) = (resource.format()?, resource.schema.ok_or("no schema")?.compile()?);
//!
//! let plan = SplitPlan { chunk: ChunkSize::ByRecords(10_000), chunk_bytes_max: 256 << 20, chunks_max: 10_000 };
//! let mut splitter = Splitter::new(&format, plan);
//! splitter.push(file)?;
//! let split = splitter.finish()?;
//! let (header_bytes, range_bytes) = file.split_at(split.header.unwrap_or_default().end as usize);
//!
//! let header = Header::parse(header_bytes, &format)?;
//! let validator = Validator::new(&schema, &header, &format)?;
//! let net = AmountColumn { column: "net".to_owned(), currency: Some("EUR".parse()?), currency_column: None };
//! let amounts = AmountColumns::new(&[net], &schema, &header)?;
//!
//! let range = split.ranges[0];
//! let (mut totals, mut writer, mut rejects) = (ControlTotals::default(), Writer::new(&format, LineEnd::Lf), vec![]);
//! let mut reader = RecordReader::new(range_bytes, &format, range.start, range.first_row);
//! while let Some(record) = reader.next_record()? {
//!     amounts.add(&record, &mut totals)?;
//!     match validator.check(&record) {
//!         Ok(accepted) => writer.write(accepted.cells()),
//!         Err(violations) => rejects.extend(Reject::new(&record, &violations)),
//!     }
//! }
//! assert_eq!(writer.as_bytes(), b"1,10/8/14,12.50\n");
//! assert_eq!(rejects[0].violation.message, "expected a date as %m/%d/%y");
//! assert_eq!(totals.to_string(), "2 records\nnet in EUR: 19.50 in 2 amounts");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What a record is, is decided in one place, `structure`: splitter and reader cannot disagree about it.

mod amounts;
mod descriptor;
mod dialect;
mod header;
mod kind;
mod number;
mod read;
mod reject;
mod schema;
mod split;
mod structure;
mod temporal;
mod unpack;
mod validate;
mod write;

pub use amounts::{AmountColumn, AmountColumns};
pub use descriptor::{Constraints, Field, FieldType, FieldsMatch, Resource, Schema};
pub use dialect::{Dialect, DialectError, Encoding, Format, RECORD_BYTES_MAX};
pub use header::{Header, HeaderError};
pub use number::NumberPattern;
pub use read::{Fault, Record, RecordReader, shorten};
pub use reject::{REJECT_COLUMNS, Reject, RejectError, RejectReader, RejectWriter};
pub use schema::{CompiledSchema, SchemaError};
pub use split::{ByteRange, ChunkSize, RecordRange, Split, SplitPlan, Splitter};
pub use structure::StructureError;
pub use temporal::{DatePattern, MomentPattern};
pub use unpack::{Packing, UnpackError, Unpacker};
pub use validate::{Accepted, VALUE_CHARS_MAX, Validator, Values, Violation, rule};
pub use write::{LineEnd, Writer, guard, unguard};
