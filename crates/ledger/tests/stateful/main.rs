//! The stateful half's handlers on ports in memory: prefetch, apply, index, and reading back.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking, their helpers too"
)]

mod contents;
mod hindered;
mod index;
mod kit;
mod stages;
