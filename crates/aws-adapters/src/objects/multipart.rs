//! Objects in parts.

use std::{collections::BTreeMap, error::Error};

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use storage::{
    ByteRange, Location, StorageError,
    objects::{Put, PutOptions, address},
};
use tracing::warn;

use super::{CONFLICT_TRIES, info_of, unquoted};
use crate::{
    backoff::Backoff,
    error::{classify, code, status, unreadable},
};

/// An upload that has been begun: nothing is visible of it until it is completed.
#[derive(Debug)]
pub(super) struct Upload {
    client: Client,
    at: Location,
    id: String,
    if_absent: bool,
    metadata: BTreeMap<String, String>,
}

impl Upload {
    pub(super) async fn start(client: &Client, at: &Location, options: PutOptions) -> Result<Self, StorageError> {
        let create = client
            .create_multipart_upload()
            .bucket(&at.bucket)
            .key(&at.key)
            .set_content_type(options.content_type)
            .set_metadata(Some(options.metadata.clone().into_iter().collect()))
            // What the SDK sends with each part: S3 wants to know beforehand.
            .checksum_algorithm(ChecksumAlgorithm::Crc32);
        let created = create.send().await.map_err(|error| classify("s3:PutObject", at.to_string(), error))?;
        let id = created.upload_id.ok_or_else(|| unreadable(at.to_string(), "the upload has no id"))?;
        let PutOptions { if_absent, metadata, .. } = options;
        Ok(Self { client: client.clone(), at: at.clone(), id, if_absent, metadata })
    }

    /// Sends a part. Numbers begin at 1.
    pub(super) async fn put_part(&self, number: i32, body: Bytes) -> Result<CompletedPart, StorageError> {
        let part = self.client.upload_part().bucket(&self.at.bucket).key(&self.at.key).upload_id(&self.id);
        let sent = part.part_number(number).body(body.into()).send().await;
        let sent = sent.map_err(|error| classify("s3:PutObject", self.at.to_string(), error))?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag);
        Ok(part.set_checksum_crc32(sent.checksum_crc32).build())
    }

    /// Has S3 copy a range of an object, if its tag is still `etag`, as a part.
    pub(super) async fn copy_part(
        &self,
        number: i32,
        from: &Location,
        version: Option<&str>,
        range: ByteRange,
        etag: &str,
    ) -> Result<CompletedPart, StorageError> {
        let part = self.client.upload_part_copy().bucket(&self.at.bucket).key(&self.at.key).upload_id(&self.id);
        let copied = part
            .part_number(number)
            .copy_source(copy_source(from, version))
            .copy_source_range(format!("bytes={}-{}", range.start, range.end.saturating_sub(1)))
            .copy_source_if_match(format!("\"{etag}\""))
            .send()
            .await
            .map_err(|error| copy_failed(from, version, &self.at, error))?;
        let result = copied.copy_part_result.ok_or_else(|| unreadable(from.to_string(), "the part has no result"))?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(result.e_tag);
        Ok(part.set_checksum_crc32(result.checksum_crc32).build())
    }

    /// Makes the object visible: these parts, of this many bytes in all, in the order of their numbers. What cannot be
    /// completed is aborted.
    pub(super) async fn complete(self, mut parts: Vec<CompletedPart>, bytes: u64) -> Result<Put, StorageError> {
        parts.sort_by_key(CompletedPart::part_number);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self
            .client
            .complete_multipart_upload()
            .bucket(&self.at.bucket)
            .key(&self.at.key)
            .upload_id(&self.id)
            .multipart_upload(parts)
            .set_if_none_match(self.if_absent.then(|| "*".to_owned()));
        let mut backoff = Backoff::tries(CONFLICT_TRIES);
        loop {
            match complete.clone().send().await {
                Ok(whole) => {
                    let etag = unquoted(whole.e_tag);
                    return Ok(Put::Written(info_of(bytes, etag, whole.version_id, self.metadata)));
                }
                Err(error) if self.if_absent && status(&error) == Some(412) => {
                    self.abort().await;
                    return Ok(Put::Exists);
                }
                // Another conditional write is under way.
                Err(error) if code(&error) == Some("ConditionalRequestConflict") && backoff.wait().await => {}
                // Completed already, by a try whose answer was lost, or aborted by the bucket's lifecycle: the caller
                // begins anew.
                Err(error) if code(&error) == Some("NoSuchUpload") => {
                    return Err(StorageError::Unavailable { what: self.at.to_string(), source: error.into() });
                }
                Err(error) => {
                    let error = classify("s3:PutObject", self.at.to_string(), error);
                    self.abort().await;
                    return Err(error);
                }
            }
        }
    }

    /// Gives up what was sent. If that fails, the bucket's lifecycle rule does it some day.
    pub(super) async fn abort(&self) {
        let abort = self.client.abort_multipart_upload().bucket(&self.at.bucket).key(&self.at.key);
        if let Err(error) = abort.upload_id(&self.id).send().await {
            let reason = error_class::chain(&classify("s3:AbortMultipartUpload", self.at.to_string(), error));
            warn!(object = %self.at, reason, "upload not aborted");
        }
    }
}

/// What a failed copy means. It is about the source, which may be gone or changed; but S3, when it refuses a copy, does
/// not say whether it is reading the source or writing what it makes that is not allowed.
pub(super) fn copy_failed<E>(from: &Location, version: Option<&str>, to: &Location, error: SdkError<E>) -> StorageError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let read = if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
    match classify(read, address(from, version), error) {
        StorageError::Denied { action, what } => {
            StorageError::Denied { action: format!("{action} {what}, or to s3:PutObject"), what: to.to_string() }
        }
        other => other,
    }
}

/// `bucket/key?versionId=…`, percent-encoded as S3 wants it.
pub(super) fn copy_source(from: &Location, version: Option<&str>) -> String {
    let mut source = String::new();
    for byte in from.bucket.bytes().chain(*b"/").chain(from.key.bytes()) {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => source.push(byte.into()),
            byte => source.push_str(&format!("%{byte:02X}")),
        }
    }
    match version {
        Some(version) => format!("{source}?versionId={version}"),
        None => source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_percent_encoded() {
        let from = Location::new("bucket", "a b/ü+%?&=#");
        assert_eq!(copy_source(&from, None), "bucket/a%20b/%C3%BC%2B%25%3F%26%3D%23");
        assert_eq!(copy_source(&Location::new("b", "k"), Some("v.1_-")), "b/k?versionId=v.1_-");
    }
}
