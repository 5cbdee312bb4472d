//! Streams that outlive their connections.

use aws_sdk_s3::{Client, operation::get_object::GetObjectOutput, primitives};
use bytes::Bytes;
use futures::stream;
use storage::{
    ByteRange, Location, Source, StorageError,
    objects::{ByteStream, address},
};

use super::unquoted;
use crate::{
    backoff::Backoff,
    error::{classify, code, status, unreadable},
};

/// How often a stream is taken up again that brings nothing.
const IDLE_TRIES: u32 = 5;

/// Reads an object, or a range of it that is not empty.
pub(super) async fn read(
    client: &Client,
    at: &Location,
    version: Option<&str>,
    range: Option<ByteRange>,
) -> Result<ByteStream, StorageError> {
    Ok(open(client, at, version, range, None).await?.0)
}

/// The same, and how long the whole object is; `Changed` if its tag is not `etag`.
pub(super) async fn open(
    client: &Client,
    at: &Location,
    version: Option<&str>,
    range: Option<ByteRange>,
    etag: Option<&str>,
) -> Result<(ByteStream, u64), StorageError> {
    let object = Object { client: client.clone(), at: at.clone(), version: version.map(str::to_owned) };
    let Some(answer) = object.get(range, etag).await? else { return Ok((Box::pin(stream::empty()), 0)) };
    let (start, end, object_bytes) = (answer.start, answer.end, answer.object_bytes);
    let reader = Reader { object, etag: answer.etag, body: answer.body, offset: start, end, tries: fresh() };
    let pieces =
        stream::try_unfold(reader, |mut reader| async move { Ok(reader.next().await?.map(|piece| (piece, reader))) });
    Ok((Box::pin(pieces), object_bytes))
}

fn fresh() -> Backoff {
    Backoff::tries(IDLE_TRIES)
}

/// An object, or a version of one.
struct Object {
    client: Client,
    at: Location,
    version: Option<String>,
}

/// The bytes `start..end` of an object, as they arrive.
struct Answer {
    body: primitives::ByteStream,
    etag: String,
    start: u64,
    end: u64,
    object_bytes: u64,
}

impl Object {
    fn address(&self) -> String {
        address(&self.at, self.version.as_deref())
    }

    /// Asks for a range; `None` where the object ends before it.
    async fn get(&self, range: Option<ByteRange>, etag: Option<&str>) -> Result<Option<Answer>, StorageError> {
        let header = range.map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        let get = self.client.get_object().bucket(&self.at.bucket).key(&self.at.key);
        let get = get.set_version_id(self.version.clone()).set_range(header);
        match get.set_if_match(etag.map(|etag| format!("\"{etag}\""))).send().await {
            Ok(found) => self.answer(range, found).map(Some),
            Err(error) if status(&error) == Some(416) => Ok(None),
            Err(error) if self.version.is_some() && is_no_version(status(&error), code(&error)) => {
                Err(StorageError::NotFound { what: self.address() })
            }
            Err(error) => {
                let action = if self.version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
                Err(classify(action, self.address(), error))
            }
        }
    }

    fn answer(&self, range: Option<ByteRange>, found: GetObjectOutput) -> Result<Answer, StorageError> {
        let unreadable = |reason: &str| unreadable(self.address(), reason);
        let length = found.content_length.and_then(|length| u64::try_from(length).ok());
        let length = length.ok_or_else(|| unreadable("it has no length"))?;
        let (start, object_bytes) = match (range, found.content_range.as_deref()) {
            (None, _) => (0, length),
            (Some(_), Some(range)) => content_range(range).ok_or_else(|| unreadable("its range makes no sense"))?,
            (Some(_), None) => return Err(unreadable("it is not of the range that was asked for")),
        };
        if range.is_some_and(|range| range.start != start) {
            return Err(unreadable("it begins elsewhere than was asked for"));
        }
        Ok(Answer { body: found.body, etag: unquoted(found.e_tag), start, end: start + length, object_bytes })
    }
}

/// Whether the answer says that a version does not exist, never could, or is a delete marker.
fn is_no_version(status: Option<u16>, code: Option<&str>) -> bool {
    status == Some(405) || code == Some("NoSuchVersion") || status == Some(400) && code == Some("InvalidArgument")
}

/// `bytes 10-19/100` → (10, 100).
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, total.parse().ok()?))
}

/// A stream that, when its connection breaks, goes on from where it was: of the same object, or not at all.
struct Reader {
    object: Object,
    etag: String,
    body: primitives::ByteStream,
    offset: u64,
    end: u64,
    tries: Backoff,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        loop {
            match self.body.next().await {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    self.offset += piece.len() as u64;
                    if self.offset > self.end {
                        return Err(unreadable(self.object.address(), "it is longer than it says"));
                    }
                    self.tries = fresh();
                    return Ok(Some(piece));
                }
                None if self.offset == self.end => return Ok(None),
                None => self.resume("the stream ended early".into()).await?,
                // All bytes came, but their checksum is wrong: they cannot be taken back.
                Some(Err(error)) if self.offset == self.end => return Err(self.broken(error.into())),
                Some(Err(error)) => self.resume(error.into()).await?,
            }
        }
    }

    /// Takes the stream up again, unless it has brought nothing for too long.
    async fn resume(&mut self, mut reason: Source) -> Result<(), StorageError> {
        loop {
            if !self.tries.wait().await {
                return Err(self.broken(reason));
            }
            tracing::debug!(object = self.object.address(), offset = self.offset, reason, "stream broke off");
            match self.object.get(Some(ByteRange::new(self.offset, self.end)), Some(&self.etag)).await {
                Ok(Some(answer)) if answer.end == self.end => {
                    self.body = answer.body;
                    return Ok(());
                }
                Ok(_) => return Err(StorageError::Changed { what: self.object.address() }),
                Err(error @ (StorageError::Unavailable { .. } | StorageError::Throttled { .. })) => {
                    reason = error.into();
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn broken(&self, source: Source) -> StorageError {
        StorageError::Unavailable { what: self.object.address(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_answers_are_read() {
        assert_eq!(content_range("bytes 10-19/100"), Some((10, 100)));
        for nonsense in ["", "bytes */100", "bytes 1-2", "10-19/100", "bytes 1-2/*"] {
            assert_eq!(content_range(nonsense), None, "{nonsense}");
        }
    }
}
