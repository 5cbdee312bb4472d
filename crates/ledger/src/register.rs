//! Registration: a manifest → the next number of its ledger, once.

mod entrant;
mod same_content;

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use storage::{Clock, Location, Objects, StorageError, Tables, documents, objects::read_all, tables::Write};
use tracing::{info, warn};

use self::entrant::Entrant;
use crate::{
    BatchSequence, DuplicateScope,
    book::{
        BatchRecord, BatchStatus, Book, NumberedBatch, RefusedBatch, batch_row, number_row, refused_row, source_row,
    },
    head::{Field, Head},
    layout::pinned_key,
    manifest::{BATCH_BYTES_MAX, BatchManifest, MANIFEST_BYTES_MAX, ManifestKey, PinnedBatch, PinnedObject},
    policy::Terms,
    turns::TRIES,
};

pub use crate::register_error::RegisterError;

/// How many objects of a batch are looked at, or noted, side by side.
const LOOKS: usize = 16;

/// What became of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "registered", rename_all = "snake_case")]
pub enum Registered {
    /// It has this number.
    Numbered {
        /// The number.
        number: BatchSequence,
        /// Whether an earlier registration gave it.
        repeated: bool,
    },
    /// It does not tie out: it is written down with the reason, and blocks nothing.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Gives batches their numbers.
///
/// Running it again, late or twice at once is harmless: a batch is known by its name and its manifest's digest, and one
/// transaction puts the batch if it is absent, puts the number if it is absent, and moves the head's `next` from that
/// number to the one behind it. So numbers are dense, whoever fails where, and a repetition finds what stands.
pub struct Registrar {
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
    book: Book,
    data_bucket: String,
}

impl Registrar {
    /// A registrar that reads `objects`, pins into `data_bucket` and keeps its book in the table `ledgers_table`.
    pub fn new(
        objects: Arc<dyn Objects>,
        tables: Arc<dyn Tables>,
        clock: Arc<dyn Clock>,
        ledgers_table: &str,
        data_bucket: &str,
    ) -> Self {
        Self { objects, clock, book: Book::new(tables, ledgers_table), data_bucket: data_bucket.to_owned() }
    }

    /// Registers the batch whose manifest stands at `at`. The backlog manager is called after this.
    pub async fn register(
        &self,
        at: &Location,
        version: Option<&str>,
        terms: &Terms,
    ) -> Result<Registered, RegisterError> {
        let key = ManifestKey::parse(&at.key).filter(|key| key.ledger == terms.ledger);
        let key = key.ok_or_else(|| RegisterError::Key(at.key.clone()))?;
        let json = read_all(self.objects.read(at, version, None).await?, at, MANIFEST_BYTES_MAX).await?;
        let wrong = |source| RegisterError::Manifest { batch: key.batch.clone(), source };
        let manifest = BatchManifest::parse(&json).map_err(wrong)?;
        let opens_at = terms.sources.get(&manifest.source).copied();
        let opens_at = opens_at.ok_or_else(|| RegisterError::UnknownSource {
            ledger: key.ledger.clone(),
            source_name: manifest.source.clone(),
        })?;
        let digest = manifest.digest();
        let mut entrant = Entrant {
            at: &key,
            manifest: &manifest,
            digest,
            opens_at,
            counts_twice: terms.duplicates == DuplicateScope::Batch,
            pinned: String::new(),
            bytes: 0,
        };
        if manifest.again.is_some() && !entrant.counts_twice {
            return Err(RegisterError::CountsOnce { batch: key.batch });
        }
        match manifest.check(&key) {
            Err(fault) if fault.is_of_totals() => return self.refuse(&entrant, fault.to_string()).await,
            checked => checked.map_err(wrong)?,
        }
        // What is known is not pinned again; this is looked at anew when the number is given.
        if let Some(known) = self.book.batch(&key.ledger, &key.batch).await? {
            return self.repeated(&entrant, known).await;
        }
        (entrant.pinned, entrant.bytes) = self.pin(&at.bucket, &entrant).await?;
        if entrant.counts_twice {
            self.note_contents(&entrant).await?;
        }
        self.number(&entrant).await
    }

    /// Writes down the versions of the batch's objects as they are now, under a key that no other attempt has: what
    /// counts is what the batch's number comes to name. That key, and the bytes of all objects.
    async fn pin(&self, bucket: &str, entrant: &Entrant<'_>) -> Result<(String, u64), RegisterError> {
        let Entrant { at, manifest, digest, .. } = entrant;
        let looks = manifest
            .objects
            .iter()
            .filter_map(|object| Some((object.whole_key(at)?, object.records, object.sha256.clone())));
        let looks = looks.map(|(key, records, sha256)| async move {
            let location = Location::new(bucket, key);
            match self.objects.head(&location, None).await {
                Ok(info) => Ok(PinnedObject {
                    key: location.key,
                    version: info.version,
                    etag: info.etag,
                    bytes: info.bytes,
                    records,
                    sha256,
                }),
                Err(StorageError::NotFound { what }) => {
                    Err(RegisterError::NoObject { batch: at.batch.clone(), object: what })
                }
                Err(error) => Err(error.into()),
            }
        });
        let objects: Vec<PinnedObject> = stream::iter(looks.collect::<Vec<_>>()).buffered(LOOKS).try_collect().await?;
        let bytes = bytes_of(&at.batch, &objects)?;
        let pinned = PinnedBatch {
            batch: at.batch.clone(),
            manifest: (*manifest).clone(),
            bucket: bucket.to_owned(),
            objects,
            pinned_at: self.clock.now(),
        };
        let key = pinned_key(at, digest);
        documents::write(&*self.objects, &Location::new(&self.data_bucket, &key), &pinned).await?;
        Ok((key, bytes))
    }

    /// What a batch that is known already is answered, unless its objects are others by now: its number would tell the
    /// sender that they are in the ledger.
    async fn repeated(&self, entrant: &Entrant<'_>, known: BatchRecord) -> Result<Registered, RegisterError> {
        let registered = entrant.repeated(known)?;
        let Registered::Numbered { number, .. } = registered else { return Ok(registered) };
        let Entrant { at, .. } = entrant;
        let numbered = self.book.numbered(&at.ledger, number, number).await?.pop();
        let pinned = numbered.map(|numbered| Location::new(&self.data_bucket, numbered.pinned));
        let Some(pinned) = pinned else { return Ok(registered) };
        let pinned: Option<PinnedBatch> = documents::read(&*self.objects, &pinned).await?;
        let Some(PinnedBatch { bucket, objects, .. }) = pinned else { return Ok(registered) };
        // Where the manifest says what the content is, another content makes another manifest.
        let looks = objects.iter().filter(|object| object.sha256.is_none()).map(|object| {
            let bucket = &bucket;
            async move {
                match self.objects.head(&Location::new(bucket, &object.key), None).await {
                    Ok(now) if now.etag == object.etag && now.bytes == object.bytes => Ok(()),
                    // What was taken away since was registered all the same.
                    Err(StorageError::NotFound { .. }) => Ok(()),
                    Err(error) => Err(error.into()),
                    Ok(_) => {
                        let (batch, bytes) = (at.batch.clone(), object.bytes);
                        Err(RegisterError::OtherContent { batch, object: object.key.clone(), bytes })
                    }
                }
            }
        });
        stream::iter(looks.collect::<Vec<_>>()).buffered(LOOKS).try_collect::<()>().await?;
        Ok(registered)
    }

    /// Gives the batch its number. What is looked at before a try holds for its write alone, but for the content: of
    /// that, each try looks only at what was taken since the one before.
    async fn number(&self, entrant: &Entrant<'_>) -> Result<Registered, RegisterError> {
        let Entrant { at, .. } = entrant;
        let mut compared = None;
        for _ in 0..TRIES {
            // The head first: what is read after it is at least as new, and the transaction holds only while `next` is
            // what was read here, so no registration comes between these checks and the write.
            let head = self.book.head(&at.ledger).await?;
            if let Some(known) = self.book.batch(&at.ledger, &at.batch).await? {
                return self.repeated(entrant, known).await;
            }
            let writes = match self.writes(entrant, &head, compared).await {
                Err(error) if self.stands(&error, at, &head).await? => return Err(error),
                Err(_) => continue,
                Ok(writes) => writes,
            };
            if self.book.write(writes).await? {
                info!(ledger = %at.ledger, batch = at.batch, number = %head.next, "batch registered");
                return Ok(Registered::Numbered { number: head.next, repeated: false });
            }
            compared = Some(head.next);
        }
        Err(RegisterError::Contended { ledger: at.ledger.clone() })
    }

    /// Whether another try would come to the same. What stands in the way may have been registered meanwhile, and may be
    /// this very batch; as for content, it must be this very batch, since what is taken does not go by itself.
    async fn stands(&self, error: &RegisterError, at: &ManifestKey, head: &Head) -> Result<bool, StorageError> {
        match error {
            RegisterError::SameContent { .. } => Ok(self.book.batch(&at.ledger, &at.batch).await?.is_none()),
            _ => Ok(self.book.head(&at.ledger).await?.next == head.next),
        }
    }

    async fn writes(
        &self,
        entrant: &Entrant<'_>,
        head: &Head,
        compared: Option<BatchSequence>,
    ) -> Result<Vec<Write>, RegisterError> {
        let Entrant { at, manifest, .. } = entrant;
        let (ledger, number) = (&at.ledger, head.next);
        let source = self.book.source(ledger, &manifest.source).await?;
        let replaced = match &manifest.replaces {
            Some(replaces) => Some(entrant.replaced(self.book.batch(ledger, replaces).await?)?),
            None => None,
        };
        let claimed = entrant.claim(&source, replaced.as_ref())?;
        if entrant.counts_twice && manifest.again.is_none() {
            self.check_contents(entrant, compared, number).await?;
        }
        let record = entrant.record(BatchStatus::Registered, Some(number), self.clock.now());
        let numbered = NumberedBatch {
            number,
            batch: at.batch.clone(),
            source: manifest.source.clone(),
            interval: manifest.interval,
            correction: record.correction,
            events: manifest.totals.records(),
            bytes: entrant.bytes,
            objects: manifest.objects.len() as u64,
            pinned: entrant.pinned.clone(),
            passes: 0,
            job: None,
        };
        let mut writes = vec![
            head.change(&self.book, ledger, &[(Field::Next, number.next().get())], &[]),
            self.book.replace(ledger, &batch_row(&at.batch), &record)?,
            self.book.insert(ledger, &number_row(number), &numbered)?,
        ];
        if claimed != source {
            writes.push(self.book.replace(ledger, &source_row(&manifest.source), &claimed)?);
        }
        if let Some(mut replaced) = replaced {
            replaced.replaced_by = Some(at.batch.clone());
            writes.push(self.book.replace(ledger, &batch_row(&replaced.batch), &replaced)?);
        }
        Ok(writes)
    }

    /// Writes down that a batch does not tie out. It gets no number, and claims no interval.
    async fn refuse(&self, entrant: &Entrant<'_>, reason: String) -> Result<Registered, RegisterError> {
        let Entrant { at, .. } = entrant;
        let status = BatchStatus::Refused { reason: reason.clone() };
        let record = entrant.record(status, None, self.clock.now());
        let listed = RefusedBatch { batch: at.batch.clone() };
        let writes = vec![
            self.book.replace(&at.ledger, &batch_row(&at.batch), &record)?,
            self.book.insert(&at.ledger, &refused_row(&record), &listed)?,
        ];
        if self.book.write(writes).await? {
            warn!(ledger = %at.ledger, batch = at.batch, reason, "batch refused");
            return Ok(Registered::Refused { reason });
        }
        match self.book.batch(&at.ledger, &at.batch).await? {
            Some(known) => self.repeated(entrant, known).await,
            None => Err(RegisterError::Contended { ledger: at.ledger.clone() }),
        }
    }
}

/// The bytes of all objects of a batch, if one job can read them.
fn bytes_of(batch: &str, objects: &[PinnedObject]) -> Result<u64, RegisterError> {
    match objects.iter().fold(0_u64, |sum, object| sum.saturating_add(object.bytes)) {
        bytes @ 0..=BATCH_BYTES_MAX => Ok(bytes),
        bytes => Err(RegisterError::TooLarge { batch: batch.to_owned(), bytes }),
    }
}

#[cfg(test)]
mod tests {
    use error_class::{Classified, ErrorClass};

    use super::*;

    #[test]
    fn a_batch_that_is_too_large_is_not_taken_and_told_why() {
        let object = |bytes| PinnedObject {
            key: String::new(),
            version: None,
            etag: String::new(),
            bytes,
            records: 0,
            sha256: None,
        };
        assert_eq!(bytes_of("b1", &[object(BATCH_BYTES_MAX - 1), object(1)]).unwrap(), BATCH_BYTES_MAX);
        for wrong in [[object(BATCH_BYTES_MAX), object(1)], [object(u64::MAX), object(u64::MAX)]] {
            let error = bytes_of("b1", &wrong).unwrap_err();
            assert_eq!(error.class(), ErrorClass::InvalidInput);
            assert!(error.to_string().ends_with("at most 274877906944; send it as several"), "{error}");
        }
    }
}
