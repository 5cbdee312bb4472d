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
    serde_json::to_vec(document).map(Bytes::from).map_err(|source| malformed(at, source))
}

fn malformed(at: &Location, source: serde_json::Error) -> DocumentError {
    DocumentError::Malformed { what: at.to_string(), source }
}

fn json() -> PutOptions {
    PutOptions { content_type: Some("application/json".to_owned()), ..PutOptions::default() }
}
