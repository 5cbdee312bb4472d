//! The test kit.

pub mod orders;
