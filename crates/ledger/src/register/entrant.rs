//! A batch that is about to get its number, and what it may not be.

use jiff::Timestamp;
use storage::StorageError;

use super::{RegisterError, Registered};
use crate::{
    BatchSequence,
    book::{BatchRecord, BatchStatus, INTERVALS_MAX, SourceRecord},
    manifest::{BatchManifest, ManifestKey},
};

/// A batch that is about to get its number.
pub(super) struct Entrant<'a> {
    pub(super) at: &'a ManifestKey,
    pub(super) manifest: &'a BatchManifest,
    pub(super) digest: String,
    pub(super) opens_at: Timestamp,
    /// Whether content that an earlier batch has would count twice.
    pub(super) counts_twice: bool,
    pub(super) pinned: String,
    pub(super) bytes: u64,
}

impl Entrant<'_> {
    /// What a batch that is known already is answered.
    pub(super) fn repeated(&self, known: BatchRecord) -> Result<Registered, RegisterError> {
        if known.digest != self.digest {
            return Err(RegisterError::OtherManifest { batch: known.batch });
        }
        match (known.number, known.status) {
            (Some(number), _) => Ok(Registered::Numbered { number, repeated: true }),
            (None, BatchStatus::Refused { reason } | BatchStatus::Skipped { reason }) => {
                Ok(Registered::Refused { reason })
            }
            (None, BatchStatus::Registered) => Err(StorageError::Invalid {
                what: format!("batch {} of ledger {}", known.batch, self.at.ledger),
                reason: "is registered without a number".to_owned(),
            }
            .into()),
        }
    }

    /// The batch that this one replaces, if it can.
    pub(super) fn replaced(&self, found: Option<BatchRecord>) -> Result<BatchRecord, RegisterError> {
        let cannot = |reason| RegisterError::Replacement {
            batch: self.at.batch.clone(),
            replaces: self.manifest.replaces.clone().unwrap_or_default(),
            reason,
        };
        let found = found.ok_or_else(|| cannot("there is no such batch"))?;
        if found.status == BatchStatus::Registered {
            return Err(cannot("it was neither refused nor skipped; send a correction"));
        }
        if found.replaced_by.is_some() {
            return Err(cannot("it was replaced already"));
        }
        if found.source != self.manifest.source || found.interval != self.manifest.interval {
            return Err(cannot("it is of another source or interval"));
        }
        if found.correction != self.manifest.correction.is_some() {
            return Err(cannot("one of them is a correction and the other is not"));
        }
        Ok(found)
    }

    /// The source's intervals once this batch is registered, if its interval is free.
    pub(super) fn claim(
        &self,
        source: &SourceRecord,
        replaced: Option<&BatchRecord>,
    ) -> Result<SourceRecord, RegisterError> {
        let (batch, interval) = (self.at.batch.clone(), self.manifest.interval);
        let source_name = self.manifest.source.clone();
        if interval.from() < self.opens_at {
            return Err(RegisterError::TooEarly { batch, from: interval.from(), opens_at: self.opens_at });
        }
        let mut after = source.clone();
        if self.manifest.correction.is_some() {
            return match source.claimed.covers(interval) {
                true => Ok(after),
                false => Err(RegisterError::NothingToCorrect { batch, interval, source_name }),
            };
        }
        // A batch that had a number keeps its claim when it becomes void, for the one that replaces it.
        if replaced.is_some_and(|replaced| replaced.number.is_some()) {
            after.void.remove(interval);
            return Ok(after);
        }
        if source.claimed.overlaps(interval) {
            return Err(RegisterError::Overlap { batch, interval, source_name });
        }
        after.claimed.insert(interval);
        if after.claimed.intervals().len() + after.void.intervals().len() > INTERVALS_MAX {
            return Err(RegisterError::Gaps { source_name });
        }
        Ok(after)
    }

    /// Its row, as it stands at first.
    pub(super) fn record(&self, status: BatchStatus, number: Option<BatchSequence>, now: Timestamp) -> BatchRecord {
        BatchRecord {
            batch: self.at.batch.clone(),
            digest: self.digest.clone(),
            status,
            number,
            source: self.manifest.source.clone(),
            interval: self.manifest.interval,
            correction: self.manifest.correction.is_some(),
            replaced_by: None,
            registered_at: now,
            let_in_at: now,
            version: 0,
        }
    }
}
