use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;

use super::lock;
use crate::{Mail, Mailer, StorageError};

/// A mailer that keeps what it is given, and can be told to fail.
#[derive(Debug, Default)]
pub struct MemoryMailer {
    sent: Mutex<Vec<Mail>>,
    down: AtomicBool,
}

impl MemoryMailer {
    /// Every mail that was accepted, in order.
    pub fn sent(&self) -> Vec<Mail> {
        lock(&self.sent).clone()
    }

    /// Whether the service is down: then each mail is refused as [`StorageError::Unavailable`].
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }
}

#[async_trait]
impl Mailer for MemoryMailer {
    async fn send(&self, mail: &Mail) -> Result<String, StorageError> {
        mail.check()?;
        if self.down.load(Ordering::Relaxed) {
            return Err(StorageError::Unavailable { what: "mailer".to_owned(), source: "it was told to be".into() });
        }
        let mut sent = lock(&self.sent);
        sent.push(mail.clone());
        Ok(format!("mail-{}", sent.len()))
    }
}
