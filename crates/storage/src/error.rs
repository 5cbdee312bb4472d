use error_class::{Classified, ErrorClass};

/// Why a port could not do what it was asked.
///
/// `what` names the thing by its full address (`s3://bucket/key`, `table/key`, …), so that a person can go and look.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There is no such object, item, execution or bucket.
    #[error("{what} does not exist")]
    NotFound {
        /// The full address.
        what: String,
    },
    /// The object has changed since the version or `ETag` that was asked for.
    #[error("{what} has changed since it was first read")]
    Changed {
        /// The full address.
        what: String,
    },
    /// The permissions in force do not allow it. Never retried: a policy does not change by itself.
    #[error("not allowed to {action} {what}")]
    Denied {
        /// The call, as IAM names it where that is known (`s3:GetObject`).
        action: String,
        /// The full address.
        what: String,
    },
    /// The service asked to slow down, also after the adapter's own retries.
    #[error("{what} is throttled")]
    Throttled {
        /// The full address.
        what: String,
        /// What the service said.
        #[source]
        source: Source,
    },
    /// The service did not answer, or answered with a fault of its own, also after the adapter's own retries.
    #[error("{what} is unavailable")]
    Unavailable {
        /// The full address.
        what: String,
        /// What the service said.
        #[source]
        source: Source,
    },
    /// The call itself was wrong: a key too long, an item too large, a response that cannot be read.
    #[error("{what}: {reason}")]
    Invalid {
        /// The full address.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The error behind a [`StorageError`].
pub type Source = Box<dyn std::error::Error + Send + Sync>;

impl Classified for StorageError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Throttled { .. } => ErrorClass::Throttled,
            Self::Unavailable { .. } => ErrorClass::Unavailable,
            // Who asks for what a sender may take away again says so in an error of its own.
            Self::NotFound { .. } | Self::Changed { .. } | Self::Denied { .. } | Self::Invalid { .. } => {
                ErrorClass::Bug
            }
        }
    }
}
