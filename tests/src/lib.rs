//! The test kit: files to try things on, and what the project's own files say, read so that tests can compare them.

pub mod cloudformation;
pub mod dice;
pub mod events;
pub mod interpreter;
pub mod jobs;
pub mod machine;
pub mod orders;
pub mod project;

pub use project::Project;
