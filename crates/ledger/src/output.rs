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

    /// Ends the object, where `outcome` is that all of it is written; else gives it up, and tells of the first error.
    pub(crate) async fn end<T, E: From<LedgerError>>(self, outcome: Result<T, E>) -> Result<(T, Option<Written>), E> {
        let Self { at, writer, bytes, .. } = self;
        match (outcome, writer) {
            (Ok(outcome), None) => Ok((outcome, None)),
            (Ok(outcome), Some(writer)) => match writer.finish().await {
                Ok(_) => Ok((outcome, Some(Written { key: at.key, bytes }))),
                Err(error) => Err(LedgerError::from(error).into()),
            },
            (Err(error), writer) => {
                if let Some(writer) = writer {
                    // The first error is the one to tell of.
                    let _ = writer.abort().await;
                }
                Err(error)
            }
        }
    }
}
