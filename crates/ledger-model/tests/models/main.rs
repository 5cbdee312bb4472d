//! The models, checked to the last state; and each rule broken, to see that it is needed.
//!
//! `cargo test -p ledger-model -- --nocapture` says how many states there are, and prints for each broken rule a run
//! that shows what comes of it.

mod checks;
mod compaction;
mod registration;
mod stages;
mod turns;
