//! The reconcile pipeline: a job says which data sets are read, which spreadsheet operations are done, and what comes out.
//!
//! A [`Job`] is checked and typed to the last column before any data is read; what comes of it is one [`plan::Plan`] that
//! every engine runs alike. [`operations`] are what a step can be. [`mod@reference`] runs a plan in memory: it says what is
//! right.
//! An engine is given a [`task::Task`] and answers with a [`report::Report`].
//!
//! ```
//! use std::collections::BTreeMap;
//! use reconcile::Job;
//!
//! let job = Job::from_json(r#"{
//!     "version": 1,
//!     "inputs": {"orders": {"format": "jsonLines", "objects": ["orders.jsonl"], "columns": [
//!         {"name": "Order ID", "type": "integer"}, {"name": "Price", "type": "decimal(2)"}]}},
//!     "steps": [{"name": "dear", "operation": "filter", "from": "orders",
//!         "where": {"column": "Price", "is": ">", "value": "99.99"}}],
//!     "outputs": [{"name": "dear", "from": "dear", "format": "csv"}]
//! }"#)?;
//! let planned = job.plan(&BTreeMap::new())?;
//! assert_eq!(planned.plan.relations.len(), 2);
//! # Ok::<(), reconcile::PlanError>(())
//! ```

mod amounts;
pub mod cases;
pub mod decimal;
pub mod documentation;
mod error;
pub mod expression;
pub mod footer;
mod job;
pub mod json_path;
mod number_text;
pub mod operations;
pub mod parameters;
pub mod plan;
pub mod planner;
mod planning;
mod pruning;
pub mod reference;
pub mod report;
pub mod scalar;
pub mod task;
mod types;
mod unique_keys;

pub use error::{Fault, InputRow, PlanError, RunError};
pub use job::{
    EngineChoice, Format, Input, InputColumn, InputFormat, Job, JobOptions, LEDGER_KEY, LEDGER_SEQUENCE, Output,
    RowOrder, Step, columns_of,
};
pub use planning::Planned;
pub use types::{Rounding, SCALE_MAX, Type, UnknownType, Value};
pub use unique_keys::unique_keys;
