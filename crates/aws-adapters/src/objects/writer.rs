//! Writing piece by piece, in bounded memory.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::types::CompletedPart;
use bytes::{Bytes, BytesMut};
use storage::{
    Location, Objects, StorageError,
    objects::{ObjectWriter, Put, PutOptions},
};
use tokio::task::JoinSet;

use super::{S3Objects, multipart::Upload};

/// The most parts that are on their way at once.
const PARALLEL: usize = 4;
/// The most bytes that are on their way at once, but for a single part.
const BYTES_UNDER_WAY: usize = 64 * 1024 * 1024;
/// After this many parts, they double in size: 10,000 of them, from 8 MiB on, hold 8 TiB.
const PARTS_BEFORE_GROWTH: usize = 1000;

/// An object that is being written: in one piece if it stays short, in parts if not.
///
/// It holds about one part and what is on its way: 40 MiB for objects of up to 8 GiB, 130 MiB for one of 100 GiB.
pub(super) struct Writer {
    objects: S3Objects,
    at: Location,
    options: PutOptions,
    buffer: BytesMut,
    upload: Option<Arc<Upload>>,
    under_way: JoinSet<Result<CompletedPart, StorageError>>,
    parts: Vec<CompletedPart>,
    parts_sent: usize,
    bytes: u64,
}

impl Writer {
    pub(super) fn new(objects: S3Objects, at: Location, options: PutOptions) -> Self {
        Self {
            objects,
            at,
            options,
            buffer: BytesMut::new(),
            upload: None,
            under_way: JoinSet::new(),
            parts: Vec::new(),
            parts_sent: 0,
            bytes: 0,
        }
    }

    /// Sends a part, once there is room for it.
    async fn send(&mut self, part: Bytes) -> Result<(), StorageError> {
        let room = (BYTES_UNDER_WAY / part.len().max(1)).clamp(1, PARALLEL);
        while self.under_way.len() >= room {
            self.receive().await?;
        }
        let upload = match &self.upload {
            Some(upload) => Arc::clone(upload),
            None => {
                let upload = Upload::start(&self.objects.client, &self.at, self.options.clone()).await?;
                Arc::clone(self.upload.insert(Arc::new(upload)))
            }
        };
        self.parts_sent += 1;
        let number = i32::try_from(self.parts_sent).unwrap_or(i32::MAX);
        self.under_way.spawn(async move { upload.put_part(number, part).await });
        Ok(())
    }

    /// Waits for one of the parts that are on their way; `false` when there is none.
    async fn receive(&mut self) -> Result<bool, StorageError> {
        let Some(part) = self.under_way.join_next().await else { return Ok(false) };
        let part = part.map_err(|error| StorageError::Unavailable { what: self.at.to_string(), source: error.into() });
        self.parts.push(part??);
        Ok(true)
    }

    async fn send_rest(&mut self) -> Result<(), StorageError> {
        if !self.buffer.is_empty() {
            let rest = self.buffer.split().freeze();
            self.send(rest).await?;
        }
        while self.receive().await? {}
        Ok(())
    }

    /// Stops what is on its way, and gives up what has arrived.
    async fn give_up(&mut self) {
        self.under_way.shutdown().await;
        if let Some(upload) = self.upload.take() {
            upload.abort().await;
        }
    }
}

#[async_trait]
impl ObjectWriter for Writer {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), StorageError> {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let part_bytes = part_bytes(self.objects.limits.write_part_bytes, self.parts_sent);
            let room = part_bytes.saturating_sub(self.buffer.len());
            self.buffer.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
            if self.buffer.len() >= part_bytes {
                let part = std::mem::take(&mut self.buffer).freeze();
                self.send(part).await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Put, StorageError> {
        if self.upload.is_none() {
            let body = std::mem::take(&mut self.buffer).freeze();
            return self.objects.put(&self.at, body, self.options).await;
        }
        if let Err(error) = self.send_rest().await {
            self.give_up().await;
            return Err(error);
        }
        // Every task has ended, and with it its hold on the upload.
        match self.upload.take().and_then(Arc::into_inner) {
            Some(upload) => upload.complete(self.parts, self.bytes).await,
            None => Err(StorageError::Unavailable { what: self.at.to_string(), source: "a part is still sent".into() }),
        }
    }

    async fn abort(mut self: Box<Self>) -> Result<(), StorageError> {
        self.give_up().await;
        Ok(())
    }
}

/// The size of the part after `parts` others.
fn part_bytes(first: usize, parts: usize) -> usize {
    first << (parts / PARTS_BEFORE_GROWTH).min(9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[test]
    fn parts_grow_so_that_they_suffice() {
        let Limits { write_part_bytes, parts_max, part_bytes_max, .. } = Limits::default();
        let sizes = (0..parts_max).map(|parts| part_bytes(write_part_bytes, parts) as u64);
        assert!(sizes.clone().all(|bytes| bytes <= part_bytes_max));
        assert!(sizes.sum::<u64>() >= 5 << 40);
    }
}
