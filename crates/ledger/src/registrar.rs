//! batch-registrar: the manifest of a batch in the input bucket → its number in the ledger.

use std::sync::Arc;

use environment::{ConfigError, text};
use error_class::{Classified, ErrorClass, chain};
use jiff::Timestamp;
use storage::{Clock, Location, ObjectInfo, Objects, StorageError, Tables, Workflows};
use tracing::{info, warn};

use crate::{
    LedgerError, Rules, backlog,
    backlog::BacklogManager,
    book::{Book, FaultRecord},
    definitions::Definitions,
    manifest::{MANIFEST_BYTES_MAX, ManifestError, ManifestKey},
    messages::{BatchArrival, Done, ObjectCreated},
    operate::cut,
    policy::Terms,
    register::{RegisterError, Registrar},
    turns::TRIES,
};

/// What batch-registrar is configured by.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bucket of pinned manifests.
    pub data_bucket: String,
    /// The machines and the book.
    pub backlog: backlog::Config,
}

impl Config {
    /// Reads `DATA_BUCKET`, and what [`backlog::Config`] reads.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self { data_bucket: text("DATA_BUCKET")?, backlog: backlog::Config::from_env()? })
    }
}

/// Registers each batch whose manifest arrives, and moves its ledger on.
///
/// Running it again, late or twice at once is harmless: [`Registrar::register`] gives a batch one number, and so is
/// moving a ledger on. What the sender got wrong is no failure: it is written down where he looks, and the next manifest
/// of that name is looked at anew. Should an event be lost, the sender sees that the batch has no number, and uploads
/// the manifest again.
pub struct BatchRegistrar {
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
    registrar: Registrar,
    definitions: Definitions,
    manager: BacklogManager,
    book: Book,
}

impl BatchRegistrar {
    /// A registrar that reads `objects`, keeps its book in `tables` and starts jobs through `workflows`.
    pub fn new(
        objects: Arc<dyn Objects>,
        tables: Arc<dyn Tables>,
        workflows: Arc<dyn Workflows>,
        clock: Arc<dyn Clock>,
        config: Config,
    ) -> Self {
        let Config { data_bucket, backlog } = config;
        let table = &backlog.ledgers_table;
        Self {
            registrar: Registrar::new(objects.clone(), tables.clone(), clock.clone(), table, &data_bucket),
            definitions: Definitions::new(tables.clone(), table, Rules::built_in()),
            book: Book::new(tables.clone(), table),
            manager: BacklogManager::new(tables, workflows, clock.clone(), backlog),
            objects,
            clock,
        }
    }

    /// Handles one event.
    pub async fn register(&self, arrival: BatchArrival) -> Result<Done, LedgerError> {
        let BatchArrival::ObjectCreated(ObjectCreated { bucket, object }) = arrival;
        let at = Location::new(bucket.name, object.key);
        let Some(key) = ManifestKey::parse(&at.key) else {
            warn!(key = at.key, "object is no batch's manifest");
            return Ok(Done {});
        };
        // Where the event names no version, the latest is taken, and stays the one that is read.
        let manifest = match self.objects.head(&at, object.version_id.as_deref()).await {
            Ok(manifest) => manifest,
            Err(StorageError::NotFound { what }) => {
                warn!(what, "manifest is gone");
                return Ok(Done {});
            }
            Err(error) => return Err(error.into()),
        };
        match self.take(&at, &key, &manifest).await {
            Ok(terms) => {
                self.forget_fault(&key, &manifest).await?;
                // The batch is registered. If this fails, the next minute makes up for it.
                if let Err(error) = self.manager.move_on(&terms, &self.definitions).await {
                    warn!(ledger = %terms.ledger, error = chain(&error), "ledger not moved on");
                }
            }
            Err(error) if is_the_sender_s(&error) => self.write_down(&key, &manifest, &error).await?,
            Err(error) => return Err(error),
        }
        Ok(Done {})
    }

    async fn take(&self, at: &Location, key: &ManifestKey, manifest: &ObjectInfo) -> Result<Terms, LedgerError> {
        let terms = self.definitions.terms(&key.ledger).await?;
        if manifest.bytes > MANIFEST_BYTES_MAX {
            let source = ManifestError::TooLong(manifest.bytes);
            return Err(RegisterError::Manifest { batch: key.batch.clone(), source }.into());
        }
        self.registrar.register(at, manifest.version.as_deref(), &terms).await?;
        Ok(terms)
    }

    /// Tells the sender, unless a later manifest of that name was looked at already.
    async fn write_down(
        &self,
        key: &ManifestKey,
        manifest: &ObjectInfo,
        error: &LedgerError,
    ) -> Result<(), LedgerError> {
        let ManifestKey { ledger, batch, .. } = key;
        let reason = cut(&chain(error));
        warn!(%ledger, batch, reason, "batch not taken");
        let uploaded_at = whole_second(manifest.modified);
        let at = self.clock.now();
        let is_unknown = matches!(error, LedgerError::UnknownLedger(_));
        let expires_at = is_unknown.then(|| at.as_second().saturating_add(UNKNOWN_KEPT_DAYS * 24 * 3600));
        let fault = FaultRecord { batch: batch.clone(), reason, uploaded_at, at, expires_at };
        for _ in 0..TRIES {
            let known = self.book.fault(ledger, batch).await?.map(|fault| fault.uploaded_at);
            let taken = self.book.batch(ledger, batch).await?;
            let taken_at = taken.as_ref().map(|batch| whole_second(batch.registered_at));
            if known.max(taken_at).is_some_and(|later| later > uploaded_at)
                || self.book.put_fault(ledger, &fault, taken.as_ref()).await?
            {
                return Ok(());
            }
        }
        Err(RegisterError::Contended { ledger: ledger.clone() }.into())
    }

    /// What was wrong with an earlier manifest of that name is of no interest any more.
    async fn forget_fault(&self, key: &ManifestKey, manifest: &ObjectInfo) -> Result<(), LedgerError> {
        let ManifestKey { ledger, batch, .. } = key;
        if self.book.fault(ledger, batch).await?.is_some()
            && self.book.forget_fault(ledger, batch, whole_second(manifest.modified)).await?
        {
            info!(%ledger, batch, "fault forgotten");
        }
        Ok(())
    }
}

/// How long it is kept what was sent to a ledger that nobody has described.
const UNKNOWN_KEPT_DAYS: i64 = 90;

/// What a bucket says of a time: S3 knows whole seconds, and texts of such compare as their times do.
fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Whether the sender can mend it, and nobody else.
fn is_the_sender_s(error: &LedgerError) -> bool {
    match error {
        LedgerError::UnknownLedger(_) => true,
        LedgerError::Register(error) => error.class() == ErrorClass::InvalidInput,
        _ => false,
    }
}
