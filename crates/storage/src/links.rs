//! Download links.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Location, StorageError};

/// A link that anyone who has it can download from, until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The address.
    pub url: String,
    /// When it stops working: the earlier of the lifetime asked for and the life of the credentials that signed it.
    pub expires_at: Timestamp,
}

/// Signs download links.
#[async_trait]
pub trait Links: Send + Sync {
    /// A link to the object that lives for `lifetime`, or for as long as the signer's credentials do if that is less.
    /// The object need not exist. [`StorageError::Invalid`] for a lifetime under a second.
    async fn sign(&self, at: &Location, lifetime: Duration) -> Result<Link, StorageError>;
}

/// Refuses a link that would be dead at once.
pub fn check_lifetime(at: &Location, lifetime: Duration) -> Result<(), StorageError> {
    if lifetime < Duration::from_secs(1) {
        let reason = "a link lives for a second at least".to_owned();
        return Err(StorageError::Invalid { what: at.to_string(), reason });
    }
    Ok(())
}
