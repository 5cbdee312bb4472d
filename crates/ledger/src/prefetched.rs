//! What the prefetcher found of one partition's keys, for the state engine.
//!
//! One record for each key of the job, in order: the key, and a number: 0 where the index has no such artifact; else one
//! more than the number of the file's name among those named so far (the name follows where it is new), the offset, the
//! sequence, and the version's line.

use std::{collections::HashMap, fmt, hash::Hasher as _};

use twox_hash::XxHash3_64;

use crate::{
    codec::{Corrupt, Cursor, put_bytes, put_varint},
    container::{self, Kind, Section},
    index_entry::IndexEntry,
    sequence::BatchSequence,
};

/// Writes the file, piece by piece: the longest is as long as what a partition's artifacts were.
pub struct PrefetchedWriter {
    /// What was not taken yet.
    out: Vec<u8>,
    /// How many bytes of it are the file's beginning, and not its section.
    heading: usize,
    /// Bytes of the section that were taken, and their hash.
    taken: u64,
    hash: XxHash3_64,
    names: HashMap<String, u64>,
    /// The file that was named last, and its number.
    last: Option<(String, u64)>,
    records: u64,
}

impl Default for PrefetchedWriter {
    fn default() -> Self {
        let out = Kind::Prefetched.magic().to_vec();
        Self {
            heading: out.len(),
            out,
            taken: 0,
            hash: XxHash3_64::new(),
            names: HashMap::new(),
            last: None,
            records: 0,
        }
    }
}

impl fmt::Debug for PrefetchedWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrefetchedWriter").field("records", &self.records).finish_non_exhaustive()
    }
}

impl PrefetchedWriter {
    /// Adds a key, in order: its index entry and the line that stands there, or `None` where a consistent read of the
    /// index has found nothing. A key that was not answered is neither.
    pub fn push(&mut self, key: &str, found: Option<(&IndexEntry, &[u8])>) {
        let out = &mut self.out;
        put_bytes(out, key.as_bytes());
        self.records += 1;
        let Some((entry, line)) = found else {
            put_varint(out, 0);
            return;
        };
        // Neighbours are mostly of one file.
        let number = match &self.last {
            Some((file, number)) if *file == entry.file => Some(*number),
            _ => self.names.get(&entry.file).copied(),
        };
        let known = self.names.len() as u64;
        put_varint(out, number.unwrap_or(known) + 1);
        if number.is_none() {
            put_bytes(out, entry.file.as_bytes());
            self.names.insert(entry.file.clone(), known);
        }
        if self.last.as_ref().is_none_or(|(file, _)| *file != entry.file) {
            self.last = Some((entry.file.clone(), number.unwrap_or(known)));
        }
        put_varint(out, entry.offset);
        put_varint(out, entry.sequence.get());
        put_bytes(out, line);
    }

    /// How many keys were added.
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// The next bytes of the file, as far as they are known.
    pub fn take(&mut self) -> Vec<u8> {
        let piece = std::mem::take(&mut self.out);
        let section = piece.get(std::mem::take(&mut self.heading)..).unwrap_or_default();
        self.hash.write(section);
        self.taken += section.len() as u64;
        piece
    }

    /// The last bytes of the file: all of it, where none was taken before.
    pub fn finish(mut self) -> Vec<u8> {
        let offset = Kind::Prefetched.magic().len() as u64;
        let mut piece = self.take();
        let section =
            Section { number: 0, offset, length: self.taken, records: self.records, checksum: self.hash.finish() };
        container::put_directory(&mut piece, Kind::Prefetched, &[section]);
        piece
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

#[cfg(test)]
mod tests {
    use super::*;

    /// However the file is taken, it is the same, and what was found comes back.
    #[test]
    fn pieces_make_the_whole() {
        let entry = |number: u64| IndexEntry {
            file: format!("file-{}", number % 3),
            offset: number * 10,
            length: 6,
            sequence: BatchSequence::new(number + 1),
        };
        let keys: Vec<String> = (0..100).map(|number| format!("k{number:03}")).collect();
        let write = |every: usize| {
            let (mut writer, mut file) = (PrefetchedWriter::default(), Vec::new());
            for (number, key) in keys.iter().enumerate() {
                let entry = entry(number as u64);
                let line = format!("line{:02}", number % 100);
                writer.push(key, (number % 7 != 0).then_some((&entry, line.as_bytes())));
                if number % every == 0 {
                    file.extend(writer.take());
                }
            }
            file.extend(writer.finish());
            file
        };
        let whole = write(usize::MAX);
        for every in [1, 2, 33] {
            assert_eq!(write(every), whole);
        }
        assert_eq!(container::section(&PrefetchedWriter::default().finish(), Kind::Prefetched, 0).unwrap(), b"");
        let mut writer = PrefetchedWriter::default();
        keys.iter().for_each(|key| writer.push(key, None));
        assert_eq!(writer.records(), 100);
        let mut reader = PrefetchedReader::open(&whole).unwrap();
        for (number, key) in keys.iter().enumerate() {
            let (found, version) = reader.next_record().unwrap().unwrap();
            let expected = (number % 7 != 0).then(|| entry(number as u64));
            let version = version.map(|Version { file, offset, sequence, line }| IndexEntry {
                file: file.to_owned(),
                offset,
                length: line.len() as u64,
                sequence,
            });
            assert_eq!((found, version), (key.as_str(), expected));
        }
        assert_eq!(reader.next_record().unwrap().map(|(key, _)| key), None);
    }
}
