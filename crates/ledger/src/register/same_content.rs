//! Whether the content of a batch was sent before, in a batch of another name.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use storage::{Location, StorageError, documents};

use super::{LOOKS, RegisterError, Registrar, entrant::Entrant};
use crate::{
    BatchSequence,
    book::{BatchRecord, BatchStatus, Book, Content, NumberedBatch},
    manifest::{BatchManifest, BatchObject, ManifestKey, PinnedBatch},
};

impl Registrar {
    /// Notes what content the batch is to have, before it gets its number: whoever is numbered later finds it.
    pub(super) async fn note_contents(&self, entrant: &Entrant<'_>) -> Result<(), StorageError> {
        let Entrant { at, manifest, digest, .. } = entrant;
        let notes = hashed(manifest).map(|(object, sha256)| async move {
            let (batch, object) = (at.batch.clone(), object.key.clone());
            let content = Content { batch, digest: digest.clone(), object };
            self.book.put_content(&at.ledger, sha256, &content).await
        });
        stream::iter(notes.collect::<Vec<_>>()).buffer_unordered(LOOKS).try_collect().await
    }

    /// Whether no batch before `next` that was taken has content of this one. `compared` is the `next` of an earlier try
    /// that found none: who was taken since has a number from there on, and these alone are looked at.
    pub(super) async fn check_contents(
        &self,
        entrant: &Entrant<'_>,
        compared: Option<BatchSequence>,
        next: BatchSequence,
    ) -> Result<(), RegisterError> {
        let Entrant { at, manifest, .. } = entrant;
        let Some(compared) = compared else { return self.book.check_contents(at, manifest).await };
        let own: BTreeMap<_, _> = hashed(manifest).map(|(object, sha256)| (sha256, object)).collect();
        if own.is_empty() || compared == next {
            return Ok(());
        }
        let later = self.book.numbered(&at.ledger, compared, next.previous()).await?;
        let looks = later.into_iter().map(|later| self.compare(at, &own, later));
        stream::iter(looks.collect::<Vec<_>>()).buffered(LOOKS).try_collect().await
    }

    /// Whether this batch, which has got its number meanwhile, has none of that content.
    async fn compare(
        &self,
        at: &ManifestKey,
        own: &BTreeMap<&str, &BatchObject>,
        NumberedBatch { batch: earlier, pinned, .. }: NumberedBatch,
    ) -> Result<(), RegisterError> {
        let pinned = Location::new(&self.data_bucket, pinned);
        let PinnedBatch { manifest, .. } = documents::read(&*self.objects, &pinned)
            .await?
            .ok_or_else(|| StorageError::NotFound { what: pinned.to_string() })?;
        let same = hashed(&manifest).find_map(|(object, sha256)| Some((*own.get(sha256)?, object)));
        let Some((object, earlier_object)) = same else { return Ok(()) };
        // It may have been taken out as quickly.
        let known = self.book.batch(&at.ledger, &earlier).await?;
        if known.is_none_or(|known| known.status != BatchStatus::Registered) {
            return Ok(());
        }
        let (batch, object) = (at.batch.clone(), object.key.clone());
        Err(RegisterError::SameContent { batch, object, earlier, earlier_object: earlier_object.key.clone() })
    }
}

impl Book {
    /// Whether no object has the content of one of another batch that was taken, as far as both manifests give hashes.
    pub async fn check_contents(&self, at: &ManifestKey, manifest: &BatchManifest) -> Result<(), RegisterError> {
        let looks = hashed(manifest).map(|(object, sha256)| async move {
            for content in self.contents(&at.ledger, sha256).await? {
                let taken =
                    |record: BatchRecord| record.status == BatchStatus::Registered && record.digest == content.digest;
                if content.batch != at.batch && self.batch(&at.ledger, &content.batch).await?.is_some_and(taken) {
                    return Err(RegisterError::SameContent {
                        batch: at.batch.clone(),
                        object: object.key.clone(),
                        earlier: content.batch,
                        earlier_object: content.object,
                    });
                }
            }
            Ok(())
        });
        stream::iter(looks.collect::<Vec<_>>()).buffered(LOOKS).try_collect().await
    }
}

/// The objects that hold something, and whose hash the manifest gives.
fn hashed(manifest: &BatchManifest) -> impl Iterator<Item = (&BatchObject, &str)> {
    let filled = manifest.objects.iter().filter(|object| object.records > 0);
    filled.filter_map(|object| Some((object, object.sha256.as_deref()?)))
}
