//! Event lines that an artifact could not keep in its own line: they stand in a side file, in runs.
//!
//! A run is a header line that says where the side lines before these are, and then the event lines. So an artifact with
//! a million events has a short line, and its events are a walk. A run is written as soon as it ends: a worker holds one,
//! however many lines an artifact takes.

use std::{fmt, hash::Hasher as _};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::{
    codec::Corrupt,
    json_text::{from_hex, put_digest, put_number, put_text, to_hex},
};

/// A run of side lines ends with the lines that bring it to so many bytes, and the next one begins: so that who writes
/// them holds no more, and who wants the last lines reads the last runs.
pub const SIDE_BYTES_MAX: usize = 16 << 20;

/// Where event lines went that an artifact could not keep in its own line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideFile {
    /// The file's key in the data bucket.
    pub file: String,
    /// Where the latest side lines begin, with their header line.
    pub offset: u64,
    /// Their length in bytes, header and line feeds counted.
    pub length: u64,
    /// How many event lines there are in them and in all side lines before.
    pub lines: u64,
    /// XXH3-64 of the run's bytes.
    #[serde(deserialize_with = "from_hex", serialize_with = "to_hex")]
    pub digest: u64,
}

impl SideFile {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"file\":");
        put_text(out, &self.file);
        for (name, number) in [("offset", self.offset), ("length", self.length), ("lines", self.lines)] {
            out.push(b',');
            put_text(out, name);
            out.push(b':');
            put_number(out, number);
        }
        out.extend_from_slice(b",\"digest\":");
        put_digest(out, self.digest);
        out.push(b'}');
    }
}

/// A run that is being written.
#[derive(Debug)]
pub(crate) struct SideLines {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lines: u64,
}

impl SideLines {
    /// No lines yet, but the header line that says where those before are.
    pub(crate) fn new(key: &str, previous: Option<&SideFile>) -> Self {
        let mut bytes = b"{\"key\":".to_vec();
        put_text(&mut bytes, key);
        bytes.extend_from_slice(b",\"previous\":");
        match previous {
            Some(previous) => previous.write(&mut bytes),
            None => bytes.extend_from_slice(b"null"),
        }
        bytes.extend_from_slice(b"}\n");
        Self { bytes, lines: 0 }
    }
}

/// A run of a side file that was written: all that is held of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SideRun {
    /// Its length in bytes.
    pub length: u64,
    /// XXH3-64 of its bytes.
    pub digest: u64,
}

/// Looks at the bytes of a run as they are read: whether they are those that were written.
#[derive(Clone)]
pub(crate) struct RunCheck {
    hash: XxHash3_64,
    left: u64,
    digest: u64,
}

impl fmt::Debug for RunCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunCheck").field("left", &self.left).finish_non_exhaustive()
    }
}

impl RunCheck {
    pub(crate) fn new(run: SideRun) -> Self {
        Self { hash: XxHash3_64::new(), left: run.length, digest: run.digest }
    }

    /// Takes what is the run's of the next bytes, and gives back the rest.
    pub(crate) fn take<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Corrupt> {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let (own, rest) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
        self.hash.write(own);
        self.left -= own.len() as u64;
        if self.is_done() && self.hash.finish() != self.digest {
            return Err(Corrupt::new("side file", "a run of lines is not the one that was written"));
        }
        Ok(rest)
    }

    /// Whether all bytes of the run were seen.
    pub(crate) const fn is_done(&self) -> bool {
        self.left == 0
    }
}

/// Looks at a side file as it stands in the store.
#[derive(Debug)]
pub(crate) struct SideCheck<'r> {
    runs: std::slice::Iter<'r, SideRun>,
    run: Option<RunCheck>,
}

impl<'r> SideCheck<'r> {
    /// A file that was written in these runs.
    pub(crate) fn new(runs: &'r [SideRun]) -> Self {
        Self { runs: runs.iter(), run: None }
    }

    /// Takes the next bytes.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<(), Corrupt> {
        while !bytes.is_empty() {
            if self.run.as_ref().is_none_or(RunCheck::is_done) {
                self.run = self.runs.next().copied().map(RunCheck::new);
            }
            let run = self.run.as_mut().ok_or(Corrupt::new("side file", "it is longer than what was written"))?;
            bytes = run.take(bytes)?;
        }
        Ok(())
    }

    /// Whether nothing is missing.
    pub(crate) fn finish(mut self) -> Result<(), Corrupt> {
        match self.run.is_none_or(|run| run.is_done()) && self.runs.next().is_none() {
            true => Ok(()),
            false => Err(Corrupt::new("side file", "it is shorter than what was written")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8]) -> SideRun {
        SideRun { length: bytes.len() as u64, digest: XxHash3_64::oneshot(bytes) }
    }

    fn check(runs: &[SideRun], bytes: &[u8], piece: usize) -> Result<(), Corrupt> {
        let mut check = SideCheck::new(runs);
        bytes.chunks(piece).try_for_each(|piece| check.take(piece))?;
        check.finish()
    }

    /// Whatever is changed, cut off, added or moved in a side file shows, however it is read.
    #[test]
    fn a_side_file_is_what_was_written() {
        let (first, second) = (b"{\"key\":\"a\"}\n1\n2\n".as_slice(), b"{\"key\":\"b\"}\n3\n".as_slice());
        let (runs, whole) = ([run(first), run(second)], [first, second].concat());
        for piece in [1, 7, first.len(), 100] {
            check(&runs, &whole, piece).unwrap();
            for at in 0..whole.len() {
                let mut changed = whole.clone();
                changed[at] ^= 1;
                check(&runs, &changed, piece).unwrap_err();
                check(&runs, &whole[..at], piece).unwrap_err();
            }
            check(&runs, &[&whole, b"\n".as_slice()].concat(), piece).unwrap_err();
            check(&runs, &[second, first].concat(), piece).unwrap_err();
        }
        check(&[], b"", 1).unwrap();
    }

    #[test]
    fn where_side_lines_are_is_written_as_it_is_read() {
        let side = SideFile { file: "f\"".to_owned(), offset: 1, length: 2, lines: 3, digest: 0xFEDC_BA98 };
        let mut written = Vec::new();
        side.write(&mut written);
        assert_eq!(serde_json::to_vec(&side).unwrap(), written);
        assert_eq!(serde_json::from_slice::<SideFile>(&written).unwrap(), side);
    }
}
