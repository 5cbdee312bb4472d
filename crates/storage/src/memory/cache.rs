use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::lock;
use crate::{Cache, Clock, StorageError, clock::System};

/// A cache in memory, whose entries expire by its clock.
pub struct MemoryCache {
    clock: Arc<dyn Clock>,
    entries: Mutex<HashMap<String, (Bytes, Timestamp)>>,
}

impl MemoryCache {
    /// An empty cache.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, entries: Mutex::default() }
    }

    /// Forgets everything, as a cache may at any time.
    pub fn clear(&self) {
        lock(&self.entries).clear();
    }
}

impl Default for MemoryCache {
    fn default() -> Self {
        Self::new(Arc::new(System))
    }
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache").field("entries", &lock(&self.entries).len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StorageError> {
        let now = self.clock.now();
        let entries = lock(&self.entries);
        let live = |key| entries.get(key).filter(|(_, until)| now < *until).map(|(value, _)| value.clone());
        Ok(keys.iter().map(live).collect())
    }

    async fn put_many(&self, new: Vec<(String, Bytes)>, lifetime: Duration) -> Result<(), StorageError> {
        let until = self.clock.now().saturating_add(lifetime).unwrap_or(Timestamp::MAX);
        lock(&self.entries).extend(new.into_iter().map(|(key, value)| (key, (value, until))));
        Ok(())
    }
}
