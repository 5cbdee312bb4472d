//! The laws of [`Queues`].

use std::{collections::BTreeMap, time::Duration};

use super::ODD;
use crate::{
    Queues, StorageError,
    queues::{ATTRIBUTES_MAX, HIDDEN_MAX, MESSAGE_BYTES_MAX, Message},
};

/// All laws, on a queue that nobody receives from.
pub async fn queues(queues: &dyn Queues, queue: &str) {
    what_is_sent_is_taken(queues, queue).await;
    what_no_queue_takes_is_refused(queues, queue).await;
    what_cannot_be_hidden_is_refused(queues, queue).await;
}

/// Odd text, attributes, the longest message.
async fn what_is_sent_is_taken(queues: &dyn Queues, queue: &str) {
    let attributes = BTreeMap::from([("reason".to_owned(), ODD.join("\n"))]);
    queues.send(queue, &Message { body: ODD.join(" "), attributes }).await.unwrap();
    queues.send(queue, &message("x".repeat(MESSAGE_BYTES_MAX))).await.unwrap();
}

async fn what_no_queue_takes_is_refused(queues: &dyn Queues, queue: &str) {
    let many = (0..=ATTRIBUTES_MAX).map(|number| (format!("a{number}"), "x".to_owned())).collect();
    let with = |name: &str, text: &str| Message {
        attributes: BTreeMap::from([(name.to_owned(), text.to_owned())]),
        ..message("x")
    };
    for wrong in [
        message(""),
        message("x".repeat(MESSAGE_BYTES_MAX + 1)),
        message("a\u{1}b"),
        Message { attributes: many, ..message("x") },
        with("", "x"),
        with("a b", "x"),
        with("reason", ""),
        with("reason", "\0"),
    ] {
        let refused = queues.send(queue, &wrong).await;
        assert!(matches!(refused, Err(StorageError::Invalid { .. })), "{refused:?}");
    }
}

async fn what_cannot_be_hidden_is_refused(queues: &dyn Queues, queue: &str) {
    let refused = queues.hide(queue, "receipt", HIDDEN_MAX + Duration::from_secs(1)).await;
    assert!(matches!(refused, Err(StorageError::Invalid { .. })), "{refused:?}");
}

fn message(body: impl Into<String>) -> Message {
    Message { body: body.into(), attributes: BTreeMap::new() }
}
