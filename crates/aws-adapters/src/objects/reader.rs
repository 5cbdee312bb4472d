//! Streams that outlive their connections.

use aws_sdk_s3::{Client, operation::get_object::GetObjectOutput, primitives};
use bytes::{Buf, Bytes};
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

/// More bytes than any object has.
const BEYOND: u64 = 1 << 60;
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
    let object_bytes = answer.object_bytes;
    let reader = Reader { object, offset: answer.wanted.start, answer, tries: fresh() };
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

/// Bytes of an object, as they arrive.
struct Answer {
    body: primitives::ByteStream,
    etag: String,
    /// Where in the object the body's next byte is.
    at: u64,
    /// Where in the object the body ends.
    end: u64,
    /// What was asked for, cut where the object ends.
    wanted: ByteRange,
    object_bytes: u64,
}

impl Answer {
    /// What is wanted of the next bytes of the body.
    fn cut(&mut self, mut piece: Bytes) -> Bytes {
        let ByteRange { start, end } = self.wanted;
        let length = piece.len() as u64;
        let edge = |edge: u64| usize::try_from(edge.clamp(self.at, self.at + length) - self.at).unwrap_or_default();
        piece.truncate(edge(end));
        piece.advance(edge(start).min(piece.len()));
        self.at += length;
        piece
    }
}

impl Object {
    fn address(&self) -> String {
        address(&self.at, self.version.as_deref())
    }

    /// Asks for a range; `None` where the object ends before it.
    async fn get(&self, range: Option<ByteRange>, etag: Option<&str>) -> Result<Option<Answer>, StorageError> {
        let header = range.map(|ByteRange { start, end }| match end {
            // Beyond any object: to its end, without a number that a server might not be able to read.
            BEYOND.. => format!("bytes={start}-"),
            end => format!("bytes={start}-{}", end - 1),
        });
        let get = self.client.get_object().bucket(&self.at.bucket).key(&self.at.key);
        let get = get.set_version_id(self.version.clone()).set_range(header);
        match get.set_if_match(etag.map(|etag| format!("\"{etag}\""))).send().await {
            Ok(found) => self.answer(range, found),
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

    fn answer(&self, range: Option<ByteRange>, found: GetObjectOutput) -> Result<Option<Answer>, StorageError> {
        let unreadable = |reason: &str| unreadable(self.address(), reason);
        let length = found.content_length.and_then(|length| u64::try_from(length).ok());
        let length = length.ok_or_else(|| unreadable("it has no length"))?;
        // A server may ignore a range and send everything: MiniStack does when a version is asked for.
        let (at, object_bytes) = match found.content_range.as_deref() {
            Some(range) => content_range(range).ok_or_else(|| unreadable("its range makes no sense"))?,
            None => (0, length),
        };
        let wanted = range.unwrap_or(ByteRange::new(0, object_bytes));
        let wanted = ByteRange::new(wanted.start, wanted.end.min(object_bytes));
        let end = at + length;
        if wanted.is_empty() {
            return Ok(None);
        }
        if at > wanted.start || end < wanted.end {
            return Err(unreadable("it is not of the range that was asked for"));
        }
        Ok(Some(Answer { body: found.body, etag: unquoted(found.e_tag), at, end, wanted, object_bytes }))
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
    answer: Answer,
    /// The next byte to deliver.
    offset: u64,
    tries: Backoff,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        loop {
            let complete = self.offset == self.answer.wanted.end;
            if complete && self.answer.end > self.offset {
                return Ok(None);
            }
            match self.answer.body.next().await {
                Some(Ok(piece)) => {
                    let piece = self.answer.cut(piece);
                    if !piece.is_empty() {
                        self.offset += piece.len() as u64;
                        self.tries = fresh();
                        return Ok(Some(piece));
                    }
                }
                None if complete => return Ok(None),
                None => self.resume("the stream ended early".into()).await?,
                // All bytes came, but their checksum is wrong: they cannot be taken back.
                Some(Err(error)) if complete => return Err(self.broken(error.into())),
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
            let rest = ByteRange::new(self.offset, self.answer.wanted.end);
            match self.object.get(Some(rest), Some(&self.answer.etag)).await {
                Ok(Some(answer)) if answer.wanted == rest => {
                    self.answer = answer;
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
