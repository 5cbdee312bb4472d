//! The embedded engine makes the cells of the reference, in any room, and says what is wrong with bad data.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends there")]

mod bad_input;
mod formulas;
mod kit;
mod ledgers;
mod operations;
mod parquet_files;
mod random;
mod spilling;
mod wide;
