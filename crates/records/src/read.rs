//! Reads the records of a range that is held in memory.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};

use crate::{
    dialect::{Encoding, Format},
    structure::{RecordEnd, StructureError, empty_lines},
};

/// Reads record after record, without copying or allocating where the bytes can be used as they are.
///
/// Empty lines are skipped and not counted as rows. The bytes are a range as [`Splitter`](crate::Splitter) cuts them:
/// whole records, without byte order mark and header.
#[derive(Debug)]
pub struct RecordReader<'a> {
    bytes: &'a [u8],
    /// All bytes as text, when they can be used without decoding: then no record needs a check of its own.
    text: Option<&'a str>,
    has_nul: bool,
    format: Format,
    record_end: RecordEnd,
    position: usize,
    offset: u64,
    row: u64,
    line: Line,
}

/// A record taken apart. The buffers are used again for every record.
#[derive(Debug, Default)]
struct Line {
    spans: Vec<Span>,
    /// The record's text, where it had to be decoded.
    decoded: String,
    /// Fields that differ from their bytes: those with doubled quotes.
    unescaped: String,
}

/// Where a field's text lies.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
    unescaped: bool,
}

/// Why a record cannot be taken as it is, whatever its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It has a NUL byte.
    Nul,
    /// Bytes that are no text in the format's encoding.
    Encoding,
    /// Text between a closing quote and the next delimiter.
    Quoting {
        /// The index of the field.
        field: usize,
    },
}

/// One record, valid until the next one is read.
#[derive(Debug, Clone, Copy)]
pub struct Record<'r> {
    row: u64,
    offset: u64,
    raw: &'r [u8],
    text: &'r str,
    unescaped: &'r str,
    spans: &'r [Span],
    plain: bool,
    fault: Option<Fault>,
}

impl<'a> RecordReader<'a> {
    /// Reads `bytes`, the first of which stands at `offset` of the input, and the first record of which is row `row`.
    pub fn new(bytes: &'a [u8], format: &Format, offset: u64, row: u64) -> Self {
        let text = match format.encoding {
            Encoding::Utf8 => std::str::from_utf8(bytes).ok(),
            Encoding::Iso8859_1 | Encoding::Windows1252 if bytes.is_ascii() => std::str::from_utf8(bytes).ok(),
            Encoding::Iso8859_1 | Encoding::Windows1252 => None,
        };
        Self {
            bytes,
            text,
            has_nul: memchr(0, bytes).is_some(),
            format: *format,
            record_end: RecordEnd::new(format),
            position: 0,
            offset,
            row,
            line: Line::default(),
        }
    }

    /// The next record, or `None` behind the last one.
    ///
    /// # Errors
    ///
    /// A record that is too long, or a quote left open at the end: nothing behind either can be read.
    #[inline]
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, StructureError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let skipped = empty_lines(rest);
        let start = self.position + skipped;
        let rest = rest.get(skipped..).unwrap_or_default();
        self.position = self.bytes.len();
        if rest.is_empty() {
            return Ok(None);
        }
        let (row, offset) = (self.row, self.offset + start as u64);
        self.record_end.restart();
        let end = self.record_end.find(rest);
        let raw = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if raw.len() > self.format.record_bytes_max {
            return Err(StructureError::RecordTooLong { row, offset, limit: self.format.record_bytes_max });
        }
        if end.is_none() && self.record_end.is_quoted() {
            return Err(StructureError::UnterminatedQuote { row, offset });
        }
        self.position = start + raw.len();
        self.row += 1;

        let (text, mut fault) = match self.text.and_then(|text| text.get(start..start + raw.len())) {
            Some(text) => (text, None),
            None => {
                let (text, invalid) = self.format.encoding.decode(raw);
                self.line.decoded.clear();
                self.line.decoded.push_str(&text);
                (self.line.decoded.as_str(), invalid.then_some(Fault::Encoding))
            }
        };
        self.line.unescaped.clear();
        let mut spans = SpanWriter { held: &mut self.line.spans, count: 0 };
        let plain = !self.record_end.saw_quote() && !self.format.skip_initial_space;
        if plain {
            split_plain(text, self.format.delimiter, &mut spans);
        } else {
            let quoting = split_quoted(text, &self.format, &mut spans, &mut self.line.unescaped);
            fault = fault.or(quoting);
        }
        if self.has_nul && memchr(0, raw).is_some() {
            fault = Some(Fault::Nul);
        }
        let count = spans.count;
        let spans = self.line.spans.get(..count).unwrap_or_default();
        Ok(Some(Record { row, offset, raw, text, unescaped: &self.line.unescaped, spans, plain, fault }))
    }
}

/// A record is no longer than 1 GiB (`Format::with_record_bytes_max`), and decoding at most triples it.
#[expect(clippy::cast_possible_truncation, reason = "bounded by the format's record_bytes_max")]
fn span(start: usize, end: usize, unescaped: bool) -> Span {
    Span { start: start as u32, end: end as u32, unescaped }
}

/// Writes the spans of a record over those of the one before. The vector never becomes shorter: its length would be read,
/// together with where it lies, right after it was written, and the processor would wait until all that was written
/// before is in its cache.
struct SpanWriter<'l> {
    held: &'l mut Vec<Span>,
    count: usize,
}

impl SpanWriter<'_> {
    #[inline]
    fn push(&mut self, span: Span) {
        match self.held.get_mut(self.count) {
            Some(held) => *held = span,
            None => self.held.push(span),
        }
        self.count += 1;
    }
}

#[inline]
fn split_plain(text: &str, delimiter: u8, spans: &mut SpanWriter<'_>) {
    let mut start = 0;
    for end in memchr_iter(delimiter, text.as_bytes()) {
        spans.push(span(start, end, false));
        start = end + 1;
    }
    spans.push(span(start, text.len(), false));
}

/// Takes a record with quotes or leading spaces apart. The first fault in its quoting, if any.
fn split_quoted(text: &str, format: &Format, spans: &mut SpanWriter<'_>, unescaped: &mut String) -> Option<Fault> {
    let (bytes, mut fault, mut start) = (text.as_bytes(), None, 0);
    loop {
        if format.skip_initial_space {
            start += bytes.iter().skip(start).take_while(|byte| **byte == b' ').count();
        }
        let first = bytes.get(start).copied();
        let (quoted, behind) = match format.quote {
            Some(quote) if first == Some(quote) => {
                let (field, behind) = quoted_field(text, start + 1, quote, format.double_quote, unescaped);
                (Some(field), behind)
            }
            _ => (None, start),
        };
        // A quoted field nearly always ends with its quote.
        let end = match bytes.get(behind) {
            None => behind,
            Some(byte) if *byte == format.delimiter => behind,
            Some(_) => {
                memchr(format.delimiter, bytes.get(behind..).unwrap_or_default()).map_or(bytes.len(), |at| behind + at)
            }
        };
        if quoted.is_some() && end > behind {
            fault = fault.or(Some(Fault::Quoting { field: spans.count }));
        }
        let whole = span(start, end, false);
        spans.push(quoted.filter(|_| end == behind).unwrap_or(whole));
        if end == bytes.len() {
            return fault;
        }
        start = end + 1;
    }
}

/// The field whose first byte, behind its quote, is at `start`, and where what follows its closing quote begins.
fn quoted_field(text: &str, start: usize, quote: u8, double_quote: bool, unescaped: &mut String) -> (Span, usize) {
    let bytes = text.as_bytes();
    let (mut copied, mut scan, first_copy) = (start, start, unescaped.len());
    loop {
        let Some(at) = memchr(quote, bytes.get(scan..).unwrap_or_default()) else {
            // Only behind a fault of encoding could the automaton and this loop see different bytes.
            return (span(start, bytes.len(), false), bytes.len());
        };
        let close = scan + at;
        if double_quote && bytes.get(close + 1) == Some(&quote) {
            unescaped.push_str(text.get(copied..=close).unwrap_or_default());
            (copied, scan) = (close + 2, close + 2);
            continue;
        }
        if copied == start {
            return (span(start, close, false), close + 1);
        }
        unescaped.push_str(text.get(copied..close).unwrap_or_default());
        return (span(first_copy, unescaped.len(), true), close + 1);
    }
}

impl<'r> Record<'r> {
    /// Its row: 1 is the first record behind the header.
    pub fn row(&self) -> u64 {
        self.row
    }

    /// Where it begins, in bytes from the beginning of the input.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Its bytes, without the line end.
    pub fn raw(&self) -> &'r [u8] {
        self.raw
    }

    /// Its text, quotes and all, without the line end. Bytes that are no text show as U+FFFD.
    pub fn text(&self) -> &'r str {
        self.text
    }

    /// Whether its text is its fields with a delimiter between each two.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// The number of its fields: at least one.
    pub fn field_count(&self) -> usize {
        self.spans.len()
    }

    /// The text of a field, without quotes.
    #[inline]
    pub fn get(&self, field: usize) -> Option<&'r str> {
        self.spans.get(field).map(|span| self.slice(*span))
    }

    /// The texts of all fields, in order.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &'r str> + '_ {
        self.spans.iter().map(|span| self.slice(*span))
    }

    /// What makes it a reject whatever the schema. Its fields can be looked at, but not relied on.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    #[inline]
    fn slice(&self, span: Span) -> &'r str {
        let text = if span.unescaped { self.unescaped } else { self.text };
        text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }
}

/// At most `chars` characters of a text, and `…` for the rest.
pub fn shorten(text: &str, chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars) {
        None => Cow::Borrowed(text),
        Some((cut, _)) => Cow::Owned(format!("{}…", text.get(..cut).unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    fn read(bytes: &[u8], format: &Format) -> Vec<(Vec<String>, Option<Fault>)> {
        let mut reader = RecordReader::new(bytes, format, 0, 1);
        let mut records = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            assert_eq!(record.field_count(), record.fields().len());
            assert_eq!(record.get(0), record.fields().next());
            records.push((record.fields().map(str::to_owned).collect(), record.fault()));
        }
        records
    }

    fn fields(bytes: &[u8], format: &Format) -> Vec<Vec<String>> {
        read(bytes, format)
            .into_iter()
            .map(|(fields, fault)| {
                assert_eq!(fault, None);
                fields
            })
            .collect()
    }

    #[test]
    fn fields_are_unquoted() {
        for (record, expected) in [
            ("a,b", vec!["a", "b"]),
            (",", vec!["", ""]),
            ("\"\"", vec![""]),
            ("\"a,b\",c", vec!["a,b", "c"]),
            ("\"a\r\nb\",\"\"", vec!["a\r\nb", ""]),
            ("\"say \"\"hi\"\"\",\"\"\"\"", vec!["say \"hi\"", "\""]),
            ("\"\"\"a\"\"\",b", vec!["\"a\"", "b"]),
            // A bare quote in a field that did not begin with one is an ordinary character.
            ("5\" pipe,\"6\"\" pipe\"", vec!["5\" pipe", "6\" pipe"]),
            (" \"a\",b", vec![" \"a\"", "b"]),
            ("a, b ", vec!["a", " b "]),
            ("a\\,b", vec!["a\\", "b"]),
        ] {
            assert_eq!(fields(record.as_bytes(), &Format::default()), [expected], "{record}");
        }
    }

    #[test]
    fn dialects_differ() {
        let format = |dialect| Format::new(&dialect, Encoding::Utf8).unwrap();
        let tabs = format(Dialect { delimiter: "\t".to_owned(), quote_char: None, ..Dialect::default() });
        assert_eq!(fields(b"\"a\tb\"\n", &tabs), [["\"a", "b\""]]);
        let spaced = format(Dialect { skip_initial_space: true, ..Dialect::default() });
        assert_eq!(fields(b" a,  \"b,c\", d \n", &spaced), [["a", "b,c", "d "]]);
        let single = format(Dialect { quote_char: Some("'".to_owned()), double_quote: false, ..Dialect::default() });
        assert_eq!(fields(b"'a,b',\"c\n", &single), [["a,b", "\"c"]]);
        assert_eq!(read(b"'a''b',c\n", &single)[0].1, Some(Fault::Quoting { field: 0 }));
    }

    #[test]
    fn rows_and_offsets_count_in_the_whole_input() {
        let mut reader = RecordReader::new(b"a\r\n\r\n\"b\n\"\r\nc", &Format::default(), 100, 7);
        let mut seen = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            seen.push((record.row(), record.offset(), record.raw().to_vec()));
        }
        assert_eq!(seen, [(7, 100, b"a".to_vec()), (8, 105, b"\"b\n\"".to_vec()), (9, 111, b"c".to_vec())]);
        assert!(reader.next_record().unwrap().is_none());
    }

    #[test]
    fn faults_are_those_of_one_record_only() {
        let records = read(b"ok,1\n\"a\"b,2\nnul\0,3\nM\xfcller,4\nok,5\n", &Format::default());
        let faults: Vec<_> = records.iter().map(|(_, fault)| *fault).collect();
        assert_eq!(faults, [None, Some(Fault::Quoting { field: 0 }), Some(Fault::Nul), Some(Fault::Encoding), None]);
        assert_eq!(records[1].0, ["\"a\"b", "2"]);
        assert_eq!(records[3].0, ["M\u{fffd}ller", "4"]);
    }

    #[test]
    fn other_encodings_become_utf_8() {
        let latin = Format::new(&Dialect::default(), Encoding::Windows1252).unwrap();
        assert_eq!(
            fields(b"M\xfcller,\"5 \x80, \"\"net\"\"\"\nplain,6\n", &latin),
            [["Müller", "5 €, \"net\""], ["plain", "6"]]
        );
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        let format = Format::default().with_record_bytes_max(5).unwrap();
        let mut reader = RecordReader::new(b"12345\n123456\n1", &format, 50, 1);
        assert!(reader.next_record().unwrap().is_some());
        let error = reader.next_record().unwrap_err();
        assert_eq!(error, StructureError::RecordTooLong { row: 2, offset: 56, limit: 5 });
        assert!(reader.next_record().unwrap().is_none());
        let mut reader = RecordReader::new(b"\"abc", &format, 50, 1);
        assert_eq!(reader.next_record().unwrap_err(), StructureError::UnterminatedQuote { row: 1, offset: 50 });
    }
}
