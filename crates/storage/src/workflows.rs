//! Workflows: runs of state machines.

use async_trait::async_trait;

use crate::StorageError;

/// The longest name of an execution, in characters.
pub const NAME_CHARS_MAX: usize = 80;
/// The longest input of an execution, and the longest output of a task, in bytes.
pub const INPUT_BYTES_MAX: usize = 256 * 1024;
/// The longest token of a waiting task, in characters.
pub const TOKEN_CHARS_MAX: usize = 2048;

/// What became of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// An execution of that name runs. Usually a new one; Step Functions also says so when one with the same name *and
    /// input* was started before and still runs.
    Started,
    /// An execution of that name exists already, and this call started none. Step Functions forgets names after 90 days: callers
    /// that must never start twice keep their own record.
    Exists,
}

/// What became of an answer to a waiting task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The task goes on. Its execution may be stopped a moment later all the same.
    Taken,
    /// No task waits with that token: it was answered before, gave up waiting, or its execution has ended.
    Gone,
}

/// Starts state machines, and answers their waiting tasks.
#[async_trait]
pub trait Workflows: Send + Sync {
    /// Starts an execution of the machine (by ARN) under a name, with a JSON input. However often and by however many
    /// it is called, one execution of that name runs. [`StorageError::Invalid`] where [`check_start`] says so.
    async fn start(&self, machine: &str, name: &str, input: &str) -> Result<Start, StorageError>;

    /// Lets the task that waits with this token (`waitForTaskToken`) go on, with a JSON output. Of many answers one is
    /// taken. [`StorageError::Invalid`] where [`check_answer`] says so.
    async fn answer(&self, token: &str, output: &str) -> Result<Answer, StorageError>;
}

/// Refuses what Step Functions would refuse: a name that is empty, longer than [`NAME_CHARS_MAX`] or has characters
/// that it forbids, and an input that is no JSON or longer than [`INPUT_BYTES_MAX`].
pub fn check_start(machine: &str, name: &str, input: &str) -> Result<(), StorageError> {
    let invalid = |reason: String| Err(StorageError::Invalid { what: format!("{machine} {name}"), reason });
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || "<>{}[]?*\"#%\\^|~`$&,;:/".contains(c);
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return invalid(format!("an execution's name has 1 to {NAME_CHARS_MAX} characters"));
    }
    if let Some(c) = name.chars().find(|c| forbidden(*c)) {
        return invalid(format!("an execution's name may not have the character {c:?}"));
    }
    match document_fault(input) {
        Some(fault) => invalid(format!("the execution's input {fault}")),
        None => Ok(()),
    }
}

/// Refuses a token that is empty or longer than [`TOKEN_CHARS_MAX`], and an output that is no JSON or longer than
/// [`INPUT_BYTES_MAX`].
pub fn check_answer(token: &str, output: &str) -> Result<(), StorageError> {
    let invalid = |reason: String| Err(StorageError::Invalid { what: "a waiting task".to_owned(), reason });
    if token.is_empty() || token.chars().count() > TOKEN_CHARS_MAX {
        return invalid(format!("a task's token has 1 to {TOKEN_CHARS_MAX} characters"));
    }
    match document_fault(output) {
        Some(fault) => invalid(format!("the task's output {fault}")),
        None => Ok(()),
    }
}

fn document_fault(json: &str) -> Option<String> {
    if json.len() > INPUT_BYTES_MAX {
        return Some(format!("has more than {INPUT_BYTES_MAX} bytes"));
    }
    let error = serde_json::from_str::<serde::de::IgnoredAny>(json).err()?;
    Some(format!("is not JSON: {error}"))
}
