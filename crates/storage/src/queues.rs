//! Queues of messages: what is handed over, and what is handed back.
//!
//! Receiving is no part of the port: an event source mapping receives, and calls a function with what has come.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;

use crate::StorageError;

/// The longest message, body and attributes together, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// The most attributes of a message.
pub const ATTRIBUTES_MAX: usize = 10;
/// The longest time for which a message can be hidden, in all.
pub const HIDDEN_MAX: Duration = Duration::from_secs(12 * 3600);

/// A message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// What it says.
    pub body: String,
    /// What is said about it, as texts that are not empty.
    pub attributes: BTreeMap<String, String>,
}

/// Sends messages, and hides those that were received.
#[async_trait]
pub trait Queues: Send + Sync {
    /// Puts a message into the queue (by its URL). Sending twice puts two. [`StorageError::Invalid`] where [`check_message`]
    /// says so.
    async fn send(&self, queue: &str, message: &Message) -> Result<(), StorageError>;

    /// Hides the message that was received with this receipt, from now on and for so long; then it is received again.
    /// [`StorageError::Invalid`] for longer than [`HIDDEN_MAX`], and where it is no longer in its receiver's hands.
    async fn hide(&self, queue: &str, receipt: &str, time: Duration) -> Result<(), StorageError>;
}

/// Refuses what SQS would refuse: a message that is empty, too long, has characters that XML does not know, or attributes
/// that are too many, without text, or not named in letters, digits, `-`, `_` and `.`.
pub fn check_message(queue: &str, message: &Message) -> Result<(), StorageError> {
    let invalid = |reason: String| Err(StorageError::Invalid { what: format!("a message to {queue}"), reason });
    let attributes: usize =
        message.attributes.iter().map(|(name, text)| name.len() + "String".len() + text.len()).sum();
    if message.body.is_empty() || message.body.len() + attributes > MESSAGE_BYTES_MAX {
        let bytes = message.body.len() + attributes;
        return invalid(format!("it has {bytes} bytes, not 1 to {MESSAGE_BYTES_MAX}"));
    }
    if message.attributes.len() > ATTRIBUTES_MAX {
        return invalid(format!("it has {} attributes, more than {ATTRIBUTES_MAX}", message.attributes.len()));
    }
    let is_name = |name: &str| {
        (1..=256).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    if let Some((name, _)) = message.attributes.iter().find(|(name, text)| !is_name(name) || text.is_empty()) {
        return invalid(format!("the attribute {name:?} has no name that goes, or no text"));
    }
    let texts = || message.attributes.values().chain([&message.body]);
    match texts().flat_map(|text| text.chars()).find(|char| !is_xml(*char)) {
        Some(char) => invalid(format!("it has the character {char:?}")),
        None => Ok(()),
    }
}

/// Refuses a time for which nothing can be hidden.
pub fn check_hide(queue: &str, time: Duration) -> Result<(), StorageError> {
    if time > HIDDEN_MAX {
        let reason = format!("it can be hidden for {} seconds at most", HIDDEN_MAX.as_secs());
        return Err(StorageError::Invalid { what: format!("a message of {queue}"), reason });
    }
    Ok(())
}

/// Whether XML 1.0 knows the character: SQS takes no other.
pub const fn is_xml(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
