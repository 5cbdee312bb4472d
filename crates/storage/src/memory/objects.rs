use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    ops::Bound,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};

use super::lock;
use crate::{
    ByteRange, Clock, Location, ObjectInfo, Objects, StorageError,
    clock::System,
    objects::{
        ByteStream, Listed, ListedVersion, ObjectWriter, PAGE_OBJECTS, Piece, Put, PutOptions, VersionCursor,
        VersionPage, check_write,
    },
};

/// Objects in memory, in buckets that keep versions.
#[derive(Clone)]
pub struct MemoryObjects {
    clock: Arc<dyn Clock>,
    piece_bytes: usize,
    store: Arc<Mutex<Store>>,
}

impl MemoryObjects {
    /// An empty store, which stamps what is written with the time of `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, piece_bytes: 64 * 1024, store: Arc::default() }
    }

    /// The same store, whose streams arrive in pieces of at most this many bytes: a network cuts anywhere.
    #[must_use]
    pub fn with_piece_bytes(self, piece_bytes: usize) -> Self {
        Self { piece_bytes: piece_bytes.max(1), ..self }
    }

    fn commit(&self, at: &Location, body: Bytes, options: PutOptions) -> Result<Put, StorageError> {
        check_write(at, &options)?;
        let mut store = lock(&self.store);
        if options.if_absent && store.current(at).is_some() {
            return Ok(Put::Exists);
        }
        let info = ObjectInfo {
            bytes: body.len() as u64,
            etag: tag(&body),
            version: Some(store.next_version()),
            modified: self.clock.now(),
            metadata: options.metadata,
        };
        store.versions.entry(at.clone()).or_default().push(Version::Object(Object { info: info.clone(), body }));
        Ok(Put::Written(info))
    }
}

impl Default for MemoryObjects {
    fn default() -> Self {
        Self::new(Arc::new(System))
    }
}

impl fmt::Debug for MemoryObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryObjects").field("keys", &lock(&self.store).versions.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Objects for MemoryObjects {
    async fn head(&self, at: &Location, version: Option<&str>) -> Result<ObjectInfo, StorageError> {
        Ok(lock(&self.store).find(at, version)?.info.clone())
    }

    async fn read(
        &self,
        at: &Location,
        version: Option<&str>,
        range: Option<ByteRange>,
    ) -> Result<ByteStream, StorageError> {
        let body = lock(&self.store).find(at, version)?.body.clone();
        let body = match range {
            Some(range) => cut(&body, range),
            None => body,
        };
        let piece_bytes = self.piece_bytes;
        let pieces = stream::unfold(body, move |mut rest| async move {
            let piece = rest.split_to(piece_bytes.min(rest.len()));
            (!piece.is_empty()).then_some((Ok(piece), rest))
        });
        Ok(pieces.boxed())
    }

    async fn put(&self, at: &Location, body: Bytes, options: PutOptions) -> Result<Put, StorageError> {
        self.commit(at, body, options)
    }

    async fn writer(&self, at: &Location, options: PutOptions) -> Result<Box<dyn ObjectWriter>, StorageError> {
        check_write(at, &options)?;
        Ok(Box::new(Writer { objects: self.clone(), at: at.clone(), options, body: BytesMut::new() }))
    }

    async fn concatenate(&self, pieces: &[Piece], to: &Location, options: PutOptions) -> Result<Put, StorageError> {
        let mut whole = BytesMut::new();
        for piece in pieces {
            match piece {
                Piece::Bytes(bytes) => whole.extend_from_slice(bytes),
                Piece::Object { location, bytes } => {
                    let store = lock(&self.store);
                    let object = store.find(location, None)?;
                    if object.info.bytes != *bytes {
                        return Err(StorageError::Changed { what: location.to_string() });
                    }
                    whole.extend_from_slice(&object.body);
                }
            }
        }
        self.commit(to, whole.freeze(), options)
    }

    async fn copy(&self, from: &Location, version: Option<&str>, to: &Location) -> Result<ObjectInfo, StorageError> {
        let Object { info, body } = lock(&self.store).find(from, version)?.clone();
        let options = PutOptions { metadata: info.metadata.clone(), ..PutOptions::default() };
        Ok(self.commit(to, body, options)?.written().unwrap_or(info))
    }

    async fn delete(&self, at: &Location, version: Option<&str>) -> Result<(), StorageError> {
        let mut store = lock(&self.store);
        match version {
            Some(version) => store.forget(at, version),
            None => {
                let marker = Version::DeleteMarker(store.next_version());
                store.versions.entry(at.clone()).or_default().push(marker);
            }
        }
        Ok(())
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, StorageError> {
        let first = match after {
            Some(after) if after >= prefix => Bound::Excluded(Location::new(bucket, after)),
            _ => Bound::Included(Location::new(bucket, prefix)),
        };
        let store = lock(&self.store);
        let listed = |(at, versions): (&Location, &Vec<Version>)| match versions.last() {
            Some(Version::Object(Object { info, .. })) => {
                Some(Listed { key: at.key.clone(), bytes: info.bytes, modified: info.modified })
            }
            Some(Version::DeleteMarker(_)) | None => None,
        };
        let page = store
            .versions
            .range((first, Bound::Unbounded))
            .take_while(|(at, _)| at.bucket == bucket && at.key.starts_with(prefix))
            .filter_map(listed)
            .take(PAGE_OBJECTS);
        Ok(page.collect())
    }

    async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&VersionCursor>,
    ) -> Result<VersionPage, StorageError> {
        let first = after.map_or(prefix, |after| prefix.max(&after.key));
        let is_after = |key: &str, version: &Version| {
            after.is_none_or(|after| {
                key != after.key || after.version.as_deref().is_some_and(|after| version.id() < Some(after))
            })
        };
        let store = lock(&self.store);
        let mut versions = store
            .versions
            .range(Location::new(bucket, first)..)
            .take_while(|(at, _)| at.bucket == bucket && at.key.starts_with(prefix))
            .flat_map(|(at, versions)| versions.iter().rev().map(move |version| (&at.key, version)))
            .filter(|(key, version)| is_after(key, version))
            .filter_map(|(key, version)| Some(version.object()?.listed(key)))
            .peekable();
        let page: Vec<_> = versions.by_ref().take(PAGE_OBJECTS).collect();
        let last = versions.peek().and(page.last());
        let next = last.map(|last| VersionCursor { key: last.key.clone(), version: last.version.clone() });
        Ok(VersionPage { versions: page, next })
    }
}

/// Every version of every object, oldest first.
#[derive(Default)]
struct Store {
    versions: BTreeMap<Location, Vec<Version>>,
    written: u64,
}

impl Store {
    /// Later versions have greater names, so that a listing finds its place when the version it stood at is deleted.
    fn next_version(&mut self) -> String {
        self.written += 1;
        format!("version-{:012}", self.written)
    }

    fn current(&self, at: &Location) -> Option<&Object> {
        self.versions.get(at)?.last()?.object()
    }

    fn find(&self, at: &Location, version: Option<&str>) -> Result<&Object, StorageError> {
        let found = match version {
            None => self.current(at),
            Some(version) => {
                let versions = self.versions.get(at).into_iter().flatten();
                versions.filter_map(Version::object).find(|object| object.info.version.as_deref() == Some(version))
            }
        };
        found.ok_or_else(|| StorageError::NotFound { what: crate::objects::address(at, version) })
    }

    fn forget(&mut self, at: &Location, version: &str) {
        if let Some(versions) = self.versions.get_mut(at) {
            versions.retain(|kept| kept.id() != Some(version));
            if versions.is_empty() {
                self.versions.remove(at);
            }
        }
    }
}

enum Version {
    Object(Object),
    DeleteMarker(String),
}

impl Version {
    fn id(&self) -> Option<&str> {
        match self {
            Self::Object(object) => object.info.version.as_deref(),
            Self::DeleteMarker(id) => Some(id),
        }
    }

    fn object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            Self::DeleteMarker(_) => None,
        }
    }
}

#[derive(Clone)]
struct Object {
    info: ObjectInfo,
    body: Bytes,
}

impl Object {
    fn listed(&self, key: &str) -> ListedVersion {
        let ObjectInfo { bytes, version, modified, .. } = &self.info;
        ListedVersion { key: key.to_owned(), version: version.clone(), bytes: *bytes, modified: *modified }
    }
}

/// An object that is visible to nobody until it is finished.
struct Writer {
    objects: MemoryObjects,
    at: Location,
    options: PutOptions,
    body: BytesMut,
}

#[async_trait]
impl ObjectWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.body.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<Put, StorageError> {
        self.objects.commit(&self.at, self.body.freeze(), self.options)
    }

    async fn abort(self: Box<Self>) -> Result<(), StorageError> {
        Ok(())
    }
}

fn tag(body: &Bytes) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn cut(body: &Bytes, range: ByteRange) -> Bytes {
    let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(body.len());
    let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
    body.slice(start..end)
}
