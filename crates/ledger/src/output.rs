//! An object that a commit will name, written as it comes.

use std::sync::Arc;

use storage::{
    Location, Objects,
    objects::{ObjectWriter, PutOptions},
};

use crate::{LedgerError, commits::Written};

/// An object that is begun with its first bytes: where none come, there is none.
pub(crate) struct Output {
    objects: Arc<dyn Objects>,
    at: Location,
    content_type: &'static str,
    writer: Option<Box<dyn ObjectWriter>>,
    bytes: u64,
}

impl Output {
    /// Nothing is written yet.
    pub(crate) fn new(objects: &Arc<dyn Objects>, at: Location, content_type: &'static str) -> Self {
        Self { objects: objects.clone(), at, content_type, writer: None, bytes: 0 }
    }

    /// Writes the next bytes.
    pub(crate) async fn write(&mut self, piece: Vec<u8>) -> Result<(), LedgerError> {
        if piece.is_empty() {
            return Ok(());
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let content_type = Some(self.content_type.to_owned());
                let options = PutOptions { content_type, ..PutOptions::default() };
                self.writer.insert(self.objects.writer(&self.at, options).await?)
            }
        };
        self.bytes += piece.len() as u64;
        Ok(writer.write(piece.into()).await?)
    }

    /// Ends the object: none where nothing was written.
    pub(crate) async fn finish(self) -> Result<Option<Written>, LedgerError> {
        let Some(writer) = self.writer else { return Ok(None) };
        writer.finish().await?;
        Ok(Some(Written { key: self.at.key, bytes: self.bytes }))
    }

    /// Gives it up, after an error: that is the one to tell of.
    pub(crate) async fn give_up(self) {
        if let Some(writer) = self.writer {
            let _ = writer.abort().await;
        }
    }

    /// Ends the object, where `outcome` is that all of it is written; else gives it up.
    pub(crate) async fn end<T, E: From<LedgerError>>(self, outcome: Result<T, E>) -> Result<(T, Option<Written>), E> {
        match outcome {
            Ok(outcome) => Ok((outcome, self.finish().await?)),
            Err(error) => {
                self.give_up().await;
                Err(error)
            }
        }
    }
}
