//! What the prefetcher found of one partition's keys, for the state engine.
//!
//! One record for each key of the job, in order: the key, and a number: 0 where the index has no such artifact; else one
//! more than the number of the file's name among those named so far (the name follows where it is new), the offset, the
//! sequence, and the version's line.

use std::collections::HashMap;

use crate::{
    codec::{Corrupt, Cursor, put_bytes, put_varint},
    container::{self, Builder, Kind},
    index_entry::IndexEntry,
    sequence::BatchSequence,
};

/// Writes the file.
#[derive(Debug)]
pub struct PrefetchedWriter {
    file: Builder,
    names: HashMap<String, u64>,
    records: u64,
}

impl Default for PrefetchedWriter {
    fn default() -> Self {
        Self { file: Builder::new(Kind::Prefetched, 0), names: HashMap::new(), records: 0 }
    }
}

impl PrefetchedWriter {
    /// Adds a key, in order: its index entry and the line that stands there, or `None` where a consistent read of the
    /// index has found nothing. A key that was not answered is neither.
    pub fn push(&mut self, key: &str, found: Option<(&IndexEntry, &[u8])>) {
        let out = self.file.body();
        put_bytes(out, key.as_bytes());
        self.records += 1;
        let Some((entry, line)) = found else {
            put_varint(out, 0);
            return;
        };
        let known = self.names.len() as u64;
        match self.names.get(&entry.file) {
            Some(number) => put_varint(out, number + 1),
            None => {
                put_varint(out, known + 1);
                put_bytes(out, entry.file.as_bytes());
                self.names.insert(entry.file.clone(), known);
            }
        }
        put_varint(out, entry.offset);
        put_varint(out, entry.sequence.get());
        put_bytes(out, line);
    }

    /// The file to write.
    pub fn finish(mut self) -> Vec<u8> {
        self.file.end_section(0, self.records);
        self.file.finish().0
    }
}

/// A version of an artifact, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version<'a> {
    pub(crate) file: &'a str,
    pub(crate) offset: u64,
    pub(crate) sequence: BatchSequence,
    pub(crate) line: &'a [u8],
}

impl Version<'_> {
    pub(crate) fn entry(&self) -> IndexEntry {
        let (file, length) = (self.file.to_owned(), self.line.len() as u64);
        IndexEntry { file, offset: self.offset, length, sequence: self.sequence }
    }
}

/// Reads the file.
#[derive(Debug)]
pub(crate) struct PrefetchedReader<'a> {
    cursor: Cursor<'a>,
    names: Vec<&'a str>,
    last: Option<&'a str>,
}

impl<'a> PrefetchedReader<'a> {
    pub(crate) fn open(file: &'a [u8]) -> Result<Self, Corrupt> {
        let records = container::section(file, Kind::Prefetched, 0)?;
        Ok(Self { cursor: Cursor::new(records, Kind::Prefetched.name()), names: Vec::new(), last: None })
    }

    pub(crate) fn next_record(&mut self) -> Result<Option<(&'a str, Option<Version<'a>>)>, Corrupt> {
        if self.cursor.is_empty() {
            return Ok(None);
        }
        let key = self.cursor.text()?;
        if self.last.is_some_and(|last| last >= key) {
            return Err(self.cursor.corrupt("its keys are not in order"));
        }
        self.last = Some(key);
        let Some(number) = self.cursor.varint()?.checked_sub(1) else { return Ok(Some((key, None))) };
        if number == self.names.len() as u64 {
            self.names.push(self.cursor.text()?);
        }
        let file = usize::try_from(number).ok().and_then(|number| self.names.get(number).copied());
        let file = file.ok_or_else(|| self.cursor.corrupt("a file is not named"))?;
        let (offset, sequence) = (self.cursor.varint()?, BatchSequence::new(self.cursor.varint()?));
        Ok(Some((key, Some(Version { file, offset, sequence, line: self.cursor.bytes()? }))))
    }
}
