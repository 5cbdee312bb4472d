//! Models.
#![expect(
    clippy::indexing_slicing,
    reason = "a model that leaves its bounds is wrong, and should stop the check where it does"
)]
pub mod stages;
pub mod turns;
