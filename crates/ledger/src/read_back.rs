//! Part-files, read back as they stand in the store: whether they hold what they were written to hold.
//!
//! It is found from the bytes alone, so that a slip of who wrote them cannot hide in its own count: each line's digest,
//! that keys ascend, that the file ends where its last line does, how many events the lines say they were made of, and what
//! their `sum` measures come to.

use crate::{
    codec::Corrupt,
    compiled::Ledger,
    part_file::{PartBytes, Sidecar, version},
    sequence::BatchSequence,
    sums::{FiguresReader, Sums},
};

/// What the part-files of a partition hold, one behind the other.
#[derive(Debug, Clone)]
pub(crate) struct ReadBack<'l> {
    ledger: &'l Ledger,
    /// Their artifacts.
    pub(crate) artifacts: u64,
    /// The `events` of all their lines.
    pub(crate) events: u64,
    /// Their `sum` measures.
    pub(crate) sums: Sums,
    reader: FiguresReader,
    last: Option<String>,
}

impl<'l> ReadBack<'l> {
    /// Nothing is read yet.
    pub(crate) fn new(ledger: &'l Ledger) -> Self {
        let (sums, reader) = Default::default();
        Self { ledger, artifacts: 0, events: 0, sums, reader, last: None }
    }

    /// Checks a part-file, the next one. `file` is where it stands, `sequence` that of its versions.
    pub(crate) fn add(&mut self, part: &PartBytes<'_>, file: &str, sequence: BatchSequence) -> Result<(), Corrupt> {
        let corrupt = |problem| Corrupt::new("part-file", problem);
        let mut sidecar = Sidecar::open(part.sidecar)?;
        if sidecar.file() != file || sidecar.sequence() != sequence {
            return Err(corrupt("its sidecar is of another file or job"));
        }
        let last = self.last.take();
        let (mut before, mut end) = (last.as_deref(), 0);
        while let Some(entry) = sidecar.next().transpose()? {
            if before.is_some_and(|before| before >= entry.key) {
                return Err(corrupt("its keys are not in order"));
            }
            before = Some(entry.key);
            let line = version(&sidecar, &entry, part.lines)?.line;
            let figures = self.reader.read(self.ledger, line, entry.key, sequence)?;
            let figures = figures.ok_or_else(|| corrupt("a line is not of the artifact and version of its entry"))?;
            let events = self.events.checked_add(figures.events);
            self.events = events.ok_or_else(|| corrupt("its events cannot be counted"))?;
            for amount in figures.sums {
                self.sums.add(*amount).map_err(|_| corrupt("its amounts cannot be summed"))?;
            }
            self.artifacts += 1;
            end = entry.offset.saturating_add(entry.length).saturating_add(1);
            if usize::try_from(end - 1).ok().and_then(|at| part.lines.get(at)) != Some(&b'\n') {
                return Err(corrupt("a line does not end where its sidecar says"));
            }
        }
        if end != part.lines.len() as u64 {
            return Err(corrupt("it does not end behind its last line"));
        }
        self.last = before.map(str::to_owned);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        part_file::{PartFile, PartWriter},
        sums::tests::ledger,
    };

    const SEQUENCE: BatchSequence = BatchSequence::new(9);

    fn line(key: &str, events: u64) -> String {
        format!(
            r#"{{"key":"{key}","applied_through":9,"status":null,"difference":[],"events":{events},"measures":{{}}}}"#
        )
    }

    fn written(keys: &[(&str, u64)]) -> PartFile {
        let mut writer = PartWriter::new("folder", SEQUENCE, 0);
        for (key, events) in keys {
            writer.push(key, None, |out| out.extend_from_slice(line(key, *events).as_bytes()));
        }
        writer.cut().unwrap()
    }

    fn problem(part: &PartFile, lines: &[u8]) -> &'static str {
        let bytes = PartBytes { sidecar: &part.sidecar, lines };
        ReadBack::new(&ledger()).add(&bytes, &part.file, SEQUENCE).unwrap_err().problem
    }

    #[test]
    fn what_was_written_is_counted() {
        let (first, second) = (written(&[("a", 3), ("b", 40)]), written(&[("c", 5)]));
        let ledger = ledger();
        let mut read = ReadBack::new(&ledger);
        for part in [&first, &second] {
            read.add(&PartBytes { sidecar: &part.sidecar, lines: &part.lines }, &part.file, SEQUENCE).unwrap();
        }
        assert_eq!((read.artifacts, read.events), (3, 48));
        let again = read.add(&PartBytes { sidecar: &first.sidecar, lines: &first.lines }, &first.file, SEQUENCE);
        assert_eq!(again.unwrap_err().problem, "its keys are not in order");
    }

    #[test]
    fn whatever_is_changed_shows() {
        let part = written(&[("a", 3), ("b", 4)]);
        for at in 0..part.lines.len() {
            let mut damaged = part.lines.clone();
            damaged[at] ^= 1;
            problem(&part, &damaged);
            problem(&part, &part.lines[..at]);
        }
        let longer = [part.lines.as_slice(), b"\n"].concat();
        assert_eq!(problem(&part, &longer), "it does not end behind its last line");
        let swapped = format!("{}\n{}\n", line("b", 4), line("a", 3));
        assert_eq!(problem(&part, swapped.as_bytes()), "a line is not the one that its sidecar tells of");
        assert_eq!(problem(&written(&[("b", 4), ("a", 3)]), swapped.as_bytes()), "its keys are not in order");
    }

    #[test]
    fn another_file_or_job_shows() {
        let part = written(&[("a", 3)]);
        let bytes = PartBytes { sidecar: &part.sidecar, lines: &part.lines };
        for (file, sequence) in [("other", SEQUENCE), (part.file.as_str(), BatchSequence::new(8))] {
            ReadBack::new(&ledger()).add(&bytes, file, sequence).unwrap_err();
        }
        // A line whose digest is right, and that is another artifact's.
        let mut writer = PartWriter::new("folder", SEQUENCE, 0);
        writer.push("a", None, |out| out.extend_from_slice(line("b", 1).as_bytes()));
        let part = writer.cut().unwrap();
        assert_eq!(problem(&part, &part.lines), "a line is not of the artifact and version of its entry");
    }
}
