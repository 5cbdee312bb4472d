//! Objects in S3.

mod concatenate;
mod copy;
mod multipart;
mod plan;
mod reader;
mod versions;
mod writer;

use async_trait::async_trait;
use aws_sdk_s3::{Client, error::ProvideErrorMetadata, primitives::DateTime};
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use storage::{
    ByteRange, Location, ObjectInfo, Objects, StorageError,
    objects::{
        ByteStream, Listed, ObjectWriter, PAGE_OBJECTS, Piece, Put, PutOptions, VersionCursor, VersionPage, address,
        check_write,
    },
};

use self::writer::Writer;
use crate::{
    backoff::Backoff,
    error::{classify, code, status, unreadable},
};

const MIB: u64 = 1024 * 1024;

/// How often a conditional write that ran into another one is tried again.
const CONFLICT_TRIES: u32 = 6;

/// How objects are cut into parts, in bytes. The defaults are S3's bounds, and sizes that it serves well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The least size of a part that is not the last.
    pub part_bytes_min: u64,
    /// The greatest size of a part.
    pub part_bytes_max: u64,
    /// The most parts of one object.
    pub parts_max: usize,
    /// An object longer than this is copied in parts of about this size, side by side.
    pub copy_part_bytes: u64,
    /// The size of a writer's first parts; later ones grow, so that `parts_max` suffice.
    pub write_part_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            part_bytes_min: 5 * MIB,
            part_bytes_max: 5 * 1024 * MIB,
            parts_max: 10_000,
            copy_part_bytes: 256 * MIB,
            write_part_bytes: 8 * 1024 * 1024,
        }
    }
}

/// Objects in S3, in buckets that keep versions.
#[derive(Debug, Clone)]
pub struct S3Objects {
    client: Client,
    limits: Limits,
}

impl S3Objects {
    pub(crate) fn new(client: Client, limits: Limits) -> Self {
        Self { client, limits }
    }
}

#[async_trait]
impl Objects for S3Objects {
    async fn head(&self, at: &Location, version: Option<&str>) -> Result<ObjectInfo, StorageError> {
        Ok(head(&self.client, at, version).await?.info)
    }

    async fn read(
        &self,
        at: &Location,
        version: Option<&str>,
        range: Option<ByteRange>,
    ) -> Result<ByteStream, StorageError> {
        if range.is_some_and(ByteRange::is_empty) {
            // There is no header for an empty range, but the object must be there all the same.
            self.head(at, version).await?;
            return Ok(Box::pin(futures::stream::empty()));
        }
        reader::read(&self.client, at, version, range).await
    }

    async fn put(&self, at: &Location, body: Bytes, options: PutOptions) -> Result<Put, StorageError> {
        check_write(at, &options)?;
        let put = || {
            let put = self.client.put_object().bucket(&at.bucket).key(&at.key).body(body.clone().into());
            put.set_content_type(options.content_type.clone())
                .set_metadata(Some(options.metadata.clone().into_iter().collect()))
                .set_if_none_match(options.if_absent.then(|| "*".to_owned()))
                .send()
        };
        let mut backoff = Backoff::tries(CONFLICT_TRIES);
        loop {
            match put().await {
                Ok(written) => {
                    let etag = unquoted(written.e_tag);
                    let info = info_of(body.len() as u64, etag, written.version_id, options.metadata);
                    return Ok(Put::Written(info));
                }
                Err(error) if options.if_absent && status(&error) == Some(412) => return Ok(Put::Exists),
                // Two conditional writes at once: S3 refuses one of them, and says that it may be tried again.
                Err(error) if code(&error) == Some("ConditionalRequestConflict") && backoff.wait().await => {}
                Err(error) => return Err(classify("s3:PutObject", at.to_string(), error)),
            }
        }
    }

    async fn writer(&self, at: &Location, options: PutOptions) -> Result<Box<dyn ObjectWriter>, StorageError> {
        check_write(at, &options)?;
        Ok(Box::new(Writer::new(self.clone(), at.clone(), options)))
    }

    async fn concatenate(&self, pieces: &[Piece], to: &Location, options: PutOptions) -> Result<Put, StorageError> {
        check_write(to, &options)?;
        concatenate::concatenate(self, pieces, to, options).await
    }

    async fn copy(&self, from: &Location, version: Option<&str>, to: &Location) -> Result<ObjectInfo, StorageError> {
        check_write(to, &PutOptions::default())?;
        copy::copy(self, from, version, to).await
    }

    async fn delete(&self, at: &Location, version: Option<&str>) -> Result<(), StorageError> {
        let delete = self.client.delete_object().bucket(&at.bucket).key(&at.key);
        match delete.set_version_id(version.map(str::to_owned)).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("NoSuchVersion") => Ok(()),
            Err(error) => {
                let action = if version.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
                Err(classify(action, address(at, version), error))
            }
        }
    }

    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, StorageError> {
        let what = || Location::new(bucket, prefix).to_string();
        let list = self.client.list_objects_v2().bucket(bucket).prefix(prefix);
        let list = list.max_keys(i32::try_from(PAGE_OBJECTS).unwrap_or(i32::MAX));
        let page = list.set_start_after(after.map(str::to_owned)).send().await;
        let page = page.map_err(|error| classify("s3:ListBucket", what(), error))?;
        let listed = page.contents.into_iter().flatten().map(|object| {
            Some(Listed {
                key: object.key?,
                bytes: u64::try_from(object.size?).ok()?,
                modified: timestamp(object.last_modified?)?,
            })
        });
        listed.collect::<Option<_>>().ok_or_else(|| unreadable(what(), "an object lacks key, size or time"))
    }

    async fn list_versions(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<&VersionCursor>,
    ) -> Result<VersionPage, StorageError> {
        versions::list(&self.client, bucket, prefix, after).await
    }
}

/// What S3 says of an object.
struct Head {
    info: ObjectInfo,
    content_type: Option<String>,
}

async fn head(client: &Client, at: &Location, version: Option<&str>) -> Result<Head, StorageError> {
    let what = || address(at, version);
    let head = client.head_object().bucket(&at.bucket).key(&at.key).set_version_id(version.map(str::to_owned));
    let found = match head.send().await {
        Ok(found) => found,
        // An answer to HEAD has no body that could say what was wrong: an expired token, or a version that is none. One
        // to GET has.
        Err(error) if status(&error) == Some(400) => {
            let asked = reader::open(client, at, version, Some(ByteRange::new(0, 1)), None).await;
            return Err(asked.err().unwrap_or_else(|| classify("s3:GetObject", what(), error)));
        }
        // A version that is a delete marker.
        Err(error) if version.is_some() && status(&error) == Some(405) => {
            return Err(StorageError::NotFound { what: what() });
        }
        Err(error) => return Err(classify("s3:GetObject", what(), error)),
    };
    let bytes = found.content_length.and_then(|bytes| u64::try_from(bytes).ok());
    let modified = found.last_modified.and_then(timestamp);
    let (Some(bytes), Some(modified)) = (bytes, modified) else {
        return Err(unreadable(what(), "it lacks length or time"));
    };
    let info = ObjectInfo {
        bytes,
        etag: unquoted(found.e_tag),
        version: found.version_id,
        modified,
        metadata: found.metadata.unwrap_or_default().into_iter().collect(),
    };
    Ok(Head { info, content_type: found.content_type })
}

/// Reads a whole object that is known to have this many bytes, or a range of one that is known to have this tag.
async fn read_known(
    client: &Client,
    at: &Location,
    range: Option<ByteRange>,
    etag: Option<&str>,
    bytes: u64,
) -> Result<Bytes, StorageError> {
    use futures::TryStreamExt;
    let (mut stream, object_bytes) = reader::open(client, at, None, range, etag).await?;
    if range.is_none() && object_bytes != bytes {
        return Err(StorageError::Changed { what: at.to_string() });
    }
    let mut whole = BytesMut::with_capacity(usize::try_from(bytes).unwrap_or_default());
    while let Some(piece) = stream.try_next().await? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// What is known of an object that was just written.
fn info_of(
    bytes: u64,
    etag: String,
    version: Option<String>,
    metadata: std::collections::BTreeMap<String, String>,
) -> ObjectInfo {
    ObjectInfo { bytes, etag, version, modified: Timestamp::now(), metadata }
}

fn unquoted(etag: Option<String>) -> String {
    etag.map(|etag| etag.trim_matches('"').to_owned()).unwrap_or_default()
}

fn timestamp(time: DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}
