use std::sync::Mutex;

use async_trait::async_trait;

use super::lock;
use crate::{
    StorageError, Workflows,
    workflows::{Start, check_start},
};

/// An execution that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The machine's ARN.
    pub machine: String,
    /// The execution's name.
    pub name: String,
    /// Its input, in JSON.
    pub input: String,
}

/// Workflows that only record what was started.
#[derive(Debug, Default)]
pub struct MemoryWorkflows {
    executions: Mutex<Vec<Execution>>,
}

impl MemoryWorkflows {
    /// Every execution, in the order of their starts.
    pub fn executions(&self) -> Vec<Execution> {
        lock(&self.executions).clone()
    }
}

#[async_trait]
impl Workflows for MemoryWorkflows {
    async fn start(&self, machine: &str, name: &str, input: &str) -> Result<Start, StorageError> {
        check_start(machine, name, input)?;
        let mut executions = lock(&self.executions);
        if executions.iter().any(|known| known.machine == machine && known.name == name) {
            return Ok(Start::Exists);
        }
        executions.push(Execution { machine: machine.to_owned(), name: name.to_owned(), input: input.to_owned() });
        Ok(Start::Started)
    }
}
