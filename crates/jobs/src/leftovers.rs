//! What an attempt has written and does not publish.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use storage::{Location, Objects, StorageError};
use tracing::warn;

/// Objects removed side by side.
const REMOVALS_AT_ONCE: usize = 16;

/// Removes what lies under a prefix, but for the keys that are named. What cannot be removed only takes up room.
pub(crate) async fn remove(objects: &dyn Objects, bucket: &str, prefix: &str, named: &BTreeSet<&str>) {
    if let Err(error) = remove_all(objects, bucket, prefix, named).await {
        warn!(bucket, prefix, error = error_class::chain(&error), "leftovers not removed");
    }
}

async fn remove_all(
    objects: &dyn Objects,
    bucket: &str,
    prefix: &str,
    named: &BTreeSet<&str>,
) -> Result<(), StorageError> {
    let mut after = None;
    loop {
        let page = objects.list(bucket, prefix, after.as_deref()).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.key.clone());
        let unnamed = page.into_iter().filter(|listed| !named.contains(listed.key.as_str()));
        let removals = unnamed.map(|listed| async move {
            let at = Location::new(bucket, listed.key);
            let version = objects.head(&at, None).await?.version;
            objects.delete(&at, version.as_deref()).await
        });
        stream::iter(removals).buffer_unordered(REMOVALS_AT_ONCE).try_collect::<()>().await?;
    }
}
