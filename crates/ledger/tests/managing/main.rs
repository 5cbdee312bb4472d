//! batch-registrar, backlog-manager and the definitions that they go by.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking, their helpers too")]

mod definitions;
mod jobs;
mod kit;
mod registering;
