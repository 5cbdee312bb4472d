//! Listing versions.

use aws_sdk_s3::{
    Client,
    types::{EncodingType, ObjectVersion},
};
use percent_encoding::percent_decode_str;
use storage::{
    Location, StorageError,
    objects::{ListedVersion, PAGE_OBJECTS, VersionCursor, VersionPage},
};

use super::timestamp;
use crate::error::{classify, unreadable};

/// What S3 calls the version of an object that was written while its bucket kept none.
const NO_VERSION: &str = "null";

/// A page of `ListObjectVersions`.
///
/// Keys are asked for URL-encoded: S3 takes keys with control characters, which XML cannot carry, and one of them would
/// make the whole listing unreadable. A service that ignores the wish does not say that it has encoded.
pub(super) async fn list(
    client: &Client,
    bucket: &str,
    prefix: &str,
    after: Option<&VersionCursor>,
) -> Result<VersionPage, StorageError> {
    let what = || Location::new(bucket, prefix).to_string();
    let list = client.list_object_versions().bucket(bucket).prefix(prefix).encoding_type(EncodingType::Url);
    let list = list.max_keys(i32::try_from(PAGE_OBJECTS).unwrap_or(i32::MAX));
    let list = list.set_key_marker(after.map(|after| after.key.clone()));
    let list = list.set_version_id_marker(after.and_then(|after| after.version.clone()));
    let page = list.send().await.map_err(|error| classify("s3:ListBucketVersions", what(), error))?;

    let encoded = page.encoding_type == Some(EncodingType::Url);
    let versions = page.versions.into_iter().flatten().map(|version| listed(version, encoded));
    let versions = versions.collect::<Option<_>>();
    let versions = versions.ok_or_else(|| unreadable(what(), "a version lacks key, size or time"))?;
    let next = match (page.is_truncated, page.next_key_marker, page.next_version_id_marker) {
        (Some(true), Some(key), version @ Some(_)) => decoded(key, encoded).map(|key| VersionCursor { key, version }),
        (Some(true), ..) => None,
        _ => return Ok(VersionPage { versions, next: None }),
    };
    let next = next.ok_or_else(|| unreadable(what(), "it does not say where the next page begins"))?;
    Ok(VersionPage { versions, next: Some(next) })
}

fn listed(version: ObjectVersion, encoded: bool) -> Option<ListedVersion> {
    Some(ListedVersion {
        key: decoded(version.key?, encoded)?,
        version: version.version_id.filter(|version| version != NO_VERSION),
        bytes: u64::try_from(version.size?).ok()?,
        modified: timestamp(version.last_modified?)?,
    })
}

/// S3 encodes as forms do: a space is a plus.
fn decoded(key: String, encoded: bool) -> Option<String> {
    if !encoded {
        return Some(key);
    }
    Some(percent_decode_str(&key.replace('+', " ")).decode_utf8().ok()?.into_owned())
}
