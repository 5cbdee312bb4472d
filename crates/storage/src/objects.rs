//! Objects: bytes under a key, in a bucket that keeps versions.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::StorageError;

/// How many objects one page of a listing holds at most.
pub const PAGE_OBJECTS: usize = 1000;

/// Where an object is: bucket and key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// The bucket's name.
    pub bucket: String,
    /// The key, decoded (native S3 notifications carry it URL-encoded; EventBridge does not).
    pub key: String,
}

impl Location {
    /// The object `key` in `bucket`.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into() }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// A half-open range of bytes, `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl ByteRange {
    /// The bytes from `start` up to, and without, `end`.
    pub const fn new(start: u64, end: u64) -> Self {
        Self { start, end }
    }

    /// How many bytes it spans.
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether it spans none.
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

/// What a store says of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Length in bytes.
    pub bytes: u64,
    /// The store's tag of this content, without quotes.
    pub etag: String,
    /// The version, where the bucket keeps versions.
    pub version: Option<String>,
    /// When it was written.
    pub modified: Timestamp,
    /// The sender's own key-value pairs (`x-amz-meta-…`).
    pub metadata: BTreeMap<String, String>,
}

/// How an object is to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// Its media type.
    pub content_type: Option<String>,
    /// Write only if nothing stands there: the commit of ground rule 6.
    pub if_absent: bool,
    /// Key-value pairs to keep with it; see [`check_write`].
    pub metadata: BTreeMap<String, String>,
}

/// What became of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It was written.
    Written(ObjectInfo),
    /// `if_absent` was asked and something stands there already: another's object, or this very one, if the answer to
    /// a first try was lost and the adapter tried again. Who must know reads it.
    Exists,
}

impl Put {
    /// What was written, if anything was.
    pub fn written(self) -> Option<ObjectInfo> {
        match self {
            Self::Written(info) => Some(info),
            Self::Exists => None,
        }
    }
}

/// A piece of a concatenation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes that the caller holds: a header line.
    Bytes(Bytes),
    /// A whole object of the same store. `bytes` is its length.
    Object {
        /// Where it is.
        location: Location,
        /// Its length in bytes; a different length is [`StorageError::Changed`].
        bytes: u64,
    },
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was written.
    pub modified: Timestamp,
}

/// A version in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedVersion {
    /// Its key.
    pub key: String,
    /// The version; `None` where the bucket kept none when it was written.
    pub version: Option<String>,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was written.
    pub modified: Timestamp,
}

/// Up to [`PAGE_OBJECTS`] versions. A page may be empty and not the last: S3 counts the delete markers left out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// The versions.
    pub versions: Vec<ListedVersion>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<VersionCursor>,
}

/// The last version, or delete marker, that a page has told of or passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionCursor {
    /// Its key.
    pub key: String,
    /// The version, as the store writes it; `None` passes over all versions of the key, and the key need not exist.
    pub version: Option<String>,
}

/// The bytes of an object, in order, as they arrive.
pub type ByteStream = BoxStream<'static, Result<Bytes, StorageError>>;

/// An object store with versions, conditional writes and server-side concatenation.
#[async_trait]
pub trait Objects: Send + Sync {
    /// What is known of the object, or of the given version of it. [`StorageError::NotFound`] where there is none.
    async fn head(&self, at: &Location, version: Option<&str>) -> Result<ObjectInfo, StorageError>;

    /// Reads the object, or the given version and range of it, as a stream. A range that reaches past the end is cut
    /// there; one that begins at or past the end is empty. A stream that breaks off ends in an error, never early.
    async fn read(
        &self,
        at: &Location,
        version: Option<&str>,
        range: Option<ByteRange>,
    ) -> Result<ByteStream, StorageError>;

    /// Writes a whole object that fits in memory. [`StorageError::Invalid`], as for every write, where [`check_write`]
    /// says so.
    async fn put(&self, at: &Location, body: Bytes, options: PutOptions) -> Result<Put, StorageError>;

    /// Writes an object piece by piece; it is absent until [`ObjectWriter::finish`].
    async fn writer(&self, at: &Location, options: PutOptions) -> Result<Box<dyn ObjectWriter>, StorageError>;

    /// Joins `pieces`, in order, into one object, without moving their bytes through the caller where the store
    /// can (S3: `UploadPartCopy`; pieces under its minimum part size are coalesced, objects over its maximum are cut).
    /// A piece that is missing is [`StorageError::NotFound`]; on any error nothing is written.
    async fn concatenate(&self, pieces: &[Piece], to: &Location, options: PutOptions) -> Result<Put, StorageError>;

    /// Copies an object, or the given version of it, of any size, inside the store, with its media type and metadata.
    async fn copy(&self, from: &Location, version: Option<&str>, to: &Location) -> Result<ObjectInfo, StorageError>;

    /// Deletes the given version for good; without one, hides the object behind a delete marker where the bucket
    /// keeps versions. Deleting what is not there is no error.
    async fn delete(&self, at: &Location, version: Option<&str>) -> Result<(), StorageError>;

    /// Up to [`PAGE_OBJECTS`] objects under `prefix`, in key order, after the key `after`.
    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, StorageError>;

    /// A page of all versions of all objects under `prefix`, after the cursor `after`: overwritten ones and those behind
    /// a delete marker too, but not the markers. They come in key order, the versions of one key newest first. What is
    /// written or deleted between two pages may be told of or not.
    async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&VersionCursor>,
    ) -> Result<VersionPage, StorageError>;
}

/// An object that is being written.
#[async_trait]
pub trait ObjectWriter: Send {
    /// Adds bytes at the end.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError>;

    /// Makes the object visible, whole.
    async fn finish(self: Box<Self>) -> Result<Put, StorageError>;

    /// Gives it up: nothing remains. An AWS writer that is dropped without this leaves parts for the bucket's
    /// lifecycle rule to remove.
    async fn abort(self: Box<Self>) -> Result<(), StorageError>;
}

/// The full address of an object, or of one version of it, as errors and logs name it.
pub fn address(at: &Location, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("{at}?versionId={version}"),
        None => at.to_string(),
    }
}

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// The most bytes of metadata, names and values together.
pub const METADATA_BYTES_MAX: usize = 2048;

/// Refuses a key that is empty or too long, and metadata that would not come back as it was sent: it travels in HTTP
/// headers, so names are lower-case letters, digits and `-`, and values printable ASCII without spaces around them.
pub fn check_write(at: &Location, options: &PutOptions) -> Result<(), StorageError> {
    let invalid = |reason: String| Err(StorageError::Invalid { what: at.to_string(), reason });
    if at.key.is_empty() || at.key.len() > KEY_BYTES_MAX {
        return invalid(format!("its key has {} bytes, not 1 to {KEY_BYTES_MAX}", at.key.len()));
    }
    for (name, value) in &options.metadata {
        let is_name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if name.is_empty() || !name.bytes().all(is_name) {
            return invalid(format!("metadata {name:?} is not named in lower-case letters, digits and hyphens"));
        }
        if value.trim() != value || !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return invalid(format!("metadata {name} is {value:?}, which is not plain printable ASCII"));
        }
    }
    let bytes: usize = options.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > METADATA_BYTES_MAX {
        return invalid(format!("its metadata has {bytes} bytes, more than {METADATA_BYTES_MAX}"));
    }
    Ok(())
}

/// Reads a stream to its end into one buffer, refusing more than `bytes_max`.
pub async fn read_all(mut stream: ByteStream, what: &Location, bytes_max: u64) -> Result<Bytes, StorageError> {
    use futures::TryStreamExt;
    let mut whole = bytes::BytesMut::new();
    while let Some(piece) = stream.try_next().await? {
        if (whole.len() + piece.len()) as u64 > bytes_max {
            return Err(StorageError::Invalid {
                what: what.to_string(),
                reason: format!("is longer than the {bytes_max} bytes that are read into memory"),
            });
        }
        match whole.is_empty() {
            // What arrives in one piece is not copied.
            true => whole = piece.into(),
            false => whole.extend_from_slice(&piece),
        }
    }
    Ok(whole.freeze())
}

/// The bytes of a range, whole; an object that does not reach so far is [`StorageError::Changed`].
pub async fn read_range(
    objects: &dyn Objects,
    at: &Location,
    version: Option<&str>,
    range: ByteRange,
) -> Result<Bytes, StorageError> {
    let bytes = read_all(objects.read(at, version, Some(range)).await?, at, range.len()).await?;
    match bytes.len() as u64 == range.len() {
        true => Ok(bytes),
        false => Err(StorageError::Changed { what: at.to_string() }),
    }
}

/// One range read of [`blocks`]. One stream from S3 gives 50 to 90 MB/s; eight at once pass 100 GB in a function's 15
/// minutes.
const BLOCK_BYTES: u64 = 8 * 1024 * 1024;
const READS_AT_ONCE: usize = 8;

/// All of an object's `bytes` bytes in order, in blocks that are read in parallel.
pub fn blocks<'a>(
    objects: &'a dyn Objects,
    at: &'a Location,
    version: Option<&'a str>,
    bytes: u64,
) -> impl Stream<Item = Result<Bytes, StorageError>> + 'a {
    stream::iter((0..bytes).step_by(BLOCK_BYTES as usize))
        .map(move |start| read_range(objects, at, version, ByteRange::new(start, bytes.min(start + BLOCK_BYTES))))
        .buffered(READS_AT_ONCE)
}
