//! The intake pipeline in one process: the real handlers on in-memory ports.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod kit;
mod properties;
mod runs;
mod ties_out;
mod twice;
