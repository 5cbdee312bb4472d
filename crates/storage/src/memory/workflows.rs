use std::{collections::BTreeSet, sync::Mutex};

use async_trait::async_trait;

use super::lock;
use crate::{
    StorageError, Workflows,
    workflows::{Answer, Start, check_answer, check_start},
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

/// An answer that a waiting task took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The task's token.
    pub token: String,
    /// Its output, in JSON.
    pub output: String,
}

/// Workflows that only record what was started and answered.
#[derive(Debug, Default)]
pub struct MemoryWorkflows {
    executions: Mutex<Vec<Execution>>,
    waiting: Mutex<BTreeSet<String>>,
    answers: Mutex<Vec<Answered>>,
}

impl MemoryWorkflows {
    /// Every execution, in the order of their starts.
    pub fn executions(&self) -> Vec<Execution> {
        lock(&self.executions).clone()
    }

    /// Makes a task wait with this token.
    pub fn wait(&self, token: impl Into<String>) {
        lock(&self.waiting).insert(token.into());
    }

    /// Ends the wait of a task that got no answer, as a time-out or the end of its execution does.
    pub fn give_up(&self, token: &str) {
        lock(&self.waiting).remove(token);
    }

    /// Every answer that was taken, in order.
    pub fn answers(&self) -> Vec<Answered> {
        lock(&self.answers).clone()
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

    async fn answer(&self, token: &str, output: &str) -> Result<Answer, StorageError> {
        check_answer(token, output)?;
        if !lock(&self.waiting).remove(token) {
            return Ok(Answer::Gone);
        }
        lock(&self.answers).push(Answered { token: token.to_owned(), output: output.to_owned() });
        Ok(Answer::Taken)
    }
}
