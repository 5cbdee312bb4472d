use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use async_trait::async_trait;

use super::lock;
use crate::{
    Queues, StorageError,
    queues::{Message, check_hide, check_message},
};

/// Queues that keep what they are sent until it is taken, and remember what was hidden.
#[derive(Debug, Default)]
pub struct MemoryQueues {
    queues: Mutex<BTreeMap<String, Vec<Message>>>,
    hidden: Mutex<Vec<(String, Duration)>>,
}

impl MemoryQueues {
    /// Every message of a queue, in the order of their arrival.
    pub fn messages(&self, queue: &str) -> Vec<Message> {
        lock(&self.queues).get(queue).cloned().unwrap_or_default()
    }

    /// Takes all messages out of a queue.
    pub fn take(&self, queue: &str) -> Vec<Message> {
        lock(&self.queues).remove(queue).unwrap_or_default()
    }

    /// Every receipt whose message was hidden, and for how long, in order.
    pub fn hidden(&self) -> Vec<(String, Duration)> {
        lock(&self.hidden).clone()
    }
}

#[async_trait]
impl Queues for MemoryQueues {
    async fn send(&self, queue: &str, message: &Message) -> Result<(), StorageError> {
        check_message(queue, message)?;
        lock(&self.queues).entry(queue.to_owned()).or_default().push(message.clone());
        Ok(())
    }

    async fn hide(&self, queue: &str, receipt: &str, time: Duration) -> Result<(), StorageError> {
        check_hide(queue, time)?;
        lock(&self.hidden).push((receipt.to_owned(), time));
        Ok(())
    }
}
