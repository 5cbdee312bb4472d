//! Mail to people.

use async_trait::async_trait;

use crate::StorageError;

/// The most recipients of one mail: SES's bound.
pub const RECIPIENTS_MAX: usize = 50;

/// Whether `text` can be a mail address; whether it is one, only sending tells.
pub fn is_address(text: &str) -> bool {
    let domain = |host: &str| !host.is_empty() && !host.starts_with('.') && !host.ends_with('.');
    text.rsplit_once('@').is_some_and(|(user, host)| !user.is_empty() && domain(host))
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | '<' | '>'))
}

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The sender's address. SES sends only from a verified one.
    pub from: String,
    /// The recipients: at least one, at most [`RECIPIENTS_MAX`].
    pub to: Vec<String>,
    /// The subject line.
    pub subject: String,
    /// The body for readers without HTML.
    pub text: String,
    /// The body.
    pub html: String,
}

impl Mail {
    /// Refuses what no service would send: no sender, no recipients or more than [`RECIPIENTS_MAX`], a line break in
    /// the subject or an address (which would smuggle in headers).
    pub fn check(&self) -> Result<(), StorageError> {
        let invalid =
            |reason: String| Err(StorageError::Invalid { what: format!("mail from {:?}", self.from), reason });
        if self.to.is_empty() || self.to.len() > RECIPIENTS_MAX {
            return invalid(format!("has {} recipients, not 1 to {RECIPIENTS_MAX}", self.to.len()));
        }
        let addresses = || self.to.iter().chain([&self.from]);
        if let Some(address) = addresses().find(|address| !address.contains('@')) {
            return invalid(format!("{address:?} is no mail address"));
        }
        if addresses().chain([&self.subject]).any(|line| line.contains(['\r', '\n'])) {
            return invalid("has a line break in its subject or an address".to_owned());
        }
        Ok(())
    }
}

/// Sends mail.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands the mail over and returns the service's id for it. Sending twice sends two mails.
    /// [`StorageError::Invalid`] where [`Mail::check`] says so.
    async fn send(&self, mail: &Mail) -> Result<String, StorageError>;
}
