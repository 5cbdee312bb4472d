//! What must hold for any bytes, any chunk size and any blocks.

#![expect(clippy::unwrap_used, reason = "in a test it is the way to fail")]

use csv::{ByteRecord, QuoteStyle, ReaderBuilder, Terminator, WriterBuilder};
use proptest::{collection::vec, prelude::*, sample::select};
use records::{
    ChunkSize, Dialect, Encoding, Fault, Format, LineEnd, RecordReader, Split, SplitPlan, Splitter, StructureError,
    Writer, guard, unguard,
};

/// A record as it was read, with all that identifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    row: u64,
    offset: u64,
    raw: Vec<u8>,
    fields: Vec<String>,
    fault: Option<Fault>,
}

fn read(bytes: &[u8], format: &Format, offset: u64, row: u64) -> (Vec<Seen>, Option<StructureError>) {
    let mut reader = RecordReader::new(bytes, format, offset, row);
    let mut seen = Vec::new();
    loop {
        match reader.next_record() {
            Ok(None) => return (seen, None),
            Err(error) => return (seen, Some(error)),
            Ok(Some(record)) => seen.push(Seen {
                row: record.row(),
                offset: record.offset(),
                raw: record.raw().to_vec(),
                fields: record.fields().map(str::to_owned).collect(),
                fault: record.fault(),
            }),
        }
    }
}

fn split<'b>(
    blocks: impl IntoIterator<Item = &'b [u8]>,
    format: &Format,
    plan: SplitPlan,
) -> Result<Split, StructureError> {
    let mut splitter = Splitter::new(format, plan);
    for block in blocks {
        splitter.push(block)?;
    }
    splitter.finish()
}

/// Blocks of these sizes and of one byte, over and over again; a size of zero is an empty block.
fn blocks<'b>(bytes: &'b [u8], sizes: &[usize]) -> Vec<&'b [u8]> {
    let (mut blocks, mut rest) = (Vec::new(), bytes);
    for size in sizes.iter().chain([&1]).cycle() {
        let (block, behind) = rest.split_at((*size).min(rest.len()));
        blocks.push(block);
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    blocks
}

fn whole() -> SplitPlan {
    SplitPlan { chunk: ChunkSize::ByBytes(u64::MAX), chunk_bytes_max: u64::MAX, chunks_max: u64::MAX }
}

/// Bytes of which most mean something to the automaton.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        &b"a"[..],
        b"b",
        b"1",
        b",",
        b",",
        b"\"",
        b"\"",
        b"\"\"",
        b"\n",
        b"\n",
        b"\r",
        b"\r\n",
        b" ",
        b";",
        "é".as_bytes(),
        b"\xff",
        b"\0",
        b"\xef\xbb\xbf",
        b"\xef",
        b"\xfe\xff",
        b"\"a\",",
        b",\"b\nc\"\r\n",
        b"plain,text,line\n",
    ]);
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

prop_compose! {
    fn any_format()(
        header in any::<bool>(), quoted in any::<bool>(), double_quote in any::<bool>(), skip_initial_space in any::<bool>(),
        encoding in select(vec![Encoding::Utf8, Encoding::Utf8, Encoding::Windows1252]),
        limit in select(vec![6_usize, 20, 1000]),
    ) -> Format {
        let quote_char = quoted.then(|| "\"".to_owned());
        let dialect = Dialect { header, quote_char, double_quote, skip_initial_space, ..Dialect::default() };
        Format::new(&dialect, encoding).unwrap().with_record_bytes_max(limit).unwrap()
    }
}

prop_compose! {
    fn any_plan()(by_bytes in any::<bool>(), size in 0_u64..40, chunk_bytes_max in 1_u64..200) -> SplitPlan {
        let chunk = if by_bytes { ChunkSize::ByBytes(size) } else { ChunkSize::ByRecords(size) };
        SplitPlan { chunk, chunk_bytes_max, chunks_max: 1000 }
    }
}

fn any_table() -> impl Strategy<Value = Vec<Vec<String>>> {
    let cell = prop_oneof!["[a-z0-9 ]{0,6}", "[a,;\"\r\n' =-]{0,5}", "\\PC{0,4}", Just("\u{feff}".to_owned())];
    (1_usize..5).prop_flat_map(move |width| vec(vec(cell.clone(), width), 0..8))
}

fn fields(bytes: &[u8], format: &Format) -> Vec<Vec<String>> {
    let (seen, error) = read(bytes, format, 0, 1);
    assert_eq!(error, None);
    assert!(seen.iter().all(|record| record.fault.is_none()), "{seen:?}");
    seen.into_iter().map(|record| record.fields).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Wherever the blocks of a stream end, the scanner sees the same.
    #[test]
    fn blocks_do_not_matter(input in input(), format in any_format(), plan in any_plan(), sizes in vec(0_usize..9, 1..6)) {
        prop_assert_eq!(split(blocks(&input, &sizes), &format, plan), split([input.as_slice()], &format, plan));
    }

    /// A mark, the header and the ranges are the input, each byte once; reading each range is reading the whole.
    #[test]
    fn ranges_cover_the_input_and_reading_them_is_reading_it(input in input(), format in any_format(), plan in any_plan()) {
        let Ok(split) = split([input.as_slice()], &format, plan) else { return Ok(()) };
        let mark = if input.starts_with(b"\xef\xbb\xbf") { 3_u64 } else { 0 };
        let slice = |start: u64, end: u64| &input[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()];
        let mut covered = mark;
        let mut expected_row = 0;
        if let Some(header) = split.header {
            prop_assert_eq!(header.start, covered);
            prop_assert_eq!(read(slice(header.start, header.end), &format, 0, 0).0.len(), 1);
            covered = header.end;
        }
        let (everything, error) = read(slice(covered, split.bytes), &format, covered, 1);
        prop_assert_eq!(error, None);
        let mut seen = Vec::new();
        for (index, range) in split.ranges.iter().enumerate() {
            prop_assert_eq!((range.index, range.start, range.first_row), (index as u64, covered, expected_row + 1));
            prop_assert!(range.end > range.start);
            let (records, error) = read(slice(range.start, range.end), &format, range.start, range.first_row);
            prop_assert_eq!(error, None);
            prop_assert_eq!(records.len() as u64, range.records);
            prop_assert!(range.records > 0);
            if index > 0 {
                prop_assert!(!matches!(input[usize::try_from(range.start).unwrap()], b'\r' | b'\n'));
            }
            expected_row += range.records;
            covered = range.end;
            seen.extend(records);
        }
        if split.header.is_none() && split.ranges.is_empty() {
            prop_assert!(slice(covered, split.bytes).iter().all(|byte| matches!(byte, b'\r' | b'\n')));
        } else {
            prop_assert_eq!(covered, split.bytes);
        }
        prop_assert_eq!(split.bytes, input.len() as u64);
        prop_assert_eq!(split.records, expected_row);
        prop_assert_eq!(seen, everything);
    }

    /// A range is closed at the first record end at or behind its size, and never before.
    #[test]
    fn ranges_are_as_large_as_planned(input in input(), format in any_format(), plan in any_plan()) {
        let Ok(split) = split([input.as_slice()], &format, plan) else { return Ok(()) };
        let last = split.ranges.len().saturating_sub(1);
        for (index, range) in split.ranges.iter().enumerate() {
            let start = usize::try_from(range.start).unwrap();
            let bytes = &input[start..usize::try_from(range.end).unwrap()];
            let full = |bytes: u64, records: u64| bytes >= plan.chunk_bytes_max || match plan.chunk {
                ChunkSize::ByBytes(size) => bytes >= size,
                ChunkSize::ByRecords(size) => records >= size,
            };
            prop_assert!(index == last || full(range.end - range.start, range.records));
            let (records, _) = read(bytes, &format, 0, 0);
            if let [before @ .., last] = records.as_slice() && !before.is_empty() {
                prop_assert!(!full(last.offset, before.len() as u64), "a range was not closed in time");
            }
        }
    }

    /// What the scanner refuses, the reader refuses too, in the same words.
    #[test]
    fn splitter_and_reader_refuse_the_same(input in input(), format in any_format()) {
        let mark = if input.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let (_, refused) = read(&input[mark..], &format, mark as u64, u64::from(!format.has_header()));
        match split([input.as_slice()], &format, whole()) {
            Ok(_) => prop_assert_eq!(refused, None),
            Err(error @ (StructureError::RecordTooLong { .. } | StructureError::UnterminatedQuote { .. })) => {
                prop_assert_eq!(refused, Some(error));
            }
            Err(_) => {}
        }
    }

    /// On any bytes at all, the csv crate finds the same records; and the same fields where the quoting is good.
    #[test]
    fn agrees_with_the_csv_crate_on_any_bytes(input in input()) {
        let input = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&input);
        let (seen, error) = read(input, &Format::default(), 0, 1);
        if error.is_some() || input.starts_with(b"\xef\xbb\xbf") {
            return Ok(());
        }
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input);
        let theirs: Vec<ByteRecord> = reader.byte_records().map(Result::unwrap).collect();
        prop_assert_eq!(seen.len(), theirs.len());
        for (ours, theirs) in seen.iter().zip(&theirs) {
            if ours.fault.is_none() {
                let theirs: Vec<_> = theirs.iter().map(|field| std::str::from_utf8(field).unwrap()).collect();
                prop_assert_eq!(&ours.fields, &theirs);
            }
        }
    }

    #[test]
    fn reads_what_the_csv_crate_writes(table in any_table(), style in 0_usize..3, lone_cr in any::<bool>()) {
        let style = [QuoteStyle::Necessary, QuoteStyle::Always, QuoteStyle::NonNumeric][style];
        let terminator = if lone_cr { Terminator::Any(b'\r') } else { Terminator::CRLF };
        let mut writer = WriterBuilder::new().quote_style(style).terminator(terminator).from_writer(Vec::new());
        for record in &table {
            writer.write_record(record).unwrap();
        }
        prop_assert_eq!(fields(&writer.into_inner().unwrap(), &Format::default()), table);
    }

    #[test]
    fn what_is_written_is_read_back(
        table in any_table(), crlf in any::<bool>(), skip_initial_space in any::<bool>(), semicolon in any::<bool>(),
    ) {
        let delimiter = if semicolon { ";" } else { "," }.to_owned();
        let format = Format::new(&Dialect { delimiter, skip_initial_space, ..Dialect::default() }, Encoding::Utf8).unwrap();
        let mut writer = Writer::new(&format, if crlf { LineEnd::CrLf } else { LineEnd::Lf });
        for record in &table {
            writer.write(record.iter().map(String::as_str));
        }
        let mark = writer.as_bytes().starts_with(b"\xef\xbb\xbf");
        prop_assert!(!mark, "a cell became a byte order mark");
        prop_assert_eq!(fields(writer.as_bytes(), &format), table.clone());
        let mut theirs = ReaderBuilder::new()
            .has_headers(false).delimiter(if semicolon { b';' } else { b',' }).from_reader(writer.as_bytes());
        let theirs: Vec<Vec<String>> = theirs.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        prop_assert_eq!(theirs, table);
    }

    #[test]
    fn every_guarded_cell_comes_back(cell in "'{0,2}[=+@\t\r-]?[0-9.a]{0,4}|\\PC{0,6}") {
        let guarded = guard(&cell);
        prop_assert_eq!(unguard(&guarded), cell.as_str());
        prop_assert!(!guarded.starts_with(['=', '@', '\t', '\r']));
    }
}
