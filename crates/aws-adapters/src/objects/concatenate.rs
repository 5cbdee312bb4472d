//! Concatenation: S3 copies the large pieces, the small ones are fetched and sent together.

use std::collections::HashSet;

use aws_sdk_s3::types::CompletedPart;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use storage::{
    Location, Objects, StorageError,
    objects::{Piece, Put, PutOptions},
};

use super::{
    S3Objects, head,
    multipart::Upload,
    plan::{Part, Slice, length, plan},
    read_known,
};

/// How many parts are made at once.
const PARTS_PARALLEL: usize = 6;
/// How many pieces of one part are fetched, or of all looked at, at once.
const PIECES_PARALLEL: usize = 8;

pub(super) async fn concatenate(
    objects: &S3Objects,
    pieces: &[Piece],
    to: &Location,
    options: PutOptions,
) -> Result<Put, StorageError> {
    let plan = plan(pieces, &objects.limits).ok_or_else(|| StorageError::Invalid {
        what: to.to_string(),
        reason: format!("{} pieces are more than an object of S3 can hold", pieces.len()),
    })?;
    let work = Concatenation { objects, pieces, etags: etags(objects, pieces, &plan).await? };
    match plan.as_slice() {
        [] => return objects.put(to, Bytes::new(), options).await,
        [Part::Send(slices)] => return objects.put(to, work.fetch(slices).await?, options).await,
        _ => {}
    }
    let upload = Upload::start(&objects.client, to, options).await?;
    let made = (1..).zip(plan).map(|(number, part)| work.make(&upload, number, part));
    match stream::iter(made).buffer_unordered(PARTS_PARALLEL).try_collect().await {
        Ok(parts) => upload.complete(parts, pieces.iter().map(length).sum()).await,
        Err(error) => {
            upload.abort().await;
            Err(error)
        }
    }
}

/// The tags of the pieces that are read in more than one request: what must be the same object in all of them. The
/// others are checked when they are fetched.
async fn etags(objects: &S3Objects, pieces: &[Piece], plan: &[Part]) -> Result<Vec<Option<String>>, StorageError> {
    let copied: HashSet<usize> = plan
        .iter()
        .filter_map(|part| match part {
            Part::Copy(slice) => Some(slice.piece),
            Part::Send(_) => None,
        })
        .collect();
    let tags = (0..pieces.len()).map(|number| {
        let piece = pieces.get(number).filter(|_| copied.contains(&number));
        async move {
            let Some(Piece::Object { location, bytes }) = piece else { return Ok(None) };
            let info = head(&objects.client, location, None).await?.info;
            match info.bytes == *bytes {
                true => Ok(Some(info.etag)),
                false => Err(StorageError::Changed { what: location.to_string() }),
            }
        }
    });
    stream::iter(tags).buffered(PIECES_PARALLEL).try_collect().await
}

struct Concatenation<'a> {
    objects: &'a S3Objects,
    pieces: &'a [Piece],
    etags: Vec<Option<String>>,
}

impl Concatenation<'_> {
    async fn make(&self, upload: &Upload, number: i32, part: Part) -> Result<CompletedPart, StorageError> {
        match part {
            Part::Send(slices) => upload.put_part(number, self.fetch(&slices).await?).await,
            Part::Copy(slice) => match (self.pieces.get(slice.piece), self.etag(slice)) {
                (Some(Piece::Object { location, .. }), Some(etag)) => {
                    upload.copy_part(number, location, None, slice.range, etag).await
                }
                _ => upload.put_part(number, self.fetch(&[slice]).await?).await,
            },
        }
    }

    fn etag(&self, slice: Slice) -> Option<&str> {
        self.etags.get(slice.piece)?.as_deref()
    }

    /// The bytes of the slices, in order.
    async fn fetch(&self, slices: &[Slice]) -> Result<Bytes, StorageError> {
        if let [slice] = slices {
            return self.fetch_one(*slice).await;
        }
        let mut fetched =
            stream::iter(slices.iter().copied().map(|slice| self.fetch_one(slice))).buffered(PIECES_PARALLEL);
        let mut whole = BytesMut::new();
        while let Some(bytes) = fetched.try_next().await? {
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }

    async fn fetch_one(&self, slice: Slice) -> Result<Bytes, StorageError> {
        match self.pieces.get(slice.piece) {
            Some(Piece::Object { location, bytes }) => {
                let etag = self.etag(slice);
                let range = etag.is_some().then_some(slice.range);
                read_known(&self.objects.client, location, range, etag, *bytes).await
            }
            Some(Piece::Bytes(bytes)) => {
                let edge = |edge: u64| usize::try_from(edge).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes.slice(edge(slice.range.start)..edge(slice.range.end)))
            }
            None => Ok(Bytes::new()),
        }
    }
}
