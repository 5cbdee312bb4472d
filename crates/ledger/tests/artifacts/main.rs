//! From events to artifacts: the pure stages of the ledger, alone and one behind the other.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "in a test it is the way to fail")]

mod definition;
mod documentation;
mod properties;
mod stages;
mod world;
