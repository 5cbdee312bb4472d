//! Workflows: runs of state machines.

use async_trait::async_trait;

use crate::StorageError;

/// What became of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A new execution runs.
    Started,
    /// An execution of that name exists already, running or ended. Step Functions forgets names after 90 days: callers
    /// that must never start twice keep their own record.
    Exists,
}

/// Starts state machines.
#[async_trait]
pub trait Workflows: Send + Sync {
    /// Starts an execution of the machine (by ARN) under a name of at most 80 characters, with a JSON input.
    async fn start(&self, machine: &str, name: &str, input: &str) -> Result<Start, StorageError>;
}
