//! Copies inside S3.

use futures::{StreamExt, TryStreamExt, stream};
use storage::{Location, ObjectInfo, StorageError, objects::PutOptions};

use super::{
    Head, S3Objects, head, info_of,
    multipart::{Upload, copy_failed, copy_source},
    plan::cut,
    unquoted,
};
use crate::error::unreadable;

/// How many parts are copied at once.
const PARALLEL: usize = 8;

pub(super) async fn copy(
    objects: &S3Objects,
    from: &Location,
    version: Option<&str>,
    to: &Location,
) -> Result<ObjectInfo, StorageError> {
    let found = head(&objects.client, from, version).await?;
    if found.info.bytes <= objects.limits.copy_part_bytes {
        copy_whole(objects, from, version, to, found.info).await
    } else {
        copy_in_parts(objects, from, version, to, found).await
    }
}

async fn copy_whole(
    objects: &S3Objects,
    from: &Location,
    version: Option<&str>,
    to: &Location,
    found: ObjectInfo,
) -> Result<ObjectInfo, StorageError> {
    let copy = objects
        .client
        .copy_object()
        .copy_source(copy_source(from, version))
        .copy_source_if_match(format!("\"{}\"", found.etag))
        .bucket(&to.bucket)
        .key(&to.key);
    let copied = copy.send().await.map_err(|error| copy_failed(from, version, to, error))?;
    let etag = copied.copy_object_result.and_then(|result| result.e_tag);
    Ok(info_of(found.bytes, unquoted(etag), copied.version_id, found.metadata))
}

async fn copy_in_parts(
    objects: &S3Objects,
    from: &Location,
    version: Option<&str>,
    to: &Location,
    Head { info, content_type }: Head,
) -> Result<ObjectInfo, StorageError> {
    let options = PutOptions { content_type, if_absent: false, metadata: info.metadata };
    let ranges = cut(info.bytes, &objects.limits);
    let upload = Upload::start(&objects.client, to, options).await?;
    let copies = (1..).zip(ranges).map(|(number, range)| upload.copy_part(number, from, version, range, &info.etag));
    let parts = stream::iter(copies).buffer_unordered(PARALLEL).try_collect().await;
    match parts {
        Ok(parts) => {
            let whole = upload.complete(parts, info.bytes).await?;
            whole.written().ok_or_else(|| unreadable(to.to_string(), "it was refused without a condition"))
        }
        Err(error) => {
            upload.abort().await;
            Err(error)
        }
    }
}
