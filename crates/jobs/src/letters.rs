//! Dead letters: messages about what cannot be done, with the reason.

use std::collections::BTreeMap;

use reconcile::task::TaskJob;
use storage::queues::{MESSAGE_BYTES_MAX, Message, is_xml};

/// What a dead letter says.
pub(crate) struct Letter<'a> {
    /// The message, as it was handed in.
    pub(crate) body: &'a str,
    /// The attempt that it is about, if it says so.
    pub(crate) job: Option<TaskJob>,
    /// An error class, or a word of [`crate::error::Refused::kind`].
    pub(crate) class: &'a str,
    /// Why, for a person.
    pub(crate) reason: String,
}

/// The longest reason: with the longest document it is still a message.
const REASON_BYTES_MAX: usize = 8 * 1024;

/// The letter as a message: `reason`, `class`, `job`, `tenant` and `attempt` are its attributes.
pub(crate) fn dead_letter(letter: &Letter<'_>) -> Message {
    let mut attributes = BTreeMap::from([
        ("class".to_owned(), letter.class.to_owned()),
        ("reason".to_owned(), bounded(&letter.reason, REASON_BYTES_MAX)),
    ]);
    if let Some(TaskJob { tenant, job, attempt }) = &letter.job {
        // What came malformed may have any text in these places.
        for (name, text) in [("tenant", tenant), ("job", job)] {
            attributes.insert(name.to_owned(), bounded(text, 256));
        }
        attributes.insert("attempt".to_owned(), attempt.to_string());
    }
    Message { body: bounded(letter.body, MESSAGE_BYTES_MAX - 4 * REASON_BYTES_MAX), attributes }
}

/// The text without what no queue takes, cut to so many bytes, and never empty.
fn bounded(text: &str, bytes_max: usize) -> String {
    let mut text: String = text.chars().map(|char| if is_xml(char) { char } else { '\u{fffd}' }).collect();
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max - '…'.len_utf8()));
        text.push('…');
    }
    if text.is_empty() { "-".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use storage::queues::check_message;

    use super::*;

    #[test]
    fn any_letter_can_be_sent() {
        for (body, reason) in [("", ""), ("a\0b", "\u{1}"), (&*"€".repeat(200_000), &*"x".repeat(100_000))] {
            let job = Some(TaskJob { tenant: String::new(), job: "x".repeat(9_000), attempt: 0 });
            let message = dead_letter(&Letter { body, job, class: "malformed", reason: reason.to_owned() });
            check_message("queue", &message).unwrap();
        }
    }
}
