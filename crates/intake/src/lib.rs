//! The intake pipeline: a CSV file in a bucket → one clean, enriched output that ties out, its rejects, a report, a mail.
//!
//! One module a function, in the order of the pipeline: [`arrival`], [`split`], [`chunk`], [`merge`], [`notify`]. They
//! speak through [`messages`], commit by [`manifest`], and tell people how far they are in [`runs`].

pub mod arrival;
mod batch;
pub mod chunk;
mod error;
pub mod feed;
mod input;
pub mod layout;
pub mod load;
pub mod manifest;
pub mod merge;
pub mod messages;
pub mod notify;
pub mod reference;
pub mod rejects;
pub mod runs;
mod shape;
pub mod split;

pub use environment::ConfigError;
pub use error::{FileError, IntakeError};
