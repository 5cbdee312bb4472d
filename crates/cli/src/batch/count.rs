//! Counting a file of events as the ledger will.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Cursor, Read, Seek, SeekFrom},
    path::Path,
};

use error_class::chain;
use indicatif::ProgressBar;
use ledger::{
    BatchSequence, EventCompression, EventFormat, EventRange, Interval, Ledger, LineSplitter, PartitionBits,
    ReduceError, UNPACKED_BYTES_MAX, reduce,
};
use money::ControlTotals;
use records::{ChunkSize, Header, Packing, Split, SplitPlan, Splitter, Unpacker};

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
/// What files of gzip and Zstandard begin with.
const PACKED: [&[u8]; 2] = [b"\x1F\x8B", b"\x28\xB5\x2F\xFD"];

/// What is in a file of events.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// All of its records.
    pub(crate) totals: ControlTotals,
    /// How many of them the ledger will reject, by rule.
    pub(crate) rejected_by_rule: BTreeMap<String, u64>,
}

/// Reads the file as the ledger's reducers will. Its own definition says what can be wrong with it.
pub(crate) fn count(ledger: &Ledger, interval: Interval, path: &Path) -> Result<Counted, Failure> {
    let (mut file, bytes) = open(path)?;
    let bar = byte_bar("counting", bytes);
    let packing = match ledger.definition().events.compression {
        EventCompression::None => None,
        EventCompression::Gzip => Some(Packing::Gzip),
        EventCompression::Zstd => Some(Packing::Zstd),
    };
    let mut counting = Counting { ledger, interval, path, bar, counted: Counted::default() };
    let done = match packing {
        None => counting.all(&mut file),
        Some(packing) => counting.unpack(packing, file).and_then(|unpacked| counting.all(&mut Cursor::new(unpacked))),
    };
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
    fn unpack(&self, packing: Packing, mut file: File) -> Result<Vec<u8>, Failure> {
        let mut unpacker = Unpacker::new(packing, UNPACKED_BYTES_MAX);
        let mut block = vec![0; BLOCK_BYTES];
        while let piece @ [_, ..] = self.read(&mut file, &mut block)? {
            unpacker.push(piece).map_err(|error| self.wrong(chain(&error)))?;
            self.bar.inc(piece.len() as u64);
        }
        unpacker.finish().map_err(|error| self.wrong(chain(&error)))
    }

    /// Once through the file to tell its records apart, and once to read them.
    fn all(&mut self, file: &mut (impl Read + Seek)) -> Result<(), Failure> {
        let mut first = [0; 4];
        let read = self.read(file, &mut first)?;
        if PACKED.iter().any(|magic| read.starts_with(magic)) {
            let says = "says nothing of it: unpack it first, or put a definition with events.compression in force";
            return Err(self.wrong(format!("it is packed, and the ledger's definition {says}")));
        }
        let split = self.split(file).map_err(|error| self.wrong(error))?;
        let header = match split.header {
            Some(at) => {
                let bytes = self.range(file, at.start, at.end)?;
                Some(Header::parse(&bytes, self.ledger.format()).map_err(|error| self.wrong(chain(&error)))?)
            }
            None => None,
        };
        for range in split.ranges {
            let bytes = self.range(file, range.start, range.end)?;
            self.take(&bytes, range.start, range.first_row, header.as_ref())?;
        }
        Ok(())
    }

    fn split(&self, file: &mut (impl Read + Seek)) -> Result<Split, String> {
        let chunk = ChunkSize::ByBytes(RANGE_BYTES);
        let plan = SplitPlan { chunk, chunk_bytes_max: RANGE_BYTES_MAX, chunks_max: u64::MAX };
        let format = self.ledger.definition().events.format;
        let (mut records, mut lines) = (Splitter::new(self.ledger.format(), plan), LineSplitter::new(plan));
        let mut block = vec![0; BLOCK_BYTES];
        let io = |error: std::io::Error| error.to_string();
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        loop {
            let read = file.read(&mut block).map_err(io)?;
            let piece = block.get(..read).unwrap_or_default();
            let done = match format {
                _ if piece.is_empty() => break,
                EventFormat::Csv => records.push(piece),
                EventFormat::JsonLines => lines.push(piece),
            };
            done.map_err(|error| chain(&error))?;
        }
        let split = match format {
            EventFormat::Csv => records.finish(),
            EventFormat::JsonLines => lines.finish(),
        };
        split.map_err(|error| chain(&error))
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
        assert_eq!(counted.rejected_by_rule, BTreeMap::from([("required".to_owned(), 1), ("interval".to_owned(), 1)]));
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
        let told = counted(&refusing, b"id,event,time\n").map(|_| ());
        assert!(told.is_ok() || told.unwrap_err().contains("amount"));
        let told = counted(&refusing, b"\x1F\x8B\x08\0 packed").unwrap_err();
        assert!(told.contains("it is packed"), "{told}");
        let gzip = ledger(json!({ "format": "csv", "compression": "gzip" }), "continue");
        let told = counted(&gzip, CSV.as_bytes()).unwrap_err();
        assert!(told.contains("damaged"), "{told}");
    }
}
