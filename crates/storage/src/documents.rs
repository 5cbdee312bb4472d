//! JSON documents in an object store: what the steps of a pipeline tell each other.
//!
//! Every attempt writes under a path of its own; what counts is what the first document that stands at a fixed key
//! names. Readers follow such documents, never listings, so what an overtaken worker left behind is never seen.

use bytes::Bytes;
use error_class::{Classified, ErrorClass};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Location, Objects, StorageError,
    objects::{Put, PutOptions, read_all},
};

/// The longest document, in bytes: one is read into memory whole.
pub const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why a document could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It is no JSON, or not of this shape.
    #[error("{what} cannot be read")]
    Malformed {
        /// The document's address.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Classified for DocumentError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Storage(error) => error.class(),
            Self::Malformed { .. } => ErrorClass::Bug,
        }
    }
}

/// The document that stands at `at`, if one does.
pub async fn read<T: DeserializeOwned>(objects: &dyn Objects, at: &Location) -> Result<Option<T>, DocumentError> {
    let bytes = match objects.read(at, None, None).await {
        Ok(stream) => read_all(stream, at, DOCUMENT_BYTES_MAX).await?,
        Err(StorageError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| malformed(at, source))
}

/// Commits `document` at `at`, unless another attempt was first. Returns the one that stands.
pub async fn commit<T: Serialize + DeserializeOwned>(
    objects: &dyn Objects,
    at: &Location,
    document: T,
) -> Result<T, DocumentError> {
    let options = PutOptions { if_absent: true, ..json() };
    match objects.put(at, encode(at, &document)?, options).await? {
        Put::Written(_) => Ok(document),
        Put::Exists => read(objects, at).await?.ok_or_else(|| {
            // It cannot both exist and be missing, unless somebody deletes it by hand.
            StorageError::NotFound { what: at.to_string() }.into()
        }),
    }
}

/// Writes a document that another one will name.
pub async fn write<T: Serialize>(objects: &dyn Objects, at: &Location, document: &T) -> Result<(), DocumentError> {
    objects.put(at, encode(at, document)?, json()).await?;
    Ok(())
}

fn encode<T: Serialize>(at: &Location, document: &T) -> Result<Bytes, DocumentError> {
    let bytes = serde_json::to_vec(document).map_err(|source| malformed(at, source))?;
    match bytes.len() as u64 {
        0..=DOCUMENT_BYTES_MAX => Ok(bytes.into()),
        bytes => {
            let reason = format!("it would have {bytes} bytes, and nobody reads more than {DOCUMENT_BYTES_MAX}");
            Err(StorageError::Invalid { what: at.to_string(), reason }.into())
        }
    }
}

fn malformed(at: &Location, source: serde_json::Error) -> DocumentError {
    DocumentError::Malformed { what: at.to_string(), source }
}

fn json() -> PutOptions {
    PutOptions { content_type: Some("application/json".to_owned()), ..PutOptions::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryObjects;

    #[tokio::test]
    async fn what_nobody_would_read_is_not_written() {
        let (objects, at) = (MemoryObjects::default(), Location::new("bucket", "key"));
        let fits = "x".repeat(DOCUMENT_BYTES_MAX as usize - 2);
        write(&objects, &at, &fits).await.unwrap();
        assert_eq!(read::<String>(&objects, &at).await.unwrap().map(|text| text.len()), Some(fits.len()));
        let other = Location::new("bucket", "other");
        let error = commit(&objects, &other, format!("{fits}x")).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Bug);
        assert_eq!(read::<String>(&objects, &other).await.unwrap(), None);
    }
}
