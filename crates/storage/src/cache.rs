//! The cache: what may be forgotten at any time.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::StorageError;

/// A cache of bytes by key. Callers treat every error as a miss: a cache that is down makes a run slower, never wrong.
#[async_trait]
pub trait Cache: Send + Sync {
    /// The values of the keys, in the order of the keys.
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StorageError>;

    /// How many requests [`get_many`](Self::get_many) makes for so many keys; one, where all of them go at once.
    fn requests(&self, keys: usize) -> u64 {
        u64::from(keys > 0)
    }

    /// Keeps values for at most `lifetime`.
    async fn put_many(&self, entries: Vec<(String, Bytes)>, lifetime: Duration) -> Result<(), StorageError>;
}

/// The cache of an installation that has none: every look-up misses.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCache;

#[async_trait]
impl Cache for NoCache {
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StorageError> {
        Ok(vec![None; keys.len()])
    }

    fn requests(&self, _: usize) -> u64 {
        0
    }

    async fn put_many(&self, _: Vec<(String, Bytes)>, _: Duration) -> Result<(), StorageError> {
        Ok(())
    }
}
