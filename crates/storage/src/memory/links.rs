use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{Clock, Link, Links, Location, StorageError, clock::System};

/// Links that lead nowhere, signed with credentials of a known life.
pub struct MemoryLinks {
    clock: Arc<dyn Clock>,
    credentials_life: Duration,
}

impl MemoryLinks {
    /// Links signed with credentials that live for an hour, as those of an assumed role do.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, credentials_life: Duration::from_secs(3600) }
    }

    /// Links signed with credentials that live for `life`.
    #[must_use]
    pub fn with_credentials_life(self, life: Duration) -> Self {
        Self { credentials_life: life, ..self }
    }
}

impl Default for MemoryLinks {
    fn default() -> Self {
        Self::new(Arc::new(System))
    }
}

impl fmt::Debug for MemoryLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLinks").field("credentials_life", &self.credentials_life).finish_non_exhaustive()
    }
}

#[async_trait]
impl Links for MemoryLinks {
    async fn sign(&self, at: &Location, lifetime: Duration) -> Result<Link, StorageError> {
        crate::links::check_lifetime(at, lifetime)?;
        let lifetime = lifetime.min(self.credentials_life);
        let expires_at = self.clock.now().saturating_add(lifetime).unwrap_or(Timestamp::MAX);
        Ok(Link { url: format!("memory://{}/{}?expires={expires_at}", at.bucket, at.key), expires_at })
    }
}
