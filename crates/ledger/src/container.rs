//! The one shape of all binary files: sections, and behind them a directory that says where each is.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `tieout`, one byte for the kind, one for the version of its format |
//! | … | the sections, one behind the other |
//! | … | the directory: for each section number, offset, length, records (varints) and XXH3-64 (8 bytes, little-endian) |
//! | 8 | the length of the directory (little-endian) |
//! | 8 | XXH3-64 of the directory |
//! | 8 | the first 8 bytes again |
//!
//! So one range read gets one section, by the directory that a commit manifest carries or that the file's end holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::ByteRange;
use twox_hash::XxHash3_64;

use crate::codec::{Corrupt, Cursor, put_varint};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The events of one byte range, one section a partition.
    Reduced,
    /// The sorted stateless artifacts of one partition.
    Stateless,
    /// What the index and the part-files held for one partition's keys.
    Prefetched,
    /// Where the artifacts of a part-file are.
    Sidecar,
}

impl Kind {
    pub(crate) const fn magic(self) -> [u8; 8] {
        let kind = match self {
            Self::Reduced => b'r',
            Self::Stateless => b's',
            Self::Prefetched => b'p',
            Self::Sidecar => b'i',
        };
        [b't', b'i', b'e', b'o', b'u', b't', kind, 1]
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Reduced => "reduced file",
            Self::Stateless => "stateless file",
            Self::Prefetched => "prefetched file",
            Self::Sidecar => "sidecar",
        }
    }
}

/// A section of a binary file: where it is and what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Section {
    /// Its number: for reduced files, the partition.
    pub number: u32,
    /// Its first byte in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// How many records it holds.
    pub records: u64,
    /// XXH3-64 of its bytes.
    pub checksum: u64,
}

impl Section {
    /// Where to read it.
    pub const fn range(&self) -> ByteRange {
        ByteRange::new(self.offset, self.offset.saturating_add(self.length))
    }

    pub(crate) fn verify<'a>(&self, bytes: &'a [u8], kind: Kind) -> Result<&'a [u8], Corrupt> {
        if bytes.len() as u64 != self.length || XxHash3_64::oneshot(bytes) != self.checksum {
            return Err(Corrupt::new(kind.name(), "a section's checksum differs"));
        }
        Ok(bytes)
    }
}

/// Writes a file.
#[derive(Debug)]
pub(crate) struct Builder {
    kind: Kind,
    out: Vec<u8>,
    sections: Vec<Section>,
}

impl Builder {
    pub(crate) fn new(kind: Kind, capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity + 64);
        out.extend_from_slice(&kind.magic());
        Self { kind, out, sections: Vec::new() }
    }

    /// Where the bytes of the next section go.
    pub(crate) fn body(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Ends a section: everything written since the last one.
    pub(crate) fn end_section(&mut self, number: u32, records: u64) {
        let offset = self.sections.last().map_or(8, |last| last.offset + last.length);
        let bytes = usize::try_from(offset).ok().and_then(|start| self.out.get(start..)).unwrap_or_default();
        let (length, checksum) = (bytes.len() as u64, XxHash3_64::oneshot(bytes));
        self.sections.push(Section { number, offset, length, records, checksum });
    }

    pub(crate) fn finish(mut self) -> (Vec<u8>, Vec<Section>) {
        put_directory(&mut self.out, self.kind, &self.sections);
        (self.out, self.sections)
    }
}

/// Writes what stands behind the sections.
pub(crate) fn put_directory(out: &mut Vec<u8>, kind: Kind, sections: &[Section]) {
    let start = out.len();
    for section in sections {
        for number in [u64::from(section.number), section.offset, section.length, section.records] {
            put_varint(out, number);
        }
        out.extend_from_slice(&section.checksum.to_le_bytes());
    }
    let directory = out.get(start..).unwrap_or_default();
    let (length, checksum) = (directory.len() as u64, XxHash3_64::oneshot(directory));
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&kind.magic());
}

/// The sections of a whole file.
pub(crate) fn sections(file: &[u8], kind: Kind) -> Result<Vec<Section>, Corrupt> {
    let corrupt = |problem| Corrupt::new(kind.name(), problem);
    let trailer = file.len().checked_sub(24).and_then(|start| file.split_at_checked(start));
    let (front, trailer) = trailer.ok_or_else(|| corrupt("it is cut off"))?;
    let mut cursor = Cursor::new(trailer, kind.name());
    let (length, checksum) = (cursor.fixed()?, cursor.fixed()?);
    if cursor.take(8)? != kind.magic() || !front.starts_with(&kind.magic()) {
        return Err(corrupt("it is of another kind or version, or cut off"));
    }
    let start = usize::try_from(length).ok().and_then(|length| front.len().checked_sub(length));
    let directory = start.and_then(|start| front.get(start..)).ok_or_else(|| corrupt("it is cut off"))?;
    if XxHash3_64::oneshot(directory) != checksum {
        return Err(corrupt("the directory's checksum differs"));
    }
    let (mut cursor, mut sections) = (Cursor::new(directory, kind.name()), Vec::new());
    while !cursor.is_empty() {
        let number = u32::try_from(cursor.varint()?).map_err(|_| corrupt("a number is too large"))?;
        let (offset, length, records) = (cursor.varint()?, cursor.varint()?, cursor.varint()?);
        sections.push(Section { number, offset, length, records, checksum: cursor.fixed()? });
    }
    Ok(sections)
}

/// The bytes of a section of a whole file, checked. A section that the file lacks is empty.
pub(crate) fn section(file: &[u8], kind: Kind, number: u32) -> Result<&[u8], Corrupt> {
    let Some(section) = sections(file, kind)?.into_iter().find(|section| section.number == number) else {
        return Ok(&[]);
    };
    let range = section.range();
    let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
    let bytes = bounds.and_then(|(start, end)| file.get(start..end));
    section.verify(bytes.ok_or_else(|| Corrupt::new(kind.name(), "it is cut off"))?, kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (Vec<u8>, Vec<Section>) {
        let mut builder = Builder::new(Kind::Reduced, 0);
        builder.body().extend_from_slice(b"first");
        builder.end_section(3, 1);
        builder.body().extend_from_slice(b"second");
        builder.end_section(7, 2);
        builder.finish()
    }

    #[test]
    fn sections_are_found_and_absent_ones_are_empty() {
        let (file, directory) = file();
        assert_eq!(sections(&file, Kind::Reduced).unwrap(), directory);
        assert_eq!(section(&file, Kind::Reduced, 7).unwrap(), b"second");
        assert_eq!(section(&file, Kind::Reduced, 5).unwrap(), b"");
        let range = directory[0].range();
        let read = &file[range.start as usize..range.end as usize];
        assert_eq!(directory[0].verify(read, Kind::Reduced).unwrap(), b"first");
    }

    /// No byte of a file can change, and no end of it can be missing, without being noticed.
    #[test]
    fn damage_is_noticed() {
        let (file, _) = file();
        let intact = |file: &[u8]| {
            [3, 7].into_iter().all(|number| section(file, Kind::Reduced, number).is_ok_and(|bytes| !bytes.is_empty()))
        };
        assert!(intact(&file));
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert!(!intact(&damaged), "byte {at}");
            assert!(!intact(&file[..at]), "cut at {at}");
        }
        assert!(section(&file, Kind::Sidecar, 3).is_err());
    }
}
