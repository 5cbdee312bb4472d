//! The life of jobs, from their hand-in to their end: the real handlers on in-memory ports, with the reference engine.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests end there"
)]

mod ending;
mod example;
mod kit;
mod ledgers;
mod pieces;
mod planning;
mod starting;
mod whole;
