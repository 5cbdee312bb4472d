//! Reading the objects of a batch, exactly as they were pinned.

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, future::ready, stream};
use money::{AmountError, Overflow};
use records::{HeaderError, Packing, UnpackError, Unpacker};
use storage::{
    ByteRange, Location, Objects, StorageError,
    objects::{self, read_range},
};

use crate::{
    Corrupt, EventCompression, LedgerError, ReduceError,
    manifest::{ContentHash, PinnedBatch, PinnedObject},
    scan::ScanError,
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
    #[error("its SHA-256 is {found}, and the manifest says {said}: another file stands in its place, or a part of it")]
    Content { found: String, said: String },
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error(transparent)]
    Scan(#[from] ScanError),
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

impl From<LedgerError> for ObjectError {
    fn from(error: LedgerError) -> Self {
        Self::Other(error)
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

    /// What a reducer came to. The splitter has told these records apart before, and the object is still the same:
    /// where they cannot be told apart now, the two disagree, and the sender is not to blame.
    pub(crate) fn reducing(error: ReduceError, boundary: impl FnOnce() -> String) -> Self {
        Self::Fault(match error {
            ReduceError::Structure { .. } | ReduceError::Header { .. } => {
                let (boundary, difference) = (boundary(), error_class::chain(&error));
                return Self::Other(LedgerError::ControlTotalMismatch { boundary, difference });
            }
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
    pub(crate) at: Location,
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
        Self { objects, at: Location::new(&batch.bucket, &object.key), object, packing: compression.packing() }
    }

    /// Whether it stands as it was pinned. Where the bucket keeps versions, that holds for ever; else it is to be asked
    /// again behind what was read.
    pub(crate) async fn check(&self) -> Result<(), ObjectError> {
        let info = self.objects.head(&self.at, self.version()).await.map_err(ObjectError::reading)?;
        let same = info.etag == self.object.etag && info.bytes == self.object.bytes;
        if same { Ok(()) } else { Err(ObjectError::Fault(ObjectFault::Replaced)) }
    }

    /// Asks again, where it may have been replaced since, or while it was read: where it has no version, reads take what
    /// stands there.
    pub(crate) async fn check_again(&self) -> Result<(), ObjectError> {
        if self.object.version.is_some() { Ok(()) } else { self.check().await }
    }

    /// All of its bytes as they stand, in blocks that are read in parallel. Behind the last one it is known whether they
    /// are what the manifest says.
    pub(crate) fn blocks(&self) -> impl Stream<Item = Result<Bytes, ObjectError>> {
        let blocks = objects::blocks(self.objects, &self.at, self.version(), self.object.bytes);
        let blocks = blocks.map_err(ObjectError::reading).map_ok(Some);
        let mut said = self.object.sha256.as_ref().map(|said| (said, ContentHash::default()));
        blocks.chain(stream::iter([Ok(None)])).try_filter_map(move |block| {
            if let (Some(block), Some((_, hash))) = (&block, &mut said) {
                hash.update(block);
            }
            let end = said.take_if(|_| block.is_none()).map(|(said, hash)| (hash.finish(), said));
            ready(match end {
                Some((found, said)) if found != *said => Err(ObjectFault::Content { found, said: said.clone() }.into()),
                _ => Ok(block),
            })
        })
    }

    /// The bytes of a range of the unpacked object, which stood as it was pinned before and behind the read.
    pub(crate) async fn range(&self, range: ByteRange) -> Result<Bytes, ObjectError> {
        self.check_again().await?;
        let bytes = match self.packing {
            None if range.end > self.object.bytes => Err(outside(&self.at, range)),
            None => self.read(range).await,
            Some(packing) => match self.unpacked(packing).await {
                Ok(whole) => slice(&whole, range).ok_or_else(|| outside(&self.at, range)),
                Err(error) => Err(error),
            },
        };
        // An object that was replaced is the first thing to tell of, whatever came of reading it.
        self.check_again().await?;
        bytes
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

/// A part of bytes that are all there.
pub(crate) fn slice(whole: &Bytes, range: ByteRange) -> Option<Bytes> {
    let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
    whole.get(start..end).map(|part| whole.slice_ref(part))
}

/// A range that is not of the object, though it was cut from it.
pub(crate) fn outside(at: &Location, range: ByteRange) -> ObjectError {
    let file = format!("{at}, bytes {} to {}", range.start, range.end);
    let source = Corrupt::new("object", "the range that was cut from it is not in it");
    ObjectError::Other(LedgerError::File { file, source })
}

#[cfg(test)]
mod tests {
    use error_class::{Classified, ErrorClass};
    use records::StructureError;

    use super::*;
    use crate::BatchSequence;

    /// What the splitter has accepted is not refused behind it.
    #[test]
    fn records_that_cannot_be_told_apart_any_more_are_our_own_fault() {
        let source = StructureError::UnterminatedQuote { row: 3, offset: 40 };
        let error = ReduceError::Structure { batch: BatchSequence::new(1), object: 0, source };
        let ObjectError::Other(error) = ObjectError::reducing(error, || "range 1 of job 2".to_owned()) else {
            panic!("the sender was blamed")
        };
        assert_eq!(error.class(), ErrorClass::ControlTotalMismatch);
        let whole = Bytes::from_static(b"0123456789");
        assert_eq!(slice(&whole, ByteRange::new(8, 10)).unwrap(), "89");
        assert_eq!(slice(&whole, ByteRange::new(8, 11)), None);
        let at = Location::new("bucket", "key");
        let ObjectError::Other(error) = outside(&at, ByteRange::new(8, 11)) else { panic!("the sender was blamed") };
        assert_eq!(error.class(), ErrorClass::Bug);
    }
}
