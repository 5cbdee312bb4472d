//! Counting a file of events as the ledger will.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom},
    path::Path,
};

use error_class::chain;
use indicatif::ProgressBar;
use ledger::{
    BatchSequence, EventRange, Interval, Ledger, PartitionBits, ReduceError, UNPACKED_BYTES_MAX,
    manifest::ContentHash,
    reduce,
    scan::{self, EventScanner},
};
use money::ControlTotals;
use records::{ChunkSize, Header, Packing, Split, SplitPlan, Unpacker};

use crate::{
    error::{Failure, shown},
    output::byte_bar,
    submit::open,
};

/// Read, and counted, at once.
const RANGE_BYTES: u64 = 16 << 20;
/// The longest range: its last record may be long.
const RANGE_BYTES_MAX: u64 = 64 << 20;
const BLOCK_BYTES: usize = 1 << 20;

/// What is in a file of events.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// All of its records.
    pub(crate) totals: ControlTotals,
    /// How many of them the ledger will reject, by rule.
    pub(crate) rejected_by_rule: BTreeMap<String, u64>,
    /// SHA-256 of the file as it is, packed or not.
    pub(crate) sha256: String,
}

/// Reads the file as the ledger's reducers will. Its own definition says what can be wrong with it.
pub(crate) fn count(ledger: &Ledger, interval: Interval, path: &Path) -> Result<Counted, Failure> {
    let (mut file, bytes) = open(path)?;
    let bar = byte_bar("counting", bytes);
    let mut counting = Counting { ledger, interval, path, bar, counted: Counted::default() };
    let done = counting.once_and_again(&mut file);
    counting.bar.finish_and_clear();
    done.map(|()| counting.counted)
}

struct Counting<'a> {
    ledger: &'a Ledger,
    interval: Interval,
    path: &'a Path,
    bar: ProgressBar,
    counted: Counted,
}

impl Counting<'_> {
    /// Once through the file to tell its records apart, and once to read them.
    fn once_and_again(&mut self, file: &mut File) -> Result<(), Failure> {
        let mut hashed = Hashed { file, hash: ContentHash::default() };
        match self.ledger.definition().events.compression.packing() {
            None => {
                let split = self.split(&mut hashed)?;
                self.counted.sha256 = hashed.hash.finish();
                self.all(file, split)
            }
            Some(packing) => {
                let mut unpacked = Cursor::new(self.unpack(packing, &mut hashed)?);
                self.counted.sha256 = hashed.hash.finish();
                let split = self.split(&mut unpacked)?;
                self.all(&mut unpacked, split)
            }
        }
    }

    fn unpack(&self, packing: Packing, file: &mut impl Read) -> Result<Vec<u8>, Failure> {
        let mut unpacker = Unpacker::new(packing, UNPACKED_BYTES_MAX);
        let mut block = vec![0; BLOCK_BYTES];
        while let piece @ [_, ..] = self.read(file, &mut block)? {
            unpacker.push(piece).map_err(|error| self.wrong(chain(&error)))?;
            self.bar.inc(piece.len() as u64);
        }
        unpacker.finish().map_err(|error| self.wrong(chain(&error)))
    }

    fn split(&self, file: &mut impl Read) -> Result<Split, Failure> {
        let chunk = ChunkSize::ByBytes(RANGE_BYTES);
        let plan = SplitPlan { chunk, chunk_bytes_max: RANGE_BYTES_MAX, chunks_max: u64::MAX };
        let mut scanner = EventScanner::new(self.ledger, plan);
        let mut block = vec![0; BLOCK_BYTES];
        while let piece @ [_, ..] = self.read(file, &mut block)? {
            scanner.push(piece).map_err(|error| self.wrong(chain(&error)))?;
        }
        scanner.finish().map_err(|error| self.wrong(chain(&error)))
    }

    fn all(&mut self, file: &mut (impl Read + Seek), split: Split) -> Result<(), Failure> {
        let header = match split.header {
            Some(at) => {
                let bytes = self.range(file, at.start, at.end)?;
                Some(scan::header(self.ledger, &bytes).map_err(|error| self.wrong(chain(&error)))?)
            }
            None => None,
        };
        for range in split.ranges {
            let bytes = self.range(file, range.start, range.end)?;
            self.take(&bytes, range.start, range.first_row, header.as_ref())?;
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], offset: u64, first_row: u64, header: Option<&Header>) -> Result<(), Failure> {
        let range =
            EventRange { bytes, offset, first_row, batch: BatchSequence::FIRST, object: 0, interval: self.interval };
        let reduced = reduce(self.ledger, header, &range, PartitionBits::ZERO).map_err(|error| self.told(&error))?;
        self.counted.totals.merge(&reduced.totals_in).map_err(|error| self.wrong(error.to_string()))?;
        for (rule, records) in reduced.rejected_by_rule {
            *self.counted.rejected_by_rule.entry(rule).or_default() += records;
        }
        self.bar.inc(bytes.len() as u64);
        Ok(())
    }

    fn read<'b>(&self, file: &mut impl Read, block: &'b mut [u8]) -> Result<&'b [u8], Failure> {
        let read = file.read(block).map_err(|error| Failure::file(self.path, &error))?;
        Ok(block.get(..read).unwrap_or_default())
    }

    fn range(&self, file: &mut (impl Read + Seek), start: u64, end: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let mut read = || {
            file.seek(SeekFrom::Start(start))?;
            file.take(end.saturating_sub(start)).read_to_end(&mut bytes)
        };
        read().map_err(|error| Failure::file(self.path, &error))?;
        Ok(bytes)
    }

    /// What is wrong, by the file and not by its place in a job.
    fn told(&self, error: &ReduceError) -> Failure {
        let name = &self.ledger.definition().name;
        self.wrong(match error {
            ReduceError::Structure { source, .. } => chain(source),
            ReduceError::Header { source, .. } => chain(source),
            ReduceError::Refused { row, offset, rule, message, .. } => format!(
                "row {row}, at byte {offset}: {rule}: {message}. Ledger {name} takes no batch with rejects (onReject: refuse)"
            ),
            other => chain(other),
        })
    }

    fn wrong(&self, what: String) -> Failure {
        Failure::misuse(format!("{}: {what}", shown(self.path)))
    }
}

/// A file whose bytes are hashed as they are read.
struct Hashed<'f> {
    file: &'f mut File,
    hash: ContentHash,
}

impl Read for Hashed<'_> {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(block)?;
        self.hash.update(block.get(..read).unwrap_or_default());
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ledger::{Definition, Rules};
    use serde_json::{Value, json};

    use super::*;

    fn ledger(events: Value, on_reject: &str) -> Ledger {
        let mut events = events;
        events["fields"] = json!([
            { "name": "id", "constraints": { "required": true } }, { "name": "event" },
            { "name": "time", "type": "datetime" }, { "name": "amount", "type": "number" },
        ]);
        let definition = json!({
            "name": "orders", "sources": { "shop": "2026-01-01T00:00:00Z" }, "events": events, "artifactKey": ["id"],
            "eventId": "event", "eventTime": "time", "amounts": [{ "column": "amount", "currency": "EUR" }],
            "onReject": on_reject,
        });
        Ledger::new(Definition::from_json(&definition.to_string()).unwrap(), &Rules::default()).unwrap()
    }

    fn counted(ledger: &Ledger, content: &[u8]) -> Result<Counted, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        fs::write(&path, content).unwrap();
        let interval = json!({ "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z" });
        let interval = serde_json::from_value(interval).unwrap();
        count(ledger, interval, &path).map_err(|failure| failure.message(false).unwrap())
    }

    const CSV: &str = "id,event,time,amount\na,1,2026-01-01T08:00:00Z,1.50\n,2,2026-01-01T08:00:00Z,2.25\n\
                       b,3,2026-01-03T08:00:00Z,4.00\n";
    const TOTALS: &str = "3 records\namount in EUR: 7.75 in 3 amounts";

    #[test]
    fn every_record_counts_whatever_becomes_of_it() {
        let counted = counted(&ledger(json!({ "format": "csv" }), "continue"), CSV.as_bytes()).unwrap();
        assert_eq!(counted.totals.to_string(), TOTALS);
        // By sha256sum.
        assert_eq!(counted.sha256, "01630859b8f4d98c8ea0266a017e69c4c66bb6551ca9b44621148e02a4a72100");
        assert_eq!(counted.rejected_by_rule, BTreeMap::from([("required".to_owned(), 1), ("interval".to_owned(), 1)]));
    }

    #[test]
    fn a_file_without_records_counts_as_none() {
        for (format, content) in [("csv", "id,event,time,amount\n"), ("jsonLines", "")] {
            let counted = counted(&ledger(json!({ "format": format }), "continue"), content.as_bytes()).unwrap();
            assert_eq!(counted.totals.records(), 0, "{format}");
        }
        let told = counted(&ledger(json!({ "format": "csv" }), "continue"), b"").unwrap_err();
        assert!(told.contains("events: it is empty, and a header is expected"), "{told}");
    }

    #[test]
    fn many_ranges_are_one_file() {
        let mut csv = "id,event,time,amount\n".to_owned();
        let mut lines = String::new();
        for row in 0..400_000 {
            csv.push_str(&format!("a,{row:020},2026-01-01T08:00:00Z,0.01\n"));
            lines.push_str(&format!(
                "{{\"id\":\"a\",\"event\":{row},\"time\":\"2026-01-01T08:00:00Z\",\"amount\":0.01}}\n"
            ));
        }
        assert!(csv.len() as u64 > RANGE_BYTES && lines.len() as u64 > RANGE_BYTES);
        for (format, content) in [("csv", csv), ("jsonLines", lines)] {
            let counted = counted(&ledger(json!({ "format": format }), "continue"), content.as_bytes()).unwrap();
            assert_eq!(
                counted.totals.to_string(),
                "400000 records\namount in EUR: 4000.00 in 400000 amounts",
                "{format}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_file_and_row() {
        let refusing = ledger(json!({ "format": "csv" }), "refuse");
        let told = counted(&refusing, CSV.as_bytes()).unwrap_err();
        assert!(told.contains("events: row 2, at byte") && told.contains("onReject: refuse"), "{told}");
        assert!(!told.contains("batch 1"), "{told}");
        for lacking in ["id,event,time\n", "id,event,time\na,1,2026-01-01T08:00:00Z\n"] {
            let told = counted(&refusing, lacking.as_bytes()).unwrap_err();
            assert!(told.contains("amount"), "{told}");
        }
        let told = counted(&refusing, b"\x1F\x8B\x08\0 packed").unwrap_err();
        assert!(told.contains("it is packed"), "{told}");
        let gzip = ledger(json!({ "format": "csv", "compression": "gzip" }), "continue");
        let told = counted(&gzip, CSV.as_bytes()).unwrap_err();
        assert!(told.contains("damaged"), "{told}");
    }
}
