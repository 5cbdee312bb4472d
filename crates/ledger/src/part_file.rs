//! Part-files: JSON lines sorted by key, and their sidecars, which say where each artifact is.
//!
//! A sidecar's first section holds, for each line of the part-file in order: the key, the line's length without its line
//! feed, the sequence that it was computed from (0: none), and XXH3-64 of the line. Its second section holds the
//! part-file's key in the data bucket and the versions' sequence.

use twox_hash::XxHash3_64;

use crate::{
    codec::{Corrupt, Cursor, put_bytes, put_varint},
    container::{self, Builder, Kind},
    index_entry::IndexEntry,
    prefetched::Version,
    sequence::BatchSequence,
    side_lines::{SideFile, SideRun},
};

const ARTIFACTS: u32 = 0;
const HEADING: u32 = 1;

/// A finished part-file, with what belongs to it. Each is an object to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartFile {
    /// Its key in the data bucket.
    pub file: String,
    /// Its bytes.
    pub lines: Vec<u8>,
    /// The sidecar's key.
    pub sidecar_file: String,
    /// The sidecar's bytes.
    pub sidecar: Vec<u8>,
    /// The runs of its side file, which were handed over before: those of the event lines that artifacts of this part-file
    /// moved out of their own lines. None without such lines.
    pub side: Vec<SideRun>,
    /// How many artifacts it holds: the puts that index must confirm.
    pub artifacts: u64,
}

/// A part-file that is being written.
#[derive(Debug)]
pub(crate) struct PartWriter {
    folder: String,
    number: u32,
    sequence: BatchSequence,
    lines: Vec<u8>,
    sidecar: Builder,
    side: Side,
    artifacts: u64,
}

/// A side file: what was written of it, and what is to be written.
#[derive(Debug, Default)]
struct Side {
    runs: Vec<SideRun>,
    bytes: u64,
    ended: Vec<Vec<u8>>,
}

impl PartWriter {
    /// Part-files go under `folder`, which no other attempt uses. The first is expected to come to some `bytes`.
    pub(crate) fn new(folder: &str, sequence: BatchSequence, bytes: usize) -> Self {
        Self {
            folder: folder.to_owned(),
            number: 0,
            sequence,
            lines: Vec::with_capacity(bytes),
            sidecar: Builder::new(Kind::Sidecar, 0),
            side: Side::default(),
            artifacts: 0,
        }
    }

    /// Adds an artifact, whose line `write` writes without a line feed.
    pub(crate) fn push(&mut self, key: &str, previous: Option<BatchSequence>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.lines.len();
        write(&mut self.lines);
        let line = self.lines.get(start..).unwrap_or_default();
        let (length, digest) = (line.len() as u64, XxHash3_64::oneshot(line));
        self.lines.push(b'\n');
        let out = self.sidecar.body();
        put_bytes(out, key.as_bytes());
        put_varint(out, length);
        put_varint(out, previous.map_or(0, BatchSequence::get));
        out.extend_from_slice(&digest.to_le_bytes());
        self.artifacts += 1;
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.lines.len() as u64 + self.side.bytes
    }

    /// Adds a run of side lines, header and all, of which there are `lines` with those before.
    pub(crate) fn push_side(&mut self, run: Vec<u8>, lines: u64) -> SideFile {
        let (offset, length, digest) = (self.side.bytes, run.len() as u64, XxHash3_64::oneshot(&run));
        self.side.bytes += length;
        self.side.runs.push(SideRun { length, digest });
        self.side.ended.push(run);
        SideFile { file: self.side_file(), offset, length, lines, digest }
    }

    /// Runs that have ended, and the file that they are the next bytes of.
    pub(crate) fn take_side(&mut self) -> Option<(String, Vec<u8>)> {
        let ended = std::mem::take(&mut self.side.ended).into_iter().reduce(|mut run, next| {
            run.extend_from_slice(&next);
            run
        });
        ended.map(|run| (self.side_file(), run))
    }

    fn side_file(&self) -> String {
        format!("{}/lines-{:05}.jsonl", self.folder, self.number)
    }

    /// The part-file so far, if it holds anything; the next one begins.
    pub(crate) fn cut(&mut self) -> Option<PartFile> {
        if self.artifacts == 0 {
            return None;
        }
        let file = format!("{}/part-{:05}.jsonl", self.folder, self.number);
        let mut sidecar = std::mem::replace(&mut self.sidecar, Builder::new(Kind::Sidecar, 0));
        sidecar.end_section(ARTIFACTS, self.artifacts);
        put_bytes(sidecar.body(), file.as_bytes());
        put_varint(sidecar.body(), self.sequence.get());
        sidecar.end_section(HEADING, 1);
        let part = PartFile {
            lines: std::mem::take(&mut self.lines),
            sidecar_file: format!("{}/part-{:05}.idx", self.folder, self.number),
            sidecar: sidecar.finish().0,
            side: std::mem::take(&mut self.side).runs,
            artifacts: std::mem::take(&mut self.artifacts),
            file,
        };
        self.number += 1;
        Some(part)
    }
}

/// One line of a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SidecarEntry<'a> {
    /// The artifact.
    pub key: &'a str,
    /// Where its line begins in the part-file, in bytes.
    pub offset: u64,
    /// The line's length in bytes, its line feed not counted.
    pub length: u64,
    /// The sequence of the version that it was computed from; `None` for an artifact's first.
    pub previous: Option<BatchSequence>,
    /// XXH3-64 of the line.
    pub digest: u64,
}

/// A sidecar, checked: an iterator over its entries, by key.
#[derive(Debug, Clone)]
pub struct Sidecar<'a> {
    file: &'a str,
    sequence: BatchSequence,
    entries: Cursor<'a>,
    offset: u64,
}

impl<'a> Sidecar<'a> {
    /// Checks a whole sidecar.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let mut heading = Cursor::new(container::section(bytes, Kind::Sidecar, HEADING)?, Kind::Sidecar.name());
        let (file, sequence) = (heading.text()?, BatchSequence::new(heading.varint()?));
        let entries = container::section(bytes, Kind::Sidecar, ARTIFACTS)?;
        Ok(Self { file, sequence, entries: Cursor::new(entries, Kind::Sidecar.name()), offset: 0 })
    }

    /// The part-file's key in the data bucket.
    pub const fn file(&self) -> &'a str {
        self.file
    }

    /// The versions' sequence: `applied_through` of every line.
    pub const fn sequence(&self) -> BatchSequence {
        self.sequence
    }

    /// What the index is to hold for an entry.
    pub fn index_entry(&self, entry: &SidecarEntry<'_>) -> IndexEntry {
        let (offset, length, sequence) = (entry.offset, entry.length, self.sequence);
        IndexEntry { file: self.file.to_owned(), offset, length, sequence }
    }

    fn next_entry(&mut self) -> Result<SidecarEntry<'a>, Corrupt> {
        let key = self.entries.text()?;
        let (length, previous) = (self.entries.varint()?, self.entries.varint()?);
        let digest = self.entries.fixed()?;
        let offset = self.offset;
        self.offset = offset.saturating_add(length).saturating_add(1);
        let previous = (previous > 0).then(|| BatchSequence::new(previous));
        Ok(SidecarEntry { key, offset, length, previous, digest })
    }
}

impl<'a> Iterator for Sidecar<'a> {
    type Item = Result<SidecarEntry<'a>, Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.entries.is_empty()).then(|| self.next_entry())
    }
}

/// A part-file and its sidecar, as they were read.
#[derive(Debug, Clone, Copy)]
pub struct PartBytes<'a> {
    /// The sidecar.
    pub sidecar: &'a [u8],
    /// The part-file.
    pub lines: &'a [u8],
}

/// The version that a sidecar's entry tells of, checked against its digest.
pub(crate) fn version<'a>(
    sidecar: &Sidecar<'a>,
    entry: &SidecarEntry<'a>,
    lines: &'a [u8],
) -> Result<Version<'a>, Corrupt> {
    let (start, length) = (usize::try_from(entry.offset).ok(), usize::try_from(entry.length).ok());
    let line = start.zip(length).and_then(|(start, length)| lines.get(start..)?.get(..length));
    let line = line.filter(|line| XxHash3_64::oneshot(line) == entry.digest);
    let line = line.ok_or(Corrupt::new("part-file", "a line is not the one that its sidecar tells of"))?;
    Ok(Version { file: sidecar.file, offset: entry.offset, sequence: sidecar.sequence, line })
}
