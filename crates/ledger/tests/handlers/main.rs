//! The handlers of a job's stateless half, and what begins and ends its stages, on in-memory ports.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking, their helpers too"
)]

mod bad_input;
mod kit;
mod restored;
mod stateless;
mod ties_out;
mod twice;
