//! Mail to people.

use async_trait::async_trait;

use crate::StorageError;

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The sender's address. SES sends only from a verified one.
    pub from: String,
    /// The recipients: at least one, at most 50 (SES's bound).
    pub to: Vec<String>,
    /// The subject line.
    pub subject: String,
    /// The body for readers without HTML.
    pub text: String,
    /// The body.
    pub html: String,
}

/// Sends mail.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands the mail over and returns the service's id for it. Sending twice sends two mails.
    async fn send(&self, mail: &Mail) -> Result<String, StorageError>;
}
