//! Cuts an input into ranges of whole records, in one pass over its bytes.

use serde::{Deserialize, Serialize};

use crate::{
    dialect::{Encoding, Format},
    structure::{RecordEnd, StructureError, empty_lines},
};

/// How large the ranges are to be, and how many at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitPlan {
    /// What a range is measured by.
    pub chunk: ChunkSize,
    /// A range is closed at the first record end at or behind this many bytes, whatever `chunk` says: what a worker
    /// can hold, less one record.
    pub chunk_bytes_max: u64,
    /// More ranges than this are an error.
    pub chunks_max: u64,
}

/// What a range is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChunkSize {
    /// It is closed at the first record end at or behind this many bytes.
    ByBytes(u64),
    /// It is closed behind this many records.
    ByRecords(u64),
}

/// Bytes from `start` to before `end`, counted from the beginning of the input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteRange {
    /// The offset of the first byte.
    pub start: u64,
    /// The offset behind the last byte.
    pub end: u64,
}

/// A range of whole records. It begins with the first byte of a record (the first range of an input without header may
/// begin with empty lines), and ends where the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRange {
    /// Its number, from 0.
    pub index: u64,
    /// The offset of its first byte.
    pub start: u64,
    /// The offset behind its last byte.
    pub end: u64,
    /// How many records it holds.
    pub records: u64,
    /// The row of its first record; the first record behind the header is row 1.
    pub first_row: u64,
}

/// What the whole input is made of. A byte order mark, the header and the ranges, in that order, are all its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The header with its line end, and any empty lines around it; `None` when the format has none or the input has
    /// no record at all.
    pub header: Option<ByteRange>,
    /// The ranges, contiguous and in order.
    pub ranges: Vec<RecordRange>,
    /// How many records there are, the header not counted.
    pub records: u64,
    /// The length of the input.
    pub bytes: u64,
}

/// The scanner. Push the input in blocks of any size, then finish.
///
/// It holds nothing of the input but three bytes, so a record without end costs no memory.
#[derive(Debug)]
pub struct Splitter {
    plan: SplitPlan,
    format: Format,
    record_end: RecordEnd,
    /// The first bytes, until there are enough to see a byte order mark; `None` from then on.
    lead: Option<Vec<u8>>,
    /// The offset behind the last byte scanned.
    position: u64,
    /// Where the record begins that is being read, or where the empty lines begin behind the last one.
    since: u64,
    in_record: bool,
    header: HeaderScan,
    current: Option<RecordRange>,
    /// Where the bytes begin that no range covers yet.
    uncovered: u64,
    done: Vec<RecordRange>,
    /// How many ranges have been told of before the end.
    told: u64,
    records: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeaderScan {
    None,
    Awaited,
    /// Its record has begun at the earliest, and the first record behind it has not.
    Open(u64),
    Closed(ByteRange),
}

impl Splitter {
    /// A scanner at the beginning of an input.
    pub fn new(format: &Format, plan: SplitPlan) -> Self {
        Self {
            plan,
            format: *format,
            record_end: RecordEnd::new(format),
            lead: Some(Vec::with_capacity(3)),
            position: 0,
            since: 0,
            in_record: false,
            header: if format.header { HeaderScan::Awaited } else { HeaderScan::None },
            current: None,
            uncovered: 0,
            done: Vec::new(),
            told: 0,
            records: 0,
        }
    }

    /// Scans the next block.
    pub fn push(&mut self, block: &[u8]) -> Result<(), StructureError> {
        let Some(lead) = &mut self.lead else { return self.scan(block) };
        let (more, rest) = block.split_at(block.len().min(3 - lead.len()));
        lead.extend_from_slice(more);
        if lead.len() < 3 {
            return Ok(());
        }
        self.begin()?;
        self.scan(rest)
    }

    /// The ranges that are closed by now, and are told of once: neither again here nor by [`Splitter::finish`].
    pub fn closed(&mut self) -> Vec<RecordRange> {
        self.told += self.done.len() as u64;
        std::mem::take(&mut self.done)
    }

    /// The header, once a record behind it has begun.
    pub fn header(&self) -> Option<ByteRange> {
        match self.header {
            HeaderScan::Closed(range) => Some(range),
            _ => None,
        }
    }

    /// Ends the input.
    pub fn finish(mut self) -> Result<Split, StructureError> {
        self.begin()?;
        if self.in_record {
            if self.record_end.is_quoted() {
                return Err(StructureError::UnterminatedQuote { row: self.row(), offset: self.since });
            }
            self.in_record = false;
        }
        let end = self.position;
        self.close_range(end)?;
        let header = match self.header {
            HeaderScan::Open(start) => Some(ByteRange { start, end }),
            HeaderScan::Closed(range) => Some(range),
            HeaderScan::None | HeaderScan::Awaited => None,
        };
        Ok(Split { header, ranges: self.done, records: self.records, bytes: end })
    }

    /// Looks for a byte order mark, then scans what else has been held back.
    fn begin(&mut self) -> Result<(), StructureError> {
        let Some(lead) = self.lead.take() else { return Ok(()) };
        let declared = self.format.encoding;
        match lead.as_slice() {
            [0xEF, 0xBB, 0xBF] if declared == Encoding::Utf8 => {
                (self.position, self.since, self.uncovered) = (3, 3, 3);
                Ok(())
            }
            [0xEF, 0xBB, 0xBF] => Err(StructureError::WrongEncoding { found: "utf-8", declared }),
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Err(StructureError::WrongEncoding { found: "utf-16", declared }),
            other => self.scan(other),
        }
    }

    fn scan(&mut self, block: &[u8]) -> Result<(), StructureError> {
        let mut rest = block;
        loop {
            if !self.in_record {
                let skipped = empty_lines(rest);
                self.position += skipped as u64;
                rest = rest.get(skipped..).unwrap_or_default();
                if self.length() > self.format.record_bytes_max {
                    let limit = self.format.record_bytes_max;
                    return Err(StructureError::TooManyEmptyLines { offset: self.since, limit });
                }
                if rest.is_empty() {
                    return Ok(());
                }
                self.record_begins()?;
            }
            let end = self.record_end.find(rest);
            self.position += end.unwrap_or(rest.len()) as u64;
            if self.length() > self.format.record_bytes_max {
                let limit = self.format.record_bytes_max;
                return Err(StructureError::RecordTooLong { row: self.row(), offset: self.since, limit });
            }
            let Some(end) = end else { return Ok(()) };
            self.in_record = false;
            self.since = self.position;
            rest = rest.get(end..).unwrap_or_default();
        }
    }

    /// How many bytes have been read of the present record, or of the present empty lines.
    fn length(&self) -> usize {
        usize::try_from(self.position - self.since).unwrap_or(usize::MAX)
    }

    /// The row of the record that is being read.
    fn row(&self) -> u64 {
        self.records
    }

    #[inline]
    fn record_begins(&mut self) -> Result<(), StructureError> {
        let start = self.position;
        self.in_record = true;
        self.since = start;
        self.record_end.restart();
        match self.header {
            HeaderScan::Awaited => {
                self.header = HeaderScan::Open(self.uncovered);
                return Ok(());
            }
            HeaderScan::Open(first) => {
                self.header = HeaderScan::Closed(ByteRange { start: first, end: start });
                self.uncovered = start;
            }
            HeaderScan::None | HeaderScan::Closed(_) => {}
        }
        if self.current.is_some_and(|range| self.is_full(&range, start)) {
            self.close_range(start)?;
        }
        self.records += 1;
        match &mut self.current {
            Some(range) => range.records += 1,
            None => {
                let index = self.told + self.done.len() as u64;
                let range = RecordRange { index, start: self.uncovered, end: 0, records: 1, first_row: self.records };
                self.current = Some(range);
            }
        }
        Ok(())
    }

    fn is_full(&self, range: &RecordRange, end: u64) -> bool {
        let bytes = end - range.start;
        bytes >= self.plan.chunk_bytes_max
            || match self.plan.chunk {
                ChunkSize::ByBytes(target) => bytes >= target,
                ChunkSize::ByRecords(target) => range.records >= target,
            }
    }

    fn close_range(&mut self, end: u64) -> Result<(), StructureError> {
        if let Some(range) = self.current.take() {
            if self.told + self.done.len() as u64 >= self.plan.chunks_max {
                return Err(StructureError::TooManyChunks { limit: self.plan.chunks_max });
            }
            self.done.push(RecordRange { end, ..range });
            self.uncovered = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    fn plan(chunk: ChunkSize) -> SplitPlan {
        SplitPlan { chunk, chunk_bytes_max: 1 << 30, chunks_max: 1000 }
    }

    fn split(input: &[u8], chunk: ChunkSize) -> Result<Split, StructureError> {
        let mut splitter = Splitter::new(&Format::default(), plan(chunk));
        splitter.push(input)?;
        splitter.finish()
    }

    /// The header and the ranges as text.
    fn pieces(input: &[u8], chunk: ChunkSize) -> (Option<String>, Vec<String>) {
        let split = split(input, chunk).unwrap();
        let text = |start: u64, end: u64| {
            String::from_utf8(input[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()].to_vec()).unwrap()
        };
        let header = split.header.map(|range| text(range.start, range.end));
        (header, split.ranges.iter().map(|range| text(range.start, range.end)).collect())
    }

    #[test]
    fn cuts_between_records_whatever_ends_them() {
        for end in ["\n", "\r\n", "\r"] {
            let input = format!("id,note{end}1,a{end}2,\"b{end}c\"{end}{end}3,\"say \"\"hi\"\"\"{end}4,d");
            let expected = [
                format!("1,a{end}"),
                format!("2,\"b{end}c\"{end}{end}"),
                format!("3,\"say \"\"hi\"\"\"{end}"),
                "4,d".to_owned(),
            ];
            let (header, ranges) = pieces(input.as_bytes(), ChunkSize::ByRecords(1));
            assert_eq!(header, Some(format!("id,note{end}")));
            assert_eq!(ranges, expected);
            let (_, ranges) = pieces(input.as_bytes(), ChunkSize::ByBytes(5));
            assert!(ranges.len() >= 2 && ranges.concat() == expected.concat());
        }
    }

    /// Whoever reads while the input is scanned gets the ranges that a scan of the whole tells of.
    #[test]
    fn ranges_are_told_of_as_they_close() {
        let input = "id,note\n".to_owned() + &"1,\"a\nb\"\n\n2,c\r\n".repeat(50);
        for chunk in [ChunkSize::ByBytes(20), ChunkSize::ByRecords(3)] {
            let whole = split(input.as_bytes(), chunk).unwrap();
            let mut splitter = Splitter::new(&Format::default(), plan(chunk));
            let (mut ranges, mut early) = (Vec::new(), 0);
            for block in input.as_bytes().chunks(7) {
                splitter.push(block).unwrap();
                ranges.extend(splitter.closed());
                early += usize::from(splitter.header().is_some());
            }
            assert!(ranges.len() > 10 && early > 90, "{} {early}", ranges.len());
            assert_eq!(splitter.header(), whole.header);
            ranges.extend(splitter.finish().unwrap().ranges);
            assert_eq!(ranges, whole.ranges);
        }
    }

    #[test]
    fn a_byte_order_mark_is_in_no_range() {
        let split = split(b"\xef\xbb\xbfid\n1\n", ChunkSize::ByRecords(9)).unwrap();
        assert_eq!(split.header, Some(ByteRange { start: 3, end: 6 }));
        assert_eq!(split.ranges, [RecordRange { index: 0, start: 6, end: 8, records: 1, first_row: 1 }]);
        assert_eq!((split.records, split.bytes), (1, 8));
    }

    #[test]
    fn empty_and_header_only_files_have_no_ranges() {
        for (input, header) in [
            (&b""[..], None),
            (b"\xef\xbb\xbf", None),
            (b"\r\n\n", None),
            (b"id", Some(ByteRange { start: 0, end: 2 })),
            (b"\nid\n\n", Some(ByteRange { start: 0, end: 5 })),
        ] {
            let split = split(input, ChunkSize::ByRecords(1)).unwrap();
            assert_eq!(
                (split.header, split.ranges.len(), split.records, split.bytes),
                (header, 0, 0, input.len() as u64)
            );
        }
    }

    #[test]
    fn another_encodings_mark_is_refused() {
        let error = split(b"\xff\xfei\0d\0", ChunkSize::ByRecords(1)).unwrap_err();
        assert!(error.to_string().contains("utf-16"), "{error}");
        let latin = Format::new(&Dialect::default(), Encoding::Windows1252).unwrap();
        let mut splitter = Splitter::new(&latin, plan(ChunkSize::ByRecords(1)));
        let declared = Encoding::Windows1252;
        assert_eq!(splitter.push(b"\xef\xbb\xbfid"), Err(StructureError::WrongEncoding { found: "utf-8", declared }));
    }

    /// One stray quote swallows the rest of a file: the bound finds it, in a stream and without holding the stream.
    #[test]
    fn a_record_without_end_is_refused_as_soon_as_it_is_too_long() {
        let format = Format::default().with_record_bytes_max(1_000_000).unwrap();
        let mut splitter = Splitter::new(&format, plan(ChunkSize::ByBytes(1 << 20)));
        splitter.push(b"id,note\n1,ok\n2,\"stray\n").unwrap();
        let block = b"3,all of this is inside the quote\n".repeat(3000);
        let pushed = (0..1000).take_while(|_| splitter.push(&block).is_ok()).count();
        assert_eq!(pushed, 1_000_000 / block.len());
        let error = splitter.push(&block).unwrap_err();
        assert_eq!(error, StructureError::RecordTooLong { row: 2, offset: 13, limit: 1_000_000 });
    }

    #[test]
    fn an_open_quote_at_the_end_is_named_by_row_and_byte() {
        let error = split(b"id\n1\n\"2\n3\n", ChunkSize::ByRecords(9)).unwrap_err();
        assert_eq!(error, StructureError::UnterminatedQuote { row: 2, offset: 5 });
        assert_eq!(
            split(b"\"id", ChunkSize::ByRecords(9)),
            Err(StructureError::UnterminatedQuote { row: 0, offset: 0 })
        );
    }

    #[test]
    fn everything_has_a_bound() {
        let mut few = Splitter::new(&Format::default(), SplitPlan { chunks_max: 2, ..plan(ChunkSize::ByRecords(1)) });
        few.push(b"id\n1\n2\n3\n").unwrap();
        assert_eq!(few.finish(), Err(StructureError::TooManyChunks { limit: 2 }));

        let small = SplitPlan { chunk_bytes_max: 4, ..plan(ChunkSize::ByRecords(1000)) };
        let mut splitter = Splitter::new(&Format::default(), small);
        splitter.push(b"id\n1\n2\n3\n").unwrap();
        assert_eq!(splitter.finish().unwrap().ranges.len(), 2);

        let format = Format::default().with_record_bytes_max(4).unwrap();
        let mut splitter = Splitter::new(&format, plan(ChunkSize::ByRecords(1)));
        let error = splitter.push(b"id\n1234\n\n\n\n\n2").unwrap_err();
        assert_eq!(error, StructureError::TooManyEmptyLines { offset: 7, limit: 4 });
    }

    #[test]
    fn rows_and_records_are_counted_without_a_header_too() {
        let format = Format::new(&Dialect { header: false, ..Dialect::default() }, Encoding::Utf8).unwrap();
        let mut splitter = Splitter::new(&format, plan(ChunkSize::ByRecords(2)));
        splitter.push(b"\n1\n2\n3\n").unwrap();
        let split = splitter.finish().unwrap();
        let ranges: Vec<_> =
            split.ranges.iter().map(|range| (range.start, range.end, range.records, range.first_row)).collect();
        assert_eq!((split.header, ranges), (None, vec![(0, 5, 2, 1), (5, 7, 1, 3)]));
    }
}
