//! Reading an input object: what it is, in parallel blocks, or decompressed.

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use records::{Packing, Unpacker};
use storage::{
    ByteRange, Location, ObjectInfo, Objects, StorageError,
    objects::{self, read_range},
};

use crate::{
    error::{FileError, IntakeError},
    manifest::Compression,
    messages::Input,
};

/// A compressed file is one chunk, held in memory: its bound is a chunk's.
pub(crate) const DECOMPRESSED_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The version of an object that a run reads, and how.
pub(crate) struct InputObject<'a> {
    objects: &'a dyn Objects,
    at: Location,
    version: Option<&'a str>,
}

impl<'a> InputObject<'a> {
    pub(crate) fn new(objects: &'a dyn Objects, input: &'a Input) -> Self {
        Self { objects, at: Location::new(&input.bucket, &input.key), version: input.version.as_deref() }
    }

    /// What is known of it without reading it.
    pub(crate) async fn head(&self) -> Result<ObjectInfo, IntakeError> {
        self.objects.head(&self.at, self.version).await.map_err(|error| self.unreadable(error))
    }

    /// The bytes of a range, whole.
    pub(crate) async fn range(&self, range: ByteRange) -> Result<Bytes, IntakeError> {
        let bytes = read_range(self.objects, &self.at, self.version, range).await;
        bytes.map_err(|error| self.unreadable(error))
    }

    /// All of its `bytes` bytes in order, in blocks that are read in parallel.
    pub(crate) fn blocks(&self, bytes: u64) -> impl Stream<Item = Result<Bytes, IntakeError>> {
        objects::blocks(self.objects, &self.at, self.version, bytes).map_err(|error| self.unreadable(error))
    }

    /// All of it, decompressed into memory.
    pub(crate) async fn decompressed(&self) -> Result<Bytes, IntakeError> {
        let mut unpacker = Unpacker::new(Packing::Gzip, DECOMPRESSED_BYTES_MAX);
        let unreadable = |error| self.unreadable(error);
        let mut stream = self.objects.read(&self.at, self.version, None).await.map_err(unreadable)?;
        while let Some(piece) = stream.try_next().await.map_err(unreadable)? {
            unpacker.push(&piece).map_err(|error| self.wrong(error))?;
        }
        let whole = unpacker.finish().map_err(|error| self.wrong(error))?;
        Ok(whole.into())
    }

    /// What is not there any more was taken away by its sender; anything else is the store's fault.
    fn unreadable(&self, error: StorageError) -> IntakeError {
        match error {
            gone @ (StorageError::NotFound { .. } | StorageError::Changed { .. }) => self.wrong(FileError::Gone(gone)),
            other => other.into(),
        }
    }

    /// The error that says what is wrong with this file.
    pub(crate) fn wrong(&self, source: impl Into<FileError>) -> IntakeError {
        IntakeError::File { file: self.at.key.clone(), source: source.into() }
    }
}

/// Says by its first bytes how a file is compressed, and refuses what people upload by mistake.
pub(crate) fn recognise(first: &[u8]) -> Result<Compression, FileError> {
    const NOT_CSV: [(&[u8], &str); 6] = [
        (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
        (b"\xD0\xCF\x11\xE0", "an old Excel workbook"),
        (b"%PDF-", "a PDF"),
        (b"PAR1", "a Parquet file"),
        (b"\x28\xB5\x2F\xFD", "compressed by Zstandard (only gzip is taken)"),
        (b"BZh", "compressed by bzip2 (only gzip is taken)"),
    ];
    if let Some((_, what)) = NOT_CSV.iter().find(|(magic, _)| first.starts_with(magic)) {
        return Err(FileError::NotCsv { what });
    }
    Ok(if first.starts_with(b"\x1F\x8B") { Compression::Gzip } else { Compression::None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_csv_are_recognised() {
        for (first, what) in [(&b"PK\x03\x04rest"[..], "Excel"), (b"%PDF-1.7", "PDF"), (b"PAR1", "Parquet")] {
            let error = recognise(first).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        assert_eq!(recognise(b"\x1F\x8B\x08").unwrap(), Compression::Gzip);
        assert_eq!(recognise(b"uuid,Country").unwrap(), Compression::None);
        assert_eq!(recognise(b"").unwrap(), Compression::None);
    }
}
