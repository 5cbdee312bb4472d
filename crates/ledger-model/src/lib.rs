//! The ledger's protocol as models: small enough that every state they can reach is visited.
//!
//! `docs/protocol.md` states the rules. A model says what can happen to a ledger, in any order, when machines die,
//! answers are lost and zombies go on; [`stateright`] visits all of it and looks for a state in which an invariant does
//! not hold. Nothing depends on this crate: it is the reason why the rest is built as it is.
//!
//! | model | shows | rules |
//! |---|---|---|
//! | [`registration`] | batches get numbers, numbers become jobs | 1, 3, 17 |
//! | [`turns`] | who may work, and that somebody does | 5, 14 to 17 |
//! | [`stages`] | what prefetch, apply and index read and commit | 5 to 9, 11, 12, 16, 17 |
//! | [`compaction`] | where bytes are when compaction, cache and deletion move them (not built yet) | 11, 13, 19, 20 |
//!
//! # How to read a model
//!
//! The module has the `State`, the `Action`s, the `Mutation`s and, in its doc, what it leaves out. `steps` has one
//! function for each action; a transaction or a conditional write is one action, and between two actions anything else
//! may happen. `invariants` has what must *always* hold, and what must *sometimes* happen lest the rest hold for want of
//! events. What can go wrong is bounded by a budget, so that every run ends; that all runs end well is then an invariant
//! of the states in which nothing can happen any more. Tests also check that no run comes back to a state it was in.
//!
//! A *mutation* breaks one rule; a test for each shows an invariant that then fails, and prints a run that leads there:
//!
//! ```text
//! cargo test -p ledger-model -- --nocapture
//! ```

#![expect(
    clippy::indexing_slicing,
    reason = "a model that leaves its bounds is wrong, and should stop the check where it does"
)]

pub mod compaction;
pub mod registration;
pub mod stages;
pub mod turns;
