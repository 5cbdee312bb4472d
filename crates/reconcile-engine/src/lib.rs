//! The embedded engine of reconcile jobs: runs a stored plan in one process, within its memory and its disk.
//!
//! Relations are DataFusion's where they are those of every database (joins, groups, sorts, all of which spill), and our own
//! where the plan is the law: expressions, sums, windows, matches, and everything that is read and written. Cells
//! are those of [`reconcile::reference`], to the last one.

mod aggregate;
mod columns;
mod compute;
mod evaluate;
mod fault;
mod feed;
mod figures;
mod firsts;
mod gather;
mod joins;
mod matching;
mod operator;
mod output;
mod relations;
mod run;
mod scan;
mod scratch;
mod size;
mod sorting;
mod spool;
mod text;
mod unpivot;
mod window;

pub use fault::EngineError;
pub use run::{Limits, run};
pub use scratch::Scratch;
