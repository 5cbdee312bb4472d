//! Reading the objects of a batch, exactly as they were pinned.

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use money::{AmountError, Overflow};
use records::{HeaderError, Packing, StructureError, UnpackError, Unpacker};
use storage::{
    ByteRange, Location, Objects, StorageError,
    objects::{self, read_range},
};

use crate::{
    EventCompression, LedgerError, ReduceError,
    manifest::{PinnedBatch, PinnedObject},
};

/// The longest packed object, once it is unpacked: it is one range, held in memory.
pub const UNPACKED_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What is wrong with an object of a batch, or with what it says: the batch is refused for it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectFault {
    #[error("it was deleted after the batch was registered")]
    Gone,
    #[error("it was replaced after the batch was registered")]
    Replaced,
    #[error("it is packed with {found}, and the ledger definition says {declared}")]
    Packed { found: &'static str, declared: &'static str },
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error(transparent)]
    Structure(#[from] StructureError),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("it holds {found} records, and the manifest says {said}")]
    Count { found: u64, said: u64 },
    #[error("row {row}, at byte {offset}: {rule}: {message}")]
    Event { row: u64, offset: u64, rule: String, message: String },
    #[error(transparent)]
    Totals(#[from] Overflow),
    #[error("its amounts cannot be summed")]
    Amounts(#[from] AmountError),
}

/// Why an object of a batch could not be read: it is at fault, or something else is.
#[derive(Debug)]
pub(crate) enum ObjectError {
    Fault(ObjectFault),
    Other(LedgerError),
}

impl<E: Into<ObjectFault>> From<E> for ObjectError {
    fn from(fault: E) -> Self {
        Self::Fault(fault.into())
    }
}

impl ObjectError {
    /// What the sender took away is the object's fault, anything else the store's.
    fn reading(error: StorageError) -> Self {
        match error {
            StorageError::NotFound { .. } => Self::Fault(ObjectFault::Gone),
            StorageError::Changed { .. } => Self::Fault(ObjectFault::Replaced),
            other => Self::Other(other.into()),
        }
    }

    pub(crate) fn reducing(error: ReduceError) -> Self {
        Self::Fault(match error {
            ReduceError::Structure { source, .. } => source.into(),
            ReduceError::Header { source, .. } => source.into(),
            ReduceError::Refused { row, offset, rule, message, .. } => {
                ObjectFault::Event { row, offset, rule, message }
            }
            ReduceError::Totals(error) => error.into(),
            ReduceError::Amounts(error) => error.into(),
            definition @ ReduceError::Schema(_) => return Self::Other(definition.into()),
        })
    }
}

/// An object of a batch.
pub(crate) struct Pinned<'a> {
    objects: &'a dyn Objects,
    at: Location,
    object: &'a PinnedObject,
    pub(crate) packing: Option<Packing>,
}

impl<'a> Pinned<'a> {
    pub(crate) fn new(
        objects: &'a dyn Objects,
        batch: &PinnedBatch,
        object: &'a PinnedObject,
        compression: EventCompression,
    ) -> Self {
        let packing = match compression {
            EventCompression::None => None,
            EventCompression::Gzip => Some(Packing::Gzip),
            EventCompression::Zstd => Some(Packing::Zstd),
        };
        Self { objects, at: Location::new(&batch.bucket, &object.key), object, packing }
    }

    /// Whether it stands as it was pinned. Where the bucket keeps versions, that holds for ever; else it is to be asked
    /// again behind what was read.
    pub(crate) async fn check(&self) -> Result<(), ObjectError> {
        let info = self.objects.head(&self.at, self.version()).await.map_err(ObjectError::reading)?;
        let same = info.etag == self.object.etag && info.bytes == self.object.bytes;
        if same { Ok(()) } else { Err(ObjectError::Fault(ObjectFault::Replaced)) }
    }

    /// Asks again, where it may have been replaced while it was read.
    pub(crate) async fn check_again(&self) -> Result<(), ObjectError> {
        if self.object.version.is_some() { Ok(()) } else { self.check().await }
    }

    /// All of its bytes as they stand, in blocks that are read in parallel.
    pub(crate) fn blocks(&self) -> impl Stream<Item = Result<Bytes, ObjectError>> {
        objects::blocks(self.objects, &self.at, self.version(), self.object.bytes).map_err(ObjectError::reading)
    }

    /// The bytes of a range of the unpacked object.
    pub(crate) async fn range(&self, range: ByteRange) -> Result<Bytes, ObjectError> {
        match self.packing {
            None => self.read(range).await,
            Some(packing) => slice(&self.unpacked(packing).await?, range),
        }
    }

    /// The bytes of a range of the object as it stands.
    pub(crate) async fn read(&self, range: ByteRange) -> Result<Bytes, ObjectError> {
        read_range(self.objects, &self.at, self.version(), range).await.map_err(ObjectError::reading)
    }

    /// All of it, unpacked.
    pub(crate) async fn unpacked(&self, packing: Packing) -> Result<Bytes, ObjectError> {
        let mut unpacker = Unpacker::new(packing, UNPACKED_BYTES_MAX);
        let mut blocks = std::pin::pin!(self.blocks());
        while let Some(block) = blocks.try_next().await? {
            unpacker.push(&block)?;
        }
        Ok(unpacker.finish()?.into())
    }

    fn version(&self) -> Option<&'a str> {
        self.object.version.as_deref()
    }
}

/// Refuses a packed object where none is expected: as text, it would only be one very strange header.
pub(crate) fn expect_plain(first: &[u8]) -> Result<(), ObjectFault> {
    const MAGIC: [(&[u8], &str); 2] = [(b"\x1F\x8B", "gzip"), (b"\x28\xB5\x2F\xFD", "zstd")];
    match MAGIC.iter().find(|(magic, _)| first.starts_with(magic)) {
        Some((_, found)) => Err(ObjectFault::Packed { found, declared: "none" }),
        None => Ok(()),
    }
}

/// A part of bytes that are all there.
pub(crate) fn slice(whole: &Bytes, range: ByteRange) -> Result<Bytes, ObjectError> {
    let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
    match bounds.and_then(|(start, end)| whole.get(start..end)) {
        Some(part) => Ok(whole.slice_ref(part)),
        None => Err(ObjectError::Fault(ObjectFault::Replaced)),
    }
}
