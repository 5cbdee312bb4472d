//! Workflows: runs of state machines.

use async_trait::async_trait;

use crate::StorageError;

/// The longest name of an execution, in characters.
pub const NAME_CHARS_MAX: usize = 80;
/// The longest input of an execution, in bytes.
pub const INPUT_BYTES_MAX: usize = 256 * 1024;

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

/// Starts state machines.
#[async_trait]
pub trait Workflows: Send + Sync {
    /// Starts an execution of the machine (by ARN) under a name, with a JSON input. However often and by however many
    /// it is called, one execution of that name runs. [`StorageError::Invalid`] where [`check_start`] says so.
    async fn start(&self, machine: &str, name: &str, input: &str) -> Result<Start, StorageError>;
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
    if input.len() > INPUT_BYTES_MAX {
        return invalid(format!("an execution's input has at most {INPUT_BYTES_MAX} bytes"));
    }
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(input) {
        return invalid(format!("the execution's input is not JSON: {error}"));
    }
    Ok(())
}
