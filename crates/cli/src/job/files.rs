//! Local files in the places of the objects that they will be: so a job is planned before anything is uploaded.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use storage::{
    ByteRange, Location, ObjectInfo, Objects, StorageError,
    objects::{ByteStream, Listed, ObjectWriter, Piece, Put, PutOptions, VersionCursor, VersionPage},
};

/// A store, and files that stand in it under keys of their own.
pub(crate) struct WithFiles<O> {
    pub(crate) objects: O,
    pub(crate) files: BTreeMap<Location, PathBuf>,
}

fn lost(path: &Path, error: io::Error) -> StorageError {
    StorageError::Unavailable { what: crate::error::shown(path), source: error.into() }
}

fn part(path: &Path, range: Option<ByteRange>) -> io::Result<Bytes> {
    let mut file = File::open(path)?;
    let range = range.unwrap_or(ByteRange::new(0, u64::MAX));
    file.seek(SeekFrom::Start(range.start))?;
    let mut bytes = Vec::new();
    file.take(range.len()).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

#[async_trait]
impl<O: Objects> Objects for WithFiles<O> {
    async fn head(&self, at: &Location, version: Option<&str>) -> Result<ObjectInfo, StorageError> {
        let Some(path) = self.files.get(at) else { return self.objects.head(at, version).await };
        let bytes = std::fs::metadata(path).map_err(|error| lost(path, error))?.len();
        let (etag, metadata) = (String::new(), BTreeMap::new());
        Ok(ObjectInfo { bytes, etag, version: None, modified: Timestamp::UNIX_EPOCH, metadata })
    }

    async fn read(
        &self,
        at: &Location,
        version: Option<&str>,
        range: Option<ByteRange>,
    ) -> Result<ByteStream, StorageError> {
        let Some(path) = self.files.get(at) else { return self.objects.read(at, version, range).await };
        let bytes = part(path, range).map_err(|error| lost(path, error))?;
        Ok(stream::iter([Ok(bytes)]).boxed())
    }

    async fn put(&self, at: &Location, body: Bytes, options: PutOptions) -> Result<Put, StorageError> {
        self.objects.put(at, body, options).await
    }

    async fn writer(&self, at: &Location, options: PutOptions) -> Result<Box<dyn ObjectWriter>, StorageError> {
        self.objects.writer(at, options).await
    }

    async fn concatenate(&self, pieces: &[Piece], to: &Location, options: PutOptions) -> Result<Put, StorageError> {
        self.objects.concatenate(pieces, to, options).await
    }

    async fn copy(&self, from: &Location, version: Option<&str>, to: &Location) -> Result<ObjectInfo, StorageError> {
        self.objects.copy(from, version, to).await
    }

    async fn delete(&self, at: &Location, version: Option<&str>) -> Result<(), StorageError> {
        self.objects.delete(at, version).await
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, StorageError> {
        self.objects.list(bucket, prefix, after).await
    }

    async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&VersionCursor>,
    ) -> Result<VersionPage, StorageError> {
        self.objects.list_versions(bucket, prefix, after).await
    }
}
