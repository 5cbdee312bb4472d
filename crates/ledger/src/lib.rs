//! The ledger pipeline: time-bounded batches of financial events become artifacts, everything known about one order,
//! in order, nothing lost, nothing doubled.
//!
//! Pure functions of bytes ([`reduce`], [`combine`], [`Apply`], …), coordination on the [`book`] ([`register`],
//! [`backlog`], [`turns`]), and the functions that bring both together, one module each. They speak through [`messages`],
//! commit by [`commits`], and lay down what they make as [`layout`] says.

mod applied;
mod apply;
mod apply_error;
pub mod apply_partition;
mod artifact;
mod artifact_index;
mod artifact_read;
pub mod artifacts;
pub mod backlog;
pub mod book;
mod by_key;
mod coalesce;
mod codec;
mod combine;
pub mod combine_partition;
pub mod commits;
mod compiled;
mod container;
pub mod contents;
pub mod coordinate;
mod cursors;
mod definition;
pub mod definitions;
mod error;
mod event;
pub mod event_lines;
mod figures;
pub mod head;
pub mod index;
mod index_entry;
pub mod index_worker;
pub mod intervals;
pub mod job;
mod json_lines;
mod json_text;
pub mod layout;
mod lines;
pub mod manage;
pub mod manifest;
mod measure;
pub mod messages;
pub mod operate;
mod output;
mod overlay;
mod part_file;
mod partition;
mod parts;
mod pinned;
pub mod policy;
pub mod prefetch;
mod prefetched;
mod quick;
mod ranges;
mod read_back;
mod reduce;
pub mod reduce_range;
mod reduced_section;
pub mod register;
mod register_error;
pub mod registrar;
mod rejects;
mod rule;
mod run;
pub mod scan;
mod sequence;
mod settled;
mod side_lines;
pub mod split;
pub mod stage;
pub mod steps;
mod sums;
mod tally;
mod ties_out;
pub mod turns;
mod versions;
pub mod watermark;
mod workplace;

pub use applied::Applied;
pub use apply::{Apply, ApplyJob, Piece};
pub use apply_error::ApplyError;
pub use coalesce::{CoalesceFigures, CoalescePlan, CoalescedRead, coalesce};
pub use codec::Corrupt;
pub use combine::{CombineError, Combined, EventConflict, ReducedSection, Stateless, combine, read_keys};
pub use compiled::Ledger;
pub use container::Section;
pub use definition::{
    Balance, Definition, DefinitionError, DuplicateScope, Duplicates, EventCompression, EventFormat, EventLines,
    Events, KeepLines, LAST_LINES_MAX, Measure, MeasureKind, OnReject, OnStuck, StatusRule,
};
pub use environment::ConfigError;
pub use error::LedgerError;
pub use event::{EVENT_ID_BYTES_MAX, KEY_BYTES_MAX, rule as event_rule};
pub use index_entry::IndexEntry;
pub use json_lines::LineSplitter;
pub use lines::LINES_BYTES_MAX;
pub use measure::Dated;
pub use overlay::Overlay;
pub use part_file::{PartBytes, PartFile, Sidecar, SidecarEntry};
pub use partition::{KeyHash, PARTITION_BITS_MAX, Partition, PartitionBits, TooManyBits};
pub use pinned::UNPACKED_BYTES_MAX;
pub use prefetched::PrefetchedWriter;
pub use reduce::{EventRange, ReduceError, Reduced, Reduction, reduce};
pub use rule::{BusinessRule, Facts, Judgement, RuleVersion, Rules, Status};
pub use run::Origin;
pub use sequence::{BatchSequence, EmptyInterval, Interval, JobBatches, JobNumber, NoBatches};
pub use settled::Settled;
pub use side_lines::{SIDE_BYTES_MAX, SideFile, SideRun};
pub use workplace::Places;
